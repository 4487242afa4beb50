package ingest

import (
	"context"
	"errors"
	"iter"
	"time"
)

// ErrChanged says that a file is no longer what was listed, or changed while
// it was read. It is not lost: the next listing brings it again.
var ErrChanged = errors.New("the file changed while it was fetched")

// ErrTruncated says that a folder has more than its server lists of it. What is
// listed is there; what is not may be there all the same.
var ErrTruncated = errors.New("the server did not list all that is in the folder")

// A Source is a place that files come from: a folder, a server, an archive.
// All methods may be called from several goroutines at once.
type Source interface {
	// Name is the name that the source's files carry in the ledger.
	Name() string

	// Files lists what is there, each path once, in no promised order, holding
	// no more of the listing in memory than one folder's batch. It ends when
	// all was listed, or, for a source that is watched, when ctx ends. A pair
	// with an error says what could not be listed (File.Path is then the
	// folder or file concerned) and the listing goes on, unless the error is
	// ctx's. Where it wraps ErrTruncated, the folder was listed in part.
	Files(ctx context.Context) iter.Seq2[File, error]

	// Fetch reads f into c, reusing c's buffer. On return c.File is f with the
	// size and time of the bytes that were read. A file of up to SpoolAbove
	// bytes is whole in c.Data; a larger one is in c.Stream, and then it is
	// c.Close that tells whether the bytes were whole and unchanged; reading it
	// ends with an error when ctx does. An error of Fetch means that c holds
	// nothing, and nothing stays open; errors.Is ErrChanged when the file is to
	// be taken at its next listing. Fetch may be called again.
	Fetch(ctx context.Context, f File, c *Content) error

	// Done is told what became of f, only after the ledger has it, and does
	// what the source is configured to do then: keep, move or delete. It may
	// be called again for the same outcome. An error that wraps ErrChanged says
	// that the file is not the one that was fetched any more, or is still written
	// to, and was left.
	Done(ctx context.Context, f File, o Outcome) error
}

// A Watcher is a source that hears of files before the next listing does. What
// it tells are hints: they may be missing, doubled, early or wrong, and the
// listing stays the truth.
type Watcher interface {
	Source

	// Watch calls hint for each file that seems to have come or changed, as it
	// stands then, until ctx ends; hint may be called from several goroutines
	// at once and may block. It returns ctx's error, or another when there is no
	// watching any more: the source is then only listed. It returns nil at once
	// where there is nothing that could be watched.
	Watch(ctx context.Context, hint func(File)) error
}

// A Wrapper is a source that adds something to another, and leaves to it what it
// does not do itself.
type Wrapper interface {
	Source
	Wrapped() Source
}

// A Grower is a source that can fetch only what a file has gained.
type Grower interface {
	Source

	// FetchGain reads into c the head of f and what comes after of.At, and sets
	// c.Gain; c.Gain.Before is valid as long as c.Data. All is whole in c.Data. An
	// error that wraps ErrWhole says that the file has not grown from what it was,
	// or that the gain is larger than SpoolAbove: the whole file is to be fetched.
	// Otherwise it is as Fetch.
	FetchGain(ctx context.Context, f File, of *Growth, c *Content) error
}

// A Tidier is a source of which files go away when they are done.
type Tidier interface {
	Source

	// Tidies reports whether Done moves or deletes files. A file that is still
	// there although the ledger has it loaded was not done, and is done again.
	Tidies() bool
}

// A Settler is a source that holds files back until their upload is complete.
type Settler interface {
	Source

	// Settling is how many files the listing that ended last held back.
	Settling() int

	// Settles is when, of these, the last may have settled that only another listing
	// looks at again; the zero time when there is none, but for those that had just
	// changed. That listing is worth while then, though it may be due only later.
	Settles() time.Time

	// Age is for how long a file must keep still: one that does so is told of before
	// twice as long has passed, unless Behind says that there are too many.
	Age() time.Duration

	// Behind reports whether files may have settled that it has not told of, because
	// there are many: of those of the last listing, others came already.
	Behind() bool
}

// An Archive keeps the original bytes of files. All methods may be called from
// several goroutines at once.
type Archive interface {
	// Keep writes the bytes of c and what names it, and returns where they are.
	// They are durable when Sync, called later, returns. Where c.Gain is set, they
	// are what the file gained on the version at c.Gain.Of.Place, and Fetch will
	// give the whole. c stays readable: where it is a stream, Keep leaves another
	// one of the same bytes in its place, whose Close reports what that of the
	// first did. sum is the SHA-256 of c.Data; it is zero where c is a stream,
	// whose bytes nobody has seen yet. An error means that c holds nothing and
	// nothing stays open.
	Keep(ctx context.Context, c *Content, sum Digest) (Place, error)

	// Sync makes durable all that Keep has returned for.
	Sync(ctx context.Context) error

	// Fetch reads what Keep has put at a place, as Source.Fetch would: it sets
	// c.File, c.Fetched, c.Place and the bytes.
	Fetch(ctx context.Context, at Place, c *Content) error

	// Settle tells that the ledger has what was kept at these places, whatever
	// became of it. Until then it is not deleted, however old it is, and is taken
	// up again when the process ends before. It may be told twice.
	Settle(places ...Place)
}

// A Place is where in an archive the bytes of a file are. The zero Place is
// nowhere.
type Place struct {
	Pack   string // the pack's name below the archive's folder
	Offset int64  // bytes
}

// SpoolAbove is the size in bytes above which a Content is a stream.
const SpoolAbove = 16 << 20

// A Decoder turns the bytes of files into columns. It keeps buffers, so one
// goroutine uses it at a time; each worker has its own.
type Decoder interface {
	// Decode opens a span of b for c, fills it, and ends it. What is wrong with
	// the file is the span's State and Reason and its Rejects, never an error.
	// An error is that of reading c.Stream, or ctx's, or, where c.Gain is set,
	// wraps ErrWhole; the span is then to be dropped. Decode need not read a
	// stream to its end.
	//
	// Of a file with c.Gain the span has what comes after c.Gain.Of.At alone, and
	// counts only that. A last line without its ending is not counted either: it
	// is read when the file has grown again.
	Decode(ctx context.Context, c *Content, b *Batch) error
}

// A Standing is what the ledger says of a listed file before it is fetched.
type Standing struct {
	Take         bool    // it is to be fetched: new, or it may have changed, or it is due
	State        State   // of its path's newest version; "" when the ledger has none
	Grew         bool    // it is loaded, and larger than it was then
	Growth       *Growth // of a file that grew, by which it may be carried on; nil when it is to be fetched whole
	FirstFetched int64   // of a version that is due, or loading: when it was first fetched, in microseconds UTC; else 0
	// Archived is the SHA-256 of its path's newest version where the ledger knows
	// a place in the archive for its bytes, else zero: the same bytes are not
	// archived again.
	Archived Digest
}

// A Sink is where readings go, with the ledger of what has gone there.
type Sink interface {
	// Pending says of each file whether it is to be fetched, in the order of
	// files. It is a hint that saves fetching and may err on the side of Take:
	// Commit decides.
	Pending(ctx context.Context, files []File) ([]Standing, error)

	// Committer opens a connection for one worker, who keeps it. It may be
	// called concurrently.
	Committer(ctx context.Context) (Committer, error)
}

// A Refresher is a sink that learns from time to time what others did. Its
// Refresh is called before each listing of a pipeline that polls, and now and
// then between them, while commits are under way, by one goroutine at a time.
// When it returns, a Commit that begins later goes by the answers that people had
// given when it was called, and, where the pipeline has caught up, by the loggers
// that had come: files of one backlog, such as the first load of a source, are
// judged by what there was before it, in whatever order they are loaded. A Commit
// that has begun goes on as it began. Refresh retries what can be retried, as
// Commit does; an error is one that an operator must see to.
type Refresher interface {
	Sink
	Refresh(ctx context.Context, caughtUp bool) error
}

// A Committer commits batches for one worker, one at a time.
type Committer interface {
	// Commit claims the batch's file versions, stores the readings of those it
	// got, their receipts and rejects, all in one transaction, and tells what
	// became of each span, in the order of b.Spans. When it returns without an
	// error all outcomes are durable. Commit retries what can be retried and
	// sets a file that the database refuses apart as quarantined; an error is
	// ctx's or one that an operator must see to, and then nothing of b is
	// durable or all of what a further Commit of the same files finds known.
	// The batch is the caller's again when Commit returns; its receipts are
	// then filled in. The outcomes are valid until the next call.
	Commit(ctx context.Context, b *Batch) ([]Outcome, error)

	// Close gives the connection back. It does not end a transaction: none is
	// open between calls.
	Close()
}

// An Outcome is what became of one file.
type Outcome struct {
	File       File
	State      State // one of the ledger's, or Known, Changed, Failed
	Standing   State // of a Known file: the state it has in the ledger; Rejects then is that version's, and its receipt is zero
	Waits      bool  // of a Known file: it, or some of its channels, waits for an answer
	Reason     string
	FileID     int64 // the file version's id in the ledger; 0 when it has none
	Generation int32
	Receipt    Receipt // of a held file all zero: it is not read until its question is answered; of a file that was carried on what it gained
	Shape      *Shape  // what is asked, of a held file and of one that is loaded but for its new channels
	Rejects    int     // rejected lines and cells of the whole version that are kept, each with its reason
}

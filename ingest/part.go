package ingest

import (
	"context"
	"errors"
	"io"
)

// A file too large for one transaction is loaded in parts: it is read once to see
// what becomes of it, claimed, and read again unless its readings could be kept, and
// what its parts hold is committed by several workers. In the ledger it is Loading until
// the last of them is there; what it holds is not seen before that.

// A Cut says where the readings of a file are handed on before all of it is read:
// at the first record that begins Bytes of text or more behind the part's
// beginning, or after Readings, at the next of some evenly spaced places of the
// text. Where that is depends on the file's text, Bytes and Readings alone.
type Cut struct {
	Bytes    int64 // of the text as it is decoded; at least 1
	Readings int   // not positive: as many as there are
	Again    bool  // the file was read so before: nothing need be noted of it

	// Settled is what PartDecoder.Settle said of the file; nil where it was not called.
	Settled []bool

	// End takes the readings of the batch's last span, which are those of a part.
	// It returns the batch to go on in: another, or the same, reset or with what it
	// has. What comes after the last end stays in the batch. Its error ends the decoding.
	End func(*Batch) (*Batch, error)
}

// A PartDecoder is a decoder that can hand on a file's readings part by part.
type PartDecoder interface {
	Decoder

	// DecodeParts is Decode, but for what the cut says. The span that tells of the
	// whole file is that of the batch that was gone on in last. An error that wraps
	// ErrUnsettled means that Settle is to be called, and then DecodeParts once more,
	// each from the file's beginning.
	DecodeParts(ctx context.Context, c *Content, b *Batch, cut Cut) error

	// Settle reads a file for what only its end tells of its readings: of each that
	// may be of two instants, in the file's order, whether it is of the later one. It
	// keeps no more of the file than those and, of the others, a little for each
	// series. The batch has the span as after Decode, without most of the readings; a
	// file that is not to be loaded need not be read again. An error that wraps
	// ErrUncut means that the file is to be decoded whole.
	Settle(ctx context.Context, c *Content, b *Batch) (later []bool, err error)
}

// ErrUnsettled says that some of a file's times are told by its end.
var ErrUnsettled = errors.New("the file's end tells some of its times")

// ErrUncut says that a file is to be decoded and committed whole: what its rows
// mean is settled when all of them are read.
var ErrUncut = errors.New("it cannot be cut into parts")

// A Rewinder is a Content's Stream that can be read again. Rewind has the next Read
// begin with the first byte; the bytes are the same, and as many, or reading ends
// with ErrChanged. known says that the reader knows what they are to be: then
// reading also ends well where the file has grown behind them meanwhile, as one
// does to which a logger appends, and which is never at rest for as long as its
// parts take.
type Rewinder interface {
	io.ReadCloser
	Rewind(known bool) error
}

// Parts are those of a file version that is loading. The pipeline says how it is
// cut; the sink fills in the rest when it is claimed.
type Parts struct {
	Count    int   // how many there are
	Bytes    int64 // the Cut's; 0 where its readings were kept, and cut by series
	Readings int   // likewise

	FileID int64        // the sink's: the file version's id in the ledger
	Claim  int64        // likewise: tells this claim of it from others, by whom what was loading was given up, and may be cut otherwise
	Done   map[int]bool // the sink's: those that were committed before, by number from 0
	// Refused is why the version is quarantined in the end: the database refused
	// one of them.
	Refused string
}

// A Part is some of the readings of a file that is loading.
type Part struct {
	Of *Parts
	N  int // from 0
	// Late says that it may have readings of series and instants that earlier parts
	// have, too: they are committed, all of them, and this one's stand.
	Late bool
}

// A PartCommitter commits files in parts. Its calls are as those of Commit; what
// other files hold is not touched before Finish.
type PartCommitter interface {
	Committer

	// Claim takes the file version of b's one span into the ledger as one that is
	// loading, or takes up one that was left so. The span is as it is when the whole
	// file was read, but that it has of each series the first reading and the last.
	// The outcome is Loading where the parts are to be committed that are not Done,
	// Whole where the file is to be decoded and committed whole; any other is final.
	Claim(ctx context.Context, b *Batch, p *Parts) (Outcome, error)

	// CommitPart stores the readings of b's one span, exactly once, by whomever it
	// is called. refused says that the database does not take them. An error that
	// wraps ErrChanged means that the version is not loading any more, or by another
	// claim; where another call has ended the loading, there is none: Finish tells
	// what became of it.
	CommitPart(ctx context.Context, p Part, b *Batch) (refused string, err error)

	// Finish makes the version loaded, of which all parts are committed, or
	// quarantined, of which one was refused. b is as it was for Claim. An error
	// that wraps ErrChanged is as that of CommitPart. Where the version is loaded by
	// others it is Known.
	Finish(ctx context.Context, b *Batch, p *Parts) (Outcome, error)
}

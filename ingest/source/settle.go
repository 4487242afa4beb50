package source

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"time"

	"penstock/ingest"
)

// DefaultTemporary are names under which programs upload files that they rename
// when they are whole.
func DefaultTemporary() []string {
	return []string{"*.tmp", "*.temp", "*.part", "*.partial", "*.filepart", "*.crdownload", "*.download", "*.uploading", "*.upload", "*.lftp", "*.swp", "~*", "*~", ".*"}
}

// Settling says when the upload of a file counts as complete.
type Settling struct {
	// Age is for how long a file must have had the same size and modified time.
	// It is counted from when that size and time were first seen, by this
	// machine's clock, as the clocks of servers may be wrong, and it takes two
	// looks at the least. 0 is for files that get their names when they are
	// whole, as by a rename: they are taken at first sight.
	Age time.Duration

	// Temporary are patterns, as of Options.Ignore, for files that are passed
	// over. nil is DefaultTemporary.
	Temporary []string

	// Marker is how the file is called that says that another, {name}, is
	// complete: {name}.done, or ok_{name}, in the same folder. A file is not taken
	// without its marker. A marker is not a file of the source, need not match its
	// patterns, and is deleted when its file has been deleted or moved. Empty: no
	// markers.
	Marker string

	// Growth is for how long a file may go on changing before it is taken as it
	// is then, and again after as long: a logger that appends a row every few
	// seconds never comes to rest, and loads all the same. 0 is ten times Age, and
	// 5 minutes at the least, as a slow upload cannot be told from such a logger.
	// What is taken of it may end in half a line, which is rejected in that
	// version of the file; the next version has it whole.
	Growth time.Duration

	// Log is told when nothing is heard of files between listings. Nil is none.
	Log *slog.Logger
}

// leastGrowth is the least that Growth is by default.
const leastGrowth = 5 * time.Minute

// A Settled is a source that holds back what another one lists until it has
// settled. What settles between two listings is hinted then, if the source can
// look at a file by its path (Dir and Remote can). Where a listing tells minutes,
// what settled lately is looked at once more, and hinted if it has changed: see
// minutes.go.
//
// It keeps some 20 bytes for each file that was listed last, and some 90 more for
// each that is settling. What it knew is lost with it, so all files settle anew
// when a process begins.
type Settled struct {
	ingest.Source
	rule      Settling // completed
	temporary globs
	before    string // what the name of a marker has before and after that of its file
	after     string
	locate    func(ctx context.Context, path string) (ingest.File, error) // nil where the source cannot
	seed      maphash.Seed
	zero      time.Time

	mu       sync.Mutex
	young    map[uint64]*young  // by path
	most     int                // that young ever held
	waiting  queue              // those of young that are looked at again
	woken    chan struct{}      // another one is the first in the queue
	settled  map[uint64]int32   // versions, with the number of the listing that had them last
	passing  map[uint64]passing // of these, those that are to be looked at once more when they are due
	passed   []passed           // of these, those that are as soon as nothing else is due
	number   int32              // of the listing under way, or the last one
	last     int32              // of those that came to their end and brought something, the last one
	held     int                // by the last listing
	unlooked time.Duration      // when the last of those may have settled that it brought and only another looks at; 0 for none
	behind   bool               // there are such, or others that have changed
}

var (
	_ ingest.Watcher = (*Settled)(nil)
	_ ingest.Tidier  = (*Settled)(nil)
	_ ingest.Settler = (*Settled)(nil)
	_ ingest.Grower  = (*Settled)(nil)
)

// Settle returns a source of the files of src that have settled.
func Settle(src ingest.Source, o Settling) (*Settled, error) {
	s := &Settled{
		Source: src, rule: o, seed: maphash.MakeSeed(), zero: time.Now(), woken: make(chan struct{}, 1),
		young: make(map[uint64]*young), settled: make(map[uint64]int32), passing: make(map[uint64]passing),
	}
	if s.rule.Age < 0 || s.rule.Growth < 0 {
		return nil, errors.New("settling: an age, or a time of growth, below nought")
	}
	if s.rule.Log == nil {
		s.rule.Log = slog.New(slog.DiscardHandler)
	}
	if s.rule.Temporary == nil {
		s.rule.Temporary = DefaultTemporary()
	}
	if s.rule.Growth == 0 {
		s.rule.Growth = max(10*s.rule.Age, leastGrowth)
	}
	if l, ok := src.(interface {
		Locate(ctx context.Context, path string) (ingest.File, error)
	}); ok {
		s.locate = l.Locate
	}
	var err error
	if s.temporary, err = compileGlobs(s.rule.Temporary); err != nil {
		return nil, err
	}
	if s.rule.Marker != "" {
		var ok bool
		s.before, s.after, ok = strings.Cut(s.rule.Marker, "{name}")
		switch {
		case !ok || strings.ContainsAny(s.before+s.after, "/{}\r\n\x00") || s.before+s.after == "":
			return nil, fmt.Errorf("marker %q is none: write it as {name}.done, where {name} is the name of the file", s.rule.Marker)
		case s.locate == nil:
			return nil, fmt.Errorf("marker %q: a source of this kind cannot look for a file by its name", s.rule.Marker)
		}
	}
	return s, nil
}

// Wrapped implements [ingest.Wrapper].
func (s *Settled) Wrapped() ingest.Source { return s.Source }

// Files implements [ingest.Source]: the files that have settled.
func (s *Settled) Files(ctx context.Context) iter.Seq2[ingest.File, error] {
	return func(yield func(ingest.File, error) bool) {
		l := s.begin()
		files := s.Source.Files
		if o, ok := s.Source.(interface {
			opening(ctx context.Context, may func(ingest.File) bool) iter.Seq2[ingest.File, error]
		}); ok {
			files = func(ctx context.Context) iter.Seq2[ingest.File, error] {
				return o.opening(ctx, func(f ingest.File) bool { return l.opens(ctx, f) })
			}
		}
		for f, err := range files(ctx) {
			if l.passes(ctx, f, err) && !yield(f, err) {
				return
			}
		}
		if ctx.Err() == nil {
			l.end()
		}
	}
}

// Settling implements [ingest.Settler].
func (s *Settled) Settling() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

// Settles implements [ingest.Settler]: when a process begins with many files,
// none has to wait for the next listing for no other reason.
func (s *Settled) Settles() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unlooked == 0 {
		return time.Time{}
	}
	return s.zero.Add(s.unlooked)
}

// Age implements [ingest.Settler].
func (s *Settled) Age() time.Duration { return s.rule.Age }

// Behind implements [ingest.Settler].
func (s *Settled) Behind() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.behind || len(s.waiting) > 0 && s.waiting[0].due < time.Since(s.zero)
}

// Fetch implements [ingest.Source]. A file that is no longer the one that had
// settled is ErrChanged.
func (s *Settled) Fetch(ctx context.Context, f ingest.File, c *ingest.Content) error {
	return s.sameAs(f, c, s.Source.Fetch(ctx, f, c))
}

// FetchGain implements [ingest.Grower].
func (s *Settled) FetchGain(ctx context.Context, f ingest.File, of *ingest.Growth, c *ingest.Content) error {
	g, ok := s.Source.(ingest.Grower)
	if !ok {
		return ingest.ErrWhole
	}
	return s.sameAs(f, c, g.FetchGain(ctx, f, of, c))
}

// sameAs returns err, of fetching f into c, or ErrChanged, with nothing in c,
// when what was fetched is not what was listed: it is being uploaded anew.
func (s *Settled) sameAs(f ingest.File, c *ingest.Content, err error) error {
	if err != nil || s.rule.Age == 0 || alike(f, c.File) || s.grows(f.Path) {
		return err
	}
	_ = c.Close() // whatever it says, the file changed
	c.Data, c.Gain = c.Data[:0], nil
	return fault("read", f.Path, ingest.ErrChanged)
}

// Tidies implements [ingest.Tidier].
func (s *Settled) Tidies() bool {
	t, ok := s.Source.(ingest.Tidier)
	return ok && t.Tidies()
}

// Done implements [ingest.Source]. The marker of a file that has gone goes, too. A
// file that was taken while it grew stays, and the error is ErrChanged, until it
// has settled: whoever writes it would write on where nobody reads it.
func (s *Settled) Done(ctx context.Context, f ingest.File, o ingest.Outcome) error {
	whole, ok := s.carrier(f.Path)
	if !ok {
		whole = f.Path
	}
	if s.Tidies() && s.grows(whole) {
		return fault("finish", f.Path, ingest.ErrChanged)
	}
	if err := s.Source.Done(ctx, f, o); err != nil || s.rule.Marker == "" || !s.Tidies() {
		return err
	}
	c, ok := s.Source.(interface {
		clear(ctx context.Context, path string) error
	})
	if !ok {
		return nil
	}
	if _, err := s.locate(ctx, whole); !errors.Is(err, fs.ErrNotExist) {
		return nil // it is still there, or nobody knows
	}
	return c.clear(ctx, s.markerOf(whole))
}

// Locate returns the file at path as it is, settled or not. The error wraps
// fs.ErrNotExist when it is not there, or the source cannot look.
func (s *Settled) Locate(ctx context.Context, path string) (ingest.File, error) {
	if s.locate == nil {
		return ingest.File{}, fmt.Errorf("find %s: the source can only be listed: %w", ingest.EscapePath(path), fs.ErrNotExist)
	}
	return s.locate(ctx, path)
}

// Close closes the source, if it can be closed.
func (s *Settled) Close() error {
	if c, ok := s.Source.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

package ingest

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// The parts of a pipeline that is whole and lives in memory: a shelf of files,
// a decoder of their lines, and a ledger with a table. Each keeps the contract
// that it is a part by, checks that the pipeline does, and can be told to fail
// or to wait at any of its steps.

// A step says where a part is, to a hook that may wait there, fail or panic.
type step string

const (
	listing    step = "listing"
	pending    step = "pending"
	connecting step = "connecting"
	fetching   step = "fetching"
	reading    step = "reading" // of a stream
	decoding   step = "decoding"
	committing step = "committing"
	finishing  step = "finishing" // Source.Done
)

// A hook is called at each step. path is the file's at those that have one.
type hook func(ctx context.Context, at step, path string) error

func (h hook) at(ctx context.Context, at step, path string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if h == nil {
		return nil
	}
	return h(ctx, at, path)
}

// waits waits for the context.
func waits(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// An item is a file of a shelf. Its lines are "channel time value"; the logger
// is the path up to the first slash. A line "!panic" makes the decoder panic,
// "!quarantine" makes it refuse the file, "!enough" stops it reading.
type item struct {
	path    string
	text    string
	stream  bool  // hand it out as a stream, however small
	unlists error // the listing says this in its place
	unreads error // fetching it fails
	breaks  error // closing its stream fails
	unsized bool  // the listing does not tell its size
}

// fate is the state in which an item ends that the ledger does not know.
func (it *item) fate() State {
	err := it.unlists
	if err == nil {
		err = it.unreads
	}
	if err == nil && it.stream {
		err = it.breaks
	}
	before, _, _ := strings.Cut(it.text, "!enough")
	switch {
	case errors.Is(err, ErrChanged):
		return Changed
	case err != nil:
		return Failed
	case strings.Contains(before, "!panic"), strings.Contains(before, "!quarantine"):
		return Quarantined
	}
	return Loaded
}

// A shelf is a Source.
type shelf struct {
	items  []item
	hook   hook
	ledger *memoryLedger // that Done must come after
	watch  bool          // the listing waits for the end of ctx, as a daemon's does

	index map[string]*item
	open  atomic.Int64 // streams that are not closed

	mu      sync.Mutex
	done    []Outcome
	fetched map[string]int // how often, by path
}

func newShelf(items ...item) *shelf {
	s := &shelf{items: items, index: map[string]*item{}, fetched: map[string]int{}}
	for i := range items {
		s.index[items[i].path] = &items[i]
	}
	return s
}

func (s *shelf) Name() string { return "shelf" }

func (s *shelf) Files(ctx context.Context) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		for _, it := range s.items {
			if err := s.hook.at(ctx, listing, it.path); err != nil {
				yield(File{Source: "shelf", Path: it.path}, err)
				return
			}
			f := File{Source: "shelf", Path: it.path, Size: int64(len(it.text)), Modified: 1, Precision: Second}
			if it.unsized {
				f.Size = -1
			}
			if !yield(f, it.unlists) {
				return
			}
		}
		if s.watch {
			yield(File{}, waits(ctx))
		}
	}
}

func (s *shelf) Fetch(ctx context.Context, f File, c *Content) error {
	c.File, c.Fetched, c.Data, c.Stream = f, 1, c.Data[:0], nil
	if err := s.hook.at(ctx, fetching, f.Path); err != nil {
		return err
	}
	it := s.index[f.Path]
	s.mu.Lock()
	s.fetched[f.Path]++
	s.mu.Unlock()
	if it.unreads != nil {
		return it.unreads
	}
	c.File.Size = int64(len(it.text))
	if it.stream {
		s.open.Add(1)
		c.Stream = &itemStream{ctx: ctx, shelf: s, item: it, text: strings.NewReader(it.text)}
	} else {
		c.Data = append(c.Data, it.text...)
	}
	return nil
}

func (s *shelf) Done(ctx context.Context, f File, o Outcome) error {
	if f != o.File {
		s.ledger.faulty("Done(%v) of the outcome of %v", f, o.File)
	}
	if !s.ledger.has(o) {
		s.ledger.faulty("Done of %s as %s before the ledger has it", f.Path, o.State)
	}
	s.mu.Lock()
	s.done = append(s.done, o)
	s.mu.Unlock()
	return s.hook.at(ctx, finishing, f.Path)
}

type itemStream struct {
	ctx    context.Context
	shelf  *shelf
	item   *item
	text   *strings.Reader
	broken error // what Read said
	closed bool
}

func (s *itemStream) Read(p []byte) (int, error) {
	if err := s.shelf.hook.at(s.ctx, reading, s.item.path); err != nil {
		s.broken = err
		return 0, err
	}
	return s.text.Read(p[:min(len(p), 7)]) // no reader may count on whole lines
}

func (s *itemStream) Close() error {
	if s.closed {
		return errors.New("closed twice")
	}
	s.closed = true
	s.shelf.open.Add(-1)
	return cmp.Or(s.item.breaks, s.broken)
}

// A lineDecoder is a Decoder. dirty says that it panicked: it must not be used
// again.
type lineDecoder struct {
	hook  hook
	dirty bool
}

func (d *lineDecoder) Decode(ctx context.Context, c *Content, b *Batch) error {
	if d.dirty {
		return errors.New("used again after it panicked")
	}
	s := b.Begin(c)
	if err := d.hook.at(ctx, decoding, c.File.Path); err != nil {
		return err
	}
	text := io.Reader(bytes.NewReader(c.Data))
	if c.Stream != nil {
		text = c.Stream
	}
	logger, _, _ := bytes.Cut([]byte(c.File.Path), []byte("/"))
	lines := bufio.NewReaderSize(text, 16)
	for {
		line, err := lines.ReadString('\n')
		if err != nil && err != io.EOF {
			return err
		}
		line = strings.TrimSuffix(line, "\n")
		if line != "" {
			s.Receipt.Lines.Total++
		}
		switch fields := strings.Fields(line); {
		case line == "!panic":
			d.dirty = true
			panic("no such line")
		case line == "!quarantine":
			s.State, s.Reason = Quarantined, "it says so"
			s.Receipt.Lines.Rejected++
		case line == "!enough":
			s.Receipt.Lines.Footer++
			err = io.EOF
		case len(fields) == 3:
			at, _ := strconv.ParseInt(fields[1], 10, 64)
			value, _ := strconv.ParseFloat(fields[2], 64)
			b.Append(b.SeriesOf(logger, []byte(fields[0]), nil, nil), at, value)
			s.Receipt.Lines.Data++
			s.Receipt.Cells.Total++
		case line != "":
			s.Receipt.Lines.Rejected++
		}
		if err == io.EOF {
			b.End()
			return nil
		}
	}
}

// An instant is a key of the ledger's table, held by a file of a path and a
// value.
type instant struct {
	series SeriesKey
	time   int64
}

type holding struct {
	path  string
	value float64
}

// A memoryLedger is a Sink. Of two files that hold one instant, that of the
// greater path wins.
type memoryLedger struct {
	hook hook

	mu     sync.Mutex
	files  map[string]entry
	table  map[instant]holding
	chunks [][]string // the paths of each commit
	asked  []int      // how many files each look was for
	open   int        // committers that are not closed
	faults []string   // of the pipeline, against the contract
}

type entry struct {
	state State
	sum   Digest
}

func newLedger(known ...string) *memoryLedger {
	l := &memoryLedger{files: map[string]entry{}, table: map[instant]holding{}}
	for _, path := range known {
		l.files[path] = entry{state: Loaded}
	}
	return l
}

// has reports whether the ledger has the outcome.
func (l *memoryLedger) has(o Outcome) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.files[o.File.Path]
	return ok && e.state == o.State
}

func (l *memoryLedger) faulty(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault(format, args...)
}

// fault is for who holds the lock.
func (l *memoryLedger) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

func (l *memoryLedger) Pending(ctx context.Context, files []File) ([]Standing, error) {
	if err := l.hook.at(ctx, pending, ""); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, len(files))
	standings := make([]Standing, len(files))
	for i, f := range files {
		e, ok := l.files[f.Path]
		standings[i] = Standing{Take: !ok, State: e.state}
		if e.state == Due {
			standings[i].Take, standings[i].FirstFetched = true, -7
		}
	}
	return standings, nil
}

func (l *memoryLedger) Committer(ctx context.Context) (Committer, error) {
	if err := l.hook.at(ctx, connecting, ""); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open++
	return &memoryCommitter{ledger: l}, nil
}

type memoryCommitter struct {
	ledger   *memoryLedger
	busy     atomic.Bool
	closed   bool
	order    Order
	outcomes []Outcome
}

func (c *memoryCommitter) Close() {
	l := c.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.closed || c.busy.Load() {
		l.fault("a committer is closed twice, or during a commit")
	}
	c.closed = true
	l.open--
}

func (c *memoryCommitter) Commit(ctx context.Context, b *Batch) ([]Outcome, error) {
	l := c.ledger
	if !c.busy.CompareAndSwap(false, true) {
		panic("two commits at once on one committer")
	}
	defer c.busy.Store(false)
	if err := l.hook.at(ctx, committing, b.Spans[0].File.Path); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c.store(b)
	var paths []string
	c.outcomes = c.outcomes[:0]
	for i := range b.Spans {
		s := &b.Spans[i]
		if err := s.Receipt.Balance(); err != nil {
			l.fault("%s: %v", s.File.Path, err)
		}
		if e, ok := l.files[s.File.Path]; ok && e.state != Due {
			l.fault("%s is committed twice", s.File.Path)
		}
		l.files[s.File.Path] = entry{s.State, s.Sum}
		paths = append(paths, s.File.Path)
		c.outcomes = append(c.outcomes, Outcome{File: s.File, State: s.State, Reason: s.Reason, FileID: int64(len(l.files)), Generation: 1, Receipt: s.Receipt})
	}
	l.chunks = append(l.chunks, paths)
	return c.outcomes, nil
}

// store brings the readings of the batch into the table.
func (c *memoryCommitter) store(b *Batch) {
	l := c.ledger
	take, bucket := make([]bool, len(b.Spans)), make([]int32, len(b.Keys))
	at := 0
	for i, s := range b.Spans {
		if s.Begin != at || s.End < at || s.Fetched == 0 || s.FirstFetched == 0 {
			l.fault("span %d of %s: [%d, %d) after %d, fetched %d and %d", i, s.File.Path, s.Begin, s.End, at, s.Fetched, s.FirstFetched)
		}
		at = s.End
		take[i] = s.State == Loaded
	}
	if at != len(b.Time) {
		l.fault("spans of %d readings, but columns of %d", at, len(b.Time))
	}
	for i := range bucket {
		bucket[i] = int32(i)
	}
	c.order.Sort(b, take, bucket, len(b.Keys), func(x, y int) bool { return b.Spans[x].File.Path > b.Spans[y].File.Path })
	for i, r := range c.order.Rows {
		s := &b.Spans[c.order.Spans[i]]
		key := instant{b.Keys[b.Series[r]], b.Time[r]}
		held, ok := l.table[key]
		switch {
		case !ok:
			s.Receipt.Cells.Stored++
		case held.path < s.File.Path:
			s.Receipt.Cells.Replaced++
		case held.value == b.Value[r]:
			s.Receipt.Cells.Unchanged++
			continue
		default:
			s.Receipt.Cells.Outranked++
			continue
		}
		l.table[key] = holding{s.File.Path, b.Value[r]}
	}
}

// A report gathers what a pipeline tells.
type report struct {
	telling  atomic.Bool
	overlaps int
	events   []Event // without their outcomes
	outcomes []Outcome
}

// observe needs no lock, for the pipeline promises to call it by one goroutine
// at a time: the race detector holds it to that, and so does telling.
func (r *report) observe(e Event) {
	if !r.telling.CompareAndSwap(false, true) {
		r.overlaps++
		return
	}
	defer r.telling.Store(false)
	r.outcomes = append(r.outcomes, e.Outcomes...)
	e.Outcomes = make([]Outcome, len(e.Outcomes)) // how many there were
	r.events = append(r.events, e)
}

// states is how often each state was told.
func (r *report) states() map[State]int {
	n := map[State]int{}
	for _, o := range r.outcomes {
		n[o.State]++
	}
	return n
}

func (r *report) of(path string) []Outcome {
	var all []Outcome
	for _, o := range r.outcomes {
		if o.File.Path == path {
			all = append(all, o)
		}
	}
	return all
}

// expected is what the table holds after all the items that can be loaded,
// each by itself, in any order.
func expected(items []item) map[instant]holding {
	table := map[instant]holding{}
	loadable := slices.DeleteFunc(slices.Clone(items), func(it item) bool { return it.fate() != Loaded })
	slices.SortFunc(loadable, func(a, b item) int { return cmp.Compare(a.path, b.path) })
	for _, it := range loadable {
		logger, _, _ := strings.Cut(it.path, "/")
		for line := range strings.Lines(it.text) {
			if strings.HasPrefix(line, "!enough") {
				break
			}
			if f := strings.Fields(line); len(f) == 3 {
				at, _ := strconv.ParseInt(f[1], 10, 64)
				value, _ := strconv.ParseFloat(f[2], 64)
				table[instant{SeriesKey{Logger: logger, Channel: f[0]}, at}] = holding{it.path, value}
			}
		}
	}
	return table
}

func sumOf(text string) Digest { return sha256.Sum256([]byte(text)) }

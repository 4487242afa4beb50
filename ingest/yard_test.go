package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// The parts of a pipeline that polls, in memory: a yard of files that come,
// change and go while it runs, and a book that knows versions of files. All
// tests of it run in a bubble, so that time is the bubble's.

// A yard is a Source, and a Watcher and a Tidier as far as it is told to be.
type yard struct {
	hook      hook
	tidies    bool
	precision Precision           // of the times it lists; Micro by default
	tookPlace map[string]*planted // what comes as soon as a file has gone

	mu       sync.Mutex
	files    map[string]*planted
	broken   error // of the next listings, at
	at       string
	listings int
	settles  time.Time
	behind   bool
	age      time.Duration
	lists    bool
	fetches  map[string]int
	fetching int // now
	most     int // ever
	done     map[string]int
	hints    chan File
	open     int // streams
	faults   []string
}

type planted struct {
	text     string
	modified int64
	stream   bool
}

func newYard() *yard {
	return &yard{files: map[string]*planted{}, fetches: map[string]int{}, done: map[string]int{}, hints: make(chan File)}
}

// put puts a file there that was modified now.
func (y *yard) put(path, text string) File { return y.putAt(path, text, time.Now()) }

func (y *yard) putAt(path, text string, modified time.Time) File {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.files[path] = &planted{text: text, modified: Micros(modified)}
	return y.file(path)
}

// file is for who holds the lock.
func (y *yard) file(path string) File {
	p := y.files[path]
	return File{Source: "yard", Path: path, Size: int64(len(p.text)), Modified: p.modified, Precision: max(Micro, y.precision)}
}

func (y *yard) Name() string  { return "yard" }
func (y *yard) Tidies() bool  { return y.tidies }
func (y *yard) Settling() int { return 2 }

func (y *yard) Age() time.Duration { return y.age }

func (y *yard) Behind() bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.behind
}

func (y *yard) Settles() time.Time {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.settles
}

func (y *yard) Files(ctx context.Context) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		y.mu.Lock()
		if y.lists {
			y.faults = append(y.faults, "two listings at once")
		}
		y.lists = true
		y.listings++
		broken := y.broken
		files := make([]File, 0, len(y.files))
		for path := range y.files {
			files = append(files, y.file(path))
		}
		y.mu.Unlock()
		slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
		defer func() {
			y.mu.Lock()
			defer y.mu.Unlock()
			y.lists = false
		}()
		for _, f := range files {
			if err := y.hook.at(ctx, listing, f.Path); err != nil {
				yield(File{}, err)
				return
			}
			if !yield(f, nil) {
				return
			}
		}
		if broken != nil {
			yield(File{Path: y.at}, broken)
		}
	}
}

func (y *yard) Watch(ctx context.Context, hint func(File)) error {
	for {
		select {
		case f := <-y.hints:
			hint(f)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (y *yard) Fetch(ctx context.Context, f File, c *Content) error {
	c.File, c.Fetched, c.Data, c.Stream = f, Micros(time.Now()), c.Data[:0], nil
	y.mu.Lock()
	y.fetches[f.Path]++
	y.fetching++
	y.most = max(y.most, y.fetching)
	y.mu.Unlock()
	defer func() {
		y.mu.Lock()
		defer y.mu.Unlock()
		y.fetching--
	}()
	if err := y.hook.at(ctx, fetching, f.Path); err != nil {
		return err
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	p := y.files[f.Path]
	if p == nil {
		return fmt.Errorf("%s: %w", f.Path, fs.ErrNotExist)
	}
	c.File = y.file(f.Path)
	if p.stream {
		y.open++
		c.Stream = &yardStream{ctx: ctx, yard: y, Reader: strings.NewReader(p.text)}
	} else {
		c.Data = append(c.Data, p.text...)
	}
	return nil
}

type yardStream struct {
	*strings.Reader
	ctx  context.Context
	yard *yard
}

func (s *yardStream) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.Reader.Read(p)
}

func (s *yardStream) Close() error {
	s.yard.mu.Lock()
	defer s.yard.mu.Unlock()
	s.yard.open--
	return nil
}

func (y *yard) Done(ctx context.Context, f File, o Outcome) error {
	if err := y.hook.at(ctx, finishing, f.Path); err != nil {
		return err
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	y.done[f.Path]++
	if y.tidies && (o.State == Loaded || o.State == Known) && y.files[f.Path] != nil && y.file(f.Path) == f {
		delete(y.files, f.Path)
		if other := y.tookPlace[f.Path]; other != nil {
			y.files[f.Path] = other
			delete(y.tookPlace, f.Path)
		}
	}
	return nil
}

// A book is a Sink: a ledger that knows each path's newest version, and nothing
// of readings.
type book struct {
	hook hook

	mu       sync.Mutex
	known    map[string]version
	order    []string // paths, as they were committed
	commits  [][]string
	asked    int  // files that looks were for
	archived bool // tell what the archive has
	refresh  int
	caught   []bool // at each refresh
	now      int
	most     int // commits at a time
	readings int
	places   map[string]Place
	arrived  map[string]int64
}

type version struct {
	file  File
	sum   Digest
	state State
	n     int
}

func newBook() *book {
	return &book{known: map[string]version{}, places: map[string]Place{}, arrived: map[string]int64{}}
}

func (b *book) Refresh(_ context.Context, caughtUp bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refresh++
	b.caught = append(b.caught, caughtUp)
	return nil
}

func (b *book) Pending(ctx context.Context, files []File) ([]Standing, error) {
	if err := b.hook.at(ctx, pending, ""); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked += len(files)
	all := make([]Standing, len(files))
	for i, f := range files {
		v, ok := b.known[f.Path]
		all[i] = Standing{Take: !ok || v.file != f || v.state == Due, State: v.state}
		if b.archived {
			all[i].Archived = v.sum
		}
	}
	return all, nil
}

func (b *book) Committer(ctx context.Context) (Committer, error) {
	return &bookCommitter{b}, b.hook.at(ctx, connecting, "")
}

type bookCommitter struct{ *book }

func (c *bookCommitter) Close() {}

func (c *bookCommitter) Commit(ctx context.Context, batch *Batch) ([]Outcome, error) {
	b := c.book
	b.mu.Lock()
	b.now++
	b.most = max(b.most, b.now)
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.now--
	}()
	if err := b.hook.at(ctx, committing, batch.Spans[0].File.Path); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.readings += len(batch.Time)
	outcomes := make([]Outcome, 0, len(batch.Spans))
	paths := make([]string, 0, len(batch.Spans))
	for _, s := range batch.Spans {
		path := s.File.Path
		before, ok := b.known[path]
		o := Outcome{File: s.File, State: s.State, FileID: 1, Generation: int32(before.n + 1), Receipt: s.Receipt}
		o.Receipt.Cells.Stored = o.Receipt.Cells.Total
		if ok && before.sum == s.Sum && before.state != Due {
			o.State, o.Standing, o.Generation = Known, before.state, int32(before.n)
			before.file = s.File
			b.known[path] = before
		} else {
			b.known[path] = version{s.File, s.Sum, s.State, before.n + 1}
			b.order = append(b.order, path)
			b.places[path], b.arrived[path] = s.Place, s.Arrived
		}
		outcomes = append(outcomes, o)
		paths = append(paths, path)
	}
	b.commits = append(b.commits, paths)
	return outcomes, nil
}

// A plant is a pipeline of a yard and a book, under way in a bubble.
type plant struct {
	t    *testing.T
	yard *yard
	book *book
	Pipeline

	mu      sync.Mutex
	cycles  []Cycle
	told    map[State]int
	events  int
	log     logBuffer
	began   time.Time
	take    context.Context
	stop    context.CancelFunc
	abort   context.CancelFunc
	running <-chan error
}

// operate runs a plant that set has set up, in a bubble, while does does what
// it is to do; then it is drained.
func operate(t *testing.T, set func(*plant), does func(*plant)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &plant{t: t, yard: newYard(), book: newBook(), told: map[State]int{}, began: time.Now()}
		p.Pipeline = Pipeline{
			Source: p.yard, Sink: p.book, NewDecoder: func() Decoder { return &lineDecoder{} }, Workers: 2, Limits: Limits{Files: 100, Linger: 50 * time.Millisecond},
			Poll: 30 * time.Second, Log: p.log.logger(), Observe: p.observe,
		}
		set(p)
		p.take, p.stop = context.WithCancel(t.Context())
		work, abort := context.WithCancel(t.Context())
		p.abort = abort
		ended := make(chan error, 1)
		p.running = ended
		go func() { ended <- p.Run(p.take, work) }()
		does(p)
		p.goOn()
		p.stop()
		select {
		case err := <-p.running:
			if err != nil && work.Err() == nil {
				t.Errorf("ends with %v", err)
			}
		case <-time.After(15 * time.Second): // what a part of the test's may take for a step
			t.Error("does not end with take, though nothing moves")
			abort()
			t.Log(<-p.running)
		}
		abort()
		if len(p.yard.faults) > 0 || p.yard.open != 0 || p.yard.fetching != 0 {
			t.Errorf("%q; %d streams are open, %d files are being fetched", p.yard.faults, p.yard.open, p.yard.fetching)
		}
	})
}

func (p *plant) observe(e Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.Cycle != nil {
		if len(e.Outcomes) > 0 || e.At.IsZero() {
			p.t.Errorf("the event of a cycle: %+v", e)
		}
		c := *e.Cycle
		c.Files = maps.Clone(c.Files)
		p.cycles = append(p.cycles, c)
		return
	}
	p.events++
	for _, o := range e.Outcomes {
		p.told[o.State]++
	}
}

// after lets time pass until so long after the begin, and all come to rest:
// what the parts hold can then be looked at without their locks.
func (p *plant) after(d time.Duration) {
	p.goOn()
	time.Sleep(time.Until(p.began.Add(d))) //nolint:forbidigo // the clock is the bubble's: this is when all else waits
	synctest.Wait()
}

// goOn lets the parts' goroutines see what the test did.
func (p *plant) goOn() {
	for _, mu := range []*sync.Mutex{&p.mu, &p.yard.mu, &p.book.mu} {
		mu.Lock()
		mu.Unlock() //nolint:staticcheck // the order that it makes is what is wanted
	}
}

// last is the cycle that was told last.
func (p *plant) last() Cycle {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.cycles) == 0 {
		p.t.Fatal("no cycle was told")
	}
	return p.cycles[len(p.cycles)-1]
}

var errAway = errors.New("connection refused")

func reading1(n int) string { return fmt.Sprintf("flow %d %d\n", n, n) }

package ingest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// A cutter is a lineDecoder that decodes in parts of so many readings.
type cutter struct{ lineDecoder }

// Settle is not needed by files of lines.
func (d *cutter) Settle(context.Context, *Content, *Batch) ([]bool, error) {
	return nil, errors.New("it is asked what its end tells")
}

func (d *cutter) DecodeParts(ctx context.Context, c *Content, b *Batch, cut Cut) error {
	whole := &Batch{}
	if err := d.Decode(ctx, c, whole); err != nil {
		return err
	}
	told := whole.Spans[0]
	s := b.Begin(c)
	for i := range whole.Time {
		if len(b.Time)-s.Begin >= cut.Readings {
			s.End = len(b.Time)
			next, err := cut.End(b)
			if err != nil {
				return err
			}
			b, s = next, next.Begin(c)
		}
		k := whole.Keys[whole.Series[i]]
		b.Append(b.SeriesOf([]byte(k.Logger), []byte(k.Channel), nil, nil), whole.Time[i], whole.Value[i])
	}
	s.State, s.Reason, s.Receipt = told.State, told.Reason, told.Receipt
	b.End()
	return nil
}

// A partLedger is a memoryLedger that takes parts. What it was told is in log.
type partLedger struct {
	*memoryLedger
	loading map[string]*loadingFile

	mu      sync.Mutex
	log     []string
	at      int // parts that are being committed
	most    int
	onPart  func(ctx context.Context, n int) error
	refuses int // the number of a part that is refused, from 1
}

type loadingFile struct {
	parts *Parts
	done  map[int]bool
}

func (l *partLedger) Committer(ctx context.Context) (Committer, error) {
	c, err := l.memoryLedger.Committer(ctx)
	if err != nil {
		return nil, err
	}
	return &partCommitter{c.(*memoryCommitter), l}, nil
}

func (l *partLedger) tell(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.log = append(l.log, fmt.Sprintf(format, args...))
}

type partCommitter struct {
	*memoryCommitter
	*partLedger
}

func (c *partCommitter) Commit(ctx context.Context, b *Batch) ([]Outcome, error) {
	for i := range b.Spans {
		c.tell("whole %s", b.Spans[i].File.Path)
	}
	return c.memoryCommitter.Commit(ctx, b)
}

func (c *partCommitter) Claim(_ context.Context, b *Batch, p *Parts) (Outcome, error) {
	s := &b.Spans[0]
	c.partLedger.mu.Lock()
	defer c.partLedger.mu.Unlock()
	f := c.loading[s.File.Path]
	if f == nil {
		f = &loadingFile{done: map[int]bool{}}
		c.loading[s.File.Path] = f
	}
	f.parts, p.FileID, p.Done = p, 1, map[int]bool{}
	for n := range f.done {
		p.Done[n] = true
	}
	return Outcome{File: s.File, State: Loading}, nil
}

func (c *partCommitter) CommitPart(ctx context.Context, p Part, b *Batch) (refused string, err error) {
	path := b.Spans[0].File.Path
	l := c.partLedger
	l.mu.Lock()
	f := l.loading[path]
	if f.parts != p.Of || f.done[p.N] {
		l.memoryLedger.faulty("part %d of %s is committed twice", p.N, path)
	}
	for n := range p.N {
		if p.Late && !f.done[n] {
			l.memoryLedger.faulty("part %d of %s is late, and comes before %d", p.N, path, n)
		}
	}
	l.at++
	l.most = max(l.most, l.at)
	l.mu.Unlock()
	if l.onPart != nil {
		err = l.onPart(ctx, p.N)
	}
	l.tell("part %d of %s", p.N, path)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at--
	if err != nil {
		return "", err
	}
	if p.N+1 == l.refuses {
		return "it does not take it", nil
	}
	l.memoryLedger.mu.Lock()
	defer l.memoryLedger.mu.Unlock()
	c.store(b)
	f.done[p.N] = true
	return "", nil
}

func (c *partCommitter) Finish(_ context.Context, b *Batch, p *Parts) (Outcome, error) {
	s := &b.Spans[0]
	c.tell("finish %s", s.File.Path)
	if p.Refused != "" {
		s.State, s.Reason = Quarantined, p.Refused
	} else if f := c.loading[s.File.Path]; len(f.done) != p.Count {
		c.faulty("%s is finished with %d of %d parts", s.File.Path, len(f.done), p.Count)
	}
	c.memoryLedger.mu.Lock()
	defer c.memoryLedger.mu.Unlock()
	c.files[s.File.Path] = entry{s.State, s.Sum}
	return Outcome{File: s.File, State: s.State, Reason: s.Reason, FileID: p.FileID, Generation: 1, Receipt: s.Receipt}, nil
}

// A partRig is a rig that loads files of more than 60 bytes in parts of three
// readings.
type partRig struct {
	*rig
	parts *partLedger
}

func newPartRig(items ...item) *partRig {
	r := &partRig{rig: newRig(items...)}
	r.parts = &partLedger{memoryLedger: r.ledger, loading: map[string]*loadingFile{}}
	r.Sink = r.parts
	r.Limits = Limits{Files: 1, Readings: 3, Part: 60}
	r.NewDecoder = func() Decoder { return &cutter{lineDecoder{hook: r.shelf.hook}} }
	return r
}

// again is the same shelf and ledger for another run.
func (r *partRig) again() *partRig {
	next := newPartRig(r.shelf.items...)
	next.parts.loading, next.ledger.files, next.ledger.table = r.parts.loading, r.ledger.files, r.ledger.table
	return next
}

func (r *partRig) check(t *testing.T) {
	t.Helper()
	if len(r.ledger.faults) > 0 {
		t.Errorf("the pipeline breaks the parts' contracts:\n%s", strings.Join(r.ledger.faults, "\n"))
	}
	if r.ledger.open != 0 {
		t.Errorf("%d committers are left open", r.ledger.open)
	}
}

// runTo ends a run when a part from that one on is committed, and returns how many
// of the file are.
func (r *partRig) runTo(t *testing.T, path string, part int) (done int) {
	t.Helper()
	take, stop := context.WithCancel(t.Context())
	defer stop()
	r.parts.onPart = func(_ context.Context, n int) error {
		if n >= part { // whichever comes first
			stop()
		}
		return nil
	}
	if err := r.Run(take, t.Context()); err != nil || !r.Dropped() {
		t.Errorf("it ends with %v, dropped %v", err, r.Dropped())
	}
	r.check(t)
	return len(r.parts.loading[path].done)
}

// rows are lines of a channel from one instant to another.
func rows(channel string, from, to, step int) string {
	var s strings.Builder
	for at := from; at != to; at += step {
		fmt.Fprintf(&s, "%s %d %d\n", channel, at, at*at)
	}
	return s.String()
}

// Large files are loaded in parts and small ones whole, each once, and what stands
// is the same.
func TestLargeFilesAreLoadedInParts(t *testing.T) {
	items := []item{
		{path: "a/small", text: rows("flow", 0, 3, 1)},
		{path: "a/up", text: rows("flow", 10, 60, 1)},
		{path: "b/down", text: rows("flow", 60, 10, -1)},
		{path: "b/again", text: rows("flow", 1, 15, 1) + rows("level", 1, 9, 1) + rows("flow", 1, 15, 1)},
		{path: "c/broken", text: rows("flow", 1, 30, 1) + "!quarantine\n"},
		{path: "c/panics", text: rows("flow", 1, 30, 1) + "!panic\n"},
		{path: "d/stream", text: rows("flow", 1, 30, 1), stream: true}, // which cannot be read again
		{path: "e/one", text: strings.Repeat("# nothing\n", 30) + rows("flow", 1, 3, 1)},
	}
	for _, workers := range []int{1, 3} {
		r := newPartRig(items...)
		r.Workers = workers
		both := make(chan struct{})
		var entered atomic.Int32
		r.parts.onPart = func(ctx context.Context, _ int) error {
			if workers > 1 && entered.Add(1) == 2 {
				close(both)
			}
			select {
			case <-both: // so that two of them are under way at a time
			case <-ctx.Done():
			}
			return nil
		}
		if workers == 1 {
			close(both)
		}
		if err := r.Run(t.Context(), t.Context()); err != nil {
			t.Fatal(err)
		}
		r.check(t)
		if diff := gocmp.Diff(expected(items), r.ledger.table, gocmp.AllowUnexported(instant{}, holding{})); diff != "" {
			t.Errorf("%d workers: -expected +stands:\n%s", workers, diff)
		}
		for _, it := range items {
			if o := r.report.of(it.path); len(o) != 1 || o[0].State != it.fate() {
				t.Errorf("%d workers: of %s is told %v, want %s", workers, it.path, o, it.fate())
			}
			whole := slices.Contains(r.parts.log, "whole "+it.path)
			if inParts := it.path == "a/up" || strings.HasPrefix(it.path, "b/"); whole == inParts {
				t.Errorf("%s is committed whole: %v", it.path, whole)
			}
		}
		if r.parts.most > partsAtOnce(workers) || workers > 1 && r.parts.most < 2 {
			t.Errorf("%d workers committed %d parts at a time", workers, r.parts.most)
		}
	}
}

// A small file waits for one part of a large one at most, for each worker.
func TestSmallFilesGoBetweenParts(t *testing.T) { synctest.Test(t, smallFilesBetweenParts) }

func smallFilesBetweenParts(t *testing.T) {
	items := []item{{path: "a/large", text: rows("flow", 0, 300, 1)}}
	const small = 5
	for n := range small {
		items = append(items, item{path: fmt.Sprint("b/small", n), text: rows("flow", n, n+1, 1)})
	}
	r := newPartRig(items...)
	r.Workers = 1
	r.Turn = NewTurnstile(1)
	defer func() { // whoever took its place has left it
		if r.Turn.taken != 0 {
			t.Errorf("%d places in the turnstile are taken", r.Turn.taken)
		}
	}()
	begun := make(chan struct{})
	begin := sync.OnceFunc(func() { close(begun) })
	r.parts.onPart = func(_ context.Context, n int) error {
		if n >= 2 {
			begin()
			synctest.Wait() // all that can be done without the worker is done
		}
		return nil
	}
	r.hook(func(ctx context.Context, at step, path string) error {
		if at == listing && path != "a/large" {
			select {
			case <-begun:
			case <-ctx.Done():
			}
		}
		return nil
	})
	if err := r.Run(t.Context(), t.Context()); err != nil {
		t.Fatal(err)
	}
	r.check(t)
	last := 0
	for i, what := range r.parts.log {
		if strings.HasPrefix(what, "whole") {
			last = i
		}
	}
	if finished := slices.Index(r.parts.log, "finish a/large"); last > 2+2*small+2 || finished != 100+small {
		t.Errorf("the last small file is number %d of %d:\n%s", last, finished, strings.Join(r.parts.log, "\n"))
	}
}

// Where a turnstile has a place for them, small files wait for no part: here none of
// those ends before the small files are there.
func TestSmallFilesGoPastParts(t *testing.T) {
	for _, workers := range []int{2, 3} {
		synctest.Test(t, func(t *testing.T) { smallFilesPastParts(t, workers) })
	}
}

func smallFilesPastParts(t *testing.T, workers int) {
	items := []item{{path: "a/large", text: rows("flow", 0, 300, 1)}}
	const small = 5
	for n := range small {
		items = append(items, item{path: fmt.Sprint("b/small", n), text: rows("flow", 1000+n, 1001+n, 1)})
	}
	r := newPartRig(items...)
	r.Workers, r.Turn = workers, NewTurnstile(workers)
	begun, there := make(chan struct{}), make(chan struct{})
	begin := sync.OnceFunc(func() { close(begun) })
	r.parts.onPart = func(ctx context.Context, _ int) error {
		begin()
		select {
		case <-there:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	left, observe := small, r.Observe
	r.Observe = func(e Event) {
		observe(e)
		for _, o := range e.Outcomes {
			if o.File.Path != "a/large" {
				left--
			}
		}
		if left == 0 {
			left = -1
			close(there)
		}
	}
	r.hook(func(ctx context.Context, at step, path string) error {
		if at == listing && path != "a/large" {
			select {
			case <-begun:
				synctest.Wait() // all parts are under way that may be
			case <-ctx.Done():
			}
		}
		return nil
	})
	if err := r.Run(t.Context(), t.Context()); err != nil {
		t.Fatal(err)
	}
	r.check(t)
	if r.parts.most != workers-1 {
		t.Errorf("%d workers were at %d parts at a time", workers, r.parts.most)
	}
	if r.Turn.taken != 0 || r.Turn.large.taken != 0 {
		t.Errorf("%d places in the turnstile are taken, %d of large files", r.Turn.taken, r.Turn.large.taken)
	}
}

// The end of take leaves the rest of a large file to the next run, which goes on
// from there.
func TestALargeFileIsGoneOnWith(t *testing.T) {
	r := newPartRig(item{path: "a/large", text: rows("flow", 0, 300, 1)})
	done := r.runTo(t, "a/large", 10)
	if done < 10 || done > 20 || len(r.report.outcomes) != 0 {
		t.Fatalf("%d parts are committed, told %v", done, r.report.outcomes)
	}
	next := r.again()
	if err := next.Run(t.Context(), t.Context()); err != nil || next.Dropped() {
		t.Errorf("it ends with %v, dropped %v", err, next.Dropped())
	}
	next.check(t)
	if n := len(next.parts.log); n != 100-done+1 {
		t.Errorf("%d parts were committed, and then %d", done, n-1)
	}
	if o := next.report.of("a/large"); len(o) != 1 || o[0].State != Loaded {
		t.Errorf("told %v", o)
	}
	if diff := gocmp.Diff(expected(r.shelf.items), next.ledger.table, gocmp.AllowUnexported(instant{}, holding{})); diff != "" {
		t.Errorf("-expected +stands:\n%s", diff)
	}
}

// Nor is a large file read to its end once take has ended.
func TestALargeFileIsLeftWhileItIsScanned(t *testing.T) {
	r := newPartRig(item{path: "a/large", text: rows("flow", 0, 300, 1)})
	take, stop := context.WithCancel(t.Context())
	ends := 0
	r.NewDecoder = func() Decoder {
		return &endsTold{cutter{lineDecoder{hook: r.shelf.hook}}, func() {
			if ends++; ends == 10 {
				stop()
			}
		}}
	}
	if err := r.Run(take, t.Context()); err != nil || !r.Dropped() {
		t.Errorf("it ends with %v, dropped %v", err, r.Dropped())
	}
	r.check(t)
	if ends != 10 || len(r.parts.log) > 0 || len(r.report.outcomes) > 0 {
		t.Errorf("it is read for %d parts, %v, told %v", ends, r.parts.log, r.report.outcomes)
	}
}

// An endsTold is a cutter that tells of the end of each part before it hands it on.
type endsTold struct {
	cutter
	tell func()
}

func (d *endsTold) DecodeParts(ctx context.Context, c *Content, b *Batch, cut Cut) error {
	end := cut.End
	cut.End = func(b *Batch) (*Batch, error) {
		d.tell()
		return end(b)
	}
	return d.cutter.DecodeParts(ctx, c, b, cut)
}

// What goes wrong with a part is the file's fault, the database's, or an
// operator's to see to.
func TestPartsThatAreNotCommitted(t *testing.T) {
	text := rows("flow", 0, 300, 1)
	r := newPartRig(item{path: "a/large", text: text}, item{path: "b/other", text: text})
	r.parts.refuses = 7
	if err := r.Run(t.Context(), t.Context()); err != nil {
		t.Fatal(err)
	}
	r.check(t)
	if n := r.report.states()[Quarantined]; n != 2 {
		t.Errorf("refused: %v", r.report.outcomes)
	}

	r = newPartRig(item{path: "a/large", text: text}, item{path: "b/other", text: text})
	r.parts.onPart = func(_ context.Context, n int) error {
		if n == 5 {
			return fmt.Errorf("%w: somebody undid it", ErrChanged)
		}
		return nil
	}
	if err := r.Run(t.Context(), t.Context()); err != nil {
		t.Fatal(err)
	}
	r.check(t)
	if n := r.report.states()[Changed]; n != 2 {
		t.Errorf("undone: %v", r.report.outcomes)
	}

	full := errors.New("no table")
	r = newPartRig(item{path: "a/large", text: text})
	r.parts.onPart = func(_ context.Context, n int) error {
		if n == 5 {
			return full
		}
		return nil
	}
	if err := r.Run(t.Context(), t.Context()); !errors.Is(err, full) {
		t.Errorf("the run ends with %v", err)
	}
	r.check(t)
}

// A waiter is a cutter whose files tell at their end what some of their times are.
type waiter struct {
	cutter
	settle func(c *Content, b *Batch) ([]bool, error)
}

func (d *waiter) DecodeParts(ctx context.Context, c *Content, b *Batch, cut Cut) error {
	if cut.Settled == nil {
		b.Begin(c)
		return fmt.Errorf("%w: it waits", ErrUnsettled)
	}
	if !slices.Equal(cut.Settled, []bool{true, false}) {
		return fmt.Errorf("%w: %v", ErrChanged, cut.Settled)
	}
	return d.cutter.DecodeParts(ctx, c, b, cut)
}

func (d *waiter) Settle(_ context.Context, c *Content, b *Batch) ([]bool, error) {
	b.Begin(c)
	return d.settle(c, b)
}

// A file whose end tells some of its times is asked for them first; what it says
// may be that it is not loaded, or only whole.
func TestLargeFilesThatWaitForTheirEnd(t *testing.T) {
	text := rows("flow", 0, 7, 1) + rows("level", 0, 100, 1)
	for _, c := range []struct {
		name   string
		settle func(c *Content, b *Batch) ([]bool, error)
		state  State
		log    string
	}{
		{"in parts", func(*Content, *Batch) ([]bool, error) { return []bool{true, false}, nil }, Loaded, "part 0 of a/large"},
		{"held", func(_ *Content, b *Batch) ([]bool, error) {
			b.Spans[0].State, b.Spans[0].Reason = Held, "which pass?"
			return nil, nil
		}, Held, "whole a/large"},
		{"whole", func(*Content, *Batch) ([]bool, error) { return nil, fmt.Errorf("%w: other files tell it", ErrUncut) }, Loaded, "whole a/large"},
		{"it changes", func(*Content, *Batch) ([]bool, error) { return []bool{true}, nil }, Changed, ""},
		{"it cannot be read", func(*Content, *Batch) ([]bool, error) { return nil, fmt.Errorf("%w: cut off", ErrChanged) }, Changed, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newPartRig(item{path: "a/large", text: text})
			r.Limits.Part = 60
			r.NewDecoder = func() Decoder { return &waiter{cutter{lineDecoder{hook: r.shelf.hook}}, c.settle} }
			if err := r.Run(t.Context(), t.Context()); err != nil {
				t.Fatal(err)
			}
			r.check(t)
			if len(r.report.outcomes) != 1 || r.report.outcomes[0].State != c.state {
				t.Errorf("told %v, want %s", r.report.outcomes, c.state)
			}
			if log := strings.Join(r.parts.log, "\n"); !strings.Contains(log, c.log) || c.log == "" && log != "" {
				t.Errorf("done:\n%s\nwant %q", log, c.log)
			}
		})
	}
}

// A large file that is being loaded is not late, but small ones that wait beside
// it are, and large ones that wait behind it.
func TestLagBesideALargeFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, beside := range []string{"", "b/small", "b/large"} {
			items := []item{{path: "a/large", text: rows("flow", 0, 60, 1)}}
			switch beside {
			case "b/small":
				items = append(items, item{path: beside, text: rows("flow", 0, 3, 1)})
			case "b/large":
				items = append(items, item{path: beside, text: rows("flow", 0, 60, 1)})
			}
			r := newPartRig(items...)
			r.Poll, r.Workers = time.Hour, 2
			opened := make(chan struct{})
			r.parts.onPart = func(context.Context, int) error { <-opened; return nil }
			r.ledger.hook = func(_ context.Context, at step, _ string) error {
				if at == committing {
					<-opened
				}
				return nil
			}
			take, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- r.Run(take, t.Context()) }()
			<-time.After(40 * time.Second)
			synctest.Wait()
			want := 40 * time.Second
			if beside == "" {
				want = 0
			}
			if lag := r.Lag(); lag != want {
				t.Errorf("beside %q the lag is %s after 40 s, want %s", beside, lag, want)
			}
			close(opened)
			<-time.After(time.Second)
			stop()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			r.check(t)
		}
	})
}

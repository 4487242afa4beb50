package ingest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// A rig is a pipeline of the parts in memory.
type rig struct {
	shelf  *shelf
	ledger *memoryLedger
	report *report
	Pipeline
}

func newRig(items ...item) *rig {
	r := &rig{shelf: newShelf(items...), ledger: newLedger(), report: &report{}}
	r.shelf.ledger = r.ledger
	r.Pipeline = Pipeline{
		Source: r.shelf, Sink: r.ledger, Observe: r.report.observe, Workers: 2, Limits: Limits{Files: 3},
		NewDecoder: func() Decoder { return &lineDecoder{hook: r.shelf.hook} },
	}
	return r
}

// hook is called at every step of every part.
func (r *rig) hook(h hook) { r.shelf.hook, r.ledger.hook = h, h }

// start runs the pipeline and returns where its error will come.
func (r *rig) start(take, work context.Context) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- r.Run(take, work) }()
	return ended
}

// run runs the pipeline to the end of the listing.
func (r *rig) run(t rapid.TB) {
	t.Helper()
	if err := r.Run(context.Background(), context.Background()); err != nil {
		t.Fatal(err)
	}
	r.checkOrder(t)
}

// checkOrder says what must hold after every run, however it ended.
func (r *rig) checkOrder(t rapid.TB) {
	t.Helper()
	if len(r.ledger.faults) > 0 {
		t.Errorf("the pipeline breaks the parts' contracts:\n%s", strings.Join(r.ledger.faults, "\n"))
	}
	if n := r.shelf.open.Load(); n != 0 {
		t.Errorf("%d streams are left open", n)
	}
	if r.ledger.open != 0 {
		t.Errorf("%d committers are left open", r.ledger.open)
	}
	if r.report.overlaps != 0 {
		t.Errorf("Observe was called during Observe %d times", r.report.overlaps)
	}
	for path, n := range r.shelf.fetched {
		if n != 1 {
			t.Errorf("%s was fetched %d times", path, n)
		}
	}
	for i, e := range r.report.events {
		if e.Cycle == nil && (e.At.IsZero() || e.Source != "shelf" || len(e.Outcomes) == 0 || (e.Worker == 0) != (e.Chunk == 0) || e.Worker > r.Workers) {
			t.Errorf("event %d: %+v", i, e)
		}
	}
}

var same = cmpopts.EquateComparable(instant{}, holding{})

func numbered(n int) []item {
	items := make([]item, n)
	for i := range items {
		items[i] = item{path: fmt.Sprintf("L%d/%06d.csv", i%7, i), text: fmt.Sprintf("flow %d %d\n", i, i)}
	}
	return items
}

// Whatever happens to the others, every listed file ends in one outcome, and
// what stands is a function of the files alone.
func TestEveryFileHasOneOutcome(t *testing.T) {
	broken := errors.New("no such thing")
	texts := rapid.Map(rapid.SliceOf(rapid.Custom(func(t *rapid.T) string {
		reading := fmt.Sprintf("%s %d %d\n", rapid.SampledFrom([]string{"flow", "level"}).Draw(t, "channel"), rapid.IntRange(0, 9).Draw(t, "time"), rapid.IntRange(0, 2).Draw(t, "value"))
		return rapid.SampledFrom([]string{reading, reading, reading, reading, reading, reading, "not a reading\n", "!enough\n", "!quarantine\n", "!panic\n"}).Draw(t, "line")
	})), func(lines []string) string { return strings.Join(lines, "") })

	rapid.Check(t, func(t *rapid.T) {
		var items []item
		want := map[string]State{}
		for i := range rapid.IntRange(0, 40).Draw(t, "files") {
			it := item{path: fmt.Sprintf("L%d/%d.csv", rapid.IntRange(0, 2).Draw(t, "logger"), i), text: texts.Draw(t, "text"),
				stream: rapid.Bool().Draw(t, "stream"), unsized: rapid.Bool().Draw(t, "unsized")}
			switch rapid.IntRange(0, 15).Draw(t, "fault") {
			case 0:
				it.unlists = broken
			case 1:
				it.unreads = broken
			case 2:
				it.unreads = fmt.Errorf("fetching: %w", ErrChanged)
			case 3:
				it.breaks = broken
			case 4:
				it.breaks = fmt.Errorf("closing: %w", ErrChanged)
			}
			items = append(items, it)
			want[it.path] = it.fate()
		}
		r := newRig(items...)
		r.Workers, r.Connections = rapid.IntRange(1, 4).Draw(t, "workers"), rapid.IntRange(0, 3).Draw(t, "connections")
		r.Limits = Limits{Files: rapid.IntRange(0, 9).Draw(t, "chunk"), Bytes: rapid.Int64Range(0, 200).Draw(t, "bytes"), Readings: rapid.IntRange(0, 20).Draw(t, "readings")}
		items = slices.DeleteFunc(slices.Clone(items), func(it item) bool {
			if it.unlists != nil || rapid.IntRange(0, 9).Draw(t, "known") > 0 {
				return false
			}
			r.ledger.files[it.path] = entry{state: Loaded}
			want[it.path] = Known
			return true
		})
		r.run(t)

		got := map[string]State{}
		for _, o := range r.report.outcomes {
			if s, ok := got[o.File.Path]; ok {
				t.Fatalf("%s is told as %s and as %s", o.File.Path, s, o.State)
			}
			got[o.File.Path] = o.State
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Fatalf("outcomes:\n%s", diff)
		}
		if diff := gocmp.Diff(expected(items), r.ledger.table, same); diff != "" {
			t.Fatalf("what stands:\n%s", diff)
		}
		r.checkSums(t)
		r.checkDone(t)
	})
}

// checkSums says that the ledger has the digest of all bytes of each file,
// however few of them the decoder read.
func (r *rig) checkSums(t rapid.TB) {
	t.Helper()
	for path, e := range r.ledger.files {
		if it, ok := r.shelf.index[path]; ok && r.shelf.fetched[path] > 0 && e.sum != sumOf(it.text) {
			t.Errorf("%s has another sum than its bytes", path)
		}
	}
}

// checkDone says that the source was told of each file that was committed, and
// of no other.
func (r *rig) checkDone(t rapid.TB) {
	t.Helper()
	var done, committed []string
	for _, o := range r.shelf.done {
		done = append(done, o.File.Path)
	}
	for _, paths := range r.ledger.chunks {
		committed = append(committed, paths...)
	}
	if diff := gocmp.Diff(committed, done, cmpopts.SortSlices(strings.Compare), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("committed, and told to the source:\n%s", diff)
	}
}

func TestEventsAddUp(t *testing.T) {
	items := numbered(50)
	items[3].stream, items[7].unreads, items[9].text = true, errors.New("gone"), "!quarantine\n"
	r := newRig(items...)
	r.ledger.files[items[20].path] = entry{state: Held}
	r.run(t)

	want := map[State]int{Loaded: 47, Failed: 1, Quarantined: 1, Known: 1}
	if diff := gocmp.Diff(want, r.report.states()); diff != "" {
		t.Error(diff)
	}
	if o := r.report.of(items[20].path); len(o) != 1 || o[0].Standing != Held {
		t.Errorf("the file that is held: %+v", o)
	}
	if o := r.report.of(items[7].path); len(o) != 1 || o[0].Reason != "gone" || o[0].File.Path != items[7].path {
		t.Errorf("the file that is gone: %+v", o)
	}
	var bytes, wantBytes int64
	for i, it := range items {
		if i != 7 && i != 20 {
			wantBytes += int64(len(it.text))
		}
	}
	n, commits := 0, 0
	for _, e := range r.report.events {
		bytes += e.Bytes
		n += len(e.Outcomes)
		if e.Worker > 0 {
			commits++
		}
	}
	if bytes != wantBytes || n != len(items) || commits != len(r.ledger.chunks) {
		t.Errorf("events of %d bytes, %d files, %d commits; want %d, %d, %d", bytes, n, commits, wantBytes, len(items), len(r.ledger.chunks))
	}
	var total Receipt
	for _, o := range r.report.outcomes {
		total.Add(&o.Receipt)
	}
	if err := total.Balance(); err != nil || total.Cells.Stored != 47 {
		t.Errorf("%v: %+v", err, total)
	}
}

func TestAFileThatIsDueKeepsItsFirstFetch(t *testing.T) {
	r := newRig(numbered(2)...)
	r.ledger.files[r.shelf.items[1].path] = entry{state: Due}
	var first []int64
	r.NewDecoder = func() Decoder { return firstFetched{&first} }
	r.Workers = 1
	r.run(t)
	if !slices.Equal(first, []int64{0, -7}) {
		t.Errorf("contents first fetched at %v, want [0 -7]", first)
	}
}

// firstFetched is a Decoder that notes when a content was first fetched.
type firstFetched struct{ at *[]int64 }

func (d firstFetched) Decode(_ context.Context, c *Content, b *Batch) error {
	*d.at = append(*d.at, c.FirstFetched)
	b.Begin(c)
	b.End()
	return nil
}

// sizes is how many files each commit had, in the order of the listing.
func (r *rig) sizes() []int {
	chunks := slices.Clone(r.ledger.chunks)
	slices.SortFunc(chunks, slices.Compare)
	n := make([]int, len(chunks))
	for i, c := range chunks {
		n[i] = len(c)
	}
	return n
}

func TestChunkCloses(t *testing.T) {
	flat := func(n int) []item { // of 10 bytes and one reading each
		items := make([]item, n)
		for i := range items {
			items[i] = item{path: fmt.Sprintf("L/%06d", i), text: fmt.Sprintf("flow %03d 1", i)}
		}
		return items
	}
	large := flat(5)
	large[1].text = strings.Repeat("flow 1 1\n", 10)
	unsized := flat(7)
	for i := range unsized {
		unsized[i].unsized = true
	}
	mixed := flat(8)
	for i := range mixed[:5] {
		mixed[i].unsized, mixed[i].text = true, ""
	}
	growing := flat(1)
	growing[0].unsized, growing[0].stream, growing[0].text = true, true, strings.Repeat("flow 1 1\n", 100)
	for _, c := range []struct {
		name   string
		items  []item
		limits Limits
		sizes  []int
	}{
		{"by nothing", flat(7), Limits{}, []int{7}},
		{"by files", flat(7), Limits{Files: 3}, []int{3, 3, 1}},
		{"at each file", flat(3), Limits{Files: 1}, []int{1, 1, 1}},
		{"by bytes, exactly", flat(7), Limits{Bytes: 20}, []int{2, 2, 2, 1}},
		{"by bytes, before they are too many", flat(7), Limits{Bytes: 25}, []int{2, 2, 2, 1}},
		{"before and after a file larger than the limit", large, Limits{Bytes: 30}, []int{1, 1, 3}},
		{"by bytes as fetched, where the listing does not tell", unsized, Limits{Bytes: 25}, []int{3, 3, 1}},
		{"by the bytes of those that have a size", mixed, Limits{Bytes: 25}, []int{7, 1}},
		{"by readings", flat(7), Limits{Readings: 2}, []int{2, 2, 2, 1}},
		{"by readings within a chunk of files", flat(7), Limits{Files: 5, Readings: 3}, []int{3, 2, 2}},
		{"by the one that comes first", flat(7), Limits{Files: 2, Bytes: 1000, Readings: 1000, Linger: time.Hour}, []int{2, 2, 2, 1}},
		{"around the only file, however large", growing, Limits{Bytes: 10, Readings: 1}, []int{1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(c.items...)
			r.Workers, r.Limits = 1, c.limits
			r.run(t)
			if got := r.sizes(); !slices.Equal(got, c.sizes) {
				t.Errorf("commits of %v files, want %v: %q", got, c.sizes, r.ledger.chunks)
			}
			r.checkSums(t)
		})
	}
}

func TestChunkLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		arrivals := []time.Duration{0, 30 * time.Millisecond, 49 * time.Millisecond, 60 * time.Millisecond, time.Hour}
		items := numbered(len(arrivals))
		r := newRig(items...)
		r.shelf.watch = true
		r.Limits = Limits{Files: 100, Linger: 50 * time.Millisecond}
		next := 0
		r.shelf.hook = func(ctx context.Context, at step, _ string) error {
			if at != listing {
				return nil
			}
			select {
			case <-time.After(arrivals[next] - time.Since(start)):
				next++
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		committed := map[time.Duration]int{}
		r.ledger.hook = func(_ context.Context, at step, _ string) error {
			if at == committing {
				committed[time.Since(start)]++
			}
			return nil
		}
		take, stop := context.WithCancel(t.Context())
		ended := r.start(take, t.Context())
		time.Sleep(2 * time.Hour) //nolint:forbidigo // the clock is the bubble's: this is when all else waits
		synctest.Wait()
		want := map[time.Duration]int{50 * time.Millisecond: 1, 110 * time.Millisecond: 1, time.Hour + 50*time.Millisecond: 1}
		if diff := gocmp.Diff(want, committed); diff != "" {
			t.Errorf("commits after the first file was listed:\n%s", diff)
		}
		if got := r.sizes(); !slices.Equal(got, []int{3, 1, 1}) {
			t.Errorf("chunks of %v", got)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		r.checkOrder(t)
	})
}

func TestOneLookIsForAllThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(numbered(3 * listedAhead)...)
		r.Limits.Files = 1000
		gate := make(chan struct{})
		first := true
		r.ledger.hook = func(_ context.Context, at step, _ string) error {
			if at == pending && first {
				first = false
				<-gate
			}
			return nil
		}
		ended := r.start(t.Context(), t.Context())
		synctest.Wait() // the listing ran ahead until the queue is full
		close(gate)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if len(r.ledger.asked) < 3 || r.ledger.asked[1] != listedAhead || slices.Max(r.ledger.asked) > listedAhead {
			t.Errorf("looks for %v files, want the second for %d and none for more", r.ledger.asked, listedAhead)
		}
		r.checkOrder(t)
	})
}

func TestRunNeedsWorkers(t *testing.T) {
	r := newRig(numbered(1)...)
	r.Workers = 0
	if err := r.Run(t.Context(), t.Context()); err == nil || !strings.Contains(err.Error(), "at least one worker") {
		t.Errorf("got %v", err)
	}
}

func TestRunAgain(t *testing.T) {
	r := newRig(numbered(20)...)
	r.Observe = nil // nobody need listen
	r.run(t)
	table := maps.Clone(r.ledger.table)
	r.Observe = r.report.observe
	r.run(t)
	if n := r.report.states(); n[Known] != 20 || len(n) != 1 {
		t.Errorf("a second run told of %v", n)
	}
	if diff := gocmp.Diff(table, r.ledger.table, same); diff != "" {
		t.Error(diff)
	}
	if len(r.shelf.done) != 20 {
		t.Errorf("the source was told of %d files, want the 20 of the first run", len(r.shelf.done))
	}
}

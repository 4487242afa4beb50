package store

import (
	"fmt"
	"testing"
	"time"
)

// The longest of the intervals whose index fits is advised, and none where nothing
// tells how fast readings come.
func TestChunkAdvice(t *testing.T) {
	const day, megabytes = 24 * time.Hour, 1 << 20
	for _, c := range []struct {
		readings int64
		span     time.Duration
		buffers  int64
		want     time.Duration
	}{
		{0, 365 * day, 128 * megabytes, 0},
		{1_000_000, 12 * time.Hour, 128 * megabytes, 0},
		{1_000, day, 128 * megabytes, 28 * day},
		{7_000_000, 7 * day, 128 * megabytes, 2 * day},     // 45 MB a day
		{5_200_000, day, 128 * megabytes, 12 * time.Hour},  // 234 MB a day
		{5_200_000, day, 8192 * megabytes, 28 * day},       // 6.1 GiB
		{900_000_000, day, 128 * megabytes, time.Hour},     // more than fits in any
		{20_000_000, 104 * day, 128 * megabytes, 14 * day}, // 8.7 MB a day
	} {
		if a := advise(c.readings, 0, c.span.Microseconds(), c.buffers); a.Interval != c.want {
			t.Errorf("%d readings in %s with %d MiB: %s, want %s", c.readings, c.span, c.buffers/megabytes, a.Interval, c.want)
		}
	}
	for _, c := range []struct {
		inForce, advised time.Duration
		want             bool
	}{{7 * day, 0, false}, {7 * day, 3 * day, true}, {7 * day, 7 * day, false}, {7 * day, 14 * day, true}, {2 * day, 3 * day, false}} {
		if got := (ChunkAdvice{Interval: c.advised}).differs(c.inForce); got != c.want {
			t.Errorf("%s where %s is advised differs: %v", c.inForce, c.advised, got)
		}
	}
}

// fast is a file of so many readings for each of some days.
func fast(name string, days, perDay int) testFile {
	f := testFile{path: "L1_" + name, modified: begin}
	for i := range days * perDay {
		f.readings = append(f.readings, testReading{"flow", int64(i) * 86400 / int64(perDay), 1, ""})
	}
	return f
}

// What takes the place of other readings adds none to a chunk: a window that rolls
// on, or versions of a path that succeed one another, come no faster for it.
func TestTheRateCountsWhatStands(t *testing.T) {
	const day = 86400
	for _, appendMode := range []bool{false, true} {
		s := open(t, Options{Append: appendMode})
		c := committerOf(t, sinkOf(t, s, SinkOptions{}))
		for n := range int64(20) {
			f := window("L1", n, 0, 0)
			first := n * day
			if appendMode {
				f.path, first = "L1_a", 0
			}
			for at := first; at <= n*day+9*day; at += day / 2 {
				f.readings = append(f.readings, testReading{"flow", at, float64(n), ""})
			}
			commit(t, c, f)
		}
		a, err := s.ChunkAdvice(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if a.PerDay < 2 || a.PerDay > 2.1 {
			t.Errorf("append=%v: %.2f readings a day, want 2", appendMode, a.PerDay)
		}
	}
}

// The chunks of a new hypertable suit its first readings where these come faster
// than the default expects; later it is migrate that looks at the ledger, and what
// was asked for stays.
func TestTimescaleChunkInterval(t *testing.T) {
	const day = 24 * time.Hour
	inForce := func(s *Store) time.Duration {
		t.Helper()
		h, _, err := s.Hypertable(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return h.ChunkInterval
	}
	// Against so little memory a few thousand readings are many.
	s := timescale(t, Options{})
	buffers := query(t, s, "select setting::int8 * 8192 / 45 from pg_settings where name = 'shared_buffers'")
	var fits int64
	if _, err := fmt.Sscan(buffers[0], &fits); err != nil {
		t.Fatal(err)
	}
	if fits > 10_000_000 {
		t.Skipf("the server keeps the index of %d readings in memory: too many to load here", fits)
	}
	commitAll(t, []*Sink{sinkOf(t, s, SinkOptions{})}, []testFile{fast("slow", 30, 10)}, 1, 1)
	if got := inForce(s); got != DefaultChunkInterval {
		t.Errorf("slow readings make it %s", got)
	}
	if changed, err := s.AlterHypertable(t.Context()); err != nil || !changed || inForce(s) != 28*day {
		t.Errorf("by the ledger it is %s, %v, %v", inForce(s), changed, err)
	}
	// What the ledger says is looked at, not what was loaded.
	if _, err := s.pool.Exec(t.Context(), "update files set n_cells = n_cells + $1 - n_stored, n_stored = $1", fits*10); err != nil {
		t.Fatal(err)
	}
	if changed, err := s.AlterHypertable(t.Context()); err != nil || !changed || inForce(s) != 2*day {
		t.Errorf("by a faster ledger it is %s, %v, %v", inForce(s), changed, err)
	}
	if changed, err := s.AlterHypertable(t.Context()); err != nil || changed {
		t.Errorf("once more it changes: %v, %v", changed, err)
	}
	s.options.Hypertable.ChunkInterval = 36 * time.Hour
	if changed, err := s.AlterHypertable(t.Context()); err != nil || !changed || inForce(s) != 36*time.Hour {
		t.Errorf("asked for it is %s, %v, %v", inForce(s), changed, err)
	}
	s.options.Hypertable.ChunkInterval = 0
	if _, err := s.pool.Exec(t.Context(), "update files set n_cells = n_cells - n_stored + 300, n_stored = 300"); err != nil {
		t.Fatal(err)
	}
	if changed, err := s.AlterHypertable(t.Context()); err != nil || changed {
		t.Errorf("what was asked for is %s, %v, %v", inForce(s), changed, err)
	}

	// The first readings, as chooseInterval has them.
	first := timescale(t, Options{})
	sink, beside := sinkOf(t, first, SinkOptions{}), sinkOf(t, first, SinkOptions{Source: "others"})
	if !sink.chunks.undecided {
		t.Error("the first of all readings decide nothing")
	}
	if err := sink.chooseInterval(t.Context(), fits*10, 0, (20 * day).Microseconds()); err != nil {
		t.Fatal(err)
	}
	if got := inForce(first); got != 2*day || sink.chunks.interval.Load() != (2*day).Microseconds() {
		t.Errorf("fast readings make it %s", got)
	}
	if later := sinkOf(t, first, SinkOptions{}); later.chunks.undecided || later.chunks.interval.Load() != (2*day).Microseconds() {
		t.Error("it is decided once more")
	}
	// Another source's are slower.
	if err := beside.chooseInterval(t.Context(), fits*6, 0, (20 * day).Microseconds()); err != nil {
		t.Fatal(err)
	}
	if got := inForce(first); got != 2*day || beside.chunks.interval.Load() != (2*day).Microseconds() {
		t.Errorf("another source's first readings make it %s", got)
	}
}

// A history of more chunks than a server has locks for has longer ones, if it is slow.
func TestTimescaleChunkIntervalOfAHistory(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		years int64
		want  time.Duration
	}{{15, DefaultChunkInterval}, {150, 28 * day}} {
		s := timescale(t, Options{})
		sink := sinkOf(t, s, SinkOptions{})
		if err := sink.chooseInterval(t.Context(), c.years*365, 0, c.years*365*day.Microseconds()); err != nil {
			t.Fatal(err)
		}
		if h, _, err := s.Hypertable(t.Context()); err != nil || h.ChunkInterval != c.want {
			t.Errorf("of %d years it is %s, %v, want %s", c.years, h.ChunkInterval, err, c.want)
		}
	}
}

// What a chunk holds is decided while other committers go on.
func TestTimescaleChunkIntervalIsChosenBesideCommits(t *testing.T) {
	s := timescale(t, Options{Append: true, directLeast: 1})
	sink := sinkOf(t, s, SinkOptions{})
	c := committerOf(t, sink)
	sink.chunks.undecided = false
	together(func() {
		for i := range 10 {
			commit(t, c, daily("L1", i, 1, 1)...)
		}
	}, func() {
		sink.chunks.mu.Lock()
		defer sink.chunks.mu.Unlock()
		if err := sink.chooseInterval(t.Context(), 1e9, 0, 20*24*time.Hour.Microseconds()); err != nil {
			t.Error(err)
		}
	})
	if n := query(t, s, "select count(*) from readings"); n[0] != "240" {
		t.Errorf("%s readings are there", n[0])
	}
	verify(t, s)
}

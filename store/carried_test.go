package store

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

// A growth is a chunk of files that have grown, in every way that there is, and
// of one that is new, with what is there before it.
type growthScene struct {
	scene
	grown []testFile // as they are now
	of    []*ingest.Growth
}

func newGrowthScene(name string) *growthScene {
	name += strings.Repeat("x", 16-len(name)) // it is in the contents, whose sizes are compared
	var readings []testReading
	for i := range int64(8) {
		readings = append(readings, testReading{"flow", i, float64(i), ""})
	}
	f := func(path string, modified int64, readings ...testReading) testFile {
		f := grownFile(name+path+"_"+path, begin+modified, readings)
		return f
	}
	meets := f("meets", 0, readings[:4]...)
	other := f("other", 1, readings[7])
	other.path = name + "meets_other"
	return &growthScene{
		scene: scene{name: name, before: []testFile{f("plain", 0, readings[:4]...), meets, f("channel", 0, readings[:4]...), f("rejects", 0, readings[:4]...), f("same", 0, readings...), other},
			chunk: []testFile{f("new", 3, readings...)}},
		grown: []testFile{f("plain", 5, readings[:6]...), f("meets", 5, readings...), f("channel", 5, append(slices.Clone(readings[:4]), testReading{"level", 4, 1, "q"})...),
			f("rejects", 5, readings[:5]...), f("same", 9, readings...)},
	}
}

// prepare loads what is there before, and looks it up as a listing does.
func (sc *growthScene) prepare(t testing.TB, sink *Sink, c ingest.Committer) {
	t.Helper()
	b := fill(&ingest.Batch{}, sc.before...)
	for i := range b.Spans {
		b.Spans[i].Growth = growthOf(t, sc.before[i])
	}
	if _, err := c.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	sc.of = nil
	for i := range sc.grown {
		g := growthOf(t, sc.before[i])
		if st := standingOf(t, sink, sc.grown[i]); st.Growth != nil {
			g = st.Growth
		}
		sc.of = append(sc.of, g)
	}
}

// batch is the chunk as it is decoded.
func (sc *growthScene) batch(t testing.TB) *ingest.Batch {
	t.Helper()
	b := fill(&ingest.Batch{}, sc.chunk...)
	for i, f := range sc.grown {
		fillGained(t, b, f, sc.of[i])
		if s := &b.Spans[len(b.Spans)-1]; strings.HasSuffix(f.path, "_rejects") {
			s.Rejects = []ingest.Reject{{Line: 9, Reason: "no number", Raw: "x"}}
			s.Receipt.Lines.Total++
			s.Receipt.Lines.Rejected++
		}
	}
	return b
}

// run commits the chunk, and whole what could not be carried on.
func (sc *growthScene) run(t testing.TB, c ingest.Committer) (told []string) {
	t.Helper()
	outcomes, err := c.Commit(t.Context(), sc.batch(t))
	if err != nil {
		t.Fatal(err)
	}
	told = sc.told(outcomes)
	for i, o := range outcomes {
		if o.State == ingest.Whole {
			told = append(told, sc.told(commit(t, c, sc.grown[i-len(sc.chunk)]))...)
		}
	}
	for i := range told {
		told[i] = strings.ReplaceAll(told[i], sc.name, "scene")
	}
	return told
}

func (sc *growthScene) left(t testing.TB, s *Store) []string {
	t.Helper()
	like := " like '" + sc.name + `%\_%' `
	rows := append(query(t, s, `select logger, channel, extract(epoch from ts)::int8 - 1700000000, value, quality, path from observations
			where path`+like+`order by 1, 2, 3, 6`),
		query(t, s, `select f.path, f.generation, f.state::text, f.reason, f.size, extract(epoch from f.rank_time)::int8, r.lines, r.cells, r.stored, r.unchanged, r.replaced,
			extract(epoch from r.first_ts)::int8, extract(epoch from r.last_ts)::int8, cardinality(r.series), g.at, (select count(*) from rejects where file_id = f.id),
			(select sum(n) from takeovers where from_file = f.id)
			from files f left join receipts r on r.file_id = f.id left join growths g on g.file_id = f.id where f.path`+like+`order by 1, 2`)...)
	for i := range rows {
		rows[i] = strings.ReplaceAll(rows[i], sc.name, "scene")
	}
	return rows
}

// The connection is cut at each message of a commit of what files have gained, in
// both directions, and in each way around the commit itself. It goes on, and ends
// as if nothing had been.
func TestConnectionCutWhereFilesAreCarriedOn(t *testing.T) {
	for _, appendMode := range []bool{false, true} {
		t.Run(fmt.Sprintf("append=%v", appendMode), func(t *testing.T) {
			s, cutStore, p := openBehindProxy(t, appendMode)
			sink := sinkOf(t, s, SinkOptions{})
			straight := committerOf(t, sink)
			c := committerOf(t, sinkOf(t, cutStore, SinkOptions{}))

			clean := newGrowthScene("clean")
			clean.prepare(t, sink, straight)
			p.arm(nil)
			told := clean.run(t, c)
			messages := p.arm(nil)
			left := clean.left(t, s)
			carried := 0
			for _, o := range told {
				if strings.Contains(o, " loaded 2 ") {
					carried++
				}
			}
			if carried < 4 || slices.ContainsFunc(told, func(o string) bool { return strings.Contains(o, string(ingest.Failed)) }) {
				t.Fatalf("the scene is not what it is to be: %q", told)
			}
			try := func(name string, cut func(w wire, n int, m []byte) verdictOnMessage) {
				t.Helper()
				sc := newGrowthScene(name)
				sc.prepare(t, sink, straight)
				p.arm(cut)
				got := sc.run(t, c)
				p.arm(nil)
				if diff := cmp.Diff(left, sc.left(t, s)); diff != "" {
					t.Fatalf("%s:\n%s", name, diff)
				}
				if diff := cmp.Diff(told, got); diff != "" {
					t.Fatalf("%s, told otherwise:\n%s", name, diff)
				}
			}
			step := 7
			switch {
			case os.Getenv("PENSTOCK_SOAK") != "":
				step = 1
			case underRace:
				step = 29
			}
			for _, w := range []wire{toServer, toClient} {
				for n := 0; n < messages[w]; n += step {
					try(fmt.Sprintf("%c%d", w[7], n), func(at wire, i int, _ []byte) verdictOnMessage {
						return choose(at == w && i == n, cutBefore)
					})
				}
			}
			for nth := range 3 { // the commits of the new file, and of the halves of what was gained
				for how, v := range map[string]verdictOnMessage{"lost": cutBefore, "arrived": cutAfter} {
					seen := 0
					try(fmt.Sprintf("commit%d%s", nth, how), func(w wire, _ int, m []byte) verdictOnMessage {
						if w == toServer && bytes.HasSuffix(m, []byte("commit\x00")) {
							seen++
							return choose(seen == nth+1, v)
						}
						return pass
					})
				}
				seen := 0
				try(fmt.Sprintf("answer%d", nth), func(w wire, _ int, m []byte) verdictOnMessage {
					if w == toServer && bytes.HasSuffix(m, []byte("commit\x00")) {
						seen++
					}
					return choose(w == toClient && seen == nth+1, cutBefore)
				})
			}
			verify(t, s)
		})
	}
}

// Several processes carry the same files on at the same moment, some of them to
// where they were a moment before: each reading is there once, and what stands in
// the end is what loading the files whole comes to.
func TestFilesAreCarriedOnByTwoProcessesAtOnce(t *testing.T) {
	for _, appendMode := range []bool{false, true} {
		t.Run(fmt.Sprintf("append=%v", appendMode), func(t *testing.T) {
			s, twin := open(t, Options{Append: appendMode}), open(t, Options{Append: appendMode})
			sinks := []*Sink{sinkOf(t, s, SinkOptions{}), sinkOf(t, reopen(t, s, Options{}), SinkOptions{})}
			var committers []ingest.Committer
			for i := range 4 {
				committers = append(committers, committerOf(t, sinks[i%2]))
			}
			var readings []testReading
			for i := range int64(60) {
				readings = append(readings, testReading{"flow", i, float64(i), ""})
			}
			file := func(k, n int) testFile { return grownFile(fmt.Sprintf("L%d_a", k), begin+int64(n), readings[:n]) }
			for k := range 3 {
				take(t, sinks[0], committers[0], file(k, 5))
			}
			var mu sync.Mutex
			loaded := make(map[ingest.State]int)
			for round := range 12 {
				had, now := 5+4*round, 9+4*round
				var calls []func()
				for i, c := range committers {
					sees := now
					if i%3 == 1 && round%2 == 1 {
						sees = now - 2 // and a moment later it has grown again
					}
					b := &ingest.Batch{}
					for k := range 3 {
						st := standingOf(t, sinks[0], file(k, now))
						if st.Growth == nil || int(st.Growth.Lines)-1 != had {
							t.Fatalf("round %d: L%d has no growth of %d readings: %+v", round, k, had, st)
						}
						fillGained(t, b, file(k, sees), st.Growth)
					}
					calls = append(calls, func() {
						outcomes, err := c.Commit(context.Background(), b)
						if err != nil {
							t.Error(err)
							return
						}
						for k, o := range outcomes {
							if o.State == ingest.Whole { // fetched again, it is what it is now
								whole := fill(&ingest.Batch{}, file(k, now))
								whole.Spans[0].Growth = growthOf(t, file(k, now))
								whole.Spans[0].Fetched++
								if outcomes, err = c.Commit(context.Background(), whole); err != nil {
									t.Error(err)
									return
								}
								o = outcomes[0]
							}
							mu.Lock()
							loaded[o.State]++
							mu.Unlock()
						}
					})
				}
				together(calls...)
				for k := range 3 { // as the next listing would find
					take(t, sinks[0], committers[0], file(k, now))
				}
				got := query(t, s, "select l.logger, count(*), count(distinct r.ts), max(extract(epoch from r.ts))::int8 - 1700000000 from readings r join series l on l.id = r.series_id group by 1 order by 1")
				want := []string{fmt.Sprintf("L0|%d|%[1]d|%d", now, now-1), fmt.Sprintf("L1|%d|%[1]d|%d", now, now-1), fmt.Sprintf("L2|%d|%[1]d|%d", now, now-1)}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("round %d:\n%s", round, diff)
				}
				verify(t, s)
			}
			c := committerOf(t, sinkOf(t, twin, SinkOptions{}))
			for k := range 3 {
				commit(t, c, file(k, 5+4*12))
			}
			if diff := cmp.Diff(query(t, twin, observationsSQL), query(t, s, observationsSQL)); diff != "" {
				t.Errorf("(-whole +carried on):\n%s", diff)
			}
			if loaded[ingest.Loaded] < 3*12 || loaded[ingest.Known] == 0 || len(loaded) != 2 {
				t.Errorf("what was told: %v, want at least %d loaded, and the others known", loaded, 3*12)
			}
		})
	}
}

// What was fetched before another process carried the file on does not come back
// as a newer version.
func TestStaleFetchOfAFileThatWasCarriedOn(t *testing.T) {
	for _, appendMode := range []bool{false, true} {
		s := open(t, Options{Append: appendMode})
		sink := sinkOf(t, s, SinkOptions{})
		c := committerOf(t, sink)
		readings := []testReading{{"flow", 1, 1, ""}, {"flow", 2, 2, ""}, {"flow", 3, 3, ""}, {"flow", 4, 4, ""}}
		take(t, sink, c, grownFile("L1_a", begin, readings[:2]))
		now := grownFile("L1_a", begin+2, readings)
		b := &ingest.Batch{}
		fillGained(t, b, now, standingOf(t, sink, now).Growth)
		b.Spans[0].Fetched, b.Spans[0].FirstFetched = b.Spans[0].Fetched+10e6, b.Spans[0].Fetched+10e6
		if outcomes, err := c.Commit(t.Context(), b); err != nil || outcomes[0].State != ingest.Loaded {
			t.Fatalf("it is not carried on: %+v, %v", outcomes, err)
		}
		stale := fill(&ingest.Batch{}, grownFile("L1_a", begin+1, readings[:3]))
		stale.Spans[0].Fetched += 5e6
		outcomes, err := c.Commit(t.Context(), stale)
		if err != nil || outcomes[0].State != ingest.Changed {
			t.Errorf("append=%v: a stale fetch is %+v, %v", appendMode, outcomes, err)
		}
		if got := query(t, s, "select (select count(*) from readings), (select max(generation) from files)"); got[0] != "4|2" {
			t.Errorf("append=%v: readings and the newest generation are %s, want 4|2", appendMode, got[0])
		}
		verify(t, s)
	}
}

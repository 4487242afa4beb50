package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"penstock/ingest"
)

// A partial is a file that a test loads in parts of so many readings.
type partial struct {
	t     testing.TB
	c     ingest.PartCommitter
	file  testFile
	size  int
	claim *ingest.Batch
	parts *ingest.Parts
}

func inParts(t testing.TB, c ingest.Committer, f testFile, size int) *partial {
	n := max((len(f.readings)+size-1)/size, 1)
	return &partial{t: t, c: c.(ingest.PartCommitter), file: f, size: size, claim: fill(&ingest.Batch{}, f), parts: &ingest.Parts{Count: n, Bytes: 1, Readings: size}}
}

func (p *partial) claimed() ingest.Outcome {
	p.t.Helper()
	o, err := p.c.Claim(context.Background(), p.claim, p.parts)
	if err != nil {
		p.t.Fatal(err)
	}
	return o
}

// commit commits one part.
func (p *partial) commit(n int) (refused string, err error) {
	f := p.file
	end := min((n+1)*p.size, len(f.readings))
	before := f.readings[:n*p.size]
	f.readings = f.readings[n*p.size : end]
	late := false
	for _, r := range f.readings {
		var first, last *int64
		for i := range before {
			if b := &before[i]; b.channel == r.channel {
				if first == nil || b.time < *first {
					first = &b.time
				}
				if last == nil || b.time > *last {
					last = &b.time
				}
			}
		}
		late = late || first != nil && r.time >= *first && r.time <= *last
	}
	return p.c.CommitPart(context.Background(), ingest.Part{Of: p.parts, N: n, Late: late}, fill(&ingest.Batch{}, f))
}

func (p *partial) commitAll() {
	p.t.Helper()
	for n := range p.parts.Count {
		if p.parts.Done[n] {
			continue
		}
		if refused, err := p.commit(n); err != nil || refused != "" {
			p.t.Fatal(refused, err)
		}
	}
}

func (p *partial) finished() ingest.Outcome {
	p.t.Helper()
	o, err := p.c.Finish(context.Background(), p.claim, p.parts)
	if err != nil {
		p.t.Fatal(err)
	}
	return o
}

// load does all of it.
func (p *partial) load() ingest.Outcome {
	p.t.Helper()
	if o := p.claimed(); o.State != ingest.Loading {
		return o
	}
	p.commitAll()
	return p.finished()
}

// nothingLoads holds that no rows are left of files that were loading.
func nothingLoads(t testing.TB, s *Store) {
	t.Helper()
	if left := query(t, s, "select file_id from loadings union all select file_id from parts union all select file_id from waiting"); len(left) > 0 {
		t.Errorf("rows are left of the parts of files %v", left)
	}
}

// What stands does not depend on which files are loaded in parts, of whatever
// size, beside one another and beside others.
func TestPartsAmongOthers(t *testing.T) {
	for _, o := range []Options{{}, {Append: true}} {
		for _, policy := range []Policy{Latest, Earliest} {
			t.Run(fmt.Sprint(policy, o.Append), func(t *testing.T) {
				random := rand.New(rand.NewPCG(31, 32))
				files := contradictingFiles(random, 80)
				whole := open(t, o)
				commitAll(t, []*Sink{sinkOf(t, whole, SinkOptions{Policy: policy})}, files, 1, 10)
				for round := range 3 {
					s := open(t, o)
					work := make(chan testFile, len(files))
					for _, f := range files {
						work <- f
					}
					close(work)
					sink := sinkOf(t, s, SinkOptions{Policy: policy})
					var wg sync.WaitGroup
					for w := range 4 {
						c := committerOf(t, sink)
						wg.Go(func() {
							for f := range work {
								if w == 0 {
									commit(t, c, f)
								} else {
									inParts(t, c, f, w).load()
								}
							}
						})
					}
					wg.Wait()
					verify(t, s)
					nothingLoads(t, s)
					if diff := cmp.Diff(contents(t, whole), contents(t, s)); diff != "" {
						t.Fatalf("round %d (-whole +in parts):\n%s", round, diff)
					}
					random.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
				}
			})
		}
	}
}

func observed(t testing.TB, s *Store) string {
	t.Helper()
	return strings.Join(query(t, s, "select path || ' ' || channel || extract(epoch from ts)::int8 - 1700000000 || '=' || value from observations order by 1"), ", ")
}

// While a file is loading nobody sees anything of it, nor misses anything that was
// seen before or comes meanwhile.
func TestALoadingFileIsNotSeen(t *testing.T) {
	s := open(t, Options{writeEvery: 1})
	sink := sinkOf(t, s, SinkOptions{})
	c, other := committerOf(t, sink), committerOf(t, sink)
	commit(t, other, testFile{path: "L1_old", modified: begin, readings: []testReading{{"flow", 1, 1, ""}, {"flow", 2, 1, ""}}})
	p := inParts(t, c, testFile{path: "L1_large", modified: begin + 5, readings: []testReading{{"flow", 2, 2, ""}, {"flow", 3, 2, ""}, {"flow", 4, 2, ""}, {"flow", 5, 2, ""}}}, 2)
	if o := p.claimed(); o.State != ingest.Loading {
		t.Fatalf("it is %s %s", o.State, o.Reason)
	}
	p.commitAll()
	const before = "L1_old flow1=1, L1_old flow2=1"
	if got := observed(t, s); got != before {
		t.Errorf("while it loads there is %s", got)
	}
	tellsNothing := func(of string, got, want any) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("while it loads, %s (-want +got):\n%s", of, diff)
		}
	}
	accounts, err := s.Why(t.Context(), "L1", "flow", time.Unix(begin+5, 0))
	if err != nil {
		t.Fatal(err)
	}
	tellsNothing("readings that stand where it has one", len(accounts[0].Standing), 0)
	tellsNothing("files that might have one there", len(accounts[0].Candidates), 1)
	st, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tellsNothing("the logger's last reading", st.Loggers[0].LastReading, time.Unix(begin+2, 0).UTC())
	tellsNothing("readings of the run", st.Runs[0].Readings, int64(2))
	written(t, s)
	query(t, s, "update marks set stale = true, anew = true")
	tellsNothing("how far the series is complete", query(t, s, watermarksSQL), []string{"L1|flow|2|2|1|0"})
	// One comes that it outranks, and one that outranks it.
	commit(t, other, testFile{path: "L1_lesser", modified: begin + 1, readings: []testReading{{"flow", 3, 3, ""}}}, testFile{path: "L1_greater", modified: begin + 9, readings: []testReading{{"flow", 4, 4, ""}}})
	if got, want := observed(t, s), "L1_greater flow4=4, L1_lesser flow3=3, "+before; got != want {
		t.Errorf("while it loads there is %s, want %s", got, want)
	}
	verify(t, s)
	if st := query(t, s, "select state::text from files where path = 'L1_large'"); st[0] != "loading" {
		t.Errorf("the ledger says it is %s", st)
	}
	o := p.finished()
	if want := (ingest.Cells{Total: 4, Stored: 1, Replaced: 2, Outranked: 1}); o.State != ingest.Loaded || o.Receipt.Cells != want {
		t.Errorf("it is %s with %+v, want %+v", o.State, o.Receipt.Cells, want)
	}
	if got, want := observed(t, s), "L1_greater flow4=4, L1_large flow2=2, L1_large flow3=2, L1_large flow5=2, L1_old flow1=1"; got != want {
		t.Errorf("in the end there is %s, want %s", got, want)
	}
	written(t, s)
	watermarks(t, s, "L1|flow|5|5|1|0")
	verify(t, s)
	nothingLoads(t, s)
}

// Parts are committed once by however many, and a file whose parts are there is
// only finished.
func TestPartsAreCommittedOnce(t *testing.T) {
	s := open(t, Options{})
	file := testFile{path: "L1_large", modified: begin, readings: []testReading{{"flow", 1, 1, ""}, {"flow", 2, 2, ""}, {"flow", 3, 3, ""}}}
	one, two := inParts(t, committerOf(t, sinkOf(t, s, SinkOptions{})), file, 1), inParts(t, committerOf(t, sinkOf(t, s, SinkOptions{})), file, 1)
	one.claimed()
	for _, n := range []int{2, 0} {
		if refused, err := one.commit(n); refused != "" || err != nil {
			t.Fatal(refused, err)
		}
	}
	if o := two.claimed(); o.State != ingest.Loading || !two.parts.Done[0] || two.parts.Done[1] || !two.parts.Done[2] {
		t.Fatalf("another finds it %s with parts %v", o.State, two.parts.Done)
	}
	two.parts.Done = nil
	two.commitAll()
	one.commitAll()
	if o := one.finished(); o.State != ingest.Loaded || o.Receipt.Cells != (ingest.Cells{Total: 3, Stored: 3}) {
		t.Errorf("it is %s with %+v", o.State, o.Receipt.Cells)
	}
	if o := two.finished(); o.State != ingest.Known || o.Standing != ingest.Loaded {
		t.Errorf("the other finds it %s, %s", o.State, o.Standing)
	}
	if o := two.claimed(); o.State != ingest.Known {
		t.Errorf("then it is %s", o.State)
	}
	verify(t, s)
}

// Corrections, commits, and parts of two sizes, all at once and of the same files
// that contradict one another: what stands in the end is what stood before.
func TestPartsAmongCorrections(t *testing.T) {
	rounds := 3
	if os.Getenv("PENSTOCK_SOAK") != "" {
		rounds = 60
	}
	for _, o := range []Options{{}, {Append: true}} {
		s := open(t, o)
		var sinks []*Sink
		for range 3 {
			sinks = append(sinks, sinkOf(t, s, SinkOptions{}))
		}
		random := rand.New(rand.NewPCG(10, 10))
		files := contradicting(random, 30, 20)
		commitAll(t, sinks, files, 3, 7)
		want := contents(t, s)
		for round := range rounds {
			var calls []func()
			for i := range 2 {
				chosen := selected(t, s, Selection{Pattern: fmt.Sprintf("L1_%d?", i+1)})
				calls = append(calls, func() {
					if _, err := s.Correct(context.Background(), Correction{Files: chosen, Read: reader(files, nil, nil)}); err != nil {
						t.Error(err)
					}
					if _, err := s.MarkDue(context.Background(), chosen, Action{Command: "retry"}); err != nil {
						t.Error(err)
					}
				})
			}
			for i, sink := range sinks {
				own, c := slices.Clone(files), committerOf(t, sink)
				random.Shuffle(len(own), func(i, j int) { own[i], own[j] = own[j], own[i] })
				calls = append(calls, func() {
					for _, f := range own {
						if i == 0 {
							commit(t, c, f)
						} else {
							inParts(t, c, f, 3*i).try()
						}
					}
				})
			}
			together(calls...)
			for _, f := range files {
				inParts(t, committerOf(t, sinks[0]), f, 4).load()
			}
			if diff := cmp.Diff(want, contents(t, s)); diff != "" {
				t.Fatalf("append %v, round %d:\n%s", o.Append, round, diff)
			}
			verify(t, s)
			nothingLoads(t, s)
		}
	}
}

// try loads it unless others give it up.
func (p *partial) try() {
	if o := p.claimed(); o.State != ingest.Loading {
		return
	}
	for n := range p.parts.Count {
		if p.parts.Done[n] {
			continue
		}
		switch refused, err := p.commit(n); {
		case errors.Is(err, ingest.ErrChanged):
			return
		case err != nil || refused != "":
			p.t.Error(refused, err)
			return
		}
	}
	if _, err := p.c.Finish(context.Background(), p.claim, p.parts); err != nil && !errors.Is(err, ingest.ErrChanged) {
		p.t.Error(err)
	}
}

// The connection is cut at each message while a file is claimed, its parts are
// committed and it is finished. It goes on, and ends as if nothing had been.
func TestConnectionCutWhileAFileIsLoading(t *testing.T) {
	for _, appendMode := range []bool{false, true} {
		t.Run(fmt.Sprintf("append=%v", appendMode), func(t *testing.T) {
			s, cutStore, p := openBehindProxy(t, appendMode)
			straight, c := committerOf(t, sinkOf(t, s, SinkOptions{})), committerOf(t, sinkOf(t, cutStore, SinkOptions{}))
			load := func(name string) (left []string, told string) {
				sc := scene{name: name}
				o := inParts(t, c, testFile{path: name + "_large", modified: begin + 5, readings: []testReading{
					{"flow", 2, 2, "q"}, {"flow", 3, 2, ""}, {"flow", 1, 2, ""}, {"flow", 3, 7, ""}, {"flow", 4, 2, ""}}}, 2).load()
				return sc.left(t, s), fmt.Sprintf("%s %d %+v", o.State, o.Generation, o.Receipt)
			}
			prepare := func(name string) {
				commit(t, straight, testFile{path: name + "_old", modified: begin, readings: []testReading{{"flow", 1, 1, ""}, {"flow", 2, 1, ""}}})
			}
			prepare("clean")
			p.arm(nil)
			left, told := load("clean")
			messages := p.arm(nil)
			step := 11
			switch {
			case os.Getenv("PENSTOCK_SOAK") != "":
				step = 1
			case underRace:
				step = 37
			}
			for _, w := range []wire{toServer, toClient} {
				for n := 0; n < messages[w]; n += step {
					name := fmt.Sprintf("%c%d", w[7], n)
					prepare(name)
					p.arm(func(at wire, i int, _ []byte) verdictOnMessage { return choose(at == w && i == n, cutBefore) })
					cutLeft, cutTold := load(name)
					if diff := cmp.Diff(left, cutLeft); diff != "" {
						t.Fatalf("cut at message %d %s:\n%s", n, w, diff)
					}
					if cutTold != told {
						t.Errorf("cut at message %d %s, told %s, want %s", n, w, cutTold, told)
					}
				}
			}
			verify(t, s)
			nothingLoads(t, s)
		})
	}
}

// Under error a file that contradicts others is quarantined whole, and theirs
// stay; so is one that the database refuses a part of.
func TestPartsOfAQuarantinedFile(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{Policy: Error}))
	commit(t, c, testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 2, 5, ""}}})
	o := inParts(t, c, testFile{path: "L1_b", modified: begin + 1, readings: []testReading{{"flow", 1, 1, ""}, {"flow", 2, 2, ""}, {"flow", 3, 3, ""}}}, 1).load()
	if o.State != ingest.Quarantined || !strings.Contains(o.Reason, "1 of its readings contradict") || o.Receipt.Cells != (ingest.Cells{Total: 3, Rejected: 3}) {
		t.Errorf("it is %s (%s) with %+v", o.State, o.Reason, o.Receipt.Cells)
	}
	agrees := inParts(t, c, testFile{path: "L1_c", modified: begin + 1, readings: []testReading{{"flow", 2, 5, ""}, {"flow", 3, 3, ""}}}, 1).load()
	if agrees.State != ingest.Loaded || agrees.Receipt.Cells != (ingest.Cells{Total: 2, Stored: 1, Unchanged: 1}) {
		t.Errorf("one that agrees is %s (%s) with %+v", agrees.State, agrees.Reason, agrees.Receipt.Cells)
	}
	wrong := inParts(t, c, testFile{path: "L1_d", modified: begin + 1, readings: []testReading{{"flow", 11, 5, ""}, {"flow", 12, 3, ""}}}, 1)
	wrong.claimed()
	if refused, err := wrong.commit(0); refused != "" || err != nil {
		t.Fatal(refused, err)
	}
	b := fill(&ingest.Batch{}, testFile{path: "L1_d", readings: []testReading{{"flow", 12, 3, "q\x00"}}})
	refused, err := wrong.c.CommitPart(t.Context(), ingest.Part{Of: wrong.parts, N: 1}, b)
	if err != nil || !strings.Contains(refused, "the database refuses it") {
		t.Fatalf("the database says %q, %v", refused, err)
	}
	wrong.parts.Refused = refused
	if o := wrong.finished(); o.State != ingest.Quarantined || o.Reason != refused {
		t.Errorf("it is %s: %s", o.State, o.Reason)
	}
	if got, want := observed(t, s), "L1_a flow2=5, L1_c flow3=3"; got != want {
		t.Errorf("there is %s, want %s", got, want)
	}
	verify(t, s)
	nothingLoads(t, s)
}

// A new generation in parts takes the place of the one before only when it is
// there, whichever way readings are kept.
func TestPartsOfANewGeneration(t *testing.T) {
	for _, o := range []Options{{}, {Append: true}} {
		s := open(t, o)
		c := committerOf(t, sinkOf(t, s, SinkOptions{}))
		commit(t, c, testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}, {"flow", 2, 1, ""}}})
		p := inParts(t, c, testFile{path: "L1_a", modified: begin + 1, readings: []testReading{{"flow", 1, 2, ""}, {"flow", 2, 2, ""}, {"flow", 1, 3, ""}, {"flow", 9, 9, ""}}}, 1)
		p.claimed()
		p.commitAll()
		if got, want := observed(t, s), "L1_a flow1=1, L1_a flow2=1"; got != want {
			t.Errorf("append %v: while it loads there is %s, want %s", o.Append, got, want)
		}
		if o := p.finished(); o.State != ingest.Loaded || o.Generation != 2 || o.Receipt.Cells.Repeated != 1 {
			t.Errorf("it is %s, generation %d, with %+v", o.State, o.Generation, o.Receipt.Cells)
		}
		if got, want := observed(t, s), "L1_a flow1=3, L1_a flow2=2, L1_a flow9=9"; got != want {
			t.Errorf("append %v: in the end there is %s, want %s", o.Append, got, want)
		}
		verify(t, s)
	}
}

// What a part counts while others store and put aside what it meets adds up by chance,
// too, only where it is right: a reading that another file's takes the place of
// meanwhile stays that other's.
func TestAPartMeetsWhatComesMeanwhile(t *testing.T) {
	s := open(t, Options{})
	sink := sinkOf(t, s, SinkOptions{})
	c, other := committerOf(t, sink), committerOf(t, sink)
	commit(t, other, testFile{path: "L1_old", modified: begin - 1, readings: []testReading{{"flow", 9, 9, ""}}})
	p := inParts(t, c, testFile{path: "L1_large", modified: begin, readings: []testReading{
		{"flow", 1, 1, ""}, {"flow", 4, 1, ""}, {"flow", 1, 2, ""}, {"flow", 2, 2, ""}}}, 2)
	p.claimed()
	if refused, err := p.commit(0); err != nil || refused != "" {
		t.Fatal(refused, err)
	}
	hold := func(sql string) pgx.Tx {
		t.Helper()
		tx, err := s.pool.Begin(t.Context())
		if err == nil {
			t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
			_, err = tx.Exec(t.Context(), sql)
		}
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}
	release := func(tx pgx.Tx) {
		t.Helper()
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	waits := func(what string) {
		t.Helper()
		waitFor(t, "a commit to wait for "+what, func() bool {
			return len(query(t, s, "select pid from pg_stat_activity where wait_event_type = 'Lock' and query like '%"+what+"%' and pid <> pg_backend_pid()")) == 1
		})
	}
	sink.meetings.met(false)
	ledger := hold("lock table files in share row exclusive mode") // what a commit comes to after its readings
	arrives := hold("insert into readings (series_id, ts, value, file_id) select series_id, ts - interval '7 s', 9, file_id from readings where value = 9")
	done := make(chan error, 2)
	go func() {
		_, err := other.Commit(context.Background(), fill(&ingest.Batch{}, testFile{path: "L1_small", modified: begin + 1, readings: []testReading{{"flow", 1, 7, "q"}}}))
		done <- err
	}()
	waits("copy files")
	go func() {
		refused, err := p.commit(1)
		if refused != "" {
			err = errors.New(refused)
		}
		done <- err
	}()
	waits("with own as")
	release(ledger)
	waits("with added as")
	release(arrives)
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if got, want := observed(t, s), "L1_old flow2=9, L1_old flow9=9, L1_small flow1=7"; got != want {
		t.Errorf("while it loads there is %s, want %s", got, want)
	}
	if got := strings.Join(query(t, s, "select value from waiting order by ts"), " "); got != "2 2" {
		t.Errorf("of it there wait %s, want its last lines", got)
	}
	if got, want := p.finished().Receipt.Cells, (ingest.Cells{Total: 4, Repeated: 1, Stored: 1, Replaced: 1, Outranked: 1}); got != want {
		t.Errorf("in the end it has %+v, want %+v", got, want)
	}
}

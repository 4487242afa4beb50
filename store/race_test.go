package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

// Three processes over one folder, each with its own chunks and order: every
// reading is there once, and what stands is what one process alone leaves.
func TestThreeSinksOverOneFolder(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	files := contradictingFiles(random, 150)
	for _, policy := range []Policy{Latest, Earliest} {
		clean := open(t, Options{})
		commitAll(t, []*Sink{sinkOf(t, clean, SinkOptions{Policy: policy})}, files, 1, 1000)
		want := contents(t, clean)

		s := open(t, Options{})
		var wg sync.WaitGroup
		for _, chunk := range []int{1, 13, 150} {
			own := slices.Clone(files)
			random.Shuffle(len(own), func(i, j int) { own[i], own[j] = own[j], own[i] })
			sink := sinkOf(t, s, SinkOptions{Policy: policy})
			wg.Go(func() { commitAll(t, []*Sink{sink}, own, 2, chunk) })
		}
		wg.Wait()
		if diff := cmp.Diff(want, contents(t, s)); diff != "" {
			t.Errorf("%s (-one process +three):\n%s", policy, diff)
		}
		verify(t, s)
	}
}

// together calls all at once and waits for them.
func together(calls ...func()) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for _, f := range calls {
		wg.Go(func() { <-start; f() })
	}
	close(start)
	wg.Wait()
}

// The same content under several names, and several contents under one name,
// committed at the same moment.
func TestSimultaneousClaims(t *testing.T) {
	s := open(t, Options{})
	sink := sinkOf(t, s, SinkOptions{})
	var committers []ingest.Committer
	for range 4 {
		committers = append(committers, committerOf(t, sink))
	}
	for round := range 20 {
		logger := fmt.Sprintf("L%d", round)
		var calls []func()
		for i, c := range committers {
			same := testFile{path: fmt.Sprintf("%s_copy%d", logger, i), modified: begin + int64(i), readings: []testReading{{"flow", 1, 1, ""}, {"flow", 2, 1, ""}}}
			other := testFile{path: logger + "_path", modified: begin, readings: []testReading{{"level", int64(i), float64(i), ""}}}
			calls = append(calls, func() {
				if _, err := c.Commit(context.Background(), fill(&ingest.Batch{}, same, other)); err != nil {
					t.Error(err)
				}
			})
		}
		together(calls...)
	}
	want := []string{"copy|duplicate|60", "copy|loaded|20", "path|loaded|80"}
	if diff := cmp.Diff(want, query(t, s, `select substring(path from '_(copy|path)'), state::text, count(*) from files group by 1, 2 order by 1, 2`)); diff != "" {
		t.Error(diff)
	}
	want = []string{"20|40|_copy3"}
	if diff := cmp.Diff(want, query(t, s, `select count(distinct file_id), count(*), string_agg(distinct substring(path from '_.*'), ',')
		from readings r join files f on f.id = r.file_id where path like '%copy%'`)); diff != "" {
		t.Error(diff)
	}
	if got := query(t, s, "select count(*) from files where path like '%path' and generation between 1 and 4"); got[0] != "80" {
		t.Errorf("%s generations, want 4 of each of 20 paths", got[0])
	}
	verify(t, s)
}

// A process that fetched a path before another did, and commits after it, does
// not bring old content back.
func TestStaleFetchIsNotANewGeneration(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	newer := testFile{path: "L1_a", modified: begin + 1, readings: []testReading{{"flow", 1, 2, ""}}}
	commit(t, c, newer)
	b := fill(&ingest.Batch{}, testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}})
	b.Spans[0].Fetched--
	outcomes, err := c.Commit(t.Context(), b)
	if err != nil || outcomes[0].State != ingest.Changed {
		t.Fatalf("a stale fetch is %+v, %v", outcomes, err)
	}
	if diff := cmp.Diff([]string{"L1|flow|1|2|<nil>|L1_a"}, query(t, s, observationsSQL)); diff != "" {
		t.Error(diff)
	}
	verify(t, s)
}

// contradicting returns files that contradict one another on each of so many instants.
func contradicting(random *rand.Rand, n, instants int) (files []testFile) {
	for i := range n {
		f := testFile{path: fmt.Sprintf("L1_%d", i), modified: begin + random.Int64N(5)}
		for _, at := range random.Perm(instants) {
			f.readings = append(f.readings, testReading{[]string{"flow", "level"}[at%2], int64(at), float64(i), ""})
		}
		files = append(files, f)
	}
	return files
}

// Several committers, and corrections among them, over files that contradict
// one another on every instant: all get on, in the end.
func TestNobodyStarves(t *testing.T) {
	rounds := 3
	if os.Getenv("PENSTOCK_SOAK") != "" {
		rounds = 100
	}
	s := open(t, Options{})
	var sinks []*Sink
	for range 4 {
		sinks = append(sinks, sinkOf(t, s, SinkOptions{}))
	}
	random := rand.New(rand.NewPCG(9, 9))
	files := contradicting(random, 60, 40)
	commitAll(t, sinks, files, 4, 7)
	want := query(t, s, observationsSQL)
	for range rounds {
		var calls []func()
		for i := range 2 {
			sel := Selection{Pattern: fmt.Sprintf("L1_%d?", 2*i+1)}
			chosen := selected(t, s, sel)
			calls = append(calls, func() {
				if _, err := s.Correct(context.Background(), Correction{Files: chosen, Read: reader(files, nil, nil)}); err != nil {
					t.Error(err)
				}
				if _, err := s.MarkDue(context.Background(), chosen, Action{Command: "retry"}); err != nil {
					t.Error(err)
				}
				for v, err := range s.Files(context.Background(), sel) {
					if err != nil || v.State != ingest.Due && v.State != ingest.Loaded {
						t.Errorf("%s is %s, %v", v.Path, v.State, err)
					}
				}
			})
		}
		for _, sink := range sinks[:2] {
			own := slices.Clone(files)
			random.Shuffle(len(own), func(i, j int) { own[i], own[j] = own[j], own[i] })
			calls = append(calls, func() { commitAll(t, []*Sink{sink}, own, 1, 5) })
		}
		together(calls...)
		commitAll(t, sinks, files, 2, 11)
		if diff := cmp.Diff(want, query(t, s, observationsSQL)); diff != "" {
			t.Fatalf("after undo and retry among commits:\n%s", diff)
		}
		verify(t, s)
	}
}

// A deadlock and a lock that is not had in time are no errors.
func TestDeadlockAndLockTimeoutAreRetried(t *testing.T) {
	s := open(t, Options{settings: map[string]string{"lock_timeout": "100ms"}})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	_, err := s.pool.Exec(t.Context(), `create sequence tries; create function fail() returns trigger language plpgsql as
		$$ begin case nextval('tries') when 2 then raise exception 'one' using errcode = '40P01'; when 5 then raise exception 'two' using errcode = '40001';
		else null; end case; return new; end $$;
		create trigger fail before insert on readings for each row execute function fail()`)
	if err != nil {
		t.Fatal(err)
	}
	commit(t, c, fiftyFiles()...)
	lock, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Rollback(context.WithoutCancel(t.Context()))
	if _, err := lock.Exec(t.Context(), "lock table readings in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := c.Commit(context.Background(), fill(&ingest.Batch{}, testFile{path: "L9_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}}))
		done <- err
	}()
	// It waits, loses patience, and waits again on another connection.
	waiting := func() string {
		return fmt.Sprint(query(t, s, "select pid from pg_locks where not granted"))
	}
	waitFor(t, "the commit to wait", func() bool { return waiting() != "[]" })
	first := waiting()
	waitFor(t, "the commit to try again", func() bool { w := waiting(); return w != "[]" && w != first })
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := query(t, s, "select count(*) from readings"); got[0] != "101" {
		t.Errorf("%s readings, want 101", got[0])
	}
	verify(t, s)
}

// A fetch by a clock that was ahead does not keep what comes later away.
func TestClockThatWasAhead(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	year := int64(365 * 86400e6)
	b := fill(&ingest.Batch{}, testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}})
	b.Spans[0].Fetched, b.Spans[0].FirstFetched = ingest.Micros(time.Now())+year, ingest.Micros(time.Now())+year
	if _, err := c.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	b = fill(&ingest.Batch{}, testFile{path: "L1_a", modified: begin + 100, readings: []testReading{{"flow", 1, 1, ""}, {"flow", 2, 2, ""}}})
	b.Spans[0].Fetched, b.Spans[0].FirstFetched = ingest.Micros(time.Now()), ingest.Micros(time.Now())
	o, err := c.Commit(t.Context(), b)
	if err != nil || o[0].State != ingest.Loaded {
		t.Errorf("the next version of the path is %s (%s), %v", o[0].State, o[0].Reason, err)
	}
}

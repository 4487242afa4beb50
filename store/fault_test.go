package store

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

// fiftyFiles makes a chunk of files that do not contradict one another.
func fiftyFiles() []testFile {
	var files []testFile
	for i := range 50 {
		files = append(files, testFile{path: fmt.Sprintf("L%d_%d", i%7, i), modified: begin + int64(i),
			readings: []testReading{{"flow", int64(i), float64(i), ""}, {"level", int64(i), 1, "good"}}})
	}
	return files
}

// What the database refuses is the fault of one file. It is quarantined, with
// the reason, and what else is in the chunk is loaded.
func TestRefusedFileStandsAlone(t *testing.T) {
	long := make([]byte, 6000)
	for i, random := 0, rand.New(rand.NewPCG(1, 1)); i < len(long); i++ {
		long[i] = byte('!' + random.IntN(90)) // does not compress to where an index could hold it
	}
	cases := []struct {
		name, ddl string
		bad       testReading
		time      int64 // of the bad reading, in microseconds; 0 to leave it
		reason    string
	}{
		{"check", "alter table readings add constraint plausible check (value < 1e6)", testReading{"flow", 1, 1e7, ""}, 0, "23514"},
		{"trigger", `create function refuse() returns trigger language plpgsql as
			$$ begin if new.value >= 1e6 then raise exception 'too much water' using errcode = '22003'; end if; return new; end $$;
			create trigger refuse before insert on readings for each row execute function refuse()`, testReading{"flow", 1, 1e7, ""}, 0, "too much water"},
		{"NUL in quality", "", testReading{"flow", 1, 1, "a\x00b"}, 0, "22021"},
		{"invalid UTF-8 in quality", "", testReading{"flow", 1, 1, "a\xffb"}, 0, "22021"},
		{"NUL in channel", "", testReading{"flow\x00", 1, 1, ""}, 0, "22021"},
		{"invalid UTF-8 in channel", "", testReading{"fl\xc3\x28ow", 1, 1, ""}, 0, "22021"},
		{"channel too long for an index", "", testReading{string(long), 1, 1, ""}, 0, "54000"},
		{"before the database's first instant", "", testReading{"flow", -300_000_000_000, 1, ""}, 0, "range"},
		{"an instant that wraps", "", testReading{"flow", 1, 1, ""}, math.MinInt64 + 1, "range"},
		{"minus infinity", "", testReading{"flow", 1, 1, ""}, math.MinInt64 + postgresEpoch, "range"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t, Options{})
			if tc.ddl != "" {
				if _, err := s.pool.Exec(t.Context(), tc.ddl); err != nil {
					t.Fatal(err)
				}
			}
			files := fiftyFiles()
			files[31].readings = append(files[31].readings, tc.bad)
			b := fill(&ingest.Batch{}, files...)
			if tc.time != 0 {
				b.Time[b.Spans[31].End-1] = tc.time
			}
			outcomes, err := committerOf(t, sinkOf(t, s, SinkOptions{})).Commit(t.Context(), b)
			if err != nil {
				t.Fatal(err)
			}
			for i, o := range outcomes {
				if err := o.Receipt.Balance(); err != nil {
					t.Error(err)
				}
				switch {
				case i == 31 && (o.State != ingest.Quarantined || !strings.Contains(o.Reason, tc.reason) || o.Receipt.Cells.Rejected != 3):
					t.Errorf("the bad file is %s (%s), %+v; want it quarantined with %q", o.State, o.Reason, o.Receipt.Cells, tc.reason)
				case i != 31 && o.State != ingest.Loaded:
					t.Errorf("%s is %s: %s", o.File.Path, o.State, o.Reason)
				}
			}
			if got := query(t, s, "select count(*), count(distinct file_id) from readings"); got[0] != "98|49" {
				t.Errorf("readings and their files are %s, want 98|49", got[0])
			}
			verify(t, s)
		})
	}
}

// A label is only for reading: one that the database would not take is no
// reason to refuse the files that share the batch's series.
func TestLabelIsNeverRefused(t *testing.T) {
	s := open(t, Options{})
	b := &ingest.Batch{}
	b.SeriesOf([]byte("L1"), []byte("flow"), nil, []byte("Fl\x00\xffow"))
	outcomes, err := committerOf(t, sinkOf(t, s, SinkOptions{})).Commit(t.Context(), fill(b, testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}}))
	if err != nil || outcomes[0].State != ingest.Loaded {
		t.Fatalf("a file whose label holds a NUL: %v, %+v", err, outcomes)
	}
}

// File systems and archives hold times that no database can. They are no
// reason to refuse a file, let alone to stop.
func TestImpossibleFileTimesAreKeptInRange(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	b := fill(&ingest.Batch{}, fiftyFiles()...)
	b.Spans[0].File.Modified, b.Spans[1].File.Modified = math.MinInt64, math.MinInt64+postgresEpoch
	b.Spans[2].File.Modified, b.Spans[3].NameTime = math.MaxInt64, math.MinInt64+1
	b.Spans[4].Fetched, b.Spans[4].FirstFetched = math.MinInt64+1, math.MinInt64+1
	outcomes, err := c.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range outcomes {
		if o.State != ingest.Loaded {
			t.Errorf("%s is %s: %s", o.File.Path, o.State, o.Reason)
		}
	}
	if got := query(t, s, "select count(*) from files where rank_time = '-infinity' or rank_time > '2100-01-01' and path <> 'L2_2' or modified = '-infinity'"); got[0] != "0" {
		t.Errorf("%s files have a time that wrapped", got[0])
	}
	for v, err := range s.Files(t.Context(), Selection{}) {
		if err != nil {
			t.Fatalf("after %s: %v", v.Display, err)
		}
	}
	verify(t, s)
}

// Several culprits in one chunk are each found, and a chunk that holds nothing
// else still balances.
func TestSeveralRefusedFiles(t *testing.T) {
	s := open(t, Options{})
	files := fiftyFiles()
	for _, i := range []int{0, 1, 17, 48, 49} {
		files[i].readings = append(files[i].readings, testReading{"flow", 99, 1, "\x00"})
	}
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	commit(t, c, files...)
	commit(t, c, files[0], files[1])
	want := []string{"loaded|45", "quarantined|5"}
	if diff := cmp.Diff(want, query(t, s, "select state::text, count(*) from files group by 1 order by 1")); diff != "" {
		t.Error(diff)
	}
	verify(t, s)
}

// A commit that is refused in its middle leaves the connection fit for the
// next one, and no temporary table behind.
func TestRefusedCommitLeavesNothingBehind(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	for i := range 5 {
		f := testFile{path: fmt.Sprintf("L1_%d", i), modified: begin, readings: []testReading{{"flow", 1, float64(i), "\x00"}}}
		commit(t, c, f)
		f.path, f.readings = f.path+"good", []testReading{{"flow", 1, float64(i), ""}}
		commit(t, c, f)
	}
	if got := query(t, s, "select count(*) from pg_class where relpersistence = 't' and relkind = 'r'"); got[0] > "1" {
		t.Errorf("%s temporary tables are there for one connection, want at most 1", got[0])
	}
	c.Close()
	s.connections.close()
	waitFor(t, "the temporary table to go with its connection", func() bool {
		return query(t, s, "select count(*) from pg_class where relpersistence = 't' and relkind = 'r'")[0] == "0"
	})
}

// A context that ends stops a commit, whatever it is at, and nothing of it
// stays.
func TestCommitStopsWithItsContext(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	lock, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Rollback(context.WithoutCancel(t.Context()))
	if _, err := lock.Exec(t.Context(), "lock table readings in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := c.Commit(ctx, fill(&ingest.Batch{}, fiftyFiles()...))
		done <- err
	}()
	waitFor(t, "the commit to wait for the lock", func() bool {
		return query(t, s, "select count(*) from pg_locks where not granted")[0] != "0"
	})
	cancel()
	if err := <-done; err == nil {
		t.Error("a commit whose context ended returned no error")
	}
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	commit(t, c, fiftyFiles()...)
	if got := query(t, s, "select count(*) from readings"); got[0] != "100" {
		t.Errorf("%s readings, want 100", got[0])
	}
	verify(t, s)
}

// waitFor asks again until the condition holds, and fails when it does not
// come to hold before the test's patience ends.
func waitFor(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for range 2000 {
		if holds() {
			return
		}
		_ = sleep(t.Context(), 5e6)
	}
	t.Fatalf("waited in vain for %s", what)
}

package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
	"penstock/store/pglocal/pgtest"
)

// countStatements has the table readings count the statements that insert into it
// and those that update it, whether they succeed or not. It returns how many there
// were since the last call.
func countStatements(t *testing.T, s *Store) func() (inserts, updates int64) {
	t.Helper()
	_, err := s.pool.Exec(t.Context(), `create sequence inserts; create sequence updates;
		create function note_statement() returns trigger language plpgsql as $$ begin perform nextval(lower(tg_op) || 's'); return null; end $$;
		create trigger count before insert or update on readings for each statement execute function note_statement()`)
	if err != nil {
		t.Fatal(err)
	}
	return func() (inserts, updates int64) {
		t.Helper()
		err := s.pool.QueryRow(t.Context(), `select nextval('inserts') - 1, nextval('updates') - 1, setval('inserts', 1, false), setval('updates', 1, false)`).Scan(&inserts, &updates, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return inserts, updates
	}
}

// window is a file of a logger's flow at the instants from one to before another,
// with values that tell the file.
func window(logger string, n, from, to int64) testFile {
	f := testFile{path: fmt.Sprintf("%s_%d", logger, n), modified: begin + n}
	for at := from; at < to; at++ {
		f.readings = append(f.readings, testReading{"flow", at, float64(n), ""})
	}
	return f
}

// What the readings of a source meet is learnt once for all its committers, and
// forgotten when they meet no more. Other sources do not learn from it.
func TestMeetingsOfASource(t *testing.T) {
	s := open(t, Options{})
	sink, other := sinkOf(t, s, SinkOptions{}), sinkOf(t, s, SinkOptions{Source: "others"})
	one, two, others := committerOf(t, sink), committerOf(t, sink), committerOf(t, other)
	statements := countStatements(t, s)
	next := int64(0)
	// A chunk that meets some of what the one before brought, or goes on after it.
	chunk := func(c ingest.Committer, meets bool, want int64, what string) {
		t.Helper()
		from := 10 * next
		if meets {
			from -= 5
		}
		next++
		o := commit(t, c, window("L1", next, from, 10*next))
		if replaced := o[0].Receipt.Cells.Replaced; replaced > 0 != meets {
			t.Errorf("%s: %d readings were replaced", what, replaced)
		}
		if inserts, updates := statements(); inserts != want || updates != 0 {
			t.Errorf("%s: %d statements inserted readings and %d updated some, want %d and none", what, inserts, updates, want)
		}
	}
	chunk(one, false, 1, "the first")
	chunk(one, true, 2, "the first that meets some") // a COPY that fails, and one that does not
	chunk(one, true, 1, "the next one")
	chunk(two, true, 1, "another committer's")
	chunk(others, true, 2, "another source's")
	for range stageFor {
		chunk(two, false, 1, "one that meets none")
	}
	chunk(one, true, 2, "one after many that met none")
	for range stageFor + 2 {
		chunk(one, true, 1, "one of many that meet some")
	}
	verify(t, s)
}

// What is replaced as a whole, and what is settled reading by reading, leaves what
// it should, and receipts that say so.
func TestReplacing(t *testing.T) {
	at := func(n int64, instants ...int64) testFile {
		f := window("L1", n, 0, 0)
		for _, i := range instants {
			f.readings = append(f.readings, testReading{"flow", i, float64(n), ""})
		}
		return f
	}
	for _, tc := range []struct {
		name     string
		policy   Policy
		there    []testFile
		sent     []testFile
		cells    []ingest.Cells
		stands   string // which file's value, by instant
		replaced bool   // as a whole
	}{
		{"half", Latest, []testFile{window("L1", 1, 0, 6)}, []testFile{window("L1", 2, 3, 9)},
			[]ingest.Cells{{Total: 6, Stored: 3, Replaced: 3}}, "111222222", true},
		{"all, of several files", Latest, []testFile{window("L1", 1, 0, 3), window("L1", 2, 3, 6)}, []testFile{window("L1", 3, 0, 4), window("L1", 4, 4, 6)},
			[]ingest.Cells{{Total: 4, Replaced: 4}, {Total: 2, Replaced: 2}}, "333344", true},
		{"gaps are filled", Latest, []testFile{at(1, 0, 2, 4)}, []testFile{window("L1", 2, 0, 6)},
			[]ingest.Cells{{Total: 6, Stored: 3, Replaced: 3}}, "222222", true},
		{"between them stands what is not sent", Latest, []testFile{window("L1", 1, 0, 6)}, []testFile{at(2, 1, 2, 4, 7)},
			[]ingest.Cells{{Total: 4, Stored: 1, Replaced: 3}}, "122121 2", false},
		{"as many, at other instants", Latest, []testFile{at(1, 0, 1, 3)}, []testFile{at(2, 0, 2, 3, 4)},
			[]ingest.Cells{{Total: 4, Stored: 2, Replaced: 2}}, "21222", false},
		{"nothing is met", Latest, []testFile{at(1, 9)}, []testFile{window("L1", 2, 0, 3)},
			[]ingest.Cells{{Total: 3, Stored: 3}}, "222      1", true},
		{"what is there is later", Latest, []testFile{window("L1", 2, 0, 6)}, []testFile{window("L1", 1, 3, 9)},
			[]ingest.Cells{{Total: 6, Stored: 3, Outranked: 3}}, "222222111", false},
		{"some is later", Latest, []testFile{window("L1", 1, 0, 3), window("L1", 3, 3, 6)}, []testFile{window("L1", 2, 0, 8)},
			[]ingest.Cells{{Total: 8, Stored: 2, Replaced: 3, Outranked: 3}}, "22233322", false},
		{"the earliest stands", Earliest, []testFile{window("L1", 1, 0, 6)}, []testFile{window("L1", 2, 3, 9)},
			[]ingest.Cells{{Total: 6, Stored: 3, Outranked: 3}}, "111111222", false},
		{"an earlier one stands", Earliest, []testFile{window("L1", 2, 0, 6)}, []testFile{window("L1", 1, 3, 9)},
			[]ingest.Cells{{Total: 6, Stored: 3, Replaced: 3}}, "222111111", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t, Options{})
			sink := sinkOf(t, s, SinkOptions{Policy: tc.policy})
			c := committerOf(t, sink)
			commit(t, c, tc.there...)
			sink.meetings.met(false)
			statements := countStatements(t, s)
			for i, o := range commit(t, c, tc.sent...) {
				if diff := cmp.Diff(tc.cells[i], o.Receipt.Cells); diff != "" {
					t.Errorf("file %d (-want +got):\n%s", i, diff)
				}
			}
			if _, updates := statements(); updates == 0 != tc.replaced {
				t.Errorf("%d statements updated readings", updates)
			}
			stands := []byte{}
			for _, row := range query(t, s, "select extract(epoch from ts)::int8 - 1700000000, value from readings order by ts") {
				var at int
				var by byte
				if _, err := fmt.Sscanf(row, "%d|%c", &at, &by); err != nil {
					t.Fatal(err)
				}
				for len(stands) < at {
					stands = append(stands, ' ')
				}
				stands = append(stands, by)
			}
			if string(stands) != tc.stands {
				t.Errorf("of the files stand %q, want %q", stands, tc.stands)
			}
			verify(t, s)
		})
	}
}

// A reading that another transaction stores while a chunk is stored that looked
// before that is met all the same.
func TestReadingsStoredMeanwhile(t *testing.T) {
	s := open(t, Options{})
	sink := sinkOf(t, s, SinkOptions{})
	c := committerOf(t, sink)
	commit(t, c, window("L1", 1, 0, 3))
	sink.meetings.met(false)
	tx, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	_, err = tx.Exec(t.Context(), `insert into readings (series_id, ts, value, file_id) select series_id, ts + interval '3 s', 1, file_id from readings order by ts limit 1`)
	if err == nil {
		_, err = tx.Exec(t.Context(), `update receipts set stored = stored + 1, cells = cells + 1`) // as if it had been in the file
	}
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := c.Commit(context.Background(), fill(&ingest.Batch{}, window("L1", 2, 1, 6)))
		done <- err
	}()
	waitFor(t, "the chunk to wait for the other transaction", func() bool {
		return len(query(t, s, "select pid from pg_locks where not granted")) > 0
	})
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1|1", "2|5"}, query(t, s, "select value, count(*) from readings group by value order by value")); diff != "" {
		t.Error(diff)
	}
	verify(t, s)
}

// Windows that roll on, of several loggers with gaps now and then, by several
// processes at once, which have their chunks in any order: of each instant the latest
// stands that has it.
func TestRollingWindows(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	var files []testFile
	want := make(map[string]float64)
	for n := range int64(90) {
		f := window(fmt.Sprintf("L%d", n%4), n, n, n+20)
		if n%7 == 0 {
			i := random.IntN(len(f.readings))
			f.readings = slices.Delete(f.readings, i, min(i+3, len(f.readings)))
		}
		for _, r := range f.readings {
			want[fmt.Sprintf("L%d|%d", n%4, r.time)] = r.value
		}
		files = append(files, f)
	}
	for _, shuffled := range []bool{false, true} {
		s := open(t, Options{})
		var wg sync.WaitGroup
		for _, chunk := range []int{2, 9, 90} {
			own := slices.Clone(files)
			if shuffled {
				random.Shuffle(len(own), func(i, j int) { own[i], own[j] = own[j], own[i] })
			}
			sink := sinkOf(t, s, SinkOptions{})
			wg.Go(func() { commitAll(t, []*Sink{sink}, own, 2, chunk) })
		}
		wg.Wait()
		got := make(map[string]float64)
		for _, row := range query(t, s, "select logger || ' ' || extract(epoch from ts)::int8 - 1700000000, value from observations") {
			var logger string
			var at int64
			var value float64
			if _, err := fmt.Sscanf(row, "%s %d|%g", &logger, &at, &value); err != nil {
				t.Fatal(row, err)
			}
			got[fmt.Sprintf("%s|%d", logger, at)] = value
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("shuffled: %v (-want +got):\n%s", shuffled, diff)
		}
		verify(t, s)
	}
}

// What readings meet is looked up in the key, and not by reading all of a table that is
// larger than they are.
func TestMeetingsInALargeTable(t *testing.T) {
	for _, policy := range []Policy{Latest, Error} {
		url := pgtest.Database(t)
		opened := func() *Store {
			t.Helper()
			s, err := Open(t.Context(), url, Options{Create: true, untold: true}) // the marks are looked up, too
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			return s
		}
		first, s, after := opened(), opened(), opened()
		commit(t, committerOf(t, sinkOf(t, first, SinkOptions{})), window("L1", 9, 0, 1))
		for _, sql := range []string{
			"insert into readings (series_id, ts, value, file_id) select series_id, ts + n * interval '1 s', value, file_id from readings, generate_series(1, 200000) n",
			"update files set n_cells = n_cells + 200000, n_stored = n_stored + 200000, span_last = span_last + interval '200000 s'",
			"analyze readings",
		} {
			if _, err := first.pool.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		first.Close()
		sink := sinkOf(t, s, SinkOptions{Policy: policy})
		sink.meetings.met(false)
		f := window("L1", 1, 0, 10_000)
		for i := range f.readings {
			f.readings[i].time, f.readings[i].value = int64(20*i), 9
		}
		if o := commit(t, committerOf(t, sink), f); o[0].Receipt.Cells.Unchanged != 10_000 {
			t.Errorf("%s: it has %+v", policy, o[0].Receipt.Cells)
		}
		s.Close() // a session tells what it did when it ends
		const sessions = "select 1 from pg_stat_activity where backend_type = 'client backend' and datname = current_database() and pid <> pg_backend_pid()"
		waitFor(t, "the sessions to end", func() bool { return len(query(t, after, sessions)) == 0 })
		read := query(t, after, "select seq_tup_read + idx_tup_fetch < 100000, seq_tup_read + idx_tup_fetch from pg_stat_user_tables where relname = 'readings'")
		if !strings.HasPrefix(read[0], "true") {
			t.Errorf("%s: of the table were read few rows: %s", policy, read[0])
		}
		verify(t, after)
	}
}

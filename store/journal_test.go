package store

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"penstock/ingest"
	"penstock/store/pglocal/pgtest"
)

// tell collects what a journal tells: the files by their paths and states, and the
// channels.
func tell(t *testing.T, j *Journal) (told []string, mark []byte) {
	t.Helper()
	_, err := j.Tell(t.Context(), func(doc []byte) error {
		if IsMark(doc) {
			mark = slices.Clone(doc)
		}
		var d struct {
			File   struct{ Path, State, Pack string } `json:"file"`
			Series struct{ Channel string }           `json:"series"`
		}
		if err := json.Unmarshal(doc, &d); err != nil {
			return err
		}
		if d.File.Path != "" {
			told = append(told, strings.TrimSpace(d.File.Path+" "+d.File.State+" "+d.File.Pack))
		}
		if d.Series.Channel != "" {
			told = append(told, "series "+d.Series.Channel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(told)
	return told, mark
}

func expectTold(t *testing.T, j *Journal, want string) (mark []byte) {
	t.Helper()
	told, mark := tell(t, j)
	if got := strings.Join(told, ", "); got != want {
		t.Errorf("told of %q, want %q", got, want)
	}
	return mark
}

func journalOf(t *testing.T, s *Store, mark []byte) *Journal {
	t.Helper()
	j, err := s.Journal(t.Context(), mark)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// A journal tells each change once, also one whose transaction began before
// others were told and ended after, and was another role's; and goes on from a
// mark.
func TestJournal(t *testing.T) {
	address := pgtest.Database(t)
	admin, err := Open(t.Context(), address, Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	s := loaderOf(t, admin, address)
	c := committerOf(t, sinkOf(t, s, SinkOptions{Source: "site"}))
	j := journalOf(t, s, nil)
	commit(t, c, testFile{path: "a", readings: []testReading{{"flow", 1, 1, ""}}}, testFile{path: "b", readings: []testReading{{"flow", 2, 1, ""}}})
	expectTold(t, j, "a loaded, b loaded, series flow, series flow")
	if mark := expectTold(t, j, ""); mark != nil {
		t.Error("there is a mark though nothing changed")
	}

	late, err := admin.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := late.Exec(t.Context(), "update files set state = 'undone', "+changedNow+" where path = 'a'"); err != nil {
		t.Fatal(err)
	}
	commit(t, c, testFile{path: "c", readings: []testReading{{"flow", 3, 1, ""}}})
	mark := expectTold(t, j, "c loaded, series flow")
	if err := late.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectTold(t, j, "a undone")
	expectTold(t, j, "")

	// Another process goes on from the mark, and misses nothing.
	other := journalOf(t, s, mark)
	expectTold(t, other, "a undone, series flow, series flow, series flow")
	if other.Other {
		t.Error("its own ledger is said to be another")
	}
	all := journalOf(t, s, []byte(`{"mark":{"ledger":"of another database","snapshot":"9:9:"}}`))
	expectTold(t, all, "a undone, b loaded, c loaded, series flow, series flow, series flow")
	if !all.Other {
		t.Error("it is not said that the mark is of another ledger")
	}
	// A server that was set back to an earlier day has transactions of these
	// numbers again, which did other things.
	var ahead document
	if err := json.Unmarshal(mark, &ahead); err != nil {
		t.Fatal(err)
	}
	ahead.Mark.Snapshot = "9000000:9000000:"
	mark, err = json.Marshal(ahead)
	if err != nil {
		t.Fatal(err)
	}
	back := journalOf(t, s, mark)
	expectTold(t, back, "a undone, b loaded, c loaded, series flow, series flow, series flow")
}

// Who only reads does not keep a journal from being done with what it told.
func TestJournalBesideAReader(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{Source: "site"}))
	reader, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Rollback(t.Context())
	if _, err := reader.Exec(t.Context(), "select count(*) from runs"); err != nil {
		t.Fatal(err)
	}
	j := journalOf(t, s, nil)
	for _, path := range []string{"L_a", "L_b", "L_c"} {
		before := j.until.next
		commit(t, c, testFile{path: path, readings: []testReading{{"flow", int64(path[2]), 1, ""}}})
		// PostgreSQL's own transactions, in any of the server's databases, are open for
		// a moment; the reader's stays.
		waitFor(t, "the journal to be done with "+path, func() bool {
			tell(t, j)
			return len(j.until.open) == 0 && j.until.next > before
		})
	}
}

// A series of a transaction that took long is told, however many came meanwhile.
func TestJournalTellsSeriesThatAreCommittedLate(t *testing.T) {
	s := open(t, Options{})
	j := journalOf(t, s, nil)
	add := func(do interface {
		Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
	}, channel string) {
		t.Helper()
		if _, err := do.Exec(t.Context(), "insert into series (logger, channel, unit, label) values ('L', $1, '', '')", channel); err != nil {
			t.Fatal(err)
		}
	}
	long, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	add(long, "late")
	query(t, s, "select setval(pg_get_serial_sequence('series', 'id'), 5000)")
	add(s.pool, "early")
	expectTold(t, j, "series early")
	if err := long.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectTold(t, j, "series late")
	expectTold(t, j, "")
}

// So is one of a transaction that no snapshot told of, for none had ended that
// began after it.
func TestJournalTellsSeriesOfTheLastTransaction(t *testing.T) {
	s := open(t, Options{})
	j := journalOf(t, s, nil)
	expectTold(t, j, "")
	first, last := beginTx(t, s), beginTx(t, s)
	doIn(t, first, "select pg_current_xact_id()")
	doIn(t, last, "insert into series (logger, channel, unit, label) values ('L', 'last', '', '')")
	doIn(t, first, "select setval(pg_get_serial_sequence('series', 'id'), 5000)")
	doIn(t, first, "insert into series (logger, channel, unit, label) values ('L', 'first', '', '')")
	if err := first.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectTold(t, j, "series first")
	expectTold(t, j, "")
	if err := last.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectTold(t, j, "series last")
	expectTold(t, j, "")
}

// So is one of a transaction that ends while the journal looks which are open.
func TestJournalTellsSeriesOfATransactionThatEndsAmidItsLook(t *testing.T) {
	for _, known := range []bool{false, true} { // to the journal, by an earlier call
		s := open(t, Options{})
		j := journalOf(t, s, nil)
		expectTold(t, j, "")
		first, last := beginTx(t, s), beginTx(t, s)
		doIn(t, first, "select pg_current_xact_id()")
		doIn(t, last, "insert into series (logger, channel, unit, label) values ('L', 'last', '', '')")
		if known {
			expectTold(t, j, "")
		}
		doIn(t, first, "select setval(pg_get_serial_sequence('series', 'id'), 5000)")
		doIn(t, first, "insert into series (logger, channel, unit, label) values ('L', 'first', '', '')")
		if err := first.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		j.amidLook = func() {
			j.amidLook = nil
			if err := last.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		told, _ := tell(t, j)
		more, _ := tell(t, j)
		if got := slices.Concat(told, more); !slices.Contains(got, "series first") || !slices.Contains(got, "series last") || len(got) != 2 {
			t.Errorf("told of %q and %q, want each of the two series once", told, more)
		}
	}
}

// A transaction from the next one on was not seen, also where nothing else tells
// that it is open: what is told of it is known until it was.
func TestASightDoesNotSeeWhatComesNext(t *testing.T) {
	before := lastIDs{"series": 7}
	known := map[int64]lastIDs{90: before, 95: before, 105: before}
	now := sight{next: 100, open: []int64{95}}
	tellingOf := func(begun bool) *telling {
		return &telling{Journal: &Journal{begun: begun, begins: known, atLast: lastIDs{"series": 9}}, now: now}
	}
	for x, want := range map[int64]bool{90: false, 95: true, 100: true, 105: true} {
		if got := now.isOpen(x); got != want {
			t.Errorf("transaction %d is open: %t, want %t", x, got, want)
		}
	}
	if got, want := tellingOf(true).begin(), (map[int64]lastIDs{95: before, 105: before}); !reflect.DeepEqual(got, want) {
		t.Errorf("of those that are open it is known %v, want %v", got, want)
	}
	if got, want := tellingOf(false).begin(), (map[int64]lastIDs{95: nil}); !reflect.DeepEqual(got, want) {
		t.Errorf("afresh, of those that are open it is known %v, want %v", got, want)
	}
}

func beginTx(t *testing.T, s *Store) pgx.Tx {
	t.Helper()
	tx, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tx.Rollback(context.WithoutCancel(t.Context())) })
	return tx
}

func doIn(t *testing.T, tx pgx.Tx, sql string) {
	t.Helper()
	if _, err := tx.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// Of the tables that only grow, no more is read for a transaction that has ended
// than what came since it began.
func TestJournalReadsOnFromWhereATransactionBegan(t *testing.T) {
	s := open(t, Options{})
	j := journalOf(t, s, nil)
	const add = "insert into series (logger, channel, unit, label) select 'L', 'c' || n, '', '' from generate_series(%d, %d) n"
	query(t, s, fmt.Sprintf(add, 1, 5000))
	tell(t, j)
	for begin := 5001; begin < 5100; begin += 20 {
		tx, err := s.pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback(context.WithoutCancel(t.Context()))
		if _, err := tx.Exec(t.Context(), fmt.Sprintf(add, begin, begin+9)); err != nil {
			t.Fatal(err)
		}
		query(t, s, fmt.Sprintf(add, begin+10, begin+19))
		if told, _ := tell(t, j); len(told) != 10 {
			t.Errorf("%d series are told, want 10", len(told))
		}
		for x, before := range j.begins {
			if before["series"] < int64(begin-1) {
				t.Errorf("transaction %d began after %d series were told, and not %d", x, begin-1, before["series"])
			}
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if told, _ := tell(t, j); len(told) != 10 {
			t.Errorf("%d series are told, want 10", len(told))
		}
	}
}

// Where bytes are archived after their version was loaded is told.
func TestJournalTellsWhereBytesAreArchivedLater(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	j := journalOf(t, s, nil)
	f := testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}}
	commit(t, c, f)
	expectTold(t, j, "L1_a loaded, series flow")
	since := query(t, s, "select changed from files")
	for _, want := range []string{"L1_a loaded p/1", ""} { // the same place again is nothing new
		b := fill(&ingest.Batch{}, f)
		b.Spans[0].Place = ingest.Place{Pack: "p/1", Offset: 7}
		if o, err := c.Commit(t.Context(), b); err != nil || o[0].State != ingest.Known {
			t.Fatal(o, err)
		}
		expectTold(t, j, want)
	}
	if now := query(t, s, "select changed from files"); !slices.Equal(now, since) {
		t.Errorf("its state was set at %v, and now at %v", since, now)
	}
}

// Of what was told of a row the later stands, also where it is of a transaction
// that began before the other.
func TestTheLaterChangeHasTheLaterTime(t *testing.T) {
	s := open(t, Options{})
	commit(t, committerOf(t, sinkOf(t, s, SinkOptions{})), testFile{path: "L1_a", readings: []testReading{{"flow", 1, 1, ""}}})
	early, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer early.Rollback(t.Context())
	if _, err := early.Exec(t.Context(), "select now()"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.pool.Exec(t.Context(), "update files set state = 'due', "+changedNow); err != nil {
		t.Fatal(err)
	}
	later := false
	if err := early.QueryRow(t.Context(), `with before as (select changed from files), after as (update files set state = 'undone', `+changedNow+` returning changed)
		select after.changed > before.changed from before, after`).Scan(&later); err != nil || !later {
		t.Errorf("the change that was made last has the later time: %v, %v", later, err)
	}
}

package store

import (
	"fmt"
	"strings"
	"testing"

	"penstock/ingest"
)

func (l *ledger) verify(sel Selection) string {
	l.t.Helper()
	var wrong []string
	done, err := l.store.Verify(l.t.Context(), sel, func(m Mismatch) error {
		wrong = append(wrong, fmt.Sprintf("; %d %s #%d %s: %s %d, found %d", m.FileID, m.Display, m.Generation, m.State, m.What, m.Expected, m.Found))
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	if int(done.Mismatches) != len(wrong) {
		l.t.Errorf("%d mismatches reported, %d counted", len(wrong), done.Mismatches)
	}
	return fmt.Sprintf("%d files, %d readings%s", done.Files, done.Readings, strings.Join(wrong, ""))
}

func TestVerify(t *testing.T) {
	l := newLedger(t)
	a := l.file("file", "/a", ingest.Loaded, day(1, 0), 10, 1, 2)
	b := l.file("file", "/b", ingest.Loaded, day(2, 0), 5, 3)
	u := l.file("file", "/u", ingest.Undone, day(3, 0), 5, 1)
	check := func(sel Selection, want string) {
		t.Helper()
		if got := l.verify(sel); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	check(Selection{}, "3 files, 25 readings")
	check(Selection{IDs: []int64{a, u}}, "2 files, 20 readings")
	check(Selection{Pattern: "nothing"}, "0 files, 0 readings")

	// /b takes two of a's readings over, as the commit would record it.
	l.exec("update readings set file_id = $1 where file_id = $2 and series_id = 1 and ts < $3", b, a, day(1, 2))
	l.exec("insert into takeovers values ($1, $2, 2)", a, b)
	l.exec("update files set n_replaced = 2, n_cells = n_cells + 2, span_first = $2, series_ids = '{1,3}' where id = $1", b, day(1, 0))
	check(Selection{}, "3 files, 25 readings")
	check(Selection{IDs: []int64{b}}, "1 files, 7 readings")

	// Damage of every kind.
	l.exec("delete from readings where file_id = $1 and ts > $2", b, day(2, 3))
	l.exec("insert into readings (series_id, ts, value, file_id) values (1, $2, 0, $1)", u, day(3, 0))
	l.exec("insert into readings (series_id, ts, value, file_id) values (1, $1, 0, 777), (2, $1, 0, 777)", day(4, 0))
	l.exec("alter table files drop constraint lines_balance, drop constraint cells_balance")
	l.exec("update files set n_lines = 12, n_missing = 1 where id = $1", a)
	n := l.file("file", "/n", ingest.Loaded, day(5, 0), 0)
	l.exec("update files set n_lines = null where id = $1", n)
	check(Selection{}, fmt.Sprintf("4 files, 27 readings"+
		"; %d /a #1 loaded: cells accounted for 20, found 21"+
		"; %d /a #1 loaded: lines accounted for 12, found 11"+
		"; %d /b #1 loaded: readings owned 7, found 6"+
		"; %d /u #1 undone: readings owned 0, found 1"+
		"; %d /n #1 loaded: receipts of a loaded file 1, found 0"+
		"; 777  #0 : readings of a file that the ledger does not have 0, found 2", a, a, b, u, n))
	check(Selection{IDs: []int64{b, u}}, fmt.Sprintf("2 files, 7 readings; %d /b #1 loaded: readings owned 7, found 6"+
		"; %d /u #1 undone: readings owned 0, found 1", b, u))
}

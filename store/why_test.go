package store

import (
	"errors"
	"testing"

	"penstock/ingest"
)

func TestWhy(t *testing.T) {
	l := newLedger(t)
	a := l.file("file", "/a", ingest.Loaded, day(1, 0), 10, 1, 2)
	b := l.file("file", "/b", ingest.Loaded, day(2, 0), 0)
	l.file("file", "/other", ingest.Loaded, day(1, 0), 10, 3)
	u := l.file("file", "/u", ingest.Undone, day(1, 0), 10, 1)
	l.exec("update readings set file_id = $1, value = 42, quality = 'E' where file_id = $2 and series_id = 1 and ts = $3", b, a, day(1, 5))
	l.exec("insert into takeovers values ($1, $2, 1)", a, b)
	l.exec("update files set n_replaced = 1, n_cells = 1, span_first = $2, span_last = $2, series_ids = '{1}' where id = $1", b, day(1, 5))
	l.exec("update files set run = run + 1 where id = $1", b)
	l.exec(`insert into runs (id, command, host, version) overriding system value
		select f.run, r.command, r.host, r.version from files f join runs r on r.id = f.run - 1 where f.id = $1`, b)
	l.exec(`insert into actions (os_user, host, command, reason, files, readings, run) values
		('ann', 'h', 'penstock files retry', 'mended', 1, 1, (select run from files where id = $1)), ('ann', 'h', 'penstock migrate', '', 0, 0, 0)`, b)

	accounts, err := l.store.Why(t.Context(), "L1", "", day(1, 5))
	if err != nil {
		t.Fatal(err)
	}
	if len(accounts) != 2 || accounts[0].Channel != "flow" || accounts[1].Channel != "level" {
		t.Fatalf("%+v", accounts)
	}
	flow, level := accounts[0], accounts[1]
	if len(flow.Standing) != 1 || flow.Unit != "l/s" || flow.Label != "Flow" {
		t.Fatalf("%+v", flow)
	}
	r := flow.Standing[0]
	if r.Value != 42 || r.Quality != "E" || r.File.ID != b || r.File.Profile != "long" || r.Run.Command != "penstock replay /data" {
		t.Errorf("%+v", r)
	}
	if len(r.Actions) != 1 || r.Actions[0].Reason != "mended" {
		t.Errorf("actions: %+v", r.Actions)
	}
	if len(r.Took) != 1 || r.Took[0].Other != "/a" || r.Took[0].Readings != 1 || len(r.Lost) != 0 {
		t.Errorf("took %+v, lost %+v", r.Took, r.Lost)
	}
	if ids := candidates(flow); len(ids) != 2 || ids[0] != u || ids[1] != a {
		t.Errorf("candidates %v, want %v", ids, []int64{u, a})
	}
	if s := level.Standing; len(s) != 1 || s[0].Value != 5 || s[0].File.ID != a || len(s[0].Lost) != 1 || s[0].Lost[0].Other != "/b" {
		t.Errorf("%+v", s)
	}

	one, err := l.store.Why(t.Context(), "L1", "level", day(1, 20))
	if err != nil || len(one) != 1 || len(one[0].Standing) != 0 || len(one[0].Candidates) != 0 {
		t.Errorf("%+v, %v", one, err)
	}
	if _, err := l.store.Why(t.Context(), "L1", "depth", day(1, 5)); !errors.Is(err, ErrNoSeries) {
		t.Errorf("an unknown channel: %v", err)
	}
}

func candidates(a Account) (ids []int64) {
	for _, v := range a.Candidates {
		ids = append(ids, v.ID)
	}
	return ids
}

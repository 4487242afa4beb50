package store

import (
	"fmt"
	"strings"
	"testing"

	"penstock/ingest"
)

func TestRejects(t *testing.T) {
	l := newLedger(t)
	a := l.file("file", "/a", ingest.Loaded, day(1, 0), 0)
	l.file("file", "/none", ingest.Loaded, day(1, 0), 0)
	b := l.file("file", "/b", ingest.Quarantined, day(1, 0), 0)
	l.exec(`insert into rejects (file_id, line, "column", reason, raw) values
		($2, 3, 0, 'r3', 'x'), ($2, 2, 4, 'r2', 'y'), ($1, 9, 1, 'r9', 'z')`, a, b)
	var got []string
	for r, err := range l.store.Rejects(t.Context(), Selection{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s:%d:%d %s %s", r.File.Display, r.Line, r.Column, r.Reason, r.Raw))
	}
	if s := strings.Join(got, ", "); s != "/a:9:1 r9 z, /b:2:4 r2 y, /b:3:0 r3 x" {
		t.Error(s)
	}
	for r, err := range l.store.Rejects(t.Context(), Selection{States: []ingest.State{ingest.Quarantined}}) {
		if err != nil || r.File.Display != "/b" {
			t.Fatal(r, err)
		}
		break // a caller may stop early
	}
}

func TestActions(t *testing.T) {
	l := newLedger(t)
	l.exec(`insert into actions (at, os_user, host, command, reason, files, readings) values
		('2024-05-01 10:00+00', 'ann', 'h1', 'penstock files undo x', 'wrong zone', 2, 30), (default, 'bob', 'h1', 'penstock files retry', '', 0, 0)`)
	if err := l.store.Record(t.Context(), Action{OSUser: "eve", Host: "h2", Command: "penstock migrate", Files: 1, Readings: 2}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for a, err := range l.store.Actions(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if a.DBUser != "penstock" || a.At.IsZero() {
			t.Errorf("%+v", a)
		}
		got = append(got, fmt.Sprintln(a.ID, a.OSUser, a.Host, a.Command, a.Reason, a.Files, a.Readings))
	}
	if s := strings.Join(got, ""); s != "1 ann h1 penstock files undo x wrong zone 2 30\n2 bob h1 penstock files retry  0 0\n3 eve h2 penstock migrate  1 2\n" {
		t.Error(s)
	}
}

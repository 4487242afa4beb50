package main

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// hold keeps all commits of a trial from their end, until what it returns is
// called.
func (r *trial) hold() (letGo func()) {
	r.t.Helper()
	return r.holdTable("penstock.readings", "exclusive")
}

// holdTable locks a table, likewise.
func (r *trial) holdTable(table, mode string) (letGo func()) {
	r.t.Helper()
	conn, err := pgx.Connect(r.t.Context(), r.url)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close(r.t.Context()) }) // it is closed where the test went well
	if _, err := conn.Exec(r.t.Context(), "begin; lock table "+table+" in "+mode+" mode"); err != nil {
		r.t.Fatal(err)
	}
	return func() {
		r.t.Helper()
		if err := conn.Close(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
	}
}

// waiting is how many commits wait for what hold keeps from them.
const waiting = "select count(*) from pg_locks where relation = 'penstock.readings'::regclass and mode = 'RowExclusiveLock' and not granted"

// A drain that cannot end is ended by a second signal, or when its time is over.
// What was under way is dropped whole, and the next start loads it, once.
func endsAtOnce(t *testing.T, s *stage) {
	r := s.trial(t, "archive: off\nsources:\n  - {name: north, url: north, poll: 1s, settle: 0}\n")
	r.env = []string{"PENSTOCK_ARCHIVE="}
	r.write("north/a.csv", longFile("N1", 1.5))
	r.begin()
	r.comes("N1 flow 1.5", observed)
	letGo := r.hold()
	r.write("north/b.csv", longFile("N2", 2.5, 3.5))
	r.comes("1", waiting)

	const finishing = `level=INFO msg="stopping: what is under way is finished first" for_at_most=`
	const dropped = `level=WARN msg="stopped; what was under way is dropped, and taken at the next start" sources=1`
	r.signal(syscall.SIGTERM)
	r.says(0, finishing+"30s")
	<-time.After(sameSignal + 10*time.Millisecond) // sooner, both are taken for one that was sent twice
	told := time.Now()
	r.signal(syscall.SIGTERM)
	r.ends(1)
	if took := time.Since(told); took > 5*time.Second {
		t.Errorf("it ended %s after the second signal", took)
	}
	r.says(0, dropped)

	mark := r.mark()
	r.begin("--drain", "700ms")
	r.comes("1", waiting)
	told = time.Now()
	r.signal(syscall.SIGTERM)
	r.says(mark, finishing+"700ms")
	r.ends(1)
	if took := time.Since(told); took < 700*time.Millisecond || took > 6*time.Second {
		t.Errorf("it ended %s after the signal, and was to drain for 700 ms", took)
	}
	r.says(mark, dropped)

	letGo()
	r.comes("N1 flow 1.5", observed)
	r.begin()
	r.comes("N1 flow 1.5, N2 flow 2.5, N2 flow 3.5", observed)
	r.comes("2 3", "select count(*) || ' ' || sum(c.stored) from penstock.files join penstock.receipts c on c.file_id = id")
	r.end(0)
	if n := r.times("level=ERROR"); n != 0 {
		t.Errorf("%d errors are logged:\n%s", n, r.text())
	}
}

// A second signal finds nothing to drop where nothing is under way: that ends as
// well as it would have by itself.
func endsIdly(t *testing.T, s *stage) {
	r := s.trial(t, "archive: off\nsources:\n  - {name: north, url: north, poll: 1s, settle: 0}\n")
	r.env = []string{"PENSTOCK_ARCHIVE="}
	r.write("north/a.csv", longFile("N1", 1.5))
	r.begin()
	r.comes("N1 flow 1.5", observed)
	r.says(0, `msg=cycle source=north`)
	letGo := r.holdTable("penstock.runs", "access exclusive") // so that it cannot end before the second signal
	defer letGo()
	r.signal(syscall.SIGTERM)
	r.comes("1", "select count(*) from pg_locks where relation = 'penstock.runs'::regclass and not granted")
	<-time.After(sameSignal + 10*time.Millisecond) // sooner, both are taken for one that was sent twice
	r.signal(syscall.SIGTERM)
	r.ends(0)
	r.says(0, `level=INFO msg=stopped`)
	if n := r.times("dropped"); n != 0 {
		t.Errorf("something is said to be dropped:\n%s", r.text())
	}
}

// The limits of a config change while sources go on.
func eases(t *testing.T, s *stage) {
	const sources = "archive: off\npipeline: {workers: 4, chunk: 1}\nsources:\n  - {name: north, url: north, poll: 1s, settle: 0}\n"
	limited := func(limit string) string { return "limits: {" + limit + "}\n" + sources }
	r := s.trial(t, limited("files_per_second: 0.01"))
	r.env = []string{"PENSTOCK_ARCHIVE="}
	files := 0
	write := func(n int) {
		t.Helper()
		for range n {
			files++
			r.write(fmt.Sprintf("north/%02d.csv", files), longFile(fmt.Sprintf("N%d", files), 1, 2, 3))
		}
	}
	reload := func(config string) (mark int) {
		t.Helper()
		mark = r.mark()
		r.write("penstock.yaml", config)
		r.signal(syscall.SIGHUP)
		r.says(mark, `msg="the config is taken" begun=0 ended=0 kept=1`)
		return mark
	}
	const loaded = "select count(*) from penstock.files where state = 'loaded'"

	// One file at once, and then one in 100 s.
	write(3)
	r.begin()
	r.comes("1", loaded)
	reload(sources)
	r.comes("3", loaded)

	// One reading at once, and then likewise.
	mark := reload(limited("readings_per_second: 0.01"))
	write(1)
	r.says(mark, `msg="a cycle takes longer than its interval" source=north interval=1s took=\S+ bound_by=pace`)
	mark = reload(sources)
	r.comes("4", loaded)
	r.says(mark, `msg="cycles fit into their interval again"`)

	letGo := r.hold()
	mark = reload(limited("database_connections: 1"))
	write(4)
	r.comes("1", waiting)
	r.says(mark, `msg="a cycle takes longer than its interval" source=north interval=1s took=\S+ bound_by=commit`)
	if n := ask(t, r.url, "select ("+waiting+")::text"); n != "1" {
		t.Errorf("%s connections commit, want 1", n)
	}
	reload(limited("database_connections: 3"))
	r.comes("3", waiting)
	letGo()
	r.comes("8", loaded)
	r.comes("1", "select count(*) from penstock.runs")
	r.end(0)
}

package store

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"penstock/ingest"
	"penstock/store/pglocal/pgtest"
)

// A scene is a chunk that takes every way through the commit, and the files
// that are there before it. All names begin with the scene's, so that many
// scenes share a schema.
type scene struct {
	name          string
	before, chunk []testFile
}

func newScene(name string) scene {
	f := func(path string, modified int64, readings ...testReading) testFile {
		return testFile{path: name + "_" + path, modified: begin + modified, readings: readings}
	}
	broken := f("due", 3, testReading{"flow", 8, 8, ""})
	broken.content, broken.broken = name+" broken", "not a CSV"
	mended := broken
	mended.broken = ""
	held := f("held", 3, testReading{"flow", 9, 9, ""})
	held.held = "which zone?"
	sc := scene{name,
		[]testFile{f("old", 0, testReading{"flow", 1, 1, ""}, testReading{"flow", 2, 1, ""}), broken,
			f("original", 1, testReading{"flow", 4, 4, ""}), f("known", 1, testReading{"flow", 20, 4, ""})},
		[]testFile{f("new", 5, testReading{"flow", 2, 2, "q"}, testReading{"level", 2, 2, ""}), mended, held,
			f("copy", 0, testReading{"flow", 4, 4, ""}), f("winner", 7, testReading{"flow", 4, 4, ""}), f("known", 1, testReading{"flow", 20, 4, ""}),
			f("old", 6, testReading{"flow", 1, 7, ""}), f("outranked", -5, testReading{"flow", 1, 9, ""}, testReading{"flow", 30, 9, ""})},
	}
	for i := range sc.chunk {
		sc.chunk[i].isNew = true // what is not so, the ledger's keys refuse
	}
	return sc
}

// prepare loads what is there before the chunk.
func (sc scene) prepare(t testing.TB, s *Store, c ingest.Committer) {
	t.Helper()
	commit(t, c, sc.before...)
	markDue(t, s, Selection{Pattern: sc.name + "_due"})
}

// left is what a scene left in the store, without its name.
func (sc scene) left(t testing.TB, s *Store) []string {
	t.Helper()
	like := " like '" + sc.name + `\_%' `
	rows := append(query(t, s, `select logger, channel, extract(epoch from ts)::int8 - 1700000000, value, quality, path from observations
			where path`+like+`order by 2, 3, 6`),
		query(t, s, `select f.path, f.generation, f.state::text, f.reason, extract(epoch from f.rank_time)::int8,
			r.lines, r.cells, r.rejected, r.stored, r.replaced, r.unchanged, r.outranked, (select sum(n) from takeovers where from_file = f.id)
			from files f left join receipts r on r.file_id = f.id where f.path`+like+`order by 1, 2`)...)
	for i := range rows {
		rows[i] = strings.ReplaceAll(rows[i], sc.name, "scene")
	}
	return rows
}

// told is what Commit said of the scene's chunk.
func (sc scene) told(outcomes []ingest.Outcome) (told []string) {
	for _, o := range outcomes {
		told = append(told, strings.TrimPrefix(o.File.Path, sc.name)+fmt.Sprintf(" %s %d %+v", o.State, o.Generation, o.Receipt))
	}
	return told
}

// run is a whole commit of the scene's chunk.
func (sc scene) run(t testing.TB, c ingest.Committer) []string {
	t.Helper()
	return sc.told(commit(t, c, sc.chunk...))
}

// The connection is cut at each message of a commit, in both directions. The
// commit goes on, and ends as if nothing had been.
func TestConnectionCutAnywhere(t *testing.T) {
	for _, appendMode := range []bool{false, true} {
		t.Run(fmt.Sprintf("append=%v", appendMode), func(t *testing.T) {
			s, cutStore, p := openBehindProxy(t, appendMode)
			straight := committerOf(t, sinkOf(t, s, SinkOptions{}))
			c := committerOf(t, sinkOf(t, cutStore, SinkOptions{}))

			clean := newScene("clean")
			clean.prepare(t, s, straight)
			p.arm(nil)
			told := clean.run(t, c)
			messages := p.arm(nil)
			left := clean.left(t, s)

			step := 9
			switch {
			case os.Getenv("PENSTOCK_SOAK") != "":
				step = 1
			case underRace:
				step = 29
			}
			for _, w := range []wire{toServer, toClient} {
				for n := 0; n < messages[w]; n += step {
					sc := newScene(fmt.Sprintf("%c%d", w[7], n))
					sc.prepare(t, s, straight)
					p.arm(func(at wire, i int, _ []byte) verdictOnMessage {
						if at == w && i == n {
							return cutBefore
						}
						return pass
					})
					got := sc.run(t, c)
					if diff := cmp.Diff(left, sc.left(t, s)); diff != "" {
						t.Fatalf("cut at message %d %s:\n%s", n, w, diff)
					}
					if diff := cmp.Diff(told, got); diff != "" {
						t.Errorf("cut at message %d %s, told otherwise:\n%s", n, w, diff)
					}
				}
			}
			verify(t, s)
		})
	}
}

// The outcome of a commit is not known to the client: the request was lost, or
// the answer was.
func TestUnknownCommitOutcome(t *testing.T) {
	s, cutStore, p := openBehindProxy(t, false)
	straight := committerOf(t, sinkOf(t, s, SinkOptions{}))
	c := committerOf(t, sinkOf(t, cutStore, SinkOptions{}))
	clean := newScene("clean")
	clean.prepare(t, s, straight)
	told := clean.run(t, c)
	left := clean.left(t, s)

	committing := false
	cuts := map[string]func(w wire, _ int, m []byte) verdictOnMessage{
		"request lost": func(w wire, _ int, m []byte) verdictOnMessage {
			return choose(w == toServer && bytes.HasSuffix(m, []byte("commit\x00")), cutBefore)
		},
		"request arrived, connection lost": func(w wire, _ int, m []byte) verdictOnMessage {
			return choose(w == toServer && bytes.HasSuffix(m, []byte("commit\x00")), cutAfter)
		},
		"answer lost": func(w wire, _ int, m []byte) verdictOnMessage {
			committing = committing || w == toServer && bytes.HasSuffix(m, []byte("commit\x00"))
			return choose(committing && w == toClient, cutBefore)
		},
		"answer cut in two": func(w wire, _ int, m []byte) verdictOnMessage {
			committing = committing || w == toServer && bytes.HasSuffix(m, []byte("commit\x00"))
			return choose(committing && w == toClient, cutAfter)
		},
	}
	i := 0
	for name, cut := range cuts {
		i++
		committing = false
		sc := newScene(fmt.Sprintf("c%d", i))
		sc.prepare(t, s, straight)
		p.arm(cut)
		got := sc.run(t, c)
		if diff := cmp.Diff(left, sc.left(t, s)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
		if diff := cmp.Diff(told, got); diff != "" {
			t.Errorf("%s, told otherwise:\n%s", name, diff)
		}

		committing = false
		p.arm(cut)
		done, err := cutStore.Correct(t.Context(), Correction{Files: selected(t, s, Selection{Pattern: sc.name + "_new"}),
			Read: reader(append(sc.before[:1:1], sc.chunk...), map[string]bool{sc.name + "_original": true}, nil), Force: true, Action: Action{Command: sc.name}})
		if err != nil || done.Undone != 1 || done.Removed != 2 {
			t.Errorf("%s: undo: %v, %+v", name, err, done)
		}
		if n := query(t, s, "select count(*) from actions where command = '"+sc.name+"'"); n[0] != "1" {
			t.Errorf("%s: %s actions, want 1", name, n[0])
		}

		// What is loaded again keeps its state, and so does a file without bytes.
		committing = false
		p.arm(cut)
		files := selected(t, s, Selection{Pattern: sc.name + "_*", States: []ingest.State{ingest.Loaded}})
		done, err = cutStore.Correct(t.Context(), Correction{Reload: true, Files: files, Force: true, Action: Action{Command: sc.name + " again"},
			Read: reader(append(sc.before[:1:1], sc.chunk...), map[string]bool{files[0].Path: true}, nil)})
		if err != nil || len(done.Gone) == 0 || len(done.Outcomes)+len(done.Gone) != len(files) {
			t.Errorf("%s: reload: %v, %+v", name, err, done)
		}
		if n := query(t, s, "select count(*), sum(files)::int8 from actions where command = '"+sc.name+" again'"); n[0] != fmt.Sprintf("1|%d", len(files)) {
			t.Errorf("%s: reload: %s actions and files, want 1|%d", name, n[0], len(files))
		}
	}
	verify(t, s)
}

func choose(when bool, v verdictOnMessage) verdictOnMessage {
	if when {
		return v
	}
	return pass
}

// The server is stopped at once, and started again while the commit goes on
// trying; or only after it gave up.
func TestServerGoesAway(t *testing.T) {
	server := pgtest.Server(t)
	s, err := Open(t.Context(), server.URL(), Options{Create: true, RetryFor: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	clean := newScene("clean")
	clean.prepare(t, s, c)
	clean.run(t, c)
	left := clean.left(t, s)
	restart := func() {
		if server, err = pgtest.Start(context.Background(), server.Dir()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = server.Stop(context.Background()) })
		s.pool.Reset() // what the test looks with; a commit gets rid of dead connections by itself
	}

	// While a commit waits for a lock in its middle.
	for _, table := range []string{"files", "readings", "rejects"} {
		sc := newScene("at-" + table)
		sc.prepare(t, s, c)
		lock, err := s.pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lock.Exec(t.Context(), "lock table "+table+" in share mode"); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := c.Commit(context.Background(), fill(&ingest.Batch{}, sc.chunk...))
			done <- err
		}()
		waitFor(t, "the commit to wait for the lock", func() bool {
			return query(t, s, "select count(*) from pg_locks where not granted")[0] != "0"
		})
		server.Kill()
		_ = lock.Rollback(t.Context()) // it went with the server
		restart()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(left, sc.left(t, s)); diff != "" {
			t.Errorf("killed while %s was locked:\n%s", table, diff)
		}
	}

	// Before a commit, which gives up.
	sc := newScene("before")
	sc.prepare(t, s, c)
	server.Kill()
	s.options.RetryFor = 300 * time.Millisecond
	b := fill(&ingest.Batch{}, sc.chunk...)
	if _, err := c.Commit(t.Context(), b); err == nil || !strings.Contains(err.Error(), "not available for") {
		t.Errorf("a commit without a database: %v", err)
	}
	for i := range b.Spans {
		if s := &b.Spans[i]; s.State == ingest.Quarantined {
			t.Errorf("%s was quarantined because the database is away", s.File.Path)
		}
	}
	restart()
	s.options.RetryFor = time.Minute
	if _, err := c.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(left, sc.left(t, s)); diff != "" {
		t.Errorf("after a commit that gave up:\n%s", diff)
	}
	verify(t, s)
}

// A correction, too, waits for a server that is away.
func TestCorrectionOutlastsARestart(t *testing.T) {
	server := pgtest.Server(t)
	s, err := Open(t.Context(), server.URL(), Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	files := []testFile{{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1, ""}}}, {path: "L1_b", modified: begin + 1, readings: []testReading{{"flow", 1, 2, ""}}}}
	commitAll(t, []*Sink{sinkOf(t, s, SinkOptions{})}, files, 1, 1)
	killed := false
	read := reader(files, nil, nil)
	_, err = s.Correct(t.Context(), Correction{Files: selected(t, s, Selection{Pattern: "L1_b"}), Action: Action{Command: "undo"},
		Read: func(ctx context.Context, v FileVersion, again bool, b *ingest.Batch) error {
			if !killed {
				killed = true
				server.Kill()
				var err error
				if server, err = pgtest.Start(context.Background(), server.Dir()); err != nil {
					return err
				}
				t.Cleanup(func() { _ = server.Stop(context.Background()) })
				s.pool.Reset()
			}
			return read(ctx, v, again, b)
		}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"L1|flow|1|1|<nil>|L1_a"}, query(t, s, observationsSQL)); diff != "" {
		t.Error(diff)
	}
	if got := query(t, s, "select count(*) from actions"); got[0] != "1" {
		t.Errorf("%s actions, want 1", got[0])
	}
	verify(t, s)
}

// A look for the database that was given up does not keep the next outage untold.
func TestEndOfAnOutageIsTold(t *testing.T) {
	s := open(t, Options{RetryFor: -1})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	l := &lines{}
	log := slog.New(slog.NewTextHandler(l, nil))
	away := &pgconn.PgError{Code: "57P03"}
	_ = s.newPatience(log).untilThere(ctx, func() error { return away }) // cancelled: its source was loaded anew
	if err := s.newPatience(log).untilThere(t.Context(), func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	if text := l.text(); !strings.Contains(text, "available again") {
		t.Errorf("the end is not told, and the next outage will not be: %q", text)
	}
}

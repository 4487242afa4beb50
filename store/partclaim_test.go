package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"penstock/ingest"
)

// Whoever takes up a file that is loading otherwise than in the same parts gives
// up what was loading.
func TestLoadingIsGivenUp(t *testing.T) {
	file := testFile{path: "L1_large", modified: begin, readings: []testReading{{"flow", 1, 1, ""}, {"flow", 2, 2, ""}, {"flow", 3, 3, ""}}}
	changed := testFile{path: "L1_large", modified: begin + 3, readings: []testReading{{"flow", 1, 7, ""}}}
	for _, sc := range []struct {
		name string
		then func(*testing.T, *Store, ingest.Committer) ingest.Outcome
		want string
	}{
		{"whole", func(t *testing.T, _ *Store, c ingest.Committer) ingest.Outcome { return commit(t, c, file)[0] }, "1 loaded"},
		{"in other parts", func(t *testing.T, _ *Store, c ingest.Committer) ingest.Outcome { return inParts(t, c, file, 2).load() }, "1 loaded"},
		{"changed", func(t *testing.T, _ *Store, c ingest.Committer) ingest.Outcome { return commit(t, c, changed)[0] }, "1 undone, 2 loaded"},
		{"changed, in parts", func(t *testing.T, _ *Store, c ingest.Committer) ingest.Outcome {
			return inParts(t, c, changed, 1).load()
		}, "1 undone, 2 loaded"},
		{"undone", func(t *testing.T, s *Store, _ ingest.Committer) ingest.Outcome {
			undo(t, s, Selection{Pattern: "L1_large"}, nil)
			return ingest.Outcome{State: ingest.Loaded}
		}, "1 undone"},
	} {
		t.Run(sc.name, func(t *testing.T) {
			s := open(t, Options{})
			sink := sinkOf(t, s, SinkOptions{})
			c := committerOf(t, sink)
			p := inParts(t, c, file, 1)
			p.claimed()
			for _, n := range []int{0, 2} {
				if refused, err := p.commit(n); refused != "" || err != nil {
					t.Fatal(refused, err)
				}
			}
			if o := sc.then(t, s, committerOf(t, sinkOf(t, s, SinkOptions{}))); o.State != ingest.Loaded {
				t.Errorf("it is %s: %s", o.State, o.Reason)
			}
			if got := strings.Join(query(t, s, "select generation || ' ' || state from files order by 1"), ", "); got != sc.want {
				t.Errorf("the ledger has %s, want %s", got, sc.want)
			}
			gone := strings.HasPrefix(sc.want, "1 undone") // else all that was to be loaded is
			if _, err := p.commit(1); gone != errors.Is(err, ingest.ErrChanged) || !gone && err != nil {
				t.Errorf("whoever was loading it is told %v", err)
			}
			verify(t, s)
			nothingLoads(t, s)
		})
	}
}

// What was loading and is claimed by another, cut otherwise or read otherwise, has
// no parts of the claim before: neither while it loads nor afterwards.
func TestPartsOfAClaimThatWasGivenUp(t *testing.T) {
	file := testFile{path: "L1_large", modified: begin, readings: []testReading{{"flow", 1, 1, ""}, {"flow", 2, 2, ""}, {"flow", 3, 3, ""}, {"flow", 4, 4, ""}}}
	otherwise := file // other minutes of the same bytes, as by another zone
	otherwise.content, otherwise.layout = file.bytes(), "in another zone"
	otherwise.readings = []testReading{{"flow", 61, 1, ""}, {"flow", 62, 2, ""}, {"flow", 63, 3, ""}, {"flow", 64, 4, ""}}
	for _, o := range []Options{{}, {Append: true}} {
		for _, then := range []struct {
			name string
			file testFile
			size int
			want string
		}{
			{"cut otherwise", file, 1, "L1_large flow1=1, L1_large flow2=2, L1_large flow3=3, L1_large flow4=4"},
			{"read otherwise", otherwise, 2, "L1_large flow61=1, L1_large flow62=2, L1_large flow63=3, L1_large flow64=4"},
		} {
			t.Run(fmt.Sprint(then.name, o.Append), func(t *testing.T) {
				s := open(t, o)
				before, after := inParts(t, committerOf(t, sinkOf(t, s, SinkOptions{})), file, 2), inParts(t, committerOf(t, sinkOf(t, s, SinkOptions{})), then.file, then.size)
				before.claimed()
				if refused, err := before.commit(0); refused != "" || err != nil {
					t.Fatal(refused, err)
				}
				after.claimed()
				if _, err := before.commit(1); !errors.Is(err, ingest.ErrChanged) {
					t.Errorf("a part of the claim before is committed: %v", err)
				}
				for n := range after.parts.Count - 1 {
					if refused, err := after.commit(n); refused != "" || err != nil {
						t.Fatal(refused, err)
					}
				}
				if _, err := before.c.Finish(t.Context(), before.claim, before.parts); !errors.Is(err, ingest.ErrChanged) {
					t.Errorf("the claim before is finished: %v", err)
				}
				after.parts.Done = map[int]bool{0: true}
				after.commitAll()
				if o := after.finished(); o.State != ingest.Loaded {
					t.Errorf("it is %s: %s", o.State, o.Reason)
				}
				if got := observed(t, s); got != then.want {
					t.Errorf("there is %s, want %s", got, then.want)
				}
				// Whoever was loading it finds it loaded.
				if refused, err := before.commit(1); refused != "" || err != nil {
					t.Errorf("then a part of the claim before is refused: %s %v", refused, err)
				}
				if o := before.finished(); o.State != ingest.Known || o.Standing != ingest.Loaded {
					t.Errorf("then the claim before finds it %s, %s: %s", o.State, o.Standing, o.Reason)
				}
				verify(t, s)
				nothingLoads(t, s)
			})
		}
	}
}

// What a mark tells of readings that were given up is looked at anew.
func TestMarksOfWhatIsGivenUp(t *testing.T) {
	s := open(t, Options{writeEvery: 1})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	commit(t, c, at("L1_a", "level", every(900, 0, 9000)...))
	p := inParts(t, c, at("L1_large", "level", every(900, 9900, 13500)...), 3)
	p.claimed()
	p.commitAll()
	written(t, s)
	query(t, s, "update marks set last_ts = timestamptz 'epoch' + interval '1 second' * (1700000000 + 13500)") // as when it was looked at meanwhile
	commit(t, c, testFile{path: "L1_large", modified: begin + 5, readings: []testReading{{"battery", 1, 1, ""}}})
	written(t, s)
	if got := query(t, s, "select extract(epoch from last_ts)::int8 - 1700000000 from watermarks where channel = 'level'"); got[0] != "9000" {
		t.Errorf("the last reading is at %s, want 9000", got)
	}
}

// Undoing a file that is loading puts nothing back, for it has kept nothing from
// standing: the bytes of others are not asked for.
func TestALoadingFileIsUndoneByItself(t *testing.T) {
	for _, o := range []Options{{}, {Append: true}} {
		s := open(t, o)
		c := committerOf(t, sinkOf(t, s, SinkOptions{}))
		commit(t, c, testFile{path: "L1_a", modified: begin + 2, readings: []testReading{{"flow", 1, 1, ""}}})
		commit(t, c, testFile{path: "L1_b", modified: begin, readings: []testReading{{"flow", 1, 2, ""}, {"flow", 9, 2, ""}}})
		p := inParts(t, c, testFile{path: "L1_large", modified: begin + 1, readings: []testReading{{"flow", 1, 3, ""}, {"flow", 2, 3, ""}}}, 1)
		p.claimed()
		p.commitAll()
		before := observed(t, s)
		done, err := s.Correct(t.Context(), Correction{Files: selected(t, s, Selection{Pattern: "L1_large"}), Read: bytesOf(nil)})
		if err != nil || done.Undone != 1 || len(done.Restored) > 0 {
			t.Fatalf("append %v: undone %+v: %v", o.Append, done, err)
		}
		if got := observed(t, s); got != before {
			t.Errorf("append %v: there is %s, want %s", o.Append, got, before)
		}
		verify(t, s)
		nothingLoads(t, s)
	}
}

// What is finished while another is about to give it up stays as it is.
func TestAFinishedFileIsNotGivenUp(t *testing.T) {
	for _, o := range []Options{{}, {Append: true}} {
		s := open(t, o)
		file := testFile{path: "L1_large", modified: begin, readings: []testReading{{"flow", 1, 1, ""}, {"flow", 2, 2, ""}}}
		p, c := inParts(t, committerOf(t, sinkOf(t, s, SinkOptions{})), file, 1), committerOf(t, sinkOf(t, s, SinkOptions{})).(*committer)
		p.claimed()
		p.commitAll()
		p.finished()
		if err := c.connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.givingUp(t.Context(), &broken{again: []int64{p.parts.FileID}}); !errors.Is(err, errRaced) {
			t.Errorf("append %v: it says %v", o.Append, err)
		}
		c.giveBack()
		if got, want := observed(t, s), "L1_large flow1=1, L1_large flow2=2"; got != want {
			t.Errorf("append %v: there is %s, want %s", o.Append, got, want)
		}
		verify(t, s)
	}
}

// A version that is due is claimed by one: who was slower, and had looked before,
// finds it loading.
func TestADueFileIsClaimedInPartsOnce(t *testing.T) {
	for _, o := range []Options{{}, {Append: true}} {
		s := open(t, o)
		file := testFile{path: "L1_large", modified: begin, readings: []testReading{{"flow", 1, 1, ""}, {"flow", 2, 2, ""}}}
		commit(t, committerOf(t, sinkOf(t, s, SinkOptions{})), file)
		undo(t, s, Selection{Pattern: "L1_large"}, nil)
		markDue(t, s, Selection{Pattern: "L1_large"})
		p, whole := inParts(t, committerOf(t, sinkOf(t, s, SinkOptions{})), file, 1), committerOf(t, sinkOf(t, s, SinkOptions{}))
		barrier, err := s.pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := barrier.Exec(t.Context(), "select id from files for update"); err != nil {
			t.Fatal(err)
		}
		waits := func(n string) {
			waitFor(t, n+" to wait for the ledger's row", func() bool {
				return query(t, s, "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")[0] == n
			})
		}
		var wg sync.WaitGroup
		wg.Go(func() { p.claimed() })
		waits("1")
		wg.Go(func() {
			if _, err := whole.Commit(context.Background(), fill(&ingest.Batch{}, file)); err != nil {
				t.Error(err)
			}
		})
		waits("2")
		if err := barrier.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		p.commitAll()
		if o := p.finished(); o.State != ingest.Known || o.Standing != ingest.Loaded {
			t.Errorf("whoever claimed it finds it %s, %s", o.State, o.Standing)
		}
		if got, want := observed(t, s), "L1_large flow1=1, L1_large flow2=2"; got != want {
			t.Errorf("append %v: there is %s, want %s", o.Append, got, want)
		}
		verify(t, s)
		nothingLoads(t, s)
	}
}

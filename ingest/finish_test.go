package ingest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A file that is loaded and still there was not done: it is fetched again,
// found known, and done.
func TestDoneIsMadeUpFor(t *testing.T) {
	for _, connections := range []int{0, 3} {
		for _, standing := range []State{Loaded, Duplicate, Held, Quarantined, Skipped} {
			operate(t, func(p *plant) {
				p.Connections, p.yard.tidies = connections, true
				f := p.yard.put("L/1", reading1(1))
				p.book.known[f.Path] = version{f, sumOf(reading1(1)), standing, 1}
			}, func(p *plant) {
				p.after(time.Minute)
				want := 0
				if standing == Loaded || standing == Duplicate || standing == Quarantined {
					want = 1
				}
				if p.yard.done["L/1"] != want || p.yard.fetches["L/1"] != want || (p.yard.files["L/1"] == nil) != (want == 1) || p.book.known["L/1"].n != 1 {
					t.Errorf("%s: fetched %d times, done %d times", standing, p.yard.fetches["L/1"], p.yard.done["L/1"])
				}
			})
		}
	}
}

// What the source cannot be told is tried again, later and later, and told
// once; in the end it is done once.
func TestDoneIsTriedAgain(t *testing.T) {
	for _, connections := range []int{0, 3} {
		operate(t, func(p *plant) {
			p.Connections, p.yard.tidies = connections, true
			for i := range 20 {
				p.yard.put(fmt.Sprintf("L/%d", i), reading1(i))
			}
			p.yard.hook = at(finishing, "", func(context.Context) error { return errors.New("read-only file system") })
		}, func(p *plant) {
			p.after(29 * time.Second)
			if c := p.last(); c.NotDone != 20 || c.Files[Loaded] != 20 {
				t.Errorf("%+v", c)
			}
			if got := p.log.String(); strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, "read-only file system") {
				t.Errorf("the log says\n%s", got)
			}
			p.after(time.Hour)
			// After 30 s the first time, then at most every ten minutes.
			if n := p.yard.fetches["L/1"]; n < 8 || n > 14 {
				t.Errorf("fetched %d times in an hour", n)
			}
			p.yard.mu.Lock()
			p.yard.hook = nil
			p.yard.mu.Unlock()
			p.after(time.Hour + 11*time.Minute)
			if len(p.yard.files) != 0 || p.yard.done["L/1"] != 1 || p.book.known["L/1"].n != 1 {
				t.Errorf("%d files are still there", len(p.yard.files))
			}
		})
	}
}

// A file that comes in the place of one that was moved, and is listed as that was
// by a server that tells times to the minute, is done, too.
func TestDoneOfOneThatTookItsPlace(t *testing.T) {
	operate(t, func(p *plant) {
		p.yard.tidies, p.yard.precision = true, Minute
		f := p.yard.put("L/1", reading1(1))
		p.yard.tookPlace = map[string]*planted{"L/1": {text: reading1(1), modified: f.Modified}}
	}, func(p *plant) {
		p.after(time.Minute)
		if len(p.yard.files) != 0 || p.yard.done["L/1"] != 2 || p.book.known["L/1"].n != 1 {
			t.Errorf("%d files are still there; done %d times", len(p.yard.files), p.yard.done["L/1"])
		}
	})
}

// A file that changed when it was to be done, and is then listed as it was, by a
// server that tells times to the minute, is looked at again and done. Nothing is
// said of it.
func TestDoneThatFindsTheFileChanged(t *testing.T) {
	operate(t, func(p *plant) {
		p.yard.tidies = true
		p.yard.put("L/1", reading1(1))
		first := true
		p.yard.hook = at(finishing, "L/1", func(context.Context) error {
			if first {
				first = false
				return fmt.Errorf("move L/1: %w", ErrChanged)
			}
			return nil
		})
	}, func(p *plant) {
		p.after(time.Minute)
		if len(p.yard.files) != 0 || p.yard.done["L/1"] != 1 || p.yard.fetches["L/1"] != 2 || p.book.known["L/1"].n != 1 {
			t.Errorf("fetched %d times, done %d times", p.yard.fetches["L/1"], p.yard.done["L/1"])
		}
		if got := p.log.String(); strings.Contains(got, "level=WARN") {
			t.Errorf("the log says\n%s", got)
		}
	})
}

// What the source keeps, though it was told, is not done again and again.
func TestDoneThatKeeps(t *testing.T) {
	operate(t, func(p *plant) {
		p.Source = keeper{p.yard}
		p.yard.put("L/1", reading1(1))
	}, func(p *plant) {
		p.after(time.Hour)
		if p.yard.done["L/1"] != 1 || p.yard.fetches["L/1"] != 1 {
			t.Errorf("fetched %d times, done %d times", p.yard.fetches["L/1"], p.yard.done["L/1"])
		}
		p.yard.put("L/1", reading1(2)) // which is another file
		p.after(time.Hour + time.Minute)
		if p.yard.done["L/1"] != 2 || p.yard.fetches["L/1"] != 2 {
			t.Errorf("a new version was fetched %d times, done %d times", p.yard.fetches["L/1"]-1, p.yard.done["L/1"]-1)
		}
	})
}

// keeper tidies, but not these files.
type keeper struct{ *yard }

func (keeper) Tidies() bool { return true }

// Without the guard's yes the source is told nothing.
func TestGuard(t *testing.T) {
	for _, connections := range []int{0, 3} {
		lost := errors.New("the lease is lost")
		asked := 0
		operate(t, func(p *plant) {
			p.Connections, p.yard.tidies, p.Limits.Files = connections, true, 1
			if connections > 0 {
				p.Connections = 1
			}
			p.Workers = 1
			for i := range 20 {
				p.yard.put(fmt.Sprintf("L/%02d", i), reading1(i))
			}
			p.yard.hook = at(finishing, "", lasting(100*time.Millisecond))
			p.Guard = func(context.Context) error {
				if asked++; time.Since(p.began) > 1500*time.Millisecond {
					return lost
				}
				return nil
			}
		}, func(p *plant) {
			p.after(29 * time.Second)
			if len(p.yard.done) < 15 || len(p.yard.done) > 21 || len(p.yard.files)+len(p.yard.done) != 20 && connections == 0 {
				t.Errorf("%d are done, %d are there", len(p.yard.done), len(p.yard.files))
			}
			if asked > 20 || p.book.readings != 20 {
				t.Errorf("asked %d times, %d readings", asked, p.book.readings)
			}
			if len(p.yard.done) < 20 && !strings.Contains(p.log.String(), "the lease is lost") {
				t.Errorf("the log says\n%s", p.log.String())
			}
		})
	}
}

// A quarantined file that the source could not be told of is done again, too:
// it is to go to the folder for broken files.
func TestAQuarantinedFileIsDoneAgain(t *testing.T) {
	for _, connections := range []int{0, 3} {
		tries := 0
		operate(t, func(p *plant) {
			p.Connections, p.yard.tidies = connections, true
			p.yard.put("L/1", "!quarantine\n")
			p.yard.hook = at(finishing, "", func(context.Context) error {
				if tries++; tries == 1 {
					return errAway
				}
				return nil
			})
		}, func(p *plant) {
			p.after(3 * time.Hour)
			if p.yard.done["L/1"] == 0 {
				t.Errorf("%d connections: after one failure Done was tried %d times in 3 h; the log said:\n%s", connections, tries, p.log.String())
			}
		})
	}
}

// A file that waited for an answer, and was then loaded by the one who gave it,
// is done when the daemon is told to ask anew.
func TestWhatWasHeldIsDoneOnceItIsLoaded(t *testing.T) {
	operate(t, func(p *plant) {
		p.yard.tidies = true
		p.yard.put("L/1", "flow 1 1\n")
		p.NewDecoder = func() Decoder { return holder{} }

		p.Source = leaves{p.yard}
	}, func(p *plant) {
		p.after(2 * time.Minute)
		if v := p.book.known["L/1"]; v.state != Held || p.yard.files["L/1"] == nil {
			t.Fatalf("%+v", v)
		}
		p.book.mu.Lock()
		v := p.book.known["L/1"]
		v.state = Loaded // from the archive, by 'profiles approve'
		p.book.known["L/1"] = v
		p.book.mu.Unlock()
		p.AskAnew()
		p.after(2 * time.Hour)
		if p.yard.files["L/1"] != nil {
			t.Errorf("two hours after it was loaded, the file is still there; it was fetched %d times, done %d times", p.yard.fetches["L/1"], p.yard.done["L/1"])
		}
	})
}

// holder holds all files.
type holder struct{}

func (holder) Decode(_ context.Context, c *Content, b *Batch) error {
	b.Begin(c).State = Held
	b.End()
	return nil
}

// leaves leaves what is held where it is, as all sources do.
type leaves struct{ *yard }

func (l leaves) Done(ctx context.Context, f File, o Outcome) error {
	if o.State == Held || o.State == Known && o.Standing == Held {
		l.yard.mu.Lock()
		defer l.yard.mu.Unlock()
		l.yard.done[f.Path]++
		return nil
	}
	return l.yard.Done(ctx, f, o)
}

// With a backlog on a server some way off, on which files are moved, live files
// are committed within seconds.
func TestLiveFilesWhereFilesAreMoved(t *testing.T) {
	arrived, visible := map[string]time.Time{}, map[string]time.Duration{}
	operate(t, func(p *plant) {
		p.Workers, p.Connections, p.Limits.Files, p.yard.tidies, p.Poll = 4, 4, 1000, true, 10*time.Second
		for i := range 20000 {
			p.yard.putAt(fmt.Sprintf("old/%05d", i), reading1(i), time.Now().Add(-time.Hour))
		}
		p.yard.hook = func(ctx context.Context, now step, _ string) error {
			switch now {
			case fetching:
				return lasting(40 * time.Millisecond)(ctx) // two round trips of 20 ms
			case finishing:
				return lasting(100 * time.Millisecond)(ctx) // five
			}
			return nil
		}
		observe := p.Observe
		p.Observe = func(e Event) {
			observe(e)
			for _, o := range e.Outcomes {
				if at, ok := arrived[o.File.Path]; ok && o.State == Loaded {
					visible[o.File.Path] = time.Since(at)
				}
			}
		}
	}, func(p *plant) {
		for i := range 30 {
			p.after(time.Minute + time.Duration(i)*10*time.Second - time.Millisecond)
			path := fmt.Sprintf("live/%02d", i)
			p.mu.Lock()
			arrived[path] = time.Now()
			p.mu.Unlock()
			p.yard.put(path, reading1(i))
		}
		p.after(10 * time.Minute)
		var worst time.Duration
		for _, d := range visible {
			worst = max(worst, d)
		}
		if len(visible) < 30 || worst > 20*time.Second {
			t.Errorf("%d of 30 live files are loaded, the slowest after %s", len(visible), worst)
		}
		p.abort()
		if err := <-p.running; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		p.running = closedWith(nil)
	})
}

// A file of which channels were withheld stays where it is. The source is told of
// it again when somebody may have answered, and not before.
func TestWhatWaitsForAnAnswerIsDoneAnew(t *testing.T) {
	operate(t, func(p *plant) {
		p.Source, p.NewDecoder = keeper{p.yard}, func() Decoder { return &withholder{} }
		p.yard.put("L/1", reading1(1))
	}, func(p *plant) {
		p.after(time.Hour)
		if p.yard.done["L/1"] != 1 || p.yard.fetches["L/1"] != 1 {
			t.Errorf("in an hour it is fetched %d times, done %d times", p.yard.fetches["L/1"], p.yard.done["L/1"])
		}
		p.AskAnew()
		p.after(2 * time.Hour)
		if p.yard.done["L/1"] != 2 || p.book.known["L/1"].n != 1 {
			t.Errorf("after the answer it is fetched %d times, done %d times", p.yard.fetches["L/1"], p.yard.done["L/1"])
		}
	})
}

// withholder reads lines, and withholds a cell of each file.
type withholder struct{ lineDecoder }

func (d *withholder) Decode(ctx context.Context, c *Content, b *Batch) error {
	err := d.lineDecoder.Decode(ctx, c, b)
	if err == nil {
		b.Spans[len(b.Spans)-1].Receipt.Cells.Withheld++
	}
	return err
}

// So is one that the ledger knows and of which channels wait, however often it
// was looked at before: another question may have been answered first.
func TestAKnownFileThatWaitsForAnAnswerIsDoneAnew(t *testing.T) {
	operate(t, func(p *plant) {
		p.Source, p.Sink = keeper{p.yard}, waitingBook{p.book}
		f := p.yard.put("L/1", reading1(1))
		p.book.known["L/1"] = version{f, sumOf(reading1(1)), Loaded, 1}
	}, func(p *plant) {
		for hour := range 3 {
			p.after(time.Duration(hour+1) * time.Hour)
			if p.yard.done["L/1"] != hour+1 || p.yard.fetches["L/1"] != hour+1 {
				t.Errorf("after %d answers it is fetched %d times, done %d times", hour, p.yard.fetches["L/1"], p.yard.done["L/1"])
			}
			p.AskAnew()
		}
	})
}

// A waitingBook is a ledger of files of which channels wait for an answer.
type waitingBook struct{ *book }

func (b waitingBook) Committer(context.Context) (Committer, error) {
	return waitingCommitter{&bookCommitter{b.book}}, nil
}

type waitingCommitter struct{ *bookCommitter }

func (c waitingCommitter) Commit(ctx context.Context, batch *Batch) ([]Outcome, error) {
	outcomes, err := c.bookCommitter.Commit(ctx, batch)
	for i := range outcomes {
		if o := &outcomes[i]; o.State == Known {
			o.Waits, o.Receipt = true, Receipt{}
		}
	}
	return outcomes, err
}

// A drain tells the source of some of the files that it has not been told of, and
// leaves the others to the next start.
func TestDrainWhereManyFilesAreToBeMoved(t *testing.T) {
	operate(t, func(p *plant) {
		p.Connections, p.Limits.Files, p.yard.tidies = 2, 1000, true
		for i := range 1000 {
			p.yard.put(fmt.Sprintf("L/%03d", i), reading1(i))
		}
		p.yard.hook = at(finishing, "", lasting(time.Second))
	}, func(p *plant) {
		p.after(10*time.Second + time.Millisecond)
		if len(p.book.order) != 1000 || len(p.yard.done) != 2*10 {
			t.Errorf("%d files are loaded, %d done", len(p.book.order), len(p.yard.done))
		}
		p.stop()
		p.after(10*time.Second + (finishedInDrain+2)*time.Second)
		select {
		case err := <-p.running:
			p.running = closedWith(err)
		default:
			t.Error("the drain goes on")
		}
		if n := len(p.yard.done); n != 2*10+2+2*finishedInDrain {
			t.Errorf("%d files are done", n)
		}
	})
}

// What the source is to be told of waits in order, and no more of it than there is
// room for.
func TestToFinish(t *testing.T) {
	f := newToFinish()
	f.most = 10
	of := func(from, to int) (all []Outcome) {
		for i := from; i < to; i++ {
			all = append(all, Outcome{FileID: int64(i)})
		}
		return all
	}
	if away := f.put(of(1, 7)); len(away) != 0 {
		t.Errorf("turned away %v", away)
	}
	if away := f.put(of(7, 15)); len(away) != 4 || away[0].FileID != 11 {
		t.Errorf("turned away %v", away)
	}
	for want := range int64(2) {
		if o, ok := f.next(t.Context()); !ok || o.FileID != want+1 {
			t.Errorf("next comes %d, %t, want %d", o.FileID, ok, want+1)
		}
	}
	f.keep(3)
	if away := f.put(of(15, 16)); len(away) != 1 {
		t.Errorf("turned away %v", away)
	}
	close(f.ended)
	for want := int64(3); want < 6; want++ {
		if o, ok := f.next(t.Context()); !ok || o.FileID != want {
			t.Errorf("next comes %d, %t, want %d", o.FileID, ok, want)
		}
	}
	if o, ok := f.next(t.Context()); ok {
		t.Errorf("after the end comes %d", o.FileID)
	}
}

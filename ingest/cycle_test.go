package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCycles(t *testing.T) {
	operate(t, func(p *plant) { p.yard.put("L/1", reading1(1)) }, func(p *plant) {
		p.after(time.Second)
		c := p.last()
		if c.Number != 1 || !c.Over || c.Overran || c.Listed != 1 || c.New != 1 || c.Settling != 2 || c.Files[Loaded] != 1 || c.Readings != 1 || c.Oldest != 0 || c.Lag != 0 || c.Bytes == 0 {
			t.Errorf("the first cycle: %+v", c)
		}
		if c.Took != 50*time.Millisecond || c.Listing != 0 || c.Poll != 30*time.Second {
			t.Errorf("the first cycle took %s, its listing %s", c.Took, c.Listing)
		}
		p.yard.put("L/2", reading1(2))
		p.yard.put("L/1", reading1(1)+reading1(3)) // which grows
		p.after(29 * time.Second)
		if p.yard.listings != 1 {
			t.Errorf("listed %d times before the next one was due", p.yard.listings)
		}
		p.after(31 * time.Second)
		if c = p.last(); c.Number != 2 || c.Listed != 2 || c.New != 2 || c.Files[Loaded] != 2 || c.Readings != 3 {
			t.Errorf("the second cycle: %+v", c)
		}
		p.after(91 * time.Second)
		if c = p.last(); c.Number != 4 || c.Listed != 2 || c.New != 0 || len(c.Files) != 0 || c.Took != 0 {
			t.Errorf("a cycle without anything new: %+v", c)
		}
		if len(p.cycles) != 4 || p.book.refresh != 4 {
			t.Errorf("told of %d cycles, refreshed %d times", len(p.cycles), p.book.refresh)
		}
		if p.yard.fetches["L/1"] != 2 || p.yard.fetches["L/2"] != 1 {
			t.Errorf("fetched %v", p.yard.fetches)
		}
	})
}

// The ledger is asked about a file that it knew once in ten minutes: a person
// may have marked it as due.
func TestWhatIsKnownIsAskedSeldom(t *testing.T) {
	operate(t, func(p *plant) {
		for i := range 1000 {
			f := p.yard.put(fmt.Sprintf("L/%d", i), reading1(i))
			p.book.known[f.Path] = version{f, sumOf(reading1(i)), Loaded, 1}
		}
	}, func(p *plant) {
		p.after(7 * time.Minute)
		if p.book.asked != 1000 || p.told[Known] != 1000 || p.yard.listings != 15 {
			t.Errorf("asked about %d files, told of %v, in %d listings", p.book.asked, p.told, p.yard.listings)
		}
		due := p.book.known["L/7"]
		due.state = Due
		p.book.known["L/7"] = due
		p.after(11 * time.Minute)
		if p.book.asked < 2000 || p.book.asked > 2001 || len(p.yard.fetches) != 1 || p.book.known["L/7"].n != 2 {
			t.Errorf("asked about %d files, fetched %v", p.book.asked, p.yard.fetches)
		}
		if p.told[Known] != 1000 || p.told[Loaded] != 1 {
			t.Errorf("told of %v: what stays known is no news", p.told)
		}
		// One that is gone is forgotten.
		delete(p.yard.files, "L/8")
		p.after(12 * time.Minute)
		p.yard.putAt("L/8", reading1(8), FromMicros(p.book.known["L/8"].file.Modified))
		asked := p.book.asked
		p.after(12*time.Minute + 31*time.Second)
		if p.book.asked != asked+1 || p.yard.fetches["L/8"] != 0 {
			t.Errorf("asked about %d files after one came again, and fetched it %d times", p.book.asked-asked, p.yard.fetches["L/8"])
		}
	})
}

// A listing that breaks off is the cycle's error, and the next one is tried.
func TestAListingThatFails(t *testing.T) {
	for i, at := range []string{"", ".", "", "."} {
		operate(t, func(p *plant) {
			p.Connections, p.yard.at = i/2*2, at
			f := p.yard.put("L/1", reading1(1))
			p.book.known[f.Path] = version{f, sumOf(reading1(1)), Loaded, 1}
			p.yard.broken = errAway
		}, func(p *plant) {
			p.after(65 * time.Second)
			if c := p.last(); c.Number != 3 || !errors.Is(c.Err, errAway) || c.Faults != 0 || c.Listed != 1 || len(p.cycles) != 3 || p.told[Failed] != 0 {
				t.Errorf("%+v; told of %v", c, p.told)
			}
			p.yard.mu.Lock()
			p.yard.broken = nil
			p.yard.mu.Unlock()
			p.yard.put("L/2", reading1(2))
			p.after(95 * time.Second)
			if c := p.last(); c.Err != nil || c.Files[Loaded] != 1 {
				t.Errorf("%+v", c)
			}
			if p.book.asked != 2 { // a listing that broke off tells nothing about what is gone
				t.Errorf("asked about %d files", p.book.asked)
			}
		})
	}
}

// It stays so where the cycle is told once more, for a file that was heard of
// and is late.
func TestAListingThatFailedHasFailedWhenItIsToldAgain(t *testing.T) {
	operate(t, func(p *plant) {
		p.yard.broken, p.yard.at = errAway, "."
		p.book.hook = at(committing, "", lasting(time.Hour))
	}, func(p *plant) {
		p.after(10 * time.Second)
		p.yard.hints <- p.yard.put("L/1", reading1(1))
		p.after(65 * time.Second)
		told := 0
		for _, c := range p.cycles {
			if told++; !errors.Is(c.Err, errAway) {
				t.Errorf("cycle %d, as it was told: %+v", c.Number, c)
			}
		}
		if last := p.last(); told != 3 || last.Number != 2 || !last.Over {
			t.Errorf("%d cycles were told, the last: %+v", told, last)
		}
		p.abort()
	})
}

// A folder that cannot be listed is told as a file that cannot.
func TestAFolderThatIsNotListed(t *testing.T) {
	operate(t, func(p *plant) { p.yard.broken, p.yard.at = errAway, "north" }, func(p *plant) {
		p.after(35 * time.Second)
		if c := p.last(); c.Err != nil || c.Faults != 1 || c.Files[Failed] != 1 || c.Number != 2 {
			t.Errorf("%+v", c)
		}
	})
}

// A cycle that is not over when the next one is due says what held it up.
func TestWhatHoldsACycleUp(t *testing.T) {
	slow := func(at step, path string, d time.Duration) hook {
		return func(ctx context.Context, now step, on string) error {
			if now != at || path != on {
				return nil
			}
			select {
			case <-time.After(d):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	for _, c := range []struct {
		at    step
		bound Stage
	}{{listing, InListing}, {fetching, InFetch}, {committing, InCommit}, {pending, InListing}} {
		for _, connections := range []int{0, 2} {
			t.Run(fmt.Sprint(c.at, " with ", connections), func(t *testing.T) {
				operate(t, func(p *plant) {
					p.Connections = connections
					p.yard.put("L/1", reading1(1))
					path := "L/1"
					if c.at == pending {
						path = ""
					}
					p.yard.hook = slow(c.at, path, 45*time.Second)
					p.book.hook = p.yard.hook
				}, func(p *plant) {
					p.after(31 * time.Second)
					first := p.last()
					if over := c.bound != InListing; first.Number != 1 || !first.Overran || first.Over != over || first.Took != 30*time.Second {
						t.Errorf("%+v", first)
					}
					// A fetch of a worker's own is not seen before it ends.
					if first.Bound != c.bound && (c.at != fetching || connections > 0) {
						t.Errorf("held up by %q", first.Bound)
					}
					p.after(59 * time.Second)
					second := p.last()
					switch c.at {
					case listing, pending:
						if second.Number != 2 && !second.Over && second.Number != 1 {
							t.Errorf("%+v", second)
						}
					default:
						if second.Number != 2 || second.Overran || !second.Over || second.Files[Loaded] != 1 || second.New != 0 {
							t.Errorf("%+v", second)
						}
					}
					if p.yard.fetches["L/1"] != 1 {
						t.Errorf("fetched %d times", p.yard.fetches["L/1"])
					}
				})
			})
		}
	}
}

// Hints are seen at once, and of a file that changes while it is worked on the
// last one is not lost.
func TestHints(t *testing.T) {
	operate(t, func(p *plant) {
		p.Poll = time.Hour
		p.book.hook = func(_ context.Context, at step, path string) error {
			if at == committing && path == "L/slow" {
				<-time.After(time.Second)
			}
			return nil
		}
	}, func(p *plant) {
		p.after(time.Minute)
		for i := range 3 {
			p.yard.hints <- p.yard.put(fmt.Sprintf("L/%d", i), reading1(i))
		}
		p.after(time.Minute + 60*time.Millisecond)
		if len(p.book.order) != 3 || len(p.book.commits) != 1 {
			t.Errorf("60 ms after the hints there are commits of %q", p.book.commits)
		}
		slow := p.yard.put("L/slow", reading1(4))
		p.yard.hints <- slow
		p.after(time.Minute + 500*time.Millisecond)
		p.yard.hints <- slow // nothing new
		p.after(time.Minute + 600*time.Millisecond)
		p.yard.hints <- p.yard.put("L/slow", reading1(5)+reading1(6))
		p.after(2 * time.Minute)
		if p.yard.fetches["L/slow"] != 2 || p.book.known["L/slow"].sum != sumOf(reading1(5)+reading1(6)) || p.book.known["L/slow"].n != 2 {
			t.Errorf("fetched %d times; in the book: %+v", p.yard.fetches["L/slow"], p.book.known["L/slow"])
		}
		if len(p.cycles) != 1 || p.last().Overran {
			t.Errorf("cycles: %+v", p.cycles)
		}
		p.yard.hints <- File{Source: "yard", Path: "L/gone", Size: 3} // done with, or taken away, since
		p.after(3 * time.Minute)
		if p.told[Failed] != 0 || p.told[Changed] != 1 {
			t.Errorf("a file that is gone is told as %v", p.told)
		}
	})
}

// Files that are hinted at, as those are that settle, belong to the cycle that they
// come in: one that is not done with after a whole interval has it overrun, and
// those that are done with at once do not.
func TestHintsThatAreNotDealtWith(t *testing.T) {
	operate(t, func(p *plant) {
		p.book.hook = func(_ context.Context, at step, path string) error {
			if at == committing && path == "L/slow" {
				<-time.After(80 * time.Second)
			}
			return nil
		}
	}, func(p *plant) {
		p.yard.put("L/0", reading1(0))
		p.after(10 * time.Second)
		p.yard.hints <- p.yard.put("L/quick", reading1(1))
		p.after(29 * time.Second)
		if c := p.last(); c.Number != 1 || !c.Over || c.Overran {
			t.Errorf("%+v", c)
		}
		p.after(35 * time.Second)
		p.yard.hints <- p.yard.put("L/slow", reading1(2)) // until 115 s
		p.after(61 * time.Second)
		if c := p.last(); c.Number != 3 || c.Overran || c.Listed != 3 || c.UnderWay != 1 {
			t.Errorf("%+v", c)
		}
		p.after(91 * time.Second)
		if c := p.last(); c.Number != 3 || !c.Over || !c.Overran || c.Bound != InCommit || c.Took != 30*time.Second || c.Listed != 3 {
			t.Errorf("%+v", c)
		}
		p.after(119 * time.Second)
		if c := p.last(); c.Number != 4 || c.Overran || c.Took.Truncate(time.Second) != 25*time.Second || c.Files[Loaded] != 1 {
			t.Errorf("%+v", c)
		}
	})
}

func TestNoMoreWatching(t *testing.T) {
	for _, err := range []error{nil, errors.New("too many watches")} {
		operate(t, func(p *plant) { p.Source = blind{p.yard, err} }, func(p *plant) {
			p.yard.put("L/1", reading1(1))
			p.after(31 * time.Second)
			if got := p.log.String(); strings.Contains(got, "there is no watching") != (err != nil) || len(p.book.order) != 1 {
				t.Errorf("committed %q; the log says\n%s", p.book.order, got)
			}
		})
	}
}

// blind has nothing to watch, or fails to.
type blind struct {
	*yard
	err error
}

func (b blind) Watch(context.Context, func(File)) error { return b.err }

// Old files come oldest first, and what is newer than all that was there before
// comes in between.
func TestBacklogOrder(t *testing.T) {
	operate(t, func(p *plant) {
		p.Workers, p.Limits = 1, Limits{Files: 1}
		for i := range 400 { // listed by path, which is another order
			p.yard.putAt(fmt.Sprintf("L/%03d", i*7%400), reading1(i), p.began.Add(time.Duration(i-1000)*time.Second))
		}
		p.book.hook = func(_ context.Context, at step, _ string) error {
			if at == committing {
				<-time.After(time.Second)
			}
			return nil
		}
	}, func(p *plant) {
		p.after(32 * time.Second)
		order := p.book.order
		for i, path := range order {
			if i > 1 && path != fmt.Sprintf("L/%03d", i*7%400) { // the first ones were taken as they were listed
				t.Fatalf("the %dth to be committed is %s: %q", i, path, order)
			}
		}
		p.yard.put("live", reading1(1))
		p.after(66 * time.Second)
		if slices.Index(p.book.order, "live") < 0 {
			t.Error("a file that came after 32 s, and was listed after 60 s, is not there after 66 s")
		}
		for i := range 100 {
			p.yard.put(fmt.Sprintf("live/%02d", i), reading1(i))
		}
		p.after(151 * time.Second)
		between := p.book.order
		between = between[slices.IndexFunc(between, func(path string) bool { return strings.HasPrefix(path, "live/") }):][:28]
		old := 0
		for _, path := range between {
			if strings.HasPrefix(path, "L/") {
				old++
			}
		}
		if old != 7 {
			t.Errorf("while many live files wait, %d of 28 are old ones: %q", old, between)
		}
	})
}

// The lag is for how long a file has waited since it was seen, however old it is.
func TestLag(t *testing.T) {
	for _, connections := range []int{0, 2} {
		var commits, done *gate // made in the bubble
		operate(t, func(p *plant) {
			p.Connections, p.yard.tidies = connections, true
			commits, done = newGate(committing), newGate(finishing)
			p.book.hook, p.yard.hook = commits.hook, done.hook
			p.yard.putAt("L/1", reading1(1), time.Now().Add(-time.Hour))
		}, func(p *plant) {
			p.after(10 * time.Second)
			p.yard.put("L/2", reading1(2))
			p.after(40 * time.Second)
			if lag := p.Lag(); lag != 40*time.Second {
				t.Errorf("the lag is %s", lag)
			}
			close(commits.opened)
			p.after(41 * time.Second)
			if lag := p.Lag(); lag != 0 && connections > 0 {
				t.Errorf("the lag is %s when all is committed", lag)
			}
			close(done.opened)
			p.after(50 * time.Second)
			if lag := p.Lag(); lag != 0 {
				t.Errorf("the lag is %s when all is loaded", lag)
			}
		})
	}
	if lag := new(Pipeline).Lag(); lag != 0 {
		t.Errorf("a pipeline that does not run has a lag of %s", lag)
	}
}

// Who yields begins no transaction meanwhile, and a drain finishes what is in
// chunks all the same.
func TestYield(t *testing.T) {
	operate(t, func(p *plant) {
		opened := make(chan struct{}) // never
		p.Workers, p.Limits.Readings, p.Limits.Files = 1, 1, 2
		times := 0
		p.Yield = func(ctx context.Context) {
			if times++; times != 2 {
				return
			}
			select {
			case <-opened:
			case <-ctx.Done():
			}
		}
		p.yard.put("L/1", reading1(1))
		p.yard.put("L/2", reading1(2))
	}, func(p *plant) {
		p.after(10 * time.Second)
		if n := len(p.book.commits); n != 1 {
			t.Errorf("%d transactions, want 1: the second yields", n)
		}
		p.stop()
		p.after(11 * time.Second)
		if n := len(p.book.commits); n != 2 {
			t.Errorf("%d transactions after the end of take, want 2", n)
		}
	})
}

// A source that held many files back is listed again when they may have settled,
// and not only when the next listing is due.
func TestListedAgainWhenFilesSettle(t *testing.T) {
	operate(t, func(p *plant) { p.yard.settles = time.Now().Add(10 * time.Second) }, func(p *plant) {
		p.after(9 * time.Second)
		if p.yard.listings != 1 {
			t.Errorf("listed %d times before they may have settled", p.yard.listings)
		}
		p.yard.mu.Lock()
		p.yard.settles = time.Now().Add(time.Hour)
		p.yard.mu.Unlock()
		p.after(11 * time.Second)
		if p.yard.listings != 2 {
			t.Errorf("listed %d times when they may have settled", p.yard.listings)
		}
		p.after(41 * time.Second)
		if p.yard.listings != 3 {
			t.Errorf("listed %d times when it was due", p.yard.listings)
		}
	})
}

// Files that are heard of between listings are told apart from those listed.
func TestHintsAreCounted(t *testing.T) {
	operate(t, func(p *plant) { p.yard.put("L/1", reading1(1)) }, func(p *plant) {
		p.after(10 * time.Second)
		for i := range 3 {
			p.yard.hints <- p.yard.put(fmt.Sprintf("L/h%d", i), reading1(i))
		}
		p.after(35 * time.Second)
		if c := p.last(); c.Number != 2 || c.Listed != 4 || c.New != 0 || c.Hinted != 3 || c.Files[Loaded] != 3 {
			t.Errorf("%+v", c)
		}
		p.after(65 * time.Second)
		if c := p.last(); c.Number != 3 || c.Hinted != 0 {
			t.Errorf("%+v", c)
		}
	})
}

// Of what was there already nobody knows when it came. What is seen later came
// then, whatever time it says.
func TestArrivals(t *testing.T) {
	operate(t, func(p *plant) { p.Poll = 30 * time.Second; p.yard.put("L/1", reading1(1)) }, func(p *plant) {
		p.after(10 * time.Second)
		old := p.began.Add(-time.Hour)
		p.yard.putAt("L/2", reading1(2), old)
		p.after(35 * time.Second)
		p.yard.hints <- p.yard.putAt("L/3", reading1(3), old)
		p.after(40 * time.Second)
		for path, want := range map[string]time.Duration{"L/2": 30 * time.Second, "L/3": 35 * time.Second} {
			if got := time.Duration(p.book.arrived[path]-Micros(p.began)) * time.Microsecond; got < want || got > want+time.Second {
				t.Errorf("%s arrived after %s, want %s", path, got, want)
			}
		}
		if at, ok := p.book.arrived["L/1"]; !ok || at != 0 {
			t.Errorf("what was there arrived at %d, %t", at, ok)
		}
	})
}

// That the last file of a cycle has ended does not end the next cycle, which
// begins at that moment.
func TestTheEndOfOneCycleIsNotThatOfTheNext(t *testing.T) {
	var told []int
	p := &Pipeline{Source: newYard(), Sink: newBook(), Workers: 1, Poll: time.Minute, Observe: func(e Event) { told = append(told, e.Cycle.Number) }}
	r := p.newRun(t.Context(), t.Context())
	r.cycles.begin(1)
	r.underWay.begin(&reference{File: File{Path: "L/1"}, listed: true})
	r.cycles.looked()
	if _, idle := r.underWay.end("L/1"); !idle {
		t.Error("nothing is left, and it is not idle")
	}
	r.cycles.begin(2)
	r.cycles.idle() // as whoever ended the file says now
	if len(told) > 0 {
		t.Errorf("cycles %d are told as over, the listing of the second has just begun", told)
	}
	r.underWay.begin(&reference{File: File{Path: "L/2"}, listed: true})
	r.cycles.looked()
	r.cycles.idle() // or now
	if len(told) > 0 {
		t.Errorf("cycles %d are told as over while a file of the second is under way", told)
	}
	r.ended("L/2")
	if len(told) != 1 || told[0] != 2 {
		t.Errorf("told of cycles %d, want the second", told)
	}
}

// A link that leads nowhere, which cannot be listed, has failed; it is no file
// that has gone.
func TestALinkThatLeadsNowhere(t *testing.T) {
	operate(t, func(p *plant) { p.yard.broken, p.yard.at = fs.ErrNotExist, "L/link" }, func(p *plant) {
		p.after(time.Second)
		if p.told[Failed] != 1 || p.told[Changed] != 0 || p.last().Faults != 1 {
			t.Errorf("told of %v", p.told)
		}
	})
}

// Files that have gone by the time that they are fetched have failed nobody, however
// many they are: the others are fetched, and nobody waits for those.
func TestFilesThatAreGone(t *testing.T) {
	for _, connections := range []int{0, 2} {
		operate(t, func(p *plant) {
			p.Connections = connections
			for i := range 100 {
				p.yard.put(fmt.Sprintf("L/%02d", i), reading1(i))
			}
			p.yard.put("M/1", reading1(1))
			p.yard.hook = at(fetching, "L/", func(context.Context) error { return fs.ErrNotExist })
		}, func(p *plant) {
			p.after(29 * time.Second)
			if c := p.last(); c.Files[Changed] != 100 || c.Files[Loaded] != 1 || c.Left != 0 || c.Oldest != 0 {
				t.Errorf("%+v", c)
			}
		})
	}
}

// Who asks anew need not wait for the next listing that is due.
func TestAskAnew(t *testing.T) {
	operate(t, func(p *plant) {
		f := p.yard.put("L/1", reading1(1))
		p.book.known[f.Path] = version{f, sumOf(reading1(1)), Held, 1}
	}, func(p *plant) {
		p.after(5 * time.Second)
		due := p.book.known["L/1"]
		due.state = Due
		p.book.known["L/1"] = due
		p.goOn()
		p.AskAnew()
		p.after(6 * time.Second)
		if p.yard.listings != 2 || p.book.known["L/1"].n != 2 {
			t.Errorf("a second after it was asked anew there were %d listings; in the book: %+v", p.yard.listings, p.book.known["L/1"])
		}
		p.after(34 * time.Second)
		if p.yard.listings != 2 {
			t.Errorf("%d listings", p.yard.listings)
		}
		p.after(36 * time.Second)
		if p.yard.listings != 3 {
			t.Errorf("%d listings, the third was due after 35 s", p.yard.listings)
		}
	})
}

// What was there, and only had to settle, did not come when it had.
func TestWhatSettlesHadCome(t *testing.T) {
	operate(t, func(p *plant) { p.Poll, p.yard.age = 30*time.Second, 20*time.Second; p.yard.put("L/1", reading1(1)) }, func(p *plant) {
		p.after(21 * time.Second)
		p.yard.hints <- p.yard.put("L/2", reading1(2)) // settled
		p.after(45 * time.Second)
		p.yard.hints <- p.yard.put("L/3", reading1(3)) // likewise, of the second listing
		p.after(65 * time.Second)
		p.yard.hints <- p.yard.put("L/4", reading1(4))
		p.after(70 * time.Second)
		for path, came := range map[string]bool{"L/1": false, "L/2": false, "L/3": false, "L/4": true} {
			if at, ok := p.book.arrived[path]; !ok || at != 0 != came {
				t.Errorf("%s arrived at %d, %t", path, at, ok)
			}
		}
	})
}

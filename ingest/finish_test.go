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
				if standing == Loaded || standing == Duplicate {
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

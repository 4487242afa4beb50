package ingest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// at returns a hook that calls do at a step of the paths that begin with
// prefix.
func at(what step, prefix string, do func(ctx context.Context) error) hook {
	return func(ctx context.Context, now step, path string) error {
		if now != what || !strings.HasPrefix(path, prefix) {
			return nil
		}
		return do(ctx)
	}
}

// lasting lets a step take so long.
func lasting(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// As many files are fetched at a time as there are connections, and a slow one
// does not hold back the others.
func TestFetchingAhead(t *testing.T) {
	for _, stream := range []bool{false, true} {
		operate(t, func(p *plant) {
			p.Connections, p.Workers = 4, 1
			for i := range 300 {
				p.yard.put(fmt.Sprintf("L/%03d", i), reading1(i))
				p.yard.files[fmt.Sprintf("L/%03d", i)].stream = stream
			}
			p.yard.put("A/slow", reading1(0))
			p.yard.hook = func(ctx context.Context, now step, path string) error {
				if now != fetching {
					return nil
				}
				if path == "A/slow" {
					return lasting(10 * time.Second)(ctx)
				}
				return lasting(20 * time.Millisecond)(ctx)
			}
		}, func(p *plant) {
			// 300 files of 20 ms on three connections are two seconds.
			p.after(2*time.Second + 100*time.Millisecond)
			if p.yard.most != 4 || len(p.book.order) != 300 {
				t.Errorf("%d were fetched at a time, %d files are committed", p.yard.most, len(p.book.order))
			}
			for _, c := range p.book.commits {
				if len(c) > 9 { // what three connections fetch in 50 ms
					t.Errorf("a commit of %d files", len(c))
				}
			}
			p.after(11 * time.Second)
			if len(p.book.order) != 301 || p.last().Fetch != 16*time.Second {
				t.Errorf("%d files are committed; fetching took %s", len(p.book.order), p.last().Fetch)
			}
			for path, n := range p.yard.fetches {
				if n != 1 {
					t.Errorf("%s was fetched %d times", path, n)
				}
			}
		})
	}
}

// What is fetched ahead is bounded in bytes, however much is there.
func TestFetchingAheadIsBounded(t *testing.T) {
	operate(t, func(p *plant) {
		p.Connections, p.Workers = 4, 1
		text := "!enough\n" + strings.Repeat("#", 4<<20)
		for i := range 60 {
			p.yard.put(fmt.Sprintf("L/%03d", i), text)
		}
		p.book.hook = at(committing, "", waits)
	}, func(p *plant) {
		p.after(10 * time.Minute)
		// Of 4 MiB each: 7 are decoded and wait to be committed, 64 MiB and less
		// wait, and each connection has one in its hands.
		if n := len(p.yard.fetches); n < 15 || n > 7+16+4 {
			t.Errorf("%d files were fetched while nothing could be committed", n)
		}
		p.goOn()
		p.abort()
		if err := <-p.running; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		p.running = closedWith(nil)
	})
}

func closedWith(err error) <-chan error {
	c := make(chan error, 1)
	c <- err
	return c
}

// Where the source does not hand out any file any more, not all of a backlog is
// tried: the next listing is.
func TestASourceThatFailsWithinABacklog(t *testing.T) {
	operate(t, func(p *plant) {
		p.Connections = 2
		for i := range 1000 {
			p.yard.put(fmt.Sprintf("L/%03d", i), reading1(i))
		}
		p.yard.hook = at(fetching, "", func(context.Context) error {
			<-time.After(time.Millisecond) // by when all of the listing waits
			return errAway
		})
	}, func(p *plant) {
		p.after(time.Second)
		first := p.last()
		if n := first.Files[Failed]; n < 12 || n > 60 || first.Left+n != 1000 || first.Oldest == 0 || !first.Over || first.Overran {
			t.Errorf("%+v", first)
		}
		p.yard.mu.Lock()
		p.yard.hook = nil
		p.yard.mu.Unlock()
		p.after(31 * time.Second)
		if c := p.last(); c.Files[Loaded] != 1000 || c.Oldest != 0 {
			t.Errorf("%+v", c)
		}
	})
}

// The end of take ends fetches under way at once, and what is in chunks is
// committed.
func TestDrainWhileFetching(t *testing.T) {
	operate(t, func(p *plant) {
		p.Connections, p.Limits.Linger = 3, time.Hour
		p.yard.hook = at(fetching, "slow", waits)
		p.yard.put("slow", reading1(1))
		for i := range 20 {
			p.yard.put(fmt.Sprintf("L/%d", i), reading1(i))
			p.yard.files[fmt.Sprintf("L/%d", i)].stream = i%2 == 0
		}
	}, func(p *plant) {
		p.after(time.Second)
		p.goOn()
		p.stop()
		began := time.Now()
		err := <-p.running
		if err != nil || time.Since(began) != 0 || len(p.book.order) != 20 || p.told[Failed] != 0 {
			t.Errorf("ends after %s with %v: %d files are committed, told of %v", time.Since(began), err, len(p.book.order), p.told)
		}
		if c := p.last(); c.Files[Loaded] != 20 || !c.Over {
			t.Errorf("the last cycle: %+v", c)
		}
		p.running = closedWith(nil)
	})
}

func TestPace(t *testing.T) {
	for _, connections := range []int{0, 3} {
		var pace *Pace // made in the bubble
		operate(t, func(p *plant) {
			pace = NewPace(10, 0)
			p.Pace, p.Connections, p.Limits.Files = pace, connections, 1
			for i := range 500 {
				p.yard.put(fmt.Sprintf("L/%03d", i), strings.Repeat(reading1(i), 10))
			}
		}, func(p *plant) {
			p.after(10 * time.Second)
			if n := len(p.book.order); n < 100 || n > 110 {
				t.Errorf("%d files in 10 s", n)
			}
			p.after(31 * time.Second)
			if c := p.last(); !c.Overran || c.Bound != InPace || c.Paced == 0 {
				t.Errorf("%+v", c)
			}
			// 10 readings a file, 20 readings a second.
			pace.Set(0, 20)
			before := p.book.readings
			p.after(41 * time.Second)
			if n := p.book.readings - before; n < 200 || n > 240 {
				t.Errorf("%d readings in 10 s", n)
			}
			pace.Set(0, 0)
			p.after(42 * time.Second)
			if len(p.book.order) != 500 {
				t.Errorf("%d files", len(p.book.order))
			}
		})
	}
}

// Who waits for a very slow pace goes on when it is lifted.
func TestPaceChangesForThoseWhoWait(t *testing.T) {
	var pace *Pace
	operate(t, func(p *plant) {
		pace = NewPace(1./3600, 1./3600)
		p.Pace = pace
		p.yard.put("L/1", strings.Repeat(reading1(1), 100))
		p.yard.put("L/2", reading1(1))
	}, func(p *plant) {
		p.after(2 * time.Hour)
		if len(p.book.order) != 0 {
			t.Errorf("committed %q", p.book.order)
		}
		pace.Set(0, 0)
		p.after(2*time.Hour + time.Second)
		if len(p.book.order) != 2 {
			t.Errorf("committed %q", p.book.order)
		}
	})
}

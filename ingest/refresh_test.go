package ingest

import (
	"slices"
	"testing"
	"time"
)

// What one backlog brings is not judged by what it brought already: the sink is
// told that the pipeline has caught up when nothing is left of it.
func TestCaughtUp(t *testing.T) {
	for name, tc := range map[string]struct {
		set, mend func(*plant)
		want      []bool // at each listing; mended before the third
	}{
		"steady": {func(*plant) {}, func(*plant) {}, []bool{false, true, true, true}},
		"files are under way": {
			func(p *plant) { p.book.hook = newGate(committing).hook },
			func(*plant) {}, []bool{false, false, false, false},
		},
		"the listing broke off": {
			func(p *plant) { p.yard.broken = errAway },
			func(p *plant) { p.yard.broken = nil }, []bool{false, false, false, true},
		},
		"a folder cannot be listed": {
			func(p *plant) { p.yard.broken, p.yard.at = errAway, "north" },
			func(*plant) {}, []bool{false, true, true, true},
		},
		"files settle": {
			func(p *plant) { p.yard.behind = true },
			func(p *plant) { p.yard.behind = false }, []bool{false, false, true, true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			operate(t, func(p *plant) {
				p.yard.put("L/1", reading1(1))
				tc.set(p)
			}, func(p *plant) {
				p.after(59 * time.Second)
				p.yard.mu.Lock()
				tc.mend(p)
				p.yard.mu.Unlock()
				p.after(91 * time.Second)
				if !slices.Equal(p.book.caught, tc.want) {
					t.Errorf("it has caught up: %v, want %v", p.book.caught, tc.want)
				}
				if name == "files are under way" {
					p.abort()
				}
			})
		})
	}
}

// Files that found no room come with the next listing, and belong to the backlog.
func TestCaughtUpWithWhatWasTurnedAway(t *testing.T) {
	const files = backlogBound + 2000
	var commits *gate // made in the bubble
	operate(t, func(p *plant) {
		commits = newGate(committing)
		p.book.hook = commits.hook
		for i := range files {
			p.yard.putAt("L/"+string(rune('a'+i%26))+time.Duration(i).String(), reading1(i), time.Now().Add(-time.Hour))
		}
	}, func(p *plant) {
		p.after(10 * time.Second)
		close(commits.opened)
		p.after(95 * time.Second)
		caught := p.book.caught
		if len(caught) < 4 || caught[0] || caught[1] || !caught[len(caught)-1] || p.told[Loaded] != files {
			t.Errorf("it has caught up: %v, with %v", caught, p.told)
		}
	})
}

// What is heard of between listings that are far apart is judged by what came
// before it, too.
func TestRefreshForHints(t *testing.T) {
	operate(t, func(p *plant) { p.Poll = time.Hour }, func(p *plant) {
		for i, after := range []time.Duration{time.Second, 2 * time.Second, 11 * time.Second, 12 * time.Second, 40 * time.Second} {
			p.after(after)
			p.yard.hints <- p.yard.put("L/1", reading1(i))
		}
		p.after(time.Minute)
		if want := []bool{false, true, true}; !slices.Equal(p.book.caught, want) {
			t.Errorf("refreshed with %v, want %v", p.book.caught, want)
		}
		if p.told[Loaded] != 5 {
			t.Errorf("told of %v", p.told)
		}
	})
}

// A run that ends in the midst of a backlog has not caught up, and says so.
func TestEndsCaughtUp(t *testing.T) {
	for _, held := range []bool{false, true} {
		var last *plant
		operate(t, func(p *plant) {
			last = p
			if held {
				p.yard.hook = newGate(listing).hook
			}
			p.yard.put("L/1", reading1(1))
		}, func(p *plant) { p.after(time.Second) })
		if last.CaughtUp() == held {
			t.Errorf("held %v: it has caught up: %v", held, !held)
		}
	}
}

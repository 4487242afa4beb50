package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"penstock/store/pglocal/pgtest"
)

// A fault is something that fails at some time after the begin, for a while.
type fault struct {
	at, lasts time.Duration
	what      string
	where     int // the number of the site, or the limits that are set
}

// A faultKind is begun, and ended when it has lasted.
type faultKind struct {
	begin, end func(s *soaked, f fault)
	restarts   bool // the daemon begins a life
}

var faultKinds = map[string]faultKind{
	"database stopped at once": {
		begin: func(s *soaked, _ fault) { s.database.Kill() },
		end:   func(s *soaked, _ fault) { s.startDatabase() },
	},
	"database stopped in order": {
		begin: func(s *soaked, _ fault) { s.stopDatabase() },
		end:   func(s *soaked, _ fault) { s.startDatabase() },
	},
	"database cut off": {
		begin: func(s *soaked, _ fault) { s.wire.Cut() },
		end:   func(s *soaked, _ fault) { s.wire.Mend() },
	},
	"database does not answer": {
		begin: func(s *soaked, _ fault) { s.wire.Hold() },
		end:   func(s *soaked, _ fault) { s.wire.Mend() },
	},
	"FTP server killed": {
		begin: func(s *soaked, f fault) { s.at(f).server.Stop() },
		end:   func(s *soaked, f fault) { s.at(f).server.Restart() },
	},
	"FTP server cut off": {
		begin: func(s *soaked, f fault) { s.at(f).relay.Cut() },
		end:   func(s *soaked, f fault) { s.at(f).relay.Mend() },
	},
	"FTP server does not answer": {
		begin: func(s *soaked, f fault) { s.at(f).relay.Hold() },
		end:   func(s *soaked, f fault) { s.at(f).relay.Mend() },
	},
	"limits changed": {
		begin: func(s *soaked, f fault) { s.limit(f.where) },
		end:   func(*soaked, fault) {},
	},
	"Penstock killed": {
		restarts: true,
		begin:    func(s *soaked, _ fault) { s.r.signal(os.Kill); <-s.r.ended },
		end:      func(s *soaked, _ fault) { s.start() },
	},
	"Penstock and the database killed": {
		restarts: true,
		begin:    func(s *soaked, _ fault) { s.r.signal(os.Kill); s.database.Kill(); <-s.r.ended },
		end:      func(s *soaked, _ fault) { s.start(); s.startDatabase() },
	},
	"Penstock restarted": {
		restarts: true,
		begin:    func(s *soaked, _ fault) { s.r.end(0) },
		end:      func(s *soaked, _ fault) { s.start() },
	},
}

func (s *soaked) at(f fault) *site { return s.sites[f.where%len(s.sites)] }

func (s *soaked) stopDatabase() {
	s.t.Helper()
	if err := s.database.Stop(context.WithoutCancel(s.t.Context())); err != nil {
		s.t.Fatal(err)
	}
}

func (s *soaked) startDatabase() {
	s.t.Helper()
	database, err := pgtest.Start(s.t.Context(), s.database.Dir())
	if err != nil {
		s.t.Fatal(err)
	}
	s.database = database
}

// limit has the running daemon take other limits, wide enough to keep up.
func (s *soaked) limit(n int) {
	s.t.Helper()
	s.configure([]string{"", "files_per_second: 60, database_connections: 2", "readings_per_second: 40000", "database_connections: 1"}[n%4])
	s.r.signal(syscall.SIGHUP)
}

// A schedule is what fails, in the order of time.
type schedule []fault

func (p schedule) String() string {
	var s strings.Builder
	for _, f := range p {
		fmt.Fprintf(&s, "%8.1fs  %s (%d) for %s\n", f.at.Seconds(), f.what, f.where, f.lasts.Round(100*time.Millisecond))
	}
	return s.String()
}

// plan makes the schedule of a seed: one fault after the other with pauses
// between them, all kinds before one comes again. For the last part of every
// ten minutes, and of the whole, the daemon is let live, so that there is a life
// in which it could be seen to grow.
func plan(seed uint64, length time.Duration) (p schedule) {
	const calm, period = 0.4, 10 * time.Minute
	random := rand.New(rand.NewPCG(seed, 1<<40))
	between := func(least, most time.Duration) time.Duration {
		return least + time.Duration(random.Int64N(int64(most-least)))
	}
	longest, pause := 3*time.Second, 2*time.Second
	if length > 2*time.Minute {
		longest, pause = 12*time.Second, 12*time.Second
	}
	all := kindsInOrder()
	var bag []string
	for at := between(pause/2, pause); ; {
		if len(bag) == 0 {
			bag = slices.Clone(all)
			random.Shuffle(len(bag), func(i, j int) { bag[i], bag[j] = bag[j], bag[i] })
		}
		f := fault{at: at, what: bag[0], where: random.IntN(8), lasts: between(longest/10, longest)}
		bag = bag[1:]
		if f.at+f.lasts > length {
			return p
		}
		within := min(length, period)
		begun := f.at - f.at%within
		if faultKinds[f.what].restarts && f.at-begun > time.Duration((1-calm)*float64(within)) {
			continue
		}
		p = append(p, f)
		at += f.lasts + between(pause/10, pause)
	}
}

func kindsInOrder() (all []string) {
	for what := range faultKinds {
		all = append(all, what)
	}
	slices.Sort(all)
	return all
}

// follow lets fail what the schedule says, when it does. A daemon that ends by
// itself fails the test.
func (s *soaked) follow(p schedule) {
	s.t.Helper()
	for _, f := range p {
		kind := faultKinds[f.what]
		s.waits(time.Until(s.began.Add(f.at)), false)
		s.t.Logf("%8.1fs  %s (%d) for %s", time.Since(s.began).Seconds(), f.what, f.where, f.lasts.Round(100*time.Millisecond))
		kind.begin(s, f)
		s.waits(f.lasts, kind.restarts)
		kind.end(s, f)
	}
}

// waits waits, by the schedule's clock.
func (s *soaked) waits(d time.Duration, dead bool) {
	s.t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	ended := s.r.ended
	if dead {
		ended = nil
	}
	select {
	case <-timer.C:
	case <-ended:
		s.t.Fatalf("the daemon ended by itself with %d:\n%s", s.r.code, s.logEnd())
	}
}

// A schedule is the same for the same seed, has every kind of fault, and lets
// the daemon live towards the end.
func TestSoakSchedule(t *testing.T) {
	t.Parallel()
	for _, length := range []time.Duration{soakFor, 10 * time.Minute, time.Hour} {
		p := plan(soakSeed, length)
		if p.String() != plan(soakSeed, length).String() || p.String() == plan(soakSeed+1, length).String() {
			t.Errorf("the seed does not decide the schedule of %s", length)
		}
		had := make(map[string]int)
		var ends, restarted time.Duration
		for _, f := range p {
			had[f.what]++
			if f.at < ends {
				t.Errorf("at %s there is %s, and what was before lasts until %s", f.at, f.what, ends)
			}
			if ends = f.at + f.lasts; faultKinds[f.what].restarts {
				restarted = f.at
			}
		}
		if len(had) != len(faultKinds) || ends > length || length-restarted < min(length, 10*time.Minute)/3 {
			t.Errorf("in %s there are %d of %d kinds of faults, to %s, and restarts to %s:\n%s", length, len(had), len(faultKinds), ends, restarted, p)
		}
		t.Logf("%s: %d faults of %d kinds", length, len(p), len(had))
	}
}

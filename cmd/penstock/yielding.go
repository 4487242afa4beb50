package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"penstock/store"
)

// How often it is asked how late live files are, and how long the answer may
// take.
const (
	lagAskedEvery  = time.Second
	lagAskedWithin = 5 * time.Second
)

// A yielding lets live files go first: it holds a replay back while those of a
// daemon that loads into the same database are late. A nil yielding never does.
type yielding struct {
	most time.Duration // that live files may be late
	ask  func(context.Context) (source string, lag time.Duration, err error)
	log  *slog.Logger

	asking sync.Mutex // held by who asks, while the others wait for the answer
	asked  time.Time
	told   time.Time // in the log

	mu     sync.Mutex
	reason string // why it is held back; empty when it is not
	since  time.Time
	held   time.Duration // in all, before since
}

// newYielding returns what holds a replay back while live files are later than
// that; nil for 0.
func newYielding(most duration, s *opened, log *slog.Logger) *yielding {
	if most == 0 {
		return nil
	}
	return &yielding{most: time.Duration(most), ask: s.LiveLag, log: log}
}

// yield waits while live files are late, or until ctx ends.
func (y *yielding) yield(ctx context.Context) {
	for y.holds(ctx) {
		pause(ctx, lagAskedEvery)
	}
}

// holds reports whether live files are late, and asks if the last answer is too
// old. Once they were, they must have caught up by half, so that it does not go
// to and fro.
func (y *yielding) holds(ctx context.Context) bool {
	y.asking.Lock()
	defer y.asking.Unlock()
	if ctx.Err() != nil {
		return false
	}
	if time.Since(y.asked) < lagAskedEvery {
		return y.waiting() != ""
	}
	within, cancel := context.WithTimeout(ctx, lagAskedWithin)
	defer cancel()
	source, lag, err := y.ask(within)
	y.asked = time.Now()
	switch late := y.waiting() != ""; {
	case err != nil:
		y.log.Debug("whether live files are late is not known", slog.Any("error", err))
		y.goOn() // what is wrong with the database, the commit says
	case lag > y.most || late && lag > y.most/2:
		y.holdBack(source, lag)
	default:
		y.goOn()
	}
	return y.waiting() != ""
}

// holdBack notes that live files are late. That is said once an hour at most.
func (y *yielding) holdBack(source string, lag time.Duration) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.reason == "" {
		y.since = time.Now()
		if time.Since(y.told) > time.Hour {
			y.told = y.since
			y.log.Info("holding back until live files have caught up", slog.String("source", source),
				slog.Duration("waited", lag.Round(time.Second)), slog.Duration("bound", y.most))
		}
	}
	y.reason = fmt.Sprintf("held back for live files of %s, which have waited for %s", source, span(lag))
}

func (y *yielding) goOn() {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.reason != "" {
		y.held += time.Since(y.since)
		y.reason = ""
	}
}

// waiting says why it is held back now; empty when it is not.
func (y *yielding) waiting() string {
	if y == nil {
		return ""
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.reason
}

// heldBack is how long it was held back so far, in all.
func (y *yielding) heldBack() time.Duration {
	if y == nil {
		return 0
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.reason != "" {
		return y.held + time.Since(y.since)
	}
	return y.held
}

// leastLiveLag is the least that a bound of the lag may be: daemons tell theirs
// no more often than they renew their leases.
const leastLiveLag = 2 * store.LeaseHeartbeat

// checkLiveLag says what is wrong with a bound of the lag.
func checkLiveLag(most time.Duration) error {
	if most != 0 && most < leastLiveLag {
		return fmt.Errorf("%s is too short: a daemon tells every %s how long its files have waited; give %s or more", most, store.LeaseHeartbeat, leastLiveLag)
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A replay is held back above the bound until live files have caught up by half
// of it, and a database that does not answer holds nobody back.
func TestYielding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		var lag time.Duration
		var failed error
		asked := 0
		y := &yielding{most: 2 * time.Minute, log: slog.New(slog.NewTextHandler(&log, nil)), ask: func(context.Context) (string, time.Duration, error) {
			asked++
			return "north", lag, failed
		}}
		// passes reports whether a worker may go on two seconds from now.
		passes := func() bool {
			<-time.After(2 * time.Second)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan struct{})
			go func() { y.yield(ctx); close(done) }()
			synctest.Wait()
			select {
			case <-done:
				return true
			default:
				cancel()
				<-done
				return false
			}
		}
		for i, step := range []struct {
			lag    time.Duration
			failed error
			passes bool
		}{
			{0, nil, true},
			{2 * time.Minute, nil, true},
			{2*time.Minute + 1, nil, false},
			{time.Minute + 1, nil, false},
			{time.Minute, nil, true},
			{time.Minute + 1, nil, true},
			{time.Hour, nil, false},
			{time.Hour, errors.New("away"), true},
			{time.Hour, nil, false},
			{0, nil, true},
		} {
			lag, failed = step.lag, step.failed
			if passes() != step.passes {
				t.Errorf("step %d: a replay may go on: %v", i, !step.passes)
			}
			if held := strings.Contains(y.waiting(), "held back for live files of north, which have waited for "); held == step.passes {
				t.Errorf("step %d: %q", i, y.waiting())
			}
		}
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("said %d times:\n%s", n, log.String())
		}
		if held := y.heldBack(); held != 8*time.Second {
			t.Errorf("held back for %s in all, want 8s", held)
		}

		// It asks once a second, however many workers there are.
		asked, lag = 0, time.Hour
		<-time.After(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+time.Millisecond)
		defer cancel()
		ended := make(chan struct{})
		for range 8 {
			go func() { y.yield(ctx); ended <- struct{}{} }()
		}
		for range 8 {
			<-ended
		}
		if asked != 11 {
			t.Errorf("asked %d times in ten seconds", asked)
		}
	})
}

func TestLeastLiveLag(t *testing.T) {
	for _, most := range []time.Duration{0, 6 * time.Second, time.Hour} {
		if err := checkLiveLag(most); err != nil {
			t.Errorf("%s: %v", most, err)
		}
	}
	if err := checkLiveLag(time.Second); err == nil || !strings.Contains(err.Error(), "give 6s or more") {
		t.Error(err)
	}
}

package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// A sparing handler of logs does not say the same warning or error again and
// again: the first time it is passed on, then every so often with how many times
// it was said meanwhile.
type sparing struct {
	slog.Handler
	with string // the attributes and groups of this handler's logger
	said *saidRecords
}

// saidRecords is shared by the handlers of loggers that come of one another.
type saidRecords struct {
	mu    sync.Mutex
	again map[string]*saidRecord
}

type saidRecord struct {
	at       time.Time
	withheld int
}

const (
	// repeatedEvery is how often the same warning is said.
	repeatedEvery = 10 * time.Minute
	// mostSaid is how many warnings are remembered.
	mostSaid = 2000
)

func newSparing(h slog.Handler) *sparing {
	return &sparing{Handler: h, said: &saidRecords{again: make(map[string]*saidRecord)}}
}

// Handle implements [slog.Handler].
func (s *sparing) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return s.Handler.Handle(ctx, r)
	}
	pass, withheld := s.said.say(s.key(r), r.Time)
	if !pass {
		return nil
	}
	if withheld > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("repeated", withheld))
	}
	return s.Handler.Handle(ctx, r)
}

func (s *sparing) key(r slog.Record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s%s", r.Level, r.Message, s.with)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%s", a.Key, a.Value)
		return true
	})
	return b.String()
}

// WithAttrs implements [slog.Handler].
func (s *sparing) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &sparing{Handler: s.Handler.WithAttrs(attrs), with: s.with + fmt.Sprint(attrs), said: s.said}
}

// WithGroup implements [slog.Handler].
func (s *sparing) WithGroup(name string) slog.Handler {
	return &sparing{Handler: s.Handler.WithGroup(name), with: s.with + " " + name, said: s.said}
}

// say reports whether what has the key is to be said now, and how often it was
// not since it was said last.
func (s *saidRecords) say(key string, now time.Time) (pass bool, withheld int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.again[key]
	if r == nil {
		if len(s.again) >= mostSaid {
			clear(s.again)
		}
		s.again[key] = &saidRecord{at: now}
		return true, 0
	}
	if now.Sub(r.at) < repeatedEvery {
		r.withheld++
		return false, 0
	}
	withheld = r.withheld
	r.at, r.withheld = now, 0
	return true, withheld
}

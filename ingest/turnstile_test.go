package ingest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// Two pipelines work on one chunk at a time, in turns, and on more when they
// may.
func TestTurnstile(t *testing.T) {
	turn := NewTurnstile(1)
	var mu sync.Mutex
	now, most := 0, 0
	busy := at(committing, "", func(ctx context.Context) error {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		err := lasting(time.Second)(ctx)
		mu.Lock()
		now--
		mu.Unlock()
		return err
	})
	operate(t, func(p *plant) {
		p.Turn, p.Workers, p.Limits.Files, p.book.hook = turn, 8, 1, busy
		for i := range 40 {
			p.yard.put(fmt.Sprintf("L/%02d", i), reading1(i))
		}
	}, func(p *plant) {
		p.after(10*time.Second + time.Millisecond)
		if most != 1 || len(p.book.order) != 10 {
			t.Errorf("%d at a time, %d files in 10 s", most, len(p.book.order))
		}
		p.goOn()
		turn.Set(5)
		p.after(12*time.Second + 2*time.Millisecond)
		if most != 5 || len(p.book.order) < 15 {
			t.Errorf("%d at a time, %d files after 12 s", most, len(p.book.order))
		}
		p.goOn()
		turn.Set(0) // which is one
		p.after(15 * time.Second)
		mu.Lock()
		most = 0
		mu.Unlock()
		p.after(20 * time.Second)
		if most != 1 {
			t.Errorf("%d at a time", most)
		}
	})
	if turn.taken != 0 || len(turn.waiting) != 0 {
		t.Errorf("%d places are taken, %d wait", turn.taken, len(turn.waiting))
	}
}

// A source that does not answer keeps no other one from its turn.
func TestTurnstileAndADeadSource(t *testing.T) {
	turn := NewTurnstile(1)
	operate(t, func(p *plant) {
		p.Turn, p.Workers, p.Limits.Files = turn, 3, 1
		p.yard.put("dead/1", reading1(1))
		p.yard.put("dead/2", reading1(2))
		p.yard.put("slow", reading1(3))
		p.yard.hook = func(ctx context.Context, now step, path string) error {
			switch {
			case now == fetching && strings.HasPrefix(path, "dead"):
				return lasting(time.Hour)(ctx)
			case now == fetching && path == "slow":
				return lasting(time.Second)(ctx)
			}
			return nil
		}
	}, func(p *plant) {
		p.after(time.Minute)
		p.yard.put("L/1", reading1(4))
		p.after(2 * time.Minute)
		if len(p.book.order) != 2 {
			t.Errorf("committed beside a dead source: %q", p.book.order)
		}
		p.after(2 * time.Hour)
		if len(p.book.order) != 4 || p.book.most != 1 {
			t.Errorf("committed %q, %d at a time", p.book.order, p.book.most)
		}
	})
	if turn.taken != 0 || len(turn.waiting) != 0 {
		t.Errorf("%d places are taken, %d wait", turn.taken, len(turn.waiting))
	}
}

// beside runs a second plant's pipeline with the same turnstile, and returns
// its book.
func beside(t *testing.T, p *plant, source string) *book {
	t.Helper()
	y, b := newYard(), newBook()
	y.put(source+"/1", reading1(1))
	other := &Pipeline{Source: y, Sink: b, NewDecoder: func() Decoder { return &lineDecoder{} }, Workers: 1, Poll: 30 * time.Second, Turn: p.Turn, Pace: p.Pace}
	go func() { _ = other.Run(p.take, p.t.Context()) }()
	return b
}

// A source that does not answer to Done keeps no other one from its turn.
func TestTurnstileAndADeadSourceInDone(t *testing.T) {
	turn := NewTurnstile(1)
	operate(t, func(p *plant) {
		p.Turn, p.Workers, p.yard.tidies = turn, 1, true
		p.yard.put("dead/1", reading1(1))
		p.yard.hook = at(finishing, "", lasting(time.Hour))
	}, func(p *plant) {
		p.after(time.Second)
		b := beside(t, p, "other")
		p.after(10 * time.Minute)
		b.mu.Lock()
		n := len(b.order)
		b.mu.Unlock()
		if n != 1 {
			t.Errorf("beside a source that hangs in Done %d files are committed in 10 min", n)
		}
		p.after(2 * time.Hour)
	})
}

// A source that takes its time for Done, as a server some way off does where
// files are moved, keeps no other one from its turn.
func TestTurnstileAndASlowDone(t *testing.T) {
	turn := NewTurnstile(1)
	operate(t, func(p *plant) {
		p.Turn, p.Workers, p.Connections, p.Limits.Files, p.yard.tidies = turn, 1, 4, 1000, true
		for i := range 5000 {
			p.yard.put(fmt.Sprintf("L/%04d", i), reading1(i))
		}
		p.yard.hook = at(finishing, "", lasting(100*time.Millisecond)) // five round trips of 20 ms
	}, func(p *plant) {
		p.after(time.Second)
		b := beside(t, p, "other")
		p.after(6 * time.Second)
		b.mu.Lock()
		n := len(b.order)
		b.mu.Unlock()
		if n != 1 {
			t.Errorf("beside a server on which files are moved %d files are committed in 5 s", n)
		}
		p.after(5 * time.Minute)
	})
}

// Who waits for the pace of readings keeps no other source from its turn.
func TestTurnstileAndThePace(t *testing.T) {
	turn := NewTurnstile(1)
	operate(t, func(p *plant) {
		p.Turn, p.Workers, p.Pace = turn, 1, NewPace(0, 10)
		p.yard.put("big/1", strings.Repeat(reading1(1), 10_000))
	}, func(p *plant) {
		p.after(time.Second)
		b := beside(t, p, "other")
		p.after(time.Minute)
		b.mu.Lock()
		n := len(b.order)
		b.mu.Unlock()
		if n != 1 {
			t.Errorf("beside a chunk that waits for the pace %d files are committed in a minute", n)
		}
		p.after(20 * time.Minute)
	})
}

// A worker that fetches the whole of a file that grew keeps no other source
// from its turn.
func TestTurnstileAndAFileTakenWhole(t *testing.T) {
	turn := NewTurnstile(1)
	operate(t, func(p *plant) {
		p.Turn, p.Workers, p.Connections = turn, 1, 2
		p.Source, p.Sink = grower{yard: p.yard}, grownBook{book: p.book}
		p.NewDecoder = func() Decoder { return &wholeDecoder{} }
		f := p.yard.put("L/1", reading1(1))
		p.book.known["L/1"] = version{f, sumOf(reading1(1)), Loaded, 1}
		p.yard.put("L/1", reading1(1)+reading1(2))
		p.yard.hook = func(ctx context.Context, now step, path string) error {
			if now == fetching && p.yard.fetches[path+" gain"] > 0 {
				return lasting(time.Hour)(ctx)
			}
			return nil
		}
	}, func(p *plant) {
		p.after(time.Second)
		b := beside(t, p, "other")
		p.after(10 * time.Minute)
		b.mu.Lock()
		n := len(b.order)
		b.mu.Unlock()
		if n != 1 {
			t.Errorf("beside a server that hangs %d files are committed in 10 min", n)
		}
		p.after(2 * time.Hour)
	})
}

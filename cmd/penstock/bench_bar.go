package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"penstock/bench"
)

// A sweepBar shows how far a sweep is: a bar on a terminal, a line every few
// seconds elsewhere, nothing when asked to be quiet.
type sweepBar struct {
	a    *app
	bars *mpb.Progress // nil where there is no terminal
	bar  *mpb.Bar

	mu   sync.Mutex
	now  bench.Progress
	at   time.Time // when that was told
	told time.Time // when the last line was written
}

func (a *app) startSweepBar() *sweepBar {
	s := &sweepBar{a: a, told: time.Now()}
	if a.quiet || !a.errTerminal {
		return s
	}
	s.bars = mpb.New(mpb.WithOutput(a.err.w), mpb.WithAutoRefresh(), mpb.WithRefreshRate(redrawn))
	s.bar = s.bars.AddBar(0, mpb.BarWidth(barWidth), mpb.BarRemoveOnComplete(),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + s.line() })))
	a.err.over(barWriter{s.bars})
	return s
}

// tell takes in how far the sweep is.
func (s *sweepBar) tell(p bench.Progress) {
	s.mu.Lock()
	s.now, s.at = p, time.Now()
	s.mu.Unlock()
	if s.bar != nil {
		s.bar.SetTotal(int64(p.Runs), false)
		s.bar.SetCurrent(int64(p.Done))
	} else if p.Done < p.Runs && time.Since(s.told) >= toldEvery {
		s.told = time.Now()
		s.a.note("%s", s.line())
	}
}

// end takes the bar away. It must be called, once.
func (s *sweepBar) end() {
	if s.bar != nil {
		s.bar.Abort(true)
		s.bars.Wait()
		s.a.err.over(nil)
	}
}

func (s *sweepBar) line() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.now
	text := fmt.Sprintf("run %d of up to %d, set %d of %d, %s", p.Done+1, p.Runs, p.Set, p.Sets, p.Cell)
	if p.Set == 0 {
		text = fmt.Sprintf("warming up with %s", p.Cell)
	}
	if p.Left > 0 {
		text += ", about " + span(max(time.Second, p.Left-time.Since(s.at)).Truncate(time.Second)) + " left"
	}
	return text
}

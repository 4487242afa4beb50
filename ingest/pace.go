package ingest

import (
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Pace bounds how many files are fetched and how many readings are committed
// a second, by all the pipelines that share it. What was not used can be made
// up for within a second, not later. All methods may be called concurrently.
type Pace struct {
	mu              sync.Mutex
	files, readings *rate.Limiter // nil: no limit
	changed         chan struct{} // closed by Set: who waits looks again
}

// NewPace returns a pace of so many files and readings a second; what is not
// positive does not limit.
func NewPace(filesPerSecond, readingsPerSecond float64) *Pace {
	p := &Pace{changed: make(chan struct{})}
	p.Set(filesPerSecond, readingsPerSecond)
	return p
}

// Set changes the pace, also for those who wait.
func (p *Pace) Set(filesPerSecond, readingsPerSecond float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files = paced(p.files, filesPerSecond)
	p.readings = paced(p.readings, readingsPerSecond)
	close(p.changed)
	p.changed = make(chan struct{})
}

// paced returns a limiter of the given rate: the one that is there, where it
// has it already, and else a new one. A limiter whose limit is changed from
// rate.Inf can count in NaN from then on.
func paced(l *rate.Limiter, perSecond float64) *rate.Limiter {
	switch {
	case perSecond <= 0:
		return nil
	case l != nil && l.Limit() == rate.Limit(perSecond):
		return l
	}
	return rate.NewLimiter(rate.Limit(perSecond), int(min(math.Ceil(perSecond), math.MaxInt32)))
}

// file waits until one more file may be fetched, and returns how long that
// took. Its error is ctx's cause. A nil Pace does not wait.
func (p *Pace) file(ctx context.Context) (time.Duration, error) {
	if p == nil {
		return 0, nil
	}
	return p.wait(ctx, func() *rate.Limiter { return p.files }, 1)
}

// readingsOf waits until n more readings may be committed.
func (p *Pace) readingsOf(ctx context.Context, n int) (time.Duration, error) {
	if p == nil {
		return 0, nil
	}
	return p.wait(ctx, func() *rate.Limiter { return p.readings }, n)
}

// wait takes n from the limiter, in parts where n is more than a second's
// worth.
func (p *Pace) wait(ctx context.Context, of func() *rate.Limiter, n int) (waited time.Duration, err error) {
	for n > 0 {
		p.mu.Lock()
		limiter, changed := of(), p.changed
		p.mu.Unlock()
		if limiter == nil {
			break
		}
		part, now := min(n, limiter.Burst()), time.Now()
		r := limiter.ReserveN(now, part)
		delay := r.DelayFrom(now)
		if delay == 0 {
			n -= part
			continue
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
			n -= part
		case <-changed:
			r.Cancel()
		case <-ctx.Done():
			r.Cancel()
			err = context.Cause(ctx)
		}
		timer.Stop()
		waited += time.Since(now)
		if err != nil {
			return waited, err
		}
	}
	return waited, nil
}

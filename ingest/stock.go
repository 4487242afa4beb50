package ingest

import (
	"context"
	"slices"
	"sync"
	"time"
)

// stockBytes bounds what was fetched ahead and is not decoded.
const stockBytes = 64 << 20

// stockChunk is how many files a chunk of contents that were fetched ahead has
// at most where its limits do not say.
const stockChunk = 1000

// A stock counts what was fetched ahead, in bytes and in files: those that wait
// there come before a live file. Who waits longest goes first.
type stock struct {
	mu      sync.Mutex
	free    int64
	places  int
	stands  bool      // nothing was released since somebody waited too long
	last    time.Time // that something was
	waiting []*claimant
}

type claimant struct {
	bytes int64
	ready chan struct{}
}

// newStock returns a stock for a chunk for each worker and an open one.
func newStock(p *Pipeline) *stock {
	chunk := p.Limits.Files
	if chunk <= 0 {
		chunk = stockChunk
	}
	return &stock{free: stockBytes, places: max(64, chunk*(p.Workers+1))}
}

type acquisition uint8

const (
	acquired acquisition = iota
	waitedTooLong
	tookEnded
)

// acquire waits for room for so many bytes until take ends, or, if patience is
// positive, nothing has been released for so long while it waited. After that
// it waits no more until something is.
func (s *stock) acquire(take context.Context, bytes int64, patience time.Duration) acquisition {
	c := s.claim(bytes)
	if c == nil {
		return acquired
	}
	end := s.await(take, c, patience)
	if end == acquired {
		return acquired
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.waiting, c)
	if i < 0 {
		return acquired // at the same moment
	}
	s.waiting = slices.Delete(s.waiting, i, i+1)
	if end == waitedTooLong {
		s.stands = true
	}
	s.grant()
	return end
}

// await waits until the claimant has its room.
func (s *stock) await(take context.Context, c *claimant, patience time.Duration) acquisition {
	began := time.Now()
	var timer *time.Timer
	var tooLong <-chan time.Time
	if patience > 0 {
		timer = time.NewTimer(s.left(patience, began))
		defer timer.Stop()
		tooLong = timer.C
	}
	for {
		select {
		case <-c.ready:
			return acquired
		case <-tooLong:
			left := s.left(patience, began)
			if left == 0 {
				return waitedTooLong
			}
			timer.Reset(left)
		case <-take.Done():
			return tookEnded
		}
	}
}

// claim takes the bytes and returns nil, or returns who waits for them.
func (s *stock) claim(bytes int64) *claimant {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 && s.fits(bytes) {
		s.free -= bytes
		s.places--
		return nil
	}
	c := &claimant{bytes: bytes, ready: make(chan struct{})}
	s.waiting = append(s.waiting, c)
	return c
}

// fits lets through what is larger than all there is when nothing else is
// there.
func (s *stock) fits(bytes int64) bool {
	return s.places > 0 && (bytes <= s.free || s.free == stockBytes)
}

// take takes bytes for a file that is there already, without waiting, more than
// there are if need be.
func (s *stock) take(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free -= bytes
}

func (s *stock) release(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free += bytes
	s.places++
	s.stands, s.last = false, time.Now()
	s.grant()
}

// left is how much of its patience whoever has waited since began has left.
func (s *stock) left(patience time.Duration, began time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stands {
		return 0
	}
	if s.last.After(began) {
		began = s.last
	}
	return max(0, patience-time.Since(began))
}

func (s *stock) grant() {
	for len(s.waiting) > 0 && s.fits(s.waiting[0].bytes) {
		s.free -= s.waiting[0].bytes
		s.places--
		close(s.waiting[0].ready)
		s.waiting = slices.Delete(s.waiting, 0, 1)
	}
}

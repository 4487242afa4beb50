package ingest

import (
	"context"
	"slices"
	"sync"
)

// A Turnstile bounds how many chunks are worked on at a time, by all the
// pipelines that share it. Who waits longest goes first, so that a busy source
// does not keep another one out. All methods may be called concurrently.
type Turnstile struct {
	mu      sync.Mutex
	places  int
	taken   int
	waiting []chan struct{} // each is closed when a place has been taken for it
}

// NewTurnstile returns a turnstile with n places, at least one.
func NewTurnstile(n int) *Turnstile { return &Turnstile{places: max(n, 1)} }

// Set changes the number of places, at once where there are more, and else as
// those inside leave.
func (t *Turnstile) Set(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.places = max(n, 1)
	t.admit()
}

// Enter waits for a place. Its error is ctx's cause; else Leave is to be called.
func (t *Turnstile) Enter(ctx context.Context) error {
	t.mu.Lock()
	if t.taken < t.places && len(t.waiting) == 0 {
		t.taken++
		t.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	t.waiting = append(t.waiting, turn)
	t.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.waiting, turn); i >= 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
	} else { // it was let in at the same moment
		t.taken--
		t.admit()
	}
	return context.Cause(ctx)
}

// Leave gives the place back.
func (t *Turnstile) Leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken--
	t.admit()
}

func (t *Turnstile) admit() {
	for t.taken < t.places && len(t.waiting) > 0 {
		close(t.waiting[0])
		t.waiting = slices.Delete(t.waiting, 0, 1)
		t.taken++
	}
}

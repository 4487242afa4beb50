package ingest

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A Turnstile bounds how many chunks are worked on at a time, by all the
// pipelines that share it. Who waits longest goes first, so that a busy source
// does not keep another one out. All methods may be called concurrently.
type Turnstile struct {
	large *Turnstile // for parts of large files, which take a place besides; nil of that one

	mu      sync.Mutex
	places  int
	taken   int
	waiting []chan struct{} // each is closed when a place has been taken for it
}

// NewTurnstile returns a turnstile with n places, at least one. Where there are
// more, parts of large files leave one to small files, which so wait for none.
func NewTurnstile(n int) *Turnstile {
	t := &Turnstile{large: new(Turnstile)}
	t.Set(n)
	return t
}

// Set changes the number of places, at once where there are more, and else as
// those inside leave.
func (t *Turnstile) Set(n int) {
	t.set(n)
	t.large.set(n - 1)
}

func (t *Turnstile) set(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.places = max(n, 1)
	t.admit()
}

// forLarge is the one for parts of large files. A nil one has none.
func (t *Turnstile) forLarge() *Turnstile {
	if t == nil {
		return nil
	}
	return t.large
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

// A turn is a place in a turnstile that one worker takes again and again. It
// goes to others while the worker waits for a source that does not answer, so
// that a dead one does not hold up those that share the turnstile. The zero
// turn is that of no turnstile.
type turn struct {
	turnstile *Turnstile

	mu     sync.Mutex
	inside bool
	waits  bool        // for a source
	late   *time.Timer // until it has waited too long
}

// waitsFor is how long a worker may wait for a source with its place.
const waitsFor = 100 * time.Millisecond

func (t *turn) enter(ctx context.Context) error {
	if t.turnstile == nil {
		return nil
	}
	if err := t.turnstile.Enter(ctx); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.inside = true
	return nil
}

func (t *turn) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inside {
		t.inside = false
		t.turnstile.Leave()
	}
}

// away calls what waits for a source, and has the place again when it returns.
func (t *turn) away(ctx context.Context, fetch func() error) error {
	if t.turnstile == nil {
		return fetch()
	}
	t.setWaits(true)
	if t.late == nil {
		t.late = time.AfterFunc(waitsFor, t.giveUp)
	} else {
		t.late.Reset(waitsFor)
	}
	err := fetch()
	t.late.Stop()
	if t.setWaits(false) {
		return err
	}
	if entered := t.enter(ctx); err == nil {
		err = entered
	}
	return err
}

// setWaits reports whether the worker still has its place.
func (t *turn) setWaits(waits bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waits = waits
	return t.inside
}

// giveUp leaves the place to others while the worker waits.
func (t *turn) giveUp() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.waits && t.inside {
		t.inside = false
		t.turnstile.Leave()
	}
}

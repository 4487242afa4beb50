package ingest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// How often the sink is refreshed for what is heard of between listings, and how
// long such a file may have waited for all to count as caught up: where many
// files come, some are always under way.
const (
	refreshedEvery = 10 * time.Second
	waitsBriefly   = 5 * time.Second
)

// A refreshing is when the sink of a pipeline that polls learns what others did,
// and what is left of a backlog: files of one backlog are not judged by one
// another.
type refreshing struct {
	mu sync.Mutex // held while the sink is asked
	at time.Time  // last

	between atomic.Bool // listings, and the last one did not break off
	left    atomic.Bool // files were dropped that another listing brings again
	broke   bool        // the listing under way did; list's, and look's once the end is seen
}

// refresh lets the sink learn what others did, before each listing.
func (r *run) refresh() error {
	if r.Poll <= 0 {
		return nil
	}
	defer func() {
		r.refreshing.between.Store(false)
		r.refreshing.left.Store(false)
		r.refreshing.broke = false
	}()
	return r.refreshIf(func() bool { return true })
}

// refreshFor does likewise for hints, where the listing that comes may be far.
func (r *run) refreshFor(batch []sighting) error {
	for i := range batch {
		if batch[i].kind == hinted {
			return r.refreshIf(func() bool {
				return r.refreshing.between.Load() && time.Since(r.refreshing.at) >= refreshedEvery
			})
		}
	}
	return nil
}

func (r *run) refreshIf(due func() bool) error {
	sink, ok := r.Sink.(Refresher)
	if !ok {
		return nil
	}
	r.refreshing.mu.Lock()
	defer r.refreshing.mu.Unlock()
	if !due() {
		return nil
	}
	caughtUp := r.caughtUp(waitsBriefly)
	_, err := r.ask(func(ctx context.Context) error { return sink.Refresh(ctx, caughtUp) })
	r.refreshing.at = time.Now()
	return err
}

// listedAll notes that the ledger has been asked about all of a listing.
func (r *run) listedAll() { r.refreshing.between.Store(!r.refreshing.broke) }

// caughtUp reports whether nothing is left of what was listed: all of it has been
// dealt with, no file that was heard of otherwise has waited for long, and the
// source holds none back for no other reason than that there are many.
func (r *run) caughtUp(briefly time.Duration) bool {
	if !r.refreshing.between.Load() || r.refreshing.left.Load() {
		return false
	}
	if r.underWay.awaited() || r.underWay.longest() > briefly {
		return false
	}
	s, ok := r.Source.(Settler)
	return !ok || !s.Behind()
}

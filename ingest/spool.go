package ingest

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// How long nothing may have been decoded before what is fetched is left to the
// archive, and how many files may wait there.
const (
	spoolsAfter = 5 * time.Second
	maxSpooled  = 1 << 17
)

// A spool is the files whose contents wait in the archive alone, because there
// was no room for them while the database stood still. The newest leave first.
// A nil spool takes in nothing.
type spool struct {
	some  chan struct{} // there may be files
	ended chan struct{} // no more will come

	mu    sync.Mutex
	bytes int64
	bound int64
	files spooledFiles
}

// A spooled is a file in the archive that is not committed.
type spooled struct {
	reference
	provided provided
	bytes    int64
}

func newSpool(bound int64) *spool {
	return &spool{some: make(chan struct{}, 1), ended: make(chan struct{}), bound: bound}
}

// spools reports whether files are fetched into the archive while the database
// stands still.
func (r *run) spools() bool { return r.spool != nil }

// patience is how long a parcel waits for room in the stock; 0 for ever, where
// the spool has no room for it either.
func (s *spool) patience(p *parcel) time.Duration {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes+p.content.size() > s.bound || len(s.files) >= maxSpooled {
		return 0
	}
	return spoolsAfter
}

// put keeps where the content of a parcel is, and reports whether that is
// known.
func (s *spool) put(p *parcel) bool {
	if p.provided.place == (Place{}) {
		return false
	}
	f := &spooled{reference: p.reference, provided: p.provided, bytes: p.content.size()}
	f.growth, f.archived = nil, nil // the archive gives all of it
	s.mu.Lock()
	s.bytes += f.bytes
	heap.Push(&s.files, f)
	s.mu.Unlock()
	signal(s.some)
	return true
}

// newest takes the newest file out of the spool; nil when there is none.
func (s *spool) newest() *spooled {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.files) == 0 {
		return nil
	}
	f := heap.Pop(&s.files).(*spooled)
	s.bytes -= f.bytes
	return f
}

func (s *spool) length() int {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.files)
}

// unspool fetches what the spool has from the archive as there is room in the
// stock, until nothing is left and no more will come, or take ends.
func (r *run) unspool() error {
	for {
		if r.work.Err() != nil { // which take follows a moment later
			return context.Cause(r.work)
		}
		if r.spool.length() == 0 {
			select {
			case <-r.spool.some:
				continue
			case <-r.spool.ended:
				if r.spool.length() == 0 {
					return nil
				}
			case <-r.take.Done():
				return context.Cause(r.work)
			}
		}
		if r.stock.acquire(r.take, streamCharge, 0) != acquired {
			return context.Cause(r.work)
		}
		// Which one is the newest is seen only now.
		if p := r.unspoolOne(r.spool.newest()); p != nil {
			r.fetched <- p
		}
	}
}

// unspoolOne fetches a file from the archive, for which the charge of a stream
// was taken from the stock. It returns nil when there is no such file any more.
func (r *run) unspoolOne(f *spooled) *parcel {
	if f == nil {
		r.stock.release(streamCharge)
		return nil
	}
	p := &parcel{reference: f.reference, provided: f.provided, content: r.contents.Get().(*Content), charge: streamCharge}
	ctx, cancel := context.WithCancel(r.work)
	p.cancel = cancel
	start := time.Now()
	err := r.Archive.Fetch(ctx, f.provided.place, p.content)
	p.took = time.Since(start)
	if err != nil && r.work.Err() != nil { // then it has not failed: the next run takes it up
		r.release(p)
		return nil
	}
	if err != nil {
		r.cycles.left(f.Modified)
		r.tellFailed(f.File, Failed, err, p.took)
		r.ended(f.Path)
		r.release(p)
		return nil
	}
	p.content.FirstFetched = f.firstFetched
	if p.content.Stream != nil {
		r.streams.add(p)
	}
	if more := p.content.charge() - p.charge; more > 0 {
		r.stock.take(more)
		p.charge += more
	}
	return p
}

// spooledFiles is a heap with the newest first.
type spooledFiles []*spooled

func (s spooledFiles) Len() int           { return len(s) }
func (s spooledFiles) Less(i, j int) bool { return s[i].Modified > s[j].Modified }
func (s spooledFiles) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *spooledFiles) Push(x any)        { *s = append(*s, x.(*spooled)) }

func (s *spooledFiles) Pop() any {
	all := *s
	f := all[len(all)-1]
	all[len(all)-1] = nil
	*s = all[:len(all)-1]
	return f
}

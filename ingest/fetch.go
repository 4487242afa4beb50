package ingest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"
)

// A parcel is a file's content on its way from a connection to a worker. Who
// has it owns it, and gives it on or ends with release.
type parcel struct {
	reference
	content  *Content
	provided provided
	took     time.Duration
	charge   int64              // what it takes of the stock
	cancel   context.CancelFunc // of the reading of a stream
}

// provided is what is known of a content before it is decoded.
type provided struct {
	sum    Digest
	hashed bool
	place  Place
}

// parcelOverhead is what a parcel takes besides its bytes, and streamCharge
// what one with a stream does: its buffers. What a stream takes on disk counts
// for a sixteenth, but no stream for more than a quarter of the stock: there are
// 1 GiB of them at most, or four.
const (
	parcelOverhead = 512
	streamCharge   = 256 << 10
	onDisk         = 16
	mostForStream  = stockBytes / 4
)

// charge is what c takes of the stock.
func (c *Content) charge() int64 {
	if c.Stream == nil {
		return int64(cap(c.Data)) + parcelOverhead
	}
	return streamCharge + int64(cap(c.Data)) + min(max(c.File.Size, 0)/onDisk, mostForStream)
}

// keptBuffer is the size up to which the buffer of a content is used again.
const keptBuffer = 64 << 10

// fetchAhead is one connection's work: it fetches files of the backlog, one
// after the other, until there are no more or take ends. What it has in its
// hands when there is no room for more stays there, so that besides the stock
// there is one content for each connection.
func (r *run) fetchAhead() error {
	for {
		ref, ok := r.backlog.next(r.take)
		if !ok {
			return context.Cause(r.work)
		}
		if err := r.cycles.paced(func() (time.Duration, error) { return r.Pace.file(r.take) }); err != nil {
			return context.Cause(r.work)
		}
		p, err := r.fetchParcel(ref)
		switch {
		case r.take.Err() != nil, r.work.Err() != nil: // which take follows a moment later
			r.release(p)
			return context.Cause(r.work)
		case err != nil:
			r.unfetched(&ref, err, p.took)
			r.release(p)
		default:
			r.fetchFailures.Store(0)
			if err := r.passOn(p); err != nil {
				return err
			}
		}
	}
}

// fetchParcel fetches a file. The end of take ends the fetching, but not the
// reading of a stream afterwards.
func (r *run) fetchParcel(ref reference) (*parcel, error) {
	p := &parcel{reference: ref, content: r.contents.Get().(*Content)}
	ctx, cancel := context.WithCancel(r.work)
	stop := context.AfterFunc(r.take, cancel)
	end := r.cycles.enter(InFetch)
	start := time.Now()
	p.content.Follows = r.backlog.length() >= r.Connections // or others take what there is
	err := r.fetch(ctx, &p.reference, p.content, &p.provided)
	p.took = time.Since(start)
	end()
	stop()
	p.cancel = cancel
	if err != nil {
		return p, err
	}
	p.content.FirstFetched = ref.firstFetched
	if p.content.Stream != nil {
		r.streams.add(p)
	}
	return p, nil
}

// fetch reads a file and puts it into the archive, unless that has the same
// bytes of it. After an error c holds nothing.
func (r *run) fetch(ctx context.Context, ref *reference, c *Content, have *provided) error {
	*have, c.Place, c.Recorded = provided{}, Place{}, nil
	if err := r.fetchBytes(ctx, ref, c); err != nil {
		return err
	}
	if have.place = c.Place; r.Archive == nil || c.Place != (Place{}) {
		return nil
	}
	if c.Stream == nil && c.Gain == nil {
		have.sum, have.hashed = sha256.Sum256(c.Data), true
		if ref.archived != nil && *ref.archived == have.sum {
			return nil
		}
	}
	place, err := r.Archive.Keep(ctx, c, have.sum)
	have.place = place
	if err == nil && r.Poll > 0 {
		r.underWay.kept(ref.Path)
	}
	return err
}

// unfetched tells of a file that could not be fetched. Where that happens to
// many in a row it is not their fault: the others are left to the next listing.
func (r *run) unfetched(f *reference, err error, took time.Duration) {
	if !r.isGone(err) {
		r.cycles.left(f.Modified)
	}
	r.tellFailed(f.File, r.failedAs(err), err, took)
	r.ended(f.Path)
	if r.failedAs(err) == Changed || r.Poll <= 0 {
		return
	}
	if int(r.fetchFailures.Add(1)) > 8+2*r.Connections {
		r.fetchFailures.Store(0)
		r.drop(r.backlog.clear())
	}
}

// passOn gives a parcel to the plan when there is room in the stock. Where the
// database stands still, it leaves the parcel to the archive.
func (r *run) passOn(p *parcel) error {
	charge := p.content.charge()
	switch r.stock.acquire(r.take, charge, r.spool.patience(p)) {
	case acquired:
		p.charge = charge
	case waitedTooLong:
		if p.provided.place != (Place{}) { // the source may not have it any more when the process ends
			if err := r.Archive.Sync(r.work); err != nil {
				return fmt.Errorf("making the archive durable: %w", err)
			}
		}
		if !r.spool.put(p) { // the archive had it before, and does not say where
			r.drop([]reference{p.reference})
		}
		r.release(p)
		return nil
	case tookEnded:
		r.release(p)
		return context.Cause(r.work)
	}
	r.fetched <- p
	return nil
}

// release ends a parcel: its stream is closed, its buffer is used again and its
// room in the stock is free. A nil parcel is none.
func (r *run) release(p *parcel) {
	if p == nil {
		return
	}
	r.streams.remove(p)
	_ = p.content.Close() // open only where nobody wants it any more
	if p.cancel != nil {
		p.cancel()
	}
	if p.charge > 0 {
		r.stock.release(p.charge)
	}
	c := p.content
	p.content = nil
	if cap(c.Data) > keptBuffer {
		c.Data = nil
	}
	*c = Content{Data: c.Data[:0]}
	r.contents.Put(c)
}

// streams are the parcels with a stream: those that nobody comes to read when a
// run breaks off are closed in the end.
type streams struct {
	mu   sync.Mutex
	open map[*parcel]struct{}
}

func (s *streams) add(p *parcel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[*parcel]struct{})
	}
	s.open[p] = struct{}{}
}

func (s *streams) remove(p *parcel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, p)
}

// close is for when nothing runs any more.
func (s *streams) close() {
	for p := range s.open {
		_ = p.content.Close() // nobody read it
		p.cancel()
	}
}

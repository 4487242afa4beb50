package ingest

import (
	"context"
	"time"
)

// A chunk is the files handed to a worker at a time: references that it is to
// fetch, or contents that were fetched ahead.
type chunk struct {
	number int
	files  []reference
	ahead  []*parcel
}

// lingersFor is the linger of a pipeline that polls and has no other: a chunk
// must not wait for files that may never come.
const lingersFor = 50 * time.Millisecond

// plan gathers files into chunks and hands them to workers. After the end of
// take only the open chunk goes out.
func (r *run) plan() error {
	defer close(r.chunks)
	open := &openChunk{limits: r.Limits, out: r.chunks}
	defer func() {
		open.stop()
		if open.size() > 0 {
			r.dropped.Store(true)
		}
	}()
	if r.Poll > 0 && open.limits.Linger <= 0 {
		open.limits.Linger = lingersFor
	}
	gather := r.gatherReferences
	if r.Connections > 0 {
		gather = r.gatherParcels
	}
	if err := gather(open); err != nil {
		return err
	}
	return open.close(r.work)
}

func (r *run) gatherReferences(open *openChunk) error {
	var refs []reference
	for r.take.Err() == nil {
		over := false
		select {
		case <-r.backlog.ended:
			over = true
		default:
		}
		if refs = r.backlog.take(open.room(), refs[:0]); len(refs) > 0 {
			if err := r.addReferences(open, refs); err != nil {
				return err
			}
			continue
		}
		if over {
			return nil
		}
		select {
		case <-r.backlog.some:
		case <-r.backlog.ended:
		case <-r.take.Done():
		case <-open.lingered():
			if err := open.close(r.work); err != nil {
				return err
			}
		}
	}
	return context.Cause(r.work)
}

// addReferences adds files to the open chunk. Handing out chunks can take long,
// so it minds the end of take itself.
func (r *run) addReferences(open *openChunk, refs []reference) error {
	for i := range refs {
		if r.take.Err() != nil {
			return context.Cause(r.work)
		}
		if err := open.before(r.work, refs[i].toFetch(), 0); err != nil {
			return err
		}
		if open.files == nil {
			open.files = make([]reference, 0, len(refs)-i)
		}
		open.files = append(open.files, refs[i])
		if err := open.added(r.work, refs[i].toFetch(), 0); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) gatherParcels(open *openChunk) error {
	// Half of what may be fetched ahead is left for the others: whoever waits for
	// room in the stock is sure to get it, if the open chunk gets no other file.
	open.most = stockBytes / 2
	if open.limits.Files <= 0 {
		open.limits.Files = stockChunk
	}
	for {
		select {
		case p, ok := <-r.fetched:
			if !ok {
				return nil
			}
			size := p.content.size()
			if err := open.before(r.work, size, p.charge); err != nil {
				return err
			}
			open.ahead = append(open.ahead, p)
			if err := open.added(r.work, size, p.charge); err != nil {
				return err
			}
		case <-open.lingered():
			if err := open.close(r.work); err != nil {
				return err
			}
		case <-r.take.Done():
			return context.Cause(r.work)
		}
	}
}

// An openChunk gathers files until one of the limits closes it.
type openChunk struct {
	limits Limits
	most   int64 // that its files take of the stock; 0 where they take nothing
	out    chan<- chunk

	chunk
	bytes  int64
	charge int64 // of the stock
	linger *time.Timer
}

func (o *openChunk) size() int { return len(o.files) + len(o.ahead) }

// room is how many files may be added at least before the chunk is closed,
// where their sizes allow it.
func (o *openChunk) room() int {
	const most = 1000 // so that what comes later can still go first
	if o.limits.Files <= 0 {
		return most
	}
	return min(o.limits.Files-o.size(), most)
}

// before makes room for a file of which so many bytes are fetched, and that takes
// so much of the stock.
func (o *openChunk) before(ctx context.Context, bytes, charge int64) error {
	if o.size() > 0 && (o.limits.Bytes > 0 && o.bytes+bytes > o.limits.Bytes || o.most > 0 && o.charge+charge > o.most) {
		if err := o.close(ctx); err != nil {
			return err
		}
	}
	if o.size() == 0 && o.limits.Linger > 0 {
		o.linger = time.NewTimer(o.limits.Linger)
	}
	return nil
}

// added closes the chunk when that file made it full.
func (o *openChunk) added(ctx context.Context, bytes, charge int64) error {
	o.bytes += max(bytes, 0)
	o.charge += charge
	l := &o.limits
	if l.Files > 0 && o.size() >= l.Files || l.Bytes > 0 && o.bytes >= l.Bytes || o.most > 0 && o.charge >= o.most {
		return o.close(ctx)
	}
	return nil
}

// lingered is ready when the open chunk has waited long enough.
func (o *openChunk) lingered() <-chan time.Time {
	if o.linger == nil {
		return nil
	}
	return o.linger.C
}

// close hands the chunk to a worker, waiting until one is free.
func (o *openChunk) close(ctx context.Context) error {
	o.stop()
	if o.size() == 0 {
		return nil
	}
	o.number++
	select {
	case o.out <- o.chunk:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	o.files, o.ahead, o.bytes, o.charge = nil, nil, 0, 0
	return nil
}

func (o *openChunk) stop() {
	if o.linger != nil {
		o.linger.Stop()
		o.linger = nil
	}
}

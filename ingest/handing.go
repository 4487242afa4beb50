package ingest

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// A handing is the parts of one file as they are handed to workers.
type handing struct {
	*loader
	parts  *Parts
	found  *scan
	n      int    // of the next part
	batch  *Batch // that is decoded into
	failed error  // what a worker says of the file
}

// commitParts has the parts of a file committed that are not, by whichever worker is
// free. Where its readings were not kept it reads the file again. unread says why the
// file cannot be finished, err why the run cannot go on. No part is under way when it
// returns, unless the run has ended.
func (l *loader) commitParts(ctx context.Context, parts *Parts, found *scan) (unread, err error) {
	if len(parts.Done) == parts.Count {
		return nil, nil
	}
	start := time.Now()
	l.waited = 0
	defer func() { l.event.Decode += time.Since(start) - l.waited }()
	h := &handing{loader: l, parts: parts, found: found}
	if found.kept != nil {
		unread = h.pick(ctx)
	} else {
		unread = h.decode(ctx)
	}
	h.giveUp()
	for l.underWay > 0 {
		if err := l.await(ctx, h); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if h.failed != nil {
		unread = h.failed
	}
	if parts.Refused != "" {
		unread = nil
	}
	return unread, nil
}

// decode decodes the file, and hands on its parts as they come.
func (h *handing) decode(ctx context.Context) error {
	if err := h.rewind(true); err != nil { // by the digests of its parts
		return err
	}
	decoder := h.decoder.(PartDecoder) // the scan has seen to that
	cut := h.cut(h.found)
	cut.Again = true
	cut.End = func(*Batch) (*Batch, error) {
		if err := h.handAlike(ctx); err != nil {
			return nil, err
		}
		return h.another(ctx)
	}
	b, err := h.another(ctx)
	if err != nil {
		return err
	}
	if err := decoder.DecodeParts(ctx, h.content, b, cut); err != nil {
		return err
	}
	if s := &h.batch.Spans[len(h.batch.Spans)-1]; s.State != Loaded || h.n != len(h.found.parts)-1 {
		return fmt.Errorf("%w: reading it twice gave two results", ErrChanged)
	}
	return h.handAlike(ctx)
}

// handAlike hands on the part that is in the batch, unless it is committed already,
// if it is what the scan found.
func (h *handing) handAlike(ctx context.Context) error {
	b, n := h.batch, h.n
	if n >= len(h.found.parts) {
		return fmt.Errorf("%w: it has more parts than at first", ErrChanged)
	}
	is := &h.found.parts[n]
	b.Spans[0].End = len(b.Time)
	if len(b.Time) != is.readings || h.found.digestOf(b, &b.Spans[0]) != is.digest {
		return fmt.Errorf("%w: its part %d is not what it was at first", ErrChanged, n+1)
	}
	if h.parts.Done[n] {
		h.n++
		h.giveUp()
		return nil
	}
	return h.hand(ctx)
}

// pick hands on the parts of a file whose readings were kept.
func (h *handing) pick(ctx context.Context) error {
	for h.n < len(h.found.parts) {
		if h.parts.Done[h.n] {
			h.n++
			continue
		}
		b, err := h.another(ctx)
		if err != nil {
			return err
		}
		b.pick(h.found.kept, h.found.parts[h.n].rows, &h.loader.batch.Spans[0])
		if err := h.hand(ctx); err != nil {
			return err
		}
	}
	return nil
}

// hand gives the part that is in the batch to a worker.
func (h *handing) hand(ctx context.Context) error {
	b, n := h.batch, h.n
	is := &h.found.parts[n]
	h.n++
	for h.underWay == h.atOnce || is.late && h.underWay > 0 {
		if err := h.await(ctx, h); err != nil {
			return err
		}
	}
	p := &part{Part: Part{Of: h.parts, N: n, Late: is.late}, batch: b, ended: h.ended, slot: turn{turnstile: h.Turn.forLarge()}}
	start := time.Now()
	defer func() { h.waited += time.Since(start) }()
	if p.slot.enter(h.take) != nil {
		return cmp.Or(context.Cause(ctx), errLeft)
	}
	err := h.give(ctx, p)
	if err != nil {
		p.slot.leave()
	}
	return err
}

// give waits for a worker that takes a part.
func (h *handing) give(ctx context.Context, p *part) error {
	for h.failed == nil && h.parts.Refused == "" {
		select {
		case h.run.parts <- p:
			h.underWay++
			h.batch = nil
			return nil
		case ended := <-h.ended:
			h.has(ended)
		case <-h.take.Done():
			return errLeft
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return errLeft // the reason is noted
}

// giveUp leaves the batch that is decoded into to others.
func (h *handing) giveUp() {
	if h.batch != nil {
		h.free, h.batch = append(h.free, h.batch), nil
	}
}

// another returns a batch to decode into, waiting until a worker has done with
// one.
func (h *handing) another(ctx context.Context) (*Batch, error) {
	if len(h.free) == 0 && h.made < cap(h.ended) {
		h.made++
		h.free = append(h.free, new(Batch))
	}
	for len(h.free) == 0 {
		if err := h.await(ctx, h); err != nil {
			return nil, err
		}
	}
	last := len(h.free) - 1
	h.batch, h.free = h.free[last], h.free[:last]
	h.batch.Reset()
	return h.batch, nil
}

// await waits for a part that a worker has.
func (l *loader) await(ctx context.Context, h *handing) error {
	start := time.Now()
	defer func() { l.waited += time.Since(start) }()
	select {
	case p := <-l.ended:
		h.has(p)
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// has takes back a part.
func (h *handing) has(p *part) {
	h.underWay--
	h.event.Commit += p.took
	h.free = append(h.free, p.batch)
	switch {
	case p.err != nil:
		h.failed = p.err
	case p.refused != "":
		h.parts.Refused = p.refused
	default:
		h.observe(Event{Source: h.name, Part: &CommittedPart{p.batch.Spans[0].File, len(p.batch.Time)}})
	}
}

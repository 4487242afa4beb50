package ingest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// A loader loads large files, one after the other. It is a worker that is given
// no chunks.
type loader struct {
	*worker
	free     []*Batch      // that nobody uses
	made     int           // how many there are in all
	underWay int           // parts that workers have
	atOnce   int           // and may have
	waited   time.Duration // for workers, while a file is decoded
	ended    chan *part    // that they had
	slot     turn          // among the large files, for what is no part
}

// A part is one on its way to a worker and back. Who has it owns its batch.
type part struct {
	Part
	batch   *Batch
	refused string // by the database, and why
	err     error  // the file is not what it was
	took    time.Duration
	slot    turn // among the large files: who has the part leaves it
	ended   chan<- *part
}

// errLeft says that take has ended: the rest of a file is left to the next run.
var errLeft = errors.New("its other parts are left to the next run")

func (r *run) newLoader() *loader {
	atOnce := partsAtOnce(r.Workers)
	return &loader{worker: r.newWorker(0), atOnce: atOnce, ended: make(chan *part, atOnce+1), slot: turn{turnstile: r.Turn.forLarge()}}
}

// partsAtOnce is how many parts so many workers have at most. One keeps a core of the
// server at work, which a chunk of small files does not: with a part for each of the
// workers, of which there are usually two for a core, sessions of the server wait
// for one another's log and pages, and the file takes longer.
func partsAtOnce(workers int) int { return min(workers, max(2, (workers+1)/2)) }

// load loads one file and tells what became of it.
func (l *loader) load(ctx context.Context, f *largeFile) error {
	defer l.turn.leave()
	defer l.release(f.parcel)
	l.run.underWay.note(f.Path, func(f *flight) { f.loading = true })
	l.reset(0)
	if f.gain != (Place{}) {
		l.gains = append(l.gains, f.gain)
	}
	var have provided
	err := l.fetchLarge(ctx, f, &have)
	if err != nil {
		return l.commitBatch(ctx, l.taken(ctx, &f.reference, err))
	}
	defer func() { _ = l.content.Close() }() // what it would say, the reading has said
	found, err := l.scan(ctx, f, &have, nil)
	if errors.Is(err, ErrUnsettled) {
		found, err = l.settleAndScan(ctx, f, &have)
	}
	switch {
	case errors.Is(err, ErrUncut):
		return l.loadWhole(ctx, f, &have, err)
	case errors.Is(err, errLeft):
		l.dropped.Store(true)
		return nil
	case err != nil:
		return l.commitBatch(ctx, l.taken(ctx, &f.reference, err))
	case l.batch.Spans[0].State != Loaded || len(found.parts) == 1:
		return l.commitBatch(ctx, nil)
	}
	return l.loadInParts(ctx, f, &have, found)
}

// fetchLarge fetches a file, unless that was done ahead.
func (l *loader) fetchLarge(ctx context.Context, f *largeFile, have *provided) error {
	if f.parcel == nil { // with no place in the turnstile, nor is one needed for the scan
		start := time.Now()
		err := l.fetch(ctx, &f.reference, &l.own, have)
		l.event.Fetch += time.Since(start)
		l.content, l.own.FirstFetched = &l.own, f.firstFetched
		return err
	}
	*have, l.content = f.parcel.provided, f.parcel.content
	l.event.Fetch += f.parcel.took
	return nil
}

// commitBatch commits what the batch has, after nothing went wrong, and tells
// what is known of the file.
func (l *loader) commitBatch(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	l.yield()
	if err := l.turn.enter(ctx); err != nil {
		return err
	}
	return l.commit(ctx)
}

// scan reads all of a file for what becomes of it. It leaves in the batch its
// span, with the readings of the last part. Its error is the file's, and wraps
// ErrUncut where it is not to be loaded in parts, ErrUnsettled where settled, what
// PartDecoder.Settle said of it, is needed and nil, and errLeft where take has
// ended meanwhile.
func (l *loader) scan(ctx context.Context, f *largeFile, have *provided, settled []bool) (*scan, error) {
	raw := l.content.Stream
	if _, rewinds := raw.(Rewinder); raw != nil && !rewinds || l.content.Recorded != nil || l.content.Gain != nil {
		return nil, ErrUncut
	}
	found := &scan{settled: settled, keeps: true, expected: int(l.content.size()/l.Limits.Part) + 1}
	cut := l.cut(found)
	cut.End = func(b *Batch) (*Batch, error) {
		if l.take.Err() != nil {
			return nil, errLeft
		}
		found.next(b)
		return b, nil
	}
	err := l.read(f, have, func(d PartDecoder) error { return d.DecodeParts(ctx, l.content, &l.batch, cut) })
	if err != nil {
		return nil, err
	}
	found.end(&l.batch, l.Limits.Readings)
	return found, nil
}

// settleAndScan is scan of a file whose end tells some of its times. What it
// returns is nil where the end has shown that the file is not to be loaded.
func (l *loader) settleAndScan(ctx context.Context, f *largeFile, have *provided) (*scan, error) {
	l.event.Bytes = 0
	settled := []bool{}
	if err := l.rewind(false); err != nil {
		return nil, err
	}
	err := l.read(f, have, func(d PartDecoder) error {
		later, err := d.Settle(l.take, l.content, &l.batch)
		settled = append(settled, later...)
		return err
	})
	if l.take.Err() != nil {
		err = errLeft
	}
	if err != nil || l.batch.Spans[0].State != Loaded {
		return nil, err
	}
	l.dropFrom(0)
	if err := l.rewind(false); err != nil {
		return nil, err
	}
	l.event.Bytes = 0
	return l.scan(ctx, f, have, settled)
}

// read has decode read all of the content, and leaves in the batch the span of
// the file; after an error nothing.
func (l *loader) read(f *largeFile, have *provided, decode func(PartDecoder) error) error {
	decoder, ok := l.decoder.(PartDecoder)
	if !ok {
		return ErrUncut
	}
	start := time.Now()
	defer func() { l.event.Decode += time.Since(start) }()
	sum, err := l.hashed(have, func() error {
		return l.guardDecoder(0, func() error { return decode(decoder) })
	})
	if err != nil {
		l.dropFrom(0)
		return err
	}
	l.batch.join()
	l.fillIn(&l.batch.Spans[0], &f.reference, have, sum)
	return nil
}

func (l *loader) cut(found *scan) Cut {
	return Cut{Bytes: l.Limits.Part, Readings: l.Limits.Readings, Settled: found.settled}
}

// hashed calls decode, has all of the content read, and returns its hash.
func (l *loader) hashed(have *provided, decode func() error) (sum Digest, err error) {
	if l.content.Stream == nil {
		l.event.Bytes += int64(len(l.content.Data))
		if sum = have.sum; !have.hashed {
			sum = sha256.Sum256(l.content.Data)
		}
		return sum, decode()
	}
	stream := l.hashing(l.content.Stream)
	ahead := newReadAhead(stream)
	l.content.Stream = ahead
	defer func() { l.content.Stream = stream.ReadCloser }()
	if err = decode(); err == nil {
		_, err = io.Copy(io.Discard, ahead)
	}
	ahead.end()
	l.event.Bytes += stream.n
	l.hash.Sum(sum[:0])
	return sum, err
}

// loadWhole decodes and commits a file as a small one.
func (l *loader) loadWhole(ctx context.Context, f *largeFile, have *provided, why error) error {
	l.Log.Debug("a large file is committed whole", slog.String("file", EscapePath(f.Path)), slog.Any("reason", why))
	l.batch.Reset()
	l.event.Bytes = 0
	err := l.rewind(false)
	if err == nil {
		err = l.decode(ctx, &f.reference, have)
	}
	return l.commitBatch(ctx, l.taken(ctx, &f.reference, err))
}

// rewind has the content read from its beginning. Where its stream cannot, it is
// there still. known is Rewinder's.
func (l *loader) rewind(known bool) error {
	if r, ok := l.content.Stream.(Rewinder); ok {
		return r.Rewind(known)
	}
	return nil
}

// loadInParts claims a file that was scanned, has its parts committed, and tells
// what became of it.
func (l *loader) loadInParts(ctx context.Context, f *largeFile, have *provided, found *scan) error {
	parts := &Parts{Count: len(found.parts), Bytes: l.Limits.Part, Readings: l.Limits.Readings}
	if found.keeps {
		found.kept = l.batch.takeReadings()
		parts.Bytes = 0
	}
	found.thin(&l.batch)
	var o Outcome
	err := l.transact(ctx, func(c PartCommitter) (err error) {
		o, err = c.Claim(ctx, &l.batch, parts)
		return err
	})
	switch {
	case err != nil:
		return err
	case o.State == Whole:
		return l.loadWhole(ctx, f, have, fmt.Errorf("%w: %s", ErrUncut, o.Reason))
	case o.State != Loading:
		return l.tellOne(ctx, o)
	}
	if unread, err := l.commitParts(ctx, parts, found); err != nil {
		return err
	} else if errors.Is(unread, errLeft) {
		l.dropped.Store(true)
		return nil
	} else if unread != nil {
		l.dropFrom(0)
		return l.commitBatch(ctx, l.taken(ctx, &f.reference, unread))
	}
	err = l.transact(ctx, func(c PartCommitter) (err error) {
		o, err = c.Finish(ctx, &l.batch, parts)
		return err
	})
	if errors.Is(err, ErrChanged) {
		l.dropFrom(0)
		return l.commitBatch(ctx, l.taken(ctx, &f.reference, err))
	}
	if err != nil {
		return err
	}
	return l.tellOne(ctx, o)
}

// transact calls a step of the committer.
func (l *loader) transact(ctx context.Context, do func(PartCommitter) error) error {
	l.yield()
	if err := l.slot.enter(ctx); err != nil {
		return err
	}
	defer l.slot.leave()
	if err := l.turn.enter(ctx); err != nil {
		return err
	}
	defer l.turn.leave()
	if err := l.syncArchive(ctx); err != nil {
		return err
	}
	start := time.Now()
	defer l.cycles.enter(InCommit)()
	defer func() { l.event.Commit += time.Since(start) }()
	if err := l.connect(ctx); err != nil {
		return err
	}
	c, ok := l.committer.(PartCommitter)
	if !ok {
		return fmt.Errorf("files of more than %d bytes are to be loaded in parts, and the sink cannot", l.Limits.Part)
	}
	return do(c)
}

// tellOne tells the archive, the observer and the source what became of the file.
func (l *loader) tellOne(ctx context.Context, o Outcome) error {
	outcomes := []Outcome{o}
	l.settle(outcomes)
	l.event.Outcomes = append(l.event.Outcomes, outcomes...)
	l.tellAll(ctx, 0)
	return nil
}

// commitPart commits a part of a large file.
func (w *worker) commitPart(ctx context.Context, p *part) error {
	defer p.slot.leave()
	w.yield()
	if err := w.turn.enter(ctx); err != nil {
		return err
	}
	err := w.turn.away(ctx, func() error {
		return w.cycles.paced(func() (time.Duration, error) { return w.Pace.readingsOf(ctx, len(p.batch.Time)) })
	})
	if err != nil {
		return err
	}
	start := time.Now()
	defer w.cycles.enter(InCommit)()
	if err := w.connect(ctx); err != nil {
		return err
	}
	p.refused, p.err = w.committer.(PartCommitter).CommitPart(ctx, p.Part, p.batch) // whoever claimed the file could
	if p.err != nil && !errors.Is(p.err, ErrChanged) {
		return p.err
	}
	p.took = time.Since(start)
	w.turn.leave()
	p.slot.leave()
	p.ended <- p
	return nil
}

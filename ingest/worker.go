package ingest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"runtime/debug"
	"time"
)

// A worker takes chunks, and owns each from the first fetch to the commit. It
// keeps its decoder, its buffers and its connection from one chunk to the
// next.
type worker struct {
	*run
	number    int
	decoder   Decoder
	committer Committer
	own       Content  // of what it fetches itself
	content   *Content // that it decodes
	batch     Batch
	event     Event
	hash      hash.Hash // of the stream that was read last
	last      lastBytes // likewise
	finisher  finisher
	turn      turn
	chunks    <-chan chunk // nil once it is closed
	parts     <-chan *part // likewise, and where there are none
	fed       func()       // says that no more chunks come
	partNext  bool         // a chunk was taken last
	kept      bool         // the archive has something of the batch that is not durable yet
	gains     []Place      // where the archive has what files gained that are whole in the batch
	places    []Place      // settle's buffer
}

// worker runs one worker until there are no more chunks, and no more parts of
// large files. It calls fed when there are no more chunks.
func (r *run) worker(number int, fed func()) error {
	w := r.newWorker(number)
	w.chunks, w.parts, w.fed = r.chunks, r.parts, fed
	defer w.end()
	defer fed()
	for {
		c, p, err := w.next()
		if c == nil && p == nil {
			return err
		}
		if err := w.inTurn(c, p); err != nil {
			r.dropped.Store(true)
			return err
		}
	}
}

func (r *run) newWorker(number int) *worker {
	return &worker{run: r, number: number, decoder: r.NewDecoder(), hash: sha256.New(), finisher: finisher{run: r}, turn: turn{turnstile: r.Turn}}
}

func (w *worker) end() {
	_ = w.own.Close() // open only where a panic ends the worker, and says so
	if w.committer != nil {
		w.committer.Close()
	}
}

// next waits for a chunk or a part, and returns nil for both when none will come.
// Where there are both it takes them by turns: a small file waits for a part of a
// large one at most, and not for all of it, nor the other way round. Where a
// turnstile leaves a worker to them, it does not wait for that either.
func (w *worker) next() (*chunk, *part, error) {
	chunks, parts := w.chunks, w.parts
	if w.partNext {
		chunks = nil
	} else {
		parts = nil
	}
	select {
	case c, ok := <-chunks:
		return w.gotChunk(c, ok)
	case p, ok := <-parts:
		return w.gotPart(p, ok)
	default:
	}
	select {
	case c, ok := <-w.chunks:
		return w.gotChunk(c, ok)
	case p, ok := <-w.parts:
		return w.gotPart(p, ok)
	case <-w.run.work.Done():
		return nil, nil, context.Cause(w.run.work)
	}
}

func (w *worker) gotChunk(c chunk, ok bool) (*chunk, *part, error) {
	if ok {
		w.partNext = true
		return &c, nil, nil
	}
	w.chunks = nil
	w.fed()
	if w.parts == nil {
		return nil, nil, nil
	}
	return w.next()
}

func (w *worker) gotPart(p *part, ok bool) (*chunk, *part, error) {
	if ok {
		w.partNext = false
		return nil, p, nil
	}
	w.parts = nil
	if w.chunks == nil {
		return nil, nil, nil
	}
	return w.next()
}

// inTurn works on a chunk or a part when there is a place for it.
func (w *worker) inTurn(c *chunk, p *part) error {
	defer w.turn.leave()
	if p != nil {
		return w.commitPart(w.run.work, p)
	}
	return w.work(w.run.work, *c)
}

// work takes a chunk from references to the commit. A chunk that turns out
// larger than it was listed is committed in several transactions.
func (w *worker) work(ctx context.Context, c chunk) error {
	w.yield()
	if err := w.begin(ctx, c.number); err != nil {
		return err
	}
	w.batch.Reserve(len(c.files) + len(c.ahead))
	for i := range c.files {
		if err := w.takeIn(ctx, &c.files[i]); err != nil {
			return err
		}
		if err := w.commitIfFull(ctx); err != nil {
			return err
		}
	}
	for _, p := range c.ahead {
		if err := w.takeParcel(ctx, p); err != nil {
			return err
		}
		if err := w.commitIfFull(ctx); err != nil {
			return err
		}
	}
	return w.commit(ctx)
}

// begin begins a transaction, when there is a place for it.
func (w *worker) begin(ctx context.Context, chunk int) error {
	if err := w.turn.enter(ctx); err != nil {
		return err
	}
	w.reset(chunk)
	return nil
}

func (w *worker) reset(chunk int) {
	w.batch.Reset()
	w.kept, w.gains = false, w.gains[:0]
	w.event = Event{Source: w.name, Worker: w.number, Chunk: chunk, Outcomes: w.event.Outcomes[:0]}
}

func (w *worker) commitIfFull(ctx context.Context) error {
	l := &w.Limits
	if (l.Readings <= 0 || len(w.batch.Time) < l.Readings) && (l.Bytes <= 0 || w.event.Bytes < l.Bytes) {
		return nil
	}
	if err := w.commit(ctx); err != nil {
		return err
	}
	w.yield()
	return w.begin(ctx, w.event.Chunk)
}

// yield lets those go first who have the right of way.
func (w *worker) yield() {
	if w.Yield != nil {
		w.Yield(w.run.take)
	}
}

// takeIn fetches one file and decodes it into the batch. A file that cannot be
// fetched, or changes meanwhile, leaves no trace in the batch.
func (w *worker) takeIn(ctx context.Context, f *reference) error {
	err := w.pace(ctx)
	if err != nil {
		return err
	}
	if w.isLarge(f.toFetch()) {
		w.large.put(&largeFile{reference: *f})
		return nil
	}
	var have provided
	if err = w.fetchOwn(ctx, f, &have); err == nil {
		if w.isLarge(w.own.size()) { // which the listing did not tell
			_ = w.own.Close() // it is fetched again
			w.large.put(&largeFile{reference: *f})
			return nil
		}
		err = w.read(ctx, f, &have)
	}
	return w.taken(ctx, f, err)
}

// pace waits until one more file may be fetched. Its place is for others meanwhile.
func (w *worker) pace(ctx context.Context) error {
	if w.Pace == nil {
		return nil
	}
	return w.turn.away(ctx, func() error {
		return w.cycles.paced(func() (time.Duration, error) { return w.Pace.file(ctx) })
	})
}

// fetchOwn fetches a file into the worker's own content. Its place is for others
// while the source does not answer.
func (w *worker) fetchOwn(ctx context.Context, f *reference, have *provided) error {
	start := time.Now()
	err := w.turn.away(ctx, func() error { return w.fetch(ctx, f, &w.own, have) })
	w.event.Fetch += time.Since(start)
	w.content, w.own.FirstFetched = &w.own, f.firstFetched
	return err
}

// takeParcel decodes a file that was fetched ahead.
func (w *worker) takeParcel(ctx context.Context, p *parcel) error {
	if w.isLarge(p.content.size()) {
		w.large.put(&largeFile{reference: p.reference, parcel: p})
		return nil
	}
	w.content = p.content
	err := w.read(ctx, &p.reference, &p.provided)
	w.event.Fetch += p.took
	w.release(p)
	return w.taken(ctx, &p.reference, err)
}

// read decodes what was fetched of a file, or, where that is only what it gained
// and cannot be read by itself, all of it.
func (w *worker) read(ctx context.Context, f *reference, have *provided) error {
	err := w.decode(ctx, f, have)
	if w.content.Gain != nil && errors.Is(err, ErrWhole) {
		w.tellWhole(f.File, err.Error())
		return w.readWhole(ctx, f, have.place)
	}
	return err
}

// taken notes what is wrong with a file that is not in the batch. Its error is
// ctx's.
func (w *worker) taken(ctx context.Context, f *reference, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !w.isGone(err) {
		w.cycles.left(f.Modified)
	}
	w.event.Outcomes = append(w.event.Outcomes, Outcome{File: f.File, State: w.failedAs(err), Reason: err.Error()})
	return nil
}

// decode turns the fetched content into a span of the batch and hashes it. A
// stream is hashed as it is read. Where that is what a file gained, the error may
// be ErrWhole.
func (w *worker) decode(ctx context.Context, f *reference, have *provided) error {
	start := time.Now()
	defer func() { w.event.Decode += time.Since(start) }()
	if w.content.Gain != nil {
		return w.decodeGain(ctx, f, have)
	}
	spans := len(w.batch.Spans)
	sum := have.sum
	if w.content.Stream == nil {
		if !have.hashed {
			sum = sha256.Sum256(w.content.Data)
		}
		w.event.Bytes += int64(len(w.content.Data))
		if err := w.decodeGuarded(ctx, spans); err != nil {
			return err
		}
	} else {
		var err error
		if sum, err = w.decodeStream(ctx, spans); err != nil {
			w.dropFrom(spans)
			return err
		}
	}
	w.fillIn(&w.batch.Spans[spans], f, have, sum)
	return nil
}

// fillIn fills in what is the pipeline's of a span of which all was read.
func (w *worker) fillIn(s *Span, f *reference, have *provided, sum Digest) {
	s.Sum, s.Place, s.New, s.Arrived = sum, have.place, f.isNew, f.arrived
	if s.GrowsAt > 0 && w.keepsGrowth(f, s.GrowsAt) {
		w.noteGrowth(s)
	}
	w.kept = w.kept || w.Archive != nil && have.place != (Place{})
}

func (w *worker) decodeStream(ctx context.Context, spans int) (sum Digest, err error) {
	stream := w.hashing(w.content.Stream)
	w.content.Stream = stream
	if err = w.decodeGuarded(ctx, spans); err == nil {
		// What the decoder did not care to read belongs to the file version.
		_, err = io.Copy(io.Discard, stream)
	}
	w.event.Bytes += stream.n
	// That the file changed explains whatever else was found. Otherwise Close
	// repeats what reading said.
	if closed := w.content.Close(); err == nil || errors.Is(closed, ErrChanged) {
		err = closed
	}
	w.hash.Sum(sum[:0])
	return sum, err
}

// decodeGuarded calls the decoder.
func (w *worker) decodeGuarded(ctx context.Context, spans int) (err error) {
	return w.guardDecoder(spans, func() error { return w.decoder.Decode(ctx, w.content, &w.batch) })
}

// guardDecoder has the decoder decode. A panic of it is the file's fault and not
// the process's: the file is quarantined.
func (w *worker) guardDecoder(spans int, decode func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			w.Log.Error("decoder panicked", slog.String("file", EscapePath(w.content.File.Path)),
				slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
			w.dropFrom(spans)
			w.decoder = w.NewDecoder() // nobody knows what state the old one is in
			s := w.batch.Begin(w.content)
			s.State, s.Reason = Quarantined, fmt.Sprintf("reading it made the decoder panic, which is a bug in Penstock: %v", r)
			w.batch.End()
		}
	}()
	if err := decode(); err != nil {
		w.dropFrom(spans)
		return err
	}
	return nil
}

func (w *worker) dropFrom(spans int) {
	for len(w.batch.Spans) > spans {
		w.batch.Drop()
	}
}

// commit commits the batch and, when it is durable, tells the observer and the
// source.
func (w *worker) commit(ctx context.Context) error {
	failed := len(w.event.Outcomes)
	var whole []grownFile
	if len(w.batch.Spans) > 0 {
		outcomes, err := w.store(ctx)
		if err != nil {
			return err
		}
		outcomes, whole = w.toTakeWhole(outcomes)
		w.event.Outcomes = append(w.event.Outcomes, outcomes...)
	}
	w.turn.leave() // neither a source that does not answer nor whoever observes holds up the others
	w.tellAll(ctx, failed)
	if len(whole) == 0 {
		return nil
	}
	return w.takeWhole(ctx, whole)
}

// tellAll tells the observer and the source of the event's outcomes, of which the
// first so many are of files that could not be fetched.
func (w *worker) tellAll(ctx context.Context, failed int) {
	if len(w.event.Outcomes) == 0 {
		return
	}
	w.tell(w.event)
	for i := range w.event.Outcomes[:failed] { // not in the ledger, and no affair of Done
		w.ended(w.event.Outcomes[i].File.Path)
	}
	stored := w.event.Outcomes[failed:]
	if w.Poll > 0 {
		for i := range stored {
			w.underWay.stored(stored[i].File.Path)
		}
	}
	if w.toFinish != nil {
		w.finishLater(stored)
		return
	}
	for i := range stored {
		w.finisher.finish(ctx, &stored[i])
	}
}

// store commits the batch and returns what became of its files.
func (w *worker) store(ctx context.Context) ([]Outcome, error) {
	err := w.turn.away(ctx, func() error {
		return w.cycles.paced(func() (time.Duration, error) { return w.Pace.readingsOf(ctx, len(w.batch.Time)) })
	})
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := w.syncArchive(ctx); err != nil {
		return nil, err
	}
	defer w.cycles.enter(InCommit)()
	if err := w.connect(ctx); err != nil {
		return nil, err
	}
	outcomes, err := w.committer.Commit(ctx, &w.batch)
	if err != nil {
		return nil, err
	}
	if len(outcomes) != len(w.batch.Spans) {
		return nil, fmt.Errorf("the sink told the outcomes of %d files, but %d files were committed", len(outcomes), len(w.batch.Spans))
	}
	w.event.Commit += time.Since(start)
	w.settle(outcomes)
	return outcomes, nil
}

// syncArchive makes durable what the archive has of the batch.
func (w *worker) syncArchive(ctx context.Context) error {
	if !w.kept {
		return nil
	}
	if err := w.Archive.Sync(ctx); err != nil {
		return fmt.Errorf("making the archive durable: %w", err)
	}
	return nil
}

func (w *worker) connect(ctx context.Context) (err error) {
	if w.committer == nil {
		w.committer, err = w.Sink.Committer(ctx)
	}
	return err
}

// settle tells the archive what the ledger has of the batch.
func (w *worker) settle(outcomes []Outcome) {
	if w.Archive == nil { // what is read from an archive has a place in it, too
		return
	}
	w.places = append(w.places[:0], w.gains...)
	for i := range w.batch.Spans {
		if at := w.batch.Spans[i].Place; at != (Place{}) && outcomes[i].State != Whole {
			w.places = append(w.places, at)
		}
	}
	if len(w.places) > 0 {
		w.Archive.Settle(w.places...)
	}
}

// hashing returns a stream that hashes what is read from another.
func (w *worker) hashing(of io.ReadCloser) *hashingStream {
	w.last.buf = w.last.buf[:0]
	w.hash.Reset()
	return &hashingStream{ReadCloser: of, hash: w.hash, last: &w.last}
}

// A hashingStream hashes what is read from it. Once a read failed, all further
// ones do: a decoder that took the fault for the file's is found out by
// reading on.
type hashingStream struct {
	io.ReadCloser
	hash hash.Hash
	last *lastBytes
	n    int64
	err  error
}

func (s *hashingStream) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.ReadCloser.Read(p)
	s.hash.Write(p[:n])
	s.last.write(p[:n])
	s.n += int64(n)
	s.err = err
	return n, err
}

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
	pipeline  *Pipeline
	number    int
	decoder   Decoder
	committer Committer
	content   Content
	batch     Batch
	event     Event
	hash      hash.Hash
}

// worker runs one worker until there are no more chunks.
func (p *Pipeline) worker(ctx context.Context, number int, chunks <-chan chunk) error {
	w := &worker{pipeline: p, number: number, decoder: p.NewDecoder(), hash: sha256.New()}
	defer func() {
		_ = w.content.Close() // open only where a panic ends the worker, and says so
		if w.committer != nil {
			w.committer.Close()
		}
	}()
	for {
		select {
		case c, ok := <-chunks:
			if !ok {
				return nil
			}
			if err := w.work(ctx, c); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// work takes a chunk from references to the commit. A chunk that turns out
// larger than it was listed is committed in several transactions.
func (w *worker) work(ctx context.Context, c chunk) error {
	w.begin(c)
	for _, f := range c.files {
		if err := w.takeIn(ctx, f); err != nil {
			return err
		}
		if w.full() {
			if err := w.commit(ctx); err != nil {
				return err
			}
			w.begin(c)
		}
	}
	return w.commit(ctx)
}

func (w *worker) begin(c chunk) {
	w.batch.Reset()
	w.event = Event{Source: w.pipeline.Source.Name(), Worker: w.number, Chunk: c.number, Outcomes: w.event.Outcomes[:0]}
}

func (w *worker) full() bool {
	l := &w.pipeline.Limits
	return l.Readings > 0 && len(w.batch.Time) >= l.Readings || l.Bytes > 0 && w.event.Bytes >= l.Bytes
}

// takeIn fetches one file and decodes it into the batch. A file that cannot be
// fetched, or changes meanwhile, leaves no trace in the batch.
func (w *worker) takeIn(ctx context.Context, f pendingFile) error {
	start := time.Now()
	err := w.pipeline.Source.Fetch(ctx, f.File, &w.content)
	fetched := time.Now()
	w.event.Fetch += fetched.Sub(start)
	if err == nil {
		w.content.FirstFetched = f.firstFetched
		err = w.decode(ctx)
		w.event.Decode += time.Since(fetched)
	}
	if err == nil {
		w.batch.Spans[len(w.batch.Spans)-1].New = f.isNew
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	state := Failed
	if errors.Is(err, ErrChanged) {
		state = Changed
	}
	w.event.Outcomes = append(w.event.Outcomes, Outcome{File: f.File, State: state, Reason: err.Error()})
	return nil
}

// decode turns the fetched content into a span of the batch and hashes it. A
// stream is hashed as it is read.
func (w *worker) decode(ctx context.Context) error {
	spans := len(w.batch.Spans)
	var sum Digest
	if w.content.Stream == nil {
		sum = sha256.Sum256(w.content.Data)
		w.event.Bytes += int64(len(w.content.Data))
		if err := w.decodeGuarded(ctx, spans); err != nil {
			return err
		}
	} else {
		stream := &hashingStream{ReadCloser: w.content.Stream, hash: w.hash}
		w.hash.Reset()
		w.content.Stream = stream
		err := w.decodeGuarded(ctx, spans)
		if err == nil {
			// What the decoder did not care to read belongs to the file version.
			_, err = io.Copy(io.Discard, stream)
		}
		w.event.Bytes += stream.n
		// That the file changed explains whatever else was found. Otherwise Close
		// repeats what reading said.
		if closed := w.content.Close(); err == nil || errors.Is(closed, ErrChanged) {
			err = closed
		}
		if err != nil {
			w.dropFrom(spans)
			return err
		}
		w.hash.Sum(sum[:0])
	}
	w.batch.Spans[spans].Sum = sum
	return nil
}

// decodeGuarded calls the decoder. A panic of it is the file's fault and not
// the process's: the file is quarantined.
func (w *worker) decodeGuarded(ctx context.Context, spans int) (err error) {
	defer func() {
		if r := recover(); r != nil {
			w.pipeline.Log.Error("decoder panicked", slog.String("file", EscapePath(w.content.File.Path)),
				slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
			w.dropFrom(spans)
			w.decoder = w.pipeline.NewDecoder() // nobody knows what state the old one is in
			s := w.batch.Begin(&w.content)
			s.State, s.Reason = Quarantined, fmt.Sprintf("reading it made the decoder panic, which is a bug in Penstock: %v", r)
			w.batch.End()
		}
	}()
	if err := w.decoder.Decode(ctx, &w.content, &w.batch); err != nil {
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

// commit commits the batch and, when it is durable, tells the source and the
// observer.
func (w *worker) commit(ctx context.Context) error {
	if len(w.batch.Spans) > 0 {
		start := time.Now()
		if w.committer == nil {
			var err error
			if w.committer, err = w.pipeline.Sink.Committer(ctx); err != nil {
				return err
			}
		}
		outcomes, err := w.committer.Commit(ctx, &w.batch)
		if err != nil {
			return err
		}
		if len(outcomes) != len(w.batch.Spans) {
			return fmt.Errorf("the sink told the outcomes of %d files, but %d files were committed", len(outcomes), len(w.batch.Spans))
		}
		w.event.Commit = time.Since(start)
		// What was not fetched is not in the ledger, and no affair of Done.
		for _, o := range outcomes {
			if err := w.pipeline.Source.Done(ctx, o.File, o); err != nil {
				w.pipeline.Log.Warn("the source could not be told", slog.String("file", EscapePath(o.File.Path)), slog.Any("error", err))
			}
		}
		w.event.Outcomes = append(w.event.Outcomes, outcomes...)
	}
	if len(w.event.Outcomes) > 0 {
		w.pipeline.tell(w.event)
	}
	return nil
}

// A hashingStream hashes what is read from it. Once a read failed, all further
// ones do: a decoder that took the fault for the file's is found out by
// reading on.
type hashingStream struct {
	io.ReadCloser
	hash hash.Hash
	n    int64
	err  error
}

func (s *hashingStream) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.ReadCloser.Read(p)
	s.hash.Write(p[:n])
	s.n += int64(n)
	s.err = err
	return n, err
}

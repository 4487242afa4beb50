// Package ingest takes files from a source to a sink: it holds the nouns that
// all parts share (File, Content, Batch, Receipt, Event), what they promise
// one another (Source, Decoder, Sink), and the pipeline that drives them.
//
// To follow one file, read this page: list names it, plan asks the ledger and
// puts it into a chunk, and in worker.go a worker fetches, decodes and commits
// it.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Limits say when a chunk closes: at whichever comes first. What is not
// positive does not limit.
type Limits struct {
	Files    int
	Bytes    int64         // as listed, and as fetched
	Readings int           // decoded
	Linger   time.Duration // since the chunk got its first file
}

// A Pipeline takes the files of one source to one sink. Its fields are set
// before Run and not changed while it runs.
type Pipeline struct {
	Source     Source
	Sink       Sink
	NewDecoder func() Decoder // one for each worker
	Workers    int
	Limits     Limits
	Observe    func(Event) // called by one goroutine at a time; nil for none
	Log        *slog.Logger

	// Poll is the time from the begin of one listing to that of the next. With
	// 0, the source is listed once, to the end.
	Poll time.Duration
	// Connections is how many files are fetched at a time, ahead of the workers:
	// what a server wants. With 0, each worker fetches what it decodes: what a
	// folder wants.
	Connections int
	// Archive keeps the bytes of what is fetched before it is committed; nil for
	// none. While the database stands still, files are fetched on into it until
	// Spool bytes wait there alone; 0 for none, and only with Connections.
	Archive Archive
	Spool   int64
	// Guard is asked before the source is told what became of files. Its error
	// withholds that: the files are done again later. nil for no guard.
	Guard func(ctx context.Context) error
	Turn  *Turnstile // bounds the chunks worked on at a time in all pipelines that share it; nil for no bound
	Pace  *Pace      // bounds the files and readings a second, likewise

	observing sync.Mutex
}

// listedAhead is how many listed files wait for the look into the ledger, and
// the most that one look is for. They are references, so it bounds the memory
// that a listing takes whatever its length.
const listedAhead = 4096

// Run lists, fetches, decodes and commits until the source's listing ends, and
// returns when all that it began is done and every goroutine has ended.
//
// The end of take stops the listing: files that are in chunks already are
// still committed (a drain). The end of work stops everything: chunks that are
// not committed are dropped whole. An error is the sink's or a context's; what
// was committed until then stays. A file that cannot be fetched is told as
// Failed and is no error.
func (p *Pipeline) Run(take, work context.Context) error {
	if p.Workers < 1 {
		return fmt.Errorf("a pipeline needs at least one worker, not %d", p.Workers)
	}
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	group, work := errgroup.WithContext(work)
	take, stop := context.WithCancelCause(take)
	defer stop(nil)
	passedOn := make(chan struct{})
	context.AfterFunc(work, func() {
		stop(context.Cause(work))
		close(passedOn)
	})

	listed := make(chan File, listedAhead)
	chunks := make(chan chunk)
	group.Go(guarded("the listing", func() error { return p.list(take, work, listed) }))
	group.Go(guarded("the plan", func() error { return p.plan(take, work, listed, chunks) }))
	for n := range p.Workers {
		group.Go(guarded(fmt.Sprint("worker ", n+1), func() error { return p.worker(work, n+1, chunks) }))
	}
	err := group.Wait() // which ends work
	<-passedOn
	return err
}

// guarded makes a panic the run's error: the chunks under way are not
// committed, and the next run takes them. Other pipelines of the process, and
// the private database that it holds, go on.
func guarded(who string, run func() error) func() error {
	return func() (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("%s panicked, this is a bug in Penstock: %v\n%s", who, r, debug.Stack())
			}
		}()
		return run()
	}
}

// A chunk is the files handed to a worker at a time.
type chunk struct {
	number int
	files  []pendingFile
}

type pendingFile struct {
	File
	firstFetched int64
	isNew        bool
}

// list sends what the source lists, once or again and again. It ends with the
// listing or with take.
func (p *Pipeline) list(take, work context.Context, listed chan<- File) error {
	defer close(listed)
	for number := 1; take.Err() == nil; number++ {
		c := Cycle{Number: number, Began: time.Now(), Over: true, Poll: p.Poll}
		p.listOnce(take, listed, &c)
		if p.Poll <= 0 {
			break
		}
		c.Listing = time.Since(c.Began)
		c.Took = c.Listing
		p.tell(Event{Source: p.Source.Name(), Cycle: &c})
		next := time.NewTimer(p.Poll - c.Took)
		select {
		case <-next.C:
		case <-take.Done():
		}
		next.Stop()
	}
	return context.Cause(work)
}

func (p *Pipeline) listOnce(take context.Context, listed chan<- File, c *Cycle) {
	for f, err := range p.Source.Files(take) {
		if err != nil {
			if take.Err() != nil {
				break
			}
			c.Faults++
			p.tellFailed(f, err)
			continue
		}
		c.Listed++
		select {
		case listed <- f:
		case <-take.Done():
		}
		if take.Err() != nil {
			break
		}
	}
}

// plan asks the ledger which of the listed files are to be fetched and hands
// them out in chunks. After the end of take only the open chunk goes out.
func (p *Pipeline) plan(take, ctx context.Context, listed <-chan File, chunks chan<- chunk) error {
	defer close(chunks)
	open := openChunk{limits: p.Limits, out: chunks}
	defer open.stop()
	files := make([]File, 0, listedAhead)
	for more := true; more && take.Err() == nil; {
		files = files[:0]
		select {
		case f, ok := <-listed:
			if more = ok; ok {
				files = waiting(append(files, f), listed)
			}
		case <-open.lingered():
			if err := open.close(ctx); err != nil {
				return err
			}
			continue
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := p.filter(take, ctx, files, &open); err != nil {
			return err
		}
	}
	return open.close(ctx)
}

// waiting adds the files that wait already, so that one look into the ledger
// serves them all.
func waiting(files []File, listed <-chan File) []File {
	for len(files) < listedAhead {
		select {
		case f, ok := <-listed:
			if !ok {
				return files
			}
			files = append(files, f)
		default:
			return files
		}
	}
	return files
}

// filter adds to the open chunk the files that the ledger does not know, and
// tells of the others. Handing out the chunks of one look can take long, so it
// minds the end of take itself.
func (p *Pipeline) filter(take, ctx context.Context, files []File, open *openChunk) error {
	if len(files) == 0 {
		return nil
	}
	standings, err := p.Sink.Pending(ctx, files)
	if err != nil {
		return err
	}
	if len(standings) != len(files) {
		return fmt.Errorf("the sink was asked about %d files, and answered for %d", len(files), len(standings))
	}
	known := Event{Source: p.Source.Name()}
	for i, s := range standings {
		if take.Err() != nil {
			break
		}
		if s.Take {
			if err := open.add(ctx, pendingFile{files[i], s.FirstFetched, s.State == ""}); err != nil {
				return err
			}
			continue
		}
		known.Outcomes = append(known.Outcomes, Outcome{File: files[i], State: Known, Standing: s.State})
	}
	if len(known.Outcomes) > 0 {
		p.tell(known)
	}
	return nil
}

// tell passes an event on.
func (p *Pipeline) tell(e Event) {
	if p.Observe == nil {
		return
	}
	e.At = time.Now()
	p.observing.Lock()
	defer p.observing.Unlock()
	p.Observe(e)
}

func (p *Pipeline) tellFailed(f File, err error) {
	state := Failed
	if errors.Is(err, ErrChanged) {
		state = Changed
	}
	p.tell(Event{Source: p.Source.Name(), Outcomes: []Outcome{{File: f, State: state, Reason: err.Error()}}})
}

// An openChunk gathers files until one of the limits closes it.
type openChunk struct {
	limits Limits
	out    chan<- chunk

	number int
	files  []pendingFile
	bytes  int64
	linger *time.Timer
}

func (o *openChunk) add(ctx context.Context, f pendingFile) error {
	if len(o.files) > 0 && o.limits.Bytes > 0 && o.bytes+f.Size > o.limits.Bytes {
		if err := o.close(ctx); err != nil {
			return err
		}
	}
	if len(o.files) == 0 && o.limits.Linger > 0 {
		o.linger = time.NewTimer(o.limits.Linger)
	}
	o.files = append(o.files, f)
	o.bytes += max(f.Size, 0)
	if o.limits.Files > 0 && len(o.files) >= o.limits.Files || o.limits.Bytes > 0 && o.bytes >= o.limits.Bytes {
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
	if len(o.files) == 0 {
		return nil
	}
	o.number++
	select {
	case o.out <- chunk{o.number, o.files}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	o.files, o.bytes = nil, 0
	return nil
}

func (o *openChunk) stop() {
	if o.linger != nil {
		o.linger.Stop()
		o.linger = nil
	}
}

// Package ingest takes files from a source to a sink: it holds the nouns that
// all parts share (File, Content, Batch, Receipt, Event), what they promise
// one another (Source, Decoder, Sink), and the pipeline that drives them.
//
// To follow one file, begin with this page: it says who runs. In listing.go,
// list names the file, and look asks the ledger and puts it into the backlog; in
// chunk.go, plan takes it from there, by way of fetch.go where it is fetched
// ahead; and in worker.go a worker fetches, decodes and commits it.
package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
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

	// Part is how many bytes of text a part has of a file that has more, and is
	// loaded in parts, where it has not Readings before that; 0 where all files are
	// committed whole.
	Part int64
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
	// Rehash is how long a file that grows is carried on from where it ended
	// before all of it is hashed again; 0 for ever.
	Rehash time.Duration
	// Grows has it kept of large files by what they are carried on when they grow,
	// where Source cannot fetch what they gain: they come from an archive, and the
	// source that they grow in can.
	Grows bool
	// Guard is asked before the source is told what became of files. Its error
	// withholds that: the files are done again later. nil for no guard.
	Guard func(ctx context.Context) error
	Turn  *Turnstile // bounds the chunks worked on at a time in all pipelines that share it; nil for no bound
	Pace  *Pace      // bounds the files and readings a second, likewise
	// Yield is called before each transaction is begun, by each worker, and
	// returns when that may be: it gives others the right of way. It is to return
	// at once when ctx ends, which it does with take; what is under way is then
	// finished. nil for no waiting.
	Yield func(ctx context.Context)

	observing sync.Mutex
	anew      atomic.Bool
	running   atomic.Pointer[run]
	caughtUp  bool
	dropped   atomic.Bool
}

// AskAnew has a pipeline that polls list the source as soon as no listing is under
// way, and ask the ledger about all files, also about those that it knew a while
// ago: a person may have marked some as due. It may be called at any time, by
// anyone.
func (p *Pipeline) AskAnew() {
	p.anew.Store(true)
	if r := p.running.Load(); r != nil {
		signal(r.wanted)
	}
}

// CaughtUp reports, of a pipeline that polls and whose Run has returned, whether
// that left nothing undone which had been listed.
func (p *Pipeline) CaughtUp() bool { return p.caughtUp }

// Dropped reports, of a pipeline whose Run has returned, whether that left
// something under way undone: files that were in chunks and are not committed, or
// of which the source was being told. An end of work that finds nothing under way
// drops nothing.
func (p *Pipeline) Dropped() bool { return p.dropped.Load() }

// Lag is for how long the file has waited that has waited longest to be loaded,
// since a listing or a hint told of it; 0 when there is none. How old the file is
// does not count, nor what is held back by its source: only what is late here. Nor
// does a large file, once its loading has begun: that is not late.
// It is of a pipeline that polls, and may be called at any time, by anyone.
func (p *Pipeline) Lag() time.Duration {
	r := p.running.Load()
	if r == nil {
		return 0
	}
	return r.underWay.lag()
}

// A run is what one Run of a pipeline needs besides the pipeline.
type run struct {
	*Pipeline
	name       string
	take, work context.Context

	sightings chan sighting
	looked    chan struct{}  // the ledger has been asked about all of a listing
	due       chan time.Time // when the next listing is
	wanted    chan struct{}  // a listing, before it is due
	backlog   *backlog
	fetched   chan *parcel
	chunks    chan chunk
	large     *largeFiles // that wait to be loaded in parts; nil where none are
	parts     chan *part
	toFinish  *toFinish // files of which the source is to be told; nil where the worker does it

	grower        Grower // the source, where it can fetch what files gain
	known         *memory
	underWay      *underWay
	cycles        *cycles
	refreshing    refreshing
	stock         *stock
	spool         *spool // nil where nothing is spooled
	streams       streams
	contents      sync.Pool   // of *Content
	asked         atomic.Bool // the ledger, about all of some listing
	away          atomic.Bool // it did not answer in time
	fetchFailures atomic.Int32

	watched     bool      // look's: what it sees now was not there at the first listing
	firstListed time.Time // look's: when the first whole listing ended
	files       []File    // look's buffers
	references  []reference
}

// Run lists, fetches, decodes and commits until the source's listing ends, or,
// of a pipeline that polls, until take does. It returns when all that it began
// is done and every goroutine has ended.
//
// The end of take stops the listing, and the fetching ahead: files that are in
// chunks already are still committed (a drain). The end of work stops
// everything: chunks that are not committed are dropped whole. An error is the
// sink's, the archive's or a context's; what was committed until then stays. A
// file that cannot be fetched is told as Failed and is no error, and neither is
// a listing that breaks off.
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

	r := p.newRun(take, work)
	p.running.Store(r)
	defer p.running.Store(nil)
	r.start(group)
	err := group.Wait() // which ends work
	<-passedOn
	r.streams.close()
	p.caughtUp = err == nil && r.caughtUp(0)
	if err == nil {
		err = guarded("telling of the last cycle", func() error { r.cycles.end(); return nil })()
	}
	return err
}

func (p *Pipeline) newRun(take, work context.Context) *run {
	r := &run{
		Pipeline: p, name: p.Source.Name(), take: take, work: work,
		sightings: make(chan sighting, listedAhead), looked: make(chan struct{}, 1), due: make(chan time.Time, 1), wanted: make(chan struct{}, 1),
		backlog: newBacklog(p.Poll > 0), chunks: make(chan chunk),
		known: newMemory(p.Source, p.Poll > 0), stock: newStock(p),
		contents: sync.Pool{New: func() any { return new(Content) }},
	}
	if p.Connections > 0 { // the stock bounds what waits there: who has room in it finds a place
		r.fetched = make(chan *parcel, r.stock.places)
	}
	if p.Limits.Part > 0 {
		r.large, r.parts = newLargeFiles(), make(chan *part)
	}
	r.underWay = newUnderWay(r.known)
	r.grower = growerOf(p.Source)
	r.cycles = newCycles(r)
	if p.Archive != nil && p.Spool > 0 && p.Connections > 0 {
		r.spool = newSpool(p.Spool)
	}
	if p.Connections > 0 && p.Poll > 0 && r.known.tidies {
		r.toFinish = newToFinish()
	}
	return r
}

// start starts all that runs. Each ends when what feeds it does, or when take
// or work ends.
func (r *run) start(group *errgroup.Group) {
	group.Go(guarded("the listing", r.list))
	group.Go(guarded("the look into the ledger", r.look))
	if r.Poll > 0 {
		group.Go(guarded("the watch", r.watch))
		group.Go(guarded("the watch over the cycles", r.watchCycles))
	}
	if r.Connections > 0 {
		r.startFetching(group)
	}
	group.Go(guarded("the plan", r.plan))
	var workers sync.WaitGroup
	workers.Add(r.Workers)
	if r.large != nil {
		workers.Add(1)
	}
	if r.toFinish != nil {
		r.startFinishing(group, &workers)
	}
	var feeding sync.WaitGroup // workers that may yet come upon a large file
	feeding.Add(r.Workers)
	for n := range r.Workers {
		group.Go(guarded(fmt.Sprint("worker ", n+1), func() error {
			defer workers.Done()
			return r.worker(n+1, sync.OnceFunc(feeding.Done))
		}))
	}
	if r.large == nil {
		return
	}
	group.Go(guarded("the loading of large files", func() error {
		defer workers.Done()
		return r.loadLargeFiles()
	}))
	group.Go(func() error {
		feeding.Wait()
		close(r.large.ended)
		return nil
	})
}

func (r *run) startFetching(group *errgroup.Group) {
	var fetchers, all sync.WaitGroup
	all.Add(1)
	for n := range r.Connections {
		fetchers.Add(1)
		group.Go(guarded(fmt.Sprint("connection ", n+1), func() error {
			defer fetchers.Done()
			return r.fetchAhead()
		}))
	}
	if r.spools() {
		all.Add(1)
		group.Go(guarded("the spool", func() error {
			defer all.Done()
			return r.unspool()
		}))
	}
	group.Go(func() error {
		fetchers.Wait()
		if r.spools() {
			close(r.spool.ended)
		}
		all.Done()
		return nil
	})
	group.Go(func() error {
		all.Wait()
		close(r.fetched)
		return nil
	})
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

// tell passes an event on.
func (r *run) tell(e Event) {
	r.cycles.add(&e)
	r.observe(e)
}

func (r *run) tellCycle(c *Cycle) { r.observe(Event{Source: r.name, Cycle: c}) }

func (p *Pipeline) observe(e Event) {
	if p.Observe == nil {
		return
	}
	e.At = time.Now()
	p.observing.Lock()
	defer p.observing.Unlock()
	p.Observe(e)
}

// tellFailed tells of a file that could not be listed or fetched.
func (r *run) tellFailed(f File, s State, err error, took time.Duration) {
	r.tell(Event{Source: r.name, Fetch: took, Outcomes: []Outcome{{File: f, State: s, Reason: err.Error()}}})
}

// failedAs is the state of a file that could not be fetched.
func (r *run) failedAs(err error) State {
	if errors.Is(err, ErrChanged) || r.isGone(err) {
		return Changed
	}
	return Failed
}

// isGone reports whether a file could not be fetched because it is there no more.
// Where a source is listed again and again, files come and go: one that has gone
// since it was listed, or was done meanwhile, has failed nobody, and nobody waits
// for it.
func (r *run) isGone(err error) bool { return r.Poll > 0 && errors.Is(err, fs.ErrNotExist) }

// ended notes that a file is not worked on any more. If it has changed
// meanwhile, it is seen again.
func (r *run) ended(path string) {
	if r.Poll <= 0 {
		return
	}
	again, idle := r.underWay.end(path)
	if again != nil {
		select {
		case r.sightings <- sighting{File: *again, kind: hinted}:
		default: // the next listing has it
		}
	}
	if idle {
		r.cycles.idle()
	}
}

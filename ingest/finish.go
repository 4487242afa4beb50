package ingest

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// guardedFor is how long the guard's word is good for.
const guardedFor = time.Second

// A finisher tells the source what became of files.
type finisher struct {
	run   *run
	asked time.Time // the guard, when it said yes last
}

// finishedInDrain is how many files for each connection the source is told of
// after the end of take: the others are done at the next start, as if the process
// had ended between.
const finishedInDrain = 64

// startFinishing starts telling the source on as many connections as files are
// fetched on: moving a file on a server takes as long as fetching a small one.
func (r *run) startFinishing(group *errgroup.Group, workers *sync.WaitGroup) {
	for range r.Connections {
		group.Go(guarded("telling the source", func() error {
			f := finisher{run: r}
			for {
				o, ok := r.toFinish.next(r.work)
				if !ok {
					return context.Cause(r.work)
				}
				f.finish(r.work, &o)
			}
		}))
	}
	stop := context.AfterFunc(r.take, func() { r.toFinish.keep(finishedInDrain * r.Connections) })
	group.Go(func() error {
		workers.Wait()
		stop()
		close(r.toFinish.ended)
		return nil
	})
}

// finishLater has the source told of files that the ledger has. Commits do not
// wait for that: moving files may take longer than loading them. What is too much
// is let alone for a while, and done when it is listed then.
func (r *run) finishLater(outcomes []Outcome) {
	for _, o := range r.toFinish.put(outcomes) {
		if flight := r.underWay.of(o.File.Path); flight != nil {
			r.known.letAlone(flight)
			r.ended(o.File.Path)
		}
	}
}

// A toFinish is the files of which the source is to be told, in the order in
// which the ledger got them, and backlogBound at most.
type toFinish struct {
	some  chan struct{} // there may be files
	ended chan struct{} // no more will come

	mu    sync.Mutex
	line  [][]Outcome // as they came: none is empty
	files int
	most  int
}

func newToFinish() *toFinish {
	return &toFinish{some: make(chan struct{}, 1), ended: make(chan struct{}), most: backlogBound}
}

// put takes in files, and returns those that are too many.
func (f *toFinish) put(outcomes []Outcome) (tooMany []Outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := min(len(outcomes), max(f.most-f.files, 0))
	if n > 0 {
		f.line = append(f.line, slices.Clone(outcomes[:n]))
		f.files += n
		signal(f.some)
	}
	return outcomes[n:]
}

// keep lets the files go that are more than n, and takes in no more than that
// from then on.
func (f *toFinish) keep(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.most = n
	for f.files > n {
		last := len(f.line) - 1
		drop := min(f.files-n, len(f.line[last]))
		f.files -= drop
		if f.line[last] = f.line[last][:len(f.line[last])-drop]; len(f.line[last]) == 0 {
			f.line = f.line[:last]
		}
	}
}

// next waits for a file and returns it, and false when no more will come or work
// has ended.
func (f *toFinish) next(work context.Context) (Outcome, bool) {
	for work.Err() == nil {
		over := false
		select {
		case <-f.ended:
			over = true
		default:
		}
		if o, ok := f.first(); ok || over {
			return o, ok
		}
		select {
		case <-f.some:
		case <-f.ended:
		case <-work.Done():
		}
	}
	return Outcome{}, false
}

func (f *toFinish) first() (Outcome, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.files == 0 {
		return Outcome{}, false
	}
	o := f.line[0][0]
	f.line[0][0] = Outcome{}
	if f.line[0] = f.line[0][1:]; len(f.line[0]) == 0 {
		f.line[0] = nil
		f.line = f.line[1:]
	}
	if f.files--; f.files > 0 {
		signal(f.some) // for the next who waits
	}
	return o, true
}

// finish tells the source what became of a file that the ledger has. What
// cannot be told now is made up for: the file is listed again, found known, and
// finished then.
func (f *finisher) finish(ctx context.Context, o *Outcome) {
	r := f.run
	err := f.guard(ctx)
	if err == nil {
		err = r.Source.Done(ctx, o.File, *o)
	}
	if err != nil && ctx.Err() != nil {
		r.dropped.Store(true)
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrChanged) && r.cycles.notDone() {
		r.Log.Warn("the source could not be told what became of a file, it is done again later; more of them are counted, not told",
			slog.String("source", r.name), slog.String("file", EscapePath(o.File.Path)), slog.Any("error", err))
	}
	if r.Poll <= 0 {
		return
	}
	if flight := r.underWay.of(o.File.Path); flight != nil {
		if err == nil {
			r.known.tidied(flight, o)
		} else { // also where it changed: it may yet be listed as it was, as by a minute
			r.known.notTidied(flight)
		}
		r.ended(o.File.Path)
	}
}

// guard asks the guard, unless it said yes a moment ago.
func (f *finisher) guard(ctx context.Context) error {
	if f.run.Guard == nil || !f.asked.IsZero() && time.Since(f.asked) < guardedFor {
		return nil
	}
	now := time.Now()
	if err := f.run.Guard(ctx); err != nil {
		return err
	}
	f.asked = now
	return nil
}

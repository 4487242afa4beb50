package ingest

import (
	"context"
	"errors"
	"log/slog"
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

// startFinishing starts telling the source on as many connections as files are
// fetched on: moving a file on a server takes as long as fetching a small one.
func (r *run) startFinishing(group *errgroup.Group, workers *sync.WaitGroup) {
	for range r.Connections {
		group.Go(guarded("telling the source", func() error {
			f := finisher{run: r}
			for {
				select {
				case o, ok := <-r.finished:
					if !ok {
						return nil
					}
					f.finish(r.work, &o)
				case <-r.work.Done():
					return context.Cause(r.work)
				}
			}
		}))
	}
	group.Go(func() error {
		workers.Wait()
		close(r.finished)
		return nil
	})
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
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrChanged) && r.cycles.notDone() {
		r.Log.Warn("the source could not be told what became of a file, it is done again later; more of them are counted, not told",
			slog.String("source", r.name), slog.String("file", EscapePath(o.File.Path)), slog.Any("error", err))
	}
	if r.Poll <= 0 {
		return
	}
	if flight := r.underWay.of(o.File.Path); flight != nil {
		if err == nil {
			r.known.tidied(flight)
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

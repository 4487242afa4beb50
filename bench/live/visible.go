package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"penstock/store"
)

// visible writes files at the rate, and takes for each the time from when its
// closing rename had been done to when a query had it as loaded.
func visible(ctx context.Context, s *site) (err error) {
	d, err := s.startWarm(ctx)
	if err != nil {
		return err
	}
	defer func() { err = d.end(err) }()
	w := newWatching()
	w.ends(s.files)
	late, cancel := context.WithTimeoutCause(ctx, time.Duration(float64(s.files)/s.rate)*time.Second+time.Minute, errors.New("that was a minute after the last was to be written"))
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- w.look(late, s.store, 5*time.Millisecond) }()
	_, wrote, err := s.writeAll(late, w, s.rate, warm, s.files)
	if err != nil {
		cancel() // the files that were not written are not waited for
	}
	if err = errors.Join(err, <-ended); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "visible after the closing rename, %d files at %.0f/s (wanted %.0f), looked at every %s:\n  50 of 100 within %s, 95 within %s, 99 within %s (aim: 250ms), all within %s\n",
		s.files, float64(s.files)/wrote.Seconds(), s.rate, w.step(wrote), w.within(.5), w.within(.95), w.within(.99), w.within(1))
	return nil
}

// warm is how many files come first, of which none counts.
const warm = 200

// startWarm starts the daemon and returns when the first files are visible.
func (s *site) startWarm(ctx context.Context) (*daemon, error) {
	if err := s.folders(); err != nil {
		return nil, err
	}
	d, err := s.start(ctx)
	if err != nil {
		return nil, err
	}
	for i := range warm {
		if _, err := s.write(i); err != nil {
			return nil, d.end(err)
		}
	}
	ready, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("the first files do not come"))
	defer cancel()
	if err := s.awaits(ready, warm); err != nil {
		return nil, d.end(err)
	}
	return d, nil
}

// writeAll writes up to n files at even distances, counted from from on, until ctx
// ends, and returns how many that were and how long it took. Where ctx ended first,
// the error is its cause.
func (s *site) writeAll(ctx context.Context, w *watching, rate float64, from, n int) (int, time.Duration, error) {
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := range n {
		timer.Reset(time.Until(began.Add(time.Duration(float64(i) / rate * float64(time.Second)))))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return i, time.Since(began), context.Cause(ctx)
		}
		name := nameOf(from + i)
		w.expect(name)
		at, err := s.write(from + i)
		if err != nil {
			return i, 0, err
		}
		w.done(name, at)
	}
	return n, time.Since(began), nil
}

// A watching looks for files in the ledger.
type watching struct {
	mu      sync.Mutex
	renamed map[string]time.Time // not yet visible; zero before the rename had returned
	took    map[string]time.Duration
	queries int
	all     int // files in all, once that is known; 0 before
}

func newWatching() *watching {
	return &watching{renamed: make(map[string]time.Time), took: make(map[string]time.Duration)}
}

// ends says how many files there are in all.
func (w *watching) ends(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = n
}

// progress is how many files are visible, and how many there are in all, 0 where
// that is not known yet.
func (w *watching) progress() (seen, all int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.took), w.all
}

// within is the time within which a share of the files was visible, once all
// are.
func (w *watching) within(share float64) time.Duration {
	return within(share, slices.Collect(maps.Values(w.took)))
}

// within is the time within which a share of those is that some files took.
func within(share float64, took []time.Duration) time.Duration {
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	return took[min(int(share*float64(len(took))), len(took)-1)].Round(100 * time.Microsecond)
}

// step is how often it was looked.
func (w *watching) step(during time.Duration) time.Duration {
	return (during / time.Duration(max(w.queries, 1))).Round(100 * time.Microsecond)
}

func (w *watching) expect(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.renamed[path] = time.Time{}
}

func (w *watching) done(path string, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if was, ok := w.renamed[path]; ok && was.IsZero() {
		w.renamed[path] = at
	}
}

// look asks for the files that are not there yet until all are. Its error holds the
// cause of ctx's end.
func (w *watching) look(ctx context.Context, url string, every time.Duration) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		seen, all := w.progress()
		if all > 0 && seen >= all {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d files are visible: %w", seen, all, context.Cause(ctx))
		}
		var keys [][16]byte
		for _, path := range w.awaited() {
			keys = append(keys, store.FileKey("live", path))
		}
		rows, err := conn.Query(ctx, "select path from penstock.files where key = any($1::uuid[]) and state = 'loaded'", keys)
		if err != nil {
			return err
		}
		visible, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		w.saw(visible, time.Now())
	}
}

func (w *watching) awaited() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.renamed))
}

func (w *watching) saw(visible []string, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queries++
	for _, path := range visible {
		at := w.renamed[path]
		if at.IsZero() {
			at = now // visible before the rename had returned to us
		}
		w.took[path] = now.Sub(at)
		delete(w.renamed, path)
	}
}

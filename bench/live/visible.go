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
)

// visible writes files at the rate, and takes for each the time from when its
// closing rename had been done to when a query had it as loaded.
func visible(ctx context.Context, s *site) (err error) {
	if err := s.folders(); err != nil {
		return err
	}
	d, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	const warm = 200 // files, of which none counts
	for i := range warm {
		if _, err := s.write(i); err != nil {
			return err
		}
	}
	ready, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("the first files do not come: %s", d.said))
	defer cancel()
	if err := s.awaits(ready, warm); err != nil {
		return errors.Join(context.Cause(ready), err)
	}
	w := &watching{renamed: make(map[string]time.Time)}
	late, cancel := context.WithTimeoutCause(ctx, time.Duration(float64(s.files)/s.rate)*time.Second+time.Minute, errors.New("not all files became visible"))
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- w.look(late, s.store, s.files) }()
	wrote, err := s.writeAll(late, w, warm)
	if err = errors.Join(err, <-ended); err != nil {
		return fmt.Errorf("%w: %w\nthe daemon said:\n%s", context.Cause(late), err, d.said)
	}
	slices.Sort(w.took)
	at := func(share float64) time.Duration {
		return w.took[min(int(share*float64(len(w.took))), len(w.took)-1)].Round(100 * time.Microsecond)
	}
	fmt.Fprintf(s.out, "visible after the closing rename, %d files at %.0f/s (wanted %.0f), looked at every %s:\n  50 of 100 within %s, 95 within %s, 99 within %s (aim: 250ms), all within %s\n",
		s.files, float64(s.files)/wrote.Seconds(), s.rate, (wrote / time.Duration(w.queries)).Round(100*time.Microsecond), at(.5), at(.95), at(.99), at(1))
	return nil
}

// writeAll writes the files at even distances and returns how long it took.
func (s *site) writeAll(ctx context.Context, w *watching, from int) (time.Duration, error) {
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := range s.files {
		timer.Reset(time.Until(began.Add(time.Duration(float64(i) / s.rate * float64(time.Second)))))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		name := fmt.Sprintf("%02d/L%03d_%07d.csv", (from+i)%50, (from+i)%500, from+i)
		w.expect(name)
		at, err := s.write(from + i)
		if err != nil {
			return 0, err
		}
		w.done(name, at)
	}
	return time.Since(began), nil
}

// A watching looks for files in the ledger.
type watching struct {
	mu      sync.Mutex
	renamed map[string]time.Time // not yet visible; zero before the rename had returned
	took    []time.Duration
	queries int
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

// look asks for the files that are not there yet until all n are. The index that
// it makes for this costs the daemon little, and asking without it would cost
// the server much.
func (w *watching) look(ctx context.Context, store string, n int) error {
	conn, err := pgx.Connect(ctx, store)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "create index on penstock.files (path)"); err != nil {
		return err
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for len(w.took) < n {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d files are visible: %w", len(w.took), n, ctx.Err())
		}
		rows, err := conn.Query(ctx, "select path from penstock.files where path = any($1) and state = 'loaded'", w.awaited())
		if err != nil {
			return err
		}
		visible, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		w.saw(visible, time.Now())
	}
	return nil
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
		w.took = append(w.took, now.Sub(at))
		delete(w.renamed, path)
	}
}

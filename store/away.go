package store

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// An outage is a time without the database. It is told when it begins and when
// it is over, once each, however many wait for its end.
type outage struct {
	mu    sync.Mutex
	since time.Time // zero while there is none
}

func (o *outage) begin(log *slog.Logger, failed error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		o.since = time.Now()
		log.Warn("the database is not available, trying again until it is", slog.Any("error", reached(failed)))
	}
}

func (o *outage) end(log *slog.Logger) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.since.IsZero() {
		log.Info("the database is available again", slog.Duration("after", time.Since(o.since).Round(time.Millisecond)))
		o.since = time.Time{}
	}
}

// lockNotAvailable is the state of a statement that waited for another's lock
// for as long as it may.
const lockNotAvailable = "55P03"

// patience spaces the tries while the database is away, and ends.
type patience struct {
	store   *Store
	log     *slog.Logger
	backoff *backoff.ExponentialBackOff
	since   time.Time // of the first failure
	locked  bool      // the database is there, and another holds a lock
}

func (s *Store) newPatience(log *slog.Logger) *patience {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = 100*time.Millisecond, 3*time.Second
	return &patience{store: s, log: log, backoff: b}
}

// after waits for the next try after one that failed. The error is ctx's, or
// says that the limit is reached.
func (p *patience) after(ctx context.Context, failed error) error {
	if p.since.IsZero() {
		p.since = time.Now()
	}
	// A lock that another holds for long is no sign that the database is away:
	// the commit of a large file may be under way.
	if sqlState(failed) == lockNotAvailable {
		if !p.locked {
			p.log.Warn("another holds what this is to change in the database, trying again until it is free", slog.Any("error", failed))
		}
		p.locked = true
		return sleep(ctx, p.backoff.NextBackOff())
	}
	p.store.away.begin(p.log, failed)
	if limit := p.store.options.RetryFor; limit > 0 && time.Since(p.since) > limit {
		return hint(fmt.Errorf("the database was not available for %s: %w", limit, reached(failed)), "53200",
			"where there are very many chunks of a hypertable, raise max_locks_per_transaction in its postgresql.conf, or store.hypertable.chunk_interval before they are made")
	}
	return sleep(ctx, p.backoff.NextBackOff())
}

// over is to be called when a try succeeded. The outage may be one that another
// told of, who gave up while he waited for its end.
func (p *patience) over() {
	if p.locked {
		p.log.Info("what another held in the database is free again", slog.Duration("after", time.Since(p.since).Round(time.Millisecond)))
	}
	p.since, p.locked = time.Time{}, false
	p.store.away.end(p.log)
}

// untilThere calls f until it succeeds or fails with an error that waiting for
// the database does not mend.
func (p *patience) untilThere(ctx context.Context, f func() error) error {
	for {
		err := f()
		if err == nil {
			p.over()
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		if judge(err) != tryLater {
			return err
		}
		if err := p.after(ctx, err); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

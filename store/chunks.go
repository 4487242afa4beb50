package store

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"penstock/ingest"
)

// Whoever brings the first reading of a new chunk of the hypertable makes that
// chunk, and whoever has another for it waits until the former's transaction ends:
// the workers with the parts of a large file would come one after the other. So the
// chunks that a commit needs are made before it begins, by a transaction of their own
// that takes a moment. Made while it is under way they might wait for it, for it may
// have changed what the catalogue says of a chunk.

// chunks is which chunks of the hypertable one sink has seen to.
type chunks struct {
	// interval is how many microseconds a chunk holds; 0 where none is to be seen to.
	// It changes only with mu held, and is read without: who holds mu may wait for
	// who reads it in a transaction.
	interval atomic.Int64

	mu        sync.Mutex
	made      map[chunkPlace]bool
	undecided bool // there is no chunk, and nobody asked for what one holds
}

// A chunkPlace is where a chunk lies in time, and whether it is for readings that
// are compressed as they come: such a chunk takes others as well.
type chunkPlace struct {
	n        int64 // in intervals from 1970 on
	compress bool
}

// place is where the chunk lies that an instant is in: it has the instants from
// first to before end.
func (h *chunks) place(ts int64) (n, first, end int64) {
	interval := h.interval.Load()
	if n = ts / interval; ts < 0 {
		n = (ts+1)/interval - 1
	}
	return n, n * interval, (n + 1) * interval
}

// A stretchOfTime is from the first of some readings to the last.
type stretchOfTime struct{ first, last int64 }

// makeChunks sees to it that there are the chunks that the readings go to of the
// spans that may be stored. What TimescaleDB cuts otherwise the COPY makes.
func (c *committer) makeChunks(ctx context.Context, b *ingest.Batch) error {
	h := &c.sink.chunks
	if h.interval.Load() == 0 {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	readings := 0
	for i := range b.Spans {
		if s := &b.Spans[i]; c.take[i] {
			readings += s.End - s.Begin
		}
	}
	if h.undecided && readings > 0 {
		all := stretchOfTime{math.MaxInt64, math.MinInt64}
		for i := range b.Spans {
			if s := &b.Spans[i]; c.take[i] && s.End > s.Begin {
				times := b.Time[s.Begin:s.End]
				all = stretchOfTime{min(all.first, slices.Min(times)), max(all.last, slices.Max(times))}
			}
		}
		if err := c.sink.chooseInterval(ctx, int64(readings), all.first, all.last); err != nil {
			return err
		}
		h.undecided = false
	}
	missing := h.missing(b, c.take, false)
	compress := c.sink.compressing && readings >= c.sink.store.options.directLeast*len(b.Keys)*max(1, len(missing))
	if compress {
		missing = h.missing(b, c.take, true)
	}
	if len(missing) == 0 {
		return nil
	}
	for places := range slices.Chunk(slices.Sorted(maps.Keys(missing)), chunksAtOnce) {
		stretches := make([]stretchOfTime, len(places))
		for i, n := range places {
			stretches[i] = missing[n]
		}
		err := c.sink.store.makeChunks(ctx, stretches, compress)
		// Somebody's constraint may not let readings of no series in.
		if err != nil && !strings.HasPrefix(sqlState(err), "23") {
			return fmt.Errorf("making chunks of the hypertable: %w", err)
		}
		for _, n := range places {
			h.made[chunkPlace{n, compress}] = true
		}
	}
	return nil
}

// missing is the places that were not seen to, each with what of it the readings
// take.
func (h *chunks) missing(b *ingest.Batch, take []bool, compress bool) map[int64]stretchOfTime {
	missing := make(map[int64]stretchOfTime)
	var first, end int64 // of the chunk that the reading before was in, which is not missing
	for i := range b.Spans {
		if !take[i] {
			continue
		}
		for _, ts := range b.Time[b.Spans[i].Begin:b.Spans[i].End] {
			if ts >= first && ts < end {
				continue
			}
			n, begins, ends := h.place(ts)
			if h.made[chunkPlace{n, true}] || !compress && h.made[chunkPlace{n, false}] {
				first, end = begins, ends
				continue
			}
			s, found := missing[n]
			if !found {
				s = stretchOfTime{ts, ts}
			}
			missing[n] = stretchOfTime{min(s.first, ts), max(s.last, ts)}
		}
	}
	return missing
}

// chunksAtOnce is how many chunks a transaction makes. Each takes some ten locks until
// its end, of the 6400 that there are on a server with PostgreSQL's defaults, where
// readings that go into a chunk which is there take one.
const chunksAtOnce = 100

// makeChunks makes chunks by readings of no series, which nobody sees: they are
// gone when the transaction ends. The stretches, of one chunk each, follow one
// another.
func (s *Store) makeChunks(ctx context.Context, stretches []stretchOfTime, compress bool) error {
	var rows copyTable
	rows.start(0)
	for _, of := range stretches {
		for _, ts := range []int64{of.first, of.last}[:1+min(1, of.last-of.first)] {
			rows.row(4)
			rows.int4(0)
			rows.time(ts)
			rows.float8(0)
			rows.int8(0)
		}
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		conn := tx.Conn().PgConn()
		if compress {
			if _, err := conn.Exec(ctx, compressSQL).ReadAll(); err != nil {
				return err
			}
		}
		var copies copies
		if err := rows.queue(&copies, "readings (series_id, ts, value, file_id)"); err != nil {
			return err
		}
		if err := copies.send(ctx, conn); err != nil {
			return err
		}
		return execute(ctx, conn, "delete from readings where series_id = 0 and ts between $1::timestamptz and $2::timestamptz",
			[][]byte{timeParam(stretches[0].first), timeParam(stretches[len(stretches)-1].last)}, nil)
	})
}

// lookAtHypertable finds out how readings get into it: not by chunks that are made
// beforehand where somebody's trigger would see that.
func (s *Sink) lookAtHypertable(ctx context.Context) error {
	if !s.store.layout.Hypertable {
		return nil
	}
	triggers, err := s.store.triggers(ctx)
	if err != nil || triggers != "" {
		return err
	}
	h, err := s.store.hypertable(ctx, s.store.pool)
	if err != nil {
		return err
	}
	s.chunks.interval.Store(h.ChunkInterval.Microseconds())
	s.chunks.made = make(map[chunkPlace]bool)
	err = s.store.pool.QueryRow(ctx, `select not exists (select from settings where name = $2)
		and not exists (select from timescaledb_information.chunks where hypertable_schema = $1 and hypertable_name = 'readings')`,
		s.store.options.Schema, chunkIntervalOf).Scan(&s.chunks.undecided)
	if err != nil {
		return fmt.Errorf("looking for chunks of the hypertable: %w", err)
	}
	c, err := s.store.Compressing(ctx)
	s.compressing = c.On
	return err
}

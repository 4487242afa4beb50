package store

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
)

// How much time a chunk of the hypertable is to hold goes by how fast readings come
// for it. TimescaleDB recommends that the indexes of the chunks that are being filled
// fit into a quarter of the server's memory, so that a reading that comes finds its
// place in memory; shared_buffers, which a client can ask for, is a quarter of it as
// servers are commonly set up. With much more in a chunk, every page of the index is
// read from disk again for each batch; with much less, there are many chunks, each of
// which a query has to be planned for.

// chunkIntervals are what is chosen from.
var chunkIntervals = []time.Duration{
	time.Hour, 2 * time.Hour, 3 * time.Hour, 4 * time.Hour, 6 * time.Hour, 8 * time.Hour, 12 * time.Hour,
	24 * time.Hour, 2 * 24 * time.Hour, 3 * 24 * time.Hour, 7 * 24 * time.Hour, 14 * 24 * time.Hour, 28 * 24 * time.Hour,
}

// indexEntry is what one reading takes in the index by series and time, in bytes: as
// measured after loading files of many series, which leaves its pages part empty.
const indexEntry = 45

// A ChunkAdvice is how much time a chunk of the hypertable should hold.
type ChunkAdvice struct {
	PerDay   float64       // readings that the files which came last hold, for each day of the readings' own time
	Buffers  int64         // shared_buffers, in bytes
	Interval time.Duration // that follows; 0 where too little is known
}

// IndexBytes is what the index of a chunk that holds so much time comes to.
func (a ChunkAdvice) IndexBytes(interval time.Duration) int64 {
	return int64(a.PerDay * interval.Hours() / 24 * indexEntry)
}

// differs reports whether another interval is so far off that it is worth having
// chunks of two lengths.
func (a ChunkAdvice) differs(inForce time.Duration) bool {
	return a.Interval != 0 && (inForce >= 2*a.Interval || 2*inForce <= a.Interval)
}

// advise chooses the longest of the intervals whose chunk's index fits.
func advise(readings, first, last, buffers int64) ChunkAdvice {
	a := ChunkAdvice{Buffers: buffers}
	days := float64(last-first) / (24 * anHour)
	if readings == 0 || days < leastOfDays {
		return a
	}
	a.PerDay = float64(readings) / days
	a.Interval = chunkIntervals[0]
	for _, interval := range chunkIntervals {
		if a.IndexBytes(interval) <= buffers {
			a.Interval = interval
		}
	}
	return a
}

const (
	// leastOfDays is how much time files have to span for their rate to be told.
	leastOfDays = 1
	// filesOfAdvice is of how many files, the newest in the ledger, the rate is taken.
	filesOfAdvice = 100_000
)

// chunkIntervalOf is who has chosen what a chunk holds, as the settings table has it.
const chunkIntervalOf = "chunk_interval"

// advised returns the interval to have from now on, if nobody has asked for one and
// the advised one is far off; else 0.
func (s *Store) advised(ctx context.Context, inForce time.Duration) (ChunkAdvice, error) {
	var asked bool
	err := s.pool.QueryRow(ctx, "select exists (select from settings where name = $1 and value = 'asked')", chunkIntervalOf).Scan(&asked)
	if err != nil {
		return ChunkAdvice{}, fmt.Errorf("looking who chose what a chunk holds: %w", err)
	}
	if asked {
		return ChunkAdvice{}, nil
	}
	a, err := s.ChunkAdvice(ctx)
	if err == nil && !a.differs(inForce) {
		a.Interval = 0
	}
	return a, err
}

// setChunkInterval has chunks that are made from now on hold so much. Who sets it at
// the same time waits for the row of settings: TimescaleDB does not wait for its own.
func setChunkInterval(ctx context.Context, tx pgx.Tx, interval time.Duration, by string) error {
	_, err := tx.Exec(ctx, "insert into settings (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value", chunkIntervalOf, by)
	if err == nil {
		_, err = tx.Exec(ctx, "select set_chunk_time_interval('readings', $1::text::interval)", intervalOf(interval))
	}
	if err != nil {
		return fmt.Errorf("setting the hypertable's chunk interval: %w", err)
	}
	return nil
}

// manyChunks is more than the first readings of a hypertable should take: whatever
// touches all of them takes two locks for each, of the 6400 of a server with
// PostgreSQL's defaults, and is planned for each.
const manyChunks = 1000

// chooseInterval has the chunks of a new hypertable hold less than they would if the
// first readings come too fast for that. They may be but some of those that come,
// and so it is made longer only where they are a history of so many chunks: else
// 'penstock migrate' does that.
func (s *Sink) chooseInterval(ctx context.Context, readings, first, last int64) error {
	inForce, err := s.store.hypertable(ctx, s.store.pool) // another source's first readings may have made it less
	if err != nil {
		return err
	}
	s.chunks.interval.Store(inForce.ChunkInterval.Microseconds())
	var buffers int64
	if err := s.store.pool.QueryRow(ctx, buffersSQL).Scan(&buffers); err != nil {
		return fmt.Errorf("looking how much memory the server has: %w", err)
	}
	a := advise(readings, first, last, buffers)
	history := (last-first)/manyChunks > inForce.ChunkInterval.Microseconds()
	if a.Interval == 0 || a.Interval == inForce.ChunkInterval || a.Interval > inForce.ChunkInterval && !history {
		return nil
	}
	err = pgx.BeginFunc(ctx, s.store.pool, func(tx pgx.Tx) error { return setChunkInterval(ctx, tx, a.Interval, "derived") })
	if err != nil {
		return err
	}
	s.chunks.interval.Store(a.Interval.Microseconds())
	s.options.Log.Info("a chunk of the hypertable holds what suits the first readings", slog.Duration("chunk_interval", a.Interval), slog.Float64("readings_a_day", math.Round(a.PerDay)))
	return nil
}

const buffersSQL = `select setting::int8 * 8192 from pg_settings where name = 'shared_buffers'`

// ChunkAdvice looks in the ledger how fast readings come.
func (s *Store) ChunkAdvice(ctx context.Context) (ChunkAdvice, error) {
	var readings, buffers int64
	var first, last *float64
	// What others took from these files is theirs: it stands once.
	err := s.pool.QueryRow(ctx, `with since as (select max(file_id) - $1 as id from receipts),
		newest as (select first_ts, last_ts, stored + replaced as n from receipts where file_id > (select id from since) and first_ts is not null),
		passed as (select sum(n) as n from takeovers where from_file > (select id from since))
		select (coalesce(sum(n), 0) - coalesce((select n from passed), 0))::int8, extract(epoch from percentile_disc(0.001) within group (order by first_ts))::float8,
			extract(epoch from percentile_disc(0.999) within group (order by last_ts))::float8, (`+buffersSQL+`)
		from newest`, filesOfAdvice).Scan(&readings, &first, &last, &buffers)
	if err != nil {
		return ChunkAdvice{}, fmt.Errorf("looking how fast readings come: %w", err)
	}
	if first == nil || last == nil {
		return ChunkAdvice{Buffers: buffers}, nil
	}
	micros := func(seconds float64) int64 { return int64(math.Round(seconds * 1e6)) }
	return advise(readings, micros(*first), micros(*last), buffers), nil
}

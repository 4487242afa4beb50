package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Hypertable says how readings are kept where TimescaleDB has them. The zero
// value asks for nothing.
type Hypertable struct {
	// ChunkInterval is how much time a chunk holds. 0 leaves what is in force, and for
	// a new table it is DefaultChunkInterval, or what suits the first readings where
	// they come too fast for that or go too far back. Chunks that are there stay as they are.
	ChunkInterval time.Duration
	// ColumnstoreAfter is how long after its end a chunk is moved into the
	// columnstore, which compresses it; Never for none. 0 leaves what is in force,
	// which is none for a new table with a unique key, and
	// DefaultColumnstoreAfter for one in append mode where readings can be compressed
	// as they come. What TimescaleDB called compression before version 2.18 is the
	// same.
	ColumnstoreAfter time.Duration
}

// DefaultChunkInterval is how much time a chunk holds unless something else is
// asked for.
const DefaultChunkInterval = 7 * 24 * time.Hour

// DefaultColumnstoreAfter is how long after its end a chunk of a table in append
// mode goes into the columnstore, unless something else is asked for: with what came
// in amounts too small to be compressed as they come.
const DefaultColumnstoreAfter = 7 * 24 * time.Hour

// Never is a ColumnstoreAfter by which nothing is moved into the columnstore.
const Never time.Duration = -1

// ErrNoHypertable says that the readings are, or would be, in a plain table, of
// which nothing can be asked that a Hypertable says.
var ErrNoHypertable = errors.New("readings cannot be kept in a hypertable")

// differs reports whether something that is asked for is not in force.
func (h Hypertable) differs(inForce Hypertable) bool {
	return h.ChunkInterval != 0 && h.ChunkInterval != inForce.ChunkInterval ||
		h.ColumnstoreAfter != 0 && h.ColumnstoreAfter != inForce.ColumnstoreAfter
}

// asker is what a look at the hypertable goes through: a transaction, or the pool.
type asker interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// hypertable returns what is in force of a hypertable.
func (s *Store) hypertable(ctx context.Context, at asker) (h Hypertable, err error) {
	var chunk, after *float64 // seconds
	err = at.QueryRow(ctx, `select
		(select extract(epoch from time_interval)::float8 from timescaledb_information.dimensions
			where hypertable_schema = $1 and hypertable_name = 'readings' and dimension_number = 1),
		(select extract(epoch from (config->>'compress_after')::interval)::float8 from timescaledb_information.jobs
			where hypertable_schema = $1 and hypertable_name = 'readings' and proc_name in ('policy_compression', 'policy_columnstore'))`,
		s.options.Schema).Scan(&chunk, &after)
	if err != nil {
		return h, fmt.Errorf("looking at the hypertable: %w", err)
	}
	if chunk != nil {
		h.ChunkInterval = seconds(*chunk)
	}
	if h.ColumnstoreAfter = Never; after != nil {
		h.ColumnstoreAfter = seconds(*after)
	}
	return h, nil
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// Hypertable returns what is in force, and whether something differs from what
// Options ask for. Of a plain table the error wraps ErrNoHypertable where they
// ask for anything.
func (s *Store) Hypertable(ctx context.Context) (inForce Hypertable, differs bool, err error) {
	if !s.layout.Hypertable {
		if s.options.Hypertable != (Hypertable{}) {
			err = s.noHypertable("they are in a plain table, which stays one")
		}
		return Hypertable{}, false, err
	}
	inForce, err = s.hypertable(ctx, s.pool)
	return inForce, err == nil && s.options.Hypertable.differs(inForce), err
}

func (s *Store) noHypertable(why string) error {
	return fmt.Errorf("schema %q: %w: %s", s.options.Schema, ErrNoHypertable, why)
}

// AlterHypertable brings into force what Options ask for, and a chunk interval that
// suits the readings of the ledger where nobody ever asked for one and it is far off,
// and reports whether that changed anything. Its errors are those of the method Hypertable, and the
// server's: an edition of TimescaleDB may have no columnstore.
func (s *Store) AlterHypertable(ctx context.Context) (changed bool, err error) {
	inForce, changed, err := s.Hypertable(ctx)
	if err != nil || !s.layout.Hypertable {
		return false, err
	}
	want := s.options.Hypertable
	if want.ChunkInterval == 0 {
		a, err := s.advised(ctx, inForce.ChunkInterval)
		if err != nil {
			return false, err
		}
		want.ChunkInterval = a.Interval
		changed = changed || a.Interval != 0
	}
	if !changed {
		return false, nil
	}
	return true, pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.alterHypertable(ctx, tx, want) })
}

// alterHypertable is for a hypertable that is there.
func (s *Store) alterHypertable(ctx context.Context, tx pgx.Tx, want Hypertable) error {
	inForce, err := s.hypertable(ctx, tx)
	if err != nil {
		return err
	}
	if want.ChunkInterval != 0 && want.ChunkInterval != inForce.ChunkInterval {
		by := "derived"
		if s.options.Hypertable.ChunkInterval != 0 {
			by = "asked"
		}
		if err := setChunkInterval(ctx, tx, want.ChunkInterval, by); err != nil {
			return err
		}
	}
	if want.ColumnstoreAfter == 0 || want.ColumnstoreAfter == inForce.ColumnstoreAfter {
		return nil
	}
	if err := s.alterColumnstore(ctx, tx, want.ColumnstoreAfter, inForce.ColumnstoreAfter); err != nil {
		return hint(fmt.Errorf("setting when readings go into the columnstore: %w", err), "0A000",
			"TimescaleDB's Apache edition has no columnstore: use the Community edition")
	}
	return nil
}

// alterColumnstore puts one policy in the place of another. How the columnstore
// is segmented is left alone where there is one already: somebody chose it.
func (s *Store) alterColumnstore(ctx context.Context, tx pgx.Tx, want, inForce time.Duration) error {
	var named, enabled bool
	err := tx.QueryRow(ctx, `select exists (select from pg_proc where proname = 'add_columnstore_policy'),
		coalesce((select compression_enabled from timescaledb_information.hypertables where hypertable_schema = $1 and hypertable_name = 'readings'), false)`,
		s.options.Schema).Scan(&named, &enabled)
	if err != nil {
		return err
	}
	set, remove := "timescaledb.compress, timescaledb.compress_segmentby = 'series_id', timescaledb.compress_orderby = 'ts'", "select remove_compression_policy('readings')"
	add := "select add_compression_policy('readings', interval '%s')"
	if named {
		set, remove = "timescaledb.enable_columnstore, timescaledb.segmentby = 'series_id', timescaledb.orderby = 'ts'", "call remove_columnstore_policy('readings')"
		add = "call add_columnstore_policy('readings', after => interval '%s')"
	}
	if inForce != Never {
		if _, err := tx.Exec(ctx, remove); err != nil {
			return err
		}
	}
	if want == Never {
		return nil
	}
	if !enabled {
		if _, err := tx.Exec(ctx, "alter table readings set ("+set+")"); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, fmt.Sprintf(add, intervalOf(want)))
	return err
}

// intervalOf is a duration as PostgreSQL reads it, in days where they are whole.
func intervalOf(d time.Duration) string {
	if day := 24 * time.Hour; d%day == 0 {
		return fmt.Sprintf("%d days", d/day)
	}
	return fmt.Sprintf("%d microseconds", d.Microseconds())
}

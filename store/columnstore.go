package store

import (
	"context"
	"fmt"

	"penstock/ingest"
)

// Large amounts of readings need not go through the rows of a hypertable: from
// version 2.21 on TimescaleDB compresses what a COPY brings as it comes ("direct
// compress", src/copy.c in its source), where nothing has to be unique. The
// batches that it makes are those that the policy makes of rows later, of one
// series and up to 1000 readings each, and no row is written, indexed, read and
// deleted again before.

// Compressing says whether readings are compressed as they come.
type Compressing struct {
	On  bool
	Why string // they are not
	Do  string // what could be done about that, "" for nothing
}

// directLeast is how many readings of each series a COPY has to bring for a
// chunk of the hypertable, on average, to be compressed as it comes. Batches of 5
// cost the server as much time as rows with their index do, batches of 20 half of
// that and a quarter of the space; fewer are left to the policy, which makes large
// batches of them.
const directLeast = 20

// Compressing looks up whether readings are compressed as they come.
func (s *Store) Compressing(ctx context.Context) (Compressing, error) {
	switch {
	case !s.layout.Hypertable:
		return Compressing{Why: "that takes TimescaleDB"}, nil
	case !s.layout.Append:
		return Compressing{Why: "what has a unique key cannot be"}, nil
	}
	c, err := s.columnstore(ctx, s.pool)
	if err != nil || c.Why != "" {
		return c, err
	}
	triggers, err := s.triggers(ctx)
	if err != nil {
		return c, err
	}
	var enabled bool
	var unique string
	err = s.pool.QueryRow(ctx, `select
		coalesce((select compression_enabled from timescaledb_information.hypertables where hypertable_schema = $1 and hypertable_name = 'readings'), false),
		coalesce((select string_agg(indexrelid::regclass::text, ', ') from pg_index where indrelid = 'readings'::regclass and indisunique), '')`,
		s.options.Schema).Scan(&enabled, &unique)
	switch {
	case err != nil:
		return c, fmt.Errorf("looking at the columnstore: %w", err)
	case !enabled:
		return Compressing{Why: "the table has no columnstore", Do: "set store.hypertable.columnstore_after in the config, and run 'penstock migrate' with it"}, nil
	case unique != "":
		return Compressing{Why: "the table has a unique index, " + unique, Do: "drop it"}, nil
	case triggers != "":
		return Compressing{Why: "the table has a trigger, " + triggers, Do: "drop it"}, nil
	}
	return Compressing{On: true}, nil
}

// columnstore says why nothing could be compressed as it comes by this server,
// whatever the table is.
func (s *Store) columnstore(ctx context.Context, at asker) (c Compressing, err error) {
	var version, license string
	var can bool
	err = at.QueryRow(ctx, `select extversion, coalesce(current_setting('timescaledb.license', true), ''),
		exists (select from pg_settings where name = 'timescaledb.enable_direct_compress_copy')
		from pg_extension where extname = 'timescaledb'`).Scan(&version, &license, &can)
	switch {
	case err != nil:
		return c, fmt.Errorf("looking what TimescaleDB can do: %w", err)
	case license == "apache":
		c = Compressing{Why: "TimescaleDB's Apache edition has no columnstore", Do: "use the Community edition: timescaledb.license = 'timescale'"}
	case !can:
		c = Compressing{Why: "TimescaleDB " + version + " cannot compress what comes", Do: "use 2.21 or a newer one"}
	}
	return c, nil
}

// compressSQL has the COPY that follows in the transaction compress. Its rows come
// by series and time: where that is the order of the columnstore, and of all chunks
// that are in it, the server need not sort them. That the batches of one COPY do
// not overlap says nothing about those of others, and so the client does not vouch
// for the order: the server keeps in mind that chunks are unordered. The lock, which
// COPY takes anyway, keeps the order what it is.
const compressSQL = `lock table readings in row exclusive mode;
	select set_config('timescaledb.enable_direct_compress_copy', 'on', true),
		set_config('timescaledb.enable_direct_compress_copy_client_sorted', 'off', true),
		set_config('timescaledb.enable_direct_compress_copy_sort_batches', case when exists (
			select from (select segmentby, orderby from timescaledb_information.hypertable_columnstore_settings where hypertable = 'readings'::regclass
				union all select segmentby, orderby from timescaledb_information.chunk_columnstore_settings where hypertable = 'readings'::regclass) o
			where (segmentby, orderby) is distinct from ('series_id', 'ts')) then 'on' else 'off' end, true)`

// pays reports whether a COPY of these readings into the table is to compress them.
func (c *committer) pays(b *ingest.Batch, some picked) bool {
	return c.sink.compressing && len(some.rows) >= c.sink.store.options.directLeast*c.runs(b, some)
}

// runs is how many runs of one series in one chunk of the hypertable some of the
// ordered readings are.
func (c *committer) runs(b *ingest.Batch, some picked) (n int) {
	place, end := int32(-1), int64(0)
	h := &c.sink.chunks
	for _, r := range some.rows {
		if p, ts := c.table.bucket[b.Series[r]], b.Time[r]; p != place || ts >= end {
			place = p
			_, _, end = h.place(ts)
			n++
		}
	}
	return n
}

// triggers names those of the table that somebody made.
func (s *Store) triggers(ctx context.Context) (names string, err error) {
	err = s.pool.QueryRow(ctx, `select coalesce((select string_agg(tgname, ', ') from pg_trigger
		where tgrelid = 'readings'::regclass and not tgisinternal and tgname <> 'ts_insert_blocker'), '')`).Scan(&names)
	if err != nil {
		return "", fmt.Errorf("looking for triggers: %w", err)
	}
	return names, nil
}

package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// The key modes, as the settings table has them.
const (
	modeKeyed  = "keyed"
	modeAppend = "append"
)

// makeReadings makes the readings table and the view on it when they are
// missing: keyed or append, a hypertable where the TimescaleDB extension is
// there or can be created, a plain table otherwise. What was made is kept in
// settings and does not change later, but for what a Hypertable says.
func (s *Store) makeReadings(ctx context.Context) error {
	var made bool
	if err := s.pool.QueryRow(ctx, "select exists (select from settings where name = 'readings')").Scan(&made); err != nil || made {
		return err
	}
	hypertable, err := s.haveTimescale(ctx)
	if err != nil {
		return err
	}
	if !hypertable && s.options.Hypertable != (Hypertable{}) {
		return s.noHypertable("the database has no TimescaleDB, or does not let this role create the extension")
	}
	mode := modeKeyed
	if s.options.Append {
		mode = modeAppend
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		for _, sql := range readingsDDL(mode, hypertable) {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return fmt.Errorf("making the readings table: %w", err)
			}
		}
		if hypertable {
			if err := s.shapeHypertable(ctx, tx); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, "insert into settings (name, value) values ('readings', $1), ('hypertable', $2)", mode, fmt.Sprint(hypertable))
		return err
	})
}

// shapeHypertable gives a new hypertable what Options ask for, and a columnstore
// by default where readings can be compressed as they come.
func (s *Store) shapeHypertable(ctx context.Context, tx pgx.Tx) error {
	want := s.options.Hypertable
	if s.options.Append && want.ColumnstoreAfter == 0 {
		c, err := s.columnstore(ctx, tx)
		if err != nil {
			return err
		}
		if c.Why == "" {
			want.ColumnstoreAfter = DefaultColumnstoreAfter
		}
	}
	return s.alterHypertable(ctx, tx, want)
}

// haveTimescale reports whether the TimescaleDB extension is in the database,
// creating it when the server offers it and the role may.
func (s *Store) haveTimescale(ctx context.Context) (bool, error) {
	var have, offered bool
	err := s.pool.QueryRow(ctx, `select exists (select from pg_extension where extname = 'timescaledb'),
		exists (select from pg_available_extensions where name = 'timescaledb')
			and current_setting('shared_preload_libraries') like '%timescaledb%'`).Scan(&have, &offered)
	if sqlState(err) == "42501" { // the setting may be hidden from the role: then it cannot create extensions either
		return false, nil
	}
	if err != nil || have || !offered {
		return have, err
	}
	// The extension must be created by the first statement of a session that
	// has not loaded it, so a connection of its own.
	conn, err := s.connect(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "create extension if not exists timescaledb with schema public").ReadAll()
	if sqlState(err) == "42501" {
		return false, nil // offered, but not to this role: a plain table it is
	}
	return err == nil, err
}

func readingsDDL(mode string, hypertable bool) []string {
	ddl := []string{`create table readings (
		ts        timestamptz not null,
		value     float8 not null,
		file_id   int8 not null,
		series_id int4 not null,
		quality   text
	)`}
	if hypertable {
		ddl = append(ddl, fmt.Sprintf("select create_hypertable('readings', by_range('ts', interval '%d hours'), create_default_indexes => false)", DefaultChunkInterval/time.Hour))
	}
	if mode == modeKeyed {
		ddl = append(ddl, "alter table readings add primary key (series_id, ts)")
	} else {
		ddl = append(ddl, "create index readings_series_ts on readings (series_id, ts)")
	}
	return append(append(ddl, markDDL...), `create view observations as
		select s.logger, s.channel, s.unit, r.ts, r.value, r.quality, f.path
		from readings r join series s on s.id = r.series_id join files f on f.id = r.file_id and f.state <> 'loading'`,
		`comment on view observations is 'The readings with their names: what people query. A file that is loading in parts has none here until it is loaded'`)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"penstock/bench/trial"
)

// What others are given here is ready-made: rows of the very table that Penstock
// makes, with the ids that it gave, where Penstock reads the loggers' file.

const readyColumns = "series_id, ts, value, file_id"

// readyRows: one large file into the keyed table, against timescaledb-parallel-copy
// with as many workers and the rows in the file's order and in the key's, and
// against one binary COPY for each worker of rows in the key's order, of series of
// its own.
func readyRows(ctx context.Context, s *site) error {
	if err := s.fresh(ctx); err != nil {
		return err
	}
	if _, _, err := s.replay(ctx, s.longDir()); err != nil {
		return err
	}
	if err := trial.Exec(ctx, s.store, "create schema plain", "create table plain.readings (like penstock.readings including all)"); err != nil {
		return err
	}
	empty := func(ctx context.Context) error {
		return trial.Exec(ctx, s.store, "truncate plain.readings", "checkpoint")
	}
	sides, err := s.peerSides(ctx, s.long.Readings, empty)
	if err != nil {
		return err
	}
	binary := filepath.Join(s.dir, "binary")
	if err := os.MkdirAll(binary, 0o755); err != nil {
		return err
	}
	for w := range s.workers {
		of := fmt.Sprintf("select %s from (select *, dense_rank() over (order by series_id) as nth from penstock.readings) r where nth %% %d = %d order by series_id, ts", readyColumns, s.workers, w)
		if err := s.export(ctx, of, filepath.Join(binary, strconv.Itoa(w)), "with (format binary)"); err != nil {
			return err
		}
	}
	copies := &side{name: "a binary COPY of its rows for each worker"}
	copies.once = func(ctx context.Context) (float64, error) {
		if err := empty(ctx); err != nil {
			return 0, err
		}
		return s.measured(copies, func() (float64, error) {
			var r leastReport
			_, err := decoded(ctx, &r, s.floor, "-mode", "copy", "-dir", binary, "-store", s.store, "-table", "plain.readings ("+readyColumns+")")
			if err == nil && r.Readings != s.long.Readings {
				err = fmt.Errorf("%d readings were stored, not %d", r.Readings, s.long.Readings)
			}
			return r.Seconds, err
		})
	}
	ours := s.ours(s.longDir(), s.long.Readings, s.fresh)
	if err := s.alternate(ctx, append(sides, copies, ours)...); err != nil {
		return err
	}
	s.print(fmt.Sprintf("one file of %d readings, beside ready-made rows", s.long.Readings), "penstock 1.3 x faster than timescaledb-parallel-copy, and at most 1.1 x the COPYs' time", append(sides, copies, ours)...)
	return nil
}

// appendMode: one larger file into a hypertable in append mode, compressed as it
// comes, against timescaledb-parallel-copy with direct compress, which it asks for
// by default, into the same table: of rows in the file's order and in the
// columnstore's, both of which the server sorts. Its option
// -enable-client-side-sorting, by which the server would not, cannot be given: as of
// version 0.13.0 it refuses itself where direct compress is not disabled.
func appendMode(ctx context.Context, s *site) (err error) {
	switch {
	case s.timescale == "":
		return s.skipped("append mode on TimescaleDB", "-timescale names no server")
	case s.parallelCopy == "":
		return s.skipped("append mode on TimescaleDB", "timescaledb-parallel-copy is not at hand (-parallel-copy)")
	}
	private, postmaster := s.store, s.postmaster
	defer func() { s.store, s.postmaster = private, postmaster }()
	drop, err := s.database(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop()) }()
	if err := s.bulk.Write(s.bulkDir()); err != nil {
		return err
	}
	fresh := func(schema string) func(context.Context) error {
		return func(ctx context.Context) error {
			if err := trial.Exec(ctx, s.store, "drop schema if exists "+schema+" cascade"); err != nil {
				return err
			}
			if _, err := trial.Command(ctx, s.penstock, "migrate", "--append", "--store", s.store, "--schema", schema); err != nil {
				return err
			}
			return s.checkpoint(ctx)
		}
	}
	if err := fresh("penstock")(ctx); err != nil {
		return err
	}
	if _, _, err := s.replay(ctx, s.bulkDir()); err != nil {
		return err
	}
	sides, err := s.peerSides(ctx, s.bulk.Readings, fresh("plain"))
	if err != nil {
		return err
	}
	ours := s.ours(s.bulkDir(), s.bulk.Readings, fresh("penstock"))
	all := append(sides, ours)
	if err := s.alternate(ctx, all...); err != nil {
		return err
	}
	s.print(fmt.Sprintf("one file of %d readings, append mode on TimescaleDB", s.bulk.Readings), "penstock 1.2 x faster", all...)
	return s.sizes(ctx)
}

// ours is Penstock's side: a folder into tables that fresh makes.
func (s *site) ours(dir string, readings int, fresh func(context.Context) error) *side {
	x := &side{name: "penstock replay, from start to end"}
	x.once = func(ctx context.Context) (float64, error) {
		if err := fresh(ctx); err != nil {
			return 0, err
		}
		return s.measured(x, func() (float64, error) {
			r, seconds, err := s.replay(ctx, dir)
			if err == nil && r.Readings.Stored != readings {
				err = fmt.Errorf("%d readings were stored, not %d", r.Readings.Stored, readings)
			}
			return seconds, err
		})
	}
	return x
}

// peerSides is timescaledb-parallel-copy, as far as it is at hand, with the rows of
// penstock.readings in the file's order and in the key's, into plain.readings,
// which empty makes so.
func (s *site) peerSides(ctx context.Context, readings int, empty func(context.Context) error) (sides []*side, err error) {
	if s.parallelCopy == "" {
		return nil, s.skipped("timescaledb-parallel-copy", "it is not at hand (-parallel-copy)")
	}
	for _, rows := range []struct{ name, order string }{
		{"timescaledb-parallel-copy, in the file's order", "ts, series_id"},
		{"timescaledb-parallel-copy, sorted beforehand", "series_id, ts"},
	} {
		path := filepath.Join(s.dir, "ready-by-"+rows.order[:2])
		if err := s.export(ctx, "select "+readyColumns+" from penstock.readings order by "+rows.order, path, "with (format csv)"); err != nil {
			return nil, err
		}
		args := []string{
			"-connection", s.store, "-schema", "plain", "-table", "readings", "-columns", readyColumns,
			"-file", path, "-workers", strconv.Itoa(s.workers),
		}
		x := &side{name: rows.name}
		x.once = func(ctx context.Context) (float64, error) {
			if err := empty(ctx); err != nil {
				return 0, err
			}
			seconds, err := s.measured(x, func() (float64, error) {
				began := time.Now()
				_, err := trial.Command(ctx, s.parallelCopy, args...)
				return since(began), err
			})
			stored := 0
			if err == nil {
				err = trial.One(ctx, s.store, "select count(*) from plain.readings", &stored)
			}
			if err == nil && stored != readings {
				err = fmt.Errorf("%d readings were stored, not %d", stored, readings)
			}
			return seconds, err
		}
		sides = append(sides, x)
	}
	return sides, nil
}

// export writes what a query gives to a file.
func (s *site) export(ctx context.Context, query, path, format string) error {
	_, err := trial.Command(ctx, s.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", s.store, "-c", fmt.Sprintf(`\copy (%s) to '%s' %s`, query, path, format))
	return err
}

// database makes a database on the server with TimescaleDB the store, until drop
// is called.
func (s *site) database(ctx context.Context) (drop func() error, err error) {
	u, err := url.Parse(s.timescale)
	if err != nil {
		return nil, fmt.Errorf("-timescale: %w", err)
	}
	name := fmt.Sprintf("penstock_ratios_%d", os.Getpid())
	if err := trial.Exec(ctx, s.timescale, "create database "+name); err != nil {
		return nil, err
	}
	u.Path = "/" + name
	s.store = u.String()
	if s.postmaster, err = postmaster(ctx, s.store); err != nil {
		return nil, err
	}
	return func() error {
		return trial.Exec(context.WithoutCancel(ctx), s.timescale, "drop database "+name+" with (force)")
	}, nil
}

// postmaster is the process id of a server, if it is one of this machine's, else 0.
func postmaster(ctx context.Context, url string) (pid int, err error) {
	if err := trial.One(ctx, url, "select split_part(pg_read_file('postmaster.pid'), e'\n', 1)::int4", &pid); err != nil {
		return 0, err
	}
	name, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm")) // there is none of another machine's
	if strings.TrimSpace(string(name)) != "postgres" {
		return 0, nil
	}
	return pid, nil
}

// sizes tells what the readings take of either side's table.
func (s *site) sizes(ctx context.Context) error {
	for _, of := range []struct{ schema, by string }{{"plain", "timescaledb-parallel-copy"}, {"penstock", "penstock"}} {
		var bytes float64
		if err := trial.One(ctx, s.store, "select hypertable_size('"+of.schema+".readings')::float8", &bytes); err != nil {
			return err
		}
		fmt.Fprintf(s.out, "  %.1f bytes a reading in the table that %s filled last\n", bytes/float64(s.bulk.Readings), of.by)
	}
	fmt.Fprintln(s.out)
	return nil
}

// skipped says what is not compared, and why.
func (s *site) skipped(what, why string) error {
	_, err := fmt.Fprintf(s.out, "%s: skipped: %s\n\n", what, why)
	return err
}

package main

import (
	"context"
	"fmt"

	"penstock/bench/trial"
)

// ledger tells what the ledger costs: bytes a row, indexes included, and its
// share of what the server does for a replay.
func ledger(ctx context.Context, s *site) error {
	if err := s.fresh(ctx); err != nil {
		return err
	}
	if err := trial.Exec(ctx, s.store, "create extension pg_stat_statements", "select pg_stat_statements_reset()"); err != nil {
		return fmt.Errorf("the server's own account of its statements (Debian has pg_stat_statements in the server's package): %w", err)
	}
	if _, _, err := s.replay(ctx, s.smallDir()); err != nil {
		return err
	}
	shares, err := s.shares(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "the ledger after %d files of %d readings (aim: at most 250 MB per million rows)\n", s.small.Files, s.small.Readings)
	var rows, heap, indexes float64
	if err := trial.One(ctx, s.store, "select count(*), pg_table_size('penstock.files'), pg_indexes_size('penstock.files') from penstock.files", &rows, &heap, &indexes); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "  %.0f bytes a row, with its receipt (table %.0f, indexes %.0f): %.0f MB per million\n", (heap+indexes)/rows, heap/rows, indexes/rows, (heap+indexes)/rows)
	var path float64
	if err := trial.One(ctx, s.store, "select avg(octet_length(path))::float8 from penstock.files", &path); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "  with paths of %.0f bytes\n", path)
	fmt.Fprintln(s.out, "its share of the server's work on statements, by the server's own account")
	for _, x := range shares {
		fmt.Fprintf(s.out, "  %-45s %6.0f ms %5.1f %%  %6.1f MB of WAL %5.1f %%\n", x.what, x.ms, 100*x.ms/total(shares).ms, x.wal/1e6, 100*x.wal/total(shares).wal)
	}
	fmt.Fprintln(s.out)
	return nil
}

// A share is what one kind of statement took: milliseconds of the server's
// processes, which run beside one another, and bytes of write-ahead log.
type share struct {
	what    string
	ms, wal float64
}

func total(of []share) (sum share) {
	for _, x := range of {
		sum.ms += x.ms
		sum.wal += x.wal
	}
	return sum
}

// shares sorts the statements of Penstock's commits by what they are for. What
// a commit itself takes is in no statement's account, and is paid once a chunk
// for all of it.
func (s *site) shares(ctx context.Context) ([]share, error) {
	kinds := []share{
		{what: "readings: COPY and the conflict path"},
		{what: "ledger: claims, receipts, rejects, look-ups"},
		{what: "the rest: series, recipes, sessions"},
	}
	for i := range kinds {
		err := trial.One(ctx, s.store, fmt.Sprintf(`with statement as (
				select total_exec_time, wal_bytes, case
					when query ~* '\mreadings\M' then 0
					when query ~* '\m(files|receipts|rejects|takeovers|nextval)\M' then 1
					else 2 end as kind
				from pg_stat_statements)
			select coalesce(sum(total_exec_time), 0), coalesce(sum(wal_bytes), 0)::float8 from statement where kind = %d`, i), &kinds[i].ms, &kinds[i].wal)
		if err != nil {
			return nil, err
		}
	}
	return kinds, nil
}

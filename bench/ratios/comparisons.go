package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"penstock/bench/trial"
)

// rerun: a folder of which everything is known already, against walking it,
// stating every file and one select of the ledger.
func rerun(ctx context.Context, s *site) error {
	if err := s.fresh(ctx); err != nil {
		return err
	}
	if _, _, err := s.replay(ctx, s.smallDir()); err != nil {
		return err
	}
	if err := trial.Exec(ctx, s.store, "vacuum analyze"); err != nil {
		return err
	}
	ours := &side{name: "penstock replay, from start to end", once: func(ctx context.Context) (float64, error) {
		r, seconds, err := s.replay(ctx, s.smallDir())
		if err == nil && r.Files.Known != s.small.Files {
			err = fmt.Errorf("%d files were known, not %d", r.Files.Known, s.small.Files)
		}
		return seconds, err
	}}
	theirs := &side{name: "walk, lstat, one select of the ledger", once: func(ctx context.Context) (float64, error) {
		r, seconds, err := s.leastOf(ctx, "walk", s.smallDir())
		if err == nil && r.Known != s.small.Files {
			err = fmt.Errorf("%d files were known, not %d", r.Known, s.small.Files)
		}
		return seconds, err
	}}
	if err := s.alternate(ctx, ours, theirs); err != nil {
		return err
	}
	s.print(fmt.Sprintf("run again on an unchanged folder of %d files", s.small.Files), "at most 1.5 x", ours, theirs)
	return nil
}

// wholeReplay: files to committed readings, against the least program with the
// same promise.
func wholeReplay(ctx context.Context, s *site) error {
	want := s.small.Files * s.small.Readings
	ours := &side{name: "penstock replay, from start to end", once: func(ctx context.Context) (float64, error) {
		if err := s.fresh(ctx); err != nil {
			return 0, err
		}
		r, seconds, err := s.replay(ctx, s.smallDir())
		if err == nil && r.Readings.Stored != want {
			err = fmt.Errorf("%d readings were stored, not %d", r.Readings.Stored, want)
		}
		return seconds, err
	}}
	theirs := &side{name: "claim, binary COPY, commit: bench/floor", once: func(ctx context.Context) (float64, error) {
		if err := s.freshFloor(ctx); err != nil {
			return 0, err
		}
		r, seconds, err := s.leastOf(ctx, "load", s.smallDir())
		if err == nil && r.Readings != want {
			err = fmt.Errorf("%d readings were stored, not %d", r.Readings, want)
		}
		return seconds, err
	}}
	if err := s.alternate(ctx, ours, theirs); err != nil {
		return err
	}
	s.print(fmt.Sprintf("whole replay of %d files of %d readings", s.small.Files, s.small.Readings), "at most 1.2 x", ours, theirs)
	return nil
}

// longFile: one large file into the keyed table, against psql's \copy of the
// same rows, already in table form, into a plain table of the same columns and
// key. The rows come to psql once in the file's order and once in the key's.
func longFile(ctx context.Context, s *site) error {
	if err := s.fresh(ctx); err != nil {
		return err
	}
	if _, _, err := s.replay(ctx, s.longDir()); err != nil {
		return err
	}
	const columns = "ts, value, file_id, series_id, quality"
	if err := trial.Exec(ctx, s.store, "create schema plain", "create table plain.readings (like penstock.readings including all)"); err != nil {
		return err
	}
	copyOf := func(name, order string) (*side, error) {
		path := filepath.Join(s.dir, "rows-by-"+order[:2])
		export := fmt.Sprintf(`\copy (select %s from penstock.readings order by %s) to '%s'`, columns, order, path)
		if _, err := trial.Command(ctx, s.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", s.store, "-c", export); err != nil {
			return nil, err
		}
		load := fmt.Sprintf(`\copy plain.readings (%s) from '%s'`, columns, path)
		return &side{name: name, once: func(ctx context.Context) (float64, error) {
			if err := trial.Exec(ctx, s.store, "truncate plain.readings", "checkpoint"); err != nil {
				return 0, err
			}
			began := time.Now()
			_, err := trial.Command(ctx, s.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", s.store, "-c", load)
			return since(began), err
		}}, nil
	}
	byTime, err := copyOf(`psql \copy of its rows, in the file's order`, "ts, series_id")
	if err != nil {
		return err
	}
	byKey, err := copyOf(`psql \copy of its rows, sorted by key beforehand`, "series_id, ts")
	if err != nil {
		return err
	}
	ours := &side{name: "penstock replay, from start to end", once: func(ctx context.Context) (float64, error) {
		if err := s.fresh(ctx); err != nil {
			return 0, err
		}
		r, seconds, err := s.replay(ctx, s.longDir())
		if err == nil && r.Readings.Stored != s.long.Readings {
			err = fmt.Errorf("%d readings were stored, not %d", r.Readings.Stored, s.long.Readings)
		}
		return seconds, err
	}}
	if err := s.alternate(ctx, byTime, byKey, ours); err != nil {
		return err
	}
	s.print(fmt.Sprintf("one file of %d readings", s.long.Readings), "penstock at least 1.3 x faster", byTime, byKey, ours)
	return nil
}

// fresh gives Penstock an empty schema, migrated, which is no part of what is
// measured.
func (s *site) fresh(ctx context.Context) error {
	if err := trial.Exec(ctx, s.store, "drop schema if exists penstock cascade"); err != nil {
		return err
	}
	if _, err := trial.Command(ctx, s.penstock, "migrate", "--store", s.store); err != nil {
		return err
	}
	return s.checkpoint(ctx)
}

// freshFloor does the same for the floor, which makes its tables also when
// there are no files.
func (s *site) freshFloor(ctx context.Context) error {
	if err := trial.Exec(ctx, s.store, "drop schema if exists floor cascade"); err != nil {
		return err
	}
	empty := filepath.Join(s.dir, "empty")
	if err := os.MkdirAll(empty, 0o755); err != nil {
		return err
	}
	if _, _, err := s.leastOf(ctx, "load", empty); err != nil {
		return err
	}
	return s.checkpoint(ctx)
}

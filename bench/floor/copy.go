package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// copyFiles sends every file below o.dir, of rows in PostgreSQL's binary COPY
// format, to o.table: each in one COPY and one transaction on a connection of its
// own, all at once. What a file holds is read as it is sent.
func copyFiles(ctx context.Context, o options) (r result, err error) {
	paths, err := list(ctx, o.dir)
	if err != nil {
		return r, err
	}
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	stored := make([]int, len(paths))
	for i, path := range paths {
		group.Go(func() (err error) {
			stored[i], err = copyFile(ctx, o, path)
			return err
		})
	}
	err = group.Wait()
	r = result{Files: len(paths), Seconds: time.Since(began).Seconds()}
	for _, n := range stored {
		r.Readings += n
	}
	return r, err
}

func copyFile(ctx context.Context, o options, path string) (stored int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	conn, err := pgx.Connect(ctx, o.store)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	tag, err := conn.PgConn().CopyFrom(ctx, f, "copy "+o.table+" from stdin binary")
	if err != nil {
		return 0, fmt.Errorf("copying %s: %w", path, err)
	}
	return int(tag.RowsAffected()), nil
}

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// The lock is for two that begin at once: "if not exists" is no promise then.
const tables = `
	select pg_advisory_xact_lock(hashtext('floor'));
	create schema if not exists %[1]s;
	create table if not exists %[1]s.ledger (key uuid primary key, sha256 bytea not null, state text not null);
	create table if not exists %[1]s.series (id int4 generated always as identity primary key, name text not null unique);
	create table if not exists %[1]s.readings (ts timestamptz not null, value float8 not null, series_id int4 not null, primary key (series_id, ts))`

// load makes the readings of every file below o.dir visible exactly once:
// workers take chunks of files, and each chunk is one transaction that claims
// ledger rows, copies the readings of the files it got, and commits. It may be
// killed and run again, and run twice at once.
func load(ctx context.Context, o options) (r result, err error) {
	if err := makeTables(ctx, o); err != nil {
		return r, err
	}
	began := time.Now()
	paths, err := list(ctx, o.dir)
	if err != nil {
		return r, err
	}
	group, ctx := errgroup.WithContext(ctx)
	chunks := make(chan []string)
	group.Go(func() error {
		defer close(chunks)
		for chunk := range slices.Chunk(paths, o.chunk) {
			select {
			case chunks <- chunk:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	stored := make([]int, o.workers)
	for i := range o.workers {
		group.Go(func() (err error) {
			stored[i], err = runWorker(ctx, o, chunks)
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

// A worker keeps its connection, its buffers, and the series it has met.
type worker struct {
	conn   *pgx.Conn
	schema string

	buf    []byte
	keys   [][16]byte
	sums   [][]byte
	ends   []int // ends[i] is where the rows of file i end
	rows   []row
	series map[string]int32
	names  []string
	ids    []int32 // ids[i] is the database's of names[i]
}

func runWorker(ctx context.Context, o options, chunks <-chan []string) (stored int, err error) {
	w := worker{schema: o.schema, series: make(map[string]int32), buf: make([]byte, 64<<10)}
	if w.conn, err = pgx.Connect(ctx, o.store); err != nil {
		return 0, err
	}
	defer w.conn.Close(ctx)
	for chunk := range chunks {
		if err := w.decode(chunk); err != nil {
			return stored, err
		}
		if err := w.resolve(ctx); err != nil {
			return stored, err
		}
		n, err := w.commit(ctx)
		if err != nil {
			return stored, err
		}
		stored += n
	}
	return stored, nil
}

func (w *worker) decode(chunk []string) error {
	w.keys, w.sums, w.ends, w.rows = w.keys[:0], w.sums[:0], w.ends[:0], w.rows[:0]
	for _, path := range chunk {
		data, err := slurp(path, &w.buf)
		if err != nil {
			return err
		}
		if w.rows, err = decode(data, w.rows, w.seriesOf); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		key, sum := sha256.Sum256([]byte(path)), sha256.Sum256(data)
		w.keys = append(w.keys, [16]byte(key[:16]))
		w.sums = append(w.sums, sum[:])
		w.ends = append(w.ends, len(w.rows))
	}
	return nil
}

func (w *worker) seriesOf(name []byte) int32 {
	i, ok := w.series[string(name)]
	if !ok {
		i = int32(len(w.names))
		w.names = append(w.names, string(name))
		w.series[w.names[i]] = i
	}
	return i
}

// resolve learns the ids of the series that this chunk has brought, in a
// transaction of its own, as no reading depends on it being in the same.
func (w *worker) resolve(ctx context.Context) error {
	fresh := slices.Sorted(slices.Values(w.names[len(w.ids):]))
	if len(fresh) == 0 {
		return nil
	}
	if _, err := w.conn.Exec(ctx, w.sql("insert into %s.series (name) select unnest($1::text[]) on conflict do nothing"), fresh); err != nil {
		return fmt.Errorf("naming series: %w", err)
	}
	w.ids = append(w.ids, make([]int32, len(fresh))...)
	rows, _ := w.conn.Query(ctx, w.sql("select id, name from %s.series where name = any($1)"), fresh) // its error is that of ForEachRow
	var id int32
	var name string
	_, err := pgx.ForEachRow(rows, []any{&id, &name}, func() error {
		w.ids[w.series[name]] = id
		return nil
	})
	return err
}

// commit claims, copies and commits. It returns the number of readings stored.
func (w *worker) commit(ctx context.Context) (int, error) {
	tx, err := w.conn.Begin(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback(ctx) }() // does nothing after a commit
	rows, _ := tx.Query(ctx, w.sql("insert into %s.ledger select unnest($1::uuid[]), unnest($2::bytea[]), 'loaded' on conflict do nothing returning key"), w.keys, w.sums)
	claimed, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil {
		return 0, fmt.Errorf("claiming: %w", err)
	}
	data := w.encode(claimed)
	tag, err := w.conn.PgConn().CopyFrom(ctx, bytes.NewReader(data), w.sql("copy %s.readings (ts, value, series_id) from stdin binary"))
	if err != nil {
		return 0, fmt.Errorf("copying readings: %w", err)
	}
	return int(tag.RowsAffected()), tx.Commit(ctx)
}

// encode writes the readings of the claimed files in PostgreSQL's binary COPY
// format (documentation of COPY, "Binary Format").
func (w *worker) encode(claimed [][16]byte) []byte {
	mine := make(map[[16]byte]bool, len(claimed))
	for _, key := range claimed {
		mine[key] = true
	}
	b := w.buf[:0]
	b = append(b, "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	begin := 0
	for i, end := range w.ends {
		if mine[w.keys[i]] {
			for _, r := range w.rows[begin:end] {
				b = append(b, 0, 3, 0, 0, 0, 8)
				b = binary.BigEndian.AppendUint64(b, uint64(r.ts))
				b = append(b, 0, 0, 0, 8)
				b = binary.BigEndian.AppendUint64(b, math.Float64bits(r.value))
				b = append(b, 0, 0, 0, 4)
				b = binary.BigEndian.AppendUint32(b, uint32(w.ids[r.series]))
			}
		}
		begin = end
	}
	b = append(b, 0xff, 0xff)
	w.buf = b[:cap(b)]
	return b
}

func (w *worker) sql(format string) string { return fmt.Sprintf(format, w.schema) }

func makeTables(ctx context.Context, o options) error {
	conn, err := pgx.Connect(ctx, o.store)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, strings.ReplaceAll(tables, "%[1]s", o.schema))
	return err
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// The upsert is what one writes by hand for readings some of which may be there:
// each session copies a batch into a table of its own and upserts it from there.
// No two batches share a series, so that no session waits for another's rows, and
// each is in the order of the key.
const (
	stagingSQL = `create temp table staging (series_id int4 not null, ts timestamptz not null, value float8 not null, file_id int8 not null) on commit delete rows`
	upsertSQL  = `insert into penstock.readings (series_id, ts, value, file_id) select series_id, ts, value, file_id from staging
		on conflict (series_id, ts) do update set value = excluded.value, file_id = excluded.file_id`
)

// export takes what files brought that are not of the stock, as batches of rows in
// PostgreSQL's binary COPY format.
func (t *stock) export(ctx context.Context, at *site) (batches [][]byte, err error) {
	conn, err := pgx.Connect(ctx, at.store)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	const sent = "from penstock.readings where file_id in (select id from penstock.files where run > (select min(run) from penstock.files))"
	rows, _ := conn.Query(ctx, "select series_id, count(*) "+sent+" group by series_id order by series_id") // its error is that of ForEachRow
	var id, n, inBatch int
	ends := []int{0} // the last series of each batch
	last := 0
	_, err = pgx.ForEachRow(rows, []any{&id, &n}, func() error {
		if inBatch += n; inBatch > upsertBatch {
			ends = append(ends, last)
			inBatch = n
		}
		last = id
		return nil
	})
	if err != nil {
		return nil, err
	}
	total := int64(0)
	for i, end := range append(ends[1:], last) {
		var batch bytes.Buffer
		tag, err := conn.PgConn().CopyTo(ctx, &batch, fmt.Sprintf("copy (select series_id, ts, value, file_id %s and series_id > %d and series_id <= %d order by series_id, ts) to stdout binary", sent, ends[i], end))
		if err != nil {
			return nil, err
		}
		total += tag.RowsAffected()
		batches = append(batches, batch.Bytes())
	}
	if total != int64(t.sent()) {
		return nil, fmt.Errorf("of %d readings that were sent %d stand", t.sent(), total)
	}
	return batches, nil
}

// upsert upserts the batches, with as many sessions as Penstock has workers. That
// they connect and make their tables is not timed.
func (s *site) upsert(ctx context.Context, batches [][]byte) (seconds float64, err error) {
	sessions := make([]*pgx.Conn, s.workers)
	for i := range sessions {
		if sessions[i], err = pgx.Connect(ctx, s.store); err != nil {
			return 0, err
		}
		defer sessions[i].Close(ctx)
		if _, err := sessions[i].Exec(ctx, stagingSQL); err != nil {
			return 0, err
		}
	}
	todo := make(chan []byte, len(batches))
	for _, b := range batches {
		todo <- b
	}
	close(todo)
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for _, session := range sessions {
		group.Go(func() error {
			for b := range todo {
				if err := upsertBatchOf(ctx, session, b); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = group.Wait()
	return since(began), err
}

func upsertBatchOf(ctx context.Context, session *pgx.Conn, batch []byte) error {
	return pgx.BeginFunc(ctx, session, func(tx pgx.Tx) error {
		if _, err := session.PgConn().CopyFrom(ctx, bytes.NewReader(batch), "copy staging from stdin binary"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, upsertSQL)
		return err
	})
}

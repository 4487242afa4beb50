package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"penstock/ingest"
)

// A file that is loading in parts has a row in the ledger, one in loadings, and
// one in parts for each part that is committed. Its readings stand in the table,
// and nobody sees them; where another file has one at the same instant its own
// wait beside. So all that its parts do can be taken back by taking out what is
// its own, and what anybody sees changes in the transaction that finishes it.

var _ ingest.PartCommitter = (*committer)(nil)

var (
	// The lock lets other parts through, and keeps out whoever ends the loading.
	partLock = statement{"part_lock", `select state::text, run, chunk from files where id = $1 for share`}
	// Where another process commits the same part, this waits until that is done.
	partAdd      = statement{"part_add", `insert into parts (file_id, n, repeated) values ($1, $2, 0) on conflict do nothing returning n`}
	partRepeated = statement{"part_repeated", `update parts set repeated = $3 where file_id = $1 and n = $2`}
)

// forgetPartsSQL is for files that are not loading any more.
const forgetPartsSQL = `with a as (delete from loadings where file_id = any($1::int8[])), b as (delete from parts where file_id = any($1::int8[]))
	delete from waiting where file_id = any($1::int8[])`

// errDone says that a part is committed already, or all that was loading.
var errDone = errors.New("it is committed already")

// claimOf numbers the claim by which a file version is loading. Parts of another
// are none of it: its readings may be other ones, or cut otherwise.
func claimOf(run, chunk int32) int64 { return int64(run)<<32 | int64(chunk) }

// CommitPart implements ingest.PartCommitter.
func (c *committer) CommitPart(ctx context.Context, p ingest.Part, b *ingest.Batch) (refused string, err error) {
	defer c.giveBack()
	if t := c.sink.store.teller; t != nil {
		defer t.commits(c)()
	}
	c.begin()
	err = c.retrying(ctx, func() error { return c.tryPart(ctx, p, b) })
	var fault *fault
	switch {
	case errors.Is(err, errDone):
		return "", nil
	case errors.As(err, &fault):
		return fault.reason, nil
	}
	return "", err
}

// tryPart is one attempt at the transaction of a part.
func (c *committer) tryPart(ctx context.Context, p ingest.Part, b *ingest.Batch) error {
	if err := c.connect(ctx); err != nil {
		return err
	}
	if err := c.expectMeetings(ctx, p.Late); err != nil {
		return err
	}
	s := &b.Spans[0]
	c.take = append(c.take[:0], true)
	if err := c.resolve(ctx, b, c.take); err != nil {
		return err
	}
	if s.State != ingest.Loaded { // another file has given a series another unit since
		return &fault{s.Reason}
	}
	if err := c.makeChunks(ctx, b); err != nil {
		return err
	}
	err := c.transactPart(ctx, p, b)
	if err != nil {
		c.rollback(ctx)
	}
	return err
}

func (c *committer) transactPart(ctx context.Context, p ingest.Part, b *ingest.Batch) error {
	s := &b.Spans[0]
	if err := c.beginPart(ctx, p); err != nil {
		return err
	}
	uncount(s)
	c.files = append(c.files[:0], p.Of.FileID)
	c.order.Sort(b, c.take, c.table.bucket, c.table.places, nil)
	repeated, err := c.storePart(ctx, p, b)
	if err != nil {
		return err
	}
	if repeated += s.Receipt.Cells.Repeated; repeated > 0 {
		params := [][]byte{int8Param(p.Of.FileID), int4Param(int32(p.N)), int8Param(repeated)}
		if err := c.rows(ctx, partRepeated, params, nil); err != nil {
			return fmt.Errorf("recording a part: %w", err)
		}
	}
	step("parting")
	if err := c.commit(ctx); err != nil {
		return err
	}
	step("parted")
	return nil
}

// beginPart begins the transaction and takes the part.
func (c *committer) beginPart(ctx context.Context, p ingest.Part) error {
	if err := c.prepare(ctx, partLock, partAdd); err != nil {
		return fmt.Errorf("taking a part: %w", err)
	}
	id := int8Param(p.Of.FileID)
	batch := &pgconn.Batch{}
	batch.ExecParams("begin", nil, nil, nil, nil)
	batch.ExecPrepared(partLock.name, [][]byte{id}, binaryFormat, binaryFormat)
	batch.ExecPrepared(partAdd.name, [][]byte{id, int4Param(int32(p.N))}, binaryFormat, binaryFormat)
	results := c.conn.ExecBatch(ctx, batch)
	results.NextResult()
	var state ingest.State
	claim, taken := int64(0), false
	if results.NextResult() {
		eachRow(results.ResultReader(), func(r *record) { state, claim = ingest.State(r.text()), claimOf(r.int4(), r.int4()) })
	}
	if results.NextResult() {
		eachRow(results.ResultReader(), func(*record) { taken = true })
	}
	switch err := results.Close(); {
	case err != nil:
		return fmt.Errorf("taking a part: %w", err)
	case state == ingest.Loading && claim == p.Of.Claim && taken:
		return nil
	case state == ingest.Loading && claim != p.Of.Claim, state == ingest.Due, state == ingest.Undone:
		return errNotLoading
	}
	return errDone
}

// errNotLoading says that a person, or another process, gave up what was loading.
var errNotLoading = &gone{}

// gone is ErrChanged in the words of the store.
type gone struct{}

func (*gone) Error() string {
	return "it is not loading any more: it was undone, or is loaded otherwise"
}
func (*gone) Unwrap() error { return ingest.ErrChanged }

// storePart stores the ordered readings, and returns how many that earlier parts
// had they have taken the place of.
func (c *committer) storePart(ctx context.Context, p ingest.Part, b *ingest.Batch) (repeated int64, err error) {
	if len(c.order.Rows) == 0 {
		return 0, nil
	}
	all := picked{c.order.Rows, c.order.Spans}
	switch {
	case !p.Late && !c.staged:
		return 0, c.copyReadings(ctx, b, all)
	case !p.Late:
		return 0, c.storeOrWait(ctx, b)
	}
	if err := c.copyRows(ctx, b, all, "pg_temp.staging"); err != nil {
		return 0, err
	}
	if c.sink.store.layout.Append {
		x := c.extentOf(b, &b.Spans[0])
		if err := c.countRows(ctx, partOutSQL, x.params(), &repeated); err != nil {
			return 0, err
		}
		return repeated, c.copyReadings(ctx, b, all)
	}
	if _, err := c.conn.Exec(ctx, nearSQL).ReadAll(); err != nil {
		return 0, fmt.Errorf("storing readings of a file that is loading: %w", err)
	}
	var own, freed, met, again, added int64
	for _, step := range []struct {
		sql    string
		counts []*int64
	}{{partOwnSQL, []*int64{&own}}, {partFreeSQL, []*int64{&freed}}, {partMeetSQL, []*int64{&met, &again}}, {partRestSQL, []*int64{&added}}} {
		if err := c.countRows(ctx, step.sql, nil, step.counts...); err != nil {
			return 0, err
		}
	}
	if met > 0 {
		c.sink.meetings.met(false)
	}
	if own+met+added != int64(len(c.order.Rows)) {
		return 0, errRaced
	}
	return own + freed + again, nil
}

// storeOrWait stores the ordered readings that meet none of another file. The rest
// waits, without a look at which of them do.
func (c *committer) storeOrWait(ctx context.Context, b *ingest.Batch) error {
	if err := c.lookAtShares(ctx, b); err != nil {
		return err
	}
	c.divide(false)
	if len(c.beyond.rows) > 0 {
		if err := c.copyReadings(ctx, b, c.beyond); err != nil {
			return err
		}
	}
	if len(c.met.rows) == 0 {
		return nil
	}
	c.sink.meetings.met(false)
	return c.copyRows(ctx, b, c.met, "waiting")
}

// nearSQL has the planner look up in the key what staged readings meet, rather than
// read all of a table that may be any number of times as large: they come in the
// order of the key, so that what they meet lies side by side. By default it takes
// each for a read from disk.
const nearSQL = "set local random_page_cost = 0.1; set local enable_mergejoin = off"

const (
	// partOutSQL takes out what earlier parts have at the same instants, in append
	// mode. The constants are for TimescaleDB: see takeOutReachSQL.
	partOutSQL = `with gone as (delete from readings r using staging s where r.series_id = s.series_id and r.ts = s.ts and r.file_id = s.file_id
			and r.series_id = any($1::int4[]) and r.ts between $2::timestamptz and $3::timestamptz returning 1)
		select count(*) from gone`
	// partOwnSQL puts the staged readings in the place of those of earlier parts,
	// by an upsert for the reason of admitSQL. Where one has been put aside since the
	// statement began, another file's is in its place: that stays.
	partOwnSQL = `with own as (insert into readings as o (series_id, ts, value, file_id, quality)
			select s.series_id, s.ts, s.value, s.file_id, s.quality from staging s
				join readings r on r.series_id = s.series_id and r.ts = s.ts and r.file_id = s.file_id
			order by s.series_id, s.ts
			on conflict (series_id, ts) do update set value = excluded.value, quality = excluded.quality
				where o.file_id = excluded.file_id returning 1)
		select count(*) from own`
	// partFreeSQL takes out those of earlier parts that wait for nothing any more.
	partFreeSQL = `with free as (delete from waiting w using staging s
			where w.file_id = s.file_id and w.series_id = s.series_id and w.ts = s.ts
				and not exists (select from readings r where r.series_id = s.series_id and r.ts = s.ts and r.file_id <> s.file_id) returning 1)
		select count(*) from free`
	// partMeetSQL has those wait that meet another file's.
	partMeetSQL = `with met as (insert into waiting as w (file_id, series_id, ts, value, quality)
			select s.file_id, s.series_id, s.ts, s.value, s.quality from staging s
				join readings r on r.series_id = s.series_id and r.ts = s.ts and r.file_id <> s.file_id
			on conflict (file_id, series_id, ts) do update set value = excluded.value, quality = excluded.quality
			returning w.xmax <> 0 as again)
		select count(*), count(*) filter (where again) from met`
	// partRestSQL stores the others.
	partRestSQL = `with added as (insert into readings (series_id, ts, value, file_id, quality)
			select s.series_id, s.ts, s.value, s.file_id, s.quality from staging s
			where not exists (select from readings r where r.series_id = s.series_id and r.ts = s.ts)
			order by s.series_id, s.ts on conflict do nothing returning 1)
		select count(*) from added`
	// putAsideSQL has those wait of files that are loading which the staged readings
	// of others meet. Of a file, a reading stands in the table or waits. %s locks
	// them, unless admitSQL has.
	putAsideSQL = `with met as materialized (
			select r.file_id, r.series_id, r.ts, r.value, r.quality from staging s join readings r on r.series_id = s.series_id and r.ts = s.ts
			where r.file_id = any($1::int8[])
			order by r.series_id, r.ts %s),
		aside as (insert into waiting (file_id, series_id, ts, value, quality) select * from met),
		gone as (delete from readings r using met m where r.series_id = m.series_id and r.ts = m.ts and r.file_id = m.file_id
			and r.series_id = any($2::int4[]) and r.ts between $3::timestamptz and $4::timestamptz returning 1)
		select count(*) from gone`
)

// putAside makes room for the staged readings where what stands is of a file that
// is loading.
func (c *committer) putAside(ctx context.Context) error {
	// Until this transaction ends, none of these is finished: what waits of it was
	// counted then.
	loading := newColumns(oidInt8)
	err := execute(ctx, c.conn, `select id from files where id = any(array(select file_id from loadings)) and state = 'loading' order by id for share`,
		nil, func(r *record) { loading[0].int8(r.int8()) })
	if err == nil {
		var met extent
		err = execute(ctx, c.conn, "select array(select distinct series_id from staging order by 1), min(ts), max(ts) from staging", nil, func(r *record) {
			met.series, met.first, met.last = readInt4s(r.raw()), r.time(), r.time()
		})
		if err == nil {
			lock := "for update of r"
			if c.compressed {
				lock = ""
			}
			err = execute(ctx, c.conn, fmt.Sprintf(putAsideSQL, lock), append(loading.params(), met.params()...), nil)
		}
	}
	if err != nil {
		return fmt.Errorf("putting aside what files hold that are loading: %w", err)
	}
	return nil
}

// countRows runs a statement that returns one row of counts.
func (c *committer) countRows(ctx context.Context, sql string, params [][]byte, counts ...*int64) error {
	err := execute(ctx, c.conn, sql, params, func(r *record) {
		for _, n := range counts {
			*n = r.int8()
		}
	})
	if err != nil {
		return fmt.Errorf("storing readings of a file that is loading: %w", err)
	}
	return nil
}

package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"penstock/ingest"
)

// A file that grew is carried on: its row in the ledger becomes that of the next
// generation, and what it gained is added to its readings, receipt and rejects.
// That is what loading all of it anew would come to, as long as the version
// holds all of its readings and nothing else hangs on it. Where that is not so
// the outcome is ingest.Whole.

// growthLook reads what carries on the newest versions of some paths.
const growthLook = `select c.n, g.at, r.lines, f.sha256, g.hashed, g."window", g.whole, p.name, f.pack_offset
	from unnest($1::uuid[], $2::int4[]) as c(key, n) cross join lateral (
		select id, sha256, pack, pack_offset from files where key = c.key order by generation desc limit 1) f
	join growths g on g.file_id = f.id join receipts r on r.file_id = f.id left join packs p on p.id = f.pack`

// lookGrowths adds to the standings of files that may have grown by what they are
// carried on.
func (s *Sink) lookGrowths(ctx context.Context, conn *pgconn.PgConn, files []ingest.File, standings []ingest.Standing, may []int) error {
	p := newColumns(oidUUID, oidInt4)
	for _, i := range may {
		key := FileKey(s.options.Source, files[i].Path)
		p[0].bytes(key[:])
		p[1].int4(int32(i))
	}
	r := conn.ExecParams(ctx, growthLook, p.params(), nil, binaryFormat, binaryFormat)
	eachRow(r, func(r *record) {
		g := &ingest.Growth{}
		standings[r.int4()].Growth = g
		g.At, g.Lines = r.int8(), r.int8()
		copy(g.Sum[:], r.raw())
		g.Hashed = slices.Clone(r.raw())
		copy(g.Window[:], r.raw())
		g.Whole = r.time()
		if !r.null() {
			g.Place.Pack, g.Place.Offset = r.text(), r.int8()
		}
	})
	_, err := r.Close()
	return err
}

// errUnlike says that storing what files have gained is not what loading them
// whole would come to.
var errUnlike = errors.New("what it gained is not all that would change")

// carryOnLook locks the newest versions of some paths and reads what says whether
// they can be carried on.
const carryOnLook = `with newest as materialized (
		select c.n, (select id from files where key = c.key order by generation desc limit 1) as id
		from unnest($1::uuid[]) with ordinality as c(key, n))
	select n.n, f.id, f.generation, f.sha256, f.rank_time, f.recipe, f.run, f.chunk, f.fetched, r.last_ts,
		coalesce(g.at, 0), (select count(*) from rejects x where x.file_id = f.id), f.state = 'loaded' and f.rank = $2 and r.unchanged + r.outranked + r.withheld = 0
			and not exists (select from takeovers t where t.from_file = f.id)
			and not exists (select from held h where h.file_id = f.id)
			and not exists (select from files d where d.content = f.content and d.state = 'duplicate')
	from newest n join files f on f.id = n.id left join receipts r on r.file_id = f.id left join growths g on g.file_id = f.id
	order by f.id for update of f`

const carryOnFile = `update files set generation = generation + 1, sha256 = $2, content = $3, size = $4, modified = $5, modified_step = $6,
	trusted = $7, rank_time = $8, run = $9, chunk = $10, reason = coalesce($11, reason), pack = $12, pack_offset = $13, fetched = $14, ` + changedNow + `,
	n_lines = n_lines + c[1], n_lines_preamble = coalesce(n_lines_preamble, 0) + c[2], n_lines_header = n_lines_header + c[3],
	n_lines_blank = coalesce(n_lines_blank, 0) + c[4], n_lines_comment = coalesce(n_lines_comment, 0) + c[5], n_lines_footer = coalesce(n_lines_footer, 0) + c[6], n_lines_message = coalesce(n_lines_message, 0) + c[7],
	n_lines_data = n_lines_data + c[8], n_lines_rejected = coalesce(n_lines_rejected, 0) + c[9], n_cells = n_cells + c[10], n_missing = coalesce(n_missing, 0) + c[11], n_rejected = coalesce(n_rejected, 0) + c[12],
	n_withheld = coalesce(n_withheld, 0) + c[13], n_repeated = coalesce(n_repeated, 0) + c[14], n_stored = n_stored + c[15], n_replaced = coalesce(n_replaced, 0) + c[16], n_unchanged = coalesce(n_unchanged, 0) + c[17],
	n_outranked = coalesce(n_outranked, 0) + c[18], span_first = least(span_first, $16), span_last = greatest(span_last, $17),
	series_ids = array(select distinct x from unnest(series_ids || $18::int4[]) x order by x)
	from (select $15::int8[] as c) as added where id = $1`

var (
	growthsKeep = statement{"growths_keep", `insert into growths (file_id, at, hashed, "window", whole) select * from unnest($1::int8[], $2::int8[], $3::bytea[], $4::bytea[], $5::timestamptz[])
	on conflict (file_id) do update set at = excluded.at, hashed = excluded.hashed, "window" = excluded."window", whole = excluded.whole`}
	// Of the generations of a path, only the newest is carried on.
	growthsForget = statement{"growths_forget", `delete from growths where file_id = any($1::int8[])`}
)

// A carried is a file version with what its file has gained.
type carried struct {
	span       int
	key        [16]byte
	id         int64
	generation int32
	sum        ingest.Digest
	rankTime   int64
	recipe     int32
	run, chunk int32
	fetched    int64
	last       int64 // the last instant of its readings; firstInstant where it has none
	at         int64
	rejects    int
	pack       int32 // where what it gained is archived; 0 for nowhere
	sound      bool  // nothing hangs on it that what it gained would change
}

// carryOn commits the spans that hold what files have gained, in one transaction;
// only where some readings meet others is it divided.
func (c *committer) carryOn(ctx context.Context, b *ingest.Batch, spans []int) error {
	if len(spans) == 0 {
		return nil
	}
	c.chunk = c.sink.chunk.Add(1)
	err := c.retrying(ctx, func() error {
		err := c.tryCarryOn(ctx, b, spans)
		switch judge(err) {
		case tryStaged, tryUpsert, refuse:
			return errUnlike
		}
		return err
	})
	switch {
	case !errors.Is(err, errUnlike):
		return err
	case len(spans) == 1:
		c.takeWhole(b, spans[0])
		return nil
	}
	half := len(spans) / 2
	if err := c.carryOn(ctx, b, spans[:half]); err != nil {
		return err
	}
	return c.carryOn(ctx, b, spans[half:])
}

func (c *committer) takeWhole(b *ingest.Batch, span int) {
	c.outcomes[span] = ingest.Outcome{File: b.Spans[span].File, State: ingest.Whole}
}

func (c *committer) tryCarryOn(ctx context.Context, b *ingest.Batch, spans []int) error {
	if err := c.readyToCarryOn(ctx, b, spans); err != nil {
		return err
	}
	err := c.transactCarryOn(ctx, b, spans)
	if err != nil {
		c.rollback(ctx)
	}
	return err
}

// readyToCarryOn does what makeReady does. Files that it would hold, or of which
// it would withhold channels, are taken whole.
func (c *committer) readyToCarryOn(ctx context.Context, b *ingest.Batch, spans []int) error {
	if err := c.connect(ctx); err != nil {
		return err
	}
	c.take = slices.Grow(c.take[:0], len(b.Spans))[:len(b.Spans)]
	clear(c.take)
	for _, i := range spans {
		c.take[i] = b.Spans[i].State == ingest.Loaded && !waits(&b.Spans[i])
	}
	if err := c.sink.learnRecipes(ctx, b, spans); err != nil {
		return err
	}
	if err := c.holdChanges(ctx, b, c.take); err != nil {
		return err
	}
	for _, i := range spans {
		c.take[i] = c.take[i] && b.Spans[i].Receipt.Cells.Withheld == 0
	}
	if err := c.resolve(ctx, b, c.take); err != nil {
		return err
	}
	return c.recordFeeds(ctx, b, c.take)
}

func (c *committer) transactCarryOn(ctx context.Context, b *ingest.Batch, spans []int) error {
	versions, err := c.lookToCarryOn(ctx, b, spans)
	if err != nil {
		return fmt.Errorf("looking up files that have grown: %w", err)
	}
	c.files = slices.Grow(c.files[:0], len(b.Spans))[:len(b.Spans)]
	clear(c.files)
	var mine []carried
	for i := range versions {
		v := &versions[i]
		done, err := c.decideCarried(ctx, b, v)
		if err != nil {
			return err
		}
		if c.take[v.span] = !done; !done {
			uncount(&b.Spans[v.span])
			c.files[v.span] = v.id
			mine = append(mine, *v)
		}
	}
	c.order.Sort(b, c.take, c.table.bucket, c.table.places, nil)
	if len(c.order.Rows) > 0 {
		if err := c.copyReadings(ctx, b, picked{c.order.Rows, c.order.Spans}); err != nil {
			return err
		}
	}
	countStored(b, c.order.Spans)
	if err := c.writeCarried(ctx, b, mine); err != nil {
		return fmt.Errorf("carrying on files that have grown: %w", err)
	}
	if err := c.commit(ctx); err != nil {
		return err
	}
	n := c.newsOf(b)
	for i := range versions {
		v := &versions[i]
		c.addArrival(&n, b, v.span)
		if v.sum == b.Spans[v.span].Sum { // committed by an earlier try
			n.unsure = append(n.unsure, v.id)
		}
	}
	c.tellOf(n, len(mine))
	return nil
}

// lookToCarryOn begins the transaction and reads the newest versions of the
// spans' paths, one for each span, also of a path that has none.
func (c *committer) lookToCarryOn(ctx context.Context, b *ingest.Batch, spans []int) ([]carried, error) {
	keys := newColumns(oidUUID)
	versions := make([]carried, len(spans))
	for n, i := range spans {
		s := &b.Spans[i]
		versions[n] = carried{span: i, key: FileKey(c.sink.options.Source, s.File.Path)}
		if s.Place != (ingest.Place{}) {
			var err error
			if versions[n].pack, err = c.sink.store.packID(ctx, s.Place.Pack); err != nil {
				return nil, err
			}
		}
		keys[0].bytes(versions[n].key[:])
	}
	batch := &pgconn.Batch{}
	batch.ExecParams("begin", nil, nil, nil, nil)
	batch.ExecParams(carryOnLook, append(keys.params(), int2Param(c.sink.options.Rank)), []uint32{0, oidInt2}, binaryFormat, binaryFormat)
	results := c.conn.ExecBatch(ctx, batch)
	results.NextResult()
	if results.NextResult() {
		eachRow(results.ResultReader(), func(r *record) {
			v := &versions[r.int8()-1]
			v.id, v.generation = r.int8(), r.int4()
			copy(v.sum[:], r.raw())
			v.rankTime = r.time()
			if !r.null() {
				v.recipe = r.int4()
			}
			v.run, v.chunk, v.fetched, v.last = r.int4(), r.int4(), r.time(), firstInstant
			if !r.null() {
				v.last = r.time()
			}
			v.at, v.rejects = r.int8(), int(r.int8())
			v.sound = !r.null() && r.bool()
		})
	}
	return versions, results.Close()
}

// decideCarried settles a span against the newest version of its path. done says
// that there is nothing to store, and the outcome is set.
func (c *committer) decideCarried(ctx context.Context, b *ingest.Batch, v *carried) (done bool, err error) {
	s := &b.Spans[v.span]
	switch of := &s.Gained.Of; {
	case v.id == 0 || !c.take[v.span]:
	case v.sum == s.Sum && v.run == c.sink.run && v.chunk == c.chunk:
		// An earlier try, whose outcome was lost. The span has been counted in it.
		c.outcomes[v.span] = ingest.Outcome{File: s.File, State: ingest.Loaded, FileID: v.id, Generation: v.generation, Receipt: s.Receipt, Rejects: v.rejects}
		return true, nil
	case v.sum == s.Sum:
		c.outcomes[v.span] = ingest.Outcome{File: s.File, State: ingest.Known, Standing: ingest.Loaded, FileID: v.id, Generation: v.generation, Rejects: v.rejects}
		return true, nil
	case v.sum != of.Sum || v.at != of.At || !v.sound || s.Fetched < v.fetched:
	case c.sink.store.layout.Append && c.before(b, s, v.last):
		// No key would tell that the file repeats a reading.
	default:
		recipe, err := c.sink.recipeID(ctx, s.Recipe)
		if err != nil {
			return false, err
		}
		if recipe == v.recipe {
			return false, nil
		}
	}
	c.takeWhole(b, v.span)
	return true, nil
}

// before reports whether some reading of the span is not later than an instant.
func (c *committer) before(b *ingest.Batch, s *ingest.Span, last int64) bool {
	return slices.ContainsFunc(b.Time[s.Begin:s.End], func(at int64) bool { return at <= last })
}

// writeCarried brings the ledger up to what was stored, and tells the outcomes.
func (c *committer) writeCarried(ctx context.Context, b *ingest.Batch, versions []carried) error {
	batch := &pgconn.Batch{}
	grown := newColumns(oidInt8, oidInt8, oidBytea, oidBytea, oidTimestamptz)
	c.rejects.start(0)
	for i := range versions {
		v := &versions[i]
		s := &b.Spans[v.span]
		if err := s.Receipt.Balance(); err != nil {
			return fmt.Errorf("this is a bug in Penstock, please report it: %s: %w", ingest.EscapePath(s.File.Path), err)
		}
		c.addCarried(batch, b, v)
		addRejects(&c.rejects, v.id, s.Rejects)
		addGrowth(grown, v.id, s.Growth)
		c.outcomes[v.span] = ingest.Outcome{File: s.File, State: ingest.Loaded, FileID: v.id, Generation: v.generation + 1, Receipt: s.Receipt, Rejects: v.rejects + len(s.Rejects)}
	}
	if grown[0].n > 0 {
		if err := c.prepare(ctx, growthsKeep); err != nil {
			return err
		}
		batch.ExecPrepared(growthsKeep.name, grown.params(), binaryFormat, binaryFormat)
	}
	if len(versions) == 0 {
		return nil
	}
	if _, err := c.conn.ExecBatch(ctx, batch).ReadAll(); err != nil {
		return err
	}
	if err := c.rejects.queue(&c.copies, "rejects"); err != nil {
		return err
	}
	return c.copies.send(ctx, c.conn)
}

// addCarried adds the statement that brings a version's row up to what its file has
// gained.
func (c *committer) addCarried(batch *pgconn.Batch, b *ingest.Batch, v *carried) {
	s := &b.Spans[v.span]
	content := contentKey(s)
	var modified, step []byte
	if s.File.Precision != ingest.Unknown {
		modified, step = timeParam(s.File.Modified), int4Param(stepOf(s.File.Precision))
	}
	var reason []byte
	if text := remark(s); text != "" {
		reason = []byte(plain(text))
	}
	var pack, offset []byte
	if v.pack != 0 {
		pack, offset = int4Param(v.pack), int8Param(s.Place.Offset)
	}
	var numbers, series column
	numbers.reset(oidInt8)
	for _, n := range counts(&s.Receipt) {
		numbers.int8(n)
	}
	x := c.extentOf(b, s)
	series.reset(oidInt4)
	for _, id := range x.series {
		series.int4(id)
	}
	var first, last []byte
	if len(x.series) > 0 {
		first, last = timeParam(x.first), timeParam(x.last)
	}
	batch.ExecParams(carryOnFile, [][]byte{int8Param(v.id), s.Sum[:], content[:], int8Param(s.File.Size), modified, step,
		boolParam(trusted(s.File, s.Fetched)), timeParam(max(ownTime(s), v.rankTime)), int4Param(c.sink.run), int4Param(c.chunk), reason, pack, offset, timeParam(s.Fetched),
		numbers.param(), first, last, series.param()},
		[]uint32{oidInt8, oidBytea, oidUUID, oidInt8, oidTimestamptz, oidInt4, oidBool, oidTimestamptz, oidInt4, oidInt4, oidText, oidInt4, oidInt8, oidTimestamptz, 0, oidTimestamptz, oidTimestamptz, 0},
		binaryFormat, binaryFormat)
}

// addGrowth adds a row of growths.
func addGrowth(to columns, id int64, g *ingest.Growth) {
	if g == nil {
		return
	}
	to[0].int8(id)
	to[1].int8(g.At)
	to[2].bytes(g.Hashed)
	to[3].bytes(g.Window[:])
	to[4].time(g.Whole)
}

package store

import (
	"context"
	"fmt"
	"slices"

	"penstock/ingest"
)

// A file may hold readings of an hour that clocks showed twice and nothing that
// tells in which pass they were recorded. Where the order of arrival is to decide,
// it does so here: they are of the first pass, unless another file has a reading
// of the series there already. What was decided of a path is kept for good, so
// that a version of it that is loaded again, or undone and taken up later, or
// succeeded by another, has its readings where they were: those of the other
// pass were put beside them.

// passesLockSQL lets one transaction at a time decide, and none store a file of
// such an hour meanwhile. It is taken after the rows that the ledger has already, and
// before its new ones and any of the readings, by all alike.
const passesLockSQL = `select pg_advisory_xact_lock%s(hashtextextended('penstock.passes.' || current_schema(), 0))`

// passesKnownSQL reads what was decided of some paths, that of the version of
// ours last, and else that of the latest.
const passesKnownSQL = `select f.key, p.pass from unnest($1::uuid[], $2::int8[]) as c(key, id)
	join files f on f.key = c.key join passes p on p.file_id = f.id order by f.id = c.id, f.generation`

// passesHeldSQL finds which files of some have readings, in the first pass, where
// another path has one.
const passesHeldSQL = `select distinct c.n from unnest($1::int4[], $2::int4[], $3::timestamptz[], $4::uuid[]) as c(n, series_id, ts, key)
	where exists (select from readings r join files f on f.id = r.file_id where r.series_id = c.series_id and r.ts = c.ts and f.key <> c.key)`

const passesKeepSQL = `insert into passes (file_id, pass) select * from unnest($1::int8[], $2::int2[])
	on conflict (file_id) do update set pass = excluded.pass`

// decidePasses puts the undecided readings of the claimed files where they belong,
// within the transaction and before anything is stored.
func (c *committer) decidePasses(ctx context.Context, b *ingest.Batch) error {
	var open []*claim
	plain := false // some file is of such an hour, and tells its pass
	keep := newColumns(oidInt8, oidInt2)
	for i := range c.claims {
		cl := &c.claims[i]
		switch s := &b.Spans[cl.span]; {
		case !cl.loads():
			if cl.writes() && s.Recorded != nil && s.Recorded.Pass != 0 {
				keep[0].int8(cl.id) // an undone one, for when it is taken up again
				keep[1].int2(s.Recorded.Pass)
			}
		case len(s.Undecided) > 0:
			open = append(open, cl)
		default:
			plain = plain || s.Passes
		}
	}
	if len(open) == 0 {
		if plain {
			if err := c.lockPasses(ctx, "_shared"); err != nil {
				return err
			}
		}
		return c.keepPasses(ctx, keep)
	}
	if err := c.lockPasses(ctx, ""); err != nil {
		return err
	}
	for _, cl := range open {
		setPass(b, &b.Spans[cl.span], false)
	}
	known, err := c.knownPasses(ctx, open)
	if err != nil {
		return err
	}
	for _, cl := range open {
		if r := b.Spans[cl.span].Recorded; r != nil && r.Pass != 0 {
			known[cl.key] = r.Pass
		}
	}
	// What was decided stands before anything is decided anew; then the earlier
	// file comes first, for they arrived together.
	slices.SortStableFunc(open, func(x, y *claim) int {
		if a, b := known[x.key] == 0, known[y.key] == 0; a != b {
			if a {
				return 1
			}
			return -1
		}
		return x.rank.compare(y.rank)
	})
	held, err := c.heldPasses(ctx, b, open)
	if err != nil {
		return err
	}
	taken := c.takenBeside(b, open)
	for n, cl := range open {
		s := &b.Spans[cl.span]
		pass := known[cl.key]
		if pass == 0 {
			pass = 1
			if held[int32(n)] || slices.ContainsFunc(s.Undecided, func(r int32) bool { return taken[c.placeOf(b, int(r))] }) {
				pass = 2
			}
		}
		setPass(b, s, pass == 2)
		c.takePlaces(b, cl.span, taken)
		keep[0].int8(cl.id)
		keep[1].int2(pass)
	}
	return c.keepPasses(ctx, keep)
}

func (c *committer) keepPasses(ctx context.Context, keep columns) error {
	if keep[0].n == 0 {
		return nil
	}
	if _, err := c.conn.ExecParams(ctx, passesKeepSQL, keep.params(), nil, binaryFormat, binaryFormat).Close(); err != nil {
		return fmt.Errorf("keeping which pass of a repeated hour files are of: %w", err)
	}
	return nil
}

// setPass moves the undecided readings of a span to a pass. A try that was rolled
// back may have moved them before.
func setPass(b *ingest.Batch, s *ingest.Span, second bool) {
	if s.Second == second {
		return
	}
	s.Second = second
	by := s.Later
	if !second {
		by = -by
	}
	for _, r := range s.Undecided {
		b.Time[r] += by
	}
}

func (c *committer) lockPasses(ctx context.Context, how string) error {
	if _, err := c.conn.Exec(ctx, fmt.Sprintf(passesLockSQL, how)).ReadAll(); err != nil {
		return fmt.Errorf("waiting to decide on passes of a repeated hour: %w", err)
	}
	return nil
}

// knownPasses returns what was decided of the claims' paths, by key.
func (c *committer) knownPasses(ctx context.Context, open []*claim) (map[[16]byte]int16, error) {
	p := newColumns(oidUUID, oidInt8)
	for _, cl := range open {
		p[0].bytes(cl.key[:])
		p[1].int8(cl.id)
	}
	known := make(map[[16]byte]int16)
	r := c.conn.ExecParams(ctx, passesKnownSQL, p.params(), nil, binaryFormat, binaryFormat)
	eachRow(r, func(r *record) {
		key := r.uuid()
		known[key] = r.int2()
	})
	if _, err := r.Close(); err != nil {
		return nil, fmt.Errorf("looking for passes of repeated hours: %w", err)
	}
	return known, nil
}

// heldPasses tells which of the claims have an undecided reading, in the first
// pass, where another path has one in the database.
func (c *committer) heldPasses(ctx context.Context, b *ingest.Batch, open []*claim) (map[int32]bool, error) {
	p := newColumns(oidInt4, oidInt4, oidTimestamptz, oidUUID)
	for n, cl := range open {
		for _, r := range b.Spans[cl.span].Undecided {
			p[0].int4(int32(n))
			p[1].int4(c.table.ids[b.Series[r]])
			p[2].time(b.Time[r])
			p[3].bytes(cl.key[:])
		}
	}
	held := make(map[int32]bool)
	r := c.conn.ExecParams(ctx, passesHeldSQL, p.params(), nil, binaryFormat, binaryFormat)
	eachRow(r, func(r *record) { held[r.int4()] = true })
	if _, err := r.Close(); err != nil {
		return nil, fmt.Errorf("looking for readings of the first pass: %w", err)
	}
	return held, nil
}

// A place is that of one reading among those of a batch.
type place struct {
	series int32 // its place among the series of the batch
	time   int64
}

func (c *committer) placeOf(b *ingest.Batch, r int) place {
	return place{c.table.bucket[b.Series[r]], b.Time[r]}
}

// takenBeside returns the places that undecided readings have in the first pass,
// and which of them readings have of the files that are loaded beside those.
func (c *committer) takenBeside(b *ingest.Batch, open []*claim) map[place]bool {
	taken := make(map[place]bool)
	for _, cl := range open {
		for _, r := range b.Spans[cl.span].Undecided {
			taken[c.placeOf(b, int(r))] = false
		}
	}
	for i := range c.claims {
		cl := &c.claims[i]
		if cl.loads() && !slices.Contains(open, cl) {
			c.takePlaces(b, cl.span, taken)
		}
	}
	return taken
}

// takePlaces marks those of the places as taken where a span has a reading.
func (c *committer) takePlaces(b *ingest.Batch, span int, places map[place]bool) {
	s := &b.Spans[span]
	for r := s.Begin; r < s.End; r++ {
		p := c.placeOf(b, r)
		if _, asked := places[p]; asked {
			places[p] = true
		}
	}
}

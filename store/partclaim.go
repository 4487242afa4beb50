package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"penstock/ingest"
)

// Claim implements ingest.PartCommitter.
func (c *committer) Claim(ctx context.Context, b *ingest.Batch, p *ingest.Parts) (ingest.Outcome, error) {
	defer c.giveBack()
	if t := c.sink.store.teller; t != nil {
		defer t.commits(c)()
	}
	c.begin()
	c.parts, c.chunk = p, c.sink.chunk.Add(1)
	c.outcomes = append(c.outcomes[:0], ingest.Outcome{})
	err := c.retrying(ctx, func() error { return c.tryClaim(ctx, b, p) })
	s := &b.Spans[0]
	var refused *fault
	if errors.As(err, &refused) {
		s.State, s.Reason = ingest.Quarantined, refused.reason
		s.Receipt.Refuse()
		err = errNoParts
	}
	if errors.Is(err, errNoParts) {
		c.parts = nil
		err = c.commitSpans(ctx, b, []int{0})
	}
	return c.outcomes[0], err
}

// errNoParts says that a file has no readings to store, and is to be committed as
// a small one.
var errNoParts = errors.New("it has no parts")

// tryClaim is one attempt at claiming a file.
func (c *committer) tryClaim(ctx context.Context, b *ingest.Batch, p *ingest.Parts) error {
	if err := c.makeReady(ctx, b, []int{0}); err != nil {
		return err
	}
	s := &b.Spans[0]
	switch {
	case s.State != ingest.Loaded:
		return errNoParts
	case waits(s) || s.Receipt.Cells.Withheld > 0 || s.Passes || len(s.Undecided) > 0:
		// What is left of it in the end may change with what people answer meanwhile.
		c.outcomes[0] = ingest.Outcome{File: s.File, State: ingest.Whole, Reason: "some of its readings wait for an answer"}
		return nil
	}
	err := c.transactClaim(ctx, b, p)
	if err != nil {
		c.rollback(ctx)
	}
	return c.givingUp(ctx, err)
}

// transactClaim is the transaction that claims the file, or ends it where there
// are no parts to be committed.
func (c *committer) transactClaim(ctx context.Context, b *ingest.Batch, p *ingest.Parts) error {
	step("begin")
	twins, err := c.lookUpVersions(ctx, b)
	if err != nil {
		return fmt.Errorf("looking up files in the ledger: %w", err)
	}
	c.decide(b, twins)
	cl, s := &c.claims[0], &b.Spans[0]
	if n := cl.newest; n != nil && n.state == ingest.Loading && n.sum == s.Sum {
		if same, err := c.resume(ctx, cl, p); same || err != nil {
			return err
		}
		cl.ours = false
	}
	uncount(s)
	c.order.Rows, c.takeovers = c.order.Rows[:0], c.takeovers[:0]
	switch {
	case cl.loads():
		// Whose it is among equal ones is decided when it is finished.
		cl.state, cl.demote, cl.tells = ingest.Loading, 0, ""
		s.Receipt.Cells.Stored = distinct(s, 0)
	case cl.writes() && cl.state == ingest.Duplicate:
		if err := c.countAsTwin(ctx, cl, s); err != nil {
			return err
		}
	}
	if err := c.toGiveUp(b); err != nil {
		return err
	}
	if err := c.changeFiles(ctx, b); err != nil {
		return err
	}
	if err := c.addFiles(ctx, b); err != nil {
		return err
	}
	if c.sink.store.layout.Append {
		if err := c.supersede(ctx); err != nil {
			return err
		}
	}
	return c.endClaim(ctx, b, p)
}

// endClaim accounts for the file and commits.
func (c *committer) endClaim(ctx context.Context, b *ingest.Batch, p *ingest.Parts) error {
	cl, s := &c.claims[0], &b.Spans[0]
	if err := c.account(ctx, b); err != nil {
		return err
	}
	if cl.state == ingest.Loading {
		params := [][]byte{int8Param(cl.id), int8Param(p.Bytes), int4Param(int32(p.Count)), int4Param(int32(p.Readings))}
		if err := execute(ctx, c.conn, "insert into loadings (file_id, bytes, parts, readings) values ($1, $2, $3, $4)", params, nil); err != nil {
			return fmt.Errorf("claiming a file that is loaded in parts: %w", err)
		}
	}
	step("claiming")
	if err := c.commit(ctx); err != nil {
		return err
	}
	step("claimed")
	c.careful = max(0, c.careful-1)
	if cl.state == ingest.Loading {
		p.FileID, p.Claim, p.Done = cl.id, claimOf(c.sink.run, c.chunk), nil
		c.outcomes[0] = ingest.Outcome{File: s.File, State: ingest.Loading, FileID: cl.id, Generation: cl.generation}
		return nil
	}
	c.report(b)
	return c.fillOutcomes(ctx, b)
}

// distinct is how many readings a file has that is read whole, of which so many
// repeat others further up.
func distinct(s *ingest.Span, repeated int64) int64 {
	d := &s.Receipt.Cells
	return d.Total - d.Missing - d.Rejected - repeated
}

// countAsTwin fills in the receipt of a duplicate: it holds what the other has.
func (c *committer) countAsTwin(ctx context.Context, cl *claim, s *ingest.Span) error {
	err := execute(ctx, c.conn, "select repeated from receipts where file_id = $1", [][]byte{int8Param(cl.twin)}, func(r *record) {
		s.Receipt.Cells.Repeated = r.int8()
	})
	if err != nil {
		return fmt.Errorf("reading the receipt of a file of equal content: %w", err)
	}
	s.Receipt.Cells.Unchanged = distinct(s, s.Receipt.Cells.Repeated)
	return nil
}

const resumeSQL = `select f.content, l.bytes, l.parts, l.readings, f.run, f.chunk, array(select n from parts p where p.file_id = f.id)
	from files f join loadings l on l.file_id = f.id where f.id = $1`

// resume takes up a file that was left loading, if it is cut as it was then. It
// ends the transaction.
func (c *committer) resume(ctx context.Context, cl *claim, p *ingest.Parts) (same bool, err error) {
	var done []int32
	err = execute(ctx, c.conn, resumeSQL, [][]byte{int8Param(cl.newest.id)}, func(r *record) {
		same = r.uuid() == cl.content
		same = r.int8() == p.Bytes && same
		same = int(r.int4()) == p.Count && same
		same = int(r.int4()) == p.Readings && same
		p.Claim = claimOf(r.int4(), r.int4())
		done = readInt4s(r.raw())
	})
	if err != nil || !same {
		return false, err
	}
	c.rollback(ctx)
	p.FileID, p.Done = cl.newest.id, make(map[int]bool, len(done))
	for _, n := range done {
		p.Done[int(n)] = true
	}
	c.outcomes[0] = ingest.Outcome{State: ingest.Loading, FileID: cl.newest.id, Generation: cl.newest.generation}
	return true, nil
}

// A broken is the file versions whose loading was broken off, and which are not
// gone on with: their parts are to be taken out first.
type broken struct {
	again []int64 // of these the same content is there
	other []int64 // their paths have other content now
}

func (b *broken) Error() string { return "files that were loading in parts are in the way" }

// toGiveUp returns an error that is a *broken where a claim takes up, or follows,
// a version that is loading.
func (c *committer) toGiveUp(b *ingest.Batch) error {
	var left broken
	for i := range c.claims {
		cl := &c.claims[i]
		n := cl.newest
		if n == nil || n.state != ingest.Loading || !cl.writes() {
			continue
		}
		if n.sum == b.Spans[cl.span].Sum {
			left.again = append(left.again, n.id)
		} else {
			left.other = append(left.other, n.id)
		}
	}
	if len(left.again)+len(left.other) == 0 {
		return nil
	}
	return &left
}

const lockLoadingSQL = `select id from files where id = any($1::int8[]) and state = 'loading' order by id for update`

// givingUp gives up the versions that err says are in the way, and has the
// transaction tried again. Any other error it returns.
func (c *committer) givingUp(ctx context.Context, err error) error {
	var left *broken
	if !errors.As(err, &left) {
		return err
	}
	if _, err := c.conn.Exec(ctx, "begin").ReadAll(); err != nil {
		return fmt.Errorf("giving up what was loading: %w", err)
	}
	var all []int64 // but for those that others have finished, or given up, meanwhile
	err = execute(ctx, c.conn, lockLoadingSQL, ids(slices.Concat(left.again, left.other)), func(r *record) { all = append(all, r.int8()) })
	if err == nil {
		err = execute(ctx, c.conn, anewSQL, ids(all), nil)
	}
	if err == nil {
		err = c.takeOutReadings(ctx, all, func(int64, int64) {})
	}
	if err != nil {
		c.rollback(ctx)
		return fmt.Errorf("giving up what was loading: %w", err)
	}
	ended := func(id int64) bool { return !slices.Contains(all, id) }
	again, other := slices.DeleteFunc(left.again, ended), slices.DeleteFunc(left.other, ended)
	for _, step := range []struct {
		sql string
		ids []int64
	}{
		{forgetPartsSQL, all},
		{"update files set state = 'due', " + changedNow + " where id = any($1::int8[])", again},
		{"update files set state = 'undone', reason = 'its loading was broken off, and its path has other content since', " + changedNow + " where id = any($1::int8[])", other},
	} {
		if err := execute(ctx, c.conn, step.sql, ids(step.ids), nil); err != nil {
			c.rollback(ctx)
			return fmt.Errorf("giving up what was loading: %w", err)
		}
	}
	if err := c.commit(ctx); err != nil {
		return err
	}
	step("given up")
	return errRaced
}

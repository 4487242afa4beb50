package store

import (
	"context"
	"errors"
	"fmt"
	"math"

	"penstock/ingest"
)

// Finish implements ingest.PartCommitter.
func (c *committer) Finish(ctx context.Context, b *ingest.Batch, p *ingest.Parts) (ingest.Outcome, error) {
	defer c.giveBack()
	if t := c.sink.store.teller; t != nil {
		defer t.commits(c)()
	}
	c.begin()
	c.parts, c.chunk = p, c.sink.chunk.Add(1)
	c.outcomes = append(c.outcomes[:0], ingest.Outcome{})
	err := c.retrying(ctx, func() error { return c.tryFinish(ctx, b, p) })
	if refused := (*fault)(nil); errors.As(err, &refused) && p.Refused == "" {
		p.Refused = refused.reason
		err = c.retrying(ctx, func() error { return c.tryFinish(ctx, b, p) })
	}
	return c.outcomes[0], err
}

// tryFinish is one attempt at finishing a file.
func (c *committer) tryFinish(ctx context.Context, b *ingest.Batch, p *ingest.Parts) error {
	if err := c.connect(ctx); err != nil {
		return err
	}
	if err := c.makeStaging(ctx); err != nil {
		return err
	}
	s := &b.Spans[0]
	s.New = false // it is in the ledger since it was claimed
	c.take = append(c.take[:0], true)
	if err := c.sink.learnRecipes(ctx, b, []int{0}); err != nil {
		return err
	}
	if err := c.resolve(ctx, b, c.take); err != nil {
		return err
	}
	uncount(s)
	if s.State == ingest.Held { // another file has given a series another unit since
		p.Refused = s.Reason
	}
	if p.Refused != "" {
		s.State, s.Reason = ingest.Quarantined, p.Refused
		s.Receipt.Refuse()
	}
	if err := c.makeClaims(ctx, b, []int{0}); err != nil {
		return err
	}
	err := c.transactFinish(ctx, b, p)
	if err != nil {
		c.rollback(ctx)
	}
	return err
}

// transactFinish is the transaction that makes the readings of a file visible, or
// takes them out.
func (c *committer) transactFinish(ctx context.Context, b *ingest.Batch, p *ingest.Parts) error {
	twins, err := c.lookUpVersions(ctx, b)
	if err != nil {
		return fmt.Errorf("looking up files in the ledger: %w", err)
	}
	c.decide(b, twins)
	cl, s := &c.claims[0], &b.Spans[0]
	repeated, err := c.lockParts(ctx, cl, p)
	if err != nil {
		return err
	}
	if !cl.writes() { // it is finished
		c.rollback(ctx)
		return c.fillOutcomes(ctx, b)
	}
	if err := c.changeFiles(ctx, b); err != nil {
		return err
	}
	c.order.Rows, c.takeovers = c.order.Rows[:0], c.takeovers[:0]
	if err := c.endParts(ctx, cl, s, p, repeated); err != nil {
		return err
	}
	if err := c.account(ctx, b); err != nil {
		return err
	}
	if err := execute(ctx, c.conn, forgetPartsSQL, ids([]int64{cl.id}), nil); err != nil {
		return fmt.Errorf("finishing a file: %w", err)
	}
	step("finishing")
	if err := c.commit(ctx); err != nil {
		return err
	}
	step("finished")
	c.reportParts(b)
	return c.fillOutcomes(ctx, b)
}

// lockParts sees to it that nobody else finishes the file or gives it up, and that
// all its parts are there, unless one was refused. It returns how many readings of
// the file others of it have taken the place of.
func (c *committer) lockParts(ctx context.Context, cl *claim, p *ingest.Parts) (repeated int64, err error) {
	n := cl.newest
	if n == nil || n.id != p.FileID {
		return 0, errNotLoading
	}
	var state ingest.State
	var claim, committed, expected int64
	id := [][]byte{int8Param(p.FileID)}
	err = execute(ctx, c.conn, "select state::text, run, chunk from files where id = $1 for update", id, func(r *record) {
		state, claim = ingest.State(r.text()), claimOf(r.int4(), r.int4())
	})
	if err == nil {
		err = execute(ctx, c.conn, `select count(*), coalesce(sum(repeated), 0)::int8, coalesce((select parts from loadings where file_id = $1), 0)::int8 from parts where file_id = $1`, id, func(r *record) {
			committed, repeated, expected = r.int8(), r.int8(), r.int8()
		})
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("finishing a file: %w", err)
	case state != n.state:
		return 0, errRaced
	case state == ingest.Loading && (claim != p.Claim || committed != expected && p.Refused == ""), state == ingest.Due:
		return 0, errNotLoading
	}
	return repeated, nil
}

// endParts makes of the file's readings what its state says, and fills in its
// receipt.
func (c *committer) endParts(ctx context.Context, cl *claim, s *ingest.Span, p *ingest.Parts, repeated int64) error {
	if cl.state != ingest.Loaded {
		if err := c.takeOutReadings(ctx, []int64{cl.id}, func(int64, int64) {}); err != nil {
			return fmt.Errorf("taking out what was loading: %w", err)
		}
	}
	cells := &s.Receipt.Cells
	if cl.state == ingest.Duplicate {
		cells.Repeated, cells.Unchanged = repeated, distinct(s, repeated)
	}
	if c.sink.store.layout.Append {
		if err := c.supersede(ctx); err != nil {
			return err
		}
	}
	if cl.state != ingest.Loaded {
		return nil
	}
	waiting, err := c.settleWaiting(ctx, cl.id, s, p)
	cells.Repeated, cells.Stored = repeated, cells.Stored+distinct(s, repeated)-waiting
	return err
}

// settleWaiting decides which of the file's readings that wait stand, counts what
// became of them in its receipt, and returns how many they were. A statement
// settles as many as a part has: that bounds what it takes of the server's memory,
// and of its disk to sort them.
func (c *committer) settleWaiting(ctx context.Context, id int64, s *ingest.Span, p *ingest.Parts) (waiting int64, err error) {
	if _, err := c.conn.Exec(ctx, nearSQL+"; set local work_mem = '32MB'").ReadAll(); err != nil { // else it sorts on disk
		return 0, fmt.Errorf("finishing a file: %w", err)
	}
	if err := c.clash(ctx, "(select * from waiting where file_id = $1)", [][]byte{int8Param(id)}); err != nil {
		return 0, err
	}
	limit := int64(math.MaxInt64)
	if p.Readings > 0 {
		limit = int64(p.Readings)
	}
	w := newPortion(id)
	for {
		if err := c.nextWaits(ctx, w, limit); err != nil {
			return 0, fmt.Errorf("finishing a file: %w", err)
		}
		if w.n == 0 {
			return waiting, nil
		}
		waiting += w.n
		if err := c.settleWaits(ctx, w, s); err != nil {
			return 0, err
		}
		step("settling")
	}
}

// reportParts hands on what a file brought whose parts are all committed. Its
// series are looked at anew.
func (c *committer) reportParts(b *ingest.Batch) {
	t := c.sink.store.teller
	if t == nil {
		return
	}
	n := news{unsure: []int64{c.claims[0].id}}
	c.addArrival(&n, b, 0)
	if c.sink.store.layout.Append {
		for _, t := range c.takeovers {
			n.unsure = append(n.unsure, t.from)
		}
	}
	n.sources = map[string]brought{c.sink.options.Source: {1, b.Spans[0].Receipt.Cells.Readings()}}
	t.add(n)
}

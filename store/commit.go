package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"penstock/ingest"
)

// A committer commits chunks for one worker, each on a connection that it has
// for that time. It is an ingest.Committer.
type committer struct {
	sink     *Sink
	lent     *connection    // nil between commits
	conn     *pgconn.PgConn // lent's
	judgedBy *before        // what the commit under way judges files by
	chunk    int32          // of the transaction under way; the same through all its tries

	table  seriesTable
	recipe struct { // that was asked for last
		of *ingest.Recipe
		id int32
	}
	claims    []claim
	keys      []keyed             // scratch of makeClaims
	inChunk   map[[16]byte]*claim // by content; scratch of decideContents
	ranks     []rank              // by span; scratch of sort
	parts     *ingest.Parts       // of the file version that is loading, and that this claims or finishes; else nil
	take      []bool              // by span: its readings are to be stored
	files     []int64             // by span: the id under which they are
	order     ingest.Order
	copy      copyReader
	copies    copies
	seen      []bool  // by key of the batch; scratch of extentOf
	spanned   []int32 // likewise
	takeovers []takeover
	fresh     copyTable // file versions that are new to the ledger
	counted   []int     // which counts their receipts have, by index in countColumns
	rare      bool      // some of them has what rareColumns are for
	rejects   copyTable
	held      copyTable
	heldOf    map[int]string // by span: the logger that a question that holds it is about
	outcomes  []ingest.Outcome

	shares      []share // of the order, while staged
	met, beyond picked  // of the order, once it is divided
	instants    []int64 // scratch of takeOutMet

	careful int // how many more chunks look up files that were new when they were listed

	staged     bool // the chunk's readings may meet others
	compressed bool // while staged: what they meet is compressed
	aside      bool // while staged: what they meet is of a file that is loading, and to be put aside
	singly     bool // while staged: each of them is settled by itself
	unknown    bool // nobody knows whether the commit that was tried last was made
}

// Committer makes sure that there is a connection to commit on.
func (s *Sink) Committer(ctx context.Context) (ingest.Committer, error) {
	c := &committer{sink: s}
	if err := c.retrying(ctx, func() error { return c.connect(ctx) }); err != nil {
		return nil, err
	}
	c.giveBack()
	return c, nil
}

// Close closes the connection of a commit that a panic ended.
func (c *committer) Close() { c.disconnect() }

// Commit stores a batch in one transaction; see ingest.Committer for what it
// promises. Only where the database refuses a file is the batch divided.
func (c *committer) Commit(ctx context.Context, b *ingest.Batch) ([]ingest.Outcome, error) {
	defer c.giveBack()
	if t := c.sink.store.teller; t != nil {
		defer t.commits(c)()
	}
	c.begin()
	c.outcomes = slices.Grow(c.outcomes[:0], len(b.Spans))[:len(b.Spans)]
	clear(c.outcomes)
	var spans, gained []int
	for i := range b.Spans {
		if b.Spans[i].Gained != nil {
			gained = append(gained, i)
		} else {
			spans = append(spans, i)
		}
	}
	if err := c.commitSpans(ctx, b, spans); err != nil {
		return nil, err
	}
	if err := c.carryOn(ctx, b, gained); err != nil {
		return nil, err
	}
	return c.outcomes, nil
}

// begin readies the committer for a call of its interface.
func (c *committer) begin() {
	c.judgedBy = c.sink.before.Load()
	c.unknown, c.staged, c.compressed, c.aside, c.parts = false, false, false, false, nil
	clear(c.heldOf)
}

// commitSpans commits some of the batch's spans in one transaction. If the
// database refuses what is in it, it is halved until the culprit stands alone
// and is quarantined.
func (c *committer) commitSpans(ctx context.Context, b *ingest.Batch, spans []int) error {
	if len(spans) == 0 {
		return nil
	}
	c.chunk = c.sink.chunk.Add(1)
	var refused *fault
	err := c.retrying(ctx, func() error { return c.try(ctx, b, spans) })
	if !errors.As(err, &refused) {
		return err
	}
	if len(spans) > 1 {
		half := len(spans) / 2
		if err := c.commitSpans(ctx, b, spans[:half]); err != nil {
			return err
		}
		return c.commitSpans(ctx, b, spans[half:])
	}
	s := &b.Spans[spans[0]]
	if s.State == ingest.Quarantined {
		return fmt.Errorf("recording %s as quarantined: %w", ingest.EscapePath(s.File.Path), err)
	}
	s.State, s.Reason = ingest.Quarantined, refused.reason
	s.Receipt.Refuse()
	return c.commitSpans(ctx, b, spans)
}

// try is one attempt at a transaction. It leaves none open.
func (c *committer) try(ctx context.Context, b *ingest.Batch, spans []int) error {
	if err := c.makeReady(ctx, b, spans); err != nil {
		return err
	}
	err := c.transact(ctx, b)
	if err != nil {
		c.rollback(ctx)
	}
	return c.givingUp(ctx, err)
}

// makeReady does what is done outside of the transaction and outlives it: the
// connection, its staging table, the ids of series and recipes.
func (c *committer) makeReady(ctx context.Context, b *ingest.Batch, spans []int) error {
	if err := c.connect(ctx); err != nil {
		return err
	}
	if err := c.expectMeetings(ctx, false); err != nil {
		return err
	}
	c.applyRecorded(b, spans)
	c.take = slices.Grow(c.take[:0], len(b.Spans))[:len(b.Spans)]
	clear(c.take)
	for _, i := range spans {
		c.take[i] = b.Spans[i].State == ingest.Loaded
	}
	if err := c.sink.learnRecipes(ctx, b, spans); err != nil {
		return err
	}
	// These may hold spans: the claims say so.
	if err := c.holdChanges(ctx, b, c.take); err != nil {
		return err
	}
	if err := c.resolve(ctx, b, c.take); err != nil {
		return err
	}
	if err := c.recordFeeds(ctx, b, c.take); err != nil {
		return err
	}
	if c.parts == nil {
		if err := c.makeChunks(ctx, b); err != nil {
			return err
		}
	}
	return c.makeClaims(ctx, b, spans)
}

// transact is the transaction: claim, decide on passes, sort, store, account, commit. What
// became of the files is told once it is committed.
func (c *committer) transact(ctx context.Context, b *ingest.Batch) error {
	step("begin")
	if err := c.claimFiles(ctx, b); err != nil {
		return err
	}
	if err := c.decidePasses(ctx, b); err != nil {
		return err
	}
	c.sort(b)
	if err := c.contested(); err != nil {
		return err
	}
	if err := c.fillTables(ctx, b); err != nil {
		return err
	}
	if err := c.account(ctx, b); err != nil {
		return err
	}
	step("accounted")
	if err := c.commit(ctx); err != nil {
		return err
	}
	step("committed")
	c.report(b)
	c.careful = max(0, c.careful-1)
	return c.fillOutcomes(ctx, b)
}

// fillTables adds the claimed files to the ledger, and their readings. A file's row has
// its receipt in it. Where no reading meets another one that is known beforehand, and
// the rows come first: they keep out whoever else has the same files. Where readings
// are staged, what became of them is to be known first, for to write the rows twice
// costs more than to have a file refused after its readings are settled.
func (c *committer) fillTables(ctx context.Context, b *ingest.Batch) error {
	if c.staged {
		if err := c.storeReadings(ctx, b); err != nil {
			return err
		}
		step("stored")
		if err := c.addFiles(ctx, b); err != nil {
			return err
		}
		step("claimed")
		return nil
	}
	countStored(b, c.order.Spans)
	if c.sink.store.layout.Append { // where what they succeed is taken out first
		if err := c.addFiles(ctx, b); err != nil {
			return err
		}
	} else if _, err := c.queueFiles(b); err != nil {
		return err
	}
	step("claimed")
	if err := c.storeReadings(ctx, b); err != nil {
		return err
	}
	step("stored")
	return nil
}

// sort orders the readings of the claimed files and settles those that share
// an instant within the batch.
func (c *committer) sort(b *ingest.Batch) {
	c.files = slices.Grow(c.files[:0], len(b.Spans))[:len(b.Spans)]
	clear(c.files)
	c.take = slices.Grow(c.take[:0], len(b.Spans))[:len(b.Spans)]
	clear(c.take)
	c.ranks = slices.Grow(c.ranks[:0], len(b.Spans))[:len(b.Spans)]
	clear(c.ranks)
	for i := range c.claims {
		cl := &c.claims[i]
		uncount(&b.Spans[cl.span])
		c.ranks[cl.span] = cl.rank
		switch {
		case cl.loads():
			c.take[cl.span] = true
			c.files[cl.span] = cl.id
		case cl.writes() && (cl.state == ingest.Duplicate || cl.state == ingest.Undone) && c.parts == nil:
			c.countDuplicate(b, cl.span)
		}
	}
	wins := func(x, y int) bool { return c.sink.options.Policy.wins(c.ranks[x], c.ranks[y]) }
	if c.sink.store.layout.Append {
		wins = nil // nor are files of different chunks held against each other
	}
	c.order.Sort(b, c.take, c.table.bucket, c.table.places, wins)
}

// uncount takes back what a try that was rolled back may have counted.
func uncount(s *ingest.Span) {
	if s.State == ingest.Loaded {
		d := &s.Receipt.Cells
		*d = ingest.Cells{Total: d.Total, Missing: d.Missing, Rejected: d.Rejected, Withheld: d.Withheld}
	}
}

// countDuplicate fills in the receipt of a file that is a loaded one's
// duplicate: all that it holds is there, unchanged.
func (c *committer) countDuplicate(b *ingest.Batch, span int) {
	only := make([]bool, len(b.Spans))
	only[span] = true
	c.order.Sort(b, only, c.table.bucket, c.table.places, nil)
	b.Spans[span].Receipt.Cells.Unchanged = int64(len(c.order.Rows))
}

// contested is a fault where the policy is Error and two files of the batch
// contradict each other.
func (c *committer) contested() error {
	if c.sink.options.Policy == Error && c.order.Contested {
		return &fault{"its readings contradict those of another file beside it, and on-conflict is error"}
	}
	return nil
}

// storeReadings stores the ordered readings: by a straight COPY, or through
// staging where the table has a key and recent chunks met readings that were
// there. Staged ones it counts in the receipts.
func (c *committer) storeReadings(ctx context.Context, b *ingest.Batch) error {
	c.takeovers = c.takeovers[:0]
	if c.sink.store.layout.Append {
		if err := c.supersede(ctx); err != nil {
			return err
		}
	}
	if len(c.order.Rows) == 0 {
		return nil // what is queued goes with the accounts
	}
	if c.staged {
		return c.storeStaged(ctx, b)
	}
	return c.storeNew(ctx, b, picked{c.order.Rows, c.order.Spans})
}

// fillOutcomes says what became of the spans, once that is committed.
func (c *committer) fillOutcomes(ctx context.Context, b *ingest.Batch) (err error) {
	for i := range c.claims {
		cl := &c.claims[i]
		s := &b.Spans[cl.span]
		o := &c.outcomes[cl.span]
		*o = ingest.Outcome{File: s.File, State: cmp.Or(cl.tells, cl.state), Reason: cl.reason, FileID: cl.id, Generation: cl.generation, Receipt: s.Receipt, Rejects: len(s.Rejects)}
		if waits(s) {
			o.Shape = s.Shape
		}
		switch {
		case cl.ours:
			if o.Receipt, err = c.sink.store.receipt(ctx, cl.id); err != nil {
				return err
			}
		case cl.state == ingest.Known:
			o.Receipt, o.Rejects, o.Shape = ingest.Receipt{}, 0, nil
			if cl.newest != nil {
				o.Standing, o.Rejects, o.Waits = cl.newest.state, cl.newest.rejects, cl.newest.waits
			} else if cl.skipped {
				o.Standing = ingest.Skipped
			}
		}
	}
	return nil
}

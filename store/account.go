package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"penstock/ingest"
)

var (
	// What a version that is taken up again left when it was taken up last.
	// Of what is put back, and was loaded in part, the rest goes on waiting.
	accountForget = statement{"account_forget", `with gone as (delete from rejects where file_id = any($1::int8[]))
		delete from held where file_id = any($2::int8[])`}
	accountTakeovers = statement{"account_takeovers", `insert into takeovers (from_file, by_file, n)
		select * from unnest($1::int8[], $2::int8[], $3::int8[])
		on conflict (from_file, by_file) do update set n = takeovers.n + excluded.n`}
	// What a demoted version had taken from others is now its successor's.
	accountInherit = statement{"account_inherit", `with gone as (
			delete from takeovers t using unnest($1::int8[], $2::int8[]) as d(old, new) where t.by_file = d.old
			returning t.from_file, d.new, t.n)
		insert into takeovers select from_file, new, sum(n)::int8 from gone where from_file <> new group by from_file, new
		on conflict (from_file, by_file) do update set n = takeovers.n + excluded.n`}
	// What others took from it is that of its successor.
	accountDemoted = statement{"account_demoted", `delete from takeovers where from_file = any($1::int8[])`}
)

// account writes what hangs on the claimed files, the takeovers, and the receipts
// of those that the ledger had already; addFiles writes those of the others.
func (c *committer) account(ctx context.Context, b *ingest.Batch) error {
	batch := &pgconn.Batch{}
	var needed []statement
	exec := func(s statement, p columns) {
		if len(p) > 0 && p[0].n > 0 {
			needed = append(needed, s)
			batch.ExecPrepared(s.name, p.params(), binaryFormat, binaryFormat)
		}
	}
	again, demoted, inherit := newColumns(oidInt8, oidInt8), newColumns(oidInt8), newColumns(oidInt8, oidInt8)
	grown, stale := newColumns(oidInt8, oidInt8, oidBytea, oidBytea, oidTimestamptz), newColumns(oidInt8)
	var receipts columns // of those that are there
	rejects, held := &c.rejects, &c.held
	rejects.start(0)
	held.start(0)
	for i := range c.claims {
		cl := &c.claims[i]
		if !cl.writes() {
			continue
		}
		s := &b.Spans[cl.span]
		if cl.again() {
			if receipts == nil {
				receipts = newReceiptsAgain()
			}
			if err := c.addReceiptAgain(receipts, cl.id, b, s); err != nil {
				return err
			}
			again[0].int8(cl.id)
			if !cl.waitsOn {
				again[1].int8(cl.id)
			}
		}
		if cl.demote != 0 {
			demoted[0].int8(cl.demote)
			inherit[0].int8(cl.demote)
			inherit[1].int8(cl.id)
		}
		if cl.newest != nil && !cl.again() {
			stale[0].int8(cl.newest.id)
		}
		if cl.loads() {
			addGrowth(grown, cl.id, s.Growth)
		}
		addRejects(rejects, cl.id, s.Rejects)
		if waits(s) && !cl.waitsOn {
			held.row(3)
			held.int8(cl.id)
			held.text(s.Shape.ID)
			if logger := c.heldOf[cl.span]; logger == "" {
				held.null()
			} else {
				held.text(logger)
			}
		}
	}
	exec(accountForget, again)
	exec(receiptAgain, receipts)
	exec(growthsForget, stale)
	exec(growthsKeep, grown)
	exec(accountTakeovers, c.takeoverColumns())
	exec(accountInherit, inherit)
	exec(accountDemoted, demoted)
	if len(needed) > 0 {
		if err := c.prepare(ctx, needed...); err != nil {
			return err
		}
		if _, err := c.conn.ExecBatch(ctx, batch).ReadAll(); err != nil {
			return fmt.Errorf("settling the receipts that are there: %w", err)
		}
	}
	if err := rejects.queue(&c.copies, "rejects"); err != nil {
		return err
	}
	if err := held.queue(&c.copies, "held"); err != nil {
		return err
	}
	if err := c.copies.send(ctx, c.conn); err != nil {
		return fmt.Errorf("writing rejects and what files wait for: %w", err)
	}
	return nil
}

func addRejects(t *copyTable, id int64, rejects []ingest.Reject) {
	for i := range rejects {
		r := &rejects[i]
		t.row(5)
		t.int8(id)
		t.int8(r.Line)
		t.int4(int32(r.Column))
		t.text(plain(r.Reason))
		t.text(ingest.EscapePath(r.Raw))
	}
}

// plain makes a text fit for the database, which takes no NUL and no broken
// UTF-8.
func plain(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// takeoverColumns adds up the takeovers by pair, for one statement may touch a
// row only once.
func (c *committer) takeoverColumns() columns {
	p := newColumns(oidInt8, oidInt8, oidInt8)
	type pair struct{ from, by int64 }
	sum := make(map[pair]int64)
	for _, t := range c.takeovers {
		sum[pair{t.from, t.by}] += t.n
	}
	pairs := slices.SortedFunc(maps.Keys(sum), func(a, b pair) int {
		if a.from != b.from {
			return int(a.from - b.from)
		}
		return int(a.by - b.by)
	})
	for _, k := range pairs {
		p[0].int8(k.from)
		p[1].int8(k.by)
		p[2].int8(sum[k])
	}
	return p
}

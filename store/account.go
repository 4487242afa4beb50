package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"penstock/ingest"
)

var (
	accountReceipts = statement{"account_receipts", `insert into receipts (file_id, first_ts, last_ts,
			lines, lines_preamble, lines_header, lines_blank, lines_comment, lines_footer, lines_message, lines_data, lines_rejected,
			cells, missing, rejected, repeated, stored, replaced, unchanged, outranked, series)
		select file_id, first_ts, last_ts,
			lines, lines_preamble, lines_header, lines_blank, lines_comment, lines_footer, lines_message, lines_data, lines_rejected,
			cells, missing, rejected, repeated, stored, replaced, unchanged, outranked, series::int4[]
		from unnest($1::int8[], $2::timestamptz[], $3::timestamptz[],
			$4::int8[], $5::int8[], $6::int8[], $7::int8[], $8::int8[], $9::int8[], $10::int8[], $11::int8[], $12::int8[],
			$13::int8[], $14::int8[], $15::int8[], $16::int8[], $17::int8[], $18::int8[], $19::int8[], $20::int8[], $21::text[])
			as c(file_id, first_ts, last_ts,
			lines, lines_preamble, lines_header, lines_blank, lines_comment, lines_footer, lines_message, lines_data, lines_rejected,
			cells, missing, rejected, repeated, stored, replaced, unchanged, outranked, series)
		on conflict (file_id) do update set first_ts = excluded.first_ts, last_ts = excluded.last_ts,
			lines = excluded.lines, lines_preamble = excluded.lines_preamble, lines_header = excluded.lines_header,
			lines_blank = excluded.lines_blank, lines_comment = excluded.lines_comment, lines_footer = excluded.lines_footer,
			lines_message = excluded.lines_message, lines_data = excluded.lines_data, lines_rejected = excluded.lines_rejected,
			cells = excluded.cells, missing = excluded.missing, rejected = excluded.rejected, repeated = excluded.repeated,
			stored = excluded.stored, replaced = excluded.replaced, unchanged = excluded.unchanged, outranked = excluded.outranked,
			series = excluded.series`}
	accountForget  = statement{"account_forget", `delete from rejects where file_id = any($1::int8[])`}
	accountRejects = statement{"account_rejects", `insert into rejects (file_id, line, "column", reason, raw)
		select * from unnest($1::int8[], $2::int8[], $3::int4[], $4::text[], $5::text[])`}
	accountTakeovers = statement{"account_takeovers", `insert into takeovers (from_file, by_file, n)
		select * from unnest($1::int8[], $2::int8[], $3::int8[])
		on conflict (from_file, by_file) do update set n = takeovers.n + excluded.n`}
	// A version that is no longer the loaded one of its content keeps nothing:
	// its receipt becomes that of a duplicate.
	accountDemoted = statement{"account_demoted", `with gone as (delete from takeovers where from_file = any($1::int8[]))
		update receipts set unchanged = stored + replaced + unchanged + outranked, stored = 0, replaced = 0, outranked = 0
		where file_id = any($1::int8[])`}
)

// account writes the receipts of all claimed files, their rejects and the
// takeovers. A receipt that does not balance ends the run: it is a bug.
func (c *committer) account(ctx context.Context, b *ingest.Batch) error {
	batch := &pgconn.Batch{}
	exec := func(s statement, p columns) {
		if p[0].n > 0 {
			batch.ExecPrepared(s.name, p.params(), binaryFormat, binaryFormat)
		}
	}
	receipts, err := c.receipts(b)
	if err != nil {
		return err
	}
	again, demoted := newColumns(oidInt8), newColumns(oidInt8)
	rejects := newColumns(oidInt8, oidInt8, oidInt4, oidText, oidText)
	for i := range c.claims {
		cl := &c.claims[i]
		if !cl.writes() {
			continue
		}
		if cl.again() {
			again[0].int8(cl.id)
		}
		if cl.demote != 0 {
			demoted[0].int8(cl.demote)
		}
		addRejects(rejects, cl.id, b.Spans[cl.span].Rejects)
	}
	exec(accountReceipts, receipts)
	exec(accountForget, again)
	exec(accountRejects, rejects)
	exec(accountTakeovers, c.takeoverColumns())
	exec(accountDemoted, demoted)
	if _, err := c.conn.ExecBatch(ctx, batch).ReadAll(); err != nil {
		return fmt.Errorf("writing receipts: %w", err)
	}
	return nil
}

func (c *committer) receipts(b *ingest.Batch) (columns, error) {
	p := newColumns(oidInt8, oidTimestamptz, oidTimestamptz,
		oidInt8, oidInt8, oidInt8, oidInt8, oidInt8, oidInt8, oidInt8, oidInt8, oidInt8,
		oidInt8, oidInt8, oidInt8, oidInt8, oidInt8, oidInt8, oidInt8, oidInt8, oidText)
	for i := range c.claims {
		cl := &c.claims[i]
		if !cl.writes() {
			continue
		}
		s := &b.Spans[cl.span]
		if err := s.Receipt.Balance(); err != nil {
			return nil, fmt.Errorf("this is a bug in Penstock, please report it: %s: %w", ingest.EscapePath(s.File.Path), err)
		}
		p[0].int8(cl.id)
		var x extent
		if s.State == ingest.Loaded { // of the span: duplicates have an extent, too
			x = c.extentOf(b, s)
		}
		if len(x.series) == 0 {
			p[1].null()
			p[2].null()
		} else {
			p[1].time(x.first)
			p[2].time(x.last)
		}
		for j, n := range counts(&s.Receipt) {
			p[3+j].int8(n)
		}
		p[20].text(arrayText(x.series))
	}
	return p, nil
}

// counts lists a receipt's counts in the order of the table's columns.
func counts(r *ingest.Receipt) [17]int64 {
	l, c := &r.Lines, &r.Cells
	return [...]int64{l.Total, l.Preamble, l.Header, l.Blank, l.Comment, l.Footer, l.Message, l.Data, l.Rejected,
		c.Total, c.Missing, c.Rejected, c.Repeated, c.Stored, c.Replaced, c.Unchanged, c.Outranked}
}

// arrayText is an array of ids in PostgreSQL's text form: an array of arrays
// of unequal lengths has no binary one.
func arrayText(ids []int32) string {
	s := []byte{'{'}
	for i, id := range ids {
		if i > 0 {
			s = append(s, ',')
		}
		s = strconv.AppendInt(s, int64(id), 10)
	}
	return string(append(s, '}'))
}

// receipt reads one file's receipt back.
func (s *Store) receipt(ctx context.Context, id int64) (r ingest.Receipt, err error) {
	l, c := &r.Lines, &r.Cells
	err = s.pool.QueryRow(ctx, `select lines, lines_preamble, lines_header, lines_blank, lines_comment, lines_footer, lines_message, lines_data, lines_rejected,
		cells, missing, rejected, repeated, stored, replaced, unchanged, outranked from receipts where file_id = $1`, id).Scan(
		&l.Total, &l.Preamble, &l.Header, &l.Blank, &l.Comment, &l.Footer, &l.Message, &l.Data, &l.Rejected,
		&c.Total, &c.Missing, &c.Rejected, &c.Repeated, &c.Stored, &c.Replaced, &c.Unchanged, &c.Outranked)
	if err != nil {
		return r, fmt.Errorf("reading the receipt of file %d: %w", id, err)
	}
	return r, nil
}

func addRejects(p columns, id int64, rejects []ingest.Reject) {
	for i := range rejects {
		r := &rejects[i]
		p[0].int8(id)
		p[1].int8(r.Line)
		p[2].int4(int32(r.Column))
		p[3].text(plain(r.Reason))
		p[4].text(ingest.EscapePath(r.Raw))
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

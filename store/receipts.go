package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"penstock/ingest"
)

// A receipt stands in the ledger's row of its file version. Most counts of most are
// 0. The table has null for those, which takes no room in a row, and what no file of
// a chunk has is left out of the chunk's COPY: a third of what they cost, in time and
// in log. The view receipts, which is for all who read, has them as 0.

// countColumns is the columns of a receipt's counts, in the order of counts, as the
// view has them; the table has n_ before each name, so that people can join the two.
// Sparse are those that may be null.
var countColumns = [...]struct {
	name   string
	sparse bool
}{
	{"lines", false}, {"lines_preamble", true}, {"lines_header", false}, {"lines_blank", true}, {"lines_comment", true},
	{"lines_footer", true}, {"lines_message", true}, {"lines_data", false}, {"lines_rejected", true},
	{"cells", false}, {"missing", true}, {"rejected", true}, {"withheld", true}, {"repeated", true},
	{"stored", false}, {"replaced", true}, {"unchanged", true}, {"outranked", true},
}

// countsSQL selects a receipt's counts, of r, in the same order.
const countsSQL = `r.lines, r.lines_preamble, r.lines_header, r.lines_blank, r.lines_comment, r.lines_footer, r.lines_message, r.lines_data, r.lines_rejected,
	r.cells, r.missing, r.rejected, r.withheld, r.repeated, r.stored, r.replaced, r.unchanged, r.outranked`

// counts lists a receipt's counts.
func counts(r *ingest.Receipt) [len(countColumns)]int64 {
	l, c := &r.Lines, &r.Cells
	return [...]int64{l.Total, l.Preamble, l.Header, l.Blank, l.Comment, l.Footer, l.Message, l.Data, l.Rejected,
		c.Total, c.Missing, c.Rejected, c.Withheld, c.Repeated, c.Stored, c.Replaced, c.Unchanged, c.Outranked}
}

// receiptColumns finds out which counts the receipts of the claims need that are new
// to the ledger, and lists the columns in the order in which addReceipt writes them.
func (c *committer) receiptColumns(b *ingest.Batch) string {
	var has [len(countColumns)]int64
	for i := range c.claims {
		if cl := &c.claims[i]; cl.writes() && !cl.again() {
			for k, n := range counts(&b.Spans[cl.span].Receipt) {
				has[k] |= n
			}
		}
	}
	var names strings.Builder
	names.WriteString(", span_first, span_last, series_ids")
	c.counted = c.counted[:0]
	for k, column := range countColumns {
		if !column.sparse || has[k] != 0 {
			c.counted = append(c.counted, k)
			names.WriteString(", n_" + column.name)
		}
	}
	return names.String()
}

// addReceipt adds the columns of a receipt to a row.
func (c *committer) addReceipt(t *copyTable, b *ingest.Batch, s *ingest.Span) error {
	x, err := c.extentOfReceipt(b, s)
	if err != nil {
		return err
	}
	addInstants(&t.column, &t.column, &x)
	t.int4s(x.series)
	all := counts(&s.Receipt)
	for _, k := range c.counted {
		addCount(&t.column, k, all[k])
	}
	return nil
}

// extentOfReceipt is the extent that the receipt of a span tells. A receipt that does
// not balance ends the run: it is a bug. A file with an instant that no timestamptz
// holds is at fault: on the way to the readings it may have wrapped to one that fits.
func (c *committer) extentOfReceipt(b *ingest.Batch, s *ingest.Span) (x extent, err error) {
	if err := s.Receipt.Balance(); err != nil {
		return x, fmt.Errorf("this is a bug in Penstock, please report it: %s: %w", ingest.EscapePath(s.File.Path), err)
	}
	if s.State == ingest.Loaded { // of the span: a duplicate has an extent, too
		x = c.extentOf(b, s)
	}
	if x.first < firstInstant {
		return x, &fault{"the database refuses it: an instant of it is before 4714 BC, out of the range of a timestamp"}
	}
	return x, nil
}

func addInstants(first, last *column, x *extent) {
	if len(x.series) == 0 {
		first.null()
		last.null()
	} else {
		first.time(x.first)
		last.time(x.last)
	}
}

// addCount adds a count, by its index in countColumns.
func addCount(to *column, k int, n int64) {
	if n == 0 && countColumns[k].sparse {
		to.null()
	} else {
		to.int8(n)
	}
}

// receiptAgain writes the receipts of versions that the ledger has already.
var receiptAgain = statement{"receipt_again", func() string {
	set, of, names := "span_first = c.first_ts, span_last = c.last_ts, series_ids = c.series::int4[]", "$1::int8[], $2::timestamptz[], $3::timestamptz[], $4::text[]", "id, first_ts, last_ts, series"
	for k, column := range countColumns {
		set += fmt.Sprintf(", n_%[1]s = c.%[1]s", column.name)
		of += fmt.Sprintf(", $%d::int8[]", firstCount+k+1)
		names += ", " + column.name
	}
	return fmt.Sprintf("update files f set %s from unnest(%s) as c(%s) where f.id = c.id", set, of, names)
}()}

const firstCount = 4 // the index of the first count among the columns of receiptAgain

func newReceiptsAgain() columns {
	oids := append(make([]uint32, 0, firstCount+len(countColumns)), oidInt8, oidTimestamptz, oidTimestamptz, oidText)
	for range countColumns {
		oids = append(oids, oidInt8)
	}
	return newColumns(oids...)
}

// addReceiptAgain adds a row for receiptAgain.
func (c *committer) addReceiptAgain(to columns, id int64, b *ingest.Batch, s *ingest.Span) error {
	x, err := c.extentOfReceipt(b, s)
	if err != nil {
		return err
	}
	to[0].int8(id)
	addInstants(&to[1], &to[2], &x)
	series := make([]string, len(x.series))
	for i, id := range x.series {
		series[i] = strconv.Itoa(int(id))
	}
	to[3].text("{" + strings.Join(series, ",") + "}")
	for k, n := range counts(&s.Receipt) {
		addCount(&to[firstCount+k], k, n)
	}
	return nil
}

// receipt reads one file's receipt back.
func (s *Store) receipt(ctx context.Context, id int64) (r ingest.Receipt, err error) {
	l, c := &r.Lines, &r.Cells
	err = s.pool.QueryRow(ctx, "select "+countsSQL+" from receipts r where file_id = $1", id).Scan(
		&l.Total, &l.Preamble, &l.Header, &l.Blank, &l.Comment, &l.Footer, &l.Message, &l.Data, &l.Rejected,
		&c.Total, &c.Missing, &c.Rejected, &c.Withheld, &c.Repeated, &c.Stored, &c.Replaced, &c.Unchanged, &c.Outranked)
	if err != nil {
		return r, fmt.Errorf("reading the receipt of file %d: %w", id, err)
	}
	return r, nil
}

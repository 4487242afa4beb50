package store

import (
	"context"
	"fmt"
	"strings"

	"penstock/ingest"
)

// Most counts of most receipts are 0. The table counts has null for those, which
// takes no room in a row, and what no file of a chunk has is left out of the chunk's
// COPY: a third of what the rows cost, in time and in log. The view receipts, which
// is for all who read, has them as 0.

// countColumns is the columns of a receipt's counts, in the order of counts.
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

const rowOfReceipts = 160 // about how many bytes one takes

// countsSQL selects a receipt's counts, of r, in the same order.
const countsSQL = `r.lines, r.lines_preamble, r.lines_header, r.lines_blank, r.lines_comment, r.lines_footer, r.lines_message, r.lines_data, r.lines_rejected,
	r.cells, r.missing, r.rejected, r.withheld, r.repeated, r.stored, r.replaced, r.unchanged, r.outranked`

// counts lists a receipt's counts.
func counts(r *ingest.Receipt) [len(countColumns)]int64 {
	l, c := &r.Lines, &r.Cells
	return [...]int64{l.Total, l.Preamble, l.Header, l.Blank, l.Comment, l.Footer, l.Message, l.Data, l.Rejected,
		c.Total, c.Missing, c.Rejected, c.Withheld, c.Repeated, c.Stored, c.Replaced, c.Unchanged, c.Outranked}
}

// tellCounts finds out which counts the receipts of the claims need.
func (c *committer) tellCounts(b *ingest.Batch) {
	var has [len(countColumns)]int64
	for i := range c.claims {
		if cl := &c.claims[i]; cl.writes() {
			for k, n := range counts(&b.Spans[cl.span].Receipt) {
				has[k] |= n
			}
		}
	}
	c.counted = c.counted[:0]
	for k, column := range countColumns {
		if !column.sparse || has[k] != 0 {
			c.counted = append(c.counted, k)
		}
	}
}

// receiptColumns is the columns of receipts in the order in which addReceipt
// writes them.
func (c *committer) receiptColumns() string {
	var names strings.Builder
	names.WriteString("counts (file_id, first_ts, last_ts, series")
	for _, k := range c.counted {
		names.WriteString(", " + countColumns[k].name)
	}
	return names.String() + ")"
}

// addReceipt adds a row of the table counts. A file with an instant that no
// timestamptz holds is at fault: on the way to the readings it may have wrapped to
// one that fits.
func (c *committer) addReceipt(t *copyTable, id int64, b *ingest.Batch, s *ingest.Span) error {
	t.row(4 + len(c.counted))
	t.int8(id)
	var x extent
	if s.State == ingest.Loaded { // of the span: a duplicate has an extent, too
		x = c.extentOf(b, s)
	}
	if x.first < firstInstant {
		return &fault{"the database refuses it: an instant of it is before 4714 BC, out of the range of a timestamp"}
	}
	if len(x.series) == 0 {
		t.null()
		t.null()
	} else {
		t.time(x.first)
		t.time(x.last)
	}
	t.int4s(x.series)
	all := counts(&s.Receipt)
	for _, k := range c.counted {
		if all[k] == 0 && countColumns[k].sparse {
			t.null()
		} else {
			t.int8(all[k])
		}
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

package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"

	"penstock/ingest"
)

// A copyReader encodes readings in the order of a selection in PostgreSQL's
// binary COPY format (PostgreSQL documentation, COPY, "Binary Format"),
// straight into the buffer that goes to the server. It is an io.Reader.
type copyReader struct {
	batch *ingest.Batch
	from  picked
	ids   []int32 // series id by key of the batch
	files []int64 // file id by span

	quality bool // with the quality column
	next    int  // the next element of from
	pending []byte
	spill   []byte // a row that the buffer has no room for
	ended   bool
}

const (
	plainRow   = 2 + 4 + 4 + 4 + 8 + 4 + 8 + 4 + 8
	copyHeader = "PGCOPY\n\377\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"
)

// copyColumns is the columns of a COPY, in the order in which the reader
// writes them.
func copyColumns(quality bool) string {
	if quality {
		return "(series_id, ts, value, file_id, quality)"
	}
	return "(series_id, ts, value, file_id)"
}

func (c *copyReader) start(b *ingest.Batch, from picked, ids []int32, files []int64) {
	*c = copyReader{batch: b, from: from, ids: ids, files: files, quality: len(b.Quality) > 0, spill: c.spill}
	c.pending = append(c.spill[:0], copyHeader...)
}

func (c *copyReader) Read(p []byte) (int, error) {
	n := copy(p, c.pending)
	c.pending = c.pending[n:]
	if len(c.pending) > 0 {
		return n, nil
	}
	if c.quality {
		n += c.fillWithQuality(p[n:])
	} else {
		n += c.fill(p[n:])
	}
	if n == 0 && c.ended {
		return 0, io.EOF
	}
	return n, nil
}

// fill writes as many whole rows as p has room for, and the trailer after the
// last one.
func (c *copyReader) fill(p []byte) int {
	n := 0
	for c.next < len(c.from.rows) {
		if len(p)-n < plainRow {
			return n
		}
		c.encode(p[n:n+plainRow:n+plainRow], 4)
		n += plainRow
	}
	return n + c.end(p[n:])
}

func (c *copyReader) end(p []byte) int {
	if c.ended || len(p) < 2 {
		return 0
	}
	c.ended = true
	binary.BigEndian.PutUint16(p, math.MaxUint16)
	return 2
}

// encode writes the next row's fixed columns into p, which is plainRow long.
func (c *copyReader) encode(p []byte, columns uint16) {
	r := c.from.rows[c.next]
	span := c.from.spans[c.next]
	c.next++
	_ = p[plainRow-1]
	binary.BigEndian.PutUint16(p[0:], columns)
	binary.BigEndian.PutUint32(p[2:], 4)
	binary.BigEndian.PutUint32(p[6:], uint32(c.ids[c.batch.Series[r]]))
	binary.BigEndian.PutUint32(p[10:], 8)
	binary.BigEndian.PutUint64(p[14:], uint64(c.batch.Time[r]-postgresEpoch))
	binary.BigEndian.PutUint32(p[22:], 8)
	binary.BigEndian.PutUint64(p[26:], math.Float64bits(c.batch.Value[r]))
	binary.BigEndian.PutUint32(p[34:], 8)
	binary.BigEndian.PutUint64(p[38:], uint64(c.files[span]))
}

func (c *copyReader) fillWithQuality(p []byte) int {
	n := 0
	for c.next < len(c.from.rows) {
		quality := c.batch.Qualities[c.batch.Quality[c.from.rows[c.next]]]
		row := p[n:]
		if need := plainRow + 4 + len(quality); len(row) < need {
			if n > 0 {
				return n
			}
			// A quality longer than the whole buffer.
			c.spill = append(c.spill[:0], make([]byte, need)...)
			row = c.spill
		}
		c.encode(row[:plainRow], 5)
		size := plainRow + 4
		if quality == "" {
			binary.BigEndian.PutUint32(row[plainRow:], math.MaxUint32) // null
		} else {
			binary.BigEndian.PutUint32(row[plainRow:], uint32(len(quality)))
			size += copy(row[size:], quality)
		}
		if n == 0 && len(p) < size {
			n = copy(p, c.spill)
			c.pending = c.spill[n:]
			return n
		}
		n += size
	}
	return n + c.end(p[n:])
}

// copyReadings sends some of the ordered readings to the table.
func (c *committer) copyReadings(ctx context.Context, b *ingest.Batch, some picked) error {
	if c.pays(b, some) {
		if _, err := c.conn.Exec(ctx, compressSQL).ReadAll(); err != nil {
			return fmt.Errorf("having readings compressed as they come: %w", err)
		}
		return c.copyWhole(ctx, b, some, "readings")
	}
	return c.copyRows(ctx, b, some, "readings")
}

// copyRows sends some of the ordered readings to a table: few of them in pieces, with
// what waits to be sent along.
func (c *committer) copyRows(ctx context.Context, b *ingest.Batch, some picked, table string) error {
	if len(some.rows) > piecesUpTo {
		return c.copyWhole(ctx, b, some, table)
	}
	table += " " + copyColumns(len(b.Quality) > 0)
	for lo := 0; lo < len(some.rows); lo += rowsOfPiece {
		hi := min(lo+rowsOfPiece, len(some.rows))
		c.copy.start(b, picked{some.rows[lo:hi], some.spans[lo:hi]}, c.table.ids, c.files)
		if err := c.copies.add(table, hi-lo, (hi-lo)*plainRow, &c.copy); err != nil {
			return fmt.Errorf("copying readings: %w", err)
		}
	}
	if err := c.copies.send(ctx, c.conn); err != nil {
		return fmt.Errorf("copying readings: %w", err)
	}
	return nil
}

// copyWhole sends some of the ordered readings to a table in one COPY.
func (c *committer) copyWhole(ctx context.Context, b *ingest.Batch, some picked, table string) error {
	if err := c.copies.send(ctx, c.conn); err != nil {
		return fmt.Errorf("copying what comes before readings: %w", err)
	}
	c.copy.start(b, some, c.table.ids, c.files)
	tag, err := copyFrom(ctx, c.conn, &c.copy, "copy "+table+" "+copyColumns(c.copy.quality)+" from stdin binary")
	if err != nil {
		return fmt.Errorf("copying readings: %w", err)
	}
	if int(tag.RowsAffected()) != len(some.rows) {
		return fmt.Errorf("copying readings: sent %d, %d arrived", len(some.rows), tag.RowsAffected())
	}
	return nil
}

// copyFrom sends what r gives in one COPY. Nobody reads from r any more when it
// returns: the driver's goroutine, which does, may outlive CopyFrom where the
// connection breaks, and r is used again by the next try.
func copyFrom(ctx context.Context, conn *pgconn.PgConn, r io.Reader, sql string) (pgconn.CommandTag, error) {
	lent := lentReader{from: r}
	defer lent.takeBack()
	return conn.CopyFrom(ctx, &lent, sql)
}

type lentReader struct {
	mu   sync.Mutex
	from io.Reader // nil once it is taken back
}

func (l *lentReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.from == nil {
		return 0, io.ErrClosedPipe
	}
	return l.from.Read(p)
}

func (l *lentReader) takeBack() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.from = nil
}

// An extent is the instants and the series that one file's readings span. It is
// valid until the next one is collected.
type extent struct {
	first, last int64
	series      []int32
}

// extentOf collects the extent of all readings of a span, those that another
// file outranks as well: by it a correction finds the files that have a
// reading to put where one is taken out.
func (c *committer) extentOf(b *ingest.Batch, s *ingest.Span) extent {
	var x extent
	if s.Begin == s.End {
		return x
	}
	t := &c.table
	x.series = c.spanned[:0]
	c.seen = slices.Grow(c.seen[:0], len(b.Keys))[:len(b.Keys)]
	x.first, x.last = b.Time[s.Begin], b.Time[s.Begin]
	for r := s.Begin; r < s.End; r++ {
		x.first, x.last = min(x.first, b.Time[r]), max(x.last, b.Time[r])
		if k := b.Series[r]; !c.seen[k] {
			c.seen[k] = true
			x.series = append(x.series, k)
		}
	}
	for i, k := range x.series {
		c.seen[k] = false // all of it stays false from one span to the next
		x.series[i] = t.ids[k]
	}
	c.spanned = x.series
	slices.Sort(x.series)
	x.series = slices.Compact(x.series)
	return x
}

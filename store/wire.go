package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
)

// The ledger's statements take their rows as arrays, one per column, and go to
// the server in PostgreSQL's binary format (PostgreSQL documentation, "Binary
// arrays": array_send in src/backend/utils/adt/arrayfuncs.c). They are built
// here without reflection, for they are paid once per file.

// The object ids of PostgreSQL's built-in types (pg_type.dat), which are the
// same on every server.
const (
	oidBool        = 16
	oidBytea       = 17
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidText        = 25
	oidTimestamptz = 1184
	oidUUID        = 2950
	oidFloat8      = 701
)

// postgresEpoch is 2000-01-01 in microseconds since the Unix epoch.
const postgresEpoch = 946_684_800_000_000

// firstInstant is the first that a timestamptz can hold, 4714-11-24 BC, in
// microseconds since the Unix epoch; what a database cannot hold at the other
// end, an int64 cannot either (PostgreSQL's datatype/timestamp.h).
const firstInstant = -211_813_488_000_000_000 + postgresEpoch

// A column is one array parameter under construction.
type column struct {
	buf   []byte
	n     int
	nulls bool
}

const (
	arrayHeader = 20
	noHeader    = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
)

func (c *column) reset(oid uint32) {
	c.buf = append(c.buf[:0], noHeader...)
	c.n, c.nulls = 0, false
	binary.BigEndian.PutUint32(c.buf[8:], oid)
}

// param finishes the array and returns it as a parameter. It is valid until
// the next reset.
func (c *column) param() []byte {
	if c.n == 0 {
		return append(c.buf[:0], 0, 0, 0, 0, 0, 0, 0, 0, c.buf[8], c.buf[9], c.buf[10], c.buf[11])
	}
	binary.BigEndian.PutUint32(c.buf[0:], 1) // dimensions
	binary.BigEndian.PutUint32(c.buf[4:], 0)
	if c.nulls {
		binary.BigEndian.PutUint32(c.buf[4:], 1)
	}
	binary.BigEndian.PutUint32(c.buf[12:], uint32(c.n))
	binary.BigEndian.PutUint32(c.buf[16:], 1) // lower bound
	return c.buf
}

func (c *column) int2(v int16) {
	c.n++
	c.buf = binary.BigEndian.AppendUint32(c.buf, 2)
	c.buf = binary.BigEndian.AppendUint16(c.buf, uint16(v))
}

func (c *column) int4(v int32) {
	c.n++
	c.buf = binary.BigEndian.AppendUint32(c.buf, 4)
	c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(v))
}

func (c *column) int8(v int64) {
	c.n++
	c.buf = binary.BigEndian.AppendUint32(c.buf, 8)
	c.buf = binary.BigEndian.AppendUint64(c.buf, uint64(v))
}

func (c *column) float8(v float64) { c.int8(int64(math.Float64bits(v))) }

// time appends microseconds since the Unix epoch as a timestamptz. Before the
// first that there is, it is the first: file systems hold impossible times.
func (c *column) time(us int64) { c.int8(max(us, firstInstant) - postgresEpoch) }

func (c *column) bool(v bool) {
	c.n++
	b := byte(0)
	if v {
		b = 1
	}
	c.buf = append(binary.BigEndian.AppendUint32(c.buf, 1), b)
}

func (c *column) bytes(v []byte) {
	c.n++
	c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(len(v)))
	c.buf = append(c.buf, v...)
}

func (c *column) text(v string) {
	c.n++
	c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(len(v)))
	c.buf = append(c.buf, v...)
}

func (c *column) null() {
	c.n++
	c.nulls = true
	c.buf = binary.BigEndian.AppendUint32(c.buf, math.MaxUint32)
}

// A copyTable builds rows for a table in PostgreSQL's binary COPY format. Each
// row is begun with row and then gets its fields in order, as a column gets
// its elements.
type copyTable struct {
	column
	rows int
}

// start empties the table, and makes room for rows of about so many bytes in all.
func (t *copyTable) start(room int) {
	t.buf, t.rows = append(slices.Grow(t.buf[:0], room), copyHeader...), 0
}

func (t *copyTable) row(fields int) {
	t.rows++
	t.buf = binary.BigEndian.AppendUint16(t.buf, uint16(fields))
}

// int4s appends an array.
func (c *column) int4s(v []int32) {
	at := len(c.buf)
	c.buf = append(c.buf, 0, 0, 0, 0) // its size, once it is known
	a := column{buf: c.buf[at+4:]}
	a.reset(oidInt4)
	for _, x := range v {
		a.int4(x)
	}
	c.n++
	c.buf = append(c.buf[:at+4], a.param()...) // nothing moves where there was room
	binary.BigEndian.PutUint32(c.buf[at:], uint32(len(c.buf)-at-4))
}

// queue has the rows copied into a table, if there are any.
func (t *copyTable) queue(to *copies, table string) error {
	if t.rows == 0 {
		return nil
	}
	t.buf = binary.BigEndian.AppendUint16(t.buf, math.MaxUint16)
	return to.add(table, t.rows, len(t.buf), bytes.NewReader(t.buf))
}

// columns is the parameters of one statement.
type columns []column

func newColumns(oids ...uint32) columns {
	c := make(columns, len(oids))
	c.reset(oids)
	return c
}

func (c columns) reset(oids []uint32) {
	for i := range c {
		c[i].reset(oids[i])
	}
}

func (c columns) params() [][]byte {
	p := make([][]byte, len(c))
	for i := range c {
		p[i] = c[i].param()
	}
	return p
}

// readInt4s reads an array without nulls, of one dimension or none.
func readInt4s(array []byte) (v []int32) {
	for at := arrayHeader; at < len(array); at += 8 {
		v = append(v, int32(binary.BigEndian.Uint32(array[at+4:])))
	}
	return v
}

func int2Param(v int16) []byte { return binary.BigEndian.AppendUint16(nil, uint16(v)) }

func int4Param(v int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(v)) }

func int8Param(v int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v)) }

// timeParam is as column.time.
func timeParam(us int64) []byte { return int8Param(max(us, firstInstant) - postgresEpoch) }

func boolParam(v bool) []byte {
	if v {
		return []byte{1}
	}
	return []byte{0}
}

// A record reads the columns of one result row, in binary, in order.
type record struct {
	values [][]byte
	next   int
}

func (r *record) raw() []byte {
	v := r.values[r.next]
	r.next++
	return v
}

func (r *record) int2() int16  { return int16(binary.BigEndian.Uint16(r.raw())) }
func (r *record) int4() int32  { return int32(binary.BigEndian.Uint32(r.raw())) }
func (r *record) int8() int64  { return int64(binary.BigEndian.Uint64(r.raw())) }
func (r *record) time() int64  { return r.int8() + postgresEpoch }
func (r *record) bool() bool   { return r.raw()[0] != 0 }
func (r *record) text() string { return string(r.raw()) }

func (r *record) float8() float64 { return math.Float64frombits(binary.BigEndian.Uint64(r.raw())) }

// appendInt8s appends the elements of an array of int8 in which none is null.
func (r *record) appendInt8s(to []int64) []int64 {
	b := r.raw()
	if len(b) < arrayHeader { // null, or empty
		return to
	}
	for b = b[arrayHeader:]; len(b) > 0; b = b[4+8:] {
		to = append(to, int64(binary.BigEndian.Uint64(b[4:])))
	}
	return to
}

// null reports whether the next column is null, and skips it if so.
func (r *record) null() bool {
	if r.values[r.next] != nil {
		return false
	}
	r.next++
	return true
}

func (r *record) uuid() (k [16]byte) {
	copy(k[:], r.raw())
	return k
}

// binaryFormat asks for every result column in binary.
var binaryFormat = []int16{1}

// A statement is prepared on those of the committers' connections that need it.
type statement struct {
	name, sql string
}

// prepare prepares statements on a connection in one round trip.
func prepare(ctx context.Context, conn *pgconn.PgConn, statements []statement) error {
	p := conn.StartPipeline(ctx)
	for _, s := range statements {
		p.SendPrepare(s.name, s.sql, nil)
	}
	if err := p.Sync(); err != nil {
		return err
	}
	for _, s := range statements {
		if _, err := p.GetResults(); err != nil {
			_ = p.Close() // the statement's error is the one to tell
			return fmt.Errorf("preparing statement %s: %w", s.name, err)
		}
	}
	return p.Close()
}

// execute runs a statement that is not prepared, in the transaction under way or
// one of its own.
func execute(ctx context.Context, conn *pgconn.PgConn, sql string, params [][]byte, each func(*record)) error {
	r := conn.ExecParams(ctx, sql, params, nil, binaryFormat, binaryFormat)
	eachRow(r, each)
	_, err := r.Close()
	return err
}

func eachRow(r *pgconn.ResultReader, each func(*record)) {
	for r.NextRow() {
		if each != nil {
			each(&record{values: r.Values()})
		}
	}
}

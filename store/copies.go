package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// A COPY of few rows costs the server more for what it makes ready than for the rows.
// Up to a thousand of them wait in slots until they are written, and that each slot
// uses the table's description is noted in a hash table, all in one place, so that
// each is put there and taken out past all the others (PostgreSQL's resowner.c). Four
// COPYs of 250 rows cost a quarter less than one of a thousand. From 2,000 rows on one
// COPY is the better, as it makes a thousand slots and no more.
const (
	rowsOfPiece = 250
	piecesUpTo  = 2000 // rows
)

// A copies is COPYs that go to the server together, as one query of as many
// statements and all that they copy behind it: one round trip. None that follows one
// that fails is carried out.
type copies struct {
	sql  strings.Builder
	rows []int  // of each
	data []byte // the messages behind the query (PostgreSQL documentation, "Message Formats")
}

const (
	copyData = 'd'
	copyDone = "c\x00\x00\x00\x04"
)

// add adds a COPY of so many rows, of what r gives in the binary format, into a
// table, which comes with its columns. room is about how many bytes that is; all are
// in memory at once.
func (c *copies) add(table string, rows, room int, r io.Reader) error {
	fmt.Fprintf(&c.sql, "copy %s from stdin binary;", table)
	c.rows = append(c.rows, rows)
	begin := len(c.data)
	c.data = append(slices.Grow(c.data, room+4<<10), copyData, 0, 0, 0, 0)
	for {
		c.data = slices.Grow(c.data, 4<<10)
		n, err := r.Read(c.data[len(c.data):cap(c.data)])
		c.data = c.data[:len(c.data)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	binary.BigEndian.PutUint32(c.data[begin+1:], uint32(len(c.data)-begin-1))
	c.data = append(c.data, copyDone...)
	return nil
}

// reset forgets what was added.
func (c *copies) reset() {
	c.sql.Reset()
	c.rows, c.data = c.rows[:0], c.data[:0]
}

// send carries out what was added, and forgets it. An error that is not the server's
// closes the connection.
func (c *copies) send(ctx context.Context, conn *pgconn.PgConn) error {
	defer c.reset()
	if len(c.rows) == 0 {
		return nil
	}
	end := context.AfterFunc(ctx, func() { stop(conn) })
	arrived, refused, err := c.exchange(ctx, conn)
	if !end() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		abandon(conn)
	}
	switch {
	case refused != nil:
		return refused
	case err != nil:
		return err
	case !slices.Equal(arrived, c.rows):
		return fmt.Errorf("sent %d rows, %d arrived", c.rows, arrived)
	}
	return nil
}

// stop has whoever waits for the connection fail at once.
func stop(conn *pgconn.PgConn) { _ = conn.Conn().SetDeadline(time.Unix(1, 0)) }

// abandon has the driver close the connection, and the server end what it is at there:
// it may wait for a lock, and would not notice. The driver does so, beside us, where a
// statement fails to be sent.
func abandon(conn *pgconn.PgConn) {
	stop(conn)
	_, _ = conn.Exec(context.Background(), "").ReadAll()
}

// exchange sends everything, and then reads what the server says of it. It cannot be
// that both wait for the other to read: the answers are small.
func (c *copies) exchange(ctx context.Context, conn *pgconn.PgConn) (arrived []int, refused, err error) {
	to := conn.Frontend()
	to.SendQuery(&pgproto3.Query{String: c.sql.String()})
	if err := to.SendUnbufferedEncodedCopyData(c.data); err != nil {
		return nil, nil, err
	}
	for {
		message, err := conn.ReceiveMessage(ctx)
		if err != nil {
			return arrived, refused, err
		}
		switch m := message.(type) {
		case *pgproto3.CommandComplete:
			arrived = append(arrived, int(pgconn.NewCommandTag(string(m.CommandTag)).RowsAffected()))
		case *pgproto3.ErrorResponse:
			refused = pgconn.ErrorResponseToPgError(m)
		case *pgproto3.ReadyForQuery:
			return arrived, refused, nil
		}
	}
}

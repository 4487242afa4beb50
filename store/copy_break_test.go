package store

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// slow gives bytes of a COPY for ever. Once it breaks the connection, and is
// still at it a while later.
type slow struct {
	conn  *pgconn.PgConn
	reads int
	back  atomic.Bool // nobody may read any more
	late  atomic.Bool // somebody did
}

func (s *slow) Read(p []byte) (int, error) {
	if s.reads++; s.reads == 20 {
		_ = s.conn.Conn().Close() // it can be closed only once
		<-time.After(50 * time.Millisecond)
		s.late.Store(s.back.Load())
	}
	for i := range p {
		p[i] = "1\n"[i%2]
	}
	return len(p), nil
}

// A connection that breaks in the midst of a COPY leaves nobody behind who reads
// on from what the next try uses.
func TestNobodyReadsOnAfterACopyThatBroke(t *testing.T) {
	s := open(t, Options{})
	for range 3 {
		conn, err := s.connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "create temp table numbers (n int)").ReadAll(); err != nil {
			t.Fatal(err)
		}
		from := &slow{conn: conn}
		if err := brokenCopy(t.Context(), conn, from); err == nil {
			t.Fatal("the copy ended without an error")
		}
		closeConnection(conn)
		<-time.After(60 * time.Millisecond)
		if from.late.Load() {
			t.Fatal("it was read from after the copy had ended")
		}
	}
}

func brokenCopy(ctx context.Context, conn *pgconn.PgConn, from *slow) error {
	defer from.back.Store(true)
	_, err := copyFrom(ctx, conn, from, "copy numbers from stdin")
	return err
}

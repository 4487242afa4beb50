package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// connect opens the committer's connection if it has none, and prepares it.
func (c *committer) connect(ctx context.Context) error {
	if c.conn != nil && !c.conn.IsClosed() {
		return nil
	}
	// A server that crashed may give out again the ids that it gave us.
	c.conn, c.staging, c.ids = nil, false, nil
	conn, err := c.sink.store.connect(ctx)
	if err != nil {
		return fmt.Errorf("connecting to the store: %w", err)
	}
	if err := prepare(ctx, conn, statements); err != nil {
		_ = conn.Close(ctx) // the preparation's error is the one to tell
		return err
	}
	c.conn = conn
	return nil
}

var statements = []statement{
	claimNewest, claimTwins, claimLost, claimIDs, claimDemote, claimAgain, claimHint,
	seriesLook, seriesAdd, seriesUnit, loggerLook, feedLook, feedAdd,
	accountForget, accountTakeovers, accountInherit, accountDemoted, growthsKeep, growthsForget,
}

const stagingSQL = `create temp table if not exists staging (
	series_id int4 not null, ts timestamptz not null, value float8 not null, file_id int8 not null, quality text
) on commit delete rows`

// makeStaging makes the connection's staging table if it has none. Made within
// a transaction it would end with it.
func (c *committer) makeStaging(ctx context.Context) error {
	if c.staging {
		return nil
	}
	if _, err := c.conn.Exec(ctx, stagingSQL).ReadAll(); err != nil {
		return fmt.Errorf("making the staging table: %w", err)
	}
	c.staging = true
	return nil
}

// commit commits the transaction. After an error it may have been committed
// all the same: the next try finds out by the chunk token.
func (c *committer) commit(ctx context.Context) error {
	results, err := c.conn.Exec(ctx, "commit").ReadAll()
	if err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	if tag := results[0].CommandTag.String(); tag != "COMMIT" { // PostgreSQL's answer in a transaction that had failed
		return fmt.Errorf("committing: the server answered %s", tag)
	}
	return nil
}

// rollback leaves no transaction open, nor a connection on which that is not
// sure.
func (c *committer) rollback(ctx context.Context) {
	if c.conn == nil || c.conn.IsClosed() {
		return
	}
	if ctx.Err() != nil {
		c.disconnect() // the server rolls back
		return
	}
	if _, err := c.conn.Exec(ctx, "rollback").ReadAll(); err != nil {
		c.disconnect()
	}
}

// disconnect closes the connection; the server rolls back what is open on it.
func (c *committer) disconnect() {
	if c.conn == nil {
		return
	}
	closeConnection(c.conn)
	c.conn = nil
}

func closeConnection(conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = conn.Close(ctx) // nothing is lost with it
}

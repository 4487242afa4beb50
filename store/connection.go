package store

import (
	"context"
	"fmt"
)

// connect sees to it that the committer has a connection.
func (c *committer) connect(ctx context.Context) error {
	if c.conn != nil && !c.conn.IsClosed() {
		return nil
	}
	c.disconnect()
	lent, err := c.sink.store.connections.take(ctx)
	if err != nil {
		return fmt.Errorf("connecting to the store: %w", err)
	}
	c.lent, c.conn = lent, lent.conn
	return nil
}

// dial opens a connection for committers.
func (s *Store) dial(ctx context.Context) (*connection, error) {
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	return &connection{conn: conn, prepared: make(map[string]bool)}, nil
}

// prepare sees to it that the connection has statements prepared. Most chunks need
// few of those that there are, and all of them cost the server as much as the
// connection itself.
func (c *committer) prepare(ctx context.Context, statements ...statement) error {
	var missing []statement
	for _, s := range statements {
		if !c.lent.prepared[s.name] {
			missing = append(missing, s)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if err := prepare(ctx, c.conn, missing); err != nil {
		c.disconnect() // there is no telling which of them it has
		return err
	}
	for _, s := range missing {
		c.lent.prepared[s.name] = true
	}
	return nil
}

// rows runs a statement whose parameters are in binary and calls each with every
// row of its result.
func (c *committer) rows(ctx context.Context, s statement, params [][]byte, each func(*record)) error {
	if err := c.prepare(ctx, s); err != nil {
		return err
	}
	r := c.conn.ExecPrepared(ctx, s.name, params, binaryFormat, binaryFormat)
	eachRow(r, each)
	_, err := r.Close()
	return err
}

const stagingSQL = `create temp table if not exists staging (
	series_id int4 not null, ts timestamptz not null, value float8 not null, file_id int8 not null, quality text
) on commit delete rows`

// makeStaging makes the connection's staging table if it has none. Made within
// a transaction it would end with it.
func (c *committer) makeStaging(ctx context.Context) error {
	if c.lent.staging {
		return nil
	}
	if _, err := c.conn.Exec(ctx, stagingSQL).ReadAll(); err != nil {
		return fmt.Errorf("making the staging table: %w", err)
	}
	c.lent.staging = true
	return nil
}

// commit commits the transaction. After an error it may have been committed
// all the same: the next try finds out by the chunk token.
func (c *committer) commit(ctx context.Context) error {
	results, err := c.conn.Exec(ctx, "commit").ReadAll()
	c.unknown = err != nil
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
	c.copies.reset()
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
	c.sink.store.connections.drop()
	c.lent, c.conn = nil, nil
}

// giveBack leaves the connection to others, unless they cannot use it.
func (c *committer) giveBack() {
	if c.conn == nil {
		return
	}
	if c.conn.IsClosed() || c.conn.IsBusy() || c.conn.TxStatus() != 'I' {
		c.disconnect()
		return
	}
	c.sink.store.connections.give(c.lent)
	c.lent, c.conn = nil, nil
}

package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// A fault is what the database, or the policy error, has against the content
// of a chunk. The file that brings it is quarantined.
type fault struct{ reason string }

func (f *fault) Error() string { return f.reason }

// A callersError comes from what a correction's caller does within it, reading
// bytes or printing. What a disk or a pipe says must not pass for the database's
// connection, and be waited out.
type callersError struct{ error }

func (e *callersError) Unwrap() error { return e.error }

// raceLimit is how often in a row a transaction may lose against others before
// that is an error. Each loss means that another one got on.
const raceLimit = 1000

// A verdict is what an error of a transaction asks for.
type verdict int

const (
	giveUp    verdict = iota // an operator must see to it
	tryAgain                 // others were faster: at once
	tryStaged                // readings are there already: at once, through staging
	tryUpsert                // what is there is compressed: at once, through an upsert
	tryLater                 // the database is away or short of something: after a while
	refuse                   // the content is at fault
)

// judge sorts errors by their SQLSTATE (PostgreSQL documentation, appendix A).
func judge(err error) verdict {
	if errors.Is(err, errRaced) {
		return tryAgain
	}
	if c := (*callersError)(nil); errors.As(err, &c) {
		return giveUp
	}
	if f := (*fault)(nil); errors.As(err, &f) {
		return refuse
	}
	pg := (*pgconn.PgError)(nil)
	if !errors.As(err, &pg) {
		return judgeConnection(err)
	}
	switch {
	case pg.Code == "23505" && ownTable(pg.TableName):
		return tryAgain
	case pg.Code == "23505":
		return tryStaged
	case pg.Code == "23514" && strings.HasSuffix(pg.ConstraintName, "_balance"):
		return giveUp
	case pg.Code == "0A000" && strings.Contains(pg.Message, "compressed tuples"):
		return tryUpsert
	case pg.Code == "40P01" || pg.Code == "40001":
		return tryAgain
	case pg.Code == lockNotAvailable || pg.Code == "25006" || pg.Code == "25P03",
		strings.HasPrefix(pg.Code, "57P0"),
		strings.HasPrefix(pg.Code, "08"), strings.HasPrefix(pg.Code, "40"), strings.HasPrefix(pg.Code, "53"):
		return tryLater
	case strings.HasPrefix(pg.Code, "22"), strings.HasPrefix(pg.Code, "23"),
		pg.Code == "54000": // a name too long for an index, a row too long for a page
		return refuse
	}
	return giveUp
}

// ownTable tells the ledger's tables, on which only our own commits meet, from
// the readings, whose chunks have names of TimescaleDB's.
func ownTable(name string) bool {
	switch name {
	case "files", "series", "recipes", "takeovers", "sources", "feeds", "held", "passes", "shapes", "growths", "loadings", "parts", "waiting":
		return true
	}
	return false
}

// judgeConnection judges what came from the connection and not from the
// server.
func judgeConnection(err error) verdict {
	var certificate *tls.CertificateVerificationError
	var parse *pgconn.ParseConfigError
	var connect *pgconn.ConnectError
	var network net.Error
	switch {
	case errors.As(err, &certificate), errors.As(err, &parse):
		return giveUp
	case errors.As(err, &connect), errors.As(err, &network), pgconn.SafeToRetry(err),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return tryLater
	}
	return giveUp
}

// retrying calls f until it succeeds, or fails with an error that no further
// call mends. A fault comes back as a *fault.
func (c *committer) retrying(ctx context.Context, f func() error) error {
	wait := c.sink.store.newPatience(c.sink.options.Log)
	for races := 0; ; {
		err := f()
		if err == nil {
			wait.over()
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		switch v := judge(err); v {
		case giveUp:
			return err
		case refuse:
			return asFault(err)
		case tryStaged, tryUpsert:
			if c.sink.store.layout.Append { // the key is somebody's own, and files are not held against each other
				return asFault(err)
			}
			c.staged, c.compressed = true, v == tryUpsert
			c.sink.meetings.met(c.compressed)
			fallthrough
		case tryAgain:
			c.careful = carefulFor
			if races++; races > raceLimit {
				return fmt.Errorf("lost %d races in a row: %w", raceLimit, err)
			}
			continue
		case tryLater:
		}
		c.disconnect()
		if err := wait.after(ctx, err); err != nil {
			return err
		}
	}
}

func asFault(err error) error {
	f := (*fault)(nil)
	if errors.As(err, &f) {
		return f
	}
	pg := (*pgconn.PgError)(nil)
	if errors.As(err, &pg) {
		return &fault{fmt.Sprintf("the database refuses it: %s (SQLSTATE %s)", pg.Message, pg.Code)}
	}
	return err
}

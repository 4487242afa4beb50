// Package store keeps readings and the ledger of the files they came from in
// PostgreSQL, with TimescaleDB where it is to be had.
//
// The ledger and the readings of a file version change in one transaction, so
// that each version becomes visible exactly once. A reader who wants to follow
// one chunk starts at committer.Commit (commit.go) and goes on to claim.go,
// copy.go, conflict.go where the chunk meets readings that are there already,
// and account.go. A person's corrections (correct.go, restore.go) go the same
// way, by the ids of file versions.
package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// DefaultSchema is the schema that Penstock keeps its tables in.
const DefaultSchema = "penstock"

// Options say which store is opened, and how.
type Options struct {
	Schema  string // DefaultSchema when empty
	Create  bool   // make the schema when the database has none; an old one stays as it is
	Migrate bool   // make the schema, or bring an old one up to date
	Append  bool   // with Create: readings without a unique key

	// Hypertable is how readings are to be kept. A schema that is made has it in
	// force, or is not made, with ErrNoHypertable; one that is there has it from
	// AlterHypertable on.
	Hypertable Hypertable

	Version string // of the program, kept with its runs
	Command string // that started this process, kept likewise; without secrets

	// Password is the role's, where the URL has none and PGPASSWORD and the
	// password file are not to be asked; "" for none.
	Password string

	// RetryFor bounds how long a commit goes on trying while the database is
	// away; 0 means DefaultRetryFor, a negative value for ever.
	RetryFor time.Duration

	settings map[string]string // run-time parameters, for tests
	untold   bool              // nobody downstream is told, for tests that count messages

	writeEvery  time.Duration // writeEvery when 0; short in tests
	makeUpEvery time.Duration // makeUpEvery when 0; likewise
	untoldFor   time.Duration // untoldFor when 0; likewise
	directLeast int           // directLeast when 0; likewise
}

// DefaultRetryFor is how long a commit goes on trying while the database is
// away.
const DefaultRetryFor = time.Minute

// A Store is a schema of one database. Its methods may be called from several
// goroutines at once.
type Store struct {
	pool    *pgxpool.Pool
	options Options
	layout  Layout
	away    outage
	closing sync.Once
	keeper  keeper
	packs   packCache
	pings   *pings

	connections connections // of all committers
	telling     sync.Once
	teller      *teller // nil until there is a sink
}

// A Layout is how the readings table was made.
type Layout struct {
	Append     bool // no unique key: exactly-once rests on the ledger alone
	Hypertable bool
}

// Errors of Open that a caller acts on.
var (
	ErrNoSchema  = errors.New("the database has no Penstock schema")
	ErrOldSchema = errors.New("the database's schema is older than this program's")
	ErrNewSchema = errors.New("the database's schema is newer than this program's")
)

// Open connects to the database at url (postgres://... or a libpq keyword
// string) and checks its schema. errors.Is tells ErrNoSchema, ErrOldSchema and
// ErrNewSchema.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	s, err := newStore(ctx, url, o)
	if err != nil {
		return nil, err
	}
	if err := s.open(ctx); err != nil {
		s.closePool()
		return nil, reached(err)
	}
	return s, nil
}

// newStore returns a store that has not looked at its database yet.
func newStore(ctx context.Context, url string, o Options) (*Store, error) {
	if o.Schema == "" {
		o.Schema = DefaultSchema
	}
	if o.RetryFor == 0 {
		o.RetryFor = DefaultRetryFor
	}
	if o.directLeast == 0 {
		o.directLeast = directLeast
	}
	if o.writeEvery == 0 {
		o.writeEvery = writeEvery
	}
	if o.makeUpEvery == 0 {
		o.makeUpEvery = makeUpEvery
	}
	if o.untoldFor == 0 {
		o.untoldFor = untoldFor
	}
	s := &Store{options: o, keeper: newKeeper(), pings: newPings()}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("reading the store's address: %w", withoutPassword(err))
	}
	if o.Password != "" {
		config.ConnConfig.Password = o.Password
	}
	s.configure(config.ConnConfig)
	if !strings.Contains(url, "pool_max_conns") {
		config.MaxConns = 4 // for looks: who commits has connections of its own
	}
	s.connections.dial = s.dial
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("connecting to the store: %w", err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	err := s.readLayout(ctx)
	if errors.Is(err, ErrNoSchema) && s.options.Create || err != nil && s.options.Migrate {
		if err = s.Migrate(ctx); err == nil {
			err = s.readLayout(ctx)
		}
	}
	if err != nil {
		return fmt.Errorf("opening schema %q: %w", s.options.Schema, err)
	}
	if s.options.Append && !s.layout.Append {
		return fmt.Errorf("schema %q holds readings under a unique key and cannot take --append: use another schema or database", s.options.Schema)
	}
	return nil
}

// Close ends the store's connections, within seconds also where the database has
// stopped answering. Committers are to be closed before, and leases given back. It
// may be called again, which does nothing.
func (s *Store) Close() {
	s.closing.Do(func() {
		if s.teller != nil {
			s.teller.close()
		}
		s.connections.close()
		s.keeper.close()
		s.pings.end()
		s.closePool()
	})
}

// closeFor is how long connections that are given up may take to end. A server
// that stands still has each of them waited for, a quarter of a minute and more.
const closeFor = 5 * time.Second

func (s *Store) closePool() {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.pool.Close()
	}()
	timer := time.NewTimer(closeFor)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C: // they end by themselves
	}
}

// Layout tells how the readings table was made.
func (s *Store) Layout() Layout { return s.layout }

// configure sets what every connection to the store has: its schema first on
// the search path, times in UTC, and limits within which a peer that is dead
// or stuck lets go of its locks.
func (s *Store) configure(c *pgx.ConnConfig) {
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 10 * time.Second
	}
	c.DialFunc = dialServer
	set := func(name, value string) {
		if _, given := c.RuntimeParams[name]; !given {
			c.RuntimeParams[name] = value
		}
	}
	set("application_name", "penstock")
	c.RuntimeParams["search_path"] = pgx.Identifier{s.options.Schema}.Sanitize() + ", public"
	c.RuntimeParams["timezone"] = "UTC"
	c.RuntimeParams["datestyle"] = "ISO"
	// A transaction that waited for another is to see what that did, whatever the
	// database's default is.
	c.RuntimeParams["default_transaction_isolation"] = "read committed"
	set("lock_timeout", "30s")
	set("idle_in_transaction_session_timeout", "5min")
	set("tcp_user_timeout", "60s") // the server's end; dialServer sees to ours
	set("tcp_keepalives_idle", "30")
	set("tcp_keepalives_interval", "10")
	set("tcp_keepalives_count", "3")
	// Of TimescaleDB, and no more than a name elsewhere: late readings may touch
	// any number of compressed batches.
	set("timescaledb.max_tuples_decompressed_per_dml_transaction", "0")
	// Small amounts stay rows, whatever the role's default is, until the policy comes:
	// see directLeast.
	set("timescaledb.enable_direct_compress_copy", "off")
	set("jit", "off") // compiling the ledger's statements costs more than it saves
	maps.Copy(c.RuntimeParams, s.options.settings)
}

// unacknowledged is how long either end waits for the other to acknowledge what
// was sent, before it gives the connection up: a host that vanishes says nothing.
const unacknowledged = 60 * time.Second

// dialServer connects to the server. An end that vanished is found out within a
// minute, whether something was sent to it or not.
func dialServer(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3},
		Control: func(network, _ string, raw syscall.RawConn) error {
			if strings.HasPrefix(network, "tcp") {
				return boundUnacknowledged(raw, unacknowledged)
			}
			return nil
		},
	}
	return d.DialContext(ctx, network, address)
}

// connect opens a connection of its own for a committer.
func (s *Store) connect(ctx context.Context) (*pgconn.PgConn, error) {
	config := s.pool.Config().ConnConfig
	return pgconn.ConnectConfig(ctx, &config.Config)
}

// withoutPassword keeps the address of the store, which may hold a password,
// out of messages.
func withoutPassword(err error) error {
	var parse *pgconn.ParseConfigError
	if errors.As(err, &parse) {
		if inner := errors.Unwrap(parse); inner != nil {
			return inner
		}
		return errors.New("it is neither a postgres:// URL nor a keyword string")
	}
	return err
}

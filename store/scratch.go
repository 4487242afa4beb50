package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Scratch is a schema to measure in: made anew as often as is asked, and
// dropped at the end. Its name is its own, so that what other schemas of the
// database hold is never touched. Its methods are called by one goroutine.
//
// For as long as it is in use a session holds a lock of its name. What a process
// left behind that was killed, the next OpenScratch finds unlocked, and drops. A
// session that is lost is made anew by the next Fresh.
type Scratch struct {
	url     string
	options Options
	conn    *pgx.Conn // that holds the lock

	mayNotCheckpoint bool
}

// scratchPrefix begins the names of scratch schemas; eight hexadecimal digits
// end them.
const scratchPrefix = "penstock_bench_"

const (
	lockScratchSQL   = `select pg_try_advisory_lock(hashtextextended($1, 0))`
	unlockScratchSQL = `select pg_advisory_unlock(hashtextextended($1, 0))`
	waitScratchSQL   = `select pg_advisory_lock(hashtextextended($1, 0))`

	// The lock of a name is in pg_locks by halves of its number.
	endHolderSQL = `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objsubid = 1 and pid = $2::int
		and classid::int8 << 32 | objid::int8 = hashtextextended($1, 0) and database = (select oid from pg_database where datname = current_database())`

	// Servers before version 14 do not have it.
	stayIdleSQL = `select set_config(name, '0', false) from pg_settings where name = 'idle_session_timeout'`
)

// scratchPatience bounds how long an answer of the session that holds a name is
// waited for, how long the lock of one that was lost, and how long room for the
// connections of the next store.
const scratchPatience = 5 * time.Second

// OpenScratch reserves a name for a schema in the database at url, and drops
// schemas of this kind that nobody uses any more. The options' Schema, Create and
// Migrate do not matter.
func OpenScratch(ctx context.Context, url string, o Options) (_ *Scratch, err error) {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	o.Schema, o.Create, o.Migrate = fmt.Sprintf("%s%x", scratchPrefix, random), true, false
	dialer, err := newStore(ctx, url, o)
	if err != nil {
		return nil, err
	}
	defer dialer.closePool()
	s := &Scratch{url: url, options: o}
	if err = s.connect(ctx, dialer.pool.Config().ConnConfig); err != nil {
		return nil, reached(fmt.Errorf("opening a scratch schema: %w", err))
	}
	defer func() {
		if err != nil {
			s.conn.Close(context.WithoutCancel(ctx))
		}
	}()
	if err = s.mayCreate(ctx); err != nil {
		return nil, err
	}
	if _, err = s.lock(ctx, o.Schema); err != nil { // nobody else has the name
		return nil, err
	}
	if err = s.dropLeftOver(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Schema is the schema's name.
func (s *Scratch) Schema() string { return s.options.Schema }

// Server is what the database says that it is.
func (s *Scratch) Server(ctx context.Context) (string, error) {
	var version string
	var timescale *string
	err := s.conn.QueryRow(ctx, `select current_setting('server_version'), (select extversion from pg_extension where extname = 'timescaledb')`).Scan(&version, &timescale)
	if err != nil {
		return "", fmt.Errorf("asking for the database's version: %w", err)
	}
	text := "PostgreSQL " + version
	if timescale != nil {
		text += ", TimescaleDB " + *timescale
	}
	return text, nil
}

// Fresh returns a store in the schema, which is made anew and empty, as a
// database is before its first replay. The store that it returned before must be
// closed, and is of no use any more. What made it anew is on disk when Fresh
// returns, where the role may see to that: it must not be paid for by what comes
// next.
//
// Where the session that holds the name was lost, it is made anew. An error says
// that another process has the name by now.
func (s *Scratch) Fresh(ctx context.Context) (*Store, error) {
	if err := s.Held(ctx); err != nil {
		if err := s.holdAnew(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.drop(ctx, s.options.Schema); err != nil {
		return nil, err
	}
	fresh, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.checkpoint(ctx); err != nil {
		fresh.Close()
		return nil, err
	}
	return fresh, nil
}

// open opens the store once there is room for it: a server may still have the
// connections of the store before, which are closed, for a moment.
func (s *Scratch) open(ctx context.Context) (fresh *Store, err error) {
	tick := time.NewTicker(scratchPatience / 100)
	defer tick.Stop()
	for began := time.Now(); ; {
		fresh, err = Open(ctx, s.url, s.options)
		if sqlState(err) != "53300" || time.Since(began) > scratchPatience { // too_many_connections
			return fresh, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}

// Held says that the session is lost that holds the schema's name, nil where it is
// there: until the next Fresh another process may drop the schema.
func (s *Scratch) Held(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, scratchPatience)
	defer cancel()
	if err := s.conn.Ping(ctx); err != nil {
		return fmt.Errorf("the session that holds scratch schema %q is lost, and another process may have dropped it: %w", s.options.Schema, err)
	}
	return nil
}

// holdAnew takes the lock in a session of its own again. The server may not have
// noticed that the one before is lost, which is ended then; and a process that
// found the name free has it for as long as it takes to drop the schema.
func (s *Scratch) holdAnew(ctx context.Context) error {
	before := s.conn
	if err := s.connect(ctx, before.Config()); err != nil {
		return reached(fmt.Errorf("holding scratch schema %q again: %w", s.options.Schema, err))
	}
	before.Close(context.WithoutCancel(ctx))
	for _, statement := range []struct {
		sql  string
		args []any
	}{
		{endHolderSQL, []any{s.options.Schema, before.PgConn().PID()}},
		{fmt.Sprintf("set lock_timeout = '%dms'", scratchPatience.Milliseconds()), nil},
		{waitScratchSQL, []any{s.options.Schema}},
		{"reset lock_timeout", nil},
	} {
		_, err := s.conn.Exec(ctx, statement.sql, statement.args...)
		if sqlState(err) == "55P03" {
			err = fmt.Errorf("another process took it when the session was lost that held it: %w", err)
		}
		if err != nil {
			s.conn.Close(context.WithoutCancel(ctx)) // it holds nothing
			return fmt.Errorf("holding scratch schema %q again: %w", s.options.Schema, err)
		}
	}
	return nil
}

// connect makes the session anew. That it idles while runs go on is no reason for
// the server to end it.
func (s *Scratch) connect(ctx context.Context, config *pgx.ConnConfig) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, stayIdleSQL); err != nil {
		conn.Close(context.WithoutCancel(ctx))
		return err
	}
	s.conn = conn
	return nil
}

// mayCreate says so where the role may not make schemas.
func (s *Scratch) mayCreate(ctx context.Context) error {
	var may bool
	var database, role string
	if err := s.conn.QueryRow(ctx, `select has_database_privilege(current_database(), 'create'), quote_ident(current_database()), quote_ident(current_user)`).Scan(&may, &database, &role); err != nil {
		return fmt.Errorf("asking for the role's rights: %w", err)
	}
	if !may {
		return fmt.Errorf("role %s may not make a schema to measure in: it needs CREATE on the database (grant create on database %s to %s)", role, database, role)
	}
	return nil
}

// Checkpoints reports whether the role may see to it that what was written is on
// disk before a run. It is known after the first Fresh.
func (s *Scratch) Checkpoints() bool { return !s.mayNotCheckpoint }

func (s *Scratch) checkpoint(ctx context.Context) error {
	if s.mayNotCheckpoint {
		return nil
	}
	_, err := s.conn.Exec(ctx, "checkpoint")
	if sqlState(err) == "42501" {
		s.mayNotCheckpoint = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("writing to disk what is in the database's memory: %w", err)
	}
	return nil
}

// Drop drops the schema and gives its name up. When it fails, the next
// OpenScratch drops it.
func (s *Scratch) Drop(ctx context.Context) error {
	err := s.drop(ctx, s.options.Schema)
	if err != nil && s.conn.IsClosed() { // it was cut off in the midst of something
		err = s.dropAnew(ctx)
	}
	s.conn.Close(context.WithoutCancel(ctx))
	return err
}

func (s *Scratch) dropAnew(ctx context.Context) error {
	if err := s.connect(ctx, s.conn.Config()); err != nil {
		return reached(fmt.Errorf("dropping scratch schema %q: %w", s.options.Schema, err))
	}
	return s.drop(ctx, s.options.Schema)
}

func (s *Scratch) drop(ctx context.Context, schema string) error {
	if !strings.HasPrefix(schema, scratchPrefix) {
		return fmt.Errorf("%q is no scratch schema", schema)
	}
	if _, err := s.conn.Exec(ctx, "drop schema if exists "+pgx.Identifier{schema}.Sanitize()+" cascade"); err != nil {
		return fmt.Errorf("dropping scratch schema %q: %w", schema, err)
	}
	return nil
}

// dropLeftOver drops the schemas of this kind that are this role's to drop, and
// that no process holds.
func (s *Scratch) dropLeftOver(ctx context.Context) error {
	rows, err := s.conn.Query(ctx, `select nspname::text from pg_namespace
		where nspname ~ ('^' || $1 || '[0-9a-f]{8}$') and pg_has_role(nspowner, 'usage') order by 1`, scratchPrefix)
	if err != nil {
		return fmt.Errorf("looking for scratch schemas that were left over: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("looking for scratch schemas that were left over: %w", err)
	}
	for _, name := range names {
		free, err := s.lock(ctx, name)
		if err != nil {
			return err
		}
		if !free {
			continue
		}
		err = s.drop(ctx, name)
		if _, unlock := s.conn.Exec(ctx, unlockScratchSQL, name); err == nil {
			err = unlock
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Scratch) lock(ctx context.Context, schema string) (ours bool, err error) {
	if err := s.conn.QueryRow(ctx, lockScratchSQL, schema).Scan(&ours); err != nil {
		return false, fmt.Errorf("locking scratch schema %q: %w", schema, err)
	}
	return ours, nil
}

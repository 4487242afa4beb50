package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationLock serialises the processes that bring one database's schema up
// to date at the same moment. The number is arbitrary and must not change.
const migrationLock = 0x70656e73746f636b

// Migrate brings the schema up to date, making it when it is missing. A schema
// newer than the program's is refused with ErrNewSchema. It may be called by
// several processes at once.
func (s *Store) Migrate(ctx context.Context) error {
	// While a connection waited here it may have looked, for the name of a
	// function, where names are to be found. PostgreSQL remembers that there is no
	// such schema for good if the schema is made in the midst of that look.
	defer s.pool.Reset()
	db := stdlib.OpenDBFromPool(s.pool)
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connecting to migrate: %w", err)
	}
	defer conn.Close()
	// Another migration may take longer than any lock should be waited for.
	if _, err := conn.ExecContext(ctx, "set lock_timeout = 0"); err != nil {
		return fmt.Errorf("preparing to migrate: %w", err)
	}
	if _, err := conn.ExecContext(ctx, "select pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		return fmt.Errorf("waiting for another migration to end: %w", err)
	}
	err = s.migrate(ctx, db)
	release := context.WithoutCancel(ctx)
	_, unlockErr := conn.ExecContext(release, "select pg_advisory_unlock($1)", int64(migrationLock))
	_, resetErr := conn.ExecContext(release, "reset lock_timeout")
	return errors.Join(err, unlockErr, resetErr)
}

func (s *Store) migrate(ctx context.Context, db *sql.DB) error {
	// Asked for first: "if not exists" needs CREATE on the database all the same.
	var exists bool
	if err := db.QueryRowContext(ctx, "select exists (select from pg_namespace where nspname = $1)", s.options.Schema).Scan(&exists); err != nil {
		return fmt.Errorf("looking for schema %q: %w", s.options.Schema, err)
	}
	if !exists {
		if err := s.createSchema(ctx, db); err != nil {
			return err
		}
	}
	return s.migrateTables(ctx, db)
}

func (s *Store) createSchema(ctx context.Context, db *sql.DB) error {
	if _, err := db.ExecContext(ctx, "create schema "+pgx.Identifier{s.options.Schema}.Sanitize()); err != nil {
		return hint(fmt.Errorf("creating schema %q: %w", s.options.Schema, err), "42501",
			"the role needs CREATE on the database, or a schema of that name that it owns")
	}
	return nil
}

func (s *Store) migrateTables(ctx context.Context, db *sql.DB) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, dir, goose.WithTableName(versionTable))
	if err != nil {
		return fmt.Errorf("preparing the migrations: %w", err)
	}
	have, want, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("reading the schema's version: %w", err)
	}
	if have > want {
		return fmt.Errorf("%w: version %d, this program knows %d: use a newer penstock", ErrNewSchema, have, want)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrating schema %q: %w", s.options.Schema, err)
	}
	return s.makeReadings(ctx)
}

const versionTable = "schema_version"

// readLayout checks the schema's version and reads how it was made, in one
// look, for it stands at the start of every command.
func (s *Store) readLayout(ctx context.Context) error {
	var have int64
	var mode, hypertable *string
	err := s.pool.QueryRow(ctx, `select (select max(version_id) from `+s.table(versionTable)+` where is_applied),
		(select value from `+s.table("settings")+` where name = 'readings'),
		(select value from `+s.table("settings")+` where name = 'hypertable')`).Scan(&have, &mode, &hypertable)
	if sqlState(err) == "42P01" || sqlState(err) == "3F000" {
		return fmt.Errorf("%w (run 'penstock migrate')", ErrNoSchema)
	}
	if err != nil {
		return fmt.Errorf("reading the schema's version: %w", err)
	}
	want, err := newestMigration()
	switch {
	case err != nil:
		return err
	case have > want:
		return fmt.Errorf("%w: version %d, this program knows %d: use a newer penstock", ErrNewSchema, have, want)
	case mode == nil:
		// A process that was to make the schema was killed before the end: there
		// is nothing in it yet.
		return fmt.Errorf("%w, or an unfinished one (run 'penstock migrate')", ErrNoSchema)
	case have < want:
		return fmt.Errorf("%w: version %d, this program needs %d: run 'penstock migrate'", ErrOldSchema, have, want)
	}
	s.layout = Layout{Append: *mode == modeAppend, Hypertable: hypertable != nil && *hypertable == "true"}
	return nil
}

// table returns the quoted name of a table with its schema, for the looks at a
// schema that may not be there: a search path would find another's.
func (s *Store) table(name string) string {
	return pgx.Identifier{s.options.Schema, name}.Sanitize()
}

func newestMigration() (int64, error) {
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		return 0, err
	}
	return goose.NumericComponent(entries[len(entries)-1].Name())
}

func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// hint adds what an operator can do about an error of the given SQLSTATE.
func hint(err error, state, what string) error {
	if sqlState(err) == state {
		return fmt.Errorf("%w (%s)", err, what)
	}
	return err
}

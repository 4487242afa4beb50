package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// A Checked is what Check finds out about a store.
type Checked struct {
	Server   string // the server's version, as it says itself
	Database string
	Role     string

	Schema     error      // nil, or why the schema cannot be used: ErrNoSchema, ErrOldSchema, ErrNewSchema
	MayMake    bool       // the role may make the schema
	Lacks      string     // rights that the role needs and does not have on the schema's tables, "" for none
	Layout     Layout     // where Schema is nil
	Hypertable Hypertable // in force, where Layout says that there is one
	Differs    bool       // something of it is not as Options ask

	Compressing Compressing // where Layout says that there is a hypertable
	Advice      ChunkAdvice // likewise; its Interval is 0 where what is in force will do, or was asked for
	Timescale   string      // the version of the extension that is there; "" for none
	Offered     string      // the version that could be made, where none is there; "" for none
}

// Check looks at the store at url and changes nothing. Its error says that the
// database cannot be reached.
func Check(ctx context.Context, url string, o Options) (*Checked, error) {
	s, err := newStore(ctx, url, o)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	c := &Checked{}
	err = s.pool.QueryRow(ctx, `select current_setting('server_version'), current_database(), current_user,
		has_database_privilege(current_database(), 'CREATE') or coalesce((select pg_has_role(nspowner, 'USAGE') from pg_namespace where nspname = $1), false),
		coalesce((select extversion from pg_extension where extname = 'timescaledb'), ''),
		coalesce((select default_version from pg_available_extensions where name = 'timescaledb'), '')`, s.options.Schema).
		Scan(&c.Server, &c.Database, &c.Role, &c.MayMake, &c.Timescale, &c.Offered)
	if err != nil {
		return nil, reached(fmt.Errorf("connecting to the store: %w", err))
	}
	c.Schema = s.readLayout(ctx)
	if c.Schema != nil && !errors.Is(c.Schema, ErrNoSchema) && !errors.Is(c.Schema, ErrOldSchema) && !errors.Is(c.Schema, ErrNewSchema) && sqlState(c.Schema) != "42501" {
		return nil, c.Schema
	}
	c.Layout = s.layout
	if c.Lacks, err = s.lacks(ctx); err != nil {
		return nil, err
	}
	if c.Schema == nil {
		if c.Hypertable, c.Differs, err = s.Hypertable(ctx); errors.Is(err, ErrNoHypertable) {
			c.Differs, err = true, nil
		}
		if err == nil && c.Layout.Hypertable {
			if c.Compressing, err = s.Compressing(ctx); err == nil {
				c.Advice, err = s.advised(ctx, c.Hypertable.ChunkInterval)
			}
		}
	}
	return c, err
}

// lacks names the first rights that the role does not have.
func (s *Store) lacks(ctx context.Context) (missing string, err error) {
	err = s.pool.QueryRow(ctx, `select case when not has_schema_privilege($1, 'USAGE') then 'USAGE on schema ' || $1 else coalesce((
			select string_agg(wanted.right || ' on ' || c.relname, ', ' order by c.relname, wanted.right)
			from pg_class c cross join (values ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) as wanted("right")
			where c.relnamespace = n.oid and c.relkind in ('r', 'p') and not has_table_privilege(c.oid, wanted.right)), '') end
		from pg_namespace n where nspname = $1`, s.options.Schema).Scan(&missing)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("looking at the role's rights: %w", err)
	}
	return missing, nil
}

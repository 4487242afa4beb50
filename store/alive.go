package store

import (
	"context"
	"fmt"
)

// Ping asks the database whether it is there. Its error is one of the
// connection's.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("asking the database: %w", err)
	}
	return nil
}

// Away reports whether an error says that the database is not to be reached, or
// short of something for the moment, so that trying again later may do.
func Away(err error) bool { return err != nil && judge(err) == tryLater }

// Changes are what a process that goes on is to look for from time to time. Of
// each it matters only whether it is what it was.
type Changes struct {
	Approved string // another whenever a profile is approved, or its approval altered
	Actions  string // another whenever a person did something to the data
}

// Changes returns how things stand.
func (s *Store) Changes(ctx context.Context) (c Changes, err error) {
	err = s.pool.QueryRow(ctx, `select (select coalesce(md5(string_agg(id || md5(approved), '' order by id)), '') from shapes where approved is not null),
		(select coalesce((select id || ' ' || files from actions order by id desc limit 1), ''))`).Scan(&c.Approved, &c.Actions)
	if err != nil {
		return c, fmt.Errorf("looking for what a person did: %w", err)
	}
	return c, nil
}

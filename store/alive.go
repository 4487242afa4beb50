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

// Approvals returns a text that changes whenever a profile is approved, or its
// approval altered: whoever keeps what Approved returned need not read it again
// while it stays the same.
func (s *Store) Approvals(ctx context.Context) (state string, err error) {
	err = s.pool.QueryRow(ctx, "select coalesce(md5(string_agg(id || md5(approved), '' order by id)), '') from shapes where approved is not null").Scan(&state)
	if err != nil {
		return "", fmt.Errorf("looking for newly approved profiles: %w", err)
	}
	return state, nil
}

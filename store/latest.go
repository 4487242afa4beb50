package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// A LatestReading is the newest reading of one series.
type LatestReading struct {
	Logger, Channel, Unit string
	At                    time.Time // UTC
	Value                 float64
}

// Latest returns the newest reading of each series that has one since the given
// time, ordered by logger and channel. It is a look into the key for each
// series.
func (s *Store) Latest(ctx context.Context, since time.Time) ([]LatestReading, error) {
	rows, err := s.pool.Query(ctx, `select s.logger, s.channel, s.unit, l.ts, l.value from series s
		cross join lateral (select r.ts, r.value from readings r join files f on f.id = r.file_id and f.state <> 'loading'
			where r.series_id = s.id order by r.ts desc limit 1) l
		where l.ts >= $1 order by s.logger, s.channel`, since)
	if err != nil {
		return nil, fmt.Errorf("reading the latest readings: %w", err)
	}
	latest, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l LatestReading, err error) {
		err = row.Scan(&l.Logger, &l.Channel, &l.Unit, &l.At, &l.Value)
		l.At = l.At.UTC()
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the latest readings: %w", err)
	}
	return latest, nil
}

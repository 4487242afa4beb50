package store

import (
	"context"
	"fmt"
	"os"
)

// A past is what there was before a run: the last series and the last feed.
// What came later is none of it, also what the run itself brought. So it does
// not matter for a file which others of its run were committed before it.
type past struct{ series, feeds int32 }

// startRun registers a run. A run of a source (0 for none) that goes on with
// one that was cut short, by the same command, has the same past: files become
// the same however often it is cut short.
func (s *Store) startRun(ctx context.Context, source int16) (id int32, before past, err error) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	err = s.pool.QueryRow(ctx, `with cut as (
			select series, feeds from runs where source = $4 and command = $1 and ended is null order by id limit 1)
		insert into runs (command, host, version, source, series, feeds) values ($1, $2, $3, nullif($4, 0),
			coalesce((select series from cut), (select max(id) from series), 0),
			coalesce((select feeds from cut), (select max(id) from feeds), 0)) returning id, series, feeds`,
		plain(s.options.Command), host, s.options.Version, source).Scan(&id, &before.series, &before.feeds)
	if err != nil {
		return 0, past{}, fmt.Errorf("registering the run: %w", err)
	}
	return id, before, nil
}

// pastOf reads what there was before a run.
func (s *Store) pastOf(ctx context.Context, run int32) (before past, err error) {
	if err = s.pool.QueryRow(ctx, "select series, feeds from runs where id = $1", run).Scan(&before.series, &before.feeds); err != nil {
		return past{}, fmt.Errorf("reading run %d: %w", run, err)
	}
	return before, nil
}

// End records that the sink's run came to the end of its source. Without it,
// the run counts as cut short: one of the same command then goes on with it.
func (s *Sink) End(ctx context.Context) error {
	_, err := s.store.pool.Exec(ctx, `update runs r set ended = now() from runs mine
		where mine.id = $1 and r.source = $2 and r.command = mine.command and r.id <= $1 and r.ended is null`, s.run, s.source)
	if err != nil {
		return fmt.Errorf("recording the end of run %d: %w", s.run, err)
	}
	return nil
}

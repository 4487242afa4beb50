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

// A before is what files are judged by: the past, and what was approved. It is
// not changed once made.
type before struct {
	past
	unsettled map[string]bool // see Store.unsettled
	loggers   *loggerCache    // what is known of loggers by the past
}

// startRun registers a run. A run of a source (0 for none) that goes on with
// one that was cut short, by the same command, has the same past: files become
// the same however often it is cut short. untold says that a run before it may
// have been killed before it told all.
func (s *Store) startRun(ctx context.Context, source int16) (id int32, before past, untold bool, err error) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	err = s.pool.QueryRow(ctx, `with cut as (
			select series, feeds from runs where source = $4 and command = $1 and ended is null order by id desc limit 1)
		insert into runs (command, host, version, source, series, feeds) values ($1, $2, $3, nullif($4, 0),
			coalesce((select series from cut), (select max(id) from series), 0),
			coalesce((select feeds from cut), (select max(id) from feeds), 0)) returning id, series, feeds, exists (`+untoldSQL+`)`,
		plain(s.options.Command), host, s.options.Version, source).Scan(&id, &before.series, &before.feeds, &untold)
	if err != nil {
		return 0, past{}, false, fmt.Errorf("registering the run: %w", err)
	}
	return id, before, untold, nil
}

// pastOf reads what there was before a run.
func (s *Store) pastOf(ctx context.Context, run int32) (before past, err error) {
	if err = s.pool.QueryRow(ctx, "select series, feeds from runs where id = $1", run).Scan(&before.series, &before.feeds); err != nil {
		return past{}, fmt.Errorf("reading run %d: %w", run, err)
	}
	return before, nil
}

// Refresh implements [ingest.Refresher]. Files that are committed from now on are
// judged by what people have approved, and, where the source has caught up, by
// what the store has now, also of what the sink itself brought. A commit under way
// is judged by what was known when it began, through all its tries. The run keeps
// how far that is, so that one that goes on after a kill does not judge by what
// was known years ago, nor what is left of a backlog by the part that was loaded.
// It waits for a database that is away as a commit does.
func (s *Sink) Refresh(ctx context.Context, caughtUp bool) error {
	err := s.store.newPatience(s.options.Log).untilThere(ctx, func() (err error) {
		known := s.before.Load().past
		if caughtUp {
			if known, err = s.store.movePast(ctx, s.run); err != nil {
				return err
			}
		}
		return s.judgeBy(ctx, known)
	})
	if err != nil {
		return fmt.Errorf("refreshing what source %q is judged by: %w", s.options.Source, err)
	}
	return nil
}

// movePast moves the past of a run to now. The row is only written where there
// is something new.
func (s *Store) movePast(ctx context.Context, run int32) (now past, err error) {
	err = s.pool.QueryRow(ctx, `with now as (
			select coalesce((select max(id) from series), 0) as series, coalesce((select max(id) from feeds), 0) as feeds),
		moved as (update runs r set series = now.series, feeds = now.feeds from now
			where r.id = $1 and (r.series, r.feeds) is distinct from (now.series, now.feeds))
		select series, feeds from now`, run).Scan(&now.series, &now.feeds)
	return now, err
}

// judgeBy has files judged by a past, and by what is approved now. What was
// read of loggers stays where nothing came since.
func (s *Sink) judgeBy(ctx context.Context, known past) error {
	unsettled, err := s.store.unsettled(ctx)
	if err != nil {
		return err
	}
	now := &before{past: known, unsettled: unsettled}
	if was := s.before.Load(); was != nil && was.past == known {
		now.loggers = was.loggers
	} else {
		now.loggers = new(loggerCache)
	}
	s.before.Store(now)
	return nil
}

// End records that the sink's run came to the end of its source, or had caught up
// with it. Without it, the run counts as cut short: one of the same command then
// goes on with it.
func (s *Sink) End(ctx context.Context) error {
	toldAll := s.store.teller == nil || s.store.teller.toldAll()
	_, err := s.store.pool.Exec(ctx, `update runs r set ended = now(), told = case when $3 and r.id = $1 then now() else r.told end from runs mine
		where mine.id = $1 and r.source = $2 and r.command = mine.command and r.id <= $1 and r.ended is null`, s.run, s.source, toldAll)
	if err != nil {
		return fmt.Errorf("recording the end of run %d: %w", s.run, err)
	}
	return nil
}

package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"penstock/ingest"
)

// A Status is how the store stands.
type Status struct {
	At     time.Time // by the database's clock, UTC
	Layout Layout

	Files    []FilesInState
	Readings int64
	// Estimated says that Readings is the query planner's estimate. A small
	// table is counted; counting a large one takes minutes.
	Estimated bool

	Runs    []RunRate      // the last ones, the latest first
	Sources []SourceStatus // by name
	Loggers []LoggerStatus // by name
}

// FilesInState counts the file versions of a source that are in one state.
type FilesInState struct {
	Source string
	State  ingest.State
	Files  int64
}

// A RunRate is what a run loaded, and how fast.
type RunRate struct {
	Run
	Files    int64         // file versions whose last load was by this run
	Readings int64         // that these stored or took over
	Took     time.Duration // from its start to its last commit
}

// A SourceStatus tells how fresh a source is.
type SourceStatus struct {
	Source, Root string
	LastFile     time.Time // when a new version of a file was last fetched
}

// A LoggerStatus tells how fresh a logger is.
type LoggerStatus struct {
	Logger      string
	Channels    int64
	LastReading time.Time // zero when nothing of it stands
	// Interval is the median time between the ends of its latest files; 0
	// while fewer than three files tell.
	Interval time.Duration
	// Behind says that the logger's last reading is older than the store's newest,
	// or than now if that is earlier, by more than three times its Interval.
	Behind bool
}

const (
	lastRuns = 5
	// countBelow is up to how many readings, by the planner's estimate, the
	// table is counted.
	countBelow = 2_000_000
	// recentFiles is in how many of the ledger's latest file versions the
	// loggers' intervals are looked for.
	recentFiles = 100_000
	// silentAfter is after how many intervals a logger counts as behind, or silent.
	silentAfter = 3
)

// Status looks at the whole store. It reads the ledger from end to end, twice,
// and of the readings little more than the last one of each series.
func (s *Store) Status(ctx context.Context) (*Status, error) {
	st := &Status{Layout: s.layout}
	for _, part := range []struct {
		what string
		read func(context.Context, *Status) error
	}{
		{"the clock", func(ctx context.Context, st *Status) error {
			err := s.pool.QueryRow(ctx, "select now()").Scan(&st.At)
			st.At = st.At.UTC()
			return err
		}},
		{"the ledger", s.filesAndSources},
		{"the readings", func(ctx context.Context, st *Status) error { return s.countReadings(ctx, st, countBelow) }},
		{"the runs", s.runRates},
		{"the loggers", s.loggers},
	} {
		if err := part.read(ctx, st); err != nil {
			return nil, fmt.Errorf("reading %s: %w", part.what, err)
		}
	}
	return st, nil
}

// filesAndSources reads the ledger once for both.
func (s *Store) filesAndSources(ctx context.Context, st *Status) error {
	rows, err := s.pool.Query(ctx, `select s.name, s.root, f.state::text, f.files, f.latest from sources s
		left join (select source, state, count(*) as files, max(fetched) as latest from files group by source, state) f on f.source = s.id
		order by s.name, f.state`)
	if err != nil {
		return err
	}
	var one SourceStatus
	var state *ingest.State
	var files *int64
	var latest *time.Time
	_, err = pgx.ForEachRow(rows, []any{&one.Source, &one.Root, &state, &files, &latest}, func() error {
		if n := len(st.Sources); n == 0 || st.Sources[n-1].Source != one.Source {
			st.Sources = append(st.Sources, one)
		}
		if state == nil {
			return nil // the source is registered, and nothing of it was committed yet
		}
		st.Files = append(st.Files, FilesInState{one.Source, *state, *files})
		if last := &st.Sources[len(st.Sources)-1].LastFile; utc(latest).After(*last) {
			*last = utc(latest)
		}
		return nil
	})
	return err
}

// countReadings counts a table that has up to below readings by the planner's
// estimate. Of a larger one it asks the ledger, which has what the files hold: that
// is about as many, for a retention policy may have dropped some.
func (s *Store) countReadings(ctx context.Context, st *Status, below float64) error {
	var text []byte
	if err := s.pool.QueryRow(ctx, "explain (format json) select from readings").Scan(&text); err != nil {
		return err
	}
	var plan []struct {
		Plan struct {
			Rows float64 `json:"Plan Rows"`
		}
	}
	if err := json.Unmarshal(text, &plan); err != nil || len(plan) != 1 {
		return fmt.Errorf("the planner's estimate is not as expected: %s", text)
	}
	if st.Estimated = plan[0].Plan.Rows > below; st.Estimated {
		return s.pool.QueryRow(ctx, `select (coalesce((select sum(r.stored + r.replaced) from receipts r join files f on f.id = r.file_id and f.state = 'loaded'), 0)
			- coalesce((select sum(t.n) from takeovers t join files f on f.id = t.from_file and f.state = 'loaded'), 0))::int8`).Scan(&st.Readings)
	}
	return s.pool.QueryRow(ctx, "select count(*) from readings").Scan(&st.Readings)
}

// runRates leaves out what a run loaded and a person has marked due since: that
// sets changed and keeps the run. What an undo took out is the undo's own run's.
func (s *Store) runRates(ctx context.Context, st *Status) error {
	rows, err := s.pool.Query(ctx, `with latest as (select * from runs order by id desc limit $1)
		select l.id, l.started, l.command, l.host, l.version, count(f.id), coalesce(sum(r.stored + r.replaced), 0)::int8,
			coalesce(extract(epoch from max(f.changed) - l.started), 0)::float8
		from latest l
		left join files f on f.run = l.id and f.state not in ('undone', 'due', 'loading')
		left join receipts r on r.file_id = f.id
		group by l.id, l.started, l.command, l.host, l.version order by l.id desc`, lastRuns)
	if err != nil {
		return err
	}
	st.Runs, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r RunRate, err error) {
		var seconds float64
		err = row.Scan(&r.ID, &r.Started, &r.Command, &r.Host, &r.Version, &r.Files, &r.Readings, &seconds)
		r.Started = r.Started.UTC()
		r.Took = time.Duration(max(seconds, 0) * float64(time.Second))
		return r, err
	})
	return err
}

// loggers looks up the last reading of each series by its key, and takes the
// interval from the files, not from the readings: a logger that reads every
// minute and sends once a day is behind after three days.
func (s *Store) loggers(ctx context.Context, st *Status) error {
	var newest int64
	if err := s.pool.QueryRow(ctx, "select coalesce(max(file_id), 0) from receipts").Scan(&newest); err != nil {
		return err
	}
	// The number, for a subquery in its place would have the planner expect a
	// third of the ledger.
	rows, err := s.pool.Query(ctx, `with recent as (
			select r.last_ts, r.series from receipts r join files f on f.id = r.file_id and f.id > $1 and f.state = 'loaded'
			where r.file_id > $1 and r.last_ts is not null),
		ends as (select distinct s.logger, e.last_ts from recent e, unnest(e.series) as u(id) join series s on s.id = u.id),
		steps as (select logger, extract(epoch from last_ts - lag(last_ts) over (partition by logger order by last_ts)) as step from ends),
		intervals as (select logger, percentile_cont(0.5) within group (order by step) as median
			from steps where step is not null group by logger having count(*) >= 2),
		latest as (select s.logger, count(*) as channels, max(l.ts) as ts
			from series s left join lateral (select r.ts from readings r join files f on f.id = r.file_id and f.state <> 'loading'
				where r.series_id = s.id order by r.ts desc limit 1) l on true
			group by s.logger)
		select l.logger, l.channels, l.ts, coalesce(i.median, 0)::float8,
			coalesce(least(now(), max(l.ts) over ()) - l.ts > $2 * make_interval(secs => i.median), false)
		from latest l left join intervals i on i.logger = l.logger order by l.logger`, newest-recentFiles, silentAfter)
	if err != nil {
		return err
	}
	st.Loggers, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (l LoggerStatus, err error) {
		var last *time.Time
		var seconds float64
		err = row.Scan(&l.Logger, &l.Channels, &last, &seconds, &l.Behind)
		l.LastReading = utc(last)
		l.Interval = time.Duration(seconds * float64(time.Second))
		return l, err
	})
	return err
}

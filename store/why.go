package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNoSeries says that the store has no series of that name.
var ErrNoSeries = errors.New("no such series")

// An Account tells where the reading of one series at one instant came from.
type Account struct {
	Logger, Channel, Unit, Label string
	Time                         time.Time

	// Standing is what the table holds there: nothing, or one reading; in
	// append mode there may be more.
	Standing []StandingReading

	// Candidates are the other file versions that have held this series and
	// span this instant, whatever their state, the one of the greatest rank
	// first. Only their bytes tell whether they hold a reading there.
	Candidates []FileVersion
}

// A StandingReading is a row of the readings table and how it came there.
type StandingReading struct {
	Value   float64
	Quality string
	File    FileVersion
	Run     Run      // that loaded File last
	Actions []Action // that set File's present state; empty when no person did
	Took    []Takeover
	Lost    []Takeover
}

// A Takeover counts the readings that passed from one file version to another.
type Takeover struct {
	From, By      int64  // ids in the ledger
	Other         string // the displayed path of the file version at the other end
	OtherVersion  int32  // its generation
	Readings      int64
	OtherRank     int16
	OtherRankTime time.Time
}

// A Run is a process that loaded something.
type Run struct {
	ID      int32
	Started time.Time
	Command string
	Host    string
	Version string // of the program
}

// Why tells where the readings of a logger at an instant came from, one
// account for each channel, or for the one that is named. ErrNoSeries when the
// store knows no such logger, or no such channel of it.
func (s *Store) Why(ctx context.Context, logger, channel string, at time.Time) ([]Account, error) {
	rows, err := s.pool.Query(ctx, `select id, channel, unit, label from series
		where logger = $1 and ($2 = '' or channel = $2) order by channel`, logger, channel)
	if err != nil {
		return nil, fmt.Errorf("looking for the series: %w", err)
	}
	type series struct {
		ID                   int32
		Channel, Unit, Label string
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[series])
	if err != nil {
		return nil, fmt.Errorf("looking for the series: %w", err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: logger %q, channel %q", ErrNoSeries, logger, channel)
	}
	accounts := make([]Account, len(all))
	for i, one := range all {
		a := &accounts[i]
		*a = Account{Logger: logger, Channel: one.Channel, Unit: one.Unit, Label: one.Label, Time: at.UTC()}
		if err := s.accountFor(ctx, one.ID, a); err != nil {
			return nil, fmt.Errorf("tracing %s %s: %w", logger, one.Channel, err)
		}
	}
	return accounts, nil
}

func (s *Store) accountFor(ctx context.Context, series int32, a *Account) error {
	rows, err := s.pool.Query(ctx, `select value, coalesce(quality, ''), file_id from readings
		where series_id = $1 and ts = $2 and file_id <> all(array(select file_id from loadings)) order by file_id`, series, a.Time)
	if err != nil {
		return err
	}
	owners := []int64{} // and not null, which nothing is unlike
	a.Standing, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r StandingReading, err error) {
		var owner int64
		err = row.Scan(&r.Value, &r.Quality, &owner)
		owners = append(owners, owner)
		return r, err
	})
	if err != nil {
		return err
	}
	for i := range a.Standing {
		if err := s.trace(ctx, &a.Standing[i], owners[i]); err != nil {
			return err
		}
	}
	rows, err = s.pool.Query(ctx, selectFiles+` where r.series @> array[$1::int4] and r.first_ts <= $2 and r.last_ts >= $2
		and f.id <> all($3) order by f.rank desc, f.rank_time desc, f.path desc, f.generation desc`, series, a.Time, owners)
	if err != nil {
		return err
	}
	a.Candidates, err = pgx.CollectRows(rows, scanFile)
	return err
}

// trace fills in how the reading came from its file.
func (s *Store) trace(ctx context.Context, r *StandingReading, owner int64) error {
	rows, err := s.pool.Query(ctx, selectFiles+" where f.id = $1", owner)
	if err != nil {
		return err
	}
	r.File, err = pgx.CollectExactlyOneRow(rows, scanFile)
	if errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("its reading belongs to file %d, which the ledger does not have: see 'penstock files verify'", owner)
	}
	if err != nil {
		return err
	}
	if r.Run, err = s.run(ctx, r.File.Run); err != nil {
		return err
	}
	rows, err = s.pool.Query(ctx, selectActions+" where run = $1 and run <> 0 order by id", r.File.Run)
	if err != nil {
		return err
	}
	if r.Actions, err = pgx.CollectRows(rows, scanAction); err != nil {
		return err
	}
	r.Took, r.Lost, err = s.Takeovers(ctx, owner)
	return err
}

func (s *Store) run(ctx context.Context, id int32) (Run, error) {
	rows, err := s.pool.Query(ctx, "select id, started, command, host, version from runs where id = $1", id)
	if err != nil {
		return Run{}, err
	}
	r, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Run])
	if errors.Is(err, pgx.ErrNoRows) {
		return Run{ID: id}, nil
	}
	r.Started = r.Started.UTC()
	return r, err
}

// Takeovers lists what a file version took over from others, and what others
// took over from it and it lost, the most readings first.
func (s *Store) Takeovers(ctx context.Context, id int64) (took, lost []Takeover, err error) {
	if took, err = s.takeovers(ctx, "t.from_file", "t.by_file", id); err == nil {
		lost, err = s.takeovers(ctx, "t.by_file", "t.from_file", id)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading the takeovers of file %d: %w", id, err)
	}
	return took, lost, nil
}

// takeovers reads the takeovers of the file at one end, mine, with the files
// at the other.
func (s *Store) takeovers(ctx context.Context, other, mine string, id int64) ([]Takeover, error) {
	rows, err := s.pool.Query(ctx, `select t.from_file, t.by_file, f.path, f.generation, t.n, f.rank, f.rank_time
		from takeovers t join files f on f.id = `+other+` where `+mine+` = $1 order by t.n desc, f.id`, id)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (t Takeover, err error) {
		err = row.Scan(&t.From, &t.By, &t.Other, &t.OtherVersion, &t.Readings, &t.OtherRank, &t.OtherRankTime)
		t.OtherRankTime = t.OtherRankTime.UTC()
		return t, err
	})
}

package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"penstock/ingest"
)

// A Pending is a shape that files wait for.
type Pending struct {
	ingest.Shape
	Seen     time.Time // when it was first asked about, UTC
	Answered bool      // the question was answered, and files of it wait all the same
	Approved string    // the profile, as YAML, that reads its files since it was last answered; "" for none
	Held     int64     // files that wait, as held or due
	Partly   int64     // files that are loaded but for the channels that are new
	Example  string    // the escaped path of the first file
}

// shapesSQL counts the files that wait, of each path the newest.
const shapesSQL = `select s.id, s.profile, s.header, s.loose, s.question, s.asks, s.answers::text, s.seen, s.answered, coalesce(s.approved, ''),
		w.held, w.partly, coalesce(w.example, '')
	from shapes s cross join lateral (
		select count(*) filter (where f.state in ('held', 'due')) as held, count(*) filter (where f.state in ('loaded', 'duplicate')) as partly,
			(array_agg(f.path order by f.id))[1] as example
		from held h join files f on f.id = h.file_id
		where h.shape = s.id and not exists (select from files n where n.key = f.key and n.generation > f.generation)) w
	where `

// Pending lists the shapes that files wait for, those with the most files
// first.
func (s *Store) Pending(ctx context.Context) ([]Pending, error) {
	return s.shapesWhere(ctx, "w.held + w.partly > 0 order by w.held + w.partly desc, s.id")
}

// Shapes returns the shapes whose ids begin with the prefix, whether files wait
// for them or not.
func (s *Store) Shapes(ctx context.Context, prefix string) ([]Pending, error) {
	return s.shapesWhere(ctx, "starts_with(s.id, $1) order by s.id", prefix)
}

func (s *Store) shapesWhere(ctx context.Context, where string, args ...any) ([]Pending, error) {
	rows, err := s.pool.Query(ctx, shapesSQL+where, args...)
	if err != nil {
		return nil, fmt.Errorf("reading the shapes: %w", err)
	}
	shapes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p Pending, err error) {
		var answers string
		if err = row.Scan(&p.ID, &p.Profile, &p.Header, &p.Loose, &p.Question, &p.Asks, &answers, &p.Seen, &p.Answered, &p.Approved, &p.Held, &p.Partly, &p.Example); err == nil {
			err = json.Unmarshal([]byte(answers), &p.Answers)
		}
		p.Seen = p.Seen.UTC()
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the shapes: %w", err)
	}
	return shapes, nil
}

// Approved returns the profiles that were approved, as YAML, by the ids of their
// shapes.
func (s *Store) Approved(ctx context.Context) (map[string]string, error) {
	rows, err := s.pool.Query(ctx, "select id, approved from shapes where approved is not null")
	if err != nil {
		return nil, fmt.Errorf("reading the approved profiles: %w", err)
	}
	approved := make(map[string]string)
	var id, text string
	if _, err := pgx.ForEachRow(rows, []any{&id, &text}, func() error { approved[id] = text; return nil }); err != nil {
		return nil, fmt.Errorf("reading the approved profiles: %w", err)
	}
	return approved, nil
}

// StartRun registers a run that several sinks and corrections go under.
func (s *Store) StartRun(ctx context.Context) (int32, error) {
	run, _, _, err := s.startRun(ctx, 0)
	return run, err
}

// ErrAnswered says that another answered a shape's question meanwhile, and
// otherwise.
var ErrAnswered = errors.New("its question was answered in another way meanwhile")

// Approve keeps the profile that reads the files of a shape from now on, marks
// versions that were held as due, and records the action, all at once: whoever
// takes the versions up next reads them by it. Said twice, it is done once. It
// returns how many versions it marked. The error wraps ErrAnswered when the
// shape is not as it was read: nothing is changed then.
func (s *Store) Approve(ctx context.Context, shape *Pending, profile string, files []FileVersion, a Action) (marked int64, err error) {
	for range raceLimit {
		if marked, err = s.approve(ctx, shape, profile, files, a); err == nil || judge(err) != tryAgain {
			break
		}
	}
	if err != nil {
		return 0, fmt.Errorf("approving shape %s: %w", shape.ID, err)
	}
	step("approved")
	return marked, nil
}

func (s *Store) approve(ctx context.Context, shape *Pending, profile string, files []FileVersion, a Action) (marked int64, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var before string
		var said bool
		if err := tx.QueryRow(ctx, "select coalesce(approved, ''), answered and approved = $2 from shapes where id = $1 for update", shape.ID, profile).Scan(&before, &said); err != nil {
			return err
		}
		if before != shape.Approved && before != profile {
			return ErrAnswered
		}
		// Only what a sink asks has no key that answers it.
		if _, err := tx.Exec(ctx, "update shapes set approved = $2, answered = true, settled = settled or asks = '' where id = $1", shape.ID, profile); err != nil {
			return err
		}
		if marked, err = setDue(ctx, tx, files); err != nil || said && marked == 0 {
			return err
		}
		return recordAction(ctx, tx.Conn().PgConn(), a, int(marked), 0)
	})
	return marked, err
}

package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"penstock/ingest"
)

// A file of a live source arrives when it is first seen. One that was there when
// the source was first listed arrived when it was modified last, for that is when
// its upload ended, so that a backlog does not pass for a logger that sends every
// second; where the listing does not tell that, when it was fetched.

// atOnce is within how many microseconds files come at once.
const atOnce = 1_000_000

// leastEvery is the shortest time between files that a logger is missed by: one
// that once sent a few in a row is not silent a minute later.
const leastEvery = time.Minute

// keptSteps is how many steps between a logger's files are kept.
const keptSteps = 32

// arrivals is when a logger's files came lately.
type arrivals struct {
	last  int64   // microseconds since the Unix epoch, UTC
	steps []int64 // microseconds, the latest at the end
}

// addArrival adds that a file of a span's loggers came.
func (c *committer) addArrival(n *news, b *ingest.Batch, span int) {
	if !c.sink.options.Live {
		return
	}
	s := &b.Spans[span]
	at := s.Fetched
	switch {
	case s.Arrived != 0:
		at = s.Arrived
	case s.File.Modified != 0:
		at = min(at, s.File.Modified)
	}
	if n.arrived == nil {
		n.arrived = make(map[string][]int64)
	}
	came := func(logger string) {
		if a := n.arrived[logger]; len(a) == 0 || a[len(a)-1] != at {
			n.arrived[logger] = append(a, at)
		}
	}
	before := c.heldOf[span] // a file that is held has come as well
	if before != "" {
		came(before)
	}
	for _, k := range c.table.keysOf(span) {
		if logger := b.Keys[k].Logger; logger != before {
			came(logger)
			before = logger
		}
	}
}

// came takes in that files came. Late ones change nothing.
func (a *arrivals) came(at []int64) {
	slices.Sort(at)
	for _, t := range at {
		if a.last != 0 && t > a.last+atOnce {
			a.steps = append(a.steps, t-a.last)
		}
		a.last = max(a.last, t)
	}
	if n := len(a.steps); n > keptSteps {
		a.steps = slices.Delete(a.steps, 0, n-keptSteps)
	}
}

// every is the median of the steps, 0 while there are fewer than three. Files
// that come together, each with a channel perhaps, count as one: steps of less
// than a tenth of what the longer ones are do not count.
func (a *arrivals) every() int64 {
	steps := slices.Sorted(slices.Values(a.steps))
	if len(steps) == 0 {
		return 0
	}
	short := steps[len(steps)*9/10] / 10
	steps = slices.DeleteFunc(steps, func(d int64) bool { return d < short })
	if len(steps) < 3 {
		return 0
	}
	return steps[len(steps)/2]
}

// keepArrivals brings the table up to date.
func (t *teller) keepArrivals(ctx context.Context, arrived map[string][]int64) error {
	names := slices.Sorted(maps.Keys(arrived))
	if err := t.learnArrivals(ctx, names); err != nil {
		return err
	}
	p := newColumns(oidText, oidTimestamptz, oidInt8, oidText)
	for _, logger := range names {
		a := t.arriving[logger]
		a.came(arrived[logger])
		p[0].text(logger)
		p[1].time(a.last)
		p[2].int8(a.every())
		steps := fmt.Sprint(a.steps) // [1 2 3]
		p[3].text("{" + strings.ReplaceAll(steps[1:len(steps)-1], " ", ",") + "}")
	}
	return t.exec(ctx, `insert into arrivals as a (logger, last, every, steps)
		select logger, last, nullif(every, 0) * interval '1 microsecond', steps::int8[]
			from unnest($1::text[], $2::timestamptz[], $3::int8[], $4::text[]) as c(logger, last, every, steps) order by logger
		on conflict (logger) do update set last = greatest(a.last, excluded.last), every = excluded.every, steps = excluded.steps`, p.params(), nil)
}

// learnArrivals reads what is known of loggers that this process has not seen.
func (t *teller) learnArrivals(ctx context.Context, loggers []string) error {
	if len(t.arriving) > maxCachedSeries {
		clear(t.arriving)
	}
	unknown := newColumns(oidText)
	for _, logger := range loggers {
		if t.arriving[logger] == nil {
			unknown[0].text(logger)
		}
	}
	if unknown[0].n == 0 {
		return nil
	}
	learned := make(map[string]*arrivals)
	err := t.exec(ctx, "select a.logger, a.last, s.step from arrivals a left join unnest(a.steps) with ordinality as s(step, n) on true where a.logger = any($1::text[]) order by a.logger, s.n",
		unknown.params(), func(r *record) {
			logger := r.text()
			a := learned[logger]
			if a == nil {
				a = &arrivals{}
				learned[logger] = a
			}
			if a.last = r.time(); !r.null() {
				a.steps = append(a.steps, r.int8())
			}
		})
	if err != nil {
		return err
	}
	maps.Copy(t.arriving, learned)
	for _, logger := range loggers {
		if t.arriving[logger] == nil {
			t.arriving[logger] = &arrivals{}
		}
	}
	return nil
}

// A SilentLogger is one of which no file came for more than three times as long
// as usual.
type SilentLogger struct {
	Logger string
	Last   time.Time     // when its last file came, UTC; zero where none ever did
	Every  time.Duration // how long it usually is from one file to the next
	For    time.Duration // since Last, by the database's clock
}

// A Silence is which of the loggers of live sources send files.
type Silence struct {
	Silent    []SilentLogger // those first that are so for longest
	Reporting int            // loggers of which files come as usual
	Irregular int            // loggers of which too few files came to tell
}

// Silent tells which loggers of live sources are silent: none of their files came
// for more than three times the median of the times from one to the next, of
// which three must be known. every says how often some loggers record: of these,
// the longer of the two counts, and nothing needs to be known. One of them that
// never sent anything is silent since the store was first loaded into.
func (s *Store) Silent(ctx context.Context, every map[string]time.Duration) (*Silence, error) {
	rows, err := s.pool.Query(ctx, `select logger, last, coalesce(extract(epoch from every), 0)::float8, extract(epoch from now() - last)::float8 from arrivals
		union all select n, null, 0, extract(epoch from now() - (select min(started) from runs where source is not null))::float8
			from unnest($1::text[]) as e(n) where n not in (select logger from arrivals) and exists (select from runs where source is not null)`,
		slices.Collect(maps.Keys(every)))
	if err != nil {
		return nil, fmt.Errorf("reading when files came: %w", err)
	}
	found := &Silence{}
	var l SilentLogger
	var last *time.Time
	var usual, since float64
	_, err = pgx.ForEachRow(rows, []any{&l.Logger, &last, &usual, &since}, func() error {
		if l.Every = every[l.Logger]; usual > 0 {
			l.Every = max(time.Duration(usual*float64(time.Second)), leastEvery, l.Every)
		}
		l.Last, l.For = time.Time{}, time.Duration(since*float64(time.Second))
		if last != nil {
			l.Last = last.UTC()
		}
		switch {
		case l.Every == 0:
			found.Irregular++
		case l.For > silentAfter*l.Every:
			found.Silent = append(found.Silent, l)
		case l.Last.IsZero():
			found.Irregular++
		default:
			found.Reporting++
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading when files came: %w", err)
	}
	slices.SortFunc(found.Silent, func(a, b SilentLogger) int {
		return cmp.Or(cmp.Compare(b.For, a.For), cmp.Compare(a.Logger, b.Logger))
	})
	return found, nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"penstock/bench"
	"penstock/bench/trial"
)

// An encounter is what loggers send to a table that has some of it: the instants
// from one to before another, as parts of those that each series has there.
type encounter struct {
	name     string
	from, to float64
	files    int    // of each logger
	seed     uint64 // of the values; those that are there are of seed 0
}

var (
	halfEqual  = encounter{name: "half of them are there, with equal values", from: 0.5, to: 1.5, files: 1}
	encounters = []encounter{
		{name: "all are new", from: 1, to: 2, files: 1},
		halfEqual,
		{name: "half of them are there, with other values", from: 0.5, to: 1.5, files: 1, seed: 1},
		// Two files of each logger, for one would have the content of that which is there.
		{name: "all are there, with equal values", from: 0, to: 1, files: 2},
		{name: "all are there, with other values", from: 0, to: 1, files: 2, seed: 1},
	}
)

// overlap: readings of which the newest half are new, contiguous in each series,
// against an upsert of all of them by way of a staging table.
func overlap(ctx context.Context, s *site) error {
	t, err := s.stock(ctx)
	if err != nil {
		return err
	}
	upsert, ours, err := t.sides(ctx, halfEqual)
	if err != nil {
		return err
	}
	if err := s.alternate(ctx, upsert, ours); err != nil {
		return err
	}
	s.print(fmt.Sprintf("%d readings, the newest half of each series new, the others there", t.sent()), "penstock at least 1.3 x faster", upsert, ours)
	return nil
}

// conflicts: what it costs that none, half and all of the readings are there
// already, against none, and each against the upsert.
func conflicts(ctx context.Context, s *site) error {
	t, err := s.stock(ctx)
	if err != nil {
		return err
	}
	var sides, own []*side
	for _, e := range encounters {
		upsert, ours, err := t.sides(ctx, e)
		if err != nil {
			return err
		}
		sides = append(sides, upsert, ours)
	}
	if err := s.alternate(ctx, sides...); err != nil {
		return err
	}
	for i, e := range encounters {
		s.print(fmt.Sprintf("%d readings: %s", t.sent(), e.name), "none of its own", sides[2*i], sides[2*i+1])
		ours := *sides[2*i+1]
		ours.name = e.name
		own = append([]*side{&ours}, own...)
	}
	s.print(fmt.Sprintf("what conflicts cost a replay of %d readings, against none", t.sent()), "none of its own", own...)
	return nil
}

// A stock is a database in which loggers have readings, to be copied for each run.
type stock struct {
	*site
	loggers, instants int // that each of them has, of two channels
}

const (
	stockName, runName = "stock", "run"

	// upsertBatch is how many readings the upsert has in a transaction: about what
	// fills a chunk of Penstock's.
	upsertBatch = 200_000
)

// stock makes a stock of as many readings as the long file has.
func (s *site) stock(ctx context.Context) (*stock, error) {
	t := &stock{site: s, loggers: min(max(s.long.Readings/2000, 1), 1000)}
	t.instants = s.long.Readings / t.loggers / 4 * 2
	if err := trial.Exec(ctx, s.store, "create database "+stockName); err != nil {
		return nil, err
	}
	at := t.at(stockName)
	if _, err := trial.Command(ctx, s.penstock, "migrate", "--store", at.store); err != nil {
		return nil, err
	}
	dir, err := t.write(encounter{name: stockName, to: 1, files: 1})
	if err != nil {
		return nil, err
	}
	if _, _, err := at.replay(ctx, dir); err != nil {
		return nil, err
	}
	return t, trial.Exec(ctx, at.store, "vacuum analyze")
}

func (t *stock) sent() int { return 2 * t.loggers * t.instants }

// at is the site with another database of its server.
func (t *stock) at(database string) *site {
	s := *t.site
	s.store = s.server.URLFor(database)
	return &s
}

// again puts the run's database back to the stock.
func (t *stock) again(ctx context.Context) (*site, error) {
	if err := trial.Exec(ctx, t.store, "drop database if exists "+runName, "create database "+runName+" template "+stockName, "checkpoint"); err != nil {
		return nil, err
	}
	return t.at(runName), nil
}

// write writes the files of an encounter and returns their folder. Those that are
// sent are younger than those that are there.
func (t *stock) write(e encounter) (dir string, err error) {
	dir = filepath.Join(t.dir, "files", e.name)
	modified := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if e.name != stockName {
		modified = modified.AddDate(0, 1, 0)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	from, to := int(e.from*float64(t.instants)), int(e.to*float64(t.instants))
	each := (to - from + e.files - 1) / e.files
	c := bench.Corpus{Loggers: t.loggers, Seed: e.seed}
	var text []byte
	for l := range t.loggers {
		for n, first := 0, from; first < to; n, first = n+1, first+each {
			text = append(text[:0], "logger,channel,timestamp,value\n"...)
			for i := first; i < min(first+each, to); i++ {
				for channel := range 2 {
					r := c.Reading((i*t.loggers+l)*2 + channel)
					text = fmt.Appendf(text, "%s,%s,%s,%d.%03d\n", r.Logger, r.Channel, r.Time.Format(time.RFC3339), r.Milli/1000, r.Milli%1000)
				}
			}
			path := filepath.Join(dir, fmt.Sprintf("%04d-%d.csv", l, n))
			if err := errors.Join(os.WriteFile(path, text, 0o644), os.Chtimes(path, modified, modified)); err != nil {
				return "", err
			}
		}
	}
	return dir, nil
}

// sides are the upsert of what is sent and Penstock's replay of its files. Both
// must leave the same table.
func (t *stock) sides(ctx context.Context, e encounter) (upsert, ours *side, err error) {
	dir, err := t.write(e)
	if err != nil {
		return nil, nil, err
	}
	at, err := t.again(ctx)
	if err != nil {
		return nil, nil, err
	}
	if _, _, err := at.replay(ctx, dir); err != nil {
		return nil, nil, err
	}
	batches, err := t.export(ctx, at)
	if err != nil {
		return nil, nil, err
	}
	want, err := contents(ctx, at)
	if err != nil {
		return nil, nil, err
	}
	upsert = &side{name: "staged upsert of all, rows ready-made"}
	upsert.once = t.measured(upsert, want, func(at *site) (float64, error) { return at.upsert(ctx, batches) })
	ours = &side{name: "penstock replay, from start to end"}
	ours.once = t.measured(ours, want, func(at *site) (float64, error) {
		_, seconds, err := at.replay(ctx, dir)
		return seconds, err
	})
	return upsert, ours, nil
}

// measured is a run on the stock that must leave the contents wanted.
func (t *stock) measured(x *side, want string, run func(*site) (seconds float64, err error)) func(context.Context) (float64, error) {
	return func(ctx context.Context) (seconds float64, err error) {
		at, err := t.again(ctx)
		if err != nil {
			return 0, err
		}
		busy, ok, err := at.busy(func() (err error) {
			seconds, err = run(at)
			return err
		})
		if err != nil {
			return 0, err
		}
		if ok {
			x.busy = append(x.busy, busy)
		}
		got, err := contents(ctx, at)
		if err == nil && got != want {
			err = fmt.Errorf("the table has %s afterwards, not %s", got, want)
		}
		return seconds, err
	}
}

// contents tells tables apart: readings, files that hold some, and the sum of the
// values in thousandths.
func contents(ctx context.Context, s *site) (text string, err error) {
	err = trial.One(ctx, s.store, "select format('%s readings of %s files, sum %s', count(*), count(distinct file_id), sum(round(value * 1000)::int8)) from penstock.readings", &text)
	return text, err
}

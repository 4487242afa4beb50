package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"penstock/bench/trial"
)

// A comparison has a name, settings of its server beyond the defaults, and
// says what it finds.
type comparison struct {
	name     string
	settings map[string]string
	run      func(context.Context, *site) error
}

var comparisons = []comparison{
	{name: "rerun", run: rerun},
	{name: "decode", run: decode},
	{name: "replay", run: wholeReplay},
	{name: "measuring", run: measuring},
	{name: "long", run: longFile},
	{name: "overlap", run: overlap},
	{name: "conflicts", run: conflicts},
	{name: "ready", run: readyRows},
	{name: "append", run: appendMode},
	{name: "ledger", run: ledger, settings: map[string]string{"shared_preload_libraries": "pg_stat_statements"}},
}

// A side is one of two ways to do the same work. once does it and returns its
// seconds; what it has to set up it does before it takes the time.
type side struct {
	name string
	once func(context.Context) (seconds float64, err error)
	took []float64
	busy []float64 // processor time of each of these runs, where it is measured
}

// alternate runs the sides in turn. A first run of each, which warms caches, is
// not counted.
func (s *site) alternate(ctx context.Context, sides ...*side) error {
	return trial.Turns(s.runs+1, len(sides), func(round, i int) error {
		seconds, err := sides[i].once(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", sides[i].name, err)
		}
		if round == 0 {
			sides[i].busy = nil
		} else {
			sides[i].took = append(sides[i].took, seconds)
		}
		return nil
	})
}

// print shows the sides and how they relate to the last of them. A ratio is
// that of two runs next to each other, which a busy moment slows both; shown is
// the median of them.
func (s *site) print(what string, aim string, sides ...*side) {
	fmt.Fprintf(s.out, "%s (aim: %s)\n", what, aim)
	least := sides[len(sides)-1]
	for _, x := range sides {
		fmt.Fprintf(s.out, "  %-50s %s", x.name, against(x.took, least.took, x == least))
		if len(x.busy) > 0 {
			fmt.Fprintf(s.out, "; processor %s", against(x.busy, least.busy, x == least))
		}
		fmt.Fprintln(s.out)
	}
	fmt.Fprintln(s.out)
}

// against is the median of runs with the least and the most of them and, but for
// the last side itself, their ratios to its runs.
func against(took, least []float64, last bool) string {
	text := fmt.Sprintf("%7.3f s (%.3f to %.3f)", trial.Median(took), slices.Min(took), slices.Max(took))
	if last {
		return text
	}
	ratios := make([]float64, len(took))
	for i := range ratios {
		ratios[i] = took[i] / least[i]
	}
	return text + fmt.Sprintf("  %5.2f x (%.2f to %.2f)", trial.Median(ratios), slices.Min(ratios), slices.Max(ratios))
}

// checkpoint leaves the server nothing to do that belongs to an earlier run.
func (s *site) checkpoint(ctx context.Context) error {
	if err := trial.Exec(ctx, s.store, "checkpoint"); err != nil {
		return err
	}
	return ctx.Err()
}

func since(began time.Time) float64 { return time.Since(began).Seconds() }

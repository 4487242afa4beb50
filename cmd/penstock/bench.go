package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"penstock/bench"
	"penstock/ingest/source"
)

// A benchmark is the flags of the command bench.
type benchmark struct {
	reading
	source     string
	match      []string
	ignore     []string
	stage      choice
	workers    sizes
	chunks     sizes
	sets, runs int
	pause      duration
	budget     duration
	seed       uint64
	files      int
	skew       float64
	paper      bool
	dropCaches bool
	out        string
	apply      string
	ownStore   bool // --store was typed
	sparse     bool // of chunk 1 only the cell of one worker is swept, what speed-ups are against, where the budget has time for it
}

// benchBudget is how long a sweep takes for which nothing else is said, and
// mostSets how many sets it has at most.
const (
	benchBudget = 2 * time.Minute
	mostSets    = 25
)

func newBench(a *app) *cobra.Command {
	b := &benchmark{stage: choice{value: stageLoad, of: []string{stageDecode, stageLoad, stageFetch}}}
	cmd := &cobra.Command{
		Use:   "bench [PATH...]",
		Short: "sweep workers x chunk, print the heatmap, name the best cell and the bottleneck",
		Long: `Bench runs the pipeline that replay runs, on the same files again and again, with
other workers and chunks each time, and says which cell of that grid is the
fastest, how sure that is, and what a run waits for.

The files are those at the paths, or those of a configured source (--source), or
27,000 that it makes, of one timestamp each. Files and their source stay as they
are. Readings go into a schema that is made anew for each run and dropped at the
end: in a private PostgreSQL of its own, or where --store says. The config's
store and that of PENSTOCK_STORE are never used. Profiles that were approved in the
store of --store read files as they do in a replay into it.

Alone it takes about two minutes: each cell has its turn, and those that need at
most twice the time of the fastest have more of them, up to 25, for as long as the
budget lasts. A run that would take most of the budget for itself is cut short, and
its cell shown as failed, with that. Of chunk 1, with a transaction for each file,
it has one worker only, which speed-ups are against: where disks are slow to sync,
that would take more than a quarter of the budget. Then it comes at the end, once,
or is left out where there is no time, and it is said which budget is enough. With
--sets or --runs each cell is run as often as that says.

Cells are visited in shuffled order, sets one after the other, after a warm-up.
What is timed is the pipeline alone, from its listing to its last commit, which
replay calls seconds. Ctrl-C ends the sweep and shows what there is.`,
		Example: `  penstock bench
  penstock bench --stage decode --workers 1-8 --chunk 1,10,100,1000 /data/loggers
  penstock bench --store postgres://penstock@db/telemetry --sets 5 --runs 5 --pause 5s --out results /data/loggers
  penstock bench -c penstock.yaml --source field-loggers --stage fetch
  penstock bench --apply penstock.yaml
  penstock bench --paper --out paper      # the study's own protocol: hours`,
		Args: args(0, -1),
		RunE: func(cmd *cobra.Command, paths []string) error {
			b.ownStore = cmd.Flags().Changed("store") && !a.inherited["store"]
			if err := b.complete(cmd.Flags()); err != nil {
				return err
			}
			if err := b.refuseIdle(cmd.Flags(), paths); err != nil {
				return err
			}
			return a.bench(b, paths)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.Var(&b.workers, "workers", "the `LIST` of worker counts to sweep: 1-8, or 1,2,4; default 1, 2, 4 and so on, to four for each core")
	f.Var(&b.chunks, "chunk", "the `LIST` of chunk sizes to sweep, in files; default 1,10,100,1000,5000")
	f.IntVar(&b.sets, "sets", 5, "how many sets there are: groups of runs, one after the other, each of all cells; without --sets and --runs, up to 25 within the budget")
	f.IntVar(&b.runs, "runs", 1, "how often a cell is run within a set")
	f.Var(&b.pause, "pause", "wait for this `SPAN` between sets; default none")
	f.Var(&b.budget, "budget", "stop repeating cells after this `SPAN`, and repeat only those that may be the best; default 2m, and none with --sets, --runs or --paper")
	f.BoolVar(&b.paper, "paper", false, "the protocol of the study: workers 1-12, chunks 1,10,50,100,500,1000,5000,10000, 5 sets of 5 runs, 5s between sets, on 27,000 files")
	f.Var(&b.stage, "stage", "what to measure: decode (files to columns, nothing stored), load (all of it), or fetch (files to bytes)")
	f.IntVar(&b.files, "files", 27_000, "how many files to make, when no PATH and no source is given")
	f.Float64Var(&b.skew, "skew", 0, "give the files that are made a long tail of large ones: the `SIGMA` of their lengths' logarithm, 1.5 for one in a hundred over 30 times as long as the median")
	f.Lookup("skew").NoOptDefVal = defaultSkew
	f.Uint64Var(&b.seed, "seed", 1, "of the files that are made, and of the order of the cells")
	f.BoolVar(&b.dropCaches, "drop-caches", false, "read files from the disk and not from memory: drop the system's caches before each run, which takes root on Linux")
	f.StringVar(&b.out, "out", "", "write the results into this `FOLDER`: every run as bench.json and bench.csv, bench.txt for benchstat, heatmap.html, and pictures")
	f.StringVar(&b.apply, "apply", "", "write the fastest cell into this config `FILE`, keeping its comments, also where the advice is to leave both at auto")
	f.StringVar(&b.source, "source", "", "read the files as the config's source of this `NAME` has them read; without PATH, fetch them from where it says, a server too")
	f.StringSliceVar(&b.match, "match", nil, "of a PATH, read only files that match one of these `GLOBS`")
	f.StringSliceVar(&b.ignore, "ignore", source.DefaultIgnore(), "at a PATH, pass over files and folders that match one of these `GLOBS`")
	b.reading.flags(a, cmd)
	fromEnvironment(f, "source")
	cmd.AddCommand(newBenchCorpus(a))
	return cmd
}

// complete settles what the flags leave open. What the config says of workers and
// chunk is what is to be found out.
func (b *benchmark) complete(f *pflag.FlagSet) error {
	auto, limits := tune(0, 0, cutting{})
	if !f.Changed("workers") {
		b.workers = defaultWorkers(runtime.GOMAXPROCS(0), auto)
	}
	if !f.Changed("chunk") {
		b.chunks = sizes{1, 10, 100, limits.Files, 5 * limits.Files}
	}
	if b.paper {
		b.likeStudy(f)
	} else if !f.Changed("sets") && !f.Changed("runs") {
		if !f.Changed("budget") {
			b.budget = duration(benchBudget)
		}
		if b.budget > 0 {
			b.sets = mostSets
		}
		b.sparse = b.stage.value == stageLoad && !f.Changed("workers") && !f.Changed("chunk")
	}
	switch {
	case b.sets < 1 || b.runs < 1 || b.files < 1:
		return usage("such as --sets 5 --runs 5", "--sets, --runs and --files are numbers from 1 on")
	case !(b.skew >= 0 && b.skew <= 4):
		return usage("such as --skew=1.5", "--skew is from 0, all files alike, to 4, not %v", b.skew)
	case b.apply != "" && b.stage.value != stageLoad:
		return usage("leave --stage out", "--apply writes what suits the whole pipeline, and --stage %s measures a part of it", b.stage.value)
	case b.ownStore && b.stage.value != stageLoad:
		return usage("leave one of the two out", "--stage %s stores nothing, and has no use for --store", b.stage.value)
	}
	return nil
}

// refuseIdle refuses the flags that do nothing beside the others.
func (b *benchmark) refuseIdle(f *pflag.FlagSet, paths []string) error {
	makes := len(paths) == 0 && b.source == ""
	for _, name := range []string{"files", "skew"} {
		if f.Changed(name) && !makes {
			hint := "leave it out, or PATH and --source"
			if name == "skew" {
				hint += "; a number of its own stands behind a sign: --skew=2"
			}
			return usage(hint, "--%s is of files that are made, and these are given", name)
		}
	}
	for _, name := range []string{"match", "ignore"} {
		switch {
		case !f.Changed(name) || len(paths) > 0:
		case makes:
			return usage("leave it out, or give a PATH", "--%s is of files that are given, and these are made", name)
		default:
			return usage("set "+name+" in the config, or give a PATH", "--%s is of files at a PATH, and those of source %q are the ones that the config says", name, b.source)
		}
	}
	return nil
}

// likeStudy takes from the study's protocol what is not given.
func (b *benchmark) likeStudy(f *pflag.FlagSet) {
	given := func(name string) bool { return f.Changed(name) }
	if !given("workers") {
		b.workers = sizes{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	}
	if !given("chunk") {
		b.chunks = sizes{1, 10, 50, 100, 500, 1000, 5000, 10000}
	}
	if !given("runs") {
		b.runs = 5
	}
	if !given("pause") {
		b.pause = duration(5 * time.Second)
	}
}

// defaultWorkers are the powers of two up to four workers for each core, and the
// automatic choice.
func defaultWorkers(cores, auto int) (all sizes) {
	for n := 1; n <= 4*cores; n *= 2 {
		all = append(all, n)
	}
	all = append(all, auto)
	slices.Sort(all)
	return slices.Compact(all)
}

// protocol is what is to be swept. The automatic choice is the reference, so that
// there are runs of it also where it is not in the grid.
func (b *benchmark) protocol() bench.Protocol {
	p := bench.Protocol{Reference: autoCell(), Sets: b.sets, Runs: b.runs, Pause: time.Duration(b.pause), Budget: time.Duration(b.budget), Seed: b.seed, WarmUps: 1, LeaveOut: b.sparse}
	for _, workers := range b.workers {
		for _, chunk := range b.chunks {
			if b.sparse && chunk == 1 && workers > 1 {
				continue
			}
			p.Cells = append(p.Cells, bench.Cell{Workers: workers, Chunk: chunk})
		}
	}
	return p
}

func autoCell() bench.Cell {
	workers, limits := tune(0, 0, cutting{})
	return bench.Cell{Workers: workers, Chunk: limits.Files}
}

func (a *app) bench(b *benchmark, paths []string) (err error) {
	// What is wrong with the command line is said before anything is made.
	if err := b.check(); err != nil {
		return err
	}
	if b.apply != "" {
		if err := checkApply(b.apply); err != nil {
			return err
		}
	}
	if b.dropCaches {
		if err := mayDropCaches(); err != nil {
			return err
		}
	}
	if b.out != "" {
		if err := os.MkdirAll(b.out, 0o755); err != nil {
			return fmt.Errorf("making the folder for the results: %w", err)
		}
	}
	r, end, err := a.startBench(b, paths)
	if err != nil {
		return err
	}
	analysis, err := r.sweep(b.protocol())
	ended := end()
	if analysis != nil {
		err = a.tellBench(b, analysis)
	}
	if ended != nil && errors.As(err, new(exitError)) {
		err = nil // it was said why; the end was not
	}
	return errors.Join(err, ended)
}

// tellBench writes and shows what a sweep came to: first what is to be kept.
func (a *app) tellBench(b *benchmark, analysis *bench.Analysis) error {
	var wrote error
	if b.out != "" {
		if wrote = writeBench(b.out, analysis); wrote == nil {
			a.note("The results are in %s.", printable(b.out))
		}
	}
	printed := a.printBench(analysis)
	if wrote != nil {
		return wrote
	}
	if printed != nil {
		return printed
	}
	switch {
	case analysis.Result.Cut != "":
		return &hinted{errInterrupted, "what was measured until then is shown"}
	case analysis.Best == nil:
		return exitError(exitFailed) // it is said why
	case b.apply != "":
		return a.applyBench(b.apply, analysis)
	}
	return nil
}

// applyBench writes the fastest cell into the config at path.
func (a *app) applyBench(path string, analysis *bench.Analysis) error {
	fastest := analysis.Fastest()
	if err := applyCell(path, fastest.Cell); err != nil {
		return err
	}
	text := fmt.Sprintf("%s has workers: %d and chunk: %d now, ", printable(path), fastest.Workers, fastest.Chunk)
	switch {
	case fastest != analysis.Best:
		text += "what auto stands for here: it was faster than all of the grid. workers: auto and chunk: auto put auto back."
	case analysis.AutoIsAsGood():
		text += "the best cell. The advice is auto, which is nearly as fast: workers: auto and chunk: auto put that back."
	default:
		text += "the best cell."
	}
	a.note("%s", text)
	return nil
}

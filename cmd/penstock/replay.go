package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"penstock/ingest"
	"penstock/ingest/source"
	"penstock/ingest/source/archive"
	"penstock/store"
)

// A replay is the flags of the command of that name.
type replay struct {
	reading
	source   string
	match    []string
	ignore   []string
	workers  amount
	chunk    amount
	cutting  cutting
	conflict choice
	onChange onChange
	rank     int16
	liveLag  duration
	append   bool
	dryRun   bool

	storeNamed bool // by a flag, the environment, or what a config says of the store
}

func newReplay(a *app) *cobra.Command {
	r := &replay{onChange: newOnChange(), conflict: choice{value: string(store.Latest), of: []string{string(store.Latest), string(store.Earliest), string(store.Error)}}}
	cmd := &cobra.Command{
		Use:   "replay PATH...",
		Short: "load files and folders to the end, then print receipts and a summary",
		Long: `Replay loads the files under the paths, folders recursively and zip archives
member by member, each version of a file exactly once: run it again, or several
at a time, and what is known stays as it is. Files stay where they are.

Where no profile matches a file, its layout is made out from the file itself. If
that leaves nothing open it is loaded; else it is held, and 'penstock profiles
pending' asks once for all files of the kind.

The folder of an archive is loaded as the ledger had its files, under the names of
their sources: a lost database is there again, with what people decided. Say which
database with -c or --store.

Ctrl-C finishes what is under way and stops; a second one drops it. Either way
nothing is half-committed, and the same command goes on with the rest.

Exit code 3 says that it finished, but that some files were held or quarantined
or could not be read, some lines were rejected, or readings of new channels
withheld.`,
		Example: `  penstock replay /data/loggers
  penstock replay --zone Europe/London --profile station.yaml 2019/ 2020.zip
  penstock replay -c penstock.yaml --source field-loggers /mnt/copy   # read as the daemon reads that source
  penstock replay --rank -1 --source archive /mnt/archive   # displaces nothing that is there
  penstock replay --rank -1 --max-live-lag 2m --source archive /mnt/archive   # beside a daemon
  penstock replay --dry-run -o csv new-logger.csv           # stores nothing, shows the readings`,
		Args: args(1, -1),
		RunE: func(cmd *cobra.Command, paths []string) error {
			r.likeSource(cmd.Flags())
			r.storeNamed = a.config != nil && a.config.store.url != "" || cmd.Flags().Changed("store")
			if r.dryRun {
				return a.dryRun(r, paths)
			}
			return a.replay(r, paths)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	r.reading.flags(a, cmd)
	f.StringVar(&r.source, "source", "", "the `NAME` of the source, whose files are known by their path below PATH; without it they are known by their absolute path")
	f.StringSliceVar(&r.match, "match", nil, "load only files that match one of these `GLOBS`: without a slash by their name, such as '*.csv', else by their path below PATH")
	f.StringSliceVar(&r.ignore, "ignore", source.DefaultIgnore(), "pass over files and folders that match one of these `GLOBS`, likewise")
	f.Var(&r.workers, "workers", "how many chunks are decoded and committed at a time: a number, or auto, which is two for each core")
	f.Var(&r.chunk, "chunk", "how many files go into one transaction: a number, or auto, which is 1000")
	r.cutting.flags(f)
	f.Var(&r.conflict, "on-conflict", "which value stands where two files hold the same instant: latest, earliest, or error, which quarantines the second file")
	r.onChange.flag(cmd)
	f.Int16Var(&r.rank, "rank", 0, "files of a greater rank `N` win over files of a lesser one, whatever their times; a backfill takes -1")
	f.Var(&r.liveLag, "max-live-lag", "give live files the right of way: wait while one of a daemon on the same database has waited for more than this `SPAN` to be loaded, until none has for more than half of it; default none")
	f.BoolVar(&r.append, "append", false, "make a new store without a unique key: a new version of a file replaces the one before")
	f.BoolVar(&r.dryRun, "dry-run", false, "store nothing; print the readings that would be stored")
	fromEnvironment(f, "source", "workers", "chunk", "on-conflict", "rank", "max-live-lag", "append")
	return cmd
}

func (a *app) replay(r *replay, paths []string) error {
	// What is wrong with the command line is said before a server is started.
	if err := r.check(); err != nil {
		return err
	}
	if err := checkLiveLag(time.Duration(r.liveLag)); err != nil {
		return &usageError{err: fmt.Errorf("--max-live-lag %w", err)}
	}
	if len(paths) == 1 && archive.Is(paths[0]) {
		if !r.storeNamed {
			return usage("a config with store.url names the store that was lost, or an empty one (-c penstock.yaml); without it --store postgres://USER@HOST/DATABASE does, and --store local: is the private PostgreSQL",
				"%s is an archive of Penstock's, from which a database is rebuilt, and which one is not said", ingest.EscapePath(paths[0]))
		}
		return a.replayArchive(r, paths[0])
	}
	if err := noArchive(paths); err != nil {
		return err
	}
	dir, root, err := sourceOf(source.Options{Source: r.source, Match: r.match, Ignore: r.ignore}, paths)
	if err != nil {
		return &usageError{err: err}
	}
	defer closeSource(a, dir)
	s, err := a.openStore(a.take, writes, store.Options{Create: true, Append: r.append})
	if err != nil {
		return err
	}
	defer s.close(a.log)
	approved, err := s.approved(a.take)
	if err != nil {
		return err
	}
	decoders, err := r.decoders(approved)
	if err != nil {
		return err
	}
	before, err := s.SourceOptions(a.take, dir.Name())
	if err != nil {
		return err
	}
	if before != nil {
		root = withEarlier(root, before.Root)
	}
	sink, err := s.Sink(a.take, store.SinkOptions{
		Source: dir.Name(), Root: root, Once: true, Rank: r.rank, Policy: store.Policy(r.conflict.value), OnChange: r.onChange.policy(), Log: a.log,
	})
	if err != nil {
		return err
	}
	yielding := newYielding(r.liveLag, s, a.log)
	result, err := a.run(&job{source: dir, sink: sink, decoders: decoders, workers: r.workers, chunk: r.chunk, cutting: r.cutting, verb: "loaded",
		how: r.given(), nothing: r.nothing(paths), yielding: yielding})
	if err != nil {
		return err
	}
	r.noteHeldBack(yielding)
	return a.printResult(result)
}

// noArchive refuses an archive among other paths: its packs are no logger files.
func noArchive(paths []string) error {
	if len(paths) == 1 {
		return nil
	}
	for _, path := range paths {
		if archive.Is(path) {
			return usage("replay it alone, which rebuilds a database from it", "%s is an archive of Penstock's, and stands among other paths", ingest.EscapePath(path))
		}
	}
	return nil
}

// noteHeldBack says how long live files were given the right of way.
func (r *replay) noteHeldBack(y *yielding) {
	if held := y.heldBack(); held > 0 {
		r.app.note("Held back for %s in all, while live files had waited for more than %s.", span(held), span(time.Duration(r.liveLag)))
	}
}

// onChange is the flag of that name.
type onChange struct{ choice }

func newOnChange() onChange {
	return onChange{choice{of: []string{"hold", "load"}}}
}

func (o *onChange) flag(cmd *cobra.Command) {
	f := cmd.Flags()
	f.Var(&o.choice, "on-change", "what becomes of a file in which a known logger is not what it was (a channel more or another, another source, a layout that was guessed anew): hold or load; default load where a person wrote or approved the profile, and hold where it was guessed")
	fromEnvironment(f, "on-change")
}

func (o *onChange) policy() store.OnChange {
	switch o.value {
	case "hold":
		return store.HoldChanged
	case "load":
		return store.LoadChanged
	}
	return store.HoldGuessed
}

// nothing says that there is no file to load, and where and for what it was
// looked.
func (r *replay) nothing(paths []string) string {
	places := make([]string, len(paths))
	for i, p := range paths {
		places[i] = ingest.EscapePath(p)
	}
	what := "No files"
	if len(r.match) > 0 {
		what = "No files that match " + printable(strings.Join(r.match, ","))
	}
	ignored := ""
	if len(r.ignore) > 0 {
		ignored = fmt.Sprintf(" (passed over: --ignore %s)", printable(strings.Join(r.ignore, ",")))
	}
	return fmt.Sprintf("%s in %s%s.", what, strings.Join(places, ", "), ignored)
}

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"penstock/bench"
)

// defaultSkew is what --skew means without a number: one file in a hundred is
// over 30 times as long as the median.
const defaultSkew = "1.5"

func newBenchCorpus(a *app) *cobra.Command {
	g := &bench.Generator{}
	var dir string
	cmd := &cobra.Command{
		Use:   "corpus --out DIR",
		Short: "write logger files to measure with, and what must be read from them",
		Long: `Corpus writes files as loggers send them into DIR/files, and beside it what must
be read from them: truth.csv holds every reading, truth.json the counts, and
which profile and zone read them. The same flags give the same files.

A file is of one logger. Loggers take turns, and each goes on where its last file
ended. With --skew a few files are much longer than the others, as those of
loggers are that were out of reach for a while: large chunks then wait for one
slow file.`,
		Example: `  penstock bench corpus --out corpus
  penstock bench corpus --out corpus --files 1000 --readings 2000 --skew --layout hobo-title
  penstock bench corpus --out corpus --errors 0.01 --gzip`,
		Args: args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if dir == "" {
				return usage("such as --out corpus", "corpus needs to know where to write: --out DIR")
			}
			return a.writeCorpus(*g, dir)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&dir, "out", "", "the `DIR` to write to, which is made, or empty")
	f.IntVar(&g.Files, "files", 27_000, "how many files")
	f.IntVar(&g.Readings, "readings", 2, "how many readings a file has; with --skew the median of it")
	f.IntVar(&g.Loggers, "loggers", 0, "how many loggers take turns; default 270, or the one that the layout has")
	f.IntVar(&g.Channels, "channels", 0, "how many channels a logger has; default 2, or the one that the layout has")
	f.Float64Var(&g.Skew, "skew", 0, "how far the lengths of files lie apart: the `SIGMA` of a log-normal distribution")
	f.Lookup("skew").NoOptDefVal = defaultSkew
	f.StringVar(&g.Layout, "layout", "plain-long", "the built-in `PROFILE` that reads the files")
	f.Float64Var(&g.Errors, "errors", 0, "the `SHARE` of rows that have a time or a value that cannot be read")
	f.BoolVar(&g.Gzip, "gzip", false, "compress each file")
	f.Uint64Var(&g.Seed, "seed", 1, "of all that is random")
	return cmd
}

func (a *app) writeCorpus(g bench.Generator, dir string) error {
	if err := g.Check(); err != nil {
		return &usageError{err: err}
	}
	truth, err := g.Write(a.take, dir)
	if errors.Is(err, fs.ErrExist) {
		return &usageError{err: err, hint: "name a folder that is not there yet"}
	}
	if err != nil {
		return err
	}
	if a.output.value == "json" {
		return a.printObject(truth)
	}
	replay := []string{"penstock", "replay"}
	if truth.ByName {
		replay = append(replay, "--profile", truth.Profile)
	}
	if truth.Zone != "" {
		replay = append(replay, "--zone", truth.Zone)
	}
	var lost string
	if truth.Lost > 0 {
		lost = counted(truth.Lost, "reading") + " that cannot be read"
	}
	return a.facts(
		"files", fmt.Sprintf("%s, %s, the longest of %s", count(int64(truth.Generator.Files)), byteSize(truth.Bytes), counted(truth.Longest, "row")),
		"readings", fmt.Sprintf("%s of %s", count(truth.Readings), counted(int64(min(truth.Generator.Loggers, truth.Generator.Files)), "logger")),
		"errors", lost,
		"profile", truth.Profile,
		"to load", strings.Join(append(replay, filepath.Join(dir, bench.Folder)), " "),
	)
}

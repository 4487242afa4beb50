// Command peers loads the same files with Penstock and with what else people
// load such files with, on this machine, now.
//
//	go run ./bench/peers -penstock ./penstock -telegraf /path/to/telegraf
//
// It runs what is installed and says what is missing. All sides take turns,
// several times over, on the same private PostgreSQL with its default
// durability; a first round, which warms caches, does not count. After each run
// the readings are counted: a side that did not load all is not timed. The result
// is a table in Markdown.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"penstock/bench"
	"penstock/bench/trial"
	"penstock/store/pglocal"
)

// A site is what the peers share.
type site struct {
	penstock, python, telegraf string // programs

	dir    string // scratch
	files  string // the folder of the corpus
	store  string // URL of a private PostgreSQL
	corpus bench.Corpus

	workers, chunk int
	runs           int
	out            io.Writer
}

func main() { os.Exit(trial.Main("peers", run)) }

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	s := site{corpus: bench.Corpus{Readings: 2}, out: out}
	f := flag.NewFlagSet("peers", flag.ContinueOnError)
	f.StringVar(&s.penstock, "penstock", "./penstock", "the program to measure")
	f.StringVar(&s.python, "python", "", "a Python 3 that has psycopg2 (default: the first of python3 and /usr/bin/python3 that has)")
	f.StringVar(&s.telegraf, "telegraf", "", "Telegraf's program (default: telegraf, where that is installed)")
	f.IntVar(&s.corpus.Files, "files", 27_000, "number of two-reading files")
	f.IntVar(&s.workers, "workers", 4, "workers, of those that have any")
	f.IntVar(&s.chunk, "chunk", 500, "files in a transaction, of those that let one choose")
	f.IntVar(&s.runs, "runs", 5, "runs of each side, after one that does not count")
	if err := f.Parse(args); err != nil {
		return err
	}
	if s.runs < 1 || s.workers < 1 || s.chunk < 1 {
		return errors.New("-runs, -workers and -chunk: at least one")
	}
	if s.penstock, err = filepath.Abs(s.penstock); err != nil { // it may be missing, as the others
		return err
	}
	if s.dir, err = os.MkdirTemp("", "penstock-peers-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	s.files = filepath.Join(s.dir, "files")
	if err := s.corpus.Write(s.files); err != nil {
		return err
	}
	server, err := pglocal.Start(ctx, pglocal.Options{Dir: filepath.Join(s.dir, "pg")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop(context.WithoutCancel(ctx))) }()
	s.store = server.URL()
	return s.compare(ctx)
}

// A peer is one way to load the files.
type peer struct {
	name     string
	settings string
	version  func(context.Context, *site) (string, error) // an error says that it is missing, and what to install
	// prepare makes what someone has before files come, as a schema or a script;
	// nil where there is nothing.
	prepare func(context.Context, *site) error
	// load loads the files into the table that table names, which is empty; it
	// returns the seconds from the program's start until all was stored.
	load  func(context.Context, *site) (seconds float64, err error)
	table string // "" for peer, which is made for it

	found string // its version
	took  []float64
	fault error // why it did not load all
}

func (s *site) compare(ctx context.Context) error {
	var there []*peer
	for _, p := range s.peers() {
		version, err := p.version(ctx, s)
		if err != nil {
			fmt.Fprintf(s.out, "missing: %s: %v\n", p.name, err)
			continue
		}
		p.found = version
		there = append(there, p)
	}
	if err := s.alternate(ctx, there); err != nil {
		return err
	}
	return s.print(ctx, there)
}

// alternate runs the peers in turn. A first run of each, which warms caches, is
// not counted. One that failed, then or later, has its turn no more.
func (s *site) alternate(ctx context.Context, there []*peer) error {
	return trial.Turns(s.runs+1, len(there), func(round, i int) error {
		p := there[i]
		if p.fault != nil {
			return ctx.Err()
		}
		var seconds float64
		if seconds, p.fault = s.once(ctx, p); p.fault == nil && round > 0 {
			p.took = append(p.took, seconds)
		}
		return ctx.Err()
	})
}

// once empties what a peer loads into, lets it load, and counts.
func (s *site) once(ctx context.Context, p *peer) (seconds float64, err error) {
	err = trial.Exec(ctx, s.store, "drop schema if exists penstock cascade", "drop table if exists peer, telegraf",
		"create table peer (logger text, channel text, ts timestamptz, value float8, primary key (logger, channel, ts))")
	if err != nil {
		return 0, err
	}
	if p.prepare != nil {
		if err := p.prepare(ctx, s); err != nil {
			return 0, err
		}
	}
	// Last, so that no side's time has another's pages to write, or its own schema's.
	if err := trial.Exec(ctx, s.store, "checkpoint"); err != nil {
		return 0, err
	}
	seconds, err = p.load(ctx, s)
	if err != nil {
		return 0, err
	}
	table := "peer"
	if p.table != "" {
		table = p.table
	}
	var n int
	err = trial.One(ctx, s.store, "select count(*) from "+table, &n)
	if want := s.corpus.Files * s.corpus.Readings; err == nil && n != want {
		err = fmt.Errorf("it loaded %d of %d readings", n, want)
	}
	return seconds, err
}

func (s *site) print(ctx context.Context, there []*peer) error {
	var server string
	if err := trial.One(ctx, s.store, "show server_version", &server); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "\n%d files of %d readings, PostgreSQL %s, %s/%s, %d cores; medians of %d runs in turn\n\n",
		s.corpus.Files, s.corpus.Readings, server, runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), s.runs)
	fmt.Fprintf(s.out, "| side | version | settings | seconds | least to most | by Penstock |\n|---|---|---|--:|--:|--:|\n")
	for _, p := range there {
		if p.fault != nil {
			fmt.Fprintf(s.out, "| %s | %s | %s | failed: %s | | |\n", p.name, p.found, p.settings, strings.ReplaceAll(firstLine(p.fault), "|", `\|`))
			continue
		}
		fmt.Fprintf(s.out, "| %s | %s | %s | %.2f | %.2f to %.2f | %s |\n", p.name, p.found, p.settings,
			trial.Median(p.took), slices.Min(p.took), slices.Max(p.took), against(p, there[0]))
	}
	return nil
}

// against is how many times as long as the first a peer took.
func against(p, first *peer) string {
	if first.fault != nil {
		return ""
	}
	return fmt.Sprintf("%.1f x", trial.Median(p.took)/trial.Median(first.took))
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// Command ratios measures Penstock against the least programs that do the same
// work, on this machine, now: seconds depend on the machine, ratios hardly.
//
//	go run ./bench/ratios -penstock ./penstock
//
// Each comparison runs its two sides in turn, several times over, on the same
// files and the same private PostgreSQL with its default durability, and
// prints the medians and their ratio.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"penstock/bench"
	"penstock/bench/trial"
	"penstock/store/pglocal"
)

// A site is what the comparisons share.
type site struct {
	penstock, floor, psql string          // programs
	parallelCopy          string          // timescaledb-parallel-copy; "" where it is not at hand
	dir                   string          // scratch
	server                *pglocal.Server // a private PostgreSQL
	store                 string          // its URL
	postmaster            int             // process id of the store's server; 0 where it is none of this machine's
	timescale             string          // URL of a server with TimescaleDB; "" for none

	small   bench.Corpus // many files of two readings
	long    bench.Corpus // one file of many
	bulk    bench.Corpus // one file of more, for a table in append mode
	runs    int          // of each side of a comparison
	workers int
	chunk   int
	out     io.Writer
}

func (s *site) smallDir() string { return filepath.Join(s.dir, "small") }
func (s *site) longDir() string  { return filepath.Join(s.dir, "long") }
func (s *site) bulkDir() string  { return filepath.Join(s.dir, "bulk") }

func main() { os.Exit(trial.Main("ratios", run)) }

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	s := site{small: bench.Corpus{Readings: 2}, long: bench.Corpus{Files: 1, Loggers: 1000}, bulk: bench.Corpus{Files: 1, Loggers: 1000}, out: out}
	f := flag.NewFlagSet("ratios", flag.ContinueOnError)
	f.StringVar(&s.penstock, "penstock", "./penstock", "the program to measure")
	f.IntVar(&s.runs, "runs", 7, "runs of each side")
	f.IntVar(&s.workers, "workers", 4, "workers, on both sides")
	f.IntVar(&s.chunk, "chunk", 500, "files in a transaction, on both sides")
	f.IntVar(&s.small.Files, "files", 27_000, "number of two-reading files")
	f.IntVar(&s.long.Readings, "readings", 2_000_000, "readings of the long file")
	f.IntVar(&s.bulk.Readings, "bulk", 20_000_000, "readings of the file for a table in append mode")
	f.StringVar(&s.parallelCopy, "parallel-copy", "timescaledb-parallel-copy", "timescaledb-parallel-copy's program, to compare with where it is at hand")
	f.StringVar(&s.timescale, "timescale", "", "URL of a server with TimescaleDB, for what is compared there (a superuser's)")
	only := f.String("only", "", "only the comparisons whose name this regular expression matches")
	if err := f.Parse(args); err != nil {
		return err
	}
	chosen, err := trial.Chosen(*only, comparisons, func(c comparison) string { return c.name })
	if err != nil {
		return err
	}
	if s.runs < 1 {
		return errors.New("-runs: at least one")
	}
	if s.dir, err = os.MkdirTemp("", "penstock-ratios-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	if err := s.prepare(ctx); err != nil {
		return err
	}
	for _, c := range chosen {
		if err := s.withServer(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

// prepare builds the floor, writes the files, and says on what it measures.
func (s *site) prepare(ctx context.Context) (err error) {
	if s.penstock, err = trial.Program(s.penstock); err != nil {
		return err
	}
	if s.psql, err = pglocal.FindPsql(); err != nil {
		return err
	}
	if s.parallelCopy, err = exec.LookPath(s.parallelCopy); err != nil {
		s.parallelCopy = ""
	}
	s.floor = filepath.Join(s.dir, "floor")
	if _, err := trial.Command(ctx, "go", "build", "-o", s.floor, "penstock/bench/floor"); err != nil {
		return err
	}
	if err := s.small.Write(s.smallDir()); err != nil {
		return err
	}
	if err := s.long.Write(s.longDir()); err != nil {
		return err
	}
	binaries, err := pglocal.FindBinaries()
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%s/%s, %d CPUs, %s, PostgreSQL %s; %d workers x %d files, %d runs of each side in turn\n\n",
		runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), binaries.Version, s.workers, s.chunk, s.runs)
	return nil
}

// withServer makes one comparison on a cluster of its own, so that none
// inherits the tables, the log or the checkpoints of another.
func (s *site) withServer(ctx context.Context, c comparison) (err error) {
	server, err := pglocal.Start(ctx, pglocal.Options{Dir: filepath.Join(s.dir, "pg-"+c.name), Settings: c.settings})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop(context.WithoutCancel(ctx))) }()
	s.server, s.store, s.postmaster = server, server.URL(), server.Pid()
	return c.run(ctx, s)
}

// A report is what is used of `penstock replay -o json`.
type report struct {
	Files struct {
		Known int `json:"known"`
	} `json:"files"`
	Readings struct {
		Stored int `json:"stored"`
	} `json:"readings"`
	Seconds float64 `json:"seconds"`
}

// replay runs Penstock and returns what it said and the seconds from its start
// to its end.
func (s *site) replay(ctx context.Context, dir string, more ...string) (r report, seconds float64, err error) {
	args := append([]string{
		"replay", dir, "--store", s.store, "-o", "json", "--quiet",
		"--workers", strconv.Itoa(s.workers), "--chunk", strconv.Itoa(s.chunk),
	}, more...)
	seconds, err = decoded(ctx, &r, s.penstock, args...)
	return r, seconds, err
}

// leastOf runs the floor likewise.
func (s *site) leastOf(ctx context.Context, mode, dir string) (r leastReport, seconds float64, err error) {
	seconds, err = decoded(ctx, &r, s.floor, "-mode", mode, "-dir", dir, "-store", s.store,
		"-workers", strconv.Itoa(s.workers), "-chunk", strconv.Itoa(s.chunk))
	return r, seconds, err
}

type leastReport struct {
	Files    int     `json:"files"`
	Readings int     `json:"readings"`
	Known    int     `json:"known"`
	Seconds  float64 `json:"seconds"`
}

func decoded(ctx context.Context, r any, program string, args ...string) (seconds float64, err error) {
	began := time.Now()
	out, err := trial.Command(ctx, program, args...)
	seconds = time.Since(began).Seconds()
	if err != nil {
		return seconds, err
	}
	if err := json.Unmarshal(out, r); err != nil {
		return seconds, fmt.Errorf("reading what %s printed: %w", program, err)
	}
	return seconds, nil
}

// Command floor is what Penstock's speed is measured against: for each kind of
// work the least program that does it.
//
//	floor -mode load    the same promise with nothing around it: see load.go
//	floor -mode read    opens, reads and closes every file, and drops the bytes
//	floor -mode walk    lists a folder, stats every file and selects the ledger once
//	floor -mode copy    sends ready-made rows, one binary COPY for each file: see copy.go
//	floor -mode corpus  writes the files that the others work on
//
// It prints one JSON object. It knows one layout (bench.Corpus), has no
// profiles, no receipts and no recovery, and is no example of how to load
// files.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"penstock/bench"
)

type options struct {
	mode    string
	dir     string
	store   string
	schema  string
	ledger  string
	table   string
	workers int
	chunk   int
	corpus  bench.Corpus
}

// A result is what is printed. Seconds are those of the work alone: without
// the start of the process, making tables, and, for read, listing the folder.
type result struct {
	Mode           string  `json:"mode"`
	Files          int     `json:"files"`
	Readings       int     `json:"readings,omitempty"`
	Known          int     `json:"known,omitempty"` // walk: files that the ledger has with this size and time
	Bytes          int64   `json:"bytes,omitempty"`
	Seconds        float64 `json:"seconds"`
	FilesPerSecond float64 `json:"files_per_second"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	f := flag.NewFlagSet("floor", flag.ContinueOnError)
	f.StringVar(&o.mode, "mode", "load", "load, read, walk, copy or corpus")
	f.StringVar(&o.dir, "dir", "", "the folder of files; for corpus, where to write them")
	f.StringVar(&o.store, "store", "", "PostgreSQL's URL (load, walk, copy)")
	f.StringVar(&o.schema, "schema", "floor", "load: the scratch schema, made when missing")
	f.StringVar(&o.ledger, "ledger", "penstock.files", "walk: the ledger's table, with columns path, size and modified")
	f.StringVar(&o.table, "table", "", "copy: the table, with the columns that the rows have")
	f.IntVar(&o.workers, "workers", 4, "goroutines (load, read)")
	f.IntVar(&o.chunk, "chunk", 500, "files in a transaction (load)")
	f.IntVar(&o.corpus.Files, "files", 27_000, "corpus: number of files")
	f.IntVar(&o.corpus.Readings, "readings", 2, "corpus: readings in each")
	f.IntVar(&o.corpus.Loggers, "loggers", 0, "corpus: number of loggers (0: 270)")
	f.Uint64Var(&o.corpus.Seed, "seed", 0, "corpus: seed of the values")
	if err := f.Parse(args); err != nil {
		return err
	}
	if o.dir == "" || o.workers < 1 || o.chunk < 1 {
		return fmt.Errorf("a -dir is needed, and at least one worker and one file in a chunk")
	}
	r, err := work(ctx, o)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", o.mode, o.dir, err)
	}
	r.Mode = o.mode
	r.FilesPerSecond = float64(r.Files) / r.Seconds
	return json.NewEncoder(out).Encode(r)
}

func work(ctx context.Context, o options) (result, error) {
	switch o.mode {
	case "load":
		return load(ctx, o)
	case "read":
		return read(ctx, o)
	case "walk":
		return walk(ctx, o)
	case "copy":
		return copyFiles(ctx, o)
	case "corpus":
		began := time.Now()
		err := o.corpus.Write(o.dir)
		return result{Files: o.corpus.Files, Readings: o.corpus.Files * o.corpus.Readings, Seconds: time.Since(began).Seconds()}, err
	default:
		return result{}, fmt.Errorf("no such mode")
	}
}

// list returns the paths of all files below dir.
func list(ctx context.Context, dir string) ([]string, error) {
	var paths []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, path)
		}
		if err == nil {
			err = ctx.Err()
		}
		return err
	})
	return paths, err
}

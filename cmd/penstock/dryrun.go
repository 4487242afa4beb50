package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"penstock/ingest"
	"penstock/ingest/source"
	"penstock/ingest/source/archive"
	"penstock/store"
)

// dryRun reads the files as replay does and prints the readings instead of
// storing them. It makes no store, and writes to none: the ledger is asked
// which files are known if there is one.
func (a *app) dryRun(r *replay, paths []string) error {
	if err := r.check(); err != nil {
		return err
	}
	if len(paths) == 1 && archive.Is(paths[0]) {
		return usage("'penstock archive ls' lists what it has", "--dry-run reads logger files, and %s is an archive of Penstock's", ingest.EscapePath(paths[0]))
	}
	if err := noArchive(paths); err != nil {
		return err
	}
	dir, _, err := sourceOf(source.Options{Source: r.source, Match: r.match, Ignore: r.ignore}, paths)
	if err != nil {
		return &usageError{err: err}
	}
	defer closeSource(a, dir)
	ledger, err := a.ledgerIfAny()
	if err != nil {
		return err
	}
	if ledger != nil {
		defer ledger.close(a.log)
	}
	approved, err := ledger.approved(a.take)
	if err != nil {
		return err
	}
	decoders, err := r.decoders(approved)
	if err != nil {
		return err
	}
	return a.runDry(&job{source: dir, decoders: decoders, how: r.given(), nothing: r.nothing(paths)}, ledger)
}

// ledgerIfAny opens the store, or returns nil where there is none yet.
func (a *app) ledgerIfAny() (*opened, error) {
	have, err := a.haveStore()
	if err != nil || !have {
		return nil, err
	}
	s, err := a.openStore(a.take, reads, store.Options{})
	if errors.Is(err, store.ErrNoSchema) {
		return nil, nil
	}
	return s, err
}

// runDry prints what the files of a job's source hold. One worker reads them, so
// that the readings come file by file.
func (a *app) runDry(j *job, ledger *opened) error {
	sink := &drySink{source: j.source.Name(), printer: newPrinter(a, readingColumns())}
	if ledger != nil {
		sink.ledger = ledger.Store
	}
	j.sink, j.workers, j.verb = sink, 1, "would load"
	result, err := a.run(j)
	if err == nil {
		err = sink.printer.end()
	}
	if err != nil {
		return err
	}
	// Data and its account do not mix where a program reads them.
	if a.output.value != "table" {
		out, profile, width := a.out, a.outProfile, a.width
		a.out, a.outProfile, a.width = a.err, a.errProfile, 0
		defer func() { a.out, a.outProfile, a.width = out, profile, width }()
		if a.quiet {
			return exitOf(result)
		}
	} else if result.receipt.Cells.Stored > 0 {
		fmt.Fprintln(a.out)
	}
	if err := a.printSummary(result); err != nil {
		return err
	}
	fmt.Fprintln(a.out, a.style(faint, "Nothing was stored. Files are counted by themselves: what the store holds already was not compared."))
	return exitOf(result)
}

func exitOf(r *result) error {
	if r.interrupted {
		return errInterrupted
	}
	if code := r.exit(); code != exitWell {
		return exitError(code)
	}
	return nil
}

// A readingRow is a reading as it would be stored.
type readingRow struct {
	Logger  string  `json:"logger" csv:"logger"`
	Channel string  `json:"channel" csv:"channel"`
	Unit    string  `json:"unit,omitempty" csv:"unit"`
	Time    stamp   `json:"ts" csv:"ts"`
	Value   float64 `json:"value" csv:"value"`
	Quality string  `json:"quality,omitempty" csv:"quality"`
}

func readingColumns() []column[readingRow] {
	return []column[readingRow]{
		{head: "LOGGER", text: func(r readingRow) string { return r.Logger }, cut: right},
		{head: "CHANNEL", text: func(r readingRow) string { return r.Channel }, cut: right},
		{head: "TIME", text: func(r readingRow) string { return exactly(r.Time.Time) }},
		{head: "VALUE", text: func(r readingRow) string { return number(r.Value) }, right: true},
		{head: "UNIT", text: func(r readingRow) string { return r.Unit }, cut: right},
		{head: "QUALITY", text: func(r readingRow) string { return r.Quality }, cut: right},
	}
}

// number returns a value with the digits that tell it from its neighbours.
func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// A drySink stores nothing.
type drySink struct {
	source string
	ledger *store.Store // nil when there is none

	mu      sync.Mutex // of printer
	printer printer[readingRow]
}

// Pending implements [ingest.Sink].
func (s *drySink) Pending(ctx context.Context, files []ingest.File) ([]ingest.Standing, error) {
	if s.ledger != nil {
		return s.ledger.Standings(ctx, s.source, files)
	}
	standings := make([]ingest.Standing, len(files))
	for i := range standings {
		standings[i].Take = true
	}
	return standings, nil
}

// Committer implements [ingest.Sink].
func (s *drySink) Committer(context.Context) (ingest.Committer, error) {
	return &dryCommitter{sink: s}, nil
}

type dryCommitter struct {
	sink     *drySink
	order    ingest.Order
	outcomes []ingest.Outcome
}

// Close implements [ingest.Committer].
func (c *dryCommitter) Close() {}

// Commit implements [ingest.Committer]: it prints.
func (c *dryCommitter) Commit(ctx context.Context, b *ingest.Batch) ([]ingest.Outcome, error) {
	c.sink.mu.Lock()
	defer c.sink.mu.Unlock()
	c.outcomes = c.outcomes[:0]
	for i := range b.Spans {
		o, err := c.show(ctx, b, i)
		if err != nil {
			return nil, err
		}
		c.outcomes = append(c.outcomes, o)
	}
	return c.outcomes, nil
}

func (c *dryCommitter) show(ctx context.Context, b *ingest.Batch, span int) (ingest.Outcome, error) {
	s := &b.Spans[span]
	o := ingest.Outcome{File: s.File, State: s.State, Reason: s.Reason, Shape: s.Shape, Receipt: s.Receipt, Rejects: len(s.Rejects)}
	if c.sink.ledger != nil {
		newest, err := c.sink.ledger.Newest(ctx, c.sink.source, s.File.Path)
		if err != nil {
			return o, err
		}
		if newest != nil && newest.Sum == s.Sum && newest.State != ingest.Due && newest.State != ingest.Loading {
			return ingest.Outcome{File: s.File, State: ingest.Known, Standing: newest.State, FileID: newest.ID, Generation: newest.Generation}, nil
		}
	}
	if s.State != ingest.Loaded {
		return o, nil
	}
	only := make([]bool, len(b.Spans))
	only[span] = true
	places, n := placesOf(b.Keys)
	c.order.Sort(b, only, places, n, nil)
	s.Receipt.Cells.Stored = int64(len(c.order.Rows))
	o.Receipt = s.Receipt
	for _, row := range c.order.Rows {
		if err := c.sink.printer.add(readingAt(b, row)); err != nil {
			return o, err
		}
	}
	return o, s.Receipt.Balance()
}

// placesOf gives each key its series' place among the series: keys that differ
// in their unit alone share one.
func placesOf(keys []ingest.SeriesKey) (places []int32, n int) {
	type series struct{ logger, channel string }
	seen := make(map[series]int32)
	places = make([]int32, len(keys))
	for i, k := range keys {
		at, ok := seen[series{k.Logger, k.Channel}]
		if !ok {
			at = int32(len(seen))
			seen[series{k.Logger, k.Channel}] = at
		}
		places[i] = at
	}
	return places, len(seen)
}

func readingAt(b *ingest.Batch, row int32) readingRow {
	k := &b.Keys[b.Series[row]]
	r := readingRow{Logger: k.Logger, Channel: k.Channel, Unit: k.Unit, Time: stamp{ingest.FromMicros(b.Time[row])}, Value: b.Value[row]}
	if len(b.Quality) > 0 {
		r.Quality = b.Qualities[b.Quality[row]]
	}
	return r
}

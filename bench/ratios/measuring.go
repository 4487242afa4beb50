package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"github.com/gocarina/gocsv"

	"penstock/bench"
	"penstock/bench/trial"
)

// measuring: what the bench says of one cell, against what replay says of the
// same files, of the same stretch: from the listing to the last commit.
func measuring(ctx context.Context, s *site) error {
	want := s.small.Files * s.small.Readings
	ours := &side{name: "penstock bench, of one cell", once: func(ctx context.Context) (float64, error) {
		if err := s.checkpoint(ctx); err != nil {
			return 0, err
		}
		return s.cell(ctx, s.smallDir(), want)
	}}
	theirs := &side{name: "penstock replay, what it says itself", once: func(ctx context.Context) (float64, error) {
		if err := s.fresh(ctx); err != nil {
			return 0, err
		}
		r, _, err := s.replay(ctx, s.smallDir())
		if err == nil && r.Readings.Stored != want {
			err = fmt.Errorf("%d readings were stored, not %d", r.Readings.Stored, want)
		}
		return r.Seconds, err
	}}
	if err := s.alternate(ctx, ours, theirs); err != nil {
		return err
	}
	s.print(fmt.Sprintf("what measuring adds, with %d files", s.small.Files), "within 3 %", ours, theirs)
	return nil
}

// cell has the bench run the one cell that all comparisons are made with, and
// returns the seconds of its run.
func (s *site) cell(ctx context.Context, dir string, readings int) (seconds float64, err error) {
	out, err := trial.Command(ctx, s.penstock, "bench", dir, "--store", s.store, "-o", "csv", "--quiet", "--sets", "1", "--runs", "1",
		"--workers", strconv.Itoa(s.workers), "--chunk", strconv.Itoa(s.chunk))
	if err != nil {
		return 0, err
	}
	var samples []bench.Sample
	if err := gocsv.Unmarshal(bytes.NewReader(out), &samples); err != nil {
		return 0, fmt.Errorf("reading what the bench printed: %w", err)
	}
	for _, x := range samples {
		if x.Set == 0 || x.Run == 0 {
			continue // a warm-up, or the reference
		}
		if x.Error != "" || x.Readings != int64(readings) {
			return 0, fmt.Errorf("the cell stored %d readings, not %d: %s", x.Readings, readings, x.Error)
		}
		return x.Seconds, nil
	}
	return 0, fmt.Errorf("the bench ran no cell:\n%s", out)
}

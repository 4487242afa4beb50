package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"penstock/ingest"
	"penstock/ingest/format"
	"penstock/ingest/source"
)

// decode: the pipeline with nothing behind it, files to columns, against
// opening, reading and closing the same files. The stages' own seconds are
// summed over workers, who wait for nobody here: divided by their number they
// are the stage's. The floor's are without listing the folder, so that it is
// the stage that compares.
func decode(ctx context.Context, s *site) error {
	set, err := format.NewSet(true)
	if err != nil {
		return err
	}
	settings := format.Settings{Profile: "auto"}
	if _, err := format.NewDecoder(set, settings); err != nil {
		return err
	}
	whole := &side{name: "the pipeline without a store, listing included"}
	stage := &side{name: "its fetch and decode stages"}
	least := &side{name: "open, read, close: bench/floor"}
	whole.once = func(ctx context.Context) (_ float64, err error) {
		files, err := source.NewDir(source.Options{}, s.smallDir())
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, files.Close()) }()
		var busy time.Duration
		sink := &discard{}
		p := ingest.Pipeline{
			Source: files, Sink: sink, Workers: s.workers, Limits: ingest.Limits{Files: s.chunk},
			NewDecoder: func() ingest.Decoder {
				d, _ := format.NewDecoder(set, settings) // was made before
				return d
			},
			Observe: func(e ingest.Event) { busy += e.Fetch + e.Decode },
		}
		began := time.Now()
		err = p.Run(ctx, ctx)
		took := since(began)
		stage.took = append(stage.took, busy.Seconds()/float64(s.workers))
		if got, want := int(sink.readings.Load()), s.small.Files*s.small.Readings; err == nil && got != want {
			err = fmt.Errorf("%d readings were decoded, not %d", got, want)
		}
		return took, err
	}
	least.once = func(ctx context.Context) (float64, error) {
		r, _, err := s.leastOf(ctx, "read", s.smallDir())
		return r.Seconds, err
	}
	if err := s.alternate(ctx, whole, least); err != nil {
		return err
	}
	stage.took = stage.took[1:] // the run that warmed caches
	s.print(fmt.Sprintf("decode stage of %d files of %d readings", s.small.Files, s.small.Readings), "the stages at most 1.25 x", whole, stage, least)
	return nil
}

// discard is a sink that takes every file, counts its readings and forgets
// them.
type discard struct {
	readings atomic.Int64
}

// Pending implements [ingest.Sink].
func (d *discard) Pending(_ context.Context, files []ingest.File) ([]ingest.Standing, error) {
	standings := make([]ingest.Standing, len(files))
	for i := range standings {
		standings[i].Take = true
	}
	return standings, nil
}

// Committer implements [ingest.Sink].
func (d *discard) Committer(context.Context) (ingest.Committer, error) {
	return &discarder{sink: d}, nil
}

// A discarder is one worker's.
type discarder struct {
	sink     *discard
	outcomes []ingest.Outcome
}

// Commit implements [ingest.Committer].
func (d *discarder) Commit(_ context.Context, b *ingest.Batch) ([]ingest.Outcome, error) {
	d.outcomes = d.outcomes[:0]
	for i := range b.Spans {
		span := &b.Spans[i]
		if span.State != ingest.Loaded {
			return nil, fmt.Errorf("%s was not decoded: %s", span.File.Path, span.Reason)
		}
		d.sink.readings.Add(int64(span.End - span.Begin))
		d.outcomes = append(d.outcomes, ingest.Outcome{File: span.File, State: span.State})
	}
	return d.outcomes, nil
}

// Close implements [ingest.Committer].
func (d *discarder) Close() {}

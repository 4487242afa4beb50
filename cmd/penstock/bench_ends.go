package main

import (
	"context"

	"penstock/ingest"
	"penstock/store"
)

// This file has the ends that a pipeline is given where a stage is measured by
// itself.

// discard is a sink that takes every file, but for those that a store's sink of
// the same options skips, and forgets it.
type discard struct{ options store.SinkOptions }

// Pending implements [ingest.Sink].
func (d discard) Pending(_ context.Context, files []ingest.File) ([]ingest.Standing, error) {
	standings := make([]ingest.Standing, len(files))
	for i := range standings {
		if standings[i].Take = !d.options.Skips(&files[i]); !standings[i].Take {
			standings[i].State = ingest.Skipped
		}
	}
	return standings, nil
}

// Committer implements [ingest.Sink].
func (discard) Committer(context.Context) (ingest.Committer, error) { return &discarder{}, nil }

// A discarder is one worker's.
type discarder struct{ outcomes []ingest.Outcome }

// Commit implements [ingest.Committer]. Readings count as stored.
func (d *discarder) Commit(_ context.Context, b *ingest.Batch) ([]ingest.Outcome, error) {
	d.outcomes = d.outcomes[:0]
	for i := range b.Spans {
		s := &b.Spans[i]
		s.Receipt.Cells.Stored = int64(s.End - s.Begin)
		d.outcomes = append(d.outcomes, ingest.Outcome{File: s.File, State: s.State, Reason: s.Reason, Shape: s.Shape, Receipt: s.Receipt, Rejects: len(s.Rejects)})
	}
	return d.outcomes, nil
}

// Close implements [ingest.Committer].
func (*discarder) Close() {}

// skimmer is a decoder that reads nothing out of the bytes. The pipeline hashes
// them, as it does all.
type skimmer struct{}

// Decode implements [ingest.Decoder].
func (skimmer) Decode(_ context.Context, c *ingest.Content, b *ingest.Batch) error {
	b.Begin(c).State = ingest.Loaded
	b.End()
	return nil
}

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"penstock/ingest"
	"penstock/ingest/format"
)

// A lookedKind is files that are read alike, and how.
type lookedKind struct {
	files   []*lookedFile
	profile *format.Profile // nil when they are refused
	known   bool            // the profile was there before
	given   bool            // and a person named it
	guessed *format.Guessed // nil when known
	refusal string

	// What the profile makes of the files, of the first mostSamples of them.
	receipt  ingest.Receipt
	series   []*lookedSeries
	rejects  []lookedReject
	notes    []string
	lines    []lookedLine
	stopped  string // why a file could not be read by it
	asked    *ingest.Shape
	unzoned  bool // times are shown as they stand in the files: their zone is asked for
	readings int64
}

// trouble reports whether there is something that a person has to see to.
func (k *lookedKind) trouble() bool {
	return k.profile == nil || k.question() != nil || k.stopped != "" || k.receipt.Lines.Rejected+k.receipt.Cells.Rejected > 0
}

// question returns what has to be answered before the files can be loaded, nil
// when nothing has.
func (k *lookedKind) question() *ingest.Shape {
	switch {
	case k.guessed != nil && k.guessed.Shape != nil && k.guessed.Shape.Question != "":
		return k.guessed.Shape
	case k.asked != nil && k.asked.Question != "":
		return k.asked
	}
	return nil
}

// sort puts the files into kinds: those that one of the known profiles matches,
// then the others by their shape.
func (l *looker) sort(ctx context.Context, g *guess, known []*format.Profile, files []*lookedFile) ([]*lookedKind, error) {
	var kinds []*lookedKind
	byID := make(map[string]*lookedKind)
	put := func(id string, f *lookedFile, begin func() *lookedKind) {
		k := byID[id]
		if k == nil {
			k = begin()
			kinds, byID[id] = append(kinds, k), k
		}
		k.files = append(k.files, f)
	}
	o := format.GuessOptions{Zone: g.zone, Sets: g.sets}
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if g.given() {
			put("", f, func() *lookedKind { return &lookedKind{profile: known[0], known: true, given: true} })
			continue
		}
		if f.refusal != "" {
			put("refusal "+f.refusal, f, func() *lookedKind { return &lookedKind{refusal: f.refusal} })
			continue
		}
		p, err := matching(known, f, g.zone)
		if err != nil {
			return nil, err
		}
		if p != nil {
			put("profile "+p.Name, f, func() *lookedKind { return &lookedKind{profile: p, known: true} })
			continue
		}
		guessed := format.Guess([]format.Sample{f.sample}, o)
		if guessed.Refusal != "" {
			put("refusal "+guessed.Refusal, f, func() *lookedKind { return &lookedKind{refusal: guessed.Refusal, guessed: guessed} })
			continue
		}
		put("shape "+guessed.Shape.ID, f, func() *lookedKind { return &lookedKind{profile: guessed.Profile, guessed: guessed} })
	}
	for _, k := range kinds {
		if k.guessed == nil || k.profile == nil {
			continue
		}
		if len(k.files) == 1 {
			if err := k.keepZone(g.zone); err != nil {
				return nil, err
			}
			continue
		}
		samples := make([]format.Sample, 0, mostSamples)
		for _, f := range k.files[:min(len(k.files), mostSamples)] {
			samples = append(samples, f.sample)
		}
		if together := format.Guess(samples, o); together.Refusal == "" {
			k.guessed, k.profile = together, together.Profile
		}
		if err := k.keepZone(g.zone); err != nil {
			return nil, err
		}
	}
	return kinds, nil
}

// keepZone writes the zone that was given into a profile that needs one, so
// that it stands where the profile is saved.
func (k *lookedKind) keepZone(zone string) error {
	needs := slices.ContainsFunc(k.guessed.Findings, func(f format.Finding) bool { return f.What == "zone" && f.Value == zone })
	if zone == "" || !needs {
		return nil
	}
	p, err := k.profile.With([]string{"zone=" + zone}, nil)
	if err != nil {
		return fmt.Errorf("writing the zone into the profile: %w", err)
	}
	k.profile = p
	return nil
}

// matching returns the known profile that matches a file by its signature, nil
// when none does.
func matching(known []*format.Profile, f *lookedFile, zone string) (*format.Profile, error) {
	if len(known) == 0 {
		return nil, nil
	}
	set, err := format.NewSet(false, known...)
	if err != nil {
		return nil, err
	}
	d, err := format.NewDecoder(set, format.Settings{Zone: zone})
	if err != nil {
		return nil, err
	}
	b := &ingest.Batch{}
	c := &ingest.Content{File: f.file, Data: f.sample.Text, Fetched: time.Now().UnixMicro()}
	if err := d.Decode(context.Background(), c, b); err != nil {
		return nil, err
	}
	if r := b.Spans[0].Recipe; r != nil && r.Trust == ingest.Named {
		return set.ByName(r.Profile), nil
	}
	return nil, nil
}

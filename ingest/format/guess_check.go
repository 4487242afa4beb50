package format

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"penstock/ingest"
)

// someRejects is how many lines or cells of a sample the guess may fail to read
// and still be believed: a torn line, or a hiccup of the logger.
const someRejects = 3

// A checker reads the profiles that guesses write, and samples by them. What it
// keeps from guess to guess only saves time: files of a kind have the same
// profile, and reading one costs more than guessing a small file.
type checker struct {
	zone    string
	known   map[string]*Profile // by their text
	decoder *Decoder
	batch   ingest.Batch
}

// parse is Parse of the profile that a guess wrote.
func (k *checker) parse(text string) (*Profile, error) {
	if p := k.known[text]; p != nil {
		return p, nil
	}
	p, err := Parse("guess", []byte(text))
	if err != nil {
		return nil, err
	}
	if k.known == nil || len(k.known) >= maxGuesses {
		k.known, k.decoder = make(map[string]*Profile), nil
	}
	k.known[text] = p
	return p, nil
}

// by returns a decoder that recognises files by p alone. The error is about the
// zone.
func (k *checker) by(p *Profile) (*Decoder, error) {
	if k.decoder == nil {
		d, err := NewDecoder(&Set{}, Settings{NoGuess: true, Zone: k.zone, Window: Window{Future: 100 * 365 * 24 * time.Hour}})
		if err != nil {
			return nil, err
		}
		k.decoder = d
	}
	if d := k.decoder; len(d.tiers) == 0 || d.tiers[0][0].profile() != p {
		d.tiers, d.all, d.first = [][]member{membersOf(p)}, nil, firstLines{}
	}
	return k.decoder, nil
}

// check reads the samples by the profile. What it cannot read, or reads
// otherwise than it was understood, is asked about.
func (g *guesser) check(p *Profile) {
	d, err := g.checker.by(p)
	if err != nil {
		g.ask(question{key: "zone", text: fmt.Sprintf("Which time zone are the timestamps of? %v", err)})
		return
	}
	b := &g.checker.batch
	for i, s := range g.samples {
		text := s.Text
		if !s.Whole {
			if end := bytes.LastIndexByte(text, '\n'); end > 0 {
				text = text[:end+1]
			}
		}
		c := &ingest.Content{File: ingest.File{Path: s.Path, Size: int64(len(text))}, Data: text, Fetched: plausibleNow}
		b.Reset()
		if err := d.Decode(context.Background(), c, b); err != nil {
			g.ask(question{text: fmt.Sprintf("The guess does not read %s (%v): what is it?", ingest.EscapePath(s.Path), err)})
			return
		}
		g.judge(i, &b.Spans[0])
	}
}

// plausibleNow is the fetch time that samples are read with, so that a guess
// depends on nothing but them.
var plausibleNow = ingest.Micros(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))

// judge looks at what became of a sample.
func (g *guesser) judge(i int, span *ingest.Span) {
	f := Finding{What: "check", Sample: i, Sure: Certain}
	lines, cells := span.Receipt.Lines, span.Receipt.Cells
	switch {
	case span.State == ingest.Held && span.Shape != nil:
		g.find(Finding{What: span.Shape.Asks, Sure: Open, Evidence: span.Reason, Sample: i})
		g.ask(question{key: span.Shape.Asks, text: span.Shape.Question, answers: span.Shape.Answers})
		return
	case span.State != ingest.Loaded:
		f.Sure, f.Evidence = Open, span.Reason
		g.ask(question{text: fmt.Sprintf("Read by the guess, %s: what is to be changed in the profile?", span.Reason)})
	case tooMany(lines.Rejected, lines.Data+lines.Rejected), tooMany(cells.Rejected, cells.Total) && !g.answered("other_unit"):
		r := span.Rejects[0]
		f.Sure, f.Line, f.Evidence = Open, r.Line, fmt.Sprintf("%d lines and %d cells cannot be read, the first for this: %s", lines.Rejected, cells.Rejected, r.Reason)
		g.ask(question{text: fmt.Sprintf("%s. What is it?", f.Evidence)})
	}
	n := int64(span.End - span.Begin)
	f.Value = fmt.Sprintf("%d readings of %d rows", n, lines.Data)
	if f.Evidence == "" {
		f.Evidence = fmt.Sprintf("the guess reads the sample with %d lines and %d cells rejected", lines.Rejected, cells.Rejected)
	}
	g.find(f)
}

// tooMany reports whether so many of all are rejected that the guess is to be
// doubted: more than a few, and more than one in fifty, or one in four of those
// of a small file.
func tooMany(rejected, all int64) bool {
	return rejected > someRejects && rejected*50 > all || rejected > 1 && rejected*4 > all
}

package main

import (
	"context"
	"strings"

	"penstock/ingest"
	"penstock/ingest/format"
)

// A lookedSeries is what a series of the files begins and ends with.
type lookedSeries struct {
	Logger  string  `json:"logger"`
	Channel string  `json:"channel"`
	Unit    string  `json:"unit,omitempty"`
	N       int64   `json:"readings"`
	First   instant `json:"first"`
	Last    instant `json:"last"`
}

// An instant is one reading of a series.
type instant struct {
	Time    stamp   `json:"ts"`
	Value   float64 `json:"value"`
	Quality string  `json:"quality,omitempty"`
}

// A lookedReject is a line or a cell that could not be read.
type lookedReject struct {
	File   string `json:"file"`
	Line   int64  `json:"line"`
	Column int    `json:"column,omitempty"`
	Reason string `json:"reason"`
	Raw    string `json:"raw"`
}

// A lookedLine is a line with what it was taken for.
type lookedLine struct {
	File string `json:"file"`
	Line int64  `json:"line"`
	Kind string `json:"kind"`
	Text string `json:"text"`
	// Says is what the readings of the line are, or why there are none.
	Says string `json:"says,omitempty"`
}

// rejectedMark stands before why a cell of a line that was read gave none.
const rejectedMark = "rejected: "

// mostRejects is how many rejects of a kind's files are shown.
const mostRejects = 10

// read reads the kind's first files by its profile. Where nobody knows the zone
// of their timestamps, it reads them as if they were in UTC.
func (l *looker) read(ctx context.Context, k *lookedKind) error {
	if k.profile == nil {
		return nil
	}
	set, err := format.NewSet(false, k.profile)
	if err != nil {
		return err
	}
	at := make(map[[3]string]*lookedSeries)
	for i, f := range k.files[:min(len(k.files), mostSamples)] {
		settings := format.Settings{Profile: k.profile.Name, Zone: l.zone, Tentative: !k.given}
		s, err := l.readFile(ctx, k, set, settings, f, at)
		if err != nil {
			return err
		}
		if s.State == ingest.Held && s.Shape != nil && s.Shape.Asks == "zone" {
			k.unzoned, k.asked = true, s.Shape
			settings.Zone = "UTC"
			k.lines = k.lines[:len(k.lines)-l.taken(k, f)]
			if s, err = l.readFile(ctx, k, set, settings, f, at); err != nil {
				return err
			}
		}
		switch {
		case s.State == ingest.Held && k.asked == nil && s.Shape != nil:
			k.asked = s.Shape
		case s.State != ingest.Loaded && s.State != ingest.Held && k.stopped == "":
			k.stopped = s.Reason
			if i > 0 || len(k.files) > 1 {
				k.stopped = ingest.EscapePath(f.file.Path) + ": " + s.Reason
			}
		}
	}
	return nil
}

// taken counts the lines at the end of k's that are of f.
func (l *looker) taken(k *lookedKind, f *lookedFile) (n int) {
	for n < len(k.lines) && k.lines[len(k.lines)-1-n].File == ingest.EscapePath(f.file.Path) {
		n++
	}
	return n
}

// readFile reads one file, whole, and adds what is in it to the kind.
func (l *looker) readFile(ctx context.Context, k *lookedKind, set *format.Set, settings format.Settings, f *lookedFile, at map[[3]string]*lookedSeries) (*ingest.Span, error) {
	d, err := format.NewDecoder(set, settings)
	if err != nil {
		return nil, err
	}
	name := ingest.EscapePath(f.file.Path)
	first := len(k.lines)
	if l.lines.to > 0 {
		d.Watch(func(kind format.LineKind, from, to int64, text []byte) {
			if to >= l.lines.from && from <= l.lines.to {
				k.lines = append(k.lines, lookedLine{File: name, Line: from, Kind: string(kind), Text: strings.TrimRight(string(text), "\r\n")})
			}
		})
	}
	b := &ingest.Batch{KeepLines: true}
	err = l.with(ctx, f.file, func(c *ingest.Content) error { return d.Decode(ctx, c, b) })
	if err != nil {
		return nil, err
	}
	s := &b.Spans[0]
	k.receipt.Add(&s.Receipt)
	k.notes = append(k.notes, s.Notes...)
	for _, r := range s.Rejects {
		if len(k.rejects) < mostRejects {
			k.rejects = append(k.rejects, lookedReject{name, r.Line, r.Column, r.Reason, r.Raw})
		}
	}
	for i := s.Begin; i < s.End; i++ {
		r := readingAt(b, int32(i))
		id := [3]string{r.Logger, r.Channel, r.Unit}
		e := instant{Time: r.Time, Value: r.Value, Quality: r.Quality}
		series := at[id]
		if series == nil {
			series = &lookedSeries{Logger: r.Logger, Channel: r.Channel, Unit: r.Unit, First: e}
			at[id], k.series = series, append(k.series, series)
		}
		if e.Time.Before(series.First.Time.Time) {
			series.First = e
		}
		if !e.Time.Before(series.Last.Time.Time) {
			series.Last = e
		}
		series.N++
		k.readings++
	}
	k.explainLines(k.lines[first:], b, s)
	k.receipt.Cells.Stored = k.readings // in a store that holds nothing yet
	return s, nil
}

// when returns a time as it is shown of the kind's readings.
func (k *lookedKind) when(t stamp) string {
	if k.unzoned {
		return strings.TrimSuffix(exactly(t.Time), "Z")
	}
	return exactly(t.Time)
}

// explainLines says of lines which readings they gave, or why they did not.
func (k *lookedKind) explainLines(lines []lookedLine, b *ingest.Batch, s *ingest.Span) {
	if len(lines) == 0 {
		return
	}
	says := make(map[int64][]string)
	for i := s.Begin; i < s.End && i < len(b.Line); i++ {
		r := readingAt(b, int32(i))
		text := r.Channel + " = " + number(r.Value)
		if r.Unit != "" {
			text += " " + r.Unit
		}
		if r.Quality != "" {
			text += " (" + r.Quality + ")"
		}
		if len(says[b.Line[i]]) == 0 {
			text = k.when(r.Time) + "  " + text
		}
		says[b.Line[i]] = append(says[b.Line[i]], text)
	}
	for _, r := range s.Rejects {
		says[r.Line] = append(says[r.Line], rejectedMark+r.Reason)
	}
	for i := range lines {
		lines[i].Says = strings.Join(says[lines[i].Line], ", ")
		if lines[i].Kind == string(format.RejectedLine) {
			lines[i].Says = strings.TrimPrefix(lines[i].Says, rejectedMark)
		}
		if lines[i].Says == "" && lines[i].Kind == string(format.DataLine) && s.State == ingest.Loaded {
			lines[i].Says = "no reading: all its values are missing"
		}
	}
}

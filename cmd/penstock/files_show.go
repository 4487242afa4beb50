package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"penstock/ingest"
	"penstock/store"
)

func newFilesShow(a *app) *cobra.Command {
	var sel selecting
	cmd := &cobra.Command{
		Use:   "show PATTERN...",
		Short: "show all that the ledger says of some file versions",
		Long:  "Show tells of each file version what it is, what read it, its series and its receipt.\n" + patternHelp,
		Args:  args(1, -1),
		RunE: func(_ *cobra.Command, patterns []string) error {
			selections, err := sel.selections(patterns)
			if err != nil {
				return err
			}
			return a.showFiles(selections)
		},
	}
	sel.flags(cmd)
	return cmd
}

// A shownFile is a file version with its series and takeovers, in JSON.
type shownFile struct {
	fileRow
	Series   []seriesRow   `json:"series" csv:"-"`
	Owns     int64         `json:"owns" csv:"-"` // readings that stand and are its own
	TookOver []takeoverRow `json:"took_over" csv:"-"`
	Lost     []takeoverRow `json:"lost" csv:"-"`

	took, lost []store.Takeover
}

type seriesRow struct {
	Logger  string `json:"logger"`
	Channel string `json:"channel"`
	Unit    string `json:"unit,omitempty"`
}

func (a *app) showFiles(selections []store.Selection) error {
	s, err := a.openStore(a.take, reads, store.Options{})
	if err != nil {
		return err
	}
	defer s.close(a.log)
	if a.output.value == "csv" { // one row a file version, as files ls has it
		_, err := printRows(a, mapped(s.selected(a.take, selections), rowOf))
		return err
	}
	if a.output.value != "table" {
		var failed error
		_, err := printRows(a, mapped(s.selected(a.take, selections), func(v *store.FileVersion) shownFile {
			shown, err := s.shownOf(a.take, v)
			failed = cmp.Or(failed, err)
			return shown
		}))
		return cmp.Or(err, failed)
	}
	n := 0
	for v, err := range s.selected(a.take, selections) {
		if err != nil {
			return err
		}
		if n++; n > 1 {
			fmt.Fprintln(a.out)
		}
		if err := a.showFile(s, &v); err != nil {
			return err
		}
	}
	if n == 0 {
		a.note("No file versions match.")
	}
	return nil
}

func (o *opened) shownOf(ctx context.Context, v *store.FileVersion) (f shownFile, err error) {
	f.fileRow = rowOf(v)
	if f.Series, err = o.seriesOf(ctx, v); err != nil {
		return f, err
	}
	if f.took, f.lost, err = o.Takeovers(ctx, v.ID); err != nil {
		return f, err
	}
	f.TookOver, f.Lost = takeoverRows(f.took, false), takeoverRows(f.lost, true)
	if v.State == ingest.Loaded {
		f.Owns = v.Receipt.Cells.Stored + v.Receipt.Cells.Replaced
		for _, t := range f.lost {
			f.Owns -= t.Readings
		}
	}
	return f, nil
}

func (o *opened) seriesOf(ctx context.Context, v *store.FileVersion) ([]seriesRow, error) {
	found, err := o.Series(ctx, v.Series)
	if err != nil {
		return nil, err
	}
	rows := make([]seriesRow, 0, len(found))
	for _, k := range found {
		rows = append(rows, seriesRow{k.Logger, k.Channel, k.Unit})
	}
	slices.SortFunc(rows, func(x, y seriesRow) int {
		return cmp.Or(cmp.Compare(x.Logger, y.Logger), cmp.Compare(x.Channel, y.Channel))
	})
	return rows, nil
}

func (a *app) showFile(s *opened, v *store.FileVersion) error {
	shown, err := s.shownOf(a.take, v)
	if err != nil {
		return err
	}
	reader := v.Profile
	switch v.Trust {
	case ingest.Guessed:
		reader += ", a guess"
	case ingest.Approved:
		reader += ", approved"
	case ingest.Named:
	}
	if v.Zone != "" {
		reader += ", zone " + v.Zone
	}
	waits := ""
	if v.Shape != "" {
		waits = "for an answer: penstock profiles pending " + v.Shape
	}
	spans := ""
	if !v.First.IsZero() {
		spans = exactly(v.First) + " to " + exactly(v.Last)
	}
	pairs := []string{
		"file", a.style(bold, v.Display),
		"version", fmt.Sprintf("%d, #%d in the ledger", v.Generation, v.ID),
		"state", a.style(stateStyle(string(v.State)), string(v.State)) + ", since " + moment(v.Changed) + " UTC",
		"reason", printable(v.Reason),
		"waits", waits,
		"source", printable(v.Source) + rooted(v.Root),
		"content", fmt.Sprintf("%s, SHA-256 %x", byteSize(v.Size), v.Sum),
		"modified", exactly(v.Modified),
		"rank", rankText(v.Rank, v),
		"read by", printable(reader),
		"loaded", fmt.Sprintf("by run %d, first fetched %s UTC", v.Run, moment(v.Fetched)),
		"spans", spans,
		"series", seriesText(shown.Series),
		"lines", linesText(&v.Receipt.Lines),
		"readings", cellsText(v.State, &v.Receipt.Cells),
	}
	pairs = append(pairs, takeoverPairs(shown.took, shown.lost)...)
	if len(shown.lost) > 0 {
		pairs = append(pairs, "owns", counted(shown.Owns, "reading")+" still")
	}
	return a.facts(pairs...)
}

func rankText(n int16, v *store.FileVersion) string {
	return fmt.Sprintf("%d, then the file's time %s, its path, its version", n, exactly(v.RankTime))
}

// shownSeries is how many series are named one by one.
const shownSeries = 12

func seriesText(series []seriesRow) string {
	var names []string
	for i, s := range series {
		if i == shownSeries {
			names = append(names, fmt.Sprintf("and %d more", len(series)-i))
			break
		}
		name := s.Logger + " " + s.Channel
		if s.Unit != "" {
			name += " [" + s.Unit + "]"
		}
		names = append(names, printable(name))
	}
	return strings.Join(names, ", ")
}

func linesText(l *ingest.Lines) string {
	return countsText(l.Total, "in all", l.Data, "data", l.Header, "header", l.Preamble, "preamble", l.Blank, "blank",
		l.Comment, "comment", l.Footer, "footer", l.Message, "message", l.Rejected, "rejected")
}

func cellsText(state ingest.State, c *ingest.Cells) string {
	rejected := "rejected"
	if state == ingest.Quarantined {
		rejected = "quarantined" // with the file, whatever was wrong with it
	}
	return countsText(c.Total, "cells", c.Stored, "stored", c.Replaced, "replaced", c.Unchanged, "unchanged",
		c.Outranked, "outranked", c.Repeated, "repeated", c.Missing, "missing", c.Rejected, rejected, c.Withheld, "withheld")
}

// countsText words the total and what of the rest is not nothing.
func countsText(total int64, what string, pairs ...any) string {
	text := count(total) + " " + what
	before := ": "
	for i := 0; i < len(pairs); i += 2 {
		if n := pairs[i].(int64); n > 0 {
			text += before + count(n) + " " + pairs[i+1].(string)
			before = ", "
		}
	}
	return text
}

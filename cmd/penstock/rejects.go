package main

import (
	"context"
	"iter"
	"strconv"

	"github.com/spf13/cobra"

	"penstock/store"
)

func newRejects(a *app) *cobra.Command {
	var sel selecting
	cmd := &cobra.Command{
		Use:   "rejects [PATTERN...]",
		Short: "list the lines and cells that could not be read, with reasons",
		Long: `Rejects lists what was rejected, with file, line, column (the field, counted from
1; none for a whole line) and reason. -o csv has the text of each as well.
` + patternHelp,
		RunE: func(_ *cobra.Command, patterns []string) error {
			selections, err := sel.selections(patterns)
			if err != nil {
				return err
			}
			return a.listRejects(selections)
		},
	}
	sel.flags(cmd)
	return cmd
}

type rejectRow struct {
	FileID     int64  `json:"file_id" csv:"file_id"`
	Source     string `json:"source" csv:"source"`
	Path       string `json:"path" csv:"path"`
	Generation int32  `json:"generation" csv:"generation"`
	State      string `json:"state" csv:"state"`
	Line       int64  `json:"line" csv:"line"`
	Column     int    `json:"column,omitempty" csv:"column,omitempty"`
	Reason     string `json:"reason" csv:"reason"`
	Raw        string `json:"raw" csv:"raw"`
}

func (a *app) listRejects(selections []store.Selection) error {
	s, err := a.openStore(a.take, reads, store.Options{})
	if err != nil {
		return err
	}
	defer s.close(a.log)
	n, err := printRows(a, mapped(s.rejected(a.take, selections), func(r *store.RejectedLine) rejectRow {
		return rejectRow{r.File.ID, r.File.Source, r.File.Display, r.File.Generation, string(r.File.State), r.Line, r.Column, r.Reason, r.Raw}
	}),
		column[rejectRow]{head: "LINE", text: func(r rejectRow) string { return count(r.Line) }, right: true},
		column[rejectRow]{head: "COLUMN", text: func(r rejectRow) string {
			if r.Column == 0 {
				return "-"
			}
			return strconv.Itoa(r.Column)
		}, right: true},
		column[rejectRow]{head: "REASON", text: func(r rejectRow) string { return r.Reason }, cut: right},
		column[rejectRow]{head: "FILE", text: func(r rejectRow) string { return r.Path }, cut: left})
	if err == nil && n == 0 {
		a.note("Nothing was rejected.")
	}
	return err
}

func (o *opened) rejected(ctx context.Context, selections []store.Selection) iter.Seq2[store.RejectedLine, error] {
	return func(yield func(store.RejectedLine, error) bool) {
		for _, sel := range selections {
			for r, err := range o.Rejects(ctx, sel) {
				if !yield(r, err) || err != nil {
					return
				}
			}
		}
	}
}

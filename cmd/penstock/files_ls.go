package main

import (
	"context"
	"iter"
	"strconv"

	"charm.land/lipgloss/v2"
	"github.com/spf13/cobra"

	"penstock/ingest"
	"penstock/store"
)

func newFilesLs(a *app) *cobra.Command {
	var sel selecting
	cmd := &cobra.Command{
		Use:   "ls [PATTERN...]",
		Short: "list file versions, in the order in which they came",
		Long:  "Ls lists the file versions of the ledger, in the order in which they came.\n" + patternHelp,
		RunE: func(_ *cobra.Command, patterns []string) error {
			selections, err := sel.selections(patterns)
			if err != nil {
				return err
			}
			return a.listFiles(selections)
		},
	}
	sel.flags(cmd)
	cmd.Flags().BoolVar(&sel.newest, "newest", false, "only the newest version of each path")
	return cmd
}

func (a *app) listFiles(selections []store.Selection) error {
	s, err := a.openStore(a.take, reads, store.Options{})
	if err != nil {
		return err
	}
	defer s.close(a.log)
	n, err := printRows(a, mapped(s.selected(a.take, selections), rowOf), fileColumns()...)
	if err == nil && n == 0 {
		a.note("No file versions match.")
	}
	return err
}

func fileColumns() []column[fileRow] {
	return []column[fileRow]{
		{head: "ID", text: func(r fileRow) string { return strconv.FormatInt(r.ID, 10) }, right: true},
		{head: "STATE", text: func(r fileRow) string { return r.State }, style: func(r fileRow) lipgloss.Style { return stateStyle(r.State) }},
		{head: "READINGS", text: func(r fileRow) string {
			return count(r.Readings.Stored + r.Readings.Replaced + r.Readings.Unchanged + r.Readings.Outranked)
		}, right: true},
		{head: "REJECTED", text: func(r fileRow) string {
			if r.State == string(ingest.Quarantined) {
				return "-" // its receipt has all its cells as rejected
			}
			return count(r.Lines.Rejected + r.Readings.Rejected)
		}, right: true},
		{head: "FETCHED (UTC)", text: func(r fileRow) string { return moment(r.Fetched.Time) }},
		{head: "GEN", text: func(r fileRow) string { return strconv.Itoa(int(r.Generation)) }, right: true},
		{head: "FILE", text: func(r fileRow) string { return r.Path }, cut: left},
	}
}

// selected lists what any of the selections selects, each file version once.
func (o *opened) selected(ctx context.Context, selections []store.Selection) iter.Seq2[store.FileVersion, error] {
	return func(yield func(store.FileVersion, error) bool) {
		var seen map[int64]struct{} // one selection selects nothing twice
		if len(selections) > 1 {
			seen = make(map[int64]struct{})
		}
		for _, sel := range selections {
			for v, err := range o.Files(ctx, sel) {
				if _, twice := seen[v.ID]; err == nil && twice {
					continue
				}
				if seen != nil {
					seen[v.ID] = struct{}{}
				}
				if !yield(v, err) || err != nil {
					return
				}
			}
		}
	}
}

// mapped makes rows of what a listing yields.
func mapped[T, R any](from iter.Seq2[T, error], row func(*T) R) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		for v, err := range from {
			var r R
			if err == nil {
				r = row(&v)
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// eachOf yields what is at hand.
func eachOf[T any](all []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range all {
			if !yield(v, nil) {
				return
			}
		}
	}
}

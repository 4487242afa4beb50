package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"penstock/store"
)

func newFilesVerify(a *app) *cobra.Command {
	var sel selecting
	cmd := &cobra.Command{
		Use:   "verify [PATTERN...]",
		Short: "hold receipts against the readings that are there",
		Long: `Verify counts the readings that file versions own, and holds their number against
their receipts; it checks that each receipt adds up; and, when nothing narrows it,
it looks for readings that belong to no file. It changes nothing. Exit code 1 says
that something does not agree.
` + patternHelp,
		RunE: func(_ *cobra.Command, patterns []string) error {
			selections, err := sel.selections(patterns)
			if err != nil {
				return err
			}
			return a.verify(selections)
		},
	}
	sel.flags(cmd)
	return cmd
}

type mismatchRow struct {
	ID         int64  `json:"id" csv:"id"`
	Source     string `json:"source,omitempty" csv:"source"`
	Path       string `json:"path,omitempty" csv:"path"`
	Generation int32  `json:"generation,omitempty" csv:"generation"`
	State      string `json:"state,omitempty" csv:"state"`
	What       string `json:"what" csv:"what"`
	Expected   int64  `json:"expected" csv:"expected"`
	Found      int64  `json:"found" csv:"found"`
}

func (a *app) verify(selections []store.Selection) error {
	s, err := a.openStore(a.take, reads, store.Options{})
	if err != nil {
		return err
	}
	defer s.close(a.log)
	p := newPrinter(a, []column[mismatchRow]{
		{head: "ID", text: func(r mismatchRow) string { return strconv.FormatInt(r.ID, 10) }, right: true},
		{head: "WHAT", text: func(r mismatchRow) string { return r.What }},
		{head: "EXPECTED", text: func(r mismatchRow) string { return count(r.Expected) }, right: true},
		{head: "FOUND", text: func(r mismatchRow) string { return count(r.Found) }, right: true},
		{head: "STATE", text: func(r mismatchRow) string { return r.State }},
		{head: "FILE", text: func(r mismatchRow) string { return r.Path }, cut: left},
	})
	var all store.Verified
	for _, sel := range selections {
		done, err := s.Verify(a.take, sel, func(m store.Mismatch) error {
			return p.add(mismatchRow{m.FileID, m.Source, m.Display, m.Generation, string(m.State), m.What, m.Expected, m.Found})
		})
		if err != nil {
			return errors.Join(err, p.end())
		}
		all.Files += done.Files
		all.Readings += done.Readings
		all.Mismatches += done.Mismatches
	}
	if err := p.end(); err != nil {
		return err
	}
	verdict := fmt.Sprintf("%s and %s verified", counted(all.Files, "file version"), counted(all.Readings, "reading"))
	if all.Mismatches == 0 {
		a.note("%s: all receipts agree with the table.", verdict)
		return nil
	}
	return &hinted{fmt.Errorf("%s: %s", verdict, count(all.Mismatches)+" do not agree"),
		"a mismatch is a bug in Penstock, or the tables were changed by something else"}
}

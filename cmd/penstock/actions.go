package main

import (
	"github.com/spf13/cobra"

	"penstock/store"
)

func newActions(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "actions",
		Short: "list what people did to the data, when and why",
		Args:  args(0, 0),
		RunE:  func(*cobra.Command, []string) error { return a.listActions() },
	}
}

type actionRow struct {
	ID       int64  `json:"id" csv:"id"`
	At       stamp  `json:"at" csv:"at"`
	DBUser   string `json:"db_user" csv:"db_user"`
	OSUser   string `json:"os_user" csv:"os_user"`
	Host     string `json:"host" csv:"host"`
	Command  string `json:"command" csv:"command"`
	Reason   string `json:"reason" csv:"reason"`
	Files    int64  `json:"files" csv:"files"`
	Readings int64  `json:"readings" csv:"readings"`
}

func actionOf(x *store.Action) actionRow {
	return actionRow{x.ID, stamp{x.At}, x.DBUser, x.OSUser, x.Host, x.Command, x.Reason, x.Files, x.Readings}
}

func (a *app) listActions() error {
	s, err := a.openStore(a.take, reads, store.Options{})
	if err != nil {
		return err
	}
	defer s.close(a.log)
	n, err := printRows(a, mapped(s.Actions(a.take), actionOf),
		column[actionRow]{head: "TIME (UTC)", text: func(r actionRow) string { return moment(r.At.Time) }},
		column[actionRow]{head: "WHO", text: func(r actionRow) string { return r.OSUser + "@" + r.Host }, cut: right},
		column[actionRow]{head: "FILES", text: func(r actionRow) string { return count(r.Files) }, right: true},
		column[actionRow]{head: "READINGS", text: func(r actionRow) string { return count(r.Readings) }, right: true},
		column[actionRow]{head: "COMMAND", text: func(r actionRow) string { return r.Command }, cut: right},
		column[actionRow]{head: "REASON", text: func(r actionRow) string { return r.Reason }, cut: right})
	if err == nil && n == 0 {
		a.note("Nobody has corrected anything.")
	}
	return err
}

package main

import (
	"io"

	"github.com/spf13/cobra"

	"penstock/ingest/format"
)

func newProfiles(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "profiles [NAME|FILE]",
		Short: "list the built-in profiles, or print one of them as YAML",
		Long: `Profiles lists the layouts that are recognised without a word. With a name it
prints that profile, complete, as a start for one of your own; with the path of
a profile it checks it and prints it.`,
		Args: args(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				return a.showProfile(args[0])
			}
			return a.listProfiles()
		},
	}
}

type profileRow struct {
	Name        string `json:"name" csv:"name"`
	Description string `json:"description" csv:"description"`
	Source      string `json:"source" csv:"source"`
	YAML        string `json:"yaml,omitempty" csv:"-"`
}

func (a *app) listProfiles() error {
	known, err := format.Builtin()
	if err != nil {
		return err
	}
	rows := make([]profileRow, len(known))
	for i, p := range known {
		rows[i] = profileRow{Name: p.Name, Description: p.Description, Source: p.Source}
	}
	_, err = printRows(a, eachOf(rows),
		column[profileRow]{head: "NAME", text: func(r profileRow) string { return r.Name }},
		column[profileRow]{head: "DESCRIPTION", text: func(r profileRow) string { return r.Description }, cut: right})
	return err
}

func (a *app) showProfile(name string) error {
	p, err := findProfile(name)
	if err != nil {
		return err
	}
	if a.output.value == "json" {
		return a.printObject(profileRow{p.Name, p.Description, p.Source, p.Text})
	}
	_, err = io.WriteString(a.raw(), p.Text)
	return err
}

func findProfile(name string) (*format.Profile, error) {
	own, err := ownProfiles(name)
	if err != nil {
		return nil, &usageError{err: err}
	}
	if len(own) > 0 {
		return own[0], nil
	}
	known, err := format.Builtin()
	if err != nil {
		return nil, err
	}
	for _, p := range known {
		if p.Name == name {
			return p, nil
		}
	}
	return nil, noProfile(name, known)
}

package main

import (
	"cmp"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"penstock/ingest/format"
)

func newProfiles(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "profiles [NAME|FILE]",
		Short: "list the profiles, print one as YAML, or answer what is asked about files",
		Long: `Profiles lists the profiles of layouts that are known: those that come with
Penstock, those that the config names, and those that were approved in the store. With a name it prints that
profile, complete, as a start for one of your own; with the path of a profile it
checks it and prints it. 'penstock guess' makes one from files.

Files whose reading leaves a question open are held, grouped by their shape:
'penstock profiles pending' lists the shapes, 'penstock profiles approve' answers
for all files of one.`,
		Args: args(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				return a.showProfile(args[0])
			}
			return a.listProfiles()
		},
	}
	cmd.AddCommand(newPending(a), newApprove(a))
	return cmd
}

type profileRow struct {
	Name        string `json:"name" csv:"name"`
	Description string `json:"description" csv:"description"`
	Source      string `json:"source" csv:"source"`
	Shape       string `json:"shape,omitempty" csv:"shape"` // that it was approved for
	YAML        string `json:"yaml,omitempty" csv:"-"`
}

func (a *app) listProfiles() error {
	known, err := a.knownProfiles()
	if err != nil {
		return err
	}
	rows := make([]profileRow, len(known))
	for i, p := range known {
		rows[i] = profileRow{Name: p.Name, Description: p.Description, Source: p.Source, Shape: p.Shape()}
	}
	columns := []column[profileRow]{{head: "NAME", text: func(r profileRow) string { return r.Name }}}
	if slices.ContainsFunc(rows, func(r profileRow) bool { return r.Shape != "" }) {
		columns = append(columns, column[profileRow]{head: "APPROVED FOR", text: func(r profileRow) string { return cmp.Or(r.Shape, "-") }})
	}
	columns = append(columns, column[profileRow]{head: "DESCRIPTION", text: func(r profileRow) string { return r.Description }, cut: right})
	_, err = printRows(a, eachOf(rows), columns...)
	return err
}

// namedProfiles are those that come with Penstock and those that the config
// names.
func (a *app) namedProfiles() ([]*format.Profile, error) {
	if a.config != nil {
		return a.config.set.Profiles(), nil
	}
	return format.Builtin()
}

// knownProfiles are the named ones and those that were approved in the store, if
// there is one.
func (a *app) knownProfiles() ([]*format.Profile, error) {
	known, err := a.namedProfiles()
	if err != nil {
		return nil, err
	}
	ledger, err := a.ledgerIfAny()
	if err != nil {
		return nil, err
	}
	if ledger != nil {
		defer ledger.close(a.log)
	}
	approved, err := ledger.approved(a.take)
	return append(known, approved...), err
}

func (a *app) showProfile(name string) error {
	p, err := a.findProfile(name)
	if err != nil {
		return err
	}
	if a.output.value == "json" {
		return a.printObject(profileRow{p.Name, p.Description, p.Source, p.Shape(), p.Text})
	}
	_, err = io.WriteString(a.raw(), p.Text)
	return err
}

func (a *app) findProfile(name string) (*format.Profile, error) {
	own, err := ownProfiles(name)
	if err != nil {
		return nil, &usageError{err: err}
	}
	if len(own) > 0 {
		return own[0], nil
	}
	known, err := a.namedProfiles()
	if err != nil {
		return nil, err
	}
	byName := func(p *format.Profile) bool { return p.Name == name }
	if i := slices.IndexFunc(known, byName); i >= 0 {
		return known[i], nil // without a look at the store
	}
	if known, err = a.knownProfiles(); err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(known, byName); i >= 0 {
		return known[i], nil
	}
	return nil, noProfile(name, known)
}

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"penstock/store"
)

func newMigrate(a *app) *cobra.Command {
	var appending bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "bring the database's schema up to date, or make it",
		Args:  args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			return a.migrate(appending)
		},
	}
	cmd.Flags().BoolVar(&appending, "append", false, "make a new store without a unique key: a new version of a file replaces the one before")
	fromEnvironment(cmd.Flags(), "append")
	return cmd
}

func (a *app) migrate(appending bool) error {
	at, err := a.reach(a.take, writes)
	if err != nil {
		return err
	}
	defer at.close(a.log)
	made, err := a.bringUpToDate(at, appending)
	if err != nil {
		return err
	}
	s := at.Store
	if made {
		if err := s.Record(a.take, correcting{}.action(a.args)); err != nil {
			return err
		}
	}
	layout := s.Layout()
	if a.output.value == "json" {
		return a.printObject(map[string]any{"schema": a.schema, "append": layout.Append, "hypertable": layout.Hypertable})
	}
	kind := "a plain table"
	if layout.Hypertable {
		kind = "a hypertable"
	}
	key := "with a unique key"
	if layout.Append {
		key = "without a unique key (append)"
	}
	_, err = fmt.Fprintf(a.out, "Schema %q is up to date. Readings are kept in %s %s.\n", a.schema, kind, key)
	return err
}

// bringUpToDate opens the store that at reaches, and reports whether its schema
// had to be made or changed for that.
func (a *app) bringUpToDate(at *opened, appending bool) (made bool, err error) {
	o := store.Options{Schema: a.schema, Version: version(), Command: commandLine(a.args), Password: at.password, Append: appending}
	at.Store, err = store.Open(a.take, at.url, o)
	if errors.Is(err, store.ErrNoSchema) || errors.Is(err, store.ErrOldSchema) {
		o.Migrate = true
		at.Store, err = store.Open(a.take, at.url, o)
		return true, err
	}
	return false, err
}

package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"penstock/store"
)

func newMigrate(a *app) *cobra.Command {
	var appending bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "bring the database's schema up to date, or make it",
		Long: `Migrate brings the database's schema up to date, or makes it. With a config that has
store.hypertable, chunks of the hypertable that are made from then on have its
chunk_interval, and older ones go into the columnstore after columnstore_after.`,
		Args: args(0, 0),
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
	before, _, err := s.Hypertable(a.take)
	if err != nil {
		return err
	}
	altered, err := s.AlterHypertable(a.take)
	if err != nil {
		return err
	}
	inForce, _, err := s.Hypertable(a.take)
	if err != nil {
		return err
	}
	if made || altered {
		if err := s.Record(a.take, correcting{}.action(a.args)); err != nil {
			return err
		}
	}
	compressing, err := s.Compressing(a.take)
	if err != nil {
		return err
	}
	layout := s.Layout()
	if a.output.value == "json" {
		o := map[string]any{"schema": a.schema, "append": layout.Append, "hypertable": layout.Hypertable}
		if layout.Hypertable {
			o["chunk_interval"], o["columnstore_after"] = daysText(inForce.ChunkInterval), columnstoreText(inForce)
			o["compressed_as_it_comes"] = compressing.On
			if !compressing.On {
				o["why_not"] = compressing.Why
			}
		}
		return a.printObject(o)
	}
	kind := "a plain table"
	if layout.Hypertable {
		kind = "a hypertable"
	}
	key := "with a unique key"
	if layout.Append {
		key = "without a unique key (append)"
	}
	more := ""
	if layout.Hypertable {
		key += "; " + hypertableText(inForce)
		if before.ChunkInterval != inForce.ChunkInterval {
			more = fmt.Sprintf(" Until now a chunk held %s.", daysText(before.ChunkInterval))
		}
		more += " " + sentence(compressingText(compressing))
		if compressing.Do != "" {
			more += " To have that, " + compressing.Do + "."
		}
	}
	_, err = fmt.Fprintf(a.out, "Schema %q is up to date. Readings are kept in %s %s.%s\n", a.schema, kind, key, more)
	return err
}

// compressingText says whether a hypertable compresses readings as they come, and
// why not.
func compressingText(c store.Compressing) string {
	if c.On {
		return "large amounts of readings are compressed as they come"
	}
	return "readings are not compressed as they come: " + c.Why
}

// sentence makes one of a text.
func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] + "." }

// hypertableText says how a hypertable keeps readings.
func hypertableText(h store.Hypertable) string {
	text := "a chunk holds " + daysText(h.ChunkInterval)
	if h.ColumnstoreAfter == store.Never {
		return text + ", and none goes into the columnstore"
	}
	return text + ", and goes into the columnstore after " + daysText(h.ColumnstoreAfter)
}

// columnstoreText is columnstore_after as a config has it.
func columnstoreText(h store.Hypertable) string {
	if h.ColumnstoreAfter == store.Never {
		return "never"
	}
	return daysText(h.ColumnstoreAfter)
}

// daysText is a duration as a config has it, in days where they are whole.
func daysText(d time.Duration) string {
	if day := 24 * time.Hour; d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	return shortSpan(d)
}

// bringUpToDate opens the store that at reaches, and reports whether its schema
// had to be made or changed for that.
func (a *app) bringUpToDate(at *opened, appending bool) (made bool, err error) {
	o := store.Options{Schema: a.schema, Version: version(), Command: commandLine(a.args), Password: at.password, Append: appending, Hypertable: a.hypertable()}
	at.Store, err = store.Open(a.take, at.url, o)
	if errors.Is(err, store.ErrNoSchema) || errors.Is(err, store.ErrOldSchema) {
		o.Migrate = true
		at.Store, err = store.Open(a.take, at.url, o)
		return true, a.refused(at, err)
	}
	return false, a.refused(at, err)
}

package main

import (
	"github.com/spf13/cobra"

	"penstock/ingest"
	"penstock/store"
)

func newFilesUndo(a *app) *cobra.Command {
	var c correcting
	cmd := &cobra.Command{
		Use:   "undo PATTERN...",
		Short: "take the readings of file versions out again",
		Long: `Undo takes the readings of file versions out, and puts those of other loaded files
back where these had been displaced; for that it reads them again from their
source. Without --force it refuses where their bytes are gone. What is undone stays
out, also when its file comes again; 'penstock files retry --state undone' takes it
back.
` + patternHelp,
		Example: `  penstock files undo --run 12 --reason "wrong folder"
  penstock files undo --dry-run -o csv 'station-7/**'`,
		RunE: func(_ *cobra.Command, patterns []string) error {
			if err := c.narrowed(patterns, "undo"); err != nil {
				return err
			}
			selections, err := c.selections(patterns, ingest.Loaded, ingest.Duplicate, ingest.Loading)
			if err != nil {
				return err
			}
			return a.undo(selections, &c)
		},
	}
	c.selecting.flags(cmd)
	c.flags(cmd)
	c.forceFlag(cmd)
	return cmd
}

// narrowed refuses to correct the whole ledger because nothing was said.
func (c *correcting) narrowed(patterns []string, verb string) error {
	if len(patterns) == 0 && c.source == "" && c.logger == "" && c.run == 0 && c.selecting.profile == "" && len(c.states) == 0 && c.since == "" && c.until == "" {
		return usage("'**' is the pattern of all of them", "'penstock files %s' needs a pattern, or a flag such as --run, to say which files", verb)
	}
	return nil
}

func (a *app) undo(selections []store.Selection, c *correcting) error {
	s, err := a.openStore(a.take, writes, store.Options{})
	if err != nil {
		return err
	}
	defer s.close(a.log)
	all, err := a.gather(s, selections, c, "Undo")
	if err != nil || len(all) == 0 {
		return err
	}
	g := newAgain(a, s.Store, nil, nil)
	defer g.close(a)
	return a.correct(s, all, c, store.Correction{Action: c.action(a.args), Read: g.read})
}

package main

import (
	"github.com/spf13/cobra"

	"penstock/ingest"
	"penstock/store"
)

func newFilesReload(a *app) *cobra.Command {
	var c correcting
	var how reading
	cmd := &cobra.Command{
		Use:   "reload PATTERN...",
		Short: "undo file versions and load them again, with another profile or zone",
		Long: `Reload corrects files that were loaded with the wrong profile or zone: it takes
their readings out and loads them again from their source, all the files of a
logger in one transaction. Without --profile the profile of the same name is used
as it is now, without --zone the zone that was given before. It refuses where the
bytes of a file that it needs are gone, unless --force is given.

--profile says how files are read; --loaded-by selects files by the profile that
read them.
` + patternHelp,
		Example: `  penstock files reload --logger L-104 --zone Europe/Berlin --dry-run
  penstock files reload --run 12 --profile station-2.yaml --reason "columns swapped"`,
		RunE: func(_ *cobra.Command, patterns []string) error {
			if err := c.narrowed(patterns, "reload"); err != nil {
				return err
			}
			selections, err := c.selections(patterns, ingest.Loaded, ingest.Duplicate)
			if err != nil {
				return err
			}
			if err := how.check(); err != nil {
				return err
			}
			return a.reload(selections, &c, &how)
		},
	}
	c.flagsBesideReading(cmd)
	how.flags(a, cmd)
	c.flags(cmd)
	c.forceFlag(cmd)
	return cmd
}

// flagsBesideReading are the selecting flags of a command whose --profile says
// how files are read.
func (c *correcting) flagsBesideReading(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.source, "source", "", "only files of the source `NAME`")
	f.StringVar(&c.logger, "logger", "", "only files that hold readings of the logger `NAME`")
	f.Int32Var(&c.run, "run", 0, "only files that run `N` loaded last")
	f.StringVar(&c.selecting.profile, "loaded-by", "", "only files that were read by the profile `NAME`")
	c.flagsButProfile(cmd)
}

func (a *app) reload(selections []store.Selection, c *correcting, how *reading) error {
	s, err := a.openStore(a.take, writes, store.Options{})
	if err != nil {
		return err
	}
	defer s.close(a.log)
	all, err := a.gather(s, selections, c, "Load")
	if err != nil || len(all) == 0 {
		return err
	}
	approved, err := s.approved(a.take)
	if err != nil {
		return err
	}
	g := newAgain(a, s.Store, how, approved)
	defer g.close(a)
	return a.correct(s, all, c, store.Correction{Reload: true, Action: c.action(a.args), Read: g.read})
}

package main

import (
	"time"

	"github.com/spf13/cobra"
)

// A running is the flags of 'penstock run'.
type running struct {
	drain  time.Duration
	noWait bool
}

func newRun(a *app) *cobra.Command {
	o := &running{drain: 30 * time.Second}
	cmd := &cobra.Command{
		Use:   "run -c CONFIG",
		Short: "load what the sources of a config bring, without end",
		Long: `Run lists the sources of a config again and again, and loads what is new, until it
is stopped. Each source goes by itself: one that is slow, or away, is tried again
and delays no other. While the database is away it waits.

SIGTERM and Ctrl-C finish what is under way, for as long as --drain says, and end;
a second one drops it. Nothing is half-committed, and nothing is lost: the next
start takes what was dropped. SIGHUP reads the config anew: checked first, taken
whole, the old one kept where something is wrong, or another store or archive
cannot be opened; only sources that changed begin again.

Of several daemons that have a source in common one loads it, and the others stand
by: they take over within ten seconds when that one is gone.

As a service of systemd it is of Type=notify, and pings the watchdog as long
as it makes progress, or has a reason not to.`,
		Example: `  penstock check -c penstock.yaml
  penstock run -c penstock.yaml`,
		Args:        configAlone,
		Annotations: map[string]string{configKeyOf: ownConfig},
		RunE:        func(cmd *cobra.Command, _ []string) error { return a.runDaemon(cmd.Flags(), o) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.Var((*duration)(&o.drain), "drain", "how long what is under way may go on after the first signal, a `SPAN`")
	f.BoolVar(&o.noWait, "no-wait", false, "end with exit code 4 where another process loads a source of the config, and do not stand by")
	fromEnvironment(f, "drain", "no-wait")
	return cmd
}

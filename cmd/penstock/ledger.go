package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"penstock/store"
)

func newLedger(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "ledger", Short: "the ledger itself: prune"}
	asGroup(cmd)
	cmd.AddCommand(newLedgerPrune(a))
	return cmd
}

func newLedgerPrune(a *app) *cobra.Command {
	var c correcting
	var older string
	cmd := &cobra.Command{
		Use:   "prune --older-than SPAN",
		Short: "what forgetting old file versions would free, and lose",
		Long: `Prune forgets file versions that were first fetched longer ago, of whose path there
is a later version, and of which no reading stands any more. With --dry-run it says
what that would free, and lose, and forgets nothing. A version that readings point
to is never forgotten, nor is the newest one of a path: its file would be loaded
again. Nor is one of which there are copies under other names, or that tells in
which pass of an hour that clocks showed twice a path's readings are.`,
		Example: "  penstock ledger prune --older-than 400d --dry-run",
		Args:    args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			before, err := ago(older)
			if err != nil {
				return &usageError{err: err}
			}
			if before.IsZero() {
				return usage("--older-than 400d, or a time", "'penstock ledger prune' needs to know how old is old")
			}
			return a.prune(before, &c)
		},
	}
	cmd.Flags().StringVar(&older, "older-than", "", "a `SPAN` such as 400d, or a time: what was first fetched before")
	c.flags(cmd)
	return cmd
}

// A pruneReport is what was forgotten, or would be, in JSON.
type pruneReport struct {
	Before   stamp `json:"before"`
	DryRun   bool  `json:"dry_run"`
	Files    int64 `json:"files"`
	Bytes    int64 `json:"bytes"`
	Rejects  int64 `json:"rejects"`
	Lost     int64 `json:"lost"`
	Standing int64 `json:"kept_for_readings"`
	Newest   int64 `json:"kept_as_newest"`
	Needed   int64 `json:"kept_as_needed"`
}

func (a *app) prune(before time.Time, c *correcting) error {
	s, err := a.openStore(a.take, writes, store.Options{})
	if err != nil {
		return err
	}
	defer s.close(a.log)
	p := store.Pruning{Before: before, DryRun: true, Action: c.action(a.args)}
	would, err := s.Prune(a.take, p)
	if err != nil {
		return err
	}
	if c.dryRun {
		return a.tellPruned(before, would, true)
	}
	if would.Files > askAbove && !c.yes {
		if err := a.confirm(fmt.Sprintf("Forget %s?", counted(would.Files, "file version"))); err != nil {
			return err
		}
	}
	p.DryRun = false
	done, err := s.Prune(a.take, p)
	if err != nil {
		return err
	}
	return a.tellPruned(before, done, false)
}

func (a *app) tellPruned(before time.Time, p *store.Pruned, dry bool) error {
	if a.output.value != "table" {
		return a.printObject(&pruneReport{stamp{before}, dry, p.Files, p.Bytes, p.Rejects, p.Lost, p.Standing, p.Newest, p.Needed})
	}
	verb := "forgotten"
	if dry {
		verb = "to forget"
	}
	return a.facts(
		verb, counted(p.Files, "file version")+" from before "+moment(before)+" UTC",
		"frees", fmt.Sprintf("%s bytes of rows, and their indexes", count(p.Bytes)),
		"loses", fmt.Sprintf("%s of lines and cells, and of %s the readings that an undo of later ones would put back", counted(p.Rejects, "reason"), counted(p.Lost, "version")),
		"kept", fmt.Sprintf("%s that readings point to, %s the newest of their paths, %s that copies or an hour shown twice go by", counted(p.Standing, "version"), count(p.Newest), count(p.Needed)),
	)
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"penstock/ingest"
	"penstock/store"
)

// selecting holds the flags that select file versions of the ledger.
type selecting struct {
	source, logger, profile string
	run                     int32
	states                  []string
	since, until            string
	newest                  bool
}

const patternHelp = `
PATTERN is a glob on the file's path as it is shown: * and ? stop at a slash,
** does not; a pattern without a slash is held against the file's name; one that
matches a folder or an archive means all in it. #12 is the file version with the
id 12. Several patterns mean what any of them does. Times are UTC unless they
have an offset; a span such as 7d or 36h means that long ago.`

func (s *selecting) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.source, "source", "", "only files of the source `NAME`")
	f.StringVar(&s.logger, "logger", "", "only files that hold readings of the logger `NAME`")
	f.Int32Var(&s.run, "run", 0, "only files that run `N` loaded last")
	f.StringVar(&s.profile, "profile", "", "only files that were read by the profile `NAME`")
	s.flagsButProfile(cmd)
}

func (s *selecting) flagsButProfile(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&s.states, "state", nil, "only files in these `STATES`: "+strings.Join(stateNames(), ", "))
	f.StringVar(&s.since, "since", "", "only files first fetched at or after `TIME`, or a span such as 7d ago")
	f.StringVar(&s.until, "until", "", "only files first fetched before `TIME`")
}

var ledgerStates = []ingest.State{ingest.Loaded, ingest.Duplicate, ingest.Held, ingest.Quarantined, ingest.Undone, ingest.Skipped, ingest.Due, ingest.Loading}

func stateNames() []string {
	names := make([]string, len(ledgerStates))
	for i, s := range ledgerStates {
		names[i] = string(s)
	}
	return names
}

// selections returns what the flags and patterns select: one selection for
// each pattern, as what they select together has no other name. Without a
// --state it is files in the given states, or in any.
func (s *selecting) selections(patterns []string, states ...ingest.State) ([]store.Selection, error) {
	base := store.Selection{Source: s.source, Logger: s.logger, Run: s.run, Profile: s.profile, States: states, Newest: s.newest}
	if len(s.states) > 0 {
		base.States = nil
		for _, name := range s.states {
			if !slices.Contains(stateNames(), name) {
				return nil, usage("", "--state %q is not one of %s", name, strings.Join(stateNames(), ", "))
			}
			base.States = append(base.States, ingest.State(name))
		}
	}
	var err error
	if base.Since, err = ago(s.since); err != nil {
		return nil, usage("", "--since: %w", err)
	}
	if base.Until, err = ago(s.until); err != nil {
		return nil, usage("", "--until: %w", err)
	}
	if len(patterns) == 0 {
		return []store.Selection{base}, nil
	}
	var all []store.Selection
	var ids []int64
	for _, p := range patterns {
		one := base
		if number, ok := strings.CutPrefix(p, "#"); ok {
			id, err := strconv.ParseInt(number, 10, 64)
			if err != nil {
				return nil, usage("", "%q is not the number of a file version", p)
			}
			ids = append(ids, id)
			continue
		}
		if one.Pattern, err = fromHere(p); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	if ids != nil {
		one := base
		one.IDs = ids
		all = append(all, one)
	}
	return all, nil
}

// fromHere makes a pattern that is written from the working folder one from
// the root: files of no source's name are known by their absolute path.
func fromHere(p string) (string, error) {
	if p != "." && p != ".." && !strings.HasPrefix(p, "./") && !strings.HasPrefix(p, "../") {
		return p, nil
	}
	here, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the working folder: %w", err)
	}
	return filepath.Join(ingest.EscapePath(here), p), nil
}

// ago reads a time, or a span as the time that long ago.
func ago(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := parseSpan(s); err == nil {
		return time.Now().Add(-d).UTC(), nil
	}
	return parseMoment(s, time.UTC)
}

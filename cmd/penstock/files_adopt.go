package main

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/spf13/cobra"

	"penstock/ingest"
	"penstock/store"
)

// An adopting is what 'files adopt' was told.
type adopting struct {
	correcting
	sources []string
}

func newFilesAdopt(a *app) *cobra.Command {
	var c adopting
	cmd := &cobra.Command{
		Use:   "adopt [PATTERN...]",
		Short: "mark as skipped what another tool has loaded before",
		Long: `Adopt lists the sources of the config and marks as skipped what is there and is not
in the ledger yet: 'penstock run' then leaves it alone until it changes. Nothing of
it is fetched. 'penstock files retry --state skipped' takes it up all the same. A
pattern is held against paths as in 'penstock files ls'.`,
		Example: `  penstock files adopt -c penstock.yaml --source field --reason "loaded by the old script" --dry-run
  penstock files adopt -c penstock.yaml '2023/**'`,
		RunE: func(_ *cobra.Command, patterns []string) error { return a.adoptFiles(patterns, &c) },
	}
	cmd.Flags().StringSliceVar(&c.sources, "source", nil, "only this source of the config; may be given again")
	c.flags(cmd)
	return cmd
}

// An adoptRow is a file that is, or would be, adopted.
type adoptRow struct {
	Source   string `json:"source" csv:"source"`
	Path     string `json:"path" csv:"path"` // escaped
	Size     int64  `json:"size" csv:"size"`
	Modified stamp  `json:"modified" csv:"modified"`
}

func (a *app) adoptFiles(patterns []string, c *adopting) error {
	if a.config == nil {
		return usage("name it with -c penstock.yaml", "'penstock files adopt' lists the sources of a config")
	}
	for _, name := range c.sources {
		if a.config.source(name) == nil {
			return usage("", "the config has no source %q", name)
		}
	}
	match, err := anyGlob(patterns)
	if err != nil {
		return err
	}
	s, err := a.openStore(a.take, writes, store.Options{Create: !c.dryRun})
	if err != nil {
		return err
	}
	defer s.close(a.log)
	for _, source := range a.config.sources {
		if len(c.sources) > 0 && !slices.Contains(c.sources, source.name) {
			continue
		}
		if err := a.adoptSource(s, source, match, c); err != nil {
			return err
		}
	}
	return nil
}

// adoptSource lists a source whole before anything is written: a listing that
// broke off must not pass for all that there was.
func (a *app) adoptSource(s *opened, source *sourceConfig, match func(string) bool, c *adopting) error {
	src, closeSource, err := a.openSource(source, a.log)
	if err != nil {
		return err
	}
	defer closeSource()
	var found []ingest.File
	for f, err := range src.Files(a.take) {
		if err != nil {
			return fmt.Errorf("listing source %q: %w", source.name, err)
		}
		if match(ingest.EscapePath(f.Path)) {
			found = append(found, f)
		}
	}
	fresh, err := unknownFiles(a, s, source.name, found)
	if err != nil {
		return err
	}
	a.note("Source %q: %s, %d not in the ledger.", source.name, counted(int64(len(found)), "file"), len(fresh))
	if c.dryRun {
		_, err := printRows(a, adoptRows(fresh))
		return err
	}
	if len(fresh) > askAbove && !c.yes {
		if err := a.confirm("Adopt all of them?"); err != nil {
			return err
		}
	}
	adoption := &store.Adoption{Source: source.name, Root: source.root(), Rank: source.rank, Action: c.action(a.args)}
	adopted := int64(0)
	for files := range slices.Chunk(fresh, 4096) {
		n, err := s.Adopt(a.work, adoption, files)
		if err != nil {
			return err
		}
		if adopted += n; a.take.Err() != nil {
			return errInterrupted
		}
	}
	a.note("Adopted %s.", counted(adopted, "file"))
	return nil
}

// unknownFiles returns those that the ledger does not have.
func unknownFiles(a *app, s *opened, source string, files []ingest.File) (fresh []ingest.File, err error) {
	for some := range slices.Chunk(files, 4096) {
		standings, err := s.Standings(a.take, source, some)
		if err != nil {
			return nil, err
		}
		for i, st := range standings {
			if st.State == "" {
				fresh = append(fresh, some[i])
			}
		}
	}
	return fresh, nil
}

func adoptRows(files []ingest.File) iter.Seq2[adoptRow, error] {
	rows := make([]adoptRow, len(files))
	for i, f := range files {
		rows[i] = adoptRow{Source: f.Source, Path: ingest.EscapePath(f.Path), Size: f.Size}
		if f.Modified != 0 {
			rows[i].Modified = stamp{ingest.FromMicros(f.Modified)}
		}
	}
	return eachOf(rows)
}

// anyGlob reports whether one of the patterns matches an escaped path; of none,
// all do.
func anyGlob(patterns []string) (func(string) bool, error) {
	var all []func(string) bool
	var faults []error
	for _, p := range patterns {
		match, err := store.Glob(p)
		all, faults = append(all, match), append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, &usageError{err: err}
	}
	return func(path string) bool {
		return len(all) == 0 || slices.ContainsFunc(all, func(match func(string) bool) bool { return match(path) })
	}, nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/spf13/cobra"

	"penstock/ingest"
	"penstock/ingest/source/archive"
	"penstock/store"
)

func newArchive(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "archive",
		Short: "the original bytes of what was fetched",
		Long: `The archive keeps the original bytes of every file that 'penstock run' fetches, in
packs: append-only, compressed and checksummed files. 'files reload', 'undo',
'retry' and 'why' read from it what its source has no more, and 'penstock replay'
of its folder rebuilds a database that is lost.`,
	}
	asGroup(cmd)
	cmd.AddCommand(newArchiveLs(a), newArchiveCat(a), newArchiveVerify(a))
	return cmd
}

// An archiveSelecting holds the flags that select files of an archive.
type archiveSelecting struct {
	source, since, until string

	patterns      []string
	after, before int64
}

func (s *archiveSelecting) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.source, "source", "", "only files of the source `NAME`")
	f.StringVar(&s.since, "since", "", "only files fetched at or after `TIME`, or a span such as 7d ago")
	f.StringVar(&s.until, "until", "", "only files fetched before `TIME`, or a span such as 7d ago")
}

const archivePatternHelp = `
A PATTERN is held against the path below the source's root: without a slash against
the file's name alone, such as '*.csv'.`

func newArchiveLs(a *app) *cobra.Command {
	var sel archiveSelecting
	cmd := &cobra.Command{
		Use:   "ls [PATTERN...]",
		Short: "list what the archive has, the oldest first",
		Long:  "Ls lists the files in the archive, in the order in which they were fetched.\n" + archivePatternHelp,
		Example: `  penstock archive ls --source field-loggers --since 36h
  penstock archive ls -o csv '*.csv'`,
		RunE: func(_ *cobra.Command, patterns []string) error {
			return a.withArchive(&sel, patterns, a.listArchive)
		},
	}
	sel.flags(cmd)
	return cmd
}

func newArchiveCat(a *app) *cobra.Command {
	var sel archiveSelecting
	var o catting
	cmd := &cobra.Command{
		Use:   "cat PATTERN...",
		Short: "write the original bytes of files",
		Long: `Cat writes the bytes of files as they were fetched, one file after the other, the
oldest first. Of a path with several versions it writes the newest, of those that
--since and --until choose where they are given, and says how many it leaves out.

A file that came packed by gzip or zstd is written packed, so that it is what was
sent; with --unpack the text in it is. Members of zip archives are archived without
their packing.
` + archivePatternHelp,
		Example: `  penstock archive cat --source field-loggers 'station-7/2026-05-01.csv'
  penstock archive cat --unpack station-7.dat.gz | head
  penstock archive cat --until 2026-06-01 station-7.csv`,
		Args: args(1, -1),
		RunE: func(_ *cobra.Command, patterns []string) error {
			return a.withArchive(&sel, patterns, func(kept *archive.Archive, sel *archiveSelecting) error { return a.catArchive(kept, sel, o) })
		},
	}
	sel.flags(cmd)
	cmd.Flags().BoolVar(&o.all, "all-versions", false, "write every version of a path")
	cmd.Flags().BoolVar(&o.unpack, "unpack", false, "write the text of files that are packed by gzip or zstd")
	return cmd
}

func newArchiveVerify(a *app) *cobra.Command {
	var sel archiveSelecting
	alone := false
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "check that the archive has what it should, byte for byte",
		Long: `Verify reads all of the archive and holds every file against its SHA-256. Where
there is a store, it also looks that each file version of the ledger that names a
place in the archive has its bytes there; those whose pack was deleted when its time
had come are counted by themselves. Exit code 3 says that something is not right.`,
		Args: args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			return a.withArchive(&sel, nil, func(kept *archive.Archive, sel *archiveSelecting) error { return a.verifyArchive(kept, sel, alone) })
		},
	}
	sel.flags(cmd)
	cmd.Flags().BoolVar(&alone, "no-store", false, "check the archive by itself")
	return cmd
}

// withArchive opens the archive of --archive, else of the config, else the
// default one.
func (a *app) withArchive(sel *archiveSelecting, patterns []string, do func(*archive.Archive, *archiveSelecting) error) error {
	if err := sel.read(patterns); err != nil {
		return err
	}
	dir := a.archiveDir
	if dir == "" && a.config != nil {
		dir = a.config.archive.dir
	}
	if dir == "" {
		var err error
		if dir, err = defaultArchive(a.store); err != nil {
			return err
		}
	}
	if !archive.Is(dir) {
		return usage("--archive FOLDER names it", "there is no archive in %s", ingest.EscapePath(dir))
	}
	kept, err := archive.Open(dir, archive.Options{Log: a.log})
	if err != nil {
		return err
	}
	return errors.Join(do(kept, sel), kept.Close())
}

func (s *archiveSelecting) read(patterns []string) error {
	for _, p := range patterns {
		if !doublestar.ValidatePattern(p) {
			return usage("write it like '**/*.csv' or 'station-[0-9]/*'", "the pattern %q is malformed", p)
		}
	}
	s.patterns = patterns
	for _, x := range []struct {
		flag, text string
		into       *int64
	}{{"--since", s.since, &s.after}, {"--until", s.until, &s.before}} {
		if x.text == "" {
			continue
		}
		t, err := ago(x.text)
		if err != nil {
			return usage("", "%s: %w", x.flag, err)
		}
		*x.into = ingest.Micros(t)
	}
	return nil
}

func (s *archiveSelecting) wants(e *archive.Entry) bool {
	if s.after != 0 && e.Fetched < s.after || s.before != 0 && e.Fetched >= s.before {
		return false
	}
	if len(s.patterns) == 0 {
		return true
	}
	for _, p := range s.patterns {
		against := e.File.Path
		if !strings.Contains(p, "/") {
			against = against[strings.LastIndexByte(against, '/')+1:]
		}
		if ok, _ := doublestar.Match(p, against); ok || p == e.File.Path {
			return true
		}
	}
	return false
}

// entries lists the selected files. What is damaged comes as an error.
func (s *archiveSelecting) entries(ctx context.Context, kept *archive.Archive) iter.Seq2[archive.Entry, error] {
	return func(yield func(archive.Entry, error) bool) {
		packs, err := kept.Packs(s.source)
		if err != nil {
			yield(archive.Entry{}, err)
			return
		}
		for _, p := range packs {
			for e, err := range kept.Entries(ctx, p.Name) {
				if errors.Is(err, archive.ErrGone) {
					break // its time has come meanwhile
				}
				if (err != nil || s.wants(&e)) && !yield(e, err) || ctx.Err() != nil {
					return
				}
			}
		}
	}
}

// An archiveRow is a file in the archive in JSON and CSV.
type archiveRow struct {
	Source   string `json:"source" csv:"source"`
	Path     string `json:"path" csv:"path"` // escaped
	Size     int64  `json:"size" csv:"size"`
	Kept     int64  `json:"kept" csv:"kept"` // bytes, of a file that grew what it gained
	Modified stamp  `json:"modified" csv:"modified"`
	Fetched  stamp  `json:"fetched" csv:"fetched"`
	SHA256   string `json:"sha256" csv:"sha256"` // of the bytes that are kept
	Pack     string `json:"pack" csv:"pack"`
	Offset   int64  `json:"offset" csv:"offset"`
}

func archiveRowOf(e *archive.Entry) archiveRow {
	r := archiveRow{Source: e.File.Source, Path: ingest.EscapePath(e.File.Path), Size: e.File.Size, Kept: e.Bytes,
		Fetched: stamp{ingest.FromMicros(e.Fetched)}, SHA256: fmt.Sprintf("%x", e.Sum), Pack: e.Place.Pack, Offset: e.Place.Offset}
	if e.File.Precision != ingest.Unknown {
		r.Modified = stamp{ingest.FromMicros(e.File.Modified)}
	}
	return r
}

func (a *app) listArchive(kept *archive.Archive, sel *archiveSelecting) error {
	damaged := 0
	rows := func(yield func(archiveRow, error) bool) {
		for e, err := range sel.entries(a.take, kept) {
			if err != nil {
				damaged++
				a.note("%v", err)
				continue
			}
			if !yield(archiveRowOf(&e), nil) {
				return
			}
		}
	}
	n, err := printRows(a, rows,
		column[archiveRow]{head: "FETCHED (UTC)", text: func(r archiveRow) string { return moment(r.Fetched.Time) }},
		column[archiveRow]{head: "SOURCE", text: func(r archiveRow) string { return printable(r.Source) }, cut: right},
		column[archiveRow]{head: "SIZE", text: func(r archiveRow) string { return count(r.Size) }, right: true},
		column[archiveRow]{head: "FILE", text: func(r archiveRow) string { return r.Path }, cut: left})
	switch {
	case err != nil:
		return err
	case damaged > 0:
		return exitError(exitTrouble)
	case n == 0:
		a.note("No files match.")
	}
	return nil
}

// An archiveCheck is what verifying found.
type archiveCheck struct {
	Files   int64 `json:"files"`
	Bytes   int64 `json:"bytes"`
	Damaged int64 `json:"damaged"`
	Ledger  int64 `json:"ledger"`  // file versions that name a place
	Expired int64 `json:"expired"` // of these, whose pack is gone
	Missing int64 `json:"missing"` // of these, whose bytes are not there though the pack is
}

func (a *app) verifyArchive(kept *archive.Archive, sel *archiveSelecting, alone bool) error {
	var found archiveCheck
	for e, err := range sel.entries(a.take, kept) {
		if a.take.Err() != nil {
			return context.Cause(a.take)
		}
		if err != nil {
			found.Damaged++
			a.note("%v", err)
			continue
		}
		found.Files++
		found.Bytes += e.Bytes
	}
	have, err := a.haveStore()
	if err == nil && have && !alone {
		err = a.verifyPlaces(kept, sel, &found)
	}
	if err != nil {
		return err
	}
	if a.output.value == "json" {
		if err := a.printObject(&found); err != nil {
			return err
		}
	} else {
		a.note("%s, %s bytes, in the archive; %s damaged.", counted(found.Files, "file"), count(found.Bytes), count(found.Damaged))
		if found.Ledger > 0 {
			a.note("%s of the ledger in it: %s missing, %s deleted when their time had come.", counted(found.Ledger, "file version"), count(found.Missing), count(found.Expired))
		}
	}
	if found.Damaged+found.Missing > 0 {
		return exitError(exitTrouble)
	}
	return nil
}

// verifyPlaces looks for the bytes of what the ledger has.
func (a *app) verifyPlaces(kept *archive.Archive, sel *archiveSelecting, found *archiveCheck) error {
	s, err := a.openStore(a.take, reads, store.Options{})
	if err != nil {
		return err
	}
	defer s.close(a.log)
	for v, err := range s.Files(a.take, store.Selection{Source: sel.source}) {
		if err != nil {
			return err
		}
		if v.Place == (ingest.Place{}) {
			continue
		}
		found.Ledger++
		e, err := kept.Look(a.take, v.Place)
		switch {
		case a.take.Err() != nil:
			return context.Cause(a.take)
		case errors.Is(err, archive.ErrGone):
			found.Expired++
		case err == nil && e.File.Path == v.Path && e.File.Source == v.Source:
		default:
			found.Missing++
			a.note("%s, version %d, is not at its place %s in the pack %s", v.Display, v.Generation, fmt.Sprint(v.Place.Offset), v.Place.Pack)
		}
	}
	return nil
}

package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"penstock/ingest"
	"penstock/ingest/source"
	"penstock/store"
)

// A correcting holds the flags of commands that change data.
type correcting struct {
	selecting
	reason string
	yes    bool
	force  bool
	dryRun bool
}

func (c *correcting) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&c.reason, "reason", "", "why: kept in 'penstock actions'")
	f.BoolVar(&c.yes, "yes", false, "do not ask, however many files it is")
	f.BoolVar(&c.dryRun, "dry-run", false, "change nothing; print what would change")
}

func (c *correcting) forceFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&c.force, "force", false, "go on where the bytes of a file are gone: what only it held is lost")
}

// askAbove is up to how many files a correction does not ask about.
const askAbove = 100

// gather reads the selected file versions, says what they are, and asks above
// a hundred of them.
func (a *app) gather(s *opened, selections []store.Selection, c *correcting, verb string) ([]store.FileVersion, error) {
	var all []store.FileVersion
	for v, err := range s.selected(a.take, selections) {
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	if len(all) == 0 {
		a.note("No file versions match.")
		return nil, nil
	}
	states := make(map[ingest.State]int64)
	var readings int64
	for i := range all {
		states[all[i].State]++
		if all[i].State == ingest.Loaded {
			readings += all[i].Receipt.Cells.Stored + all[i].Receipt.Cells.Replaced
		}
	}
	var parts []string
	for _, state := range ledgerStates {
		if n := states[state]; n > 0 {
			parts = append(parts, count(n)+" "+string(state))
		}
	}
	a.note("%s: %s, %s.", counted(int64(len(all)), "file version"), strings.Join(parts, ", "), counted(readings, "reading"))
	if len(all) <= askAbove || c.yes || c.dryRun {
		return all, nil
	}
	return all, a.confirm(fmt.Sprintf("%s all of them?", verb))
}

// confirm asks a person. Where there is none, it is --yes that answers.
func (a *app) confirm(question string) error {
	in, ok := a.in.(*os.File)
	if !ok || !isTerminal(in) || !a.errTerminal {
		return usage("add --yes when it is meant, or see with --dry-run what would change", "more than %d file versions, and nobody to ask", askAbove)
	}
	fmt.Fprintf(a.err, "%s [y/N] ", question)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err == nil && slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer))) {
		return nil
	}
	return errors.New("nothing was changed")
}

// action is what is kept of a correction.
func (c correcting) action(args []string) store.Action {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return store.Action{OSUser: name, Host: host, Command: commandLine(args), Reason: c.reason}
}

// commandLine is what was typed, without the store's address, which may hold a
// password.
func commandLine(args []string) string {
	words := []string{"penstock"}
	for _, arg := range args {
		switch {
		case strings.Contains(arg, "://") || strings.Contains(arg, "password"):
			arg = "..."
		case arg == "" || strings.ContainsAny(arg, " \t\n'\"\\*?$;&|<>()"):
			arg = strconv.Quote(arg)
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}

// groups divides files into those that are corrected in one transaction. Files
// of one source that have loggers in common, directly or through others, must
// be; small groups are put together, as each transaction looks through the
// ledger once.
func (o *opened) groups(ctx context.Context, all []store.FileVersion) ([][]store.FileVersion, error) {
	loggers, err := o.loggersOf(ctx, all)
	if err != nil {
		return nil, err
	}
	kin := make(kinship)
	of := make([]kindred, len(all))
	for i := range all {
		v := &all[i]
		of[i] = kindred{source: v.Source, file: v.ID} // without series it has no kin
		for _, id := range v.Series {
			kin.join(kindred{source: v.Source, logger: loggers[id]}, of[i])
		}
	}
	index := make(map[kindred]int)
	var groups [][]store.FileVersion
	for i := range all {
		r := kin.root(of[i])
		at, ok := index[r]
		if !ok {
			at = len(groups)
			index[r] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], all[i])
	}
	return packed(groups), nil
}

// A kindred is a logger of a source, or a file.
type kindred struct {
	source, logger string
	file           int64
}

// A kinship tells which of them belong together: each points to another of its
// kin, and the root to none.
type kinship map[kindred]kindred

func (k kinship) root(m kindred) kindred {
	for {
		p, ok := k[m]
		if !ok {
			return m
		}
		if g, ok := k[p]; ok {
			k[m] = g // halves the way for the next one
		}
		m = p
	}
}

func (k kinship) join(a, b kindred) {
	if a, b = k.root(a), k.root(b); a != b {
		k[b] = a
	}
}

// maxTogether is how many files small groups make together.
const maxTogether = 500

// packed puts neighbouring groups of one source together while they are small
// in files and in readings, which a correction holds in memory.
func packed(groups [][]store.FileVersion) [][]store.FileVersion {
	var packs [][]store.FileVersion
	var readings int64
	for _, group := range groups {
		var more int64
		for i := range group {
			more += group[i].Receipt.Cells.Readings()
		}
		if n := len(packs) - 1; n >= 0 && packs[n][0].Source == group[0].Source &&
			len(packs[n])+len(group) <= maxTogether && readings+more <= maxChunkReadings {
			packs[n] = append(packs[n], group...)
			readings += more
			continue
		}
		packs = append(packs, group)
		readings = more
	}
	return packs
}

func (o *opened) loggersOf(ctx context.Context, all []store.FileVersion) (map[int32]string, error) {
	var ids []int32
	for i := range all {
		ids = append(ids, all[i].Series...)
	}
	slices.Sort(ids)
	series, err := o.Series(ctx, slices.Compact(ids))
	if err != nil {
		return nil, err
	}
	names := make(map[int32]string, len(series))
	for id, k := range series {
		names[id] = k.Logger
	}
	return names, nil
}

// A changeRow is an instant whose reading changes.
type changeRow struct {
	Logger  string   `json:"logger" csv:"logger"`
	Channel string   `json:"channel" csv:"channel"`
	Time    stamp    `json:"ts" csv:"ts"`
	Before  *float64 `json:"before" csv:"before"`
	After   *float64 `json:"after" csv:"after"`
}

func changeColumns() []column[changeRow] {
	value := func(v *float64) string {
		if v == nil {
			return "-"
		}
		return number(*v)
	}
	return []column[changeRow]{
		{head: "LOGGER", text: func(r changeRow) string { return r.Logger }, cut: right},
		{head: "CHANNEL", text: func(r changeRow) string { return r.Channel }, cut: right},
		{head: "TIME", text: func(r changeRow) string { return exactly(r.Time.Time) }},
		{head: "BEFORE", text: func(r changeRow) string { return value(r.Before) }, right: true},
		{head: "AFTER", text: func(r changeRow) string { return value(r.After) }, right: true},
	}
}

// A corrected adds up what several corrections did. In JSON it is what undo and
// reload print when they changed something.
type corrected struct {
	Files    int64            `json:"files"`
	Undone   int64            `json:"undone"`
	Reloaded map[string]int64 `json:"reloaded,omitempty"` // by state
	Removed  int64            `json:"readings_removed"`
	Stored   int64            `json:"readings_stored"`
	Restored int64            `json:"files_restored"` // others, whose readings stand again
	Gone     []string         `json:"gone"`           // whose bytes are gone
	Due      int64            `json:"duplicates_due"`
	DryRun   bool             `json:"dry_run,omitempty"`
}

// correct carries a correction out and prints what it did, or in a dry run each
// reading that would change.
func (a *app) correct(s *opened, all []store.FileVersion, c *correcting, what store.Correction) error {
	done, err := a.carryOut(s, all, c, what)
	if err != nil {
		return err
	}
	if !c.dryRun && a.output.value == "json" {
		return a.printObject(done)
	}
	a.tellCorrected(done)
	return done.exit()
}

// changesShown is how many readings that would change a table shows.
const changesShown = 100

// carryOut carries a correction out, group by group. In a dry run it prints each
// reading that would change.
func (a *app) carryOut(s *opened, all []store.FileVersion, c *correcting, what store.Correction) (*corrected, error) {
	groups, err := s.groups(a.take, all)
	if err != nil {
		return nil, err
	}
	done := &corrected{Reloaded: make(map[string]int64), Gone: []string{}, DryRun: c.dryRun}
	what.Force, what.DryRun = c.force, c.dryRun
	changes, more := newPrinter(a, changeColumns()), int64(-changesShown)
	if c.dryRun {
		what.Change = func(x store.Change) error {
			if more++; more > 0 && a.output.value == "table" {
				return nil
			}
			return changes.add(changeRow{x.Logger, x.Channel, stamp{x.Time}, x.Before, x.After})
		}
	}
	gone := make(whyGone)
	what.Read = gone.heard(what.Read)
	for i, files := range groups {
		what.Files = files
		r, err := s.Correct(a.take, what)
		if err != nil {
			return nil, a.explainCorrection(err, r, gone, i, len(groups))
		}
		done.add(int64(len(files)), r)
		for j := range r.Gone {
			a.note("%s", gone.tell(&r.Gone[j]))
		}
		what.Action.Run = r.Run // one command is one run and one action
	}
	if !c.dryRun {
		return done, nil
	}
	err = changes.end()
	if more > 0 && a.output.value == "table" {
		a.note("%s more would change: -o csv and -o json list all.", counted(more, "reading"))
	}
	return done, err
}

// exit is the code that what became of the files asks for, as an error.
func (d *corrected) exit() error {
	for _, state := range []ingest.State{ingest.Held, ingest.Quarantined} {
		if d.Reloaded[string(state)] > 0 {
			return exitError(exitTrouble)
		}
	}
	return nil
}

func (d *corrected) add(files int64, r *store.Corrected) {
	d.Files += files
	d.Undone += int64(r.Undone)
	d.Removed += r.Removed
	d.Restored += int64(len(r.Restored))
	d.Due += r.Due
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		d.Reloaded[string(o.State)]++
		d.Stored += o.Receipt.Cells.Stored + o.Receipt.Cells.Replaced
	}
	for i := range r.Gone {
		d.Gone = append(d.Gone, r.Gone[i].Display)
	}
}

func (a *app) tellCorrected(d *corrected) {
	verb, now := "", "now "
	if d.DryRun {
		verb, now = "would be ", "would be "
	}
	var parts []string
	if d.Undone > 0 {
		parts = append(parts, counted(d.Undone, "file version")+" "+verb+"undone")
	}
	for _, state := range ledgerStates {
		n := d.Reloaded[string(state)]
		switch {
		case n == 0:
		case state == ingest.Loaded:
			parts = append(parts, counted(n, "file version")+" "+verb+"loaded again")
		default:
			parts = append(parts, counted(n, "file version")+" "+now+string(state))
		}
	}
	parts = append(parts, counted(d.Removed, "reading")+" "+verb+"taken out")
	if d.Stored > 0 {
		parts = append(parts, counted(d.Stored, "reading")+" "+verb+"stored")
	}
	if d.Restored > 0 {
		parts = append(parts, counted(d.Restored, "other file")+" "+verb+"applied again where they overlap")
	}
	a.note("%s.", strings.Join(parts, ", "))
	if d.Due > 0 {
		are := "are "
		switch {
		case d.DryRun:
			are = verb
		case d.Due == 1:
			are = "is "
		}
		a.note("%s of what was undone %sdue: the next replay of the source, or 'penstock files retry --state due', loads one in its place.",
			counted(d.Due, "duplicate"), are)
	}
	if d.DryRun {
		a.note("Nothing was changed.")
	}
}

// whyGone is why the bytes of file versions cannot be read again, by their ids.
type whyGone map[int64]string

type readAgain = func(context.Context, store.FileVersion, bool, *ingest.Batch) error

// heard remembers what read says of bytes that are gone.
func (w whyGone) heard(read readAgain) readAgain {
	return func(ctx context.Context, v store.FileVersion, anew bool, b *ingest.Batch) error {
		err := read(ctx, v, anew, b)
		if errors.Is(err, store.ErrBytesGone) {
			w[v.ID] = reasonOf(err)
		}
		return err
	}
}

func (w whyGone) tell(v *store.FileVersion) string {
	return fmt.Sprintf("%s, version %d: %s", v.Display, v.Generation, printable(w[v.ID]))
}

// explainCorrection says what a refused correction needed, and how far those
// before it came.
func (a *app) explainCorrection(err error, r *store.Corrected, gone whyGone, done, groups int) error {
	hint := ""
	if errors.Is(err, store.ErrBytesGone) && r != nil {
		for i := range r.Gone {
			a.note("%s", gone.tell(&r.Gone[i]))
		}
		hint = "put the files back where they were, or go on without them by --force"
		if len(r.Gone) > 0 && r.Gone[0].Source != source.FileSource {
			hint = fmt.Sprintf("put the files back where they were, or show where they are by 'penstock replay --source %s PATH', or go on without them by --force",
				shown([]string{r.Gone[0].Source}))
		}
	}
	if done > 0 {
		hint = strings.TrimSpace(fmt.Sprintf("%d of %d groups of files are corrected already; the same command goes on with the rest. %s", done, groups, hint))
	}
	return &hinted{err, hint}
}

// alike parts the file versions by source and by the zone that was given for
// them from outside, so that what is not said anew stays as it was.
func alike(all []store.FileVersion) [][]store.FileVersion {
	order := func(x, y store.FileVersion) int {
		return cmp.Or(cmp.Compare(x.Source, y.Source), cmp.Compare(x.Zone, y.Zone))
	}
	sorted := slices.SortedStableFunc(slices.Values(all), order)
	var parts [][]store.FileVersion
	for len(sorted) > 0 {
		n := slices.IndexFunc(sorted, func(v store.FileVersion) bool { return order(v, sorted[0]) != 0 })
		if n < 0 {
			n = len(sorted)
		}
		parts = append(parts, sorted[:n])
		sorted = sorted[n:]
	}
	return parts
}

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"penstock/ingest"
	"penstock/store"
)

func newWhy(a *app) *cobra.Command {
	var zone string
	cmd := &cobra.Command{
		Use:   "why LOGGER [CHANNEL] TIME",
		Short: "where a reading came from, and which other files hold that instant",
		Long: `Why tells of the reading that stands: its file, line and recipe, the rank by which
it stands, and when and by what it was loaded; and of every other file version that
holds a value for that instant, what it is. The files are read again for this, from
where they were; where their bytes are gone, it says so.

TIME is UTC, or in --zone, or has its own offset.`,
		Example: `  penstock why L-104 flow '2024-03-31 01:15'
  penstock why L-104 2024-03-31T01:15:00+01:00`,
		Args: args(2, 3),
		RunE: func(_ *cobra.Command, args []string) error {
			in, err := time.LoadLocation(zone)
			if err != nil {
				return usage("zones are named like Europe/London", "--zone: %w", err)
			}
			at, err := parseMoment(args[len(args)-1], in)
			if err != nil {
				return usage("quote a time that has a space in it", "%w", err)
			}
			channel := ""
			if len(args) == 3 {
				channel = args[1]
			}
			return a.why(args[0], channel, at)
		},
	}
	cmd.Flags().StringVar(&zone, "zone", "UTC", "the time zone (`AREA/CITY`) of a TIME without an offset")
	return cmd
}

// A whyRow is the account of one series in JSON.
type whyRow struct {
	Logger   string         `json:"logger"`
	Channel  string         `json:"channel"`
	Unit     string         `json:"unit,omitempty"`
	Time     stamp          `json:"ts"`
	Standing []standingRow  `json:"standing"`
	Others   []candidateRow `json:"others"`
}

type standingRow struct {
	Value    float64       `json:"value"`
	Quality  string        `json:"quality,omitempty"`
	File     fileRow       `json:"file"`
	Lines    []int64       `json:"lines"` // of the file, the last one counts
	Gone     string        `json:"gone,omitempty"`
	Run      runRow        `json:"run"`
	Actions  []actionRow   `json:"actions"`
	TookOver []takeoverRow `json:"took_over"`
	Lost     []takeoverRow `json:"lost"`
}

type takeoverRow struct {
	FileID     int64  `json:"file_id"`
	Path       string `json:"path"`
	Generation int32  `json:"generation"`
	Readings   int64  `json:"readings"`
}

type candidateRow struct {
	File  fileRow `json:"file"`
	Holds []held  `json:"holds"`
	Gone  string  `json:"gone,omitempty"` // why its bytes cannot be read
}

// A held value is one that a file has for the instant.
type held struct {
	Line    int64   `json:"line"`
	Value   float64 `json:"value"`
	Quality string  `json:"quality,omitempty"`
}

func (a *app) why(logger, channel string, at time.Time) error {
	s, err := a.openStore(a.take, reads, store.Options{})
	if err != nil {
		return err
	}
	defer s.close(a.log)
	accounts, err := s.Why(a.take, logger, channel, at)
	if errors.Is(err, store.ErrNoSeries) {
		return &hinted{err, "'penstock status' lists the loggers, and 'penstock files show' the series of a file"}
	}
	if err != nil {
		return err
	}
	w := &witness{again: newAgain(a, s.Store, nil, nil), at: ingest.Micros(at), found: make(map[int64][]testimony), gone: make(map[int64]string)}
	defer w.close(a)
	rows := make([]whyRow, len(accounts))
	for i := range accounts {
		if rows[i], err = w.account(a.take, &accounts[i]); err != nil {
			return err
		}
	}
	if a.output.value != "table" {
		return a.printWhy(rows)
	}
	for i := range rows {
		if i > 0 {
			fmt.Fprintln(a.out)
		}
		if err := a.tellWhy(&rows[i], &accounts[i]); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printWhy(rows []whyRow) error {
	if a.output.value == "json" {
		_, err := printRows[whyRow](a, eachOf(rows))
		return err
	}
	var flat []whyLine
	for i := range rows {
		flat = append(flat, rows[i].flat()...)
	}
	_, err := printRows[whyLine](a, eachOf(flat))
	return err
}

// A whyLine is one value of one file for the instant, in CSV.
type whyLine struct {
	Logger     string `csv:"logger"`
	Channel    string `csv:"channel"`
	Time       stamp  `csv:"ts"`
	Stands     bool   `csv:"stands"`
	Value      string `csv:"value"`
	Quality    string `csv:"quality"`
	Line       int64  `csv:"line,omitempty"`
	FileID     int64  `csv:"file_id"`
	Path       string `csv:"path"`
	Generation int32  `csv:"generation"`
	State      string `csv:"state"`
	Gone       string `csv:"gone"`
}

func (r *whyRow) flat() (all []whyLine) {
	line := func(f *fileRow) whyLine {
		return whyLine{Logger: r.Logger, Channel: r.Channel, Time: r.Time, FileID: f.ID, Path: f.Path, Generation: f.Generation, State: f.State}
	}
	for i := range r.Standing {
		st := &r.Standing[i]
		l := line(&st.File)
		l.Stands, l.Value, l.Quality, l.Gone = true, number(st.Value), st.Quality, st.Gone
		if n := len(st.Lines); n > 0 {
			l.Line = st.Lines[n-1]
		}
		all = append(all, l)
	}
	for i := range r.Others {
		o := &r.Others[i]
		l := line(&o.File)
		if l.Gone = o.Gone; l.Gone != "" {
			all = append(all, l)
		}
		for _, h := range o.Holds {
			l.Value, l.Quality, l.Line = number(h.Value), h.Quality, h.Line
			all = append(all, l)
		}
	}
	return all
}

// A witness reads the files that the accounts of one instant name, each once,
// and keeps what they hold for it.
type witness struct {
	*again
	at    int64
	found map[int64][]testimony
	gone  map[int64]string
}

// A testimony is one reading of the instant.
type testimony struct {
	logger, channel string
	held
}

func (w *witness) account(ctx context.Context, acc *store.Account) (whyRow, error) {
	row := whyRow{Logger: acc.Logger, Channel: acc.Channel, Unit: acc.Unit, Time: stamp{acc.Time}, Standing: []standingRow{}, Others: []candidateRow{}}
	for i := range acc.Standing {
		st := &acc.Standing[i]
		holds, gone, err := w.holds(ctx, &st.File, acc)
		if err != nil {
			return row, err
		}
		r := standingRow{Value: st.Value, Quality: st.Quality, File: rowOf(&st.File), Gone: gone, Lines: []int64{},
			Run:     runRow{ID: st.Run.ID, Started: stamp{st.Run.Started}, Command: st.Run.Command, Host: st.Run.Host, Version: st.Run.Version},
			Actions: []actionRow{}, TookOver: takeoverRows(st.Took, false), Lost: takeoverRows(st.Lost, true)}
		for _, h := range holds {
			r.Lines = append(r.Lines, h.Line)
		}
		for j := range st.Actions {
			r.Actions = append(r.Actions, actionOf(&st.Actions[j]))
		}
		row.Standing = append(row.Standing, r)
	}
	for i := range acc.Candidates {
		v := &acc.Candidates[i]
		holds, gone, err := w.holds(ctx, v, acc)
		if err != nil {
			return row, err
		}
		if len(holds) > 0 || gone != "" {
			row.Others = append(row.Others, candidateRow{rowOf(v), holds, gone})
		}
	}
	return row, nil
}

func takeoverRows(all []store.Takeover, lost bool) []takeoverRow {
	rows := make([]takeoverRow, len(all))
	for i, t := range all {
		rows[i] = takeoverRow{t.From, t.Other, t.OtherVersion, t.Readings}
		if lost {
			rows[i].FileID = t.By
		}
	}
	return rows
}

// holds returns the values that a file version has for the instant, in the
// order of its lines, or why its bytes cannot be read.
func (w *witness) holds(ctx context.Context, v *store.FileVersion, acc *store.Account) ([]held, string, error) {
	if err := w.hear(ctx, v); err != nil {
		return nil, "", err
	}
	all := []held{}
	for _, t := range w.found[v.ID] {
		if t.logger == acc.Logger && t.channel == acc.Channel {
			all = append(all, t.held)
		}
	}
	return all, w.gone[v.ID], nil
}

// hear reads a file version, unless it was read before. What cannot be read is
// told, and no error: the rest is told all the same.
func (w *witness) hear(ctx context.Context, v *store.FileVersion) error {
	if _, known := w.found[v.ID]; known {
		return nil
	}
	w.found[v.ID] = nil
	b := &ingest.Batch{KeepLines: true}
	err := w.read(ctx, *v, false, b)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		w.gone[v.ID] = reasonOf(err)
		return nil
	}
	for i := range b.Time {
		if b.Time[i] != w.at {
			continue
		}
		k := &b.Keys[b.Series[i]]
		t := testimony{k.Logger, k.Channel, held{Line: b.Line[i], Value: b.Value[i]}}
		if len(b.Quality) > 0 {
			t.Quality = b.Qualities[b.Quality[i]]
		}
		w.found[v.ID] = append(w.found[v.ID], t)
	}
	return nil
}

// reasonOf words in one line why a file cannot be read again.
func reasonOf(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func (a *app) tellWhy(row *whyRow, acc *store.Account) error {
	title := acc.Logger + " " + acc.Channel
	if acc.Unit != "" {
		title += " [" + acc.Unit + "]"
	}
	fmt.Fprintf(a.out, "%s at %s\n", a.style(bold, printable(title)), exactly(acc.Time))
	if len(row.Standing) == 0 {
		fmt.Fprintln(a.out, "No reading stands there.")
	}
	for i := range row.Standing {
		if err := a.tellStanding(&row.Standing[i], &acc.Standing[i]); err != nil {
			return err
		}
	}
	if len(row.Others) == 0 {
		_, err := fmt.Fprintln(a.out, "No other file version holds that instant.")
		return err
	}
	fmt.Fprintln(a.out, a.style(faint, "File versions that hold that instant too, the greatest rank first:"))
	for i := range row.Others {
		a.tellOther(&row.Others[i])
	}
	return nil
}

func (a *app) tellStanding(r *standingRow, st *store.StandingReading) error {
	value := number(r.Value)
	if r.Quality != "" {
		value += ", quality " + printable(r.Quality)
	}
	v := &st.File
	line := printable(r.Gone)
	if n := len(r.Lines); n == 1 {
		line = count(r.Lines[0])
	} else if n > 1 {
		line = fmt.Sprintf("%s, the last of %d lines with that instant", count(r.Lines[n-1]), n)
	}
	reader := v.Profile
	if v.Zone != "" {
		reader += ", zone " + v.Zone
	}
	pairs := []string{
		"value", a.style(bold, value),
		"file", fmt.Sprintf("%s, version %d, #%d", v.Display, v.Generation, v.ID),
		"line", line,
		"read by", printable(reader),
		"rank", rankText(v.Rank, v),
		"loaded", fmt.Sprintf("%s UTC by run %d: %s", moment(v.Changed), st.Run.ID, printable(st.Run.Command)),
	}
	for i := range st.Actions {
		pairs = append(pairs, "action", printable(actionText(&st.Actions[i], st.Run.Command)))
	}
	return a.facts(append(pairs, takeoverPairs(st.Took, st.Lost)...)...)
}

// actionText words an action, without its command where that has been told.
func actionText(x *store.Action, told string) string {
	text := fmt.Sprintf("%s UTC by %s@%s", moment(x.At), x.OSUser, x.Host)
	if x.Command != told {
		text += ": " + x.Command
	}
	if x.Reason != "" {
		text += ": " + x.Reason
	}
	return text
}

// takeoverPairs names the files at the other ends of takeovers.
func takeoverPairs(took, lost []store.Takeover) (pairs []string) {
	for _, t := range took {
		pairs = append(pairs, "took over", fmt.Sprintf("%s from %s, version %d", counted(t.Readings, "reading"), t.Other, t.OtherVersion))
	}
	for _, t := range lost {
		pairs = append(pairs, "lost", fmt.Sprintf("%s to %s, version %d", counted(t.Readings, "reading"), t.Other, t.OtherVersion))
	}
	return pairs
}

func (a *app) tellOther(o *candidateRow) {
	values := []string{printable(o.Gone)}
	if o.Gone == "" {
		values = values[:0]
		for _, h := range o.Holds {
			values = append(values, fmt.Sprintf("%s in line %s", number(h.Value), count(h.Line)))
		}
	}
	fmt.Fprintf(a.out, "  %s, version %d, #%d, %s, rank %d, %s\n    %s\n", o.File.Path, o.File.Generation, o.File.ID,
		a.style(stateStyle(o.File.State), o.File.State), o.File.Rank, exactly(o.File.RankTime.Time), strings.Join(values, "; "))
}

package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/spf13/cobra"

	"penstock/store"
)

func newStatus(a *app) *cobra.Command {
	var silent bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "files by state, readings, rates, lag, loggers that are behind or silent",
		Long: `Status shows how the store stands. A logger is behind, by the times of its readings,
when its last one is older than the store's newest, or than now if that is earlier,
by more than three times the median time between the ends of its files; three files
are needed to tell. -o csv prints the loggers; there and in JSON, it is the field
"silent".

With --silent it prints the loggers that are silent, by when their files arrive: those
of live sources from which no file came for more than three times the median of the
times from one to the next, or as long as the loggers table of the config says that
they record. It exits with 3 if there are any. A logger that sends old readings is
behind and not silent; one whose files were loaded by a replay alone is never silent.`,
		Args: args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if silent {
				return a.silentLoggers()
			}
			return a.status()
		},
	}
	cmd.Flags().BoolVar(&silent, "silent", false, "only the loggers from which files came, and come no more")
	return cmd
}

// A statusReport is the status in JSON.
type statusReport struct {
	At         stamp                       `json:"at"`
	Append     bool                        `json:"append"`
	Hypertable bool                        `json:"hypertable"`
	Files      map[string]map[string]int64 `json:"files"` // by source and state
	Readings   int64                       `json:"readings"`
	Estimated  bool                        `json:"readings_estimated"`
	Sources    []sourceRow                 `json:"sources"`
	Runs       []runRow                    `json:"runs"`
	Loggers    []loggerRow                 `json:"loggers"`
}

type sourceRow struct {
	Source   string  `json:"source"`
	Root     string  `json:"root,omitempty"`
	LastFile stamp   `json:"last_file"`
	Lag      float64 `json:"lag_seconds,omitempty"` // since a new file version was last fetched
}

type runRow struct {
	ID       int32   `json:"id"`
	Started  stamp   `json:"started"`
	Command  string  `json:"command"`
	Host     string  `json:"host"`
	Version  string  `json:"version"`
	Files    int64   `json:"files"`
	Readings int64   `json:"readings"`
	Seconds  float64 `json:"seconds"`
}

type loggerRow struct {
	Logger      string   `json:"logger" csv:"logger"`
	Channels    int64    `json:"channels" csv:"channels"`
	LastReading stamp    `json:"last_reading" csv:"last_reading"`
	Interval    *float64 `json:"interval_seconds" csv:"interval_seconds"` // nil where no three files tell
	Behind      bool     `json:"silent" csv:"silent"`                     // as it was called at first: scripts rely on the name
}

func (a *app) status() error {
	s, err := a.openStore(a.take, reads, store.Options{})
	if err != nil {
		return err
	}
	defer s.close(a.log)
	st, err := s.Status(a.take)
	if err != nil {
		return err
	}
	r := reportOf(st)
	switch a.output.value {
	case "json":
		return a.printObject(r)
	case "csv":
		_, err := printRows[loggerRow](a, eachOf(r.Loggers))
		return err
	}
	return a.printStatus(st, r)
}

func reportOf(st *store.Status) *statusReport {
	r := &statusReport{
		At: stamp{st.At}, Append: st.Layout.Append, Hypertable: st.Layout.Hypertable, Files: make(map[string]map[string]int64),
		Readings: st.Readings, Estimated: st.Estimated, Sources: []sourceRow{}, Runs: []runRow{}, Loggers: []loggerRow{},
	}
	for _, f := range st.Files {
		if r.Files[f.Source] == nil {
			r.Files[f.Source] = make(map[string]int64)
		}
		r.Files[f.Source][string(f.State)] = f.Files
	}
	for _, s := range st.Sources {
		row := sourceRow{Source: s.Source, Root: s.Root, LastFile: stamp{s.LastFile}}
		if !s.LastFile.IsZero() {
			row.Lag = st.At.Sub(s.LastFile).Seconds()
		}
		r.Sources = append(r.Sources, row)
	}
	for _, x := range st.Runs {
		r.Runs = append(r.Runs, runRow{x.ID, stamp{x.Started}, x.Command, x.Host, x.Version, x.Files, x.Readings, x.Took.Seconds()})
	}
	for _, l := range st.Loggers {
		row := loggerRow{Logger: l.Logger, Channels: l.Channels, LastReading: stamp{l.LastReading}, Behind: l.Behind}
		if seconds := l.Interval.Seconds(); seconds > 0 {
			row.Interval = &seconds
		}
		r.Loggers = append(r.Loggers, row)
	}
	return r
}

func (a *app) printStatus(st *store.Status, r *statusReport) error {
	about := ""
	if st.Estimated {
		about = "about "
	}
	var newest time.Time
	behind := 0
	for _, l := range st.Loggers {
		if l.LastReading.After(newest) {
			newest = l.LastReading
		}
		if l.Behind {
			behind++
		}
	}
	last := ""
	if !newest.IsZero() {
		last = fmt.Sprintf("%s UTC, %s ago", moment(newest), span(st.At.Sub(newest)))
	}
	loggers := count(int64(len(st.Loggers)))
	if behind > 0 {
		loggers += ", " + a.style(warn, count(int64(behind))+" behind")
	}
	if err := a.facts(
		"readings", about+count(st.Readings)+" in "+tableText(st.Layout),
		"newest", last,
		"loggers", loggers,
	); err != nil {
		return err
	}
	for _, part := range []func() error{
		func() error { return printFileStates(a, st) },
		func() error { return printRuns(a, r.Runs) },
		func() error { return printLoggers(a, st) },
	} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

func tableText(l store.Layout) string {
	kind := "a plain table"
	if l.Hypertable {
		kind = "a hypertable"
	}
	if l.Append {
		kind += " without a unique key"
	}
	return kind
}

// printSection writes a table below an empty line, nothing without rows.
func printSection[T any](a *app, rows []T, columns ...column[T]) error {
	if len(rows) == 0 {
		return nil
	}
	fmt.Fprintln(a.out)
	t := &table[T]{a: a, columns: columns}
	for _, r := range rows {
		if err := t.add(r); err != nil {
			return err
		}
	}
	return t.end()
}

func printFileStates(a *app, st *store.Status) error {
	type states struct{ source, files, last string }
	rows := make([]states, 0, len(st.Sources))
	for _, s := range st.Sources {
		var parts []string
		for _, f := range st.Files {
			if f.Source == s.Source {
				parts = append(parts, count(f.Files)+" "+string(f.State))
			}
		}
		last := "-"
		if !s.LastFile.IsZero() {
			last = span(st.At.Sub(s.LastFile)) + " ago"
		}
		rows = append(rows, states{s.Source, cmp.Or(strings.Join(parts, ", "), "none"), last})
	}
	return printSection(a, rows,
		column[states]{head: "SOURCE", text: func(r states) string { return r.source }, cut: right},
		column[states]{head: "LAST NEW FILE", text: func(r states) string { return r.last }, right: true},
		column[states]{head: "FILES", text: func(r states) string { return r.files }, cut: right})
}

func printRuns(a *app, runs []runRow) error {
	return printSection(a, runs,
		column[runRow]{head: "RUN", text: func(r runRow) string { return strconv.Itoa(int(r.ID)) }, right: true},
		column[runRow]{head: "STARTED (UTC)", text: func(r runRow) string { return moment(r.Started.Time) }},
		column[runRow]{head: "FILES", text: func(r runRow) string { return count(r.Files) }, right: true},
		column[runRow]{head: "READINGS", text: func(r runRow) string { return count(r.Readings) }, right: true},
		column[runRow]{head: "RATE", text: func(r runRow) string { return rate(r.Readings, r.Seconds) }, right: true},
		column[runRow]{head: "COMMAND", text: func(r runRow) string { return r.Command }, cut: right})
}

// shownLoggers is how many loggers the table names: first those that are
// behind.
const shownLoggers = 20

func printLoggers(a *app, st *store.Status) error {
	var rows []store.LoggerStatus
	for _, wanted := range []bool{true, false} {
		for _, l := range st.Loggers {
			if l.Behind == wanted && len(rows) < shownLoggers {
				rows = append(rows, l)
			}
		}
	}
	err := printSection(a, rows,
		column[store.LoggerStatus]{head: "LOGGER", text: func(l store.LoggerStatus) string { return l.Logger }, cut: right},
		column[store.LoggerStatus]{head: "CHANNELS", text: func(l store.LoggerStatus) string { return count(l.Channels) }, right: true},
		column[store.LoggerStatus]{head: "LAST READING (UTC)", text: func(l store.LoggerStatus) string { return moment(l.LastReading) }},
		column[store.LoggerStatus]{head: "A FILE EVERY", text: func(l store.LoggerStatus) string {
			if l.Interval == 0 {
				return "-"
			}
			return span(l.Interval)
		}, right: true},
		column[store.LoggerStatus]{head: "", text: func(l store.LoggerStatus) string {
			if l.Behind {
				return "behind"
			}
			return ""
		}, style: func(store.LoggerStatus) lipgloss.Style { return warn }})
	if rest := len(st.Loggers) - len(rows); err == nil && rest > 0 {
		fmt.Fprintf(a.out, "...and %s: penstock status -o csv\n", counted(int64(rest), "logger"))
	}
	return err
}

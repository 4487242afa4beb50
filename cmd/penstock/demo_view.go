package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/x/ansi"

	"penstock/ingest"
	"penstock/store"
)

const (
	// viewEvery is how often the view is drawn on a terminal, viewLineEvery how
	// often a line is written elsewhere.
	viewEvery     = 500 * time.Millisecond
	viewLineEvery = 5 * time.Second
	// viewRateOver is over how many drawings rates are taken.
	viewRateOver = 10
	// viewFresh is how long a logger is shown after its last reading.
	viewFresh = 10 * time.Minute
	// mostVisible is how many of the last files the times to the table are of.
	mostVisible = 1000
)

// A demoView shows what a daemon does while it does it: rates, files by state
// and the latest readings, in place on a terminal, else a line now and then.
type demoView struct {
	a       *app
	store   *store.Store
	source  string // whose files' times to the table are shown
	began   time.Time
	length  time.Duration // of the demo; 0 for no end
	loggers *demoLoggers

	mu      sync.Mutex
	tally   *tally          // of all sources
	stored  int64           // readings of source that are new in the table
	visible []time.Duration // from arrival to table, of the last files
	idle    map[string]bool // sources with nothing left to do
	latest  []store.LatestReading
	seen    []viewCount
	lines   int // that stand on the terminal
}

// viewCount is what was loaded at one drawing.
type viewCount struct {
	at              time.Time
	files, readings int64
}

// observe takes in an event of any source.
func (v *demoView) observe(e ingest.Event) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if c := e.Cycle; c != nil {
		v.idle[e.Source] = c.Over && c.Err == nil && c.Queued+c.UnderWay+c.Settling+c.New == 0
		return
	}
	e.Outcomes = slices.DeleteFunc(slices.Clone(e.Outcomes), func(o ingest.Outcome) bool { return o.State == ingest.Known })
	v.tally.observe(e)
	for i := range e.Outcomes {
		o := &e.Outcomes[i]
		if e.Source != v.source || o.State != ingest.Loaded {
			continue
		}
		v.stored += o.Receipt.Cells.Stored
		if o.File.Modified != 0 {
			v.visible = append(v.visible, max(0, e.At.Sub(ingest.FromMicros(o.File.Modified))))
		}
	}
	v.visible = v.visible[max(0, len(v.visible)-mostVisible):]
}

// isIdle reports whether the last cycle of a source left nothing to do.
func (v *demoView) isIdle(source string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.idle[source]
}

// run shows until ctx ends, and leaves the last view standing.
func (v *demoView) run(ctx context.Context) {
	every := viewLineEvery
	if v.a.outTerminal {
		every = viewEvery
		v.a.err.over(viewWriter{v})
		defer v.a.err.over(nil)
		_, _ = io.WriteString(v.a.out, ansi.HideCursor)
		defer func() { _, _ = io.WriteString(v.a.out, ansi.ShowCursor) }()
	}
	for {
		v.look(ctx)
		v.show()
		if !pause(ctx, every) {
			return
		}
	}
}

// look reads the latest readings from the table.
func (v *demoView) look(ctx context.Context) {
	latest, err := v.store.Latest(ctx, time.Now().Add(-viewFresh))
	if err != nil {
		if ctx.Err() == nil {
			v.a.log.Warn("the view is not up to date", slog.Any("error", err))
		}
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.latest = latest
	v.seen = append(v.seen, viewCount{time.Now(), v.tally.files[ingest.Loaded], v.tally.receipt.Cells.Stored})
	v.seen = v.seen[max(0, len(v.seen)-viewRateOver):]
}

func (v *demoView) show() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.a.outTerminal {
		fmt.Fprintln(v.a.out, v.line())
		return
	}
	var b strings.Builder
	v.clear(&b)
	lines := v.picture()
	if width, height := v.a.outSize(); width > 1 && height > 1 {
		lines = lines[:min(len(lines), height-1)]
		for i := range lines {
			lines[i] = ansi.Truncate(lines[i], width-1, "…")
		}
	}
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	v.lines = len(lines)
	_, _ = io.WriteString(v.a.out, b.String()) // a terminal that is gone shows nothing
}

// clear takes the view off the terminal.
func (v *demoView) clear(b *strings.Builder) {
	if v.lines > 0 {
		b.WriteString(ansi.CursorUp(v.lines) + "\r" + ansi.EraseScreenBelow)
		v.lines = 0
	}
}

// A viewWriter writes above the view: what stderr is told meanwhile.
type viewWriter struct{ v *demoView }

// Write implements [io.Writer].
func (w viewWriter) Write(p []byte) (int, error) {
	w.v.mu.Lock()
	defer w.v.mu.Unlock()
	var b strings.Builder
	w.v.clear(&b)
	_, _ = io.WriteString(w.v.a.out, b.String())
	return w.v.a.err.w.Write(p)
}

// rates are files and readings per second over the last drawings.
func (v *demoView) rates() (files, readings string) {
	if len(v.seen) < 2 {
		return "-", "-"
	}
	first, last := v.seen[0], v.seen[len(v.seen)-1]
	took := last.at.Sub(first.at).Seconds()
	perSecond := func(n int64, what string) string { return strings.Replace(rate(n, took), "/s", " "+what+"/s", 1) }
	return perSecond(last.files-first.files, "files"), perSecond(last.readings-first.readings, "readings")
}

// visibility is the median time from arrival to table, and the longest.
func (v *demoView) visibility() (median, longest time.Duration) {
	if len(v.visible) == 0 {
		return 0, 0
	}
	sorted := slices.Sorted(slices.Values(v.visible))
	return sorted[len(sorted)/2], sorted[len(sorted)-1]
}

// line is the view where there is no terminal.
func (v *demoView) line() string {
	files, readings := v.rates()
	median, _ := v.visibility()
	line := fmt.Sprintf("%3.0f s  %s, %s; %s, %s", time.Since(v.began).Seconds(), strings.Join(v.states(plainly), ", "),
		counted(v.tally.receipt.Cells.Stored, "reading")+" stored", files, readings)
	if median > 0 {
		line += fmt.Sprintf("; %s from arrival to table", span(median))
	}
	if len(v.latest) > 0 {
		r := slices.MaxFunc(v.latest, func(a, b store.LatestReading) int { return a.At.Compare(b.At) })
		line += fmt.Sprintf("; latest: %s %s %.4g %s", printable(r.Logger), printable(r.Channel), r.Value, printable(r.Unit))
	}
	return line
}

func plainly(_ ingest.State, text string) string { return text }

// states counts files by what became of them.
func (v *demoView) states(show func(ingest.State, string) string) (words []string) {
	for _, state := range []ingest.State{ingest.Loaded, ingest.Duplicate, ingest.Held, ingest.Quarantined, ingest.Failed} {
		n := v.tally.files[state]
		switch {
		case state == ingest.Loaded:
			words = append(words, show(state, counted(n, "file")+" loaded"))
		case n > 0:
			words = append(words, show(state, count(n)+" "+string(state)))
		}
	}
	return words
}

// picture is the view on a terminal.
func (v *demoView) picture() []string {
	a := v.a
	until := "until Ctrl-C"
	if v.length > 0 {
		until = fmt.Sprintf("of %.0f s, or until Ctrl-C", v.length.Seconds())
	}
	files, readings := v.rates()
	median, longest := v.visibility()
	states := v.states(func(s ingest.State, text string) string { return a.style(stateStyle(string(s)), text) })
	sent := fmt.Sprintf("%s by 6 loggers over FTP", counted(v.loggers.files.Load(), "file"))
	if n := v.loggers.brokeOff.Load(); n > 0 {
		sent += fmt.Sprintf(", %s broke off and came again", counted(n, "upload"))
	}
	lines := []string{
		"",
		a.style(bold, "penstock run") + a.style(faint, fmt.Sprintf("  %.0f s %s", time.Since(v.began).Seconds(), until)),
		"  sent      " + sent,
		"  files     " + strings.Join(states, ", "),
		fmt.Sprintf("  readings  %s stored", count(v.tally.receipt.Cells.Stored)),
		fmt.Sprintf("  now       %s, %s", files, readings),
	}
	if median > 0 {
		lines = append(lines, fmt.Sprintf("  in table  %s after a file's arrival, at most %s", span(median), span(longest)))
	}
	if len(v.latest) == 0 {
		return append(lines, "")
	}
	lines = append(lines, "", a.style(faint, fmt.Sprintf("  %-14s %-10s %10s %-6s %8s", "LOGGER", "CHANNEL", "LATEST", "UNIT", "AGE")))
	before := ""
	for _, r := range v.latest {
		name := printable(r.Logger)
		if name == before {
			name = ""
		} else {
			before = name
		}
		age := time.Since(r.At)
		style := good
		if age > 3*uploadEvery {
			style = warn
		}
		lines = append(lines, fmt.Sprintf("  %-14s %-10s %10.2f %-6s %s", name, printable(r.Channel), r.Value, printable(r.Unit),
			a.style(style, fmt.Sprintf("%8s", span(age)))))
	}
	return append(lines, "")
}

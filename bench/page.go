package bench

import (
	"bytes"
	_ "embed" // page.html
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"
)

//go:embed page.html
var pageText string

// WriteHTML writes the heatmap and the verdict as one page that needs nothing
// but itself: heatmap.html. A cell that is pointed at, or reached by the
// keyboard, shows all its runs.
func (a *Analysis) WriteHTML(w io.Writer) error {
	p, err := a.page()
	if err != nil {
		return err
	}
	t, err := template.New("page").Parse(pageText)
	if err == nil {
		err = t.Execute(w, p)
	}
	if err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

// A page is what page.html shows.
type page struct {
	Title         string
	Began, Took   string
	Circumstances []string
	Chunks        []int
	Rows          []pageRow
	Base          string
	Alike, Blank  bool // there are such cells
	Legend        []pageStop
	Verdict       *Verdict
	Failures      []string
	Speedup       template.HTML // an SVG picture; "" where there is none
	Cells         template.JS   // of pageCell, by "workers x chunk"
}

type pageRow struct {
	Workers int
	Cells   []pageTile
}

// A pageTile is a cell as the table shows it.
type pageTile struct {
	Key            string
	State          string // best, alike, other, failed, unvisited
	Color          template.CSS
	Median, Detail string
	Said           string // for who hears the page
}

type pageStop struct {
	Color   template.CSS
	Seconds string
}

// A pageCell is what a cell shows when it is pointed at.
type pageCell struct {
	Name   string    `json:"name"`
	Facts  []string  `json:"facts"`
	Runs   []pageRun `json:"runs"`
	Median float64   `json:"median"`
	Q1     float64   `json:"q1"`
	Q3     float64   `json:"q3"`
}

type pageRun struct {
	Seconds float64 `json:"seconds"`
	Text    string  `json:"text"`
	Apart   bool    `json:"apart"`
}

func (a *Analysis) page() (*page, error) {
	r, s := a.Result, a.scale()
	p := &page{
		Title:         fmt.Sprintf("Run time in seconds, %s of %s", r.Settings.Stage, r.Settings.Files),
		Began:         r.Began.Format("2006-01-02 15:04:05 -07:00"),
		Took:          r.Ended.Sub(r.Began).Round(time.Second).String(),
		Circumstances: a.circumstances(), Chunks: a.Chunks, Verdict: &a.Verdict,
	}
	if a.Base != nil {
		p.Base = a.Base.Cell.String()
	}
	cells := make(map[string]pageCell)
	p.Alike = a.some(func(c *CellStats) bool { return c.mark() == "=" })
	for y, row := range a.grid() {
		shown := pageRow{Workers: a.Workers[y]}
		for _, c := range row {
			shown.Cells = append(shown.Cells, a.tile(c, s))
			p.Blank = p.Blank || c == nil || !c.Visited()
			if c != nil && c.Visited() {
				cells[c.Cell.String()] = a.pointedAt(c)
			}
			if c != nil && c.Failed > 0 {
				p.Failures = append(p.Failures, c.failure())
			}
		}
		p.Rows = append(p.Rows, shown)
	}
	for i := range stops {
		place := float64(i) / float64(len(stops)-1)
		p.Legend = append(p.Legend, pageStop{Color: template.CSS(hex(scaleColor(place))), Seconds: figure(s.at(place))})
	}
	text, err := json.Marshal(cells) // it writes <, > and & so that they end no script
	if err != nil {
		return nil, fmt.Errorf("writing the page: %w", err)
	}
	p.Cells = template.JS(text)
	return p, a.embedSpeedup(p)
}

func (a *Analysis) tile(c *CellStats, s scale) pageTile {
	if c == nil {
		return pageTile{State: "unvisited", Median: "·", Said: "no cell of the grid"}
	}
	t := pageTile{Key: c.Cell.String(), State: "other"}
	switch {
	case !c.Visited():
		t.State, t.Median, t.Said = "unvisited", "·", t.Key+" was not visited"
		return t
	case c.N == 0:
		t.State, t.Median, t.Said = "failed", "failed", t.Key+" failed: "+c.Why
		return t
	case c.Best:
		t.State = "best"
	case c.Alike:
		t.State = "alike"
	}
	t.Color = template.CSS(hex(s.color(c.Median)))
	t.Median = figure(c.Median)
	t.Detail = strings.TrimSpace(strings.Replace(times(c.Speedup), "x", "×", 1) + " " + c.spread())
	if c.spread() != "" {
		t.Detail += " %"
	}
	t.Said = fmt.Sprintf("%s: %s seconds", t.Key, t.Median)
	switch {
	case c.Best:
		t.Said += ", the best cell"
	case c.Alike:
		t.Said += ", cannot be told from the best"
	case a.Compared:
		t.Said += ", slower than the best"
	}
	return t
}

// pointedAt is all that is known of a cell.
func (a *Analysis) pointedAt(c *CellStats) pageCell {
	p := pageCell{Name: fmt.Sprintf("%d workers × chunk %d", c.Workers, c.Chunk), Facts: []string{}, Runs: []pageRun{}, Median: c.Median, Q1: c.Q1, Q3: c.Q3}
	if c.Workers == 1 {
		p.Name = fmt.Sprintf("1 worker × chunk %d", c.Chunk)
	}
	add := func(format string, args ...any) { p.Facts = append(p.Facts, fmt.Sprintf(format, args...)) }
	if c.N > 0 {
		add("median %s s of %s", figure(c.Median), counted(c.N, "run"))
	}
	if c.N > 1 {
		add("quartiles %s to %s s", figure(c.Q1), figure(c.Q3))
		add("95 %% interval %s to %s s", figure(c.Lo), figure(c.Hi))
	}
	if c.Speedup > 0 && a.Base != nil {
		add("%.2f times as fast as %s", c.Speedup, a.Base.Cell)
	}
	switch {
	case c.Best:
		add("the best cell")
	case c.N > 0 && c.Alike:
		add("cannot be told from the best (p = %.2g)", c.P)
	case c.N > 0 && a.Compared:
		add("slower than the best (p = %.2g)", c.P)
	}
	if c.Failed > 0 {
		add("failed in %s: %s", counted(c.Failed, "run"), c.Why)
	}
	apart := make(map[float64]bool)
	for _, seconds := range c.Outliers {
		apart[seconds] = true
	}
	for i := range c.Runs {
		run := &c.Runs[i]
		text := fmt.Sprintf("set %d, run %d", run.Set, run.Run)
		if run.Run == 0 {
			text = fmt.Sprintf("set %d, reference", run.Set)
		}
		if run.Cell != c.Cell {
			text += " of " + run.Cell.String()
		}
		text += fmt.Sprintf(": %s s", figure(run.Seconds))
		if all := run.Fetch + run.Decode + run.Commit; all > 0 {
			text += fmt.Sprintf(" (fetch %s, decode %s, commit %s)", figure(run.Fetch), figure(run.Decode), figure(run.Commit))
		}
		p.Runs = append(p.Runs, pageRun{Seconds: run.Seconds, Text: text, Apart: apart[run.Seconds]})
	}
	return p
}

// embedSpeedup puts the curve into the page.
func (a *Analysis) embedSpeedup(p *page) error {
	if len(a.Workers) < 2 || a.Base == nil {
		return nil
	}
	var b bytes.Buffer
	if err := a.WriteSpeedup(&b, "svg"); err != nil {
		return err
	}
	_, svg, _ := strings.Cut(b.String(), "<svg")
	p.Speedup = template.HTML("<svg" + svg)
	return nil
}

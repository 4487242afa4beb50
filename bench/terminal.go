package bench

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
)

// A Terminal is what a text is written for.
type Terminal struct {
	Profile colorprofile.Profile // NoTTY: nothing but the text
	Width   int                  // in cells; 0 means 80
}

const (
	cellWidth  = 9
	labelWidth = 8
)

// WriteText writes the heatmap and the verdict for people: a row for each
// number of workers, a column for each chunk, each cell with the median in
// seconds and below it speed-up and spread. Where the columns are too many for
// the width, the heatmap comes in parts. It needs no colour to be read.
func (a *Analysis) WriteText(w io.Writer, t Terminal) error {
	if t.Width == 0 {
		t.Width = 80
	}
	p := &sheet{analysis: a, width: max(t.Width, labelWidth+cellWidth), scale: a.scale()}
	p.title()
	p.heatmap()
	p.legend()
	p.failures()
	p.verdict()
	var shown bytes.Buffer
	shower := colorprofile.Writer{Forward: &shown, Profile: max(t.Profile, colorprofile.NoTTY)}
	if _, err := shower.Write([]byte(p.String())); err != nil {
		return fmt.Errorf("writing the heatmap: %w", err)
	}
	for line := range bytes.Lines(shown.Bytes()) {
		if _, err := w.Write(append(bytes.TrimRight(line, " \n"), '\n')); err != nil {
			return fmt.Errorf("writing the heatmap: %w", err)
		}
	}
	return nil
}

// A sheet is the text as it is made.
type sheet struct {
	strings.Builder
	analysis *Analysis
	width    int
	scale    scale
}

var (
	boldText  = lipgloss.NewStyle().Bold(true)
	faintText = lipgloss.NewStyle().Faint(true)
	plainText = lipgloss.NewStyle()
	badText   = lipgloss.NewStyle().Foreground(lipgloss.Red)
)

// A cell stays on its line, and so does a number with its unit, and a flag.
var (
	together = regexp.MustCompile(`\d+ (x \d+|s\b|%)|--[a-z-]+`)
	unbroken = strings.NewReplacer(" ", "\u00a0", "-", "\u2011")
	asBefore = strings.NewReplacer("\u00a0", " ", "\u2011", "-")
)

// paragraph writes text in lines that fit, the first after label and all others
// as far in.
func (p *sheet) paragraph(label string, width int, style lipgloss.Style, text string) {
	kept := together.ReplaceAllStringFunc(visible(text), unbroken.Replace)
	lines := asBefore.Replace(ansi.Wordwrap(kept, max(20, p.width-width), ""))
	for i, line := range strings.Split(lines, "\n") {
		if i > 0 {
			label = ""
		}
		p.WriteString(faintText.Render(label) + strings.Repeat(" ", width-ansi.StringWidth(label)))
		p.WriteString(style.Render(line) + "\n")
	}
}

// visible returns text with all in it that a terminal might obey written as
// \xNN: names and reasons carry what came from outside.
func visible(text string) string {
	hidden := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
	if strings.IndexFunc(text, hidden) < 0 {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		if hidden(r) {
			for _, c := range []byte(text[:n]) {
				fmt.Fprintf(&b, `\x%02X`, c)
			}
		} else {
			b.WriteString(text[:n])
		}
		text = text[n:]
	}
	return b.String()
}

func (p *sheet) title() {
	r := p.analysis.Result
	p.paragraph("", 0, boldText, fmt.Sprintf("Run time in seconds, %s of %s", r.Settings.Stage, r.Settings.Files))
	p.paragraph("", 0, faintText, strings.Join(p.analysis.circumstances(), " · "))
	p.WriteByte('\n')
}

// circumstances are what the sweep was run on and with, in a few words each.
func (a *Analysis) circumstances() []string {
	r := a.Result
	words := []string{fmt.Sprintf("%d cores", r.Machine.Cores)}
	if r.Machine.CPU != "" {
		words[0] = fmt.Sprintf("%d cores of %s", r.Machine.Cores, r.Machine.CPU)
	}
	for _, s := range []string{r.Settings.Source, r.Settings.Store, r.Versions.Database} {
		if s != "" {
			words = append(words, s)
		}
	}
	if r.Settings.Cache != "" {
		words = append(words, r.Settings.Cache+" cache")
	}
	return append(words, "Penstock "+r.Versions.Penstock, "Go "+strings.TrimPrefix(r.Versions.Go, "go"))
}

func (p *sheet) heatmap() {
	grid := p.analysis.grid()
	columns := max(1, (p.width-labelWidth)/cellWidth)
	for first := 0; first < len(p.analysis.Chunks); first += columns {
		part := p.analysis.Chunks[first:min(first+columns, len(p.analysis.Chunks))]
		p.WriteString(faintText.Render(strings.Repeat(" ", labelWidth)+"chunk") + "\n")
		head := "workers "
		for _, chunk := range part {
			head += fmt.Sprintf("%*d ", cellWidth-1, chunk)
		}
		p.WriteString(faintText.Render(head) + "\n")
		for y, workers := range p.analysis.Workers {
			upper, lower := fmt.Sprintf("%*d ", labelWidth-1, workers), strings.Repeat(" ", labelWidth)
			for x := range part {
				one, two := p.cell(grid[y][first+x])
				upper += one
				lower += two
			}
			p.WriteString(upper + "\n" + lower + "\n")
		}
		p.WriteByte('\n')
	}
}

// cell is a cell's two lines.
func (p *sheet) cell(c *CellStats) (upper, lower string) {
	switch {
	case c == nil || !c.Visited():
		return fmt.Sprintf("%*s ", cellWidth-1, "."), strings.Repeat(" ", cellWidth)
	case c.N == 0:
		return badText.Render(fmt.Sprintf("%*s ", cellWidth-1, "failed")), strings.Repeat(" ", cellWidth)
	}
	tile := lipgloss.NewStyle().Background(p.scale.color(c.Median)).Foreground(lipgloss.Color("#e6e6e6"))
	small := tile
	if c.Best {
		tile = tile.Foreground(lipgloss.Color("#ffffff")).Bold(true)
	} else if c.Alike {
		tile = tile.Bold(true)
	}
	details := strings.TrimSpace(times(c.Speedup) + " " + c.spread())
	return tile.Render(fmt.Sprintf("%*s%s", cellWidth-1, figure(c.Median), c.mark())), small.Render(fmt.Sprintf("%*s ", cellWidth-1, details))
}

// legend says what stands in a cell, as far as it stands in one.
func (p *sheet) legend() {
	a := p.analysis
	if a.Best == nil {
		return
	}
	words := []string{"* best"}
	if a.some(func(c *CellStats) bool { return c.Alike && !c.Best && c.N > 0 }) {
		words = append(words, "= cannot be told from it")
	}
	if a.Base != nil {
		words = append(words, fmt.Sprintf("x speed-up against %s", a.Base.Cell))
	}
	if a.some(func(c *CellStats) bool { return c.N > 1 }) {
		words = append(words, "± half the distance between the quartiles, in %")
	}
	if a.some(func(c *CellStats) bool { return !c.Visited() }) {
		words = append(words, ". did not run")
	}
	p.paragraph("", 0, faintText, strings.Join(words, " · "))
	p.WriteByte('\n')
}

func (p *sheet) failures() {
	failed := false
	for i := range p.analysis.Cells {
		if c := &p.analysis.Cells[i]; c.Failed > 0 {
			p.paragraph("", 0, badText, c.failure())
			failed = true
		}
	}
	if failed {
		p.WriteByte('\n')
	}
}

func (p *sheet) verdict() {
	v := &p.analysis.Verdict
	p.part("Best", boldText, v.Best)
	p.part("As good", plainText, v.Least)
	p.part("Bottleneck", plainText, string(v.Bottleneck))
	for _, evidence := range v.Evidence {
		p.paragraph("", verdictIndent, faintText, evidence)
	}
	p.part("Automatic", plainText, v.Auto)
	p.part("Advice", plainText, v.Advice)
	p.part("Config", boldText, v.Config)
	for i, note := range v.Notes {
		label := "Note"
		if i > 0 {
			label = ""
		}
		p.part(label, plainText, note)
	}
}

// verdictIndent is where the verdict's texts begin.
const verdictIndent = 12

func (p *sheet) part(label string, style lipgloss.Style, text string) {
	if text != "" {
		p.paragraph(label, verdictIndent, style, text)
	}
}

package bench

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// WriteHeatmap writes the heatmap as a picture, format is "png" or "svg": the
// slowest cells red, the fastest green, the least median in bold white.
func (a *Analysis) WriteHeatmap(w io.Writer, format string) error {
	p := newPicture(fmt.Sprintf("Run time in seconds, %s of %s", a.Result.Settings.Stage, a.Result.Settings.Files))
	p.X.Label.Text, p.Y.Label.Text = "chunk (files in a transaction)", "workers"
	if a.Base != nil {
		p.X.Label.Text += fmt.Sprintf("\n\nBelow each time: speed-up against %s", a.Base.Cell)
	}
	if a.some(func(c *CellStats) bool { return c.N > 1 }) {
		p.X.Label.Text += "; half the distance between the quartiles, in %"
	}
	key := "* best"
	switch {
	case !a.Compared:
		key += "; nothing ran twice, so that no other can be told from it"
	case a.some(func(c *CellStats) bool { return c.mark() == "=" }):
		key += "   = cannot be told from it"
	}
	grid := a.grid()
	if slices.ContainsFunc(grid, func(row []*CellStats) bool {
		return slices.ContainsFunc(row, func(c *CellStats) bool { return c == nil || !c.Visited() })
	}) {
		key += "   · did not run"
	}
	p.X.Label.Text += "\n" + key
	p.Add(&tiles{grid: grid, scale: a.scale()})
	p.NominalX(numbers(a.Chunks)...)
	// The first row is at the top.
	workers := numbers(a.Workers)
	slices.Reverse(workers)
	p.NominalY(workers...)
	p.X.LineStyle.Width, p.Y.LineStyle.Width = 0, 0
	return writePicture(p, w, format, max(540, vg.Length(len(a.Chunks))*tileWidth+80), vg.Length(len(a.Workers))*tileHeight+120)
}

const (
	tileWidth  = 62
	tileHeight = 34
)

// tiles draw a grid of cells.
type tiles struct {
	grid  [][]*CellStats
	scale scale
}

// DataRange implements [plot.DataRanger]: a cell is one wide and one high,
// around its place.
func (t *tiles) DataRange() (xmin, xmax, ymin, ymax float64) {
	return -0.5, float64(len(t.grid[0])) - 0.5, -0.5, float64(len(t.grid)) - 0.5
}

// Plot implements [plot.Plotter].
func (t *tiles) Plot(c draw.Canvas, p *plot.Plot) {
	trX, trY := p.Transforms(&c)
	const gap = 0.03
	for row, cells := range t.grid {
		for column, cell := range cells {
			x, y := float64(column), float64(len(t.grid)-1-row)
			corners := []vg.Point{
				{X: trX(x - 0.5 + gap), Y: trY(y - 0.5 + gap)}, {X: trX(x + 0.5 - gap), Y: trY(y - 0.5 + gap)},
				{X: trX(x + 0.5 - gap), Y: trY(y + 0.5 - gap)}, {X: trX(x - 0.5 + gap), Y: trY(y + 0.5 - gap)},
			}
			t.tile(c, cell, corners, vg.Point{X: trX(x), Y: trY(y)})
		}
	}
}

func (t *tiles) tile(c draw.Canvas, cell *CellStats, corners []vg.Point, middle vg.Point) {
	if cell == nil || cell.N == 0 {
		c.StrokeLines(draw.LineStyle{Color: faintInk, Width: 0.6}, append(corners, corners[0]))
		if cell != nil && cell.Failed > 0 {
			c.FillText(styled(8, xfont.WeightNormal, stops[len(stops)-1]), middle, "failed")
		} else {
			c.FillText(styled(10.5, xfont.WeightNormal, faintInk), middle, "·")
		}
		return
	}
	c.FillPolygon(t.scale.color(cell.Median), corners)
	high, low := middle, middle
	high.Y += 4
	low.Y -= 8
	details := strings.TrimSpace(times(cell.Speedup) + " " + cell.spread())
	if cell.N > 1 {
		details += " %"
	}
	name := strings.TrimSpace(cell.mark() + " " + figure(cell.Median))
	if cell.Best {
		c.StrokeLines(draw.LineStyle{Color: color.White, Width: 2}, append(corners, corners[0]))
		c.FillText(styled(12, xfont.WeightBold, color.White), high, name)
		c.FillText(styled(7, xfont.WeightBold, color.White), low, details)
		return
	}
	c.FillText(styled(10.5, xfont.WeightNormal, tileInk), high, name)
	c.FillText(styled(7, xfont.WeightNormal, tileInk), low, details)
}

// WriteSpeedup writes how much faster more workers are as a picture, format is
// "png" or "svg": the medians by the runs of one worker at the same chunk, the
// ideal, and the fit of Amdahl's law. Bars are 95 % intervals.
func (a *Analysis) WriteSpeedup(w io.Writer, format string) error {
	p := ruled(fmt.Sprintf("Speed-up, %s of %s", a.Result.Settings.Stage, a.Result.Settings.Files))
	p.X.Label.Text, p.Y.Label.Text = "workers", "times as fast as the fewest workers at that chunk"
	most, fewest := 1.0, float64(a.Workers[0])
	chunks := a.curveChunks()
	for i, chunk := range chunks {
		s := a.speedups(chunk)
		if len(s) < 2 {
			continue
		}
		if i == 0 {
			fewest = s[0].x
		}
		for j := range s {
			most = max(most, s[j].y) // and not its interval, which may be many times as far up
		}
		if err := p.curve(s, curveInks[i], fmt.Sprintf("chunk %d", chunk)); err != nil {
			return err
		}
	}
	if err := a.ideal(p, fewest, most*1.25); err != nil {
		return err
	}
	if fit := a.Amdahl; fit != nil && fit.R2 >= 0.5 { // else it says nothing of the curve
		f := plotter.NewFunction(func(x float64) float64 { return fit.seconds(fewest) / fit.seconds(x) })
		f.XMin, f.XMax = fewest, float64(a.Workers[len(a.Workers)-1])
		f.LineStyle = draw.LineStyle{Color: curveInks[0], Width: 1.2, Dashes: []vg.Length{5, 3}}
		p.Add(f)
		p.Legend.Add(fmt.Sprintf("Amdahl, chunk %d: %.0f %% that workers do not shorten (%s)", fit.Chunk, 100*fit.Serial, fit.worth()), f)
	}
	p.X.Min, p.X.Max = 0, float64(a.Workers[len(a.Workers)-1])+0.5
	p.Y.Min, p.Y.Max = 0, most*1.3
	p.Y.Tick.Marker = halves{}
	p.X.Tick.Marker = wholes(a.Workers)
	return writePicture(p, w, format, 480, 330)
}

// worth is how well the law fits: of few cells any law of two numbers fits well.
func (a *Amdahl) worth() string {
	if a.N < 5 {
		return fmt.Sprintf("by %d cells only", a.N)
	}
	return fmt.Sprintf("%d cells, R² %.2f", a.N, a.R2)
}

// curveChunks are the chunks whose curves are worth showing: the one that the
// law is fitted to, or the base's, and the best's.
func (a *Analysis) curveChunks() []int {
	var chunks []int
	switch {
	case a.Amdahl != nil:
		chunks = append(chunks, a.Amdahl.Chunk)
	case a.Base != nil:
		chunks = append(chunks, a.Base.Chunk)
	}
	if a.Best != nil && !slices.Contains(chunks, a.Best.Chunk) {
		chunks = append(chunks, a.Best.Chunk)
	}
	return chunks
}

// ideal draws what workers would bring that wait for nothing, and where the
// cores end.
func (a *Analysis) ideal(p *picture, fewest, most float64) error {
	last := float64(a.Workers[len(a.Workers)-1])
	end := min(last, most*fewest)
	line, err := plotter.NewLine(plotter.XYs{{X: fewest, Y: 1}, {X: end, Y: end / fewest}})
	if err != nil {
		return fmt.Errorf("drawing the ideal: %w", err)
	}
	line.LineStyle = draw.LineStyle{Color: faintInk, Width: 1.2}
	p.Add(line)
	p.Legend.Add("ideal", line)
	cores := float64(a.Result.Machine.Cores)
	if cores < 1 || cores > last {
		return nil
	}
	mark, err := plotter.NewLine(plotter.XYs{{X: cores, Y: 0}, {X: cores, Y: most * 1.04}})
	if err != nil {
		return fmt.Errorf("drawing the cores: %w", err)
	}
	mark.LineStyle = draw.LineStyle{Color: faintInk, Width: 0.8, Dashes: []vg.Length{1.5, 2.5}}
	p.Add(mark)
	p.Legend.Add(fmt.Sprintf("%.0f cores", cores), mark)
	return nil
}

// WriteRuntimes writes run time against workers at one chunk as a picture,
// format is "png" or "svg": medians with their 95 % intervals. Its error says so
// where no cell of that chunk came to an end.
func (a *Analysis) WriteRuntimes(w io.Writer, format string, chunk int) error {
	p := ruled(fmt.Sprintf("Run time at chunk %d, %s of %s", chunk, a.Result.Settings.Stage, a.Result.Settings.Files))
	p.X.Label.Text, p.Y.Label.Text = "workers", "seconds"
	var points []point
	for _, c := range a.atChunk(chunk) {
		points = append(points, point{float64(c.Workers), c.Median, c.Lo, c.Hi})
	}
	if points == nil {
		return fmt.Errorf("there is no run time at chunk %d to draw", chunk)
	}
	if err := p.curve(points, curveInks[0], ""); err != nil {
		return err
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, points[len(points)-1].x+0.5, 0, 1.05*p.Y.Max
	p.X.Tick.Marker = wholes(a.Workers)
	return writePicture(p, w, format, 480, 300)
}

// Runtimes is for how many worker counts there is a run time at the chunk.
func (a *Analysis) Runtimes(chunk int) int { return len(a.atChunk(chunk)) }

// atChunk are the cells of a chunk that came to an end, by workers.
func (a *Analysis) atChunk(chunk int) []*CellStats {
	var cells []*CellStats
	for i := range a.Cells {
		if c := &a.Cells[i]; c.Chunk == chunk && c.N > 0 {
			cells = append(cells, c)
		}
	}
	return cells
}

// A point is a median with its interval.
type point struct{ x, y, low, high float64 }

// speedups are those of a chunk, against its cell of fewest workers.
func (a *Analysis) speedups(chunk int) []point {
	var points []point
	cells := a.atChunk(chunk)
	for _, c := range cells {
		one := cells[0].Median
		points = append(points, point{float64(c.Workers), one / c.Median, one / c.Hi, one / c.Lo})
	}
	return points
}

// A picture is a plot in the bench's fonts.
type picture struct{ *plot.Plot }

var (
	ink       = color.RGBA{R: 0x1c, G: 0x21, B: 0x26, A: 0xff}
	gridInk   = color.RGBA{R: 0xe3, G: 0xe6, B: 0xe9, A: 0xff}
	faintInk  = color.RGBA{R: 0x9a, G: 0xa4, B: 0xae, A: 0xff}
	tileInk   = color.RGBA{R: 0xf1, G: 0xf3, B: 0xf2, A: 0xff}
	curveInks = [...]color.RGBA{{R: 0x1f, G: 0x5f, B: 0xa8, A: 0xff}, {R: 0x0b, G: 0x6b, B: 0x35, A: 0xff}}
)

func styled(size vg.Length, weight xfont.Weight, c color.Color) text.Style {
	return text.Style{
		Color: c, Font: font.Font{Typeface: "Liberation", Variant: "Sans", Weight: weight, Size: size},
		XAlign: text.XCenter, YAlign: text.YCenter, Handler: plot.DefaultTextHandler,
	}
}

func newPicture(title string) *picture {
	p := &picture{plot.New()}
	p.Title.Text, p.Title.Padding = wrapped(title), 8
	set := func(s *text.Style, size vg.Length, weight xfont.Weight) {
		own := styled(size, weight, ink)
		s.Font, s.Color = own.Font, own.Color
	}
	set(&p.Title.TextStyle, 11, xfont.WeightBold)
	set(&p.Legend.TextStyle, 8.5, xfont.WeightNormal)
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		set(&axis.Label.TextStyle, 9.5, xfont.WeightNormal)
		set(&axis.Tick.Label, 8.5, xfont.WeightNormal)
		axis.Color, axis.Tick.LineStyle.Color = faintInk, faintInk
	}
	p.X.Padding, p.Y.Padding = 0, 0
	p.Legend.Padding, p.Legend.XOffs, p.Legend.YOffs = 2, -8, 8 // in the lower right, which curves leave free
	return p
}

// wrapped divides a title into lines that fit.
func wrapped(title string) string {
	const most = 78
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(title) {
		if line != "" && len(line)+len(word) >= most {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return strings.Join(append(lines, line), "\n")
}

// ruled is a picture with a grid to read values by.
func ruled(title string) *picture {
	p := newPicture(title)
	grid := plotter.NewGrid()
	grid.Vertical = draw.LineStyle{Color: gridInk, Width: 0.6}
	grid.Horizontal = grid.Vertical
	p.Add(grid)
	return p
}

// curve draws points with their intervals and joins them.
func (p *picture) curve(points []point, c color.Color, name string) error {
	var xys plotter.XYs
	var bars plotter.YErrors
	for _, at := range points {
		xys = append(xys, plotter.XY{X: at.x, Y: at.y})
		bars = append(bars, struct{ Low, High float64 }{at.y - at.low, at.high - at.y})
	}
	line, dots, err := plotter.NewLinePoints(xys)
	if err != nil {
		return fmt.Errorf("drawing a curve: %w", err)
	}
	errs, err := plotter.NewYErrorBars(struct {
		plotter.XYer
		plotter.YErrorer
	}{xys, bars})
	if err != nil {
		return fmt.Errorf("drawing intervals: %w", err)
	}
	line.LineStyle = draw.LineStyle{Color: c, Width: 1.4}
	dots.GlyphStyle = draw.GlyphStyle{Color: c, Radius: 2.6, Shape: draw.CircleGlyph{}}
	errs.LineStyle = draw.LineStyle{Color: c, Width: 0.9}
	p.Add(line, errs, dots)
	if name != "" {
		p.Legend.Add(name, line, dots)
	}
	return nil
}

// wholes marks the numbers of workers that were swept.
type wholes []int

// Ticks implements [plot.Ticker].
func (n wholes) Ticks(_, _ float64) []plot.Tick {
	var ticks []plot.Tick
	for _, x := range n {
		ticks = append(ticks, plot.Tick{Value: float64(x), Label: strconv.Itoa(x)})
	}
	return ticks
}

// halves marks halves from 0 on, or wholes where those are too many.
type halves struct{}

// Ticks implements [plot.Ticker].
func (halves) Ticks(_, most float64) []plot.Tick {
	step := 0.5
	for most/step > 8 {
		step *= 2
	}
	var ticks []plot.Tick
	for y := 0.0; y <= most; y += step {
		ticks = append(ticks, plot.Tick{Value: y, Label: strconv.FormatFloat(y, 'f', -1, 64)})
	}
	return ticks
}

func numbers(of []int) []string {
	var texts []string
	for _, n := range of {
		texts = append(texts, strconv.Itoa(n))
	}
	return texts
}

// dotsPerInch is that of a PNG: sharp on today's screens.
const dotsPerInch = 160

func writePicture(p *picture, w io.Writer, format string, width, height vg.Length) error {
	width, height = vg.Length(math.Ceil(float64(width))), vg.Length(math.Ceil(float64(height)))
	var canvas interface {
		vg.CanvasSizer
		io.WriterTo
	}
	switch format {
	case "png":
		canvas = vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(dotsPerInch))}
	case "svg":
		canvas = vgsvg.New(width, height)
	default:
		return fmt.Errorf("a picture is written as png or svg, not as %q", format)
	}
	p.Draw(draw.Crop(draw.New(canvas), 6, -10, 6, -6))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return fmt.Errorf("drawing a picture: %w", err)
	}
	text := b.Bytes()
	if format == "svg" { // a font that is not there must not become one with serifs
		text = bytes.ReplaceAll(text, []byte("font-family:Liberation Sans;"), []byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif;"))
	}
	if _, err := w.Write(text); err != nil {
		return fmt.Errorf("writing a picture: %w", err)
	}
	return nil
}

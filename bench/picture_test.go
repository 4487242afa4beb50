package bench

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPicturesArePNG holds that each picture is there, and kept with -artifacts
// for people to look at; and that the heatmap's cells have their colours.
func TestPicturesArePNG(t *testing.T) {
	a := shownAnalysis()
	for name, write := range pictures(a) {
		var b bytes.Buffer
		if err := write(&b, "png"); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(t.ArtifactDir(), name+".png"), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		picture, err := png.Decode(&b)
		if err != nil {
			t.Fatal(err)
		}
		areas := make(map[color.RGBA]int)
		bounds := picture.Bounds()
		for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
			for x := bounds.Min.X; x < bounds.Max.X; x++ {
				areas[color.RGBAModel.Convert(picture.At(x, y)).(color.RGBA)]++
			}
		}
		want := []color.RGBA{curveInks[0]}
		if name == "heatmap" {
			want = nil
			for i := range a.Cells {
				if a.Cells[i].N > 0 {
					want = append(want, a.scale().color(a.Cells[i].Median))
				}
			}
		}
		for _, c := range want {
			if areas[c] < 100 {
				t.Errorf("%s has %d dots in %s", name, areas[c], hex(c))
			}
		}
	}
}

func TestPicturesAreSVG(t *testing.T) {
	for name, write := range pictures(shownAnalysis()) {
		var b bytes.Buffer
		if err := write(&b, "svg"); err != nil {
			t.Fatal(err)
		}
		texts := svgTexts(t, b.Bytes())
		want := map[string][]string{
			"heatmap":  {"Run time in seconds, load of 27000 generated files of 2 readings", "* 1.45", "= 1.51", "failed", "15x ±1 %", "10000", "workers"},
			"speedup":  {"chunk 1", "chunk 100", "ideal", "4 cores", "Amdahl, chunk 1: 31 % that workers do not shorten (5 cells, R² 0.97)", "12"},
			"runtimes": {"Run time at chunk 1, load of 27000 generated files of 2 readings", "seconds", "12"},
		}[name]
		for _, w := range want {
			if !slices.Contains(texts, w) {
				t.Errorf("%s does not say %q: %q", name, w, texts)
			}
		}
		if strings.Contains(b.String(), "font-family:Liberation Sans;") {
			t.Errorf("%s asks for a font that may not be there, and for no other", name)
		}
	}
}

// TestPicturesOfLittle holds that a sweep of one cell, and one in which nothing
// came to an end, can be drawn.
func TestPicturesOfLittle(t *testing.T) {
	lone := shownAnalysis()
	lone.Workers, lone.Chunks, lone.Amdahl = []int{2}, []int{10}, nil
	lone.Cells = slices.DeleteFunc(lone.Cells, func(c CellStats) bool { return c.Cell != (Cell{2, 10}) })
	lone.Best, lone.Base, lone.Least = &lone.Cells[0], &lone.Cells[0], &lone.Cells[0]
	none := shownAnalysis()
	none.Best, none.Base, none.Least, none.Amdahl = nil, nil, nil, nil
	for i := range none.Cells {
		none.Cells[i] = CellStats{Cell: none.Cells[i].Cell, Failed: 1, Why: "gone"}
	}
	for _, a := range []*Analysis{lone, none} {
		for _, write := range []func(io.Writer, string) error{a.WriteHeatmap, a.WriteSpeedup} {
			if err := write(io.Discard, "png"); err != nil {
				t.Error(err)
			}
		}
		if err := a.WriteHTML(io.Discard); err != nil {
			t.Error(err)
		}
	}
	if err := none.WriteRuntimes(io.Discard, "png", 1); err == nil || !strings.Contains(err.Error(), "no run time at chunk 1") {
		t.Errorf("run times of which there are none: %v", err)
	}
	if err := lone.WriteHeatmap(io.Discard, "gif"); err == nil || !strings.Contains(err.Error(), `not as "gif"`) {
		t.Errorf("a picture as gif: %v", err)
	}
}

func pictures(a *Analysis) map[string]func(io.Writer, string) error {
	return map[string]func(io.Writer, string) error{
		"heatmap": a.WriteHeatmap, "speedup": a.WriteSpeedup,
		"runtimes": func(w io.Writer, format string) error { return a.WriteRuntimes(w, format, 1) },
	}
}

// svgTexts are the texts that a picture shows.
func svgTexts(t *testing.T, svg []byte) []string {
	t.Helper()
	var texts []string
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok && strings.TrimSpace(string(text)) != "" {
			texts = append(texts, string(text))
		}
	}
}

// TestTitlesFit: a title that is longer than a picture is wide has two lines.
func TestTitlesFit(t *testing.T) {
	for title, want := range map[string]string{
		"Run time in seconds, load of 27,000 generated files of 2 readings":                                 "Run time in seconds, load of 27,000 generated files of 2 readings",
		"Run time in seconds, load of 27,000 generated files of 2 readings or many more (skew 1.5), seed 1": "Run time in seconds, load of 27,000 generated files of 2 readings or many more\n(skew 1.5), seed 1",
	} {
		if got := wrapped(title); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

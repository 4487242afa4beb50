package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
)

func TestTextIsAsKept(t *testing.T) {
	for name, terminal := range map[string]Terminal{
		"plain-80.txt":     {Profile: colorprofile.NoTTY},
		"plain-50.txt":     {Profile: colorprofile.NoTTY, Width: 50},
		"truecolor-80.txt": {Profile: colorprofile.TrueColor, Width: 80},
		"256-80.txt":       {Profile: colorprofile.ANSI256, Width: 80},
		"16-120.txt":       {Profile: colorprofile.ANSI, Width: 120},
	} {
		var b bytes.Buffer
		if err := shownAnalysis().WriteText(&b, terminal); err != nil {
			t.Fatal(err)
		}
		golden(t, "terminal/"+name, b.Bytes())
	}
}

// TestTextFits holds that no line is wider than the terminal, however narrow,
// and that colour adds nothing to the text and takes nothing from it.
func TestTextFits(t *testing.T) {
	text := func(terminal Terminal) string {
		var b bytes.Buffer
		if err := shownAnalysis().WriteText(&b, terminal); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for width := 40; width <= 130; width += 9 {
		plain := text(Terminal{Profile: colorprofile.NoTTY, Width: width})
		for line := range strings.Lines(plain) {
			if got := ansi.StringWidth(strings.TrimSuffix(line, "\n")); got > width {
				t.Errorf("at %d, a line is %d wide: %q", width, got, line)
			}
		}
		for _, p := range []colorprofile.Profile{colorprofile.ASCII, colorprofile.ANSI, colorprofile.ANSI256, colorprofile.TrueColor} {
			var lines []string
			for line := range strings.Lines(ansi.Strip(text(Terminal{Profile: p, Width: width}))) {
				lines = append(lines, strings.TrimRight(line, " \n")+"\n")
			}
			if got := strings.Join(lines, ""); got != plain {
				t.Fatalf("in %v at %d it reads\n%s\nnot\n%s", p, width, got, plain)
			}
		}
	}
}

func TestTextOfNothing(t *testing.T) {
	a := &Analysis{Result: &Result{Settings: Settings{Stage: "decode", Files: "3 files"}, Machine: Machine{Cores: 1}, Versions: Versions{Penstock: "x", Go: "go1.26"}},
		Workers: []int{1}, Chunks: []int{1}, Cells: []CellStats{{Cell: Cell{1, 1}, Failed: 2, Why: "no such file"}}, Verdict: Verdict{Best: "No cell came to an end.", Bottleneck: Unclear}}
	var b bytes.Buffer
	if err := a.WriteText(&b, Terminal{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"failed", "1 x 1 failed in 2 of 2 runs: no such file", "No cell came to an end."} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
}

// TestTextIsObeyedByNoTerminal holds that what comes from outside cannot move
// the cursor, nor anything else of a terminal.
func TestTextIsObeyedByNoTerminal(t *testing.T) {
	a := shownAnalysis()
	a.Result.Settings.Files = "a\x1b[2J\u009b1m\xff.csv"
	var b bytes.Buffer
	if err := a.WriteText(&b, Terminal{Profile: colorprofile.NoTTY}); err != nil {
		t.Fatal(err)
	}
	if first, _, _ := strings.Cut(b.String(), "\n"); first != `Run time in seconds, load of a\x1B[2J\xC2\x9B1m\xFF.csv` {
		t.Errorf("the first line is %q", first)
	}
}

func TestTextSaysWhatCouldNotBeWritten(t *testing.T) {
	r, w := io.Pipe()
	gone := errors.New("gone")
	_ = r.CloseWithError(gone) // never fails
	if err := shownAnalysis().WriteText(w, Terminal{}); !errors.Is(err, gone) {
		t.Errorf("writing to nobody: %v", err)
	}
}

func TestFigures(t *testing.T) {
	for seconds, want := range map[float64]string{0.00004: "0.0000", 0.01234: "0.0123", 0.0999: "0.0999", 0.09996: "0.100", 0.9994: "0.999", 0.9996: "1.00", 9.994: "9.99", 9.996: "10.0", 99.94: "99.9", 99.96: "100", 1234.5: "1234"} {
		if got := figure(seconds); got != want {
			t.Errorf("%v s is shown as %s, want %s", seconds, got, want)
		}
	}
	for speedup, want := range map[float64]string{0: "", 0.94: "0.9x", 9.94: "9.9x", 9.96: "10x", 17.4: "17x"} {
		if got := times(speedup); got != want {
			t.Errorf("%v is shown as %q, want %q", speedup, got, want)
		}
	}
}

// TestScale holds that the fastest is green, the slowest red, and that what
// lies between goes by ratios.
func TestScale(t *testing.T) {
	s := scale{least: 1, most: 16}
	for median, want := range map[float64]string{0.5: "#0a6916", 1: "#0a6916", 2: "#5a7a1c", 4: "#9a6d0c", 8: "#a84518", 16: "#a31d22", 20: "#a31d22"} {
		if got := hex(s.color(median)); got != want {
			t.Errorf("%v is %s, want %s", median, got, want)
		}
	}
	if got := hex(scale{least: 3, most: 3}.color(3)); got != "#0a6916" {
		t.Errorf("a lone cell is %s", got)
	}
	if got := fmt.Sprint(scale{}.place(0)); got != "0" {
		t.Errorf("nothing is at %s", got)
	}
}

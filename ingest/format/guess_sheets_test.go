package format

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var updateSheets = flag.Bool("update-sheets", false, "write what sheets are now into testdata/sheets; look at the difference by eye")

var whenWords = map[whenKind]string{whenNone: "none", whenInstant: "instant", whenDate: "date", whenClock: "clock", whenTwo: "two", whenParts: "parts",
	whenEpoch: "epoch", whenSerial: "serial", whenInterval: "interval"}

// sketch writes a sheet down in lines that can be checked by eye.
func sketch(sh *sheet) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if sh.refusal != "" {
		say("refused: %s", sh.refusal)
		return b.String()
	}
	key, _ := spoken(sh.delimiter)
	if sh.fixed != nil {
		key = fmt.Sprint(sh.fixed)
	}
	said := ""
	for what, is := range map[string]bool{" no header": sh.headerless, " names given": sh.namesGiven, " torn": sh.torn} {
		if is {
			said += what
		}
	}
	say("%s: preamble %d, %d cells, %s in %v%s", key, sh.preamble, sh.width, whenWords[sh.whenKind], sh.when, said)
	if !sh.headerless {
		say("names: %s", strings.Join(sh.names, " | "))
	}
	for _, h := range sh.head {
		if h.kind != rowNames {
			say("line %d: %s", h.line, h.kind)
		}
	}
	if n := len(sh.rows); n > 0 {
		say("rows: %d, lines %d to %d", n, sh.rows[0].line, sh.rows[n-1].line)
	}
	for what, text := range map[string]string{"columns from": sh.columnsFrom} {
		if text != "" {
			say("%s: %s", what, text)
		}
	}
	if o := sh.intervalOnly; o != nil {
		say("start: %s is %s; every: %s is %s %s", o.start, o.time, o.every, o.span, o.unit)
	}
	for _, line := range [][2]string{{"footer", sh.footer}, {"message", sh.message}, {"records", sh.records}, {"comment", sh.comment}} {
		if line[1] != "" {
			say("%s: %s", line[0], line[1])
		}
	}
	if sh.repeats > 0 {
		say("header repeated: %d", sh.repeats)
	}
	for _, f := range sh.findings {
		if f.Sure == Open {
			say("open: %s: %s", f.What, f.Evidence)
		}
	}
	return b.String()
}

// TestSheets makes out tables in the many layouts of testdata/sheets. What is
// expected of NAME stands in NAME of the file .want beside; a person has looked
// at it.
func TestSheets(t *testing.T) {
	files, err := filepath.Glob("testdata/sheets/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no sheets: %v", err)
	}
	for _, file := range files {
		layouts, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		wants := strings.TrimSuffix(file, ".txtar") + ".want"
		if *updateSheets {
			got := &txtar.Archive{Comment: []byte("What is made out of the layouts in " + filepath.Base(file) + ".\n")}
			for _, layout := range layouts.Files {
				got.Files = append(got.Files, txtar.File{Name: layout.Name, Data: []byte(sketch(readLayout(layout)))})
			}
			if err := os.WriteFile(wants, txtar.Format(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want := make(map[string]string)
		expected, err := txtar.ParseFile(wants)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range expected.Files {
			want[f.Name] = string(f.Data)
		}
		for _, layout := range layouts.Files {
			t.Run(layout.Name, func(t *testing.T) {
				if diff := cmp.Diff(want[layout.Name], sketch(readLayout(layout))); diff != "" {
					t.Errorf("-want +got:\n%s\nof\n%s", diff, layout.Data)
				}
			})
		}
	}
}

func readLayout(f txtar.File) *sheet {
	text := f.Data
	if f.Name == "torn" {
		text = text[:len(text)-1]
	}
	return readSheet(Sample{Path: f.Name + ".csv", Text: text, Whole: true})
}

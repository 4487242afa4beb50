package format

import (
	"os"
	"strings"
	"testing"
)

// TestUsualSpellings holds that the documentation lists what usual stands for,
// and that a profile may add to it.
func TestUsualSpellings(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(strings.ReplaceAll(string(doc), "\n// ", " "), "usual spellings of a missing value are ")
	if text, _, _ = strings.Cut(text, ". No number"); !found || text != strings.Join(usuallyMissing, ", ") {
		t.Errorf("doc.go lists %q", text)
	}
	d := decoderFor(t, "name: p\nshape: wide\nlogger: {constant: a}\nmissing: [usual, \"-9999\"]\ntimestamp: {column: t, layout: \"2006-01-02\", zone: UTC}\n", Settings{})
	b, s := decodeOne(t, d, "a.csv", "t,Flow\n2024-01-01,5\n2024-01-02,N/A\n2024-01-03,-9999\n2024-01-04,---\n2024-01-05,usual\n")
	if len(b.Time) != 1 || s.Receipt.Cells.Missing != 3 || s.Receipt.Cells.Rejected != 1 {
		t.Errorf("%d readings, %+v", len(b.Time), s.Receipt.Cells)
	}
}

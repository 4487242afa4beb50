package format

import (
	"strings"
	"testing"
)

// What a file's framing leaves open is asked, and nothing is loaded before.
func TestGuessAsksOfFraming(t *testing.T) {
	for name, c := range map[string]struct{ text, asks, question string }{
		"rows wider than the header": {"time,flow\n2022-07-12T00:00:00Z,2572,15\n2022-07-12T00:15:00Z,2573,21\n", "", "the rows have 3 cells and the header names 2"},
		"two tables": {"time,flow\n2024-01-01T00:00:00Z,1.1\n2024-01-01T01:00:00Z,1.2\n2024-01-01T02:00:00Z,1.3\n\n" +
			"no,time,pressure\n1,2024-01-01T00:00:00Z,3.1\n2,2024-01-01T01:00:00Z,3.2\n3,2024-01-01T02:00:00Z,3.3\n", "", "line 7 on stands another table"},
		"encoding": {"time,\xd3\xf0\xee\xe2\xe5\xed\xfc\n2024-01-01T00:00:00Z,1.5\n2024-01-01T00:15:00Z,1.6\n", "encoding", "Which encoding"},
	} {
		g := Guess([]Sample{{Path: "station-a.csv", Text: []byte(c.text), Whole: true}}, GuessOptions{})
		if g.Refusal != "" || g.Certain() || g.Shape.Asks != c.asks || !strings.Contains(g.Shape.Question, c.question) || !strings.HasSuffix(g.Shape.Question, "?") {
			t.Errorf("%s: %+v, want a question with %q", name, g, c.question)
		}
	}
}

// A table whose names are cut in another way than its rows, and one of fixed
// widths with cells that are empty, are read whole.
func TestGuessReadsNamesAndWidths(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		cells string
	}{
		"names with blanks": {"Date        Time   Water Level (m)   Air Temp (C)\n2024-01-01  00:00          1.23            5.5\n2024-01-01  00:15          1.24            5.6\n", "4 readings of 2 rows"},
		"widths": {"DATE       TIME    LEVEL   FLOW   TEMP\n2024-01-01 00:00    1.23   10.5    5.5\n2024-01-01 00:15    1.24           5.6\n2024-01-01 00:30           10.6    5.7\n" +
			"2024-01-01 00:45    1.26   10.7    5.8\n2024-01-01 01:00    1.27   10.8\n2024-01-01 01:15    1.28   10.9    6.0\n2024-01-01 01:30    1.29   11.0    6.1\n", "18 readings of 7 rows"},
	} {
		g := Guess([]Sample{{Path: "station-a.txt", Text: []byte(c.text), Whole: true}}, GuessOptions{Zone: "UTC"})
		if !g.Certain() {
			t.Errorf("%s: %s %+v", name, g.Refusal, g.Shape)
			continue
		}
		if check := g.Findings[len(g.Findings)-1]; check.What != "check" || check.Value != c.cells {
			t.Errorf("%s: %+v, want %s", name, check, c.cells)
		}
	}
}

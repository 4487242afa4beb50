package format

import (
	"fmt"
	"strings"
	"testing"

	"penstock/ingest"
)

// openRows makes rows of nine hours in which the order of the date or the decimal
// sign is open, or neither.
func openRows(order, decimal bool, more func(i int) string) string {
	var b strings.Builder
	for i := range 9 {
		date, value := "2024-03-04", fmt.Sprintf("%d.5", 10+i)
		if order {
			date = "03/04/2024"
		}
		if decimal {
			value = fmt.Sprintf(`"%d,125"`, 10+i)
		}
		fmt.Fprintf(&b, "%s %02d:00,%s%s\n", date, i, value, more(i))
	}
	return b.String()
}

// An openCase is a text that leaves two questions open, and answers to them.
type openCase struct {
	name, text, zone string
	answers          []string
}

// TestNoOpenQuestionIsLost answers one of two open questions: nothing is loaded
// before the other is answered, too.
func TestNoOpenQuestionIsLost(t *testing.T) {
	none := func(int) string { return "" }
	until := func(order bool) func(i int) string {
		return func(i int) string {
			if order {
				return fmt.Sprintf(",03/04/2024 %02d:00", i+1)
			}
			return fmt.Sprintf(",2024-03-04 %02d:00", i+1)
		}
	}
	twice := func(i int) string { return fmt.Sprintf(",%d.5", 20+i) }
	units := func(i int) string { return map[bool]string{true: ",l/s", false: ",m3/h"}[i < 5] }
	strange := func(i int) string { return map[bool]string{true: ",1.5", false: ",offline"}[i%2 == 0] }
	for _, c := range []openCase{
		{"order and decimal", "time,flow\n" + openRows(true, true, none), "UTC", []string{"order=dmy", "decimal=,"}},
		{"order and header", openRows(true, false, none), "UTC", []string{"order=dmy", "header=yes"}},
		{"decimal and header", openRows(false, true, none), "UTC", []string{"decimal=,", "header=yes"}},
		{"zone and header", openRows(false, false, none), "", []string{"zone=UTC", "header=yes"}},
		{"order and zone", "time,flow\n" + openRows(true, false, none), "", []string{"order=dmy", "zone=UTC"}},
		{"decimal and zone", "time,flow\n" + openRows(false, true, none), "", []string{"decimal=,", "zone=UTC"}},
		{"order and take", "start,flow,end\n" + openRows(true, false, until(true)), "UTC", []string{"order=dmy", "take=end"}},
		{"decimal and take", "start,flow,end\n" + openRows(false, true, until(false)), "UTC", []string{"decimal=,", "take=start"}},
		{"zone and take", "start,flow,end\n" + openRows(false, false, until(false)), "", []string{"zone=UTC", "take=start"}},
		{"columns and order", "time,20024353,20024354\n" + openRows(true, false, twice), "UTC", []string{"columns_are=logger", "order=mdy"}},
		{"columns and zone", "time,20024353,20024354\n" + openRows(false, false, twice), "", []string{"columns_are=channel", "zone=UTC"}},
		{"units and order", "time,flow,unit\n" + openRows(true, false, units), "UTC", []string{"other_unit=reject", "order=dmy"}},
		{"units and zone", "time,flow,unit\n" + openRows(false, false, units), "", []string{"other_unit=reject", "zone=UTC"}},
		{"missing and order", "time,flow,level\n" + openRows(true, false, strange), "UTC", []string{"missing=offline", "order=dmy"}},
		{"missing and zone", "time,flow,level\n" + openRows(false, false, strange), "", []string{"missing=offline", "zone=UTC"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sample := Sample{Path: "P7.csv", Text: []byte(c.text), Whole: true}
			for i, first := range c.answers {
				second := c.answers[1-i]
				if g := Guess([]Sample{sample}, GuessOptions{Zone: c.zone, Sets: []string{first}}); g.Certain() || g.Refusal != "" {
					t.Errorf("with %s alone the guess is certain: %s", first, g.Refusal)
				}
				g := Guess([]Sample{sample}, GuessOptions{Zone: c.zone, Sets: []string{first, second}})
				if !g.Certain() {
					t.Errorf("with %s and %s it is still asked: %s", first, second, g.Shape.Question)
				}
				shape := Guess([]Sample{sample}, GuessOptions{Zone: c.zone}).Shape
				if state, reason := approvedBy(t, shape, c, []string{first}); state == ingest.Loaded {
					t.Errorf("approved with %s alone, the file loads: %s", first, reason)
				}
				if state, reason := approvedBy(t, shape, c, []string{first, second}); state != ingest.Loaded {
					t.Errorf("approved with %s and %s, the file is %s: %s", first, second, state, reason)
				}
			}
		})
	}
}

// approvedBy is what becomes of the file when its shape is approved with answers.
func approvedBy(t *testing.T, shape *ingest.Shape, c openCase, sets []string) (state ingest.State, reason string) {
	t.Helper()
	p, err := Approve(shape, sets, nil)
	if err != nil {
		return ingest.Held, err.Error()
	}
	set, err := NewSet(false, p)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDecoder(set, Settings{Zone: c.zone})
	if err != nil {
		t.Fatal(err)
	}
	b, s := decodeOne(t, d, "P7.csv", c.text)
	return s.State, fmt.Sprint(s.Reason, " ", len(b.Time), " readings")
}

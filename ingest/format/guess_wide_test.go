package format

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"penstock/ingest"

	"github.com/google/go-cmp/cmp"
)

// hourly makes a table of 40 hours from midnight under the head, whose rows are
// what row makes of the hour.
func hourly(head string, row func(i int) string) string {
	var b strings.Builder
	b.WriteString(head)
	for i := range 40 {
		fmt.Fprintf(&b, "%s,%s\n", hour(i), row(i))
	}
	return b.String()
}

func hour(i int) string { return fmt.Sprintf("2024-03-%02d %02d:00", 13+i/24, i%24) }

func numbersOf(n int) func(i int) string {
	return func(i int) string {
		cells := make([]string, n)
		for k := range cells {
			cells[k] = fmt.Sprintf("%.2f", 10.25+float64(k)+2*math.Sin(float64(i)/5+float64(k)))
		}
		return strings.Join(cells, ",")
	}
}

// guessedSeries are the series that a guess reads of a text, each as logger,
// channel, unit and hour of the first reading; or what it asks.
func guessedSeries(t *testing.T, path, text string, sets ...string) []string {
	t.Helper()
	g := Guess([]Sample{{Path: path, Text: []byte(text), Whole: true}}, GuessOptions{Zone: "UTC", Sets: sets})
	if g.Refusal != "" {
		return []string{"refused: " + g.Refusal}
	}
	if !g.Certain() {
		return []string{"asks " + g.Shape.Asks}
	}
	set, err := NewSet(false, g.Profile)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDecoder(set, Settings{Zone: "UTC"})
	if err != nil {
		t.Fatal(err)
	}
	b := &ingest.Batch{}
	if err := d.Decode(t.Context(), contentOf(path, []byte(text), false), b); err != nil {
		t.Fatal(err)
	}
	if s := &b.Spans[0]; s.State != ingest.Loaded {
		return []string{string(s.State) + ": " + s.Reason}
	}
	var series []string
	for i, k := range b.Keys {
		first := slices.Index(b.Series, int32(i))
		series = append(series, fmt.Sprintf("%s|%s|%s|%s", k.Logger, k.Channel, k.Unit, ingest.FromMicros(b.Time[first]).Format("15:04")))
	}
	return series
}

// TestGuessOfWideTables holds whose the columns of wide tables are, and what units
// they have.
func TestGuessOfWideTables(t *testing.T) {
	pairs := func(first, second string) func(i int) string {
		return func(i int) string {
			return fmt.Sprintf("%.2f,%s,%.2f,%s", 10+float64(i)/7, first, 2+float64(i)/9, second)
		}
	}
	changing := func(i int) string {
		if i < 20 {
			return pairs("l/s", "m")(i)
		}
		return pairs("m3/h", "m")(i)
	}
	until := func(i int) string { return hour(i+1) + "," + numbersOf(1)(i) }
	for _, c := range []struct {
		name, path, text string
		sets, want       []string
	}{
		{name: "channels", path: "P7.csv", text: hourly("time,Flow [l/s],Level [m]\n", numbersOf(2)), want: []string{"P7|Flow|l/s|00:00", "P7|Level|m|00:00"}},
		{name: "a chain of thermistors", path: "P7.csv", text: hourly("time,T1,T2,T3\n", numbersOf(3)), want: []string{"P7|T1||00:00", "P7|T2||00:00", "P7|T3||00:00"}},
		{name: "depths", path: "P7.csv", text: hourly("time,VWC_010,VWC_020,VWC_105\n", numbersOf(3)), want: []string{"P7|VWC_010||00:00", "P7|VWC_020||00:00", "P7|VWC_105||00:00"}},

		{name: "serials and a quantity", path: "P7.csv", text: hourly("Parameter: Flow\nUnit: l/s\n\ntime,20024353,20024354\n", numbersOf(2)), want: []string{"20024353|Flow|l/s|00:00", "20024354|Flow|l/s|00:00"}},
		{name: "sites and a quantity with its unit", path: "P7.csv", text: hourly("Quantity: Water level [m]\ntime,Site 1,Site 2\n", numbersOf(2)), want: []string{"Site 1|Water level|m|00:00", "Site 2|Water level|m|00:00"}},
		{name: "codes below a quantity", path: "P7.csv", text: hourly(",Water level,Water level\ntime,MW-101,MW-102\n", numbersOf(2)), want: []string{"MW-101|Water level||00:00", "MW-102|Water level||00:00"}},
		{name: "codes in a file of a quantity", path: "in/Flow_20240313.csv", text: hourly("time,MW-101,MW-102\n", numbersOf(2)), want: []string{"MW-101|Flow||00:00", "MW-102|Flow||00:00"}},
		{name: "codes with one unit", path: "P7.csv", text: hourly("time,MW-101,MW-102\n,m,m\n", numbersOf(2)), want: []string{"MW-101|value|m|00:00", "MW-102|value|m|00:00"}},
		{name: "codes and their units", path: "Flow.csv", text: hourly("time,MW-101 [l/s],MW-102 [l/s]\n", numbersOf(2)), want: []string{"MW-101|Flow|l/s|00:00", "MW-102|Flow|l/s|00:00"}},
		{name: "serials alone", path: "P7.csv", text: hourly("time,20024353,20024354\n", numbersOf(2)), want: []string{"asks columns_are"}},
		{name: "serials alone, loggers", path: "P7.csv", text: hourly("time,20024353,20024354\n", numbersOf(2)), sets: []string{"columns_are=logger"}, want: []string{"20024353|value||00:00", "20024354|value||00:00"}},
		{name: "serials alone, channels", path: "P7.csv", text: hourly("time,20024353,20024354\n", numbersOf(2)), sets: []string{"columns_are=channel"}, want: []string{"P7|20024353||00:00", "P7|20024354||00:00"}},
		{name: "serials of a station's sensors", path: "P7.csv", text: hourly("Station: Mill\ntime,20024353,20024354\n", numbersOf(2)), want: []string{"Mill|20024353||00:00", "Mill|20024354||00:00"}},

		{name: "stations above", path: "P7.csv", text: hourly("Station,Alpha,Alpha,Beta,Beta\nTime,Flow,Level,Flow,Level\n", numbersOf(4)), want: []string{"Alpha|Flow||00:00", "Alpha|Level||00:00", "Beta|Flow||00:00", "Beta|Level||00:00"}},
		{name: "stations above, over two", path: "P7.csv", text: hourly(",Alpha,,Beta,\nTime,Flow [l/s],Level [m],Flow [l/s],Level [m]\n", numbersOf(4)), want: []string{"Alpha|Flow|l/s|00:00", "Alpha|Level|m|00:00", "Beta|Flow|l/s|00:00", "Beta|Level|m|00:00"}},
		{name: "quantities above", path: "P7.csv", text: hourly(",Flow,,Level,\nTime,MW-101,MW-102,MW-101,MW-102\n", numbersOf(4)), want: []string{"MW-101|Flow||00:00", "MW-102|Flow||00:00", "MW-101|Level||00:00", "MW-102|Level||00:00"}},

		{name: "serials of two loggers", path: "P7.csv", text: hourly("\"Date Time\",\"Temp, °C (LGR S/N: 111, SEN S/N: 5)\",\"RH, % (LGR S/N: 111, SEN S/N: 5)\",\"Temp, °C (LGR S/N: 222, SEN S/N: 6)\"\n", numbersOf(3)), want: []string{"111|Temp|°C|00:00", "111|RH|%|00:00", "222|Temp|°C|00:00"}},

		{name: "units beside", path: "P7.csv", text: hourly("time,Flow,Flow Unit,Level,Level Unit\n", pairs("l/s", "m")), want: []string{"P7|Flow|l/s|00:00", "P7|Level|m|00:00"}},
		{name: "units beside, of one name", path: "P7.csv", text: hourly("time,Flow,Unit,Level,Unit\n", pairs("l/s", "m")), want: []string{"P7|Flow|l/s|00:00", "P7|Level|m|00:00"}},
		{name: "units beside, without a name", path: "P7.csv", text: hourly("time,Flow,,Level,\n", pairs("l/s", "m")), want: []string{"P7|Flow|l/s|00:00", "P7|Level|m|00:00"}},
		{name: "a unit beside one", path: "P7.csv", text: hourly("time,Flow,Flow Unit,Level\n", func(i int) string { return strings.TrimSuffix(pairs("l/s", "m")(i), ",m") }), want: []string{"P7|Flow|l/s|00:00", "P7|Level||00:00"}},
		{name: "two units", path: "P7.csv", text: hourly("time,Flow,Unit,Level,Unit\n", changing), want: []string{"asks other_unit"}},
		{name: "two units, answered", path: "P7.csv", text: hourly("time,Flow,Unit,Level,Unit\n", changing), sets: []string{"other_unit=reject"}, want: []string{"P7|Flow|l/s|00:00", "P7|Level|m|00:00"}},

		{name: "start and end", path: "P7.csv", text: hourly("Start,End,Flow\n", until), want: []string{"asks take"}},
		{name: "start and end, at the start", path: "P7.csv", text: hourly("Start,End,Flow\n", until), sets: []string{"take=start"}, want: []string{"P7|Flow||00:00"}},
		{name: "start and end, at the end", path: "P7.csv", text: hourly("Start,End,Flow\n", until), sets: []string{"take=end"}, want: []string{"P7|Flow||01:00"}},
		{name: "start and time", path: "P7.csv", text: hourly("From,Timestamp,Flow\n", until), want: []string{"P7|Flow||01:00"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, guessedSeries(t, c.path, c.text, c.sets...)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

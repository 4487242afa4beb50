package format

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf16"
)

// TestFilesOfAKindHaveOneShape makes fifty files of one kind, of other loggers,
// days, lengths and encodings: they have one shape and one profile.
func TestFilesOfAKindHaveOneShape(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	shapes, profiles := make(map[string]string), make(map[string]string)
	for n := range 50 {
		var b strings.Builder
		serial := 10000000 + r.IntN(80000000)
		fmt.Fprintf(&b, "Station: %s\nSerial: SN%d\nExported: 2024-%02d-%02d\n\n", []string{"Mill", "North Road 7", "Weir", "B12"}[r.IntN(4)], serial, 1+r.IntN(12), 1+r.IntN(28))
		fmt.Fprintf(&b, "Date Time;Flow (l/s) S/N %d;Level (m) S/N %d\n", serial, serial+1)
		month, rows := 1+r.IntN(12), 40+r.IntN(16)
		for i := range rows {
			fmt.Fprintf(&b, "%02d.%02d.2024 %02d:%02d;%.2f;%.3f\n", 1+i/2, month, i%2*12, 15, r.Float64()*100, r.NormFloat64())
		}
		text := []byte(b.String())
		switch n % 4 {
		case 1:
			text = append([]byte("\xef\xbb\xbf"), text...)
		case 2:
			text = []byte("\xff\xfe")
			for _, u := range utf16.Encode([]rune(b.String())) {
				text = append(text, byte(u), byte(u>>8))
			}
		case 3:
			text = []byte(strings.ReplaceAll(b.String(), "\n", "\r\n"))
		}
		path := fmt.Sprintf("in/SN%d_2024%02d.csv", serial, month)
		g := Guess([]Sample{{Path: path, Text: text, Whole: true}}, GuessOptions{Zone: "UTC"})
		if !g.Certain() {
			t.Fatalf("%s: %s%s", path, g.Refusal, g.Shape.Question)
		}
		shapes[g.Shape.ID], profiles[g.Profile.Text] = path, path
	}
	if len(shapes) != 1 || len(profiles) != 1 {
		t.Errorf("%d shapes and %d profiles: %v", len(shapes), len(profiles), profiles)
	}
}

// TestKindsAreToldApart holds that files of another kind have another shape.
func TestKindsAreToldApart(t *testing.T) {
	shapes := make(map[string]string)
	for _, text := range []string{
		hourly("time,flow\n", numbersOf(1)),
		hourly("time,level\n", numbersOf(1)),
		hourly("time,flow,level\n", numbersOf(2)),
		strings.ReplaceAll(hourly("time,flow\n", numbersOf(1)), ",", ";"),
		hourly("time,flow\n,l/s\n", numbersOf(1)),
		hourly("Station: Mill\ntime,flow\n", numbersOf(1)),
		hourly("Serial: 12345\ntime,flow\n", numbersOf(1)),
		hourly("Time zone: UTC+1\ntime,flow\n", numbersOf(1)),
		hourly("", numbersOf(1)),
		strings.ReplaceAll(hourly("", numbersOf(1)), "2024-03-", "2024/03/"),
		strings.ReplaceAll(hourly("", numbersOf(1)), ":00,", ":00:00,"),
	} {
		g := Guess([]Sample{{Path: "P7.csv", Text: []byte(text), Whole: true}}, GuessOptions{Zone: "UTC"})
		if g.Refusal != "" {
			t.Fatal(g.Refusal)
		}
		head, _, _ := strings.Cut(text, "2024")
		if other, ok := shapes[g.Shape.ID]; ok {
			t.Errorf("%q and %q are one shape", head, other)
		}
		shapes[g.Shape.ID] = head
	}
}

package format

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"penstock/ingest"
)

// tank is a file that no profile matches, of the logger with that serial.
func tank(serial int, day string, rows int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Tank recorder;%d\r\nZeit;Pegel [m] S/N: %d;Temp. [°C] S/N: %d\r\n", serial, serial, serial)
	for i := range rows {
		fmt.Fprintf(&b, "%s %02d:%02d;%d,%02d;%d,5\r\n", day, i/4, i%4*15, 1+i%3, i%90, 8+i%4)
	}
	return b.Bytes()
}

func decodeAuto(t *testing.T, s Settings, path string, text []byte, stream bool, own ...*Profile) (*ingest.Batch, *ingest.Span) {
	t.Helper()
	set, err := NewSet(false, own...)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDecoder(set, s)
	if err != nil {
		t.Fatal(err)
	}
	b := &ingest.Batch{}
	if err := d.Decode(context.Background(), contentOf(path, text, stream), b); err != nil {
		t.Fatal(err)
	}
	checkSpan(t, b, &b.Spans[0])
	return b, &b.Spans[0]
}

func TestUnknownFilesAreReadByACertainGuess(t *testing.T) {
	b, s := decodeAuto(t, Settings{Zone: "Europe/Berlin"}, "tanks/100023.csv", tank(100023, "29.02.2024", 96), false)
	if s.State != ingest.Loaded || s.End != 192 || s.Recipe.Trust != ingest.Guessed || s.Recipe.Profile != "guess-"+s.Kind.ID {
		t.Fatalf("%s %s, %d readings by %+v", s.State, s.Reason, s.End, s.Recipe)
	}
	if k := b.Keys[0]; k.Channel != "Pegel" || k.Unit != "m" {
		t.Errorf("the first series is %+v", k)
	}
	if at := ingest.FromMicros(b.Time[0]).String(); at != "2024-02-28 23:00:00 +0000 UTC" {
		t.Errorf("the first reading is at %s", at)
	}

	// What the recipe keeps reads the file again, alike.
	set, settings, err := FromRecipe(s.Recipe)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDecoder(set, settings)
	if err != nil {
		t.Fatal(err)
	}
	again := &ingest.Batch{}
	if err := d.Decode(context.Background(), contentOf("tanks/100023.csv", tank(100023, "29.02.2024", 96), false), again); err != nil {
		t.Fatal(err)
	}
	r := &again.Spans[0]
	if r.Recipe.Digest != s.Recipe.Digest || r.Recipe.Trust != ingest.Guessed || r.Kind.ID != s.Kind.ID || !slices.Equal(again.Value, b.Value) || !slices.Equal(again.Time, b.Time) {
		t.Errorf("the recipe reads the file otherwise: %+v %s", r, r.Reason)
	}
}

func TestUnknownFilesAreHeldByShape(t *testing.T) {
	_, a := decodeAuto(t, Settings{Zone: "Europe/Berlin"}, "tanks/100023.csv", tank(100023, "03/04/2024", 90), false)
	_, b := decodeAuto(t, Settings{Zone: "Europe/Berlin"}, "tanks/200044.csv", tank(200044, "05/04/2024", 40), true)
	for _, s := range []*ingest.Span{a, b} {
		if s.State != ingest.Held || s.Shape == nil || s.Shape.Asks != "order" || len(s.Shape.Answers) != 2 || s.Reason != s.Shape.Question {
			t.Fatalf("%s %s, %+v", s.State, s.Reason, s.Shape)
		}
	}
	if a.Shape.ID != b.Shape.ID || a.Shape.Profile != b.Shape.Profile {
		t.Errorf("two files of a kind are of the shapes %s and %s", a.Shape.ID, b.Shape.ID)
	}
	if want := "03/04/2024 is 3 April 2024"; a.Shape.Answers[0].Means != want && a.Shape.Answers[1].Means != want {
		t.Errorf("the answers are %+v", a.Shape.Answers)
	}

	// The answer reads both, and files of the kind that are still to come.
	p, err := Parse("approved", []byte(a.Shape.Profile))
	if err != nil {
		t.Fatal(err)
	}
	if p, err = p.With([]string{"order=mdy"}, nil); err != nil {
		t.Fatal(err)
	}
	for _, serial := range []int{100023, 200044, 300065} {
		batch, s := decodeAuto(t, Settings{Zone: "UTC", NoGuess: true}, fmt.Sprint("tanks/", serial, ".csv"), tank(serial, "03/04/2024", 90), false, p)
		if s.State != ingest.Loaded || s.End != 180 {
			t.Fatalf("%d: %s %s", serial, s.State, s.Reason)
		}
		if at := ingest.FromMicros(batch.Time[0]).String(); at != "2024-03-04 00:00:00 +0000 UTC" {
			t.Errorf("%d: the first reading is at %s", serial, at)
		}
	}
}

func TestUnknownFilesWithoutZoneAreAskedAbout(t *testing.T) {
	_, s := decodeAuto(t, Settings{}, "tanks/100023.csv", tank(100023, "29.02.2024", 96), false)
	if s.State != ingest.Held || s.Shape == nil || s.Shape.Asks != "zone" {
		t.Errorf("%s %s, %+v", s.State, s.Reason, s.Shape)
	}
}

func TestTimesOfDayTakeTheDayOfTheName(t *testing.T) {
	const text = "Time,Flow [l/s]\n00:15:00,1.5\n00:30:00,1.75\n00:45:00,2\n"
	b, s := decodeAuto(t, Settings{Zone: "UTC"}, "2024_02/2024_02_29.csv", []byte(text), false)
	if s.State != ingest.Loaded || s.End != 3 || ingest.FromMicros(b.Time[0]).String() != "2024-02-29 00:15:00 +0000 UTC" || b.Keys[0].Logger != "2024_02" {
		t.Errorf("%s %s: %v %+v", s.State, s.Reason, b.Time, b.Keys)
	}
	if _, s := decodeAuto(t, Settings{Zone: "UTC"}, "2024_02/2024_02_29.csv", []byte(text+"00:00:00,2\n00:15:00,3\n"), false); s.State == ingest.Loaded {
		t.Error("a file of two days was loaded as one of one")
	}
}

// A guess must not depend on how a file came in pieces.
func TestGuessesOfStreamsAreThoseOfWholeFiles(t *testing.T) {
	oneGoroutine(t)
	dir := sharedData(t)
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i, path := range paths {
		if strings.Contains(path, "minidot") && i%40 != 0 {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		whole, a := decodeAuto(t, Settings{Zone: "UTC"}, path, text, false)
		pieces, b := decodeAuto(t, Settings{Zone: "UTC"}, path, text, true)
		if a.State != b.State || a.Reason != b.Reason || !slices.Equal(whole.Time, pieces.Time) || !slices.Equal(whole.Value, pieces.Value) {
			t.Errorf("%s: whole it is %s %s with %d readings, in pieces %s %s with %d", path, a.State, a.Reason, len(whole.Time), b.State, b.Reason, len(pieces.Time))
		}
		if a.State != ingest.Loaded || a.Recipe.Digest != b.Recipe.Digest {
			t.Errorf("%s is %s: %s", path, a.State, a.Reason)
		}
	}
}

func wideMebibyte() Sample {
	var b bytes.Buffer
	b.WriteString("Timestamp,Flow [l/s],Pressure [m],Level [m],Battery [V]\n")
	for i := 0; b.Len() < guessBytes; i++ {
		fmt.Fprintf(&b, "2024-%02d-%02d %02d:%02d:00,%d.%02d,%d.5,0.%03d,12.%d\n", 1+i/2880%12, 1+i/96%28, i/4%24, i%4*15, 10+i%7, i%100, 40+i%3, i%1000, i%10)
	}
	text := b.Bytes()[:guessBytes]
	return Sample{Path: "bench.csv", Text: text[:bytes.LastIndexByte(text, '\n')+1]}
}

// TestGuessesKeepToTheirHeader holds that what stands below another header, or
// in the block of another logger, is not read as what stands above it.
func TestGuessesKeepToTheirHeader(t *testing.T) {
	rows := func(from, n int, cells string) string {
		var s strings.Builder
		for i := range n {
			fmt.Fprintf(&s, "2025-07-%02d 00:%02d,%s\n", from, i*15%60, cells)
		}
		return s.String()
	}
	for name, c := range map[string]struct{ text, line string }{
		"columns swapped":  {text: "Time (UTC),Flow (l/s),Level (m)\n" + rows(14, 3, "5.1,1.2") + "Time (UTC),Level (m),Flow (l/s)\n" + rows(15, 2, "1.2,5.4"), line: "line 5 "},
		"another channel":  {text: "Time (UTC),Flow (l/s)\n" + rows(14, 2, "5.1") + "\nTime (UTC),Pressure (m)\n" + rows(15, 2, "40.1"), line: "line 5 "},
		"another offset":   {text: "Time (UTC),Flow (l/s),Level (m)\n" + rows(14, 3, "5.1,1.2") + "Time (UTC+01:00),Flow (l/s),Level (m)\n" + rows(15, 2, "5.1,1.2"), line: "line 5 "},
		"messages besides": {text: "Time (UTC),Flow (l/s)\n" + rows(14, 2, "5.1") + "*** low battery\n" + rows(15, 2, "5.2") + "Time (UTC),Pressure (m)\n" + rows(16, 2, "40.1"), line: "line 7 "},
		"another logger":   {text: "Serial Number,AAA1\nTime (UTC),Flow (l/s)\n" + rows(14, 2, "5.1") + "Serial Number,BBB2\nTime (UTC),Flow (l/s)\n" + rows(15, 1, "70.1"), line: "line 5 "},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := NewSet(false)
			if err != nil {
				t.Fatal(err)
			}
			d, err := NewDecoder(set, Settings{})
			if err != nil {
				t.Fatal(err)
			}
			b, s := decodeOne(t, d, "in/a.csv", c.text)
			if s.State != ingest.Held || !strings.Contains(s.Reason, c.line) {
				t.Errorf("%s: %s\n%s", s.State, s.Reason, readingsOf(b))
			}
		})
	}
}

package format

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

func newGrownDecoder(t *testing.T) *Decoder {
	t.Helper()
	set, err := NewSet(true)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDecoder(set, Settings{Profile: "auto", Zone: "UTC"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// gainedReading is a reading as it can be held against one of another batch.
type gainedReading struct {
	series  ingest.SeriesKey
	at      int64
	value   float64
	quality string
	line    int64
}

// decodeGrown decodes content and returns its span and what it read.
func decodeGrown(t *testing.T, d *Decoder, c *ingest.Content) (ingest.Span, []gainedReading, error) {
	t.Helper()
	b := ingest.Batch{KeepLines: true}
	if err := d.Decode(context.Background(), c, &b); err != nil {
		return ingest.Span{}, nil, err
	}
	s := b.Spans[0]
	var list []gainedReading
	for i := s.Begin; i < s.End; i++ {
		r := gainedReading{series: b.Keys[b.Series[i]], at: b.Time[i], value: b.Value[i]}
		r.series.Label = ""
		if len(b.Quality) > 0 {
			r.quality = b.Qualities[b.Quality[i]]
		}
		if i < len(b.Line) {
			r.line = b.Line[i]
		}
		list = append(list, r)
	}
	return s, list, nil
}

// sum adds up receipts.
func sum(a, b ingest.Receipt) ingest.Receipt {
	a.Add(&b)
	return a
}

// checkGrowth reads a file as it stood at old bytes and then what it gained, and
// holds both together against the whole. It reports whether it was carried on.
func checkGrowth(t *testing.T, d *Decoder, path string, text []byte, old int, seam int64) bool {
	t.Helper()
	content := func(data []byte) *ingest.Content {
		return &ingest.Content{File: ingest.File{Source: "s", Path: path}, Fetched: aDay, Data: data}
	}
	before, first, err := decodeGrown(t, d, content(text[:old]))
	if err != nil {
		t.Fatal(err)
	}
	if before.GrowsAt == 0 {
		return false
	}
	if before.GrowsAt != int64(old) {
		t.Fatalf("%s of %d bytes was read up to %d", path, old, before.GrowsAt)
	}
	if seam == 0 {
		seam = int64(old)
	}
	c := content(append(bytes.Clone(text[:seam]), text[old:]...))
	c.Gain = &ingest.Gain{Seam: seam, Of: ingest.Growth{At: before.GrowsAt, Lines: before.Receipt.Lines.Total}}
	gained, more, err := decodeGrown(t, d, c)
	if errors.Is(err, ingest.ErrWhole) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	if want := ingest.MinuteIn(text[:min(len(text), dated)]); gained.Minute != want {
		t.Fatalf("%s: what it gained is of the minute %d, the whole of %d", path, gained.Minute, want)
	}
	if gained.Recipe.Digest != before.Recipe.Digest || gained.Identity != before.Identity {
		return false // a sink has it read whole
	}
	upTo := bytes.LastIndexByte(text, '\n') + 1 // a line that is not ended is left for later
	if gained.GrowsAt != 0 && gained.GrowsAt != int64(upTo) {
		t.Fatalf("%s: carried on to %d of %d bytes", path, gained.GrowsAt, len(text))
	}
	whole, all, err := decodeGrown(t, d, content(text[:upTo]))
	if err != nil {
		t.Fatal(err)
	}
	if whole.State != ingest.Loaded {
		return true // too much of it is rejected: judged by what it gained, it was not
	}
	if whole.Recipe.Digest != before.Recipe.Digest {
		return true // a guess that the line without its ending decided
	}
	if diff := cmp.Diff(all, append(first, more...), cmp.AllowUnexported(gainedReading{})); diff != "" {
		t.Fatalf("%s grown from %d bytes (-whole +in two):\n%s", path, old, diff)
	}
	if diff := cmp.Diff(whole.Receipt, sum(before.Receipt, gained.Receipt)); diff != "" {
		t.Fatalf("%s grown from %d bytes (-whole +in two):\n%s", path, old, diff)
	}
	if diff := cmp.Diff(whole.Rejects, append(before.Rejects, gained.Rejects...)); diff != "" {
		t.Fatalf("%s grown from %d bytes (-whole +in two):\n%s", path, old, diff)
	}
	return true
}

// aDay is when the files of these tests were fetched, in microseconds.
const aDay = 1764547200 * 1e6

// What a file gained, read by itself, is what reading the whole adds.
func TestGrownFilesAreReadAsTheWhole(t *testing.T) {
	oneGoroutine(t)
	d := newGrownDecoder(t)
	carried, tried := make(map[string]bool), 0
	root := filepath.Join("..", "..", "testdata")
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, ".md") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || len(text) > 1<<20 {
			return err
		}
		profile := filepath.Base(filepath.Dir(path))
		ends := []int{}
		for i, c := range text {
			if c == '\n' {
				ends = append(ends, i+1)
			}
		}
		step := max(1, len(ends)/40)
		for i := 0; i < len(ends); i += step {
			tried++
			if checkGrowth(t, d, filepath.Base(path), text, ends[i], 0) {
				carried[profile] = true
			}
			if cut := ends[i] + (len(text)-ends[i])/2; cut > ends[i] {
				checkGrowth(t, d, filepath.Base(path), text[:cut], ends[i], 0)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, profile := range []string{"plain-long", "plain-wide", "campbell-toa5"} {
		if !carried[profile] {
			t.Errorf("no file of %s was carried on, of %d tried", profile, tried)
		}
	}
	t.Logf("carried on: %d folders of samples", len(carried))
}

// Of a large file the head alone is read again, whole in memory or as a stream.
func TestLargeFilesAreCarriedOnByTheirHead(t *testing.T) {
	oneGoroutine(t)
	var b strings.Builder
	b.WriteString("time,flow [l/s],level [m]\n")
	for i := range 50000 {
		fmt.Fprintf(&b, "%s,%d.5,1.%03d\n", ingest.FromMicros(aDay-int64(60000-i)*60e6).Format("2006-01-02T15:04:05Z"), i%50, i%1000)
	}
	text := []byte(b.String())
	d := newGrownDecoder(t)
	seam := int64(ingest.HeadOfGrown + 1 + bytes.IndexByte(text[ingest.HeadOfGrown:], '\n'))
	for _, lines := range []int{1, 7, 1000} {
		old := len(text)
		for range lines {
			old = bytes.LastIndexByte(text[:old-1], '\n') + 1
		}
		if !checkGrowth(t, d, "large.csv", text, old, seam) {
			t.Fatalf("it was not carried on by %d lines", lines)
		}
	}
}

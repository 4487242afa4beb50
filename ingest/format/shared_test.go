package format

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/ingest"
)

// sharedData is the folder of real exports of real instruments, with what was
// counted in them independently of Penstock.
func sharedData(t *testing.T) string {
	dir := os.Getenv("PENSTOCK_SHARED_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	if _, err := os.Stat(filepath.Join(dir, "truth.json")); err != nil {
		t.Skipf("the real files are not here: %v; set PENSTOCK_SHARED_DATA to their folder", err)
	}
	return dir
}

type truth struct {
	Kind, File       string
	Readings         int
	Series, Distinct int
	First, Last      string
	Sum              string
	SumN             int    `json:"sum_n"`
	SumChannel       string `json:"sum_channel"`
	Lines            int64
}

func TestSharedDataAgreesWithTruth(t *testing.T) {
	oneGoroutine(t)
	dir := sharedData(t)
	set, err := NewSet(true)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	var truths []truth
	if err := json.Unmarshal(text, &truths); err != nil {
		t.Fatal(err)
	}
	for _, want := range truths {
		t.Run(want.Kind+"/"+want.File, func(t *testing.T) {
			files := []string{filepath.Join(dir, want.Kind, want.File)}
			if strings.HasPrefix(want.File, "[ALL") {
				files, _ = filepath.Glob(filepath.Join(dir, want.Kind, "*"))
			}
			// Local clocks are compared as they show, so UTC serves for them.
			d, err := NewDecoder(set, Settings{Zone: "UTC"})
			if err != nil {
				t.Fatal(err)
			}
			for _, stream := range []bool{false, true} {
				b := &ingest.Batch{}
				for _, file := range files {
					decodeFile(t, d, b, file, stream)
				}
				compareTruth(t, b, want)
			}
		})
	}
}

func decodeFile(t *testing.T, d *Decoder, b *ingest.Batch, file string, stream bool) {
	t.Helper()
	decodeAs(t, d, b, file, filepath.Base(file), stream)
}

// decodeAs decodes a file as if it had that path.
func decodeAs(t *testing.T, d *Decoder, b *ingest.Batch, file, path string, stream bool) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := contentOf(path, text, stream)
	if err := d.Decode(context.Background(), c, b); err != nil {
		t.Fatal(err)
	}
	s := &b.Spans[len(b.Spans)-1]
	checkSpan(t, b, s)
	if s.State != ingest.Loaded {
		t.Fatalf("%s is %s: %s", file, s.State, s.Reason)
	}
	for _, r := range s.Rejects {
		t.Errorf("%s:%d:%d: %s", file, r.Line, r.Column, r.Reason)
	}
}

var fetched = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func contentOf(path string, text []byte, stream bool) *ingest.Content {
	c := &ingest.Content{
		File:    ingest.File{Source: "test", Path: path, Size: int64(len(text))},
		Fetched: ingest.Micros(fetched),
	}
	if stream {
		c.Stream = closer{bytes.NewReader(text)}
	} else {
		c.Data = text
	}
	return c
}

type closer struct{ *bytes.Reader }

func (closer) Close() error { return nil }

// checkSpan checks what holds of every span that a decoder fills.
func checkSpan(t testing.TB, b *ingest.Batch, s *ingest.Span) {
	t.Helper()
	r := s.Receipt
	if s.State == ingest.Loaded {
		r.Cells.Stored = int64(s.End - s.Begin)
	}
	if err := r.Balance(); err != nil {
		t.Errorf("%v (%s: %s)", err, s.State, s.Reason)
	}
	if len(b.Time) != len(b.Value) || len(b.Time) != len(b.Series) {
		t.Fatalf("columns of %d, %d and %d readings", len(b.Time), len(b.Series), len(b.Value))
	}
	if n := len(b.Quality); n != 0 && n != len(b.Time) {
		t.Fatalf("%d qualities for %d readings", n, len(b.Time))
	}
	if b.KeepLines && len(b.Line) != len(b.Time) {
		t.Fatalf("%d lines for %d readings", len(b.Line), len(b.Time))
	}
	if s.State != ingest.Loaded && s.Reason == "" {
		t.Errorf("%s without a reason", s.State)
	}
	for i := s.Begin; i < s.End; i++ {
		if k := b.Series[i]; k < 0 || int(k) >= len(b.Keys) {
			t.Fatalf("reading %d is of series %d of %d", i, k, len(b.Keys))
		}
		if math.IsInf(b.Value[i], 0) || math.IsNaN(b.Value[i]) {
			t.Fatalf("reading %d is %v", i, b.Value[i])
		}
	}
}

func compareTruth(t *testing.T, b *ingest.Batch, want truth) {
	t.Helper()
	type point struct {
		series int32
		time   int64
	}
	distinct := make(map[point]bool)
	series := make(map[int32]bool)
	n := 0
	sum := new(big.Rat)
	var lines int64
	for i, at := range b.Time {
		series[b.Series[i]] = true
		distinct[point{b.Series[i], at}] = true
		k := &b.Keys[b.Series[i]]
		if k.Label == want.SumChannel || k.Channel == want.SumChannel || strings.HasSuffix(want.SumChannel, "-"+k.Channel) {
			n++
			// The shortest decimal that is the value is what the file said.
			exact, _ := new(big.Rat).SetString(shortest(b.Value[i]))
			sum.Add(sum, exact)
		}
	}
	for _, s := range b.Spans {
		lines += s.Receipt.Lines.Total
	}
	if len(b.Time) != want.Readings || len(series) != want.Series || len(distinct) != want.Distinct {
		t.Errorf("%d readings of %d series, %d distinct; want %d of %d, %d", len(b.Time), len(series), len(distinct), want.Readings, want.Series, want.Distinct)
	}
	if want.Lines != 0 && lines != want.Lines {
		t.Errorf("%d lines, want %d", lines, want.Lines)
	}
	if want.Readings == 0 {
		return
	}
	first, last := ingest.FromMicros(slices.Min(b.Time)), ingest.FromMicros(slices.Max(b.Time))
	for _, end := range []struct {
		got  time.Time
		want string
	}{{first, want.First}, {last, want.Last}} {
		if got := end.got.Format("2006-01-02T15:04:05"); got != end.want[:len(got)] {
			t.Errorf("first or last reading at %s, want %s", got, end.want)
		}
	}
	wantSum, _ := new(big.Rat).SetString(want.Sum)
	if n != want.SumN || sum.Cmp(wantSum) != 0 {
		t.Errorf("%d readings of %s add up to %s; want %d and %s", n, want.SumChannel, sum.FloatString(6), want.SumN, want.Sum)
	}
}

package format

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

// A cutFile is what a decoder hands on of a file that it decodes in parts.
type cutFile struct {
	facts []fact
	ends  []int // how many readings there were at the end of each part but the last
	span  ingest.Span
	// settled says that its end was asked beforehand, uncut that this does not do.
	settled, uncut bool
}

// decodeParts decodes a file in parts, into one batch again and again or into
// several by turns.
func decodeParts(t *testing.T, d *Decoder, again func() *ingest.Content, cut ingest.Cut, batches int) (f cutFile) {
	t.Helper()
	c := again()
	turn := make([]*ingest.Batch, batches)
	for i := range turn {
		turn[i] = &ingest.Batch{KeepLines: true}
	}
	n := 0
	take := func(b *ingest.Batch) {
		s := &b.Spans[len(b.Spans)-1]
		if s.Begin != 0 || len(b.Spans) != 1 {
			t.Errorf("a part begins at reading %d of span %d", s.Begin, len(b.Spans))
		}
		f.facts = append(f.facts, facts(b)...)
	}
	cut.End = func(b *ingest.Batch) (*ingest.Batch, error) {
		if b != turn[n%batches] {
			t.Error("a part is of another batch than the one that was given")
		}
		take(b)
		f.ends = append(f.ends, len(f.facts))
		n++
		next := turn[n%batches]
		if batches > 1 {
			next.Reset()
		} else {
			next.Drop()
		}
		return next, nil
	}
	err := d.DecodeParts(context.Background(), c, turn[0], cut)
	if errors.Is(err, ingest.ErrUnsettled) {
		b := new(ingest.Batch)
		cut.Settled, err = d.settleBy(context.Background(), again(), b, cut.Bytes)
		if errors.Is(err, ingest.ErrUncut) {
			f.uncut = true
			return f
		}
		if f.settled = err == nil; f.settled && b.Spans[0].State != ingest.Loaded {
			f.span = b.Spans[0]
			return f
		}
		if err == nil {
			n, f.facts, f.ends = 0, nil, nil
			for _, b := range turn {
				b.Reset()
			}
			err = d.DecodeParts(context.Background(), again(), turn[0], cut)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	last := turn[n%batches]
	take(last)
	f.span = last.Spans[0]
	return f
}

// checkParts holds that a file says the same in parts and whole, that the parts
// are where its text says, and not where its windows end. It returns the most
// parts, and what decodeParts says, settled of any way.
func checkParts(t *testing.T, decoder func() *Decoder, path string, text []byte) (parts int, f cutFile) {
	t.Helper()
	whole := &ingest.Batch{KeepLines: true}
	if err := decoder().Decode(context.Background(), contentOf(path, text, false), whole); err != nil {
		t.Fatal(err)
	}
	want := whole.Spans[0]
	want.Begin, want.End = 0, 0
	ends := make(map[string][]int)
	for way := range 8 {
		cut := []ingest.Cut{{Bytes: 1}, {Bytes: 100}, {Bytes: 1000, Readings: 7}, {Bytes: 300, Readings: 100}}[way%4]
		d := decoder()
		d.general = way == 5
		if way > 3 {
			d.feed.step = 16
		}
		settled := f.settled
		f = decodeParts(t, d, func() *ingest.Content { return contentOf(path, text, way > 3) }, cut, 1+way%3)
		if f.settled = f.settled || settled; f.uncut {
			continue
		}
		parts = max(parts, len(f.ends)+1)
		of := fmt.Sprint(way % 4)
		if before, ok := ends[of]; ok && !slices.Equal(before, f.ends) {
			t.Errorf("way %d: parts end after %v readings, in one window after %v", way, f.ends, before)
		}
		ends[of] = f.ends
		if want.State == ingest.Loaded {
			if diff := cmp.Diff(facts(whole), f.facts); diff != "" {
				t.Errorf("way %d: -whole +in parts:\n%s", way, diff)
			}
		}
		f.span.Begin, f.span.End = 0, 0
		if diff := cmp.Diff(want, f.span, cmp.Comparer(func(x, y *ingest.Recipe) bool { return x == y || x != nil && y != nil && *x == *y })); diff != "" {
			t.Errorf("way %d: -whole +in parts:\n%s", way, diff)
		}
	}
	return parts, f
}

// Files of all sorts, by profiles of all sorts, say the same in parts.
func TestPartsOfAnyProfile(t *testing.T) {
	const each = 150
	r := rand.New(rand.NewPCG(21, 22))
	cut, settled, uncut := 0, 0, 0
	for range each {
		profile, text := anyProfile(r)
		parts, f := checkParts(t, func() *Decoder { return decoderFor(t, profile, Settings{Zone: "UTC"}) }, "a.csv", []byte(text))
		if parts > 1 {
			cut++
		}
		switch {
		case f.uncut:
			uncut++
		case f.settled:
			settled++
		}
		if t.Failed() {
			t.Fatalf("profile:\n%s\nfile:\n%s\n%q", profile, text, text)
		}
	}
	if cut < each/3 || settled < each/100 || uncut < 1 {
		t.Errorf("only %d of %d files are cut, %d of them when their end was seen, and %d cannot be, so that little was compared", cut, each, settled, uncut)
	}
}

// So do the samples of all built-in profiles.
func TestPartsOfSamples(t *testing.T) {
	files, err := filepath.Glob("../../testdata/*/*")
	if err != nil {
		t.Fatal(err)
	}
	cut := 0
	for _, file := range files {
		dir := filepath.Dir(file)
		if !slices.Contains(samples(t, dir), file) || fileExists(filepath.Join(dir, "profile.yaml")) {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		set, err := NewSet(true)
		if err != nil {
			t.Fatal(err)
		}
		zone, _ := os.ReadFile(filepath.Join(dir, "zone")) // most have none
		t.Run(filepath.Base(file), func(t *testing.T) {
			parts, _ := checkParts(t, func() *Decoder {
				d, err := NewDecoder(set, Settings{Zone: strings.TrimSpace(string(zone))})
				if err != nil {
					t.Fatal(err)
				}
				return d
			}, filepath.Base(file), text)
			if parts > 1 {
				cut++
			}
		})
	}
	if cut < 20 {
		t.Errorf("only %d files are cut, so that little was compared", cut)
	}
}

// Jumps of clocks, and loggers that do not record as often as the table says, are
// noted of the file and not of its parts.
func TestPartsAreNotedTogether(t *testing.T) {
	var s strings.Builder
	s.WriteString("logger,channel,timestamp,value\n")
	for _, year := range []int{2020, 2022, 2010} {
		for n := range 9 {
			fmt.Fprintf(&s, "L%d,flow,%d-01-0%dT00:00:00Z,1\n", n%2, year, n+1)
		}
	}
	const profile = "name: long\nshape: long\nlogger: {column: logger}\nchannel: {column: channel}\nvalue: value\ntimestamp: {column: timestamp, layout: rfc3339}\n"
	d := decoderFor(t, profile, Settings{})
	b, whole := decodeOne(t, d, "a.csv", s.String())
	if len(whole.Notes) == 0 || len(b.Time) != 27 {
		t.Fatalf("%d readings, noted %q", len(b.Time), whole.Notes)
	}
	f := decodeParts(t, d, func() *ingest.Content { return contentOf("a.csv", []byte(s.String()), false) }, ingest.Cut{Bytes: 40}, 1)
	if diff := cmp.Diff(whole.Notes, f.span.Notes); diff != "" || len(f.ends) < 5 {
		t.Errorf("%d parts, -whole +in parts:\n%s", len(f.ends)+1, diff)
	}
}

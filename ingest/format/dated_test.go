package format

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"penstock/ingest"
)

// A content's place among others depends on its bytes, however they come.
func TestMinuteDependsOnTheBytesAlone(t *testing.T) {
	long := "time,flow\n" + strings.Repeat("2024-04-03 15:30:00,1\n", 200) + strings.Repeat("2024-04-09 15:30:00,1\n", 1<<15)
	for name, text := range map[string]string{"short": "time,flow\n2024-04-03 15:30:00,1\n", "long": long, "undated": "time,flow\n"} {
		want := ingest.MinuteIn([]byte(text[:min(len(text), dated)]))
		for how := range 3 {
			d := newGrownDecoder(t)
			c := &ingest.Content{File: ingest.File{Source: "s", Path: "L1.csv"}, Fetched: aDay, Data: []byte(text)}
			if how > 0 {
				d.feed.step = 64
				c.Data, c.Stream = nil, io.NopCloser(iotest.HalfReader(strings.NewReader(text)))
			}
			if how > 1 {
				c.Stream = io.NopCloser(iotest.OneByteReader(strings.NewReader(text[:min(len(text), 1<<17)])))
			}
			b := ingest.Batch{}
			if err := d.Decode(t.Context(), c, &b); err != nil {
				t.Fatal(err)
			}
			if got := b.Spans[0].Minute; got != want {
				t.Errorf("%s, %d: %d, want %d", name, how, got, want)
			}
		}
	}
}

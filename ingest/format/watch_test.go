package format

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"testing"

	"penstock/ingest"
)

const watched = `name: watched
signature: {header: [time, flow]}
framing: {preamble: find, rows: [names], footer: ^END, message: ^ALARM}
dialect: {comment: "#"}
shape: wide
logger: {constant: L}
timestamp: {column: time, layout: rfc3339}
`

func TestWatch(t *testing.T) {
	text := "Site: A\r\n\r\ntime,flow\r\n2024-01-01T00:00:00Z,1\r\n\r\n# a comment\r\nALARM\r\nsoon,2\r\n2024-01-01T00:15:00Z,\"1\"\r\ntime,flow\r\nEND\r\nof it\r\n"
	p, err := Parse("watched.yaml", []byte(watched))
	if err != nil {
		t.Fatal(err)
	}
	set, err := NewSet(false, p)
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDecoder(set, Settings{Profile: "watched"})
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	var all strings.Builder
	d.Watch(func(kind LineKind, first, last int64, text []byte) {
		kinds = append(kinds, fmt.Sprintf("%d-%d %s", first, last, kind))
		all.Write(text)
	})
	b := &ingest.Batch{}
	if err := d.Decode(t.Context(), &ingest.Content{File: ingest.File{Path: "a.csv"}, Data: []byte(text), Fetched: 1704067200e6 + 86400e6}, b); err != nil {
		t.Fatal(err)
	}
	want := "1-1 preamble, 2-2 preamble, 3-3 header, 4-4 data, 5-5 blank, 6-6 comment, 7-7 message, 8-8 rejected, 9-9 data, 10-10 header, 11-11 footer, 12-12 footer"
	if got := strings.Join(kinds, ", "); got != want {
		t.Errorf("lines are\n%s, want\n%s", got, want)
	}
	if all.String() != text {
		t.Errorf("texts are %q", all.String())
	}
	if len(b.Time) != 2 {
		t.Errorf("%d readings, want 2", len(b.Time))
	}
}

func TestSampleOf(t *testing.T) {
	long := strings.Repeat("2024-01-01T00:00:00Z,1\n", 100_000)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(long)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		data  []byte
		text  string
		whole bool
	}{
		{"short", []byte("a,b\n1,2\n"), "a,b\n1,2\n", true},
		{"empty", nil, "", true},
		{"long", []byte(long), long[:sampleSize], false},
		{"packed", packed.Bytes(), long[:sampleSize], false},
	} {
		for _, streamed := range []bool{false, true} {
			content := &ingest.Content{File: ingest.File{Path: "x/" + c.name}, Data: c.data}
			if streamed {
				content.Data, content.Stream = nil, io.NopCloser(bytes.NewReader(c.data))
			}
			s, refusal, err := SampleOf(content, Limits{})
			if err != nil || refusal != "" {
				t.Fatalf("%s: %v %s", c.name, err, refusal)
			}
			if string(s.Text) != c.text || s.Whole != c.whole || s.Path != "x/"+c.name {
				t.Errorf("%s, streamed %v: %d bytes, whole %v, %s", c.name, streamed, len(s.Text), s.Whole, s.Path)
			}
		}
	}
	_, refusal, err := SampleOf(&ingest.Content{Data: packed.Bytes()[:200]}, Limits{})
	if err != nil || !strings.Contains(refusal, "gzip") {
		t.Errorf("cut gzip: %q, %v", refusal, err)
	}
}

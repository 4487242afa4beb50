package format_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"penstock/ingest/format"
)

// What a decoder reads of a packed file is to be had without one; a file that is
// cut short is told to be so, with the text up to there.
func TestUnpacked(t *testing.T) {
	const text = "logger,channel,timestamp,value\nL1,flow,2024-05-01T00:00:00Z,1.5\n"
	var zipped, strong bytes.Buffer
	g := gzip.NewWriter(&zipped)
	z, err := zstd.NewWriter(&strong)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.WriteCloser{g, z} {
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct{ bytes, want, says string }{
		"plain":          {text, text, ""},
		"empty":          {"", "", ""},
		"shorter":        {"ab", "ab", ""},
		"gzip":           {zipped.String(), text, ""},
		"zstd":           {strong.String(), text, ""},
		"gzip cut short": {zipped.String()[:zipped.Len()-9], text, "the gzip data end too early: the file was cut short, "},
		"gzip's head":    {zipped.String()[:5], "", "the gzip data end too early: the file was cut short, 0 bytes of text into it"},
	} {
		t.Run(name, func(t *testing.T) {
			from, err := format.Unpacked(strings.NewReader(c.bytes))
			var got []byte
			if err == nil {
				got, err = io.ReadAll(from)
			}
			if c.says == "" && (err != nil || string(got) != c.want) || c.says != "" && (err == nil || !strings.HasPrefix(err.Error(), c.says)) || !strings.HasPrefix(c.want, string(got)) {
				t.Errorf("gives %q, %v", got, err)
			}
		})
	}
}

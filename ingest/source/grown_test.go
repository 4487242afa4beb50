package source

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"penstock/ingest"
)

// growthOf is what the ledger would keep of a file that was read to its end.
func growthOf(text []byte) *ingest.Growth {
	return &ingest.Growth{At: int64(len(text)), Lines: int64(bytes.Count(text, []byte("\n"))),
		Window: sha256.Sum256(text[max(0, len(text)-ingest.GrowthWindow):])}
}

func TestFetchGain(t *testing.T) {
	line := strings.Repeat("x", 98) + "\n"
	for name, test := range map[string]struct {
		had, gained int // lines
		seam        int64
	}{
		"small":                {10, 1, 990},
		"as long as the head":  {13240, 5, 1310760},
		"longer than the head": {20000, 3, 1310760},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "a.csv")
			had, gained := strings.Repeat(line, test.had), strings.Repeat(strings.ToUpper(line), test.gained)
			if err := os.WriteFile(path, []byte(had), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := NewDir(Options{Source: "s"}, dir)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			of := growthOf([]byte(had))
			var c ingest.Content
			f := ingest.File{Source: "s", Path: "a.csv"}
			if err := s.FetchGain(t.Context(), f, of, &c); !errors.Is(err, ingest.ErrWhole) {
				t.Errorf("a file that did not grow: %v", err)
			}
			if err := os.WriteFile(path, []byte(had+gained), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := s.FetchGain(t.Context(), f, of, &c); err != nil {
				t.Fatal(err)
			}
			if c.Gain.Seam != test.seam || c.Gain.Of.At != of.At || c.File.Size != int64(len(had)+len(gained)) {
				t.Errorf("the seam is at %d (want %d), the file has %d bytes", c.Gain.Seam, test.seam, c.File.Size)
			}
			if want := had[:c.Gain.Seam] + gained; string(c.Data) != want {
				t.Errorf("%d bytes were read, and not the %d of the head and the gain", len(c.Data), len(want))
			}
			if want := had[max(0, len(had)-ingest.GrowthWindow):]; string(c.Gain.Before) != want {
				t.Error("what was before the gain is not what the file has there")
			}
			other := []byte(had + gained)
			other[len(had)-2] = 'y'
			if err := os.WriteFile(path, other, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := s.FetchGain(t.Context(), f, of, &c); !errors.Is(err, ingest.ErrWhole) {
				t.Errorf("a file that was rewritten: %v", err)
			}
		})
	}
}

package sourcetest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"penstock/ingest"
)

// testGrown fetches what files of several lengths have gained.
func testGrown(t *testing.T, site Site) {
	s, ok := source(t, site).(ingest.Grower)
	if !ok {
		t.Skip("files are fetched whole from here")
	}
	if strings.Contains(site.Path("a.csv"), "!") {
		t.Skip("members of archives do not grow")
	}
	line := strings.Repeat("x", 98) + "\n"
	for name, test := range map[string]struct {
		had, gained int // lines
		seam        int64
	}{
		"small.csv":  {10, 1, 990},
		"head.csv":   {13240, 5, 1310760},
		"longer.csv": {20000, 3, 1310760},
	} {
		t.Run(name, func(t *testing.T) {
			had, gained := []byte(strings.Repeat(line, test.had)), []byte(strings.Repeat(strings.ToUpper(line), test.gained))
			all := append(bytes.Clone(had), gained...)
			of := &ingest.Growth{At: int64(len(had)), Lines: int64(test.had), Window: sha256.Sum256(had[max(0, len(had)-ingest.GrowthWindow):])}
			var c ingest.Content
			fetch := func(data []byte, age time.Duration) error {
				site.Put(name, data, time.Now().Add(-age).Truncate(time.Second))
				return s.FetchGain(t.Context(), only(t, site, s, name), of, &c)
			}
			if err := fetch(had, time.Hour); !errors.Is(err, ingest.ErrWhole) {
				t.Errorf("a file that did not grow: %v", err)
			}
			for range 2 { // the second time the head may be known
				if err := fetch(all, time.Minute); err != nil {
					t.Fatal(err)
				}
				if c.Gain.Seam != test.seam || c.Gain.Of.At != of.At || c.File.Size != int64(len(all)) {
					t.Errorf("the seam is at %d, want %d; the file has %d bytes, want %d", c.Gain.Seam, test.seam, c.File.Size, len(all))
				}
				if want := append(had[:test.seam:test.seam], gained...); !bytes.Equal(c.Data, want) {
					t.Errorf("%d bytes came, and not the %d of the head and the gain", len(c.Data), len(want))
				}
				if !bytes.Equal(c.Gain.Before, had[max(0, len(had)-ingest.GrowthWindow):]) {
					t.Error("what was before the gain is not what the file has there")
				}
			}
			other := bytes.Clone(all)
			other[len(had)-2] = 'y'
			if err := fetch(other, time.Second); !errors.Is(err, ingest.ErrWhole) {
				t.Errorf("a file that was rewritten: %v", err)
			}
			if err := fetch(had[:len(had)/2], 0); !errors.Is(err, ingest.ErrWhole) {
				t.Errorf("a file that is shorter than it was: %v", err)
			}
			site.Remove(name)
		})
	}
}

package store

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

// The keys of files that come one after the other are in that order, and no two
// paths or sources share one.
func TestFileKeysAreInTheOrderOfFiles(t *testing.T) {
	for _, paths := range [][]string{
		{"in/L7_20240102_0315.csv", "in/L3_20240102_0330.csv", "in/L9_20240103_0015.csv"},
		{"2024/01/02/L7.csv", "2024/01/03/L1.csv", "2024/12/01/L1.csv"},
		{"L1/LOG0009.CSV", "L1/LOG0010.CSV", "L1/LOG0100.CSV"},
		{"a2024/LOG.CSV", "L1/LOG1.CSV", "L1/LOG999999999.CSV"},
	} {
		var keys [][16]byte
		for _, path := range paths {
			keys = append(keys, FileKey("loggers", path))
		}
		if !slices.IsSortedFunc(keys, func(x, y [16]byte) int { return bytes.Compare(x[:], y[:]) }) {
			t.Errorf("%q are not in order: %x", paths, keys)
		}
	}
	seen := make(map[[16]byte]string)
	for _, source := range []string{"", "a", "b"} {
		for _, path := range []string{"", "1", "01", "x1", "x1.csv", "/x1", "x1/", "x4294967297", "x\xff1", "2024-01-02", "20240102"} {
			key := FileKey(source, path)
			if other := seen[key]; other != "" {
				t.Errorf("%s and %s/%s share a key", other, source, path)
			}
			seen[key] = source + "/" + path
		}
	}
}

// Whatever differs in what decides a file's readings makes another key, and
// contents are in the order of their minutes.
func TestContentKeys(t *testing.T) {
	one := ingest.Span{Sum: ingest.Digest{1}, Identity: ingest.Digest{2}, Minute: 7, Recipe: &ingest.Recipe{Digest: ingest.Digest{3}}}
	key := contentKey(&one)
	for name, change := range map[string]func(*ingest.Span){
		"sum":      func(s *ingest.Span) { s.Sum[31] = 9 },
		"identity": func(s *ingest.Span) { s.Identity[31] = 9 },
		"recipe":   func(s *ingest.Span) { s.Recipe = &ingest.Recipe{Digest: ingest.Digest{3, 9}} },
	} {
		other := one
		change(&other)
		if contentKey(&other) == key {
			t.Errorf("another %s has the same key", name)
		}
	}
	same := one
	same.File.Path, same.Begin, same.State = "elsewhere", 5, ingest.Held
	if contentKey(&same) != key {
		t.Error("the same content elsewhere has another key")
	}
	later := one
	later.Minute, later.Sum = 8, ingest.Digest{}
	if next := contentKey(&later); bytes.Compare(next[:], key[:]) <= 0 {
		t.Error("a later content has a smaller key")
	}
}

// The ledgers that are there have these keys: of other ones every file would be
// loaded again.
func TestKeysStayAsTheyAre(t *testing.T) {
	got := make(map[string]string)
	for _, path := range []string{"in/L7_20240102_0315.csv", "L1/LOG0010.CSV", "x", "dir\xff/2024-01-02.csv"} {
		got[path] = fmt.Sprintf("%x", FileKey("north", path))
	}
	got["a content"] = fmt.Sprintf("%x", contentKey(&ingest.Span{Sum: ingest.Digest{1}, Identity: ingest.Digest{2}, Minute: 28401075, Recipe: &ingest.Recipe{Digest: ingest.Digest{3}}}))
	want := map[string]string{
		"in/L7_20240102_0315.csv": "01b96963" + "ed7baa4c5213288d4a29f8ef", // printf 'north\0in/L7_20240102_0315.csv' | sha256sum
		"L1/LOG0010.CSV":          "8000000a" + "743eeb7d19ccda80dd4d4013",
		"x":                       "80000000" + "05936de0e460259748b1b881",
		"dir\xff/2024-01-02.csv":  "01b968a0" + "082f92e49ebd6b220b56b0c2",
		"a content":               "01b15db3" + "0eb96175668315b9f4ea1c43",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

package main

import (
	"fmt"
	"strings"
	"testing"

	"penstock/ingest"
	"penstock/store"
)

func TestPacked(t *testing.T) {
	group := func(source string, files int, readings int64) []store.FileVersion {
		all := make([]store.FileVersion, files)
		for i := range all {
			all[i].Source = source
		}
		all[0].Receipt = ingest.Receipt{Cells: ingest.Cells{Stored: readings}}
		return all
	}
	packs := packed([][]store.FileVersion{
		group("a", 1, 1), group("a", 2, 1), group("a", maxTogether, 1), group("a", 1, 1), group("b", 1, 1),
		group("b", 1, maxChunkReadings), group("b", 1, 1),
	})
	var sizes []string
	for _, p := range packs {
		sizes = append(sizes, fmt.Sprint(p[0].Source, len(p)))
	}
	if got := strings.Join(sizes, " "); got != "a3 a500 a1 b1 b1 b1" {
		t.Error(got)
	}
}

// What shares a logger, directly or through another file, is one group.
func TestKinship(t *testing.T) {
	k := make(kinship)
	file := func(id int64, loggers ...string) kindred {
		f := kindred{source: "s", file: id}
		for _, l := range loggers {
			k.join(kindred{source: "s", logger: l}, f)
		}
		return f
	}
	a, b, c, d, e := file(1, "L1"), file(2, "L2"), file(3, "L3"), file(4), file(5, "L1")
	if k.root(a) == k.root(b) || k.root(a) != k.root(e) {
		t.Error("files of other loggers belong together, or of one do not")
	}
	f := file(6, "L1", "L2")
	if k.root(a) != k.root(b) || k.root(f) != k.root(e) || k.root(a) == k.root(c) || k.root(d) == k.root(a) {
		t.Error("a file of two loggers does not join them, and no others")
	}
}

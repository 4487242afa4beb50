package format

import (
	"slices"
	"strings"
)

// readSheet makes out the table of one sample. It looks at the whole sample's
// text, at the first thousands of its lines and at the last hundreds. It keeps
// nothing of s.
func readSheet(s Sample) *sheet {
	sh := &sheet{path: s.Path, whole: s.Whole}
	if sh.readText(s); sh.refusal != "" {
		return sh
	}
	d := sh.chooseDialect()
	if d.best < 0 {
		sh.readNoRows()
		return sh
	}
	if sh.readTable(d); sh.headerless && sh.place < numbersOnly && max(d.numbers(), sh.below) > 3*len(sh.rows) {
		// A line with a time in it and no names above is no table when much else
		// goes on below.
		*sh = sheet{path: sh.path, whole: sh.whole, refusal: sh.whatItIs()}
		return sh
	}
	if sh.whenKind == whenNone && sh.intervalOnly == nil {
		sh.readNoTime()
	}
	if sh.refusal == "" {
		sh.readKindsOfRecords()
	}
	return sh
}

// readNoTime refuses a table whose rows tell no time in any way.
func (sh *sheet) readNoTime() {
	names := ""
	if !sh.headerless {
		names = " (" + cut([]byte(strings.Join(sh.names, ", "))) + ")"
	}
	sh.refusal = "the file is a table of " + plural(len(sh.rows), "row") + names + " without times: no column is a timestamp, and nothing before the rows tells a start and an interval"
}

// sameKind reports whether two sheets are of one kind: cut alike, with the same
// names but for the numbers in them, and the same rows in their header.
func sameKind(a, b *sheet) bool {
	if a.delimiter != b.delimiter || !slices.Equal(a.fixed, b.fixed) || a.headerless != b.headerless || len(a.names) != len(b.names) {
		return false
	}
	if a.headerless {
		return a.width == b.width && a.whenKind == b.whenKind && (a.preamble == 0) == (b.preamble == 0)
	}
	kinds := func(sh *sheet) (kinds []string) {
		for _, h := range sh.head {
			kinds = append(kinds, h.kind)
		}
		return kinds
	}
	if !slices.Equal(kinds(a), kinds(b)) {
		return false
	}
	for i := range a.names {
		if a.names[i] != b.names[i] && general(a.names[i]) != general(b.names[i]) {
			return false
		}
	}
	return true
}

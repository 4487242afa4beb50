package format

import (
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

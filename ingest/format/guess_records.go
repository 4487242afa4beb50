package format

import (
	"fmt"
	"slices"
	"strings"
)

// recordCode is a first cell that says of what kind a line is: 300, 0101, HD, B2.
var recordCode = lazily(`^(?:\d{2,4}|[A-Z]{1,3}\d{0,2})$`)

const (
	// maxRecordKinds is how many kinds of lines a file of records has.
	maxRecordKinds = 12
	// recordLines is how many lines tell whether a file is one of records.
	recordLines = 400
)

// readKindsOfRecords refuses a file whose lines are records of several kinds, each
// told by the code that it begins with and each of a width of its own, as in
// NEM12 or in the mixed arrays of old loggers: the lines of one kind may look
// like a table without names, and what they mean stands in the others.
func (sh *sheet) readKindsOfRecords() {
	if !sh.headerless || sh.delimiter == 0 || sh.delimiter == ' ' {
		return
	}
	c := cutter{delimiter: sh.delimiter, quote: sh.quote}
	widths := make(map[string]int)
	var kinds []string
	for at := range min(len(sh.lines), recordLines) {
		line := sh.line(at)
		if strings.TrimSpace(line) == "" {
			continue
		}
		cells := c.cut(line)
		code := strings.TrimSpace(cells[0])
		if !recordCode().MatchString(code) {
			return
		}
		width, known := widths[code]
		switch {
		case !known && len(kinds) == maxRecordKinds:
			return
		case !known:
			kinds = append(kinds, code)
			widths[code] = len(cells)
		case width != len(cells):
			return // of a table, or of something else
		}
	}
	unlike := slices.ContainsFunc(kinds, func(code string) bool { return widths[code] != widths[kinds[0]] })
	if len(kinds) < 2 || !unlike {
		return
	}
	sh.refusal = fmt.Sprintf("its lines are records of %d kinds (%s), each with cells of its own, and not the rows of one table", len(kinds), strings.Join(kinds, ", "))
}

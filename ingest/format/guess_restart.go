package format

import (
	"fmt"
	"slices"
	"strings"
)

// anotherBegins asks about a header among the rows that begins what is of
// another logger, of another channel, or has other columns: all of it would go by
// what stands at the head of the file. It looks at the whole sample.
func (t *tableReader) anotherBegins(names string) {
	sh := t.sheet
	if names == "" || len(sh.rows) == 0 || sh.place >= numbersOnly {
		return
	}
	from := int(sh.rows[0].line)
	begin := firstByte(sh.line(from - 1))
	for i := from; i < t.end; i++ {
		line := strings.TrimSpace(sh.line(i))
		if line == "" || isDigit(begin) && isDigit(firstByte(line)) {
			continue
		}
		if line != names {
			if cells := t.otherNames(i); cells != nil {
				sh.find("table", fmt.Sprintf("from line %d", from), Open, int64(i+1), "line %d names other columns (%s), and what stands below is no less a table", i+1, cut([]byte(strings.Join(cells, ", "))))
				return
			}
			continue
		}
		if at := t.otherLogger(i); at >= 0 {
			sh.find("table", fmt.Sprintf("from line %d", from), Open, int64(at+1), "at line %d something else begins: %s", at+1, cut([]byte(strings.TrimSpace(sh.line(at)))))
			return
		}
	}
}

func firstByte(line string) byte {
	if line = strings.TrimLeft(line, " \t\"'"); line == "" {
		return 0
	}
	return line[0]
}

// otherNames returns the cells of line i if they are names of columns, and other
// ones than those of the table.
func (t *tableReader) otherNames(i int) []string {
	sh := t.sheet
	cells := t.cutter.cut(sh.line(i))
	if len(cells) != sh.width || len(cells) < 2 || slices.Contains(cells, "") || t.namesInOtherOrder(i) {
		return nil
	}
	l := headLine{at: i, cells: slices.Clone(cells), last: len(cells)}
	if sh.judge(&l); l.role != wordsLine || !l.timed || distinct(&l) < len(cells) {
		return nil
	}
	if slices.ContainsFunc(sh.head, func(h headRow) bool { return slices.Equal(h.cells, l.cells) }) {
		return nil
	}
	return l.cells
}

// namesInOtherOrder reports whether line i has the names of the columns, and no
// other cells.
func (t *tableReader) namesInOtherOrder(i int) bool {
	cells := slices.Sorted(slices.Values(t.cutter.cut(t.line(i))))
	return len(cells) > 1 && slices.Equal(cells, slices.Sorted(slices.Values(t.names)))
}

// moment is a date or a time of day within a line.
var moment = lazily(`\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2}:\d{2}(:\d{2})?`)

// otherLogger returns the line, of those right above the header that line i
// repeats, that tells another logger, channel or unit than the lines before the
// first; -1 when none does.
func (t *tableReader) otherLogger(i int) int {
	sh := t.sheet
	nearest := -1
	for at := i - 1; at > i-40 && at >= 0; at-- {
		line := sh.line(at)
		if strings.TrimSpace(line) == "" {
			continue
		}
		t.cutter.cut(line)
		if f := formOf(t.cutter); f.place() == t.place {
			break
		}
		if nearest < 0 {
			nearest = at
		}
		for _, told := range sh.told {
			key := strings.ToLower(strings.Trim(told.key, ` :;=\"'#*`))
			if key == "" || !placeKey().MatchString(key) && !serialKey().MatchString(key) && !slices.Contains(quantityKeys, key) && !nameUnit().MatchString(key) {
				continue
			}
			first := strings.TrimSpace(sh.line(int(told.line) - 1))
			if rest, ok := strings.CutPrefix(strings.TrimLeft(line, ` "#*;,`), told.key); ok && !told.below && strings.TrimSpace(line) != first && (rest == "" || !isLetter(rest[0])) {
				return at
			}
		}
	}
	// A heading without a key.
	if nearest < 0 {
		return -1
	}
	for at := sh.preamble - 1; at >= 0; at-- {
		if first := strings.TrimSpace(sh.line(at)); first != "" {
			bare := func(s string) string { return moment().ReplaceAllString(strings.TrimSpace(s), "") }
			_, _, keyed := strings.Cut(first, ":")
			if !keyed && bare(first) != bare(sh.line(nearest)) {
				return nearest
			}
			return -1
		}
	}
	return -1
}

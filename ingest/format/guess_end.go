package format

import (
	"regexp"
	"slices"
	"strings"
)

// sortOut tells what the lines are that are no rows: the header again,
// comments, messages, or the end of the table.
func (t *tableReader) sortOut() {
	sh := t.sheet
	var names string
	for _, h := range sh.head {
		if h.kind == rowNames {
			names = strings.TrimSpace(sh.line(int(h.line) - 1))
		}
	}
	head := make(map[string]bool, len(sh.head)+1)
	for _, h := range sh.head {
		head[strings.TrimSpace(sh.line(int(h.line)-1))] = true
	}
	t.dropTold()
	t.anotherBegins(names)
	var among, after []int
	again, renamed := -1, false // the line that is the header again; whether one is so in other words
	for _, i := range t.others {
		line := strings.TrimSpace(sh.line(i))
		switch {
		case names != "" && (line == names || t.namesInOtherOrder(i)):
			sh.repeats++
			again = i
		case head[line] && i < t.end:
			again = i
		case again == i-1 && len(sh.head) > 1 && i < t.end, t.headerAgain(i):
			// What it means for the rows below is the decoder's to tell: it takes
			// another header for one, or refuses the file.
			if !renamed {
				sh.find("header", "again, in other words", Likely, int64(i+1), "it tells anew what the columns or whose the rows below are: %s", cut([]byte(sh.line(i))))
			}
			renamed = true
		case i >= t.end:
			after = append(after, i)
		default:
			among = append(among, i)
		}
	}
	sh.countWidths()
	sh.below = len(after)
	among, after = sh.readComments(among, after, names)
	among, after = sh.alikeMessages(among, after)
	if len(after) > 0 {
		last := after[len(after)-1]
		if len(after) == 1 && last == len(sh.lines)-1 && sh.whole && sh.lines[last].end == len(sh.text) && sh.looksTorn(t.cutter, last) {
			sh.torn = true
			sh.find("last line", "torn", Certain, int64(last+1), "it has no line ending and is no whole row: %s", cut([]byte(sh.line(last))))
		} else {
			sh.readFooter(after)
		}
	}
	if len(among) > 0 {
		sh.readMessages(among)
	}
	sh.readHollow(t.hollow)
	if n := len(sh.rows) - 1; !sh.torn && sh.whole && len(after) == 0 && len(sh.rows[n].cells) < sh.width && sh.lines[len(sh.lines)-1].end == len(sh.text) && int(sh.rows[n].line) == len(sh.lines) && len(sh.rows) > 1 {
		sh.torn = true
		sh.find("last line", "torn", Certain, sh.rows[n].line, "it has no line ending and %d of %d cells", len(sh.rows[n].cells), sh.width)
	}
}

// headerAgain reports whether line i names columns that the table has, or tells
// what a line before the header tells: a header in other words, or the block of
// another logger, and no message.
func (t *tableReader) headerAgain(i int) bool {
	sh := t.sheet
	line := sh.line(i)
	for _, told := range sh.told {
		if told.key != "" && !told.below && strings.HasPrefix(strings.TrimLeft(line, "\" #;,\t"), told.key+strings.TrimRight(told.between, " \t")) && i >= int(sh.rows[0].line) {
			return true
		}
	}
	named, known := 0, 0
	for _, c := range t.cutter.cut(line) {
		switch cellLooks(c) {
		case looksEmpty:
			continue
		case looksText:
		default:
			return false
		}
		named++
		if slices.ContainsFunc(sh.names, func(name string) bool { return name != "" && general(name) == general(c) }) {
			known++
		}
	}
	return named > 1 && known*2 >= named
}

// dropTold makes messages of rows that have a time and then, in fewer cells than
// most, a text where all others have none.
func (t *tableReader) dropTold() {
	sh := t.sheet
	if sh.width < 3 || len(sh.when) == 0 || sh.place >= numbersOnly {
		return
	}
	isText := func(s string) bool { return cellLooks(s) == looksText }
	typical := sh.typicalRows()
	from := sh.when[len(sh.when)-1] + 1
	if len(typical) == 0 || share(typical, from, isText) > 0 {
		return
	}
	t.drop(func(r *sheetRow) bool {
		return len(r.cells) < sh.width && len(r.cells) > from && isText(r.cells[from])
	})
}

// countWidths counts the rows that are narrower or wider than most.
func (sh *sheet) countWidths() {
	wide := sh.width
	if !sh.headerless {
		wide = len(sh.names)
	}
	for i := range sh.rows {
		cells := sh.rows[i].cells
		switch {
		case len(cells) < wide:
			sh.short++
		case len(cells) > wide && slices.ContainsFunc(cells[wide:], func(s string) bool { return s != "" }):
			sh.long++
		}
	}
}

// alikeMessages counts lines after the rows among the messages where such lines
// stand between the rows, too: they do not end the table.
func (sh *sheet) alikeMessages(among, after []int) (messages, footer []int) {
	for len(after) > 0 {
		o := opening(sh.line(after[0]))
		if o == "" || !slices.ContainsFunc(among, func(i int) bool { return opening(sh.line(i)) == o }) {
			break
		}
		among, after = append(among, after[0]), after[1:]
	}
	return among, after
}

// looksTorn reports whether a last line is the beginning of a row.
func (sh *sheet) looksTorn(c *cutter, at int) bool {
	cells := c.cut(sh.line(at))
	if len(cells) > sh.width || c.fault {
		return c.fault
	}
	first := cellLooks(cells[0])
	if len(sh.rows) == 0 || len(sh.rows[0].cells) == 0 {
		return false
	}
	usual := cellLooks(sh.rows[0].cells[0])
	return first == usual || first != looksText && first != looksEmpty || usual == looksText && cells[0] == sh.rows[0].cells[0]
}

// readComments finds a sign that lines between or after the rows begin with,
// and no row and no header does.
func (sh *sheet) readComments(among, after []int, names string) (messages, footer []int) {
	all := slices.Concat(among, after)
	for _, sign := range []string{"#", "%", "//", "!"} {
		begins := func(i int) bool { return strings.HasPrefix(strings.TrimLeft(sh.line(i), `" `), sign) }
		n := 0
		for _, i := range all {
			if begins(i) {
				n++
			}
		}
		if n == 0 || strings.HasPrefix(names, sign) || strings.HasPrefix(sh.rows[0].cells[0], sign) || !strings.HasPrefix(sh.line(all[slices.IndexFunc(all, begins)]), sign) {
			continue
		}
		if slices.ContainsFunc(sh.head, func(h headRow) bool { return strings.HasPrefix(sh.line(int(h.line)-1), sign) }) {
			continue
		}
		sh.comment = sign
		first := all[slices.IndexFunc(all, begins)]
		sh.find("comment", sign, Certain, int64(first+1), "%s between or after the rows: %s", plural(n, "line"), cut([]byte(sh.line(first))))
		return slices.DeleteFunc(slices.Clone(among), begins), slices.DeleteFunc(slices.Clone(after), begins)
	}
	return among, after
}

// readFooter finds a pattern for the first line after the rows.
func (sh *sheet) readFooter(after []int) {
	line := sh.line(after[0])
	pattern := "^" + opening(line)
	if pattern == "^" || sh.matchesRow(pattern, true) {
		sh.find("end", "unclear", Likely, int64(after[0]+1), "%s after the last row: %s", plural(len(after), "line"), cut([]byte(line)))
		return
	}
	sh.footer, sh.footerLine = pattern, int64(after[0]+1)
	sh.find("end", sh.footer, Certain, sh.footerLine, "%s after the last row, from this on: %s", plural(len(after), "line"), cut([]byte(line)))
}

// opening is a pattern for what a line that is no row begins with, up to its
// first digit and no more than some words.
func opening(line string) string {
	p, words := 0, 0
	for p < len(line) && !isDigit(line[p]) && words < 6 {
		if blank(line[p]) {
			words++
		}
		p++
	}
	if p < len(line) && p > 0 && (line[p-1] == '-' || line[p-1] == '+' || line[p-1] == '.') {
		p-- // of the number
	}
	text := strings.TrimRight(line[:p], " \t")
	if strings.Trim(text, " \t,;|\"'") == "" {
		return ""
	}
	if i := strings.IndexAny(text, ",;\t|"); i > 0 && strings.Trim(text[:i], " \"'") != "" {
		text = text[:i] // the first cell is enough
	}
	pattern := regexp.QuoteMeta(text)
	if isLetter(text[len(text)-1]) {
		pattern += `\b` // the word, not what begins like it
	}
	return pattern
}

// matchesRow reports whether a pattern matches a row or, if asked, the row of
// names.
func (sh *sheet) matchesRow(pattern string, header bool) bool {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return true
	}
	for i := range sh.rows {
		if re.MatchString(sh.line(int(sh.rows[i].line) - 1)) {
			return true
		}
	}
	for _, h := range sh.head {
		if header && h.kind == rowNames && re.MatchString(sh.line(int(h.line)-1)) {
			return true
		}
	}
	return false
}

// readMessages finds a pattern for lines among the rows that are none.
func (sh *sheet) readMessages(among []int) {
	for _, i := range among {
		sh.messages = append(sh.messages, int64(i+1))
	}
	var openings []string
	for _, i := range among {
		o := opening(sh.line(i))
		if o == "" {
			openings = nil
			break
		}
		if !slices.Contains(openings, o) {
			openings = append(openings, o)
		}
	}
	example := cut([]byte(sh.line(among[0])))
	slices.Sort(openings)
	pattern := ""
	switch {
	case len(openings) == 0:
	case len(openings) == 1:
		pattern = "^" + openings[0]
	case len(commonWords(openings)) > 2:
		pattern = "^" + commonWords(openings)
	case len(openings) <= 6:
		pattern = "^(?:" + strings.Join(openings, "|") + ")"
	default:
		pattern = `^\s*"?[A-Za-z]`
	}
	if pattern == "" {
		// A time, then text where all rows have a number.
		d := regexp.QuoteMeta(string(sh.delimiter))
		pattern = `^[^` + d + `]*` + d + `\s*"?[A-Za-z*]`
		re := regexp.MustCompile(pattern)
		if sh.delimiter == 0 || sh.delimiter == ' ' || slices.ContainsFunc(among, func(i int) bool { return !re.MatchString(sh.line(i)) }) {
			pattern = ""
		}
	}
	if pattern != "" && !sh.matchesRow(pattern, false) {
		sh.message = pattern
		sh.find("messages", pattern, Certain, sh.messages[0], "%s among the rows that are none: %s", plural(len(among), "line"), example)
		return
	}
	sh.find("messages", "none", Likely, sh.messages[0], "%s among the rows that cannot be read as rows and will be rejected: %s", plural(len(among), "line"), example)
}

// commonWords is what all openings begin with, in whole words.
func commonWords(openings []string) string {
	common := openings[0]
	for _, o := range openings[1:] {
		n := 0
		for n < len(common) && n < len(o) && common[n] == o[n] {
			n++
		}
		common = common[:n]
	}
	if i := strings.LastIndexByte(common, ' '); i > 0 {
		return common[:i] + `\b`
	}
	return ""
}

// readHollow takes lines of delimiters alone, which spreadsheets leave behind,
// for messages.
func (sh *sheet) readHollow(lines []int) {
	if len(lines) == 0 {
		return
	}
	hollow := `[\s"` + regexp.QuoteMeta(string(sh.delimiter)) + `]*$`
	if sh.message == "" {
		sh.message = "^" + hollow
	} else {
		sh.message = "^(?:" + strings.TrimPrefix(sh.message, "^") + "|" + hollow + ")"
	}
	sh.find("messages", sh.message, Certain, int64(lines[0]+1), "%s of delimiters alone, with nothing between them", plural(len(lines), "line"))
}

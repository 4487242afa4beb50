package format

import (
	"bytes"
	"slices"
)

// restart reads the head of the profile that w may begin with among the rows: a
// logger writes it anew when it is started again, with other names when its
// program was changed. What it finds applies to the rows that follow. It returns
// how many bytes it read, 0 when there is no head; more says that more of the
// file has to be seen to tell.
//
// It is asked about lines that are no records only, and, where rows do not tell
// their times, about those without a value.
func (d *Decoder) restart(w []byte, final bool) (n int, more bool, fault *refusal) {
	p := d.plan.profile
	if len(p.framing.rows) == 0 {
		return 0, false, nil
	}
	if len(w) > maxHead {
		w, final = w[:maxHead], false
	} else {
		more = !final
	}
	h, same, found := d.headHere(w, final)
	preamble := false
	if found == foundNot && d.line >= d.noHeadTo && d.opens(w) {
		preamble = true
		h, same, found = d.blockHere(w, final)
	}
	switch {
	case found == foundMore && more:
		return 0, true, nil
	case found != foundHead && d.namesAlone(w):
		h, same, preamble = head{lines: 1}, true, false
		_, h.size, _ = lineEnd(w, true)
	case found != foundHead:
		return 0, false, d.otherHeader(w)
	}
	h.above = d.line
	if same && !preamble {
		d.lines.Header += h.lines
		d.lines.Total += h.lines
		d.line += h.lines
		return h.size, false, nil
	}
	if preamble {
		d.preamble = append(d.preamble[:0], w[:h.preamble]...)
	}
	size := h.size
	if !preamble { // the one before holds
		if d.reread += len(d.preamble); d.reread > maxReread {
			return 0, false, quarantine("line %d is another header, %q, and so many came before it that they are no headers of a table", d.line+1, cut(bytes.TrimRight(w[:h.size], "\r\n")))
		}
		n := len(d.preamble)
		w = append(d.preamble, w[:h.size]...) // it keeps the room that this takes
		d.preamble = w[:n]
		h.preamble, h.size = n, len(w)
	}
	before, logger := d.plan, string(d.logger)
	if fault := d.attach(w, &h); fault != nil {
		return 0, false, fault
	}
	d.beginBlock(logger)
	d.span.Kind = before.kind
	if d.plan.told {
		d.span.Recipe = before.recipe // the zone from outside may have counted
	}
	return size, false, nil
}

// headHere looks for the rows of a header at the beginning of w. same says that
// they are those of the header that holds now; all rows but that of the names
// may be so in part only.
func (d *Decoder) headHere(w []byte, final bool) (h head, same bool, found finding) {
	p, rows := d.plan.profile, d.header
	h = head{variant: variant{profile: d.asked, delimiter: p.dialect.delimiter, wrapped: p.dialect.wrapped}}
	same = true
	named := false
	for _, row := range p.framing.rows {
		end, next, found := nextLine(w[h.size:], final, d.limit)
		if found == foundNot && named && same {
			break // the file ends within the header
		}
		if found != foundHead {
			return h, false, found
		}
		line := w[h.size : h.size+end]
		before, after, _ := lineEnd(rows, true)
		equal := bytes.Equal(line, rows[:before])
		rows = rows[after:]
		switch {
		case row == rowNames:
			named = true
			if !equal && !p.signature.fits(p.cells(line, &d.split)) {
				return h, false, foundNot
			}
		case equal:
		case !named:
			return h, false, foundNot
		case d.isRecord(line):
			if !same {
				return h, false, foundNot
			}
			return h, same, foundHead
		}
		same = same && equal
		h.size += next
		h.lines++
	}
	return h, same, foundHead
}

// namesAlone reports whether the line that w begins with is the row of names of
// the header that holds now, without the rows above it.
func (d *Decoder) namesAlone(w []byte) bool {
	rows := d.header
	for _, row := range d.plan.profile.framing.rows {
		end, next, _ := lineEnd(rows, true)
		if row == rowNames {
			line, _, _ := lineEnd(w, true)
			return bytes.Equal(w[:line], rows[:end])
		}
		rows = rows[next:]
	}
	return false
}

// opens reports whether the line that w begins with begins the block before the
// header: it is the file's first, is described as such, or names a logger.
func (d *Decoder) opens(w []byte) bool {
	end, _, _ := lineEnd(w, true)
	line := w[:end]
	p := d.plan.profile
	if first := p.signature.firstLine; first != nil && first.in(line) {
		return true
	}
	if p.logger.preamble != nil && p.logger.preamble.in(line) {
		return true
	}
	for preamble := d.preamble; len(preamble) > 0; {
		end, next, _ := lineEnd(preamble, true)
		if len(trim(preamble[:end])) > 0 {
			return bytes.Equal(line, preamble[:end])
		}
		preamble = preamble[next:]
	}
	return false
}

// blockHere is headHere for a header with the block before it.
func (d *Decoder) blockHere(w []byte, final bool) (h head, same bool, found finding) {
	p := d.plan.profile
	h, found = p.findVariant(w, final, p.dialect.delimiter, !d.forced, true, d.limit, &d.split)
	if found != foundHead {
		if found != foundMore && p.framing.preamble < 0 {
			d.noHeadTo = d.line + maxPreamble // what was looked through need not be again
		}
		return h, false, found
	}
	h.variant = variant{profile: d.asked, delimiter: p.dialect.delimiter, wrapped: p.dialect.wrapped}
	d.split.use(&p.dialect)
	for block := w[:h.preamble]; len(block) > 0; {
		end, next, _ := lineEnd(block, true)
		if d.isRecord(block[:end]) {
			return h, false, foundNot // nothing that may be data is passed over
		}
		block = block[next:]
	}
	if same = bytes.Equal(lineless(w[h.preamble:h.size]), lineless(d.header)); same {
		return h, true, foundHead
	}
	hd, fault := p.headerOf(w, &h, &d.split)
	if fault != "" || !p.signature.fits(cellsOf(hd.names)) && !slices.Equal(hd.names, d.plan.names) {
		return h, false, foundNot
	}
	return h, false, foundHead
}

// lineless returns header rows with their line endings all alike.
func lineless(rows []byte) []byte {
	return bytes.TrimSuffix(bytes.ReplaceAll(bytes.ReplaceAll(rows, []byte("\r\n"), []byte("\n")), []byte("\r"), []byte("\n")), []byte("\n"))
}

func cellsOf(names []string) []cell {
	cells := make([]cell, len(names))
	for i, name := range names {
		cells[i].b = []byte(name)
	}
	return cells
}

// isRecord reports whether the line reads as a record, by its timestamp; where
// rows do not tell their times, by one of its readings.
func (d *Decoder) isRecord(line []byte) bool {
	_, _, fault := d.split.split(line, len(line), len(line), true)
	if fault != quotesFine || !d.level() && len(d.split.cells) < len(d.plan.fields) {
		return false
	}
	if len(d.plan.stamps) == 0 {
		return d.tellsValue()
	}
	text, ok := d.stampText(d.split.cells)
	if !ok {
		return false
	}
	_, read := d.plan.clock.micros(text)
	return read != readNot
}

// tellsValue reports whether some value of the record in the splitter is a number
// or missing.
func (d *Decoder) tellsValue() bool {
	pl := d.plan
	return slices.ContainsFunc(pl.values, func(v value) bool {
		c := &d.split.cells[v.field]
		if pl.isMissing(c, &v) {
			return true
		}
		_, ok := pl.measure(bare(c.b), c.quoted)
		return ok
	})
}

// otherHeader refuses a file in which the line that w begins with names the
// columns in a way that the profile does not know: what the rows below it mean
// is not known, though they may look like those above.
func (d *Decoder) otherHeader(w []byte) *refusal {
	p := d.plan.profile
	end, _, _ := lineEnd(w, true)
	cells := p.cells(w[:min(end, d.limit)], &d.split)
	columns := d.plan.names
	timed := len(d.plan.stamps) > 0
	for _, i := range d.plan.stamps {
		timed = timed && columns[i] != "" && slices.ContainsFunc(cells, func(c cell) bool { return string(c.b) == columns[i] })
	}
	known, named := 0, 0
	for _, c := range cells {
		if len(c.b) == 0 {
			continue
		}
		if _, number := numberShape(bare(c.b), d.plan.sign); number || len(c.b) > maxName {
			return nil
		}
		named++
		if d.plan.hasColumn(c.b) {
			known++
		}
	}
	// The time's column and another are a header, and so are most of the columns.
	if named < 2 || !timed && known*2 < named {
		return nil
	}
	return quarantine("line %d is another header, %q, which profile %s does not describe, so what the rows below it mean is not known; describe both in the profile, or split the file there", d.line+1, cut(w[:end]), p.Name)
}

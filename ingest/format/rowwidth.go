package format

import "slices"

// width returns how many of the header's columns there are: those at its end
// that have no name, and that no key of the profile names by number, come of
// delimiters at the ends of lines. A cell with something in it that stands below
// them is one too many.
func (p *Profile) width(names []string) int {
	n := len(names)
	for n > 0 && len(trim([]byte(names[n-1]))) == 0 {
		n--
	}
	if p.pairs != "" {
		n = min(n+1, len(names)) // the second of a pair needs no name
	}
	refs := slices.Concat(p.stamp.columns, p.ignore.columns, p.logger.columns, p.channel.columns, p.unit.columns, []*columnRef{p.value, p.quality, p.factor})
	for _, rule := range p.channels {
		refs = append(refs, rule.column, rule.quality)
	}
	for _, c := range refs {
		if c != nil && c.number <= len(names) {
			n = max(n, c.number)
		}
	}
	return n
}

// level makes the record in the splitter as wide as the header, as far as the
// profile has it: cells beyond it that are empty always go, and a record that
// the file's end cut is never filled up. It reports whether that is done.
func (d *Decoder) level() bool {
	n, framing := len(d.plan.fields), &d.plan.profile.framing
	if cells := d.split.cells; len(cells) > n {
		d.split.cells = cells[:n]
		return framing.long || allBlank(cells[n:])
	}
	if !framing.short || d.torn {
		return len(d.split.cells) == n
	}
	for len(d.split.cells) < n {
		d.split.cells = append(d.split.cells, cell{})
	}
	return true
}

// allBlank reports whether there is nothing in the cells.
func allBlank(cells []cell) bool {
	return !slices.ContainsFunc(cells, func(c cell) bool { return len(trim(c.b)) > 0 })
}

// blankLines counts the lines of a record without anything in its cells, as
// spreadsheets write below their tables.
func (d *Decoder) blankLines(n int64) {
	d.lines.Total += n
	d.lines.Blank += n
	d.line += n
}

// tear adds to the reason why a record is rejected what the file's end tells of
// it.
func (d *Decoder) tear() string {
	if !d.torn {
		return ""
	}
	return "; the file ends here without a line ending, so it may have been cut short"
}

// tearAt is tear for a fault of one field.
func (d *Decoder) tearAt(field int) string {
	if field != len(d.plan.fields)-1 {
		return ""
	}
	return d.tear()
}

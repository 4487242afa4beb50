package format

// columnLines says how lines of the preamble name the columns of a file that has no
// row of names: one column for every match, in order, between those of first
// and last.
type columnLines struct {
	pattern     *pattern // with the group channel, and perhaps unit
	first, last []string
}

// header returns the names of the columns, and their units where the pattern
// tells them. fault says why the preamble names none.
func (l *columnLines) header(preamble []byte) (names, units []string, fault string) {
	names = append(names, l.first...)
	units = append(units, make([]string, len(l.first))...)
	for match := range l.pattern.all(preamble) {
		channel, unit := match("channel"), match("unit")
		if why := nameFault(channel); why != "" {
			return nil, nil, "a channel that the lines before the data name " + why
		}
		names, units = append(names, string(trim(channel))), append(units, string(trim(unit)))
	}
	if len(names) == len(l.first) {
		return nil, nil, "no line before the data names a column: the profile expects them to match " + quoted([]byte(l.pattern.re.String()))
	}
	names = append(names, l.last...)
	units = append(units, make([]string, len(l.last))...)
	if l.pattern.groups["unit"] == 0 {
		units = nil
	}
	return names, units, ""
}

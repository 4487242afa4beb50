package format

// A form is what the cells of one line look like under one dialect.
type form struct {
	width int // cells
	last  int // cells up to the last that is not empty
	when  int // the first cell that tells a time; -1 for none
	kind  cellKind
	// numbers, texts, times and missing count cells; valued those that may be
	// readings: numbers and missing ones beside the time, but for a first column
	// that counts the rows.
	numbers, texts, times, missing int
	valued                         int
	fault                          bool
}

// formOf tells the form of the cells that c has cut.
func formOf(c *cutter) form {
	f := form{width: len(c.cells), when: -1, fault: c.fault}
	left := 0
	for i, cell := range c.cells {
		k := cellLooks(cell)
		if k != looksEmpty {
			f.last = i + 1
		}
		switch {
		case k == looksMissing:
			f.missing++
			if f.when >= 0 {
				f.valued++
			}
		case k.valued():
			f.numbers++
			if f.when >= 0 {
				f.valued++
			} else if i > 0 || k == looksMarked || !wholeNumber(cell) {
				left++
			}
		case k.timed():
			f.times++
			if f.when < 0 {
				f.when, f.kind = i, k
			}
		case k == looksText:
			f.texts++
		}
	}
	if f.when > 0 && f.valued == 0 {
		f.valued = left
		if left == 0 && f.texts == 0 && f.numbers > 0 {
			f.valued = 1 // value;time
		}
	}
	return f
}

func wholeNumber(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

// A rowPlace is what rows of one table have in common: where their time stands,
// and how roughly it is written; or, for rows of numbers, how many cells they
// have. 0 is no place: the line is no row.
type rowPlace int

const numbersOnly rowPlace = 1 << 20

func (f *form) place() rowPlace {
	switch {
	case f.when >= 0 && f.width > 1:
		class := rowPlace(0) // midnight may be written without its time
		switch f.kind {
		case looksClock:
			class = 1
		case looksInterval:
			class = 2
		}
		return 1 + rowPlace(f.when)*3 + class
	case f.when < 0 && f.numbers > 0 && f.numbers+f.missing >= f.texts:
		return numbersOnly + rowPlace(f.width)
	}
	return 0
}

// A stretch is lines that follow one another, or nearly, and are rows of one
// table.
type stretch struct {
	place       rowPlace
	width       int // of its first row
	first, last int // lines from 0
	rows        int
	valued      int // rows with something that may be a reading
	typed, told int // cells of valued rows that are numbers, times or missing; that are not empty
	faults      int
}

// nearly is how many lines may stand between two rows of a stretch.
const nearly = 6

// stretches finds the stretches of lines whose forms are given.
func stretches(forms []form) []stretch {
	var all []stretch
	open := make(map[rowPlace]int, 8) // the last of each place
	for i := range forms {
		f := &forms[i]
		p := f.place()
		if p == 0 {
			continue
		}
		k, ok := open[p]
		if !ok || i != all[k].last+1 && (i > all[k].last+nearly || f.width != all[k].width) {
			k = len(all)
			open[p] = k
			all = append(all, stretch{place: p, width: f.width, first: i})
		}
		s := &all[k]
		s.last = i
		s.rows++
		if f.fault {
			s.faults++
		}
		if f.valued > 0 || p >= numbersOnly {
			s.valued++
			s.typed += f.numbers + f.times + f.missing
			s.told += f.numbers + f.times + f.missing + f.texts
		}
	}
	return all
}

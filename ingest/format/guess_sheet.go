package format

// A sheet is what the beginning of a file shows of the table in it: its text,
// its dialect, its framing and its rows cut into cells, before anything is
// known of what the columns mean. It holds for one sample; nothing in it comes
// from another file.
type sheet struct {
	path  string
	whole bool // the sample is the whole file

	// refusal says in a sentence what the file is, when it is no table of
	// readings. All else but path, whole and findings may then be empty.
	refusal string

	// encoding is a label of dialect.encoding: utf-8, utf-16le, utf-16be,
	// windows-1252 or iso-8859-1. A text of ASCII alone is utf-8, and ascii.
	encoding string
	ascii    bool
	// foreignFrom is where the first byte stands that is not UTF-8; 0 for none.
	foreignFrom int
	bom         bool // the text began with a byte order mark
	nul         bool // NUL bytes stood in the text and were left out
	// text is UTF-8 without byte order mark and NUL bytes; its line endings are
	// as they came. A sample that is not whole ends with its last whole line.
	text  string
	lines []sheetLine // every line of text; line n of the file is lines[n-1]
	// ending is that of most lines: LF, CRLF or CR; mixed says that others occur.
	ending string
	mixed  bool

	// delimiter is ',' ';' '\t' '|' or ' ' (runs of blanks) or another single
	// character; 0 when fixed tells the columns.
	delimiter byte
	fixed     []int  // widths in characters of all columns but the last
	quote     byte   // '"', '\'', or 0 when quotes are text
	quotes    bool   // some cell of head or rows was quoted
	comment   string // prefix of comment lines between or after the rows; "" for none
	sep       bool   // the first line is sep=X

	// preamble is how many lines stand before the first row of head, and before
	// the first row where there is no head.
	preamble int
	// told are the preamble's lines as keys and values, as far as they are.
	told []toldLine
	// head are the header's rows in order, the one of names among them unless
	// headerless or namesGiven. They are consecutive lines.
	head []headRow
	// names are the columns' names as they stand in the file, trimmed, one for
	// each column. Where no row of head gives them as it stands (its cells are
	// cut in another way than those of the rows), namesGiven is set, and all
	// rows of head are skipped. A headerless table has no names.
	names      []string
	namesGiven bool
	headerless bool

	place rowPlace // what the rows have in common
	width int      // cells of most rows
	// rows are the first rows of the table and, where there are more than those,
	// the last of the sample: rows[gap:] do not follow on rows[:gap]. gap is
	// len(rows) when nothing is left out between.
	rows []sheetRow
	gap  int
	// when are the columns (from 0) that together look like the time of a row,
	// and whenKind how; empty with intervalOnly and when nothing looks like one.
	when     []int
	whenKind whenKind
	// intervalOnly is not nil when rows hold numbers alone and the preamble
	// tells when the first was and how far they are apart.
	intervalOnly *intervalOnly
	// columnsFrom is a pattern with a group channel, and unit where there is
	// one, that matches the preamble once for each column of values: the names
	// of a table without a row of names. "" where there is none.
	columnsFrom string

	short, long int // rows with fewer and with more cells than width
	// repeats counts lines among the rows that are the header again.
	repeats int
	// footer is a pattern for the first line after the rows, message one for
	// lines between them that are no data, records one with a group records for
	// the line that declares how many rows there are; "" where there is none.
	footer, message, records string
	footerLine               int64 // 0 for none
	below                    int   // lines from there on that are not blank
	messages                 []int64
	torn                     bool // the last line has no line ending and fewer cells

	// findings are those of the text, the dialect and the framing.
	findings []Finding
}

// A sheetLine is where a line stands in the text, without its line ending.
type sheetLine struct{ start, end int }

// A sheetRow is a line of data. Its cells are without quotes and without the
// blanks around them.
type sheetRow struct {
	line   int64 // from 1
	cells  []string
	quoted []bool // of each cell; nil when none was
}

// A headRow is a line of the header.
type headRow struct {
	line  int64
	kind  string // rowNames, rowUnits, rowProcess or rowSkip
	cells []string
}

// A toldLine is a line of the preamble.
type toldLine struct {
	line int64
	// key and value are those of `key: value`, `key = value`, `key<delimiter>value`
	// or of a line of keys above one of values; key is "" for any other line,
	// which is all in value. section is the [section] or heading above it.
	section, key, value string
	// between is what stands from key to value in the line: ":", "=", a
	// delimiter, with the blanks around it. below says that the value is in the
	// next line.
	between string
	below   bool
}

// A whenKind is how a row tells its time.
type whenKind uint8

const (
	whenNone     whenKind = iota
	whenInstant           // one cell with date and time: 2024-01-02 03:04, 02-Jan-24 3:04 PM, 20240102030405
	whenDate              // a date alone
	whenClock             // a time of day alone
	whenTwo               // a date and a time of day in two cells, in either order
	whenParts             // numbers: year, month, day, hour, minute, or year, day of the year, hhmm
	whenEpoch             // seconds, milliseconds or microseconds since 1970
	whenSerial            // days since 1899-12-30
	whenInterval          // two instants in one cell
)

// An intervalOnly tells the times of rows that do not.
type intervalOnly struct {
	line  int64  // of the preamble, the one that tells both or the start
	start string // pattern with a group time
	time  string // what it gives: 17/03/93,11:45
	every string // pattern with a group every, and unit where there is one
	span  string // what it gives: 15.0
	unit  string // min
}

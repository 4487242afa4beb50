// Package format turns the bytes of logger files into columns of readings.
//
// A Profile, written in YAML, describes one layout of CSV files. A Decoder
// finds the profile of a file by its signature, binds the profile to the file's
// header once, and then reads the rows in one pass over the bytes, without a
// string or an allocation for a row or a field. A new vendor is a YAML file and
// a sample; no Go.
//
// # The keys of a profile
//
// Unknown keys are errors, and all errors of a profile are reported at once,
// each with its line and column. testdata/river-station/profile.yaml is an
// example with a comment for every key. Patterns are regular expressions of
// package regexp, unanchored unless they say ^ and $.
//
//	name         by which --profile, configs and the ledger know it: a-z 0-9 - _ .
//	description  one line
//	source       where the format is described
//	open         what is not decided yet, as a list of the keys of its answers, which guesses
//	             leave behind: files are held until all are answered
//	shape        long: a channel and a value a row; wide: a column per channel or
//	             logger; matrix: a row per day, a column per time of day
//
//	signature                what a file must have for the profile to be chosen by itself
//	  first_line: PATTERN    on the first line
//	  line: PATTERN          on a line before the header's last, or on one of the first hundred
//	                         where the file has no header
//	  row: PATTERN           on one of the first hundred lines behind the header
//	  file_name: PATTERN     on the last part of the path; beside one of the others
//	  header: [NAME...]      the cells of the row of names, in this order; {match: PATTERN} stands
//	                         for a cell whose text varies from file to file
//	  optional: [NAME...]    cells that may stand among them
//	  others: true           and so may any other cell
//
//	dialect
//	  delimiter: ","         one character, tab, or space for runs of blanks; or a list, of which the
//	                         one counts with which the signature's header fits
//	  fixed: [8, 2, 6]       instead: the widths of the columns in characters; what is left of a
//	                         line is the last column
//	  quote: '"'             or none; blanks around a quoted cell are no part of it
//	  comment: "#"           lines that begin so are comments, or with one of a list; none by default
//	  decimal: "."           or ",", or [".", ","]: what the file's cells show, see below
//	  thousands: ","         what stands between groups of three digits: , . ' space (no-break
//	                         spaces, too) or none, which is the default
//	  encoding: utf-8        a label of the WHATWG Encoding Standard; or a list, of which the first
//	                         counts that the file's first 64 KiB are valid in. A byte order mark
//	                         wins, and UTF-16 is known without one, too
//	  nul: refuse            or drop: NUL bytes are left out of the text
//	  trim: true             blanks around names are no part of them
//
//	framing
//	  preamble: 0            lines before the header: a number, find (up to the signature's
//	                         header), {before: PATTERN} or {through: PATTERN}
//	  rows: [names]          the header's rows in order: names, units (in brackets, too), process,
//	                         skip; wide only: loggers and channels, which name what the columns
//	                         are of instead of names. An empty cell of loggers is as that on its
//	                         left; so is one of channels with columns_are: logger
//	  columns: [NAME...]     the columns' names, for files without a row of names
//	  columns_from           or they are told by the lines before the data
//	    preamble: PATTERN    (?P<channel>...) and (?P<unit>...): a column for every match, in order
//	    first, last: [NAME...]  columns before and behind those
//	  footer: PATTERN        from the first line that matches on, nothing is data
//	  message: PATTERN       lines between the rows that are no data
//	  short_rows: reject     or missing: cells that a row lacks at its end are missing
//	  long_rows: reject      or ignore: cells beyond the header are passed over; empty ones always are
//	  records: PATTERN       (?P<records>...) how many records there are, in a line that is none: a
//	                         file that has another number is loaded, and it is noted
//
//	logger                   one of these; the group of its name is the part that counts
//	  constant: NAME
//	  column: COLUMN         and with match: PATTERN only (?P<logger>...) of its cell
//	  columns: [COLUMN...]   whose cells are joined by join ("-") first
//	  file_name: PATTERN     (?P<logger>...) of the last part of the path, without
//	                         .gz, .zst and .zstd; or stem, see below
//	  path: PATTERN          (?P<logger>...) of the whole path, without these too; / is between
//	                         folders; or folder, the name of the one that the file lies in
//	  preamble: PATTERN      (?P<logger>...) of the first line before the header that matches
//	  header: PATTERN        (?P<logger>...) of the first name of a column that matches
//	  parts: [ORIGIN...]     each one of these, joined by join ("-"); only the last may be of columns
//	  any: [ORIGIN...]       the first of these that tells a name; none of columns
//	channel                  long, matrix, and wide with columns_are: logger; likewise, with
//	                         (?P<channel>...) and (?P<unit>...)
//	unit                     likewise, with (?P<unit>...); optional: true when the column may
//	                         be absent. A wide file's units come from its row of units, from
//	                         channels, or from a constant
//	value: COLUMN            long only; or {column: COLUMN, missing: [TEXT...]}
//	quality: COLUMN          long and matrix, where it is that of the whole day; may be absent from
//	                         a file
//	factor: COLUMN           long only: the value is multiplied by this cell
//	numbers                  what may stand in a cell beside its number
//	  unit: true             a unit behind it (55.2 °F), or [TEXT...], one of these. It is the
//	                         series' unit: a cell with another than the first is rejected
//	  flag: PATTERN          of all that stands behind the number (3.984M): its quality
//	  inequality: true       <, >, <=, >=, ≤ or ≥ before it: its quality. One of the column, a mark
//	                         and a flag are joined by blanks
//	rename: {OLD: NEW}       a channel of the file is carried on under another name
//
//	channels                 wide only: the columns that hold readings; a list of
//	  - column: COLUMN       a pattern's groups channel, unit and logger name them
//	    channel: NAME        instead of the header's text
//	    unit: NAME           or {column: COLUMN}, a cell of each row; a series has one unit
//	    missing: [TEXT...]   beside those of the profile
//	    quality: COLUMN      or {suffix: TEXT}, what its name has behind that of the channel's column
//	    multiply, add: NUMBER  the value is cell*multiply + add, each rounded to a float64; unit is
//	                         that of the result. 0.1 divides by ten, and so do all that are
//	                         one of a whole number of parts
//	columns_are: channel     wide only: what the header's text names, or logger
//	pairs: quality           wide and matrix: the column behind each column of readings has their
//	                         quality, or unit: their unit, of which a series has one
//	repeated: number         wide only: the second column of one name is channel "NAME (2)", and so
//	                         on; or refuse (the file is quarantined), the default
//	units                    wide only: what lines of the preamble say of the columns
//	  preamble: PATTERN      (?P<channel>...) the name of a column, and (?P<unit>...), at every match
//	others: channel          wide only: what a column is that nothing names: channel, ignore, or
//	                         refuse (the file is quarantined), the default when channels are given.
//	                         Of a matrix: what is no time of day is ignore, or refuse, the default
//	ignore                   wide and matrix: what holds no readings; it wins over channels
//	  columns: [COLUMN...]
//	  units: [TEXT...]       columns with this cell in the row of units
//	  process: [TEXT...]     or in the row process
//	quoted_text: ignore      wide only: see below
//	missing: [TEXT...]       spellings of a missing value; an empty cell always is one. One that is a
//	                         number stands for it however it is written: -9999 is -9999.0, too. The
//	                         word usual stands for those that are met everywhere, see below
//
//	timestamp
//	  column: COLUMN         or columns: [COLUMN...], joined by join (a blank). The group
//	                         (?P<zone>...) of a column's pattern is its zone
//	  layout: LAYOUT         or layouts: [LAYOUT...]; the first that reads a timestamp counts. That
//	                         of a matrix is of the date alone
//	  header_layout: "15:04" matrix only: LAYOUT of the times of day that the header holds, or hours
//	                         (1 is 01:00, 24 the next midnight), or {match: PATTERN, layout: LAYOUT}
//	                         for (?P<time>...) of its cells
//	  one_of: [LAYOUT...]    instead: all timestamps of a file are in one of these, and its
//	                         rows tell which; see below
//	  date_only: true        a date without its time is that day's midnight
//	  language: [en]         of {month} and {pm}: cs, de, en, es, fr, nl
//	  interval               of rows that tell two instants
//	    separator: " - "     what stands between them in their cell
//	    until: COLUMN        or the column of the second; column is then of the first
//	    take: start          or end: which of them is the reading's
//	  zone: ZONE             of timestamps that tell no offset of their own; or one of
//	    preamble: PATTERN    (?P<zone>...) of the first line before the header that matches
//	    header: PATTERN      (?P<zone>...) of the header of a column of the timestamp
//	    column: COLUMN       a cell of each row
//	  zones: {EST: "-05:00"} what abbreviations of zones mean in this format
//	  clock: daylight        or standard: the zone's standard time, all year
//	  gap: reject            of times that clocks skipped; or shift: an hour later, as if the
//	                         clock had not been moved
//	  repeated_hour: hold    of times that clocks showed twice, where nothing in the file tells
//	                         which is meant; or standard, or by_arrival; see below
//	  date                   where rows tell the time of day alone, which is what layouts read
//	    file_name: PATTERN   (?P<date>...) of the last part of the path
//	    layout: LAYOUT
//	  start                  instead of columns and layouts, where rows do not tell their times:
//	    preamble: PATTERN    (?P<time>...) of the first line before the data that matches is
//	    layout: LAYOUT       that of the first row
//	  every: SPAN            and how far apart the rows are, blank and rejected ones included; or
//	    preamble: PATTERN    (?P<every>...), a number, 00:15:00 or 15m, and (?P<unit>...) of it
//	    unit: s              where the file does not say what the number counts
//	file_time                the file's own time, where its name tells it; it ranks files
//	  file_name: PATTERN     (?P<time>...) of the last part of the path
//	  layout: LAYOUT
//	  zone: ZONE             else that of the timestamps, else UTC
//	window                   which timestamps are plausible; default 1800 to a day past
//	                         the file's first fetch
//	  from, to: DATE
//	  past, future: SPAN     before and after the first fetch: 36h, 400d
//
// A COLUMN is a name, a number counted from 1, or {match: PATTERN}. A ZONE is an
// area and city, UTC, or an offset (+01:00); the machine's own zone is never
// taken. A LAYOUT is one of package time (2006-01-02 15:04:05) or of strftime
// (%Y-%m-%d %H:%M:%S), which may also hold
//
//	{doy}      the day of the year, of one to three digits
//	{hhmm}     a time of one to four digits: 5 is 00:05, 130 is 01:30
//	{ms}       the milliseconds, of one to three digits: 5 is 0.005 s
//	{month}    the name of a month, in full or shortened, in any case, with a point
//	           behind it or none, in one of the languages
//	{pm}       the half of the day: PM, p.m., odp., after blanks or none
//	MST        an abbreviation that zones lists, or UTC, GMT, Z
//
// or one of these names:
//
//	iso8601    2024-02-29T12:30:15.25+01:00 and what else ISO 8601 has: a blank for
//	           the T, no seconds, no minutes, no offset, Z, +01, +0100, 20240229T123015Z
//	rfc3339    2006-01-02T15:04:05Z07:00
//	epoch_s    seconds since 1970, epoch_ms milliseconds, epoch_us microseconds
//	excel      Excel's serial of the 1900 date system: days since 1899-12-30
//
// A fraction of a second is read in any of them; what it has beyond microseconds
// is dropped. A serial is rounded to the nearest microsecond, or to the whole
// second that its last decimal stands for. 24:00 is the next day's midnight. Two
// digits of a year are of 1969 to 2068.
//
// A pattern on the preamble is matched against each of its lines. One that begins
// with the flag m or s, as (?m) or (?s), is matched against all of it at once, with
// line feeds between the lines.
//
// The stem of a file's name is what it says of whose the file is: the name
// without its ending, the dates and times at its beginning and its end, and the
// counter in brackets of a copy. P227_2024-03-01_2024-03-31.csv, 20240301_P227.csv
// and P227 (2).csv all have the stem P227; that of 2024-03-01.csv, which is nothing
// else, is 2024-03-01.
//
// # Numbers
//
// A number is digits with an optional sign, decimal sign and power of ten: .427,
// +7.477, 12., 1.2E-03; blanks around it, no-break spaces too, are no part of it.
// Groups of thousands are of three digits each, the first has one to three. What
// a spreadsheet's formula ="5414" stands for is read, in cells and headers. All
// else is rejected, unless numbers or missing says what it is: no NAN, no INF, no
// 0x10, no 1.2D+03.
//
// The usual spellings of a missing value are NAN, NaN, nan, NA, N/A, n/a, na, #N/A,
// #NA, null, NULL, Null, None, none, -, --, ---, –, —, ----, -----, ?, M, MM, *, ***,
// 1.#QNAN, -1.#IND, #VALUE!, #DIV/0!, INF, -INF, missing, unavailable, unknown,
// No Data, no data, NoData. No number is among them: -9999 is one where the profile
// says so.
//
// # What every profile reads
//
// Files may be compressed by gzip or zstd, and lines end in LF, CRLF or CR, mixed
// as they like. A line sep=; before all others is of the preamble, and blank lines
// before a header that comes first are, too. A file whose lines are each quoted as
// one field is read as what is inside. A row without anything in its cells is a
// blank line, and so is the end-of-file character of DOS.
//
// A header that comes again among the rows, as when a logger was started anew, is
// counted as header lines, with the lines before it where they begin as the
// file's first did, or as signature.first_line says. One with other names that
// fits the signature holds from there on. One that does not is a reason to
// quarantine the file: what the rows below it mean is not known.
//
// A last line without line ending is data if it is whole. If it has too few
// cells, or its last cannot be read, it is rejected, and the reason says that the
// file may have been cut.
//
// Bytes that are no text in the file's encoding are rejected with their line; in
// UTF-8 only where they stand in a cell that counts, since they cannot have
// hidden any other there.
//
// # What is decided by the file
//
// With decimal: [".", ","], the readings' cells of the first 256 KiB of the data
// decide: 1.5, 0.427, 1234.567 and 1,234.5 prove a point, 1,5 and 1.234.567 a comma.
// 12.345 and 12,345 may be thousands, too, and prove nothing, unless the profile
// says what stands between thousands, or a number of four digits without a sign
// shows that nothing does, or commas part the cells and no quotes are around them.
// When nothing is proved, or both signs are, the file is held with that question;
// and so it is when there are no signs at all, and then, behind the 256 KiB, such
// a cell comes before one that proves the first of the list.
//
// With quoted_text: ignore, a column is text when its first cell that is not
// missing is quoted and no number; its cells then count for nothing. That is how
// TOA5 writes texts beside numbers. It loses nothing in silence: a bare number
// further down in such a column is rejected with its line, as is a text in a
// column that began with a number.
//
// A file whose header has twice a column that the profile names, or a channel of
// the wide shape, is quarantined, as one would shadow the other: the profile can
// tell them apart by number, or number them with repeated: number.
//
// On the day when clocks go back, the columns of a matrix that hold the same time
// of day are the first and the second pass; on other days the second is blank.
// On the day when they go forward, the skipped hour's columns are blank. A value
// there is rejected with its cell, as it has no instant.
//
// A file that holds a header and no rows is loaded with no readings. A file of
// no bytes at all is quarantined, since nothing tells whose it is: mostly it is
// an upload that failed, and the next version of it loads.
//
// In which layout of one_of a file is written, all timestamps of its first 256 KiB
// say: it is the one that reads them all. Where several do, and do not agree, the
// steps from row to row decide, if they are regular in one of them and not in the
// others. Else the file is held. Where layouts of different orders of day and
// month agree on all of them, as on 03/03/2024, and the file goes on, as much more
// is looked at as tells, up to 16 MiB.
//
// A timestamp that the zone's clocks never showed, when daylight saving begins,
// is rejected unless gap says otherwise. Of one that they showed twice, when it
// ends, the rows of the series in the file tell the pass: where the time goes
// back, the second begins; where the rows were sorted by their times, the second
// of two equal ones is of it; and where rows lead into the hour or out of it, they
// go on. Where nothing tells, as in a file of one reading, repeated_hour decides:
// the file is held, or the reading is in standard time, of the second pass, or
// by_arrival of the first unless another file has a reading there already.
//
// # The loggers table
//
// What a file cannot tell of its loggers stands in a table of them, a CSV file
// that [LoadLoggers] reads. Its first line names its columns, of which only name
// must be there; unknown ones are errors, and all errors are reported at once.
//
//	source        the source whose files the row counts for; empty: all. Where a source has
//	              rows of its own for a name, those for all sources do not count
//	name          the logger as files and their profile name it, in full
//	file_channel  the channel, likewise; empty: all that have no row of their own.
//	              What a channel's row leaves empty of logger, zone and every is that of
//	              the row for all; where that counts for some of the time, so does the
//	              channel's
//	logger        what they are called from then on; empty: as in the file
//	channel
//	unit          that of the result; empty: as in the file
//	multiply      value*multiply + add, each rounded to a float64; 1 and 0 when empty
//	add
//	zone          of the logger's timestamps, one for all rows of a name. It wins over the
//	              profile's zone and over that from outside, and loses to an offset or
//	              a zone that the file tells
//	every         how often the logger records (15m, 1d). A file in which most steps between
//	              its readings are others is loaded, with a note that says so
//	from, until   the times of readings that the row counts for, from inclusive and until
//	              exclusive: RFC 3339, or a date or time without offset, which is in UTC
//
// So a device that was swapped carries on its site's series: the rows of the old
// name and of the new have one logger. A device that moved to another site has two
// rows, one until and one from that time, and a file that spans it is split between
// them. A reading of a name that the table has, at a time that it does not have
// it, is rejected; so are the readings of a second channel that the table gives
// the name of another. A logger that is not in the table keeps its name; with
// [Settings].Strict its file is held, with the question what the logger becomes.
//
// A file's recipe keeps the rows of the loggers that the file names (of more than
// four, those of all loggers of its source), so that it can be read alike without
// the table. A file with none of the table's loggers keeps the recipe that it has
// without a table.
//
// # Where things are
//
// The files, in the order in which a newcomer reads them. What a profile says is
// read by profile.go, keys.go, shape_keys.go, dialect.go, number_keys.go,
// stamping.go and origin.go, on top of yaml.go and pattern.go; set.go and
// settings.go put profiles together for decoders, and name recipes.
//
// A file is decoded in decoder.go from top to bottom. Its bytes come through
// feed.go, packed.go (compression) and text.go (encodings). recognise.go finds the
// profile, by firstline.go, head.go and preamble.go, or says with foreign.go what
// else the file is; binding.go and plan.go bind the profile to the header, with
// wide.go, matrix.go, column_lines.go and rowwidth.go; evidence.go, one_of.go and
// choose.go decide what the file is to tell.
//
// Then rows are read: plainrow.go is the quick way through those without
// surprises, anyrow.go the general one, which cuts records by record.go and finds
// headers among them by restart.go. Numbers are of number.go and decorated.go,
// with told.go; timestamps of stamps.go and clock.go, by layout.go, layout_read.go,
// iso8601.go, serial.go, digits.go and words.go; names of names.go.
//
// At the end of a file, passes.go and verdict.go tell the passes of an hour that
// clocks showed twice. The loggers table is read by loggers.go and
// loggers_file.go, and counts in assign.go and listing.go. kind.go and approved.go
// are about the shapes of files and the profiles approved for them, sample.go and
// watch.go for those who look on. guess.go and the files guess_*.go make profiles
// of files that none matches.
package format

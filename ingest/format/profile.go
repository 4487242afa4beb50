package format

import (
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a zone means the same on a machine that has none installed

	"penstock/ingest"
	"penstock/ingest/format/strictyaml"

	"go.yaml.in/yaml/v4"
)

// A Profile describes one layout of CSV files: how such a file is recognised,
// how it is cut into cells, and what its columns mean. It is never changed once
// read, and any number of decoders may share it. Its keys are described in the
// package documentation.
type Profile struct {
	Name        string
	Description string // one line
	Source      string // where the format is described
	File        string // where the profile was read from
	Text        string // the YAML, complete

	trust     ingest.Trust
	kind      *ingest.Shape // of a guessed or approved profile: that of the files it is for; else nil
	signature signature
	telling   string // what stands in the first line of all its files, see tellingOf
	dialect   dialect
	framing   framing
	wide      bool // a column per channel or logger
	matrix    bool // a row per day, a column per time of day

	logger, channel, unit origin
	value, quality        *columnRef // of the long shape; a matrix may have a quality, too
	factor                *columnRef // of the long shape: what its values are multiplied by
	channels              []channelRule
	unitLines             *pattern          // on lines of the preamble that tell the units of columns by name
	columnsAre            string            // what the header's text names, in the wide shape: channel or logger
	pairs                 string            // what every second column holds: quality, unit, or nothing
	numbered              bool              // channels of one name are told apart by number
	rename                map[string]string // channels, from the file's name to that of the series
	numbers               numbers
	others                string // what becomes of a wide column that nothing names
	ignore                ignored
	quotedText            bool

	stamp    stamping
	open     []string // the keys of what is not decided yet: its files are held
	missing  [][]byte // spellings, of every column
	fileTime *fileTime
	window   window
}

// A signature is how a file of the profile is told from all others.
type signature struct {
	firstLine *pattern
	line      *pattern // on any line before the header
	row       *pattern // on one of the first lines behind the header
	fileName  *pattern
	header    []label
	optional  []label
	others    bool
}

type dialect struct {
	delimiter  byte   // 0 for fixed
	delimiters []byte // to choose from by the header; nil for one alone
	fixed      []int  // the widths of columns, in characters
	quote      byte   // 0 for none
	wrapped    bool   // each line is quoted as one field
	comments   [][]byte
	decimal    byte
	decimals   []byte    // those that the file's cells decide between; else nil
	thousands  byte      // ' ' for all kinds of blanks, 0 for none
	grouping   bool      // the profile says what stands between thousands, be it nothing
	charsets   []charset // the first that a file is valid in
	noNUL      bool
	trim       bool
}

// The rows that a header is made of.
const (
	rowNames    = "names"
	rowUnits    = "units"
	rowProcess  = "process"
	rowLoggers  = "loggers"
	rowChannels = "channels"
	rowSkip     = "skip"
)

type framing struct {
	preamble int      // lines; -1 when they are counted by before, through or the signature
	before   *pattern // the preamble ends before this line
	through  *pattern // the preamble ends with this line
	rows     []string
	columns  []string     // their names, when no row names them
	lines    *columnLines // or the preamble does
	footer   *pattern
	message  *pattern
	records  *pattern // how many lines of data a file says it has
	short    bool     // cells that a row lacks are missing
	long     bool     // cells that a row has too many are ignored
}

// A channelRule says of one column, or of all that match, that it holds
// readings.
type channelRule struct {
	column  *columnRef
	name    string
	unit    string
	units   *columnRef // or the column that holds it
	missing [][]byte   // beside those of the profile
	quality *columnRef
	suffix  string // or what the quality's name has behind that of the column
	linear  linear
}

// ignored says which columns of the wide shape hold no readings.
type ignored struct {
	columns []*columnRef
	units   []string
	process []string
}

// asksZone reports whether the zone from outside can decide what a file's
// readings are or how they rank. told says that the file's header tells the
// zone of its timestamps.
func (p *Profile) asksZone(told bool) bool {
	if p.stamp.zone != nil {
		return false
	}
	layouts := p.stamp.layouts
	if p.stamp.pace != nil && p.stamp.pace.layout != nil {
		layouts = []*layout{p.stamp.pace.layout}
	}
	return !told && slices.ContainsFunc(layouts, func(l *layout) bool { return !l.zoned }) ||
		p.fileTime != nil && p.fileTime.zone == nil
}

// fileTime says how a file's name tells its time.
type fileTime struct {
	pattern *pattern
	layout  *layout
	zone    *time.Location
}

// A window says which timestamps are plausible, as far as its fields are set.
type window struct {
	from, to     *int64 // microseconds UTC
	past, future time.Duration
}

// Parse reads a profile. The error joins all that is wrong with it, each a
// *Fault with its line and column. file is used in messages only.
func Parse(file string, text []byte) (*Profile, error) {
	p := &Profile{
		File:    file,
		Text:    string(text),
		dialect: dialect{delimiter: ',', quote: '"', decimal: '.', charsets: []charset{""}, trim: true},
		framing: framing{rows: []string{rowNames}},
		stamp:   stamping{join: " "},
	}
	r := &reader{&strictyaml.Reader{File: file}}
	if n := r.Parse(text, "the profile"); n != nil {
		p.read(r, n)
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	p.telling = p.tellingOf()
	return p, nil
}

// unmarshal is yaml.Unmarshal; what it panics with is an error.
func unmarshal(text []byte, doc *yaml.Node) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the YAML cannot be read: %v", v)
		}
	}()
	return yaml.Unmarshal(text, doc)
}

func yamlFaults(file string, err error) error {
	return &Fault{File: file, Text: strings.TrimPrefix(err.Error(), "yaml: ")}
}

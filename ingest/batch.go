package ingest

import (
	"crypto/sha256"
	"slices"
)

// A SeriesKey names a series as a file names it.
type SeriesKey struct {
	Logger, Channel string
	Unit            string // "" when the file does not say
	Label           string // the raw header text the channel came from; kept when the series is first seen
}

// A Digest is a SHA-256.
type Digest [sha256.Size]byte

// A Batch holds the readings of one or more files as columns: element i of
// Time, Series and Value (and of Quality, when it is not empty) is one reading.
// A worker owns one Batch, fills it through a Decoder, hands it to a
// Committer, and resets it for the next chunk.
type Batch struct {
	Time    []int64   // microseconds since the Unix epoch, UTC
	Series  []int32   // index into Keys
	Value   []float64 // finite
	Quality []int32   // index into Qualities; empty while no reading of the batch has one
	Line    []int64   // line of the reading in its file; filled only when KeepLines is set

	// Keys is the batch's own dictionary of series. It outlives Reset, so that
	// what a Committer learns of key i stays true for as long as Epoch is the
	// same.
	Keys  []SeriesKey
	Epoch int

	Qualities []string // element 0 is "", the quality of a reading that has none
	Spans     []Span
	KeepLines bool

	index    map[string]int32 // logger, channel and unit, joined by NUL, to index in Keys
	quality  map[string]int32
	scratch  []byte
	borrowed bool // Keys and Qualities are those of another batch
}

// A Span is one file version within a batch: which readings are its own, and
// its counts so far. The decoder fills it in, but for the fields said to be
// the pipeline's.
type Span struct {
	File         File      // the pipeline's
	Fetched      int64     // the pipeline's: when these bytes were fetched
	FirstFetched int64     // the pipeline's: when a version of this content under this path was first fetched
	Sum          Digest    // the pipeline's: SHA-256 of the original bytes
	Place        Place     // the pipeline's: where the archive has these bytes; zero where there is none
	Arrived      int64     // the pipeline's: when the source first had it, where it came while the source was watched; else 0
	New          bool      // the pipeline's: the sink knew no version of the path when it was listed
	Recorded     *Recorded // the pipeline's: what a lost ledger had of the version; nil for one that is loaded like any other
	Ledger       int64     // the correction's: the id of the file version that is loaded again; 0 for a new one

	Begin, End int // the readings [Begin, End) of the batch

	State  State   // Loaded, Held or Quarantined
	Reason string  // the question of a held file, or of one that is loaded but for its new channels; the fault of a quarantined one
	Recipe *Recipe // what read it; nil when no profile matched
	// Identity digests what the profile took from the file's name and source:
	// two files of equal Sum, Recipe and Identity hold the same readings.
	Identity Digest
	// Minute is MinuteIn of the beginning of the file's bytes: where in its index
	// of contents a sink keeps this one. It depends on the bytes alone.
	Minute   uint32
	NameTime int64 // the file's time where the profile takes it from the name, in microseconds UTC; else 0

	// GrowsAt is up to which byte of the file all lines are counted, where it can
	// be carried on from there when it has grown; else 0, and it is read whole.
	GrowsAt int64
	Growth  *Growth // the pipeline's: what it is carried on by, where GrowsAt is not 0 and that is to be kept
	Gained  *Gain   // the pipeline's: what is read is only what the file has gained; nil for all of it

	Receipt Receipt // all lines, and of the cells Total, Missing and Rejected
	Rejects []Reject

	// Notes say what is odd about a file that is loaded all the same, a line of
	// text each: a declared count of records that does not match, a clock that
	// jumps.
	Notes []string
	// Kind is the shape of files like this one, with no question: what a sink
	// has to ask about the file, it asks about that. nil when no profile reads it.
	Kind *Shape
	// Shape is what is asked about files of the span's kind, of a held span and
	// of one that is loaded but for its new channels; nil when nothing is.
	Shape *Shape
	// Undecided are the readings, by index in the batch, whose wall time the
	// clocks showed twice, when nothing in the file tells the passes apart and
	// the order of arrival is to decide: they stand in the first pass, and in
	// the second are Later microseconds later. All are of one pass. Mostly empty.
	Undecided []int32
	Later     int64
	// Passes says that readings of the span are of an hour that clocks showed
	// twice, and that the order of arrival decides of files like it: the sink
	// must not store it while it decides of another.
	Passes bool
	Second bool // the sink's: the undecided readings stand in the second pass now
}

// A Shape is a kind of file that Penstock has a question about: all files of a
// shape are answered for together. Decoders share it: it is never changed once
// made.
type Shape struct {
	ID      string   // 12 hexadecimal digits, the same for all files of the kind
	Profile string   // the profile as YAML, complete, that would read them; "" when there is no telling
	Header  []string // the names of the columns, as far as a row of the file tells them
	// Loose says that the profile's signature matches files of other columns,
	// too: the approved profile is to match those of Header alone.
	Loose    bool
	Question string   // one sentence that ends in a question mark
	Asks     string   // the key of --set that answers it, such as zone; "" when only one of Answers does, or nothing
	Answers  []Answer // what the answer can be, the likeliest first; none when it is open, as a zone is, or when there is none
}

// Asking returns the shape with a question.
func (s *Shape) Asking(question, asks string, answers ...Answer) *Shape {
	if s == nil {
		return nil
	}
	q := *s
	q.Question, q.Asks, q.Answers = question, asks, answers
	return &q
}

// Answerable reports whether an answer makes its files load: Asks names it, or
// Answers lists it. Else only another profile does, or other files.
func (s *Shape) Answerable() bool { return s.Profile != "" && (s.Asks != "" || len(s.Answers) > 0) }

// An Answer is one of those that a question can have.
type Answer struct {
	Set   string   // as --set takes it: order=dmy
	Map   []string // each as --map takes it: New=old; of Set and Map one is given, or none when the profile as it stands is meant
	Means string   // what it makes of the file: 03/04/2024 is 3 April
}

// A Trust is how far the profile of a recipe is to be believed.
type Trust uint8

// From the most to the least.
const (
	Named    Trust = iota // a person or Penstock wrote it: it is built in, configured or given
	Approved              // guessed or changed, and a person said yes
	Guessed               // guessed, and every finding of it is certain
)

// A Recipe is all that turned a file's bytes into readings, so that the same
// bytes can be read the same way again years later. Decoders share it: it is
// never changed once made.
type Recipe struct {
	Digest   Digest // of the profile, the zone, the settings, the loggers' row and the decoder's version
	Profile  string // the profile's name
	Zone     string // the zone given from outside the file and its profile; "" for none
	Settings string // what else was given from outside and decides what is rejected, as JSON; "" for the defaults
	Text     string // the profile as YAML, complete
	Trust    Trust  // no part of the digest
}

// A Reject is a line, or one cell of it, that could not be read.
type Reject struct {
	Line   int64  // counted from 1, of the decompressed text
	Column int    // the field, counted from 1; 0 for the whole line
	Reason string // what was found and what was expected
	Raw    string // the line or the cell as it stands, cut to RawLimit bytes
}

// RawLimit is how much of a rejected line is kept, in bytes. The rest stays in
// the file itself.
const RawLimit = 512

// maxKeys is how many series a batch's dictionary remembers from one chunk to
// the next; past it the dictionary starts anew.
const maxKeys = 1 << 14

// Append adds one reading without quality. It must be called between Begin and
// End of a span; series is what SeriesOf returned.
func (b *Batch) Append(series int32, time int64, value float64) {
	b.Time = append(b.Time, time)
	b.Series = append(b.Series, series)
	b.Value = append(b.Value, value)
	if len(b.Quality) != 0 {
		b.Quality = append(b.Quality, 0)
	}
}

// SetQuality gives the reading that was appended last its quality.
func (b *Batch) SetQuality(q []byte) {
	if len(q) == 0 {
		return
	}
	id := b.QualityOf(q)
	for len(b.Quality) < len(b.Time) {
		b.Quality = append(b.Quality, 0)
	}
	b.Quality[len(b.Time)-1] = id
}

// QualityOf returns the index in Qualities of the quality, adding it when it is
// new. That of an empty one is 0.
func (b *Batch) QualityOf(q []byte) int32 {
	if len(q) == 0 {
		return 0
	}
	id, ok := b.quality[string(q)]
	if !ok {
		if b.quality == nil {
			b.quality = make(map[string]int32)
			b.Qualities = append(b.Qualities[:0], "")
		}
		id = int32(len(b.Qualities))
		b.Qualities = append(b.Qualities, string(q))
		b.quality[string(q)] = id
	}
	return id
}

// SetLine gives the reading that was appended last its line. It does nothing
// unless KeepLines is set.
func (b *Batch) SetLine(line int64) {
	if !b.KeepLines {
		return
	}
	for len(b.Line) < len(b.Time) {
		b.Line = append(b.Line, 0)
	}
	b.Line[len(b.Time)-1] = line
}

// SeriesOf returns the index in Keys of the series, adding it when it is new.
// It makes no strings for a series that the dictionary has. The label is that
// of the first call.
func (b *Batch) SeriesOf(logger, channel, unit, label []byte) int32 {
	b.scratch = append(b.scratch[:0], logger...)
	b.scratch = append(b.scratch, 0)
	b.scratch = append(b.scratch, channel...)
	b.scratch = append(b.scratch, 0)
	b.scratch = append(b.scratch, unit...)
	if i, ok := b.index[string(b.scratch)]; ok {
		return i
	}
	if b.index == nil {
		b.index = make(map[string]int32)
	}
	i := int32(len(b.Keys))
	b.Keys = append(b.Keys, SeriesKey{Logger: string(logger), Channel: string(channel), Unit: string(unit), Label: string(label)})
	b.index[string(b.scratch)] = i
	return i
}

// Reserve makes room for so many more spans.
func (b *Batch) Reserve(spans int) { b.Spans = slices.Grow(b.Spans, spans) }

// Begin opens a span for the file whose content is c. The readings appended
// until End are its own.
func (b *Batch) Begin(c *Content) *Span {
	first := c.FirstFetched
	if first == 0 {
		first = c.Fetched
	}
	n := len(b.Spans)
	if n == cap(b.Spans) {
		b.Spans = slices.Grow(b.Spans, 1)
	}
	b.Spans = b.Spans[:n+1] // what is behind the spans is zero
	s := &b.Spans[n]
	s.File, s.Fetched, s.FirstFetched, s.Recorded = c.File, c.Fetched, first, c.Recorded
	s.Begin, s.End, s.State = len(b.Time), len(b.Time), Loaded
	return s
}

// End closes the span that Begin opened last. A span that is not Loaded loses
// its readings. The receipt of a quarantined file is that of a refused one; a
// held file has none yet, and no rejects: it is not read until its question is
// answered.
func (b *Batch) End() *Span {
	s := &b.Spans[len(b.Spans)-1]
	s.End = len(b.Time)
	if s.State == Loaded {
		return s
	}
	b.truncate(s.Begin)
	s.End = s.Begin
	if s.State == Held {
		s.Receipt, s.Rejects = Receipt{}, nil
	} else {
		s.Receipt.Refuse()
	}
	return s
}

// Forget takes the readings out of the batch that the open span has so far.
func (b *Batch) Forget() { b.truncate(b.Spans[len(b.Spans)-1].Begin) }

// Drop takes the last span out of the batch again, readings and all.
func (b *Batch) Drop() {
	last := &b.Spans[len(b.Spans)-1]
	b.truncate(last.Begin)
	*last = Span{}
	b.Spans = b.Spans[:len(b.Spans)-1]
}

// Withhold takes the readings for which drop is true out of the loaded spans,
// and counts them as withheld in their receipts. drop is asked once for each
// reading, with the index of its span and that of its series in Keys.
func (b *Batch) Withhold(drop func(span int, series int32) bool) {
	to := 0
	moved := make([]int32, len(b.Time)) // where each reading comes to stand, -1 for nowhere
	for i := range b.Spans {
		s := &b.Spans[i]
		begin := to
		for r := s.Begin; r < s.End; r++ {
			if drop(i, b.Series[r]) {
				s.Receipt.Cells.Withheld++
				moved[r] = -1
				continue
			}
			b.move(to, r)
			moved[r] = int32(to)
			to++
		}
		kept := s.Undecided[:0]
		for _, r := range s.Undecided {
			if moved[r] >= 0 {
				kept = append(kept, moved[r])
			}
		}
		s.Begin, s.End, s.Undecided = begin, to, kept
	}
	b.truncate(to)
}

// move puts the reading of one index in the place of another.
func (b *Batch) move(to, from int) {
	b.Time[to], b.Series[to], b.Value[to] = b.Time[from], b.Series[from], b.Value[from]
	if len(b.Quality) > 0 {
		b.Quality[to] = b.Quality[from]
	}
	if from < len(b.Line) { // the last readings may have none
		b.Line[to] = b.Line[from]
	} else if to < len(b.Line) {
		b.Line[to] = 0
	}
}

func (b *Batch) truncate(n int) {
	b.Time, b.Series, b.Value = b.Time[:n], b.Series[:n], b.Value[:n]
	if len(b.Quality) > n {
		b.Quality = b.Quality[:n]
	}
	if len(b.Line) > n {
		b.Line = b.Line[:n]
	}
}

// Reset empties the batch and keeps its buffers and, while it is not too
// large, its dictionary of series.
func (b *Batch) Reset() {
	b.truncate(0)
	b.Quality, b.Line = b.Quality[:0], b.Line[:0]
	clear(b.Spans) // their rejects can be many
	b.Spans = b.Spans[:0]
	if len(b.Keys) > maxKeys || b.borrowed {
		b.Keys = nil
		clear(b.index)
		b.Epoch++
	}
	if len(b.Qualities) > maxKeys || b.borrowed {
		b.Qualities, b.quality = nil, nil
	}
	b.borrowed = false
}

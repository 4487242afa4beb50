package format

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"penstock/ingest"
)

// decoderVersion is part of every recipe. It is raised when the same bytes and
// the same profile come to give other readings than before.
const decoderVersion = 2

// Settings are what a source or a command line says of files beside their
// profile. The zero value is fit for use.
type Settings struct {
	Profile     string // the name of the profile to use for every file; "" or "auto" to recognise each
	Zone        string // of timestamps whose zone neither file nor profile knows: an IANA name or an offset; "" for none
	Window      Window
	MaxRejected MaxRejected
	Limits      Limits
	Loggers     *Loggers // what becomes of the loggers and channels that files name; nil for no table
	Strict      bool     // files with loggers that Loggers does not have are held
	Tentative   bool     // files are read although their profile leaves something open
	NoGuess     bool     // files that no profile matches are quarantined, and none is guessed for them
}

// A Window bounds the plausible timestamps by how far they lie from the
// file's first fetch. A profile's own window wins, bound by bound.
type Window struct {
	Past   time.Duration // 0: back to 1800-01-01
	Future time.Duration // 0: one day
}

// MaxRejected says when so much of a file is rejected that none of it is to be
// trusted: when more than Share of its records, or of its cells that are not
// missing, could not be read. Files of fewer than MinLines records are never
// judged so.
type MaxRejected struct {
	Share    float64 // 0: 0.5
	MinLines int     // 0: 20
}

// Limits keep a file from taking more of the machine than it should. Zero
// fields stand for the defaults.
type Limits struct {
	Line     int   // bytes in a line, and in a record of quoted lines; default 1 MiB
	Inflated int64 // bytes that a compressed file may become; default 64 GiB
	Ratio    int64 // how many times its size a compressed file may become, judged past 64 MiB; default 1000
	Rejects  int   // rejects that are listed for a file; the others are counted; default 100,000
}

const (
	// maxPreamble is how many lines before a header are looked at.
	maxPreamble = 1000
	// maxHead is how many bytes a preamble and header may take.
	maxHead = 4 << 20
	// maxReread is how many bytes of preamble are read again for headers that
	// come among the rows without one.
	maxReread = 256 << 20
	// ratioFrom is how much a file may always inflate to.
	ratioFrom = 64 << 20
	// maxName is how many bytes a logger, channel or unit may take: a database
	// index holds no more.
	maxName = 500
)

// plausible is where timestamps begin when nothing else is said: before it
// nobody recorded anything that is kept as a CSV file.
var plausible = time.Date(1800, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

func (s Settings) withDefaults() Settings {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&s.MaxRejected.MinLines, 20)
	def(&s.Limits.Line, 1<<20)
	def(&s.Limits.Rejects, 100_000)
	if s.MaxRejected.Share == 0 {
		s.MaxRejected.Share = 0.5
	}
	if s.Limits.Inflated == 0 {
		s.Limits.Inflated = 64 << 30
	}
	if s.Limits.Ratio == 0 {
		s.Limits.Ratio = 1000
	}
	if s.Window.Future == 0 {
		s.Window.Future = 24 * time.Hour
	}
	return s
}

// NewDecoder returns a decoder of files of the profiles in set, for one
// goroutine. The set and what is read from it are shared.
func NewDecoder(set *Set, s Settings) (*Decoder, error) {
	s = s.withDefaults()
	d := &Decoder{settings: s, tiers: set.tiers, limit: s.Limits.Line, names: dictionary{loggers: s.Loggers}}
	if s.Strict && s.Loggers == nil {
		return nil, errors.New("strict is about the loggers that are not in the loggers table, and there is no table")
	}
	if s.Profile != "" && s.Profile != "auto" {
		p := set.ByName(s.Profile)
		if p == nil {
			var names []string
			for _, p := range set.Profiles() {
				names = append(names, p.Name)
			}
			return nil, fmt.Errorf("there is no profile %q; there are %q", s.Profile, names)
		}
		d.tiers, d.forced = [][]member{membersOf(p)}, true
	}
	if s.Zone != "" {
		zone, err := ParseZone(s.Zone)
		if err != nil {
			return nil, err
		}
		d.zone = zone
	}
	return d, nil
}

// Check returns an error when a decoder of these settings cannot be made.
func (s Settings) Check(set *Set) error {
	_, err := NewDecoder(set, s)
	return err
}

// newRecipe returns the recipe of files read by p. The zone from outside is
// part of it only where it can matter: told says that a file's header tells its
// own.
func newRecipe(p *Profile, s Settings, told bool) *ingest.Recipe {
	r := &ingest.Recipe{Profile: p.Name, Zone: s.Zone, Settings: s.judgement(nil), Text: p.Text, Trust: p.trust}
	if !p.asksZone(told) {
		r.Zone = ""
	}
	r.Digest = digest(r)
	return r
}

// withRows returns the recipe of files of r whose loggers have those rows in
// the loggers table.
func withRows(r *ingest.Recipe, s Settings, rows []loggerLine) *ingest.Recipe {
	with := *r
	with.Settings = s.judgement(rows)
	with.Digest = digest(&with)
	return &with
}

// digest returns that of all in r that decides what files are read as.
func digest(r *ingest.Recipe) ingest.Digest {
	parts := []string{"penstock decoder", strconv.Itoa(decoderVersion), r.Zone, r.Text}
	if r.Settings != "" {
		parts = append(parts, r.Settings)
	}
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return ingest.Digest(h.Sum(nil))
}

// A judgement is the settings that decide what a file's readings are and what
// is rejected of it, where they are not the defaults, as a recipe keeps them.
type judgement struct {
	Past     time.Duration `json:"past_ns,omitempty"`
	Future   time.Duration `json:"future_ns,omitempty"`
	Share    float64       `json:"max_rejected_share,omitempty"`
	MinLines int           `json:"max_rejected_min_lines,omitempty"`
	Loggers  []loggerLine  `json:"loggers,omitempty"`
}

func (s Settings) judgement(rows []loggerLine) string {
	s, def := s.withDefaults(), Settings{}.withDefaults()
	j := judgement{Loggers: rows}
	if s.Window != def.Window {
		j.Past, j.Future = s.Window.Past, s.Window.Future
	}
	if s.MaxRejected != def.MaxRejected {
		j.Share, j.MinLines = s.MaxRejected.Share, s.MaxRejected.MinLines
	}
	text, err := json.Marshal(j)
	if err != nil {
		panic(err) // numbers can be written
	}
	if string(text) == "{}" {
		return ""
	}
	return string(text)
}

func (s *Settings) parseJudgement(text string) error {
	if text == "" {
		return nil
	}
	var j judgement
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	s.Window = Window{Past: j.Past, Future: j.Future}
	s.MaxRejected = MaxRejected{Share: j.Share, MinLines: j.MinLines}
	if len(j.Loggers) == 0 {
		return nil
	}
	loggers, err := loggersOf(j.Loggers)
	s.Loggers = loggers
	return err
}

// bounds returns the first and last plausible instant of a file first fetched
// then, in microseconds UTC.
func (p *Profile) bounds(s Window, fetched int64) (from, to int64) {
	from = plausible
	if s.Past != 0 {
		from = fetched - s.Past.Microseconds()
	}
	to = fetched + s.Future.Microseconds()
	switch w := &p.window; {
	case w.from != nil:
		from = *w.from
	case w.past != 0:
		from = fetched - w.past.Microseconds()
	}
	switch w := &p.window; {
	case w.to != nil:
		to = *w.to
	case w.future != 0:
		to = fetched + w.future.Microseconds()
	}
	return from, to
}

// isMissing reports whether the cell b, trimmed, is empty or one of the
// spellings.
func isMissing(b []byte, spellings [][]byte) bool {
	return len(b) == 0 || slices.ContainsFunc(spellings, func(s []byte) bool { return string(s) == string(b) })
}

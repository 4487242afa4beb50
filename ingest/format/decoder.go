package format

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"penstock/ingest"
)

// A Decoder reads files by the profiles of a set. It implements
// ingest.Decoder: one goroutine uses it at a time.
type Decoder struct {
	settings Settings
	tiers    [][]member // the first with a profile that matches decides
	forced   bool       // there is one profile, whatever its signature says
	zone     *time.Location
	limit    int  // bytes in a line
	general  bool // no row is left to plainRows: tests compare the two

	// Kept from file to file.
	feed     feed
	split    splitter
	search   search
	first    firstLines
	all      *remaining // once everyone was asked for
	plans    map[*Profile]*bound
	guesses  map[string]*Profile // by their text
	checker  *checker            // of guesses; nil until there is one
	variants map[variant]*Profile
	names    dictionary
	stamped  []byte // a timestamp joined of several cells
	missed   []int  // the row's values that are missing, while columns may turn out to be text
	keys     [][]byte
	quality  []rowQuality // by slot
	listed   map[listedKey]*ingest.Recipe
	joined   []byte // a quality joined of several

	// Of the file that is being read.
	batch    *ingest.Batch
	span     *ingest.Span
	content  *ingest.Content
	asked    *Profile // plan's is a variant of it
	preamble []byte   // the lines before the header that holds now
	header   []byte   // and the header's rows
	noHeadTo int64    // up to this line no head among the rows is looked for
	reread   int      // how many bytes of preamble were read again for heads among the rows
	plan     *plan
	line     int64 // lines that are behind the window
	lines    ingest.Lines
	cells    ingest.Cells
	rejects  int
	from, to int64          // the window of plausible timestamps
	outside  *time.Location // the zone of timestamps of which the header tells none; nil when nobody knows it
	logger   []byte
	channel  []byte
	unit     []byte
	kinds    []kind   // of the values' columns, where they may turn out to be text
	empty    []int64  // how many cells of them were missing
	textAt   []int64  // the line that made a column text
	footer   bool     // the data have ended
	signless bool     // no cell has told the decimal sign yet, beyond the evidence
	torn     bool     // the record is the file's last, and no line ending stands behind it
	skipping bool     // what comes belongs to a line that is too long
	clocks   bool     // the loggers table may have a clock for each row's logger
	held     *refusal // the question that the file's data raised
	declared declared
	gain     gaining
	cut      cutting
	paced    []paced // by series
	timing

	saw func(kind LineKind, first, last int64, text []byte) // nil unless somebody watches
}

// A kind is what the cells of a column have turned out to be.
type kind uint8

const (
	kindOpen kind = iota
	kindNumber
	kindText
)

// Decode implements ingest.Decoder.
func (d *Decoder) Decode(ctx context.Context, c *ingest.Content, b *ingest.Batch) error {
	d.batch, d.span, d.content = b, b.Begin(c), c
	d.plan, d.line, d.rejects, d.footer, d.skipping, d.signless, d.held = nil, 0, 0, false, false, false, nil
	d.declared, d.gain, d.paced = declared{}, gaining{}, d.paced[:0]
	d.lines, d.cells = ingest.Lines{}, ingest.Cells{}
	d.names.begin(c.File.Source)
	fault, err := d.decode(ctx, c)
	if err == nil && c.Gain != nil {
		err = d.onlyGained(fault)
	}
	if err == nil {
		err = d.checkSettled()
	}
	d.span.Receipt = ingest.Receipt{Lines: d.lines, Cells: d.cells}
	if err != nil {
		return fmt.Errorf("decoding %s: %w", ingest.EscapePath(c.File.Path), err)
	}
	if fault == nil {
		d.gatherDays()
		d.endDays()
		d.gatherRows()
		fault = d.settlePasses()
	}
	if fault == nil {
		fault = d.judge()
	}
	if fault == nil {
		fault = d.strangers()
	}
	if fault == nil {
		d.noteRecords()
		if !d.cut.Again {
			d.paces()
			d.noteJumps()
			d.noteRejects()
		}
		d.maySayGrows()
	}
	d.span.Recipe = d.listedRecipe(d.span.Recipe)
	if fault != nil {
		d.span.State, d.span.Reason = fault.state, fault.reason
		if fault.state == ingest.Held && d.span.Shape == nil {
			d.span.Shape = d.span.Kind.Asking(fault.reason, fault.asks, fault.answers...)
		}
	}
	d.batch.End()
	d.batch, d.span, d.content = nil, nil, nil
	return nil
}

func (d *Decoder) decode(ctx context.Context, c *ingest.Content) (*refusal, error) {
	if fault, err := d.feed.open(c, &d.settings.Limits); fault != nil || err != nil {
		return fault, err
	}
	h, fault, err := d.recognise(c.File.Path)
	if fault != nil || err != nil {
		return fault, err
	}
	if fault := h.profile.undecided(); fault != nil && !d.settings.Tentative {
		d.span.Kind = kindOf(h.profile, d.columnsOf(d.feed.window, &h))
		return fault, nil
	}
	if fault, err := d.lookAhead(&h); fault != nil || err != nil {
		return fault, err
	}
	if fault := d.begin(&h); fault != nil {
		return fault, nil
	}
	if fault, err := d.chooseOneOf(); fault != nil || err != nil {
		return fault, err
	}
	return d.rows(ctx)
}

// begin binds the profile to the file: its header, its name, its zone.
func (d *Decoder) begin(h *head) *refusal {
	w := d.feed.window
	d.preamble, d.noHeadTo, d.reread = append(d.preamble[:0], w[:h.preamble]...), 0, 0
	d.timing.forget()
	if fault := d.attach(w, h); fault != nil {
		return fault
	}
	d.feed.window = w[h.size:]
	d.sawHead(0, w[:h.preamble], w[h.preamble:h.size])
	d.declare(d.preamble)
	return nil
}

// attach binds the profile to the header of the head that w begins with, and
// counts the head's lines.
func (d *Decoder) attach(w []byte, h *head) *refusal {
	p := d.variantOf(h)
	d.asked = h.profile
	if d.plans == nil {
		d.plans = make(map[*Profile]*bound)
	}
	k := d.plans[p]
	if k == nil {
		k = &bound{recipe: newRecipe(p, d.settings, false), plans: make(map[planKey]*plan)}
		d.plans[p] = k
	}
	d.span.Recipe = k.recipe
	d.lines.Preamble += h.before
	d.lines.Header += h.lines - h.before
	d.lines.Total += h.lines
	d.line += h.lines
	c := d.content
	if fault := d.identify(c, h, w); fault != nil {
		return fault
	}
	listed := d.settings.Loggers.zone(c.File.Source, d.logger)
	d.outside = cmp.Or(listed, p.stamp.zone, d.zone)
	if p.fileTime != nil {
		d.span.NameTime = p.fileTime.of([]byte(baseName(c.File.Path)), d.outside)
	}
	var fault *refusal
	if d.plan, fault = d.planFor(k, p, w, h); fault != nil {
		return fault
	}
	d.span.Recipe, d.span.Kind = d.plan.recipe, d.plan.kind
	d.from, d.to = p.bounds(d.settings.Window, d.span.FirstFetched)
	d.header = append(d.header[:0], w[h.preamble:h.size]...)
	d.split.use(&p.dialect)
	d.keys = append(d.keys[:0], make([][]byte, len(d.plan.keys))...)
	d.quality = append(d.quality[:0], make([]rowQuality, d.plan.flags)...)
	if !d.plan.textless {
		n := len(d.plan.values)
		d.kinds = append(d.kinds[:0], make([]kind, n)...)
		d.empty = append(d.empty[:0], make([]int64, n)...)
		d.textAt = append(d.textAt[:0], make([]int64, n)...)
	}
	if fault := d.beginTiming(c, k, w[:h.preamble]); fault != nil {
		return fault
	}
	d.clocks = d.settings.Loggers != nil && d.settings.Loggers.zones && d.plan.clockPerLogger()
	d.names.open(d.batch, d.plan, d.logger, d.channel, d.unit)
	return nil
}

// baseName returns the last part of a path: of a member of an archive that of
// the member, and without the ending that says it is compressed.
func baseName(p string) string {
	if slash := strings.LastIndexByte(p, '/'); slash < len(p)-1 {
		p = p[slash+1:] // as nearly always
	} else {
		p = path.Base(p)
	}
	if strings.IndexByte(p, '!') < 0 {
		return wholePath(p)
	}
	for i := range len(p) {
		if p[i] == '!' && hasEnding(p[:i], ".zip") { // other names may hold one too
			p = p[i+1:]
			break
		}
	}
	return wholePath(p)
}

// wholePath returns a path without the ending that says that the file is
// compressed.
func wholePath(p string) string {
	if n := len(p); n == 0 || p[n-1]|0x20 != 'z' && p[n-1]|0x20 != 't' && p[n-1]|0x20 != 'd' {
		return p // as nearly always
	}
	for _, ending := range []string{".gz", ".zst", ".zstd"} {
		if hasEnding(p, ending) {
			return p[:len(p)-len(ending)]
		}
	}
	return p
}

// hasEnding reports whether name is more than that ending, in any case.
func hasEnding(name, ending string) bool {
	n := len(name) - len(ending)
	return n > 0 && strings.EqualFold(name[n:], ending)
}

// of reads the time in a file's name; 0 when there is none. It ranks files
// only: without a zone UTC serves, and a time that clocks showed twice or never
// is taken as package time takes it, which is the same at every reading.
func (f *fileTime) of(base []byte, zone *time.Location) int64 {
	part, ok := f.pattern.find(base, "time")
	if !ok {
		return 0
	}
	for _, z := range []*time.Location{f.zone, zone, time.UTC} {
		if z != nil {
			w, ok := f.layout.read(part)
			switch {
			case !ok:
				return 0
			case w.zoned:
				return (w.seconds-w.offset)*1e6 + w.micros
			}
			return inZone(w.seconds, z).Unix()*1e6 + w.micros
		}
	}
	return 0
}

// rows reads the records to the end of the file.
func (d *Decoder) rows(ctx context.Context) (*refusal, error) {
	f := &d.feed
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		w, final := d.upToSeam()
		whole := bytes.LastIndexByte(w, '\n') + 1
		general := d.general || d.saw != nil || f.strange(w)
		pos := 0
		for pos < len(w) {
			if upTo := d.cut.upTo(w, whole); d.plan.plain && !general && !d.footer && !d.skipping && !d.signless && pos < upTo {
				pos = d.plainRows(w[:upTo], pos)
				if err := d.mayEndPart(pos); err != nil {
					return nil, err
				}
				if pos == upTo {
					continue // or the window is read
				}
			}
			if d.keptBack(w[pos:], final) {
				f.window = nil
				return nil, nil
			}
			before := d.lines
			next, fault := d.anyRow(w[pos:], final)
			d.sawRecord(before, w[pos:pos+next])
			if fault != nil {
				return fault, nil
			}
			if next == 0 {
				break // the record goes on past the window
			}
			pos += next
			if err := d.mayEndPart(pos); err != nil {
				return nil, err
			}
		}
		d.cut.at += int64(pos)
		f.window = f.window[pos:]
		d.gain.unended = final && len(w) > 0 && w[len(w)-1] != '\n'
		if err := d.crossSeam(); err != nil {
			return nil, err
		}
		if f.final && len(f.window) == 0 {
			return nil, nil
		}
		if fault, err := f.more(); fault != nil || err != nil {
			return fault, err
		}
	}
}

// judge refuses a file of which too much is rejected.
func (d *Decoder) judge() *refusal {
	m := &d.settings.MaxRejected
	records := d.lines.Data + d.lines.Rejected
	if records < int64(m.MinLines) {
		return nil
	}
	over := func(n, of int64) bool { return of > 0 && float64(n) > m.Share*float64(of) }
	switch cells := d.cells.Total - d.cells.Missing; {
	case over(d.lines.Rejected, records):
		return quarantine("%d of %d lines could not be read%s", d.lines.Rejected, records, d.firstReject())
	case over(d.cells.Rejected, cells):
		return quarantine("%d of %d cells could not be read%s", d.cells.Rejected, cells, d.firstReject())
	}
	return nil
}

func (d *Decoder) firstReject() string {
	if len(d.span.Rejects) == 0 {
		return ""
	}
	r := &d.span.Rejects[0]
	if raw := []byte(r.Raw); mostlyOdd(raw) {
		return fmt.Sprintf("; the first is line %d: its bytes are no text: % x", r.Line, raw[:min(len(raw), 8)])
	}
	if r.Column == 0 {
		return fmt.Sprintf("; the first is line %d: %s", r.Line, r.Reason)
	}
	return fmt.Sprintf("; the first is line %d, column %d: %s", r.Line, r.Column, r.Reason)
}

// reject lists a line, or a cell of it.
func (d *Decoder) reject(line int64, column int, raw []byte, reason string) {
	if d.rejects++; d.rejects > d.settings.Limits.Rejects {
		return
	}
	d.span.Rejects = append(d.span.Rejects, ingest.Reject{
		Line: line, Column: column, Reason: strings.ToValidUTF8(reason, "\uFFFD"), Raw: string(raw[:min(len(raw), ingest.RawLimit)]),
	})
}

// noteRejects says on the span that not all that was rejected is listed.
func (d *Decoder) noteRejects() {
	if most := d.settings.Limits.Rejects; d.rejects > most {
		d.span.Notes = append(d.span.Notes, fmt.Sprintf("of what is rejected in it the first %d are listed, and %d more are not", most, d.rejects-most))
	}
}

var _ ingest.Decoder = (*Decoder)(nil)

// quoted returns b as messages show it: quoted, cut, and fit for a terminal.
func quoted(b []byte) string {
	if !utf8.Valid(b) {
		return fmt.Sprintf("%+q", cut(b))
	}
	return fmt.Sprintf("%q", cut(b))
}

package format

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"penstock/ingest"
)

// A Decoder reads files by the profiles of a set. It implements
// ingest.Decoder: one goroutine uses it at a time.
type Decoder struct {
	settings Settings
	tiers    [][]*Profile // the first with a profile that matches decides
	forced   bool         // there is one profile, whatever its signature says
	zone     *time.Location
	limit    int  // bytes in a line
	general  bool // no row is left to plainRows: tests compare the two

	// Kept from file to file.
	feed    feed
	split   splitter
	plans   map[*Profile]*bound
	names   dictionary
	stamped []byte // a timestamp joined of several cells
	missed  []int  // the row's values that are missing, while columns may turn out to be text
	keys    [][]byte
	quality []byte // the last that was seen to be fit for the database
	listed  map[listedKey]*ingest.Recipe
	joined  []byte // a quality joined of several

	// Of the file that is being read.
	batch    *ingest.Batch
	span     *ingest.Span
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
	skipping bool     // what comes belongs to a line that is too long
	clocks   bool     // the loggers table may have a clock for each row's logger
	held     *refusal // the question that the file's data raised
	declared declared
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
	d.batch, d.span = b, b.Begin(c)
	d.plan, d.line, d.rejects, d.footer, d.skipping, d.held = nil, 0, 0, false, false, nil
	d.declared = declared{}
	d.lines, d.cells = ingest.Lines{}, ingest.Cells{}
	d.names.begin(c.File.Source)
	fault, err := d.decode(ctx, c)
	d.span.Receipt = ingest.Receipt{Lines: d.lines, Cells: d.cells}
	if err != nil {
		return fmt.Errorf("decoding %s: %w", ingest.EscapePath(c.File.Path), err)
	}
	if fault == nil {
		fault = d.judge()
	}
	if fault == nil {
		fault = d.strangers()
	}
	if fault == nil {
		d.noteRecords()
		d.paces()
	}
	d.span.Recipe = d.listedRecipe(d.span.Recipe)
	if fault != nil {
		d.span.State, d.span.Reason = fault.state, fault.reason
		if fault.state == ingest.Held && d.span.Shape == nil {
			d.span.Shape = d.span.Kind.Asking(fault.reason, fault.asks, fault.answers...)
		}
	}
	b.End()
	d.batch, d.span = nil, nil
	return nil
}

func (d *Decoder) decode(ctx context.Context, c *ingest.Content) (*refusal, error) {
	if fault, err := d.feed.open(c, &d.settings.Limits); fault != nil || err != nil {
		return fault, err
	}
	h, fault, err := d.recognise()
	if fault != nil || err != nil {
		return fault, err
	}
	if fault, err := d.lookAhead(&h); fault != nil || err != nil {
		return fault, err
	}
	if fault := d.begin(c, &h); fault != nil {
		return fault, nil
	}
	return d.rows(ctx)
}

// recognise finds the profile of the file and takes the byte order mark off
// it.
func (d *Decoder) recognise() (h head, fault *refusal, err error) {
	f := &d.feed
	for first := true; ; first = false {
		// What is said of a file must not depend on how it came in pieces.
		for len(f.window) < firstLook && !f.final {
			if fault, err := f.more(); fault != nil || err != nil {
				return h, fault, err
			}
		}
		if first {
			f.window = bytes.TrimPrefix(f.window, bom)
		}
		h, fault = d.match(f.window, f.final)
		if fault != nil || h.profile != nil {
			return h, fault, nil
		}
		if len(f.window) > maxHead {
			return h, quarantine("no header ends within the first %d bytes", maxHead), nil
		}
		if fault, err := f.more(); fault != nil || err != nil {
			return h, fault, err
		}
	}
}

// match looks for the one profile whose head w begins with, tier by tier. A
// head without a profile means that more of the file has to be seen.
func (d *Decoder) match(w []byte, final bool) (found head, fault *refusal) {
	if final && len(bytes.TrimLeft(w, " \t\r\n\x00")) == 0 {
		return found, d.nothing(w)
	}
	long := int64(0) // the first line that is too long for any profile
	for _, tier := range d.tiers {
		for _, p := range tier {
			h, finding := p.find(w, final, !d.forced, d.limit, &d.split)
			switch {
			case finding == foundMore:
				return head{}, nil
			case finding == foundLong && (long == 0 || h.lines < long):
				long = h.lines + 1
				continue
			case finding != foundHead:
				continue
			case found.profile != nil:
				return head{}, d.either(w, &found, &h)
			}
			found = h
		}
		if found.profile != nil {
			return found, nil
		}
	}
	if is := foreign(w); is != "" {
		return found, quarantine("%s", is)
	}
	if long > 0 {
		return found, quarantine("line %d is longer than %d bytes", long, d.limit)
	}
	end, _, _ := lineEnd(w, true)
	if d.forced {
		return found, quarantine("profile %s finds no header in the file: line 1 is %q", d.tiers[0][0].Name, cut(w[:end]))
	}
	return found, quarantine("no profile matches the file: line 1 is %q; describe its layout in a profile, then: penstock files retry --profile NAME|FILE.yaml", cut(w[:end]))
}

// either holds a file that two profiles of a tier match.
func (d *Decoder) either(w []byte, a, b *head) *refusal {
	d.span.Kind = eitherKind(a, b, d.columnsOf(w, a))
	answers := make([]ingest.Answer, 0, 2)
	for _, p := range []*Profile{a.profile, b.profile} {
		answers = append(answers, ingest.Answer{Set: "profile=" + p.Name, Means: p.Description})
	}
	return hold(fmt.Sprintf("the profiles %s and %s both match the file: which one is it? Answer with --profile", a.profile.Name, b.profile.Name), "profile", answers...)
}

// columnsOf returns the names of the columns under the head, nil when no row of
// the file names them.
func (d *Decoder) columnsOf(w []byte, h *head) []string {
	if !slices.Contains(h.profile.framing.rows, rowNames) {
		return nil
	}
	hd, fault := h.profile.headerOf(w, h, &d.split)
	if fault != "" {
		return nil
	}
	return hd.names
}

// nothing refuses a file without any text.
func (d *Decoder) nothing(w []byte) *refusal {
	d.lines.Blank = countLines(w)
	d.lines.Total = d.lines.Blank
	if bytes.IndexByte(w, 0) >= 0 {
		return quarantine("the file holds %d bytes and none is text: they are NUL or blank", len(w))
	}
	return quarantine("the file is empty: it holds no header and no readings")
}

// begin binds the profile to the file: its header, its name, its zone.
func (d *Decoder) begin(c *ingest.Content, h *head) *refusal {
	p := h.profile
	w := d.feed.window
	if d.plans == nil {
		d.plans = make(map[*Profile]*bound)
	}
	k := d.plans[p]
	if k == nil {
		k = &bound{recipe: newRecipe(p, d.settings, false), plans: make(map[planKey]*plan)}
		d.plans[p] = k
	}
	d.span.Recipe = k.recipe
	d.lines.Preamble, d.lines.Header = h.before, h.lines-h.before
	d.lines.Total, d.line = h.lines, h.lines
	if fault := d.identify(c, h, w); fault != nil {
		return fault
	}
	listed := d.settings.Loggers.zone(c.File.Source, d.logger)
	d.outside = cmp.Or(listed, p.stamp.zone, d.zone)
	if p.fileTime != nil {
		d.span.NameTime = p.fileTime.of([]byte(baseName(c.File.Path)), d.outside)
	}
	var fault *refusal
	if d.plan, fault = d.planFor(k, h); fault != nil {
		return fault
	}
	d.span.Recipe, d.span.Kind = d.plan.recipe, d.plan.kind
	d.from, d.to = p.bounds(d.settings.Window, d.span.FirstFetched)
	d.split.delimiter, d.split.quote = p.dialect.delimiter, p.dialect.quote
	d.keys = append(d.keys[:0], make([][]byte, len(d.plan.keys))...)
	if !d.plan.textless {
		n := len(d.plan.values)
		d.kinds = append(d.kinds[:0], make([]kind, n)...)
		d.empty = append(d.empty[:0], make([]int64, n)...)
		d.textAt = append(d.textAt[:0], make([]int64, n)...)
	}
	d.clocks = d.settings.Loggers != nil && d.settings.Loggers.zones && d.plan.clockPerLogger()
	d.names.open(d.batch, d.plan, d.logger, d.channel, d.unit)
	d.feed.window = w[h.size:]
	d.declare(w[:h.preamble])
	return nil
}

// baseName returns the last part of a path: of a member of an archive that of
// the member, and without the ending that says it is compressed.
func baseName(p string) string {
	p = path.Base(p)
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
	if hasEnding(p, ".gz") {
		p = p[:len(p)-len(".gz")]
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
		whole := bytes.LastIndexByte(f.window, '\n') + 1
		pos := 0
		for pos < len(f.window) {
			if d.plan.plain && !d.general && !d.footer && !d.skipping && pos < whole {
				pos = d.plainRows(f.window[:whole], pos)
				if pos == len(f.window) {
					break
				}
			}
			next, fault := d.anyRow(f.window[pos:], f.final)
			if fault != nil {
				return fault, nil
			}
			if next == 0 {
				break // the record goes on past the window
			}
			pos += next
		}
		f.window = f.window[pos:]
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

var _ ingest.Decoder = (*Decoder)(nil)

// quoted returns b as messages show it: quoted, cut, and fit for a terminal.
func quoted(b []byte) string {
	if !utf8.Valid(b) {
		return fmt.Sprintf("%+q", cut(b))
	}
	return fmt.Sprintf("%q", cut(b))
}

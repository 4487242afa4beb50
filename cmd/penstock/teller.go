package main

import (
	"log/slog"
	"strings"
	"time"

	"penstock/ingest"
)

// A teller logs what becomes of a source's files as a person reads it at night:
// a line for each cycle in which something happened, one an hour where nothing
// did, and what is wrong once, then every so often, and once more when it is
// over. Details are at level debug. It is called by one goroutine at a time.
type teller struct {
	log    *slog.Logger
	now    func() time.Time
	hint   func(error) string // what can be done about an error of the source
	spoke  time.Time          // when the last line of a cycle was written
	broken *outage            // nil while the source can be listed
	root   string             // why it cannot, in this cycle

	shapes   map[string]bool      // whose question was told
	asked    map[string]*told     // since the last line, by shape
	wrong    map[string]*told     // since the last line, by state and reason
	outages  map[string]*outage   // files that fail again and again, by reason
	cuts     *outage              // listings of which the server left out a part
	overruns *outage              // cycles that take longer than the interval
	order    []string             // of wrong and asked, as they came
	skipped  map[ingest.State]int // files whose reasons found no room in wrong
}

// told is what some files have in common that a person is to know.
type told struct {
	state   ingest.State
	reason  string
	example string
	shape   *ingest.Shape
	files   int
}

// An outage is something wrong that goes on.
type outage struct {
	since, said time.Time
	times       int // since it was said
	all         int
	reason      string
	state       ingest.State // of the files concerned
	seen        bool         // in this cycle
}

const (
	// idleEvery is how often a source is heard of to which nothing happens.
	idleEvery = time.Hour
	// outageEvery is how often something wrong is told that goes on.
	outageEvery = time.Hour
	// mostTold is how many reasons are told of one cycle.
	mostTold = 8
	// mostShapes is how many shapes are remembered as told.
	mostShapes = 10_000
)

func newTeller(log *slog.Logger) *teller {
	t := &teller{log: log, now: time.Now, hint: hintFor, shapes: make(map[string]bool), outages: make(map[string]*outage)}
	t.begin()
	t.spoke = t.now()
	return t
}

func (t *teller) begin() {
	t.asked, t.wrong, t.skipped, t.order = make(map[string]*told), make(map[string]*told), make(map[ingest.State]int), nil
}

// observe takes in an event of the source's pipeline.
func (t *teller) observe(e ingest.Event) {
	for i := range e.Outcomes {
		t.add(&e.Outcomes[i])
	}
	if e.Cycle != nil {
		t.cycle(e.Cycle)
	}
}

func (t *teller) add(o *ingest.Outcome) {
	if o.State != ingest.Known {
		t.log.Debug("file", slog.String("file", ingest.EscapePath(o.File.Path)), slog.String("state", string(o.State)),
			slog.Int64("readings", o.Receipt.Cells.Stored+o.Receipt.Cells.Replaced), slog.String("reason", o.Reason))
	}
	switch {
	case o.Shape != nil:
		if !t.shapes[askedKey(o.Shape)] {
			t.gather(t.asked, o.Shape.ID, told{state: o.State, reason: o.Shape.Question, shape: o.Shape, example: o.File.Path})
		}
	case o.State == ingest.Failed && (o.File.Path == "." || o.File.Path == ""): // all of the source
		t.root = o.Reason
	case o.State == ingest.Quarantined, o.State == ingest.Held, o.State == ingest.Failed:
		reason := withoutName(o.Reason, o.File.Path)
		t.gather(t.wrong, string(o.State)+" "+reason, told{state: o.State, reason: reason, example: o.File.Path})
	}
}

// gather counts a file to those that have something in common.
func (t *teller) gather(among map[string]*told, key string, what told) {
	if known := among[key]; known != nil {
		known.files++
		return
	}
	if len(among) >= mostTold {
		t.skipped[what.state]++
		return
	}
	what.files = 1
	among[key] = &what
	t.order = append(t.order, key)
}

// withoutName takes a file's own name out of a reason, so that what many files
// share is seen.
func withoutName(reason, path string) string {
	name := ingest.EscapePath(path)
	if len(name) < 5 { // it may stand anywhere by chance
		return reason
	}
	return strings.ReplaceAll(reason, name, "...")
}

// cycle tells of a cycle when it is over.
func (t *teller) cycle(c *ingest.Cycle) {
	t.overran(c)
	if !c.Over {
		return
	}
	switch {
	case c.Err != nil:
		t.broke(c.Err.Error(), t.hint(c.Err))
	case t.root != "":
		t.broke(t.root, "")
	default:
		t.mended()
	}
	broken := c.Err != nil || t.root != ""
	t.root = ""
	t.cut(c)
	t.tellWrong()
	happened := c.NotDone > 0 || c.New+c.Hinted > 0 && c.Queued+c.UnderWay > 0
	for state, n := range c.Files {
		happened = happened || n > 0 && state != ingest.Known && state != ingest.Failed
	}
	switch {
	case happened:
		t.log.Info("cycle", cycleAttrs(c)...)
	case !broken && t.now().Sub(t.spoke) >= idleEvery:
		t.log.Info("nothing new", slog.Int("listed", c.Listed), slog.Duration("for", t.now().Sub(t.spoke).Round(time.Minute)))
	default:
		return
	}
	t.spoke = t.now()
}

// cycleAttrs are the counts of a cycle: those that always stand there, then
// those that are not zero.
func cycleAttrs(c *ingest.Cycle) []any {
	attrs := []any{slog.Int("listed", c.Listed), slog.Int("new", c.New)}
	if c.Hinted > 0 {
		attrs = append(attrs, slog.Int("hinted", c.Hinted))
	}
	attrs = append(attrs, slog.Int("loaded", c.Files[ingest.Loaded]), slog.Int64("readings", c.Readings))
	for _, n := range []struct {
		name  string
		count int64
	}{
		{"rejected", c.Rejected},
		{"duplicate", int64(c.Files[ingest.Duplicate])},
		{"held", int64(c.Files[ingest.Held])},
		{"quarantined", int64(c.Files[ingest.Quarantined])},
		{"failed", int64(c.Files[ingest.Failed])},
		{"changed", int64(c.Files[ingest.Changed])},
		{"skipped", int64(c.Files[ingest.Skipped])},
		{"settling", int64(c.Settling)},
		{"queued", int64(c.Queued + c.UnderWay)},
		{"left", int64(c.Left)},
		{"spooled", int64(c.Spooled)},
		{"not_done", int64(c.NotDone)},
	} {
		if n.count > 0 {
			attrs = append(attrs, slog.Int64(n.name, n.count))
		}
	}
	attrs = append(attrs, slog.Duration("took", c.Took.Round(time.Millisecond)))
	if c.Lag > 0 {
		attrs = append(attrs, slog.Duration("lag", c.Lag.Round(time.Second)))
	}
	return attrs
}

// tellWrong tells what is wrong with files since the last line, and what is no
// longer.
func (t *teller) tellWrong() {
	for _, key := range t.order {
		if a := t.asked[key]; a != nil {
			t.ask(a)
		} else {
			t.tellOne(key, t.wrong[key])
		}
	}
	for state, n := range t.skipped {
		t.log.Warn("files not loaded for further reasons", slog.String("state", string(state)), slog.Int("files", n), slog.String("see", "penstock files ls --state "+string(state)))
	}
	for key, o := range t.outages {
		switch {
		case o.seen:
			o.seen = false
		case o.state == ingest.Failed: // such files are tried in each cycle
			t.log.Info("no longer", slog.String("reason", o.reason), slog.Int("times", o.all), slog.Duration("for", t.now().Sub(o.since).Round(time.Second)))
			delete(t.outages, key)
		case t.now().Sub(o.said) >= outageEvery:
			delete(t.outages, key)
		}
	}
	t.begin()
}

// askedKey is the same for all files of a shape that wait for the same answer,
// whatever their questions give as an example.
func askedKey(s *ingest.Shape) string { return s.ID + " " + s.Asks }

// ask tells the question of a shape, once.
func (t *teller) ask(a *told) {
	if len(t.shapes) >= mostShapes {
		clear(t.shapes)
	}
	t.shapes[askedKey(a.shape)] = true
	attrs := []any{slog.String("shape", a.shape.ID), slog.Int("files", a.files), slog.String("example", ingest.EscapePath(a.example)),
		slog.String("question", a.reason), slog.String("see", "penstock profiles pending "+a.shape.ID)}
	if a.state == ingest.Held {
		t.log.Warn("files of a new shape wait for an answer", attrs...)
	} else {
		t.log.Warn("files are loaded but for channels that wait for an answer", attrs...)
	}
}

// tellOne tells a reason that some files share. Of files that failed it is told
// when it is over, too: they are tried again in each cycle.
func (t *teller) tellOne(key string, w *told) {
	o := t.outages[key]
	if o == nil {
		if len(t.outages) < mostTold*4 {
			t.outages[key] = &outage{since: t.now(), said: t.now(), all: w.files, reason: w.reason, state: w.state, seen: true}
		}
		t.log.Warn("files not loaded", slog.String("state", string(w.state)), slog.Int("files", w.files), slog.String("example", ingest.EscapePath(w.example)), slog.String("reason", w.reason))
		return
	}
	o.seen = true
	o.times += w.files
	o.all += w.files
	if t.now().Sub(o.said) >= outageEvery {
		t.log.Warn("files not loaded, as before", slog.String("state", string(w.state)), slog.Int("files", o.times), slog.String("example", ingest.EscapePath(w.example)),
			slog.String("reason", w.reason), slog.Duration("since", t.now().Sub(o.since).Round(time.Second)))
		o.said, o.times = t.now(), 0
	}
}

// broke tells that the source could not be listed, or that its pipeline ended.
func (t *teller) broke(reason, hint string) {
	attrs := []any{slog.String("error", reason)}
	if hint != "" {
		attrs = append(attrs, slog.String("hint", hint))
	}
	b := t.broken
	if b == nil {
		t.broken = &outage{since: t.now(), said: t.now(), all: 1, reason: reason}
		t.log.Error("the source fails: it is tried again and again", attrs...)
		return
	}
	b.all++
	b.times++
	if b.reason != reason || t.now().Sub(b.said) >= outageEvery {
		t.log.Error("the source still fails", append(attrs, slog.Int("tried", b.times), slog.Duration("since", t.now().Sub(b.since).Round(time.Second)))...)
		b.reason, b.said, b.times = reason, t.now(), 0
	}
}

// mended tells that the source is listed again.
func (t *teller) mended() {
	if b := t.broken; b != nil {
		t.log.Info("the source is there again", slog.Int("tried", b.all), slog.Duration("after", t.now().Sub(b.since).Round(time.Second)))
		t.broken = nil
	}
}

// cut tells that the server lists only a part of some folders, once.
func (t *teller) cut(c *ingest.Cycle) {
	switch {
	case c.Err != nil || (c.Cut > 0) == (t.cuts != nil):
	case c.Cut == 0 && c.Faults > 0: // it may be that one, which could not be listed at all
	case c.Cut > 0:
		t.cuts = &outage{since: t.now()}
		t.log.Warn("the server does not list all files: those that it lists are loaded, and no other is taken for gone", slog.Int("folders", c.Cut), slog.Any("error", c.CutWhy))
	default:
		t.log.Info("the server lists all files again", slog.Duration("after", t.now().Sub(t.cuts.since).Round(time.Second)))
		t.cuts = nil
	}
}

// overran tells that cycles take longer than the interval between them, and what
// holds them up.
func (t *teller) overran(c *ingest.Cycle) {
	switch o := t.overruns; {
	case c.Overran && o == nil:
		t.overruns = &outage{since: t.now(), said: t.now()}
	case c.Overran && t.now().Sub(o.said) >= outageEvery:
		o.said = t.now()
	case !c.Overran && c.Over && o != nil:
		t.log.Info("cycles fit into their interval again", slog.Duration("after", t.now().Sub(o.since).Round(time.Second)))
		t.overruns = nil
		return
	default:
		return
	}
	t.log.Warn("a cycle takes longer than its interval", slog.Duration("interval", c.Poll), slog.Duration("took", c.Took.Round(time.Millisecond)),
		slog.String("bound_by", string(c.Bound)), slog.Int("queued", c.Queued+c.UnderWay))
}

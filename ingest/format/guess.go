package format

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"penstock/ingest"
)

// A Sample is the beginning of a file that a profile is guessed for.
type Sample struct {
	Path  string // as its source knows it; names come from it too
	Text  []byte // its bytes as they came, but for compression; a mebibyte is plenty
	Whole bool   // nothing comes after Text
}

// A Certainty is how sure a finding is.
type Certainty uint8

// How sure a finding can be.
const (
	Open    Certainty = iota // one of several, and nothing tells which: it has to be asked
	Likely                   // nothing speaks against it, and readings do not depend on it: no question
	Certain                  // the file itself proves it, or a person said it
)

// A Finding is one thing that was understood of a file, and why.
type Finding struct {
	What     string // encoding, delimiter, timestamp, logger, ...
	Value    string // what was found
	Sure     Certainty
	Evidence string // what proves it, or what it could be as well
	Sample   int    // the sample that proves it
	Line     int64  // the line of it; 0 when no single line does
}

// Guessed is what was made of one or more files of a kind.
type Guessed struct {
	// Refusal says in a sentence what the files are, when they are no table of
	// readings; all else is then empty.
	Refusal  string
	Profile  *Profile  // whose Text is commented YAML
	Findings []Finding // in the order a reader wants them
	// Shape is that of the files, with the first open question; its Question is
	// empty when every finding that readings depend on is certain.
	Shape *ingest.Shape
}

// Certain reports whether files may be loaded by the guess without asking.
func (g *Guessed) Certain() bool { return g.Profile != nil && g.Shape.Question == "" }

// GuessOptions are what a person says of the samples.
type GuessOptions struct {
	Zone string   // of timestamps that do not tell their own, as --zone has it; "" for none
	Sets []string // answers, as --set has them: order=dmy
}

// A guesser makes a profile of samples of one kind. What it finds rests on the
// samples alone: the same bytes under the same names give the same guess.
type guesser struct {
	o       GuessOptions
	samples []Sample
	checker *checker
	sheets  []*sheet
	id      string

	rows    []guessRow
	columns []guessColumn
	when    *guessWhen
	shape   guessShape
	matrix  *guessMatrix // nil for other shapes
	style   numberStyle
	missing []string // spellings that only this kind of file has
	suffix  struct {
		unit       bool
		flag       string
		inequality bool
	}
	zone    guessZone
	logger  guessOrigin
	several tableOfLoggers
	channel guessOrigin

	findings  []Finding
	questions []question
}

// A question is what is open, and what it could be.
type question struct {
	key     string
	text    string
	answers []ingest.Answer
}

func (q *question) add(set, means string) {
	q.answers = append(q.answers, ingest.Answer{Set: set, Means: means})
}

func (g *guesser) find(f Finding) { g.findings = append(g.findings, f) }
func (g *guesser) ask(q question) { g.questions = append(g.questions, q) }

// Guess makes a profile of samples, which are of one kind: what one of them
// leaves open, another may prove. It never returns nil; either Refusal or
// Profile and Shape are set. The guess is checked by reading the samples with
// it.
func Guess(samples []Sample, o GuessOptions) *Guessed {
	return guess(samples, o, &checker{zone: o.Zone})
}

// guess is Guess with what may be kept from one to the next of that zone. The
// profile of what it returns must not be changed.
func guess(samples []Sample, o GuessOptions, k *checker) *Guessed {
	g := &guesser{o: o, samples: samples, checker: k}
	if len(samples) == 0 {
		return &Guessed{Refusal: "there is no sample to guess from"}
	}
	for i, s := range samples {
		sh := readSheet(s)
		if sh.refusal != "" {
			return &Guessed{Refusal: sh.refusal, Findings: sh.findings}
		}
		g.sheets = append(g.sheets, sh)
		if i == 0 {
			g.findings = append(g.findings, sh.findings...)
		}
	}
	g.gather()
	g.askOfSheets()
	if refusal := g.understand(); refusal != "" {
		return &Guessed{Refusal: refusal, Findings: g.findings}
	}
	return g.conclude()
}

// gather puts the rows of all samples together.
func (g *guesser) gather() {
	first := g.sheets[0]
	n := first.width
	if len(first.names) > 0 {
		n = len(first.names)
	}
	g.columns = make([]guessColumn, n)
	for c := range g.columns {
		if c < len(first.names) {
			g.columns[c].name = first.names[c]
		}
		for _, r := range first.head {
			if r.kind == rowUnits && c < len(r.cells) {
				g.columns[c].unit = r.cells[c]
			}
		}
	}
	g.namesFromPreamble()
	for i, sh := range g.sheets {
		if i > 0 && sh.kind() != first.kind() {
			g.find(Finding{What: "samples", Value: sh.path, Sure: Open, Sample: i, Evidence: "it is of another kind than the first: the columns or the dialect differ"})
			g.ask(question{key: "samples", text: fmt.Sprintf("The samples %s and %s are of different kinds: which is meant?", first.path, sh.path)})
			continue
		}
		rows := sh.rows
		if sh.torn && len(rows) > 1 {
			rows = rows[:len(rows)-1]
		}
		for _, r := range rows {
			g.rows = append(g.rows, guessRow{sample: i, line: r.line, cells: r.cells, quoted: r.quoted})
		}
	}
}

// namesFromPreamble takes the names of the columns out of the preamble, where no
// row has them.
func (g *guesser) namesFromPreamble() {
	sh := g.sheets[0]
	if sh.columnsFrom == "" {
		return
	}
	re, err := regexp.Compile(sh.columnsFrom)
	if err != nil || sh.preamble > len(sh.lines) {
		return
	}
	at := 0
	for i, c := range sh.when {
		if c == i && c < len(g.columns) {
			g.columns[c].name = [...]string{"time", "clock", "part 3", "part 4", "part 5", "part 6", "part 7"}[min(i, 6)]
			at++
		}
	}
	take := func(text string) {
		for _, m := range re.FindAllStringSubmatch(text, -1) {
			if at < len(g.columns) {
				g.columns[at].name = strings.TrimSpace(m[re.SubexpIndex("channel")])
				if unit := re.SubexpIndex("unit"); unit > 0 {
					g.columns[at].unit = strings.TrimSpace(m[unit])
				}
				at++
			}
		}
	}
	if strings.HasPrefix(sh.columnsFrom, "(?m)") {
		take(sh.text[:sh.lines[sh.preamble-1].end])
		return
	}
	for i := range sh.preamble {
		take(sh.line(i))
	}
}

// understand finds out what the columns mean. refusal says in a sentence why the
// table is none of readings.
func (g *guesser) understand() (refusal string) {
	if g.sheets[0].headerless && g.sheets[0].columnsFrom == "" {
		q := question{key: "header", text: "No row names the columns: are they what the findings say?"}
		q.add("header=yes", "the table is what it seems")
		g.ask(q)
	}
	if len(g.rows) == 0 {
		return "the table has a header and no rows: nothing shows what its columns are"
	}
	g.readColumns()
	g.style = numberStyle{decimal: '.', sure: Certain}
	if !g.findWhen() {
		return fmt.Sprintf("no column tells the time of the rows: line %d is %q", g.rows[0].line, cut([]byte(strings.Join(g.rows[0].cells, string(g.sheets[0].delimiter)))))
	}
	var numeric []int
	for c := range g.columns {
		if col := &g.columns[c]; col.role == isUnknown && col.numeric() && (col.stamps == nil || !g.plausibleDates(c)) {
			numeric = append(numeric, c)
		}
	}
	g.style = g.numbersOf(numeric)
	g.findRoles()
	if g.findMatrix() {
		g.shapeOfMatrix()
	} else if !g.findShape() {
		return fmt.Sprintf("no column of the table holds numbers: line %d is %q", g.rows[0].line, cut([]byte(strings.Join(g.rows[0].cells, string(g.sheets[0].delimiter)))))
	}
	g.unlike()
	g.findUnits()
	g.findLogger()
	g.findChannel()
	g.findNumbers()
	g.findZone()
	for c := range g.columns {
		if col := &g.columns[c]; col.role == isIgnored {
			g.find(Finding{What: "ignored", Value: g.columnName(c), Sure: Likely, Evidence: col.why})
		}
	}
	return ""
}

// unlike asks about rows that nothing tells apart: of two readings at one time
// only one would stand.
func (g *guesser) unlike() {
	twice := g.twice()
	if twice < 3 || twice*10 <= len(g.rows) {
		return // a repeated hour, or a line that came twice
	}
	f := Finding{What: "rows of one time", Value: fmt.Sprint(twice), Sure: Open, Evidence: "they have the time and the names of earlier rows"}
	g.find(f)
	g.ask(question{text: fmt.Sprintf("%d of %d rows have the time of an earlier row of the same series: which column tells them apart?", twice, len(g.rows))})
}

// findChannel says where the names of the channels come from.
func (g *guesser) findChannel() {
	if g.matrix != nil {
		return // said with its shape
	}
	if g.shape.long {
		g.channel.columns = g.shape.channel
		g.channel.match = g.commonStart(g.shape.channel[0])
		g.find(Finding{What: "channel", Value: g.columnNames(g.shape.channel), Sure: Certain, Evidence: "its texts say what the row's number is", Line: g.rows[0].line})
		return
	}
	if g.several.named {
		return // what all columns measure is said with the loggers
	}
	values := g.columnsOf(isValue)
	names := make([]string, 0, len(values))
	for _, c := range values {
		_, channel, unit := headerParts(g.columns[c].name)
		if g.columns[c].unit != "" {
			channel, unit = g.columns[c].name, g.columns[c].unit
		}
		if unit != "" {
			channel += " [" + unit + "]"
		}
		names = append(names, channel)
	}
	if len(names) > 12 {
		names = append(names[:12], fmt.Sprintf("and %d more", len(values)-12))
	}
	g.find(Finding{What: "channels", Value: strings.Join(names, ", "), Sure: Certain, Evidence: "the header names the columns of numbers", Line: g.sheets[0].namesLine()})
}

// commonStart is a pattern that takes the channel out of addresses: what stands
// behind the last stroke, when all before it is the same in every row.
func (g *guesser) commonStart(c int) string {
	start := ""
	for s := range g.columns[c].distinct {
		i := strings.LastIndexByte(s, '/')
		if !strings.Contains(s, "://") || i < 0 || i == len(s)-1 || start != "" && s[:i+1] != start {
			return ""
		}
		start = s[:i+1]
	}
	if start == "" {
		return ""
	}
	return "^" + quoteMeta(start) + "(?P<channel>.+)$"
}

// findNumbers says how the numbers are written, and what stands for none.
func (g *guesser) findNumbers() {
	st := &g.style
	f := Finding{What: "decimal sign", Value: string(st.decimal), Sure: st.sure, Evidence: st.evidence}
	if st.row >= 0 && st.row < len(g.rows) {
		f.Sample, f.Line = g.rows[st.row].sample, g.rows[st.row].line
	}
	g.find(f)
	if st.sure == Open && !slices.ContainsFunc(g.questions, func(q question) bool { return q.key == "decimal" }) {
		q := question{key: "decimal", text: "Is the decimal sign a point or a comma?"}
		q.add("decimal=.", "1.234 is one and a bit")
		q.add("decimal=,", "1,234 is one and a bit")
		g.ask(q)
	}
	if st.thousands != "" {
		g.find(Finding{What: "thousands", Value: st.thousands, Sure: Certain, Evidence: "it stands between groups of three digits"})
	}
	values := g.columnsOf(isValue)
	for _, c := range values {
		col := &g.columns[c]
		if col.compared > 0 {
			g.suffix.inequality = true
		}
		for s := range col.suffixes {
			rare := flagLetters().MatchString(s) && col.suffixed*2 < col.filled // a unit stands behind all
			if unitLike(s) && !rare && (len(s) > 1 || len(col.suffixes) == 1) {
				g.suffix.unit = true
			} else {
				g.suffix.flag = `[A-Za-z*#!?]{1,2}`
			}
		}
	}
	g.declaredMissing()
	g.sentinels(values)
	g.strangers(values)
}

// strangers asks about texts that come again and again among the numbers of a
// column.
func (g *guesser) strangers(values []int) {
	for _, c := range values {
		col := &g.columns[c]
		if col.texts == 0 {
			continue
		}
		texts := slices.SortedFunc(maps.Keys(col.distinct), func(a, b string) int {
			return cmp.Or(cmp.Compare(col.distinct[b], col.distinct[a]), cmp.Compare(a, b))
		})
		for _, s := range texts {
			n := col.distinct[s]
			if _, ok := numberOf(s); ok || n*20 < col.filled && n < 5 {
				continue
			}
			f := Finding{What: "missing values", Value: s, Sure: Open, Evidence: fmt.Sprintf("%d cells of %q hold this text where others hold numbers", n, col.name)}
			g.find(f)
			q := question{key: "missing", text: fmt.Sprintf("Does %q in column %q stand for a missing value?", s, col.name)}
			q.add("missing="+s, "it is no reading")
			g.ask(q)
		}
	}
}

// conclude writes the profile, reads it, takes up the answers and reads the
// samples by it.
func (g *guesser) conclude() *Guessed {
	g.id = g.shapeID()
	text := g.write()
	p, err := g.checker.parse(text)
	if err != nil {
		return &Guessed{Refusal: fmt.Sprintf("the layout is understood, and cannot be described: %v", err), Findings: g.findings}
	}
	if len(g.o.Sets) > 0 {
		answered, err := p.With(g.o.Sets, nil)
		if err != nil {
			g.find(Finding{What: "answer", Value: strings.Join(g.o.Sets, " "), Sure: Open, Evidence: err.Error()})
			g.questions = slices.Insert(g.questions, 0, question{text: fmt.Sprintf("The answer %s cannot be taken: what is meant?", strings.Join(g.o.Sets, " "))})
		} else {
			p = answered
			g.takeAnswers()
		}
	}
	if len(g.questions) == 0 {
		g.check(p)
	}
	shape := &ingest.Shape{ID: g.id, Profile: p.Text}
	if len(g.questions) > 0 {
		q := g.questions[0]
		shape.Question, shape.Asks, shape.Answers = q.text, q.key, q.answers
	}
	return &Guessed{Profile: p, Findings: g.findings, Shape: shape}
}

// answered reports whether a person has answered the question of that key.
func (g *guesser) answered(key string) bool {
	return slices.ContainsFunc(g.o.Sets, func(set string) bool { return strings.HasPrefix(set, key+"=") })
}

// askedByRows are the keys of questions that a decoder asks by itself, when the
// rows of a file do not answer them.
var askedByRows = []string{"zone", "order", "decimal"}

// leftOpen are the keys of the questions that the profile has to keep, so that
// none is lost when another is answered.
func (g *guesser) leftOpen() (keys []string) {
	for _, q := range g.questions {
		key := cmp.Or(q.key, "doubt")
		if !slices.Contains(askedByRows, key) && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// takeAnswers closes the questions that a person has answered.
func (g *guesser) takeAnswers() {
	for _, set := range g.o.Sets {
		key, value, _ := strings.Cut(set, "=")
		g.questions = slices.DeleteFunc(g.questions, func(q question) bool {
			return isAnswer(set, cmp.Or(q.key, "doubt")) || q.key == "decimal" && key == "thousands"
		})
		g.find(Finding{What: key, Value: value, Sure: Certain, Evidence: "a person said so"})
	}
}

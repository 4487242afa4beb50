package format

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"penstock/ingest"
)

// This file holds what the loggers table says of a file as a whole, once its
// rows are read: the question about loggers that it does not have, the rows
// that the recipe keeps, and the notes.

// strangers holds a file with loggers that a strict table does not have.
func (d *Decoder) strangers() *refusal {
	n := &d.names
	if !d.settings.Strict || len(n.strange) == 0 {
		return nil
	}
	const most = 5
	names := slices.Sorted(slices.Values(n.strange))
	var what []string
	for _, name := range names[:min(most, len(names))] {
		what = append(what, quoted([]byte(name)))
	}
	list := "logger " + what[0]
	if len(names) > 1 {
		list = "loggers " + strings.Join(what, ", ")
	}
	if len(names) > most {
		list += fmt.Sprintf(" and %d more", len(names)-most)
	}
	question := fmt.Sprintf("the loggers table does not have %s: what do they become? Add them to it (a row with nothing but the name leaves a logger as it is) and take the file up again with --loggers", list)
	if len(names) == 1 {
		question = fmt.Sprintf("the loggers table does not have %s: what does it become? Add it (a row with nothing but the name leaves it as it is) and take the file up again with --loggers", list)
	}
	// It is asked of these loggers, not of the layout of their files, and no
	// other profile is an answer.
	d.span.Shape = &ingest.Shape{ID: shapeID("loggers\x00"+n.source, names), Question: question}
	return hold(question, "")
}

// maxListed is how many loggers a recipe tells of one by one. A file with more
// has the rows of all loggers of its source: files of many loggers, of which some
// are silent today and others tomorrow, share a recipe then.
const maxListed = 4

// listedRecipe returns the recipe of the file: r with the rows of the table
// that the file's loggers have.
func (d *Decoder) listedRecipe(r *ingest.Recipe) *ingest.Recipe {
	n := &d.names
	if len(n.met) == 0 {
		return r
	}
	list := slices.Collect(maps.Keys(n.met))
	if len(list) > maxListed {
		list = n.loggers.forSource(n.source)
	}
	byName(list)
	key := listedKey{base: r}
	for _, e := range list {
		key.rows += string(binary.AppendUvarint(nil, e.id))
	}
	if known := d.listed[key]; known != nil {
		return known
	}
	if d.listed == nil || len(d.listed) >= maxPlans {
		d.listed = make(map[listedKey]*ingest.Recipe)
	}
	with := withRows(r, d.settings, linesOf(list))
	d.listed[key] = with
	return with
}

// A listedKey says what a recipe with rows of the table is made of.
type listedKey struct {
	base *ingest.Recipe
	rows string // the ids of the loggers
}

// paces notes the loggers that did not record as often as the table says.
func (d *Decoder) paces() {
	b, s := d.batch, d.span
	if len(d.names.every) == 0 {
		return
	}
	d.gatherPaces()
	steps := make(map[string]map[int64]int) // by logger and length
	for i := range d.paced {
		p, logger := &d.paced[i], b.Keys[i].Logger
		if !p.read || d.names.every[logger] == nil {
			continue
		}
		p.step(0)
		if steps[logger] == nil {
			steps[logger] = make(map[int64]int)
		}
		for us, n := range p.steps {
			steps[logger][us] += n
		}
	}
	const most = 20
	for _, logger := range slices.Sorted(maps.Keys(steps)) {
		if note := pace(logger, steps[logger], d.names.every[logger]); note != "" && len(s.Notes) < most {
			s.Notes = append(s.Notes, note)
		}
	}
}

// gatherPaces counts the steps between the readings that the batch has of the
// file. A logger of which the table says how often it records is in d.names.every
// before its first reading is there.
func (d *Decoder) gatherPaces() {
	b := d.batch
	if len(d.names.every) == 0 {
		return
	}
	for len(d.paced) < len(b.Keys) {
		d.paced = append(d.paced, paced{})
	}
	for i := d.span.Begin; i < len(b.Time); i++ {
		p := &d.paced[b.Series[i]]
		if step := b.Time[i] - p.last; p.read && step != 0 {
			p.step(max(step, -step))
		}
		p.last, p.read = b.Time[i], true
	}
}

// A paced series is how its readings follow one another in a file.
type paced struct {
	read  bool
	last  int64 // the time of the reading before
	same  int64 // the step before, which mostly is the next
	run   int   // how many of it
	steps map[int64]int
}

// step counts a step of that length, and none when it is 0.
func (p *paced) step(us int64) {
	if us == p.same {
		p.run++
		return
	}
	if p.run > 0 {
		if p.steps == nil {
			p.steps = make(map[int64]int)
		}
		p.steps[p.same] += p.run
	}
	p.same, p.run = us, 1
}

// pace says that most steps of a logger are others than expected; "" when they
// are not.
func pace(logger string, steps map[int64]int, expected []int64) string {
	total, right, often, step := 0, 0, 0, int64(0)
	for us, n := range steps {
		total += n
		if slices.Contains(expected, us) {
			right += n
		} else if n > often || n == often && us < step {
			often, step = n, us
		}
	}
	if 2*right >= total {
		return ""
	}
	var every []string
	for _, us := range slices.Sorted(slices.Values(expected)) {
		every = append(every, brief(us))
	}
	return fmt.Sprintf("logger %q records every %s, says the loggers table; of the %d steps between its readings %d are, and %d are %s",
		logger, strings.Join(every, " or "), total, right, often, brief(step))
}

// brief writes a duration without its zeros: 15m and not 15m0s.
func brief(us int64) string {
	s := (time.Duration(us) * time.Microsecond).String()
	if t, ok := strings.CutSuffix(s, "m0s"); ok {
		s = t + "m"
	}
	if t, ok := strings.CutSuffix(s, "h0m"); ok {
		s = t + "h"
	}
	return s
}

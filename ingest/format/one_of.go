package format

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"penstock/ingest"
)

// This file holds how a file's rows tell in which of several layouts all of its
// timestamps are written; choose.go holds what the timestamps say of them.

// evidenceMost is how much of a file's data, in bytes, is looked at where the
// first evidenceSize of them hold timestamps that several orders of day and month
// read alike, or none.
const evidenceMost = 64 * evidenceSize

// chooseOneOf finds the layout in which all timestamps of the file are written.
func (d *Decoder) chooseOneOf() (*refusal, error) {
	layouts := d.plan.profile.stamp.layouts
	if len(d.plan.profile.stamp.oneOf) == 0 {
		return nil, nil
	}
	f := &d.feed
	for size := evidenceSize; ; size *= 2 {
		if fault, err := f.atLeast(size + 1); fault != nil || err != nil {
			return fault, err
		}
		whole := len(f.window) <= size
		texts, lines := d.sampleStamps(f.window[:min(len(f.window), size)], whole)
		c := chooseLayout(layouts, texts)
		switch {
		case len(c.remain) == 0:
			return quarantine("its timestamps are not all in one of the layouts %s: line %d has %s, which none has that reads the lines before", layoutTexts(layouts), lines[c.proof], quoted(texts[c.proof])), nil
		case !c.certain():
			return orderQuestion(layouts, c.remain, texts, lines), nil
		}
		twin := twinOf(layouts, c.remain[0], texts)
		switch {
		case whole || twin < 0:
			d.chosen = d.plan.profile.stamp.oneOf[c.remain[0]]
			d.plan.clock.use(d.chosen)
			return nil, nil
		case size == evidenceMost:
			return hold(fmt.Sprintf("its timestamps may be written as %q or as %q, and its first %d MiB do not tell: which is it?", layouts[c.remain[0]].text, layouts[twin].text, size>>20), "order",
				layouts[c.remain[0]].asAnswer(), layouts[twin].asAnswer()), nil
		}
	}
}

// twinOf returns a layout with another order of day and month that reads all of
// the texts as the chosen one does; -1 when there is none.
func twinOf(layouts []*layout, chosen int, texts [][]byte) int {
	return slices.IndexFunc(layouts, func(l *layout) bool {
		if l.order() == layouts[chosen].order() {
			return false
		}
		return !slices.ContainsFunc(texts, func(text []byte) bool {
			a, oka := l.read(text)
			b, okb := layouts[chosen].read(text)
			return okb && (!oka || a != b)
		})
	})
}

// asAnswer is the answer that timestamps are written as the layout says.
func (l *layout) asAnswer() ingest.Answer {
	return ingest.Answer{Set: "layout=" + l.text, Means: "year, month and day stand in the order " + l.order()}
}

// sampleStamps returns the timestamps of the records that w begins with, and
// their lines.
func (d *Decoder) sampleStamps(w []byte, final bool) (texts [][]byte, lines []int64) {
	p := d.plan.profile
	for pos, line := 0, d.line; pos < len(w); {
		end, next, ok := lineEnd(w[pos:], final)
		if !ok {
			break
		}
		row := w[pos : pos+end]
		if p.framing.footer != nil && p.framing.footer.in(row) {
			break
		}
		line++
		at := line
		if len(trim(row)) > 0 && !p.marks(w[pos:]) {
			after, n, fault := d.split.split(w[pos:], end, next, final)
			if fault == quotesFine && d.plan.tells(len(d.split.cells)) {
				if text, ok := d.stampText(d.split.cells); ok {
					texts, lines = append(texts, bytes.Clone(text)), append(lines, at)
				}
				next, line = after, line+n-1
			}
		}
		pos += next
	}
	return texts, lines
}

// orderQuestion asks which of several layouts is meant, of a timestamp that they
// read differently.
func orderQuestion(layouts []*layout, remain []int, texts [][]byte, lines []int64) *refusal {
	at := 0
	for t, text := range texts {
		a, oka := layouts[remain[0]].read(text)
		b, okb := layouts[remain[1]].read(text)
		if oka && okb && a != b {
			at = t
			break
		}
	}
	var answers []ingest.Answer
	orders := make(map[string]bool)
	for _, i := range remain {
		w, _ := layouts[i].read(texts[at])
		set := "order=" + layouts[i].order()
		if orders[set] || len(set) != len("order=dmy") {
			set = "layout=" + layouts[i].text
		}
		orders[set] = true
		answers = append(answers, ingest.Answer{Set: set, Means: fmt.Sprintf("%s is %s", texts[at], time.Unix(w.seconds, 0).UTC().Format("2 January 2006"))})
	}
	return hold(fmt.Sprintf("is %s in line %d the %s?", quoted(texts[at]), lines[at], strings.Join(dates(answers, texts[at]), " or the ")), "order", answers...)
}

// dates lists the days that answers make of a text.
func dates(answers []ingest.Answer, text []byte) (list []string) {
	for _, a := range answers {
		list = append(list, strings.TrimPrefix(a.Means, string(text)+" is "))
	}
	return list
}

func layoutTexts(layouts []*layout) string {
	var list []string
	for _, l := range layouts {
		list = append(list, strconv.Quote(l.text))
	}
	return strings.Join(list, " and ")
}

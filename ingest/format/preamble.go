package format

import (
	"bytes"
	"fmt"
	"iter"
	"strconv"
)

// spanning says of a regular expression that it is about lines: with its flag s
// or m it may match across line endings.
var spanning = lazily(`^\(\?[a-zA-Z]*[sm][a-zA-Z]*[):]`)

// texts returns the pieces of a preamble that p is to be matched against: each
// of its lines, or all of it at once, with line feeds for its line endings, when
// the pattern has the flag s or m.
func (p *pattern) texts(preamble []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if p.spans {
			preamble = bytes.ReplaceAll(preamble, []byte("\r\n"), []byte("\n"))
			yield(bytes.ReplaceAll(preamble, []byte("\r"), []byte("\n")))
			return
		}
		for len(preamble) > 0 {
			end, next, _ := lineEnd(preamble, true)
			if !yield(preamble[:end]) {
				return
			}
			preamble = preamble[next:]
		}
	}
}

// inLines returns what the group took where p first matches a preamble.
func (p *pattern) inLines(preamble []byte, group string) ([]byte, bool) {
	for text := range p.texts(preamble) {
		if part, ok := p.find(text, group); ok {
			return part, true
		}
	}
	return nil, false
}

// all yields the matches of p in a preamble, in order, each as what its groups
// took.
func (p *pattern) all(preamble []byte) iter.Seq[func(group string) []byte] {
	return func(yield func(func(string) []byte) bool) {
		for text := range p.texts(preamble) {
			for _, m := range p.re.FindAllSubmatchIndex(text, -1) {
				if !yield(func(group string) []byte {
					i, ok := p.groups[group]
					if !ok || m[2*i] < 0 {
						return nil
					}
					return text[m[2*i]:m[2*i+1]]
				}) {
					return
				}
			}
		}
	}
}

// declared is how many records a file says that it has.
type declared struct {
	given   bool
	records int64
}

// declare notes how many records text, which is no record, says that the file
// has. What it says first counts.
func (d *Decoder) declare(text []byte) {
	p := d.plan.profile.framing.records
	if p == nil || d.declared.given {
		return
	}
	if digits, ok := p.inLines(text, "records"); ok {
		n, err := strconv.ParseInt(string(digits), 10, 64)
		d.declared = declared{err == nil, n}
	}
}

// noteRecords says on the span when the file has not as many records as it says.
// Not all of them need be readable.
func (d *Decoder) noteRecords() {
	if n := d.lines.Data + d.lines.Rejected - d.more; d.declared.given && n != d.declared.records {
		d.span.Notes = append(d.span.Notes, fmt.Sprintf("the file says that it has %d records, and it has %d", d.declared.records, n))
	}
}

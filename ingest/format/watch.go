package format

import "penstock/ingest"

// A LineKind is what a decoder takes a line for, in the words of a receipt.
type LineKind string

// The kinds of lines.
const (
	PreambleLine LineKind = "preamble"
	HeaderLine   LineKind = "header"
	BlankLine    LineKind = "blank"
	CommentLine  LineKind = "comment"
	FooterLine   LineKind = "footer"
	MessageLine  LineKind = "message"
	DataLine     LineKind = "data"
	RejectedLine LineKind = "rejected"
)

// Watch has the decoder call saw for each line of the files that it decodes
// from now on, or each record where one has several lines: first and last are
// their numbers, and text is what stands there with its line ending, in UTF-8,
// valid until saw returns. Lines come in order, while the file is decoded; a
// file that is refused or held stops with the line that decided it. Decoding
// is slower then. It is for people who look at what a profile makes of a file.
func (d *Decoder) Watch(saw func(kind LineKind, first, last int64, text []byte)) { d.saw = saw }

// sawHead tells who watches of the lines of a preamble and a header, which
// stand behind the given line.
func (d *Decoder) sawHead(line int64, preamble, header []byte) {
	if d.saw == nil {
		return
	}
	each := func(kind LineKind, w []byte) {
		for len(w) > 0 {
			_, next, _ := lineEnd(w, true)
			line++
			d.saw(kind, line, line, w[:next])
			w = w[next:]
		}
	}
	each(PreambleLine, preamble)
	each(HeaderLine, header)
}

// sawRecord tells who watches of what has been counted since before.
func (d *Decoder) sawRecord(before ingest.Lines, text []byte) {
	if d.saw == nil || d.lines.Total == before.Total {
		return
	}
	now := &d.lines
	if now.Header > before.Header { // a head anew, perhaps with its preamble
		size := 0
		for range now.Preamble - before.Preamble {
			_, next, _ := lineEnd(text[size:], true)
			size += next
		}
		d.sawHead(before.Total, text[:size], text[size:])
		return
	}
	kind := DataLine
	switch {
	case now.Blank > before.Blank:
		kind = BlankLine
	case now.Comment > before.Comment:
		kind = CommentLine
	case now.Footer > before.Footer:
		kind = FooterLine
	case now.Message > before.Message:
		kind = MessageLine
	case now.Rejected > before.Rejected:
		kind = RejectedLine
	}
	d.saw(kind, before.Total+1, now.Total, text)
}

package format

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// readText makes the sample's bytes the sheet's text: UTF-8 without byte order
// mark and NUL bytes. It refuses what is no text.
func (sh *sheet) readText(s Sample) {
	b := s.Text
	if len(b) == 0 {
		sh.refusal = "the file is empty"
		return
	}
	b, wide := sh.unwind16(b)
	if !wide {
		if rest, ok := bytes.CutPrefix(b, bom); ok {
			b, sh.bom = rest, true
		}
		if reason := foreign(withoutNUL(b, firstLook)); reason != "" {
			sh.refusal = reason
			return
		}
		if n := bytes.Count(b, []byte{0}); n > 0 {
			if at := binaryAt(b); at >= 0 {
				sh.refusal = fmt.Sprintf("the file is binary from its byte %d on, whatever text stands before: %d of its first %d bytes are NUL", at+1, n, len(b))
				return
			}
			sh.nul = true
			sh.find("NUL bytes", "left out", Certain, 1+int64(bytes.Count(b[:bytes.IndexByte(b, 0)], []byte("\n"))), "%d NUL bytes stand in the text, all around them is text", n)
			b = withoutNUL(b, len(b))
		} else if at := binaryAt(b); at >= 0 {
			sh.refusal = fmt.Sprintf("the file is binary from its byte %d on, whatever text stands before", at+1)
			return
		}
		b = sh.recode8(b)
	} else if reason := foreign(b); reason != "" {
		sh.refusal = reason
		return
	}
	if !s.Whole {
		if at := bytes.LastIndexAny(b, "\r\n"); at > 0 {
			b = b[:at+1]
		}
	}
	if len(bytes.TrimSpace(b)) == 0 {
		sh.refusal = "the file has nothing but blanks in it"
		return
	}
	sh.text = string(b)
	sh.readLines()
}

// find keeps a finding.
func (sh *sheet) find(what, value string, sure Certainty, line int64, evidence string, args ...any) {
	sh.findings = append(sh.findings, Finding{What: what, Value: value, Sure: sure, Line: line, Evidence: fmt.Sprintf(evidence, args...)})
}

// withoutNUL returns the first n bytes of b without the NUL bytes in them.
func withoutNUL(b []byte, n int) []byte {
	n = min(n, len(b))
	if bytes.IndexByte(b[:n], 0) < 0 {
		return b[:n]
	}
	out := make([]byte, 0, n)
	for _, c := range b[:n] {
		if c != 0 {
			out = append(out, c)
		}
	}
	return out
}

// binaryAt returns where b begins to be binary: the first of its blocks in
// which control characters are more than a text has. -1 when none is.
func binaryAt(b []byte) int {
	const block = 2048
	for from := 0; from < len(b); from += block {
		part := b[from:min(from+block, len(b))]
		odd, first := 0, -1
		for i, c := range part {
			if c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != 0 && c != 0x1a {
				if odd++; first < 0 {
					first = i
				}
			}
		}
		if odd*25 > len(part) && odd > 3 {
			return from + first
		}
	}
	return -1
}

// unwind16 decodes b when it is UTF-16, with or without byte order mark.
func (sh *sheet) unwind16(b []byte) ([]byte, bool) {
	low := 0 // which byte of two is the low one
	evidence := "the file begins with its byte order mark"
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		sh.bom = true
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		sh.bom, low = true, 1
	default:
		var zeros [2]int
		look := b[:min(len(b), firstLook)]
		for i, c := range look {
			if c == 0 {
				zeros[i&1]++
			}
		}
		half := len(look) / 2
		switch {
		case half >= 4 && zeros[1]*10 > half*8 && zeros[0]*20 < half:
		case half >= 4 && zeros[0]*10 > half*8 && zeros[1]*20 < half:
			low = 1
		default:
			return b, false
		}
		evidence = "every other byte is NUL, as in UTF-16 text; there is no byte order mark"
	}
	sh.encoding = "utf-16le"
	if low == 1 {
		sh.encoding = "utf-16be"
	}
	sh.find("encoding", sh.encoding, Certain, 1, "%s", evidence)
	if sh.bom {
		b = b[2:]
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(b[2*i+low]) | uint16(b[2*i+1-low])<<8
	}
	out := make([]byte, 0, len(b)*3/4)
	for i := 0; i < len(units); i++ {
		r := rune(units[i])
		if utf16.IsSurrogate(r) && i+1 < len(units) {
			if r = utf16.DecodeRune(r, rune(units[i+1])); r != utf8.RuneError {
				i++
			}
		}
		if r != 0 {
			out = utf8.AppendRune(out, r)
		}
	}
	return out, true
}

// westEurope are the characters of Windows-1252 from 0x80 to 0x9f; those it
// does not have are U+FFFD. From 0xa0 on it is ISO-8859-1.
var westEurope = [32]rune{'€', 0xfffd, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', 0xfffd, 'Ž', 0xfffd,
	0xfffd, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', 0xfffd, 'ž', 'Ÿ'}

// recode8 makes text of one byte a character UTF-8, unless it is that already.
func (sh *sheet) recode8(b []byte) []byte {
	high, bad := -1, -1
	for i := 0; i < len(b); {
		if b[i] < utf8.RuneSelf {
			i++
			continue
		}
		if high < 0 {
			high = i
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 && utf8.FullRune(b[i:]) {
			bad = i
			break
		}
		i += n
	}
	sh.encoding = "utf-8"
	lineOf := func(at int) int64 { return 1 + int64(bytes.Count(b[:at], []byte("\n"))) }
	if bad < 0 {
		switch {
		case sh.bom:
			sh.find("encoding", "utf-8", Certain, 1, "the file begins with its byte order mark")
		case high >= 0:
			r, _ := utf8.DecodeRune(b[high:])
			sh.find("encoding", "utf-8", Certain, lineOf(high), "what is not ASCII is valid UTF-8: %q", r)
		default:
			sh.ascii = true
			sh.find("encoding", "utf-8", Certain, 0, "the text is ASCII alone, which is the same in all usual encodings")
		}
		return b
	}
	sh.encoding, sh.foreignFrom = "windows-1252", bad
	out := make([]byte, 0, len(b)+64)
	pairs, highs, controls, nowhere := 0, 0, 0, 0
	for i, c := range b {
		switch {
		case c < 0x80:
			out = append(out, c)
			continue
		case c < 0xa0:
			r := westEurope[c-0x80]
			controls++
			if r == utf8.RuneError {
				r = rune(c) // as the Encoding Standard has it; nothing of the byte is lost
				nowhere++
			}
			out = utf8.AppendRune(out, r)
		default:
			out = utf8.AppendRune(out, rune(c))
		}
		if highs++; i > 0 && b[i-1] >= 0x80 {
			pairs++
		}
	}
	switch {
	case pairs*5 > highs*2 || nowhere*4 > highs:
		sh.find("encoding", sh.encoding, Open, lineOf(bad), "byte %02x is not valid UTF-8, and such bytes stand together as they do in gb18030, shift_jis, windows-1251 and the like; nothing tells which it is", b[bad])
	case controls > 0:
		sh.find("encoding", sh.encoding, Certain, lineOf(bad), "byte %02x is not valid UTF-8 and is %q in Windows-1252; bytes 80 to 9f, which ISO-8859-1 does not have, occur", b[bad], string(westRune(b[bad])))
	default:
		sh.find("encoding", sh.encoding, Certain, lineOf(bad), "byte %02x is not valid UTF-8 and is %q in Windows-1252; ISO-8859-1 reads this text alike", b[bad], string(westRune(b[bad])))
	}
	return out
}

func westRune(c byte) rune {
	if c >= 0x80 && c < 0xa0 {
		return westEurope[c-0x80]
	}
	return rune(c)
}

// readLines finds the lines of the text.
func (sh *sheet) readLines() {
	var crlf, cr, lf int
	text := sh.text
	sh.lines = make([]sheetLine, 0, 16+len(text)/48)
	hasCR := strings.IndexByte(text, '\r') >= 0
	for p := 0; p < len(text); {
		i := strings.IndexByte(text[p:], '\n')
		if i < 0 {
			i = len(text) - p
		}
		part := text[p : p+i]
		if hasCR {
			for {
				j := strings.IndexByte(part, '\r')
				if j < 0 || j == len(part)-1 && p+i < len(text) {
					break
				}
				sh.lines = append(sh.lines, sheetLine{p, p + j})
				p, i, part = p+j+1, i-j-1, part[j+1:]
				cr++
			}
		}
		switch end := p + i; {
		case end == len(text):
			if len(part) > 0 {
				sh.lines = append(sh.lines, sheetLine{p, end})
			}
		case strings.HasSuffix(part, "\r"):
			sh.lines = append(sh.lines, sheetLine{p, end - 1})
			crlf++
		default:
			sh.lines = append(sh.lines, sheetLine{p, end})
			lf++
		}
		p += i + 1
	}
	n := max(crlf, cr, lf)
	switch n {
	case crlf:
		sh.ending = "CRLF"
	case cr:
		sh.ending = "CR"
	}
	if n == lf {
		sh.ending = "LF"
	}
	sh.mixed = n != crlf+cr+lf
	if sh.mixed {
		sh.find("line endings", sh.ending, Certain, 0, "mixed: %d LF, %d CRLF, %d CR; all are read", lf, crlf, cr)
	} else if n > 0 {
		sh.find("line endings", sh.ending, Certain, 1, "all %d of them", n)
	}
}

// line returns the text of line n, counted from 0.
func (sh *sheet) line(n int) string { return sh.text[sh.lines[n].start:sh.lines[n].end] }

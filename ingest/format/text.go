package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/transform"
)

// A charset is an encoding of text other than UTF-8, by its name in the WHATWG
// Encoding Standard. The zero charset is UTF-8.
type charset string

const (
	utf16le charset = "utf-16le"
	utf16be charset = "utf-16be"
)

// parseCharset reads a label of the WHATWG Encoding Standard.
func parseCharset(label string) (charset, error) {
	e, err := htmlindex.Get(label)
	if err != nil {
		return "", fmt.Errorf("unknown encoding %q: write a label of the WHATWG Encoding Standard, such as utf-8, windows-1252, utf-16le or shift_jis", label)
	}
	name, err := htmlindex.Name(e)
	switch {
	case err != nil || name == "replacement" || name == "x-user-defined":
		return "", fmt.Errorf("the encoding %q is not read", label)
	case name == "utf-8":
		name = ""
	}
	return charset(name), nil
}

func (c charset) String() string {
	if c == "" {
		return "utf-8"
	}
	return string(c)
}

// ascii reports whether ASCII bytes mean themselves, but where they are the
// rest of a character that began with another.
func (c charset) ascii() bool { return c != utf16le && c != utf16be && c != "iso-2022-jp" }

// decoder returns what makes UTF-8 of it; nil when it is UTF-8.
func (c charset) decoder() transform.Transformer {
	if c == "" {
		return nil
	}
	e, err := htmlindex.Get(string(c))
	if err != nil {
		panic(err) // parseCharset had it
	}
	return e.NewDecoder()
}

// A script is how the text of a file is written. The zero script is UTF-8.
type script struct {
	charset charset
	noNUL   bool // its NUL bytes are left out
}

// plain reports whether text that is written so reads the same as UTF-8.
func (s script) plain(text []byte) bool {
	if s.noNUL && bytes.IndexByte(text, 0) >= 0 {
		return false
	}
	return s.charset == "" || s.charset.ascii() && isASCII(text)
}

func isASCII(b []byte) bool {
	for len(b) >= 8 {
		if (uint64(b[0])|uint64(b[1])|uint64(b[2])|uint64(b[3])|uint64(b[4])|uint64(b[5])|uint64(b[6])|uint64(b[7]))&0x80 != 0 {
			return false
		}
		b = b[8:]
	}
	return !slices.ContainsFunc(b, func(c byte) bool { return c >= 0x80 })
}

var bom = []byte("\xef\xbb\xbf")

// marked says which encoding the file that w begins with is of, whatever its
// profile says, and how many bytes of w are its byte order mark. ok is false
// when the file does not tell.
func marked(w []byte) (c charset, mark int, ok bool) {
	switch {
	case len(w) > 0 && w[0] > 0 && w[0] < 0x80 && bytes.IndexByte(w[:min(len(w), 4096)], 0) < 0:
		return "", 0, false // as nearly always
	case bytes.HasPrefix(w, bom):
		return "", len(bom), true
	case bytes.HasPrefix(w, []byte("\xff\xfe\x00\x00")):
		return "", 0, false // that of UTF-32
	case bytes.HasPrefix(w, []byte("\xff\xfe")):
		return utf16le, 2, true
	case bytes.HasPrefix(w, []byte("\xfe\xff")):
		return utf16be, 2, true
	}
	w = w[:min(len(w), 4096)]
	if len(w) < 4 || bytes.IndexByte(w, 0) < 0 {
		return "", 0, false
	}
	// In UTF-16 most letters, digits and signs of tables have one byte NUL.
	var nul [2]int
	for i, b := range w {
		if b == 0 {
			nul[i&1]++
		}
	}
	half := len(w) / 2
	switch {
	case nul[1]*10 >= half*7 && nul[0]*20 <= nul[1]:
		return utf16le, 0, true
	case nul[0]*10 >= half*7 && nul[1]*20 <= nul[0]:
		return utf16be, 0, true
	}
	return "", 0, false
}

// choose returns the first of the charsets that look, the beginning of a file,
// is valid in; the first of all when it is in none. UTF-16 is only what marked
// knows, since any bytes at all are valid in it. whole says that nothing comes
// after look.
func choose(list []charset, look []byte, whole bool) charset {
	if len(list) == 1 {
		return list[0]
	}
	for _, c := range list {
		if c != utf16le && c != utf16be && c.reads(look, whole) {
			return c
		}
	}
	return list[0]
}

// reads reports whether text is valid in c.
func (c charset) reads(text []byte, whole bool) bool {
	if c.ascii() && isASCII(text) {
		return true
	}
	if c == "" {
		if !whole {
			text = text[:wholeRunes(text)]
		}
		return utf8.Valid(text)
	}
	out, _ := script{charset: c}.recoded(text, whole)
	return bytes.IndexByte(out, notText) < 0
}

// wholeRunes returns how much of text ends with a whole character, as far as
// its last bytes can be the beginning of one.
func wholeRunes(text []byte) int {
	for i := len(text) - 1; i >= max(0, len(text)-utf8.UTFMax); i-- {
		if utf8.RuneStart(text[i]) {
			if !utf8.FullRune(text[i:]) {
				return i
			}
			break
		}
	}
	return len(text)
}

// notText stands in recoded text for bytes that are no character in the file's
// encoding. It is no part of any UTF-8.
const notText = 0xff

// replacement is what x/text decoders write for such bytes.
const replacement = "\uFFFD"

// recoding makes UTF-8 of the text of a script. It keeps its buffer from file
// to file.
type recoding struct {
	script script
	from   io.Reader
	to     transform.Transformer
	buf    []byte
	unread []byte // of buf
	err    error  // what from ended with
}

func (r *recoding) open(s script, from io.Reader) {
	r.script, r.from, r.to, r.err = s, from, s.charset.decoder(), nil
	if r.buf == nil {
		r.buf = make([]byte, 32<<10)
	}
	r.unread = r.buf[:0]
}

// Read implements io.Reader. p must have room for a few characters.
func (r *recoding) Read(p []byte) (int, error) {
	for {
		if r.err == nil && len(r.unread) < len(r.buf)/2 {
			kept := copy(r.buf, r.unread)
			var n int
			n, r.err = r.from.Read(r.buf[kept:])
			r.unread = r.buf[:kept+n]
			if r.err != nil && !errors.Is(r.err, io.EOF) {
				return 0, r.err
			}
			if n == 0 && r.err == nil {
				return 0, nil
			}
		}
		if errors.Is(r.err, io.EOF) && len(r.unread) == 0 {
			return 0, io.EOF
		}
		n, err := r.some(p)
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// some makes UTF-8 of what is unread, as much as p has room for.
func (r *recoding) some(p []byte) (int, error) {
	if r.to == nil || r.script.charset.ascii() && isASCII(r.unread) {
		n := copy(p, r.unread)
		r.unread = r.unread[n:]
		return r.script.clean(p[:n]), nil
	}
	n, read, err := r.to.Transform(p, r.unread, r.err != nil)
	r.unread = r.unread[read:]
	switch {
	case errors.Is(err, transform.ErrShortDst) && n == 0 && read == 0:
		return 0, io.ErrShortBuffer
	case err != nil && !errors.Is(err, transform.ErrShortDst) && !errors.Is(err, transform.ErrShortSrc):
		return 0, err
	}
	return r.script.clean(p[:n]), nil
}

// clean puts notText for what is no text in p, which holds whole characters,
// and takes NUL bytes out where the script says so. It returns the length that
// is left.
func (s script) clean(p []byte) int {
	n := len(p)
	if s.charset != "" && bytes.Contains(p, []byte(replacement)) {
		n = copy(p, bytes.ReplaceAll(p, []byte(replacement), []byte{notText}))
	}
	if s.noNUL && bytes.IndexByte(p[:n], 0) >= 0 {
		n = len(slices.DeleteFunc(p[:n], func(b byte) bool { return b == 0 }))
	}
	return n
}

// recoded returns the beginning of a text as UTF-8, as much as whole
// characters of w tell, and whether it is all of it.
func (s script) recoded(w []byte, final bool) ([]byte, bool) {
	if s.plain(w) {
		return w, final
	}
	to := s.charset.decoder()
	if to == nil {
		out := bytes.Clone(w)
		return out[:s.clean(out)], final
	}
	out := make([]byte, 0, len(w)+len(w)/2+64)
	for {
		n, read, err := to.Transform(out[len(out):cap(out)], w, final)
		out, w = out[:len(out)+n], w[read:]
		if !errors.Is(err, transform.ErrShortDst) {
			return out[:s.clean(out)], final
		}
		out = slices.Grow(out, len(w)+64)
	}
}

// strange reports whether b holds bytes that are no character in the encoding
// of the file, which is not UTF-8: what is made of UTF-8 is judged cell by cell.
func (f *feed) strange(b []byte) bool {
	return f.from == &f.recode && bytes.IndexByte(b, notText) >= 0
}

// notTextReason says what strange found.
func (f *feed) notTextReason() string {
	return fmt.Sprintf("bytes that are no text in the encoding %s (is it the right one?)", strings.ToLower(f.script.charset.String()))
}

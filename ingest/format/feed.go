package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"penstock/ingest"
)

// A feed is the text of one file, seen through a window that moves over it. A
// file that is whole in memory, neither compressed nor in need of another
// encoding, is its own window.
type feed struct {
	window []byte // what is not yet read; valid until more
	final  bool   // nothing comes after window

	buf    []byte    // the window's own buffer, kept from file to file
	step   int       // how much of a stream is read at a time; 0 for firstWindow
	from   io.Reader // what fills it: raw, packed or recoded
	raw    counting  // the bytes as they came, when they are counted
	data   bytes.Reader
	packed packed
	script script // the window is written in UTF-8, made of it
	recode recoding
}

// firstWindow is how much of a stream is read at a time.
const firstWindow = 256 << 10

// counting counts what is read, and keeps the error of reading it apart from
// those of what is made of it.
type counting struct {
	from io.Reader
	n    int64
	err  error
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.from.Read(b)
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = fmt.Errorf("reading the file: %w", err)
	}
	return n, err
}

// open points the feed at c. A refusal is about what the bytes are; an error
// is that of reading them.
func (f *feed) open(c *ingest.Content, limits *Limits) (*refusal, error) {
	f.from, f.raw, f.script = nil, counting{}, script{}
	f.packed.limits, f.packed.raw, f.packed.size = limits, &f.raw, -1
	if c.Stream == nil {
		kind := packing(c.Data)
		if kind == "" {
			f.window, f.final = c.Data, true
			return nil, nil
		}
		f.data.Reset(c.Data)
		f.packed.size = int64(len(c.Data))
		return f.unpack(kind, &f.data)
	}
	f.raw = counting{from: c.Stream}
	f.from = &f.raw
	f.buf = f.first()
	f.window, f.final = nil, false
	for len(f.window) < 4 && !f.final { // the longest magic of a packing
		if fault, err := f.more(); fault != nil || err != nil {
			return fault, err
		}
	}
	kind := packing(f.window)
	if kind == "" {
		return nil, nil
	}
	return f.unpack(kind, io.MultiReader(bytes.NewReader(bytes.Clone(f.window)), &f.raw))
}

func (f *feed) unpack(kind string, r io.Reader) (*refusal, error) {
	if err := f.packed.open(kind, r); err != nil {
		return f.broken(err)
	}
	return f.follow(&f.packed)
}

// follow makes r what the window is filled from, from the beginning.
func (f *feed) follow(r io.Reader) (*refusal, error) {
	f.buf = f.first()
	f.window, f.final, f.from = nil, false, r
	return f.more()
}

// write has the rest of the file, all of which must still be before it, come
// as UTF-8, made of the script s.
func (f *feed) write(s script) (*refusal, error) {
	f.script = s
	if f.final && s.plain(f.window) {
		return nil, nil // it is UTF-8 as it is
	}
	var rest io.Reader = bytes.NewReader(f.window)
	if f.from != nil { // the window is of the buffer that is filled anew
		rest = io.MultiReader(bytes.NewReader(bytes.Clone(f.window)), f.from)
	}
	f.recode.open(s, rest)
	return f.follow(&f.recode)
}

// broken tells what is wrong with a file from bytes that could not be read.
func (f *feed) broken(err error) (*refusal, error) {
	if fault := (*refusal)(nil); errors.As(err, &fault) {
		return fault, nil
	}
	if f.raw.err != nil {
		return nil, f.raw.err
	}
	return nil, fmt.Errorf("reading the file: %w", err)
}

// more adds to the window, keeping what is unread in it. When it returns
// without fault or error the window has grown or is final.
func (f *feed) more() (*refusal, error) {
	if f.final {
		return nil, nil
	}
	// What is unread moves to the front, unless it is so much that the buffer
	// has to grow for a line to fit.
	f.buf = f.buf[:copy(f.buf[:cap(f.buf)], f.window)]
	if len(f.buf) > cap(f.buf)/2 {
		f.buf = grown(f.buf, 2*cap(f.buf))
	}
	for tries := 0; ; tries++ {
		n, err := f.from.Read(f.buf[len(f.buf):cap(f.buf)])
		f.buf = f.buf[:len(f.buf)+n]
		f.window = f.buf
		switch {
		case err == io.EOF:
			f.final = true
			return nil, nil
		case err != nil:
			return f.broken(err)
		case n > 0 && len(f.buf) >= cap(f.buf)/2:
			return nil, nil
		case n == 0 && tries > 100:
			return nil, fmt.Errorf("reading the file: %w", io.ErrNoProgress)
		}
	}
}

// atLeast has n bytes in the window, or all there are: what is said of a file
// must not depend on how it came in pieces.
func (f *feed) atLeast(n int) (*refusal, error) {
	for len(f.window) < n && !f.final {
		if fault, err := f.more(); fault != nil || err != nil {
			return fault, err
		}
	}
	return nil, nil
}

// first returns the empty buffer that a stream begins with.
func (f *feed) first() []byte {
	if f.step == 0 {
		return grown(f.buf[:0], firstWindow)
	}
	return make([]byte, 0, f.step)
}

// grown returns b with room for at least n bytes.
func grown(b []byte, n int) []byte {
	if cap(b) >= n {
		return b
	}
	return append(make([]byte, 0, n), b...)
}

// A refusal is why a file is not loaded.
type refusal struct {
	state   ingest.State
	reason  string
	asks    string // of a held file, as in a Shape
	answers []ingest.Answer

	unmatched bool // nothing is wrong but that no profile matches
}

// hold keeps a file back until a person answers the question: asks and answers
// are as in a Shape.
func hold(question, asks string, answers ...ingest.Answer) *refusal {
	return &refusal{state: ingest.Held, reason: question, asks: asks, answers: answers}
}

func quarantine(format string, args ...any) *refusal {
	return &refusal{state: ingest.Quarantined, reason: fmt.Sprintf(format, args...)}
}

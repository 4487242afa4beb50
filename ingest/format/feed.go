package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"penstock/ingest"

	"github.com/klauspost/compress/gzip"
)

// A feed is the text of one file, seen through a window that moves over it. A
// file that is whole in memory is its own window.
type feed struct {
	window []byte // what is not yet read; valid until more
	final  bool   // nothing comes after window

	buf  []byte    // the window's own buffer, kept from file to file
	step int       // how much of a stream is read at a time; 0 for firstWindow
	from io.Reader // what fills it
	raw  counting  // the bytes as they came, when they are counted
	zip  *gzip.Reader
	zips bytes.Reader

	inflated int64 // 0 unless compressed
	limits   *Limits
	size     int64 // of the file as it came; -1 when only raw knows
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
		c.err = err
	}
	return n, err
}

// open points the feed at c. A refusal is about what the bytes are; an error
// is that of reading them.
func (f *feed) open(c *ingest.Content, limits *Limits) (*refusal, error) {
	f.limits, f.inflated, f.from, f.raw = limits, 0, nil, counting{}
	if c.Stream == nil {
		if !isGzip(c.Data) {
			f.window, f.final = c.Data, true
			return nil, nil
		}
		f.zips.Reset(c.Data)
		f.size = int64(len(c.Data))
		return f.inflate(&f.zips)
	}
	f.raw = counting{from: c.Stream}
	f.from, f.size = &f.raw, -1
	f.buf = f.first()
	f.window, f.final = nil, false
	if fault, err := f.more(); fault != nil || err != nil {
		return fault, err
	}
	if !isGzip(f.window) {
		return nil, nil
	}
	return f.inflate(io.MultiReader(bytes.NewReader(bytes.Clone(f.window)), &f.raw))
}

func isGzip(b []byte) bool { return len(b) > 2 && b[0] == 0x1f && b[1] == 0x8b && b[2] == 8 }

func (f *feed) inflate(r io.Reader) (fault *refusal, err error) {
	if f.zip == nil {
		f.zip, err = gzip.NewReader(r)
	} else {
		err = f.zip.Reset(r)
	}
	if err != nil {
		f.zip = nil
		return f.broken(err)
	}
	f.buf = f.first()
	f.window, f.final, f.from = nil, false, f.zip
	return f.more()
}

// broken tells damaged compression from bytes that could not be read.
func (f *feed) broken(err error) (*refusal, error) {
	if f.raw.err != nil {
		return nil, fmt.Errorf("reading the file: %w", f.raw.err)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return quarantine("the gzip data end too early: the file was cut short, %d bytes of text into it", f.inflated), nil
	}
	return quarantine("the gzip data are damaged, %d bytes of text into them: %v", f.inflated, err), nil
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
		if f.from != &f.raw {
			if fault := f.tooMuch(n); fault != nil {
				return fault, nil
			}
		}
		switch {
		case err == io.EOF:
			f.final = true
			return nil, nil
		case err != nil && f.from == &f.raw:
			return nil, fmt.Errorf("reading the file: %w", err)
		case err != nil:
			return f.broken(err)
		case n > 0 && len(f.buf) >= cap(f.buf)/2:
			return nil, nil
		case n == 0 && tries > 100:
			return nil, fmt.Errorf("reading the file: %w", io.ErrNoProgress)
		}
	}
}

// tooMuch refuses a file that inflates past all reason.
func (f *feed) tooMuch(n int) *refusal {
	f.inflated += int64(n)
	if f.inflated > f.limits.Inflated {
		return quarantine("the compressed file becomes more than %d bytes; if that is right, raise the limit", f.limits.Inflated)
	}
	size := f.size
	if size < 0 {
		size = f.raw.n
	}
	if f.inflated > ratioFrom && f.inflated/max(size, 1) > f.limits.Ratio {
		return quarantine("the compressed file becomes more than %d times as large as it is; no readings do that", f.limits.Ratio)
	}
	return nil
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
}

// hold keeps a file back until a person answers the question: asks and answers
// are as in a Shape.
func hold(question, asks string, answers ...ingest.Answer) *refusal {
	return &refusal{state: ingest.Held, reason: question, asks: asks, answers: answers}
}

func quarantine(format string, args ...any) *refusal {
	return &refusal{state: ingest.Quarantined, reason: fmt.Sprintf(format, args...)}
}

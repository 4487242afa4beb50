package format

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// packed unpacks a compressed file and keeps it from becoming more than it
// should. Its unpackers are kept from file to file.
type packed struct {
	unpacker io.Reader
	gzip     *gzip.Reader
	zstd     *zstd.Decoder

	kind     string // gzip or zstd
	inflated int64
	limits   *Limits
	size     int64     // of the file as it came; -1 when only raw knows
	raw      *counting // what is read
}

// packing says what b, the beginning of a file, is compressed by; "" when it is
// not, or not by what is read.
func packing(b []byte) string {
	switch {
	case len(b) > 2 && b[0] == 0x1f && b[1] == 0x8b && b[2] == 8:
		return "gzip"
	case bytes.HasPrefix(b, []byte("\x28\xb5\x2f\xfd")):
		return "zstd"
	}
	return ""
}

// Unpacked returns what a decoder reads of a file's bytes: the text of one that
// gzip or zstd packed, and any other as it is. What is wrong with the data is an
// error of it, or of reading it; it becomes no larger than a decoder would have it.
func Unpacked(file io.Reader) (io.Reader, error) {
	raw := &counting{from: file}
	begin := bufio.NewReader(raw)
	head, err := begin.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	kind := packing(head)
	if kind == "" {
		return begin, nil
	}
	settings := Settings{}.withDefaults()
	u := &unpacked{packed{limits: &settings.Limits, size: -1, raw: raw}}
	return u, worded(u.open(kind, begin))
}

// unpacked is for who has no file to quarantine.
type unpacked struct{ packed }

func (u *unpacked) Read(b []byte) (int, error) {
	n, err := u.packed.Read(b)
	return n, worded(err)
}

func worded(err error) error {
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		return errors.New(refused.reason)
	}
	return err
}

// maxZstdWindow is how far back zstd data may refer, and so how much memory
// they take: what its strongest level asks for.
const maxZstdWindow = 128 << 20

// open points p at the compressed data of r.
func (p *packed) open(kind string, r io.Reader) (err error) {
	p.kind, p.inflated = kind, 0
	switch {
	case kind == "gzip" && p.gzip == nil:
		p.gzip, err = gzip.NewReader(r)
	case kind == "gzip":
		err = p.gzip.Reset(r)
	case p.zstd == nil:
		// One at a time, without goroutines of its own.
		p.zstd, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow))
	default:
		err = p.zstd.Reset(r)
	}
	p.unpacker = p.zstd
	if kind == "gzip" {
		p.unpacker = p.gzip
	}
	if err != nil {
		p.gzip, p.zstd = nil, nil
		return p.broken(err)
	}
	return nil
}

// Read implements io.Reader. What is wrong with the data, and with how much
// they become, is an error that is a *refusal.
func (p *packed) Read(b []byte) (int, error) {
	n, err := p.unpacker.Read(b)
	p.inflated += int64(n)
	if fault := p.tooMuch(); fault != nil {
		return n, fault
	}
	if err != nil && err != io.EOF {
		return n, p.broken(err)
	}
	return n, err
}

// broken tells damaged compression from bytes that could not be read.
func (p *packed) broken(err error) error {
	if p.raw.err != nil {
		return p.raw.err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return quarantine("the %s data end too early: the file was cut short, %d bytes of text into it", p.kind, p.inflated)
	}
	if errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		return quarantine("the zstd data need more than %d bytes of memory to unpack; compress the file without --long or --ultra", maxZstdWindow)
	}
	return quarantine("the %s data are damaged, %d bytes of text into them: %v", p.kind, p.inflated, err)
}

// tooMuch refuses a file that inflates past all reason.
func (p *packed) tooMuch() *refusal {
	if p.inflated > p.limits.Inflated {
		return quarantine("the compressed file becomes more than %d bytes; if that is right, raise the limit", p.limits.Inflated)
	}
	size := p.size
	if size < 0 {
		size = p.raw.n
	}
	if p.inflated > ratioFrom && p.inflated/max(size, 1) > p.limits.Ratio {
		return quarantine("the compressed file becomes more than %d times as large as it is; no readings do that", p.limits.Ratio)
	}
	return nil
}

// Error implements error, so that a refusal can pass through readers.
func (r *refusal) Error() string { return fmt.Sprintf("%s: %s", r.state, r.reason) }

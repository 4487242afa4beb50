package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"

	"penstock/ingest"
)

// ErrGone says that what was kept at a place is there no more: its pack was
// deleted when its time had come, or is in another archive.
var ErrGone = errors.New("the archive has it no more")

// Fetch reads what was kept at a place into c, as [ingest.Source] would. The
// error wraps ErrGone when its pack is there no more.
func (a *Archive) Fetch(ctx context.Context, at ingest.Place, c *ingest.Content) error {
	return a.open(ctx, at, c, false)
}

// Look reads what is known of the file at a place, without its bytes.
func (a *Archive) Look(ctx context.Context, at ingest.Place) (Entry, error) {
	if err := ctx.Err(); err != nil {
		return Entry{}, context.Cause(ctx)
	}
	r, e, err := a.find(at)
	if err == nil {
		r.close()
	}
	return e, err
}

// open is Fetch. The bytes are a stream where they are many, or where streamed
// says so.
func (a *Archive) open(ctx context.Context, at ingest.Place, c *ingest.Content, streamed bool) error {
	c.Data, c.Stream = c.Data[:0], nil
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	body, e, err := a.body(at)
	if err != nil {
		return err
	}
	c.File, c.Fetched, c.FirstFetched, c.Place = e.File, e.Fetched, e.FirstFetched, at
	if !streamed {
		var whole bool
		if c.Data, whole, err = readAll(body, c.Data, e.File.Size); err != nil || whole {
			if err != nil {
				c.Data = c.Data[:0]
			}
			return errors.Join(err, body.Close())
		}
	}
	c.Stream = &stream{ctx: ctx, archive: a, at: at, body: body, head: bytes.NewReader(bytes.Clone(c.Data))}
	c.Data = c.Data[:0]
	return nil
}

// body opens the bytes of the file at a place.
func (a *Archive) body(at ingest.Place) (io.ReadCloser, Entry, error) {
	r, e, err := a.find(at)
	if err != nil {
		return nil, e, err
	}
	if e.Base == (ingest.Place{}) {
		return newBody(r), e, nil
	}
	r.close()
	body, err := a.grown(e)
	return body, e, err
}

// A body is the bytes of a record, with what they are read from.
type body struct {
	bodyReader
	r *runReader
}

func newBody(r *runReader) *body {
	return &body{bodyReader: bodyReader{s: r.scanner, hash: sha256.New()}, r: r}
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.bodyReader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.r.fault(err)
	}
	return n, err
}

func (b *body) Close() error {
	b.r.close()
	return nil
}

// readAll reads a body into buf, as far as it is to be held in memory.
func readAll(body io.Reader, buf []byte, size int64) (data []byte, whole bool, err error) {
	if size > ingest.SpoolAbove {
		return buf[:0], false, nil
	}
	data = buf[:0]
	for {
		if len(data) == cap(data) {
			if len(data) > ingest.SpoolAbove {
				return data, false, nil
			}
			// The size is what someone wrote: it is believed as the bytes come.
			room := min(max(size+1, 512), int64(len(data))*2+64<<10)
			data = append(make([]byte, 0, max(room, int64(len(data))+512)), data...)
		}
		n, err := body.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if errors.Is(err, io.EOF) {
			return data, true, nil
		}
		if err != nil {
			return data, false, err
		}
	}
}

// A stream is the bytes of a large file.
type stream struct {
	ctx     context.Context
	archive *Archive
	at      ingest.Place
	body    io.ReadCloser
	head    *bytes.Reader // what was read before
	err     error
}

func (s *stream) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.ctx.Err() != nil {
		s.err = context.Cause(s.ctx)
		return 0, s.err
	}
	if s.head.Len() > 0 {
		return s.head.Read(p)
	}
	n, err := s.body.Read(p)
	s.err = err
	return n, err
}

// Rewind implements ingest.Rewinder.
func (s *stream) Rewind(bool) error {
	if s.err != nil && !errors.Is(s.err, io.EOF) {
		return s.err
	}
	body, _, err := s.archive.body(s.at)
	if err != nil {
		return err
	}
	_ = s.body.Close() // it was read
	s.body, s.err = body, nil
	s.head.Reset(nil)
	return nil
}

func (s *stream) Close() error {
	if s.body == nil {
		return nil
	}
	_ = s.body.Close() // it was read
	s.body = nil
	err := s.err
	s.err = fs.ErrClosed
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// A runReader reads the records of a run from some place on.
type runReader struct {
	*scanner
	pack    string
	file    *os.File
	blocks  *blockReader
	decoder *zstd.Decoder
}

// decoders keep their windows.
var decoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
}}

// find opens the record of the file at a place and reads it up to the bytes.
func (a *Archive) find(at ingest.Place) (*runReader, Entry, error) {
	if !filepath.IsLocal(filepath.FromSlash(at.Pack)) || strings.Count(at.Pack, "/") != 1 || at.Offset < 0 {
		return nil, Entry{}, fmt.Errorf("%q is no place in an archive", ingest.EscapePath(at.Pack))
	}
	run, in := splitOffset(at.Offset)
	r, err := a.openRun(at.Pack, run, in)
	if err != nil {
		return nil, Entry{}, err
	}
	kind, err := r.kind()
	if err == nil && kind == documentRecord {
		err = errMalformed
	}
	var e Entry
	if err == nil {
		e, err = r.scanner.file(kind)
	}
	if err != nil {
		r.close()
		return nil, e, r.fault(short(err))
	}
	e.File.Source, e.Place = sourceOf(folderIn(at.Pack)), at
	return r, e, nil
}

// openRun reads the run that begins at an offset of the pack, from a byte of it
// on. Small runs that are whole are remembered: who reads one file of a run
// mostly reads the next one, too.
func (a *Archive) openRun(name string, run, in int64) (*runReader, error) {
	if b := a.runs.find(name, run); int64(len(b)) > in {
		return &runReader{pack: name, scanner: &scanner{r: bytes.NewReader(b[in:])}}, nil
	}
	file, err := os.Open(a.file(name, packExt))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no pack %s in %s", ErrGone, ingest.EscapePath(name), ingest.EscapePath(a.dir))
	}
	if err != nil {
		return nil, fmt.Errorf("open the pack %s of the archive: %w", ingest.EscapePath(name), bare(err))
	}
	r := newRunReader(name, file, file, run)
	b, whole := r.whole()
	if whole {
		r.close()
		a.runs.put(name, run, b)
		if int64(len(b)) < in {
			return nil, r.fault(io.ErrUnexpectedEOF)
		}
		r.scanner = &scanner{r: bytes.NewReader(b[in:])}
		return r, nil
	}
	if int64(len(b)) < in {
		r.close()
		return nil, r.fault(r.blocks.cause(io.ErrUnexpectedEOF))
	}
	r.scanner = &scanner{r: io.MultiReader(bytes.NewReader(b[in:]), r.decoder)}
	return r, nil
}

// newRunReader reads the run that begins at an offset of what at reads. The
// file is its to close, if there is one.
func newRunReader(name string, at io.ReaderAt, file *os.File, run int64) *runReader {
	r := &runReader{pack: name, file: file, blocks: &blockReader{r: at, at: run, begin: true}}
	r.decoder = decoders.Get().(*zstd.Decoder)
	_ = r.decoder.Reset(r.blocks) // reads nothing yet
	r.scanner = &scanner{r: r.decoder}
	return r
}

// whole reads the run into memory, if it is small; else the beginning of it, in
// which the records begin.
func (r *runReader) whole() (b []byte, whole bool) {
	b = make([]byte, 2*runSize)
	n, err := io.ReadFull(r.decoder, b)
	b = b[:n]
	// What another process writes may go on where it ends now, and what is
	// damaged is read as far as it goes, again each time.
	return b, err != nil && r.blocks.ended
}

func (r *runReader) close() {
	if r.decoder != nil {
		_ = r.decoder.Reset(nil)
		decoders.Put(r.decoder)
		r.decoder = nil
	}
	if r.file != nil {
		r.file.Close() // it was read
		r.file = nil
	}
}

// fault words what went wrong with the reading of a record.
func (r *runReader) fault(err error) error {
	if r.blocks != nil {
		err = r.blocks.cause(err)
	}
	return fmt.Errorf("reading the pack %s of the archive: %w", ingest.EscapePath(r.pack), err)
}

// A blockReader reads the compressed bytes of a run, from block to block.
type blockReader struct {
	r     io.ReaderAt
	at    int64
	begin bool   // the run's first block is to come
	buf   []byte // of the block, and what is left of it
	left  []byte
	ended bool  // another block follows the run, so that it is whole
	last  bool  // it is the pack's last
	err   error // why it is not
}

func (b *blockReader) Read(p []byte) (int, error) {
	for len(b.left) == 0 {
		if b.ended || b.err != nil {
			return 0, io.EOF
		}
		b.next()
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	return n, nil
}

func (b *blockReader) next() {
	h, buf, err := readBlock(b.r, b.at, b.buf)
	b.buf = buf
	switch {
	case err != nil:
		b.err = err
	case b.begin && (h.kind != recordsBlock || !h.first):
		b.err = fmt.Errorf("%w: no run begins at byte %d", errMalformed, b.at)
	case !b.begin && (h.kind != recordsBlock || h.first):
		b.ended, b.last = true, h.kind == endBlock
	default:
		b.begin = false
		b.at += h.size()
		b.left = buf
	}
}

// cause is the reason why reading a run ended early, if it is to be found in
// the pack, or else err.
func (b *blockReader) cause(err error) error {
	if b.err != nil && !errors.Is(b.err, io.EOF) {
		return b.err
	}
	return err
}

// folderIn is the folder in the name of a pack.
func folderIn(name string) string {
	folder, _, _ := strings.Cut(name, "/")
	return folder
}

// A runCache remembers the runs that were read last.
type runCache struct {
	mu   sync.Mutex
	runs [8]cachedRun
	next int
}

type cachedRun struct {
	pack  string
	run   int64
	bytes []byte
}

func (c *runCache) find(pack string, run int64) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.runs {
		if r := &c.runs[i]; r.run == run && r.pack == pack {
			return r.bytes
		}
	}
	return nil
}

func (c *runCache) put(pack string, run int64, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs[c.next] = cachedRun{pack, run, b}
	c.next = (c.next + 1) % len(c.runs)
}

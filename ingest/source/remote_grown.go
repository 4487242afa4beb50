package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"

	"penstock/ingest"
)

// FetchGain implements [ingest.Grower]: of a file that is larger than what is
// read again of it anyway, the transfer begins where it ended before (REST on
// FTP). Its head comes from the server once, and then from memory.
func (r *Remote) FetchGain(ctx context.Context, f ingest.File, of *ingest.Growth, c *ingest.Content) error {
	c.Gain = nil
	if _, ok := r.archiveOf(f.Path); ok {
		c.File, c.Data, c.Stream = f, c.Data[:0], nil
		return orWhole(nil)
	}
	if r.noRestart.Load() && of.At > ingest.HeadOfGrown+ingest.GrowthWindow {
		return fmt.Errorf("%w: %w", ingest.ErrWhole, errNoRestart)
	}
	if f.Size >= 0 && f.Size-of.At > ingest.SpoolAbove {
		return fmt.Errorf("%w: it gained %d bytes", ingest.ErrWhole, f.Size-of.At)
	}
	if of.At <= ingest.HeadOfGrown+ingest.GrowthWindow {
		return r.gainOfWhole(ctx, f, of, c)
	}
	c.File, c.Data, c.Stream = f, c.Data[:0], nil
	c.Fetched = ingest.Micros(time.Now())
	err := r.usable(f.Path)
	if err == nil {
		err = r.gainFrom(ctx, f, of, c)
	}
	if err == nil {
		return nil
	}
	c.File, c.Data, c.Gain = f, c.Data[:0], nil
	r.heads.forget(f.Path)
	if errors.Is(err, errNoRestart) {
		r.noRestart.Store(true)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return r.fault("fetch", f.Path, err)
}

// errNoRestart says that the server knows no transfers that begin within a file.
// What a large file gained is then not tried to be fetched by itself any more.
var errNoRestart = errors.New("the server sends files only whole")

// gainOfWhole fetches the whole file, which was small, and finds in it what it
// gained.
func (r *Remote) gainOfWhole(ctx context.Context, f ingest.File, of *ingest.Growth, c *ingest.Content) error {
	if err := r.Fetch(ctx, f, c); err != nil {
		return err
	}
	window := min(of.At, ingest.GrowthWindow)
	if c.Stream != nil || int64(len(c.Data)) <= of.At {
		err := c.Close()
		c.Data = c.Data[:0]
		return errors.Join(fmt.Errorf("%w: it had %d bytes and has %d", ingest.ErrWhole, of.At, c.File.Size), err)
	}
	if err := c.Gained(of.At, of, c.Data[of.At-window:of.At]); err != nil {
		c.Data = c.Data[:0]
		return err
	}
	return nil
}

// gainFrom fetches what comes after of.At, with the window before it.
func (r *Remote) gainFrom(ctx context.Context, f ingest.File, of *ingest.Growth, c *ingest.Content) error {
	head, err := r.headOf(ctx, f.Path, of)
	if err != nil {
		return err
	}
	return r.pool.with(ctx, r.Timeout, func(cl client) error {
		before, err := cl.stat(ctx, f.Path)
		if err != nil {
			return err
		}
		c.Data = append(c.Data[:0], head...)
		n, err := r.append(ctx, cl, f.Path, of.At-ingest.GrowthWindow, c)
		if err != nil {
			return err
		}
		after, err := cl.stat(ctx, f.Path)
		if err != nil {
			return err
		}
		size := of.At - ingest.GrowthWindow + n
		if err := judge(before, after, size); err != nil {
			return err
		}
		c.File.Size = size
		c.File.Modified, c.File.Precision = r.latest(f, after)
		gained := c.Data[int64(len(head))+ingest.GrowthWindow:]
		window := bytes.Clone(c.Data[len(head) : len(head)+ingest.GrowthWindow])
		c.Data = append(c.Data[:len(head)], gained...)
		return c.Gained(int64(len(head)), of, window)
	})
}

// append reads the file from offset to its end into c.Data, behind what is there,
// and returns how many bytes came.
func (r *Remote) append(ctx context.Context, cl client, path string, offset int64, c *ingest.Content) (n int64, err error) {
	body, err := cl.open(ctx, path, offset, false)
	if err != nil {
		return 0, err
	}
	buf := bytes.NewBuffer(c.Data)
	n, err = buf.ReadFrom(io.LimitReader(body, ingest.SpoolAbove+1))
	c.Data = buf.Bytes()
	closed := body.Close()
	switch {
	case err != nil:
		return n, err
	case n > ingest.SpoolAbove:
		return n, ended(fmt.Errorf("%w: it gained more than %d bytes", ingest.ErrWhole, int64(ingest.SpoolAbove)), closed)
	case closed != nil:
		return n, closed
	case n <= ingest.GrowthWindow:
		return n, fmt.Errorf("%w: it is shorter than it was", ingest.ErrWhole)
	}
	return n, nil
}

// headOf returns the head of a file that grew.
func (r *Remote) headOf(ctx context.Context, path string, of *ingest.Growth) ([]byte, error) {
	if head := r.heads.of(path); head != nil {
		return head, nil
	}
	var head []byte
	err := r.pool.with(ctx, r.Timeout, func(cl client) error {
		body, err := cl.open(ctx, path, 0, false)
		if err != nil {
			return err
		}
		beginning := make([]byte, ingest.HeadOfGrown+ingest.GrowthWindow)
		_, err = io.ReadFull(body, beginning)
		closed := body.Close() // over FTP it ends the connection, for most of the file is still to come
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
			return ended(fmt.Errorf("%w: it is shorter than it was", ingest.ErrWhole), closed)
		case err != nil:
			return err
		}
		seam, err := ingest.SeamOf(beginning, of)
		if err != nil {
			return ended(err, closed)
		}
		head = beginning[:seam:seam]
		return closed
	})
	if head == nil {
		return nil, err
	}
	r.heads.keep(path, head)
	return head, nil
}

// heads remembers the heads of files that grow, compressed, as each costs a
// connection to get over FTP. When they are too much, those go that were not
// asked for the longest.
type heads struct {
	mu    sync.Mutex
	known map[string]*keptHead
	bytes int
	tick  int

	once   sync.Once
	pack   *zstd.Encoder
	unpack *zstd.Decoder
	err    error // of making these
}

// A keptHead is the head of one file.
type keptHead struct {
	packed []byte // zstd
	used   int
}

// mostHeads is how many bytes of heads are remembered of a source.
const mostHeads = 16 << 20

func (h *heads) ready() bool {
	h.once.Do(func() {
		var errs [2]error
		h.pack, errs[0] = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
		h.unpack, errs[1] = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
		h.err = errors.Join(errs[:]...)
	})
	return h.err == nil
}

func (h *heads) of(path string) []byte {
	h.mu.Lock()
	k := h.known[path]
	if k == nil {
		h.mu.Unlock()
		return nil
	}
	h.tick++
	k.used = h.tick
	packed := k.packed
	h.mu.Unlock()
	head, err := h.unpack.DecodeAll(packed, nil)
	if err != nil {
		return nil // it is got anew
	}
	return head
}

func (h *heads) keep(path string, head []byte) {
	if !h.ready() {
		return // it is got anew
	}
	packed := bytes.Clone(h.pack.EncodeAll(head, nil))
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known == nil {
		h.known = make(map[string]*keptHead)
	}
	h.drop(path)
	for h.bytes+len(packed) > mostHeads && len(h.known) > 0 {
		oldest := ""
		for p, k := range h.known {
			if o := h.known[oldest]; o == nil || k.used < o.used {
				oldest = p
			}
		}
		h.drop(oldest)
	}
	h.tick++
	h.bytes += len(packed)
	h.known[path] = &keptHead{packed, h.tick}
}

func (h *heads) forget(path string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(path)
}

func (h *heads) drop(path string) {
	if k := h.known[path]; k != nil {
		h.bytes -= len(k.packed)
		delete(h.known, path)
	}
}

var _ ingest.Grower = (*Remote)(nil)

package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

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
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return r.fault("fetch", f.Path, err)
}

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
	body, err := cl.open(ctx, path, offset)
	if err != nil {
		return 0, err
	}
	buf := bytes.NewBuffer(c.Data)
	n, err = buf.ReadFrom(io.LimitReader(body, ingest.SpoolAbove+1))
	c.Data = buf.Bytes()
	if closed := body.Close(); err == nil && n <= ingest.SpoolAbove {
		err = closed
	}
	switch {
	case err != nil:
		return n, err
	case n > ingest.SpoolAbove:
		return n, fmt.Errorf("%w: it gained more than %d bytes", ingest.ErrWhole, int64(ingest.SpoolAbove))
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
		if head != nil {
			return nil
		}
		body, err := cl.open(ctx, path, 0)
		if err != nil {
			return err
		}
		beginning := make([]byte, ingest.HeadOfGrown+ingest.GrowthWindow)
		_, err = io.ReadFull(body, beginning)
		closed := body.Close() // ends the connection, for most of the file is still to come
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
			return fmt.Errorf("%w: it is shorter than it was", ingest.ErrWhole)
		case err != nil:
			return err
		}
		seam, err := ingest.SeamOf(beginning, of)
		if err != nil {
			return err
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

// heads remembers the heads of files that grow, as long as they are not too much.
type heads struct {
	mu    sync.Mutex
	known map[string][]byte
	bytes int
}

// mostHeads is how many bytes of heads are remembered of a source.
const mostHeads = 16 << 20

func (h *heads) of(path string) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.known[path]
}

func (h *heads) keep(path string, head []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known == nil || h.bytes+len(head) > mostHeads {
		h.known, h.bytes = make(map[string][]byte), 0
	}
	h.bytes += len(head) - len(h.known[path])
	h.known[path] = head
}

func (h *heads) forget(path string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bytes -= len(h.known[path])
	delete(h.known, path)
}

var _ ingest.Grower = (*Remote)(nil)

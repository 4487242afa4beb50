package ingest

import "io"

// A readAhead is a stream that a goroutine of its own reads ahead of who reads from
// it: what reading costs, as hashing, it costs another core.
type readAhead struct {
	io.Closer // the stream's
	filled    chan []byte
	free      chan []byte
	stop      chan struct{}
	err       error // that ended the reading; to be read once filled is closed

	block, rest []byte // that is read from
}

// aheadBlocks of aheadBlock bytes are how far ahead it is read.
const (
	aheadBlocks = 4
	aheadBlock  = 256 << 10
)

// newReadAhead begins to read. end is to be called before anything else is done
// with the stream.
func newReadAhead(from io.ReadCloser) *readAhead {
	a := &readAhead{Closer: from, filled: make(chan []byte, aheadBlocks), free: make(chan []byte, aheadBlocks), stop: make(chan struct{})}
	for range aheadBlocks {
		a.free <- make([]byte, aheadBlock)
	}
	go func() {
		defer close(a.filled)
		a.err = guarded("reading ahead", func() error { return a.fill(from) })()
	}()
	return a
}

// fill reads until there is no more, or nobody wants it.
func (a *readAhead) fill(from io.Reader) error {
	for {
		select {
		case <-a.stop:
			return io.ErrClosedPipe
		case b := <-a.free:
			n, err := io.ReadFull(from, b[:aheadBlock])
			if n > 0 {
				a.filled <- b[:n]
			}
			if err == io.ErrUnexpectedEOF {
				err = io.EOF
			}
			if err != nil {
				return err
			}
		}
	}
}

// Read implements [io.Reader]. An error comes after all that was read before it.
func (a *readAhead) Read(p []byte) (int, error) {
	if len(a.rest) == 0 {
		if a.block != nil {
			a.free <- a.block
			a.block = nil
		}
		b, ok := <-a.filled
		if !ok {
			return 0, a.err
		}
		a.block, a.rest = b, b
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// end returns when nobody reads from the stream any more.
func (a *readAhead) end() {
	close(a.stop)
	for range a.filled { // until it is closed
	}
}

package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// A spool is a file of this machine that holds what was fetched until it is
// read: the Stream of a large file. It goes away when it is closed, and on
// Unix has no name in the meantime, so that nothing stays behind when the
// process ends.
type spool struct {
	ctx  context.Context
	file *os.File
	err  error // what Read returns from now on
}

func newSpool(ctx context.Context, dir string) (*spool, error) {
	file, err := os.CreateTemp(dir, "penstock-*")
	if err != nil {
		return nil, spoolFault(err)
	}
	_ = os.Remove(file.Name()) // where that does not go while it is open, Close does it
	return &spool{ctx: ctx, file: file}, nil
}

// fill writes head and all of in, and makes the spool ready for reading.
func (s *spool) fill(head []byte, in io.Reader) (int64, error) {
	if _, err := s.file.Write(head); err != nil {
		return 0, spoolFault(err)
	}
	out := &spoolWriter{file: s.file}
	n, err := io.CopyBuffer(out, in, make([]byte, 256<<10))
	if err == nil {
		if _, err = s.file.Seek(0, io.SeekStart); err != nil {
			err = spoolFault(err)
		}
	}
	return n + int64(len(head)), err
}

// A spoolWriter tells what goes wrong with this machine's file from what goes
// wrong with the server.
type spoolWriter struct{ file *os.File }

func (w *spoolWriter) Write(p []byte) (int, error) {
	n, err := w.file.Write(p)
	if err != nil {
		err = spoolFault(err)
	}
	return n, err
}

func spoolFault(err error) error {
	hint := ""
	if errors.Is(err, syscall.ENOSPC) {
		hint = "; make room there, or name another folder for it"
	}
	return fmt.Errorf("keep it in a file of this machine: %w%s", err, hint)
}

func (s *spool) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.ctx.Err() != nil {
		s.err = context.Cause(s.ctx)
		return 0, s.err
	}
	n, err := s.file.Read(p)
	if err != nil {
		s.err = err
	}
	return n, err
}

// Rewind implements ingest.Rewinder.
func (s *spool) Rewind(bool) error {
	if s.err != nil && !errors.Is(s.err, io.EOF) {
		return s.err
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return spoolFault(err)
	}
	s.err = nil
	return nil
}

func (s *spool) Close() error {
	err := s.file.Close()
	_ = os.Remove(s.file.Name()) // mostly gone already
	s.err = os.ErrClosed
	return err
}

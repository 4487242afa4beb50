package source

import (
	"errors"
	"io"
	"net"
	"testing"
)

// TestSFTPBound checks that a connection is ended when a listing has no end, and
// is not by what comes when nothing is listed.
func TestSFTPBound(t *testing.T) {
	near, far := net.Pipe()
	s := &sftpSocket{Conn: near}
	sent := make(chan error, 1)
	go func() {
		for {
			if _, err := far.Write(make([]byte, 100)); err != nil {
				sent <- err
				return
			}
		}
	}()
	buf := make([]byte, 100)
	read := func(n int) (err error) {
		for range n {
			if _, e := io.ReadFull(s, buf); e != nil {
				err = e
			}
		}
		return err
	}
	if err := read(20); err != nil {
		t.Fatal(err)
	}
	free := s.bound(1000)
	if err := read(10); err != nil {
		t.Fatal(err)
	}
	free()
	if err := read(20); err != nil {
		t.Fatal(err)
	}
	s.bound(1000)
	if err := read(11); !errors.Is(err, errEndless) || !errors.Is(s.killed(), errEndless) {
		t.Errorf("read on: %v, %v", err, s.killed())
	}
	if err := <-sent; err == nil {
		t.Error("it is open")
	}
	far.Close()
}

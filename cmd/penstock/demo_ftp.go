package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	ftp "goftp.io/server/v2"
)

// A demoServer is the FTP server that the demo's loggers send their files to:
// on this machine alone, with a folder of its own and one account.
type demoServer struct {
	address        string // host and port
	user, password string

	root     *os.Root
	listener *demoListener
	served   chan error
}

// startDemoServer serves dir, which is made if it is not there.
func startDemoServer(dir string) (*demoServer, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("the demo's FTP server: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("the demo's FTP server: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the demo's FTP server: %w", err), root.Close())
	}
	s := &demoServer{
		address: listener.Addr().String(), user: "loggers", password: rand.Text(),
		root: root, listener: &demoListener{Listener: listener, open: make(map[*demoConn]bool)}, served: make(chan error, 1),
	}
	server, err := ftp.NewServer(&ftp.Options{
		Driver: demoFolder{root}, Auth: &ftp.SimpleAuth{Name: s.user, Password: s.password}, Perm: ftp.NewSimplePerm("loggers", "loggers"),
		Name: "demo", WelcomeMessage: "the loggers' site", Logger: &ftp.DiscardLogger{},
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the demo's FTP server: %w", err), listener.Close(), root.Close())
	}
	go func() { s.served <- server.Serve(s.listener) }()
	return s, nil
}

// stop cuts all connections and returns when they have ended.
func (s *demoServer) stop() error {
	err := s.listener.end()
	if served := <-s.served; !errors.Is(served, net.ErrClosed) {
		err = errors.Join(err, served)
	}
	return errors.Join(err, s.root.Close())
}

// A demoListener knows its connections: the library's server leaves them open
// when it ends.
type demoListener struct {
	net.Listener
	mu   sync.Mutex
	open map[*demoConn]bool
	gone sync.WaitGroup
}

type demoConn struct {
	*net.TCPConn // and no less: the server wants to know its local address
	listener     *demoListener
	once         sync.Once
}

// Accept waits for a connection.
func (l *demoListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &demoConn{TCPConn: conn.(*net.TCPConn), listener: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[c] = true
	l.gone.Add(1)
	return c, nil
}

// Close is called by the session when it ends.
func (c *demoConn) Close() error {
	err := c.TCPConn.Close()
	c.once.Do(func() {
		c.listener.mu.Lock()
		defer c.listener.mu.Unlock()
		delete(c.listener.open, c)
		c.listener.gone.Done()
	})
	return err
}

func (l *demoListener) end() error {
	err := l.Close()
	l.mu.Lock()
	for c := range l.open {
		_ = c.TCPConn.Close() // the session sees it, and closes too
	}
	l.mu.Unlock()
	l.gone.Wait()
	return err
}

// A demoFolder is what the FTP server serves: files below a root, with the
// times in UTC, as MLSD has them, and uploads that grow under their own name
// as with most servers.
type demoFolder struct{ root *os.Root }

func below(path string) string {
	if path = strings.Trim(path, "/"); path != "" {
		return path
	}
	return "."
}

// utcInfo tells the time of a file in UTC.
type utcInfo struct{ fs.FileInfo }

// ModTime is the file's time.
func (i utcInfo) ModTime() time.Time { return i.FileInfo.ModTime().UTC() }

// Stat implements [ftp.Driver].
func (d demoFolder) Stat(_ *ftp.Context, path string) (os.FileInfo, error) {
	info, err := d.root.Stat(below(path))
	if err != nil {
		return nil, err
	}
	return utcInfo{info}, nil
}

// ListDir implements [ftp.Driver].
func (d demoFolder) ListDir(_ *ftp.Context, path string, each func(os.FileInfo) error) error {
	entries, err := fs.ReadDir(d.root.FS(), below(path))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // renamed since
		}
		if err == nil {
			err = each(utcInfo{info})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// DeleteDir implements [ftp.Driver].
func (d demoFolder) DeleteDir(_ *ftp.Context, path string) error { return d.root.Remove(below(path)) }

// DeleteFile implements [ftp.Driver].
func (d demoFolder) DeleteFile(_ *ftp.Context, path string) error { return d.root.Remove(below(path)) }

// Rename implements [ftp.Driver].
func (d demoFolder) Rename(_ *ftp.Context, from, to string) error {
	return d.root.Rename(below(from), below(to))
}

// MakeDir implements [ftp.Driver].
func (d demoFolder) MakeDir(_ *ftp.Context, path string) error {
	return d.root.MkdirAll(below(path), 0o755)
}

// GetFile implements [ftp.Driver].
func (d demoFolder) GetFile(_ *ftp.Context, path string, offset int64) (int64, io.ReadCloser, error) {
	f, err := d.root.Open(below(path))
	if err != nil {
		return 0, nil, err
	}
	info, err := f.Stat()
	if err == nil {
		_, err = f.Seek(offset, io.SeekStart)
	}
	if err != nil {
		return 0, nil, errors.Join(err, f.Close())
	}
	return info.Size() - offset, f, nil
}

// PutFile implements [ftp.Driver]. An upload that is not resumed begins the
// file anew.
func (d demoFolder) PutFile(_ *ftp.Context, path string, data io.Reader, offset int64) (int64, error) {
	how := os.O_WRONLY | os.O_CREATE
	if offset < 0 {
		how |= os.O_TRUNC
	}
	f, err := d.root.OpenFile(below(path), how, 0o644)
	if err != nil {
		return 0, err
	}
	if offset > 0 {
		_, err = f.Seek(offset, io.SeekStart)
	}
	var n int64
	if err == nil {
		n, err = io.Copy(f, data)
	}
	return n, errors.Join(err, f.Close())
}

var _ ftp.Driver = demoFolder{}

package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"penstock/ingest"
)

// An sftpConn is one connection to an SSH server, with one session of SFTP.
type sftpConn struct {
	dialer  *sftpDialer
	socket  *sftpSocket
	ssh     ssh.Conn
	server  *sftp.Client
	root    string        // absolute
	closing chan struct{} // closed when the file that was read last is
}

// dialSFTP connects and logs in.
func dialSFTP(ctx context.Context, d *sftpDialer) (client, error) {
	methods, err := d.methods()
	if err != nil {
		return nil, err
	}
	hosts, err := newHostCheck(d.address(), d.KnownHosts)
	if err != nil {
		return nil, err
	}
	raw, err := (&net.Dialer{Timeout: d.Timeout}).DialContext(ctx, "tcp", d.address())
	if err != nil {
		return nil, err
	}
	c := &sftpConn{dialer: d, socket: &sftpSocket{Conn: raw, timeout: d.Timeout}, closing: make(chan struct{})}
	close(c.closing)
	ok := false
	defer func() {
		if !ok { // by an error or a panic
			c.socket.kill(net.ErrClosed)
		}
	}()
	defer c.socket.begin(ctx, 1)()
	if err := c.login(methods, hosts); err != nil {
		return nil, err
	}
	if err := c.openSFTP(); err != nil {
		if killed := c.socket.killed(); killed != nil {
			err = killed
		}
		return nil, err
	}
	ok = true
	return c, nil
}

func (c *sftpConn) login(methods []ssh.AuthMethod, hosts *hostCheck) error {
	config := &ssh.ClientConfig{User: c.dialer.user, Auth: methods, HostKeyCallback: hosts.check, HostKeyAlgorithms: hosts.algorithms()}
	conn, channels, requests, err := ssh.NewClientConn(c.socket, c.dialer.address(), config)
	if err != nil {
		return c.refusal(err, hosts)
	}
	go ssh.DiscardRequests(requests)
	go refuseChannels(channels)
	c.ssh = conn
	return nil
}

// refuseChannels lets the server open nothing with us. It ends with the
// connection.
func refuseChannels(channels <-chan ssh.NewChannel) {
	for channel := range channels {
		_ = channel.Reject(ssh.Prohibited, "") // then there is no connection any more
	}
}

// refusal words an error of the login, and says what kind it is.
func (c *sftpConn) refusal(err error, hosts *hostCheck) error {
	cut := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	var network net.Error
	switch killed := c.socket.killed(); {
	case killed != nil:
		return killed
	case hosts.err != nil:
		return hosts.err
	case cut && !hosts.passed:
		return fmt.Errorf("%w, or bars this machine: it closed the connection before the login", errTooMany)
	case cut:
		return errCutOff
	case errors.As(err, &network):
		return err
	case hosts.passed:
		return fmt.Errorf("%w of %q: %s", wrongLogin{}, c.dialer.user, ingest.EscapePath(err.Error()))
	}
	return fmt.Errorf("%s; is it an SSH server?", ingest.EscapePath(err.Error()))
}

// openSFTP opens the session and finds out which folder it leads to.
func (c *sftpConn) openSFTP() error {
	channel, requests, err := c.ssh.OpenChannel("session", nil)
	if err != nil {
		var refused *ssh.OpenChannelError
		if errors.As(err, &refused) {
			return fmt.Errorf("%w: it opens no session (%s)", errTooMany, ingest.EscapePath(err.Error()))
		}
		return cutOff(err)
	}
	go ssh.DiscardRequests(requests)
	subsystem := struct{ Name string }{"sftp"}
	granted, err := channel.SendRequest("subsystem", true, ssh.Marshal(&subsystem))
	if err != nil {
		return cutOff(err)
	}
	if !granted {
		return errors.New("the server has no SFTP for this user: it refuses the subsystem \"sftp\"")
	}
	if c.server, err = sftp.NewClientPipe(channel, channel); err != nil {
		return cutOff(err)
	}
	if c.root = c.dialer.root; strings.HasPrefix(c.root, "/") {
		return nil
	}
	home, err := c.server.RealPath(".")
	if err != nil {
		return cutOff(err)
	}
	c.root = path.Join("/", home, c.root)
	return nil
}

// worded turns an error of the library into one of ours.
func (c *sftpConn) worded(err error) error {
	if err == nil {
		return nil
	}
	var status *sftp.StatusError
	switch killed := c.socket.killed(); {
	case killed != nil:
		return killed
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the server says that it is not there: %w", fs.ErrNotExist)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the server does not allow it: %w", fs.ErrPermission)
	case errors.As(err, &status):
		return errors.New(said(0, status.Error()))
	case errors.Is(err, sftp.ErrSSHFxConnectionLost), errors.Is(err, net.ErrClosed):
		return errCutOff
	}
	return cutOff(err)
}

// at is the absolute path on the server. A NUL would cut it short there.
func (c *sftpConn) at(p string) (string, error) {
	if strings.ContainsRune(p, 0) {
		return "", fmt.Errorf("no NUL can be in a name on an SFTP server: %w", fs.ErrNotExist)
	}
	return onServer(c.root, p), nil
}

func (c *sftpConn) real(ctx context.Context, dir string) (real string, err error) {
	err = c.do(ctx, dir, func(at string) error {
		real, err = c.server.RealPath(at)
		return err
	})
	return real, err
}

// do runs one operation on a path under the watch of the socket.
func (c *sftpConn) do(ctx context.Context, p string, operation func(at string) error) error {
	at, err := c.at(p)
	if err != nil {
		return err
	}
	defer c.socket.begin(ctx, 1)()
	return c.worded(operation(at))
}

func (c *sftpConn) list(ctx context.Context, dir string, each func(listed) error) error {
	return c.do(ctx, dir, func(at string) error {
		defer c.socket.bound(listingBytes)()
		all, err := c.server.ReadDirContext(ctx, at)
		for i, info := range all {
			if err := each(listedOf(info)); err != nil {
				return err
			}
			all[i] = nil // one of them is enough in memory
		}
		return err
	})
}

// listedOf is what a server tells of a file. Times are in seconds.
func listedOf(info fs.FileInfo) listed {
	l := listed{name: info.Name(), kind: kindOf(info.Mode()), size: info.Size()}
	if stat, ok := info.Sys().(*sftp.FileStat); ok && stat.Mode == 0 {
		l.kind = unknown // it does not tell
	}
	if modified := info.ModTime(); modified.Unix() != 0 {
		l.modified, l.precision = ingest.Micros(modified), ingest.Second
	}
	return l
}

func kindOf(mode fs.FileMode) kind {
	switch {
	case mode.IsRegular():
		return regular
	case mode.IsDir():
		return directory
	case mode&fs.ModeSymlink != 0:
		return link
	case mode&fs.ModeNamedPipe != 0:
		return pipe
	case mode&fs.ModeSocket != 0:
		return socket
	}
	return device
}

func (c *sftpConn) stat(ctx context.Context, p string) (l listed, err error) {
	err = c.do(ctx, p, func(at string) error {
		info, err := c.server.Stat(at)
		if err == nil {
			l = listedOf(info)
			l.name = path.Base(p)
		}
		return err
	})
	return l, err
}

func (c *sftpConn) rename(ctx context.Context, from, to string) error {
	target, err := c.at(to)
	if err != nil {
		return err
	}
	return c.do(ctx, from, func(at string) error {
		<-c.closing
		err := c.server.Rename(at, target)
		var status *sftp.StatusError
		if errors.As(err, &status) {
			// Version 3 of the protocol has one word for all that fails.
			if _, there := c.server.Lstat(target); there == nil {
				return fmt.Errorf("%w", fs.ErrExist)
			}
		}
		return err
	})
}

func (c *sftpConn) remove(ctx context.Context, p string) error {
	return c.do(ctx, p, func(at string) error {
		<-c.closing
		return c.server.Remove(at)
	})
}

func (c *sftpConn) makeDirs(ctx context.Context, dir string) error {
	return c.do(ctx, dir, func(at string) error { return c.server.MkdirAll(at) })
}

func (c *sftpConn) noop(ctx context.Context) error {
	return c.do(ctx, "", func(string) error {
		_, _, err := c.ssh.SendRequest("keepalive@openssh.com", true, nil)
		return err
	})
}

// close leaves it at closing the socket, which ends whatever is under way.
func (c *sftpConn) close() error {
	c.socket.kill(net.ErrClosed)
	<-c.closing
	_ = c.server.Wait() // what they say is that the socket was closed
	_ = c.ssh.Wait()
	return nil
}

func (c *sftpConn) open(ctx context.Context, p string, offset int64, _ bool) (io.ReadCloser, error) {
	at, err := c.at(p)
	if err != nil {
		return nil, err
	}
	end := c.socket.begin(ctx, int64(c.dialer.MinRate)*int64(c.dialer.Timeout.Seconds())+1)
	file, err := c.server.Open(at)
	if err != nil {
		end()
		return nil, c.worded(err)
	}
	return &sftpBody{conn: c, file: file, at: offset, end: end}, nil
}

// What a body asks for at a time once a file shows to be large: as much as
// the library has under way at most.
const (
	largeAfter = 256 << 10 // bytes
	askAtOnce  = 2 << 20
)

// An sftpBody is a file that is being read. Its end is where the server says
// that nothing follows, and not where it sends less than was asked for.
type sftpBody struct {
	conn  *sftpConn
	file  *sftp.File
	at    int64 // what is asked for next
	began int64 // bytes read since the beginning
	ahead []byte
	left  []byte // of ahead, not yet handed out
	err   error
	end   func()
}

func (b *sftpBody) Read(p []byte) (int, error) {
	if len(b.left) == 0 && b.err == nil && len(p) > 0 {
		if b.began < largeAfter || len(p) >= askAtOnce {
			n, err := b.ask(p)
			b.err = err
			return n, err
		}
		if b.ahead == nil {
			b.ahead = make([]byte, askAtOnce)
		}
		var n int
		n, b.err = b.ask(b.ahead)
		b.left = b.ahead[:n]
	}
	n := copy(p, b.left)
	b.left = b.left[n:]
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, b.err
}

// ask reads into p what follows. The last byte of p is asked for beside the
// others: whoever has room for one byte more than the file has learns in the
// same time that this was all.
func (b *sftpBody) ask(p []byte) (int, error) {
	if len(p) == 1 {
		return b.answered(b.file.ReadAt(p, b.at))
	}
	last := len(p) - 1
	var tail int
	var tailErr error
	done := make(chan struct{})
	go func() {
		defer close(done)
		tail, tailErr = b.file.ReadAt(p[last:], b.at+int64(last))
	}()
	n, err := b.file.ReadAt(p[:last], b.at)
	<-done
	if n < last { // the end, or what a server sends that does not send more at a time
		if errors.Is(err, io.EOF) && n > 0 {
			err = nil
		}
		return b.answered(n, err)
	}
	return b.answered(n+tail, tailErr)
}

func (b *sftpBody) answered(n int, err error) (int, error) {
	b.at += int64(n)
	b.began += int64(n)
	if errors.Is(err, io.EOF) {
		return n, io.EOF
	}
	return n, b.conn.worded(err)
}

// Close does not wait for the server: that the file was read to its end is
// known, and what it answers to being closed changes nothing.
func (b *sftpBody) Close() error {
	b.end()
	closed := make(chan struct{})
	before := b.conn.closing
	b.conn.closing = closed
	go func() {
		defer close(closed)
		<-before
		_ = b.file.Close()
	}()
	if b.err != nil && !errors.Is(b.err, io.EOF) && !errors.Is(b.err, os.ErrClosed) {
		return b.err
	}
	return nil
}

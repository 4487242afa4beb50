package source

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"net/textproto"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jlaffaye/ftp"

	"penstock/ingest"
)

// An ftpConn is one connection to an FTP server. The library speaks the
// protocol; the sockets below it and the listings are ours, since it sets no
// deadlines, keeps listings whole in memory and passes over what it does not
// understand in them.
type ftpConn struct {
	dialer  *ftpDialer
	wire    *wire
	control *control
	server  *ftp.ServerConn // above control
	host    netip.Addr      // of the server: no data connection leads elsewhere
	tls     *tls.Config     // of data connections; nil for none
	root    string          // absolute
	lister  *lister
	ending  ending
	mlsd    bool
	bare    bool // it logs in without a password
}

// deniedWords are in what servers say of files that are there.
var deniedWords = regexp.MustCompile(`(?i)permission|denied|not permitted|not allowed|forbidden`)

// worded turns an error of the library into one of ours.
func (c *ftpConn) worded(err error) error {
	if err == nil {
		return nil
	}
	err = c.wire.why(err)
	var reply *textproto.Error
	var garbled textproto.ProtocolError
	if errors.As(err, &garbled) {
		return fmt.Errorf("%w: %s", errGarbled, ingest.EscapePath(string(garbled)))
	}
	if !errors.As(err, &reply) {
		return cutOff(err)
	}
	text := said(reply.Code, reply.Msg)
	switch {
	case reply.Code == 421 && limitWords.MatchString(reply.Msg):
		return fmt.Errorf("%w: %s", errTooMany, text)
	case reply.Code != 550 && reply.Code != 551:
		return errors.New(text)
	case deniedWords.MatchString(reply.Msg):
		return fmt.Errorf("%s: %w", text, fs.ErrPermission)
	}
	return fmt.Errorf("%s: %w", text, fs.ErrNotExist)
}

// at is the absolute path on the server. What would end the command, and
// begin another, is on no server.
func (c *ftpConn) at(p string) (string, error) {
	if strings.ContainsAny(p, "\r\n\x00") {
		return "", fmt.Errorf("no line break and no NUL can be in a name on an FTP server: %w", fs.ErrNotExist)
	}
	return onServer(c.root, p), nil
}

func (c *ftpConn) real(ctx context.Context, dir string) (real string, err error) {
	err = c.do(ctx, dir, func(at string) error {
		if err := c.server.ChangeDir(at); err != nil {
			return err
		}
		real = at
		there, err := c.server.CurrentDir()
		if err == nil && strings.HasPrefix(there, "/") {
			real = unquoted(there)
		}
		var reply *textproto.Error
		if errors.As(err, &reply) && reply.Code >= 500 {
			err = nil // it does not tell
		}
		return err
	})
	return real, err
}

// do runs one operation on a path under the watch of the wire.
func (c *ftpConn) do(ctx context.Context, p string, operation func(at string) error) error {
	at, err := c.at(p)
	if err != nil {
		return err
	}
	defer c.wire.begin(ctx)()
	if err = c.control.settle(); err == nil {
		err = operation(at)
	}
	return c.worded(err)
}

func (c *ftpConn) list(ctx context.Context, dir string, each func(listed) error) error {
	l := &lister{each: each, mlsd: c.mlsd, now: time.Now(), zone: c.dialer.Zone}
	err := c.do(ctx, dir, func(at string) error {
		// The folder is gone to, since servers take a LIST of a folder that is not
		// there for an empty one, and what looks like a pattern or an option in its
		// name for that. It is gone to each time, since a server stands in a folder
		// and not at a path: another folder may have the name by now.
		if err := c.server.ChangeDir(at); err != nil {
			return err
		}
		c.lister = l
		defer func() { c.lister = nil }()
		l.give = c.wire.kill
		c.ending.said = ""
		c.control.forget()
		_, err := c.server.List("")
		if c.mlsd && isUnknown(err) { // it says so, and knows it not
			c.dialer.lacks(true, false)
		}
		return err
	})
	switch {
	case l.err != nil:
		return l.err
	case err != nil:
		return err
	case l.rest:
		return errors.New("the listing ends in the middle of a line")
	case truncatedWords.MatchString(c.ending.said):
		return fmt.Errorf("%w: %s; have it list more (pure-ftpd: LimitRecursion, -L), or divide the folder", ingest.ErrTruncated, said(0, c.ending.said))
	}
	return nil
}

func (c *ftpConn) stat(ctx context.Context, p string) (l listed, err error) {
	l = listed{name: path.Base(p), size: -1}
	err = c.do(ctx, p, func(at string) error {
		if c.mlsd {
			e, err := c.server.GetEntry(at)
			if err != nil {
				return err
			}
			switch e.Type {
			case ftp.EntryTypeFolder:
				l.kind = directory
				return nil
			case ftp.EntryTypeFile:
				l.kind = regular
			}
			if !e.Time.IsZero() {
				l.modified, l.precision = ingest.Micros(e.Time), ingest.Second
			}
			if l.size = int64(e.Size); l.size > 0 {
				return nil
			}
			// The size may be nought, or not have been told.
		}
		size, err := c.server.FileSize(at)
		if err == nil {
			l.kind, l.size = regular, size
		} else if !isUnknown(err) {
			return err
		}
		if l.precision != ingest.Unknown || !c.server.IsGetTimeSupported() {
			return nil
		}
		modified, err := c.server.GetTime(at)
		if err == nil {
			l.kind, l.modified, l.precision = regular, ingest.Micros(modified), ingest.Second
		} else if !isUnknown(err) {
			return err
		}
		return nil
	})
	return l, err
}

// isUnknown reports whether the server does not know the command.
func isUnknown(err error) bool {
	var reply *textproto.Error
	return errors.As(err, &reply) && (reply.Code == 500 || reply.Code == 502 || reply.Code == 504)
}

func (c *ftpConn) open(ctx context.Context, p string, offset int64, more bool) (io.ReadCloser, error) {
	at, err := c.at(p)
	if err != nil {
		return nil, err
	}
	end := c.wire.begin(ctx)
	body, err := c.transferred(at, offset, more)
	if err != nil {
		end()
		worded := c.worded(err)
		var unreached *unreachedError
		if errors.As(err, &unreached) && !errors.As(worded, new(*unreachedError)) {
			worded = &unreachedError{address: unreached.address, err: worded}
		}
		return nil, restarted(offset, worded, err)
	}
	return &ftpBody{conn: c, body: body, end: end}, nil
}

// transferred begins a transfer: past the library where that can be.
func (c *ftpConn) transferred(at string, offset int64, more bool) (io.ReadCloser, error) {
	if offset == 0 && !c.dialer.byLibrary.lasts() {
		body, err := c.retrieve(at, more)
		if err == nil {
			return body, nil
		}
		if !errors.Is(err, errByLibrary) {
			return nil, err
		}
	}
	if err := c.control.settle(); err != nil {
		return nil, err
	}
	c.control.forget()
	body, err := c.server.RetrFrom(at, uint64(offset))
	if err != nil {
		return nil, err
	}
	return body, nil
}

// restarted says of an error with a transfer that was to begin at an offset that
// the server cannot do that, unless it says something else.
func restarted(offset int64, worded, err error) error {
	var reply *textproto.Error
	if offset > 0 && errors.As(err, &reply) && reply.Code >= 500 && !inOrder(worded) {
		if slices.Contains([]int{500, 501, 502, 504}, reply.Code) {
			worded = fmt.Errorf("%w: %w", errNoRestart, worded)
		}
		return fmt.Errorf("%w: it cannot be sent from byte %d on: %w", ingest.ErrWhole, offset, worded)
	}
	return worded
}

// An ftpBody is a file that is being read.
type ftpBody struct {
	conn  *ftpConn
	body  io.ReadCloser
	end   func()
	whole bool
}

func (b *ftpBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if errors.Is(err, io.EOF) {
		b.whole = true
		return n, io.EOF
	}
	return n, b.conn.worded(err)
}

// Close waits for the server to say that it has sent all: the end of the data
// alone says nothing. Where the end was not read, it does not wait.
func (b *ftpBody) Close() error {
	defer b.end()
	if !b.whole {
		b.conn.wire.kill(errGivenUp)
	}
	err := b.body.Close()
	if inOrder(b.conn.worded(err)) && err != nil {
		return errors.New(b.conn.worded(err).Error()) // the file went, or the right to it, while it was sent: the connection is not relied on
	}
	return b.conn.worded(err)
}

func (c *ftpConn) rename(ctx context.Context, from, to string) error {
	target, err := c.at(to)
	if err != nil {
		return err
	}
	return c.do(ctx, from, func(at string) error { return c.server.Rename(at, target) })
}

func (c *ftpConn) remove(ctx context.Context, p string) error {
	return c.do(ctx, p, func(at string) error { return c.server.Delete(at) })
}

func (c *ftpConn) makeDirs(ctx context.Context, dir string) error {
	return c.do(ctx, dir, c.makeDir)
}

// makeDir makes the folder at that absolute path, and those above it. It goes
// there to see whether it is there: servers word it in many ways.
func (c *ftpConn) makeDir(at string) error {
	err := c.server.ChangeDir(at)
	if err == nil {
		return nil
	}
	var reply *textproto.Error
	if at == "/" || !errors.As(err, &reply) || reply.Code != 550 {
		return err
	}
	if err := c.makeDir(path.Dir(at)); err != nil {
		return err
	}
	made := c.server.MakeDir(at)
	if err := c.server.ChangeDir(at); err == nil { // made by us, or by another meanwhile
		return nil
	}
	return made
}

func (c *ftpConn) noop(ctx context.Context) error {
	return c.do(ctx, "", func(string) error { return c.server.NoOp() })
}

func (c *ftpConn) close() error {
	end := c.wire.begin(context.Background())
	defer end()
	if c.control.settle() == nil && c.control.port != "" {
		// Some servers wait for who asked for a port, and do not end until then.
		if data, err := c.dataConn(c.control.port, c.wire.reach); err == nil {
			_ = data.Close() // it was for nothing but that
		}
	}
	err := c.server.Quit()
	c.wire.kill(net.ErrClosed)
	return err
}

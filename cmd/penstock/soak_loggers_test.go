package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/jlaffaye/ftp"
)

// A kind is how a logger uploads a file.
type kind int

const (
	atOnce             kind = iota
	slow                    // in pieces
	brokenOff               // its connection breaks, and it begins again under the same name
	brokenAndContinued      // its connection breaks, and it sends the rest
	renamed                 // under a temporary name first
	twice                   // and the same once more
	copied                  // and the same once more, under another name
	amended                 // and another version of it later
)

var allKinds = []kind{atOnce, atOnce, slow, brokenOff, brokenAndContinued, renamed, twice, copied, amended}

// manners are how loggers upload.
type manners struct {
	loggers int // at each site
	kinds   []kind
	growing bool // some append to one file
	files   int  // that all upload together; 0 for no end
}

// A logger uploads files over FTP, on a connection for each, and tries again
// until it has. It keeps the truth of what it uploaded.
type logger struct {
	ctx    context.Context // the test's: its end ends what was begun, too
	name   string
	site   *site
	truth  *truthKeeper
	how    manners
	random *rand.Rand
	slots  int // that it has recorded
	files  int
}

// run uploads until ctx ends, or so many files. It always finishes the file that
// it is at.
func (l *logger) run(ctx context.Context, files int) error {
	growing := l.how.growing && l.site.after == "" && l.random.IntN(3) == 0
	var grown recording
	for ctx.Err() == nil && (files == 0 || l.files < files) {
		var err error
		if growing {
			grown, err = l.grow(grown)
			l.pause(ctx, soakSettle/2, 3*soakSettle) // so that it is at rest now and then
		} else {
			err = l.send(l.how.kinds[l.random.IntN(len(l.how.kinds))])
		}
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		l.pause(ctx, 200*time.Millisecond, 1500*time.Millisecond)
	}
	return nil
}

// send records a file and uploads it.
func (l *logger) send(how kind) error {
	rows := 1 + l.random.IntN(60)
	if l.random.IntN(40) == 0 {
		rows += 2500 // more than what a server is sent at once
	}
	rec := recording{logger: l.name, from: l.slots, rows: rows}
	l.slots += rows + 5 // some stay free for corrections
	path := fmt.Sprintf("%s_%05d.csv", l.name, l.files)
	l.files++
	if err := l.upload(path, rec, how); err != nil {
		return err
	}
	switch how {
	case twice:
		l.pause(l.ctx, 0, 3*time.Second)
		return l.upload(path, rec, slow)
	case copied:
		l.pause(l.ctx, 0, 3*time.Second)
		return l.upload("copy of "+path, rec, atOnce)
	case amended:
		l.pause(l.ctx, 0, 4*time.Second)
		rec.revision++
		rec.rows += l.random.IntN(5)
		return l.upload(path, rec, slow)
	case atOnce, slow, brokenOff, brokenAndContinued, renamed:
	}
	return nil
}

// grow appends rows to the logger's one file, of which rec is what it holds.
func (l *logger) grow(rec recording) (recording, error) {
	sent := len(rec.text())
	if rec.rows == 0 {
		rec = recording{logger: l.name, rows: 1000 + l.random.IntN(1000)}
	} else {
		rec.rows += 1 + l.random.IntN(40)
	}
	u := &sending{logger: l, path: l.name + "_growing.csv", pieces: 1 + l.random.IntN(3), moved: time.Now()}
	text := rec.text()
	return rec, l.until(u, rec, func(c *ftp.ServerConn) error {
		if u.stands != nil {
			if sent = len(u.stands); sent > len(text) || string(u.stands) != text[:sent] {
				return c.Stor(u.remote(u.path), u.reader(text, 0)) // as a logger does that finds it wrong
			}
		}
		return c.Append(u.remote(u.path), u.reader(text, sent))
	})
}

// upload uploads a file until it is there.
func (l *logger) upload(path string, rec recording, how kind) error {
	text := rec.text()
	u := &sending{logger: l, path: path, pieces: 1, moved: time.Now()}
	switch how {
	case slow:
		u.pieces = 2 + l.random.IntN(6)
	case brokenOff, brokenAndContinued:
		u.breakAt, u.pieces = 1+l.random.IntN(len(text)-1), 1+l.random.IntN(3)
	case renamed:
		u.hidden, u.pieces = true, 1+l.random.IntN(3)
	case atOnce, twice, copied, amended:
	}
	stored := false
	return l.until(u, rec, func(c *ftp.ServerConn) error {
		switch sent := len(u.stands); {
		case how == brokenAndContinued && 0 < sent && sent < len(text) && string(u.stands) == text[:sent]:
			return c.Append(u.remote(path), u.reader(text, sent))
		case how != renamed:
			return c.Stor(u.remote(path), u.reader(text, 0))
		}
		temporary := path + ".part"
		if !stored {
			if err := c.Stor(u.remote(temporary), u.reader(text, 0)); err != nil {
				return err
			}
			stored = true
		}
		err := c.Rename(u.remote(temporary), u.remote(path))
		if _, gone := os.Stat(l.site.file(temporary)); errors.Is(gone, fs.ErrNotExist) {
			return nil // only the answer was lost
		}
		return err
	})
}

// patience is how long a logger goes on trying to upload a file.
const patience = time.Minute

// until has do upload a file, until what is there is the recording.
func (l *logger) until(u *sending, rec recording, do func(*ftp.ServerConn) error) error {
	for began := time.Now(); ; {
		err := u.try(do)
		if err == nil {
			// What is appended after a break may have met what was still on its way.
			if there := u.there(); there == nil || string(there) == rec.text() {
				l.truth.whole(l.site, u.path, rec)
				return nil
			}
			err = errors.New("what is there is not what was sent")
		}
		u.stands = u.there()
		if l.ctx.Err() != nil || time.Since(began) > patience {
			return fmt.Errorf("%s cannot be uploaded: %w", u.path, err)
		}
		l.pause(l.ctx, 0, 300*time.Millisecond)
	}
}

// pause waits a while, by the schedule's clock.
func (l *logger) pause(ctx context.Context, least, most time.Duration) {
	timer := time.NewTimer(least + time.Duration(l.random.Int64N(int64(most-least))))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// file is where a file of a site is, here.
func (s *site) file(path string) string { return filepath.Join(s.server.Root, folder, path) }

// A sending is one file on its way.
type sending struct {
	logger  *logger
	path    string
	pieces  int
	breakAt int  // after so many bytes its connection breaks, once; 0: never
	hidden  bool // under a name that the daemon passes over

	conns  []net.Conn
	moved  time.Time // when the file last changed
	stands []byte    // what of it is there after it was broken off
}

// errBroken says that an upload broke its connection by itself.
var errBroken = errors.New("broken off")

// try logs in, has do upload, and says goodbye.
func (u *sending) try(do func(*ftp.ServerConn) error) error {
	server := u.logger.site.server
	dial := func(network, address string) (net.Conn, error) {
		conn, err := net.DialTimeout(network, address, 5*time.Second)
		if err == nil {
			u.conns = append(u.conns, conn)
			err = conn.SetDeadline(time.Now().Add(time.Minute))
		}
		return conn, err
	}
	defer u.hangUp()
	c, err := ftp.Dial(server.Address, ftp.DialWithDialFunc(dial))
	if err != nil {
		return err
	}
	if err := c.Login(server.User, server.Password); err != nil {
		return err
	}
	if err := do(c); err != nil {
		return err
	}
	_ = c.Quit() // the file is there
	return nil
}

// hangUp breaks what is left of the connections.
func (u *sending) hangUp() {
	for _, conn := range u.conns {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // fails on a closed one
		}
		_ = conn.Close()
	}
	u.conns = nil
}

// remote is a file's path as the server has it.
func (u *sending) remote(name string) string { return folder + "/" + name }

// reader gives the text from there on in pieces, slowly, and breaks off where the
// upload is to.
func (u *sending) reader(text string, from int) io.Reader {
	u.stoodStill()
	u.stands = nil
	return &pieces{u: u, text: text, at: from, size: 1 + (len(text)-from)/u.pieces}
}

// there is what is there of the file, if anything.
func (u *sending) there() []byte {
	stands, err := os.ReadFile(u.logger.site.file(u.path))
	if err != nil {
		return nil
	}
	return stands
}

// stoodStill notes what stood there for so long that it may have been taken for
// whole, before it changes again.
func (u *sending) stoodStill() {
	if time.Since(u.moved) > stoodStill && !u.hidden {
		for _, stands := range [][]byte{u.stands, u.there()} { // the first where it has been moved since
			if stands != nil {
				u.logger.truth.stood(u.logger.site, u.path, stands)
			}
		}
	}
	u.moved = time.Now()
}

// pieces reads a text in pieces with pauses between them.
type pieces struct {
	u        *sending
	text     string
	at, size int
	left     int // of the piece
	begun    bool
}

func (p *pieces) Read(into []byte) (int, error) {
	switch b := p.u.breakAt; {
	case p.at == len(p.text):
		return 0, io.EOF
	case b > 0 && p.at == b:
		p.u.breakAt = 0
		p.u.hangUp()
		return 0, errBroken
	case b > p.at:
		into = into[:min(len(into), b-p.at)]
	}
	if p.left == 0 && p.begun && p.u.pieces > 1 {
		p.u.logger.pause(p.u.logger.ctx, 50*time.Millisecond, 700*time.Millisecond)
		p.u.stoodStill()
	}
	if p.left == 0 {
		p.left, p.begun = p.size, true
	}
	n := copy(into, p.text[p.at:min(len(p.text), p.at+p.left)])
	p.at, p.left, p.u.moved = p.at+n, p.left-n, time.Now()
	return n, nil
}

// A recording is what a file holds: rows of one logger, in slots of a minute.
type recording struct {
	logger     string
	from, rows int
	revision   int
}

var firstSlot = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// text is the file's.
func (r recording) text() string {
	if r.rows == 0 {
		return ""
	}
	var s bytes.Buffer
	s.WriteString("logger,channel,timestamp,value\n")
	for slot := r.from; slot < r.from+r.rows; slot++ {
		fmt.Fprintf(&s, "%s,flow,%s,%s\n", r.logger, slotTime(slot).Format(time.RFC3339), r.value(slot))
	}
	return s.String()
}

func slotTime(slot int) time.Time { return firstSlot.Add(time.Duration(slot) * time.Minute) }

// value is what was read in a slot, in three decimals, so that a value that was
// cut off is another one.
func (r recording) value(slot int) string {
	n := (slot*7919 + r.revision*104729 + len(r.logger)) % 1_000_000
	return fmt.Sprintf("%d.%03d", n/1000, 111+n%800)
}

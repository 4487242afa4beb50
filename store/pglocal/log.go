package pglocal

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	longestLog = 8 * mebibyte
	keptLog    = mebibyte // of a log that grew too long, in postgres.log.1
)

// serverLog is the file the server writes to. It appends, so the file can be
// shortened under it.
type serverLog struct {
	folder *folder
	file   *os.File
	began  int64 // where this run's lines begin

	quit chan struct{}
	done sync.WaitGroup
}

func openLog(f *folder) (*serverLog, error) {
	file, err := f.create(logName, os.O_RDWR|os.O_APPEND)
	if err != nil {
		return nil, err
	}
	l := &serverLog{folder: f, file: file, quit: make(chan struct{})}
	l.shorten()
	if l.began, err = file.Seek(0, io.SeekEnd); err != nil {
		_ = file.Close()
		return nil, err
	}
	l.done.Go(l.keepShort)
	return l, nil
}

func (l *serverLog) close() {
	close(l.quit)
	l.done.Wait()
	_ = l.file.Close()
}

// keepShort serves servers that run for months.
func (l *serverLog) keepShort() {
	tick := time.NewTicker(logCheckEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.shorten()
		case <-l.quit:
			return
		}
	}
}

// shorten moves the end of a log that grew too long to postgres.log.1 and
// empties it. Lines the server writes between the two are lost; a full disk is
// left as it is, and the next attempt may do better.
func (l *serverLog) shorten() {
	info, err := l.file.Stat()
	if err != nil || info.Size() < longestLog {
		return
	}
	if l.copyEnd(info.Size()) == nil {
		_ = l.file.Truncate(0)
	}
}

func (l *serverLog) copyEnd(size int64) error {
	old, err := l.folder.create(oldLogName, os.O_WRONLY|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = io.Copy(old, io.NewSectionReader(l.file, size-keptLog, keptLog))
	return errors.Join(err, old.Close())
}

// tail is the last n lines of this run, indented.
func (l *serverLog) tail(n int) string {
	const enough = 16 << 10
	info, err := l.file.Stat()
	if err != nil {
		return "  (" + err.Error() + ")"
	}
	from := max(l.began, info.Size()-enough)
	if info.Size() < l.began { // shortened since
		from = 0
	}
	text, err := io.ReadAll(io.NewSectionReader(l.file, from, enough))
	if err != nil {
		return "  (" + err.Error() + ")"
	}
	return lastLines(text, n)
}

// lastLines are the last n lines of text, indented.
func lastLines(text []byte, n int) string {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	lines = lines[max(0, len(lines)-n):]
	return "  " + strings.ToValidUTF8(string(bytes.Join(lines, []byte("\n  "))), "?")
}

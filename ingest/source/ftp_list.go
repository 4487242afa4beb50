package source

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"penstock/ingest"
)

// Bounds of a listing of one folder. A server that says more is broken, or
// means ill.
const (
	maxLine  = 16 << 10 // bytes of one line
	maxLines = 2_000_000
)

var errEndless = fmt.Errorf("the listing has more than some %d entries: it has no end, or the folder should be divided; %w", maxLines, errGivenUp)

// A lister reads the lines of one listing: those of MLSD (RFC 3659), or those
// of LIST as Unix or DOS would write them.
type lister struct {
	each func(listed) error
	give func(error) // ends the connection: more may come, and nobody wants it
	mlsd bool
	now  time.Time
	zone *time.Location

	lines int
	rest  bool  // the listing ended within a line
	err   error // of each, or what is wrong with the listing
}

// A listConn is the data connection of a listing. The lister takes the lines
// off it, and the library sees none.
type listConn struct {
	net.Conn
	lister *lister
}

func (c *listConn) Read([]byte) (int, error) {
	if err := c.lister.read(c.Conn); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

func (l *lister) read(in io.Reader) error {
	r := bufio.NewReaderSize(in, maxLine)
	for {
		line, err := r.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF):
			l.rest = len(line) > 0
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
			l.err = fmt.Errorf("line %d of the listing is longer than %d bytes; %w", l.lines+1, maxLine, errGivenUp)
		case err != nil:
			l.give(err)
			return err
		default:
			if l.lines++; l.lines > maxLines {
				l.err = errEndless
			} else {
				l.err = l.line(strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r"))
			}
		}
		if l.err != nil {
			l.give(l.err)
			return l.err
		}
	}
}

// truncatedWords are in what pure-ftpd says after such a listing.
var truncatedWords = regexp.MustCompile(`(?i)truncated`)

// ending has the text of the reply that a transfer ended with, of which the
// library tells nothing. It is written all that goes to the server and comes
// from it, passwords too, and keeps nothing else.
type ending struct {
	said string
	line []byte // as far as it came, when it is one of such a reply
	over bool   // the rest of this line is not wanted
}

// Write implements [io.Writer].
func (e *ending) Write(p []byte) (int, error) {
	const code, most = "226", 200
	for _, b := range p {
		switch {
		case b == '\n':
			if len(e.line) > len(code) {
				e.said = strings.TrimSpace(string(e.line[len(code)+1:]))
			}
			e.line, e.over = e.line[:0], false
		case e.over || len(e.line) == most:
		case len(e.line) < len(code) && b != code[len(e.line)]:
			e.line, e.over = e.line[:0], true
		default:
			e.line = append(e.line, b)
		}
	}
	return len(p), nil
}

// line tells what one line says.
func (l *lister) line(line string) error {
	var e listed
	var ok bool
	if l.mlsd {
		e, ok = parseMLSD(line)
	} else if line == "" || totalLine.MatchString(line) {
		return nil
	} else {
		e, ok = l.parseLIST(line)
	}
	switch {
	case !ok:
		e = listed{err: fmt.Errorf("a line of the listing is not understood: %q", shownLine(line))}
	case e.name == "" && e.err == nil: // the folder itself, or that above it
		return nil
	case e.name == "." || e.name == "..":
		return nil
	case strings.ContainsAny(e.name, "\r\x00"):
		e.err = errors.New("its name has a line break or a NUL in it, which cannot be asked for by FTP: rename it")
	}
	return l.each(e)
}

var totalLine = regexp.MustCompile(`^total \d+$`)

// shownLine is a line as it can be shown.
func shownLine(line string) string {
	const most = 200
	if len(line) > most {
		line = line[:most] + "..."
	}
	return ingest.EscapePath(line)
}

// parseMLSD reads "type=file;size=1024;modify=20260131235957; name", RFC 3659,
// 7.2. Of the folder itself and the one above it the name is empty.
func parseMLSD(line string) (listed, bool) {
	facts, name, ok := strings.Cut(line, " ")
	if !ok || name == "" {
		return listed{}, false
	}
	e := listed{name: name, size: -1}
	for facts != "" {
		var fact string
		fact, facts, _ = strings.Cut(facts, ";")
		key, value, ok := strings.Cut(fact, "=")
		if !ok {
			return listed{}, false
		}
		switch strings.ToLower(key) {
		case "type":
			switch value := strings.ToLower(value); {
			case value == "file":
				e.kind = regular
			case value == "dir":
				e.kind = directory
			case value == "cdir", value == "pdir":
				return listed{}, true
			case strings.HasPrefix(value, "os.unix=slink"), strings.HasPrefix(value, "os.unix=symlink"):
				e.kind = link
			default:
				e.kind = device
			}
		case "size":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 {
				return listed{}, false
			}
			e.size = n
		case "modify":
			t, err := time.Parse("20060102150405", value) // takes a fraction, too
			if err != nil {
				return listed{}, false
			}
			e.modified, e.precision = ingest.Micros(t), ingest.Second
		}
	}
	return e, true
}

var (
	// unixLine is what ls -l writes, and what FTP servers write who have no ls:
	// -rw-r--r--   1 ftp      ftp          1024 Jan 31 23:59 name
	unixLine = regexp.MustCompile(`^([-dlbcpsDn])[-rwxsStTlL]{9}[+.@]?\s+(?:\d+\s+)?(?:\S+\s+){0,3}?(\d+)\s+([A-Za-z]{3})\s+(\d{1,2})\s+(\d{1,2}:\d{2}|\d{4}) (.+)$`)

	// deviceLine has two numbers in place of a size.
	deviceLine = regexp.MustCompile(`^[bc][-rwxsStT]{9}\S*\s.*\d+,\s*\d+\s.*:\d\d (.+)$`)

	// dosLine is what IIS and other servers on Windows write:
	// 01-31-26  11:59PM                 1024 name
	dosLine = regexp.MustCompile(`^(\d{2}-\d{2}-\d{2}(?:\d{2})?|\d{4}-\d{2}-\d{2})\s+(\d{2}:\d{2}(?:[AP]M)?)\s+(<DIR>|<JUNCTION>|<SYMLINKD?>|[\d,.]+)\s+(.+)$`)
)

// parseLIST reads a line of LIST, which no standard describes.
func (l *lister) parseLIST(line string) (listed, bool) {
	if m := unixLine.FindStringSubmatch(line); m != nil {
		e := listed{name: m[6], size: -1}
		switch m[1] {
		case "-":
			e.kind = regular
		case "d":
			e.kind = directory
		case "l":
			e.kind = link
			e.name, _, _ = strings.Cut(e.name, " -> ")
		default:
			e.kind = device
		}
		if e.kind == regular {
			n, err := strconv.ParseInt(m[2], 10, 64)
			if err != nil {
				return listed{}, false
			}
			e.size = n
			e.modified, e.precision = l.unixTime(m[3], m[4], m[5])
		}
		return e, true
	}
	if m := deviceLine.FindStringSubmatch(line); m != nil {
		return listed{name: m[1], kind: device, size: -1}, true
	}
	if m := dosLine.FindStringSubmatch(line); m != nil {
		e := listed{name: m[4], size: -1, kind: regular, fold: true}
		switch {
		case m[3] == "<DIR>":
			e.kind = directory
		case m[3][0] == '<':
			e.kind = link
		default:
			n, err := strconv.ParseInt(strings.NewReplacer(",", "", ".", "").Replace(m[3]), 10, 64)
			if err != nil {
				return listed{}, false
			}
			e.size = n
			e.modified, e.precision = l.dosTime(m[1], m[2])
		}
		return e, true
	}
	return listed{}, false
}

// unixTime reads "Jan 31 23:59", of which the year is that which makes it
// latest without being in the future by more than a day, and "Jan 31 2025".
// Unknown when it is neither.
func (l *lister) unixTime(month, day, rest string) (int64, ingest.Precision) {
	if !strings.Contains(rest, ":") {
		t, err := time.ParseInLocation("Jan 2 2006", month+" "+day+" "+rest, l.zone)
		if err != nil {
			return 0, ingest.Unknown
		}
		return ingest.Micros(t), ingest.Day
	}
	// Four years back there was a 29th of February.
	for year := l.now.In(l.zone).Year() + 1; year > l.now.Year()-4; year-- {
		t, err := time.ParseInLocation("Jan 2 15:04 2006", month+" "+day+" "+rest+" "+strconv.Itoa(year), l.zone)
		if err == nil && t.Before(l.now.Add(24*time.Hour)) {
			return ingest.Micros(t), ingest.Minute
		}
	}
	return 0, ingest.Unknown
}

func (l *lister) dosTime(date, clock string) (int64, ingest.Precision) {
	for _, layout := range []string{"01-02-06 03:04PM", "01-02-2006 03:04PM", "01-02-06 15:04", "01-02-2006 15:04", "2006-01-02 15:04", "2006-01-02 03:04PM"} {
		if t, err := time.ParseInLocation(layout, date+" "+clock, l.zone); err == nil {
			return ingest.Micros(t), ingest.Minute
		}
	}
	return 0, ingest.Unknown
}

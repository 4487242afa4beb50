package source_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A script is an FTP server that does what a test wants: it serves files from
// memory as it should, but for the commands that the test takes over.
type script struct {
	t        testing.TB
	listener net.Listener
	wg       sync.WaitGroup

	// Set before the first connection.
	features []string    // what FEAT says; MLSD is known when MLST is among them
	tls      *tls.Config // AUTH TLS, or with implicit at once
	implicit bool
	password string

	// on takes over a command; it reports whether it has dealt with it. The
	// greeting is the command "", the end of each transfer is "226". A session
	// is closed when its connection is.
	on func(s *session, command, argument string) bool

	mu       sync.Mutex
	files    map[string]scriptFile
	sessions map[net.Conn]bool
	log      []string // commands, as they came
	peak     int      // the most sessions at a time
}

type scriptFile struct {
	data     []byte
	modified time.Time
}

// A session is one connection to a script.
type session struct {
	*script
	net.Conn
	in      *bufio.Reader
	number  int // of the connection, from 1 on
	cwd     string
	rest    int64
	passive net.Listener
	from    string // of RNFR
	private bool   // PROT P
}

var everyFeature = []string{"MLST type*;size*;modify*;", "MDTM", "SIZE", "UTF8", "REST STREAM", "EPSV"}

// newScript starts a server; change is called before it takes connections.
func newScript(t testing.TB, change func(*script)) *script {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &script{
		t: t, listener: l, features: everyFeature, password: "secret",
		on:    func(*session, string, string) bool { return false },
		files: make(map[string]scriptFile), sessions: make(map[net.Conn]bool),
	}
	if change != nil {
		change(s)
	}
	s.wg.Go(s.accept)
	t.Cleanup(func() {
		l.Close()
		s.hangUp()
		s.wg.Wait()
	})
	return s
}

// address is where the server listens.
func (s *script) address() string { return s.listener.Addr().String() }

func (s *script) put(path string, data []byte, modified time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files["/"+path] = scriptFile{data, modified}
}

func (s *script) remove(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.files, "/"+path)
}

func (s *script) get(path string) (scriptFile, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.files[path]
	return f, ok
}

// count is how often the command came.
func (s *script) count(command string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, c := range s.log {
		if c == command || strings.HasPrefix(c, command+" ") {
			n++
		}
	}
	return n
}

// hangUp closes all connections.
func (s *script) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.sessions {
		c.Close()
	}
}

// connections is how many there are.
func (s *script) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

func (s *script) accept() {
	for number := 1; ; number++ {
		conn, err := s.listener.Accept()
		if err != nil {
			return // the test is over
		}
		s.mu.Lock()
		s.sessions[conn] = true
		s.peak = max(s.peak, len(s.sessions))
		s.mu.Unlock()
		s.wg.Go(func() {
			(&session{script: s, Conn: conn, number: number, cwd: "/"}).serve(conn)
			conn.Close()
			s.mu.Lock()
			delete(s.sessions, conn)
			s.mu.Unlock()
		})
	}
}

func (s *session) serve(raw net.Conn) {
	defer func() {
		if s.passive != nil {
			s.passive.Close()
		}
	}()
	if s.implicit {
		s.Conn = tls.Server(raw, s.tls)
	}
	s.in = bufio.NewReader(s.Conn)
	if !s.on(s, "", "") {
		s.reply("220 ready")
	}
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		command, argument, _ := strings.Cut(line, " ")
		s.mu.Lock()
		s.log = append(s.log, line)
		s.mu.Unlock()
		if s.on(s, command, argument) {
			continue
		}
		if command == "QUIT" {
			return
		}
		s.obey(command, argument)
	}
}

// reply says a line; what comes of it shows at the next read.
func (s *session) reply(line string) { fmt.Fprintf(s.Conn, "%s\r\n", line) }

func (s *session) obey(command, argument string) {
	switch command {
	case "AUTH":
		if s.tls == nil {
			s.reply("502 no TLS here")
			return
		}
		s.reply("234 go on")
		s.Conn = tls.Server(s.Conn, s.tls)
		s.in = bufio.NewReader(s.Conn)
	case "USER":
		s.reply("331 and the password")
	case "PASS":
		if argument != s.password {
			s.reply("530 Login incorrect.")
			return
		}
		s.reply("230 welcome")
	case "FEAT":
		s.reply("211-these\r\n " + strings.Join(s.features, "\r\n ") + "\r\n211 end")
	case "TYPE", "OPTS", "NOOP", "PBSZ":
		s.reply("200 well")
	case "PROT":
		s.private = true
		s.reply("200 well")
	case "PWD":
		s.reply(`257 "/" is where you are`)
	case "CWD":
		if argument != "/" && !s.isFolder(argument) {
			s.reply("550 no such folder")
			return
		}
		s.cwd = path.Clean(argument)
		s.reply("250 there")
	case "EPSV":
		s.reply("229 Entering Extended Passive Mode (|||" + s.listen() + "|)")
	case "PASV":
		port, _ := strconv.Atoi(s.listen())
		s.reply(fmt.Sprintf("227 Entering Passive Mode (127,0,0,1,%d,%d)", port/256, port%256))
	case "REST":
		s.rest, _ = strconv.ParseInt(argument, 10, 64)
		s.reply("350 from there")
	case "MLSD", "LIST":
		s.send(s.listing(command))
	case "RETR", "MLST", "SIZE", "MDTM", "DELE", "RNFR":
		f, ok := s.get(argument)
		if !ok {
			s.reply("550 no such file")
			return
		}
		s.about(command, argument, f)
	case "RNTO":
		s.mu.Lock()
		s.files[argument] = s.files[s.from]
		delete(s.files, s.from)
		s.mu.Unlock()
		s.reply("250 moved")
	case "MKD":
		s.put(strings.TrimPrefix(argument, "/")+"/.", nil, time.Time{})
		s.reply("257 made")
	default:
		s.reply("502 not known")
	}
}

// about obeys a command about a file.
func (s *session) about(command, path string, f scriptFile) {
	switch command {
	case "RETR":
		s.send(f.data[min(s.rest, int64(len(f.data))):])
		s.rest = 0
	case "MLST":
		s.reply("250-this\r\n " + facts(f) + " " + path + "\r\n250 end")
	case "SIZE":
		s.reply("213 " + strconv.Itoa(len(f.data)))
	case "MDTM":
		s.reply("213 " + f.modified.UTC().Format("20060102150405"))
	case "DELE":
		s.remove(path[1:])
		s.reply("250 gone")
	case "RNFR":
		s.from = path
		s.reply("350 and where to")
	}
}

func facts(f scriptFile) string {
	return fmt.Sprintf("type=file;size=%d;modify=%s;", len(f.data), f.modified.UTC().Format("20060102150405"))
}

func (s *session) isFolder(at string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.files {
		if strings.HasPrefix(name, path.Clean(at)+"/") {
			return true
		}
	}
	return false
}

// listing is what the folder has, in the form of the command.
func (s *session) listing(command string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b bytes.Buffer
	folders := make(map[string]bool)
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		below, ok := strings.CutPrefix(name, strings.TrimSuffix(s.cwd, "/")+"/")
		if !ok {
			continue
		}
		if folder, _, ok := strings.Cut(below, "/"); ok {
			if !folders[folder] {
				folders[folder] = true
				if command == "MLSD" {
					fmt.Fprintf(&b, "type=dir;modify=20260101000000; %s\r\n", folder)
				} else {
					fmt.Fprintf(&b, "drwxr-xr-x    2 ftp      ftp          4096 Jan 01  2026 %s\r\n", folder)
				}
			}
			continue
		}
		if f := s.files[name]; command == "MLSD" {
			fmt.Fprintf(&b, "%s %s\r\n", facts(f), below)
		} else {
			fmt.Fprintf(&b, "-rw-r--r--    1 ftp      ftp      %8d %s %s\r\n", len(f.data), f.modified.Format("Jan 02  2006"), below)
		}
	}
	return b.Bytes()
}

// listen opens the port for the next transfer.
func (s *session) listen() string {
	if s.passive != nil {
		s.passive.Close()
	}
	var err error
	if s.passive, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		s.t.Error(err)
		return "0"
	}
	_, port, _ := net.SplitHostPort(s.passive.Addr().String())
	return port
}

// dataConn says that the transfer begins, and takes the connection for it.
func (s *session) dataConn() (net.Conn, error) {
	if s.passive == nil {
		s.reply("425 use EPSV first")
		return nil, errors.New("no passive port")
	}
	s.reply("150 here it comes")
	conn, err := s.passive.Accept()
	s.passive.Close()
	s.passive = nil
	if err == nil && s.private {
		conn = tls.Server(conn, s.tls)
	}
	return conn, err
}

// send transfers all of data and says so.
func (s *session) send(data []byte) {
	conn, err := s.dataConn()
	if err != nil {
		return
	}
	_, _ = io.Copy(conn, bytes.NewReader(data)) // who listens knows how much came
	if c, ok := conn.(*tls.Conn); ok {
		_ = c.Handshake() // of an empty file
	}
	conn.Close()
	if !s.on(s, "226", "") {
		s.reply("226 all sent")
	}
}

// commands are all that came, as they came.
func (s *script) commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

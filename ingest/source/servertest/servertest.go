// Package servertest gives tests real FTP and SFTP servers, each on a port of
// its own of the loopback interface and in a folder of its own:
//
//	server := servertest.Start(t, servertest.VSFTPD, servertest.Options{TLS: servertest.Explicit})
//	server.Put("district/x.csv", data, modified)
//	... server.URL(), server.User, server.Password, server.CA ...
//
// A server is up when Start returns, and gone with all its sessions when the
// test ends. It reads and writes no file of the system's own, and needs no
// account but one that is there: as root its sessions run as an unprivileged
// user.
//
// Where a server cannot be had the test is skipped with the reason, or fails
// where the environment variable CI is set. `.ci/setup servers` gets them all.
package servertest

import (
	"fmt"
	"net"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A Kind is a server's program.
type Kind string

// The servers there are.
const (
	VSFTPD   Kind = "vsftpd"    // no MLSD; its folder is not its clients' root
	ProFTPD  Kind = "proftpd"   // 530 where there are too many connections
	PureFTPD Kind = "pure-ftpd" // only as root; no implicit TLS
	OpenSSH  Kind = "sshd"      // SFTP, by a key
)

// FTP are the servers that speak FTP.
var FTP = [...]Kind{VSFTPD, ProFTPD, PureFTPD}

// TLS says how a server of FTP is spoken to.
type TLS int

// All but Plain refuse whoever does not encrypt both connections. VSFTPD and
// ProFTPD then also want the control connection's session resumed on the data
// connections; PureFTPD does not ask.
const (
	Plain    TLS = iota
	Explicit     // AUTH TLS
	Implicit     // from the first byte
)

// Options say what server is wanted. The zero Options are a plain one.
type Options struct {
	TLS         TLS
	Certificate Certificate // the server's own
	ClientCA    bool        // refuses clients without a certificate: Server.ClientCertificate is one
	Connections int         // refuses more at a time; 0: hundreds
	Entries     int         // PureFTPD lists no more of a folder; 0: a million
	Passphrase  string      // encrypts Server.Key
	Quiet       bool        // VSFTPD logs nothing, for measuring
}

// A Server is a running server.
type Server struct {
	Kind    Kind
	Options Options

	Address  string // host:port
	Root     string // the folder that is served, here
	Folder   string // the same as clients name it, where they find themselves after logging in
	User     string
	Password string // FTP only

	CA                string // a PEM file: who issued the certificates
	ClientCertificate string // a PEM file with a certificate for clients
	ClientKey         string // and its key

	Key        string // OpenSSH: a file with the user's private key
	KnownHosts string // OpenSSH: a file with the line for this server

	t       testing.TB
	dir     string // of all that is the server's
	account account
	program program
	process *process
}

// Start starts a server that ends with the test.
func Start(t testing.TB, kind Kind, o Options) *Server {
	t.Helper()
	s := &Server{Kind: kind, Options: o, t: t, account: chooseAccount(t, kind)}
	s.program = findProgram(t, kind)
	s.makeFolder()
	s.makeCertificates()
	setUp, ok := setUps[kind]
	if !ok {
		t.Fatalf("there is no server %q", kind)
	}
	for range 5 { // another process may take the port that was free
		s.Address = freeAddress(t)
		s.program.arguments = setUp(s)
		if s.process = s.start(); s.process != nil {
			break
		}
	}
	if s.process == nil {
		t.Fatalf("%s does not start:\n%s", kind, s.Log())
	}
	t.Cleanup(s.Stop)
	return s
}

// setUps write a server's configuration for s.Address and return the arguments
// that it is started with.
var setUps = map[Kind]func(s *Server) []string{
	VSFTPD:   setUpVSFTPD,
	ProFTPD:  setUpProFTPD,
	PureFTPD: setUpPureFTPD,
	OpenSSH:  setUpOpenSSH,
}

// URL is that of the folder, as a source's configuration has it.
func (s *Server) URL() string {
	scheme := [...]string{Plain: "ftp", Explicit: "ftps", Implicit: "ftps+implicit"}[s.Options.TLS]
	if s.Kind == OpenSSH {
		scheme = "sftp"
	}
	return fmt.Sprintf("%s://%s@%s/", scheme, s.User, s.Address)
}

// Stop ends the server and its sessions at once, without a word to their
// clients. What was uploaded stays.
func (s *Server) Stop() {
	if s.process != nil {
		s.process.kill()
		s.process = nil
	}
}

// Restart starts a stopped server again, at the same address and with the same
// certificate.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	if s.process = s.start(); s.process == nil {
		s.t.Fatalf("%s does not start again:\n%s", s.Kind, s.Log())
	}
}

// Sessions is how many processes the server has for its clients: none when
// nobody is connected, and one or more for each connection, by the server.
func (s *Server) Sessions() int {
	if s.process == nil {
		return 0
	}
	return len(descendants(s.process.cmd.Process.Pid, nil))
}

// Log is what the server has written of what it did.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.file("log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Put writes a file below Root, with the folders that it needs, as if a client
// had uploaded it. A file that is there is replaced in one step.
func (s *Server) Put(name string, data []byte, modified time.Time) {
	s.t.Helper()
	s.must(s.makeFolders(path.Dir(name)))
	temp := s.file("put")
	s.must(os.WriteFile(temp, data, 0o644))
	s.own(temp)
	s.must(os.Chtimes(temp, modified, modified))
	s.must(os.Rename(temp, filepath.Join(s.Root, name)))
}

// MakeFolder makes a folder below Root, with those above it, unless it is
// there.
func (s *Server) MakeFolder(name string) {
	s.t.Helper()
	s.must(s.makeFolders(path.Clean(name)))
}

// makeFolders makes a folder below Root that the server may write to, with
// those above it.
func (s *Server) makeFolders(name string) error {
	if name == "." {
		return nil
	}
	if _, err := os.Stat(filepath.Join(s.Root, name)); err == nil {
		return nil
	}
	if err := s.makeFolders(path.Dir(name)); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(s.Root, name), 0o755); err != nil {
		return err
	}
	s.own(filepath.Join(s.Root, name))
	return nil
}

// Remove removes a file below Root.
func (s *Server) Remove(name string) {
	s.t.Helper()
	s.must(os.Remove(filepath.Join(s.Root, name)))
}

// prefix begins the names of the servers' folders, before the process id of
// the test that made them.
const prefix = "penstock-servertest-"

// makeFolder makes the server's folder. It is not t.TempDir, which only its
// owner may enter.
func (s *Server) makeFolder() {
	s.t.Helper()
	sweep()
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", prefix, os.Getpid()))
	s.must(err)
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("the end of %s's log:\n%s", s.Kind, lastLines(s.Log(), 40))
		}
		if err := os.RemoveAll(dir); err != nil {
			s.t.Errorf("%v", err)
		}
	})
	s.dir, s.Root = dir, filepath.Join(dir, "root")
	s.must(os.Mkdir(s.Root, 0o755))
	s.must(os.Chmod(dir, 0o755))
	s.own(dir)
	s.own(s.Root)
	s.account.mustReach(s.t, dir)
}

// sweep removes the folders of tests that were killed.
func sweep() {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	for _, dir := range left {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), prefix), "-")
		if n, err := strconv.Atoi(pid); err == nil && !lives(n) {
			_ = os.RemoveAll(dir) // it may be another user's
		}
	}
}

func lastLines(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "")
}

// file is the path of one of the server's own files.
func (s *Server) file(name string) string { return filepath.Join(s.dir, name) }

// write writes one of the server's own files, which only the server may read.
func (s *Server) write(name, text string) string {
	s.t.Helper()
	s.must(os.WriteFile(s.file(name), []byte(text), 0o600))
	s.own(s.file(name))
	return s.file(name)
}

// own gives a file to the account that the sessions run as.
func (s *Server) own(file string) {
	s.t.Helper()
	if s.account.drop {
		s.must(os.Lchown(file, s.account.uid, s.account.gid))
	}
}

func (s *Server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s: %v", s.Kind, err)
	}
}

// port is the number in Address.
func (s *Server) port() string {
	_, port, err := net.SplitHostPort(s.Address)
	s.must(err)
	return port
}

// freeAddress is one of this machine that nothing listens at.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

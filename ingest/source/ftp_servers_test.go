package source_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/ingest"
	"penstock/ingest/source"
	"penstock/ingest/source/servertest"
	"penstock/ingest/source/sourcetest"
)

// ftpModes are the ways in which each server is tried.
var ftpModes = []struct {
	name string
	kind servertest.Kind
	tls  servertest.TLS
}{
	{"vsftpd", servertest.VSFTPD, servertest.Plain},
	{"vsftpd, TLS", servertest.VSFTPD, servertest.Explicit},
	{"proftpd", servertest.ProFTPD, servertest.Plain},
	{"proftpd, implicit TLS", servertest.ProFTPD, servertest.Implicit},
	{"pure-ftpd", servertest.PureFTPD, servertest.Plain},
	{"pure-ftpd, TLS", servertest.PureFTPD, servertest.Explicit},
}

// allServers is the variable that has tests run against all servers in all
// ways, which takes minutes, and not only against everyRun.
const (
	allServers = "PENSTOCK_TEST_ALL_SERVERS"
	everyRun   = "vsftpd, TLS"
)

// TestFTPServers runs the suite against servers that are in use everywhere.
// Those with TLS want the session resumed, where they can.
func TestFTPServers(t *testing.T) {
	for _, m := range ftpModes {
		t.Run(m.name, func(t *testing.T) {
			if m.name != everyRun && os.Getenv(allServers) == "" {
				t.Skipf("%s is not set", allServers)
			}
			sourcetest.Test(t, sourcetest.Place{Names: namesOn(m.kind), Open: func(t *testing.T) sourcetest.Site {
				return &serverSite{t: t, server: servertest.Start(t, m.kind, servertest.Options{TLS: m.tls})}
			}})
		})
	}
}

// namesOn are the odd names that a server lists and gives out: none with what
// ends a line, and of pure-ftpd none with a control code or a backslash.
func namesOn(kind servertest.Kind) []string {
	never := "\r\n"
	if kind == servertest.PureFTPD {
		never += "\x1b\\"
	}
	return slices.DeleteFunc(slices.Clone(sourcetest.OddNames), func(n string) bool { return strings.ContainsAny(n, never) })
}

// A serverSite is the folder of a real server.
type serverSite struct {
	t      *testing.T
	server *servertest.Server
}

func (s *serverSite) Put(path string, data []byte, modified time.Time) {
	s.server.Put(path, data, modified)
}

func (s *serverSite) Remove(path string)      { s.server.Remove(path) }
func (s *serverSite) Path(path string) string { return path }
func (s *serverSite) Source() ingest.Source   { return s.Tidying(source.After{}) }

func (s *serverSite) Tidying(after source.After) ingest.Source {
	return newFTP(s.t, ofServer(s.server, source.RemoteOptions{After: after}))
}

func (s *serverSite) Have() map[string][]byte { return have(s.t, s.server.Root) }

// ofServer are the options that lead to the server.
func ofServer(s *servertest.Server, o source.RemoteOptions) source.FTPOptions {
	all := source.FTPOptions{RemoteOptions: o, URL: s.URL(), Password: func() (string, error) { return s.Password, nil }}
	if s.Options.TLS != servertest.Plain {
		all.TLS = source.TLSOptions{CAFile: s.CA}
	}
	return all
}

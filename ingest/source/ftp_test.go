package source_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"goftp.io/server/v2"
	"goftp.io/server/v2/driver/file"

	"penstock/ingest"
	"penstock/ingest/source"
	"penstock/ingest/source/sourcetest"
)

func TestFTP(t *testing.T) {
	// What ends a line cannot be in a name over FTP; the server takes the spaces
	// off both ends of what it is asked for.
	names := slices.DeleteFunc(slices.Clone(sourcetest.OddNames), func(n string) bool {
		return strings.ContainsAny(n, "\r\n") || strings.TrimSpace(n) != n
	})
	sourcetest.Test(t, sourcetest.Place{Names: names, Open: func(t *testing.T) sourcetest.Site {
		root := t.TempDir()
		return &ftpSite{tidySite: tidySite{folderSite{t: t, root: root, name: "field"}}, address: serveFTP(t, root)}
	}})
}

// An ftpSite is a folder that an FTP server offers.
type ftpSite struct {
	tidySite
	address string
}

func (s *ftpSite) Source() ingest.Source { return s.Tidying(source.After{}) }

func (s *ftpSite) Tidying(after source.After) ingest.Source {
	return newFTP(s.t, source.FTPOptions{URL: "ftp://loggers@" + s.address, RemoteOptions: source.RemoteOptions{After: after}})
}

// newFTP returns a source that logs in as serveFTP wants it.
func newFTP(t testing.TB, o source.FTPOptions) *source.Remote {
	t.Helper()
	if o.Source == "" {
		o.Source = "field"
	}
	if o.Password == nil {
		o.Password = func() (string, error) { return "secret", nil }
	}
	r, err := source.NewFTP(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// ftpServer is the variable that makes the test's binary an FTP server: one in
// a process of its own, as it leaves sockets open that tests would count.
const ftpServer = "PENSTOCK_TEST_FTP_SERVER"

// serveFTP offers the folder until the test ends, and returns the address.
func serveFTP(t testing.TB, root string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), ftpServer+"="+root)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the FTP server: %v", err)
		}
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the FTP server does not say where it listens: %v", err)
	}
	return strings.TrimSpace(address)
}

// beFTPServer offers the folder on the loopback, says on stdout where, and
// returns when stdin ends.
func beFTPServer(root string) error {
	driver, err := file.NewDriver(root)
	if err != nil {
		return err
	}
	s, err := server.NewServer(&server.Options{
		Driver: driver, Auth: &server.SimpleAuth{Name: "loggers", Password: "secret"},
		Perm: server.NewSimplePerm("loggers", "loggers"), Logger: new(server.DiscardLogger), PublicIP: "127.0.0.1",
	})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = s.Serve(l) }() // it says in the end that it was shut down
	fmt.Println(l.Addr())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

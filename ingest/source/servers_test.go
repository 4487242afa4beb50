package source_test

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"penstock/ingest"
	"penstock/ingest/source"
	"penstock/ingest/source/servertest"
	"penstock/ingest/source/sourcetest"
)

// TestServersConform runs the suite against real servers.
func TestServersConform(t *testing.T) {
	servertest.Each(t, func(t *testing.T, kind servertest.Kind, mode servertest.TLS) {
		server := servertest.Start(t, kind, servertest.Options{TLS: mode})
		var sites atomic.Int32
		sourcetest.Test(t, sourcetest.Place{Names: namesOn(kind), Open: func(t *testing.T) sourcetest.Site {
			site := &serverSite{Server: server, t: t, folder: fmt.Sprintf("site-%d/", sites.Add(1))}
			site.Server.MakeFolder(site.folder)
			return site
		}})
	})
}

// A serverSite is a folder of a real server. One server has many.
type serverSite struct {
	*servertest.Server
	t      *testing.T
	folder string
}

// namesOn are the odd names that a server of that kind can be asked for: over
// FTP what ends a line ends a command, and pure-ftpd keeps other control
// characters and backslashes to itself.
func namesOn(kind servertest.Kind) []string {
	refused := map[servertest.Kind]string{servertest.VSFTPD: "\r\n", servertest.ProFTPD: "\r\n", servertest.PureFTPD: "\r\n\x1b\\"}[kind]
	return slices.DeleteFunc(slices.Clone(sourcetest.OddNames), func(n string) bool { return strings.ContainsAny(n, refused) })
}

func (s *serverSite) Put(path string, data []byte, modified time.Time) {
	s.Server.Put(s.folder+path, data, modified)
}

func (s *serverSite) Remove(path string) { s.Server.Remove(s.folder + path) }

func (s *serverSite) Path(path string) string { return path }

func (s *serverSite) Source() ingest.Source { return s.Tidying(source.After{}) }

func (s *serverSite) Tidying(after source.After) ingest.Source {
	return newRemote(s.t, s.Server, s.folder, func(o *source.RemoteOptions) { o.After = after })
}

func (s *serverSite) Have() map[string][]byte {
	return have(s.t, filepath.Join(s.Server.Root, s.folder))
}

// newRemote returns the source of a folder of the server.
func newRemote(t testing.TB, s *servertest.Server, folder string, change func(*source.RemoteOptions)) *source.Remote {
	t.Helper()
	common := source.RemoteOptions{Source: "field"}
	if change != nil {
		change(&common)
	}
	var r *source.Remote
	var err error
	if s.Kind == servertest.OpenSSH {
		r, err = source.NewSFTP(source.SFTPOptions{RemoteOptions: common, URL: s.URL() + folder, KeyFile: s.Key, KnownHosts: []string{s.KnownHosts}})
	} else {
		r, err = source.NewFTP(source.FTPOptions{
			RemoteOptions: common, URL: s.URL() + folder, TLS: source.TLSOptions{CAFile: s.CA},
			Password: func() (string, error) { return s.Password, nil },
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// TestFolderReplaced: another folder takes the name of the one that is listed, as
// at a rotation, or when a disk is mounted there.
func TestFolderReplaced(t *testing.T) {
	server := servertest.Start(t, servertest.VSFTPD, servertest.Options{})
	server.Put("up/old.csv", []byte("x"), then)
	r := newRemote(t, server, "up/", nil)
	if all, err := lists(t, r); len(all) != 1 || err != nil {
		t.Fatalf("%v, %v", all, err)
	}
	up := filepath.Join(server.Root, "up")
	if err := os.Rename(up, up+".old"); err != nil {
		t.Fatal(err)
	}
	server.Put("up/new.csv", []byte("y"), then)
	if all, err := lists(t, r); len(all) != 1 || all["new.csv"].Size != 1 || err != nil {
		t.Errorf("listed %v, %v", all, err)
	}
}

// TestFolderClosed: a folder that the server's user may not enter, of which the
// server says no more than of one that is not there, is told of once it shows
// that it stays.
func TestFolderClosed(t *testing.T) {
	server := servertest.Start(t, servertest.VSFTPD, servertest.Options{})
	server.Put("closed/x.csv", []byte("x"), then)
	server.Put("y.csv", []byte("y"), then)
	r := newRemote(t, server, "", nil)
	mode := func(mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(filepath.Join(server.Root, "closed"), mode); err != nil {
			t.Fatal(err)
		}
	}
	mode(0)
	if all, err := lists(t, r); len(all) != 1 || err != nil {
		t.Errorf("it may have gone since it was listed: %v, %v", all, err)
	}
	for range 2 {
		all, err := lists(t, r)
		if says(t, err, "list ", "/closed: ", "although it is there", "the right to enter it"); len(all) != 1 {
			t.Errorf("listed %v", all)
		}
	}
	mode(0o755)
	if all, err := lists(t, r); len(all) != 2 || err != nil {
		t.Errorf("listed %v, %v", all, err)
	}
}

// TestListingTruncated: pure-ftpd says of a folder with more entries than it is
// set to list that it left some out, in the last line that it sends.
func TestListingTruncated(t *testing.T) {
	const most = 20
	for _, mode := range []servertest.TLS{servertest.Plain, servertest.Explicit} {
		server := servertest.Start(t, servertest.PureFTPD, servertest.Options{Entries: most, TLS: mode})
		for i := range 2 * most {
			server.Put(fmt.Sprintf("many/%02d.csv", i), []byte("x"), then)
		}
		server.Put("few/x.csv", []byte("x"), then)
		r := newRemote(t, server, "", nil)
		all, err := lists(t, r)
		says(t, err, "/many: ", "did not list all", "truncated to", "LimitRecursion")
		if n := len(all); n < most/2 || n >= 2*most || all["few/x.csv"].Size != 1 || strings.Contains(err.Error(), "few") {
			t.Errorf("%d files are listed: %v", n, err)
		}
		if _, err := lists(t, newRemote(t, server, "few/", nil)); err != nil {
			t.Error(err)
		}
	}
}

// TestListingTruncatedRoot: a source whose root has more entries than the server
// lists gives those out that it lists, and says that there are more.
func TestListingTruncatedRoot(t *testing.T) {
	const most = 20
	server := servertest.Start(t, servertest.PureFTPD, servertest.Options{Entries: most})
	for i := range 2 * most {
		server.Put(fmt.Sprintf("%02d.csv", i), []byte("x"), then)
	}
	r := newRemote(t, server, "", nil)
	for range 3 {
		listed, truncated := 0, 0
		for f, err := range r.Files(t.Context()) {
			switch {
			case err == nil:
				listed++
			case errors.Is(err, ingest.ErrTruncated) && f.Path == ".":
				truncated++
			default:
				t.Errorf("%s: %v", f.Path, err)
			}
		}
		if listed < most/2 || listed >= 2*most || truncated != 1 {
			t.Errorf("%d files are listed, and %d times it is said that there are more", listed, truncated)
		}
	}
}

// TestOwnFolderOnServer: the folder that files are moved to, named from the
// server's root on, lies in the source's, which is named by a link.
func TestOwnFolderOnServer(t *testing.T) {
	for _, kind := range []servertest.Kind{servertest.VSFTPD, servertest.OpenSSH} {
		t.Run(string(kind), func(t *testing.T) {
			server := servertest.Start(t, kind, servertest.Options{})
			server.Put("data/x.csv", []byte("x"), then)
			if err := os.Symlink("data", filepath.Join(server.Root, "link")); err != nil {
				t.Fatal(err)
			}
			r := newRemote(t, server, "link/", func(o *source.RemoteOptions) {
				o.After = source.After{Do: source.Move, To: path.Join(server.Folder, "data/done")}
			})
			seen := 0
			for range 3 {
				all, err := lists(t, r)
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range all {
					seen++
					var c ingest.Content
					if err := r.Fetch(t.Context(), f, &c); err != nil {
						t.Fatal(err)
					}
					if err := r.Done(t.Context(), c.File, ingest.Outcome{File: c.File, State: ingest.Loaded}); err != nil {
						t.Fatal(err)
					}
				}
			}
			if seen != 1 {
				t.Errorf("%d files were listed and moved", seen)
			}
		})
	}
}

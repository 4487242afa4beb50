package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest/source/servertest"
)

// The same files are loaded alike from a folder and from every server there is.
func sameFromServers(t *testing.T, s *stage) {
	const files = 2000
	b := &bed{t: t, binary: s.binary, site: wholeDays(t, writeContradictions(t, files))}
	url := b.database()
	b.finish(url, "--source", "field")
	b.clean = b.contents(url)
	if len(b.clean) < files {
		t.Fatalf("a folder leaves only %d rows", len(b.clean))
	}
	servertest.Each(t, func(t *testing.T, kind servertest.Kind, mode servertest.TLS) {
		server := servertest.Start(t, kind, servertest.Options{TLS: mode})
		upload(t, server, b.site)
		r := s.trial(t, "sources:\n"+serverSource(server, "upload"))
		r.write("secret", server.Password+"\n")
		r.begin()
		r.comes(fmt.Sprint(files), "select count(*) from penstock.files")
		r.end(0)
		if diff := cmp.Diff(b.clean, b.contents(r.url)); diff != "" {
			t.Errorf("from the server (-folder +server):\n%s", diff)
		}
	})
}

// A file that is replaced by another of its size within the minute that a server
// lists of it is loaded anew.
func seesReplaced(t *testing.T, s *stage) {
	server := servertest.Start(t, servertest.VSFTPD, servertest.Options{})
	// It settles between listings, by a look that tells the second: by a listing, the second look is a minute after.
	r := s.trial(t, "sources:\n"+strings.Replace(serverSource(server, "upload"), "poll: 1s", "poll: 6s, settle: 1s", 1))
	r.write("secret", server.Password+"\n")
	minute := time.Now().Truncate(time.Minute).Add(-time.Minute) // which has passed, so that there is not all of one to wait for
	server.Put("upload/a.csv", []byte(longFile("F1", 1.5)), minute.Add(50*time.Second))
	r.begin()
	r.comes("F1 flow 1.5", observed)
	server.Put("upload/a.csv", []byte(longFile("F1", 2.5)), minute.Add(57*time.Second))
	r.comes("F1 flow 2.5", observed)
	r.comes("2 2", "select count(*) || ' ' || count(*) filter (where trusted) from penstock.files")
	r.end(0)
	if n := strings.Count(server.Log(), "OK DOWNLOAD"); n != 2 {
		t.Errorf("it was fetched %d times", n)
	}
}

// serverSource is the source of a folder of the server, in a config.
func serverSource(server *servertest.Server, folder string) string {
	source := fmt.Sprintf("  - {name: field, poll: 1s, url: %q, ", server.URL()+folder)
	switch {
	case server.Kind == servertest.OpenSSH:
		source += fmt.Sprintf("key_file: %q, known_hosts: %q", server.Key, server.KnownHosts)
	case server.Options.TLS != servertest.Plain:
		source += fmt.Sprintf("password_file: secret, tls: {ca: %q}", server.CA)
	default:
		source += "password_file: secret"
	}
	return source + "}\n"
}

// wholeDays gives the files below dir times that every server can tell: one
// that only knows LIST tells no more than the day.
func wholeDays(t *testing.T, dir string) string {
	t.Helper()
	eachFile(t, dir, func(path, _ string, modified time.Time) error {
		hours := modified.Sub(modified.Truncate(24 * time.Hour)).Hours()
		day := modified.Truncate(24*time.Hour).AddDate(0, 0, int(hours))
		return os.Chtimes(path, day, day)
	})
	return dir
}

// upload puts the files below dir into the server's folder upload.
func upload(t *testing.T, server *servertest.Server, dir string) {
	t.Helper()
	eachFile(t, dir, func(path, name string, modified time.Time) error {
		data, err := os.ReadFile(path)
		server.Put("upload/"+name, data, modified)
		return err
	})
}

// eachFile calls do for the files below dir, with their names below it.
func eachFile(t *testing.T, dir string, do func(path, name string, modified time.Time) error) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		return do(path, strings.TrimPrefix(path, dir+"/"), info.ModTime().UTC())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A source on a server of SFTP logs in with a key, and the passphrase from where
// the environment and systemd have it.
func logsInBySSH(t *testing.T, s *stage) {
	server := servertest.Start(t, servertest.OpenSSH, servertest.Options{Passphrase: "battery-staple"})
	server.Put("a.csv", []byte(longFile("F1", 1.5)), time.Now().Add(-time.Hour))
	r := s.trial(t, fmt.Sprintf("sources:\n  - {name: field, poll: 1s, url: %q, known_hosts: %q, key_file: %q}\n", server.URL(), server.KnownHosts, server.Key))
	r.env = []string{"PENSTOCK_SOURCE_FIELD_PASSPHRASE=wr0ng"}
	r.begin()
	r.says(0, `level=ERROR msg="the source fails: it is tried again and again" source=field error=".*the passphrase is not that of the key`)
	r.end(0)

	r.write("credentials/field.passphrase", "battery-staple\n")
	r.env = []string{"CREDENTIALS_DIRECTORY=" + filepath.Join(r.dir, "credentials")}
	r.begin()
	r.comes("F1 flow 1.5", observed)
	r.end(0)
	if seen := r.text() + allRows(t, r.url); strings.Contains(seen, "battery-staple") || strings.Contains(seen, "wr0ng") {
		t.Errorf("the passphrase is to be seen:\n%s", seen)
	}
}

// A source that begins anew within the process, as after a reload, does not try a
// login that the server refused, and does not say again what was said of it.
func TestAccountOutlivesItsFeeder(t *testing.T) {
	server := servertest.Start(t, servertest.ProFTPD, servertest.Options{})
	dir := t.TempDir()
	file := filepath.Join(dir, "penstock.yaml")
	for name, text := range map[string]string{"secret": "wr0ng\n", "penstock.yaml": "sources:\n" + serverSource(server, "upload")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := loadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	a := newApp(nil, nil, nil, io.Discard, io.Discard)
	var log bytes.Buffer
	for range 3 {
		src, end, err := a.openSettled(c.sources[0], slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		for f, err := range src.Files(t.Context()) {
			if err == nil || !strings.Contains(err.Error(), "refused the login") {
				t.Errorf("listed %v, %v", f, err)
			}
		}
		end()
	}
	if n := strings.Count(server.Log(), "Login failed"); n != 1 {
		t.Errorf("the login was tried %d times:\n%s", n, server.Log())
	}
	if n := strings.Count(log.String(), "plain FTP"); n != 1 {
		t.Errorf("plain FTP was warned of %d times:\n%s", n, log.String())
	}
}

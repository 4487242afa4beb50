package source_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/ingest"
	"penstock/ingest/source"
)

// listingOf serves this text as the listing of every folder, in the form of the
// command.
func listingOf(t *testing.T, command, text string) *script {
	return newScript(t, func(s *script) {
		if command == "LIST" {
			s.features = nil
		}
		s.on = func(s *session, c, _ string) bool {
			if c == command {
				s.send([]byte(text))
			}
			return c == command
		}
	})
}

// TestFTPListForms reads what servers of all sorts list.
func TestFTPListForms(t *testing.T) {
	now := time.Now().UTC()
	soon := now.Add(-3 * time.Hour).Truncate(time.Minute)
	long := now.AddDate(0, 0, -300).Truncate(time.Minute) // of last year or this, as it falls
	old := time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)
	file := func(path string, size int64, modified time.Time, p ingest.Precision) ingest.File {
		if p == ingest.Unknown {
			return ingest.File{Source: "field", Path: path, Size: size}
		}
		return ingest.File{Source: "field", Path: path, Size: size, Modified: ingest.Micros(modified), Precision: p}
	}
	for _, c := range []struct {
		name, command, line string
		want                ingest.File
	}{
		{"MLSD", "MLSD", "Type=file;Size=1024;Modify=20260131235957;UNIX.mode=0644; two words.csv", file("two words.csv", 1024, then, ingest.Second)},
		{"MLSD, fraction", "MLSD", "modify=20260131235957.250;type=file;size=1; x.csv", file("x.csv", 1, then.Add(250*time.Millisecond), ingest.Second)},
		{"MLSD, a leading space", "MLSD", "type=file;size=1;  x.csv", file(" x.csv", 1, time.Time{}, ingest.Unknown)},
		{"MLSD, no facts", "MLSD", " x.csv", file("x.csv", -1, time.Time{}, ingest.Unknown)},
		{"MLSD, other cases", "MLSD", "TYPE=FILE;SIZE=7;MODIFY=20260131235957; x.csv", file("x.csv", 7, then, ingest.Second)},
		{"vsftpd", "LIST", "-rw-r--r--    1 1000     1000         1024 " + soon.Format("Jan 02 15:04") + " x.csv", file("x.csv", 1024, soon, ingest.Minute)},
		{"vsftpd, old", "LIST", "-rw-r--r--    1 ftp      ftp          1024 Feb 29  2024 x.csv", file("x.csv", 1024, old, ingest.Day)},
		{"proftpd", "LIST", "-rw-r--r--   1 loggers  (?)          1024 " + long.Format("Jan _2 15:04") + " x.csv", file("x.csv", 1024, long, ingest.Minute)},
		{"no group", "LIST", "-rw-r--r--   1 loggers      1024 Feb 29  2024 x.csv", file("x.csv", 1024, old, ingest.Day)},
		{"no link count", "LIST", "-rw-r--r--   loggers loggers     1024 Feb 29  2024 x.csv", file("x.csv", 1024, old, ingest.Day)},
		{"an ACL", "LIST", "-rw-rw-r--+  1 a b 5 Feb 29  2024 x.csv", file("x.csv", 5, old, ingest.Day)},
		{"a name like a date", "LIST", "-rw-r--r--   1 a b 5 Feb 29  2024 Jan 31 12:00 x.csv", file("Jan 31 12:00 x.csv", 5, old, ingest.Day)},
		{"a name with spaces", "LIST", "-rw-r--r--   1 a b 5 Feb 29  2024  leading and trailing ", file(" leading and trailing ", 5, old, ingest.Day)},
		{"IIS", "LIST", "01-31-26  11:59PM                 1024 two words.csv", file("two words.csv", 1024, then.Truncate(time.Minute), ingest.Minute)},
		{"IIS, four digits", "LIST", "01-31-2026  23:59                 1024 x.csv", file("x.csv", 1024, then.Truncate(time.Minute), ingest.Minute)},
		{"a printer's", "LIST", "-rw-r--r--   1 a b 5 Xyz 99 99:99 x.csv", file("x.csv", 5, time.Time{}, ingest.Unknown)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			all, err := lists(t, newFTP(t, quick(listingOf(t, c.command, c.line+"\r\n"))))
			if err != nil || len(all) != 1 || all[c.want.Path] != c.want {
				t.Errorf("got %+v and %v, want %+v", all, err, c.want)
			}
		})
	}
}

// TestFTPListZone: times of LIST are the server's own.
func TestFTPListZone(t *testing.T) {
	t.Parallel()
	s := listingOf(t, "LIST", "07-31-26  11:59PM                 1024 x.csv\r\n")
	o := quick(s)
	o.Zone = time.FixedZone("here", 2*3600)
	all, err := lists(t, newFTP(t, o))
	if err != nil || all["x.csv"].Modified != ingest.Micros(time.Date(2026, 7, 31, 21, 59, 0, 0, time.UTC)) {
		t.Errorf("got %v, and %v", all, err)
	}
}

// TestFTPListPasses over what is no entry, and tells what cannot be one.
func TestFTPListPasses(t *testing.T) {
	t.Parallel()
	for command, text := range map[string]string{
		"MLSD": "type=cdir; /\r\ntype=pdir; ..\r\ntype=dir; .\r\ntype=file;size=1; ../up.csv\r\ntype=file;size=1; a/b.csv\r\ntype=file;size=1; cr\rlf.csv\r\n" +
			"garbage\r\ntype=file;size=-1; x.csv\r\ntype=file;size=x; x.csv\r\ntype=OS.unix=chr-1/2; device\r\ntype=file;size=1; ok.csv\r\n",
		"LIST": "total 12\r\ndrwxr-xr-x 2 a b 1 Feb 29  2024 .\r\ndrwxr-xr-x 2 a b 1 Feb 29  2024 ..\r\n-rw-r--r-- 1 a b 1 Feb 29  2024 ../up.csv\r\n-rw-r--r-- 1 a b 1 Feb 29  2024 a/b.csv\r\n" +
			"-rw-r--r-- 1 a b 1 Feb 29  2024 cr\rlf.csv\r\ngarbage\r\n-rw-r--r-- 1 a b 99999999999999999999 Feb 29  2024 x.csv\r\n\r\nprw-r--r-- 1 a b 0 Feb 29  2024 device\r\n-rw-r--r-- 1 a b 1 Feb 29  2024 ok.csv\r\n",
	} {
		s := listingOf(t, command, text)
		all, err := lists(t, newFTP(t, quick(s)))
		if !slices.Equal(slices.Collect(maps.Keys(all)), []string{"ok.csv"}) {
			t.Errorf("%s: listed %v", command, all)
		}
		says(t, joined(err), `the name "../up.csv", which leads elsewhere`, `the name "a/b.csv"`, `line break`, `is not understood: "garbage"`, "not a regular file")
		for _, log := range s.commands() {
			if strings.Contains(log, "up.csv") || strings.Contains(log, "lf.csv") {
				t.Errorf("the server was asked %q", log)
			}
		}
	}
	// What a name would command is never sent, by whatever way the name comes.
	s := newScript(t, nil)
	r := newFTP(t, quick(s))
	for _, path := range []string{"x\r\nDELE y", "x\nDELE y", "x\x00y", "../up.csv", "a/../../up.csv", "/etc/passwd", ""} {
		if err := r.Fetch(t.Context(), ingest.File{Source: "field", Path: path, Size: 1}, new(ingest.Content)); err == nil {
			t.Errorf("%q was fetched", path)
		}
	}
	if n := s.count("RETR") + s.count("DELE"); n != 0 {
		t.Errorf("the server was asked: %q", s.commands())
	}
}

// joined is an error of several, in one line.
func joined(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}

// TestFTPListMany: a folder full of entries that cannot be used is told in few
// lines.
func TestFTPListMany(t *testing.T) {
	t.Parallel()
	r := newFTP(t, quick(listingOf(t, "MLSD", strings.Repeat("garbage\r\n", 5000)+"type=file;size=1; ok.csv\r\n")))
	all, err := lists(t, r)
	if n := strings.Count(err.Error(), "\n"); len(all) != 1 || n > 20 {
		t.Errorf("listed %v, and said %d lines", all, n)
	}
	says(t, joined(err), "4990 more entries cannot be used")
}

// TestFTPListBroken: listings that are cut, that have no end, and lines that
// have none. What came whole is listed, and that it is not all is told.
func TestFTPListBroken(t *testing.T) {
	for _, c := range []struct {
		name string
		send func(s *session, data net.Conn)
		says string
		want []string
	}{
		{"cut within a line", func(s *session, data net.Conn) {
			fmt.Fprint(data, "type=file;size=1; a.csv\r\ntype=file;size=1; b.cs")
			data.Close()
			s.reply("226 done")
		}, "in the middle of a line", []string{"a.csv"}},
		{"cut, with 426", func(s *session, data net.Conn) {
			fmt.Fprint(data, "type=file;size=1; a.csv\r\n")
			data.Close()
			s.reply("426 cut")
		}, "426 cut", []string{"a.csv"}},
		{"cut with the connection", func(s *session, data net.Conn) {
			fmt.Fprint(data, "type=file;size=1; a.csv\r\n")
			data.Close()
			s.Close()
		}, "closed the connection", []string{"a.csv"}},
		{"no 226", func(_ *session, data net.Conn) {
			fmt.Fprint(data, "type=file;size=1; a.csv\r\n")
			data.Close()
		}, "sent nothing for 1s", []string{"a.csv"}},
		{"a line without end", func(_ *session, data net.Conn) {
			for line := []byte(strings.Repeat("x", 4096)); ; {
				if _, err := data.Write(line); err != nil {
					return
				}
			}
		}, "longer than", nil},
		{"without end", func(_ *session, data net.Conn) {
			for lines := []byte(strings.Repeat("type=dir; .\r\n", 1000)); ; {
				if _, err := data.Write(lines); err != nil {
					return
				}
			}
		}, "it has no end", nil},
		{"nothing comes", func(_ *session, data net.Conn) { _, _ = io.Copy(io.Discard, data) }, "sent nothing for 1s", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScript(t, func(s *script) {
				s.on = func(s *session, command, _ string) bool {
					if command == "MLSD" {
						if data, err := s.dataConn(); err == nil {
							c.send(s, data)
							data.Close()
						}
					}
					return command == "MLSD"
				}
			})
			all, err := lists(t, newFTP(t, quick(s)))
			says(t, err, c.says)
			if !slices.Equal(slices.Sorted(maps.Keys(all)), c.want) {
				t.Errorf("listed %v", all)
			}
		})
	}
}

// TestFTPNoMLSD: a server that says MLST and knows no MLSD; NLST is never used.
func TestFTPNoMLSD(t *testing.T) {
	t.Parallel()
	s := newScript(t, func(s *script) {
		s.on = func(s *session, c, _ string) bool {
			if c == "MLSD" {
				s.reply("502 not implemented")
			}
			return c == "MLSD"
		}
	})
	s.put("x.csv", random(10, 1), then)
	r := newFTP(t, quick(s))
	_, _ = lists(t, r) // finds out
	for range 3 {
		all, err := lists(t, r)
		if f := all["x.csv"]; err != nil || len(all) != 1 || f.Precision != ingest.Day {
			t.Errorf("listed %v, and %v", all, err)
		}
	}
	if n := s.count("MLSD"); n != 1 || s.count("NLST") > 0 {
		t.Errorf("MLSD was tried %d times, NLST %d times", n, s.count("NLST"))
	}
}

// TestFTPFolderGone: vsftpd lists a folder that is not there as an empty one,
// so the source goes there first.
func TestFTPFolderGone(t *testing.T) {
	t.Parallel()
	s := newScript(t, nil)
	s.put("there/x.csv", random(10, 1), then)
	o := quick(s)
	o.URL += "/not/there"
	_, err := lists(t, newFTP(t, o))
	says(t, err, "list ftp://127.0.0.1", "/not/there", "550 no such folder")
	o.URL = quick(s).URL + "/there"
	all, err := lists(t, newFTP(t, o))
	if len(all) != 1 || err != nil {
		t.Errorf("listed %v, and %v", all, err)
	}
}

// TestFTPLinks: a link to a file is a file, one to a folder is told.
func TestFTPLinks(t *testing.T) {
	t.Parallel()
	s := newScript(t, func(s *script) {
		s.features = []string{"MDTM", "SIZE"}
		s.on = func(s *session, c, _ string) bool {
			if c == "LIST" && s.cwd == "/" {
				s.send([]byte("lrwxrwxrwx 1 a b 8 Feb 29  2024 link.csv -> real.csv\r\nlrwxrwxrwx 1 a b 8 Feb 29  2024 away -> /srv\r\n"))
				return true
			}
			return false
		}
	})
	s.put("link.csv", random(100, 1), then)
	all, err := lists(t, newFTP(t, quick(s)))
	if f := all["link.csv"]; len(all) != 1 || f.Size != 100 || f.Precision != ingest.Second || f.Modified != ingest.Micros(then) {
		t.Errorf("listed %v", all)
	}
	says(t, err, "away", "leads to nothing, or to a folder")
}

// TestFTPDepth: a link that leads back is a folder to some servers.
func TestFTPDepth(t *testing.T) {
	t.Parallel()
	s := newScript(t, func(s *script) {
		s.on = func(s *session, c, _ string) bool {
			switch c {
			case "CWD":
				s.reply("250 there")
			case "MLSD":
				s.send([]byte("type=dir; again\r\n"))
			default:
				return false
			}
			return true
		}
	})
	_, err := lists(t, newFTP(t, quick(s)))
	says(t, err, "folders lie in one another")
}

// TestFTPMatch: patterns are held against paths below the folder of the URL.
func TestFTPMatch(t *testing.T) {
	t.Parallel()
	s := newScript(t, nil)
	for _, p := range []string{"up/a/x.csv", "up/a/x.txt", "up/b/x.csv", "up/b/tmp/x.csv", "up/.hidden/x.csv", "up/x.csv.tmp", "other/x.csv"} {
		s.put(p, random(1, 1), then)
	}
	o := quick(s)
	o.URL += "/up"
	o.Match, o.Ignore = []string{"**/*.csv"}, []string{"**/.*", "b/tmp"}
	all, err := lists(t, newFTP(t, o))
	if got := slices.Sorted(maps.Keys(all)); err != nil || !slices.Equal(got, []string{"a/x.csv", "b/x.csv"}) {
		t.Errorf("listed %v, and %v", got, err)
	}
	if n := s.count("CWD /up/b/tmp"); n != 0 {
		t.Error("an ignored folder was entered")
	}
}

// TestFTPListMemory: a folder of 200,000 files is listed in little memory.
func TestFTPListMemory(t *testing.T) {
	const files, most = 200_000, 64 << 20
	var text strings.Builder
	for i := range files {
		fmt.Fprintf(&text, "type=file;size=%d;modify=20260131235957;UNIX.mode=0644; logger-%06d_20260131.csv\r\n", i, i)
	}
	r := newFTP(t, quick(listingOf(t, "MLSD", text.String())))
	held := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before, n := held(), 0
	for _, err := range r.Files(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 1 {
			if now := held(); now-before > most {
				t.Errorf("the listing holds %d bytes, more than %d", now-before, most)
			}
		}
	}
	if n != files {
		t.Errorf("listed %d files, want %d", n, files)
	}
}

// TestListingTruncatedLIST: as pure-ftpd ends a listing that it cut, in two lines.
func TestListingTruncatedLIST(t *testing.T) {
	t.Parallel()
	s := newScript(t, func(s *script) {
		s.features = []string{"MDTM", "SIZE"}
		cut := true
		s.on = func(s *session, command, _ string) bool {
			if command != "226" || !cut {
				return false
			}
			cut = false
			s.reply("226-Options: -l \r\n226 Output truncated to 1 matches")
			return true
		}
	})
	s.put("x.csv", []byte("x"), then)
	r := newFTP(t, quick(s))
	all, err := lists(t, r)
	if says(t, err, "did not list all", "Output truncated to 1 matches"); len(all) != 1 {
		t.Errorf("listed %v", all)
	}
	if all, err := lists(t, r); len(all) != 1 || err != nil {
		t.Errorf("listed %v, %v", all, err)
	}
	if n := s.count("PASS"); n != 1 {
		t.Errorf("there were %d connections", n)
	}
}

// TestFTPListGivenUp: a listing that is given up for what it brings is not asked
// for again on another connection, where it would bring the same.
func TestFTPListGivenUp(t *testing.T) {
	t.Parallel()
	s := newScript(t, func(s *script) {
		s.on = func(s *session, command, _ string) bool {
			if command != "MLSD" || s.count("MLSD") == 1 {
				return false
			}
			s.send([]byte(strings.Repeat("x", 1<<20)))
			return true
		}
	})
	s.put("x.csv", []byte("x"), then)
	r := newFTP(t, quick(s))
	if all, err := lists(t, r); len(all) != 1 || err != nil {
		t.Fatalf("listed %v, %v", all, err)
	}
	_, err := lists(t, r)
	if says(t, err, "longer than"); s.count("MLSD") != 2 {
		t.Errorf("the listing was asked for %d times", s.count("MLSD")-1)
	}
}

// TestListingDOS: on a server that makes no difference between upper and lower
// case the source's own folder is not listed, however it is written.
func TestListingDOS(t *testing.T) {
	t.Parallel()
	s := newScript(t, func(s *script) {
		s.features = []string{"MDTM", "SIZE"}
		s.on = func(s *session, command, argument string) bool {
			switch {
			case command == "LIST" && s.cwd == "/":
				s.send([]byte("01-31-26  11:59PM       <DIR>          DONE\r\n01-31-26  11:59PM                    1 x.csv\r\n"))
			case command == "LIST":
				s.send([]byte("01-31-26  11:59PM                    1 y.csv\r\n"))
			case command == "CWD" && argument == "/DONE":
				s.cwd = argument
				s.reply("250 there")
			default:
				return false
			}
			return true
		}
	})
	for to, want := range map[string]int{"done": 1, "/Done": 1, "other": 2} {
		o := quick(s)
		o.After = source.After{Do: source.Move, To: to}
		if all, err := lists(t, newFTP(t, o)); err != nil || len(all) != want {
			t.Errorf("%s: listed %v, %v", to, all, err)
		}
	}
}

package source_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/ingest"
)

// fetchAll lists a script's files and fetches each by one connection.
func fetchAll(t *testing.T, s *script, want map[string][]byte) {
	t.Helper()
	for path, data := range want {
		s.put(path, data, then)
	}
	o := quick(s)
	o.Connections = 1
	r := newFTP(t, o)
	all, err := lists(t, r)
	if err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, func(ctx context.Context) {
		for path, data := range want {
			var c ingest.Content
			if err := r.Fetch(ctx, all[path], &c); err != nil {
				t.Errorf("%s: %v", path, err)
			} else if !bytes.Equal(entire(t, &c), data) {
				t.Errorf("%s is not what was put", path)
			}
		}
	})
}

func fewFiles() map[string][]byte {
	files := make(map[string][]byte)
	for i := range 8 {
		files[fmt.Sprintf("%d.csv", i)] = random(1000*i+1, byte(i))
	}
	return files
}

// TestFTPAhead: the port of the next transfer is asked for while this one ends,
// once for each file.
func TestFTPAhead(t *testing.T) {
	t.Parallel()
	s := newScript(t, nil)
	files := fewFiles()
	fetchAll(t, s, files)
	log := s.commands()
	first := slices.IndexFunc(log, func(c string) bool { return strings.HasPrefix(c, "RETR ") })
	if n := s.count("EPSV"); n < len(files)+1 || n > len(files)+2 { // of the listing, and that which is asked for last
		t.Errorf("%d times EPSV: %q", n, log)
	}
	for i, c := range log[first : first+2*len(files)-1] {
		if want := []string{"RETR ", "EPSV"}[i%2]; !strings.HasPrefix(c, want) {
			t.Errorf("command %d is %q, want %s", i, c, want)
		}
	}
	if n := s.peak; n != 1 {
		t.Errorf("%d connections", n)
	}
}

// TestFTPAheadRefused: servers that do not take to being asked ahead, each in
// its own way, are asked when it is time.
func TestFTPAheadRefused(t *testing.T) {
	t.Parallel()
	ahead := func(s *session) bool { // what was logged last before this EPSV
		log := s.commands()
		return len(log) > 1 && strings.HasPrefix(log[len(log)-2], "RETR ")
	}
	for name, on := range map[string]func(s *session, c string) bool{
		"it is busy": func(s *session, c string) bool {
			refused := c == "EPSV" && ahead(s)
			if refused {
				s.reply("450 data transfer in progress")
			}
			return refused
		},
		"it ends the connection after each transfer": func(s *session, c string) bool {
			if c == "226" {
				s.reply("226 all sent")
				s.Close()
			}
			return c == "226"
		},
		"it takes leave": func(s *session, c string) bool {
			leaves := c == "EPSV" && ahead(s) && s.number == 1
			if leaves {
				s.reply("421 one file for each")
				s.Close()
			}
			return leaves
		},
		"it has forgotten the port": func(s *session, c string) bool {
			forgotten := c == "RETR" && s.number == 1 && s.count("RETR") > 1
			if forgotten {
				s.reply("425 use EPSV first")
			}
			return forgotten
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScript(t, func(s *script) { s.on = func(s *session, c, _ string) bool { return on(s, c) } })
			files := fewFiles()
			fetchAll(t, s, files)
			// One for the listing, one for each file, and that which was in vain.
			if n := s.count("EPSV"); n > len(files)+2 {
				t.Errorf("%d times EPSV: %q", n, s.commands())
			}
			if log := s.commands(); log[len(log)-1] == "EPSV" {
				t.Error("it is still asked ahead")
			}
		})
	}
}

// TestFTPAheadOvertakes: the reply to what is asked ahead may come before the end
// of the transfer is said.
func TestFTPAheadOvertakes(t *testing.T) {
	t.Parallel()
	s := newScript(t, func(s *script) {
		s.on = func(s *session, c, _ string) bool {
			if c != "226" || s.count("RETR") == 0 {
				return false
			}
			line, err := s.in.ReadString('\n')
			if err != nil || line != "EPSV\r\n" {
				return false
			}
			s.obey("EPSV", "")
			return false
		}
	})
	fetchAll(t, s, fewFiles())
}

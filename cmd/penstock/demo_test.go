package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jlaffaye/ftp"

	"penstock/ingest"
	"penstock/store"
)

// What the loggers send by FTP, slowly, broken off and repeated, is in the table
// once and whole; the folder's files are loaded, asked about and refused; run
// again, all that was there is known.
func TestDemo(t *testing.T) {
	dir, own := t.TempDir(), filepath.Join(t.TempDir(), "own")
	// What is set for a store of one's own does not lead the demo into it.
	environ := []string{"PENSTOCK_STORE=local:" + own, "PENSTOCK_SCHEMA=own", "PENSTOCK_ZONE=Asia/Tokyo", "PENSTOCK_OUTPUT=json"}
	sent := regexp.MustCompile(`sent (\d+) files? with ([\d,]+) readings.*; ([\d,]+) readings of theirs are in the table\.\n`)
	for _, run := range []struct {
		length string
		want   []string
	}{
		{"8s", []string{
			"1 duplicate, 3 held, 3 quarantined\n",
			" broke off, and came again)",
			"readings  858 stored, 6 missing\n",
			`not a number: "###"`,
		}},
		{"2s", []string{"files     "}},
	} {
		out, _ := penstockWith(t, environ, exitWell, "demo", "--dir", dir, "--for", run.length)
		if _, err := os.Stat(own); err == nil {
			t.Fatal("the demo made a store of PENSTOCK_STORE")
		}
		for _, want := range run.want {
			if !strings.Contains(out, want) {
				t.Errorf("the demo does not show %q:\n%s", want, out)
			}
		}
		if files, loaded := sent.FindStringSubmatch(out), regexp.MustCompile(`seen, (\d+) loaded`).FindStringSubmatch(out); run.length == "8s" {
			if n, err := strconv.Atoi(files[1]); err != nil || loaded == nil || loaded[1] != strconv.Itoa(n-1+12) {
				t.Errorf("%s files were sent, one of them cut short, and 12 of the folder are right; loaded: %q", files[1], loaded)
			}
		}
		counts := sent.FindStringSubmatch(out)
		if counts == nil || counts[2] == "0" || counts[2] != counts[3] {
			t.Errorf("what was sent is not what is in the table: %q\n%s", counts, out)
		}
		if !strings.Contains(out, " Reservoir_Met/Met15 | RH          | %     |      282 |") {
			t.Errorf("the query's result is not as expected:\n%s", out)
		}
		rejects := out[strings.Index(out, "Which lines were not readings?"):strings.Index(out, "What is there now")]
		if strings.Contains(rejects, "PS-1") {
			t.Errorf("a file was loaded before it was whole:\n%s", rejects)
		}
		left, err := filepath.Glob(filepath.Join(dir, "ftp", "*.csv"))
		if err != nil || len(left) > 0 {
			t.Errorf("files were not moved: %v %v", left, err)
		}
	}
}

func TestDemoServer(t *testing.T) {
	dir := t.TempDir()
	s, err := startDemoServer(filepath.Join(dir, "ftp"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := dialDemo(s, "wrong"); err == nil {
		t.Error("a wrong password was taken")
	}
	c, err := dialDemo(s, s.password)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	defer func() { check("QUIT", c.Quit()) }()
	check("STOR", c.Stor("a.csv", strings.NewReader("a long text")))
	check("STOR again", c.Stor("a.csv", strings.NewReader("a text")))
	check("STOR from an offset", c.StorFrom("a.csv", strings.NewReader("tail"), 2))
	check("MKD", c.MakeDir("done/2026"))
	check("RNFR", c.Rename("a.csv", "done/2026/a.csv"))
	if err := c.Stor("half.csv", &breaking{strings.NewReader("half of ")}); !errors.Is(err, errBrokenOff) {
		t.Errorf("an upload that broke off: %v", err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 7200))
	check("setting the time", os.Chtimes(filepath.Join(dir, "ftp", "half.csv"), at, at))
	if entries, err := c.List(""); err != nil || len(entries) != 2 || !entries[1].Time.Equal(at) || entries[1].Size != 8 {
		t.Errorf("the listing: %+v %v", entries, err)
	}
	r, err := c.RetrFrom("done/2026/a.csv", 1)
	check("RETR", err)
	text, err := io.ReadAll(r)
	check("RETR", errors.Join(err, r.Close()))
	if string(text) != " tail" {
		t.Errorf("the file is %q", text)
	}
	if err := os.WriteFile(filepath.Join(dir, "outside"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	check("a link", os.Symlink(filepath.Join(dir, "outside"), filepath.Join(dir, "ftp", "link")))
	for _, path := range []string{"../outside", "/../../outside", "link"} {
		if r, err := c.Retr(path); err == nil {
			t.Errorf("%s was handed out", path)
			_ = r.Close()
		}
	}
	check("DELE", c.Delete("half.csv"))
}

func dialDemo(s *demoServer, password string) (*ftp.ServerConn, error) {
	c, err := ftp.Dial(s.address, ftp.DialWithTimeout(5*time.Second))
	if err != nil {
		return nil, err
	}
	if err := c.Login(s.user, password); err != nil {
		return nil, errors.Join(err, c.Quit())
	}
	return c, nil
}

// On a terminal the view is drawn in place, and what is logged stands above it.
func TestDemoView(t *testing.T) {
	var out bytes.Buffer
	a := newApp(nil, nil, nil, &out, &out)
	a.outTerminal = true
	v := &demoView{a: a, source: "field", began: time.Now(), loggers: &demoLoggers{}, tally: newTally(), idle: make(map[string]bool)}
	a.err.over(viewWriter{v})
	at := time.Now()
	v.observe(ingest.Event{Source: "field", At: at, Outcomes: []ingest.Outcome{
		{State: ingest.Loaded, File: ingest.File{Modified: ingest.Micros(at.Add(-2 * time.Second))}, Receipt: ingest.Receipt{Cells: ingest.Cells{Total: 9, Stored: 9}}},
		{State: ingest.Quarantined}, {State: ingest.Known}}})
	v.observe(ingest.Event{Source: "field", At: at, Cycle: &ingest.Cycle{Over: true}})
	if !v.isIdle("field") || v.isIdle("site") {
		t.Errorf("idle: %v", v.idle)
	}
	v.latest = []store.LatestReading{{Logger: "PS-11", Channel: "flow", Unit: "l/s", At: at, Value: 4.25}, {Logger: "PS-11", Channel: "level", Unit: "m", At: at, Value: 2}}
	v.show()
	first := out.String()
	for _, want := range []string{"1 file loaded, 1 quarantined\n", "9 stored\n", "2.0s after a file's arrival", "PS-11          flow             4.25 l/s", "                 level            2.00 m"} {
		if !strings.Contains(first, want) {
			t.Errorf("the view has no %q:\n%s", want, first)
		}
	}
	_, below, _ := strings.Cut(first, "  sent")
	out.Reset()
	a.note("something happened")
	v.show()
	up := "\x1b[" + strings.TrimPrefix(strings.SplitN(out.String(), "A", 2)[0], "\x1b[") + "A\r\x1b[J"
	if got := out.String(); !strings.HasPrefix(got, up+"something happened\n") || !strings.HasSuffix(got, "  sent"+below) {
		t.Errorf("what is logged does not stand above the view: %q", got)
	}
	if lines := strings.Count(first, "\n"); up != "\x1b["+count(int64(lines))+"A\r\x1b[J" {
		t.Errorf("the view of %d lines is cleared by %q", lines, up)
	}

	a.outTerminal = false
	out.Reset()
	v.show()
	if line := out.String(); strings.Count(line, "\n") != 1 || !strings.Contains(line, "1 file loaded, 1 quarantined, 9 readings stored; -, -; 2.0s from arrival to table; latest: PS-11 ") {
		t.Errorf("the line is %q", line)
	}
}

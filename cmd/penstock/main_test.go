package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"penstock/store/pglocal/pgtest"
)

func TestMain(m *testing.M) {
	testscript.Main(suite{m}, map[string]func(){"penstock": main})
}

// A suite is the package's tests with what they share: PostgreSQL, and the
// program where it is run from a folder of its own.
type suite struct{ m *testing.M }

func (s suite) Run() int {
	defer built.remove()
	return pgtest.Run(s.m)
}

// TestScripts runs the program as a user does, each script on a database of
// its own. UPDATE=1 writes what came out into the scripts.
func TestScripts(t *testing.T) {
	// Of these most is what is printed: what they load is loaded by others as well,
	// and under the race detector each takes half a minute.
	ofWords := []string{"advice", "answers", "files", "guess", "guessed", "places", "shapes", "usage"}
	scripts, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, script := range scripts {
		if name := strings.TrimSuffix(filepath.Base(script), ".txtar"); underRace && slices.Contains(ofWords, name) {
			continue
		}
		url := pgtest.Database(t)
		testscript.Run(t, testscript.Params{
			Files: []string{script},
			Setup: func(e *testscript.Env) error {
				e.Setenv("PENSTOCK_STORE", url)
				e.Setenv("DATABASE", url)
				e.Setenv("TZ", "America/New_York") // never to be taken
				e.Setenv("TODAY", time.Now().UTC().Format(time.DateOnly))
				return nil
			},
			Cmds: map[string]func(*testscript.TestScript, bool, []string){
				"exits": exits, "steady": steady, "age": age, "oddname": oddName, "gzip": gzipFile,
			},
			UpdateScripts: os.Getenv("UPDATE") != "",
		})
	}
}

// exits CODE PROGRAM ARGS... runs a program that must end with that code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, not %s", code, args[0])
	}
}

var (
	now      = regexp.MustCompile(`\b20\d\d-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?`)
	timings  = regexp.MustCompile(`(?m)^(took|workers) {2,}.*$`)
	room     = regexp.MustCompile(`[0-9.]+ .B are free`)
	database = regexp.MustCompile(`\bdatabase test_\d+ `)
	seconds  = regexp.MustCompile(`"(seconds|files_per_second|readings_per_second|fetch|decode|commit)": [0-9.e+-]+`)
)

// steady IN OUT copies a file, or stdout or stderr, without what differs from
// run to run.
func steady(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: steady IN OUT")
	}
	text := strings.ReplaceAll(ts.ReadFile(args[0]), ts.Getenv("WORK"), "WORK")
	today := ts.Getenv("TODAY")
	text = now.ReplaceAllStringFunc(text, func(s string) string {
		if strings.HasPrefix(s, today) || strings.HasPrefix(s, time.Now().UTC().Format(time.DateOnly)) {
			return "NOW"
		}
		return s
	})
	text = database.ReplaceAllString(text, "database SCRIPT ")
	text = room.ReplaceAllString(text, "ROOM are free")
	text = timings.ReplaceAllString(text, "$1 ...")
	text = seconds.ReplaceAllString(text, `"$1": 0`)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o666))
}

// age FOLDER gives all files below a folder one modification time, long ago.
func age(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: age FOLDER")
	}
	at := time.Date(2024, 6, 1, 12, 0, 0, 0, time.UTC)
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Chtimes(path, at, at))
	}))
}

// oddname FILE NAME copies a file to a name that a script cannot hold; \xNN in
// it stands for a byte.
func oddName(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: oddname FILE NAME")
	}
	name := regexp.MustCompile(`\\x..`).ReplaceAllStringFunc(args[1], func(s string) string {
		var c byte
		_, err := fmt.Sscanf(s, `\x%02X`, &c)
		ts.Check(err)
		return string([]byte{c})
	})
	ts.Check(os.WriteFile(ts.MkAbs(name), []byte(ts.ReadFile(args[0])), 0o666))
}

// gzip FILE packs a file in place, cut to half with the word cut after it.
func gzipFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: gzip FILE [cut]")
	}
	packed, err := gzipped([]byte(ts.ReadFile(args[0])))
	ts.Check(err)
	if len(args) > 1 {
		packed = packed[:len(packed)/2]
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".gz"), packed, 0o666))
	ts.Check(os.Remove(ts.MkAbs(args[0])))
}

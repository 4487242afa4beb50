package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ingest"
	"penstock/store/pglocal"
)

// penstock runs the program within the test.
func penstock(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	return penstockWith(t, nil, code, args...)
}

// penstockWith runs it with variables in its environment.
func penstockWith(t *testing.T, environ []string, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, err strings.Builder
	if got := run(args, append(environ, "PATH="+os.Getenv("PATH")), strings.NewReader(""), &out, &err); got != code {
		t.Errorf("penstock %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out.String(), err.String())
	}
	return out.String(), err.String()
}

// One process holds a private PostgreSQL; others may look into it, and none
// may load into it.
func TestPrivateStoreInUse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pg")
	file := filepath.Join(t.TempDir(), "a.csv")
	if err := os.WriteFile(file, []byte("logger,channel,timestamp,value\nL1,flow,2024-05-01T00:00:00Z,1.5\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	at := "local:" + dir
	if _, err := penstock(t, exitFailed, "--store", at, "status"); !strings.Contains(err, "there is no store in "+dir) {
		t.Error(err)
	}
	penstock(t, exitWell, "--store", at, "replay", file)

	holder, err := pglocal.Start(t.Context(), pglocal.Options{Dir: dir, Command: "penstock run"})
	if err != nil {
		t.Fatal(err)
	}
	stop := func() {
		if err := holder.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	defer stop()
	for _, args := range [][]string{{"replay", file}, {"migrate"}, {"files", "undo", "a.csv"}, {"files", "retry"}} {
		if _, err := penstock(t, exitInUse, append([]string{"--store", at}, args...)...); !strings.Contains(err, "is in use by penstock run (pid ") {
			t.Errorf("%s: %s", args, err)
		}
	}
	for _, args := range [][]string{{"status"}, {"files", "ls"}, {"files", "verify"}, {"rejects"}, {"actions"}, {"why", "L1", "2024-05-01"},
		{"replay", "--dry-run", file}} {
		penstock(t, exitWell, append([]string{"--store", at}, args...)...)
	}
}

// closedPipe is the stdout of a program whose reader has gone. It counts what is
// tried.
type closedPipe struct{ tried int }

func (p *closedPipe) Write([]byte) (int, error) {
	p.tried++
	return 0, &os.PathError{Op: "write", Path: "stdout", Err: syscall.EPIPE}
}

// A reader that has seen enough of a dry run ends it: the store does not wait
// for the pipe to come back as it would for its connection.
func TestDryRunIntoAClosedPipe(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.csv")
	if err := os.WriteFile(file, []byte("logger,channel,timestamp,value\nL1,flow,2024-05-01T00:00:00Z,1.5\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	store := "local:" + filepath.Join(dir, "pg")
	penstock(t, exitWell, "--store", store, "replay", file)
	var out closedPipe
	args := []string{"--store", store, "files", "undo", "a.csv", "--dry-run", "-o", "json"}
	if code := run(args, nil, strings.NewReader(""), &out, io.Discard); code != exitWell {
		t.Errorf("exit code %d", code)
	}
	if out.tried != 1 {
		t.Errorf("it was tried %d times", out.tried)
	}
}

// A dry run shows the first of very many readings that would change.
func TestDryRunOfManyReadings(t *testing.T) {
	dir := t.TempDir()
	text := "logger,channel,timestamp,value\n"
	for n := range changesShown + 20 {
		text += fmt.Sprintf("L1,flow,2024-05-01T%02d:%02d:00Z,1.5\n", n/60, n%60)
	}
	if err := os.WriteFile(filepath.Join(dir, "a.csv"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	store := "local:" + filepath.Join(dir, "pg")
	penstock(t, exitWell, "--store", store, "replay", filepath.Join(dir, "a.csv"))
	out, said := penstock(t, exitWell, "--store", store, "files", "undo", "a.csv", "--dry-run")
	if n := strings.Count(out, "flow"); n != changesShown || !strings.Contains(said, "20 readings more would change: -o csv and -o json list all.") {
		t.Errorf("%d readings are shown, and said:\n%s", n, said)
	}
	out, _ = penstock(t, exitWell, "--store", store, "files", "undo", "a.csv", "--dry-run", "-o", "csv")
	if n := strings.Count(out, "flow"); n != changesShown+20 {
		t.Errorf("%d readings are listed", n)
	}
}

// The readings of a large file count as its parts are committed, and once when it is
// loaded.
func TestProgressOfALargeFile(t *testing.T) {
	p := &progress{began: time.Now()}
	large := ingest.File{Path: "large.csv"}
	for _, step := range []struct {
		event ingest.Event
		want  string
	}{
		{ingest.Event{Part: &ingest.CommittedPart{File: large, Readings: 400}}, "0 files, 0/s, 400 readings"},
		{ingest.Event{Outcomes: []ingest.Outcome{{File: ingest.File{Path: "small.csv"}, State: ingest.Loaded, Receipt: ingest.Receipt{Cells: ingest.Cells{Stored: 3}}}}}, ", 403 readings"},
		{ingest.Event{Part: &ingest.CommittedPart{File: large, Readings: 600}}, ", 1,003 readings"},
		{ingest.Event{Outcomes: []ingest.Outcome{{File: large, State: ingest.Loaded, Receipt: ingest.Receipt{Cells: ingest.Cells{Repeated: 10, Stored: 990}}}}}, ", 993 readings"},
	} {
		if p.observe(step.event); !strings.Contains(p.line(), step.want) {
			t.Errorf("no %q in %q", step.want, p.line())
		}
	}
}

// The lines of progress that a run of some seconds writes where there is no
// terminal, and the bar where there is one.
func TestProgress(t *testing.T) {
	for name, terminal := range map[string]bool{"lines": false, "bar": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var out strings.Builder
				a := newApp(nil, nil, nil, &out, &out)
				a.errTerminal = terminal
				p := a.startProgress(time.Now(), nil)
				p.listed.Store(2000)
				p.observe(ingest.Event{Outcomes: []ingest.Outcome{
					{State: ingest.Loaded, Receipt: ingest.Receipt{Cells: ingest.Cells{Total: 1500, Stored: 1500}}},
					{State: ingest.Quarantined},
				}})
				<-time.After(4 * time.Second)
				p.listedAll.Store(true)
				<-time.After(2 * time.Second)
				a.note("a note")
				p.end()
				a.note("after it")
				for _, want := range []string{"2 of 2,000 files, ", "/s, 1,500 readings, 1 with trouble, 5s", "a note\n", "after it\n"} {
					if !strings.Contains(out.String(), want) {
						t.Errorf("no %q in %q", want, out.String())
					}
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		a := newApp(nil, nil, nil, &out, &out)
		a.errTerminal = true
		p := a.startProgress(time.Now(), nil)
		<-time.After(showAfter / 2)
		p.end()
		if out.Len() > 0 {
			t.Errorf("work of half a second shows %q", out.String())
		}
	})
}

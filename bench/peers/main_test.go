package main

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"penstock/bench"
	"penstock/bench/trial"
	"penstock/store/pglocal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestPeers lets all that are installed load a few files: each is in the table
// with its seconds, or said to be missing with what to do about it.
func TestPeers(t *testing.T) {
	penstock := filepath.Join(t.TempDir(), "penstock")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", penstock, "penstock/cmd/penstock").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-penstock", penstock, "-files", "12", "-runs", "1", "-workers", "2", "-chunk", "5"}, &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	const seconds = `\d+\.\d\d \| \d+\.\d\d to \d+\.\d\d \| \d+\.\d x \|`
	for _, want := range []string{
		`12 files of 2 readings, PostgreSQL \d+`,
		`\| penstock replay \| \S+ \| 2 workers, chunk 5; .* \| ` + seconds,
		`\| psql \\copy \| \d+\.\d+ \| one session, .* \| ` + seconds,
		`\| Python multiprocessing pool \| 3\.\S+, psycopg2 \S+ \| .* \| ` + seconds + `|missing: Python multiprocessing pool: install python3`,
		`\| pgloader \| \S+ \| .* \| ` + seconds + `|missing: pgloader: install pgloader`,
		`\| Telegraf directory_monitor \| \S+ \| .* \| ` + seconds + `|missing: Telegraf directory_monitor: name its program`,
	} {
		if !regexp.MustCompile(want).Match(out.Bytes()) {
			t.Errorf("%s\nis not in\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "failed") {
		t.Errorf("one failed:\n%s", &out)
	}
}

// TestPeerThatLosesReadings holds that a peer that did not load all is not
// timed, and is not run again.
func TestPeerThatLosesReadings(t *testing.T) {
	var out bytes.Buffer
	s := &site{corpus: bench.Corpus{Files: 3, Readings: 2}, store: pgtest.Database(t), runs: 4, out: &out}
	runs := 0
	lossy := &peer{name: "lossy", load: func(ctx context.Context, s *site) (float64, error) {
		runs++
		return 1, trial.Exec(ctx, s.store, "insert into peer values ('L1', 'flow', now(), 1)")
	}}
	if err := s.alternate(t.Context(), []*peer{lossy}); err != nil {
		t.Fatal(err)
	}
	if err := s.print(t.Context(), []*peer{lossy}); err != nil {
		t.Fatal(err)
	}
	if want := "| lossy |  |  | failed: it loaded 1 of 6 readings | | |\n"; runs != 1 || !strings.HasSuffix(out.String(), want) {
		t.Errorf("after %d runs, it prints\n%s", runs, &out)
	}
}

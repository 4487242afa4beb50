package main

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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

// TestRounds holds that a first run of each does not count, and that no side pays
// for what it prepared: the checkpoint comes after it.
func TestRounds(t *testing.T) {
	s := &site{corpus: bench.Corpus{Files: 1, Readings: 2}, store: pgtest.Database(t), runs: 3}
	var prepared string
	runs := 0
	steady := &peer{prepare: func(ctx context.Context, s *site) error {
		return trial.One(ctx, s.store, "select pg_logical_emit_message(false, 'bench', 'prepared')::text", &prepared)
	}, load: func(ctx context.Context, s *site) (float64, error) {
		var since bool
		if err := trial.One(ctx, s.store, "select redo_lsn >= '"+prepared+"' from pg_control_checkpoint()", &since); err != nil || !since {
			t.Errorf("no checkpoint came after the peer had prepared (%v)", err)
		}
		runs++
		return float64(runs), trial.Exec(ctx, s.store, "insert into peer values ('L1', 'flow', now(), 1), ('L1', 'depth', now(), 1)")
	}}
	if err := s.alternate(t.Context(), []*peer{steady}); err != nil || steady.fault != nil {
		t.Fatal(err, steady.fault)
	}
	if !slices.Equal(steady.took, []float64{2, 3, 4}) {
		t.Errorf("of the runs, these count: %v", steady.took)
	}
}

package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"penstock/store/pglocal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// TestComparisons makes every comparison on a small scale: what they compare
// has to be the same work, which they check themselves.
func TestComparisons(t *testing.T) {
	penstock := filepath.Join(t.TempDir(), "penstock")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", penstock, "penstock/cmd/penstock").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-penstock", penstock, "-files", "40", "-readings", "300", "-runs", "2", "-workers", "2", "-chunk", "7", "-parallel-copy", "none"}, &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	ratio := ` +\d+\.\d{3} s \(\d+\.\d{3} to \d+\.\d{3}\) +\d+\.\d\d x \(\d+\.\d\d to \d+\.\d\d\)\n`
	least := ` +\d+\.\d{3} s \(\d+\.\d{3} to \d+\.\d{3}\)\n`
	// Processor time is told where the system does; so little may be none.
	busy := `(; processor .*)?\n`
	upsert := `  staged upsert of all, rows ready-made` + strings.TrimSuffix(ratio, `\n`) + busy + `  penstock replay, from start to end` + strings.TrimSuffix(least, `\n`) + busy
	for _, want := range []string{
		`run again on an unchanged folder of 40 files .*\n  penstock replay, from start to end` + ratio + `  walk, lstat, one select of the ledger` + least,
		`decode stage of 40 files .*\n.*` + ratio + `  its fetch and decode stages` + ratio + `  open, read, close: bench/floor` + least,
		`whole replay of 40 files .*\n  penstock replay, from start to end` + ratio + `  claim, binary COPY, commit: bench/floor` + least,
		`what measuring adds, with 40 files .*\n  penstock bench, of one cell` + ratio + `  penstock replay, what it says itself` + least,
		`one file of 300 readings .*\n.*` + ratio + `.*` + ratio + `  penstock replay, from start to end` + least,
		`300 readings, the newest half of each series new.*\n` + upsert,
		`300 readings: all are new.*\n` + upsert,
		`300 readings: half of them are there, with equal values.*\n` + upsert,
		`300 readings: half of them are there, with other values.*\n` + upsert,
		`300 readings: all are there, with equal values.*\n` + upsert,
		`300 readings: all are there, with other values.*\n` + upsert,
		`what conflicts cost a replay of 300 readings.*\n(  (all|half of them) .* x .*\n){4}  all are new` + strings.TrimSuffix(least, `\n`) + busy,
		`timescaledb-parallel-copy: skipped: it is not at hand`,
		`one file of 300 readings, beside ready-made rows .*\n  a binary COPY of its rows for each worker +\d+\.\d{3} s .* x .*\n  penstock replay, from start to end +\d+\.\d{3} s`,
		`append mode on TimescaleDB: skipped: -timescale names no server`,
		`the ledger after 40 files .*\n  +\d+ bytes a row, with its receipt`,
	} {
		if !regexp.MustCompile(want).Match(out.Bytes()) {
			t.Errorf("%s\nis not in\n%s", want, &out)
		}
	}
}

func TestBadArguments(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-runs 0", "-runs: at least one"},
		{"-only (", "-only: error parsing regexp"},
		{"-penstock nowhere/penstock", "no program to measure"},
	} {
		err := run(t.Context(), strings.Fields(c.args), &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.args, err, c.want)
		}
	}
}

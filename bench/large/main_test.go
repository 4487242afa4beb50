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

// TestMeasurements makes the measurements that end by themselves on a small scale,
// with a file that is loaded in parts all the same.
func TestMeasurements(t *testing.T) {
	penstock := filepath.Join(t.TempDir(), "penstock")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", penstock, "penstock/cmd/penstock").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv("PENSTOCK_PART", "100kB")
	var out bytes.Buffer
	args := []string{"-penstock", penstock, "-megabytes", "1", "-loggers", "10", "-files", "50", "-dir", t.TempDir(), "-only", "file|folder"}
	if err := run(t.Context(), args, &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	figures := `: [1-9]\d+ MB at most, of which \d+ MB its own \(aim: 256 MB\), in \d+\.\d s, \d+ readings/s\n`
	for _, want := range []string{`replay of one file of 24691 readings` + figures, `replay of 50 files of 2 readings` + figures} {
		if !regexp.MustCompile(want).Match(out.Bytes()) {
			t.Errorf("%s\nis not in\n%s", want, &out)
		}
	}
}

func TestBadArguments(t *testing.T) {
	for args, want := range map[string]string{
		"-megabytes 0":           "-megabytes, -files and -loggers: at least one",
		"-only (":                "-only: error parsing regexp",
		"-penstock nowhere/none": "no program to measure",
	} {
		if err := run(t.Context(), strings.Fields(args), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", args, err, want)
		}
	}
}

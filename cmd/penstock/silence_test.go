package main

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"penstock/store"
)

// A logger that falls silent is told once, and once more when it is back; of many
// at once, some are named.
func TestSilenceIsToldOnce(t *testing.T) {
	var out strings.Builder
	w := &silenceWatch{log: slog.New(slog.NewTextHandler(&out, nil)), silent: make(map[string]bool)}
	look := func(want []string, silent ...string) {
		t.Helper()
		out.Reset()
		var now []store.SilentLogger
		for _, logger := range silent {
			now = append(now, store.SilentLogger{Logger: logger, Every: 15 * time.Minute, For: time.Hour})
		}
		w.look(now)
		if n := strings.Count(out.String(), "\n"); n != len(want) {
			t.Errorf("%d lines, want %d:\n%s", n, len(want), out.String())
		}
		for _, w := range want {
			if !strings.Contains(out.String(), w) {
				t.Errorf("no %q in:\n%s", w, out.String())
			}
		}
	}
	look(nil)
	look([]string{`level=WARN msg="a logger is silent" logger=L1`}, "L1")
	look(nil, "L1")
	look([]string{`logger=L2`}, "L1", "L2")
	look([]string{`level=INFO msg="a logger is heard of again" logger=L1`}, "L2")
	look([]string{`logger=L1`}, "L1", "L2")
	var many []string
	for n := range 300 {
		many = append(many, fmt.Sprint("M", n))
	}
	look([]string{"again", "again", "logger=M0", "", "", "", "", "", "", "logger=M7", `msg="more loggers are silent" loggers=292`}, many...)
	look([]string{"again", "", "", "", "", "", "", "", `msg="more loggers are heard of again" loggers=292`})
}

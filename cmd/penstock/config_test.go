package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The README has every key that the config knows, in a table of its own.
func TestKeysAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Configuration\n")
	section, _, _ = strings.Cut(section, "\n## ")
	file := filepath.Join(t.TempDir(), "penstock.yaml")
	unknown := `
nosuch: 1
store: {nosuch: 1, hypertable: {nosuch: 1}}
pipeline: {nosuch: 1}
limits: {nosuch: 1}
monitor: {nosuch: 1}
archive: {nosuch: 1}
spool: {nosuch: 1}
sources:
  - nosuch: 1
    window: {nosuch: 1}
    max_rejected: {nosuch: 1}
    after: {nosuch: 1}
    tls: {nosuch: 1}
`
	if err := os.WriteFile(file, []byte(unknown), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = loadConfig(file)
	if err == nil {
		t.Fatal("the config is taken")
	}
	faults := regexp.MustCompile(`unknown key "nosuch" in (?:a |the )?(\w+) \(there are ([^)]*)\)`).FindAllStringSubmatch(err.Error(), -1)
	if len(faults) != 13 {
		t.Fatalf("%d mappings, want 13: %v", len(faults), err)
	}
	groups := map[string]bool{"store": true, "pipeline": true, "limits": true, "monitor": true, "spool": true, "hypertable": true, "window": true, "max_rejected": true, "after": true, "tls": true, "sources": true}
	for _, f := range faults {
		for key := range strings.SplitSeq(f[2], ", ") {
			if groups[key] {
				continue
			}
			if f[1] != "config" && f[1] != "source" {
				key = strings.Replace(f[1], "hypertable", "store.hypertable", 1) + "." + key
			}
			if !regexp.MustCompile("(?m)^\\|.*`" + regexp.QuoteMeta(key) + "`.*\\|.*\\|.*\\|$").MatchString(section) {
				t.Errorf("the README's tables do not have %s", key)
			}
		}
	}
}

// Secrets come from where they may be, in the order that the README has, and are
// printed by nothing.
func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("file", "from file\n")
	write("north-1.password", "from systemd\r\n")
	write("store.password", "store from systemd")
	s := &sourceConfig{name: "north-1"}
	with := func(environ ...string) *app {
		return &app{environ: environ, config: &config{file: filepath.Join(dir, "c.yaml"), store: storeConfig{url: "postgres://db/x"}}, store: "postgres://db/x"}
	}
	credentials, variable := "CREDENTIALS_DIRECTORY="+dir, "PENSTOCK_SOURCE_NORTH_1_PASSWORD=from environment"
	for _, c := range []struct {
		want, file string
		environ    []string
	}{
		{"", "", nil},
		{"from systemd", "", []string{credentials}},
		{"from file", file, []string{credentials}},
		{"from environment", file, []string{credentials, variable}},
	} {
		s.server.passwordFile = c.file
		if got, err := with(c.environ...).sourcePassword(s); err != nil || string(got) != c.want {
			t.Errorf("%v and %q give %q (%v), want %q", c.environ, c.file, string(got), err, c.want)
		}
	}
	s.server.passwordFile = write("empty", "\n")
	if _, err := with().sourcePassword(s); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Error(err)
	}
	if got, err := with(credentials).storePassword(); err != nil || string(got) != "store from systemd" {
		t.Error(string(got), err)
	}
	if got, err := with(credentials, "PGPASSWORD=x").storePassword(); err != nil || got != "" {
		t.Error("PGPASSWORD does not win", string(got), err)
	}
	other := with(credentials)
	other.store = "postgres://elsewhere/x"
	if got, err := other.storePassword(); err != nil || got != "" {
		t.Error("the password goes to a store that --store names", err)
	}
	if got := fmt.Sprintf("%v %s %q %#v", secret("x-secret"), secret("x-secret"), secret("x-secret"), secret("x-secret")); strings.Contains(got, "x-secret") {
		t.Error(got)
	}
}

package pglocal

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhichSettingWins(t *testing.T) {
	dir := t.TempDir()
	o := testOptions(dir)
	o.Settings["work_mem"] = "9MB"
	o.Settings["search_path"] = `"it's", public`
	s := startServer(t, o)
	execute(t, s.URL(), "alter system set work_mem = '7MB'")
	execute(t, s.URL(), "alter system set max_wal_size = '3GB'")
	execute(t, s.URL(), "alter system set listen_addresses = '*'")
	stop(t, s)
	s = startServer(t, o)
	for setting, want := range map[string]string{
		"work_mem":         "9MB", // the caller's before ALTER SYSTEM
		"max_wal_size":     "3GB", // ALTER SYSTEM before ours
		"min_wal_size":     "256MB",
		"listen_addresses": "", // nobody's to change
		"search_path":      o.Settings["search_path"],
	} {
		if got := ask(t, s.URL(), "show "+setting); got != want {
			t.Errorf("%s is %q, want %q", setting, got, want)
		}
	}
}

func TestSettingsThatAreNone(t *testing.T) {
	for name, value := range map[string]string{"": "x", "work mem": "1", "-c": "x", "a=b": "1", "work_mem": "1\nfsync = off"} {
		_, err := Start(t.Context(), Options{Dir: t.TempDir(), Settings: map[string]string{name: value}})
		wantText(t, err, "not a name and a one-line value")
	}
}

func TestSharedBuffersByMemory(t *testing.T) {
	for memory, want := range map[int64]string{
		0: "128MB", 64 * mebibyte: "16MB", 512 * mebibyte: "64MB", 2048 * mebibyte: "256MB", 64 << 30: "256MB",
	} {
		if got := sharedBuffers(memory); got != want {
			t.Errorf("%d bytes: %s, want %s", memory, got, want)
		}
	}
}

// A PostgreSQL with and without TimescaleDB, as pg_config and the files tell.
func TestTimescaleIsLoadedWhereItIs(t *testing.T) {
	root := t.TempDir()
	b := Binaries{Dir: filepath.Join(root, "bin")}
	must(t, os.MkdirAll(b.Dir, 0o755))
	must(t, os.MkdirAll(filepath.Join(root, "share", "extension"), 0o755))
	must(t, os.MkdirAll(filepath.Join(root, "lib"), 0o755))
	if b.hasTimescale() {
		t.Error("found without pg_config")
	}
	script := "#!/bin/sh\ncase $1 in --sharedir) echo " + root + "/share;; --pkglibdir) echo " + root + "/lib;; esac\n"
	must(t, os.WriteFile(b.path("pg_config"), []byte(script), 0o755))
	must(t, os.WriteFile(filepath.Join(root, "share", "extension", "timescaledb.control"), nil, 0o644))
	if b.hasTimescale() {
		t.Error("found without its library: the server would not start")
	}
	must(t, os.WriteFile(filepath.Join(root, "lib", "timescaledb.so"), nil, 0o644))
	if !b.hasTimescale() {
		t.Error("not found")
	}
	var names []string
	for _, s := range ingestSettings(0, true) {
		names = append(names, s.name+"="+s.value)
	}
	if all := strings.Join(names, " "); !strings.Contains(all, "shared_preload_libraries=timescaledb timescaledb.telemetry_level=off") {
		t.Error(all)
	}
}

func TestLongLogIsShortened(t *testing.T) {
	dir := t.TempDir()
	stop(t, startServer(t, testOptions(dir)))
	long := append(bytes.Repeat([]byte("an old line\n"), longestLog/12), "the last old line\n"...)
	must(t, os.WriteFile(filepath.Join(dir, logName), long, 0o600))
	s := startServer(t, testOptions(dir))
	// While it runs, too: the server goes on at the new end.
	must(t, os.Truncate(filepath.Join(dir, logName), longestLog))
	s.log.shorten()
	execute(t, s.URL(), "do $$ begin raise warning 'a new line'; end $$")
	stop(t, s)
	if log := logOf(t, dir); len(log) > 1<<16 || !strings.Contains(log, "a new line") || strings.Contains(log, "\x00") {
		t.Errorf("%d bytes of log, from %.200q", len(log), log)
	}
	old, err := os.Stat(filepath.Join(dir, oldLogName))
	if err != nil || old.Size() != keptLog {
		t.Errorf("kept of the old log: %v, %v", old, err)
	}
}

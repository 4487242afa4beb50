package pglocal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// settingsName is the file in data/ with our settings, rewritten at each start.
const settingsName = "penstock.conf"

const mebibyte = 1 << 20

type setting struct{ name, value string }

// ingestSettings suit a store that is mostly written to, in bulk, on a small
// machine shared with the writer. Nothing here trades durability for speed:
// fsync, full_page_writes and synchronous_commit stay on.
func ingestSettings(memory int64, timescale bool) []setting {
	s := []setting{
		{"shared_buffers", sharedBuffers(memory)},
		{"max_connections", "100"},
		// Checkpoints by volume or every 15 minutes, spread out: each one makes
		// the next change of every page write that page whole to the log.
		{"checkpoint_timeout", "15min"},
		{"checkpoint_completion_target", "0.9"},
		{"max_wal_size", "2GB"},
		{"min_wal_size", "256MB"},
		{"wal_compression", "on"},
		{"synchronous_commit", "on"},
		{"timezone", "UTC"},
		{"log_timezone", "UTC"},
		{"log_line_prefix", "%m [%p] "},
		// A failed statement is its client's to report, and may quote readings.
		{"log_min_error_statement", "panic"},
		{"log_checkpoints", "off"},
	}
	if timescale {
		s = append(s, setting{"shared_preload_libraries", "timescaledb"}, setting{"timescaledb.telemetry_level", "off"})
	}
	return s
}

// sharedBuffers is 256 MB, or an eighth of a smaller machine's memory.
// memory is in bytes, 0 if unknown.
func sharedBuffers(memory int64) string {
	mb := int64(128)
	if memory > 0 {
		mb = min(256, max(16, memory/8/mebibyte))
	}
	return strconv.FormatInt(mb, 10) + "MB"
}

// fixedSettings go on the command line, where nothing overrides them: how the
// server is reached and where it reports, and what the caller insists on.
func fixedSettings(socket string, overrides map[string]string) []setting {
	var s []setting
	for name, value := range overrides {
		s = append(s, setting{name, value})
	}
	slices.SortFunc(s, func(a, b setting) int { return strings.Compare(a.name, b.name) })
	return append(s,
		setting{"listen_addresses", ""},
		setting{"unix_socket_directories", socket},
		setting{"unix_socket_permissions", "0700"},
		setting{"port", socketPort},
		setting{"cluster_name", "penstock"},
		setting{"logging_collector", "off"},
		setting{"log_destination", "stderr"},
	)
}

var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

func checkSettings(settings map[string]string) error {
	for name, value := range settings {
		if !settingName.MatchString(name) || strings.ContainsAny(value, "\x00\n") {
			return fmt.Errorf("PostgreSQL setting %q = %q: not a name and a one-line value", name, value)
		}
	}
	return nil
}

// writeSettings renews data/penstock.conf.
func (f *folder) writeSettings(bin Binaries) error {
	var text bytes.Buffer
	text.WriteString("# Written by Penstock at each start. ALTER SYSTEM, or lines in postgresql.conf\n# after the include of this file, override it.\n")
	for _, s := range ingestSettings(Memory(), bin.hasTimescale()) {
		fmt.Fprintf(&text, "%s = '%s'\n", s.name, strings.ReplaceAll(s.value, "'", "''"))
	}
	const path, fresh = dataName + "/" + settingsName, dataName + "/" + settingsName + ".new"
	if err := f.root.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	file, err := f.create(fresh, os.O_WRONLY|os.O_EXCL)
	if err != nil {
		return err
	}
	_, err = file.Write(text.Bytes())
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	return f.root.Rename(fresh, path)
}

// hasTimescale tells whether this PostgreSQL has the TimescaleDB extension and
// its library: it must then be loaded at start, and named without the library
// it would keep the server from starting.
func (b Binaries) hasTimescale() bool {
	share, lib := b.configured("--sharedir"), b.configured("--pkglibdir")
	if share == "" || lib == "" {
		return false
	}
	if _, err := os.Stat(filepath.Join(share, "extension", "timescaledb.control")); err != nil {
		return false
	}
	found, _ := filepath.Glob(filepath.Join(lib, "timescaledb.*"))
	return len(found) > 0
}

// configured asks pg_config, "" where there is none beside the server.
func (b Binaries) configured(what string) string {
	out, err := exec.Command(b.path("pg_config"), what).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

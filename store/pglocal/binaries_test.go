package pglocal

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestNoBinaries(t *testing.T) {
	empty := t.TempDir()
	t.Setenv(BinariesEnv, empty)
	if _, err := FindBinaries(); !errors.Is(err, ErrNoBinaries) {
		t.Errorf("error %v", err)
	}
	dir := filepath.Join(t.TempDir(), "pg")
	_, err := Start(t.Context(), Options{Dir: dir})
	if !errors.Is(err, ErrNoBinaries) {
		t.Errorf("error %v", err)
	}
	wantText(t, err, empty, "initdb", "apt-get install postgresql", "brew install postgresql", BinariesEnv)
	if running, err := IsRunning(dir); running || err != nil {
		t.Errorf("the folder is held: %v, %v", running, err)
	}
}

func TestBinariesByTheirEnvironment(t *testing.T) {
	found, err := FindBinaries()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "a link")
	if err := os.Symlink(found.Dir, link); err != nil {
		t.Fatal(err)
	}
	t.Setenv(BinariesEnv, link)
	if got, err := FindBinaries(); err != nil || got != found {
		t.Errorf("through a link %+v, %v; want %+v", got, err, found)
	}
	if psql, err := FindPsql(); err != nil || filepath.Dir(psql) != found.Dir {
		t.Errorf("psql %s, %v", psql, err)
	}
}

// Links in PATH lead to the folder of one version; a folder of links is none.
func TestBinariesByLinksInPath(t *testing.T) {
	found, err := FindBinaries()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(filepath.Join(found.Dir, "postgres"), filepath.Join(bin, "postgres")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	dirs := candidateDirs()
	if dirs[0] != found.Dir || slices.Contains(dirs, bin) {
		t.Errorf("candidates %q", dirs)
	}
}

func TestBinariesOfOtherVersions(t *testing.T) {
	for name, c := range map[string]struct{ says, want string }{
		"too old":         {"postgres (PostgreSQL) 9.6.24", "9.6.24, older than 13"},
		"something else":  {"cockroach 23", `says "cockroach 23"`},
		"beta, but wrong": {"postgres (PostgreSQL) 99beta1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv(BinariesEnv, dir)
			script := []byte("#!/bin/sh\necho '" + c.says + "'\n")
			for _, program := range []string{"initdb", "postgres"} {
				if err := os.WriteFile(filepath.Join(dir, program), script, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			b, err := FindBinaries()
			if c.want == "" {
				if err != nil || b.Major != 99 || b.Version != "99beta1" {
					t.Errorf("%+v, %v", b, err)
				}
				return
			}
			if !errors.Is(err, ErrNoBinaries) {
				t.Errorf("error %v", err)
			}
			wantText(t, err, c.want)
		})
	}
}

func TestNumberIn(t *testing.T) {
	for dir, want := range map[string]float64{
		"/usr/lib/postgresql/15/bin": 15, "/usr/lib/postgresql/9.6/bin": 9.6,
		"/opt/homebrew/opt/postgresql@17/bin": 17, "/usr/local/pgsql/bin": 0,
	} {
		if got := numberIn(dir); got != want {
			t.Errorf("%s: %v, want %v", dir, got, want)
		}
	}
}

package pglocal

import (
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

func TestSocketFolderInAPlaceAnyoneCanWriteTo(t *testing.T) {
	for name, c := range map[string]struct {
		plant func(t *testing.T, base string)
		want  string
	}{
		"a link": {func(t *testing.T, base string) {
			must(t, os.Symlink(t.TempDir(), base))
		}, "not a folder"},
		"a file": {func(t *testing.T, base string) {
			must(t, os.WriteFile(base, nil, 0o600))
		}, "not a folder"},
		"writable by others": {func(t *testing.T, base string) {
			must(t, os.Mkdir(base, 0o700))
			must(t, os.Chmod(base, 0o770))
		}, "written by others"},
		"someone else's": {func(t *testing.T, base string) {
			if os.Geteuid() != 0 {
				t.Skip("for root only")
			}
			nobody, err := accountOf(user.Lookup("nobody"))
			if err != nil {
				t.Skip(err)
			}
			must(t, os.Mkdir(base, 0o700))
			must(t, os.Chown(base, nobody.uid, nobody.gid))
		}, "belongs to user nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			base := filepath.Join(t.TempDir(), "base")
			c.plant(t, base)
			wantText(t, ownBase(base, false), base, c.want)
		})
	}
	t.Run("ours", func(t *testing.T) {
		base := filepath.Join(t.TempDir(), "base")
		for range 2 { // made, then found
			must(t, ownBase(base, true))
		}
		if info, err := os.Stat(base); err != nil || info.Mode().Perm() != 0o711 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
		must(t, os.Chmod(base, 0o700))
		wantText(t, ownBase(base, true), "cannot be entered")
	})
}

func TestRuntimeFolderThatWillNotDo(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root does not use XDG_RUNTIME_DIR")
	}
	for name, runtimeDir := range map[string]string{
		"too long":   filepath.Join(t.TempDir(), strings.Repeat("x", 80)),
		"with comma": filepath.Join(t.TempDir(), "a,b"),
		"missing":    filepath.Join(t.TempDir(), "missing"),
	} {
		t.Run(name, func(t *testing.T) {
			if name != "missing" {
				must(t, os.Mkdir(runtimeDir, 0o700))
			}
			t.Setenv("XDG_RUNTIME_DIR", runtimeDir)
			s := startServer(t, testOptions(t.TempDir()))
			if !strings.HasPrefix(s.socket, "/tmp/penstock-") {
				t.Errorf("socket in %s", s.socket)
			}
			execute(t, s.URL(), "select 1")
		})
	}
	t.Run("good", func(t *testing.T) {
		runtimeDir, err := os.MkdirTemp("/tmp", "run")
		must(t, err)
		defer os.RemoveAll(runtimeDir)
		t.Setenv("XDG_RUNTIME_DIR", runtimeDir)
		s := startServer(t, testOptions(t.TempDir()))
		if !strings.HasPrefix(s.socket, runtimeDir+"/penstock/") {
			t.Errorf("socket in %s", s.socket)
		}
		execute(t, s.URL(), "select 1")
		// Who joins may have another environment.
		t.Setenv("XDG_RUNTIME_DIR", "")
		if url, err := Join(t.Context(), s.Dir()); err != nil || url != s.URL() {
			t.Errorf("joined %q, %v", url, err)
		}
		stop(t, s)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

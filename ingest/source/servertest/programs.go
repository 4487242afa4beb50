package servertest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A program is what a server is started with.
type program struct {
	path      string
	libraries string // a folder of those that the system has not; "" for none
	tree      string // the folder that the program was unpacked into, or /
	arguments []string
}

// findProgram looks for a server's program in the tree that PENSTOCK_SERVERS
// names, in the one that .ci/servers unpacks, and on this machine.
func findProgram(t testing.TB, kind Kind) program {
	t.Helper()
	name := string(kind)
	for _, tree := range trees() {
		for _, place := range [...]string{"usr/sbin", "usr/bin", "sbin", "bin", ""} {
			path := filepath.Join(tree, place, name)
			if _, err := exec.LookPath(path); err == nil {
				return program{path: path, tree: tree, libraries: libraries(tree)}
			}
		}
	}
	for _, place := range [...]string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if path, err := exec.LookPath(place); err == nil {
			return program{path: path, tree: "/"}
		}
	}
	unavailable(t, "there is no %s here: run `.ci/setup servers`, install it, or name the folder it was unpacked into in PENSTOCK_SERVERS", name)
	return program{}
}

// unavailable ends the test: where servers must be there, as a failure.
func unavailable(t testing.TB, format string, a ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf(format, a...)
	}
	t.Skipf(format, a...)
}

// trees are the folders that servers may have been unpacked into.
func trees() []string {
	if tree := os.Getenv("PENSTOCK_SERVERS"); tree != "" {
		return []string{tree}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil
	}
	// The name that .ci/servers gives it: libraries fit one release only.
	return []string{filepath.Join(cache, "penstock-tools", fmt.Sprintf("servers-%s-%s", codename(), runtime.GOARCH))}
}

// codename is the system's release, as Debian and its kin call it.
func codename() string {
	file, err := os.Open("/etc/os-release")
	if err != nil {
		return ""
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "VERSION_CODENAME="); ok {
			return strings.Trim(name, `"'`)
		}
	}
	return ""
}

// libraries is the folder of a tree with the libraries that came with it.
func libraries(tree string) string {
	for _, pattern := range [...]string{"usr/lib/*-linux-gnu*", "lib/*-linux-gnu*"} {
		if found, _ := filepath.Glob(filepath.Join(tree, pattern)); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// bring copies the program and its libraries into the server's folder: the
// account may not enter the one they are in.
func (s *Server) bring() {
	s.t.Helper()
	s.program.path = s.copyIn(s.program.path, "")
	if s.program.libraries == "" {
		return
	}
	s.must(os.Mkdir(s.file("libraries"), 0o755))
	all, err := os.ReadDir(s.program.libraries)
	s.must(err)
	for _, entry := range all {
		if strings.Contains(entry.Name(), ".so") {
			s.copyIn(filepath.Join(s.program.libraries, entry.Name()), "libraries")
		}
	}
	s.program.libraries = s.file("libraries")
}

// copyIn copies a file into a folder of the server's and returns its new path.
func (s *Server) copyIn(from, folder string) string {
	s.t.Helper()
	data, err := os.ReadFile(from)
	s.must(err)
	to := filepath.Join(s.file(folder), filepath.Base(from))
	s.must(os.WriteFile(to, data, 0o755))
	return to
}

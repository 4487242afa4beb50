package pglocal

import (
	"cmp"
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

// BinariesEnv names the folder with initdb and postgres. When it is set no
// other place is looked at.
const BinariesEnv = "PENSTOCK_PG_BIN"

// oldestMajor is the oldest PostgreSQL Penstock starts.
const oldestMajor = 13

const installHint = "install it (Debian, Ubuntu: apt-get install postgresql; Fedora, RHEL: dnf install postgresql-server; " +
	"Alpine: apk add postgresql; macOS: brew install postgresql), or name the folder with its binaries in " + BinariesEnv

// ErrNoBinaries: no usable PostgreSQL is installed. The error that wraps it
// says where was looked and what to install.
var ErrNoBinaries = errors.New("no PostgreSQL found")

// VersionError: the cluster was made by a PostgreSQL of another major version
// than any that is installed.
type VersionError struct {
	Dir       string // the store's folder
	Cluster   int    // major version of the cluster
	Installed []int  // major versions found
}

func (e *VersionError) Error() string {
	have := make([]string, len(e.Installed))
	for i, major := range e.Installed {
		have[i] = strconv.Itoa(major)
	}
	return fmt.Sprintf("the data in %[1]s is PostgreSQL %[2]d's, installed is %[3]s: install PostgreSQL %[2]d "+
		"(Debian: apt-get install postgresql-%[2]d), or bring the data over with pg_upgrade, or take another folder",
		e.Dir, e.Cluster, strings.Join(have, ", "))
}

// Binaries is the bin folder of one installed PostgreSQL server.
type Binaries struct {
	Dir     string // where initdb and postgres are, links resolved
	Major   int    // 15
	Version string // "15.18"
}

// FindBinaries looks for PostgreSQL's server programs in $PENSTOCK_PG_BIN
// (and then nowhere else), PATH, and the places of Debian, the RPMs, Alpine,
// Homebrew, Postgres.app and the EDB installer, newest version first.
func FindBinaries() (Binaries, error) { return findBinaries(0) }

// FindPsql is the path of a psql program: the one beside the server's, else
// one from PATH.
func FindPsql() (string, error) {
	for _, dir := range candidateDirs() {
		if path := filepath.Join(dir, "psql"); isProgram(path) {
			return path, nil
		}
	}
	if path, err := exec.LookPath("psql"); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("psql: %w: %s", ErrNoBinaries, installHint)
}

func (b Binaries) path(program string) string { return filepath.Join(b.Dir, program) }

// findBinaries returns the first usable candidate, of the given major version
// unless that is 0.
func findBinaries(major int) (Binaries, error) {
	var others []int
	var reasons []string
	for _, dir := range candidateDirs() {
		b, err := inspect(dir)
		switch {
		case err != nil:
			reasons = append(reasons, err.Error())
		case major != 0 && b.Major != major:
			if !slices.Contains(others, b.Major) {
				others = append(others, b.Major)
			}
		case b.Major < oldestMajor:
			reasons = append(reasons, fmt.Sprintf("%s is version %s, older than %d", b.Dir, b.Version, oldestMajor))
		default:
			return b, nil
		}
	}
	if len(others) > 0 {
		return Binaries{}, &VersionError{Cluster: major, Installed: others}
	}
	if len(reasons) > 0 {
		return Binaries{}, fmt.Errorf("%w (%s): %s", ErrNoBinaries, strings.Join(reasons, "; "), installHint)
	}
	return Binaries{}, fmt.Errorf("%w: %s", ErrNoBinaries, installHint)
}

// candidateDirs are the folders that may hold a server, best first, links
// resolved: a link from PATH into one version's folder must not be paired
// with the neighbour link into another's.
func candidateDirs() []string {
	if named := os.Getenv(BinariesEnv); named != "" {
		return []string{resolve(named)}
	}
	var dirs []string
	add := func(dir string) {
		if dir = resolve(dir); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	for _, program := range []string{"postgres", "initdb"} {
		if path, err := exec.LookPath(program); err == nil {
			if path, err = filepath.Abs(path); err == nil {
				add(filepath.Dir(resolve(path)))
			}
		}
	}
	var installed []string
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",                               // Debian
		"/usr/pgsql-*/bin",                                        // PostgreSQL's own RPMs
		"/usr/libexec/postgresql*",                                // Alpine
		"/opt/homebrew/opt/postgresql*/bin",                       // Homebrew, Apple silicon
		"/usr/local/opt/postgresql*/bin",                          // Homebrew, Intel
		"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",          // Homebrew, Linux
		"/Applications/Postgres.app/Contents/Versions/[0-9]*/bin", // Postgres.app
		"/Library/PostgreSQL/*/bin",                               // EDB, macOS
		"/opt/PostgreSQL/*/bin",                                   // EDB, Linux
		"/usr/local/pgsql/bin",                                    // built from source
	} {
		found, _ := filepath.Glob(pattern) // the patterns are well-formed
		installed = append(installed, found...)
	}
	slices.SortStableFunc(installed, func(a, b string) int {
		return cmp.Compare(numberIn(b), numberIn(a))
	})
	for _, dir := range installed {
		add(dir)
	}
	return dirs
}

func resolve(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

var firstNumber = regexp.MustCompile(`\d+(\.\d+)?`)

// numberIn is the version in a folder's name, 0 without one.
func numberIn(dir string) float64 {
	n, _ := strconv.ParseFloat(firstNumber.FindString(dir), 64)
	return n
}

var postgresVersion = regexp.MustCompile(`\(PostgreSQL\) ((\d+)\S*)`)

// inspect asks the server in dir for its version.
func inspect(dir string) (Binaries, error) {
	b := Binaries{Dir: dir}
	for _, program := range []string{"initdb", "postgres"} {
		if !isProgram(b.path(program)) {
			return b, fmt.Errorf("%s has no program %s", dir, program)
		}
	}
	out, err := exec.Command(b.path("postgres"), "--version").Output()
	if err != nil {
		return b, fmt.Errorf("%s --version: %w", b.path("postgres"), err)
	}
	m := postgresVersion.FindSubmatch(out)
	if m == nil {
		return b, fmt.Errorf("%s --version says %q", b.path("postgres"), strings.TrimSpace(string(out)))
	}
	b.Version = string(m[1])
	b.Major, err = strconv.Atoi(string(m[2]))
	return b, err
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

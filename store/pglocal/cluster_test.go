package pglocal

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestInitialisationKilledHalfway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pg")
	for _, progress := range []string{"init-*", "init-*/postgresql.conf", "init-*/pg_wal/0*"} {
		h := startHolder(t, dir, "signal")
		awaitMatch(t, filepath.Join(dir, progress))
		h.kill()
		if _, err := os.Stat(filepath.Join(dir, dataName)); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("killed at %s, there is a cluster already: %v", progress, err)
		}
	}
	s := startServer(t, testOptions(dir))
	execute(t, s.URL(), "create table works (x int)")
	if left, _ := filepath.Glob(filepath.Join(dir, "init-*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestInitialisationCancelledHalfway(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pg")
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := Start(ctx, testOptions(dir))
		result <- err
	}()
	awaitMatch(t, filepath.Join(dir, "init-*", "PG_VERSION"))
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "[id][na][it]*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	startServer(t, testOptions(dir))
}

func TestClusterOfAnotherVersion(t *testing.T) {
	dir := t.TempDir()
	stop(t, startServer(t, testOptions(dir)))
	if err := os.WriteFile(filepath.Join(dir, "data", "PG_VERSION"), []byte("9.6\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), testOptions(dir))
	var version *VersionError
	if !errors.As(err, &version) || version.Cluster != 9 || version.Dir != dir || len(version.Installed) == 0 {
		t.Fatalf("error %v", err)
	}
	wantText(t, err, dir, "PostgreSQL 9's", "apt-get install postgresql-9", "pg_upgrade")
}

func TestFoldersWithAwkwardNames(t *testing.T) {
	for name, path := range map[string]string{
		"spaces and quotes": `it's "our" store, $(or) \not; %20`,
		"unicode":           "Pégel-Daten 水",
		"long":              strings.Repeat("long/", 50) + "pg",
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(openDir(t), path) // named in full, also to another user
			s := startServer(t, testOptions(dir))
			execute(t, s.URL(), "select 1")
			if got, err := Join(t.Context(), dir); err != nil || got != s.URL() {
				t.Errorf("joined %q, %v", got, err)
			}
		})
	}
}

func TestOneFolderByTwoNames(t *testing.T) {
	parent := t.TempDir()
	link := filepath.Join(parent, "link")
	if err := os.Symlink("real", link); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, testOptions(filepath.Join(parent, "real")))
	if _, err := Start(t.Context(), testOptions(link)); !errors.As(err, new(*InUseError)) {
		t.Errorf("by its other name: %v", err)
	}
	t.Chdir(parent)
	if url, err := Join(t.Context(), "link"); err != nil || url != s.URL() {
		t.Errorf("joined %q, %v", url, err)
	}
}

func TestFolderOfSomethingElse(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"a home":            {"letters.txt", `holds other things ("letters.txt")`},
		"a foreign cluster": {"PG_VERSION", "Penstock did not make"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, c.file), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Start(t.Context(), testOptions(dir))
			wantText(t, err, dir, c.want)
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
				t.Errorf("something was put there: %v, %v", entries, err)
			}
		})
	}
	t.Run("data that is none", func(t *testing.T) {
		dir := t.TempDir()
		stop(t, startServer(t, testOptions(dir)))
		if err := os.Remove(filepath.Join(dir, "data", "PG_VERSION")); err != nil {
			t.Fatal(err)
		}
		_, err := Start(t.Context(), testOptions(dir))
		wantText(t, err, filepath.Join(dir, "data"), "not a PostgreSQL cluster")
	})
	t.Run("a name of two lines", func(t *testing.T) {
		_, err := Start(t.Context(), testOptions(filepath.Join(t.TempDir(), "two\nlines")))
		wantText(t, err, "line break", `two\nlines`)
	})
	t.Run("a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Start(t.Context(), testOptions(file))
		wantText(t, err, file, "not a directory")
	})
}

func TestFolderWeMayNotEnter(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may enter any folder")
	}
	dir := filepath.Join(t.TempDir(), "pg")
	if err := os.Mkdir(dir, 0); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), testOptions(dir))
	wantText(t, err, dir, "permission denied")
	_, err = Start(t.Context(), testOptions(filepath.Join(dir, "below")))
	wantText(t, err, dir, "permission denied")
	_, err = Start(t.Context(), testOptions("/root/pg"))
	wantText(t, err, "/root", "permission denied")
}

// PostgreSQL itself would take any living process of its user for its
// predecessor; here it is one that has nothing to do with the folder.
func TestPidFileThatNamesAnotherProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("where a process works is not to be seen here")
	}
	dir := t.TempDir()
	s := startServer(t, testOptions(dir))
	who := s.folder.account
	s.Kill()
	other := exec.Command("cat")
	other.Dir = "/"
	if who.drop {
		other.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(who.uid), Gid: uint32(who.gid)}}
	}
	stdin, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = stdin.Close()
		_ = other.Wait()
	}()
	text := strconv.Itoa(other.Process.Pid) + "\n" + dir + "/data\n1\n5432\n/tmp\n\n1 1\nready   \n"
	if err := os.WriteFile(filepath.Join(dir, "data", "postmaster.pid"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	execute(t, startServer(t, testOptions(dir)).URL(), "select 1")
}

// A server started by hand on our data is PostgreSQL's to refuse.
func TestServerStartedByHand(t *testing.T) {
	dir := t.TempDir()
	stop(t, startServer(t, testOptions(dir)))
	bin, err := FindBinaries()
	if err != nil {
		t.Fatal(err)
	}
	f, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	if err := f.chooseAccount(bin); err != nil {
		t.Fatal(err)
	}
	socket, err := makeSocketDir(f)
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(socket)
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer nothing.Close()
	byHand, w, err := f.postgresCommand(bin, nothing, socket, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if err := byHand.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = byHand.Process.Signal(syscall.SIGQUIT)
		_ = byHand.Wait()
	}()
	for p, _ := f.postmaster(); !p.ready; p, _ = f.postmaster() {
		if t.Context().Err() != nil {
			t.Fatal("not ready")
		}
		runtime.Gosched()
	}
	_, err = Start(t.Context(), testOptions(dir))
	wantText(t, err, dir, `lock file "postmaster.pid" already exists`)
	if p, err := f.postmaster(); err != nil || p.pid != byHand.Process.Pid {
		t.Errorf("its pid file was taken from it: %+v, %v", p, err)
	}
}

func TestRootGivesUpItsRights(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("for root only")
	}
	dir := t.TempDir()
	s := startServer(t, testOptions(dir))
	if uid := uidOf(t, s.Pid()); uid == 0 {
		t.Error("the server runs as root")
	}
	stop(t, s)
	for _, name := range []string{".", lockName, serverLockName} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || ownerOf(info) != 0 {
			t.Errorf("%s was given away: %v", name, err)
		}
	}

	// A cluster stays its owner's.
	nobody, err := accountOf(user.Lookup("nobody"))
	if err != nil {
		t.Skip(err)
	}
	if err := filepath.WalkDir(filepath.Join(dir, "data"), func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, nobody.uid, nobody.gid))
	}); err != nil {
		t.Fatal(err)
	}
	s = startServer(t, testOptions(dir))
	if uid := uidOf(t, s.Pid()); uid != nobody.uid {
		t.Errorf("the server runs as %d, its data belongs to %d", uid, nobody.uid)
	}
	execute(t, s.URL(), "create table works (x int)")
	stop(t, s)

	if err := os.Chown(filepath.Join(dir, "data"), 0, 0); err != nil {
		t.Fatal(err)
	}
	_, err = Start(t.Context(), testOptions(dir))
	wantText(t, err, "belongs to root", "chown")
}

func TestWayThroughAClosedParent(t *testing.T) {
	if os.Geteuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("for root on Linux only")
	}
	closed := filepath.Join(t.TempDir(), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, testOptions(filepath.Join(closed, "pg")))
	if got := ask(t, s.URL(), "show data_directory"); got != "/proc/self/fd/4" {
		t.Errorf("data_directory %s: was it not closed?", got)
	}
	// Backends start, checkpoint and re-read their configuration along it.
	execute(t, s.URL(), "alter system set work_mem = '7MB'")
	execute(t, s.URL(), "select pg_reload_conf()")
	execute(t, s.URL(), "create table t as select generate_series(1, 10000) x")
	execute(t, s.URL(), "checkpoint")
	if info, err := os.Stat(closed); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the parent's mode changed: %v, %v", info.Mode(), err)
	}

	open := startServer(t, testOptions(openDir(t)))
	if got := ask(t, open.URL(), "show data_directory"); got != filepath.Join(open.Dir(), "data") {
		t.Errorf("data_directory %s of an open folder", got)
	}
}

// openDir is a folder that everyone can reach.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pglocal-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "pg")
}

func uidOf(t *testing.T, pid int) int {
	t.Helper()
	info, err := os.Stat("/proc/" + strconv.Itoa(pid))
	if err != nil {
		t.Skip(err)
	}
	return ownerOf(info)
}

// awaitMatch spins until a file appears.
func awaitMatch(t *testing.T, pattern string) {
	t.Helper()
	for {
		if found, err := filepath.Glob(pattern); err != nil || len(found) > 0 {
			return
		}
		if t.Context().Err() != nil {
			t.Fatalf("%s does not appear", pattern)
		}
		runtime.Gosched()
	}
}

//go:build unix

package source_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"penstock/ingest"
	"penstock/ingest/source"
)

// TestNeitherFileNorFolder checks that no pipe, socket or device is opened for
// its content, and that none of them blocks.
func TestNeitherFileNorFolder(t *testing.T) {
	t.Run("neither file nor folder", func(t *testing.T) {
		root := tree(t, "x.csv", "link -> pipe")
		if err := syscall.Mkfifo(root+"/pipe", 0o644); err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("unix", root+"/socket")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		got, faults := listing(t, newDir(t, source.Options{Source: "s"}, root))
		if !slices.Equal(got, []string{"x.csv"}) || len(faults) != 3 {
			t.Errorf("listed %q, %v", got, faults)
		}
		says(t, faults["pipe"], "named pipe", "not a regular file")
		says(t, faults["link"], "named pipe")
		says(t, faults["socket"], "socket")
	})
	t.Run("a pipe in a listed file's place", func(t *testing.T) {
		root := tree(t, "x.csv")
		d := newDir(t, source.Options{Source: "s"}, root)
		f, err := d.Locate(t.Context(), "x.csv")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Remove(root+"/x.csv"), syscall.Mkfifo(root+"/x.csv", 0o644)); err != nil {
			t.Fatal(err)
		}
		var c ingest.Content
		for _, size := range []int64{f.Size, 0, -1, ingest.SpoolAbove + 1} {
			f.Size = size
			says(t, d.Fetch(t.Context(), f, &c), "named pipe")
		}
		if err := errors.Join(os.Remove(root+"/x.csv"), os.Mkdir(root+"/x.csv", 0o755)); err != nil {
			t.Fatal(err)
		}
		says(t, d.Fetch(t.Context(), f, &c), "folder")
	})
}

// TestUnreadable runs itself as an unprivileged user when it is run by root,
// whom no right stops.
func TestUnreadable(t *testing.T) {
	const nobody = 65534
	if root := os.Getenv("PENSTOCK_TEST_UNREADABLE"); root != "" {
		unreadable(t, root)
		return
	}
	root := tree(t, "x.csv", "shut.csv", "shut.zip", "locked/y.csv", "open/z.csv")
	for path, mode := range map[string]fs.FileMode{"shut.csv": 0, "shut.zip": 0, "locked": 0} {
		if err := os.Chmod(filepath.Join(root, path), mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { os.Chmod(root+"/locked", 0o755) })
	if os.Getuid() != 0 {
		unreadable(t, root)
		return
	}
	// The program and the folder are out of nobody's reach as they are.
	place, err := os.MkdirTemp("/tmp", "penstock-unreadable-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(place) })
	program, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = errors.Join(os.Chmod(place, 0o755), os.WriteFile(place+"/test", program, 0o755), os.Rename(root, place+"/site"))
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(place+"/test", "-test.run=^TestUnreadable$", "-test.v")
	cmd.Dir = place
	cmd.Env = append(os.Environ(), "PENSTOCK_TEST_UNREADABLE="+place+"/site")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	t.Logf("as user %d:\n%s", nobody, out)
	if err != nil || !strings.Contains(string(out), "the message") {
		t.Errorf("as user %d: %v", nobody, err)
	}
}

func unreadable(t *testing.T, root string) {
	d := newDir(t, source.Options{Source: "s"}, root)
	got, faults := listing(t, d)
	if !slices.Equal(got, []string{"open/z.csv", "shut.csv", "x.csv"}) || len(faults) != 2 {
		t.Errorf("listed %q, %v", got, faults)
	}
	says(t, faults["locked"], "open folder "+root+"/locked", "permission denied", "the right to read it")
	says(t, faults["shut.zip"], "open "+root+"/shut.zip", "permission denied")
	f, err := d.Locate(t.Context(), "shut.csv")
	if err != nil {
		t.Fatal(err)
	}
	var c ingest.Content
	says(t, d.Fetch(t.Context(), f, &c), "read "+root+"/shut.csv", "permission denied", "the right to read it")
	f.Size = ingest.SpoolAbove + 1
	says(t, d.Fetch(t.Context(), f, &c), "permission denied")
}

// deaf is a port to which connections are begun and never made: its queue is full.
func deaf(t *testing.T) (port string) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port = strconv.Itoa(at.(*syscall.SockaddrInet4).Port)
	for range 8 {
		conn, err := net.DialTimeout("tcp", "127.0.0.1:"+port, 100*time.Millisecond)
		if err != nil {
			return port
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatal("the queue takes any number of connections")
	return ""
}

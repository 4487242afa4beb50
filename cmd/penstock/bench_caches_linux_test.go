package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// What was in memory of a file is not there any more when the caches were dropped.
func TestDropCaches(t *testing.T) {
	if err := mayDropCaches(); err != nil {
		t.Skip("the system's caches cannot be dropped here: ", err)
	}
	path := filepath.Join(t.TempDir(), "a.csv")
	if err := os.WriteFile(path, bytes.Repeat([]byte("reading\n"), 1<<15), 0o600); err != nil {
		t.Fatal(err)
	}
	if in, err := inMemory(path); errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("the file system of temporary files does not tell what is in memory")
	} else if err != nil || !in {
		t.Fatalf("a file that was just written is in memory: %v, %v", in, err)
	}
	if err := dropCaches(); err != nil {
		t.Fatal(err)
	}
	if in, err := inMemory(path); err != nil || in {
		t.Errorf("after they were dropped it is in memory: %v, %v", in, err)
	}
}

// inMemory reports whether the beginning of a file can be read without the disk.
func inMemory(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	_, err = unix.Preadv2(int(f.Fd()), [][]byte{make([]byte, 512)}, 0, unix.RWF_NOWAIT)
	if errors.Is(err, unix.EAGAIN) {
		return false, nil
	}
	return err == nil, err
}

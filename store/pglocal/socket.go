package pglocal

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	socketPort = "5432" // the only server in its folder; the number is part of the socket's name
	socketFile = ".s.PGSQL." + socketPort
	// A socket's address holds 104 bytes on macOS and the BSDs, 108 on Linux,
	// its final NUL included.
	longestSocketPath = 103
)

// makeSocketDir makes the short folder for the server's socket: owned by the
// server's user, mode 0700, empty. Its name is derived from the store's folder,
// so that a restart has the same URL. The caller holds the store's folder, so
// what an earlier server left there is stale.
func makeSocketDir(f *folder) (string, error) {
	info, err := f.root.Stat(".")
	if err != nil {
		return "", err
	}
	// With the inode: two containers may share /tmp and have a /data each.
	stat := info.Sys().(*syscall.Stat_t)
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d", f.path, stat.Dev, stat.Ino))
	name := hex.EncodeToString(sum[:8])

	var reasons []string
	for _, base := range runtimeBases(f.account) {
		dir, err := f.makeSocketDirIn(base, name)
		if err == nil {
			return dir, nil
		}
		reasons = append(reasons, err.Error())
	}
	return "", fmt.Errorf("no folder for the server's socket: %s (set XDG_RUNTIME_DIR to a short folder of your own, mode 0700)",
		strings.Join(reasons, "; "))
}

// runtimeBases are the places for socket folders, best first.
func runtimeBases(a account) []string {
	if a.drop {
		return []string{"/run/penstock", "/tmp/penstock-0"}
	}
	var bases []string
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		bases = append(bases, filepath.Join(dir, "penstock"))
	}
	return append(bases, "/tmp/penstock-"+strconv.Itoa(a.uid))
}

func (f *folder) makeSocketDirIn(base, name string) (string, error) {
	dir := filepath.Join(base, name)
	if len(filepath.Join(dir, socketFile)) > longestSocketPath {
		return "", fmt.Errorf("%s is too long a path for a socket", dir)
	}
	// PostgreSQL takes a list of folders here.
	if strings.ContainsAny(dir, `, "'`) {
		return "", fmt.Errorf("%s has characters that PostgreSQL splits at", dir)
	}
	if err := ownBase(base, f.account.drop); err != nil {
		return "", err
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	if f.account.drop {
		if err := os.Lchown(dir, f.account.uid, f.account.gid); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// ownBase makes base, or makes sure that it is a folder of ours that nobody
// else can put things into: in /tmp anyone may have been there before us, with
// a folder or a link of theirs.
func ownBase(base string, shared bool) error {
	mode := fs.FileMode(0o700)
	if shared {
		mode = 0o711 // the server's user passes through
	}
	err := os.Mkdir(base, mode)
	if err == nil {
		return os.Chmod(base, mode) // whatever the umask
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(base)
	if err != nil {
		return err
	}
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder", base)
	case ownerOf(info) != os.Geteuid():
		return fmt.Errorf("%s belongs to user %s", base, userName(ownerOf(info)))
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("%s can be written by others (mode %04o)", base, info.Mode().Perm())
	case shared && info.Mode().Perm()&0o001 == 0:
		return fmt.Errorf("%s cannot be entered by the server's user (mode %04o)", base, info.Mode().Perm())
	}
	return nil
}

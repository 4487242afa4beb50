package pglocal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

// account is the user the server runs as.
type account struct {
	uid, gid int
	name     string
	drop     bool // we are root and must become this user
}

// unprivileged are the users a root process may run the server as, best first.
var unprivileged = [...]string{"postgres", "nobody"}

// chooseAccount settles f.account: ourselves, or, as root, the owner of the
// existing cluster, else the first of `unprivileged` that exists.
func (f *folder) chooseAccount(bin Binaries) error {
	info, err := f.root.Lstat(dataName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	euid := os.Geteuid()
	owner := euid
	if err == nil {
		owner = ownerOf(info)
	}
	if euid != 0 && owner != euid {
		return fmt.Errorf("the cluster %s", belongsTo(owner))
	}
	if err == nil && f.clusterMajor() == 0 && !isEmpty(f.root, dataName) {
		return fmt.Errorf("%s is not a PostgreSQL cluster: move it away", filepath.Join(f.path, dataName))
	}
	if euid != 0 {
		f.account = account{uid: euid, gid: os.Getegid(), name: userName(euid)}
		return nil
	}
	if f.clusterMajor() != 0 {
		if owner == 0 {
			return fmt.Errorf("%[1]s belongs to root, whom PostgreSQL refuses to run as: chown -R postgres %[1]s", filepath.Join(f.path, dataName))
		}
		f.account, err = accountOf(user.LookupId(strconv.Itoa(owner)))
	} else {
		for _, name := range unprivileged {
			if f.account, err = accountOf(user.Lookup(name)); err == nil {
				break
			}
		}
	}
	if err != nil {
		return fmt.Errorf("PostgreSQL refuses to run as root, and there is no user to run it as: %w (useradd --system postgres)", err)
	}
	if at := f.account.stoppedAt(bin.Dir); at != "" {
		return fmt.Errorf("user %s, whom PostgreSQL would run as, cannot enter %s on the way to %s: chmod o+x it, or install PostgreSQL elsewhere",
			f.account.name, at, bin.Dir)
	}
	return nil
}

func accountOf(u *user.User, err error) (account, error) {
	if err != nil {
		return account{}, err
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err1, err2); err != nil {
		return account{}, err
	}
	return account{uid: uid, gid: gid, name: u.Username, drop: true}, nil
}

// stoppedAt is the first folder on the way to dir, dir included, that the
// account may not pass through, by mode bits; "" if it can. Always "" where no
// user is changed: then our own access has shown it.
func (a account) stoppedAt(dir string) string {
	if !a.drop {
		return ""
	}
	if parent := filepath.Dir(dir); parent != dir {
		if at := a.stoppedAt(parent); at != "" {
			return at
		}
	}
	info, err := os.Stat(dir)
	if err != nil {
		return dir
	}
	stat := info.Sys().(*syscall.Stat_t)
	need := fs.FileMode(0o001)
	switch {
	case int(stat.Uid) == a.uid:
		need = 0o100
	case int(stat.Gid) == a.gid:
		need = 0o010
	}
	if info.Mode()&need == 0 {
		return dir
	}
	return ""
}

// way is how the server names a folder of ours in its arguments.
type way struct {
	path string
	dir  *os.File // kept open in the server where the path goes through it; else nil
}

func (w way) close() {
	if w.dir != nil {
		_ = w.dir.Close()
	}
}

// wayTo is the path to name (below the folder) that the account can walk.
// Where some parent is closed to it, such as /root, Linux lets a process pass
// through a folder it holds open: fd says under which number it will.
func (f *folder) wayTo(name string, fd int) (way, error) {
	full := filepath.Join(f.path, name)
	at := f.account.stoppedAt(f.path)
	if at == "" {
		return way{path: full}, nil
	}
	if runtime.GOOS != "linux" {
		return way{}, fmt.Errorf("user %s, whom PostgreSQL runs as, cannot enter %s: chmod o+x it, or take another folder with --store local:DIR",
			f.account.name, at)
	}
	dir, err := f.root.Open(name)
	if err != nil {
		return way{}, err
	}
	return way{path: fmt.Sprintf("/proc/self/fd/%d", fd), dir: dir}, nil
}

func ownerOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

func belongsTo(uid int) string {
	return fmt.Sprintf("belongs to user %s, and this is %s: run as that user, or take another folder with --store local:DIR",
		userName(uid), userName(os.Geteuid()))
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

func isEmpty(root *os.Root, name string) bool {
	dir, err := root.Open(name)
	if err != nil {
		return false
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(1)
	return len(names) == 0
}

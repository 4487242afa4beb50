package servertest

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// An account is who a server's sessions run as.
type account struct {
	uid, gid int
	name     string
	drop     bool // we are root, and it is another
}

// unprivileged are the users that a root process may run sessions as, best
// first. OpenSSH takes nobody for locked where systemd makes that user up.
var unprivileged = [...]string{"daemon", "nobody"}

func chooseAccount(t testing.TB, kind Kind) account {
	t.Helper()
	if os.Geteuid() != 0 {
		if kind == PureFTPD {
			t.Skip("pure-ftpd logs nobody in unless it runs as root") // no setup changes that
		}
		u, err := user.Current()
		if err != nil {
			unavailable(t, "%s needs an account with a name: %v", kind, err)
		}
		return account{uid: os.Geteuid(), gid: os.Getegid(), name: u.Username}
	}
	for _, name := range unprivileged {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.Atoi(u.Uid)
		if err != nil {
			t.Fatal(err)
		}
		gid, err := strconv.Atoi(u.Gid)
		if err != nil {
			t.Fatal(err)
		}
		return account{uid: uid, gid: gid, name: name, drop: true}
	}
	unavailable(t, "there is no user of %q to run %s as", unprivileged, kind)
	return account{}
}

// mustReach ends the test unless the account may enter dir.
func (a account) mustReach(t testing.TB, dir string) {
	t.Helper()
	if !a.drop {
		return
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode()&0o001 == 0 && int(info.Sys().(*syscall.Stat_t).Uid) != a.uid {
			unavailable(t, "user %s, whom the server runs as, cannot enter %s: set TMPDIR to a folder that all may enter", a.name, dir)
		}
	}
}

// group is the name of the account's group.
func (a account) group(t testing.TB) string {
	t.Helper()
	g, err := user.LookupGroupId(strconv.Itoa(a.gid))
	if err != nil {
		unavailable(t, "the server needs a group with a name: %v", err)
	}
	return g.Name
}

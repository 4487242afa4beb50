package pglocal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Names inside a store's folder; see the package comment.
const (
	dataName       = "data"
	logName        = "postgres.log"
	oldLogName     = "postgres.log.1"
	holderName     = "holder.json"
	lockName       = "lock"
	serverLockName = "server.lock"
	initPrefix     = "init-" // a cluster in the making
)

// folder is a store's folder, opened by the process that wants to run its
// server. All access goes through root, which no symbolic link leads out of:
// root may be starting a server in a folder that belongs to someone else.
type folder struct {
	path    string // absolute, links resolved
	root    *os.Root
	account account // whom the server runs as; set by chooseAccount
}

// openFolder creates the folder if it is missing and refuses one that is
// something else already.
func openFolder(dir string) (*folder, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(path, "\n\r") {
		return nil, fmt.Errorf("PostgreSQL takes no folder with a line break in its name (%q)", path)
	}
	// Another user must be able to pass through on the way to data/, which
	// itself is closed to all but that user.
	mode := fs.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o711
	}
	if err := os.MkdirAll(filepath.Dir(path), mode|0o055); err != nil {
		return nil, err
	}
	if err := os.Mkdir(path, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	f := &folder{path: path, root: root}
	if err := f.refuseForeign(); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

func (f *folder) close() { _ = f.root.Close() }

// refuseForeign keeps us from settling in someone's home or in a cluster that
// another program made.
func (f *folder) refuseForeign() error {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return err
	}
	ours, other := false, ""
	for _, e := range entries {
		switch name := e.Name(); {
		case name == "PG_VERSION":
			return errors.New("this is a PostgreSQL data directory that Penstock did not make; " +
				"start that server and name it with --store postgres://..., or take another folder")
		case slices.Contains([]string{lockName, serverLockName, holderName}, name):
			ours = true
		case name != "lost+found":
			other = name
		}
	}
	if !ours && other != "" {
		return fmt.Errorf("the folder holds other things (%q): take a new or an empty one", other)
	}
	return nil
}

// clusterMajor is the major version in data/PG_VERSION, 0 without a cluster.
func (f *folder) clusterMajor() int {
	text, err := f.root.ReadFile(dataName + "/PG_VERSION")
	if err != nil {
		return 0
	}
	major, _, _ := strings.Cut(strings.TrimSpace(string(text)), ".")
	n, _ := strconv.Atoi(major)
	return n
}

// explainVersion names the folder in a *VersionError.
func (f *folder) explainVersion(err error) error {
	var v *VersionError
	if errors.As(err, &v) {
		v.Dir = f.path
	}
	return err
}

// create makes or empties a file for the server's user, mode 0600.
func (f *folder) create(name string, flag int) (*os.File, error) {
	file, err := f.root.OpenFile(name, flag|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if f.account.drop {
		if err := file.Chown(f.account.uid, f.account.gid); err != nil {
			_ = file.Close()
			return nil, err
		}
	}
	return file, nil
}

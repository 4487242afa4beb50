//go:build linux && !portable

package source_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"penstock/ingest"
	"penstock/ingest/source"
)

// A watcher is a Dir that is watched during a test.
type watcher struct {
	t     *testing.T
	root  string
	hints chan ingest.File
	probe int
}

// watching watches d, which lists root, until the test ends.
func watching(t *testing.T, d *source.Dir, root string) *watcher {
	t.Helper()
	w := &watcher{t: t, root: root, hints: make(chan ingest.File)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- d.Watch(ctx, func(f ingest.File) {
			select {
			case w.hints <- f:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the watching ended with %v", err)
		}
	})
	return w
}

// begun returns once the folder below the root is watched: files are put into
// it until one of them is hinted.
func (w *watcher) begun(folder string) {
	w.t.Helper()
	for {
		w.probe++
		put(w.t, fmt.Sprintf("%s/%s/probe-%d", w.root, folder, w.probe), nil, then)
		select {
		case <-w.hints:
			w.upTo(folder)
			return
		default:
		}
	}
}

// upTo takes the hints until that of a file put into the folder now, and
// returns those of other files than probes by path, as they came last.
func (w *watcher) upTo(folder string) map[string]ingest.File {
	w.t.Helper()
	w.probe++
	last := fmt.Sprintf("%s/probe-%d", folder, w.probe)
	put(w.t, w.root+"/"+last, nil, then)
	all := make(map[string]ingest.File)
	for {
		select {
		case f := <-w.hints:
			if f.Path == strings.TrimPrefix(last, "/") {
				return all
			}
			if !strings.HasPrefix(filepath.Base(f.Path), "probe-") {
				all[f.Path] = f
			}
		case <-w.t.Context().Done():
			w.t.Fatalf("%s is not hinted", last)
		}
	}
}

// hinted fails unless exactly these files were hinted since, by way of events
// of the root, each as it was put by the tests: with its path as content.
func (w *watcher) hinted(all map[string]ingest.File, want ...string) {
	w.t.Helper()
	for _, path := range want {
		f, ok := all[path]
		if !ok {
			w.t.Errorf("%s is not hinted, but %v", path, all)
		} else if f.Source != "s" || f.Modified != then.UnixMicro() {
			w.t.Errorf("hinted %+v", f)
		}
		delete(all, path)
	}
	for path := range all {
		w.t.Errorf("%s is hinted", path)
	}
}

func TestWatchFiles(t *testing.T) {
	root := tree(t, "old.csv", "a/", "done/", "b.d/", "quarantine/", ".git/")
	d := newDir(t, source.Options{Source: "s", Match: []string{"*.csv", "probe-*"}, Ignore: []string{"**/.*", "b.d"}, After: source.After{Do: source.Move, To: "done/{yyyy}"}}, root)
	t.Cleanup(func() { d.Close() })
	w := watching(t, d, root)
	w.begun("")
	for _, p := range []string{"x.csv", "a/x.csv", "a/x.txt", "a/.x.csv", "done/x.csv", "quarantine/x.csv", ".git/x.csv", "b.d/x.csv", "a/y.csv.1-2-01234567.penstock-aside"} {
		put(t, root+"/"+p, []byte(p), then)
	}
	packAs(t, root+"/a/all.zip", "y.csv", "y.txt")
	w.hinted(w.upTo(""), "x.csv", "a/x.csv", "a/all.zip!y.csv")

	// A second name of a file, by link.
	if err := errors.Join(os.Link(root+"/x.csv", root+"/a/linked.csv"), os.Symlink("x.csv", root+"/symlinked.csv"), os.Symlink("a", root+"/folder.csv")); err != nil {
		t.Fatal(err)
	}
	w.hinted(w.upTo(""), "a/linked.csv", "symlinked.csv")

	// What is written to is hinted as it stands then.
	file, err := os.OpenFile(root+"/a/x.csv", os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString("more"); err != nil {
		t.Fatal(err)
	}
	if all := w.upTo(""); len(all) != 1 || all["a/x.csv"].Size != int64(len("a/x.csvmore")) || all["a/x.csv"].Modified == then.UnixMicro() {
		t.Errorf("after a write: %v", all)
	}
	// Done is no event that brings a file back.
	if err := d.Done(t.Context(), locate(t, d, "x.csv"), loaded); err != nil {
		t.Fatal(err)
	}
	w.hinted(w.upTo(""))
}

// TestWatchFolders checks that folders are watched that come later, with what
// is in them already, and under the name that they have.
func TestWatchFolders(t *testing.T) {
	elsewhere := tree(t, "new/x.csv", "new/deep/er/y.csv", "new/.hidden/z.csv")
	root := tree(t, "a/b/c/")
	w := watching(t, newDir(t, source.Options{Source: "s"}, root), root)
	w.begun("a/b/c")

	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	move(elsewhere+"/new", root+"/a/new")
	w.hinted(w.upTo("a"), "a/new/x.csv", "a/new/deep/er/y.csv")
	put(t, root+"/a/new/deep/er/z.csv", nil, then)
	w.hinted(w.upTo("a/new/deep/er"), "a/new/deep/er/z.csv")

	// The folders in it are not told that they have another name.
	move(root+"/a", root+"/A")
	w.hinted(w.upTo(""), "A/new/x.csv", "A/new/deep/er/y.csv", "A/new/deep/er/z.csv")
	put(t, root+"/A/new/deep/er/w.csv", nil, then)
	w.hinted(w.upTo("A/new/deep/er"), "A/new/deep/er/w.csv")

	// One that went away is nobody's, one that came in its place is.
	move(root+"/A/new", elsewhere+"/gone")
	w.hinted(w.upTo("A"))
	put(t, elsewhere+"/gone/deep/er/v.csv", nil, then)
	put(t, root+"/A/new/deep/er/v.csv", nil, then)
	for all := w.upTo("A"); all["A/new/deep/er/v.csv"].Path == ""; all = w.upTo("A") {
		if len(all) > 0 {
			t.Fatalf("hinted %v", all)
		}
	}
	if err := os.RemoveAll(root + "/A/new"); err != nil {
		t.Fatal(err)
	}
	w.hinted(w.upTo("A"))
}

// TestWatchComesBack checks that a folder is watched again after a listing that
// found it: that was not there, or to whose place another came.
func TestWatchComesBack(t *testing.T) {
	top := tree(t)
	root := top + "/root"
	d := newDir(t, source.Options{Source: "s", Live: true}, root)
	w := watching(t, d, root)
	for i := range 3 {
		if err := os.Mkdir(root, 0o755); err != nil {
			t.Fatal(err)
		}
		for begun := false; !begun; { // the watching may begin only now
			if _, faults := listing(t, d); len(faults) != 0 {
				t.Error(faults)
			}
			w.probe++
			put(t, fmt.Sprintf("%s/probe-%d", root, w.probe), nil, then)
			select {
			case <-w.hints:
				begun = true
			default:
			}
		}
		put(t, root+"/x.csv", nil, then)
		w.hinted(w.upTo(""), "x.csv")
		if err := os.Rename(root, fmt.Sprintf("%s/away-%d", top, i)); err != nil {
			t.Fatal(err)
		}
		if _, faults := listing(t, d); len(faults) != 1 {
			t.Error("the folder is not reported missing")
		}
		put(t, fmt.Sprintf("%s/away-%d/y.csv", top, i), nil, then)
	}
}

// TestWatchMounted checks the same of a disk that is mounted and unmounted,
// under which the folder that it is mounted on remains.
func TestWatchMounted(t *testing.T) {
	root := tree(t)
	d := newDir(t, source.Options{Source: "s", Live: true}, root)
	w := watching(t, d, root)
	w.begun("")
	for range 2 {
		if err := syscall.Mount("tmpfs", root, "tmpfs", 0, "size=64k"); err != nil {
			t.Skip("not allowed to mount a file system: ", err)
		}
		listing(t, d)
		w.begun("")
		put(t, root+"/x.csv", nil, then)
		w.hinted(w.upTo(""), "x.csv")
		if err := syscall.Unmount(root, 0); err != nil {
			t.Fatal(err)
		}
		listing(t, d)
		w.begun("")
		put(t, root+"/y.csv", nil, then)
		w.hinted(w.upTo(""), "y.csv")
	}
}

// TestWatchLimit runs itself as a user who may watch three folders.
func TestWatchLimit(t *testing.T) {
	if os.Getenv("PENSTOCK_TEST_WATCH_LIMIT") != "" {
		watchLimit(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWatchLimit$", "-test.v")
	cmd.Env = append(os.Environ(), "PENSTOCK_TEST_WATCH_LIMIT=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSPC) {
		t.Skip("not allowed to be another user: ", err)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if bytes.Contains(out, []byte("--- SKIP")) {
		t.Skipf("%s", out)
	}
}

func watchLimit(t *testing.T) {
	if err := os.WriteFile("/proc/sys/user/max_inotify_watches", []byte("3"), 0); err != nil {
		t.Skip("this system has no limit that can be set: ", err)
	}
	root := tree(t)
	for i := range 40 {
		if err := os.Mkdir(fmt.Sprintf("%s/%d", root, i), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var log logged
	d := newDir(t, source.Options{Source: "s", Log: slog.New(slog.NewTextHandler(&log, nil))}, root)
	w := watching(t, d, root)
	w.begun("")
	for range 3 { // it goes on, and listings do not say it again
		listing(t, d)
		put(t, root+"/x.csv", nil, then)
		w.hinted(w.upTo(""), "x.csv")
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "sysctl fs.inotify.max_user_watches") {
		t.Errorf("the log has: %s", text)
	}
}

// A logged is a log that can be read while it is written.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

var _ io.Writer = (*logged)(nil)

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestWatchOnce checks that a Dir is watched by one caller at a time, and again
// after that.
func TestWatchOnce(t *testing.T) {
	root := tree(t)
	d := newDir(t, source.Options{Source: "s"}, root)
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		begun, ended := make(chan struct{}), make(chan error)
		var once sync.Once
		go func() { ended <- d.Watch(ctx, func(ingest.File) { once.Do(func() { close(begun) }) }) }()
		for i, waiting := 0, true; waiting; i++ {
			put(t, fmt.Sprintf("%s/%d", root, i), nil, then)
			select {
			case <-begun:
				waiting = false
			default:
			}
		}
		says(t, d.Watch(t.Context(), nil), "watched already")
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

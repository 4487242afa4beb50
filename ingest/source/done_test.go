//go:build linux

package source_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"penstock/ingest"
	"penstock/ingest/source"
)

var loaded = ingest.Outcome{State: ingest.Loaded}

// located returns the file at path as d finds it.
func locate(t *testing.T, d *source.Dir, path string) ingest.File {
	t.Helper()
	f, err := d.Locate(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestAfterNeedsAName checks that no file goes whose path is no path below a
// folder, and that what is wrong with After is told.
func TestAfterNeedsAName(t *testing.T) {
	_, err := source.NewDir(source.Options{After: source.After{Do: source.Delete}}, t.TempDir())
	says(t, err, "source that has a name")
	_, err = source.NewDir(source.Options{Source: "s", After: source.After{Do: source.Move}}, t.TempDir())
	says(t, err, "to is missing")
}

// otherDisk returns a new folder on another file system than the temporary
// folder's.
func otherDisk(t *testing.T) string {
	t.Helper()
	here := t.TempDir()
	for _, place := range []string{"/dev/shm", "/run", "/var/tmp", "/mnt"} {
		dir, err := os.MkdirTemp(place, "penstock-test-")
		if err != nil {
			continue
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		if errors.Is(os.Rename(here, filepath.Join(dir, "x")), syscall.EXDEV) {
			return dir
		}
	}
	t.Skip("this machine has one file system only")
	return ""
}

// TestMoveToAnotherDisk checks that a file that goes to another file system is
// copied with all that belongs to it, and takes no other file's place there.
func TestMoveToAnotherDisk(t *testing.T) {
	far := otherDisk(t)
	root := tree(t, "a/x.csv", "a/link.csv -> x.csv")
	if err := os.Chmod(root+"/a/x.csv", 0o640); err != nil {
		t.Fatal(err)
	}
	put(t, far+"/2026/a/x.csv", []byte("another"), then)
	d := newDir(t, source.Options{Source: "s", After: source.After{Do: source.Move, To: far + "/{yyyy}"}}, root)
	for range 2 {
		for _, name := range []string{"a/link.csv", "a/x.csv"} {
			f := ingest.File{Path: name, Size: int64(len("a/x.csv")), Modified: then.UnixMicro(), Precision: ingest.Micro}
			if err := d.Done(t.Context(), f, loaded); err != nil {
				t.Error(err)
			}
			if name == "a/link.csv" { // what it leads to has not gone yet, the first time
				if led, err := os.Readlink(far + "/2026/a/link.csv"); err != nil || led != root+"/a/x.csv" {
					t.Errorf("the link leads to %q, %v", led, err)
				}
			}
		}
	}
	if left := have(t, root); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
	if data, err := os.ReadFile(far + "/2026/a/x.csv"); err != nil || string(data) != "another" {
		t.Errorf("what was there is %q now, %v", data, err)
	}
	moved := far + "/2026/a/x.20260131T235957.csv"
	data, err := os.ReadFile(moved)
	if err != nil || string(data) != "a/x.csv" {
		t.Errorf("moved %q, %v", data, err)
	}
	if info, err := os.Stat(moved); err != nil || !info.ModTime().Equal(then) || info.Mode() != 0o640 {
		t.Errorf("moved as %v, %v", info, err)
	}
}

// TestMoveTogetherToAnotherDisk checks that files of two sources which get one
// name on another file system at one time arrive there both, and whole.
func TestMoveTogetherToAnotherDisk(t *testing.T) {
	const size = 8 << 20
	far := otherDisk(t)
	var done sync.WaitGroup
	for _, letter := range []string{"a", "b"} {
		root := tree(t)
		put(t, root+"/x.csv", bytes.Repeat([]byte(letter), size), then)
		d := newDir(t, source.Options{Source: letter, After: source.After{Do: source.Move, To: far}}, root)
		f := locate(t, d, "x.csv")
		done.Go(func() {
			if err := d.Done(t.Context(), f, loaded); err != nil {
				t.Error(err)
			}
			if left := have(t, root); len(left) != 0 {
				t.Errorf("left behind: %d files", len(left))
			}
		})
	}
	done.Wait()
	var got []string
	for name, data := range have(t, far) {
		if len(data) != size || len(bytes.Trim(data, string(data[:1]))) > 0 {
			t.Errorf("%s has %d bytes, of both", name, len(data))
		}
		got = append(got, string(data[:1]))
	}
	if slices.Sort(got); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("moved %q", got)
	}
}

// TestTwoOnOneFolder: two sources of one folder, each with patterns of its own.
// The listings of the one leave alone what the other is about to move.
func TestTwoOnOneFolder(t *testing.T) {
	const files = 300
	root := tree(t)
	after := source.After{Do: source.Move, To: "done"}
	a := newDir(t, source.Options{Source: "a", Match: []string{"*.csv"}, After: after}, root)
	b := newDir(t, source.Options{Source: "b", Match: []string{"*.dat"}, After: after}, root)
	for i := range files {
		put(t, fmt.Sprintf("%s/%d.csv", root, i), []byte("x"), then)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var listing sync.WaitGroup
	listing.Go(func() {
		for ctx.Err() == nil {
			for f, err := range b.Files(ctx) {
				if ctx.Err() == nil {
					t.Errorf("listed %v, %v", f, err)
				}
			}
		}
	})
	for f, err := range a.Files(t.Context()) {
		if err != nil {
			t.Error(err)
		} else if err := a.Done(t.Context(), f, loaded); err != nil {
			t.Error(err)
		}
	}
	cancel()
	listing.Wait()
	for name := range have(t, root) {
		if !strings.HasPrefix(name, "done/") {
			t.Errorf("%s is still there", name)
		}
	}
}

// TestPutBackByAnother checks that a file which another process put back, having
// taken it for left behind, does not count as gone.
func TestPutBackByAnother(t *testing.T) {
	root := tree(t, "x.csv")
	after := source.After{Do: source.Move, To: "done/{yyyy}"}
	d := newDir(t, source.Options{Source: "s", After: after}, root)
	f := locate(t, d, "x.csv")
	other := newDir(t, source.Options{Source: "s", After: after}, root)
	ctx, cancel := context.WithCancel(t.Context())
	var listing sync.WaitGroup
	listing.Go(func() {
		for ctx.Err() == nil {
			for _, err := range other.Files(ctx) {
				if err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		}
	})
	for range 200 {
		err := d.Done(t.Context(), f, loaded)
		_, there := os.Stat(root + "/x.csv")
		switch {
		case err == nil && there == nil:
			t.Error("it is there, and counts as gone")
		case err != nil && !errors.Is(err, ingest.ErrChanged):
			t.Error(err)
		}
		put(t, root+"/x.csv", []byte("x.csv"), then)
	}
	cancel()
	listing.Wait()
}

// TestOwnFolderByAnotherName: the folder that files are moved to lies in the
// source's, and is named by another way that leads there, or is led to by a link.
func TestOwnFolderByAnotherName(t *testing.T) {
	for name, to := range map[string]func(root, link string) (dir, to string){
		"the folder by a link": func(root, link string) (string, string) { return link, root + "/done" },
		"to by a link":         func(root, link string) (string, string) { return root, link + "/done" },
	} {
		t.Run(name, func(t *testing.T) {
			root := tree(t, "x.csv", "a/y.csv")
			link := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(root, link); err != nil {
				t.Fatal(err)
			}
			dir, to := to(root, link)
			d := newDir(t, source.Options{Source: "s", After: source.After{Do: source.Move, To: to}}, dir)
			var seen []string
			for range 3 {
				for f, err := range d.Files(t.Context()) {
					if err != nil {
						t.Fatal(err)
					}
					seen = append(seen, f.Path)
					if err := d.Done(t.Context(), f, loaded); err != nil {
						t.Fatal(err)
					}
				}
			}
			if slices.Sort(seen); !slices.Equal(seen, []string{"a/y.csv", "x.csv"}) {
				t.Errorf("listed and moved %q", seen)
			}
		})
	}
}

// TestNowhereToMove checks that a file stays where it is, under its name, when
// it cannot be moved.
func TestNowhereToMove(t *testing.T) {
	for name, to := range map[string]string{"a file is in the way": "in-the-way/done", "a file system of its own kind": "/proc/done"} {
		t.Run(name, func(t *testing.T) {
			root := tree(t, "a/x.csv", "in-the-way")
			d := newDir(t, source.Options{Source: "s", After: source.After{Do: source.Move, To: to}}, root)
			f := locate(t, d, "a/x.csv")
			for range 2 {
				says(t, d.Done(t.Context(), f, loaded), "move a/x.csv")
			}
			if left := have(t, root); string(left["a/x.csv"]) != "a/x.csv" || len(left) != 2 {
				t.Errorf("there are %q", left)
			}
		})
	}
	t.Run("a disk that is full", func(t *testing.T) {
		full, root := smallDisk(t), tree(t)
		put(t, root+"/x.csv", make([]byte, 1<<20), then)
		d := newDir(t, source.Options{Source: "s", After: source.After{Do: source.Move, To: full}}, root)
		f := locate(t, d, "x.csv")
		for range 2 {
			says(t, d.Done(t.Context(), f, loaded), "move x.csv", "no space left")
		}
		if left := have(t, root); len(left["x.csv"]) != 1<<20 || len(left) != 1 || len(have(t, full)) != 0 {
			t.Errorf("there are %d files, and %d on the full disk", len(left), len(have(t, full)))
		}
	})
}

// smallDisk mounts a file system of 64 KiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("not allowed to mount a file system: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// packAs writes an archive of members, each with its own name as content.
func packAs(t *testing.T, path string, members ...string) {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range members {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Modified: then})
		if err == nil && !strings.HasSuffix(name, "/") {
			_, err = f.Write([]byte(name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	put(t, path, b.Bytes(), then)
}

// TestArchiveDone checks that an archive goes with the last of its members that
// count, and not before, and that one that is broken takes it to the others.
func TestArchiveDone(t *testing.T) {
	broken := ingest.Outcome{State: ingest.Quarantined}
	held := ingest.Outcome{State: ingest.Held}
	known := ingest.Outcome{State: ingest.Known, Standing: ingest.Loaded}
	for _, c := range []struct {
		name     string
		options  source.Options
		outcomes map[string]ingest.Outcome
		want     string // where the archive is then
	}{
		{"all loaded", source.Options{}, map[string]ingest.Outcome{"x.csv": loaded, "b/y.csv": loaded, ".hidden": loaded, "z.txt": known}, "done/a/all.zip"},
		{"one held", source.Options{}, map[string]ingest.Outcome{"x.csv": loaded, "b/y.csv": held, "z.txt": loaded}, "a/all.zip"},
		{"one broken", source.Options{}, map[string]ingest.Outcome{"x.csv": loaded, "b/y.csv": broken, "z.txt": loaded}, "quarantine/a/all.zip"},
		{"one not wanted", source.Options{Match: []string{"*.csv"}}, map[string]ingest.Outcome{"x.csv": loaded, "b/y.csv": loaded}, "a/all.zip"},
		{"one ignored", source.Options{Ignore: []string{"**/.*", "*.txt"}}, map[string]ingest.Outcome{"x.csv": loaded, "b/y.csv": loaded}, "done/a/all.zip"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := tree(t, "a/")
			packAs(t, root+"/a/all.zip", "x.csv", "b/", "b/y.csv", ".hidden", "z.txt", "x.csv")
			c.options.Source, c.options.After = "s", source.After{Do: source.Move, To: "done"}
			d := newDir(t, c.options, root)
			defer d.Close()
			for _, name := range slices.Sorted(maps.Keys(c.outcomes)) {
				if _, err := os.Stat(root + "/a/all.zip"); err != nil {
					t.Errorf("before %s: %v", name, err)
				}
				f := locate(t, d, "a/all.zip!"+name)
				for range 2 {
					if err := d.Done(t.Context(), f, c.outcomes[name]); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			}
			all := have(t, root)
			if _, ok := all[c.want]; !ok || len(all) != 1 {
				t.Errorf("the archive is not %s alone, but %d files", c.want, len(all))
			}
			if paths, faults := listing(t, d); c.want != "a/all.zip" && (len(paths) > 0 || len(faults) > 0) {
				t.Errorf("listed %q, %v", paths, faults)
			}
		})
	}
}

// TestArchiveAnew checks that what is done of an archive does not count for
// another that took its place, and that one that came anew is done anew.
func TestArchiveAnew(t *testing.T) {
	root := tree(t)
	d := newDir(t, source.Options{Source: "s", After: source.After{Do: source.Delete}}, root)
	defer d.Close()
	for i := range 100 {
		packAs(t, fmt.Sprintf("%s/%d.zip", root, i), "x.csv", "y.csv")
		if err := d.Done(t.Context(), locate(t, d, fmt.Sprintf("%d.zip!x.csv", i)), loaded); err != nil {
			t.Error(err)
		}
	}
	packAs(t, root+"/7.zip", "x.csv", "y.csv", "z.csv")
	for i := range 100 {
		if err := d.Done(t.Context(), locate(t, d, fmt.Sprintf("%d.zip!y.csv", i)), loaded); err != nil {
			t.Error(err)
		}
	}
	if left := have(t, root); len(left) != 1 || left["7.zip"] == nil {
		t.Errorf("%d archives are left", len(left))
	}
	for _, name := range []string{"x", "z"} {
		if err := d.Done(t.Context(), locate(t, d, "7.zip!"+name+".csv"), loaded); err != nil {
			t.Error(err)
		}
	}
	if left := have(t, root); len(left) != 0 {
		t.Errorf("%d archives are left", len(left))
	}
}

// TestLive checks that a Dir that is live reports a folder that is missing at
// each listing, and finds it whenever it is there.
func TestLive(t *testing.T) {
	root := filepath.Join(tree(t, "elsewhere/b/y.csv"), "root")
	if _, err := source.NewDir(source.Options{Source: "s"}, root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is missing: %v", err)
	}
	d := newDir(t, source.Options{Source: "s", Live: true}, root)
	for range 2 {
		for range 2 {
			got, faults := listing(t, d)
			if len(got) != 0 || !errors.Is(faults["."], fs.ErrNotExist) || len(faults) != 1 {
				t.Errorf("listed %q, %v", got, faults)
			}
		}
		if err := os.Rename(filepath.Dir(root)+"/elsewhere", root); err != nil {
			t.Fatal(err)
		}
		put(t, root+"/x.csv", []byte("x.csv"), then)
		got, faults := listing(t, d)
		if !slices.Equal(got, []string{"b/y.csv", "x.csv"}) || len(faults) != 0 {
			t.Errorf("listed %q, %v", got, faults)
		}
		var c ingest.Content
		if err := d.Fetch(t.Context(), ingest.File{Source: "s", Path: "x.csv"}, &c); err != nil || string(c.Data) != "x.csv" {
			t.Errorf("fetched %q, %v", c.Data, err)
		}
		if err := os.Rename(root, filepath.Dir(root)+"/elsewhere"); err != nil {
			t.Fatal(err)
		}
		if err := d.Fetch(t.Context(), ingest.File{Source: "s", Path: "x.csv"}, &c); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("fetched %q, %v", c.Data, err)
		}
		if err := d.Done(t.Context(), ingest.File{Source: "s", Path: "x.csv"}, loaded); err != nil {
			t.Error(err)
		}
	}
}

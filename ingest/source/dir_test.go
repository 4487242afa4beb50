package source_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/ingest"
	"penstock/ingest/source"
)

var then = time.Date(2026, 1, 31, 23, 59, 57, 0, time.UTC)

// tree writes files below a new folder, each with its own path as content. A
// path that ends in a slash is a folder; "a -> b" is a link.
func tree(t *testing.T, paths ...string) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		if from, to, ok := strings.Cut(p, " -> "); ok {
			if err := os.Symlink(strings.ReplaceAll(to, "ROOT", root), filepath.Join(root, from)); err != nil {
				t.Fatal(err)
			}
		} else if strings.HasSuffix(p, "/") {
			if err := os.MkdirAll(filepath.Join(root, p), 0o755); err != nil {
				t.Fatal(err)
			}
		} else {
			put(t, filepath.Join(root, p), []byte(p), then)
		}
	}
	return root
}

// listing returns the sorted paths that d lists, and the errors by path.
func listing(t *testing.T, d *source.Dir) (paths []string, faults map[string]error) {
	t.Helper()
	faults = make(map[string]error)
	for f, err := range d.Files(t.Context()) {
		switch {
		case err == nil:
			paths = append(paths, f.Path)
		case faults[f.Path] != nil:
			t.Errorf("%s is reported twice: %v, %v", escaped(f.Path), faults[f.Path], err)
		default:
			faults[f.Path] = err
		}
	}
	slices.Sort(paths)
	if all := slices.Compact(slices.Clone(paths)); len(all) != len(paths) {
		t.Errorf("listed a path twice: %q", paths)
	}
	return paths, faults
}

// TestNames checks which files are listed, and under what names, for PATHs and
// options of all kinds.
func TestNames(t *testing.T) {
	for _, c := range []struct {
		name    string
		tree    []string
		options source.Options
		paths   []string // below the tree's root
		want    []string // likewise, unless the source has a name
	}{
		{"folders and files", []string{"a/x.csv", "a/b/y.csv", "z.csv"}, source.Options{}, []string{"a", "z.csv"}, []string{"a/b/y.csv", "a/x.csv", "z.csv"}},
		{"below the PATH", []string{"a/x.csv", "a/b/y.csv", "z.csv"}, source.Options{Source: "s"}, []string{"a", "z.csv"}, []string{"b/y.csv", "x.csv", "z.csv"}},
		{"repeated", []string{"a/x.csv"}, source.Options{}, []string{"a", "a/", "a/../a", "a/x.csv", "a/x.csv"}, []string{"a/x.csv"}},
		{"overlapping", []string{"a/x.csv", "a/b/y.csv", "a/b/c/z.csv"}, source.Options{}, []string{"a/b", "a", "a/b/c"}, []string{"a/b/c/z.csv", "a/b/y.csv", "a/x.csv"}},
		{"overlapping, named", []string{"a/x.csv", "a/b/y.csv"}, source.Options{Source: "s"}, []string{"a", "a/b"}, []string{"x.csv", "y.csv"}},
		{"a link as PATH keeps its name", []string{"a/x.csv", "now -> a"}, source.Options{}, []string{"now"}, []string{"now/x.csv"}},
		{"a folder and a link to it", []string{"a/x.csv", "now -> a"}, source.Options{}, []string{"a", "now"}, []string{"a/x.csv"}},
		{"hidden", []string{"a/x.csv", "a/.x.csv.tmp", "a/.git/y.csv", "a/.b/c/z.csv"}, source.Options{}, []string{"a"}, []string{"a/x.csv"}},
		{"hidden, but given", []string{".a/x.csv", ".a/.y.csv", "b/.z.csv"}, source.Options{}, []string{".a", "b/.z.csv"}, []string{".a/x.csv", "b/.z.csv"}},
		{"hidden, and nothing ignored", []string{"a/x.csv", "a/.b/y.csv"}, source.Options{Ignore: []string{}}, []string{"a"}, []string{"a/.b/y.csv", "a/x.csv"}},
		{"match and ignore", []string{"x.csv", "b/y.csv", "b/y.tmp", "old/z.csv", "b/old/w.csv"}, source.Options{Source: "s", Match: []string{"**/*.csv"}, Ignore: []string{"b/old", "**/x*"}}, []string{""}, []string{"b/y.csv", "old/z.csv"}},
		{"match by name, in any folder", []string{"x.csv", "b/y.csv", "b/c/z.csv", "b/y.tmp"}, source.Options{Source: "s", Match: []string{"*.csv"}}, []string{""}, []string{"b/c/z.csv", "b/y.csv", "x.csv"}},
		{"ignore by name, in any folder", []string{"x.csv", "old/y.csv", "b/old/z.csv", "b/older.csv"}, source.Options{Source: "s", Ignore: []string{"old"}}, []string{""}, []string{"b/older.csv", "x.csv"}},
		{"match across folders", []string{"s1/in/x.csv", "s2/in/y.csv", "s1/out/z.csv"}, source.Options{Source: "s", Match: []string{"s?/**/in/*.{csv,dat}"}}, []string{""}, []string{"s1/in/x.csv", "s2/in/y.csv"}},
		{"links to files are files", []string{"a/x.csv", "a/y.csv -> x.csv"}, source.Options{}, []string{"a"}, []string{"a/x.csv", "a/y.csv"}},
		{"a link to a listed folder", []string{"a/m/x.csv", "a/b -> m", "a/z -> m"}, source.Options{}, []string{"a"}, []string{"a/m/x.csv"}},
		{"a link to a hidden folder", []string{"a/.m/x.csv", "a/b -> .m"}, source.Options{}, []string{"a"}, []string{"a/b/x.csv"}},
		{"a link out", []string{"a/x.csv", "out/y.csv", "out/deep/z.csv", "a/b -> ROOT/out"}, source.Options{}, []string{"a"}, []string{"a/b/deep/z.csv", "a/b/y.csv", "a/x.csv"}},
		{"a link into what a link out leads to", []string{"out/deep/z.csv", "a/b -> ../out", "out/again -> ROOT/out/deep"}, source.Options{}, []string{"a"}, nil},
		{"a link to another PATH", []string{"a/x.csv", "b/y.csv", "a/b -> ../b"}, source.Options{}, []string{"a", "b"}, []string{"a/x.csv", "b/y.csv"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.want == nil { // "a" has only a link, so it must exist for it
				c.tree = append([]string{"a/"}, c.tree...)
				c.want = []string{"a/b/deep/z.csv"}
			}
			root := tree(t, c.tree...)
			var paths []string
			for _, p := range c.paths {
				paths = append(paths, root+"/"+p)
			}
			d := newDir(t, c.options, paths...)
			got, faults := listing(t, d)
			if len(faults) > 0 {
				t.Errorf("faults: %v", faults)
			}
			want := slices.Clone(c.want)
			if c.options.Source == "" {
				for i := range want {
					want[i] = filepath.Join(root, want[i])
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("listed %q, want %q", got, want)
			}
			for _, path := range got {
				located(t, d, path)
			}
		})
	}
}

// located checks that what was listed as path can be found and fetched by it.
func located(t *testing.T, d *source.Dir, path string) {
	t.Helper()
	f, err := d.Locate(t.Context(), path)
	if err != nil {
		t.Errorf("locate: %v", err)
		return
	}
	var c ingest.Content
	if err := d.Fetch(t.Context(), f, &c); err != nil {
		t.Errorf("fetch: %v", err)
	} else if int64(len(c.Data)) != f.Size || c.File != f || f.Modified != ingest.Micros(then) {
		t.Errorf("located %+v, fetched %+v with %d bytes", f, c.File, len(c.Data))
	}
}

func TestLocate(t *testing.T) {
	root := tree(t, "a/x.csv", "secret.csv")
	put(t, root+"/a/m.zip", zipOf(t, plain("in/y.csv", "yy")), then)
	d := newDir(t, source.Options{Source: "s"}, root+"/a")
	f, err := d.Locate(t.Context(), "m.zip!in/y.csv")
	if err != nil || f.Size != 2 || f.Source != "s" || f.Path != "m.zip!in/y.csv" {
		t.Errorf("located %+v, %v", f, err)
	}
	for path, text := range map[string]string{
		"gone.csv":          "no such file",
		"../secret.csv":     "leads out",
		root + "/a/x.csv":   "leads out",
		"m.zip!gone.csv":    "no such member",
		"gone.zip!x.csv":    "no such file",
		"x.csv!in/y.csv":    "no such file",
		"new\nline\x1b.csv": `new\x0Aline\x1B.csv`,
	} {
		_, err := d.Locate(t.Context(), path)
		says(t, err, text)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v does not wrap %v", err, fs.ErrNotExist)
		}
	}
	_, err = d.Locate(t.Context(), ".")
	says(t, err, "is a folder")

	// Without a source name a path says all, and needs no PATH.
	all := newDir(t, source.Options{})
	if f, err := all.Locate(t.Context(), root+"/a/m.zip!in/y.csv"); err != nil || f.Source != "file" {
		t.Errorf("located %+v, %v", f, err)
	}
	_, err = all.Locate(t.Context(), "x.csv")
	says(t, err, "absolute")
}

func TestNewDirErrors(t *testing.T) {
	root := tree(t, "dangling -> nowhere")
	_, err := source.NewDir(source.Options{Match: []string{"[x"}, Ignore: []string{"{a"}})
	says(t, errors.New(strings.ReplaceAll(err.Error(), "\n", "; ")), `"[x"`, `"{a"`)
	for _, path := range []string{root + "/gone\x1b[31m", root + "/dangling"} {
		_, err = source.NewDir(source.Options{}, root, path)
		says(t, err, "find "+escaped(path), "no such file")
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v does not wrap %v", err, fs.ErrNotExist)
		}
	}
}

func TestSameName(t *testing.T) {
	root := tree(t, "a/x.csv", "b/x.csv", "b/y.csv")
	d := newDir(t, source.Options{Source: "s"}, root+"/a", root+"/b")
	got, faults := listing(t, d)
	if !slices.Equal(got, []string{"x.csv", "y.csv"}) || len(faults) != 1 {
		t.Errorf("listed %q, %v", got, faults)
	}
	says(t, faults["x.csv"], root+"/a/x.csv", root+"/b/x.csv", `"s"`, "names of their own")
	located(t, d, "y.csv")
}

// TestFaults checks that what cannot be listed is said, by path, and that all
// else is listed.
func TestFaults(t *testing.T) {
	t.Run("dangling link", func(t *testing.T) {
		root := tree(t, "x.csv", "bad\n\x1b[31m\xff.csv -> nowhere", "round -> round", ".hidden -> nowhere")
		got, faults := listing(t, newDir(t, source.Options{Source: "s"}, root))
		if !slices.Equal(got, []string{"x.csv"}) || len(faults) != 2 {
			t.Errorf("listed %q, %v", got, faults)
		}
		says(t, faults["bad\n\x1b[31m\xff.csv"], "leads to nothing", `bad\x0A\x1B[31m\xFF.csv`)
		says(t, faults["round"], "symbolic links")
	})
	t.Run("loops", func(t *testing.T) {
		root := tree(t, "top/a/b/x.csv", "top/a/b/here -> .", "top/a/b/up -> ../..", "top/a/out -> ROOT", "top/a/root -> /", "top/y.csv")
		got, faults := listing(t, newDir(t, source.Options{Source: "s"}, root+"/top"))
		if !slices.Equal(got, []string{"a/b/x.csv", "y.csv"}) || len(faults) != 4 {
			t.Errorf("listed %q, %v", got, faults)
		}
		for _, path := range []string{"a/b/here", "a/b/up", "a/out", "a/root"} {
			says(t, faults[path], "follow "+root+"/top/"+path, "leads back")
			if !errors.Is(faults[path], source.ErrLoop) {
				t.Errorf("%v is not ErrLoop", faults[path])
			}
		}
	})
	t.Run("links that lead to one another", func(t *testing.T) {
		root := tree(t, "top/", "p/x.csv", "q/y.csv", "top/p -> ../p", "top/q -> ../q", "p/q -> ../q", "q/p -> ../p")
		got, faults := listing(t, newDir(t, source.Options{}, root+"/top"))
		if len(got) != 2 {
			t.Errorf("listed %q, %v", got, faults)
		}
	})
	t.Run("a name as of a member", func(t *testing.T) {
		root := tree(t, "m.zip!x.csv", "m.zip!z.csv", "n.zip!/w.csv")
		put(t, root+"/m.zip", zipOf(t, plain("x.csv", "x"), plain("y.csv", "y")), then)
		d := newDir(t, source.Options{Source: "s"}, root)
		got, faults := listing(t, d)
		if !slices.Equal(got, []string{"m.zip!x.csv", "m.zip!y.csv", "m.zip!z.csv", "n.zip!/w.csv"}) {
			t.Errorf("listed %q", got)
		}
		for _, path := range got {
			located(t, d, path)
		}
		says(t, faults["m.zip!x.csv"], "rename it")
	})
}

// TestChangedDuringStream writes to a large file in its place, as a logger
// that appends does.
func TestChangedDuringStream(t *testing.T) {
	for name, change := range map[string]func(f *os.File) error{
		"appended": func(f *os.File) error { _, err := f.WriteAt([]byte("more"), ingest.SpoolAbove+1); return err },
		"written":  func(f *os.File) error { _, err := f.WriteAt([]byte("other"), 0); return err },
		"cut":      func(f *os.File) error { return f.Truncate(100) },
		"emptied":  func(f *os.File) error { return f.Truncate(0) },
	} {
		for _, all := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, read to the end %t", name, all), func(t *testing.T) {
				root := t.TempDir()
				put(t, root+"/x.csv", make([]byte, ingest.SpoolAbove+1), then)
				d := newDir(t, source.Options{Source: "s"}, root)
				f, err := d.Locate(t.Context(), "x.csv")
				var c ingest.Content
				if err := errors.Join(err, d.Fetch(t.Context(), f, &c)); err != nil {
					t.Fatal(err)
				}
				if _, err := io.CopyN(io.Discard, c.Stream, 1000); err != nil {
					t.Fatal(err)
				}
				file, err := os.OpenFile(root+"/x.csv", os.O_RDWR, 0)
				if err := errors.Join(err, change(file), file.Close()); err != nil {
					t.Fatal(err)
				}
				if !all {
					if err := c.Close(); err != nil {
						t.Errorf("a stream that was not read to its end vouches for nothing, and said %v", err)
					}
					return
				}
				_, err = io.Copy(io.Discard, c.Stream)
				says(t, err, "changed while it was fetched", "x.csv")
				closed := c.Close()
				if !errors.Is(err, ingest.ErrChanged) || !errors.Is(closed, ingest.ErrChanged) {
					t.Errorf("read %v, close %v", err, closed)
				}
			})
		}
	}
}

// TestALargeFileGrowsWhileItIsRead appends to a large file while it is read: it is
// read up to where it ended, if that is the end of a line, and if it is still the
// same file up to there.
func TestALargeFileGrowsWhileItIsRead(t *testing.T) {
	lines := bytes.Repeat([]byte("one more line..\n"), ingest.SpoolAbove/16+1)
	for _, c := range []struct {
		name   string
		text   []byte
		change func(f *os.File) error
		well   bool
	}{
		{"by a line", lines, func(f *os.File) error { _, err := f.WriteAt([]byte("and another\n"), int64(len(lines))); return err }, true},
		{"by a piece of one", lines, func(f *os.File) error { _, err := f.WriteAt([]byte("and"), int64(len(lines))); return err }, true},
		{"behind a piece of a line", lines[:len(lines)-1], func(f *os.File) error { _, err := f.WriteAt([]byte(".\nand"), int64(len(lines)-1)); return err }, false},
		{"and is written anew", lines, func(f *os.File) error {
			_, err := f.WriteAt(append([]byte("two"), lines...), 0)
			return err
		}, false},
		{"and is written anew from there on", lines, func(f *os.File) error {
			_, err := f.WriteAt([]byte("another line..\nand more\n"), int64(len(lines)-16))
			return err
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			put(t, root+"/x.csv", c.text, then)
			d := newDir(t, source.Options{Source: "s"}, root)
			f, err := d.Locate(t.Context(), "x.csv")
			var content ingest.Content
			if err := errors.Join(err, d.Fetch(t.Context(), f, &content)); err != nil {
				t.Fatal(err)
			}
			read := bytes.NewBuffer(nil)
			if _, err := io.CopyN(read, content.Stream, int64(len(c.text))); err != nil {
				t.Fatal(err)
			}
			file, err := os.OpenFile(root+"/x.csv", os.O_RDWR, 0)
			if err := errors.Join(err, c.change(file), file.Close()); err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(read, content.Stream)
			closed := content.Close()
			if c.well {
				if err != nil || closed != nil || !bytes.Equal(read.Bytes(), c.text) || content.File.Size != int64(len(c.text)) {
					t.Errorf("%d bytes of %d, then %v, close %v", read.Len(), len(c.text), err, closed)
				}
			} else if !errors.Is(err, ingest.ErrChanged) || !errors.Is(closed, ingest.ErrChanged) {
				t.Errorf("read %v, close %v", err, closed)
			}
		})
	}
}

// TestChangedBeforeItIsReadAgain writes to a large file that was read once: what a
// logger appends is no change for whoever knows the bytes before it.
func TestChangedBeforeItIsReadAgain(t *testing.T) {
	const size = ingest.SpoolAbove + 1
	for name, change := range map[string]func(f *os.File) error{
		"appended": func(f *os.File) error { _, err := f.WriteAt([]byte("more"), size); return err },
		"written":  func(f *os.File) error { _, err := f.WriteAt([]byte("other"), 0); return err },
		"cut":      func(f *os.File) error { return f.Truncate(100) },
	} {
		for _, known := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, known %t", name, known), func(t *testing.T) {
				root := t.TempDir()
				put(t, root+"/x.csv", make([]byte, size), then)
				d := newDir(t, source.Options{Source: "s"}, root)
				f, err := d.Locate(t.Context(), "x.csv")
				var c ingest.Content
				if err := errors.Join(err, d.Fetch(t.Context(), f, &c)); err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, c.Stream); err != nil {
					t.Fatal(err)
				}
				file, err := os.OpenFile(root+"/x.csv", os.O_RDWR, 0)
				if err := errors.Join(err, change(file), file.Close(), c.Stream.(ingest.Rewinder).Rewind(known)); err != nil {
					t.Fatal(err)
				}
				n, err := io.Copy(io.Discard, c.Stream)
				closed := c.Close()
				if known && name == "appended" {
					if n != size || err != nil || closed != nil {
						t.Errorf("%d bytes of %d, then %v, close %v", n, size, err, closed)
					}
				} else if !errors.Is(err, ingest.ErrChanged) || !errors.Is(closed, ingest.ErrChanged) {
					t.Errorf("read %v, close %v", err, closed)
				}
			})
		}
	}
}

// TestChangedDuringFetch has a writer append all the while: what Fetch returns
// ends where one of the writes ended, or it is ErrChanged; also where the listing
// told nothing of the file.
func TestChangedDuringFetch(t *testing.T) {
	for _, seen := range []bool{true, false} {
		t.Run(fmt.Sprintf("seen %t", seen), func(t *testing.T) { changedDuringFetch(t, seen) })
	}
}

func changedDuringFetch(t *testing.T, seen bool) {
	const start, lines = 64 << 10, 5000
	line := []byte("one more line..\n") // no page ends within one: a write across two is seen half done
	root := t.TempDir()
	put(t, root+"/x.csv", make([]byte, start), then)
	d := newDir(t, source.Options{Source: "s"}, root)
	f, err := d.Locate(t.Context(), "x.csv")
	if err != nil {
		t.Fatal(err)
	}
	if !seen {
		f = ingest.File{Source: f.Source, Path: f.Path, Size: -1}
	}
	written := make(chan error, 1)
	go func() {
		file, err := os.OpenFile(root+"/x.csv", os.O_WRONLY|os.O_APPEND, 0)
		for range lines {
			if err == nil {
				_, err = file.Write(line)
			}
		}
		written <- errors.Join(err, file.Close())
	}()
	var changed, whole int
	var c ingest.Content
	for writing := true; writing; {
		select {
		case err := <-written:
			if err != nil {
				t.Error(err)
			}
			writing = false // and one more Fetch, of the whole file
		default:
		}
		switch err := d.Fetch(t.Context(), f, &c); {
		case errors.Is(err, ingest.ErrChanged) && writing:
			changed++
		case err != nil:
			t.Fatal(err)
		default:
			whole++
			if int64(len(c.Data)) != c.File.Size || (len(c.Data)-start)%len(line) != 0 {
				t.Errorf("fetched %d bytes of a file of %d", len(c.Data), c.File.Size)
			}
		}
	}
	if len(c.Data) != start+lines*len(line) {
		t.Errorf("at last fetched %d bytes", len(c.Data))
	}
	t.Logf("%d times whole, %d times changed", whole, changed)
}

package source_test

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/ingest"
	"penstock/ingest/source"
	"penstock/ingest/source/sourcetest"
)

func TestDirNamed(t *testing.T) {
	sourcetest.Test(t, sourcetest.Place{Names: sourcetest.OddNames, Open: func(t *testing.T) sourcetest.Site {
		return &tidySite{folderSite{t: t, root: t.TempDir(), name: "field"}}
	}})
}

func TestDirAbsolute(t *testing.T) {
	if sourcetest.UnderRace {
		t.Skip("to goroutines it is what TestDirNamed is; the paths are for the suite without the race detector")
	}
	sourcetest.Test(t, sourcetest.Place{Names: sourcetest.OddNames, Open: func(t *testing.T) sourcetest.Site {
		return &folderSite{t: t, root: t.TempDir()}
	}})
}

func TestZip(t *testing.T) {
	names := append(slices.Clone(sourcetest.OddNames), "../../up.csv", "/etc/absolute.csv", "a/../b.csv", "a//b.csv", "nested.zip")
	sourcetest.Test(t, sourcetest.Place{Names: names, Members: true, Open: func(t *testing.T) sourcetest.Site {
		s := &zipSite{t: t, root: t.TempDir(), members: make(map[string]zipMember)}
		s.write()
		return s
	}})
}

// A folderSite is a folder, read with or without a source name.
type folderSite struct {
	t          *testing.T
	root, name string
}

func (s *folderSite) Put(path string, data []byte, modified time.Time) {
	put(s.t, filepath.Join(s.root, path), data, modified)
}

func (s *folderSite) Remove(path string) {
	if err := os.Remove(filepath.Join(s.root, path)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *folderSite) Source() ingest.Source {
	return newDir(s.t, source.Options{Source: s.name}, s.root)
}

func (s *folderSite) Path(path string) string {
	if s.name != "" {
		return path
	}
	return filepath.Join(s.root, path)
}

// A tidySite is a folder from which files go when they are done.
type tidySite struct{ folderSite }

func (s *tidySite) Tidying(after source.After) ingest.Source {
	return newDir(s.t, source.Options{Source: s.name, After: after}, s.root)
}

func (s *tidySite) Have() map[string][]byte { return have(s.t, s.root) }

// have returns the content of each file below root, by path.
func have(t testing.TB, root string) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		all[path[len(root)+1:]] = data
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// put writes a file beside path and renames it.
func put(t testing.TB, path string, data []byte, modified time.Time) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	temp := filepath.Join(filepath.Dir(path), ".put")
	if err := os.WriteFile(temp, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(temp, modified, modified); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temp, path); err != nil {
		t.Fatal(err)
	}
}

func newDir(t testing.TB, o source.Options, paths ...string) *source.Dir {
	t.Helper()
	d, err := source.NewDir(o, paths...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A zipSite is a zip archive. It is written anew for each change once its
// source was asked for.
type zipSite struct {
	t       *testing.T
	root    string
	members map[string]zipMember
	read    bool
}

type zipMember struct {
	data     []byte
	modified time.Time
}

func (s *zipSite) Put(path string, data []byte, modified time.Time) {
	s.members[path] = zipMember{data, modified}
	if s.read {
		s.write()
	}
}

func (s *zipSite) Remove(path string) {
	delete(s.members, path)
	if s.read {
		s.write()
	}
}

func (s *zipSite) Source() ingest.Source {
	if !s.read {
		s.write()
		s.read = true
	}
	return newDir(s.t, source.Options{Source: "field"}, s.root)
}

func (s *zipSite) Path(path string) string { return "all.ZIP!" + path }

func (s *zipSite) write() {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	w.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.HuffmanOnly) })
	for _, path := range slices.Sorted(maps.Keys(s.members)) {
		m := s.members[path]
		h := &zip.FileHeader{Name: path, Modified: m.modified, Method: zip.Deflate}
		if len(m.data)%3 == 0 {
			h.Method = zip.Store
		}
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = f.Write(m.data)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		s.t.Fatal(err)
	}
	put(s.t, filepath.Join(s.root, "all.ZIP"), b.Bytes(), time.Now())
}

// escaped is path as a message shows it.
func escaped(path string) string { return ingest.EscapePath(path) }

// says fails unless err's message has all of the parts.
func says(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one that says %q", parts)
		return
	}
	t.Logf("the message: %v", err)
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	if strings.ContainsAny(err.Error(), "\x1b\n") {
		t.Errorf("%q has control codes in it", err)
	}
}

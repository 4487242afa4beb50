package archive_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"penstock/ingest"
	"penstock/ingest/source/archive"
	"penstock/ingest/source/sourcetest"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// open opens an archive in dir, closed with the test.
func open(t testing.TB, dir string, o archive.Options) *archive.Archive {
	t.Helper()
	a, err := archive.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func keeper(t testing.TB, a *archive.Archive, source string) *archive.Keeper {
	t.Helper()
	k, err := a.Keeper(source)
	if err != nil {
		t.Fatal(err)
	}
	k.SetClock(func() time.Time { return noon })
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

// content is a file as a source fetches it.
func content(path string, data []byte) *ingest.Content {
	return &ingest.Content{
		File:    ingest.File{Source: "site", Path: path, Size: int64(len(data)), Modified: ingest.Micros(noon) - 5e6, Precision: ingest.Second},
		Fetched: ingest.Micros(noon), FirstFetched: ingest.Micros(noon) - 7, Data: data,
	}
}

func keep(t testing.TB, k *archive.Keeper, path string, data []byte) ingest.Place {
	t.Helper()
	at, err := k.Keep(t.Context(), content(path, data), sha256.Sum256(data))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func sync(t testing.TB, k *archive.Keeper) {
	t.Helper()
	if err := k.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func fetched(t testing.TB, a interface {
	Fetch(ctx context.Context, at ingest.Place, c *ingest.Content) error
}, at ingest.Place) (*ingest.Content, []byte) {
	t.Helper()
	c := &ingest.Content{}
	if err := a.Fetch(t.Context(), at, c); err != nil {
		t.Fatal(err)
	}
	data := c.Data
	if c.Stream != nil {
		var err error
		if data, err = io.ReadAll(c.Stream); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return c, data
}

// TestKeep keeps files of all sorts and reads each back, before and after they
// are synced, from the process that writes and from another.
func TestKeep(t *testing.T) {
	sourcetest.OneGoroutine(t)
	dir := t.TempDir()
	a := open(t, dir, archive.Options{})
	k := keeper(t, a, "site/Ost")
	random := make([]byte, 3<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(random) // never fails
	files := map[string][]byte{
		"a/empty.csv": {}, "\xff\n;raw": []byte("x"), "big.csv": random,
		"long.csv": bytes.Repeat([]byte("2026-01-01T00:00:00Z,flow,1.5\n"), 40_000),
	}
	for i := range 3000 {
		files[fmt.Sprintf("L%04d.csv", i)] = fmt.Appendf(nil, "logger,channel,timestamp,value\nL%04d,flow,2026-01-01T00:00:00Z,%d.5\n", i, i)
	}
	places := make(map[string]ingest.Place)
	check := func(a *archive.Archive) {
		for path, at := range places {
			c, data := fetched(t, a, at)
			want := content(path, files[path])
			want.File.Source = "site/Ost"
			if !bytes.Equal(data, files[path]) || c.File != want.File || c.Fetched != want.Fetched || c.FirstFetched != want.FirstFetched || c.Place != at {
				t.Fatalf("%q at %v: %d bytes, %+v", path, at, len(data), c.File)
			}
		}
	}
	n := 0
	for path, data := range files {
		places[path] = keep(t, k, path, data)
		if n++; n%50 == 0 {
			if _, got := fetched(t, k, places[path]); !bytes.Equal(got, data) {
				t.Fatalf("%q is not what was kept a moment ago", path)
			}
		}
		if n%700 == 0 {
			sync(t, k)
		}
	}
	sync(t, k)
	if n := a.Unsettled("site/Ost"); n < 3<<20 || a.Unsettled("site") != 0 {
		t.Errorf("%d bytes are not settled", n)
	}
	check(a)
	check(open(t, dir, archive.Options{}))
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	check(a)
	packs, err := a.Packs("")
	if err != nil || len(packs) != 1 || packs[0].Source != "site/Ost" || !packs[0].Hour.Equal(noon) || !packs[0].Open {
		t.Fatalf("packs %+v, %v", packs, err)
	}
	listed := 0
	for e, err := range a.Entries(t.Context(), packs[0].Name) {
		if err != nil || e.Place != places[e.File.Path] || e.Sum != sha256.Sum256(files[e.File.Path]) || e.Bytes != int64(len(files[e.File.Path])) {
			t.Fatalf("listed %+v, %v", e, err)
		}
		listed++
	}
	if listed != len(files) {
		t.Errorf("%d of %d files are listed", listed, len(files))
	}
	for _, at := range places {
		k.Settle(at)
	}
	if packs, _ = a.Packs("site/Ost"); len(packs) != 1 || packs[0].Open {
		t.Errorf("once all is settled: %+v", packs)
	}
}

// TestKeepAgain keeps a path's bytes anew only where they are not those that
// were kept of it last.
func TestKeepAgain(t *testing.T) {
	k := keeper(t, open(t, t.TempDir(), archive.Options{}), "site")
	first := keep(t, k, "x", []byte("A"))
	if again := keep(t, k, "x", []byte("A")); again != first {
		t.Errorf("the same bytes are kept twice: %v and %v", first, again)
	}
	if other := keep(t, k, "y", []byte("A")); other == first {
		t.Error("another path has the first's place")
	}
	second := keep(t, k, "x", []byte("B"))
	if third := keep(t, k, "x", []byte("A")); third == first || third == second {
		t.Error("A, B, A are not three versions")
	}
}

// A flood is a stream of n bytes that ends with err.
type flood struct {
	n, at  int64
	err    error
	closed error
}

func (f *flood) Read(p []byte) (int, error) {
	if f.at == f.n {
		return 0, f.err
	}
	n := min(int64(len(p)), f.n-f.at, 70_001)
	for i := range p[:n] {
		p[i] = byte((f.at + int64(i)) % 251)
	}
	f.at += n
	return int(n), nil
}

func (f *flood) Close() error { return f.closed }

// TestKeepStream keeps large files, and none of those that fail under way.
func TestKeepStream(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir, archive.Options{})
	k := keeper(t, a, "site")
	const n = ingest.SpoolAbove + 12345
	c := content("large.csv", nil)
	c.File.Size = n
	c.Stream = &flood{n: n, err: io.EOF}
	at, err := k.Keep(t.Context(), c, ingest.Digest{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Stream == nil || c.File != (ingest.File{Source: "site", Path: "large.csv", Size: n, Modified: ingest.Micros(noon) - 5e6, Precision: ingest.Second}) {
		t.Fatalf("after keeping: %+v", c)
	}
	want, _ := io.ReadAll(&flood{n: n, err: io.EOF})
	for range 2 {
		if got, err := io.ReadAll(c.Stream); err != nil || !bytes.Equal(got, want) {
			t.Errorf("the stream that is left gives %d bytes, %v", len(got), err)
		}
		if err := c.Stream.(ingest.Rewinder).Rewind(false); err != nil {
			t.Error(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if c, got := fetched(t, a, at); !bytes.Equal(got, want) || len(c.Data) > 0 {
		t.Errorf("fetched %d bytes", len(got))
	}
	for name, f := range map[string]*flood{
		"cut":      {n: n, err: io.ErrUnexpectedEOF},
		"refused":  {n: 5, err: errors.New("550")},
		"changed":  {n: n, err: io.EOF, closed: ingest.ErrChanged},
		"changed2": {n: n, err: ingest.ErrChanged, closed: ingest.ErrChanged},
	} {
		c := content(name, nil)
		c.File.Size, c.Stream = n, f
		_, err := k.Keep(t.Context(), c, ingest.Digest{})
		if err == nil || errors.Is(f.closed, ingest.ErrChanged) && !errors.Is(err, ingest.ErrChanged) || c.Stream != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	k.Settle(at)
	files, _ := filepath.Glob(dir + "/*/*")
	if len(files) != 1 {
		t.Errorf("left in the archive: %v", files)
	}
}

// TestHours turns to another pack with the hour and when one is full, and
// deletes those whose time has come, but none with files that were not settled.
func TestHours(t *testing.T) {
	a := open(t, t.TempDir(), archive.Options{MaxAge: 24 * time.Hour})
	k := keeper(t, a, "site")
	now := noon
	k.SetClock(func() time.Time { return now })
	var places []ingest.Place
	for i := range 5 {
		places = append(places, keep(t, k, fmt.Sprint(i), []byte("data")))
		now = now.Add(time.Hour)
	}
	if err := k.Tidy(); err != nil {
		t.Fatal(err)
	}
	k.Settle(places[0], places[2], places[3], places[4])
	done, err := a.Expire(t.Context(), noon.Add(28*time.Hour-time.Minute))
	if err != nil || done.Packs != 2 {
		t.Fatalf("deleted %+v, %v", done, err)
	}
	for i, at := range places {
		err := a.Fetch(t.Context(), at, &ingest.Content{})
		if gone := i == 0 || i == 2; gone != errors.Is(err, archive.ErrGone) {
			t.Errorf("file %d: %v", i, err)
		}
	}
	if again := keep(t, k, "0", []byte("data")); again == places[0] {
		t.Error("what was deleted is not kept again")
	}
}

// TestSize keeps to a size.
func TestSize(t *testing.T) {
	a := open(t, t.TempDir(), archive.Options{MaxBytes: 2500})
	k := keeper(t, a, "site")
	now := noon
	k.SetClock(func() time.Time { return now })
	for i := range 4 {
		data := make([]byte, 1000)
		_, _ = rand.NewChaCha8([32]byte{byte(i)}).Read(data)
		k.Settle(keep(t, k, fmt.Sprint(i), data))
		now = now.Add(time.Hour)
	}
	done, err := a.Expire(t.Context(), now)
	if err != nil || done.Packs != 2 || done.Left > 2500 {
		t.Errorf("deleted %+v, %v", done, err)
	}
	a.Retain(0, 1000)
	if done, err = a.Expire(t.Context(), now); err != nil || done.Packs != 1 || done.Left > 1000 {
		t.Errorf("after that, to another size, deleted %+v, %v", done, err)
	}
}

// TestIs tells an archive by its packs, whatever lies beside them and however
// many sources have none any more.
func TestIs(t *testing.T) {
	dir := t.TempDir()
	folder := func(name string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	folder("lost+found")
	for _, other := range []string{"note.txt", "lost+found/plan.pack", "lost+found/x.open"} {
		if err := os.WriteFile(filepath.Join(dir, other), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if archive.Is(dir) || archive.Is(dir+"/nothing") || archive.Is(dir+"/note.txt") {
		t.Error("what has no pack is taken for an archive")
	}
	a := open(t, dir, archive.Options{MaxAge: time.Hour})
	now := noon
	for _, source := range []string{"old", "new"} {
		k := keeper(t, a, source)
		k.SetClock(func() time.Time { return now })
		k.Settle(keep(t, k, "0", []byte(source)))
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		now = now.Add(24 * time.Hour)
	}
	folder("emptied")
	if done, err := a.Expire(t.Context(), now.Add(-23*time.Hour)); err != nil || done.Packs != 1 || !archive.Is(dir) {
		t.Errorf("deleted %+v, %v, and then it is an archive: %t", done, err, archive.Is(dir))
	}
	if _, err := os.Stat(dir + "/old"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the emptied folder is still there: %v", err)
	}
	k := keeper(t, a, "old")
	keep(t, k, "1", []byte("again"))
	if packs, err := a.Packs("old"); err != nil || len(packs) != 1 {
		t.Errorf("the source has the packs %v, %v", packs, err)
	}
}

// TestDamage reads around damage in the midst of a pack, and says where it is.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir, archive.Options{})
	k := keeper(t, a, "site")
	random := rand.NewChaCha8([32]byte{1})
	var places []ingest.Place
	for i := range 12 {
		data := make([]byte, 50_000)
		_, _ = random.Read(data)
		places = append(places, keep(t, k, fmt.Sprint(i), data))
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	path := dir + "/" + places[0].Pack + ".pack"
	pack, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	pack[300_000] ^= 1
	if err := os.WriteFile(path, pack, 0o666); err != nil {
		t.Fatal(err)
	}
	a = open(t, dir, archive.Options{}) // which remembers nothing
	lost := 0
	for _, at := range places {
		err := a.Fetch(t.Context(), at, &ingest.Content{})
		if err != nil {
			lost++
			if !strings.Contains(err.Error(), "damaged") || errors.Is(err, archive.ErrGone) {
				t.Errorf("said of damage: %v", err)
			}
		}
	}
	listed, faults := 0, 0
	for _, err := range a.Entries(t.Context(), places[0].Pack) {
		if err != nil {
			faults++
		} else {
			listed++
		}
	}
	if lost == 0 || lost > 3 || listed != 12-lost || faults == 0 {
		t.Errorf("one bit took %d of 12 files; %d are listed, with %d faults", lost, listed, faults)
	}
}

// TestGrown keeps a file whole and then what it gained, several times, and reads
// it back whole as it was each time.
func TestGrown(t *testing.T) {
	a := open(t, t.TempDir(), archive.Options{})
	k := keeper(t, a, "site")
	text := bytes.Repeat([]byte("2026-05-01T12:00:00Z,1.5\n"), 2000)
	type version struct {
		at   ingest.Place
		size int
	}
	size := 10_010 // within a line
	versions := []version{{keep(t, k, "x", text[:size]), size}}
	for size < len(text)-9000 {
		before := versions[len(versions)-1]
		read := bytes.LastIndexByte(text[:size], '\n') + 1
		const seam = 75
		size += 4321
		c := content("x", append(bytes.Clone(text[:seam]), text[read:size]...))
		c.File.Size = int64(size)
		c.Gain = &ingest.Gain{Seam: seam, Of: ingest.Growth{At: int64(read), Place: before.at}}
		at, err := k.Keep(t.Context(), c, ingest.Digest{})
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, version{at, size})
	}
	sync(t, k)
	for i, v := range versions {
		if c, got := fetched(t, a, v.at); !bytes.Equal(got, text[:v.size]) || c.File.Size != int64(v.size) {
			t.Errorf("version %d has %d bytes, not %d", i+1, len(got), v.size)
		}
	}
	if again := keep(t, k, "x", text[:versions[0].size]); again == versions[0].at {
		t.Error("a file that grew and shrank is not kept again")
	}
}

// What one Keeper kept and nobody loaded is left over for the next one of the
// same process: a source is begun anew after a reload, a lost lease or an error,
// and may have the file no more.
func TestLeftoverOfTheSameProcess(t *testing.T) {
	a := open(t, t.TempDir(), archive.Options{})
	k := keeper(t, a, "site")
	keep(t, k, "gone.csv", []byte("2026-01-01T00:00:00Z,flow,1.5\n"))
	sync(t, k)
	if left, err := k.Leftover(t.Context()); err != nil || left != nil {
		t.Errorf("what a Keeper waits for itself is left over: %v, %v", left, err)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := keeper(t, a, "site").Leftover(t.Context())
	if err != nil || left == nil {
		packs, _ := a.Packs("site")
		t.Fatalf("nothing is left over, though %d bytes are unsettled in %+v: %v", a.Unsettled("site"), packs, err)
	}
	var paths []string
	for left.Next() {
		for f, err := range left.Files(t.Context()) {
			if err != nil {
				t.Error(err)
			}
			paths = append(paths, f.Path)
		}
	}
	left.Settle()
	if len(paths) != 1 || paths[0] != "gone.csv" || a.Unsettled("site") != 0 {
		t.Errorf("left over: %q; %d bytes are unsettled", paths, a.Unsettled("site"))
	}
}

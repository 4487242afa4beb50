package archive_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"penstock/ingest"
	"penstock/ingest/source/archive"
	"penstock/ingest/source/sourcetest"
)

// TestCrash keeps, syncs and settles at random, and is killed: the packs are
// left with all that was durable and with any part of the rest, or with other
// bytes in its place. Whoever opens the archive then finds all that Sync had
// returned for, and what was not settled is offered again, version by version.
func TestCrash(t *testing.T) {
	sourcetest.OneGoroutine(t)
	rapid.Check(t, func(t *rapid.T) {
		base, err := os.MkdirTemp("", "crash")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(base)
		dir, killed := base+"/live", base+"/killed"
		a, err := archive.Open(dir, archive.Options{})
		if err != nil {
			t.Fatal(err)
		}
		k, err := a.Keeper("site")
		if err != nil {
			t.Fatal(err)
		}
		now := noon
		k.SetClock(func() time.Time { return now })
		kept := make(map[ingest.Place]string) // not yet synced
		safe := make(map[ingest.Place]string) // path and bytes, joined
		open := make(map[ingest.Place]bool)   // safe, not settled
		var durable map[string]int64          // sizes of packs at the last sync
		remember := func() {
			maps.Copy(safe, kept)
			for at := range kept {
				open[at] = true
			}
			clear(kept)
			durable = sizes(dir)
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1:
				if err := k.Sync(t.Context()); err != nil {
					t.Fatal(err)
				}
				remember()
			case 2:
				now = now.Add(time.Hour)
			case 3:
				for at := range open {
					k.Settle(at)
					delete(open, at)
					break
				}
			default:
				c := content(fmt.Sprint("f", rapid.IntRange(0, 5).Draw(t, "path")), []byte(bits(t)))
				at, err := k.Keep(t.Context(), c, sha256.Sum256(c.Data))
				if err != nil {
					t.Fatal(err)
				}
				if _, known := safe[at]; !known {
					kept[at] = c.File.Path + "=" + string(c.Data)
				}
			}
		}
		if rapid.Bool().Draw(t, "end") {
			if err := k.Close(); err != nil {
				t.Fatal(err)
			}
			remember()
		}
		kill(t, dir, killed, durable)
		if err := errors.Join(k.Close(), a.Close()); err != nil {
			t.Fatal(err)
		}
		checkKilled(t, killed, safe, open)
	})
}

// bits draws the bytes of a file: few, many, and now and then more than a run.
func bits(t *rapid.T) string {
	n := rapid.SampledFrom([]int{0, 3, 60, 60, 5000, 400_000}).Draw(t, "size")
	seed := rapid.Uint32().Draw(t, "seed")
	b := make([]byte, n)
	for i := range b {
		seed = seed*1664525 + 1013904223
		b[i] = byte(seed >> 24)
	}
	return string(b)
}

func sizes(dir string) map[string]int64 {
	all := make(map[string]int64)
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			info, _ := d.Info()
			all[path[len(dir):]] = info.Size()
		}
		return nil
	})
	return all
}

// kill copies an archive as a kill, or a power cut, may have left it.
func kill(t *rapid.T, from, to string, durable map[string]int64) {
	all := sizes(from)
	last := "" // the pack that was written; others were made durable when they ended
	for path := range all {
		if filepath.Ext(path) == ".pack" {
			last = max(last, path)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(all)) {
		size := all[path]
		b, err := os.ReadFile(from + path)
		if err != nil {
			t.Fatal(err)
		}
		if path == last && size > durable[path] {
			rest := b[durable[path]:]
			switch rapid.IntRange(0, 2).Draw(t, "torn") {
			case 0:
				rest = rest[:rapid.IntRange(0, len(rest)).Draw(t, "cut")]
			case 1:
				clear(rest[rapid.IntRange(0, len(rest)).Draw(t, "zeroes"):])
			}
			b = b[:durable[path]+int64(len(rest))]
		}
		if err := os.MkdirAll(filepath.Dir(to+path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to+path, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func checkKilled(t *rapid.T, dir string, safe map[ingest.Place]string, open map[ingest.Place]bool) {
	a, err := archive.Open(dir, archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	k, err := a.Keeper("site")
	if err != nil {
		t.Fatal(err)
	}
	offered := make(map[ingest.Place]bool)
	order := make(map[string]ingest.Place)
	for {
		r, err := k.Leftover(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if r == nil {
			break
		}
		for r.Next() {
			seen := make(map[string]bool)
			for f, err := range r.Files(t.Context()) {
				if err != nil || seen[f.Path] {
					t.Fatalf("offered %q: %v", f.Path, err)
				}
				seen[f.Path] = true
				c := &ingest.Content{}
				if err := r.Fetch(t.Context(), f, c); err != nil {
					t.Fatal(err)
				}
				if was, ok := order[f.Path]; ok && was.Pack == c.Place.Pack && was.Offset >= c.Place.Offset {
					t.Fatalf("%q comes in another order than it was kept", f.Path)
				}
				order[f.Path], offered[c.Place] = c.Place, true
			}
		}
		r.Settle()
	}
	for at, want := range safe {
		c := &ingest.Content{}
		if err := a.Fetch(t.Context(), at, c); err != nil {
			t.Fatalf("what was durable is lost: %v", err)
		}
		if got := c.File.Path + "=" + string(c.Data); got != want {
			t.Fatal("what was durable is not what it was")
		}
		if open[at] && !offered[at] {
			t.Fatalf("%v was not settled and is not offered", at)
		}
	}
	packs, err := a.Packs("")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packs {
		if p.Open {
			t.Fatalf("%s is open still", p.Name)
		}
		for _, err := range a.Entries(t.Context(), p.Name) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(k.Close(), a.Close()); err != nil {
		t.Fatal(err)
	}
}

// FuzzPack reads packs that nobody wrote: whatever is in them, they are read to
// their end, with no more memory than they ask for honestly.
func FuzzPack(f *testing.F) {
	dir := f.TempDir()
	a, err := archive.Open(dir, archive.Options{})
	if err != nil {
		f.Fatal(err)
	}
	k, err := a.Keeper("site")
	if err != nil {
		f.Fatal(err)
	}
	k.SetClock(func() time.Time { return noon })
	for i := range 3 {
		keep(f, k, fmt.Sprint(i), bytes.Repeat([]byte{byte(i)}, 100*i))
		sync(f, k)
	}
	at := keep(f, k, "more", []byte("x"))
	if err := errors.Join(k.Close(), a.Close()); err != nil {
		f.Fatal(err)
	}
	pack, err := os.ReadFile(dir + "/" + at.Pack + ".pack")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pack, at.Offset)
	f.Add(pack[:len(pack)/2], int64(0))
	f.Fuzz(func(t *testing.T, pack []byte, offset int64) {
		dir := t.TempDir()
		if err := os.Mkdir(dir+"/site", 0o777); err != nil {
			t.Fatal(err)
		}
		name := dir + "/site/20260501T120000.000-00"
		if err := os.WriteFile(name+".pack", sealed(pack), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name+".open", nil, 0o666); err != nil {
			t.Fatal(err)
		}
		a := open(t, dir, archive.Options{})
		ctx := context.Background()
		c := &ingest.Content{}
		if err := a.Fetch(ctx, ingest.Place{Pack: "site/20260501T120000.000-00", Offset: offset}, c); err == nil && c.Stream != nil {
			_, _ = io.Copy(io.Discard, c.Stream)
			_ = c.Close()
		}
		listed := 0
		for e, err := range a.Entries(ctx, "site/20260501T120000.000-00") {
			if err == nil {
				if err := a.Fetch(ctx, e.Place, c); err != nil {
					t.Errorf("listed at %v, but %v", e.Place, err)
				}
				if c.Stream != nil {
					_ = c.Close()
				}
				listed++
			}
		}
		k := keeper(t, a, "site")
		if r, err := k.Leftover(ctx); err == nil && r != nil {
			r.Settle()
		}
		for _, err := range a.Entries(ctx, "site/20260501T120000.000-00") {
			if err == nil {
				listed--
			}
		}
		if listed != 0 {
			t.Errorf("after mending there are %d fewer files", listed)
		}
	})
}

// sealed makes the checksums of the blocks right, so that what is behind them
// is read, too.
func sealed(pack []byte) []byte {
	pack = bytes.Clone(pack)
	for at := 0; at+24 <= len(pack) && string(pack[at:at+4]) == "PNK1"; {
		n := int(binary.LittleEndian.Uint32(pack[at+8:]))
		if n < 0 || n > len(pack)-at-24 {
			break
		}
		archive.Seal(pack[at : at+24+n])
		at += 24 + n
	}
	return pack
}

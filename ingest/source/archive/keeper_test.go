package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"penstock/ingest"
)

func contentOf(path, data string) *ingest.Content {
	return &ingest.Content{File: ingest.File{Source: "s", Path: path, Size: int64(len(data))}, Data: []byte(data)}
}

// TestEndFails checks that a pack whose end could not be written, the disk being
// full, is ended when there is room, and goes in its time.
func TestEndFails(t *testing.T) {
	a, err := Open(t.TempDir(), Options{MaxAge: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	k, err := a.Keeper("s")
	if err != nil {
		t.Fatal(err)
	}
	hour := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	k.now = func() time.Time { return hour }
	place, err := k.Keep(t.Context(), contentOf("x", "x"), ingest.Digest{})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := k.pack.file.Close(); err != nil { // so that its end cannot be written
		t.Fatal(err)
	}
	hour = hour.Add(time.Hour)
	if err := k.Tidy(); err == nil {
		t.Fatal("no error")
	}
	k.Settle(place)
	if _, err := k.Keep(t.Context(), contentOf("y", "y"), ingest.Digest{}); err != nil {
		t.Fatal(err)
	}
	if err := k.Tidy(); err != nil { // there is room again
		t.Fatal(err)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Expire(t.Context(), hour.Add(1000*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(a.file(place.Pack, packExt)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is settled and a thousand hours old, and stays: %v", err)
	}
}

// TestNobodyWaits checks that a Keeper goes on after a write that failed where
// what is lost by that has no outcome to wait for: nobody calls Sync for it.
func TestNobodyWaits(t *testing.T) {
	a, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for _, settled := range []bool{true, false} {
		k, err := a.Keeper(fmt.Sprint("s", settled))
		if err != nil {
			t.Fatal(err)
		}
		place, err := k.Keep(t.Context(), contentOf("x", "x"), ingest.Digest{1})
		if err != nil {
			t.Fatal(err)
		}
		if settled {
			k.Settle(place) // it was found known
		}
		if err := k.pack.file.Close(); err != nil { // so that nothing more can be written
			t.Fatal(err)
		}
		if _, err := k.Keep(t.Context(), contentOf("y", strings.Repeat("y", 1<<20)), ingest.Digest{2}); err == nil {
			t.Fatal("no error")
		}
		again, err := k.Keep(t.Context(), contentOf("x", "x"), ingest.Digest{1})
		switch {
		case !settled:
			if err == nil || k.Sync(t.Context()) == nil {
				t.Error("what was kept is lost, and no error says so")
			}
		case err != nil:
			t.Error(err)
		case again.Pack == place.Pack:
			t.Error("it has the place of what was lost")
		default:
			if err := k.Sync(t.Context()); err != nil {
				t.Error(err)
			}
			k.Settle(again)
		}
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	}
}

package archive

import (
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"penstock/ingest"
)

func contentOf(path, data string) *ingest.Content {
	return &ingest.Content{File: ingest.File{Source: "s", Path: path, Size: int64(len(data))}, Data: []byte(data)}
}

// TestEndFails checks that a pack whose end could not be written, the disk being
// full, is taken up again, and goes in its time.
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
	if _, err := k.Keep(t.Context(), contentOf("y", "y"), ingest.Digest{}); err != nil {
		t.Fatal(err)
	}
	left, err := k.Leftover(t.Context())
	if err != nil || left == nil {
		t.Fatalf("left over: %v, %v", left, err)
	}
	left.Settle()
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

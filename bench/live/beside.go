package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"penstock/bench"
)

// A backfill is what a replay loads beside the daemon.
type backfill struct {
	files  int
	live   float64 // files a second that come meanwhile
	maxLag string
}

// inArchive is how many files are packed into one zip archive.
const inArchive = 50_000

// beside takes the time that live files take to be visible while a replay loads
// many old ones into the same database: half of them in folders, half of them as
// members of zip archives.
func beside(ctx context.Context, s *site) (err error) {
	old := filepath.Join(s.dir, "old")
	if err := s.backfill.write(old); err != nil {
		return err
	}
	d, err := s.startWarm(ctx)
	if err != nil {
		return err
	}
	defer func() { err = d.end(err) }()
	w := newWatching()
	var replayed time.Duration
	var said string
	n, wrote, err := s.writeDuring(ctx, w, s.backfill.live, warm, func(context.Context) (err error) {
		replayed, said, err = s.replay(ctx, old)
		return err
	})
	if err != nil {
		return fmt.Errorf("%w\nthe replay said:\n%s", err, said)
	}
	fmt.Fprintf(s.out, "visible after the closing rename while a replay loads %d files beside (--max-live-lag %s), %d files at %.0f/s, looked at every %s:\n  50 of 100 within %s, 95 within %s (aim: 5s), 99 within %s, all within %s\n  the replay took %.1f s, %.0f files/s; %s\n",
		s.backfill.files, s.backfill.maxLag, n, float64(n)/wrote.Seconds(), w.step(wrote), w.within(.5), w.within(.95), w.within(.99), w.within(1),
		replayed.Seconds(), float64(s.backfill.files)/replayed.Seconds(), heldBack(said))
	return nil
}

// writeDuring writes small files, those from the number from on, at that rate for as
// long as something else takes, has w see all of them, and returns how many they
// were and for how long they were written. What it does ends with its context: its
// error ends all of it.
func (s *site) writeDuring(ctx context.Context, w *watching, rate float64, from int, do func(context.Context) error) (n int, wrote time.Duration, err error) {
	looking, cancel := context.WithCancel(ctx)
	defer cancel()
	looked := make(chan error, 1)
	go func() { looked <- w.look(looking, s.store, 20*time.Millisecond) }()
	writing, stop := context.WithCancel(looking)
	done := make(chan error, 1)
	go func() {
		defer stop()
		done <- do(looking)
	}()
	n, wrote, err = s.writeAll(writing, w, rate, from, math.MaxInt32)
	if writing.Err() != nil {
		err = nil // that is how it ends
	}
	if err = errors.Join(err, <-done); err == nil {
		w.ends(n)
		timer := time.AfterFunc(5*time.Minute, cancel)
		err = <-looked
		timer.Stop()
	}
	return n, wrote, err
}

// heldBack is what the replay said about being held back.
func heldBack(said string) string {
	for line := range strings.Lines(said) {
		if strings.HasPrefix(line, "Held back") {
			return strings.TrimSpace(line)
		}
	}
	return "it was not held back"
}

// replay loads the backfill, which it must do whole.
func (s *site) replay(ctx context.Context, dir string) (took time.Duration, said string, err error) {
	var out, notes bytes.Buffer
	cmd := exec.CommandContext(ctx, s.penstock, "replay", "--store", s.store, "--source", "old", "--rank", "-1", "--max-live-lag", s.backfill.maxLag, "-o", "json", dir)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, &out, &notes
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	began := time.Now()
	err = cmd.Run()
	if loaded := fmt.Sprintf(`"loaded": %d,`, s.backfill.files); err == nil && !strings.Contains(out.String(), loaded) {
		err = fmt.Errorf("the replay has not loaded all:\n%s", &out)
	}
	return time.Since(began), notes.String(), err
}

// write writes the files of the backfill: half of them as they are, half of them
// into archives.
func (b *backfill) write(dir string) error {
	whole := bench.Corpus{Files: b.files, Readings: 2}
	half := whole
	half.Files = max(b.files/2, 1)
	if err := half.Write(dir); err != nil {
		return err
	}
	for first := half.Files; first < b.files; first += inArchive {
		path := filepath.Join(dir, fmt.Sprintf("old-%07d.zip", first))
		if err := writeZip(path, whole, first, min(first+inArchive, b.files)); err != nil {
			return err
		}
	}
	return nil
}

// writeZip packs some files of a corpus.
func writeZip(path string, c bench.Corpus, from, to int) (err error) {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w := zip.NewWriter(out)
	var text []byte
	for i := from; i < to; i++ {
		modified := c.Reading((i+1)*c.Readings - 1).Time.Add(time.Minute)
		var member io.Writer
		if member, err = w.CreateHeader(&zip.FileHeader{Name: filepath.ToSlash(c.Path(i)), Method: zip.Deflate, Modified: modified}); err != nil {
			return err
		}
		text = c.AppendFile(text[:0], i)
		if _, err = member.Write(text); err != nil {
			return err
		}
	}
	return w.Close()
}

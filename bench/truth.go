package bench

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A Truth is what must be read from the files that a [Generator] wrote. Beside
// the files it stands as truth.json, and each reading as a line of truth.csv:
//
//	path,logger,channel,unit,timestamp,value
//	000/L0000_20240101T0000_000000.csv,L0000,flow,,2024-01-01T00:00:00Z,27.675
type Truth struct {
	Generator Generator `json:"generator"`
	Profile   string    `json:"profile"` // the built-in profile that reads the files
	ByName    bool      `json:"by_name"` // nothing in the files tells the profile: it must be named
	Zone      string    `json:"zone"`    // what --zone must say; "" where the files tell
	Readings  int64     `json:"readings"`
	Lost      int64     `json:"lost"` // readings that were damaged, and must be rejected
	Rows      int64     `json:"rows"`
	Longest   int64     `json:"longest"` // the rows of the longest file
	Bytes     int64     `json:"bytes"`   // of the files as they stand
}

// write writes truth.csv, and counts.
func (t *Truth) write(ctx context.Context, dir string, l *layout, files []corpusFile) (err error) {
	out, err := os.Create(filepath.Join(dir, "truth.csv"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	buffered := bufio.NewWriterSize(out, 1<<16)
	w := csv.NewWriter(buffered)
	if err := w.Write([]string{"path", "logger", "channel", "unit", "timestamp", "value"}); err != nil {
		return err
	}
	for i := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.file(w, l, &files[i]); err != nil {
			return err
		}
	}
	w.Flush()
	return errors.Join(w.Error(), buffered.Flush())
}

func (t *Truth) file(w *csv.Writer, l *layout, f *corpusFile) error {
	g := &t.Generator
	path := filepath.ToSlash(g.path(l, f))
	t.Rows += int64(f.rows)
	t.Longest = max(t.Longest, int64(f.rows))
	r := row{cells: make([][]byte, len(f.channels))}
	for n := range f.rows {
		g.fill(&r, l, f, n)
		t.Lost += int64(r.lost)
		if r.lost == len(f.channels) && r.bad < 0 {
			continue
		}
		stamp := r.at.Format(time.RFC3339)
		for c, q := range f.channels {
			if c == r.bad {
				continue
			}
			value := appendMilli(nil, g.milli(f, l, n, c))
			if err := w.Write([]string{path, f.name, q.name, q.unit, stamp, string(value)}); err != nil {
				return err
			}
			t.Readings++
		}
	}
	return nil
}

func (t *Truth) writeSummary(dir string) error {
	text, err := json.MarshalIndent(t, "", " ")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "truth.json"), append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("writing a corpus: %w", err)
	}
	return nil
}

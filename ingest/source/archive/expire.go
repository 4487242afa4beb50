package archive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// Expired is what Expire deleted, and what is left.
type Expired struct {
	Packs int
	Bytes int64
	Left  int64 // bytes that the archive takes now
}

// Expire deletes whole packs, the oldest first: those older than MaxAge, and
// as many as it takes to come below MaxBytes. It passes over packs that are
// written, and those with files that the ledger is not known to have, however
// old they are.
func (a *Archive) Expire(ctx context.Context, now time.Time) (Expired, error) {
	var done Expired
	packs, err := a.Packs("")
	if err != nil {
		return done, err
	}
	for i := range packs {
		done.Left += packs[i].Size
	}
	ledger, err := a.packsIn(ledgerFolder)
	for i := range ledger {
		done.Left += ledger[i].Size
	}
	if err != nil {
		return done, err
	}
	oldest := now
	maxAge, maxBytes := a.retained()
	for _, p := range packs {
		if ctx.Err() != nil {
			return done, context.Cause(ctx)
		}
		old := maxAge > 0 && now.Sub(p.Hour.Add(time.Hour)) > maxAge
		much := maxBytes > 0 && done.Left > maxBytes
		if p.Open || !old && !much {
			if p.Hour.Before(oldest) {
				oldest = p.Hour
			}
			continue
		}
		if err := a.delete(p, &done); err != nil {
			return done, err
		}
		_ = os.Remove(filepath.Join(a.dir, folderIn(p.Name))) // where that was its last, and which is made anew for the next
	}
	// What the ledger said of files that are gone is of no use either. Each of
	// its packs begins with all that the files of later packs need.
	for i := 0; i+1 < len(ledger); i++ {
		if !ledger[i].Open && ledger[i+1].Hour.Before(oldest) {
			if err := a.delete(ledger[i], &done); err != nil {
				return done, err
			}
		}
	}
	if done.Packs > 0 {
		a.log.Info("old packs of the archive are deleted", slog.Int("packs", done.Packs), slog.Int64("bytes", done.Bytes), slog.Int64("left_bytes", done.Left))
	}
	return done, nil
}

func (a *Archive) delete(p Pack, done *Expired) error {
	if err := os.Remove(a.file(p.Name, packExt)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("deleting the pack %s of the archive: %w", p.Name, bare(err))
	}
	done.Packs++
	done.Bytes += p.Size
	done.Left -= p.Size
	return nil
}

package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/gofrs/flock"

	"penstock/ingest"
)

// What is kept is not yet loaded: a process may end between the two, or keep
// on while the database is away. Beside such a pack lies its .open file, which
// is locked while a process writes the pack or waits for the outcome of what
// is in it. It goes when the ledger has all of it, and what has none may be
// deleted in its time.

// unsettled is the state of a pack that this process has the lock of.
type unsettled struct {
	lock    *flock.Flock
	written bool               // it is being written
	places  map[int64]struct{} // offsets of files whose outcome is open
	many    bool               // they were too many to tell them apart: the pack is settled as a whole, by reading it
	left    bool               // its Keeper is closed: what is open is left over
}

// maxUnsettled is how many files of a pack are told apart. There are more only
// while nothing is loaded for long.
const maxUnsettled = 1 << 18

func (a *Archive) adopt(name string, u *unsettled) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.adopted[name] = u
}

// expect notes that the outcome of the file at a place is awaited. It is false
// when there is no such pack any more.
func (a *Archive) expect(at ingest.Place) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := a.adopted[at.Pack]
	if u == nil {
		_, err := os.Stat(a.file(at.Pack, packExt))
		return err == nil
	}
	if u.places == nil {
		u.places = make(map[int64]struct{})
	}
	if u.many = u.many || len(u.places) >= maxUnsettled; u.many {
		u.places = nil
	} else {
		u.places[at.Offset] = struct{}{}
	}
	return true
}

// Settle tells that the ledger has what was kept at these places, whatever
// became of it there, or that nobody wants it: it was dropped for good. It may
// be told twice.
func (k *Keeper) Settle(places ...ingest.Place) {
	k.archive.settle(places...)
}

func (a *Archive) settle(places ...ingest.Place) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, at := range places {
		if u := a.adopted[at.Pack]; u != nil {
			delete(u.places, at.Offset)
			a.letGo(at.Pack, u)
		}
	}
}

// leaveOver notes that nobody waits for the outcome of a folder's packs any more.
func (a *Archive) leaveOver(folder string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, u := range a.adopted {
		u.left = u.left || folderIn(name) == folder
	}
}

// letGo gives a pack up that is written and settled. The lock is held.
func (a *Archive) letGo(name string, u *unsettled) {
	if u.written || u.many || len(u.places) > 0 {
		return
	}
	delete(a.adopted, name)
	// What is removed first nobody else can lock, and take for left over.
	err := errors.Join(os.Remove(u.lock.Path()), u.lock.Close())
	if err != nil {
		a.log.Warn("giving up a pack of the archive", slog.String("pack", name), slog.Any("error", err))
	}
}

// written notes that a pack is written to its end.
func (a *Archive) written(name string) error {
	if _, err := os.Stat(a.file(name, packExt)); err != nil {
		return fmt.Errorf("a pack of the archive is gone: %w", bare(err))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if u := a.adopted[name]; u != nil {
		u.written = false
		a.letGo(name, u)
	}
	return nil
}

// awaits reports whether the outcome of a file in the pack is open.
func (a *Archive) awaits(name string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	u := a.adopted[name]
	return u != nil && (u.many || len(u.places) > 0)
}

// abandon leaves a pack to whoever takes it up: its writing failed.
func (a *Archive) abandon(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if u := a.adopted[name]; u != nil {
		delete(a.adopted, name)
		if err := u.lock.Close(); err != nil {
			a.log.Warn("giving up a pack of the archive", slog.String("pack", name), slog.Any("error", err))
		}
	}
}

// Unsettled is how many bytes the source's packs take on disk of which the
// ledger is not known to have all, as far as this process has them: the level
// of its spool.
func (a *Archive) Unsettled(source string) int64 {
	folder := folderOf(source)
	var waiting []string
	a.mu.Lock()
	for name, u := range a.adopted {
		if folderIn(name) == folder && (u.many || len(u.places) > 0) {
			waiting = append(waiting, name)
		}
	}
	a.mu.Unlock()
	var n int64
	for _, name := range waiting {
		if info, err := os.Stat(a.file(name, packExt)); err == nil {
			n += info.Size()
		}
	}
	return n
}

// takeUp takes the packs in a folder that an ended process left: it locks them
// and cuts off what is torn. Those that another process has are its own.
func (a *Archive) takeUp(ctx context.Context, folder string) error {
	packs, err := a.packsIn(folder)
	if err != nil {
		return err
	}
	for _, p := range packs {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		a.mu.Lock()
		_, ours := a.adopted[p.Name]
		a.mu.Unlock()
		if !p.Open || ours {
			continue
		}
		lock := flock.New(a.file(p.Name, openExt), flock.SetFlag(os.O_RDWR))
		if got, err := lock.TryLock(); err != nil || !got {
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				a.log.Warn("taking up a pack of the archive", slog.String("pack", p.Name), slog.Any("error", err))
			}
			_ = lock.Close() // another process has it, or has just done with it
			continue
		}
		if err := a.mend(p.Name); err != nil {
			return errors.Join(err, lock.Close())
		}
		a.adopt(p.Name, &unsettled{lock: lock, many: true})
	}
	return nil
}

// mend cuts off what is torn at the end of a pack whose writer has ended, and
// ends it. Damage that whole blocks follow is none that a kill does: it is left
// as it is.
func (a *Archive) mend(name string) (err error) {
	file, err := os.OpenFile(a.file(name, packExt), os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("taking up the pack %s of the archive: %w", name, bare(err))
	}
	defer func() { err = errors.Join(err, bare(file.Close())) }()
	end, ended, err := soundEnd(file)
	if err != nil || ended {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return bare(err)
	}
	if torn := info.Size() - end; torn > 0 {
		if err := file.Truncate(end); err != nil {
			return fmt.Errorf("cutting off what is torn of the pack %s of the archive: %w", name, bare(err))
		}
		a.log.Info("a pack of the archive was cut when its process ended", slog.String("pack", name), slog.Int64("torn_bytes", torn))
	}
	last := block{kind: endBlock}.put(nil, nil)
	if _, err = file.WriteAt(last, end); err == nil {
		err = file.Sync()
	}
	if err != nil {
		return fmt.Errorf("ending the pack %s of the archive: %w", name, bare(err))
	}
	return nil
}

// soundEnd finds where the last whole block of a pack ends, and whether that is
// the pack's own end.
func soundEnd(file *os.File) (end int64, ended bool, err error) {
	var buf []byte
	at := int64(0)
	for {
		var h block
		h, buf, err = readBlock(file, at, buf)
		switch {
		case err == nil:
			at += h.size()
			end, ended = at, h.kind == endBlock
			continue
		case errors.Is(err, errTorn):
			if at, err = nextBlock(file, at+1); err == nil {
				continue
			}
		}
		if !isEnd(err) {
			return 0, false, fmt.Errorf("reading the pack %s: %w", file.Name(), bare(err))
		}
		return end, ended, nil
	}
}

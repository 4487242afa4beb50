package archive

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"penstock/ingest"
)

// A Keeper keeps the files of one source. It is an [ingest.Archive]; all its
// methods may be called from several goroutines at once.
//
// After a write that failed, the disk being full, the next Keep tries another
// pack, and Tidy to end the one before. But where something was kept before, not
// yet synced and not settled either, that may be lost: then Keep and Sync return
// the error from then on, and another Keeper is to be made.
type Keeper struct {
	archive *Archive
	source  string
	folder  string
	now     func() time.Time

	mu     sync.Mutex
	pack   *pack
	hour   time.Time
	kept   uint64 // records written
	broken error
	closed bool
	torn   []string // packs whose end could not be written, and in which nothing is lost
	head   []byte
	recent recent

	syncing sync.Mutex
	synced  uint64 // records that are durable
}

var _ ingest.Archive = (*Keeper)(nil)

// Keeper returns what keeps the files of the named source.
func (a *Archive) Keeper(source string) (*Keeper, error) {
	if source == "" {
		return nil, errors.New("files without a source cannot be archived")
	}
	return &Keeper{archive: a, source: source, folder: folderOf(source), now: time.Now}, nil
}

// maxRecords is how many records a pack holds at most: who reads one goes
// through a list of them in memory.
const maxRecords = 200_000

// Keep implements [ingest.Archive]. Where the path's bytes are those that were
// kept of it last it returns the place of these.
//
// A stream is read to its end and closed: that it changed meanwhile, or cannot
// be read, is Keep's error, and nothing of it is kept. It goes into a pack of
// its own and its sum is not needed: it may be zero.
func (k *Keeper) Keep(ctx context.Context, c *ingest.Content, sum ingest.Digest) (ingest.Place, error) {
	if err := ctx.Err(); err != nil {
		return ingest.Place{}, context.Cause(ctx)
	}
	if c.Stream != nil {
		return k.keepStream(ctx, c)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.mend(); err != nil {
		return ingest.Place{}, err
	}
	data := c.Data
	if c.Gain != nil {
		data = data[c.Gain.Seam:]
		sum = sha256.Sum256(data)
	} else if place, ok := k.recent.find(c.File.Path, sum); ok && k.archive.expect(place) {
		return place, nil
	}
	place, err := k.append(c, data, sum)
	if err != nil {
		k.broken = k.fault(err)
		return ingest.Place{}, k.broken
	}
	if c.Gain == nil {
		k.recent.put(c.File.Path, sum, place)
	} else {
		k.recent.forget(c.File.Path)
	}
	return place, nil
}

// mend leaves the pack that could not be written for another one, if nothing is
// lost with it.
func (k *Keeper) mend() error {
	if k.broken == nil || k.closed {
		return k.broken
	}
	if k.kept > k.synced && (k.pack == nil || k.archive.awaits(k.pack.name)) {
		return k.broken
	}
	if k.pack != nil {
		_ = k.pack.release() // endTorn finds its end
		k.leave(k.pack.name)
		k.pack = nil
	}
	k.broken = nil
	return nil
}

// leave notes that a pack could not be ended, and that nobody waits for what of
// it is not durable, which is lost.
func (k *Keeper) leave(name string) {
	k.torn = append(k.torn, name)
	if k.kept > k.synced {
		k.synced, k.recent = k.kept, recent{}
	}
}

// endTorn ends the packs that could not be ended, as soon as that works.
func (k *Keeper) endTorn() error {
	for len(k.torn) > 0 {
		name := k.torn[0]
		err := k.archive.mend(name)
		if err == nil {
			err = k.archive.written(name)
		}
		if err != nil {
			return err
		}
		k.torn = k.torn[1:]
	}
	return nil
}

func (k *Keeper) append(c *ingest.Content, data []byte, sum ingest.Digest) (ingest.Place, error) {
	if err := k.turn(); err != nil {
		return ingest.Place{}, err
	}
	offset, err := k.pack.begin()
	if err != nil {
		return ingest.Place{}, err
	}
	k.head = putFile(k.head[:0], c)
	if len(data) > 0 {
		k.head = binary.AppendUvarint(k.head, uint64(len(data)))
	}
	if err := k.pack.add(k.head); err != nil {
		return ingest.Place{}, err
	}
	if err := k.pack.add(data); err != nil {
		return ingest.Place{}, err
	}
	k.head = append(append(k.head[:0], 0), sum[:]...)
	if err := k.pack.add(k.head); err != nil {
		return ingest.Place{}, err
	}
	k.kept++
	place := ingest.Place{Pack: k.pack.name, Offset: offset}
	k.archive.expect(place)
	return place, nil
}

// turn sees to it that there is a pack of this hour with room in it.
func (k *Keeper) turn() error {
	now := k.now()
	hour := now.Truncate(time.Hour)
	if k.pack != nil && k.hour.Equal(hour) && k.pack.records < maxRecords {
		return nil
	}
	if err := k.endPack(); err != nil {
		return err
	}
	p, u, err := k.archive.newPack(k.source, k.folder, now)
	if err != nil {
		return err
	}
	k.archive.adopt(p.name, u)
	k.pack, k.hour = p, hour
	return nil
}

// endPack ends the pack that is written, if there is one.
func (k *Keeper) endPack() error {
	if k.pack == nil {
		return nil
	}
	p := k.pack
	k.pack = nil
	if err := p.close(); err != nil {
		if k.kept > k.synced && k.archive.awaits(p.name) {
			k.archive.abandon(p.name)
		} else {
			k.leave(p.name)
		}
		return err
	}
	k.synced = k.kept
	return k.archive.written(p.name)
}

// Sync implements [ingest.Archive]. Callers that come while another's is under
// way share the next.
func (k *Keeper) Sync(ctx context.Context) error {
	k.mu.Lock()
	want := k.kept
	k.mu.Unlock()
	k.syncing.Lock()
	defer k.syncing.Unlock()
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	k.mu.Lock()
	if k.broken != nil || k.synced >= want {
		defer k.mu.Unlock()
		return k.broken
	}
	upTo := k.kept
	p := k.pack
	if p == nil { // a pack is made durable when it ends
		k.synced = max(k.synced, upTo)
		defer k.mu.Unlock()
		return nil
	}
	err := p.flush()
	k.mu.Unlock()
	if err == nil {
		// Others keep on meanwhile; the pack may even end, which closes its file.
		if err = p.file.Sync(); errors.Is(err, os.ErrClosed) {
			err = nil
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil && k.broken == nil {
		k.broken = k.fault(bare(err))
	}
	if k.broken == nil {
		k.synced = max(k.synced, upTo)
	}
	return k.broken
}

// Fetch implements [ingest.Archive].
func (k *Keeper) Fetch(ctx context.Context, at ingest.Place, c *ingest.Content) error {
	k.reveal(at)
	return k.archive.Fetch(ctx, at, c)
}

// reveal writes what is asked for, where it is still in the pack's buffer.
func (k *Keeper) reveal(at ingest.Place) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pack == nil || k.pack.name != at.Pack || k.broken != nil {
		return
	}
	if err := k.pack.flush(); err != nil {
		k.broken = k.fault(err)
	}
}

// Tidy ends the pack of an hour that has passed, so that it need not wait for
// the source's next file to be deleted in its time, and packs that could not be
// ended before. It is to be called now and then.
func (k *Keeper) Tidy() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.broken == nil && k.pack != nil && !k.hour.Equal(k.now().Truncate(time.Hour)) {
		if err := k.endPack(); err != nil {
			k.broken = k.fault(err)
		}
	}
	if err := k.endTorn(); err != nil && k.broken == nil {
		return k.fault(err)
	}
	return k.broken
}

// Close ends the pack. The Keeper can still fetch. What was kept and not settled
// is Leftover's from then on: another Keeper of this process takes it up.
func (k *Keeper) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	defer k.archive.leaveOver(k.folder)
	defer func() {
		if k.endTorn() != nil {
			for _, name := range k.torn { // for who takes them up
				k.archive.abandon(name)
			}
			k.torn = nil
		}
	}()
	if k.broken != nil {
		if k.pack != nil {
			_ = k.pack.release() // its end is found by who takes it up
			k.archive.abandon(k.pack.name)
			k.pack = nil
		}
		return nil // it was said
	}
	if err := k.endPack(); err != nil {
		k.broken = k.fault(err)
		return k.broken
	}
	k.broken = k.fault(os.ErrClosed)
	return nil
}

// keepStream writes a large file into a pack of its own, which is durable when
// it returns.
func (k *Keeper) keepStream(ctx context.Context, c *ingest.Content) (ingest.Place, error) {
	k.mu.Lock()
	err := k.mend()
	k.mu.Unlock()
	if err != nil {
		return ingest.Place{}, errors.Join(err, c.Close())
	}
	p, u, err := k.archive.newPack(k.source, k.folder, k.now())
	if err != nil {
		return ingest.Place{}, errors.Join(k.fault(err), c.Close())
	}
	offset, err := p.copyStream(ctx, c)
	if err != nil {
		err = errors.Join(err, p.drop())
		return ingest.Place{}, errors.Join(err, u.lock.Close(), os.Remove(u.lock.Path()))
	}
	if err := p.close(); err != nil {
		err = errors.Join(err, os.Remove(k.archive.file(p.name, packExt)), u.lock.Close(), os.Remove(u.lock.Path()))
		return ingest.Place{}, k.fault(err)
	}
	k.archive.adopt(p.name, u)
	place := ingest.Place{Pack: p.name, Offset: offset}
	k.archive.expect(place)
	if err := k.archive.written(p.name); err != nil {
		return ingest.Place{}, k.fault(err)
	}
	file, fetched, first := c.File, c.Fetched, c.FirstFetched
	err = k.archive.open(ctx, place, c, true)
	c.File, c.Fetched, c.FirstFetched = file, fetched, first
	return place, err
}

// copyStream writes the record of a stream and closes it.
func (p *pack) copyStream(ctx context.Context, c *ingest.Content) (offset int64, err error) {
	hash := sha256.New()
	buf := make([]byte, blockSize)
	if offset, err = p.begin(); err == nil {
		err = p.add(putFile(nil, c))
	}
	for err == nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
			break
		}
		n, failed := c.Stream.Read(buf)
		if n > 0 {
			hash.Write(buf[:n])
			if err = p.add(binary.AppendUvarint(nil, uint64(n))); err == nil {
				err = p.add(buf[:n])
			}
		}
		if errors.Is(failed, io.EOF) {
			break
		}
		err = cmp.Or(err, failed)
	}
	if closed := c.Close(); err == nil || errors.Is(closed, ingest.ErrChanged) {
		err = closed
	}
	if err == nil {
		err = p.add(append([]byte{0}, hash.Sum(nil)...))
	}
	return offset, err
}

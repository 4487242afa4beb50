package archive

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/klauspost/compress/zstd"
)

// about is the first block of a pack, for those who find one.
type about struct {
	Is      string    `json:"is"`
	Version int       `json:"version"`
	Source  string    `json:"source,omitempty"`
	Made    time.Time `json:"made"`
}

const (
	aboutIs     = "a pack of files, by Penstock"
	packVersion = 1
)

// A pack is one that is being written. One goroutine at a time uses it.
type pack struct {
	name string
	file *os.File
	end  int64 // bytes written

	encoder *zstd.Encoder
	out     bytes.Buffer // what the encoder has made of the block
	block   []byte
	raw     int   // bytes of the block so far
	run     int64 // where the run begins
	inRun   int   // bytes of the run so far
	records int
}

// encoders keep their windows, which are most of what writing takes in memory.
var encoders = sync.Pool{New: func() any {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(runSize), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		panic(err) // the options are constants
	}
	return e
}}

// newPack makes a pack and takes its lock.
func (a *Archive) newPack(source, folder string, now time.Time) (*pack, *unsettled, error) {
	var id [4]byte
	rand.Read(id[:]) // never fails
	name := folder + "/" + now.UTC().Format(stampLayout) + "-" + hex.EncodeToString(id[:])
	lock, err := a.newLock(folder, name)
	if errors.Is(err, fs.ErrNotExist) { // Expire took the folder for an emptied one meanwhile
		lock, err = a.newLock(folder, name)
	}
	if err != nil {
		return nil, nil, err
	}
	file, err := os.OpenFile(a.file(name, packExt), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, nil, errors.Join(bare(err), lock.Close(), os.Remove(lock.Path()))
	}
	p := &pack{name: name, file: file, encoder: encoders.Get().(*zstd.Encoder)}
	p.encoder.Reset(&p.out)
	text, err := json.Marshal(about{Is: aboutIs, Version: packVersion, Source: source, Made: now.UTC().Truncate(time.Second)})
	if err == nil {
		err = p.write(block{kind: aboutBlock, raw: len(text)}, text)
	}
	if err == nil {
		err = syncFolder(filepath.Join(a.dir, folder))
	}
	if err != nil {
		return nil, nil, errors.Join(err, p.drop(), lock.Close(), os.Remove(lock.Path()))
	}
	return p, &unsettled{lock: lock, written: true}, nil
}

// newLock makes the .open file of a pack, and the folder for it.
func (a *Archive) newLock(folder, name string) (*flock.Flock, error) {
	if err := makeFolder(filepath.Join(a.dir, folder)); err != nil {
		return nil, err
	}
	lock := flock.New(a.file(name, openExt))
	if got, err := lock.TryLock(); err != nil || !got {
		return nil, errors.Join(errors.New("its lock cannot be taken"), err, lock.Close())
	}
	return lock, nil
}

// makeFolder makes the folder durably.
func makeFolder(path string) error {
	if err := os.Mkdir(path, 0o777); err != nil {
		if errors.Is(err, os.ErrExist) {
			return nil
		}
		return bare(err)
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes durable which files there are in a folder.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return bare(err)
	}
	return bare(errors.Join(f.Sync(), f.Close()))
}

// begin begins a record and returns the offset of its place. What is added
// until the next begin belongs to it.
func (p *pack) begin() (offset int64, err error) {
	if p.inRun >= runSize {
		if err := p.endRun(); err != nil {
			return 0, err
		}
	}
	if p.inRun == 0 {
		p.run = p.end
	}
	p.records++
	return offsetOf(p.run, p.inRun), nil
}

// A place's offset is where its run begins in the pack, and where in the run
// its record does: the latter in the low bits.
const inRunBits = 20

func offsetOf(run int64, in int) int64 { return run<<inRunBits | int64(in) }

func splitOffset(offset int64) (run, in int64) {
	return offset >> inRunBits, offset & (1<<inRunBits - 1)
}

// add writes bytes of a record.
func (p *pack) add(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), blockSize-p.raw)
		if _, err := p.encoder.Write(b[:n]); err != nil {
			return err
		}
		p.raw += n
		p.inRun += n
		b = b[n:]
		if p.raw == blockSize {
			if err := p.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush writes what there is as a block.
func (p *pack) flush() error {
	if p.raw == 0 {
		return nil
	}
	if err := p.encoder.Flush(); err != nil {
		return err
	}
	return p.cut()
}

// endRun ends the run: the next record is compressed by itself.
func (p *pack) endRun() error {
	if p.raw > 0 {
		if err := p.encoder.Close(); err != nil {
			return err
		}
		if err := p.cut(); err != nil {
			return err
		}
	}
	p.inRun = 0
	p.encoder.Reset(&p.out)
	return nil
}

// cut writes what the encoder has put out as a block.
func (p *pack) cut() error {
	err := p.write(block{kind: recordsBlock, first: p.end == p.run, raw: p.raw}, p.out.Bytes())
	p.out.Reset()
	p.raw = 0
	return err
}

func (p *pack) write(h block, payload []byte) error {
	p.block = h.put(p.block[:0], payload)
	n, err := p.file.Write(p.block)
	p.end += int64(n)
	return bare(err)
}

// sync makes durable what was written.
func (p *pack) sync() error {
	if err := p.flush(); err != nil {
		return err
	}
	return bare(p.file.Sync())
}

// close ends the pack durably.
func (p *pack) close() error {
	err := p.endRun()
	if err == nil {
		err = p.write(block{kind: endBlock}, nil)
	}
	if err == nil {
		err = p.file.Sync()
	}
	return bare(errors.Join(err, p.release()))
}

// drop deletes the pack: what is in it is of no use to anybody.
func (p *pack) drop() error { return bare(errors.Join(p.release(), os.Remove(p.file.Name()))) }

// release ends the writing without a word more.
func (p *pack) release() error {
	p.encoder.Reset(io.Discard)
	encoders.Put(p.encoder)
	return p.file.Close()
}

// fault words what went wrong with the writing of packs.
func (k *Keeper) fault(err error) error {
	return fmt.Errorf("writing the archive of source %q in %s: %w", k.source, k.archive.dir, err)
}

package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A vault is an Archive in memory.
type vault struct {
	mu     sync.Mutex
	packs  []kept
	synced int // of packs, how many are durable
	full   error
	reads  int
	onRead func(context.Context) error // before a file is read

	settled map[Place]bool
}

type kept struct {
	file File
	data []byte
	sum  Digest
}

func (v *vault) Keep(_ context.Context, c *Content, sum Digest) (Place, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	k := kept{file: c.File, sum: sum}
	if v.full != nil {
		return Place{}, errors.Join(v.full, c.Close())
	}
	if c.Stream == nil {
		k.data = bytes.Clone(c.Data)
	} else {
		k.data, _ = io.ReadAll(c.Stream)
		if err := c.Close(); err != nil {
			return Place{}, err
		}
		c.Stream = io.NopCloser(bytes.NewReader(k.data))
	}
	v.packs = append(v.packs, k)
	return Place{Pack: "pack", Offset: int64(len(v.packs))}, nil
}

func (v *vault) Sync(context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.synced = len(v.packs)
	return nil
}

func (v *vault) Fetch(ctx context.Context, at Place, c *Content) error {
	if v.onRead != nil {
		if err := v.onRead(ctx); err != nil {
			return err
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.reads++
	k := v.packs[at.Offset-1]
	c.File, c.Fetched, c.Data, c.Stream = k.file, 1, append(c.Data[:0], k.data...), nil
	return nil
}

func (v *vault) Settle(places ...Place) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.settled == nil {
		v.settled = make(map[Place]bool)
	}
	for _, at := range places {
		v.settled[at] = true
	}
}

// durable says that what a commit names is.
func (v *vault) durable(p *plant) hook {
	return func(_ context.Context, now step, _ string) error {
		if now != committing {
			return nil
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.synced == 0 {
			p.t.Error("a commit before the archive is durable")
		}
		return nil
	}
}

func TestArchive(t *testing.T) {
	for _, connections := range []int{0, 3} {
		v := &vault{}
		operate(t, func(p *plant) {
			p.Connections, p.Archive, p.book.archived, p.yard.tidies = connections, v, true, true
			p.book.hook = v.durable(p)
			for i := range 30 {
				path := fmt.Sprintf("L/%02d", i)
				p.yard.put(path, reading1(i))
				p.yard.files[path].stream = i%3 == 0
			}
			// One that the ledger has, with its place, and that was not done.
			f := p.yard.put("L/known", reading1(7))
			p.book.known[f.Path] = version{f, sumOf(reading1(7)), Loaded, 1}
		}, func(p *plant) {
			p.after(time.Second)
			if len(v.packs) != 30 || len(p.book.places) != 30 || p.told[Known] != 1 || len(p.yard.files) != 0 {
				t.Fatalf("%d files in the archive, %d places in the book, told of %v", len(v.packs), len(p.book.places), p.told)
			}
			for path, place := range p.book.places {
				k := v.packs[place.Offset-1]
				if !v.settled[place] {
					t.Errorf("%s is loaded, and the archive is not told", path)
				}
				if k.file.Path != path || sumOf(string(k.data)) != p.book.known[path].sum {
					t.Errorf("%s is at the place of %s", path, k.file.Path)
				}
				if streamed := strings.HasSuffix(path, "0") && path == "L/00"; streamed != (k.sum == Digest{}) && path == "L/00" || k.sum != (Digest{}) && k.sum != sumOf(string(k.data)) {
					t.Errorf("%s is kept under another sum", path)
				}
			}
			// Without the archive nothing is loaded: what it cannot keep comes again.
			v.mu.Lock()
			v.full = errors.New("no space left on device")
			v.mu.Unlock()
			p.yard.put("L/more", reading1(1))
			p.after(61 * time.Second)
			if n := p.told[Failed]; n != 2 || p.book.places["L/more"] != (Place{}) {
				t.Errorf("told of %v", p.told)
			}
			v.mu.Lock()
			v.full = nil
			v.mu.Unlock()
			p.after(91 * time.Second)
			if p.book.places["L/more"] == (Place{}) {
				t.Error("what the archive could not keep is not loaded when it can")
			}
		})
	}
}

// inSpool is how many files wait in the archive alone.
func (p *plant) inSpool() int { return p.Pipeline.running.Load().spool.length() }

// While the database is away, files are fetched on into the archive, and the
// memory stays as it is; when it is back, the newest come first.
func TestSpool(t *testing.T) {
	v := &vault{}
	var away sync.Mutex // held while the database is away
	operate(t, func(p *plant) {
		p.Connections, p.Archive, p.Spool, p.Workers, p.Limits.Files = 2, v, 1<<40, 1, 4
		gone := func(ctx context.Context) error {
			for !away.TryLock() {
				if err := lasting(time.Second)(ctx); err != nil {
					return err
				}
			}
			away.Unlock()
			return nil
		}
		p.book.hook = func(ctx context.Context, now step, _ string) error {
			if now == committing || now == pending {
				return gone(ctx)
			}
			return nil
		}
	}, func(p *plant) {
		for i := range 10 {
			p.yard.put(fmt.Sprintf("old/%d", i), reading1(i))
		}
		p.after(65 * time.Second)
		away.Lock()
		text := "!enough\n" + strings.Repeat("#", 4<<20)
		for minute := range 30 {
			p.after(70*time.Second + time.Duration(minute)*time.Minute)
			for i := range 4 {
				p.yard.put(fmt.Sprintf("L/%02d.%d", minute, i), text)
			}
		}
		p.after(40 * time.Minute)
		if len(v.packs) != 10+120 || len(p.book.order) != 10 || len(p.yard.done) != 10 {
			t.Fatalf("%d files in the archive, %d committed, %d done", len(v.packs), len(p.book.order), len(p.yard.done))
		}
		if n := p.last().Spooled; n != 120 {
			t.Errorf("%d files are told to wait in the archive for the database", n)
		}
		spooled := p.inSpool()
		// 64 MiB wait in memory, and one chunk with the worker.
		if spooled < 120-16-8 {
			t.Errorf("only %d files were left to the archive", spooled)
		}
		for path, n := range p.yard.fetches {
			if n != 1 {
				t.Errorf("%s was fetched %d times", path, n)
			}
		}
		away.Unlock()
		p.after(43 * time.Minute)
		if len(p.book.order) != 130 || len(p.yard.done) != 130 || v.reads-spooled > 1 || v.reads < spooled || p.last().Spooled+p.inSpool() != 0 {
			t.Errorf("%d are committed, %d done, %d were read from the archive", len(p.book.order), len(p.yard.done), v.reads)
		}
		// One is read as long as there is any room at all.
		last := p.book.order[130-spooled:]
		if !slices.IsSortedFunc(last, func(a, b string) int { return strings.Compare(b[:4], a[:4]) }) {
			t.Errorf("from the archive came, in this order: %q", last)
		}
		if len(v.packs) != 130 {
			t.Errorf("%d files in the archive: some are there twice", len(v.packs))
		}
	})
}

// The spool is bounded: beyond, files wait at the source, and come when there is
// room.
func TestSpoolIsBounded(t *testing.T) {
	v := &vault{}
	var away *gate // made in the bubble
	operate(t, func(p *plant) {
		p.Connections, p.Archive, p.Spool, p.Workers = 2, v, 40<<20, 1
		away = newGate(committing)
		p.book.hook = away.hook
		text := "!enough\n" + strings.Repeat("#", 4<<20)
		for i := range 80 {
			p.yard.put(fmt.Sprintf("L/%02d", i), text)
		}
	}, func(p *plant) {
		p.after(time.Hour)
		if n := len(v.packs); n < 25 || n > 7+16+2+10 || p.inSpool() < 9 || p.inSpool() > 10 || p.last().Spooled != n {
			t.Errorf("%d files were fetched, %d are left to the archive, %d told to wait", n, p.inSpool(), p.last().Spooled)
		}
		close(away.opened)
		p.after(2 * time.Hour)
		if len(p.book.order) != 80 || len(v.packs) != 80 || p.last().Spooled+p.inSpool() != 0 {
			t.Errorf("%d files are committed when there is room again, %d are in the archive", len(p.book.order), len(v.packs))
		}
		for path, n := range p.yard.fetches {
			if n != 1 {
				t.Errorf("%s was fetched %d times", path, n)
			}
		}
	})
}

// What is read from the archive when the run is broken off has not failed.
func TestSpoolWhereTheRunBreaksOff(t *testing.T) {
	reads := make(chan struct{}, 1)
	v := &vault{onRead: func(ctx context.Context) error {
		signal(reads)
		return waits(ctx)
	}}
	var away *gate // made in the bubble
	operate(t, func(p *plant) {
		p.Connections, p.Archive, p.Spool, p.Workers = 2, v, 1<<40, 1
		away = newGate(committing)
		p.book.hook = away.hook
		text := "!enough\n" + strings.Repeat("#", 4<<20)
		for i := range 40 {
			p.yard.put(fmt.Sprintf("L/%02d", i), text)
		}
	}, func(p *plant) {
		p.after(time.Hour)
		select {
		case <-reads:
		default:
			t.Fatal("nothing is read from the archive")
		}
		p.abort()
		p.after(time.Hour + time.Minute)
		if p.told[Failed] != 0 {
			t.Errorf("told of %v", p.told)
		}
	})
}

// One file that waits for the database is told of, wherever it waits.
func TestSpoolOfOneFile(t *testing.T) {
	for _, connections := range []int{0, 2} {
		var away *gate // made in the bubble
		operate(t, func(p *plant) {
			p.Connections, p.Archive, p.Spool = connections, &vault{}, 1<<40
			away = newGate(committing)
			p.book.hook = away.hook
			p.yard.put("L/1", reading1(1))
		}, func(p *plant) {
			p.after(10 * time.Minute)
			if n := p.last().Spooled; n != 1 {
				t.Errorf("%d connections: %d files are told to wait in the archive", connections, n)
			}
			close(away.opened)
			p.after(11 * time.Minute)
			if n := p.last().Spooled; n != 0 || len(p.book.order) != 1 {
				t.Errorf("%d connections: loaded %q, %d files are told to wait in the archive", connections, p.book.order, n)
			}
		})
	}
}

// Small files are bounded by their number, as each takes some memory.
func TestSpoolIsBoundedInFiles(t *testing.T) {
	s := newSpool(1 << 40)
	p := func() *parcel {
		return &parcel{reference: reference{growth: new(Growth)}, content: new(Content), provided: provided{place: Place{Pack: "pack"}}}
	}
	for range maxSpooled {
		if s.patience(p()) == 0 || !s.put(p()) {
			t.Fatalf("there is no room for more than %d files", s.length())
		}
	}
	if s.patience(p()) != 0 {
		t.Errorf("there is room for more than %d files", s.length())
	}
	if f := s.newest(); f.growth != nil || s.patience(p()) == 0 {
		t.Error("there is no room when one has left, or it keeps what it has no use for")
	}
}

// What the ledger says is not to be taken, is not taken because the ledger was
// slow to say so.
func TestWhatIsSkippedStaysSkippedWhileTheLedgerIsSlow(t *testing.T) {
	operate(t, func(p *plant) {
		p.Connections, p.Archive, p.Spool = 2, &vault{}, 1<<30
		f := p.yard.put("adopted", reading1(1))
		p.book.known["adopted"] = version{file: f, state: Skipped, n: 1} // nobody has seen its content
		asked := 0
		p.book.hook = func(ctx context.Context, now step, _ string) error {
			if now == pending {
				if asked++; asked == 1 {
					return lasting(11 * time.Second)(ctx)
				}
			}
			return nil
		}
	}, func(p *plant) {
		p.after(10 * time.Minute)
		if p.yard.fetches["adopted"] != 0 || p.book.readings != 0 {
			t.Errorf("a file that was adopted is fetched %d times, and %d readings of it are loaded", p.yard.fetches["adopted"], p.book.readings)
		}
	})
}

package source

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"

	"penstock/ingest"
)

// packed keeps which members of archives are done, for those of which some are
// and some are not. A member costs a bit. What is lost with the process comes
// again, as members that the ledger knows are done again.
type packed struct {
	mu   sync.Mutex
	part map[string]*partly // by the archive's place
	full int                // how many are kept before those are looked for that others took away
}

// A partly is an archive of which some members are done.
type partly struct {
	opened status // when the bits were begun
	done   []uint64
	left   int
	deed   deed // for all of it: that of its worst member
}

// memberDone is Done for a member of an archive, and reports whether f is one.
// The last member of an archive takes it along.
func (d *Dir) memberDone(ctx context.Context, f ingest.File, o *ingest.Outcome) (bool, error) {
	a, m, err := d.archived(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil // it has gone already
	}
	if err != nil || a == nil {
		return err != nil, err
	}
	defer d.archives.release(a)
	deed := d.tidier.deed(o)
	below := strings.TrimSuffix(f.Path, "!"+string(m.name))
	if deed == leave || m.size != f.Size || m.modified != f.Modified || d.ignores(below, m) {
		return true, nil
	}
	last, deed, err := d.markDone(a, below, m, deed)
	if err != nil || !last {
		return true, err
	}
	r, _, ok := d.site.Load().find(below)
	if !ok {
		return true, nil
	}
	whole := ingest.File{Source: d.name, Path: below, Size: a.opened.size, Modified: a.opened.modified, Precision: ingest.Micro}
	if err := d.tidier.do(ctx, here{r}, whole, deed); err != nil && !errors.Is(err, ingest.ErrChanged) {
		return true, err
	}
	d.packed.mu.Lock()
	delete(d.packed.part, a.path)
	d.packed.mu.Unlock()
	d.archives.forget(a.path)
	return true, nil
}

// markDone notes that m is done, and returns whether it was the last of its
// archive, and what is to become of that.
func (d *Dir) markDone(a *archive, below string, m *member, worst deed) (last bool, _ deed, err error) {
	d.packed.mu.Lock()
	defer d.packed.mu.Unlock()
	p := d.packed.part[a.path]
	if p == nil || p.opened != a.opened {
		if p, err = d.begin(a, below); err != nil {
			return false, leave, err
		}
	}
	i, ok := a.number(m.at, m)
	if !ok {
		return false, leave, corrupt("it changed while it was read")
	}
	if bit := uint64(1) << (i % 64); p.done[i/64]&bit == 0 {
		p.done[i/64] |= bit
		p.left--
	}
	if p.deed != setApart {
		p.deed = worst
	}
	return p.left == 0, p.deed, nil
}

// begin counts what is to be done of the archive.
func (d *Dir) begin(a *archive, below string) (*partly, error) {
	p := &partly{opened: a.opened, done: make([]uint64, (len(a.slots)+63)/64)}
	err := a.each(func(at int64, m *member) error {
		if d.ignores(below, m) {
			return nil
		}
		last, err := a.isLast(at, m)
		if last {
			p.left++
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if d.packed.part == nil {
		d.packed.part = make(map[string]*partly)
	}
	d.packed.prune()
	d.packed.part[a.path] = p
	return p, nil
}

// prune forgets archives that others took away.
func (p *packed) prune() {
	if len(p.part) < p.full {
		return
	}
	for path, part := range p.part {
		if st, err := statPath(path, true); err != nil || st != part.opened {
			delete(p.part, path)
		}
	}
	p.full = max(64, 2*len(p.part))
}

package archive

import (
	"context"
	"fmt"
	"hash/maphash"
	"iter"
	"log/slog"
	"slices"
	"sync"

	"penstock/ingest"
)

// Rounds are the files of some packs of a source as an [ingest.Source] that is
// listed several times over: a path may be in them with several versions, of
// which each has to be loaded before the next one is listed. In the first round
// come the paths with one version, the newest packs first, and then the others,
// version by version:
//
//	for r.Next() {
//		run a pipeline over r to its end
//	}
//	err := r.Err()
//
// One goroutine calls Next; no listing or fetch is under way then.
type Rounds struct {
	archive *Archive
	name    string
	packs   []Pack // the oldest first
	skip    func(Entry) bool
	seed    maphash.Seed
	many    map[uint64]int32 // how many versions there are of a path, where there are several
	single  bool             // there are paths with one version
	most    int32
	round   int32 // 0: the paths with one version; n: the n-th versions of the others
	err     error
	settles []string // names of packs that Settle gives up

	mu     sync.Mutex
	places map[uint64]ingest.Place
}

var _ ingest.Source = (*Rounds)(nil)

// Rounds reads through packs, all of one source. What skip says is left out; nil
// for nothing. Some 50 bytes are held in memory for each path.
func (a *Archive) Rounds(ctx context.Context, packs []Pack, skip func(Entry) bool) (*Rounds, error) {
	r := &Rounds{archive: a, packs: packs, skip: skip, seed: maphash.MakeSeed(), many: make(map[uint64]int32), round: -1}
	if len(packs) > 0 {
		r.name = packs[0].Source
	}
	one := make(map[uint64]struct{})
	for e, err := range r.entries(ctx, packs) {
		if err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			continue // told when it is listed
		}
		key := r.key(e.File.Path)
		if _, again := one[key]; again {
			r.many[key] = max(r.many[key], 1) + 1
			r.most = max(r.most, r.many[key])
		}
		one[key] = struct{}{}
	}
	r.single = len(one) > len(r.many)
	return r, nil
}

func (r *Rounds) key(path string) uint64 { return maphash.String(r.seed, path) }

// entries goes through the files that are not left out.
func (r *Rounds) entries(ctx context.Context, packs []Pack) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, p := range packs {
			for e, err := range r.archive.Entries(ctx, p.Name) {
				if err == nil && r.skip != nil && r.skip(e) {
					continue
				}
				if !yield(e, err) {
					return
				}
			}
		}
	}
}

// Next begins the next round; false when there is none.
func (r *Rounds) Next() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.places = make(map[uint64]ingest.Place)
	if r.err != nil {
		return false
	}
	r.round++
	if r.round == 0 && !r.single {
		r.round = 1
	}
	return r.round == 0 || r.round <= r.most
}

// Name implements [ingest.Source].
func (r *Rounds) Name() string { return r.name }

// Files implements [ingest.Source].
func (r *Rounds) Files(ctx context.Context) iter.Seq2[ingest.File, error] {
	return func(yield func(ingest.File, error) bool) {
		packs := r.packs
		if r.round == 0 {
			packs = slices.Clone(packs)
			slices.Reverse(packs)
		}
		seen := make(map[uint64]int32)
		for e, err := range r.entries(ctx, packs) {
			if err != nil {
				if r.round <= 1 && !yield(e.File, err) || ctx.Err() != nil {
					return
				}
				continue
			}
			key := r.key(e.File.Path)
			if r.many[key] == 0 {
				if r.round > 0 {
					continue
				}
			} else if seen[key]++; seen[key] != r.round {
				continue
			}
			r.mu.Lock()
			r.places[key] = e.Place
			r.mu.Unlock()
			if !yield(e.File, nil) {
				return
			}
		}
	}
}

// Fetch implements [ingest.Source].
func (r *Rounds) Fetch(ctx context.Context, f ingest.File, c *ingest.Content) error {
	r.mu.Lock()
	at, ok := r.places[r.key(f.Path)]
	r.mu.Unlock()
	if !ok {
		return fmt.Errorf("%s was not listed", ingest.EscapePath(f.Path))
	}
	return r.archive.Fetch(ctx, at, c)
}

// Done implements [ingest.Source]: what is archived stays.
func (r *Rounds) Done(context.Context, ingest.File, ingest.Outcome) error { return nil }

// maxTogether is how many bytes of packs are read through together where they
// hold several versions of paths.
const maxTogether = 256 << 20

// Leftover returns files of the source that an earlier process, or this one
// while the database was away, kept and that the ledger is not known to have;
// nil when there are none. When pipelines have been run over all their rounds
// to the end, Settle is to be called, and Leftover again: it gives some packs
// at a time. While there is much, it is the oldest first.
func (k *Keeper) Leftover(ctx context.Context) (*Rounds, error) {
	a := k.archive
	if err := a.takeUp(ctx, k.folder); err != nil {
		return nil, err
	}
	if err := k.endMany(); err != nil {
		return nil, err
	}
	packs, err := a.packsIn(k.folder)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	packs = slices.DeleteFunc(packs, func(p Pack) bool {
		u := a.adopted[p.Name]
		return u == nil || u.written || !u.many && !u.left
	})
	a.mu.Unlock()
	var size int64
	for i := range packs {
		if size += packs[i].Size; i > 0 && size > maxTogether {
			packs = packs[:i]
			break
		}
	}
	if len(packs) == 0 {
		return nil, nil
	}
	r, err := a.Rounds(ctx, packs, nil)
	if err == nil {
		for i := range packs {
			r.settles = append(r.settles, packs[i].Name)
		}
		a.log.Info("files that were kept and not loaded are taken up from the archive", slog.String("source", k.source), slog.Int("packs", len(packs)))
	}
	return r, err
}

// endMany ends the pack that is written, where more of it waits than is told
// apart.
func (k *Keeper) endMany() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pack == nil || k.broken != nil {
		return k.broken
	}
	k.archive.mu.Lock()
	u := k.archive.adopted[k.pack.name]
	many := u != nil && u.many
	k.archive.mu.Unlock()
	if !many {
		return nil
	}
	if err := k.endPack(); err != nil {
		k.broken = k.fault(err)
	}
	return k.broken
}

// Settle tells that the ledger has all files of packs that were left over.
func (r *Rounds) Settle() {
	a := r.archive
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, name := range r.settles {
		if u := a.adopted[name]; u != nil {
			u.many, u.places = false, nil
			a.letGo(name, u)
		}
	}
}

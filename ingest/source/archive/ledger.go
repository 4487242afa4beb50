package archive

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"time"

	"penstock/ingest"
)

// A Ledger keeps, beside the files, what the ledger says of them: documents
// that mean something to whoever wrote them, in the order in which they were
// written. One goroutine uses it.
type Ledger struct{ keeper *Keeper }

// Ledger returns what keeps the ledger's documents. It takes up what an ended
// process left of them.
func (a *Archive) Ledger(ctx context.Context) (*Ledger, error) {
	if err := a.takeUp(ctx, ledgerFolder); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, u := range a.adopted {
		if folderIn(name) == ledgerFolder && !u.written {
			u.many = false // it is whole as it is
			a.letGo(name, u)
		}
	}
	return &Ledger{&Keeper{archive: a, folder: ledgerFolder, now: time.Now}}, nil
}

// Begin begins to write what follows from one another. It reports whether that
// begins a pack, for each day has one: what is in it is then to stand without
// those before.
func (l *Ledger) Begin() (fresh bool, err error) {
	k := l.keeper
	if k.broken != nil {
		return false, k.broken
	}
	day := k.now().UTC().Truncate(24 * time.Hour)
	if k.pack != nil && k.hour.Equal(day) {
		return false, nil
	}
	if err = k.endPack(); err == nil {
		var u *unsettled
		if k.pack, u, err = k.archive.newPack("", ledgerFolder, k.now()); err == nil {
			k.archive.adopt(k.pack.name, u)
			k.hour = day
			return true, nil
		}
	}
	k.broken = l.fault(err)
	return false, k.broken
}

// Write writes a document, after Begin.
func (l *Ledger) Write(doc []byte) error {
	k := l.keeper
	if k.broken != nil {
		return k.broken
	}
	if len(doc) > maxDocument {
		return fmt.Errorf("a document of %d bytes is too large for the archive", len(doc))
	}
	_, err := k.pack.begin()
	if err == nil {
		k.head = binary.AppendUvarint(append(k.head[:0], documentRecord), uint64(len(doc)))
		if err = k.pack.add(k.head); err == nil {
			err = k.pack.add(doc)
		}
	}
	if err != nil {
		k.broken = l.fault(err)
	}
	return k.broken
}

// Sync makes durable what was written.
func (l *Ledger) Sync() error {
	k := l.keeper
	if k.broken == nil && k.pack != nil {
		if err := k.pack.sync(); err != nil {
			k.broken = l.fault(err)
		}
	}
	return k.broken
}

// Close ends the writing.
func (l *Ledger) Close() error { return l.keeper.Close() }

func (l *Ledger) fault(err error) error {
	return fmt.Errorf("writing the copy of the ledger into the archive in %s: %w", ingest.EscapePath(l.keeper.archive.dir), err)
}

// Documents lists what Ledgers have written, in the order of their packs. The
// documents are the caller's. What is damaged comes as an error, and the listing
// goes on behind it.
func (a *Archive) Documents(ctx context.Context) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		packs, err := a.packsIn(ledgerFolder)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, p := range packs {
			if !a.documentsIn(ctx, p.Name, yield) {
				return
			}
		}
	}
}

func (a *Archive) documentsIn(ctx context.Context, pack string, yield func([]byte, error) bool) bool {
	w := &walk{ctx: ctx, pack: pack, document: func(doc []byte) bool { return yield(doc, nil) }}
	goOn := true
	w.entry = func(_ Entry, err error) bool {
		if err != nil {
			goOn = yield(nil, err) && ctx.Err() == nil
		}
		return goOn
	}
	w.open(a)
	return goOn && !w.stopped
}

// LastDocument returns the document that was written last of those that match
// wants; nil when there is none.
func (a *Archive) LastDocument(ctx context.Context, match func([]byte) bool) (last []byte, err error) {
	packs, err := a.packsIn(ledgerFolder)
	if err != nil {
		return nil, err
	}
	for _, p := range slices.Backward(packs) {
		a.documentsIn(ctx, p.Name, func(doc []byte, fault error) bool {
			if fault == nil && match(doc) {
				last = doc
			}
			return true
		})
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		if last != nil {
			break
		}
	}
	return last, nil
}

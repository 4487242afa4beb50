package ingest

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// A reference is a file that is to be fetched.
type reference struct {
	File
	firstFetched int64
	arrived      int64 // as Span.Arrived
	isNew        bool
	listed       bool    // by a listing: else a hint told of it
	growth       *Growth // of the version that the ledger has, where the file may be carried on from it
	grew         bool    // it is larger than that
	archived     *Digest // of the bytes that the archive has of it; nil for none
}

// toFetch is how many bytes of the file are to be fetched, as far as is known: of
// one that is carried on, those that it gained. It is negative where the listing
// tells no size.
func (r *reference) toFetch() int64 {
	if r.growth == nil {
		return r.Size
	}
	return max(r.Size-r.growth.At, 0)
}

// A backlog is the files that wait to be fetched. Of a source that is listed
// once they leave in the order of the listing, and it is for 4096 files; else
// the oldest come first, but for the live ones, which are newer than all that the
// listing before the last had: of these the newest come first, and of four
// files one is the oldest in any case.
type backlog struct {
	bound   int
	ordered bool

	some  chan struct{} // there may be files
	room  chan struct{} // there may be room
	low   chan struct{} // files were turned away, and now there is room for many
	ended chan struct{} // no more will come

	mu     sync.Mutex
	line   []reference // unless ordered; from first on
	first  int
	oldest reach
	newest reach
	live   int64 // files modified later are live
	turn   int
	last   int // number of the file that came last
	turned bool
}

// backlogBound is how many files of a source that is listed again and again
// wait at most. What is not among them comes again with the next listing.
const backlogBound = 1 << 16

func newBacklog(polls bool) *backlog {
	b := &backlog{
		bound: listedAhead, ordered: polls,
		some: make(chan struct{}, 1), room: make(chan struct{}, 1), low: make(chan struct{}, 1), ended: make(chan struct{}),
		live: Micros(time.Now()),
	}
	if polls {
		b.bound = backlogBound
	}
	b.oldest = reach{less: func(x, y *waitingFile) bool {
		return x.Modified < y.Modified || x.Modified == y.Modified && x.number < y.number
	}, at: 0}
	b.newest = reach{less: func(x, y *waitingFile) bool {
		return x.Modified > y.Modified || x.Modified == y.Modified && x.number < y.number
	}, at: 1}
	return b
}

// signal makes a channel of one place ready.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// end says that no more files will come.
func (b *backlog) end() { close(b.ended) }

// mark makes files live that were modified later than newest, which is that of
// the newest file of a listing, or than now if that lies in the future. It is
// the source's clock against the source's clock.
func (b *backlog) mark(newest int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.live = min(newest, Micros(time.Now()))
}

// add appends files, waiting for room. It ends early when take or work does;
// its error is work's cause.
func (b *backlog) add(take, work context.Context, refs []reference) error {
	for len(refs) > 0 {
		b.mu.Lock()
		n := min(b.bound-(len(b.line)-b.first), len(refs))
		// What has left makes room before more memory does, where it is so much that
		// moving the rest is worth it.
		if len(b.line)+n > cap(b.line) && b.first > len(b.line)/4 {
			b.line = b.line[:copy(b.line, b.line[b.first:])]
			b.first = 0
		}
		b.line = append(b.line, refs[:n]...)
		b.mu.Unlock()
		if refs = refs[n:]; n > 0 {
			signal(b.some)
			continue
		}
		select {
		case <-b.room:
		case <-take.Done():
			return context.Cause(work)
		}
	}
	return nil
}

// offer takes in the files for which there is room, or that are older than
// others, and returns those that were turned away.
func (b *backlog) offer(refs []reference) (away []reference) {
	if len(refs) == 0 {
		return nil
	}
	b.mu.Lock()
	for _, r := range refs {
		b.last++
		f := &waitingFile{reference: r, number: b.last}
		switch newest := b.newest.first(); {
		case len(b.oldest.files) < b.bound, r.Modified > b.live && len(b.oldest.files) < b.bound+b.bound/4:
			b.put(f)
		case newest.Modified <= b.live && r.Modified < newest.Modified:
			b.remove(newest)
			b.put(f)
			away = append(away, newest.reference)
		default:
			away = append(away, r)
		}
	}
	b.turned = b.turned || len(away) > 0
	b.mu.Unlock()
	signal(b.some)
	return away
}

// clear empties the backlog and returns what was in it.
func (b *backlog) clear() (all []reference) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.oldest.files {
		all = append(all, f.reference)
	}
	b.oldest.files, b.newest.files = nil, nil
	b.turned = false // that there is room now is no reason to list before the time
	select {
	case <-b.low:
	default:
	}
	return all
}

// take appends up to n files to refs and removes them from the backlog.
func (b *backlog) take(n int, refs []reference) []reference {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ordered {
		n = min(n, len(b.line)-b.first)
		refs = append(refs, b.line[b.first:b.first+n]...)
		clear(b.line[b.first : b.first+n])
		b.first += n
		signal(b.room)
	}
	for ; b.ordered && n > 0 && len(b.oldest.files) > 0; n-- {
		f := b.oldest.first()
		if b.turn++; b.turn%4 != 0 && b.newest.first().Modified > b.live {
			f = b.newest.first()
		}
		b.remove(f)
		refs = append(refs, f.reference)
	}
	left := b.size()
	if left > 0 {
		signal(b.some) // for the next who waits
	}
	if b.turned && left < b.bound/4 {
		b.turned = false
		signal(b.low)
	}
	return refs
}

// next waits for a file and returns it, and false when no more will come or
// take has ended.
func (b *backlog) next(take context.Context) (reference, bool) {
	var one [1]reference
	for take.Err() == nil {
		over := false
		select {
		case <-b.ended:
			over = true
		default:
		}
		if refs := b.take(1, one[:0]); len(refs) > 0 {
			return refs[0], true
		}
		if over {
			return reference{}, false
		}
		select {
		case <-b.some:
		case <-b.ended:
		case <-take.Done():
		}
	}
	return reference{}, false
}

func (b *backlog) length() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.size()
}

// size is for who holds the lock.
func (b *backlog) size() int { return len(b.line) - b.first + len(b.oldest.files) }

func (b *backlog) put(f *waitingFile) {
	heap.Push(&b.oldest, f)
	heap.Push(&b.newest, f)
}

func (b *backlog) remove(f *waitingFile) {
	heap.Remove(&b.oldest, f.at[0])
	heap.Remove(&b.newest, f.at[1])
}

// A waitingFile is a file of a backlog, with where it stands in both reaches.
type waitingFile struct {
	reference
	number int
	at     [2]int
}

// A reach is a heap of which the first file is at hand.
type reach struct {
	files []*waitingFile
	less  func(x, y *waitingFile) bool
	at    int
}

// first is nil when there is none.
func (r *reach) first() *waitingFile {
	if len(r.files) == 0 {
		return nil
	}
	return r.files[0]
}

func (r *reach) Len() int           { return len(r.files) }
func (r *reach) Less(i, j int) bool { return r.less(r.files[i], r.files[j]) }

func (r *reach) Swap(i, j int) {
	r.files[i], r.files[j] = r.files[j], r.files[i]
	r.files[i].at[r.at], r.files[j].at[r.at] = i, j
}

func (r *reach) Push(x any) {
	f := x.(*waitingFile)
	f.at[r.at] = len(r.files)
	r.files = append(r.files, f)
}

func (r *reach) Pop() any {
	f := r.files[len(r.files)-1]
	r.files[len(r.files)-1] = nil
	r.files = r.files[:len(r.files)-1]
	return f
}

package ingest

import (
	"context"
	"sync"
)

// Large files are loaded one after the other by a goroutine of its own, beside the
// workers: it reads a file, twice unless its readings can be kept, and workers
// commit its parts, by turns with chunks of small files.

// A largeFile is one that waits to be loaded in parts.
type largeFile struct {
	reference
	parcel *parcel // with its content, where it was fetched ahead; else nil
	gain   Place   // where the archive has what the file gained, which cannot be read by itself
}

// largeFiles are those of a run, in the order in which workers came upon them.
type largeFiles struct {
	some  chan struct{} // there may be files
	ended chan struct{} // no more will come

	mu   sync.Mutex
	line []*largeFile
}

func newLargeFiles() *largeFiles {
	return &largeFiles{some: make(chan struct{}, 1), ended: make(chan struct{})}
}

func (l *largeFiles) put(f *largeFile) {
	l.mu.Lock()
	l.line = append(l.line, f)
	l.mu.Unlock()
	signal(l.some)
}

// next waits for a file. It returns nil when no more will come or take has ended.
func (l *largeFiles) next(take context.Context) *largeFile {
	for take.Err() == nil {
		over := false
		select {
		case <-l.ended:
			over = true
		default:
		}
		if f := l.first(); f != nil || over {
			return f
		}
		select {
		case <-l.some:
		case <-l.ended:
		case <-take.Done():
		}
	}
	return nil
}

func (l *largeFiles) first() *largeFile {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.line) == 0 {
		return nil
	}
	f := l.line[0]
	l.line[0] = nil
	l.line = l.line[1:]
	return f
}

// isLarge reports whether a file of so many bytes is loaded in parts.
func (r *run) isLarge(size int64) bool { return r.large != nil && size > r.Limits.Part }

// loadLargeFiles loads large files until no more come. After the end of take it
// only sees to it that parts under way are committed: the file goes on from there
// when it is taken the next time.
func (r *run) loadLargeFiles() error {
	defer close(r.parts)
	var l *loader // most runs need none
	defer func() {
		if l != nil {
			l.end()
		}
	}()
	for {
		f := r.large.next(r.take)
		if f == nil {
			break
		}
		if l == nil {
			l = r.newLoader()
		}
		if err := l.load(r.work, f); err != nil {
			r.dropped.Store(true)
			return err
		}
	}
	for f := r.large.first(); f != nil; f = r.large.first() {
		r.release(f.parcel)
		r.dropped.Store(true)
	}
	return context.Cause(r.work)
}

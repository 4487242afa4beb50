package source

import (
	"container/heap"
	"context"
	"errors"
	"hash/maphash"
	"io/fs"
	"log/slog"
	"maps"
	"path"
	"strings"
	"sync"
	"time"

	"penstock/ingest"
)

// This file has how a Settled decides: passes asks for what is listed, hinted
// for what is hinted, and again for what was young when it is looked at anew.

// A young file has not settled. There may be as many as files, when a process
// begins, so little is kept of each. Times are those since Settled.zero.
type young struct {
	version   uint64 // as it was listed last; 0 when it never was
	size      int64  // as it was seen last, as the following
	modified  int64
	precision ingest.Precision
	since     time.Duration // when it was first seen as it is
	begun     time.Duration // when it was first seen at all, or was last taken while it grew
	listing   int32         // the number of the one that had it last
	grows     bool          // it was taken while it grew, and has not settled since
	archive   bool          // its members are the source's files, and not it
	minutes   bool          // its time was listed in minutes
	waiting   *waiting      // nil when only a listing looks at it again
}

// alike reports whether y is as f, which was just seen.
func (y *young) alike(f ingest.File) bool {
	return alike(ingest.File{Size: y.size, Modified: y.modified, Precision: y.precision}, f)
}

// A waiting file is young and looked at again by itself.
type waiting struct {
	*young
	path string
	due  time.Duration
	at   int // in the queue
}

// lookedAgain is how many young files are looked at again one by one, between
// listings: for the others another listing is worth while. Of those that have
// changed it is half as many, so that there is room for new ones where thousands
// never keep still; for those no listing is made before it is due, as they are
// likely to change on.
const lookedAgain = 4096

// A look is one listing of a Settled.
type look struct {
	*Settled
	began  time.Duration
	holds  int
	failed bool // something could not be listed
	some   bool // something could

	// Of the member that came last: what the paths of its archive's members begin
	// with, as they come one after the other, and whether the archive has settled.
	within  string
	settles bool
}

func (s *Settled) begin() *look {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.number++
	s.unlooked, s.behind = 0, false
	return &look{Settled: s, began: time.Since(s.zero)}
}

// end forgets the files that the listing, which came to its end, did not have.
// What it could not list it may not have for that: it forgets what the one
// before did not have either, and nothing when it could list nothing at all.
func (l *look) end() {
	s := l.Settled
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.failed && !l.some {
		return
	}
	since := s.number
	if l.failed {
		since = s.last
	}
	s.last = s.number
	maps.DeleteFunc(s.settled, func(_ uint64, listing int32) bool { return listing < since })
	s.forgetPassing()
	s.held = l.holds
	for key, y := range s.young {
		hinted := y.listing == 0 // and never listed
		if y.listing < since && y.since < l.began && !(hinted && l.failed) {
			s.drop(key, y)
		}
	}
	if len(s.young) < s.most/4 { // a map never shrinks
		young := make(map[uint64]*young, len(s.young))
		maps.Copy(young, s.young)
		s.young, s.most = young, len(young)
	}
}

// passes reports whether what is listed goes out.
func (l *look) passes(ctx context.Context, f ingest.File, err error) bool {
	if err != nil && isArchive(f.Path) {
		return l.settles && l.within == f.Path+"!" || l.blames(ctx, f, err)
	}
	if l.note(err); err != nil {
		return true
	}
	if l.within != "" && strings.HasPrefix(f.Path, l.within) {
		return l.settles
	}
	whole, packed := l.carrier(f.Path)
	if !packed {
		return l.lets(ctx, f, false)
	}
	l.within, l.settles = whole+"!", false
	if f, err = l.Locate(ctx, whole); err == nil {
		l.settles = l.lets(ctx, f, true)
	}
	return l.settles
}

// note takes it down that something was listed, or could not be.
func (l *look) note(err error) {
	l.failed = l.failed || err != nil
	l.some = l.some || err == nil
}

// opens reports whether the archive f, as it is listed before its members are,
// has settled: opening one on a server is to fetch it.
func (l *look) opens(ctx context.Context, f ingest.File) bool {
	l.note(nil)
	l.within, l.settles = f.Path+"!", l.lets(ctx, f, true)
	return l.settles
}

// blames reports whether what is wrong with an archive is to be told: of one
// that is being uploaded nothing else is to be expected.
func (l *look) blames(ctx context.Context, f ingest.File, err error) bool {
	now, gone := l.Locate(ctx, f.Path)
	if gone != nil {
		l.note(err)
		return true
	}
	l.note(nil)
	return l.lets(ctx, now, true)
}

// lets reports whether f, as it is now, has settled, and counts it if not.
func (l *look) lets(ctx context.Context, f ingest.File, archive bool) bool {
	v := l.judge(ctx, f, archive, true)
	if v == settling {
		l.holds++
	}
	return v == settled
}

// A verdict is what becomes of a file that was seen.
type verdict int

const (
	passedOver verdict = iota // it is no file of the source
	settling
	growing // it has grown for so long that it is taken as it is
	settled
)

// judge looks at f, as it was just seen: in the listing, or else.
func (s *Settled) judge(ctx context.Context, f ingest.File, archive, listed bool) verdict {
	if _, marker := s.markedBy(f.Path); marker || s.temporary.match(f.Path) {
		return passedOver
	}
	if s.rule.Age == 0 && s.rule.Marker == "" {
		return settled
	}
	y, v := s.see(f, archive, listed)
	if v == settling || y == nil {
		return v
	}
	if !s.marked(ctx, f.Path) {
		return settling
	}
	if v == settled {
		s.admit(y, f)
	}
	return settled
}

// see notes that f was seen. It returns what is kept of it unless it had
// settled before, and whether it may be taken now.
func (s *Settled) see(f ingest.File, archive, listed bool) (*young, verdict) {
	now, version, key := time.Since(s.zero), maphash.Comparable(s.seed, f), maphash.String(s.seed, f.Path)
	s.mu.Lock()
	defer s.mu.Unlock()
	y := s.young[key]
	if _, knows := s.settled[version]; knows {
		if listed {
			s.settled[version] = s.number
			s.pass(version, f, now)
		}
		if y != nil {
			s.drop(key, y)
		}
		return nil, settled
	}
	first := y == nil
	if first {
		y = &young{since: now, begun: now, archive: archive}
		s.young[key] = y
		s.most = max(s.most, len(s.young))
	}
	changed := !first && !y.alike(f)
	if changed {
		y.since = now
	}
	y.size, y.modified, y.precision = f.Size, f.Modified, f.Precision
	if listed {
		y.version, y.listing, y.minutes = version, s.number, f.Precision == ingest.Minute
	}
	rests := !first && !changed && now-y.since >= s.rule.Age || s.rule.Age == 0
	if !rests && !s.enqueue(y, f.Path, changed) {
		if s.behind = true; !changed {
			s.unlooked = max(s.unlooked, y.since+s.rule.Age)
		}
	}
	switch {
	case rests:
		return y, settled
	case changed && now-y.begun >= s.rule.Growth:
		y.begun, y.grows = now, true
		return y, growing
	}
	return y, settling
}

// admit notes that f has settled and is taken.
func (s *Settled) admit(y *young, f ingest.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A listing may tell another time than a look at the file by itself.
	for _, version := range []uint64{maphash.Comparable(s.seed, f), y.version} {
		if version != 0 {
			s.settled[version] = s.number
		}
	}
	s.lookOnceMore(y, f)
	if key := maphash.String(s.seed, f.Path); s.young[key] == y {
		s.drop(key, y)
	}
}

// grows reports whether the file at p was taken while it grew.
func (s *Settled) grows(p string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	y := s.young[maphash.String(s.seed, p)]
	return y != nil && y.grows
}

// alike reports whether a and b are the same version of a file, as far as they
// tell: times of different precision are of different clocks, it may be.
func alike(a, b ingest.File) bool {
	return (a.Size < 0 || b.Size < 0 || a.Size == b.Size) && (a.Precision != b.Precision || a.Modified == b.Modified)
}

// markerOf is the path of the marker of the file at p.
func (s *Settled) markerOf(p string) string {
	dir, name := path.Split(p)
	return dir + s.before + name + s.after
}

// markedBy is the path of the file that the one at p is the marker of.
func (s *Settled) markedBy(p string) (string, bool) {
	if s.rule.Marker == "" {
		return "", false
	}
	dir, name := path.Split(p)
	name, begins := strings.CutPrefix(name, s.before)
	name, ends := strings.CutSuffix(name, s.after)
	return dir + name, begins && ends && name != ""
}

// marked reports whether the file at p has its marker, if it needs one.
func (s *Settled) marked(ctx context.Context, p string) bool {
	if s.rule.Marker == "" {
		return true
	}
	_, err := s.locate(ctx, s.markerOf(p))
	return err == nil
}

// carrier is the archive that the file at p is a member of.
func (s *Settled) carrier(p string) (string, bool) {
	if c, ok := s.Source.(interface{ archiveOf(p string) (string, bool) }); ok {
		return c.archiveOf(p)
	}
	return "", false
}

// Watch implements [ingest.Watcher]: what the source hints is hinted when it
// has settled, as is what a listing brought, up to some thousand files at a time;
// for more, see [Settled.Settles].
func (s *Settled) Watch(ctx context.Context, hint func(ingest.File)) error {
	w, watches := s.Source.(ingest.Watcher)
	hinted := func(f ingest.File) { s.hinted(ctx, f, hint) }
	if s.rule.Age == 0 || s.locate == nil {
		if !watches {
			return nil
		}
		return w.Watch(ctx, hinted)
	}
	var group sync.WaitGroup
	defer group.Wait()
	if watches {
		group.Go(func() {
			if err := w.Watch(ctx, hinted); err != nil && ctx.Err() == nil {
				s.rule.Log.Warn("new files are found by listing alone", slog.String("source", s.Name()), slog.Any("error", err))
			}
		})
	}
	return s.lookAgain(ctx, hint)
}

// hinted passes f on, if it has settled. The marker of a file stands for it.
func (s *Settled) hinted(ctx context.Context, f ingest.File, hint func(ingest.File)) {
	if p, marker := s.markedBy(f.Path); marker {
		var err error
		if f, err = s.locate(ctx, p); err != nil {
			return
		}
	}
	seen := f
	whole, packed := s.carrier(f.Path)
	if packed {
		var err error
		if seen, err = s.locate(ctx, whole); err != nil {
			return
		}
	}
	if s.judge(ctx, seen, packed, false) == settled {
		hint(f)
	}
}

// lookAgain looks at what is young when it may have settled, until ctx ends.
func (s *Settled) lookAgain(ctx context.Context, hint func(ingest.File)) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		p, archive, wait := s.next()
		if p != "" {
			s.again(ctx, p, archive, hint)
			continue
		}
		if p, ok := s.nextPassed(); ok {
			s.onceMore(ctx, p, hint)
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.woken:
		case <-timer.C:
		}
	}
}

// next takes what is due from the queue, or returns for how long there is
// nothing.
func (s *Settled) next() (p string, archive bool, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		return "", false, time.Hour
	}
	first := s.waiting[0]
	if wait = first.due - time.Since(s.zero); wait > 0 {
		return "", false, wait
	}
	heap.Pop(&s.waiting)
	first.waiting = nil
	return first.path, first.archive, 0
}

// again looks at the file at p. Of an archive that has settled, the next
// listing brings the members.
func (s *Settled) again(ctx context.Context, p string, archive bool, hint func(ingest.File)) {
	f, err := s.locate(ctx, p)
	if errors.Is(err, fs.ErrNotExist) {
		s.mu.Lock()
		defer s.mu.Unlock()
		key := maphash.String(s.seed, p)
		if y := s.young[key]; y != nil {
			s.drop(key, y)
		}
		return
	}
	if err == nil && s.judge(ctx, f, archive, false) == settled && !archive {
		hint(f)
	}
}

// enqueue has y, which is at p, looked at again when it may have settled, and
// reports whether there is room for it.
func (s *Settled) enqueue(y *young, p string, changed bool) bool {
	room := lookedAgain
	if changed {
		room /= 2
	}
	if s.locate == nil || y.waiting == nil && len(s.waiting) >= room {
		return false
	}
	if w := y.waiting; w != nil {
		w.due = y.since + s.rule.Age
		heap.Fix(&s.waiting, w.at)
	} else {
		y.waiting = &waiting{young: y, path: p, due: y.since + s.rule.Age}
		heap.Push(&s.waiting, y.waiting)
	}
	if y.waiting.at == 0 {
		s.wake()
	}
	return true
}

// wake has lookAgain see what there is to look at.
func (s *Settled) wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// drop forgets y, of the path with the key.
func (s *Settled) drop(key uint64, y *young) {
	delete(s.young, key)
	if y.waiting != nil {
		heap.Remove(&s.waiting, y.waiting.at)
		y.waiting = nil
	}
}

// A queue is a heap by the time when its files are due.
type queue []*waiting

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due < q[j].due }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

func (q *queue) Push(x any) {
	w := x.(*waiting)
	w.at = len(*q)
	*q = append(*q, w)
}

func (q *queue) Pop() any {
	last := len(*q) - 1
	w := (*q)[last]
	(*q)[last], *q = nil, (*q)[:last]
	return w
}

package source

import (
	"context"
	"errors"
	"hash/maphash"
	"io/fs"
	"maps"
	"time"

	"penstock/ingest"
)

// This file has how a Settled finds a file that was replaced by another of its
// size within the minute that a listing tells of it, which no listing shows. When
// that minute has passed, what settled lately is looked at once more, if the
// server tells its time to the second, and hinted if that is another one.
//
// A look is a question or two to the server, so each version that is listed gets
// one, and they are made one after the other, when nothing waits to settle.

// recent is how long ago a file may have been modified, by the time that is told
// of it and this machine's clock, to be looked at once more. Of an older one the
// minute has passed, unless the server's clock is further behind than the rest of
// this. After a restart it is for how long nothing is missed.
const recent = 10 * time.Minute

// A passing version of a file has settled, and its minute may not have passed.
type passing struct {
	due  time.Duration // since Settled.zero
	seen uint64        // what the version is by the look at which it settled
}

// A passed one is due.
type passed struct {
	listed ingest.File
	seen   uint64
}

// lookOnceMore has y's listed version looked at once more, which has settled as f.
// The minute that a listing tells has begun by now, whatever clock it is of, so
// it has passed after what f leaves of it; and what came in it has then kept still
// for Age when that has passed, too.
func (s *Settled) lookOnceMore(y *young, f ingest.File) {
	if !y.minutes || y.archive || s.rule.Age == 0 || s.locate == nil || s.Tidies() || f.Modified < ingest.Micros(time.Now().Add(-recent)) {
		return
	}
	left := time.Duration(int64(ingest.Minute)-f.Modified%int64(ingest.Minute)) * time.Microsecond
	s.passing[y.version] = passing{due: time.Since(s.zero) + left + s.rule.Age, seen: maphash.Comparable(s.seed, f)}
}

// pass has f, which was just listed and is of that version, looked at when that is
// due and there is room: else a later listing does.
func (s *Settled) pass(version uint64, f ingest.File, now time.Duration) {
	p, ok := s.passing[version]
	if !ok || now < p.due || len(s.passed) >= lookedAgain {
		return
	}
	delete(s.passing, version)
	s.passed = append(s.passed, passed{listed: f, seen: p.seen})
	s.wake()
}

// forgetPassing forgets those that are not listed so any more.
func (s *Settled) forgetPassing() {
	maps.DeleteFunc(s.passing, func(version uint64, _ passing) bool { _, ok := s.settled[version]; return !ok })
	if len(s.passing) == 0 {
		s.passing = make(map[uint64]passing) // a map never shrinks
	}
}

// nextPassed takes what is looked at next.
func (s *Settled) nextPassed() (p passed, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.passed) == 0 {
		return passed{}, false
	}
	p = s.passed[0]
	if s.passed = s.passed[1:]; len(s.passed) == 0 {
		s.passed = nil
	}
	return p, true
}

// onceMore looks once more, and hints the file if it is not as it settled. One of
// another size or minute is left to the listings, which show it. Where the server
// could not be asked, it is when the file is listed next.
func (s *Settled) onceMore(ctx context.Context, p passed, hint func(ingest.File)) {
	f, err := s.locate(ctx, p.listed.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.passing[maphash.Comparable(s.seed, p.listed)] = passing{seen: p.seen}
	case f.Precision > ingest.Second || maphash.Comparable(s.seed, f) == p.seen:
	case f.Size == p.listed.Size && ingest.SameModified(f.Modified, f.Precision, p.listed.Modified, p.listed.Precision):
		hint(f)
	}
}

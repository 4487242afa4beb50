package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// listedAhead is how many listed files wait for the look into the ledger, and
// the most that one look is for. They are references, so it bounds the memory
// that a listing takes whatever its length.
const listedAhead = 4096

// A sighting is a file that the source listed or hinted at, or the end of what
// it lists.
type sighting struct {
	File
	kind sightingKind
}

type sightingKind uint8

const (
	listed sightingKind = iota
	hinted
	endOfListing
	endOfAll
)

// list lists the source, once or again and again until the end of take, and
// sends what is listed to look. Listings never overlap.
func (r *run) list() error {
	for number := 1; r.take.Err() == nil; number++ {
		if err := r.refresh(); err != nil {
			return err
		}
		if r.anew.Swap(false) {
			r.known.askAnew()
		}
		due := r.cycles.begin(number)
		whole := r.listOnce()
		r.cycles.listed()
		if r.Poll <= 0 {
			r.send(sighting{kind: endOfAll})
			break
		}
		r.known.whole = whole // nobody else looks at it until the end is seen
		r.send(sighting{kind: endOfListing})
		if r.untilDue(r.settles(due)) {
			r.cycles.close()
		}
	}
	return context.Cause(r.work)
}

// settles is when the next listing is worth while: when it is due, or, where many
// files were held back, as soon as they may have settled.
func (r *run) settles(due time.Time) time.Time {
	if s, ok := r.Source.(Settler); ok {
		if at := s.Settles(); !at.IsZero() && at.Before(due) {
			return at
		}
	}
	return due
}

// listOnce sends what the source lists now, and reports whether that was all
// there is.
func (r *run) listOnce() bool {
	whole := true
	for f, err := range r.Source.Files(r.take) {
		if r.take.Err() != nil {
			return false
		}
		if err != nil {
			whole = false
			r.unlisted(f, err)
			continue
		}
		if !r.send(sighting{File: f}) {
			return false
		}
	}
	return whole && r.take.Err() == nil
}

// unlisted tells what could not be listed. Of a source that is listed again, an
// error that concerns no path, or the root, is the cycle's. That the server lists
// only a part of a folder breaks nothing off: it may do so for ever.
func (r *run) unlisted(f File, err error) {
	if r.Poll > 0 && errors.Is(err, ErrTruncated) {
		r.cycles.cut(err)
		return
	}
	if r.Poll > 0 && (f.Path == "" || f.Path == ".") {
		r.refreshing.broke = true
		r.cycles.failed(err)
		return
	}
	r.cycles.faulty()
	state := Failed // also a link that leads nowhere: it is no file that has gone
	if errors.Is(err, ErrChanged) {
		state = Changed
	}
	r.tellFailed(f, state, err, 0)
}

// send reports whether take has not ended.
func (r *run) send(s sighting) bool {
	select {
	case r.sightings <- s:
		return true
	case <-r.take.Done():
		return false
	}
}

// untilDue waits until all that was listed has been looked up, and then until
// the next listing is due: earlier where files found no room in the backlog,
// and now there is some. It reports whether take has not ended.
func (r *run) untilDue(due time.Time) bool {
	select {
	case <-r.looked:
	case <-r.take.Done():
		return false
	}
	next := time.NewTimer(time.Until(due))
	defer next.Stop()
	select {
	case <-next.C:
	case <-r.backlog.low:
	case <-r.wanted:
	case <-r.take.Done():
	}
	return r.take.Err() == nil
}

// watchCycles tells of listings that are not over when the next one is due, and
// again after each further interval: that they go on is seen by how much they have
// listed.
func (r *run) watchCycles() error {
	timer := time.NewTimer(r.Poll)
	defer timer.Stop()
	for {
		select {
		case due := <-r.due:
			timer.Reset(time.Until(due))
		case <-timer.C:
			r.cycles.overdue()
			timer.Reset(r.Poll)
		case <-r.take.Done():
			return context.Cause(r.work)
		}
	}
}

// watch passes on what a source hears of between the listings.
func (r *run) watch() error {
	w, ok := r.Source.(Watcher)
	if !ok {
		return nil
	}
	err := w.Watch(r.take, func(f File) { r.send(sighting{File: f, kind: hinted}) })
	if err != nil && r.take.Err() == nil {
		r.Log.Warn("there is no watching the source any more: new files are seen at the next listing", slog.String("source", r.name), slog.Any("error", err))
	}
	return context.Cause(r.work)
}

// look asks the ledger which of the sighted files are to be fetched, and puts
// them into the backlog. It ends with the listing or with take.
func (r *run) look() error {
	defer r.backlog.end()
	batch := make([]sighting, 0, listedAhead)
	before := Micros(time.Now()) // the newest file of the listing before
	for r.take.Err() == nil {
		select {
		case s := <-r.sightings:
			batch = r.waiting(append(batch[:0], s))
		case <-r.take.Done():
			return context.Cause(r.work)
		}
		last := batch[len(batch)-1].kind
		if last >= endOfListing {
			batch = batch[:len(batch)-1]
		}
		if err := r.refreshFor(batch); err != nil {
			return err
		}
		if err := r.filter(batch); err != nil {
			return err
		}
		switch last {
		case endOfAll:
			return nil
		case endOfListing:
			r.known.sweep(r.refreshing.broke)
			r.backlog.mark(before)
			before = r.known.newest
			r.listedAll()
			r.asked.Store(r.asked.Load() || !r.refreshing.broke)
			r.noteWatched()
			r.cycles.looked()
			r.looked <- struct{}{} // list takes one for each end it sends, so there is room
		case listed, hinted:
		}
	}
	return context.Cause(r.work)
}

// noteWatched finds out, at the end of a listing, whether a file that is seen from
// now on came after the first one: until those of that one have settled it may
// have been there.
func (r *run) noteWatched() {
	r.watched = false
	if r.refreshing.broke || r.refreshing.left.Load() {
		return
	}
	if r.firstListed.IsZero() {
		r.firstListed = time.Now()
	}
	s, ok := r.Source.(Settler)
	r.watched = !ok || !s.Behind() && time.Since(r.firstListed) >= 2*s.Age()
}

// waiting adds what waits already, so that one look into the ledger serves all,
// up to the end of a listing.
func (r *run) waiting(batch []sighting) []sighting {
	for len(batch) < listedAhead && batch[len(batch)-1].kind < endOfListing {
		select {
		case s := <-r.sightings:
			batch = append(batch, s)
		default:
			return batch
		}
	}
	return batch
}

// filter puts the files into the backlog that the ledger does not know, and
// tells of the others.
func (r *run) filter(batch []sighting) error {
	batch = r.unknown(batch)
	if len(batch) == 0 {
		return nil
	}
	r.files = slices.Grow(r.files[:0], len(batch))
	for i := range batch {
		r.files = append(r.files, batch[i].File)
	}
	standings, away, err := r.standings(r.files)
	if err != nil || r.take.Err() != nil {
		return err
	}
	arrived := int64(0) // together
	if r.watched {
		arrived = Micros(time.Now())
	}
	known := Event{Source: r.name}
	r.references = slices.Grow(r.references[:0], len(standings))
	for i := range standings {
		s, f := &standings[i], r.files[i]
		if away && r.known.knows(f) {
			continue
		}
		if s.Take || r.known.untidied(f, s.State) {
			ref := reference{File: f, firstFetched: s.FirstFetched, arrived: arrived, isNew: s.Take && s.State == "", growth: r.carriedOn(f, s), grew: s.Grew, listed: batch[i].kind == listed}
			if s.Archived != (Digest{}) {
				ref.archived = &s.Archived
			}
			r.references = append(r.references, ref)
		} else if r.known.remember(f) {
			known.Outcomes = append(known.Outcomes, Outcome{File: f, State: Known, Standing: s.State})
		}
	}
	if len(known.Outcomes) > 0 {
		r.tell(known)
	}
	return r.enqueue(r.references)
}

// unknown leaves, of a source that is listed again, the files that are not
// under way and about which the ledger has not been asked lately.
func (r *run) unknown(batch []sighting) []sighting {
	if r.Poll <= 0 {
		return batch
	}
	left, n := batch[:0], 0
	for _, s := range batch {
		if s.kind == listed {
			n++
		}
		if r.known.fresh(&s) || r.underWay.has(&s) {
			continue
		}
		left = append(left, s)
	}
	r.cycles.list(n)
	return left
}

// standings asks the ledger about files. While it does not answer and files
// are fetched into the archive all the same, all are to be taken, as far as is
// known: the commit decides.
func (r *run) standings(files []File) (standings []Standing, away bool, err error) {
	away, err = r.ask(func(ctx context.Context) (err error) {
		standings, err = r.Sink.Pending(ctx, files)
		return err
	})
	switch {
	case err != nil || r.take.Err() != nil:
		return nil, false, err
	case away:
		standings = make([]Standing, len(files))
		for i := range standings {
			standings[i].Take = true
		}
	case len(standings) != len(files):
		return nil, false, fmt.Errorf("the sink was asked about %d files, and answered for %d", len(files), len(standings))
	}
	return standings, away, nil
}

// How long the ledger may take to answer before files are fetched into the
// archive without it; the second while it is known to be away.
const (
	answersWithin  = 10 * time.Second
	comesBackAfter = time.Second
)

// ask asks the sink, waiting for it however long that takes, unless files can
// be fetched without it: then away says that it did not answer in time. That is so
// once it has been asked about all that a listing had, so that what was adopted is
// known, and not fetched. The end of take ends the waiting, without an error.
func (r *run) ask(question func(context.Context) error) (away bool, err error) {
	ctx := r.take
	if r.spools() && r.asked.Load() {
		within := answersWithin
		if r.away.Load() {
			within = comesBackAfter
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, within)
		defer cancel()
	}
	err = question(ctx)
	switch {
	case err == nil:
		r.away.Store(false)
		return false, nil
	case r.take.Err() != nil:
		return false, context.Cause(r.work)
	case ctx.Err() != nil:
		r.away.Store(true)
		return true, nil
	}
	return false, err
}

// enqueue puts references into the backlog. A source that is listed but once
// waits for room there; else what finds none comes again with the next listing.
func (r *run) enqueue(refs []reference) error {
	if r.Poll <= 0 {
		return r.backlog.add(r.take, r.work, refs)
	}
	begun, n := refs[:0], 0
	for _, f := range refs {
		if r.underWay.begin(&f) { // else the batch had it twice
			begun = append(begun, f)
			if f.listed {
				n++
			}
		}
	}
	r.cycles.queue(n, len(begun)-n)
	r.drop(r.backlog.offer(begun))
	return nil
}

// drop forgets files that were queued and found no room. They all count for the
// cycle that is under way, also where the next one begins meanwhile.
func (r *run) drop(refs []reference) {
	if len(refs) == 0 {
		return
	}
	r.refreshing.left.Store(true)
	r.cycles.turnedAway(refs)
	for i := range refs {
		r.ended(refs[i].Path)
	}
}

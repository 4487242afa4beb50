package ingest

import (
	"cmp"
	"maps"
	"math"
	"sync"
	"time"
)

// cycles keeps the account of a pipeline's cycles. Of a pipeline that lists
// once it keeps none.
type cycles struct {
	run *run

	mu       sync.Mutex
	current  Cycle
	phase    phase
	ended    time.Time // the current one's listing; zero while it goes on
	oldest   int64     // of those that are not under way and not loaded
	said     time.Time // that a source could not be told
	attempts map[Stage]*attempt
}

// A phase is how far the current cycle is.
type phase uint8

const (
	phaseOver    phase = iota // it was told so
	phaseListing              // its listing goes on, or the ledger has not been asked about all of it
	phaseWorking              // on what was listed
)

// An attempt sums up what is going on in a stage: what takes for ever is to be
// seen before it ends.
type attempt struct {
	n     int
	since int64 // the sum of when they began, in nanoseconds since zero
	zero  time.Time
}

func newCycles(r *run) *cycles {
	c := &cycles{run: r, attempts: make(map[Stage]*attempt)}
	now := time.Now()
	for _, s := range []Stage{InFetch, InCommit, InPace} {
		c.attempts[s] = &attempt{zero: now}
	}
	c.current.Files = make(map[State]int)
	return c
}

// begin begins a cycle and returns when the next one is due.
func (c *cycles) begin(number int) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	since := c.current // what was counted after the last was told
	c.current = Cycle{
		Number: number, Began: now, Poll: c.run.Poll, Hinted: since.Hinted, Files: since.Files, Readings: since.Readings, Rejected: since.Rejected, NotDone: since.NotDone,
		Bytes: since.Bytes, Fetch: since.Fetch, Decode: since.Decode, Commit: since.Commit, Paced: since.Paced,
	}
	c.phase, c.ended, c.oldest = phaseListing, time.Time{}, math.MaxInt64
	due := now.Add(c.run.Poll)
	if c.run.Poll > 0 {
		select { // who watches takes one of each listing, unless it is late itself
		case <-c.run.due:
		default:
		}
		c.run.due <- due
	}
	return due
}

// list adds files that were listed.
func (c *cycles) list(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current.Listed += n
}

// queue adds files that are to be fetched: those that were listed, and others.
func (c *cycles) queue(listed, hinted int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current.New += listed
	c.current.Hinted += hinted
}

// failed notes that a listing broke off, faulty that a part of it did.
func (c *cycles) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current.Err = cmp.Or(c.current.Err, err)
}

func (c *cycles) faulty() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current.Faults++
}

// cut notes a folder that the server lists only a part of.
func (c *cycles) cut(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current.Cut++
	c.current.CutWhy = cmp.Or(c.current.CutWhy, err)
}

// left notes a file that is not loaded, and not under way any more.
func (c *cycles) left(modified int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.oldest = min(c.oldest, modified)
}

// turnedAway counts files that found no room in the backlog.
func (c *cycles) turnedAway(refs []reference) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current.Left += len(refs)
	for i := range refs {
		c.oldest = min(c.oldest, refs[i].Modified)
	}
}

// notDone counts a file of which the source could not be told, and reports
// whether it is time for a line about that: there may be thousands.
func (c *cycles) notDone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current.NotDone++
	if !c.said.IsZero() && time.Since(c.said) < saidEvery {
		return false
	}
	c.said = time.Now()
	return true
}

// saidEvery is the time between two lines that say the same.
const saidEvery = time.Hour

// paced calls what waits for the pace.
func (c *cycles) paced(wait func() (time.Duration, error)) error {
	leave := c.enter(InPace)
	waited, err := wait()
	leave()
	if waited > 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.current.Paced += waited
	}
	return err
}

// enter notes that a stage has begun, and returns what notes its end.
func (c *cycles) enter(s Stage) (leave func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.attempts[s]
	began := int64(time.Since(a.zero))
	a.n++
	a.since += began
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		a.n--
		a.since -= began
	}
}

// soFar is how long those in the stage have been in it, together.
func (a *attempt) soFar() time.Duration {
	return time.Duration(int64(a.n)*int64(time.Since(a.zero)) - a.since)
}

// add counts what an event tells.
func (c *cycles) add(e *Event) {
	if c.run.Poll <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := &c.current
	n.Bytes += e.Bytes
	n.Fetch += e.Fetch
	n.Decode += e.Decode
	n.Commit += e.Commit
	for i := range e.Outcomes {
		o := &e.Outcomes[i]
		n.Files[o.State]++
		n.Readings += o.Receipt.Cells.Stored + o.Receipt.Cells.Replaced
		if o.State == Loaded {
			n.Rejected += o.Receipt.Lines.Rejected + o.Receipt.Cells.Rejected
		}
	}
}

// listed notes that a listing has ended; looked, that the ledger has been asked
// about all of it.
func (c *cycles) listed() {
	settling := 0
	if s, ok := c.run.Source.(Settler); ok {
		settling = s.Settling()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current.Settling = settling
}

func (c *cycles) looked() {
	c.mu.Lock()
	c.phase, c.ended = phaseWorking, time.Now()
	c.mu.Unlock()
	c.idle()
}

// idle tells the cycle when all that was listed is done, and none of the others
// has been there for a poll interval.
func (c *cycles) idle() {
	c.tell(true, func(listed int) bool { return c.phase == phaseWorking && listed == 0 && !c.late() })
}

// late reports whether a file has waited a whole poll interval for the ledger,
// whether a listing brought it or a hint.
func (c *cycles) late() bool { return c.run.underWay.longest() >= c.run.Poll }

// overdue tells that the next listing is due while this one goes on.
func (c *cycles) overdue() {
	// The one that was due may have begun at this moment.
	c.tell(false, func(int) bool { return c.phase == phaseListing && time.Since(c.current.Began) >= c.run.Poll })
}

// close tells the cycle, if it was not told yet, or there is work left of it that
// came after that.
func (c *cycles) close() {
	c.tell(true, func(int) bool { return c.phase != phaseOver || c.late() })
}

// end tells what is not told when the run ends.
func (c *cycles) end() {
	c.tell(true, func(int) bool { return c.phase != phaseOver || c.current.Number > 0 && len(c.current.Files) > 0 })
}

// tell tells of the current cycle where it is so, as seen while nobody changes
// it: who finds something out may come when another cycle has begun. listed is how
// many files of the listing are under way.
func (c *cycles) tell(isOver bool, isSo func(listed int) bool) {
	queued, spooled := c.run.backlog.length(), c.run.underWay.spooled()
	c.mu.Lock()
	underWay, listed, oldest := c.run.underWay.state(math.MaxInt64)
	if c.run.Poll <= 0 || !isSo(listed) {
		c.mu.Unlock()
		return
	}
	now := time.Now()
	told := c.current
	told.Over, told.Took = isOver, now.Sub(told.Began)
	told.Listing = told.Took
	if !c.ended.IsZero() {
		told.Listing = c.ended.Sub(told.Began)
	}
	told.Queued, told.UnderWay, told.Spooled = queued, max(underWay-queued, 0), spooled
	if told.Oldest = min(oldest, c.oldest); told.Oldest == math.MaxInt64 {
		told.Oldest = 0
	} else {
		told.Lag = max(0, now.Sub(FromMicros(told.Oldest)))
	}
	if told.Overran = told.Took >= told.Poll && (listed > 0 || told.Listing >= told.Poll || c.late()); told.Overran {
		told.Bound = c.bound(&told)
	}
	if !isOver {
		told.Files = maps.Clone(told.Files) // counting goes on
	} else {
		c.phase = phaseOver
		c.current = Cycle{Number: told.Number, Began: told.Began, Poll: told.Poll, Err: told.Err, Faults: told.Faults, Cut: told.Cut, CutWhy: told.CutWhy, Listed: told.Listed, Settling: told.Settling, Files: make(map[State]int)}
	}
	c.mu.Unlock()
	c.run.tellCycle(&told)
}

// bound is the stage of which those who work in it had the most to do. It is
// for who holds the lock.
func (c *cycles) bound(n *Cycle) Stage {
	workers, connections := time.Duration(c.run.Workers), time.Duration(c.run.Connections)
	if connections == 0 {
		connections = workers
	}
	bound, most := InListing, time.Duration(0)
	if n.Listing >= n.Poll {
		most = n.Listing
	}
	for _, s := range []struct {
		stage Stage
		took  time.Duration
	}{
		{InFetch, (n.Fetch + c.attempts[InFetch].soFar()) / connections},
		{InDecode, n.Decode / workers},
		{InCommit, (n.Commit + c.attempts[InCommit].soFar()) / workers},
		{InPace, (n.Paced + c.attempts[InPace].soFar()) / workers},
	} {
		if s.took > most {
			bound, most = s.stage, s.took
		}
	}
	return bound
}

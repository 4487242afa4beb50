package store

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// A teller tells those downstream what commits brought: listeners (NOTIFY), and
// the tables marks and arrivals, from which it is read up to when a series is
// complete and which loggers are silent. It is one goroutine of a store, with a
// connection of its own. Commits hand it what they brought in memory and do not
// wait for it: what it writes is none of their transactions.
type teller struct {
	store *Store
	log   *slog.Logger
	wake  chan struct{} // holds one element while there is news
	stop  context.CancelFunc
	ended chan struct{}

	mu     sync.Mutex
	news   news
	added  int                      // how often, since the tables were written last
	writes int                      // of the tables, that ended
	runs   map[int32]*runToTell     // of the sinks
	commit map[*committer]time.Time // under way, and since when
	kept   time.Time                // up to when it is kept that all is told
	doubt  doubt
	untold bool // a run before may have been killed before it told all
	taken  bool // news is being written, and not told yet

	// Of the goroutine alone.
	conn     *pgconn.PgConn
	told     time.Time // listeners
	written  time.Time // the tables
	madeUp   time.Time // for what other runs did not tell
	failing  bool
	arriving map[string]*arrivals
}

// news is what commits brought that is not told yet.
type news struct {
	sources map[string]brought
	series  map[int32]stretch
	brought []seriesStretch    // likewise, of one commit: a series once
	unsure  []int64            // file versions whose series are to be looked at anew
	arrived map[string][]int64 // by logger: when its files came, in microseconds UTC
}

// brought is what a source's files brought.
type brought struct {
	Files    int64 `json:"files"`
	Readings int64 `json:"readings"`
}

const (
	tellEvery  = 100 * time.Millisecond // at most one notification in this time
	writeEvery = time.Second            // likewise of the tables
	lookEvery  = 10 * time.Second       // at marks that others left to be looked at
	// busyFrom is from how many commits on between two writes little is looked at:
	// in a backfill most series that are looked at are not plain again a moment
	// later, and readings come first.
	busyFrom = 10
	// makeUpEvery is how often it is made up for what other runs did not tell: what
	// is read of the ledger for that is what changed since the time before.
	makeUpEvery = time.Hour
	// lastWords is how long the store's closing waits for what is not told yet.
	lastWords = 5 * time.Second
)

// A doubt is about commits that were given up while nobody knew whether they were
// made: such a one may be made later, too.
type doubt struct {
	since time.Time // when the first of them began; zero for no doubt
	last  time.Time // when the last of them was given up
}

// A runToTell is a run of which it is kept up to when its news is told.
type runToTell struct {
	source int16
	ended  time.Time // its last commit; zero for none
}

// startTelling has a sink's news told. untold says that another run may have been
// killed before it told all: that is made up for.
func (s *Store) startTelling(log *slog.Logger, sink *Sink, untold bool) {
	s.telling.Do(func() {
		ctx, stop := context.WithCancel(context.Background()) // until Close
		s.teller = &teller{store: s, log: log, wake: make(chan struct{}, 1), stop: stop, ended: make(chan struct{}), madeUp: time.Now(),
			written:  time.Now(), // what the first commits bring is written with what comes in their second
			news:     news{sources: make(map[string]brought), series: make(map[int32]stretch), arrived: make(map[string][]int64)},
			arriving: make(map[string]*arrivals), runs: make(map[int32]*runToTell), commit: make(map[*committer]time.Time)}
		go s.teller.run(ctx)
	})
	t := s.teller
	t.mu.Lock()
	t.follow(sink)
	t.forgetSuperseded()
	t.untold = t.untold || untold
	t.mu.Unlock()
	if untold { // else a connection is not worth its time before there is news
		t.signal()
	}
}

func (t *teller) signal() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// follow has it kept up to when the news of a sink's run is told. The lock is held.
func (t *teller) follow(s *Sink) *runToTell {
	r := t.runs[s.run]
	if r == nil {
		r = &runToTell{source: s.source}
		t.runs[s.run] = r
	}
	return r
}

// forgetSuperseded forgets the runs of which all is told and nothing is to come:
// there is a later one of their source. The lock is held.
func (t *teller) forgetSuperseded() {
	latest := make(map[int16]int32)
	for id, r := range t.runs {
		latest[r.source] = max(latest[r.source], id)
	}
	for c := range t.commit {
		latest[c.sink.source] = min(latest[c.sink.source], c.sink.run)
	}
	maps.DeleteFunc(t.runs, func(id int32, r *runToTell) bool { return id < latest[r.source] && !r.ended.After(t.kept) })
}

// commits notes that a commit is under way, until what it returns is called:
// what it brings is told after that. A commit that was given up while nobody knew
// whether it was made is made up for.
func (t *teller) commits(c *committer) (end func()) {
	began := time.Now()
	t.mu.Lock()
	t.commit[c] = began
	t.mu.Unlock()
	return func() {
		t.mu.Lock()
		delete(t.commit, c)
		t.follow(c.sink).ended = time.Now()
		if c.unknown {
			if t.doubt.since.IsZero() || began.Before(t.doubt.since) {
				t.doubt.since = began
			}
			t.doubt.last = time.Now()
			t.untold = true
		}
		t.mu.Unlock()
		if c.unknown {
			t.signal()
		}
	}
}

// add takes over news; the zero value adds nothing.
func (t *teller) add(n news) {
	t.mu.Lock()
	for source, b := range n.sources {
		was := t.news.sources[source]
		t.news.sources[source] = brought{was.Files + b.Files, was.Readings + b.Readings}
	}
	marked := func(id int32, x stretch) {
		if was, ok := t.news.series[id]; ok {
			x = x.with(was)
		}
		t.news.series[id] = x
	}
	for id, x := range n.series {
		marked(id, x)
	}
	for _, x := range n.brought {
		marked(x.id, x.stretch)
	}
	t.news.unsure = append(t.news.unsure, n.unsure...)
	t.added++
	for logger, at := range n.arrived {
		t.news.arrived[logger] = append(t.news.arrived[logger], at...)
	}
	t.mu.Unlock()
	t.signal()
}

// run tells until ctx ends, and then what is left.
func (t *teller) run(ctx context.Context) {
	defer close(t.ended)
	defer func() {
		if t.conn != nil {
			closeConnection(t.conn)
		}
	}()
	for t.waitForNews(ctx) && sleep(ctx, tellEvery-time.Since(t.told)) == nil {
		t.tell(ctx)
		if time.Since(t.written) >= t.store.options.writeEvery {
			t.write(ctx, writeEvery/10)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	t.tell(ctx)
	t.write(ctx, 0) // whoever asks looks at what is stale, or the next daemon: nobody waits for that
}

// waitForNews waits until there is something to do; false when ctx ends.
func (t *teller) waitForNews(ctx context.Context) bool {
	wait := lookEvery
	if t.pending() {
		wait = t.store.options.writeEvery - time.Since(t.written)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-t.wake:
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// pending reports whether the tables lag behind.
func (t *teller) pending() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lags()
}

// lags is pending. The lock is held.
func (t *teller) lags() bool {
	return t.untold || t.taken || len(t.news.series)+len(t.news.arrived)+len(t.news.unsure) > 0
}

// toldAll reports whether there is nothing left to tell.
func (t *teller) toldAll() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.lags() && t.doubt.since.IsZero()
}

// close ends the teller when it has told what it knows, or could not.
func (t *teller) close() {
	t.stop()
	<-t.ended
}

// try does one thing that may fail without harm: what is not told now is told
// later. Of failures in a row the first is logged.
func (t *teller) try(ctx context.Context, what string, f func(context.Context) error) (done bool) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := t.connect(ctx)
	if err == nil {
		err = f(ctx)
	}
	switch {
	case err == nil:
		t.failing = false
		return true
	case judge(err) == tryLater: // who commits says that the database is away
	case !t.failing && ctx.Err() == nil:
		t.failing = true
		t.log.Warn("those downstream are told later", slog.String("what", what), slog.Any("error", err))
	}
	return false
}

func (t *teller) connect(ctx context.Context) (err error) {
	if t.conn != nil && !t.conn.IsClosed() {
		return nil
	}
	if t.conn, err = t.store.connect(ctx); err != nil {
		return err
	}
	// A correction may hold a row for long.
	// What a server's crash takes away is made up for, like what a kill does.
	_, err = t.conn.Exec(ctx, "set lock_timeout = '1s'; set synchronous_commit = off").ReadAll()
	return err
}

// exec runs one statement, a transaction of its own.
func (t *teller) exec(ctx context.Context, sql string, params [][]byte, each func(*record)) error {
	return execute(ctx, t.conn, sql, params, each)
}

// A notification is what listeners of the channel penstock are told, as JSON: what
// came since the one before. Sources is left out where there are very many.
type notification struct {
	Schema   string             `json:"schema"`
	Files    int64              `json:"files"`
	Readings int64              `json:"readings"`
	Sources  map[string]brought `json:"sources,omitempty"`
}

const notifySQL = "select pg_notify('penstock', $1)"

// maxPayload keeps well below the 8,000 bytes that PostgreSQL takes.
const maxPayload = 4000

// tell sends one notification, if there is news.
func (t *teller) tell(ctx context.Context) {
	t.mu.Lock()
	sources := t.news.sources
	t.news.sources = make(map[string]brought)
	t.mu.Unlock()
	if len(sources) == 0 {
		return
	}
	told := t.try(ctx, "notifying listeners", func(ctx context.Context) error {
		payload, err := payloadOf(t.store.options.Schema, sources)
		if err != nil {
			return err
		}
		return t.exec(ctx, notifySQL, [][]byte{payload}, nil)
	})
	t.told = time.Now()
	if !told {
		t.told = t.told.Add(writeEvery)
		t.add(news{sources: sources})
	}
}

func payloadOf(schema string, sources map[string]brought) ([]byte, error) {
	n := notification{Schema: schema, Sources: sources}
	for _, b := range sources {
		n.Files += b.Files
		n.Readings += b.Readings
	}
	payload, err := json.Marshal(n)
	if err == nil && len(payload) > maxPayload {
		n.Sources = nil
		payload, err = json.Marshal(n)
	}
	return payload, err
}

// write brings the tables up to date. What it cannot write it keeps.
func (t *teller) write(ctx context.Context, atMost time.Duration) {
	t.mu.Lock()
	n := news{series: t.news.series, unsure: t.news.unsure, arrived: t.news.arrived}
	t.news.series, t.news.unsure, t.news.arrived = make(map[int32]stretch), nil, make(map[string][]int64)
	some := len(n.series)+len(n.unsure) > 0
	t.taken = some || len(n.arrived) > 0
	busy := t.added > busyFrom
	t.added = 0
	runs, until := t.runsToTell()
	t.mu.Unlock()
	if some {
		t.try(ctx, "marking up to when series are complete", func(ctx context.Context) error { return t.markAll(ctx, &n) })
		t.add(news{series: n.series, unsure: n.unsure})
	}
	if len(n.arrived) > 0 && !t.try(ctx, "keeping when files came", func(ctx context.Context) error { return t.keepArrivals(ctx, n.arrived) }) {
		t.add(news{arrived: n.arrived})
	}
	t.mu.Lock()
	t.taken = false // what could not be written is news again
	t.mu.Unlock()
	if some && len(n.series)+len(n.unsure) == 0 {
		t.try(ctx, "keeping what is told", func(ctx context.Context) error { return t.keepTold(ctx, runs, until) })
	}
	t.makeUp(ctx)
	if busy {
		atMost /= 10
	}
	if atMost > 0 {
		t.try(ctx, "looking at series that are not plain", func(ctx context.Context) error { return t.look(ctx, atMost) })
	}
	t.written = time.Now()
	t.mu.Lock()
	t.writes++
	t.mu.Unlock()
}

// runsToTell returns the runs, and up to when all that they committed has come as
// news. The lock is held.
func (t *teller) runsToTell() (runs []int32, until time.Time) {
	until = time.Now()
	if !t.doubt.since.IsZero() {
		until = t.doubt.since
	}
	for _, began := range t.commit {
		if began.Before(until) {
			until = began
		}
	}
	return slices.Collect(maps.Keys(t.runs)), until
}

// keepTold notes that the marks have all that the runs committed until then. Those
// are forgotten of which nothing more is to come.
func (t *teller) keepTold(ctx context.Context, runs []int32, until time.Time) error {
	p := newColumns(oidInt4)
	for _, id := range runs {
		p[0].int4(id)
	}
	err := t.exec(ctx, "update runs set told = greatest(told, now() - $2::int8 * interval '1 microsecond') where id = any($1::int4[])",
		append(p.params(), int8Param(time.Since(until).Microseconds())), nil)
	if err != nil {
		return err
	}
	t.mu.Lock()
	t.kept = until
	t.forgetSuperseded()
	t.mu.Unlock()
	return nil
}

// makeUp makes up for what was not told, where that may be.
func (t *teller) makeUp(ctx context.Context) {
	began := time.Now()
	t.mu.Lock()
	doubtful := !t.doubt.since.IsZero() && began.Sub(t.doubt.last) > t.store.options.untoldFor
	some := t.untold || doubtful || began.Sub(t.madeUp) > t.store.options.makeUpEvery
	t.untold, t.taken = false, some
	t.mu.Unlock()
	if !some {
		return
	}
	done := t.try(ctx, "making up for what a run did not tell", t.makeUpFor)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.taken = false
	if !done {
		t.untold = true
		return
	}
	t.madeUp = began
	if doubtful && began.After(t.doubt.last) {
		t.doubt = doubt{}
	}
}

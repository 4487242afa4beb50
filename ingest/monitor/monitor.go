// Package monitor keeps what the daemon's operator watches: Prometheus metrics,
// and whether the process makes progress (/healthz) and takes part (/readyz).
//
// A Monitor is told: by the events of the pipelines (Observe), and by calls that
// say how things stand (Lease, Store, Loggers, ...). It asks nobody, so that a
// scrape costs no query and a slow database delays none. The names of the
// metrics are in metrics.go, and stay.
package monitor

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"penstock/ingest"
)

// A Monitor gathers how the sources of one process stand. It has a registry of
// its own. All methods may be called concurrently.
type Monitor struct {
	now      func() time.Time
	patience Patience
	registry *prometheus.Registry
	metrics  *metrics

	mu      sync.Mutex
	sources map[string]*watched
	store   string    // what is wrong with the store, "" for nothing
	heard   time.Time // until when who supervises the sources need not be heard of; zero where nobody does
}

// New returns a Monitor of no sources, whose store has not been reached yet, and
// whose configuration was just taken. The version is that of the program.
func New(version string, patience Patience) *Monitor {
	m := &Monitor{
		now: time.Now, patience: patience, registry: prometheus.NewRegistry(),
		sources: make(map[string]*watched), store: "it has not been reached yet",
	}
	m.metrics = newMetrics(m.registry, version)
	m.registry.MustRegister(&ages{m})
	m.Reloaded(true)
	return m
}

// A watched source is one whose series exist. Its fields are guarded by the
// Monitor's mutex; its counters guard themselves.
type watched struct {
	*series
	poll             time.Duration
	waits            string    // why it rightly does nothing, "" when it works
	listing, listed  int       // the number of the last cycle that was told, and how many files it had
	moved            time.Time // when it last did something, or was last told to
	worked           time.Time // when files were last dealt with, or none waited
	queued, underWay int       // files, by the last cycle
	lease            leaseState
	oldest           time.Time // when the oldest file that is not loaded was modified; zero for none
	overran          int       // the number of the last cycle that was told to have overrun
	over             int       // likewise, to be over
}

type leaseState struct {
	asked  bool // a lease is needed
	held   bool
	reason string
}

// Follow makes the series of a source, all of them at zero, so that the first
// thing that happens to it is seen as a change. Poll is how often it is
// listed. Called again, as before each run of its pipeline, it sets poll and
// counts as progress.
func (m *Monitor) Follow(source string, poll time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.follow(source)
	w.poll, w.moved, w.overran, w.over, w.listing = poll, m.now(), 0, 0, 0
}

func (m *Monitor) follow(source string) *watched {
	w := m.sources[source]
	if w == nil {
		w = &watched{series: m.metrics.of(source), moved: m.now(), worked: m.now()}
		m.sources[source] = w
	}
	return w
}

// Forget takes the series of a source away, after its pipeline has ended for
// good.
func (m *Monitor) Forget(source string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sources, source)
	m.metrics.forget(source)
}

// Observe counts what an event tells. It keeps nothing of the event.
func (m *Monitor) Observe(e ingest.Event) {
	m.mu.Lock()
	w := m.follow(e.Source)
	w.waits = ""
	if e.Cycle == nil || w.goesOn(e.Cycle) {
		w.moved = m.now()
	}
	if e.Cycle == nil {
		if e.Worker > 0 || slices.ContainsFunc(e.Outcomes, func(o ingest.Outcome) bool { return o.State != ingest.Known }) {
			w.worked = w.moved
		}
		m.mu.Unlock()
		w.count(&e)
		return
	}
	first, again := w.leaves(e.Cycle), e.Cycle.Over && e.Cycle.Number == w.over
	if e.Cycle.Over {
		w.over = e.Cycle.Number
	}
	m.mu.Unlock()
	w.cycle(e.Cycle, e.At, first, again)
}

// goesOn reports whether a cycle is progress: it is over, or its listing has found
// more files since it was told last.
func (w *watched) goesOn(c *ingest.Cycle) bool {
	before := 0
	if w.listing == c.Number {
		before = w.listed
	}
	w.listing, w.listed = c.Number, c.Listed
	return c.Over || c.Listed > before
}

// leaves takes in what a cycle leaves to be done, and reports whether the
// cycle is told to have overrun for the first time.
func (w *watched) leaves(c *ingest.Cycle) bool {
	if c.Err != nil {
		w.waits = c.Err.Error()
	}
	w.queued, w.underWay = c.Queued, c.UnderWay
	if w.queued+w.underWay == 0 {
		w.worked = w.moved
	}
	w.oldest = time.Time{}
	if c.Oldest != 0 {
		w.oldest = ingest.FromMicros(c.Oldest)
	}
	first := c.Overran && c.Number != w.overran
	if first {
		w.overran = c.Number
	}
	return first
}

// Waits says that a source rightly does nothing, and why: its server or the
// database is away, another process has its lease. It counts as progress each
// time it is called. The source's next event ends it, and so does "".
func (m *Monitor) Waits(source, reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.follow(source)
	w.waits, w.moved, w.worked = reason, m.now(), m.now()
}

// Failed says that a source could not be listed or its pipeline ended with an
// error, and is tried again. The reason may name hosts and users, and is shown
// by /healthz.
func (m *Monitor) Failed(source, reason string) {
	m.Waits(source, reason)
	m.mu.Lock()
	w := m.sources[source]
	m.mu.Unlock()
	if w != nil {
		w.failures.Inc()
		w.up.Set(0)
	}
}

// Lease says whether this process holds the lease of a source, and if not, why
// not: who holds it. A source of which nothing was said needs none.
func (m *Monitor) Lease(source string, held bool, reason string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := m.follow(source)
	if held && !w.lease.held {
		w.moved, w.worked = m.now(), m.now()
	}
	w.lease = leaseState{asked: true, held: held, reason: reason}
	w.held.Set(oneIf(held))
}

// Store says what is wrong with the store or its schema, "" for nothing. When
// it is well again, the sources have as long as ever to go on.
func (m *Monitor) Store(wrong string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.store != "" && wrong == "" {
		for _, w := range m.sources {
			w.moved, w.worked = m.now(), m.now()
		}
	}
	m.store = wrong
	m.metrics.store.Set(oneIf(wrong == ""))
}

// Supervised says that who supervises the sources goes on, and will be heard of
// again within a time: else that counts as stuck.
func (m *Monitor) Supervised(within time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heard = m.now().Add(within)
}

// Loggers says how many loggers there are by whether files come from them:
// reporting as they usually do, silent, or irregular (too few files to tell).
func (m *Monitor) Loggers(reporting, silent, irregular int) {
	m.metrics.loggers.WithLabelValues("reporting").Set(float64(reporting))
	m.metrics.loggers.WithLabelValues("silent").Set(float64(silent))
	m.metrics.loggers.WithLabelValues("irregular").Set(float64(irregular))
}

// An ArchiveState is how the archive of a source stands, in bytes on disk.
type ArchiveState struct {
	Packs      int
	Bytes      int64 // of the packs
	Spooled    int64 // of these, what the database has not got yet
	SpoolLimit int64 // where fetching stops while the database is away
	Free       int64 // what is left in the file system of the archive's folder
}

// Archive says how the archive of a source stands. Of a source that is not
// followed nothing is told.
func (m *Monitor) Archive(source string, a ArchiveState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sources[source] == nil {
		return
	}
	m.metrics.packs.WithLabelValues(source).Set(float64(a.Packs))
	m.metrics.archived.WithLabelValues(source).Set(float64(a.Bytes))
	m.metrics.spool.WithLabelValues(source).Set(float64(a.Spooled))
	m.metrics.spoolLimit.WithLabelValues(source).Set(float64(a.SpoolLimit))
	m.metrics.free.WithLabelValues(source).Set(float64(a.Free))
}

// Reloaded says whether the configuration, when it was last read, was taken.
func (m *Monitor) Reloaded(taken bool) {
	m.metrics.reloaded.Set(oneIf(taken))
	if taken {
		m.metrics.reloadedAt.Set(seconds(m.now()))
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// seconds is a time as Prometheus counts it: since the Unix epoch.
func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

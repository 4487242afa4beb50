package monitor

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"penstock/ingest"
)

// The values of labels. There are no others, so the number of series is that
// of the sources times a constant.
var (
	states = []ingest.State{
		ingest.Loaded, ingest.Duplicate, ingest.Held, ingest.Quarantined, ingest.Undone, ingest.Skipped, ingest.Due, ingest.Loading,
		ingest.Known, ingest.Changed, ingest.Failed,
	}
	results = []string{"stored", "replaced", "unchanged", "outranked", "repeated", "missing", "rejected", "withheld"}
	stages  = []ingest.Stage{ingest.InListing, ingest.InFetch, ingest.InDecode, ingest.InCommit, ingest.InPace}
)

// visibilityBounds are the upper bounds of the histogram of visibility: from a
// folder that is watched to a server that was away for a weekend.
var visibilityBounds = []float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 900, 3600, 6 * 3600, 24 * 3600, 72 * 3600}

// metrics are all of them, of the process and by source.
type metrics struct {
	store      prometheus.Gauge
	reloaded   prometheus.Gauge
	reloadedAt prometheus.Gauge
	loggers    *prometheus.GaugeVec

	files      *prometheus.CounterVec
	readings   *prometheus.CounterVec
	rejected   *prometheus.CounterVec
	bytes      *prometheus.CounterVec
	stages     *prometheus.CounterVec
	commits    *prometheus.CounterVec
	lastCommit *prometheus.GaugeVec
	visibility *prometheus.HistogramVec

	up       *prometheus.GaugeVec
	failures *prometheus.CounterVec
	lease    *prometheus.GaugeVec

	cycles    *prometheus.CounterVec
	overran   *prometheus.CounterVec
	lastCycle *prometheus.GaugeVec
	took      *prometheus.GaugeVec
	ratio     *prometheus.GaugeVec
	listed    *prometheus.GaugeVec
	cut       *prometheus.GaugeVec
	settling  *prometheus.GaugeVec
	backlog   *prometheus.GaugeVec
	underWay  *prometheus.GaugeVec
	spooled   *prometheus.GaugeVec
	notDone   *prometheus.CounterVec

	packs      *prometheus.GaugeVec
	archived   *prometheus.GaugeVec
	spool      *prometheus.GaugeVec
	spoolLimit *prometheus.GaugeVec
	free       *prometheus.GaugeVec
}

func newMetrics(r *prometheus.Registry, version string) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "penstock_" + name, Help: help}, labels)
		r.MustRegister(v)
		return v
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "penstock_" + name, Help: help}, labels)
		r.MustRegister(v)
		return v
	}
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	// The process collector's own has to read of the whole machine, which a service
	// that is locked up may not.
	gauge("start_timestamp_seconds", "When this process began.").WithLabelValues().Set(seconds(time.Now()))
	gauge("build_info", "Always 1; which build this is.", "version", "go").WithLabelValues(version, runtime.Version()).Set(1)
	visibility := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "penstock_visibility_seconds", Buckets: visibilityBounds,
		Help: "From a file's arrival (its modified time) to its readings being in the table. Files whose time is not told to the second are not in it.",
	}, []string{"source"})
	r.MustRegister(visibility)
	return &metrics{
		store:      gauge("store_up", "1 when the store answers and its schema is the program's, else 0.").WithLabelValues(),
		reloaded:   gauge("config_last_reload_successful", "1 when the configuration was taken the last time it was read, else 0.").WithLabelValues(),
		reloadedAt: gauge("config_last_reload_success_timestamp_seconds", "When a configuration was last taken.").WithLabelValues(),
		loggers:    gauge("loggers", "Loggers by whether files come from them: reporting, silent, or irregular (too few files to tell).", "state"),

		files:      counter("files_total", "Files by what became of them at a look or a commit; known counts a version once, when the ledger is found to have it.", "source", "state"),
		readings:   counter("readings_total", "Cells of reading columns by what became of them.", "source", "result"),
		rejected:   counter("rejected_lines_total", "Lines that could not be read as a record.", "source"),
		bytes:      counter("fetched_bytes_total", "Bytes fetched, as they came.", "source"),
		stages:     counter("stage_seconds_total", "Seconds spent in each stage, summed over workers and connections; pace is waiting for the limits that were set.", "source", "stage"),
		commits:    counter("commits_total", "Chunks of files that were committed.", "source"),
		lastCommit: gauge("last_commit_timestamp_seconds", "When a chunk of files was last committed; absent until the first.", "source"),
		visibility: visibility,

		up:       gauge("source_up", "1 when the source could be listed the last time, else 0.", "source"),
		failures: counter("source_failures_total", "Times that a source could not be listed or its pipeline ended with an error.", "source"),
		lease:    gauge("lease", "1 when this process holds the source's lease, 0 when it stands by.", "source"),

		cycles:    counter("cycles_total", "Listings that were done with, or were followed by the next.", "source"),
		overran:   counter("cycles_overrun_total", "Cycles with work left when the next listing was due, by the stage that held them up.", "source", "bound"),
		lastCycle: gauge("last_cycle_timestamp_seconds", "When a cycle was last over of a source that could be listed; absent until the first.", "source"),
		took:      gauge("cycle_seconds", "What the last cycle took, or the present one has taken, from the begin of its listing to the last of its files.", "source"),
		ratio:     gauge("cycle_interval_ratio", "The same over the poll interval: above 1 the source brings more than is dealt with.", "source"),
		listed:    gauge("listed_files", "Files in the last listing.", "source"),
		cut:       gauge("cut_folders", "Folders of which the server lists only a part, in the last listing.", "source"),
		settling:  gauge("settling_files", "Files that wait until their upload is complete.", "source"),
		backlog:   gauge("backlog_files", "Files that were listed and wait to be fetched.", "source"),
		underWay:  gauge("under_way_files", "Files that are being fetched, decoded or committed.", "source"),
		spooled:   gauge("spooled_files", "Files that are fetched and wait in the archive for the database.", "source"),
		notDone:   counter("not_done_total", "Times that a file was committed and could not be moved or deleted at its source; it is tried again.", "source"),

		packs:      gauge("archive_packs", "Packs of the source's archive.", "source"),
		archived:   gauge("archive_bytes", "What the packs of the source's archive take on disk.", "source"),
		spool:      gauge("archive_spooled_bytes", "Of these, what the database has not got yet.", "source"),
		spoolLimit: gauge("archive_spool_limit_bytes", "How much of that there may be before fetching stops.", "source"),
		free:       gauge("archive_free_bytes", "What is left in the file system of the archive's folder.", "source"),
	}
}

// A series is the children of the metrics for one source.
type series struct {
	files      map[ingest.State]prometheus.Counter
	readings   []prometheus.Counter // by results
	stages     map[ingest.Stage]prometheus.Counter
	rejected   prometheus.Counter
	bytes      prometheus.Counter
	commits    prometheus.Counter
	visibility prometheus.Observer
	lastCommit func() prometheus.Gauge

	up       prometheus.Gauge
	failures prometheus.Counter
	held     prometheus.Gauge

	cycles    prometheus.Counter
	overran   map[ingest.Stage]prometheus.Counter
	lastCycle func() prometheus.Gauge
	took      prometheus.Gauge
	ratio     prometheus.Gauge
	listed    prometheus.Gauge
	cut       prometheus.Gauge
	settling  prometheus.Gauge
	backlog   prometheus.Gauge
	underWay  prometheus.Gauge
	spooled   prometheus.Gauge
	notDone   prometheus.Counter
}

func (m *metrics) of(source string) *series {
	s := &series{
		files:      make(map[ingest.State]prometheus.Counter, len(states)),
		rejected:   m.rejected.WithLabelValues(source),
		bytes:      m.bytes.WithLabelValues(source),
		commits:    m.commits.WithLabelValues(source),
		visibility: m.visibility.WithLabelValues(source),
		lastCommit: func() prometheus.Gauge { return m.lastCommit.WithLabelValues(source) },
		up:         m.up.WithLabelValues(source),
		failures:   m.failures.WithLabelValues(source),
		held:       m.lease.WithLabelValues(source),
		stages:     make(map[ingest.Stage]prometheus.Counter, len(stages)),
		cycles:     m.cycles.WithLabelValues(source),
		overran:    make(map[ingest.Stage]prometheus.Counter, len(stages)),
		lastCycle:  func() prometheus.Gauge { return m.lastCycle.WithLabelValues(source) },
		took:       m.took.WithLabelValues(source),
		ratio:      m.ratio.WithLabelValues(source),
		listed:     m.listed.WithLabelValues(source),
		cut:        m.cut.WithLabelValues(source),
		settling:   m.settling.WithLabelValues(source),
		backlog:    m.backlog.WithLabelValues(source),
		underWay:   m.underWay.WithLabelValues(source),
		spooled:    m.spooled.WithLabelValues(source),
		notDone:    m.notDone.WithLabelValues(source),
	}
	for _, state := range states {
		s.files[state] = m.files.WithLabelValues(source, string(state))
	}
	for _, result := range results {
		s.readings = append(s.readings, m.readings.WithLabelValues(source, result))
	}
	for _, stage := range stages {
		s.stages[stage] = m.stages.WithLabelValues(source, string(stage))
		s.overran[stage] = m.overran.WithLabelValues(source, string(stage))
	}
	return s
}

func (m *metrics) forget(source string) {
	of := prometheus.Labels{"source": source}
	for _, v := range []*prometheus.CounterVec{m.files, m.readings, m.rejected, m.bytes, m.stages, m.commits, m.failures, m.cycles, m.overran, m.notDone} {
		v.DeletePartialMatch(of)
	}
	for _, v := range []*prometheus.GaugeVec{m.lastCommit, m.up, m.lease, m.lastCycle, m.took, m.ratio, m.listed, m.cut, m.settling, m.backlog, m.underWay, m.spooled,
		m.packs, m.archived, m.spool, m.spoolLimit, m.free} {
		v.DeletePartialMatch(of)
	}
	m.visibility.DeletePartialMatch(of)
}

// count adds what an event tells.
func (s *series) count(e *ingest.Event) {
	var sum ingest.Receipt
	for i := range e.Outcomes {
		o := &e.Outcomes[i]
		if c := s.files[o.State]; c != nil {
			c.Inc()
		}
		sum.Add(&o.Receipt)
		if arrived, told := arrival(&o.File); told && o.State == ingest.Loaded && !arrived.After(e.At) {
			s.visibility.Observe(e.At.Sub(arrived).Seconds())
		}
	}
	c := &sum.Cells
	for i, n := range [...]int64{c.Stored, c.Replaced, c.Unchanged, c.Outranked, c.Repeated, c.Missing, c.Rejected, c.Withheld} {
		s.readings[i].Add(float64(n))
	}
	s.stages[ingest.InFetch].Add(e.Fetch.Seconds())
	s.stages[ingest.InDecode].Add(e.Decode.Seconds())
	s.stages[ingest.InCommit].Add(e.Commit.Seconds())
	s.rejected.Add(float64(sum.Lines.Rejected))
	s.bytes.Add(float64(e.Bytes))
	if e.Commit > 0 {
		s.commits.Inc()
		s.lastCommit().Set(seconds(e.At))
	}
}

// cycle takes in how a listing went and what is left of it. A cycle may be
// told several times: what adds up is taken when it is over, but for an overrun,
// which is told with first. Where it is told again to be over, only what has come
// since is added.
func (s *series) cycle(c *ingest.Cycle, at time.Time, first, again bool) {
	s.took.Set(c.Took.Seconds())
	if c.Poll > 0 {
		s.ratio.Set(c.Took.Seconds() / c.Poll.Seconds())
	}
	s.backlog.Set(float64(c.Queued + c.Left))
	s.underWay.Set(float64(c.UnderWay))
	s.spooled.Set(float64(c.Spooled))
	if bound := s.overran[c.Bound]; c.Overran && first && bound != nil {
		bound.Inc()
	}
	if !c.Over {
		return
	}
	s.listed.Set(float64(c.Listed))
	if c.Err == nil {
		s.cut.Set(float64(c.Cut))
	}
	s.settling.Set(float64(c.Settling))
	s.up.Set(oneIf(c.Err == nil))
	s.stages[ingest.InPace].Add(c.Paced.Seconds())
	s.notDone.Add(float64(c.NotDone))
	if again {
		return
	}
	s.cycles.Inc()
	s.stages[ingest.InListing].Add(c.Listing.Seconds())
	if c.Err != nil {
		s.failures.Inc()
	} else {
		s.lastCycle().Set(seconds(at))
	}
}

// arrival is when a file came, where its source tells that to the second.
func arrival(f *ingest.File) (time.Time, bool) {
	if f.Modified == 0 || f.Precision == ingest.Unknown || f.Precision > ingest.TwoSeconds {
		return time.Time{}, false
	}
	return ingest.FromMicros(f.Modified), true
}

// ages collects what grows by itself, as it stands when it is asked.
type ages struct{ *Monitor }

var oldestUnloaded = prometheus.NewDesc("penstock_oldest_unloaded_seconds",
	"Age of the oldest file that was listed and is not loaded yet, by its modified time; 0 when there is none.", []string{"source"}, nil)

func (a *ages) Describe(out chan<- *prometheus.Desc) { out <- oldestUnloaded }

func (a *ages) Collect(out chan<- prometheus.Metric) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	for name, w := range a.sources {
		age := 0.0
		if !w.oldest.IsZero() {
			age = max(0, now.Sub(w.oldest).Seconds())
		}
		out <- prometheus.MustNewConstMetric(oldestUnloaded, prometheus.GaugeValue, age, name)
	}
}

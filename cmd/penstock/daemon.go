package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/spf13/pflag"

	"penstock/ingest"
	"penstock/ingest/monitor"
	"penstock/ingest/source/archive"
	"penstock/store"
)

// A daemon keeps the sources of a config loaded. One goroutine, the supervisor,
// owns its fields but for those that say otherwise; each source has a feeder,
// which is a goroutine with a pipeline of its own.
type daemon struct {
	*app
	running
	flags   *pflag.FlagSet
	monitor *monitor.Monitor
	service *service
	metrics *metricsServer // nil for none

	turn *ingest.Turnstile // of the chunks of all sources
	pace *ingest.Pace      // likewise of their files and readings

	store    *opened
	archive  *archive.Archive // nil for none
	approved *approvals
	feeders  map[string]*feeder
	acted    chan struct{}      // a person did something to the data
	changed  chan struct{}      // the sources are others now
	fatal    chan error         // of feeders, that end the daemon
	endWork  context.CancelFunc // what is under way in all feeders
	work     context.Context    // of all feeders

	every    atomic.Pointer[map[string]time.Duration] // how often loggers record, by the config's table
	followed atomic.Pointer[[]string]                 // the names of the config's sources

	until atomic.Int64 // the supervisor is busy until then, rightly, in nanoseconds since the epoch
}

var errReopen = errors.New("the config has another store now")

// runDaemon is the whole of 'penstock run'.
func (a *app) runDaemon(flags *pflag.FlagSet, o *running) error {
	if a.configFile == "" {
		return usage("penstock run -c penstock.yaml", "'penstock run' needs a config")
	}
	// From here on, SIGHUP does not end the process, however early it comes.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	c, err := a.daemonConfig()
	if err != nil {
		return err
	}
	return a.newDaemon(flags, o, monitor.DefaultPatience()).run(c, hangups)
}

func (a *app) newDaemon(flags *pflag.FlagSet, o *running, patience monitor.Patience) *daemon {
	a.log = slog.New(newSparing(a.log.Handler()))
	return &daemon{app: a, running: *o, flags: flags, monitor: monitor.New(version(), patience), turn: ingest.NewTurnstile(1), pace: ingest.NewPace(0, 0)}
}

// run goes by a config, and by what becomes of it with each hangup, until the
// daemon is to end.
func (d *daemon) run(c *config, hangups <-chan os.Signal) error {
	d.busy(time.Minute)
	d.service = startService(d)
	defer d.service.end()
	d.adopt(c)
	if err := d.serveMetrics(c.monitor); err != nil {
		return err
	}
	defer func() { d.metrics.close() }()
	d.log.Info("penstock runs", slog.String("version", version()), slog.String("config", d.configFile), slog.Int("sources", len(c.sources)))
	d.service.ready("waiting for the store")
	for {
		err := d.serve(hangups)
		if !errors.Is(err, errReopen) {
			return err
		}
	}
}

// daemonConfig reads the config that a daemon runs by.
func (a *app) daemonConfig() (*config, error) {
	c, err := loadConfig(a.configFile)
	if err != nil {
		return nil, &usageError{err: err}
	}
	if len(c.sources) == 0 {
		return nil, usage("name one below sources:", "%s names no source", a.configFile)
	}
	return c, nil
}

// adopt makes c the config that the daemon goes by.
func (d *daemon) adopt(c *config) {
	d.config = c
	every := c.loggers.Every()
	d.every.Store(&every)
	names := make([]string, len(c.sources))
	for i, s := range c.sources {
		names[i] = s.name
	}
	d.followed.Store(&names)
	d.takeStore(d.flags)
	workers, _ := tune(c.pipeline.workers, c.pipeline.chunk)
	d.turn.Set(workers)
	d.pace.Set(c.limits.filesPerSecond, c.limits.readingsPerSecond)
	if d.store != nil {
		d.store.SetConnections(c.limits.connections)
	}
	if d.archiveDir != "" {
		c.archive.dir, c.archive.off = d.archiveDir, false
	}
}

// serve opens the store and feeds it until the daemon is to end, or the store is
// another one.
func (d *daemon) serve(hangups <-chan os.Signal) error {
	if err := d.awaitStore(); err != nil || d.store == nil {
		return err
	}
	defer func() {
		d.store.close(d.log)
		d.store = nil
	}()
	d.fatal, d.acted, d.changed = make(chan error, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	d.feeders = make(map[string]*feeder)
	d.work, d.endWork = context.WithCancel(d.app.work)
	defer d.endWork()
	d.store.SetConnections(d.config.limits.connections)
	d.approved = newApprovals(d.store.Store, d.log, d.args, d.acted)
	if err := d.openArchive(); err != nil {
		return err
	}
	defer d.closeArchive()
	watching, stopWatching := context.WithCancel(d.work)
	var watchers sync.WaitGroup
	watchers.Go(func() { d.approved.watch(watching) })
	watchers.Go(func() { d.watchStore(watching) })
	watchers.Go(func() { d.watchSilence(watching) })
	if d.archive != nil {
		kept, limit := d.archive, d.config.archive.spool
		v := &archivist{archive: kept, store: d.store.Store, log: d.log, changed: d.changed, tell: func() { d.tellArchive(kept, limit) }}
		watchers.Go(func() { v.run(watching) })
	}
	for _, s := range d.config.sources {
		d.start(s, nil)
	}
	d.tellStatus()
	err := d.supervise(hangups)
	if stopped := d.stopAll(); err == nil {
		err = stopped
	}
	stopWatching()
	watchers.Wait()
	return err
}

// awaitStore opens the store, waiting for it as long as it is away. Without an
// error d.store is nil when the daemon was told to end meanwhile.
func (d *daemon) awaitStore() error {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 500*time.Millisecond, 15*time.Second
	var since time.Time
	for d.take.Err() == nil {
		d.busy(10 * time.Minute) // a private PostgreSQL may be made first
		s, err := d.openStore(d.take, writes, store.Options{Create: true, RetryFor: -1})
		switch {
		case err == nil:
			d.store = s
			d.monitor.Store("")
			if !since.IsZero() {
				d.log.Info("the store answers", slog.String("after", span(time.Since(since))))
			}
			d.tellHypertable()
			return nil
		case d.take.Err() == nil && !store.Away(err):
			return err
		case d.take.Err() == nil && since.IsZero():
			since = time.Now()
			d.log.Warn("the store is away: waiting for it", slog.Any("error", err))
		}
		d.monitor.Store(err.Error())
		pause(d.take, wait.NextBackOff())
	}
	return nil
}

// tellHypertable tells where readings are not kept as the config says.
func (d *daemon) tellHypertable() {
	switch _, differs, err := d.store.Hypertable(d.take); {
	case errors.Is(err, store.ErrNoHypertable):
		d.log.Warn("store.hypertable is not in force", slog.Any("error", err), slog.String("do", hintFor(err)))
	case differs:
		d.log.Warn("store.hypertable is not in force: 'penstock migrate' with this config changes the table")
	}
}

// supervise starts and ends feeders as the config and signals want, until the
// daemon is to end. Nothing in it waits for a source or the store.
func (d *daemon) supervise(hangups <-chan os.Signal) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		d.busy(10 * time.Second)
		select {
		case <-d.take.Done():
			return nil
		case <-hangups:
			if err := d.reload(); err != nil {
				return err
			}
		case err := <-d.fatal:
			return err
		case <-d.acted:
			for _, f := range d.feeders {
				f.askAnew()
			}
		case <-tick.C:
		}
	}
}

// reload reads the config anew. What is wrong with it is logged, and the old one
// stays. Its error ends the serving of this store.
func (d *daemon) reload() error {
	d.service.reloading()
	defer d.tellStatus()
	c, err := d.daemonConfig()
	if err == nil {
		err = d.approved.check(c)
	}
	if err == nil {
		err = d.serveMetrics(c.monitor)
	}
	d.monitor.Reloaded(err == nil)
	if err != nil {
		for wrong := range strings.SplitSeq(err.Error(), "\n") {
			d.log.Error("the config is not taken, the old one stays", slog.String("error", wrong))
		}
		return nil
	}
	before := d.config
	d.adopt(c)
	if before.store != c.store || before.archive != c.archive {
		d.log.Info("the config is taken: its store or archive is another one")
		return errReopen
	}
	var begun, ended, kept int
	for name, f := range d.feeders {
		if c.source(name) == nil {
			d.end(f)
			ended++
		}
	}
	for _, s := range c.sources {
		f := d.feeders[s.name]
		if f != nil && f.config.same(s) && before.pipeline == c.pipeline {
			f.decoders.configure(c, s)
			kept++
			continue
		}
		d.start(s, f)
		begun++
	}
	select {
	case d.changed <- struct{}{}:
	default:
	}
	d.log.Info("the config is taken", slog.Int("begun", begun), slog.Int("ended", ended), slog.Int("kept", kept))
	return nil
}

// start makes the feeder of a source, in place of one that is to end first.
func (d *daemon) start(s *sourceConfig, instead *feeder) {
	var before <-chan struct{}
	if instead != nil {
		instead.stop()
		before = instead.done
	}
	d.monitor.Follow(s.name, s.poll)
	f := newFeeder(d, s)
	d.feeders[s.name] = f
	go f.run(before)
}

// end lets a feeder go whose source is no longer in the config.
func (d *daemon) end(f *feeder) {
	f.stop()
	delete(d.feeders, f.config.name)
	go func() {
		<-f.done
		d.monitor.Forget(f.config.name)
	}()
}

// stopAll lets all feeders finish what is under way, for as long as they may.
func (d *daemon) stopAll() error {
	d.service.stopping(d.take.Err() != nil)
	d.busy(d.drain + time.Minute)
	if d.take.Err() != nil {
		d.log.Info("stopping: what is under way is finished first", slog.Duration("for_at_most", d.drain))
	}
	for _, f := range d.feeders {
		f.stop()
	}
	dropped := 0
	for _, f := range d.feeders {
		<-f.done
		if f.dropped {
			dropped++
		}
	}
	if d.take.Err() == nil {
		return nil
	}
	if dropped > 0 {
		d.log.Warn("stopped; what was under way is dropped, and taken at the next start", slog.Int("sources", dropped))
		return exitError(exitFailed)
	}
	d.log.Info("stopped")
	return nil
}

// give ends the daemon with an error of a feeder, the first if there are several.
func (d *daemon) give(err error) {
	select {
	case d.fatal <- err:
	default:
	}
}

// watchStore asks the store from time to time whether it is there, for the
// monitor. The store itself logs when it goes and when it is back.
func (d *daemon) watchStore(ctx context.Context) {
	for pause(ctx, pingEvery) {
		asking, cancel := context.WithTimeout(ctx, pingEvery)
		err := d.store.Ping(asking)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			d.monitor.Store(err.Error())
		default:
			d.monitor.Store("")
		}
	}
}

// pingEvery is how often the store is asked whether it is there.
const pingEvery = 5 * time.Second

// busy says that the supervisor will not be heard of for a while, and that this
// is right.
func (d *daemon) busy(most time.Duration) { d.until.Store(time.Now().Add(most).UnixNano()) }

// stuck says who stands still without a reason, "" for nobody, and why that is
// believed.
func (d *daemon) stuck() (who, why string) {
	if now, until := time.Now(), time.Unix(0, d.until.Load()); now.After(until) {
		return "the supervisor", "it was to be heard of " + span(now.Sub(until)) + " ago"
	}
	if stuck := d.monitor.Stuck(); len(stuck) > 0 {
		return "source " + stuck[0].Source, stuck[0].Reason
	}
	return "", ""
}

func (d *daemon) tellStatus() {
	d.service.ready(counted(int64(len(d.feeders)), "source"))
}

// pause waits, and reports whether ctx still goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// limits are when the chunks of a daemon close: as those of a replay, but files
// that come one by one do not wait for others.
func limits(chunk amount) ingest.Limits {
	_, l := tune(0, chunk)
	l.Linger = lingerLive
	return l
}

// lingerLive is how long a chunk waits for more files.
const lingerLive = 50 * time.Millisecond

package main

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

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
	answers *slog.Logger   // to what a person asked for: said each time

	turn *ingest.Turnstile // of the chunks of all sources
	pace *ingest.Pace      // likewise of their files and readings

	store    *opened
	archive  *archive.Archive // nil for none
	approved *approvals
	feeders  map[string]*feeder
	ending   map[string]*feeder // of sources that a config has no more, until they have ended
	acted    chan struct{}      // a person did something to the data
	changed  chan struct{}      // the sources are others now
	fatal    chan error         // of feeders, that end the daemon
	endWork  context.CancelFunc // what is under way in all feeders
	work     context.Context    // of all feeders

	every    atomic.Pointer[map[string]time.Duration] // how often loggers record, by the config's table
	followed atomic.Pointer[[]string]                 // the names of the config's sources
	spool    atomic.Int64                             // bytes that may wait in the archive of a source
}

// A ground is what feeders stand on.
type ground struct {
	store   *opened
	archive *archive.Archive // nil for none
}

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
	defer collect(asEver).end()
	return a.newDaemon(flags, o, monitor.DefaultPatience()).run(c, hangups)
}

func (a *app) newDaemon(flags *pflag.FlagSet, o *running, patience monitor.Patience) *daemon {
	answers := a.log
	a.log = slog.New(newSparing(a.log.Handler()))
	return &daemon{app: a, running: *o, flags: flags, answers: answers, monitor: monitor.New(version(), patience), turn: ingest.NewTurnstile(1), pace: ingest.NewPace(0, 0)}
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
	next, err := d.await(hangups)
	for next != nil && err == nil && d.take.Err() == nil {
		d.store, d.archive = next.store, next.archive
		next, err = d.serve(hangups)
	}
	d.drop(next)
	return err
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
	if a.archiveDir != "" {
		c.archive.dir, c.archive.off = a.archiveDir, false
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
	d.app.store, d.schema = d.storeOf(d.flags)
	workers, _ := tune(c.pipeline.workers, c.pipeline.chunk, c.pipeline.cutting)
	d.turn.Set(workers)
	d.pace.Set(c.limits.filesPerSecond, c.limits.readingsPerSecond)
	if d.store != nil {
		d.store.SetConnections(c.limits.connections)
	}
	d.spool.Store(c.archive.spool)
}

// serve feeds the store until the daemon is to end, or to go on on another
// ground, which it returns. It closes that which it was called with.
func (d *daemon) serve(hangups <-chan os.Signal) (next *ground, err error) {
	defer func() { d.leave(next) }()
	d.fatal, d.acted, d.changed = make(chan error, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	d.feeders, d.ending = make(map[string]*feeder), make(map[string]*feeder)
	d.work, d.endWork = context.WithCancel(d.app.work)
	defer d.endWork()
	d.store.SetConnections(d.config.limits.connections)
	d.tellHypertable()
	d.approved = newApprovals(d.store.Store, d.log, d.args, d.acted)
	watching, stopWatching := context.WithCancel(d.work)
	var watchers sync.WaitGroup
	watchers.Go(func() { d.approved.watch(watching) })
	watchers.Go(func() { d.watchStore(watching) })
	watchers.Go(func() { d.watchSilence(watching) })
	if kept := d.archive; kept != nil {
		d.log.Info("files are archived", slog.String("folder", kept.Dir()))
		v := &archivist{archive: kept, store: d.store.Store, log: d.log, changed: d.changed, tell: func() { d.tellArchive(kept) }}
		watchers.Go(func() { v.run(watching) })
	}
	for _, s := range d.config.sources {
		d.start(s, nil)
	}
	d.tellStatus()
	next, err = d.supervise(hangups)
	if stopped := d.stopAll(); err == nil {
		err = stopped
	}
	stopWatching()
	watchers.Wait()
	return next, err
}

// leave closes what the daemon stands on, but for a store that it goes on with.
func (d *daemon) leave(next *ground) {
	d.busy(time.Minute)
	d.closeArchive()
	if next == nil || next.store != d.store {
		if next != nil && next.store.server == nil && next.store.url == d.store.url { // another schema of the same private PostgreSQL
			next.store.server, d.store.server = d.store.server, nil
		}
		d.store.close(d.log)
	}
	d.store = nil
}

// tellHypertable tells where readings are not kept as the config says.
func (d *daemon) tellHypertable() {
	ctx, cancel := context.WithTimeout(d.take, checkFor)
	defer cancel()
	d.busy(2 * checkFor)
	switch _, differs, err := d.store.Hypertable(ctx); {
	case errors.Is(err, store.ErrNoHypertable):
		d.log.Warn("store.hypertable is not in force", slog.Any("error", err), slog.String("do", hintFor(err)))
	case differs:
		d.log.Warn("store.hypertable is not in force: 'penstock migrate' with this config changes the table")
	}
}

// supervise starts and ends feeders as the config and signals want, until the
// daemon is to end, or to go on on another ground. Nothing in it waits for a
// source, nor for the store but within limits.
func (d *daemon) supervise(hangups <-chan os.Signal) (*ground, error) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		d.busy(10 * time.Second)
		select {
		case <-d.take.Done():
			return nil, nil
		case <-hangups:
			if next := d.reload(); next != nil {
				return next, nil
			}
		case err := <-d.fatal:
			return nil, err
		case <-d.acted:
			for _, f := range d.feeders {
				f.askAnew()
			}
		case <-tick.C:
			d.forgetEnded()
		}
	}
}

// start makes the feeder of a source, which begins when one that had it before
// has ended.
func (d *daemon) start(s *sourceConfig, instead *feeder) {
	if instead == nil {
		instead = d.ending[s.name]
	}
	delete(d.ending, s.name)
	if instead != nil {
		instead.stop()
	}
	d.monitor.Follow(s.name, s.poll)
	f := newFeeder(d, s)
	d.feeders[s.name] = f
	go f.run(instead)
}

// end lets a feeder go whose source is no longer in the config.
func (d *daemon) end(f *feeder) {
	f.stop()
	delete(d.feeders, f.config.name)
	d.ending[f.config.name] = f
}

// forgetEnded forgets the sources that are no longer in the config and whose
// feeders have ended.
func (d *daemon) forgetEnded() {
	for name, f := range d.ending {
		select {
		case <-f.done:
			delete(d.ending, name)
			d.monitor.Forget(name)
		default:
		}
	}
}

// stopAll lets all feeders finish what is under way, for as long as they may.
// Sources that the config has no more are forgotten. Its error says that the
// daemon ends and dropped something.
func (d *daemon) stopAll() error {
	d.service.stopping(d.take.Err() != nil)
	d.busy(d.drain + time.Minute)
	if d.take.Err() != nil {
		d.log.Info("stopping: what is under way is finished first", slog.Duration("for_at_most", d.drain))
	}
	for name, f := range d.feeders {
		f.stop()
		if d.config.source(name) == nil {
			d.ending[name] = f
		}
	}
	maps.Copy(d.feeders, d.ending)
	dropped := 0
	for _, f := range d.feeders {
		<-f.done
		if f.dropped {
			dropped++
		}
	}
	d.forgetEnded()
	switch ends := d.take.Err() != nil; {
	case ends && dropped > 0:
		d.log.Warn("stopped; what was under way is dropped, and taken at the next start", slog.Int("sources", dropped))
		return exitError(exitFailed)
	case ends:
		d.log.Info("stopped")
	case dropped > 0:
		d.log.Warn("what was under way was not finished in time: it is dropped, and taken again", slog.Int("sources", dropped))
	}
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
func (d *daemon) busy(most time.Duration) { d.monitor.Supervised(most) }

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
func limits(chunk amount, cut cutting) ingest.Limits {
	_, l := tune(0, chunk, cut)
	l.Linger = lingerLive
	return l
}

// lingerLive is how long a chunk waits for more files.
const lingerLive = 50 * time.Millisecond

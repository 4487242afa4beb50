package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"penstock/ingest"
	"penstock/ingest/source/archive"
	"penstock/store"
)

// A feeder keeps one source loaded. What goes wrong with it is told, and tried
// again; it ends no other.
type feeder struct {
	daemon   *daemon
	config   *sourceConfig
	pipeline pipelineConfig
	log      *slog.Logger
	told     *teller
	decoders *liveDecoders
	archive  *archive.Archive // nil for none
	spool    int64            // bytes

	take, work       context.Context
	endTake, endWork context.CancelCauseFunc
	running          atomic.Pointer[ingest.Pipeline] // nil while there is none
	done             chan struct{}                   // closed when it has ended
	dropped          bool                            // something that was under way, at the end; once done is closed
}

// errDrained ends the work of a feeder that did not finish in time.
var errDrained = errors.New("the time to finish what was under way is over")

func newFeeder(d *daemon, s *sourceConfig) *feeder {
	f := &feeder{daemon: d, config: s, pipeline: d.config.pipeline, done: make(chan struct{})}
	f.log = d.log.With(slog.String("source", s.name))
	f.told = newTeller(f.log)
	f.told.hint = func(err error) string { return d.loginHint(s, err) }
	f.take, f.endTake = context.WithCancelCause(d.take)
	f.work, f.endWork = context.WithCancelCause(d.work)
	f.decoders = d.approved.decoders(d.config, s)
	f.archive, f.spool = d.archive, d.config.archive.spool
	return f
}

// stop lets the feeder finish what is under way, for as long as it may.
func (f *feeder) stop() { f.endTake(errInterrupted) }

// askAnew has the ledger asked about all files: some may be due.
func (f *feeder) askAnew() {
	if p := f.running.Load(); p != nil {
		p.AskAnew()
	}
}

// run feeds until it is told to stop. It begins when the feeder that had the
// source before has ended; nil for none.
func (f *feeder) run(before *feeder) {
	defer close(f.done)
	defer f.daemon.approved.forget(f.decoders)
	defer f.endWork(nil)
	defer context.AfterFunc(f.take, f.limitDrain)()
	if before != nil {
		if <-before.done; f.take.Err() != nil {
			f.dropped = before.dropped
			return
		}
	}
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = time.Second, 5*time.Minute
	for f.take.Err() == nil {
		began := time.Now()
		err := f.feed()
		if f.take.Err() != nil || f.work.Err() != nil {
			return
		}
		if held := (*store.LeaseHeldError)(nil); errors.As(err, &held) {
			f.daemon.give(err)
			return
		}
		if errors.Is(err, store.ErrLeaseLost) {
			f.log.Warn("another process loads the source now")
			continue
		}
		if time.Since(began) > wait.MaxInterval {
			wait.Reset()
		}
		f.told.broke(err.Error(), f.told.hint(err))
		f.daemon.monitor.Failed(f.config.name, err.Error())
		pause(f.take, wait.NextBackOff())
	}
}

// limitDrain drops what is under way when it is not finished in time.
func (f *feeder) limitDrain() {
	timer := time.NewTimer(f.daemon.drain)
	defer timer.Stop()
	select {
	case <-timer.C:
		f.endWork(errDrained)
	case <-f.done:
	}
}

// feed runs the source's pipeline for as long as it goes.
func (f *feeder) feed() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it panicked, this is a bug in Penstock: %v\n%s", r, debug.Stack())
		}
	}()
	if err := f.daemon.approved.look(f.take); err != nil {
		return err
	}
	if err := f.decoders.check(); err != nil {
		return err
	}
	lease, err := f.lease()
	if err != nil {
		return err
	}
	defer f.release(lease)
	src, closeSource, err := f.daemon.openSettled(f.config, f.log)
	if err != nil {
		return err
	}
	defer closeSource()
	sink, err := f.sink()
	if err != nil {
		return err
	}
	workers, _ := tune(f.pipeline.workers, f.pipeline.chunk, f.pipeline.cutting)
	pipeline := &ingest.Pipeline{
		Source: src, Sink: sink, NewDecoder: f.decoders.decoder, Workers: workers, Limits: limits(f.pipeline.chunk, f.pipeline.cutting), Log: f.log,
		Poll: f.config.poll, Rehash: f.config.rehash, Connections: f.config.connections(), Guard: lease.Check, Turn: f.daemon.turn, Pace: f.daemon.pace,
		Observe: func(e ingest.Event) {
			f.told.observe(e)
			f.daemon.monitor.Observe(e)
			if f.daemon.watch != nil {
				f.daemon.watch(e)
			}
		},
	}
	f.running.Store(pipeline)
	defer f.running.Store(nil)
	take, end := context.WithCancelCause(f.take)
	defer end(nil)
	go func() {
		select {
		case <-lease.Lost():
			end(store.ErrLeaseLost)
		case <-take.Done():
		}
	}()
	if f.archive != nil {
		k, err := f.archive.Keeper(f.config.name)
		if err != nil {
			return err
		}
		defer f.closeKeeper(k)
		pipeline.Archive, pipeline.Spool = k, f.spool
		if err := f.takeUpLeft(take, k, pipeline); err != nil {
			return err
		}
		observe := pipeline.Observe
		pipeline.Observe = func(e ingest.Event) {
			observe(e)
			if e.Cycle != nil {
				_ = k.Tidy() // what is wrong with it the next Keep says
			}
		}
	}
	if err = f.through(take, pipeline); err != nil {
		return err
	}
	if pipeline.CaughtUp() { // else the next run goes on with what is left
		err = sink.End(f.work)
	}
	if err == nil && take.Err() != nil {
		err = context.Cause(take)
	}
	return err
}

// through runs a pipeline, and notes what it drops when it is to end at once.
func (f *feeder) through(take context.Context, p *ingest.Pipeline) error {
	err := p.Run(take, f.work)
	f.dropped = f.work.Err() != nil && p.Dropped()
	return err
}

// lease waits until no other process loads the source.
func (f *feeder) lease() (*store.Lease, error) {
	d, name, stoodBy := f.daemon, f.config.name, false
	lease, err := d.store.Lease(f.take, store.LeaseOptions{Source: name, Wait: !d.noWait, Lag: f.lag, Log: f.log, Standby: func(h store.LeaseHolder) {
		stoodBy = true
		f.log.Info("standing by: another process loads the source", slog.String("process", h.Name), slog.Time("since", h.Since))
		d.monitor.Lease(name, false, "it is loaded by "+h.Name)
		d.monitor.Waits(name, "standing by for "+h.Name)
	}})
	if err != nil {
		return nil, err
	}
	if stoodBy {
		f.log.Info("taking over the source")
	}
	d.monitor.Lease(name, true, "")
	d.monitor.Waits(name, "")
	return lease, nil
}

// lag is for how long a file of the source has waited.
func (f *feeder) lag() time.Duration {
	if p := f.running.Load(); p != nil {
		return p.Lag()
	}
	return 0
}

// release lets another process load the source at once.
func (f *feeder) release(lease *store.Lease) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.work), 5*time.Second)
	defer cancel()
	if err := lease.Release(ctx); err != nil {
		f.log.Warn("the lease ends by itself only", slog.Any("error", err))
	}
}

// sink makes the sink of the source in the store.
func (f *feeder) sink() (*approvingSink, error) {
	s, root := f.config, f.config.root()
	before, err := f.daemon.store.SourceOptions(f.take, s.name)
	if err != nil {
		return nil, err
	}
	if before != nil {
		root = withEarlier(root, before.Root)
	}
	sink, err := f.daemon.store.Sink(f.take, store.SinkOptions{
		Source: s.name, Root: root, Rank: s.rank, Policy: s.policy, OnChange: s.onChange, Since: s.since, Live: true, Log: f.log, Archive: f.archiveDir(),
	})
	if err != nil {
		return nil, err
	}
	return &approvingSink{sink, f.daemon.approved}, nil
}

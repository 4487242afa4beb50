package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/cenkalti/backoff/v5"

	"penstock/ingest"
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

	take, work       context.Context
	endTake, endWork context.CancelCauseFunc
	done             chan struct{} // closed when it has ended
	dropped          bool          // what was under way, at the end; once done is closed
}

// errDrained ends the work of a feeder that did not finish in time.
var errDrained = errors.New("the time to finish what was under way is over")

func newFeeder(d *daemon, s *sourceConfig) *feeder {
	f := &feeder{daemon: d, config: s, pipeline: d.config.pipeline, done: make(chan struct{})}
	f.log = d.log.With(slog.String("source", s.name))
	f.told = newTeller(f.log)
	f.take, f.endTake = context.WithCancelCause(d.take)
	f.work, f.endWork = context.WithCancelCause(d.work)
	f.decoders = d.approved.decoders(d.config, s)
	return f
}

// stop lets the feeder finish what is under way, for as long as it may.
func (f *feeder) stop() { f.endTake(errInterrupted) }

// run feeds until it is told to stop. before is closed when the feeder that had
// the source has ended; nil for none.
func (f *feeder) run(before <-chan struct{}) {
	defer close(f.done)
	defer f.daemon.approved.forget(f.decoders)
	defer f.endWork(nil)
	defer context.AfterFunc(f.take, f.limitDrain)()
	if before != nil {
		<-before
	}
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = time.Second, 5*time.Minute
	for f.take.Err() == nil {
		began := time.Now()
		err := f.feed()
		if f.take.Err() != nil || f.work.Err() != nil {
			f.dropped = f.work.Err() != nil && err != nil
			return
		}
		if err == nil {
			err = errors.New("its listing ended")
		}
		if time.Since(began) > wait.MaxInterval {
			wait.Reset()
		}
		f.told.broke(err)
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
	src, closeSrc, err := f.daemon.openSource(f.config)
	if err != nil {
		return err
	}
	defer closeSrc()
	sink, err := f.sink()
	if err != nil {
		return err
	}
	workers, _ := tune(f.pipeline.workers, f.pipeline.chunk)
	pipeline := &ingest.Pipeline{
		Source: src, Sink: sink, NewDecoder: f.decoders.decoder, Workers: workers, Limits: limits(f.pipeline.chunk), Log: f.log,
		Poll: f.config.poll,
		Observe: func(e ingest.Event) {
			f.told.observe(e)
			f.daemon.monitor.Observe(e)
			if f.daemon.watch != nil {
				f.daemon.watch(e)
			}
		},
	}
	err = pipeline.Run(f.take, f.work)
	if err == nil {
		err = sink.End(f.work)
	}
	return err
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
		Source: s.name, Root: root, Rank: s.rank, Policy: s.policy, OnChange: s.onChange, Log: f.log,
	})
	if err != nil {
		return nil, err
	}
	return &approvingSink{sink, f.daemon.approved}, nil
}

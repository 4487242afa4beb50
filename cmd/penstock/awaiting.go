package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/cenkalti/backoff/v5"

	"penstock/store"
)

// An opening is a try to open a store, which goes on by itself.
type opening struct {
	giveUp context.CancelFunc
	ended  chan struct{} // closed at its end; then store and err are set
	store  *opened
	err    error
}

// daemonStore is how a daemon opens its store: what is away then is waited for
// by whoever opens it, and what goes away later by the store itself.
func daemonStore() store.Options { return store.Options{Create: true, RetryFor: -1} }

// beginOpening tries to open the store after a while.
func (a *app) beginOpening(after time.Duration) *opening {
	ctx, cancel := context.WithCancel(a.take)
	o := &opening{giveUp: cancel, ended: make(chan struct{})}
	go func() {
		defer close(o.ended)
		defer cancel()
		if o.err = context.Canceled; pause(ctx, after) {
			o.store, o.err = a.openStore(ctx, writes, daemonStore())
		}
	}()
	return o
}

// end gives the try up, and what it may have opened.
func (o *opening) end(log *slog.Logger) {
	o.giveUp()
	if <-o.ended; o.store != nil {
		o.store.close(log)
	}
}

// slowAnswer is after what time a store that neither answers nor refuses is told
// to be waited for.
const slowAnswer = 30 * time.Second

// await opens the archive, and the store, which it waits for as long as it is
// away. It goes by the config as it is read anew meanwhile. Without an error it
// returns nil when the daemon was told to end.
func (d *daemon) await(hangups <-chan os.Signal) (_ *ground, err error) {
	next := new(ground)
	defer func() {
		if next.store == nil {
			d.drop(next)
		}
	}()
	if next.archive, err = d.openArchive(); err != nil {
		return nil, err
	}
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = 500*time.Millisecond, 15*time.Second
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	began, told := time.Now(), false
	try := d.under(d.config).beginOpening(0)
	for {
		d.busy(10 * time.Second)
		select {
		case <-try.ended:
			switch {
			case try.err == nil:
				next.store = try.store
				d.monitor.Store("")
				if told {
					d.log.Info("the store answers", slog.String("after", span(time.Since(began))))
				}
				return next, nil
			case d.take.Err() != nil:
				d.log.Info("stopped: the store was still waited for")
				return nil, nil
			case !store.Away(try.err):
				return nil, try.err
			case !told:
				told = true
				d.log.Warn("the store is away: waiting for it", slog.Any("error", try.err), slog.String("hint", hintFor(try.err)))
			}
			d.monitor.Store(try.err.Error())
			try = d.under(d.config).beginOpening(wait.NextBackOff())
		case <-hangups:
			if d.reloadWaiting(next) {
				d.busy(time.Minute)
				try.end(d.log)
				wait.Reset()
				try = d.under(d.config).beginOpening(0)
			}
		case <-tick.C:
			if !told && time.Since(began) > slowAnswer {
				told = true
				d.log.Warn("the store does not answer: waiting for it")
			}
		}
	}
}

// reloadWaiting reads the config anew while the store is waited for. It reports
// whether another store is to be waited for now.
func (d *daemon) reloadWaiting(next *ground) (other bool) {
	d.service.reloading()
	defer d.service.ready("waiting for the store")
	c, err := d.daemonConfig()
	if err == nil {
		err = c.check(nil)
	}
	if err != nil {
		d.tookConfig(err)
		return false
	}
	before, then := d.under(d.config), d.under(c)
	archive, err := then.openArchive()
	if err == nil {
		if err = d.serveMetrics(c.monitor); err != nil {
			d.drop(&ground{archive: archive})
		}
	}
	if d.tookConfig(err); err != nil {
		return false
	}
	d.drop(next)
	next.archive = archive
	d.adopt(c)
	d.log.Info("the config is taken")
	return before.store != then.store || before.schema != then.schema || before.config.store != then.config.store
}

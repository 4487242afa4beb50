package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/spf13/pflag"

	"penstock/store"
)

// reload reads the config anew. It is taken when it is sound, and all that it
// names can be had: what is wrong is logged, and the old one stays, with all that
// belongs to it. A store or archive that is another one it returns, opened: the
// daemon is to go on there.
func (d *daemon) reload() *ground {
	d.service.reloading()
	defer d.tellStatus()
	c, err := d.daemonConfig()
	var next *ground
	if err == nil {
		d.busy(3 * checkFor)
		next, err = d.prepare(c)
	}
	if d.tookConfig(err); err != nil {
		d.drop(next)
		return nil
	}
	before := d.config
	d.adopt(c)
	if next != nil {
		d.log.Info("the config is taken: its store or archive is another one")
		return next
	}
	if d.archive != nil {
		d.archive.Retain(c.archive.keep, c.archive.max)
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
		if f != nil && f.config.same(s) && before.pipeline == c.pipeline && before.archive.spool == c.archive.spool {
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

// tookConfig tells whether the config was taken, and if not, why.
func (d *daemon) tookConfig(err error) {
	d.monitor.Reloaded(err == nil)
	if err == nil {
		return
	}
	var do []any
	if hint := hintFor(err); hint != "" {
		do = []any{slog.String("do", hint)}
	}
	for wrong := range strings.SplitSeq(strings.ReplaceAll(err.Error(), "\n\t", " "), "\n") {
		d.answers.Error("the config is not taken, the old one stays", append([]any{slog.String("error", wrong)}, do...)...)
	}
}

// prepare opens the store and archive of a config where they are not those that
// the daemon stands on, and serves metrics by it; a nil ground stays where it is. It
// waits for no store that is away. Nothing is made in a store before all else is
// found to be sound.
func (d *daemon) prepare(c *config) (next *ground, err error) {
	then := d.under(c)
	sameStore, err := d.standsOn(then)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(d.take, 2*checkFor)
	defer cancel()
	if sameStore {
		if err := d.approved.check(ctx, c); err != nil {
			return nil, err
		}
		if d.app.sameArchive(then) {
			return nil, d.serveMetrics(c.monitor)
		}
	}
	next = new(ground)
	if next.archive, err = then.openArchive(); err != nil {
		return next, err
	}
	if sameStore {
		next.store = d.store
		return next, d.serveMetrics(c.monitor)
	}
	if next.store, err = d.openThere(ctx, then); err != nil {
		return next, err
	}
	profiles, err := next.store.approved(ctx)
	if err == nil {
		err = c.check(profiles)
	}
	if err != nil {
		return next, err
	}
	server, err := d.listen(c.monitor)
	if err == nil && next.store == nil {
		next.store, err = d.openOther(ctx, then, daemonStore())
	}
	if err != nil {
		server.Close()
		return next, err
	}
	d.serveAt(c.monitor, server)
	return next, nil
}

// openThere opens the store of a config beside that of now; nil where it is yet
// to be made.
func (d *daemon) openThere(ctx context.Context, then *app) (*opened, error) {
	if have, err := then.haveStore(); err != nil || !have {
		return nil, err
	}
	o := daemonStore()
	o.Create = false
	there, err := d.openOther(ctx, then, o)
	if errors.Is(err, store.ErrNoSchema) {
		return nil, nil
	}
	return there, err
}

// standsOn reports whether the store that is open is that of a, and opened in the
// same way.
func (d *daemon) standsOn(a *app) (bool, error) {
	if d.app.store != a.store || d.schema != a.schema || d.hypertable() != a.hypertable() {
		return false, nil
	}
	if strings.HasPrefix(a.store, "local:") {
		return true, nil
	}
	password, err := a.storePassword()
	return string(password) == d.store.password, err
}

// openOther opens the store of a config beside that of now. Where both are in one
// private PostgreSQL, that goes over to it when the other is closed.
func (d *daemon) openOther(ctx context.Context, then *app, o store.Options) (*opened, error) {
	if d.store.server != nil && then.store == d.app.store {
		return then.openAt(ctx, &opened{url: d.store.url}, o)
	}
	return then.openStore(ctx, writes, o)
}

// drop closes a ground that is not gone to, or what there is of it.
func (d *daemon) drop(next *ground) {
	if next == nil {
		return
	}
	if next.archive != nil {
		if err := next.archive.Close(); err != nil {
			d.log.Warn("closing the archive", slog.Any("error", err))
		}
	}
	if next.store != nil && next.store != d.store {
		next.store.close(d.log)
	}
}

// under returns the app as it is by another config.
func (d *daemon) under(c *config) *app {
	a := *d.app
	a.config = c
	a.store, a.schema = a.storeOf(d.flags)
	return &a
}

// storeOf is where the store of the config is, as far as the flags leave that
// open.
func (a *app) storeOf(f *pflag.FlagSet) (url, schema string) {
	url, schema = a.store, a.schema
	if flag := f.Lookup("store"); flag != nil && !flag.Changed {
		url = cmp.Or(a.config.store.url, flag.DefValue)
	}
	if flag := f.Lookup("schema"); flag != nil && !flag.Changed {
		schema = cmp.Or(a.config.store.schema, flag.DefValue)
	}
	return url, schema
}

// sameArchive reports whether both have the same folder for it, or none.
func (a *app) sameArchive(b *app) bool {
	before, after := a.config.archive, b.config.archive
	if before.off || after.off {
		return before.off == after.off
	}
	x, err := before.folder(a.store)
	y, wrong := after.folder(b.store)
	return err == nil && wrong == nil && x == y
}

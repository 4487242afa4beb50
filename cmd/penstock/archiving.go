package main

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"penstock/ingest"
	"penstock/ingest/format/strictyaml"
	"penstock/ingest/monitor"
	"penstock/ingest/source/archive"
	"penstock/store"
	"penstock/store/pglocal"
)

// An archiveConfig says where the bytes of what is fetched are kept, and for how
// long.
type archiveConfig struct {
	off   bool
	dir   string // absolute; "" for the default
	keep  time.Duration
	max   int64 // bytes
	spool int64 // bytes
}

// Without a word in the config the archive is kept to a size, and the spool to
// what interface.md promises.
const (
	defaultArchiveMax = 100 << 30
	defaultSpoolMax   = 20 << 30
)

func newArchiveConfig() archiveConfig {
	return archiveConfig{max: defaultArchiveMax, spool: defaultSpoolMax}
}

// read reads archive: off, or where and how long.
func (c *archiveConfig) read(r *configReader, n *yaml.Node, path func(string) string) {
	if n = strictyaml.Resolve(n); n.Kind == yaml.ScalarNode {
		if n.Value != "off" && n.Value != "false" {
			r.Fault(n, "archive is off, or {dir: FOLDER, keep: 400d, max: 500GiB}, not %q", n.Value)
		}
		c.off = true
		return
	}
	r.Mapping(n, "archive",
		strictyaml.Key("dir", func(n *yaml.Node) {
			var dir string
			if r.someText(&dir)(n); dir == "" {
				return
			}
			abs, err := filepath.Abs(path(dir))
			if err != nil {
				r.Fault(n, "%v", err)
			}
			c.dir = abs
		}),

		strictyaml.Key("keep", r.span(&c.keep, time.Hour)),
		strictyaml.Key("max", r.size(&c.max)))
}

func (c *archiveConfig) readSpool(r *configReader, n *yaml.Node) {
	r.Mapping(n, "spool", strictyaml.Key("max", r.size(&c.spool)))
}

// size reads a number of bytes.
func (r *configReader) size(into *int64) func(*yaml.Node) {
	const expected = "a size such as 500MiB or 20GiB"
	return func(n *yaml.Node) {
		s, ok := r.Scalar(n, expected)
		if !ok {
			return
		}
		v, err := parseSize(s)
		if err != nil {
			r.Fault(n, "expected %s, not %q", expected, s)
			return
		}
		*into = v
	}
}

// parseSize reads a number of bytes with its unit.
func parseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "kKMGTiB")
	unit := s[len(digits):]
	power, ok := map[string]float64{
		"B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
	}[unit]
	v, err := strconv.ParseFloat(digits, 64)
	if err != nil || !ok || !(v >= 0 && v*power < math.MaxInt64) {
		return 0, fmt.Errorf("%q is no size", s)
	}
	return int64(v * power), nil
}

// defaultArchive is the folder of the archive where nothing names one: beside
// that of the private PostgreSQL, also where the store is another.
func defaultArchive(store string) (string, error) {
	dir, _ := strings.CutPrefix(store, "local:")
	if dir == store || dir == "" {
		var err error
		if dir, err = pglocal.DefaultDir(); err != nil {
			return "", err
		}
	}
	abs, err := filepath.Abs(dir)
	return filepath.Join(filepath.Dir(abs), "archive"), err
}

// open opens the archive that the config wants beside a store; nil for none.
func (c *archiveConfig) open(store string, log *slog.Logger) (*archive.Archive, error) {
	if c.off {
		return nil, nil
	}
	dir, err := c.folder(store)
	if err != nil {
		return nil, err
	}
	a, err := archive.Open(dir, archive.Options{MaxAge: c.keep, MaxBytes: c.max, Log: log})
	if err != nil {
		return nil, &hinted{err, elsewhere}
	}
	return a, nil
}

// folder is where the archive is beside a store.
func (c *archiveConfig) folder(store string) (string, error) {
	if c.dir != "" {
		return c.dir, nil
	}
	return defaultArchive(store)
}

// An archivist copies the ledger into the archive while a daemon runs, and
// deletes what is too old.
type archivist struct {
	archive *archive.Archive
	store   *store.Store
	log     *slog.Logger

	tell    func()          // how the archive stands
	changed <-chan struct{} // it is to be told at once

	ledger  *archive.Ledger
	journal *store.Journal
	ailing  bool // the last try failed, and it was said
}

const (
	expireEvery = 10 * time.Minute
	tellEvery   = 30 * time.Second
)

// run works until ctx ends, and then copies what was committed until then.
func (v *archivist) run(ctx context.Context) {
	var expired, told time.Time
	for {
		if time.Since(told) > tellEvery {
			told = time.Now()
			v.tell()
		}
		v.told(ctx, v.copy(ctx))
		if time.Since(expired) > expireEvery {
			expired = time.Now()
			if _, err := v.archive.Expire(ctx, expired); err != nil && ctx.Err() == nil {
				v.log.Warn("old packs of the archive are not deleted", slog.Any("error", err))
			}
		}
		again := time.NewTimer(store.JournalEvery)
		select {
		case <-again.C:
		case <-v.changed:
			told = time.Time{}
		case <-ctx.Done():
		}
		again.Stop()
		if ctx.Err() != nil {
			break
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	v.told(last, v.copy(last))
	v.close()
}

// copy copies what changed in the ledger.
func (v *archivist) copy(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			v.close()
		}
	}()
	if v.ledger == nil {
		mark, err := v.archive.LastDocument(ctx, store.IsMark)
		if err != nil {
			return err
		}
		if v.journal, err = v.store.Journal(ctx, mark); err != nil {
			return err
		}
		if v.journal.Other {
			v.log.Warn("the archive was kept beside another database, whose files are not in this one: if that one is lost, stop, and load the archive into an empty database with 'penstock replay' before anything else is loaded",
				slog.String("archive", v.archive.Dir()))
		}
		if v.ledger, err = v.archive.Ledger(ctx); err != nil {
			return err
		}
	}
	fresh, err := v.ledger.Begin()
	if err != nil {
		return err
	}
	if fresh {
		v.journal.Afresh()
	}
	some, err := v.journal.Tell(ctx, v.ledger.Write)
	if err == nil && some {
		err = v.ledger.Sync()
	}
	return err
}

// told says once that copying fails, and once that it goes on.
func (v *archivist) told(ctx context.Context, err error) {
	switch {
	case err != nil && ctx.Err() == nil && !v.ailing:
		v.ailing = true
		v.log.Warn("the ledger is not copied into the archive; it is tried again", slog.Any("error", err))
	case err == nil && v.ailing:
		v.ailing = false
		v.log.Info("the ledger is copied into the archive again")
	}
}

func (v *archivist) close() {
	if v.ledger != nil {
		if err := v.ledger.Close(); err != nil {
			v.log.Warn("closing the copy of the ledger", slog.Any("error", err))
		}
	}
	v.ledger, v.journal = nil, nil
}

// openArchive opens the archive of the config, if there is to be one.
func (a *app) openArchive() (*archive.Archive, error) {
	kept, err := a.config.archive.open(a.store, a.log)
	if err != nil || kept == nil {
		return nil, err
	}
	if err := mayWrite(kept.Dir()); err != nil {
		return nil, &hinted{fmt.Errorf("the archive %s cannot be written to: %w", ingest.EscapePath(kept.Dir()), err), "give it to the user who runs penstock, or " + elsewhere}
	}
	return kept, nil
}

// tellArchive tells the monitor how the archive of each source stands.
func (d *daemon) tellArchive(kept *archive.Archive) {
	free, err := freeBelow(kept.Dir())
	if err != nil {
		d.log.Warn("asking how much room the archive has", slog.Any("error", err))
	}
	for _, name := range *d.followed.Load() {
		packs, err := kept.Packs(name)
		if err != nil {
			d.log.Warn("listing the archive", slog.Any("error", err))
			continue
		}
		state := monitor.ArchiveState{Packs: len(packs), Spooled: kept.Unsettled(name), SpoolLimit: d.spool.Load(), Free: free}
		for i := range packs {
			state.Bytes += packs[i].Size
		}
		d.monitor.Archive(name, state)
	}
}

func (d *daemon) closeArchive() {
	if d.archive == nil {
		return
	}
	if err := d.archive.Close(); err != nil {
		d.log.Warn("closing the archive", slog.Any("error", err))
	}
	d.archive = nil
}

// takeUpLeft loads what a process that ended had fetched and not loaded. p is
// the pipeline of the source.
func (f *feeder) takeUpLeft(take context.Context, k *archive.Keeper, p *ingest.Pipeline) error {
	for take.Err() == nil {
		left, err := k.Leftover(take)
		if err != nil || left == nil {
			return err
		}
		for left.Next() {
			once := &ingest.Pipeline{
				Source: left, Sink: p.Sink, NewDecoder: p.NewDecoder, Workers: p.Workers, Limits: p.Limits, Log: p.Log, Archive: k, Turn: p.Turn, Pace: p.Pace, Grows: true,
				Observe: p.Observe,
			}
			if err := f.through(take, once); err != nil {
				return err
			}
			if take.Err() != nil {
				return context.Cause(take)
			}
		}
		left.Settle()
	}
	return nil
}

// closeKeeper ends the pack that the source's files are kept in.
func (f *feeder) closeKeeper(k *archive.Keeper) {
	if err := k.Close(); err != nil {
		f.log.Warn("closing the archive", slog.Any("error", err))
	}
}

func (f *feeder) archiveDir() string {
	if f.archive == nil {
		return ""
	}
	return f.archive.Dir()
}

// archiveOf opens the archive that file versions of the ledger are in: that of
// --archive, else of the config, else where the ledger says. It is nil where
// there is none any more.
func (a *app) archiveOf(v *store.FileVersion) (*archive.Archive, error) {
	dir := a.archiveDir
	if dir == "" && a.config != nil && !a.config.archive.off {
		dir = a.config.archive.dir
	}
	if dir == "" {
		dir = v.Archive
	}
	if dir == "" || !archive.Is(dir) {
		return nil, nil
	}
	return archive.Open(dir, archive.Options{Log: a.log})
}

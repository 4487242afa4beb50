package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"penstock/bench"
	"penstock/ingest"
	"penstock/ingest/format"
	"penstock/ingest/source"
	"penstock/ingest/source/shelf"
	"penstock/store"
	"penstock/store/pglocal"
)

// The stages that bench measures.
const (
	stageDecode = "decode" // files to columns
	stageLoad   = "load"   // files to committed readings
	stageFetch  = "fetch"  // files to bytes
)

// A benchRun is what the runs of a sweep share.
type benchRun struct {
	*benchmark
	settings bench.Settings
	database string // "" for none
	scratch  *store.Scratch
	files    benchSource
	decoders func() ingest.Decoder
	sink     store.SinkOptions
	first    *bench.Sample // that the others must equal in what they read
	unloaded string        // how many files were not loaded, in words; "" for none
	stop     context.CancelCauseFunc
}

// A benchSource is where the files of a sweep come from. Each run has a source of
// its own, as each replay has.
type benchSource struct {
	open        func() (ingest.Source, func(), error)
	connections int
	remote      bool
	what        string // in words
	counted     bool   // these say how many files there are
}

// startBench makes ready what all runs share. end takes away what was made, and
// must be called.
func (a *app) startBench(b *benchmark, paths []string) (_ *benchRun, end func() error, err error) {
	var ends []func() error
	all := func() (err error) {
		for _, end := range slices.Backward(ends) {
			err = errors.Join(err, end())
		}
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, all())
		}
	}()
	b.reading.likeSource(b.source)
	r := &benchRun{benchmark: b, sink: store.SinkOptions{Once: true, Log: a.log}}
	if s := a.config.source(b.source); s != nil {
		r.sink.Rank, r.sink.Policy, r.sink.OnChange = s.rank, s.policy, s.onChange
		if len(paths) == 0 {
			r.sink.Since = s.since // which a replay of paths does not know
		}
	}
	var approved []*format.Profile
	if b.stage.value == stageLoad {
		leave, there, err := a.openScratch(r)
		if err != nil {
			return nil, nil, err
		}
		ends, approved = append(ends, leave), there
	}
	if r.decoders, err = b.decoders(approved); err != nil {
		return nil, nil, err
	}
	if b.stage.value == stageFetch {
		r.decoders = func() ingest.Decoder { return skimmer{} }
	}
	corpus, err := a.benchFiles(r, paths)
	if err != nil {
		return nil, nil, err
	}
	ends = append(ends, corpus)
	r.settings.Stage, r.settings.Source, r.settings.Files, r.settings.Remote, r.settings.Auto = b.stage.value, b.source, r.files.what, r.files.remote, autoCell()
	r.settings.Cache = "warm"
	if b.dropCaches {
		r.settings.Cache = "cold"
	}
	return r, all, nil
}

// corpusPrefix begins the names of the folders that files are made in.
const corpusPrefix = "penstock-bench-"

// benchFiles settles which files are read, and makes them where there are none.
// What it returns removes what it made.
func (a *app) benchFiles(r *benchRun, paths []string) (remove func() error, err error) {
	none := func() error { return nil }
	s := a.config.source(r.source)
	switch {
	case len(paths) > 0:
		o := source.Options{Source: r.source, Match: r.match, Ignore: r.ignore}
		if s != nil && !r.isGiven("match") {
			o.Match = s.match
		}
		if s != nil && !r.isGiven("ignore") {
			o.Ignore = s.ignore
		}
		r.files = folderOf(o, paths)
		return none, nil
	case s != nil:
		r.files = a.sourceAsIs(s)
		return none, nil
	case r.source != "":
		return nil, usage("give the config with -c, or a PATH", "no config names a source %q", r.source)
	}
	shelf.Sweep("", corpusPrefix)
	made, err := shelf.New("", corpusPrefix)
	if err != nil {
		return nil, fmt.Errorf("making a folder for the files: %w", err)
	}
	remove, dir := made.Close, filepath.Join(made.Dir, "corpus")
	corpus := bench.Generator{Files: r.benchmark.files, Readings: 2, Skew: r.skew, Seed: r.seed}
	a.note("making %s", counted(int64(corpus.Files), "file"))
	if _, err := corpus.Write(a.take, dir); err != nil {
		return nil, errors.Join(err, remove())
	}
	r.files = folderOf(source.Options{}, []string{filepath.Join(dir, bench.Folder)})
	r.files.counted = true
	r.files.what = fmt.Sprintf("%s of %d readings, seed %d", counted(int64(corpus.Files), "generated file"), corpus.Readings, corpus.Seed)
	if r.skew > 0 {
		r.files.what = fmt.Sprintf("%s of %d readings or many more (skew %v), seed %d", counted(int64(corpus.Files), "generated file"), corpus.Readings, r.skew, corpus.Seed)
	}
	return remove, nil
}

func folderOf(o source.Options, paths []string) benchSource {
	return benchSource{what: strings.Join(paths, ", "), open: func() (ingest.Source, func(), error) {
		dir, _, err := sourceOf(o, paths)
		if err != nil {
			return nil, nil, &usageError{err: err}
		}
		return dir, func() { _ = dir.Close() }, nil // it was only read
	}}
}

// sourceAsIs is a configured source of which nothing is moved or deleted.
func (a *app) sourceAsIs(s *sourceConfig) benchSource {
	kept := *s
	kept.after = source.After{}
	if s.url == "" {
		files := folderOf(source.Options{Source: s.name, Match: s.match, Ignore: s.ignore}, []string{s.folder})
		files.what = "source " + s.name
		return files
	}
	return benchSource{what: "source " + s.name, remote: true, connections: s.connections(), open: func() (ingest.Source, func(), error) {
		remote, closeRemote, err := a.openServer(&kept, a.log)
		if err != nil {
			return nil, nil, err
		}
		return remote, closeRemote, nil
	}}
}

// openScratch opens the schema that is measured in: where --store says, else in a
// private PostgreSQL that is bench's own. leave drops the schema; a signal does not
// hinder that, a second one does. approved are the profiles that were approved in
// the store of --store.
func (a *app) openScratch(r *benchRun) (leave func() error, approved []*format.Profile, err error) {
	if !r.ownStore {
		if a.store, err = benchStore(); err != nil {
			return nil, nil, err
		}
	}
	at, err := a.reach(a.take, writes)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, at.stop())
		}
	}()
	if r.ownStore {
		if approved, err = a.approvedAt(at); err != nil {
			return nil, nil, err
		}
	}
	if r.scratch, err = store.OpenScratch(a.take, at.url, store.Options{Version: version(), Command: commandLine(a.args), Password: at.password, Hypertable: a.hypertable()}); err != nil {
		return nil, nil, a.refused(at, err)
	}
	leave = func() error {
		ctx, cancel := context.WithTimeout(a.work, time.Minute)
		defer cancel()
		err := r.scratch.Drop(ctx)
		if err != nil {
			err = &hinted{err, "the next bench on that database drops the schema"}
		}
		return errors.Join(err, at.stop())
	}
	if r.database, err = r.scratch.Server(a.take); err != nil {
		return nil, nil, errors.Join(err, r.scratch.Drop(context.WithoutCancel(a.take)))
	}
	r.settings.Store = "a private PostgreSQL"
	if r.ownStore {
		r.settings.Store = "a schema of its own where --store says"
	}
	return leave, approved, nil
}

// approvedAt are the profiles that were approved in the store at a place, none
// where nothing was loaded into it yet, or by another version of Penstock: what is
// measured is in a schema of its own.
func (a *app) approvedAt(at *opened) (approved []*format.Profile, err error) {
	s, err := store.Open(a.take, at.url, store.Options{Schema: a.schema, Version: version(), Command: commandLine(a.args), Password: at.password})
	switch {
	case errors.Is(err, store.ErrNoSchema):
		return nil, nil
	case errors.Is(err, store.ErrOldSchema), errors.Is(err, store.ErrNewSchema):
		a.note("Profiles that were approved in the store are not read: %v.", err)
		return nil, nil
	}
	if err != nil {
		return nil, a.refused(at, err)
	}
	defer s.Close()
	return (&opened{Store: s}).approved(a.take)
}

// benchStore is the store that is bench's own: on the disk that a private store is
// on, as disks differ in how long they take to sync.
func benchStore() (string, error) {
	dir, err := pglocal.DefaultDir()
	if err != nil {
		return "", err
	}
	return "local:" + filepath.Join(filepath.Dir(dir), "bench"), nil
}

// sweep runs the protocol and analyses what was measured.
func (r *benchRun) sweep(p bench.Protocol) (*bench.Analysis, error) {
	a := r.app
	if r.dropCaches {
		p.WarmUps = 0 // what they warm is dropped
	}
	ctx, stop := context.WithCancelCause(a.take)
	defer stop(nil)
	r.stop = stop
	bar := a.startSweepBar()
	result, err := bench.Sweep(ctx, p, r.once, bar.tell)
	bar.end()
	switch {
	case err != nil:
		return nil, &usageError{err: err}
	case ctx.Err() != nil && a.take.Err() == nil:
		return nil, context.Cause(ctx)
	case len(result.Samples) == 0:
		return nil, context.Cause(a.take)
	}
	result.Versions = bench.Versions{Penstock: version(), Go: runtime.Version(), Database: r.database}
	result.Settings = r.settings
	if r.first != nil && !r.files.counted {
		result.Settings.Files = fmt.Sprintf("%s (%s, %s%s)", r.settings.Files, counted(r.first.Files, "file"), byteSize(r.first.Bytes), r.unloaded)
	}
	return bench.Analyse(result), nil
}

// once runs the pipeline by the settings of a cell. Where the first run of all
// fails, so would the others: that ends the sweep.
func (r *benchRun) once(ctx context.Context, c bench.Cell) (bench.Sample, error) {
	s, err := r.load(ctx, c)
	switch {
	case r.first == nil && err != nil:
		r.stop(err)
	case r.first == nil:
		r.first = &s
	case err == nil && (s.Files != r.first.Files || s.Readings != r.first.Readings):
		err = fmt.Errorf("it had %s and %s, the first run %s and %s: the files are to stay as they are", counted(s.Files, "file"), counted(s.Readings, "reading"), count(r.first.Files), count(r.first.Readings))
	}
	return s, err
}

func (r *benchRun) load(ctx context.Context, c bench.Cell) (bench.Sample, error) {
	files, closeFiles, err := r.files.open()
	if err != nil {
		return bench.Sample{}, err
	}
	defer closeFiles()
	sink, closeSink, err := r.freshSink(ctx, files.Name())
	if err != nil {
		return bench.Sample{}, err
	}
	defer closeSink()
	if r.dropCaches {
		if err := dropCaches(); err != nil {
			return bench.Sample{}, err
		}
	}
	likeNew()
	var cpu, busy float64
	usage := bench.StartUsage()
	j := &job{source: files, sink: sink, decoders: r.decoders, workers: amount(c.Workers), chunk: amount(c.Chunk), connections: r.files.connections,
		ran: func() { cpu, busy = usage.Since() }}
	result, err := j.do(ctx, ctx, &progress{}, r.app.log)
	if err == nil {
		err = r.judge(result)
	} else if r.scratch != nil && ctx.Err() == nil {
		if lost := r.scratch.Held(ctx); lost != nil {
			err = fmt.Errorf("%w; %w", err, lost)
		}
	}
	return bench.Sample{
		At: result.began.UTC(), Seconds: result.took.Seconds(), CPU: cpu, Busy: busy,
		Fetch: result.fetch.Seconds(), Decode: result.decode.Seconds(), Commit: result.commit.Seconds(),
		Files: result.seen(), Chunks: int64(result.chunks), Readings: result.receipt.Cells.Readings(), Bytes: result.bytes,
	}, err
}

// likeNew makes the process's memory what it is when a replay starts: without
// garbage, without pooled buffers, which outlive one collection, and without pages
// that are there already.
func likeNew() {
	runtime.GC()
	debug.FreeOSMemory() // which collects once more
}

// freshSink is where a run's readings go: a schema as it is before the first
// replay, or nowhere.
func (r *benchRun) freshSink(ctx context.Context, source string) (ingest.Sink, func(), error) {
	if r.scratch == nil {
		return discard{r.sink}, func() {}, nil
	}
	fresh, err := r.scratch.Fresh(ctx)
	if err != nil {
		return nil, nil, err
	}
	if r.first == nil && !r.scratch.Checkpoints() {
		r.app.log.Warn("the role may not checkpoint (grant pg_checkpoint to it): what one run wrote the database may put on disk during the next, which takes longer then")
	}
	o := r.sink
	o.Source = source
	sink, err := fresh.Sink(ctx, o)
	if err != nil {
		fresh.Close()
		return nil, nil, err
	}
	return sink, fresh.Close, nil
}

// judge says what makes a run's seconds worthless. What cannot be read is noted
// after the first run: it is part of the work.
func (r *benchRun) judge(result *result) error {
	seen, loaded, skipped := result.seen(), result.files[ingest.Loaded], result.files[ingest.Known]+result.files[ingest.Skipped]
	switch {
	case seen == 0:
		return &hinted{errors.New("there are no files to measure with"), "give a PATH that has some, or none at all"}
	case result.files[ingest.Failed] > 0:
		return fmt.Errorf("%s could not be fetched, such as %s: %s", counted(result.files[ingest.Failed], "file"), ingest.EscapePath(result.trouble[0].File.Path), result.trouble[0].Reason)
	case skipped == seen:
		return &hinted{fmt.Errorf("all of %s are older than the source's since", counted(seen, "file")), "give a PATH, whose files are read whatever since says"}
	case loaded == 0:
		return &hinted{fmt.Errorf("none of %s is loaded, such as %s: %s", counted(seen, "file"), ingest.EscapePath(result.trouble[0].File.Path), result.trouble[0].Reason), "'penstock guess FILE' and 'penstock replay --dry-run' tell more"}
	case r.first == nil && loaded+skipped < seen:
		r.unloaded = fmt.Sprintf(", %s of them not loaded", count(seen-loaded-skipped))
		r.app.log.Warn("not all files are loaded", slog.Int64("files", seen), slog.Int64("loaded", loaded))
	}
	return nil
}

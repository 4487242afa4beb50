package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"time"

	"penstock/ingest"
	"penstock/ingest/format"
	"penstock/ingest/source/archive"
	"penstock/store"
)

// A rebuilding loads an archive into a store: first, generation by generation,
// the file versions that the copy of a ledger tells of, as that had them; then
// what had been kept and not been loaded, as a replay would.
type rebuilding struct {
	*app
	*replay
	archive *archive.Archive
	store   *opened
	plan    *store.Rebuild
	total   *result
	yields  *yielding
	ranks   map[string]int16 // of sources, as the ledger had them last
	lost    int64            // versions whose bytes no pack has
}

// replayArchive is 'penstock replay' of the folder of an archive.
func (a *app) replayArchive(r *replay, dir string) error {
	kept, err := archive.Open(dir, archive.Options{Log: a.log})
	if err != nil {
		return err
	}
	defer func() { _ = kept.Close() }() // nothing was written
	s, err := a.openStore(a.take, writes, store.Options{Create: true, Append: r.append})
	if err != nil {
		return err
	}
	defer s.close(a.log)
	b := &rebuilding{app: a, replay: r, archive: kept, store: s, total: &result{tally: newTally(), verb: "loaded", stored: true, how: r.given()}}
	b.total.allShapes = true
	b.yields = newYielding(r.liveLag, s, a.log)
	b.total.workers, _ = tune(r.workers, r.chunk, r.cutting)
	if err := b.load(); err != nil {
		return err
	}
	b.total.took = time.Since(b.total.began)
	more, err := b.completeQuestions()
	if err != nil {
		return err
	}
	r.noteHeldBack(b.yields)
	if b.lost > 0 {
		a.note("%s of the ledger cannot be loaded: the archive does not have their bytes, or has them no more.", counted(b.lost, "file version"))
	}
	if a.take.Err() != nil {
		b.total.interrupted = true
	}
	err = a.printResult(b.total)
	if more > 0 {
		a.note("%s for an answer since before: penstock profiles pending", countedOr(more, "shape of files waits", "shapes of files wait"))
	}
	return err
}

// completeQuestions gives the questions of files that a ledger had what answers
// them, which the copy of that tells of the shape and not of each file. Those that
// nobody waits for any more are left out. It returns how many there are of which
// no file was loaded now.
func (b *rebuilding) completeQuestions() (more int64, err error) {
	shapes, err := b.store.Pending(b.work) // also of one that was cut short
	if err != nil {
		return 0, err
	}
	asked := b.total.questions
	for i := range shapes {
		if q := asked[shapes[i].ID]; q != nil {
			q.asked, q.complete = &shapes[i].Shape, true
		} else {
			more++
		}
	}
	maps.DeleteFunc(asked, func(_ string, q *question) bool { return q.Shape != "" && !q.complete })
	b.total.cutQuestions()
	return more, nil
}

func (b *rebuilding) load() (err error) {
	if b.plan, err = b.store.Rebuild(b.take); err != nil {
		return err
	}
	for doc, err := range b.archive.Documents(b.take) {
		if err == nil {
			err = b.plan.Learn(b.take, doc)
		} else if b.take.Err() == nil {
			b.log.Warn("part of the copy of the ledger cannot be read", slog.Any("error", err))
			continue
		}
		if err != nil {
			return err
		}
	}
	told, err := b.plan.Learned(b.take)
	if err != nil {
		return err
	}
	names, err := b.sources(told)
	if err != nil {
		return err
	}
	if err := b.loadSources(names); err != nil || b.take.Err() != nil {
		return err
	}
	if b.total.seen() == 0 {
		b.note("There is nothing in the archive that is not loaded.")
	}
	return b.plan.End(b.work, b.source == "")
}

// sources are those that the ledger had, and those of the packs.
func (b *rebuilding) sources(told []store.RebuildSource) ([]string, error) {
	packs, err := b.archive.Packs("")
	if err != nil {
		return nil, err
	}
	var names []string
	b.ranks = make(map[string]int16)
	for _, s := range told {
		names, b.ranks[s.Name] = append(names, s.Name), s.Rank
		if b.source == "" || b.source == s.Name {
			b.lost += s.Lost
		}
	}
	for i := range packs {
		names = append(names, packs[i].Source)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if b.source != "" {
		if !slices.Contains(names, b.source) {
			return nil, usage("'penstock archive ls' lists what there is", "the archive has no source %q", b.source)
		}
		names = []string{b.source}
	}
	return names, nil
}

// A rebuiltSource is a source that is loaded from the archive.
type rebuiltSource struct {
	name     string
	sink     *store.Sink
	decoders func() ingest.Decoder
}

// loadSources loads of all sources first what the ledger had, then the copies that
// it had of that, and then what else there is.
func (b *rebuilding) loadSources(names []string) error {
	var sources []*rebuiltSource
	for _, name := range names {
		s, err := b.begin(name)
		if err != nil {
			return err
		}
		sources = append(sources, s)
	}
	for _, load := range []func(*rebuiltSource) error{
		func(s *rebuiltSource) error { return b.loadRecorded(s, store.RebuildCursor{}) },
		func(s *rebuiltSource) error { return b.loadRecorded(s, store.RebuildCursor{Copies: true}) },
		b.loadOthers,
		func(s *rebuiltSource) error { return s.sink.End(b.work) },
	} {
		for _, s := range sources {
			if err := load(s); err != nil || b.take.Err() != nil {
				return err
			}
		}
	}
	return nil
}

func (b *rebuilding) begin(name string) (*rebuiltSource, error) {
	options, err := b.store.SourceOptions(b.take, name)
	if err != nil {
		return nil, err
	}
	options = b.like(name, options)
	sink, err := b.store.Sink(b.take, *options)
	if err != nil {
		return nil, err
	}
	approved, err := b.store.approved(b.take)
	if err != nil {
		return nil, err
	}
	how := b.reading
	how.likeSource(name)
	decoders, err := how.decoders(approved)
	if err != nil {
		return nil, err
	}
	return &rebuiltSource{name, sink, decoders}, nil
}

// like says how a source is loaded: its conflicts as the ledger had it, which
// before tells, nil where it had none of it; else as the flags say that are given,
// the config's source, and the ledger.
func (b *rebuilding) like(name string, before *store.SinkOptions) *store.SinkOptions {
	o := store.SinkOptions{Source: name, Policy: store.Policy(b.conflict.value), OnChange: b.onChange.policy(), Rank: b.ranks[name]}
	if s := b.config.source(name); s != nil {
		o.Policy, o.OnChange, o.Rank = s.policy, s.onChange, s.rank
	}
	if b.isGiven("on-conflict") {
		o.Policy = store.Policy(b.conflict.value)
	}
	if b.isGiven("on-change") {
		o.OnChange = b.onChange.policy()
	}
	if b.isGiven("rank") {
		o.Rank = b.rank
	}
	if before != nil {
		o.Root, o.Policy = before.Root, before.Policy
	}
	o.Log, o.Archive = b.log, b.archive.Dir()
	return &o
}

// loadRecorded loads the versions that the ledger had.
func (b *rebuilding) loadRecorded(s *rebuiltSource, at store.RebuildCursor) error {
	for b.take.Err() == nil {
		files, err := b.plan.Next(b.take, s.name, &at)
		if err != nil || len(files) == 0 {
			return err
		}
		from := newRecordedFiles(s.name, b.archive, files)
		if err := b.runPart(from, &takingAll{s.sink}, func() ingest.Decoder { return newRecordedDecoder(s.decoders()) }); err != nil {
			return err
		}
	}
	return nil
}

// loadOthers loads what had been kept, and is not known to have been loaded.
func (b *rebuilding) loadOthers(s *rebuiltSource) error {
	packs, err := b.archive.Packs(s.name)
	if err != nil {
		return err
	}
	var pack string
	var placed map[int64]bool
	var failed error
	skip := func(e archive.Entry) bool {
		if e.Place.Pack != pack {
			pack = e.Place.Pack
			if placed, err = b.plan.Placed(b.take, pack); err != nil {
				failed = errors.Join(failed, err)
			}
		}
		return placed[e.Place.Offset]
	}
	for len(packs) > 0 {
		// So many at a time that there are not too many paths to remember; of a
		// path, the versions of earlier packs come first.
		n, size := 0, int64(0)
		for n < len(packs) && (n == 0 || size < 64<<20) {
			size += packs[n].Size
			n++
		}
		rounds, err := b.archive.Rounds(b.take, packs[:n], skip)
		if err != nil || failed != nil {
			return errors.Join(err, failed)
		}
		packs = packs[n:]
		for rounds.Next() && b.take.Err() == nil {
			if err := b.runPart(rounds, &knowingOlder{s.sink}, s.decoders); err != nil || failed != nil {
				return errors.Join(err, failed)
			}
		}
	}
	return nil
}

// runPart runs a pipeline and adds what it did to the total.
func (b *rebuilding) runPart(from ingest.Source, sink ingest.Sink, decoders func() ingest.Decoder) error {
	r, err := b.app.run(&job{source: from, sink: sink, decoders: decoders, workers: b.workers, chunk: b.chunk, cutting: b.cutting, verb: "loaded", into: b.total.tally, yielding: b.yields})
	if err == nil {
		b.total.chunk = r.chunk
	}
	return err
}

// takingAll takes all that is listed: it is known that the ledger does not have
// it.
type takingAll struct{ *store.Sink }

// Pending implements [ingest.Sink].
func (t *takingAll) Pending(_ context.Context, files []ingest.File) ([]ingest.Standing, error) {
	all := make([]ingest.Standing, len(files))
	for i := range all {
		all[i].Take = true
	}
	return all, nil
}

// knowingOlder tells of what was fetched before the version that the ledger has
// that it is known: a file that grew is in the ledger as it was in the end, and
// in the packs as it was at each time, too.
type knowingOlder struct{ *store.Sink }

// Committer implements [ingest.Sink].
func (k *knowingOlder) Committer(ctx context.Context) (ingest.Committer, error) {
	c, err := k.Sink.Committer(ctx)
	return &knowingOlderCommitter{c}, err
}

type knowingOlderCommitter struct{ ingest.Committer }

// Commit implements [ingest.Committer].
func (k *knowingOlderCommitter) Commit(ctx context.Context, b *ingest.Batch) ([]ingest.Outcome, error) {
	outcomes, err := k.Committer.Commit(ctx, b)
	for i := range outcomes {
		if outcomes[i].State == ingest.Changed {
			outcomes[i].State, outcomes[i].Reason = ingest.Known, ""
		}
	}
	return outcomes, err
}

// recordedFiles is a source of file versions that a ledger had, no two of one
// path.
type recordedFiles struct {
	name    string
	archive *archive.Archive
	files   []store.RebuildFile
	byPath  map[string]*store.RebuildFile
}

func newRecordedFiles(name string, kept *archive.Archive, files []store.RebuildFile) *recordedFiles {
	r := &recordedFiles{name: name, archive: kept, files: files, byPath: make(map[string]*store.RebuildFile, len(files))}
	for i := range files {
		r.byPath[files[i].File.Path] = &files[i]
	}
	return r
}

// Name implements [ingest.Source].
func (r *recordedFiles) Name() string { return r.name }

// Files implements [ingest.Source].
func (r *recordedFiles) Files(ctx context.Context) iter.Seq2[ingest.File, error] {
	return func(yield func(ingest.File, error) bool) {
		for i := range r.files {
			if ctx.Err() != nil || !yield(r.files[i].File, nil) {
				return
			}
		}
	}
}

// Fetch implements [ingest.Source].
func (r *recordedFiles) Fetch(ctx context.Context, f ingest.File, c *ingest.Content) error {
	v := r.byPath[f.Path]
	if err := r.archive.Fetch(ctx, v.Place, c); err != nil {
		return err
	}
	c.File, c.FirstFetched, c.Recorded = v.File, v.Fetched, &v.Recorded
	return nil
}

// Done implements [ingest.Source].
func (r *recordedFiles) Done(context.Context, ingest.File, ingest.Outcome) error { return nil }

// A recordedDecoder reads file versions as the ledger says that they were read.
type recordedDecoder struct {
	plain    ingest.Decoder // of those that no profile matched
	byRecipe map[*ingest.Recipe]ingest.Decoder
}

func newRecordedDecoder(plain ingest.Decoder) *recordedDecoder {
	return &recordedDecoder{plain, make(map[*ingest.Recipe]ingest.Decoder)}
}

// Decode implements [ingest.Decoder].
func (d *recordedDecoder) Decode(ctx context.Context, c *ingest.Content, b *ingest.Batch) error {
	if c.Recorded == nil || c.Recorded.Recipe == nil {
		return d.plain.Decode(ctx, c, b)
	}
	by, err := d.of(c.Recorded.Recipe)
	if err != nil {
		return err
	}
	return by.Decode(ctx, c, b)
}

func (d *recordedDecoder) of(r *ingest.Recipe) (ingest.Decoder, error) {
	if by := d.byRecipe[r]; by != nil {
		return by, nil
	}
	set, settings, err := format.LikeRecipe(r)
	if err != nil {
		return nil, fmt.Errorf("it was read by a profile that this version does not understand: %w", err)
	}
	by, err := format.NewDecoder(set, settings)
	if err == nil {
		d.byRecipe[r] = by
	}
	return by, err
}

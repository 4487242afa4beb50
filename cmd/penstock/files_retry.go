package main

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"penstock/ingest"
	"penstock/ingest/format"
	"penstock/ingest/source/archive"
	"penstock/store"
)

func newFilesRetry(a *app) *cobra.Command {
	var c correcting
	var how reading
	on := newOnChange()
	var workers, chunk amount
	cmd := &cobra.Command{
		Use:   "retry [PATTERN...]",
		Short: "take held and quarantined files up again, after what was wrong is mended",
		Long: `Retry takes up again the files that are held or quarantined, or in the --state that
is given (held, quarantined, undone, skipped, due), and loads them from their source
with the profiles as they are now. It answers a held file's question: --zone
Area/City, or --profile NAME.

--profile says how files are read; --loaded-by selects files by the profile that
read them.
` + patternHelp,
		Example: `  penstock files retry --state held --zone Europe/London
  penstock files retry --profile station.yaml 'station-*.csv'`,
		RunE: func(_ *cobra.Command, patterns []string) error {
			c.newest = true
			selections, err := c.selections(patterns, ingest.Held, ingest.Quarantined, ingest.Due)
			if err != nil {
				return err
			}
			for _, state := range selections[0].States {
				if state == ingest.Loaded || state == ingest.Duplicate {
					return usage("'penstock files reload' loads what is loaded again", "'penstock files retry' takes up files that are not loaded, not those in state %s", state)
				}
			}
			if err := how.check(); err != nil {
				return err
			}
			return a.retry(selections, &c, &retrying{reading: &how, onChange: on.policy(), workers: workers, chunk: chunk})
		},
	}
	c.flagsBesideReading(cmd)
	how.flags(a, cmd)
	on.flag(cmd)
	f := cmd.Flags()
	f.Var(&workers, "workers", "how many chunks are decoded and committed at a time: a number, or auto, which is two for each core")
	f.Var(&chunk, "chunk", "how many files go into one transaction: a number, or auto, which is 1000")
	fromEnvironment(f, "workers", "chunk")
	c.flags(cmd)
	return cmd
}

// retrying is how files are taken up again.
type retrying struct {
	reading        *reading
	approved       []*format.Profile // of the store, once it is open
	onChange       store.OnChange
	workers, chunk amount
}

func (a *app) retry(selections []store.Selection, c *correcting, how *retrying) error {
	s, err := a.openStore(a.take, writes, store.Options{})
	if err != nil {
		return err
	}
	defer s.close(a.log)
	if how.approved, err = s.approved(a.take); err != nil {
		return err
	}
	all, err := a.gather(s, selections, c, "Take up")
	if err != nil || len(all) == 0 {
		return err
	}
	g := newAgain(a, s.Store, nil, nil)
	defer g.close(a)
	var code error
	for _, files := range alike(all) {
		r, err := a.retrySource(s, g, files, c, how)
		if err != nil {
			return err
		}
		if c.dryRun {
			continue
		}
		if err := a.printResult(r); err != nil {
			if exit := exitError(0); !errors.As(err, &exit) {
				return err
			}
			code = err
		}
	}
	return code
}

// decoders returns what makes decoders of files of a source that a zone was given
// for. It stays, unless there is another now.
func (how *retrying) decoders(source, zone string) (func() ingest.Decoder, error) {
	r := *how.reading
	r.zone = cmp.Or(r.zone, zone)
	r.likeSource(source)
	return r.decoders(how.approved)
}

// sinkOptions are those that the source was last loaded with, and what the config
// and the flags say.
func (how *retrying) sinkOptions(ctx context.Context, s *opened, source string) (*store.SinkOptions, error) {
	options, err := s.SourceOptions(ctx, source)
	if err != nil {
		return nil, err
	}
	options.Log, options.OnChange = how.reading.app.log, how.onChange
	if c := how.reading.app.config.source(source); c != nil {
		options.Rank, options.Policy = c.rank, c.policy
		if how.onChange == "" || how.onChange == store.HoldGuessed { // no flag says otherwise
			options.OnChange = c.onChange
		}
	}
	return options, nil
}

// retrySource marks files of one source that are alike as due, where they are
// still to be had, and runs the pipeline over them.
func (a *app) retrySource(s *opened, g *again, files []store.FileVersion, c *correcting, how *retrying) (*result, error) {
	from, err := a.takeUp(g, files)
	if err != nil {
		return nil, err
	}
	decoders, err := how.decoders(from.Name(), from.zone)
	if err != nil {
		return nil, err
	}
	if c.dryRun {
		return nil, a.runDry(&job{source: from, decoders: decoders}, nil)
	}
	options, err := how.sinkOptions(a.take, s, from.Name())
	if err != nil {
		return nil, err
	}
	sink, err := s.Sink(a.take, *options)
	if err != nil {
		return nil, err
	}
	if given := how.reading.given(); len(from.waiting) > 0 && len(given) > 0 {
		return nil, usage("put it into the config's source, or answer for all files of the shape: penstock profiles pending",
			"%s of source %s on a server, where only 'penstock run' reads: it does not know of %s", countedOr(int64(len(from.waiting)), "file is", "files are"), from.Name(), strings.Join(given, " "))
	}
	action := c.action(a.args)
	action.Run = sink.Run()
	marked, err := s.MarkDue(a.take, slices.Concat(from.there, from.waiting), action)
	if err != nil {
		return nil, err
	}
	a.noteWaiting(from)
	r, err := a.run(&job{source: from, sink: sink, decoders: decoders, workers: how.workers, chunk: how.chunk, verb: "loaded"})
	if err != nil {
		return nil, err
	}
	// The action of this run has the files that were marked; here are those that
	// were due before, and what came of all of them.
	action.Files = max(0, int64(len(from.there)+len(from.waiting))-marked)
	action.Readings = r.receipt.Cells.Stored + r.receipt.Cells.Replaced
	if action.Files+action.Readings > 0 {
		err = s.Record(a.work, action)
	}
	return r, err
}

// A chosen source lists some files of a source, and no others, that are alike.
type chosen struct {
	ingest.Source
	elsewhere map[ingest.File]ingest.Source // that are not where the last replay looked
	files     []ingest.File
	there     []store.FileVersion // of files
	gone      []error             // why the others are not among them
	waiting   []store.FileVersion // on a server, which only the daemon reads
	zone      string              // that was given for all of them
	lost      []ingest.File
}

// takeUp finds the files where their source has them now.
func (a *app) takeUp(g *again, files []store.FileVersion) (*chosen, error) {
	at, err := g.placesOf(&files[0])
	if err != nil {
		return nil, err
	}
	c := &chosen{Source: at.now, zone: files[0].Zone, elsewhere: make(map[ingest.File]ingest.Source)}
	for i := range files {
		v := &files[i]
		if kept := g.archiveOf(v); kept != nil {
			if _, err := kept.Look(a.take, v.Place); err == nil {
				f := v.File()
				c.files, c.there = append(c.files, f), append(c.there, *v)
				c.elsewhere[f] = keptFile{archive: kept, at: v.Place}
				continue
			}
		}
		dir, f, err := at.locate(a.take, v)
		if a.take.Err() != nil {
			return nil, context.Cause(a.take)
		}
		if err != nil && onServer(v.Root) {
			c.waiting = append(c.waiting, *v)
			continue
		}
		if err != nil {
			a.log.Debug("not to be had", slog.String("file", v.Display), slog.Any("error", err))
			c.lost, c.gone = append(c.lost, v.File()), append(c.gone, err)
			continue
		}
		c.files, c.there = append(c.files, f), append(c.there, *v)
		if dir != at.now {
			c.elsewhere[f] = dir
		}
	}
	return c, nil
}

// onServer reports whether the files of a source with that root are on a server.
func onServer(root string) bool {
	now, _ := rootsIn(root)
	return slices.ContainsFunc(now, func(r string) bool { return strings.Contains(r, "://") })
}

// noteWaiting says who loads the files that are not to be had from here.
func (a *app) noteWaiting(c *chosen) {
	if n := int64(len(c.waiting)); n > 0 {
		a.note("%s of source %s on a server: 'penstock run' takes them up at its next listing.", countedOr(n, "file is", "files are"), c.Name())
	}
}

// A keptFile fetches one file from the archive.
type keptFile struct {
	ingest.Source
	archive *archive.Archive
	at      ingest.Place
}

// Fetch implements [ingest.Source].
func (k keptFile) Fetch(ctx context.Context, f ingest.File, into *ingest.Content) error {
	err := k.archive.Fetch(ctx, k.at, into)
	into.File = f
	return err
}

// Fetch implements [ingest.Source].
func (c *chosen) Fetch(ctx context.Context, f ingest.File, into *ingest.Content) error {
	return cmp.Or(c.elsewhere[f], c.Source).Fetch(ctx, f, into)
}

// Files implements [ingest.Source].
func (c *chosen) Files(ctx context.Context) iter.Seq2[ingest.File, error] {
	return func(yield func(ingest.File, error) bool) {
		for i, f := range c.lost {
			if !yield(f, c.gone[i]) {
				return
			}
		}
		for _, f := range c.files {
			if ctx.Err() != nil || !yield(f, nil) {
				return
			}
		}
	}
}

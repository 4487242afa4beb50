package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"penstock/ingest"
	"penstock/ingest/format"
	"penstock/store"
)

// approvals are the profiles that were approved in the store, as a daemon knows
// them. What is approved meanwhile, it takes up: when it looks, which it does
// from time to time, and before it reads files that are due, since who marked
// them may have approved their profile just before. Its methods may be called
// concurrently.
type approvals struct {
	store *store.Store
	log   *slog.Logger
	args  []string        // of the command line, for the account of what is marked as due
	acted chan<- struct{} // is sent to when a person did something to the data

	looking chan struct{} // holds one element while somebody looks, who has the next two
	looked  bool          // at changes
	changes store.Changes // what profiles are of

	mu       sync.Mutex // no query is waited for under it
	late     time.Time  // when to look for files that were held although their question was answered; zero for never
	read     bool       // profiles were
	profiles []*format.Profile
	known    map[*liveDecoders]struct{}

	ailing map[string]bool // of watch: shapes whose files could not be taken up when it was last tried, and it was said
}

func newApprovals(s *store.Store, log *slog.Logger, args []string, acted chan<- struct{}) *approvals {
	return &approvals{store: s, log: log, args: args, acted: acted, looking: make(chan struct{}, 1), known: make(map[*liveDecoders]struct{}), ailing: make(map[string]bool)}
}

// approvalsEvery is how often the store is asked whether a profile was approved,
// or files were marked as due.
const approvalsEvery = 5 * time.Second

// watch looks again and again until ctx ends.
func (a *approvals) watch(ctx context.Context) {
	for pause(ctx, approvalsEvery) {
		if err := a.look(ctx); err != nil && ctx.Err() == nil && !store.Away(err) {
			a.log.Error("approved profiles could not be read", slog.Any("error", err))
		}
		if err := a.takeLate(ctx); err != nil && ctx.Err() == nil && !store.Away(err) && !errors.Is(err, errNotTakenUp) {
			a.log.Warn("files that were held while their question was answered are not taken up yet", slog.Any("error", err))
		}
	}
}

// takeLate marks as due the files that were held although their question was
// answered: they were under way in that moment. It is done once for each answer,
// when what was under way has been committed; where it fails, the next time.
func (a *approvals) takeLate(ctx context.Context) error {
	a.mu.Lock()
	late := a.late
	a.mu.Unlock()
	if late.IsZero() || time.Now().Before(late) {
		return nil
	}
	if err := a.takeHeld(ctx); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.late.Equal(late) { // else there was another answer meanwhile
		a.late = time.Time{}
	}
	return nil
}

// errNotTakenUp says that files of a shape could not be taken up, which was said.
var errNotTakenUp = errors.New(notTakenUp)

const notTakenUp = "files that were held while their question was answered are not taken up yet"

// takeHeld marks as due the files that are held although their question is
// answered. Where that fails for a shape, the others are taken up all the same;
// that it fails is said once.
func (a *approvals) takeHeld(ctx context.Context) error {
	shapes, err := a.store.Pending(ctx)
	if err != nil {
		return err
	}
	var all error
	for i := range shapes {
		if !shapes[i].Answered || shapes[i].Approved == "" || shapes[i].Held == 0 {
			continue
		}
		err := a.takeShape(ctx, shapes[i].ID)
		switch {
		case err == nil:
			delete(a.ailing, shapes[i].ID)
			continue
		case ctx.Err() != nil, store.Away(err) && a.store.Ping(ctx) != nil: // and not a lock, which is of that shape alone
			return err
		case !a.ailing[shapes[i].ID]:
			a.ailing[shapes[i].ID] = true
			a.log.Warn(notTakenUp, slog.String("shape", shapes[i].ID), slog.Any("error", err))
		}
		all = errors.Join(all, fmt.Errorf("%w: shape %s: %w", errNotTakenUp, shapes[i].ID, err))
	}
	return all
}

func (a *approvals) takeShape(ctx context.Context, shape string) error {
	var files []store.FileVersion
	for v, err := range a.store.Files(ctx, store.Selection{Shape: shape, Newest: true, States: []ingest.State{ingest.Held}}) {
		if err != nil {
			return err
		}
		files = append(files, v)
	}
	action := correcting{reason: "they were held while the question of shape " + shape + " was answered"}.action(a.args)
	marked, err := a.store.MarkDue(ctx, files, action)
	if err == nil && marked > 0 {
		a.log.Info("files were held while their question was answered: they are taken up", slog.String("shape", shape), slog.Int64("files", marked))
	}
	return err
}

// lookFor is how long the store may take to answer.
const lookFor = 10 * time.Second

// look reads the approved profiles if they are others than before, and hands
// them to all decoders. One look is under way at a time: what it finds is never
// older than what was found before.
func (a *approvals) look(ctx context.Context) error {
	select {
	case a.looking <- struct{}{}:
		defer func() { <-a.looking }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	changes, err := a.store.Changes(ctx)
	if err != nil {
		return err
	}
	first, before := !a.looked, a.changes
	if first || changes.Approved != before.Approved {
		profiles, err := (&opened{Store: a.store}).approved(ctx)
		if err != nil {
			return err
		}
		a.take(profiles)
	}
	a.looked, a.changes = true, changes
	if !first && changes.Approved != before.Approved {
		a.mu.Lock()
		a.late = time.Now().Add(2 * approvalsEvery)
		a.log.Info("profiles were approved: files are read by them from now on", slog.Int("approved", len(a.profiles)))
		a.mu.Unlock()
	}
	if !first && changes != before {
		select {
		case a.acted <- struct{}{}:
		default:
		}
	}
	return nil
}

// take has files read by the approved profiles.
func (a *approvals) take(profiles []*format.Profile) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.read, a.profiles = true, profiles
	for l := range a.known {
		l.remake(profiles)
	}
}

// check says what is wrong with the sources of a config, given what profiles are
// approved. It asks the store only where by what is known the config is not sound:
// more profiles do not make it less so.
func (a *approvals) check(ctx context.Context, c *config) error {
	if _, err := a.checkKnown(c); err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	looked := a.look(ctx)
	read, err := a.checkKnown(c)
	if !read {
		return looked
	}
	return err
}

func (a *approvals) checkKnown(c *config) (read bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.read, c.check(a.profiles)
}

// check says what is wrong with the sources of a config, given what profiles were
// approved.
func (c *config) check(approved []*format.Profile) error {
	for _, s := range c.sources {
		if err := s.settings(c).Check(c.set.WithApproved(approved...)); err != nil {
			return &hinted{err, "see the profile and zone of source " + s.name}
		}
	}
	return nil
}

// decoders returns the decoders of a source, which follow what is approved until
// they are forgotten.
func (a *approvals) decoders(c *config, s *sourceConfig) *liveDecoders {
	l := &liveDecoders{approvals: a}
	l.configure(c, s)
	return l
}

func (a *approvals) forget(l *liveDecoders) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.known, l)
}

// liveDecoders makes decoders that read each file by the profiles as they are at
// the time.
type liveDecoders struct {
	approvals *approvals

	set      *format.Set // of the config; guarded by approvals.mu, as settings is
	settings format.Settings
	now      atomic.Pointer[ways]
}

// ways is how files are read at a time.
type ways struct {
	set      *format.Set
	settings format.Settings
}

// configure takes set and settings from a config.
func (l *liveDecoders) configure(c *config, s *sourceConfig) {
	l.approvals.mu.Lock()
	defer l.approvals.mu.Unlock()
	l.set, l.settings = c.set, s.settings(c)
	l.approvals.known[l] = struct{}{}
	l.remake(l.approvals.profiles)
}

func (l *liveDecoders) remake(approved []*format.Profile) {
	l.now.Store(&ways{l.set.WithApproved(approved...), l.settings})
}

// check says why decoders cannot be made.
func (l *liveDecoders) check() error {
	w := l.now.Load()
	return w.settings.Check(w.set)
}

// decoder makes a decoder, after check.
func (l *liveDecoders) decoder() ingest.Decoder { return &liveDecoder{from: l} }

type liveDecoder struct {
	from    *liveDecoders
	ways    *ways
	decoder *format.Decoder
}

var _ ingest.PartDecoder = (*liveDecoder)(nil)

// Decode implements [ingest.Decoder].
func (d *liveDecoder) Decode(ctx context.Context, c *ingest.Content, b *ingest.Batch) error {
	if err := d.refresh(); err != nil {
		return err
	}
	return d.decoder.Decode(ctx, c, b)
}

// DecodeParts implements [ingest.PartDecoder]. A file that is read again is read
// as it was the first time.
func (d *liveDecoder) DecodeParts(ctx context.Context, c *ingest.Content, b *ingest.Batch, cut ingest.Cut) error {
	if !cut.Again && cut.Settled == nil {
		if err := d.refresh(); err != nil {
			return err
		}
	}
	return d.decoder.DecodeParts(ctx, c, b, cut)
}

// Settle implements [ingest.PartDecoder].
func (d *liveDecoder) Settle(ctx context.Context, c *ingest.Content, b *ingest.Batch) ([]bool, error) {
	if err := d.refresh(); err != nil {
		return nil, err
	}
	return d.decoder.Settle(ctx, c, b)
}

func (d *liveDecoder) refresh() error {
	w := d.from.now.Load()
	if w == d.ways {
		return nil
	}
	decoder, err := format.NewDecoder(w.set, w.settings)
	if err == nil {
		d.ways, d.decoder = w, decoder
	}
	return err
}

// An approvingSink looks for what was approved before files are read that wait
// for it.
type approvingSink struct {
	*store.Sink
	approvals *approvals
}

// Pending implements [ingest.Sink].
func (s *approvingSink) Pending(ctx context.Context, files []ingest.File) ([]ingest.Standing, error) {
	standings, err := s.Sink.Pending(ctx, files)
	if err != nil {
		return nil, err
	}
	for i := range standings {
		if standings[i].State == ingest.Due {
			if err := s.approvals.look(ctx); err != nil && !store.Away(err) {
				return nil, err
			}
			break
		}
	}
	return standings, nil
}

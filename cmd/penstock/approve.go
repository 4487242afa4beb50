package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"penstock/ingest"
	"penstock/ingest/format"
	"penstock/store"
)

// An approving is the flags of 'penstock profiles approve'.
type approving struct {
	correcting
	reading        reading // but for the profile, which the shape tells
	sets, maps     []string
	workers, chunk amount
}

func newApprove(a *app) *cobra.Command {
	p := &approving{reading: reading{profile: "auto"}}
	cmd := &cobra.Command{
		Use:   "approve SHAPE",
		Short: "answer the question about a shape, and load all its files",
		Long: `Approve answers what is asked about the files of a shape ('penstock profiles
pending'), once for all of them, those to come as well: the profile that would
read them, with the answers in it, is kept in the store. Files that are held are
taken up, and files that are loaded but for a channel that is new are loaded again
with it. Where the layout was guessed, and one of its loggers is known and is not
what it was, that is asked next.

SHAPE is the id of the shape, or the beginning of it.`,
		Example: `  penstock profiles approve 3fa94c01d2e7 --set zone=Europe/London
  penstock profiles approve 3fa --set order=dmy --dry-run
  penstock profiles approve 3fa --map Flow1=flow --reason "new firmware"`,
		Args: args(1, 1),
		RunE: func(_ *cobra.Command, args []string) error { return a.approve(args[0], p) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringArrayVar(&p.sets, "set", nil, "an answer, `KEY=VALUE`: zone, order, decimal, logger, ..., or a path into the profile such as timestamp.zone; may be given several times")
	f.StringArrayVar(&p.maps, "map", nil, "carry a channel on under another name, `NEW=OLD`; may be given several times")
	p.correcting.flags(cmd)
	p.reading.flagsBesideProfile(a, cmd)
	f.Var(&p.workers, "workers", "how many chunks are decoded and committed at a time: a number, or auto, which is two for each core")
	f.Var(&p.chunk, "chunk", "how many files go into one transaction: a number, or auto, which is 1000")
	fromEnvironment(f, "workers", "chunk")
	return cmd
}

// renames reads the channels that --map carries on.
func (p *approving) renames() (map[string]string, error) {
	renames := make(map[string]string)
	for _, m := range p.maps {
		from, to, ok := strings.Cut(m, "=")
		if !ok || from == "" || to == "" {
			return nil, usage("write NEW=OLD, such as Flow1=flow", "--map %q names no two channels", m)
		}
		if _, twice := renames[from]; twice {
			return nil, usage("", "--map names channel %q twice", from)
		}
		renames[from] = to
	}
	return renames, nil
}

// shape finds a shape by the beginning of its id.
func (o *opened) shape(ctx context.Context, prefix string) (*store.Pending, error) {
	shapes, err := o.Shapes(ctx, prefix)
	switch {
	case err != nil:
		return nil, err
	case len(shapes) == 0:
		return nil, usage("'penstock profiles pending' lists them", "there is no shape %q", prefix)
	case len(shapes) > 1:
		var ids []string
		for i := range shapes {
			ids = append(ids, shapes[i].ID)
		}
		return nil, usage("give more of its id", "%q is the beginning of %d shapes: %s", prefix, len(shapes), strings.Join(ids, ", "))
	}
	return &shapes[0], nil
}

// profile is what the answers make of the shape's. Without any, an approved one
// stays: files may have been held by a process that did not know it yet.
func (p *approving) profile(shape *store.Pending) (*format.Profile, error) {
	renames, err := p.renames()
	if err != nil {
		return nil, err
	}
	if shape.Profile == "" {
		return nil, usage("then: penstock files retry --state held", "no profile answers this: %s", shape.Question)
	}
	if shape.Answered && len(p.sets)+len(renames) == 0 {
		return format.ParseApproved(shape.ID, shape.Approved)
	}
	if again := shape.Approved != "" && len(p.sets)+len(renames) > 0; !again && !shape.Answered && !shape.Answerable() && !slices.Contains(p.sets, "doubt=none") {
		return nil, noAnswerTo(&shape.Shape, shape.Question, shape.Example)
	}
	asked := shape.Shape
	if shape.Answered { // what is said now goes on from there
		asked.Profile, asked.Asks, asked.Loose = shape.Approved, "", false
	}
	approved, err := format.Approve(&asked, p.sets, renames)
	if errors.Is(err, format.ErrOpen) {
		return nil, &usageError{err, addAnswer(&asked)}
	}
	if err != nil {
		return nil, &usageError{err, "penstock profiles pending " + shape.ID}
	}
	return approved, nil
}

// approve stores the answer and loads the files that wait for it. It may be
// called again after it was cut short: what is due goes on waiting.
func (a *app) approve(prefix string, p *approving) error {
	if err := p.reading.check(); err != nil {
		return err
	}
	s, err := a.openStore(a.take, writes, store.Options{})
	if err != nil {
		return err
	}
	defer s.close(a.log)
	shape, err := s.shape(a.take, prefix)
	if err != nil {
		return err
	}
	profile, err := p.profile(shape)
	if err != nil {
		return err
	}
	approved, err := s.approved(a.take)
	if err != nil {
		return err
	}
	for i, other := range approved {
		if other.Shape() == shape.ID {
			approved = append(approved[:i:i], approved[i+1:]...)
			break
		}
	}
	approved = append(approved, profile)
	how := &retrying{reading: &p.reading, approved: approved, workers: p.workers, chunk: p.chunk}
	var files []store.FileVersion
	if shape.Held+shape.Partly > 0 {
		if files, err = a.gather(s, []store.Selection{{Shape: shape.ID, Newest: true}}, &p.correcting, "Take up"); err != nil {
			return err
		}
	}
	g := newAgain(a, s.Store, &p.reading, approved)
	g.recognise = true
	defer g.close(a)
	t := &takingUp{app: a, store: s, again: g, how: how, flags: &p.correcting, sets: p.sets, shape: shape, profile: profile}
	if t.renames, err = p.renames(); err != nil {
		return err
	}
	return t.run(files)
}

// A takingUp is an approval under way.
type takingUp struct {
	*app
	store   *opened
	again   *again
	how     *retrying
	flags   *correcting
	sets    []string
	renames map[string]string
	shape   *store.Pending
	profile *format.Profile
	action  store.Action

	results  []*result
	reloaded *corrected          // nil when no file was loaded in part
	partly   []store.FileVersion // files that are loaded but for what is new
	earlier  int64               // files that stay as another answer loaded them
}

// An approval is what an approval did, in JSON.
type approval struct {
	Shape    string     `json:"shape"`
	Profile  string     `json:"profile"`
	TakenUp  []summary  `json:"taken_up"` // by source
	Reloaded *corrected `json:"reloaded,omitempty"`
	Earlier  int64      `json:"loaded_by_earlier_answer"` // they stay as they are until they are reloaded
}

func (t *takingUp) run(files []store.FileVersion) error {
	var whole []store.FileVersion
	for i := range files {
		if files[i].State == ingest.Loaded || files[i].State == ingest.Duplicate {
			t.partly = append(t.partly, files[i])
		} else {
			whole = append(whole, files[i])
		}
	}
	var from []*chosen
	var there []store.FileVersion
	for _, some := range alike(whole) {
		c, err := t.takeUp(t.again, some)
		if err != nil {
			return err
		}
		from, there = append(from, c), append(append(there, c.there...), c.waiting...)
	}
	if err := t.settled(from); err != nil {
		return err
	}
	if err := t.checkRenames(files); err != nil {
		return err
	}
	if t.flags.dryRun {
		return t.dry(files)
	}
	run, err := t.store.StartRun(t.take)
	if err != nil {
		return err
	}
	t.action = t.flags.action(t.args)
	t.action.Run = run
	if t.earlier, err = t.loadedEarlier(); err != nil {
		return err
	}
	marked, err := t.store.Approve(t.take, t.shape, t.profile.Text, there, t.action)
	if errors.Is(err, store.ErrAnswered) {
		return &hinted{err, "look at it again: penstock profiles pending " + t.shape.ID}
	}
	if err != nil {
		return err
	}
	if err := t.load(from, int64(len(there))-marked); err != nil {
		return err
	}
	if len(t.partly) > 0 && t.take.Err() == nil {
		what := store.Correction{Reload: true, Action: t.action, Read: t.again.read}
		if t.reloaded, err = t.carryOut(t.store, t.partly, t.flags, what); err != nil {
			return err
		}
	}
	return t.tell()
}

// load takes up the files that are due, source by source. The action that the
// approval recorded has those that it marked; added are those that were due
// before, and the readings.
func (t *takingUp) load(from []*chosen, due int64) error {
	for _, c := range from {
		t.noteWaiting(c)
		decoders, err := t.how.decoders(c.Name(), c.zone)
		if err != nil {
			return err
		}
		options, err := t.how.sinkOptions(t.take, t.store, c.Name())
		if err != nil {
			return err
		}
		options.Run = t.action.Run
		sink, err := t.store.Sink(t.take, *options)
		if err != nil {
			return err
		}
		r, err := t.app.run(&job{source: c, sink: sink, decoders: decoders, workers: t.how.workers, chunk: t.how.chunk, verb: "loaded"})
		if err != nil {
			return err
		}
		t.results = append(t.results, r)
		action := t.action
		action.Files, action.Readings, due = due, r.receipt.Cells.Stored+r.receipt.Cells.Replaced, 0
		if action.Files+action.Readings > 0 {
			if err := t.store.Record(t.work, action); err != nil {
				return err
			}
		}
	}
	return nil
}

// dry prints the readings of the files as they would be stored.
func (t *takingUp) dry(files []store.FileVersion) error {
	var code error
	for _, some := range alike(files) {
		from, err := t.takeUp(t.again, some)
		if err != nil {
			return err
		}
		decoders, err := t.how.decoders(from.Name(), from.zone)
		if err != nil {
			return err
		}
		if err := t.runDry(&job{source: from, decoders: decoders}, nil); err != nil {
			if exit := exitError(0); !errors.As(err, &exit) {
				return err
			}
			code = err
		}
	}
	return code
}

func (t *takingUp) tell() error {
	var code error
	done := approval{Shape: t.shape.ID, Profile: t.profile.Name, TakenUp: []summary{}, Reloaded: t.reloaded}
	done.Earlier = t.earlier
	t.note("Shape %s is approved: its files are read by profile %s.", t.shape.ID, t.profile.Name)
	if t.earlier > 0 {
		t.note("Loaded by an earlier answer, and still as that read them: %s. This loads them by the new one:\n  penstock files reload --loaded-by %s",
			counted(t.earlier, "file version"), shown([]string{t.profile.Name}))
	}
	for _, r := range t.results {
		if t.output.value == "json" {
			done.TakenUp = append(done.TakenUp, r.summary())
			if r.exit() != exitWell {
				code = exitError(r.exit())
			}
			continue
		}
		if err := t.printResult(r); err != nil {
			if exit := exitError(0); !errors.As(err, &exit) {
				return err
			}
			code = err
		}
	}
	if t.output.value == "json" {
		if err := t.printObject(done); err != nil {
			return err
		}
	} else if t.reloaded != nil {
		t.tellCorrected(t.reloaded)
	}
	if t.reloaded != nil && code == nil {
		code = t.reloaded.exit()
	}
	for _, r := range t.results {
		if r.interrupted {
			return &hinted{errInterrupted, fmt.Sprintf("the answer is kept; 'penstock profiles approve %s' goes on with the rest", t.shape.ID)}
		}
	}
	return code
}

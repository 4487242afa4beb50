package main

import (
	"cmp"
	"context"
	"iter"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"penstock/ingest"
	"penstock/ingest/format"
	"penstock/ingest/source"
	"penstock/store"
)

// This file is the only place that puts the parts together: a source, the
// profiles and a store become a pipeline.

// A reading holds the flags that say how files are read.
type reading struct {
	profile    string
	noBuiltins bool
	zone       string
	past       duration
	future     duration
	rejected   float64
	minLines   int // of a file that rejected is held against; 0 for the default
	loggers    string
	strict     bool
	noTable    bool // loggers are called as files call them

	flagSet *pflag.FlagSet // that these are from

	app  *app   // whose config names profiles and a loggers table, too
	read *named // once it is
}

// named is what the flags and the config name: the profiles of a set, which of
// them reads all files, and the loggers table. It is read once, for a command may
// make many decoders.
type named struct {
	set     *format.Set
	profile string // auto, or one that a store has yet to show
	loggers *format.Loggers
}

func (r *reading) flags(a *app, cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.profile, "profile", "auto", "read all files by this profile: a `NAME`, also of one that was approved, a FILE.yaml, or auto to recognise each by its beginning, and to guess where none matches")
	f.BoolVar(&r.noBuiltins, "no-builtins", false, "leave the built-in profiles out")
	f.StringVar(&r.zone, "zone", "", "the time zone (`AREA/CITY` or an offset) of files that do not say their own")
	fromEnvironment(f, "profile", "no-builtins", "zone")
	r.flagsBesideProfile(a, cmd)
}

// flagsBesideProfile are those that say what becomes of what a profile reads.
func (r *reading) flagsBesideProfile(a *app, cmd *cobra.Command) {
	f := cmd.Flags()
	r.app, r.flagSet = a, f
	f.Var(&r.past, "window-past", "reject timestamps that lie further than `SPAN` before a file's first fetch (400d); default back to 1800")
	f.Var(&r.future, "window-future", "reject timestamps that lie further than `SPAN` after a file's first fetch; default 1d")
	f.Float64Var(&r.rejected, "max-rejected", rejectedShare, "quarantine a file of 20 lines or more of which more than this `SHARE` is rejected")
	f.StringVar(&r.loggers, "loggers", "", "the loggers table, a CSV `FILE`: what becomes of the loggers and channels that files name, their factors and zones")
	f.BoolVar(&r.strict, "strict", false, "hold files with loggers that are not in the loggers table")
	fromEnvironment(f, "window-past", "window-future", "max-rejected", "loggers", "strict")
}

// rejectedShare is the default of --max-rejected.
const rejectedShare = 0.5

// A duration is a flag that takes days too.
type duration time.Duration

func (d *duration) Type() string { return "SPAN" }

func (d *duration) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}

func (d *duration) Set(s string) error {
	v, err := parseSpan(s)
	*d = duration(v)
	return err
}

// check says what is wrong with the flags, as far as there is no need to ask the
// store: it knows the profiles that were approved.
func (r *reading) check() error {
	n, err := r.names()
	if err != nil {
		return err
	}
	if n.set.ByName(n.profile) == nil && format.MayBeApproved(n.profile) {
		return nil
	}
	_, _, err = r.profiles()
	return err
}

// decoders returns what makes decoders by these flags and by the profiles that
// were approved. A profile that the flags name goes before those.
func (r *reading) decoders(approved []*format.Profile) (func() ingest.Decoder, error) {
	set, settings, err := r.profiles(approved...)
	if err != nil {
		return nil, err
	}
	return decodersOf(set, settings)
}

// approved returns the profiles that were approved in the store, by name.
func (o *opened) approved(ctx context.Context) ([]*format.Profile, error) {
	if o == nil {
		return nil, nil
	}
	texts, err := o.Approved(ctx)
	if err != nil {
		return nil, err
	}
	var profiles []*format.Profile
	for _, shape := range slices.Sorted(maps.Keys(texts)) {
		p, err := format.ParseApproved(shape, texts[shape])
		if err != nil {
			return nil, &hinted{err, "approve the shape anew: penstock profiles approve " + shape}
		}
		profiles = append(profiles, p)
	}
	return profiles, nil
}

// profiles returns the profiles that there are to read files by, the approved
// ones among them, and the settings.
func (r *reading) profiles(approved ...*format.Profile) (*format.Set, format.Settings, error) {
	if r.rejected <= 0 || r.rejected > 1 {
		return nil, format.Settings{}, usage("0.5 is half of the file", "--max-rejected %v is not a share between 0 and 1", r.rejected)
	}
	n, err := r.names()
	if err != nil {
		return nil, format.Settings{}, err
	}
	if r.strict && n.loggers == nil {
		return nil, format.Settings{}, usage("--loggers FILE names it", "--strict holds the loggers that are not in the loggers table, and there is no table")
	}
	settings := format.Settings{
		Profile: n.profile, Zone: r.zone,
		Window:      format.Window{Past: time.Duration(r.past), Future: time.Duration(r.future)},
		MaxRejected: format.MaxRejected{Share: r.rejected, MinLines: r.minLines},
		Loggers:     n.loggers,
		Strict:      r.strict,
	}
	set := n.set.WithApproved(approved...)
	if settings.Profile != "auto" && set.ByName(settings.Profile) == nil {
		return nil, settings, noProfile(settings.Profile, set.Profiles())
	}
	if err := settings.Check(set); err != nil {
		return nil, settings, &usageError{err, "zones are named like Europe/London or +01:00"}
	}
	return set, settings, nil
}

// names reads what the flags name. A profile of theirs takes the place of the
// config's of that name, and so does their loggers table.
func (r *reading) names() (n *named, err error) {
	if r.read != nil {
		return r.read, nil
	}
	n = &named{profile: r.profile}
	var configured []*format.Profile
	if c := r.app.config; c != nil {
		n.loggers, configured = c.loggers, c.profiles
	}
	if r.noTable {
		n.loggers = nil
	}
	if r.loggers != "" {
		if n.loggers, err = format.LoadLoggers(r.loggers); err != nil {
			return nil, &usageError{err: err}
		}
	}
	own, err := ownProfiles(r.profile)
	if err != nil {
		return nil, &usageError{err: err}
	}
	switch len(own) {
	case 0:
	case 1:
		n.profile = own[0].Name
	default: // several files: recognised by their headers
		n.profile = "auto"
	}
	for _, p := range configured {
		if !slices.ContainsFunc(own, func(o *format.Profile) bool { return o.Name == p.Name }) {
			own = append(own, p)
		}
	}
	if n.set, err = format.NewSet(!r.noBuiltins, own...); err != nil {
		return nil, &usageError{err: err}
	}
	r.read = n
	return n, nil
}

func noProfile(name string, known []*format.Profile) error {
	names := make([]string, len(known))
	for i, p := range known {
		names[i] = p.Name
	}
	there := "there are " + strings.Join(names, ", ")
	if len(names) == 0 {
		there = "there are none"
	}
	return usage("a profile of your own is named by its path, such as ./station.yaml", "there is no profile %q; %s", name, there)
}

// given lists the flags that say which profile, zone and loggers table files
// are read by.
func (r *reading) given() (flags []string) {
	if r.profile != "" && r.profile != "auto" {
		flags = append(flags, "--profile", r.profile)
	}
	if r.zone != "" {
		flags = append(flags, "--zone", r.zone)
	}
	if r.loggers != "" {
		flags = append(flags, "--loggers", r.loggers)
	}
	if r.strict {
		flags = append(flags, "--strict")
	}
	return flags
}

// ownProfiles reads the profiles that --profile names as a file, none when it
// is a name.
func ownProfiles(given string) ([]*format.Profile, error) {
	ext := filepath.Ext(given)
	if ext != ".yaml" && ext != ".yml" && !strings.ContainsAny(given, "/*") {
		return nil, nil
	}
	return format.Load(given)
}

func decodersOf(set *format.Set, settings format.Settings) (func() ingest.Decoder, error) {
	if err := settings.Check(set); err != nil {
		return nil, err
	}
	return func() ingest.Decoder {
		d, err := format.NewDecoder(set, settings)
		if err != nil {
			panic(err) // Check said that it can be made
		}
		return d
	}, nil
}

// A job is one run of a pipeline.
type job struct {
	source      ingest.Source
	sink        ingest.Sink
	decoders    func() ingest.Decoder
	workers     amount
	chunk       amount
	cutting     cutting
	connections int // files that are fetched at a time ahead of the workers; with 0 they fetch for themselves
	verb        string
	how         []string  // the flags by which its files are read, for advice
	nothing     string    // what to note when its source lists no file
	into        *tally    // which what becomes of the files is added to; nil for one of its own
	yielding    *yielding // what gives live files the right of way; nil for none
	ran         func()    // called when the pipeline has ended, before its run is in the ledger; nil for nobody
}

// run runs the pipeline to its end, showing progress, and returns what became
// of the files, also of a run that a signal cut short. Its error is one that
// an operator must see to.
func (a *app) run(j *job) (*result, error) {
	j.into = cmp.Or(j.into, newTally())
	p := a.startProgress(j.into.began, j.yielding)
	stopTelling := context.AfterFunc(a.take, func() {
		a.note("finishing the chunks under way; once more to drop them")
	})
	r, err := j.do(a.take, a.work, p, a.log)
	stopTelling()
	p.end()
	if err == nil && r.seen() == 0 && a.take.Err() == nil && j.nothing != "" {
		a.note("%s", j.nothing)
	}
	if a.take.Err() != nil && (err == nil || a.work.Err() != nil) {
		r.interrupted = true
		err = nil
	}
	return r, err
}

// do runs the pipeline to its end: nothing new is begun when take ends, and what
// is under way is dropped when work does. All that loads files to an end comes
// through here, and it is what 'penstock bench' measures.
func (j *job) do(take, work context.Context, p *progress, log *slog.Logger) (*result, error) {
	workers, limits := tune(j.workers, j.chunk, j.cutting)
	sink, ok := j.sink.(*store.Sink)
	if !ok { // what prints, or counts, or repeats what was, takes files whole
		limits.Part = 0
	}
	if dir, folders := j.source.(*source.Dir); folders {
		dir.Blind(ok && sink.New())
	}
	r := &result{tally: cmp.Or(j.into, newTally()), workers: workers, chunk: limits.Files, verb: j.verb, source: j.source.Name(), how: j.how}
	pipeline := &ingest.Pipeline{
		Source: &listing{Source: j.source, seen: p}, Sink: j.sink, NewDecoder: j.decoders, Workers: workers, Limits: limits, Log: log,
		Connections: j.connections,
		Observe: func(e ingest.Event) {
			r.observe(e)
			p.observe(e)
		},
	}
	if j.yielding != nil {
		pipeline.Yield = j.yielding.yield
	}
	collecting := collect(seldom)
	err := pipeline.Run(take, work)
	collecting.end()
	r.took = time.Since(r.began)
	if j.ran != nil {
		j.ran()
	}
	if ok {
		r.run, r.stored = sink.Run(), true
		if err == nil && take.Err() == nil {
			err = sink.End(work)
		}
	}
	return r, err
}

// listing tells progress what its source lists.
type listing struct {
	ingest.Source
	seen *progress
}

// Wrapped implements ingest.Wrapper.
func (l *listing) Wrapped() ingest.Source { return l.Source }

func (l *listing) Files(ctx context.Context) iter.Seq2[ingest.File, error] {
	return func(yield func(ingest.File, error) bool) {
		for f, err := range l.Source.Files(ctx) {
			l.seen.listed.Add(1)
			if !yield(f, err) {
				return
			}
		}
		l.seen.listedAll.Store(true)
	}
}

// sourceOf returns the source of what is at paths, and the text that the ledger
// keeps as its root, from which openPlaces finds the files again.
func sourceOf(o source.Options, paths []string) (dir *source.Dir, root string, err error) {
	if dir, err = source.NewDir(o, paths...); err != nil {
		return nil, "", err
	}
	if o.Source == "" {
		return dir, "", nil // absolute paths need none
	}
	root, err = rootOf(paths)
	return dir, root, err
}

// openSettled returns the source that a config describes, of which files are
// taken when they have settled, and what closes it.
func (a *app) openSettled(s *sourceConfig, log *slog.Logger) (ingest.Source, func(), error) {
	src, closeSource, err := a.openSource(s, log)
	if err != nil {
		return nil, nil, err
	}
	rule := s.settling
	rule.Log = log
	settled, err := source.Settle(src, rule)
	if err != nil {
		closeSource()
		return nil, nil, err
	}
	return settled, closeSource, nil
}

// openSource returns the source as it is, and what closes it.
func (a *app) openSource(s *sourceConfig, log *slog.Logger) (ingest.Source, func(), error) {
	if s.url != "" {
		return a.openServer(s, log)
	}
	dir, err := source.NewDir(source.Options{Source: s.name, Match: s.match, Ignore: s.ignore, After: s.after, Live: true, Log: log}, s.folder)
	if err != nil {
		return nil, nil, err
	}
	return dir, func() { closeSource(a, dir) }, nil
}

// openServer returns the source of a folder on a server. Nothing is asked of the
// server yet.
func (a *app) openServer(s *sourceConfig, log *slog.Logger) (*source.Remote, func(), error) {
	options := source.RemoteOptions{
		Source: s.name, Match: s.match, Ignore: s.ignore, After: s.after, Log: log,
		Connections: s.connections(), Timeout: s.server.timeout, MinRate: s.server.minRate, Accounts: a.accounts,
	}
	open := a.newFTP
	if strings.HasPrefix(s.url, "sftp:") {
		open = a.newSFTP
	}
	remote, err := open(s, options)
	if err != nil {
		return nil, nil, err
	}
	return remote, func() {
		if err := remote.Close(); err != nil {
			log.Warn("closing the source", slog.Any("error", err))
		}
	}, nil
}

func (a *app) newFTP(s *sourceConfig, o source.RemoteOptions) (*source.Remote, error) {
	zone, err := format.ParseZone(cmp.Or(s.server.listingZone, "UTC"))
	if err != nil {
		return nil, err
	}
	return source.NewFTP(source.FTPOptions{RemoteOptions: o, URL: s.url, Zone: zone, TLS: s.server.tls, Password: a.secretOf(s, (*app).sourcePassword)})
}

// newSFTP gives no passphrase where none was put anywhere, and no password where
// there is a key besides.
func (a *app) newSFTP(s *sourceConfig, o source.RemoteOptions) (*source.Remote, error) {
	sftp := source.SFTPOptions{RemoteOptions: o, URL: s.url, KeyFile: s.server.keyFile, KnownHosts: s.server.knownHosts}
	password, err := a.sourcePassword(s)
	if err != nil {
		return nil, err
	}
	if password != "" || s.server.keyFile == "" {
		sftp.Password = a.secretOf(s, (*app).sourcePassword)
	}
	passphrase, err := a.sourcePassphrase(s)
	if err != nil {
		return nil, err
	}
	if passphrase != "" {
		sftp.Passphrase = a.secretOf(s, (*app).sourcePassphrase)
	}
	return source.NewSFTP(sftp)
}

// secretOf reads a secret of the source anew each time it is called.
func (a *app) secretOf(s *sourceConfig, read func(*app, *sourceConfig) (secret, error)) func() (string, error) {
	return func() (string, error) {
		text, err := read(a, s)
		return string(text), err
	}
}

// closeSource closes a source and logs what goes wrong: it is done with.
func closeSource(a *app, dir *source.Dir) {
	if err := dir.Close(); err != nil {
		a.log.Warn("closing the source", slog.String("source", dir.Name()), slog.Any("error", err))
	}
}

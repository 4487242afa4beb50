package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"penstock/ingest"
	"penstock/ingest/format"
	"penstock/ingest/source"
)

// A guess is the flags of the command of that name.
type guess struct {
	profile    string
	noBuiltins bool
	zone       string
	sets       []string
	lines      lineRange
}

func newGuess(a *app) *cobra.Command {
	g := &guess{}
	cmd := &cobra.Command{
		Use:   "guess FILE...",
		Short: "the profile that files would be read by, how sure it is and why, and what it reads",
		Long: `Guess makes out how files are laid out and prints a profile for them as YAML,
with a comment for each thing that it found. It goes to stdout alone, so that it
can be saved, edited and used; what it rests on, the series that it reads with
their first and last readings, and the question that is open, if one is, go to
stderr. Files of one kind are looked at together: what one leaves open, another
may prove. Where a profile matches that Penstock knows already, that is shown.

With --profile it shows what a profile of yours makes of the files; all that is
wrong with the profile is said at once, with line and column. --lines shows line
by line what each is taken for. Nothing is stored.

Exit code 3 says that something is open, cannot be read, or is no readings.`,
		Example: `  penstock guess new-logger.csv
  penstock guess --zone Europe/London --set order=dmy new-logger.csv > mine.yaml
  penstock guess --profile mine.yaml --lines 1-20 new-logger.csv
  penstock replay --profile mine.yaml new-logger.csv`,
		Args: args(1, -1),
		RunE: func(_ *cobra.Command, paths []string) error { return a.guess(g, paths) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&g.profile, "profile", "auto", "show what this profile makes of the files: a `NAME` or a FILE.yaml")
	f.BoolVar(&g.noBuiltins, "no-builtins", false, "guess also where a built-in profile matches")
	f.StringVar(&g.zone, "zone", "", "the time zone (`AREA/CITY` or an offset) of files that do not say their own")
	f.StringArrayVar(&g.sets, "set", nil, "an answer, `KEY=VALUE`, such as order=dmy or timestamp.zone=Europe/London; may be given again")
	f.Var(&g.lines, "lines", "show line by line what each is taken for: `N`, N-M, or all")
	fromEnvironment(f, "no-builtins", "zone")
	return cmd
}

func (a *app) guess(g *guess, paths []string) error {
	if a.output.value == "csv" {
		return usage("leave -o out, or give -o json", "guess prints YAML or JSON, and no CSV")
	}
	known, err := g.known(a)
	if err != nil {
		return err
	}
	dir, err := source.NewDir(source.Options{}, paths...)
	if err != nil {
		return &usageError{err: err}
	}
	defer closeSource(a, dir)
	l := &looker{dir: dir, zone: g.zone, lines: &g.lines}
	files, err := l.files(a.take)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return usage("give a file, or a folder with files in it", "there is no file to guess from")
	}
	if l.more {
		a.note("There are more files than %d; those were looked at.", mostFiles)
	}
	kinds, err := l.sort(a.take, g, known, files)
	if err != nil {
		return err
	}
	for _, k := range kinds {
		if err := l.read(a.take, k); err != nil {
			return err
		}
	}
	if a.output.value == "json" {
		err = a.printGuessJSON(kinds)
	} else {
		err = a.printGuess(g, kinds)
	}
	if err != nil {
		return err
	}
	for _, k := range kinds {
		if k.trouble() {
			return exitError(exitTrouble)
		}
	}
	return nil
}

// known returns the profiles that files are tried with before anything is
// guessed: the one given, or the built-in ones.
func (g *guess) known(a *app) ([]*format.Profile, error) {
	r := reading{profile: g.profile, noBuiltins: g.noBuiltins, zone: g.zone, rejected: rejectedShare, app: a}
	set, settings, err := r.profiles()
	if err != nil {
		return nil, err
	}
	if !g.given() {
		return set.Profiles(), nil
	}
	p := set.ByName(settings.Profile)
	if p == nil {
		return nil, usage("name one file", "--profile %s names several profiles", g.profile)
	}
	if len(g.sets) > 0 {
		if p, err = p.With(g.sets, nil); err != nil {
			return nil, &usageError{err: err}
		}
	}
	return []*format.Profile{p}, nil
}

// given reports whether a profile was named that all files are read by.
func (g *guess) given() bool { return g.profile != "" && g.profile != "auto" }

// A lineRange is a flag for lines of a file.
type lineRange struct{ from, to int64 }

func (r *lineRange) Type() string { return "LINES" }

func (r *lineRange) String() string {
	if r.to == 0 {
		return ""
	}
	return fmt.Sprintf("%d-%d", r.from, r.to)
}

func (r *lineRange) Set(s string) error {
	if s == "all" {
		r.from, r.to = 1, 1<<62
		return nil
	}
	from, to, ranged := strings.Cut(s, "-")
	var err, err2 error
	r.from, err = strconv.ParseInt(from, 10, 64)
	if r.to = r.from; ranged {
		r.to, err2 = strconv.ParseInt(to, 10, 64)
	}
	if err != nil || err2 != nil || r.from < 1 || r.to < r.from {
		return fmt.Errorf("write it like 12, 1-40 or all")
	}
	return nil
}

// mostSamples is how many files of a kind are looked at together, and mostFiles
// how many are looked at at all.
const (
	mostSamples = 20
	mostFiles   = 1000
)

// A looker reads files for a person to look at.
type looker struct {
	dir   *source.Dir
	zone  string
	lines *lineRange
	more  bool // there are more than mostFiles
}

// A lookedFile is a file with its beginning.
type lookedFile struct {
	file    ingest.File
	sample  format.Sample
	refusal string // why it has none
}

func (l *looker) files(ctx context.Context) ([]*lookedFile, error) {
	var files []*lookedFile
	for file, err := range l.dir.Files(ctx) {
		if err != nil {
			return nil, err
		}
		if len(files) == mostFiles {
			l.more = true
			break
		}
		f := &lookedFile{file: file}
		err := l.with(ctx, file, func(c *ingest.Content) (err error) {
			f.sample, f.refusal, err = format.SampleOf(c, format.Limits{})
			return err
		})
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, ctx.Err()
}

// with fetches a file, hands its content to do, and closes it.
func (l *looker) with(ctx context.Context, file ingest.File, do func(*ingest.Content) error) error {
	c := ingest.Content{File: file}
	if err := l.dir.Fetch(ctx, file, &c); err != nil {
		return err
	}
	c.File, c.Fetched = file, time.Now().UnixMicro()
	err := do(&c)
	if c.Stream != nil {
		_ = c.Stream.Close() // it need not have been read to its end
	}
	return err
}

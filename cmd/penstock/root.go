package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/charmbracelet/colorprofile"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"penstock/ingest"
	"penstock/ingest/source"
)

// An app is one run of the program: where it reads and writes, how it was
// asked to, and the two contexts that end it.
type app struct {
	args    []string // as they were given
	environ []string
	in      io.Reader
	out     io.Writer // data, and nothing else
	err     *screen   // all that is for a person who watches

	// take ends with the first signal and work with the second: what is begun
	// may be finished between the two.
	take, work context.Context

	log *slog.Logger

	accounts *source.Accounts // on servers, of all sources that are opened

	config *config            // what --config names; nil for none
	watch  func(ingest.Event) // who looks on at a daemon, called by each source's goroutine; nil for nobody

	// The flags that all commands have.
	configFile               string
	archiveDir               string
	store, schema            string
	output, color            choice
	logLevel, logFormat      choice
	quiet                    bool
	inherited                map[string]bool // flags that have their value from the environment
	outProfile, errProfile   colorprofile.Profile
	outTerminal, errTerminal bool
	width                    int // of the terminal behind out, in cells; 0 for no limit
}

func newApp(args, environ []string, in io.Reader, out, err io.Writer) *app {
	return &app{
		args:      args,
		environ:   environ,
		in:        in,
		out:       out,
		err:       &screen{w: err},
		log:       slog.New(slog.DiscardHandler),
		accounts:  &source.Accounts{},
		inherited: make(map[string]bool),
		output:    choice{value: "table", of: []string{"table", "json", "csv"}},
		color:     choice{value: "auto", of: []string{"auto", "always", "never"}},
		logLevel:  choice{value: "info", of: []string{"debug", "info", "warn", "error"}},
		logFormat: choice{value: "text", of: []string{"text", "json"}},
	}
}

const rootLong = `Penstock takes time-series CSV files, as loggers write them, into PostgreSQL or
TimescaleDB. The readings of each file version become visible exactly once,
every line of it is accounted for, and what cannot be read is quarantined with
the reason and the line.

Start with 'penstock demo', or with 'penstock replay FOLDER'.

Exit codes: 0 all well; 1 failed; 2 the command line or a setting is wrong;
3 finished, but some files were held or quarantined or could not be read, or
some lines were rejected; 4 another instance holds the store or loads the
source.`

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:               "penstock",
		Short:             "ingest time-series CSV files into PostgreSQL, exactly once",
		Long:              rootLong,
		SilenceErrors:     true,
		SilenceUsage:      true,
		TraverseChildren:  true, // flags before psql are Penstock's, those after it are not
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.prepare(cmd) },
	}
	asGroup(root)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(helpHint(cmd), "%w", err)
	})
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages", ".FlagUsagesWrapped 80"))
	f := root.PersistentFlags()
	f.SortFlags = false
	f.StringVarP(&a.configFile, "config", "c", "", "take what is not given from this config `FILE`: the store, the profiles, the loggers table, and the settings of a source")
	f.StringVar(&a.store, "store", "local:", "`WHERE` to keep data: postgres://..., a libpq keyword string, or local: or local:DIR for a private PostgreSQL")
	f.StringVar(&a.schema, "schema", "penstock", "the database `SCHEMA` that holds the tables")
	f.StringVar(&a.archiveDir, "archive", "", "the `FOLDER` of the archive, where it is not where the config or the ledger says")
	f.VarP(&a.output, "output", "o", "how to print data: table, json or csv")
	f.Var(&a.color, "color", "auto, always or never; auto honours NO_COLOR")
	f.Var(&a.logLevel, "log-level", "debug, info, warn or error")
	f.Var(&a.logFormat, "log-format", "text or json")
	f.BoolVar(&a.quiet, "quiet", false, "no progress, no notes, and of the log only errors")
	fromEnvironment(f, "config", "store", "schema", "archive", "output", "color", "log-level", "log-format", "quiet")
	root.AddCommand(
		newDemo(a), newRun(a), newCheck(a), newReplay(a), newBench(a), newMigrate(a),
		newStatus(a), newFiles(a), newWhy(a), newRejects(a), newActions(a), newLedger(a), newArchive(a),
		newGuess(a), newProfiles(a), newPsql(a), newVersion(a),
	)
	return root
}

// asGroup makes cmd a command that only has subcommands: alone it shows its
// help, and an unknown word is a mistake.
func asGroup(cmd *cobra.Command) {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		hint := helpHint(cmd)
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			hint = fmt.Sprintf("did you mean '%s %s'?", cmd.CommandPath(), near[0])
		}
		return usage(hint, "unknown command %q for '%s'", args[0], cmd.CommandPath())
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

// args checks how many arguments a command is given; most < 0 is any number.
func args(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch n := len(args); {
		case n < least:
			return usage(helpHint(cmd), "'%s' needs more arguments: %s", cmd.CommandPath(), cmd.UseLine())
		case most >= 0 && n > most:
			return usage(helpHint(cmd), "'%s' does not know what to do with %q", cmd.CommandPath(), args[most])
		}
		return nil
	}
}

func helpHint(cmd *cobra.Command) string {
	return fmt.Sprintf("see '%s --help'", cmd.CommandPath())
}

// prepare is done before each command: what flags leave open is taken from the
// environment, then log and colours are set up, and what is still open is taken
// from the config.
func (a *app) prepare(cmd *cobra.Command) error {
	if err := a.readEnvironment(cmd.Flags()); err != nil {
		return err
	}
	a.dress()
	if err := a.startLog(); err != nil {
		return err
	}
	return a.readConfig(cmd)
}

const environmentKey = "penstock_environment"

// fromEnvironment lets PENSTOCK_NAME stand for the flags named, when they are
// not given, and says so in their help.
func fromEnvironment(f *pflag.FlagSet, names ...string) {
	for _, name := range names {
		flag := f.Lookup(name)
		variable := "PENSTOCK_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		flag.Usage += " (" + variable + ")"
		if flag.Annotations == nil {
			flag.Annotations = make(map[string][]string)
		}
		flag.Annotations[environmentKey] = []string{variable}
	}
}

func (a *app) readEnvironment(f *pflag.FlagSet) (err error) {
	f.VisitAll(func(flag *pflag.Flag) {
		variables := flag.Annotations[environmentKey]
		if len(variables) == 0 || flag.Changed {
			return
		}
		value := a.getenv(variables[0])
		if value == "" {
			return
		}
		if wrong := flag.Value.Set(value); wrong != nil && err == nil {
			err = usage("unset it, or see --"+flag.Name+" in the command's help", "%s is %q: %w", variables[0], value, wrong)
		}
		flag.Changed, a.inherited[flag.Name] = true, true
	})
	return err
}

// getenv returns the variable's last value, "" when it is not set.
func (a *app) getenv(name string) (value string) {
	for _, e := range a.environ {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			value = v
		}
	}
	return value
}

// A choice is a flag that takes one of a few words.
type choice struct {
	value string
	of    []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return "WORD" }

func (c *choice) Set(s string) error {
	if slices.Contains(c.of, s) {
		c.value = s
		return nil
	}
	return fmt.Errorf("it can be %s or %s", strings.Join(c.of[:len(c.of)-1], ", "), c.of[len(c.of)-1])
}

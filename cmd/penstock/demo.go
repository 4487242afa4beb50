package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func newDemo(a *app) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "a whole site in one command: writes logger files, loads them, shows a summary and a query",
		Long: `Demo writes a small site of logger files, with the flaws that such files have, and
runs the commands that one would run on it, each shown before its output. It keeps
all it makes, a private PostgreSQL too, in one folder: remove that, and nothing is
left. Run it again, and every file is known. It minds no PENSTOCK_ variables: only
--store takes it to another store.`,
		Args:        args(0, 0),
		Annotations: map[string]string{configKeyOf: noConfig},
		RunE: func(cmd *cobra.Command, _ []string) error {
			where := a.store
			if !cmd.Flags().Changed("store") || a.inherited["store"] {
				where = "local:" + filepath.Join(dir, "pg")
			}
			global := []string{"--store", where}
			if cmd.Flags().Changed("schema") && !a.inherited["schema"] {
				global = append(global, "--schema", a.schema)
			}
			return a.demo(dir, global)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", ".penstock-demo", "the `FOLDER` for all that the demo makes")
	return cmd
}

const demoQuery = `select logger, channel, unit, count(*) as readings, min(ts)::date as first, max(ts)::date as last, round(avg(value)::numeric, 2) as mean
from observations group by logger, channel, unit order by logger, channel`

// demo runs its steps with the global flags that are given.
func (a *app) demo(dir string, global []string) error {
	site := filepath.Join(dir, "site")
	n, err := writeSite(site)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "A site of %d logger files is in %s.\n", n, printable(site))
	for _, step := range []struct {
		say  string
		args []string
	}{
		{"Load it:", []string{"replay", "--source", "demo", site}},
		{"The weather station's files do not tell their time zone. Answer, and they load:",
			[]string{"files", "retry", "--source", "demo", "--state", "held", "--zone", "Europe/London", "--reason", "the station keeps local time"}},
		{"Load it all again: every file version is known, and nothing is stored twice:", []string{"replay", "--source", "demo", site}},
		{"Which lines were not readings?", []string{"rejects", "--source", "demo"}},
		{"What is there now:", []string{"psql", "-c", demoQuery}},
	} {
		fmt.Fprintf(a.out, "\n%s\n%s\n", a.style(bold, step.say), a.style(faint, "$ penstock "+shown(step.args)))
		if err := a.call(slices.Concat(global, step.args)); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(a.out, "\n%s\n  penstock %s status\n  penstock %[2]s why L-101 flow '2025-06-02 06:30'\n",
		a.style(bold, "Look around in it with:"), shown(global))
	return err
}

// call runs a command of this program within this process. What it found
// wrong with the files is shown and no error.
func (a *app) call(args []string) error {
	// What a person's variables say of their own store is not meant for this one.
	environ := slices.DeleteFunc(slices.Clone(a.environ), func(v string) bool { return strings.HasPrefix(v, "PENSTOCK_") })
	sub := newApp(args, environ, a.in, a.out, a.err.w)
	sub.take, sub.work = a.take, a.work
	sub.color, sub.logLevel, sub.logFormat, sub.quiet = a.color, a.logLevel, a.logFormat, a.quiet
	root := newRoot(sub)
	root.SetArgs(args)
	err := root.ExecuteContext(a.take)
	var exit exitError
	if errors.As(err, &exit) && exit == exitTrouble {
		return nil
	}
	return err
}

// shown is a command line as one would type it.
func shown(args []string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		if words[i] = arg; strings.ContainsAny(arg, " \n'*()") {
			words[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"penstock/store"
)

// demoLength is how long the demo runs where nobody can be told that Ctrl-C
// ends it.
const demoLength = 30 * time.Second

func newDemo(a *app) *cobra.Command {
	var dir string
	var length time.Duration
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "a whole site in one command: loggers that send by FTP, the daemon that loads, live; then what became of it",
		Long: `Demo runs an FTP server and six loggers that send it a file every few seconds,
as loggers do: slowly, broken off and repeated, packed, one file cut short. Beside it
lies a folder with three days' files and their usual flaws. 'penstock run' loads
both, and the demo shows what it does until Ctrl-C, or for as long as --for says.
Then it says what became of all files, answers the question that some of them ask,
and runs a query, each command shown before its output.

It keeps all it makes, a private PostgreSQL too, in one folder: remove that, and
nothing is left. It minds no PENSTOCK_ variables: only --store takes it to another
store.`,
		Args:        args(0, 0),
		Annotations: map[string]string{configKeyOf: noConfig},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if length < 0 || cmd.Flags().Changed("for") && length == 0 {
				return usage("such as --for 30s", "--for must be a length of time above 0, not %s", length)
			}
			if length == 0 && !a.outTerminal {
				length = demoLength
			}
			d := &demo{app: a, dir: dir, length: length, where: a.store, schema: a.schema}
			if !cmd.Flags().Changed("store") || a.inherited["store"] {
				d.where = "local:" + filepath.Join(dir, "pg")
			}
			if a.inherited["schema"] {
				d.schema = "penstock"
			}
			return d.run()
		},
	}
	cmd.Flags().StringVar(&dir, "dir", ".penstock-demo", "the `FOLDER` for all that the demo makes")
	cmd.Flags().Var((*duration)(&length), "for", "how long to run before the receipts, a `SPAN`; without it until Ctrl-C, and 30s where there is no terminal")
	return cmd
}

// The demo's sources: a folder with a history, and the FTP server.
const (
	demoFolderSource = "site"
	demoFTPSource    = "field"
)

const demoConfig = `# The config that 'penstock demo' runs by. Its FTP server ends with the demo.
store:
  url: %q
  schema: %q
archive: {dir: archive}      # the original bytes of all that is fetched
sources:
  - name: site               # three days of files in a folder
    url: %q
    poll: 5s
    settle: 0s
  - name: field              # six loggers that send by FTP
    url: %q
    password_file: ftp-password
    poll: 1s
    settle: 2s               # a file is taken when it has not changed for so long
    connections: 2
    after: {do: move, to: "done/{yyyy}/{mm}/{dd}"}
    zone: UTC
`

const demoQuery = `select logger, channel, unit, count(*) as readings, max(ts)::timestamp(0) as newest, round(avg(value)::numeric, 2) as mean
from observations group by logger, channel, unit order by logger, channel`

// A demo is one run of the command.
type demo struct {
	*app
	dir           string
	length        time.Duration // 0: until a signal
	where, schema string        // the store, as a person names it
	url           string        // the store, as it is reached while the demo runs
	config        string
}

func (d *demo) run() (err error) {
	site := filepath.Join(d.dir, "site")
	n, err := writeSite(site)
	if err != nil {
		return err
	}
	server, err := startDemoServer(filepath.Join(d.dir, "ftp"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	if err := d.writeConfig(site, server); err != nil {
		return err
	}
	s, err := d.openDemoStore()
	if err != nil {
		return err
	}
	defer s.close(d.log)
	fmt.Fprintf(d.out, "%d files of loggers are in %s, and six loggers send theirs by FTP to %s.\n", n, printable(site), server.address)
	result, err := d.live(s.Store, server)
	if err != nil {
		return err
	}
	return d.tell(result)
}

// openDemoStore opens the store and keeps it open for all that the demo runs, so
// that a private PostgreSQL is started once.
func (d *demo) openDemoStore() (*opened, error) {
	in := d.like(d.take, nil)
	in.store, in.schema = d.where, d.schema
	s, err := in.openStore(d.take, writes, store.Options{Create: true})
	if err != nil {
		return nil, err
	}
	d.url = s.url
	return s, nil
}

func (d *demo) writeConfig(site string, server *demoServer) error {
	absolute, err := filepath.Abs(site)
	if err != nil {
		return fmt.Errorf("writing the demo's config: %w", err)
	}
	where := d.where
	if dir, local := strings.CutPrefix(where, "local:"); local && dir != "" {
		if dir, err = filepath.Abs(dir); err != nil {
			return fmt.Errorf("writing the demo's config: %w", err)
		}
		where = "local:" + dir
	}
	d.config = filepath.Join(d.dir, "penstock.yaml")
	text := fmt.Sprintf(demoConfig, where, d.schema,
		(&url.URL{Scheme: "file", Path: absolute}).String(), (&url.URL{Scheme: "ftp", User: url.User(server.user), Host: server.address, Path: "/"}).String())
	if err := errors.Join(os.WriteFile(filepath.Join(d.dir, "ftp-password"), []byte(server.password+"\n"), 0o600),
		os.WriteFile(d.config, []byte(text), 0o600)); err != nil {
		return fmt.Errorf("writing the demo's config: %w", err)
	}
	return nil
}

// live runs the loggers, the daemon and the view, and returns what became of
// the files. The daemon ends after the loggers, when it has nothing left to do.
func (d *demo) live(s *store.Store, server *demoServer) (*result, error) {
	args := []string{"run", "-c", d.config}
	fmt.Fprintf(d.out, "\n%s\n", d.style(faint, "$ penstock "+shown(args)))
	loggers := &demoLoggers{server: server}
	view := &demoView{a: d.app, store: s, source: demoFTPSource, began: time.Now(), length: d.length, loggers: loggers,
		tally: newTally(), idle: make(map[string]bool)}

	sending, stopSending := context.WithCancel(d.take)
	defer stopSending()
	if d.length > 0 {
		defer time.AfterFunc(d.length, stopSending).Stop()
	}
	running, stopDaemon := context.WithCancel(d.work)
	defer stopDaemon()
	viewing, stopView := context.WithCancel(d.work)
	defer stopView()

	var all sync.WaitGroup
	all.Go(func() { view.run(viewing) })
	all.Go(func() {
		loggers.run(sending)
		d.awaitIdle(running, view)
		stopDaemon()
	})
	daemon := d.like(running, slices.Concat(args, []string{"--store", d.url, "--schema", d.schema}))
	daemon.watch = view.observe
	if d.logLevel.value == "info" {
		daemon.logLevel.value = "warn" // the view says the rest
	}
	err := d.execute(daemon)
	stopSending() // a daemon that could not go on
	stopDaemon()
	view.look(viewing)
	stopView()
	all.Wait()
	if err != nil {
		return nil, err
	}
	if !d.outTerminal {
		view.show()
	}
	sent := fmt.Sprintf("The six loggers sent %s with %s", counted(loggers.files.Load(), "file"), counted(loggers.readings.Load(), "reading"))
	if n := loggers.brokeOff.Load(); n > 0 {
		sent += fmt.Sprintf(" (%s broke off, and came again)", counted(n, "upload"))
	}
	fmt.Fprintf(d.out, "%s; %s of theirs are in the table.\n", sent, counted(view.stored, "reading"))
	return &result{tally: view.tally, took: time.Since(view.began), verb: "loaded", source: demoFTPSource}, nil
}

// awaitIdle waits until what the loggers sent is loaded, but not for ever.
func (d *demo) awaitIdle(ctx context.Context, view *demoView) {
	last := time.Now().Add(15 * time.Second)
	settled := 0
	for settled < 3 && time.Now().Before(last) && pause(ctx, 500*time.Millisecond) {
		settled++
		if !view.isIdle(demoFTPSource) || !view.isIdle(demoFolderSource) {
			settled = 0
		}
	}
}

// tell says what became of it all, and what to type next. The first signal has
// ended the loggers, so that here the second one counts.
func (d *demo) tell(r *result) error {
	fmt.Fprintf(d.out, "\n%s\n", d.style(bold, "What became of all files:"))
	var b strings.Builder
	d.totals(&b, r)
	fmt.Fprint(d.out, b.String())
	for _, step := range []struct {
		say  string
		args []string
	}{
		{"Which files need a person?", []string{"files", "ls", "--state", "held,quarantined"}},
		{"The weather station's files in the folder do not tell their time zone. Answer, and they load:",
			[]string{"files", "retry", "--source", demoFolderSource, "--state", "held", "--zone", "Europe/London", "--reason", "the station keeps local time"}},
		{"Which lines were not readings?", []string{"rejects"}},
		{"What is there now:", []string{"psql", "-c", demoQuery}},
	} {
		fmt.Fprintf(d.out, "\n%s\n%s\n", d.style(bold, step.say), d.style(faint, "$ penstock "+shown(step.args)))
		if err := d.execute(d.like(d.work, slices.Concat([]string{"--store", d.url, "--schema", d.schema}, step.args))); err != nil {
			return err
		}
	}
	global := []string{"-c", d.config}
	_, err := fmt.Fprintf(d.out, "\n%s\n  penstock %s status\n  penstock %[2]s why L-101 flow '2025-06-02 06:30'\n  penstock %[2]s files ls --source field\n",
		d.style(bold, "Look around in it with:"), shown(global))
	return err
}

// like returns the program for another command line within this process, which
// begins nothing new when take ends. What a person's variables say of their own
// store is not meant for this one.
func (d *demo) like(take context.Context, args []string) *app {
	environ := slices.DeleteFunc(slices.Clone(d.environ), func(v string) bool { return strings.HasPrefix(v, "PENSTOCK_") })
	in := newApp(args, environ, d.in, d.out, d.err)
	in.take, in.work, in.log, in.err = take, d.work, d.log, d.err
	in.color, in.logLevel, in.logFormat, in.quiet = d.color, d.logLevel, d.logFormat, d.quiet
	return in
}

// execute runs a command of this program. What it found wrong with the files is
// shown and no error.
func (d *demo) execute(in *app) error {
	root := newRoot(in)
	root.SetArgs(in.args)
	err := root.ExecuteContext(in.take)
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

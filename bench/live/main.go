// Command live measures `penstock run` on a folder, on this machine, now: how
// long after its closing rename a file is visible in the table, also while a
// backfill loads many files beside it, and how much memory the daemon takes when
// there is nothing to do.
//
//	go run ./bench/live -penstock ./penstock
//	go run ./bench/live -penstock ./penstock -only beside -backfill 1000000
//	go run ./bench/live -penstock ./penstock -only listed -listed 1000000
//	go run ./bench/live -penstock ./penstock -only large
//	go run ./bench/live -penstock ./penstock -only replaced -replaced 1000
//
// The one named large loads a file of 10 GB: it takes 45 GB of disk and, on two
// cores, a quarter of an hour.
//
// It runs the program from outside, on a private PostgreSQL of its own with its
// default durability.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"penstock/bench/trial"
	"penstock/store/pglocal"
)

// A site is a folder that the daemon watches, and what it writes to.
type site struct {
	penstock string
	files    int     // written one after the other
	rate     float64 // of these in a second
	listed   int     // files that lie in the folder already
	backfill backfill
	large    largeFile
	shared   int // every other file is of one of so many loggers that the large file has
	part     string
	settle   string
	poll     string
	dir      string // scratch
	store    string // URL of a private PostgreSQL
	out      io.Writer
}

// The folder that is watched, and the one beside it where files are written
// before they get their names.
func (s *site) watched() string { return filepath.Join(s.dir, "in") }
func (s *site) staging() string { return filepath.Join(s.dir, "staging") }

// A measurement begins with an empty folder and an empty store.
type measurement struct {
	name string
	run  func(context.Context, *site) error
}

var measurements = []measurement{
	{"visible", visible},
	{"idle", idle},
	{"listed", listed},
	{"beside", beside},
	{"large", large},
	{"replaced", replaced},
}

// usual are the measurements that take minutes at most.
const usual = "visible|idle|listed|beside"

func main() { os.Exit(trial.Main("live", run)) }

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	s := site{out: out}
	f := flag.NewFlagSet("live", flag.ContinueOnError)
	f.StringVar(&s.penstock, "penstock", "./penstock", "the program to measure")
	f.IntVar(&s.files, "files", 10_000, "files that are renamed into the folder")
	f.Float64Var(&s.rate, "rate", 500, "of these in a second")
	f.IntVar(&s.listed, "listed", 200_000, "files that lie in the folder for the measure of memory")
	f.IntVar(&s.backfill.files, "backfill", 100_000, "files that a replay loads beside the daemon, half of them in zip archives")
	f.Float64Var(&s.backfill.live, "live", 30, "files in a second that are renamed into the folder meanwhile")
	f.StringVar(&s.backfill.maxLag, "max-live-lag", "2m", "the replay's flag of that name; 0 for none")
	f.StringVar(&s.part, "part", "16MiB", "the daemon's pipeline.part")
	f.StringVar(&s.settle, "settle", "0s", "the source's settle")
	f.StringVar(&s.poll, "poll", "5s", "the source's poll")
	f.IntVar(&s.large.megabytes, "large", 10_000, "size of the large file in MB")
	f.IntVar(&s.large.replaced, "replaced", 300, "size in MB of the large file of which another version follows")
	f.IntVar(&s.large.loggers, "large-loggers", 10_000, "loggers whose readings the large file has, two series each")
	f.Float64Var(&s.large.small, "large-beside", 10, "small files in a second that are renamed into the folder while it is loaded")
	only := f.String("only", usual, "the measurements whose name this regular expression matches: visible, idle, listed, beside, large, replaced")
	if err := f.Parse(args); err != nil {
		return err
	}
	chosen, err := trial.Chosen(*only, measurements, func(m measurement) string { return m.name })
	if err != nil {
		return err
	}
	if min(s.files, s.listed, s.backfill.files, s.large.megabytes, s.large.replaced, s.large.loggers) < 1 {
		return errors.New("-files, -listed, -backfill, -large, -replaced and -large-loggers: at least one")
	}
	if !(min(s.rate, s.backfill.live, s.large.small) > 0) { // nor NaN
		return errors.New("-rate, -live and -large-beside: more than 0 files in a second")
	}
	if s.penstock, err = trial.Program(s.penstock); err != nil {
		return err
	}
	binaries, err := pglocal.FindBinaries()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s/%s, %d CPUs, %s, PostgreSQL %s; settle %s, poll %s\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), binaries.Version, s.settle, s.poll)
	for _, m := range chosen {
		if err := s.withServer(ctx, m); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

// withServer makes one measurement on a cluster and in a folder of its own.
func (s *site) withServer(ctx context.Context, m measurement) (err error) {
	if s.dir, err = os.MkdirTemp("", "penstock-live-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	if err := errors.Join(os.Mkdir(s.watched(), 0o755), os.Mkdir(s.staging(), 0o755)); err != nil {
		return err
	}
	server, err := pglocal.Start(ctx, pglocal.Options{Dir: filepath.Join(s.dir, "pg")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop(context.WithoutCancel(ctx))) }()
	s.store = server.URL()
	return m.run(ctx, s)
}

// A daemon is `penstock run` under way.
type daemon struct {
	cmd  *exec.Cmd
	said *strings.Builder // written to until it has ended: end reads it
}

// start starts the daemon on the folder.
func (s *site) start(ctx context.Context) (*daemon, error) {
	config := fmt.Sprintf("store: {url: %q}\narchive: {dir: archive}\npipeline: {part: %s}\nsources:\n  - {name: live, url: %q, poll: %s, settle: %s}\n", s.store, s.part, s.watched(), s.poll, s.settle)
	path := filepath.Join(s.dir, "penstock.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	d := &daemon{cmd: exec.CommandContext(ctx, s.penstock, "run", "-c", path), said: new(strings.Builder)}
	d.cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+s.dir, "XDG_STATE_HOME="+s.dir)
	d.cmd.Dir = s.dir
	d.cmd.Stderr = d.said
	d.cmd.Cancel = func() error { return d.cmd.Process.Signal(syscall.SIGTERM) }
	return d, d.cmd.Start()
}

// end drains the daemon and returns err, which may be nil, with how the daemon
// failed, if it did. With any error comes all that the daemon has said.
func (d *daemon) end(err error) error {
	_ = d.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	if failed := d.cmd.Wait(); failed != nil {
		err = errors.Join(err, fmt.Errorf("penstock run: %w", failed))
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w\nthe daemon said:\n%s", err, d.said)
}

// write puts a file of one reading, or two, in place by a rename, and returns when the
// rename had been done.
func (s *site) write(i int) (time.Time, error) {
	at := time.Now().UTC().Truncate(time.Second).Add(-time.Duration(i) * time.Millisecond).Format("2006-01-02T15:04:05.000Z")
	staged := filepath.Join(s.staging(), "next.csv")
	text := fmt.Sprintf("logger,channel,timestamp,value,unit\nL%03d,flow,%s,%d.5,l/s\n", i%500, at, i)
	if s.shared > 0 && i%2 == 1 { // and has all of the logger's channels: one that it has not is asked about when it comes
		text = fmt.Sprintf("logger,channel,timestamp,value\nL%04[1]d,flow,%[2]s,%[3]d.5\nL%04[1]d,pressure,%[2]s,%[3]d.5\n", i%s.shared, at, i)
	}
	if err := os.WriteFile(staged, []byte(text), 0o644); err != nil {
		return time.Time{}, err
	}
	err := os.Rename(staged, filepath.Join(s.watched(), nameOf(i)))
	return time.Now(), err
}

// nameOf is the path of a file that is renamed into the folder, below it.
func nameOf(i int) string { return fmt.Sprintf("%02d/L%03d_%07d.csv", i%50, i%500, i) }

// numberOf is nameOf turned round.
func numberOf(path string) (i int) {
	_, number, _ := strings.Cut(path, "_")
	_, _ = fmt.Sscanf(number, "%d", &i) // it is one
	return i
}

func (s *site) folders() error {
	for i := range 50 {
		if err := os.Mkdir(filepath.Join(s.watched(), fmt.Sprintf("%02d", i)), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// awaits returns when n files are visible. Its error holds the cause of ctx's end.
func (s *site) awaits(ctx context.Context, n int) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.store)
		if err == nil {
			var seen int
			err = conn.QueryRow(ctx, "select count(*) from penstock.files where state = 'loaded'").Scan(&seen)
			conn.Close(context.WithoutCancel(ctx))
			if err == nil && seen >= n {
				return nil
			}
		}
		select { // until there is a schema, errors are to be expected
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

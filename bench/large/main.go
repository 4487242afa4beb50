// Command large measures the memory that Penstock takes for large inputs: one file
// of 10 GB, and a folder of a million small ones, which a replay loads and a daemon.
//
//	go run ./bench/large -penstock ./penstock
//	go run ./bench/large -penstock ./penstock -only file -megabytes 1000
//
// It runs the program from outside, on a private PostgreSQL of its own, and takes
// what Linux says of the program's memory. As it is, it takes 45 GB of disk and, on
// two cores, half an hour. How long small files wait beside a large one, bench/live
// measures.
package main

import (
	"bytes"
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

	"penstock/bench"
	"penstock/bench/trial"
	"penstock/store/pglocal"
)

// A site is what the measurements share.
type site struct {
	penstock string
	file     bench.Corpus // one file
	files    bench.Corpus // many
	parent   string       // of scratch
	dir      string       // scratch
	store    string       // URL of a private PostgreSQL
	out      io.Writer
}

func (s *site) input() string { return filepath.Join(s.dir, "in") }

// A measurement begins with an empty folder and an empty store.
type measurement struct {
	name string
	run  func(context.Context, *site) error
}

var measurements = []measurement{
	{"file", replayFile},
	{"folder", replayFolder},
	{"backlog", runBacklog},
}

// lineBytes is what a reading takes in the large file.
const lineBytes = 40.5

func main() { os.Exit(trial.Main("large", run)) }

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	s := site{file: bench.Corpus{Files: 1}, files: bench.Corpus{Readings: 2}, out: out}
	f := flag.NewFlagSet("large", flag.ContinueOnError)
	f.StringVar(&s.penstock, "penstock", "./penstock", "the program to measure")
	megabytes := f.Int("megabytes", 10_000, "size of the large file")
	f.IntVar(&s.file.Loggers, "loggers", 10_000, "loggers whose readings it has, two series each")
	f.IntVar(&s.files.Files, "files", 1_000_000, "number of small files, of two readings each")
	f.StringVar(&s.parent, "dir", "", "the folder to make scratch files in; default that of the system")
	only := f.String("only", "", "only the measurements whose name this regular expression matches: file, folder, backlog")
	if err := f.Parse(args); err != nil {
		return err
	}
	chosen, err := trial.Chosen(*only, measurements, func(m measurement) string { return m.name })
	if err != nil {
		return err
	}
	if min(*megabytes, s.files.Files, s.file.Loggers) < 1 {
		return errors.New("-megabytes, -files and -loggers: at least one")
	}
	s.file.Readings = int(float64(*megabytes) * 1e6 / lineBytes)
	if s.penstock, err = trial.Program(s.penstock); err != nil {
		return err
	}
	binaries, err := pglocal.FindBinaries()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s/%s, %d CPUs, %s, PostgreSQL %s\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), binaries.Version)
	for _, m := range chosen {
		if err := s.withServer(ctx, m); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

// withServer makes one measurement on a cluster and in a folder of its own.
func (s *site) withServer(ctx context.Context, m measurement) (err error) {
	if s.dir, err = os.MkdirTemp(s.parent, "penstock-large-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	server, err := pglocal.Start(ctx, pglocal.Options{Dir: filepath.Join(s.dir, "pg"), Settings: map[string]string{"max_wal_size": "1GB"}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop(context.WithoutCancel(ctx))) }()
	s.store = server.URL()
	return m.run(ctx, s)
}

func replayFile(ctx context.Context, s *site) error {
	return s.replay(ctx, s.file, fmt.Sprintf("replay of one file of %d readings", s.file.Readings))
}

func replayFolder(ctx context.Context, s *site) error {
	return s.replay(ctx, s.files, fmt.Sprintf("replay of %d files of %d readings", s.files.Files, s.files.Readings))
}

func (s *site) replay(ctx context.Context, c bench.Corpus, what string) error {
	if err := c.Write(s.input()); err != nil {
		return err
	}
	return s.watch(ctx, c, what, "replay", "--store", s.store, "--quiet", s.input())
}

// runBacklog has a daemon load what has gathered in its folder, and go on listing it
// for a while.
func runBacklog(ctx context.Context, s *site) error {
	if err := s.files.Write(s.input()); err != nil {
		return err
	}
	config := filepath.Join(s.dir, "penstock.yaml")
	text := fmt.Sprintf("store: {url: %q}\narchive: {dir: %q}\nsources:\n  - {name: live, url: %q, poll: 5s, settle: 0s}\n", s.store, filepath.Join(s.dir, "archive"), s.input())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	return s.watch(ctx, s.files, fmt.Sprintf("run of a folder of %d files of %d readings", s.files.Files, s.files.Readings), "run", "-c", config)
}

// watch runs the program until the readings of the corpus are stored, and prints the
// most memory that it had. A daemon is ended a while later.
func (s *site) watch(ctx context.Context, c bench.Corpus, what string, args ...string) error {
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, s.penstock, args...)
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+s.dir, "XDG_STATE_HOME="+s.dir)
	cmd.Dir, cmd.Stderr = s.dir, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	m := &memory{pid: cmd.Process.Pid}
	took, err := m.follow(ctx, s, c.Files, ended, began)
	if err != nil {
		return fmt.Errorf("%w\nit said:\n%s", err, strings.TrimSpace(said.String()))
	}
	var stored int
	if err := trial.One(ctx, s.store, "select sum(stored)::int8 from penstock.receipts", &stored); err != nil {
		return err
	}
	if want := c.Files * c.Readings; stored != want {
		return fmt.Errorf("%d readings are stored, not %d", stored, want)
	}
	_, err = fmt.Fprintf(s.out, "%s: %.0f MB at most, of which %.0f MB its own (aim: 256 MB), in %.1f s, %.0f readings/s\n",
		what, m.resident, m.own, took.Seconds(), float64(stored)/took.Seconds())
	return err
}

// A memory is the most that a process had, in MB.
type memory struct {
	pid           int
	resident, own float64
}

// lists is for how long a daemon lists what it has loaded.
const lists = 30 * time.Second

// follow looks at the process until it ends, or, where it does not by itself, has
// loaded all files and listed them for a while. It returns how long the loading took.
func (m *memory) follow(ctx context.Context, s *site, files int, ended <-chan error, began time.Time) (took time.Duration, err error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	asked := began
	for {
		select {
		case err := <-ended:
			if took == 0 {
				took = time.Since(began)
			}
			return took, err
		case <-tick.C:
		}
		m.look()
		now := time.Now()
		if took == 0 && now.Sub(asked) > 2*time.Second { // errors are to be expected until there is a schema
			var loaded int
			if trial.One(ctx, s.store, "select count(*) from penstock.files where state = 'loaded'", &loaded) == nil && loaded >= files {
				took = now.Sub(began)
			}
			asked = now
		}
		if took > 0 && now.Sub(began) > took+lists {
			if p, err := os.FindProcess(m.pid); err == nil {
				_ = p.Signal(syscall.SIGTERM) // it may have ended
			}
		}
	}
}

func (m *memory) look() {
	if mb, err := trial.Memory(m.pid, "VmHWM"); err == nil { // else it has just ended
		m.resident = mb
	}
	if mb, err := trial.Memory(m.pid, "RssAnon"); err == nil {
		m.own = max(m.own, mb)
	}
}

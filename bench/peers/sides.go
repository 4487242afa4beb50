package main

import (
	"context"
	_ "embed" // pool.py
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"penstock/bench/trial"
	"penstock/store/pglocal"
)

//go:embed pool.py
var poolScript []byte

// peers are those that there might be, Penstock first.
func (s *site) peers() []*peer {
	return []*peer{{
		name: "penstock replay", settings: fmt.Sprintf("%d workers, chunk %d; ledger, receipts, key", s.workers, s.chunk),
		version: penstockVersion, prepare: migrate, load: replay, table: "penstock.readings",
	}, {
		name: "Python multiprocessing pool", settings: fmt.Sprintf("%d processes, %d files a transaction, 1000 rows an insert; key", s.workers, s.chunk),
		version: pythonVersion, prepare: writePoolScript, load: pool,
	}, {
		name: `psql \copy`, settings: `one session, a \copy for each file, one transaction; key`,
		version: psqlVersion, prepare: writeCopyScript, load: copyAll,
	}, {
		name: "pgloader", settings: fmt.Sprintf("%d workers, the files joined into one stream by awk; key", s.workers),
		version: pgloaderVersion, prepare: writeLoaderScript, load: pgloader,
	}, {
		name: "Telegraf directory_monitor", settings: "outputs.postgresql into a table of its own, 10,000 metrics a batch; no key",
		version: telegrafVersion, load: telegraf, table: "telegraf",
	}}
}

// timed runs a program and takes the seconds from its start to its end.
func timed(ctx context.Context, program string, args ...string) (seconds float64, err error) {
	began := time.Now()
	_, err = trial.Command(ctx, program, args...)
	return time.Since(began).Seconds(), err
}

func penstockVersion(ctx context.Context, s *site) (string, error) {
	out, err := trial.Command(ctx, s.penstock, "version")
	if err != nil {
		return "", fmt.Errorf("make build, or name it with -penstock: %w", err)
	}
	words := strings.Fields(string(out))
	return words[min(1, len(words)-1)], nil
}

func migrate(ctx context.Context, s *site) error {
	_, err := trial.Command(ctx, s.penstock, "migrate", "--store", s.store, "--quiet")
	return err
}

func replay(ctx context.Context, s *site) (float64, error) {
	return timed(ctx, s.penstock, "replay", s.files, "--store", s.store, "--quiet",
		"--workers", strconv.Itoa(s.workers), "--chunk", strconv.Itoa(s.chunk))
}

func pythonVersion(ctx context.Context, s *site) (string, error) {
	const ask = "import sys, psycopg2; print(sys.version.split()[0] + ', psycopg2 ' + psycopg2.__version__.split()[0])"
	names := []string{"python3", "/usr/bin/python3"}
	if s.python != "" {
		names = []string{s.python}
	}
	var why error
	for _, name := range names {
		out, err := trial.Command(ctx, name, "-c", ask)
		if err == nil {
			s.python = name
			return strings.TrimSpace(string(out)), nil
		}
		why = err
	}
	return "", fmt.Errorf("install python3 and python3-psycopg2, or name a Python that has both with -python: %w", why)
}

func (s *site) poolScript() string { return filepath.Join(s.dir, "pool.py") }

func writePoolScript(_ context.Context, s *site) error {
	return os.WriteFile(s.poolScript(), poolScript, 0o644)
}

func pool(ctx context.Context, s *site) (float64, error) {
	return timed(ctx, s.python, s.poolScript(), s.files, s.store, strconv.Itoa(s.workers), strconv.Itoa(s.chunk))
}

func psqlVersion(ctx context.Context, _ *site) (string, error) {
	psql, err := pglocal.FindPsql()
	if err != nil {
		return "", err
	}
	out, err := trial.Command(ctx, psql, "--version")
	words := strings.Fields(string(out))
	if err != nil || len(words) < 3 {
		return "", fmt.Errorf("install postgresql-client: %w", err)
	}
	return words[2], nil
}

func (s *site) copyScript() string { return filepath.Join(s.dir, "copy.sql") }

func writeCopyScript(_ context.Context, s *site) error {
	var script strings.Builder
	script.WriteString("begin;\n")
	for i := range s.corpus.Files {
		fmt.Fprintf(&script, "\\copy peer from '%s' with (format csv, header)\n", filepath.Join(s.files, s.corpus.Path(i)))
	}
	script.WriteString("commit;\n")
	return os.WriteFile(s.copyScript(), []byte(script.String()), 0o644)
}

func copyAll(ctx context.Context, s *site) (float64, error) {
	psql, err := pglocal.FindPsql()
	if err != nil {
		return 0, err
	}
	return timed(ctx, psql, "--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "-f", s.copyScript(), s.store)
}

func pgloaderVersion(ctx context.Context, _ *site) (string, error) {
	out, err := trial.Command(ctx, "pgloader", "--version")
	if err != nil {
		return "", fmt.Errorf("install pgloader: %w", err)
	}
	_, version, _ := strings.Cut(string(out), `"`)
	version, _, _ = strings.Cut(version, `"`)
	return version, nil
}

func (s *site) loaderScript() string { return filepath.Join(s.dir, "peer.load") }

func writeLoaderScript(_ context.Context, s *site) error {
	c, err := pgx.ParseConfig(s.store)
	if err != nil {
		return err
	}
	commands := fmt.Sprintf(`load csv
  from stdin having fields (logger, channel, ts, value)
  into postgresql://%s@unix:%s:%d/%s
  target table peer (logger, channel, ts, value)
  with fields terminated by ',', workers = %d, concurrency = 1
;
`, c.User, c.Host, c.Port, c.Database, s.workers)
	return os.WriteFile(s.loaderScript(), []byte(commands), 0o644)
}

// pgloader gets the files as one stream: with its clause for all files of a
// folder it begins anew for each, and 600 took it 55 s.
func pgloader(ctx context.Context, s *site) (float64, error) {
	return timed(ctx, "sh", "-c", `find "$1" -name '*.csv' -exec awk 'FNR > 1' {} + | pgloader --quiet --root-dir "$2" "$3"`,
		"sh", s.files, filepath.Join(s.dir, "pgloader"), s.loaderScript())
}

func telegrafVersion(ctx context.Context, s *site) (string, error) {
	if s.telegraf == "" {
		s.telegraf = "telegraf"
	}
	if _, err := exec.LookPath(s.telegraf); err != nil {
		return "", errors.New("name its program with -telegraf")
	}
	out, err := trial.Command(ctx, s.telegraf, "--version")
	words := strings.Fields(string(out))
	if err != nil || len(words) < 2 {
		return "", fmt.Errorf("name its program with -telegraf: %w", err)
	}
	return words[1], nil
}

// telegraf takes files away as it reads them, so it gets links to them, and it
// never ends, so it is over when all readings are there.
func telegraf(ctx context.Context, s *site) (float64, error) {
	dir := filepath.Join(s.dir, "telegraf")
	if err := errors.Join(os.RemoveAll(dir), link(s.files, filepath.Join(dir, "in")), os.MkdirAll(filepath.Join(dir, "done"), 0o755)); err != nil {
		return 0, err
	}
	config := filepath.Join(dir, "telegraf.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, telegrafConfig, filepath.Join(dir, "in"), filepath.Join(dir, "done"), s.store), 0o644); err != nil {
		return 0, err
	}
	began := time.Now()
	ctx, end := context.WithTimeout(ctx, telegrafPatience)
	defer end()
	cmd := exec.CommandContext(ctx, s.telegraf, "--quiet", "--config", config)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("running %s: %w", s.telegraf, err)
	}
	err := s.arrived(ctx, "telegraf")
	seconds := time.Since(began).Seconds()
	end()
	_ = cmd.Wait() // it was told to end
	return seconds, err
}

const (
	telegrafPatience = 5 * time.Minute
	// telegrafConfig is what its documentation says of throughput, and what came out
	// best of what was tried beside it: more lines buffered than there are, as many
	// as the output may hold; a look at the folder at once, not at the next full
	// interval, and none again while it is at work on what it found; what does not
	// fill a batch is written soon. Files parsed at once, several sessions and
	// other sizes of a batch made it no faster.
	telegrafConfig = `[agent]
  interval = "10s"
  round_interval = false
  flush_interval = "200ms"
  metric_batch_size = 10000
  metric_buffer_limit = 100000
  omit_hostname = true
[[inputs.directory_monitor]]
  directory = %q
  finished_directory = %q
  recursive = true
  directory_duration_threshold = "0s"
  files_to_monitor = ['.*\.csv$']
  max_buffered_metrics = 100000
  file_queue_size = 100000
  name_override = "telegraf"
  data_format = "csv"
  csv_header_row_count = 1
  csv_tag_columns = ["logger", "channel"]
  csv_timestamp_column = "timestamp"
  csv_timestamp_format = "2006-01-02T15:04:05Z07:00"
[[outputs.postgresql]]
  connection = %q
`
)

// arrived waits until the table holds all readings. It looks on one connection,
// and seldom: what that takes of the machine is Telegraf's loss.
func (s *site) arrived(ctx context.Context, table string) error {
	conn, err := pgx.Connect(ctx, s.store)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	n := 0
	for n < s.corpus.Files*s.corpus.Readings {
		select {
		case <-ctx.Done():
			return fmt.Errorf("it loaded %d readings: %w", n, ctx.Err())
		case <-tick.C:
		}
		_ = conn.QueryRow(ctx, "select count(*) from "+table).Scan(&n) // the table comes with the first of them
	}
	return nil
}

// link makes a tree of links to files.
func link(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		return os.Link(path, filepath.Join(to, rel))
	})
}

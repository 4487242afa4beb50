// Package ftp measures how near Penstock comes to the bare transfer of files
// over FTP, on this machine and with servers that are far away:
//
//	go test ./bench/ftp -run "^$" -bench . -benchtime 5x -timeout 1h
package ftp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	client "github.com/jlaffaye/ftp"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"penstock/bench"
	"penstock/ingest/source/servertest"
	"penstock/store/pglocal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSides has each side fetch the same few files.
func TestSides(t *testing.T) {
	f := newField(t, 30)
	relay := relayTo(t, f.server.Address, 4*time.Millisecond)
	for _, address := range []string{f.server.Address, relay} {
		for _, s := range sides {
			took, err := s.once(f, address, 3)
			if errors.Is(err, errAbsent) {
				t.Log(err)
			} else if err != nil || took <= 0 {
				t.Errorf("%s: %v, %v", s.name, took, err)
			}
		}
	}
}

// BenchmarkFTP fetches files of two readings, with so many connections and so
// much latency, in three ways, taken in turn: by the least program that does
// RETR, by the daemon, from its first connection until all readings are
// committed, and by lftp's mirror. x-bare and x-lftp are the rate of the daemon
// over that of the others, the median of the turns; x-one is over its own with
// one connection.
func BenchmarkFTP(b *testing.B) {
	one := make(map[time.Duration]float64)
	for _, c := range []struct {
		latency     time.Duration
		connections int
		files       int
	}{
		{0, 1, 12000}, {0, 2, 12000}, {0, 4, 24000}, {0, 8, 24000},
		{5 * time.Millisecond, 1, 500}, {5 * time.Millisecond, 4, 2000}, {5 * time.Millisecond, 8, 4000},
		{20 * time.Millisecond, 1, 200}, {20 * time.Millisecond, 8, 1600},
	} {
		b.Run(fmt.Sprintf("latency=%v/connections=%d", c.latency, c.connections), func(b *testing.B) {
			f := newField(b, c.files)
			address := f.server.Address
			if c.latency > 0 {
				address = relayTo(b, address, c.latency)
			}
			rates := f.alternate(b, address, c.connections)
			b.ReportMetric(0, "ns/op") // of all sides together, which says nothing
			for i, s := range sides {
				if len(rates[i]) > 0 {
					b.ReportMetric(median(rates[i]), s.name+"-files/s")
				}
			}
			daemon := rates[1]
			b.ReportMetric(median(over(daemon, rates[0])), "x-bare")
			if len(rates[2]) > 0 {
				b.ReportMetric(median(over(daemon, rates[2])), "x-lftp")
			}
			if c.connections == 1 {
				one[c.latency] = median(daemon)
			} else if rate := one[c.latency]; rate > 0 {
				b.ReportMetric(median(daemon)/rate, "x-one")
			}
		})
	}
}

// A side is one way to get the files. It returns the seconds that it took.
type side struct {
	name string
	once func(f *field, address string, connections int) (seconds float64, err error)
}

var sides = []side{
	{"bare", (*field).bare},
	{"penstock", (*field).daemon},
	{"lftp", (*field).lftp},
}

// errAbsent says that a side's program is not on this machine.
var errAbsent = errors.New("it is not installed, and left out")

// alternate runs the sides in turn, as often as b says and once before, and
// returns their rates in files a second.
func (f *field) alternate(b *testing.B, address string, connections int) [][]float64 {
	rates := make([][]float64, len(sides))
	turn := func() {
		for i, s := range sides {
			seconds, err := s.once(f, address, connections)
			if errors.Is(err, errAbsent) {
				continue
			}
			if err != nil {
				b.Fatalf("%s: %v", s.name, err)
			}
			rates[i] = append(rates[i], float64(f.corpus.Files)/seconds)
		}
	}
	turn()
	clear(rates)
	for b.Loop() {
		turn()
	}
	return rates
}

func over(a, b []float64) []float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i] / b[i]
	}
	return ratios
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// A field is an FTP server with a corpus, and a database.
type field struct {
	tb      testing.TB
	corpus  bench.Corpus
	server  *servertest.Server
	store   *pglocal.Server
	program string
	runs    int
}

func newField(tb testing.TB, files int) *field {
	tb.Helper()
	f := &field{tb: tb, corpus: bench.Corpus{Files: files, Readings: 2}}
	f.server = servertest.Start(tb, servertest.VSFTPD, servertest.Options{Quiet: true})
	if err := f.corpus.Write(filepath.Join(f.server.Root, "upload")); err != nil {
		tb.Fatal(err)
	}
	f.program = filepath.Join(tb.TempDir(), "penstock")
	if out, err := exec.CommandContext(tb.Context(), "go", "build", "-o", f.program, "penstock/cmd/penstock").CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	var err error
	if f.store, err = pglocal.Start(tb.Context(), pglocal.Options{Dir: tb.TempDir()}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := f.store.Stop(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return f
}

func relayTo(tb testing.TB, address string, latency time.Duration) string {
	tb.Helper()
	relay, err := servertest.NewFTPRelay(address, latency)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = relay.Close() }) // it always can
	return relay.Address()
}

// bare is the least program: it knows the names, logs in, and reads each file
// to its end.
func (f *field) bare(address string, connections int) (float64, error) {
	began := time.Now()
	var all errgroup.Group
	var next sync.Mutex
	file := 0
	take := func() int {
		next.Lock()
		defer next.Unlock()
		file++
		return file - 1
	}
	for range connections {
		all.Go(func() error {
			conn, err := client.Dial(address)
			if err != nil {
				return err
			}
			defer func() { _ = conn.Quit() }() // all that counts was answered
			if err := conn.Login(f.server.User, f.server.Password); err != nil {
				return err
			}
			if err := conn.ChangeDir("upload"); err != nil {
				return err
			}
			for i := take(); i < f.corpus.Files; i = take() {
				data, err := retrieve(conn, f.corpus.Path(i))
				if err != nil {
					return err
				}
				if want := f.corpus.AppendFile(nil, i); !bytes.Equal(data, want) {
					return fmt.Errorf("%s came with %d bytes, not %d", f.corpus.Path(i), len(data), len(want))
				}
			}
			return nil
		})
	}
	err := all.Wait()
	return time.Since(began).Seconds(), err
}

func retrieve(conn *client.ServerConn, path string) ([]byte, error) {
	r, err := conn.Retr(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	return data, errors.Join(err, r.Close())
}

// daemon runs the program that users run, into a database of its own.
func (f *field) daemon(address string, connections int) (seconds float64, err error) {
	ctx := f.tb.Context()
	f.runs++
	// The clients before are gone when their server has noticed.
	if err := until(ctx, time.Millisecond, func() (bool, error) { return f.server.Sessions() == 0, nil }); err != nil {
		return 0, err
	}
	url, err := f.database(ctx, fmt.Sprintf("run_%d", f.runs))
	if err != nil {
		return 0, err
	}
	config, err := f.config(address, connections)
	if err != nil {
		return 0, err
	}
	if out, err := exec.CommandContext(ctx, f.program, "migrate", "--store", url).CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, out)
	}
	var log bytes.Buffer
	cmd := exec.CommandContext(ctx, f.program, "run", "-c", config, "--store", url)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	began, err := f.connected(ctx)
	if err == nil {
		err = f.loaded(ctx, url)
	}
	seconds = time.Since(began).Seconds()
	err = errors.Join(err, cmd.Process.Signal(syscall.SIGTERM), cmd.Wait())
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, log.String())
	}
	return seconds, err
}

func (f *field) database(ctx context.Context, name string) (url string, err error) {
	conn, err := pgx.Connect(ctx, f.store.URL())
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "create database "+name)
	return f.store.URLFor(name), err
}

// config writes the daemon's config: nothing is waited for, and all else is by
// default.
func (f *field) config(address string, connections int) (string, error) {
	dir := f.tb.TempDir()
	password, config := filepath.Join(dir, "password"), filepath.Join(dir, "penstock.yaml")
	text := fmt.Sprintf("archive: {dir: archive}\nsources:\n  - {name: field, url: 'ftp://%s@%s/upload', password_file: %s, connections: %d, poll: 1h, settle: 0s}\n",
		f.server.User, address, password, connections)
	return config, errors.Join(os.WriteFile(password, []byte(f.server.Password), 0o600), os.WriteFile(config, []byte(text), 0o600))
}

// connected returns when the server has its first client: what the daemon does
// before that is none of this.
func (f *field) connected(ctx context.Context) (time.Time, error) {
	err := until(ctx, time.Millisecond, func() (bool, error) { return f.server.Sessions() > 0, nil })
	return time.Now(), err
}

// loaded returns when all files are, and all readings are there.
func (f *field) loaded(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	count := func(sql string) (n int, err error) {
		err = conn.QueryRow(ctx, sql).Scan(&n)
		return n, err
	}
	// Counting the ledger costs the server milliseconds: it is not done before
	// all files may have a number in it, which is had for nothing: they come in
	// blocks, of which this is the first number of the last.
	const block = 16
	err = until(ctx, 20*time.Millisecond, func() (bool, error) {
		n, err := count("select last_value from penstock.file_ids")
		if err == nil && n+block > f.corpus.Files {
			n, err = count("select count(*) from penstock.files where state = 'loaded'")
		}
		return n == f.corpus.Files, err
	})
	if err != nil {
		return err
	}
	n, err := count("select count(*) from penstock.readings")
	if want := f.corpus.Files * f.corpus.Readings; err == nil && n != want {
		err = fmt.Errorf("there are %d readings, want %d", n, want)
	}
	return err
}

// until returns when done says so, which is asked every so often.
func until(ctx context.Context, pause time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	again := time.NewTicker(pause)
	defer again.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// lftp mirrors the folder into an empty one.
func (f *field) lftp(address string, connections int) (float64, error) {
	program, err := exec.LookPath("lftp")
	if err != nil {
		return 0, fmt.Errorf("lftp: %w", errAbsent)
	}
	to := f.tb.TempDir()
	script := fmt.Sprintf("set ftp:ssl-allow no; set cmd:fail-exit yes; open -u %s,%s ftp://%s; mirror --parallel=%d upload %s",
		f.server.User, f.server.Password, address, connections, to)
	began := time.Now()
	out, err := exec.CommandContext(f.tb.Context(), program, "--norc", "-c", script).CombinedOutput()
	seconds := time.Since(began).Seconds()
	if err != nil {
		return seconds, fmt.Errorf("%w\n%s", err, out)
	}
	n := 0
	err = filepath.WalkDir(to, func(_ string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			n++
		}
		return err
	})
	if err == nil && n != f.corpus.Files {
		err = fmt.Errorf("it mirrored %d files of %d", n, f.corpus.Files)
	}
	return seconds, err
}

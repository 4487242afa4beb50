package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"penstock/bench"
	"penstock/bench/trial"
	"penstock/store"
)

// A largeFile is what is loaded beside the small ones.
type largeFile struct {
	megabytes int
	replaced  int     // likewise, where another version follows
	loggers   int     // whose readings it holds, two series each
	small     float64 // files a second that come meanwhile
}

// The name of the large file, and where it stands before it gets it.
const largeName = "large.csv"

// lineBytes is what a reading takes in the file.
const lineBytes = 40.5

func (l *largeFile) corpus(revised uint64) bench.Corpus {
	return bench.Corpus{Files: 1, Readings: max(2, int(float64(l.megabytes)*1e6/lineBytes)), Loggers: l.loggers, Revised: revised}
}

// large takes the time that small files take to be visible while a large one is
// loaded by the same daemon. Every other small file is of a series that the large
// one has, too.
func large(ctx context.Context, s *site) error {
	return s.withLarge(ctx, "a large file is loaded")
}

// replaced takes it likewise while another version of a large file is loaded, which
// has other values in half of its readings.
func replaced(ctx context.Context, s *site) error {
	s.large.megabytes = s.large.replaced
	return s.withLarge(ctx, "a large file is loaded", "a version of it with other values in half of its readings is loaded")
}

// withLarge has the daemon load versions of the large file, one after the other.
func (s *site) withLarge(ctx context.Context, versions ...string) (err error) {
	s.shared = s.large.loggers
	d, err := s.startWarm(ctx)
	if err != nil {
		return err
	}
	defer func() { err = d.end(err) }()
	from := warm
	for i, what := range versions {
		n, err := s.besideLarge(ctx, d, i, from, what)
		if err != nil {
			return fmt.Errorf("while %s: %w", what, err)
		}
		from += n
	}
	return nil
}

// besideLarge puts a version of the large file in place, counted from 0, and
// returns how many small files came until it was loaded. Those are counted from
// from on.
func (s *site) besideLarge(ctx context.Context, d *daemon, version, from int, what string) (int, error) {
	size, err := s.stageLarge(version)
	if err != nil {
		return 0, err
	}
	w := newWatching()
	var seen strain
	var took time.Duration
	began := time.Now()
	n, wrote, err := s.writeDuring(ctx, w, s.large.small, from, func(ctx context.Context) error {
		if err := os.Rename(filepath.Join(s.staging(), largeName), filepath.Join(s.watched(), largeName)); err != nil {
			return err
		}
		err := seen.watch(ctx, s.store, version+1)
		took = time.Since(began)
		return err
	})
	if err != nil {
		return n, err
	}
	fmt.Fprintf(s.out, "visible after the closing rename while %s (%d MB, %.1f s), small files at %.0f/s, looked at every %s:\n", what, size/1e6, took.Seconds(), float64(n)/wrote.Seconds(), w.step(wrote))
	for class, of := range []string{"of series of their own", "of the large file's series"} {
		var took []time.Duration
		for path, t := range w.took {
			if numberOf(path)%2 == class {
				took = append(took, t)
			}
		}
		fmt.Fprintf(s.out, "  %-27s %5d files, 50 of 100 within %s, 95 within %s (aim: 5s), 99 within %s, all within %s\n", of+":", len(took), within(.5, took), within(.95, took), within(.99, took), within(1, took))
	}
	return n, seen.print(s.out, d.cmd.Process.Pid)
}

// stageLarge writes a version of the large file and returns its size.
func (s *site) stageLarge(version int) (int64, error) {
	c, dir, staged := s.large.corpus(uint64(version)), filepath.Join(s.dir, "large"), filepath.Join(s.staging(), largeName)
	if err := c.Write(dir); err != nil {
		return 0, err
	}
	now := time.Now()
	if err := errors.Join(os.Rename(filepath.Join(dir, c.Path(0)), staged), os.RemoveAll(dir), os.Chtimes(staged, now, now)); err != nil {
		return 0, err
	}
	info, err := os.Stat(staged)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// A strain is what a load asked of the server, as far as looks at it tell.
type strain struct {
	transaction time.Duration // the longest that one had lasted
	locked      time.Duration // the longest that a statement had lasted that waited for a lock, but for one to make a table longer
	server      float64       // the most memory of all its sessions, less what they share, in MB
}

// watch looks at the server until the large file's generation is loaded.
func (m *strain) watch(ctx context.Context, url string, generation int) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		var state *string
		err := conn.QueryRow(ctx, "select (select state::text from penstock.files where key = $1::uuid and generation = $2)", store.FileKey("live", largeName), generation).Scan(&state)
		if err == nil {
			err = m.look(ctx, conn)
		}
		switch {
		case err != nil:
			return err
		case state != nil && *state == "loaded":
			return nil
		case state != nil && *state != "loading":
			return fmt.Errorf("the large file is %s", *state)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (m *strain) look(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `select pid, coalesce(extract(epoch from clock_timestamp() - xact_start), 0)::float8,
			case when wait_event_type = 'Lock' and wait_event <> 'extend' then extract(epoch from clock_timestamp() - query_start) else 0 end::float8
		from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()`)
	if err != nil {
		return err
	}
	var pid int
	var transaction, locked, all float64
	_, err = pgx.ForEachRow(rows, []any{&pid, &transaction, &locked}, func() error {
		m.transaction = max(m.transaction, time.Duration(transaction*float64(time.Second)))
		m.locked = max(m.locked, time.Duration(locked*float64(time.Second)))
		if mb, err := trial.Memory(pid, "RssAnon"); err == nil { // else it has ended since
			all += mb
		}
		return nil
	})
	m.server = max(m.server, all)
	return err
}

// print prints it, and the daemon's memory.
func (m *strain) print(out io.Writer, daemon int) error {
	most, err := trial.Memory(daemon, "VmHWM")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "  the daemon took %.0f MB at most since its start (aim: 256 MB), the server's sessions %.0f MB; the longest transaction %.1f s, the longest statement that waited for a lock %.1f s\n",
		most, m.server, m.transaction.Seconds(), m.locked.Seconds())
	return err
}

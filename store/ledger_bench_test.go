package store

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"penstock/ingest"
	"penstock/store/pglocal/pgtest"
)

// How large a ledger BenchmarkLargeLedger makes; twenty million take a quarter
// of an hour and 15 GB:
//
//	go test ./store -run '^$' -bench LargeLedger -benchtime 300x -timeout 2h -ledger 20000000
var ledgerRows = flag.Int("ledger", 100_000, "how many rows BenchmarkLargeLedger puts into a ledger, at least 200,001")

// growLedger fills the ledger with file versions as a year of a large site
// leaves them, by SQL. What is indexed is indexed afterwards.
func growLedger(b *testing.B, s *Store, rows int) {
	b.Helper()
	for _, sql := range []string{
		`alter table files drop constraint files_pkey, drop constraint files_key_generation_key`,
		`drop index files_loaded_content, files_duplicate_content`,
		`insert into series (logger, channel, unit, label) select 'X' || i, 'flow', '', '' from generate_series(1, 5000) i`,
		fmt.Sprintf(`insert into files (id, rank_time, fetched, modified, size, key, content, generation, run, chunk, recipe, state, modified_step, source, rank, trusted, sha256, path,
				span_first, span_last, n_lines, n_lines_header, n_lines_data, n_cells, n_stored, series_ids)
			select i, t, t, t, 400, encode(minute || substring(sha256(convert_to('loggers', 'UTF8') || '\x00'::bytea || convert_to(path, 'UTF8')) from 1 for 12), 'hex')::uuid,
				encode(minute || substring(sha256(int8send(-i)) from 1 for 12), 'hex')::uuid, 1, 1, i / 200, 1, 'loaded', 1, 1, 0, true, sha256(int8send(i)), path,
				t - interval '15 min', t, 9, 1, 8, 8, 8, array[1 + i %% 5000]
			from (select i, t, format('site/L%%s_%%s.csv', i %% %d, to_char(t, 'YYYYMMDD_HH24MI')) as path,
					int4send(((((extract(year from t) - 1970) * 12 + extract(month from t) - 1) * 31 + extract(day from t) - 1) * 1440
						+ extract(hour from t) * 60 + extract(minute from t))::int4) as minute
				from (select i, timestamptz '2025-01-01' + i * interval '1.5 s' as t from generate_series(1, %d) i) x) y`, ledgerLoggers, rows),
		`alter table files add primary key (id), add unique (key, generation)`,
		`create unique index files_loaded_content on files (content) where state = 'loaded'`,
		`create index files_duplicate_content on files (content) where state = 'duplicate'`,
		fmt.Sprintf(`select setval('file_ids', %d)`, rows+1),
		`vacuum analyze files`, `checkpoint`,
	} {
		if _, err := s.pool.Exec(b.Context(), sql); err != nil {
			b.Fatalf("%s: %v", sql, err)
		}
	}
}

// ledgerLoggers is how many loggers the files of a ledger are of, one after the
// other.
const ledgerLoggers = 5000

// ledgerFile is the file of which growLedger makes the row k. Those above the
// ledger's rows are the files that come next.
func ledgerFile(k int) ingest.File {
	at := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(k) * 1500 * time.Millisecond)
	return ingest.File{Path: fmt.Sprintf("site/L%d_%s.csv", k%ledgerLoggers, at.Format("20060102_1504")), Size: 400, Modified: ingest.Micros(at), Precision: ingest.Micro}
}

// A ledgerUnderTest is one of those that are compared.
type ledgerUnderTest struct {
	rows      int
	next      int // the first file that it does not know
	store     *Store
	sink      *Sink
	committer ingest.Committer
	batch     ingest.Batch

	took map[string][]time.Duration
}

// BenchmarkLargeLedger holds a large ledger against others, in turns. Against
// one that has nothing but the 200,000 newest files, as a folder keeps them:
//
//   - known: a look for 4,096 of those, as the first cycle takes for each 4,096
//   - scattered: a look for 4,096 files from all over the ledger, as no listing
//     has them
//
// Against one of 4,096 rows, which is as good as none but that the planner knows
// of an empty table only that it is empty:
//
//   - new: a look for 4,096 files that are new
//   - commit: 50 new files
//   - cycle: a look for 500 new files, and their commits; without the listing,
//     fetching and decoding that the ledger has no part in
//
// It reports the ratios of the medians, and what a row of the ledger takes. Names
// and contents have dates, as those of loggers do; without, files are all over the
// indexes (see FileKey), and what is scattered tells what that costs.
func BenchmarkLargeLedger(b *testing.B) {
	server := pgtest.Server(b, map[string]string{"shared_buffers": "512MB", "max_wal_size": "8GB", "maintenance_work_mem": "1GB", "autovacuum": "off"})
	none, folder, large := &ledgerUnderTest{rows: lookedUp}, &ledgerUnderTest{rows: kept}, &ledgerUnderTest{rows: max(*ledgerRows, kept+1)}
	for _, l := range []*ledgerUnderTest{none, folder, large} {
		s, err := Open(b.Context(), server.URL(), Options{Schema: fmt.Sprintf("ledger_%d", l.rows), Create: true})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(s.Close)
		l.store, l.sink, l.next, l.took = s, sinkOf(b, s, SinkOptions{}), l.rows+1, make(map[string][]time.Duration)
		l.committer = committerOf(b, l.sink)
		began := time.Now()
		growLedger(b, s, l.rows)
		b.Logf("a ledger of %d rows was made in %s", l.rows, time.Since(began).Round(time.Second))
	}
	size := query(b, large.store, fmt.Sprintf("select pg_relation_size('files') / %[1]d, pg_indexes_size('files') / %[1]d", large.rows))
	b.Logf("a row of files takes this many bytes, and in indexes: %s", size[0])
	random := rand.New(rand.NewPCG(1, 2))
	known, fresh := []*ledgerUnderTest{folder, large}, []*ledgerUnderTest{none, large}
	for b.Loop() { // which makes the ledgers once
		// Each is the first of two as often as the second: what comes before it
		// decides what is in the processors' caches.
		slices.Reverse(known)
		slices.Reverse(fresh)
		for _, l := range known {
			l.lookForKnown(b, random)
		}
		for _, l := range fresh {
			l.takeNew(b)
		}
	}
	median := func(d []time.Duration) float64 { slices.Sort(d); return d[len(d)/2].Seconds() }
	for _, held := range []*ledgerUnderTest{none, folder} {
		for what, took := range held.took {
			is := median(large.took[what])
			b.ReportMetric(is*1e3, what+"-ms")
			b.ReportMetric(is/median(took), what+"-ratio")
		}
	}
}

// lookedUp is how many files a look into the ledger is for, at most, and kept how
// many are in a folder.
const (
	lookedUp = 4096
	kept     = 200_000
)

func (l *ledgerUnderTest) lookForKnown(b *testing.B, random *rand.Rand) {
	b.Helper()
	l.look(b, "known", ingest.Loaded, func(int) int { return l.rows - random.IntN(kept) })
	l.look(b, "scattered", ingest.Loaded, func(int) int { return l.rows - random.IntN(l.rows) })
}

func (l *ledgerUnderTest) takeNew(b *testing.B) {
	b.Helper()
	l.look(b, "new", "", func(i int) int { return l.next + i })
	began := time.Now()
	l.commit(b)
	l.took["commit"] = append(l.took["commit"], time.Since(began))

	began = time.Now()
	l.lookFor(b, 500, "", func(i int) int { return l.next + i })
	for range 10 {
		l.commit(b)
	}
	l.took["cycle"] = append(l.took["cycle"], time.Since(began))
}

func (l *ledgerUnderTest) look(b *testing.B, what string, want ingest.State, which func(i int) int) {
	b.Helper()
	l.took[what] = append(l.took[what], l.lookFor(b, lookedUp, want, which))
}

// lookFor looks n files up that the ledger has in the given state.
func (l *ledgerUnderTest) lookFor(b *testing.B, n int, want ingest.State, which func(i int) int) time.Duration {
	b.Helper()
	files := make([]ingest.File, n)
	for i := range files {
		files[i] = ledgerFile(which(i))
	}
	began := time.Now()
	for i, st := range pending(b, l.sink, files...) {
		if st.State != want {
			b.Fatalf("the ledger has %s as %q, want %q", files[i].Path, st.State, want)
		}
	}
	return time.Since(began)
}

// commit commits the next 50 files.
func (l *ledgerUnderTest) commit(b *testing.B) {
	b.Helper()
	benchChunk(&l.batch, l.next)
	for i := range l.batch.Spans {
		s := &l.batch.Spans[i]
		s.File = ledgerFile(l.next)
		l.next++
		s.Minute = ingest.MinuteIn([]byte(s.File.Path))
	}
	if _, err := l.committer.Commit(b.Context(), &l.batch); err != nil {
		b.Fatal(err)
	}
}

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
//	go test ./store -run '^$' -bench LargeLedger -benchtime 400x -timeout 2h -ledger 20000000
var ledgerRows = flag.Int("ledger", 100_000, "how many rows BenchmarkLargeLedger puts into a ledger")

// growLedger fills the ledger with file versions as a year of a large site
// leaves them, by SQL. What is indexed is indexed afterwards.
func growLedger(b *testing.B, s *Store, rows int) {
	b.Helper()
	for _, sql := range []string{
		`alter table files drop constraint files_pkey, drop constraint files_key_generation_key`,
		`alter table receipts drop constraint receipts_pkey`,
		`drop index files_loaded_content, files_duplicate_content`,
		`insert into series (logger, channel, unit, label) select 'X' || i, 'flow', '', '' from generate_series(1, 5000) i`,
		fmt.Sprintf(`insert into files (id, rank_time, fetched, modified, size, key, content, generation, run, chunk, recipe, state, modified_step, source, rank, trusted, sha256, path)
			select i, t, t, t, 400, encode(substring(sha256(convert_to('loggers', 'UTF8') || '\x00'::bytea || convert_to('site/X' || i, 'UTF8')) from 1 for 16), 'hex')::uuid,
				gen_random_uuid(), 1, 1, i / 200, 1, 'loaded', 1, 1, 0, true, sha256(int8send(i)), 'site/X' || i
			from (select i, timestamptz '2025-01-01' + i * interval '1.5 s' as t from generate_series(1, %d) i) x`, rows),
		fmt.Sprintf(`insert into receipts select i, t - interval '15 min', t, 9, 0, 1, 0, 0, 0, 0, 8, 0, 8, 0, 0, 0, 0, 8, 0, 0, 0, array[1 + i %% 5000]
			from (select i, timestamptz '2025-01-01' + i * interval '1.5 s' as t from generate_series(1, %d) i) x`, rows),
		`alter table files add primary key (id), add unique (key, generation)`,
		`alter table receipts add primary key (file_id)`,
		`create unique index files_loaded_content on files (content) where state = 'loaded'`,
		`create index files_duplicate_content on files (content) where state = 'duplicate'`,
		fmt.Sprintf(`select setval('file_ids', %d)`, rows+1),
		`vacuum analyze files`, `vacuum analyze receipts`, `checkpoint`,
	} {
		if _, err := s.pool.Exec(b.Context(), sql); err != nil {
			b.Fatalf("%s: %v", sql, err)
		}
	}
}

// A ledgerUnderTest is one of the two that are compared.
type ledgerUnderTest struct {
	rows      int
	store     *Store
	sink      *Sink
	committer ingest.Committer
	batch     ingest.Batch

	known, unknown, commit []time.Duration
}

// BenchmarkLargeLedger holds looks into a large ledger, for 4,096 files that it
// knows from all over it and for as many that are new, and a commit of 50 new
// files against the same with a ledger that has nothing else. The two take turns. It reports the ratios of the
// medians, and what a row of the ledger takes.
func BenchmarkLargeLedger(b *testing.B) {
	server := pgtest.Server(b, map[string]string{"shared_buffers": "512MB", "max_wal_size": "8GB", "maintenance_work_mem": "1GB", "autovacuum": "off"})
	small, large := &ledgerUnderTest{rows: lookedUp}, &ledgerUnderTest{rows: max(*ledgerRows, lookedUp)}
	for _, l := range []*ledgerUnderTest{small, large} {
		s, err := Open(b.Context(), server.URL(), Options{Schema: fmt.Sprintf("ledger_%d", l.rows), Create: true})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(s.Close)
		l.store, l.sink = s, sinkOf(b, s, SinkOptions{})
		l.committer = committerOf(b, l.sink)
		began := time.Now()
		growLedger(b, s, l.rows)
		b.Logf("a ledger of %d rows was made in %s", l.rows, time.Since(began).Round(time.Second))
	}
	for _, table := range []string{"files", "receipts"} {
		size := query(b, large.store, fmt.Sprintf("select pg_relation_size('%[1]s') / %[2]d, pg_indexes_size('%[1]s') / %[2]d", table, large.rows))
		b.Logf("a row of %s takes this many bytes, and in indexes: %s", table, size[0])
	}
	random := rand.New(rand.NewPCG(1, 2))
	b.ResetTimer()
	for n := range b.N {
		small.measure(b, random, n)
		large.measure(b, random, n)
	}
	median := func(d []time.Duration) float64 { slices.Sort(d); return d[len(d)/2].Seconds() }
	for _, m := range []struct {
		what         string
		small, large []time.Duration
	}{{"known", small.known, large.known}, {"new", small.unknown, large.unknown}, {"commit", small.commit, large.commit}} {
		b.ReportMetric(median(m.large)*1e3, m.what+"-ms")
		b.ReportMetric(median(m.large)/median(m.small), m.what+"-ratio")
	}
}

// lookedUp is how many files a look into the ledger is for, at most.
const lookedUp = 4096

// measure looks files up that the ledger knows, from all over it, and commits a
// chunk of new ones.
func (l *ledgerUnderTest) measure(b *testing.B, random *rand.Rand, n int) {
	b.Helper()
	files := make([]ingest.File, lookedUp)
	first := ingest.Micros(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))
	for i := range files {
		k := 1 + random.IntN(l.rows)
		files[i] = ingest.File{Path: fmt.Sprintf("site/X%d", k), Size: 400, Modified: first + int64(k)*1_500_000, Precision: ingest.Micro}
	}
	began := time.Now()
	for i, st := range pending(b, l.sink, files...) {
		if st.State != ingest.Loaded {
			b.Fatalf("the ledger does not know %s: %+v", files[i].Path, st)
		}
	}
	l.known = append(l.known, time.Since(began))
	for i := range files {
		files[i].Path = fmt.Sprintf("site/new/X%d_%d", n, i)
	}
	began = time.Now()
	for i, st := range pending(b, l.sink, files...) {
		if st.State != "" {
			b.Fatalf("the ledger knows %s: %+v", files[i].Path, st)
		}
	}
	l.unknown = append(l.unknown, time.Since(began))
	benchChunk(&l.batch, n)
	began = time.Now()
	if _, err := l.committer.Commit(b.Context(), &l.batch); err != nil {
		b.Fatal(err)
	}
	l.commit = append(l.commit, time.Since(began))
}

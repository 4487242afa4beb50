package store

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

// outside is how many readings of a hypertable are not in the columnstore.
func outside(t *testing.T, s *Store) (n int64) {
	t.Helper()
	for _, chunk := range query(t, s, "select show_chunks('readings')::text") {
		of, err := strconv.ParseInt(query(t, s, "select count(*) from only "+chunk)[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		n += of
	}
	return n
}

// daily is files of one logger, a day and 24 readings each.
func daily(logger string, first, n int, value float64) (files []testFile) {
	for i := first; i < first+n; i++ {
		f := testFile{path: fmt.Sprintf("%s_day%d", logger, i), modified: begin + int64(i)}
		for j := range int64(24) {
			f.readings = append(f.readings, testReading{"flow", int64(i)*86400 + j*3600, value + float64(i), ""})
		}
		files = append(files, f)
	}
	return files
}

// What corrects some readings takes apart the batches that hold them, and no
// others, whichever way it goes.
func TestTimescaleCorrectionsTakeLittleApart(t *testing.T) {
	const day = 24 * time.Hour
	for _, appendMode := range []bool{false, true} {
		t.Run(fmt.Sprintf("append=%v", appendMode), func(t *testing.T) {
			o := Options{Append: appendMode, Hypertable: Hypertable{ChunkInterval: day, ColumnstoreAfter: 10_000 * day}}
			s, plain := timescale(t, o), open(t, Options{Append: appendMode})
			var files []testFile
			for l := range 4 {
				files = append(files, daily(fmt.Sprintf("L%d", l), 0, 20, 1)...)
			}
			changed := daily("L1", 7, 2, 500) // other values for two days, later
			for i := range changed {
				changed[i].modified += 1000
			}
			again := daily("L2", 9, 1, 700)
			again[0].path, again[0].modified = "L2_other", begin+2000
			steps := []struct {
				name  string
				apart int64 // at most so many readings more are outside the columnstore
				do    func(s *Store)
			}{
				{"a new generation", 72, func(s *Store) { commitAll(t, []*Sink{sinkOf(t, s, SinkOptions{})}, changed, 1, 10) }},
				{"a file beside", 48, func(s *Store) { commitAll(t, []*Sink{sinkOf(t, s, SinkOptions{})}, again, 1, 10) }},
				{"one day after another in live chunks", 0, func(s *Store) {
					commitAll(t, []*Sink{sinkOf(t, s, SinkOptions{})}, daily("L3", 40, 1, 1), 1, 10)
					late := daily("L3", 40, 1, 900)
					late[0].path = "L3_late"
					commitAll(t, []*Sink{sinkOf(t, s, SinkOptions{})}, late, 1, 10)
				}},
				{"undo", 120, func(s *Store) { undo(t, s, Selection{Pattern: "L[02]_day1[01]"}, append(files, again...)) }},
				{"retry", 96, func(s *Store) {
					markDue(t, s, Selection{Pattern: "L[02]_day1[01]"})
					commitAll(t, []*Sink{sinkOf(t, s, SinkOptions{})}, files[:20], 1, 200)
					commitAll(t, []*Sink{sinkOf(t, s, SinkOptions{})}, files[40:60], 1, 200)
				}},
			}
			commitAll(t, []*Sink{sinkOf(t, plain, SinkOptions{})}, files, 1, 10)
			commitAll(t, []*Sink{sinkOf(t, s, SinkOptions{})}, files, 1, 10)
			for _, step := range steps {
				compress(t, s)
				if n := outside(t, s); n != 0 {
					t.Fatalf("before %s %d readings are outside the columnstore", step.name, n)
				}
				step.do(plain)
				before := query(t, s, "select count(*) from readings where ts < '2023-12-20'")
				step.do(s)
				n := outside(t, s)
				if step.name == "one day after another in live chunks" {
					n -= int64(len(query(t, s, "select 1 from readings where ts > '2023-12-20'")))
				}
				if n > step.apart {
					t.Errorf("after %s %d of %s readings are outside the columnstore", step.name, n, before)
				}
				if diff := cmp.Diff(contents(t, plain), contents(t, s)); diff != "" {
					t.Fatalf("after %s (-plain +hypertable):\n%s", step.name, diff)
				}
			}
			verify(t, s)
		})
	}
}

// A source that once met what is compressed goes back to a straight COPY when what
// it brings is new.
func TestTimescaleNewReadingsGoStraightAgain(t *testing.T) {
	s := timescale(t, Options{Hypertable: Hypertable{ChunkInterval: 24 * time.Hour, ColumnstoreAfter: 10_000 * 24 * time.Hour}})
	sink := sinkOf(t, s, SinkOptions{})
	c := committerOf(t, sink)
	commit(t, c, daily("L1", 0, 5, 1)...)
	compress(t, s)
	late := daily("L1", 2, 1, 50)
	late[0].path = "L1_late"
	commit(t, c, late...)
	if sink.meetings.compressed == 0 || sink.meetings.staged == 0 {
		t.Fatal("it did not meet what is compressed")
	}
	for i := range stageFor {
		commit(t, c, daily("L1", 10+i, 1, 1)...)
	}
	if sink.meetings.staged != 0 {
		t.Errorf("after %d chunks of new readings %d more are staged", stageFor, sink.meetings.staged)
	}
	verify(t, s)
}

// dense is files of which each has many readings of some series, over several
// chunks of a hypertable of a day, that overlap and contradict one another.
func dense(random *rand.Rand, n int) (files []testFile) {
	for i := range n {
		f := testFile{path: fmt.Sprintf("L%d_dense%d", i%3, i), modified: begin + random.Int64N(10)}
		at := random.Int64N(3 * 86400)
		for j := range int64(300) {
			f.readings = append(f.readings, testReading{[]string{"flow", "level"}[j%2], at + j/2*900, float64(random.IntN(50)), []string{"", "", "q"}[random.IntN(3)]})
		}
		files = append(files, f)
	}
	return files
}

// orderedSQL finds readings that queries which ask for an order do not give in it.
const orderedSQL = `select 'by series and time', count(*) from (select (series_id, ts) < lag((series_id, ts)) over () as wrong from (select series_id, ts from readings order by series_id, ts) o) w where wrong
	union all select 'of a series', count(*) from (select ts < lag(ts) over () as wrong from (select ts from readings where series_id = 2 order by ts) o) w where wrong
	union all select 'of a series, backwards', count(*) from (select ts > lag(ts) over () as wrong from (select ts from readings where series_id = 1 order by ts desc) o) w where wrong
	union all select 'the last', count(*) from (select 1 where (select ts from readings where series_id = 1 order by ts desc limit 1) <> (select max(ts) from readings where series_id = 1)) w`

func ordered(t *testing.T, s *Store) {
	t.Helper()
	for _, mode := range []string{"on", "off"} { // with all batches read, and merged
		if _, err := s.pool.Exec(t.Context(), fmt.Sprintf("alter database %s set enable_sort = %s", s.pool.Config().ConnConfig.Database, mode)); err != nil {
			t.Fatal(err)
		}
		s.pool.Reset()
		for _, found := range query(t, s, orderedSQL) {
			if !strings.HasSuffix(found, "|0") {
				t.Errorf("with enable_sort = %s, out of order: %s", mode, found)
			}
		}
	}
}

// What is compressed as it comes is there once and in order, beside what others
// compress into the same chunks, and is corrected, taken out, restored and
// compressed anew as any.
func TestTimescaleCompressedAsItComes(t *testing.T) {
	const day = 24 * time.Hour
	for _, order := range []string{"ts", "ts desc"} {
		t.Run(order, func(t *testing.T) {
			s, plain := timescale(t, Options{Append: true, Hypertable: Hypertable{ChunkInterval: day}}), open(t, Options{Append: true})
			if order != "ts" {
				if _, err := s.pool.Exec(t.Context(), "alter table readings set (timescaledb.orderby = '"+order+"')"); err != nil {
					t.Fatal(err)
				}
			}
			if c, err := s.Compressing(t.Context()); err != nil || c != (Compressing{On: true}) {
				t.Fatal(c, err)
			}
			files := dense(rand.New(rand.NewPCG(7, 8)), 40)
			commitAll(t, []*Sink{sinkOf(t, plain, SinkOptions{})}, files, 1, 5)
			commitAll(t, []*Sink{sinkOf(t, s, SinkOptions{}), sinkOf(t, s, SinkOptions{})}, files, 3, 5)
			same := func(when string) {
				t.Helper()
				if diff := cmp.Diff(contents(t, plain), contents(t, s)); diff != "" {
					t.Fatalf("%s (-plain +compressed):\n%s", when, diff)
				}
				verify(t, s)
				ordered(t, s)
			}
			same("loaded")
			if n := outside(t, s); n != 0 {
				t.Errorf("%d readings are outside the columnstore", n)
			}
			next := files[3]
			next.modified += 100
			next.readings = next.readings[40:]
			twin := files[5]
			twin.path, twin.modified = "L2_twin", begin-5
			small := daily("L1", 0, 2, 1)
			small[0].readings, small[1].readings = small[0].readings[:3], small[1].readings[:5]
			for _, store := range []*Store{plain, s} {
				sink := sinkOf(t, store, SinkOptions{})
				commitAll(t, []*Sink{sink}, append([]testFile{next, twin}, small...), 1, 1)
				undo(t, store, Selection{Pattern: "L2_dense*"}, append(files, twin))
			}
			same("corrected")
			for _, store := range []*Store{plain, s} {
				markDue(t, store, Selection{})
				commitAll(t, []*Sink{sinkOf(t, store, SinkOptions{})}, files, 1, 40)
			}
			same("taken up again")
			if n := outside(t, s); n == 0 {
				t.Error("small amounts are compressed as they come")
			}
			runPolicy(t, s)
			if n := outside(t, s); n != 0 {
				t.Errorf("after the policy %d readings are outside the columnstore", n)
			}
			same("after the policy")
			for _, store := range []*Store{plain, s} {
				undo(t, store, Selection{Pattern: "L1_*"}, append(files, small...))
			}
			same("undone")
		})
	}
}

// runPolicy has the columnstore's policy do its work.
func runPolicy(t *testing.T, s *Store) {
	t.Helper()
	job := query(t, s, "select job_id from timescaledb_information.jobs where hypertable_name = 'readings' and hypertable_schema = 'penstock'")
	if len(job) != 1 {
		t.Fatalf("the policy's jobs: %v", job)
	}
	if _, err := s.pool.Exec(t.Context(), "call run_job("+job[0]+")"); err != nil {
		t.Fatal(err)
	}
}

// Whether readings are compressed as they come, and why not, is told.
func TestTimescaleCompressing(t *testing.T) {
	told := func(s *Store, why string) {
		t.Helper()
		c, err := s.Compressing(t.Context())
		if err != nil || c.On != (why == "") || !strings.Contains(c.Why, why) {
			t.Errorf("%+v, %v, want %q", c, err, why)
		}
	}
	told(open(t, Options{Append: true}), "that takes TimescaleDB")
	told(timescale(t, Options{}), "what has a unique key cannot be")
	never := timescale(t, Options{Append: true, Hypertable: Hypertable{ColumnstoreAfter: Never}})
	told(never, "no columnstore")
	never.options.Hypertable = Hypertable{ColumnstoreAfter: time.Hour}
	if changed, err := never.AlterHypertable(t.Context()); err != nil || !changed {
		t.Fatal(changed, err)
	}
	told(never, "")
	for _, step := range []struct{ do, why, undo string }{
		{"create unique index mine on readings (series_id, ts, file_id)", "a unique index, mine", "drop index mine"},
		{"create function f() returns trigger language plpgsql as 'begin return new; end'; create trigger mine before insert on readings for each row execute function f()", "a trigger, mine", "drop trigger mine on readings"},
	} {
		if _, err := never.pool.Exec(t.Context(), step.do); err != nil {
			t.Fatal(err)
		}
		never.pool.Reset()
		told(never, step.why)
		if _, err := never.pool.Exec(t.Context(), step.undo); err != nil {
			t.Fatal(err)
		}
	}
}

// Large files come in parts into a hypertable as into a plain table, while the
// policy compresses what is there.
func TestTimescaleParts(t *testing.T) {
	for _, appendMode := range []bool{false, true} {
		for _, policy := range []Policy{Latest, Earliest} {
			t.Run(fmt.Sprintf("%s, append=%v", policy, appendMode), func(t *testing.T) {
				files := append(contradictingFiles(rand.New(rand.NewPCG(41, 42)), 40), dense(rand.New(rand.NewPCG(43, 44)), 10)...)
				for i := range files[:40] {
					for j := range files[i].readings {
						files[i].readings[j].time *= 14400
					}
				}
				s := timescale(t, Options{Append: appendMode, directLeast: 1, Hypertable: Hypertable{ChunkInterval: 24 * time.Hour, ColumnstoreAfter: time.Hour}})
				plain := open(t, Options{Append: appendMode})
				commitAll(t, []*Sink{sinkOf(t, plain, SinkOptions{Policy: policy})}, files, 1, 10)
				sink := sinkOf(t, s, SinkOptions{Policy: policy})
				var wg sync.WaitGroup
				for w := range 4 {
					c := committerOf(t, sink)
					wg.Go(func() {
						for i := w; i < len(files); i += 4 {
							switch {
							case w == 0:
								commit(t, c, files[i])
							case i < 40:
								inParts(t, c, files[i], w).load()
							default:
								inParts(t, c, files[i], 60*w).load()
							}
							if i == 21 {
								runPolicy(t, s)
							}
						}
					})
				}
				wg.Wait()
				verify(t, s)
				nothingLoads(t, s)
				if diff := cmp.Diff(contents(t, plain), contents(t, s)); diff != "" {
					t.Fatalf("(-plain, whole +hypertable, in parts):\n%s", diff)
				}
			})
		}
	}
}

// A part that is compressed while its file loads is met, put aside, repeated and
// taken out again.
func TestTimescaleCompressedWhileItLoads(t *testing.T) {
	for _, appendMode := range []bool{false, true} {
		t.Run(fmt.Sprintf("append=%v", appendMode), func(t *testing.T) {
			var got [2][]string
			for i, s := range []*Store{open(t, Options{Append: appendMode}), timescale(t, Options{Append: appendMode, Hypertable: Hypertable{ChunkInterval: 24 * time.Hour}})} {
				sink := sinkOf(t, s, SinkOptions{})
				large := daily("L1", 0, 1, 5)[0]
				large.modified = begin + 50
				large.readings = append(large.readings, large.readings[3], large.readings[4]) // come again in the last part
				large.readings[25].value = 77
				broken := daily("L2", 0, 1, 5)[0]
				p, q := inParts(t, committerOf(t, sink), large, 8), inParts(t, committerOf(t, sink), broken, 8)
				p.claimed()
				q.claimed()
				for n := range 3 {
					if refused, err := p.commit(n); err != nil || refused != "" {
						t.Fatal(refused, err)
					}
				}
				if refused, err := q.commit(0); err != nil || refused != "" {
					t.Fatal(refused, err)
				}
				compress(t, s)
				lesser, greater := daily("L1", 0, 1, 6)[0], daily("L1", 0, 1, 7)[0]
				lesser.path, greater.path, greater.modified = "L1_lesser", "L1_greater", begin+90
				lesser.readings, greater.readings = lesser.readings[2:6], greater.readings[10:14]
				c := committerOf(t, sink)
				commit(t, c, lesser)
				compress(t, s)
				commit(t, c, greater)
				verify(t, s)
				compress(t, s)
				p.commitAll()
				compress(t, s)
				if o := p.finished(); o.State != ingest.Loaded {
					t.Fatalf("it is %s: %s", o.State, o.Reason)
				}
				undo(t, s, Selection{Pattern: "L2_*"}, []testFile{broken})
				verify(t, s)
				nothingLoads(t, s)
				got[i] = contents(t, s)
			}
			if diff := cmp.Diff(got[0], got[1]); diff != "" {
				t.Errorf("(-plain +hypertable):\n%s", diff)
			}
		})
	}
}

// However many chunks a file needs, no transaction takes the locks to make all of
// them.
func TestTimescaleManyChunks(t *testing.T) {
	for _, appendMode := range []bool{false, true} {
		s := timescale(t, Options{Append: appendMode, directLeast: 1, Hypertable: Hypertable{ChunkInterval: time.Hour}})
		f := testFile{path: "L1_a", modified: begin}
		const n = chunksAtOnce + 20
		for i := range int64(n) {
			f.readings = append(f.readings, testReading{"flow", i * 3600, float64(i), ""}, testReading{"flow", i*3600 + 60, float64(i), ""})
		}
		commit(t, committerOf(t, sinkOf(t, s, SinkOptions{})), f)
		made := query(t, s, `select sum(n)::int8, max(n) from (select count(*) as n from timescaledb_information.chunks c join pg_class r
			on r.oid = format('%I.%I', chunk_schema, chunk_name)::regclass group by r.xmin::text) t`)
		if want := fmt.Sprintf("%d|%d", n, chunksAtOnce); made[0] != want {
			t.Errorf("append=%v: chunks in all, and of one transaction: %s, want %s", appendMode, made[0], want)
		}
		if got := query(t, s, "select count(*), min(series_id) from readings"); got[0] != fmt.Sprintf("%d|1", 2*n) {
			t.Errorf("append=%v: there are %s readings", appendMode, got[0])
		}
		verify(t, s)
	}
}

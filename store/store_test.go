package store

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
	"penstock/store/pglocal/pgtest"
)

// open makes a schema in a database of the test's own.
func open(t testing.TB, o Options) *Store {
	t.Helper()
	o.Create = true
	s, err := Open(t.Context(), pgtest.Database(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// A testFile is a file version as a decoder would hand it on.
type testFile struct {
	path     string
	modified int64
	content  string // what is hashed; made from the readings when empty
	readings []testReading
	unit     string
	held     string
	broken   string
	isNew    bool // says the listing, rightly or not

	layout string // what was guessed, or approved; "" for a profile that a person named
	trust  ingest.Trust
	notes  []string

	passes passesOf
}

// A passesOf is what a decoder says of the passes of a file in an hour that
// clocks showed twice.
type passesOf int

const (
	passesNone passesOf = iota
	passesTold
	passesOpen // all readings are of one pass, an hour apart, and nothing tells which
)

type testReading struct {
	channel string
	time    int64
	value   float64
	quality string
}

func (f testFile) bytes() string {
	if f.content != "" {
		return f.content
	}
	return fmt.Sprint(f.readings)
}

// testRecipe is a recipe as the decoder under test would share it.
var testRecipe = &ingest.Recipe{Digest: ingest.Digest{1}, Profile: "test", Text: "name: test"}

// begin is where the instants of test readings count from, in seconds.
const begin = int64(1_700_000_000)

func fill(b *ingest.Batch, files ...testFile) *ingest.Batch {
	for _, f := range files {
		c := &ingest.Content{
			File:    ingest.File{Path: f.path, Size: int64(len(f.bytes())), Modified: f.modified * 1e6, Precision: ingest.Micro},
			Fetched: (begin + 1e6) * 1e6,
		}
		s := b.Begin(c)
		s.Sum = sha256.Sum256([]byte(f.bytes()))
		s.Minute = binary.BigEndian.Uint32(s.Sum[:]) >> 5 // of the bytes alone, as a decoder's is
		s.Recipe, s.Notes = testRecipe, f.notes
		if f.layout != "" {
			s.Recipe = &ingest.Recipe{Digest: sha256.Sum256(append([]byte{byte(f.trust)}, f.layout...)), Profile: f.layout, Text: "name: " + f.layout, Trust: f.trust}
			s.Kind = &ingest.Shape{ID: f.layout, Profile: s.Recipe.Text, Header: []string{"time", f.layout}}
		}
		s.New = f.isNew
		logger, _, _ := strings.Cut(f.path, "_")
		s.Identity = sha256.Sum256([]byte(logger))
		for _, r := range f.readings {
			b.Append(b.SeriesOf([]byte(logger), []byte(r.channel), []byte(f.unit), nil), (begin+r.time)*1e6, r.value)
			b.SetQuality([]byte(r.quality))
		}
		n := int64(len(f.readings))
		s = &b.Spans[len(b.Spans)-1]
		s.Passes = f.passes != passesNone
		if f.passes == passesOpen {
			s.Identity = sha256.Sum256([]byte(f.path))
			s.Later = 3600e6
			for r := range f.readings {
				s.Undecided = append(s.Undecided, int32(s.Begin+r))
			}
		}
		s.Receipt.Lines = ingest.Lines{Total: n + 1, Header: 1, Data: n}
		s.Receipt.Cells.Total = n
		switch {
		case f.held != "":
			s.State, s.Reason, s.Shape = ingest.Held, f.held, s.Kind.Asking(f.held, "zone")
		case f.broken != "":
			s.State, s.Reason = ingest.Quarantined, f.broken
		}
		b.End()
	}
	return b
}

func sinkOf(t testing.TB, s *Store, o SinkOptions) *Sink {
	t.Helper()
	if o.Source == "" {
		o.Source = "loggers"
	}
	sink, err := s.Sink(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return sink
}

func committerOf(t testing.TB, s *Sink) ingest.Committer {
	t.Helper()
	c, err := s.Committer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// commit commits files as one chunk and returns their states.
func commit(t testing.TB, c ingest.Committer, files ...testFile) []ingest.Outcome {
	t.Helper()
	outcomes, err := c.Commit(t.Context(), fill(&ingest.Batch{}, files...))
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(outcomes)
}

func states(outcomes []ingest.Outcome) (s []string) {
	for _, o := range outcomes {
		s = append(s, string(o.State))
	}
	return s
}

// query returns the rows of a query as text, fields separated by |.
func query(t testing.TB, s *Store, sql string) []string {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			t.Fatal(err)
		}
		var fields []string
		for _, v := range values {
			fields = append(fields, fmt.Sprint(v))
		}
		all = append(all, strings.Join(fields, "|"))
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
	return all
}

// contents is what must not depend on how the files came in: the observations,
// and the ledger without ids, runs, times and the split of what was stored.
func contents(t testing.TB, s *Store) []string {
	t.Helper()
	return append(query(t, s, `select logger, channel, unit, extract(epoch from ts)::int8 - 1700000000, value, quality, path
			from observations order by 1, 2, 4, 7`),
		query(t, s, `select f.path, f.generation, f.state::text, encode(f.sha256, 'hex'), f.size, f.reason, extract(epoch from f.rank_time)::int8,
			r.lines, r.lines_data, r.lines_rejected, r.cells, r.missing, r.rejected, r.withheld, r.repeated, r.stored + r.replaced + r.unchanged + r.outranked,
			(select count(*) from readings where file_id = f.id)
			from files f left join receipts r on r.file_id = f.id order by 1, 2`)...)
}

// verify checks the receipts against the table and against one another.
func verify(t testing.TB, s *Store) {
	t.Helper()
	_, err := s.Verify(t.Context(), Selection{}, func(m Mismatch) error {
		t.Errorf("receipts and table do not agree: %+v", m)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestCommitStoresOnce(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	a := testFile{path: "L1_a", modified: begin, readings: []testReading{{"flow", 1, 1.5, ""}, {"flow", 2, 2.5, "good"}, {"level", 1, 7, ""}, {"flow", 1, 9, ""}}}
	first := commit(t, c, a)
	if got := states(first); got[0] != "loaded" {
		t.Fatalf("first commit: %v", first)
	}
	want := ingest.Cells{Total: 4, Repeated: 1, Stored: 3}
	if got := first[0].Receipt.Cells; got != want {
		t.Errorf("cells are %+v, want %+v", got, want)
	}
	if got := states(commit(t, c, a)); got[0] != "known" {
		t.Errorf("second commit of the same file: %v", got)
	}
	got := query(t, s, "select logger, channel, extract(epoch from ts)::int8 - 1700000000, value, quality, path from observations order by 1, 2, 3")
	if diff := cmp.Diff([]string{"L1|flow|1|9|<nil>|L1_a", "L1|flow|2|2.5|good|L1_a", "L1|level|1|7|<nil>|L1_a"}, got); diff != "" {
		t.Error(diff)
	}
	verify(t, s)
}

func TestContentThatComesBackIsANewGeneration(t *testing.T) {
	for _, appendMode := range []bool{false, true} {
		t.Run(fmt.Sprintf("append=%v", appendMode), func(t *testing.T) {
			s := open(t, Options{Append: appendMode})
			c := committerOf(t, sinkOf(t, s, SinkOptions{}))
			a := testFile{path: "L1_a", modified: begin + 30, readings: []testReading{{"flow", 1, 1, ""}, {"flow", 2, 1, ""}}}
			b := testFile{path: "L1_a", modified: begin + 20, readings: []testReading{{"flow", 1, 2, ""}}}
			for i, f := range []testFile{a, b, a, a} {
				o := commit(t, c, f)[0]
				if want := []string{"loaded", "loaded", "duplicate", "known"}[i]; i != 2 && string(o.State) != want {
					t.Errorf("version %d is %s, want %s", i+1, o.State, want)
				}
			}
			want := []string{"1|1", "2|1"}
			if got := query(t, s, "select extract(epoch from ts)::int8 - 1700000000, value from observations order by 1"); !slices.Equal(got, want) {
				t.Errorf("what stands is %v, want %v", got, want)
			}
			want = []string{"1|duplicate", "2|loaded", "3|loaded"}
			if got := query(t, s, "select generation, state::text from files order by 1"); !slices.Equal(got, want) {
				t.Errorf("generations are %v, want %v", got, want)
			}
			verify(t, s)
		})
	}
}

// What stands is a function of the set of files, whoever commits them, in
// which order and in which chunks.
func TestOutcomeDoesNotDependOnOrder(t *testing.T) {
	for _, policy := range []Policy{Latest, Earliest} {
		t.Run(string(policy), func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			files := contradictingFiles(random, 120)
			var want []string
			for i, how := range []struct{ workers, chunk int }{{1, 1}, {4, 7}, {3, 1000}, {2, 30}} {
				s := open(t, Options{})
				sinks := []*Sink{sinkOf(t, s, SinkOptions{Policy: policy}), sinkOf(t, s, SinkOptions{Policy: policy})}
				commitAll(t, sinks, files, how.workers, how.chunk)
				verify(t, s)
				got := contents(t, s)
				if i == 0 {
					want = got
				} else if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("%d workers, chunks of %d (-1 x 1 +this):\n%s", how.workers, how.chunk, diff)
				}
				random.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
			}
		})
	}
}

// contradictingFiles makes files of which half of the instants are also in
// others, some with the same values, and some that are copies of others.
func contradictingFiles(random *rand.Rand, n int) []testFile {
	var files []testFile
	for i := range n {
		f := testFile{path: fmt.Sprintf("L%d_%03d", i%5, i), modified: begin + random.Int64N(10), isNew: i%3 > 0}
		if i%11 == 10 {
			f.readings = files[i-5].readings // the same logger's: a duplicate
		} else {
			for range 1 + random.IntN(6) {
				f.readings = append(f.readings, testReading{"flow", random.Int64N(60), float64(random.IntN(3)), []string{"", "q"}[random.IntN(2)]})
			}
		}
		files = append(files, f)
	}
	return files
}

// commitAll commits the files in their order, cut into chunks, by several
// workers of several sinks at once.
func commitAll(t *testing.T, sinks []*Sink, files []testFile, workers, chunk int) {
	t.Helper()
	chunks := make(chan []testFile, len(files))
	for c := range slices.Chunk(files, chunk) {
		chunks <- c
	}
	close(chunks)
	var wg sync.WaitGroup
	for w := range workers {
		c := committerOf(t, sinks[w%len(sinks)])
		wg.Go(func() {
			defer c.Close()
			b := &ingest.Batch{}
			for files := range chunks {
				b.Reset()
				fill(b, files...)
				for i := range b.Spans {
					b.Spans[i].New = i%2 == 0 // a hint that may be wrong
				}
				if _, err := c.Commit(context.Background(), b); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

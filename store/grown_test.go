package store

import (
	"context"
	"crypto/sha256"
	"encoding"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

// growthOf is what the pipeline says of a file that was read to its end.
func growthOf(t testing.TB, f testFile) *ingest.Growth {
	t.Helper()
	h := sha256.New()
	h.Write([]byte(f.bytes()))
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	return &ingest.Growth{At: int64(len(f.bytes())), Lines: int64(len(f.readings)) + 1, Sum: sha256.Sum256([]byte(f.bytes())),
		Hashed: state, Window: sha256.Sum256([]byte(f.bytes()))}
}

// grownFile is a file whose content is that of its readings one after the other.
func grownFile(path string, modified int64, readings []testReading) testFile {
	return testFile{path: path, modified: modified, content: fmt.Sprint(path, readings), readings: readings}
}

// fillGained fills in what f has beyond a version of it with as many readings.
func fillGained(t testing.TB, b *ingest.Batch, f testFile, of *ingest.Growth) {
	t.Helper()
	whole := f
	had := int(of.Lines) - 1
	f.content, f.readings = f.bytes(), f.readings[had:]
	fill(b, f)
	s := &b.Spans[len(b.Spans)-1]
	s.Receipt.Lines = ingest.Lines{Total: int64(len(f.readings)), Data: int64(len(f.readings))}
	s.Gained, s.Growth = &ingest.Gain{Of: *of}, growthOf(t, whole)
}

// standingOf is what the ledger says of a file before it is fetched.
func standingOf(t testing.TB, s *Sink, f testFile) ingest.Standing {
	t.Helper()
	b := fill(&ingest.Batch{}, f)
	standings, err := s.Pending(t.Context(), []ingest.File{b.Spans[0].File})
	if err != nil {
		t.Fatal(err)
	}
	return standings[0]
}

// take commits a file as the daemon would: what it gained, where it can be
// carried on, else all of it. It returns the outcome and whether it was carried on.
func take(t testing.TB, sink *Sink, c ingest.Committer, f testFile) (ingest.Outcome, bool) {
	t.Helper()
	if st := standingOf(t, sink, f); st.Growth != nil && int(st.Growth.Lines)-1 <= len(f.readings) {
		b := &ingest.Batch{}
		fillGained(t, b, f, st.Growth)
		outcomes, err := c.Commit(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		if outcomes[0].State != ingest.Whole {
			return outcomes[0], true
		}
	}
	b := fill(&ingest.Batch{}, f)
	b.Spans[0].Growth = growthOf(t, f)
	outcomes, err := c.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return outcomes[0], false
}

func TestAFileThatGrewIsCarriedOn(t *testing.T) {
	for _, appendMode := range []bool{false, true} {
		t.Run(fmt.Sprintf("append=%v", appendMode), func(t *testing.T) {
			s := open(t, Options{Append: appendMode})
			sink := sinkOf(t, s, SinkOptions{})
			c := committerOf(t, sink)
			var readings []testReading
			for i := range 20 {
				readings = append(readings, testReading{"flow", int64(i), float64(i), ""})
			}
			f := func(n int) testFile { return grownFile("L1_a", begin+int64(n), readings[:n]) }
			if o, carried := take(t, sink, c, f(10)); o.State != ingest.Loaded || carried {
				t.Fatalf("first: %+v", o)
			}
			for _, n := range []int{11, 15, 20} {
				o, carried := take(t, sink, c, f(n))
				if o.State != ingest.Loaded || !carried {
					t.Fatalf("%d readings: %+v, carried on: %v", n, o, carried)
				}
			}
			if o, _ := take(t, sink, c, f(20)); o.State != ingest.Known {
				t.Errorf("again: %+v", o)
			}
			want := []string{"4|loaded|20|21|20"}
			if got := query(t, s, `select f.generation, f.state::text, r.stored, r.lines, (select count(*) from readings where file_id = f.id)
				from files f join receipts r on r.file_id = f.id`); !slices.Equal(got, want) {
				t.Errorf("the ledger has %v, want %v", got, want)
			}
			verify(t, s)
		})
	}
}

// What becomes of a file that grew hangs on all of it: lines that were rejected
// before it did count, too.
func TestAFileThatGrewKeepsItsRejects(t *testing.T) {
	s := open(t, Options{})
	sink := sinkOf(t, s, SinkOptions{})
	c := committerOf(t, sink)
	readings := []testReading{{"flow", 1, 1, ""}, {"flow", 2, 2, ""}, {"flow", 3, 3, ""}}
	for n, want := range []int{1, 1, 2} {
		f := grownFile("L1_a", begin+int64(n), readings[:n+1])
		b := &ingest.Batch{}
		if n == 0 {
			fill(b, f)
			b.Spans[0].Growth = growthOf(t, f)
		} else {
			fillGained(t, b, f, standingOf(t, sink, f).Growth)
		}
		if sp := &b.Spans[0]; n != 1 { // which gains no such line
			sp.Rejects = []ingest.Reject{{Line: int64(10 + n), Reason: "too short"}}
			sp.Receipt.Lines.Total++
			sp.Receipt.Lines.Rejected++
		}
		o, err := c.Commit(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		if o[0].State != ingest.Loaded || o[0].Generation != int32(n+1) || o[0].Rejects != want {
			t.Errorf("version %d: %s, generation %d, %d rejects, want %d", n+1, o[0].State, o[0].Generation, o[0].Rejects, want)
		}
	}
	verify(t, s)
}

// A file whose version has lost readings, or has copies, or repeats an instant,
// is taken whole.
// What a file was before it grew, kept by a process that was killed and taken up
// from its archive by the next, is no new version of it.
func TestAnEarlierFetchOfAFileThatGrewIsNoVersion(t *testing.T) {
	s := open(t, Options{})
	c := committerOf(t, sinkOf(t, s, SinkOptions{}))
	readings := []testReading{{"flow", 1, 1, ""}, {"flow", 2, 2, ""}, {"flow", 3, 3, ""}}
	f := func(n int) testFile { return grownFile("L1_a", begin+int64(n), readings[:n]) }
	commitAt := func(b *ingest.Batch, fetched int64) ingest.Outcome {
		t.Helper()
		b.Spans[0].Fetched += fetched
		outcomes, err := c.Commit(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		return outcomes[0]
	}
	first := fill(&ingest.Batch{}, f(2))
	first.Spans[0].Growth = growthOf(t, f(2))
	grown := &ingest.Batch{}
	fillGained(t, grown, f(3), growthOf(t, f(2)))
	for i, b := range []*ingest.Batch{first, grown} {
		if o := commitAt(b, int64(i)*1e6); o.State != ingest.Loaded {
			t.Fatalf("version %d: %+v", i+1, o)
		}
	}
	if o := commitAt(fill(&ingest.Batch{}, f(2)), 0); o.State != ingest.Changed {
		t.Errorf("the first once more: %+v", o)
	}
	if got := query(t, s, "select generation, size, (select count(*) from readings) from files"); len(got) != 1 || !strings.HasPrefix(got[0], "2|") || !strings.HasSuffix(got[0], "|3") {
		t.Errorf("the ledger has %v", got)
	}
	verify(t, s)
}

func TestAFileThatCannotBeCarriedOnIsTakenWhole(t *testing.T) {
	readings := []testReading{{"flow", 1, 1, ""}, {"flow", 2, 2, ""}, {"flow", 3, 3, ""}}
	for name, before := range map[string]func(t *testing.T, sink *Sink, c ingest.Committer) testFile{
		"another file has its readings": func(t *testing.T, _ *Sink, c ingest.Committer) testFile {
			commit(t, c, testFile{path: "L1_b", modified: begin + 500, readings: []testReading{{"flow", 1, 9, ""}}})
			return grownFile("L1_a", begin+900, readings)
		},
		"it has a copy": func(t *testing.T, _ *Sink, c ingest.Committer) testFile {
			b := grownFile("L1_a", begin+5, readings[:2])
			b.path = "L1_copy"
			if o := commit(t, c, b); o[0].State != ingest.Loaded && o[0].State != ingest.Duplicate {
				t.Fatal(o)
			}
			return grownFile("L1_a", begin+900, readings)
		},
		"it meets another file": func(t *testing.T, _ *Sink, c ingest.Committer) testFile {
			commit(t, c, testFile{path: "L1_b", modified: begin, readings: []testReading{{"flow", 3, 9, ""}}})
			return grownFile("L1_a", begin+900, readings)
		},
		"it says an instant again": func(*testing.T, *Sink, ingest.Committer) testFile {
			return grownFile("L1_a", begin+900, []testReading{readings[0], readings[1], {"flow", 2, 7, ""}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, twin := open(t, Options{}), open(t, Options{})
			for _, one := range []*Store{s, twin} {
				sink := sinkOf(t, one, SinkOptions{})
				c := committerOf(t, sink)
				take(t, sink, c, grownFile("L1_a", begin+10, readings[:2]))
				f := before(t, sink, c)
				if one == twin {
					commit(t, c, f)
					continue
				}
				if o, carried := take(t, sink, c, f); carried || o.State != ingest.Loaded {
					t.Errorf("it was carried on: %+v", o)
				}
			}
			if diff := cmp.Diff(contents(t, twin), contents(t, s)); diff != "" {
				t.Error(diff)
			}
			verify(t, s)
		})
	}
}

// Whatever grows beside whatever, what stands is what loading each file whole
// comes to.
func TestGrowingIsLoadingWhole(t *testing.T) {
	seeds := uint64(3)
	if underRace { // it is one committer's work: that it has no races, one seed tells
		seeds = 1
	}
	for _, policy := range []Policy{Latest, Earliest} {
		for seed := range seeds {
			t.Run(fmt.Sprintf("%s/%d", policy, seed), func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 5))
				s, twin := open(t, Options{}), open(t, Options{})
				sink, other := sinkOf(t, s, SinkOptions{Policy: policy}), sinkOf(t, twin, SinkOptions{Policy: policy})
				c, d := committerOf(t, sink), committerOf(t, other)
				files := make(map[string][]testReading)
				carriedOn := 0
				for step := range 30 {
					path := fmt.Sprintf("L%d_%d", random.IntN(2), random.IntN(2))
					for range 1 + random.IntN(3) {
						at := int64(step)
						if random.IntN(8) == 0 {
							at = random.Int64N(30)
						}
						files[path] = append(files[path], testReading{fmt.Sprintf("c%s_%d", path, random.IntN(2)), at, float64(random.IntN(3)), ""})
						if random.IntN(10) == 0 {
							files[path][len(files[path])-1].channel = "shared"
						}
					}
					f := grownFile(path, begin+int64(step), slices.Clone(files[path]))
					if _, carried := take(t, sink, c, f); carried {
						carriedOn++
					}
					commit(t, d, f)
					observed := `select logger, channel, ts, value, path from observations order by 1, 2, 3`
					if diff := cmp.Diff(query(t, twin, observed), query(t, s, observed)); diff != "" {
						t.Fatalf("after step %d (-whole +carried on):\n%s", step, diff)
					}
				}
				if carriedOn < 5 {
					t.Errorf("only %d files were carried on", carriedOn)
				}
				verify(t, s)
			})
		}
	}
}

// A file that grows while its bytes are read for a correction is not what was
// chosen any more: loading it as it was would lose what it has gained.
func TestAFileThatGrowsUnderACorrection(t *testing.T) {
	for _, reload := range []bool{false, true} {
		t.Run(fmt.Sprintf("reload=%v", reload), func(t *testing.T) {
			s := open(t, Options{})
			sink := sinkOf(t, s, SinkOptions{})
			c := committerOf(t, sink)
			readings := []testReading{{"flow", 1, 1, ""}, {"flow", 2, 2, ""}, {"flow", 3, 3, ""}}
			first, then := grownFile("L1_a", begin, readings[:2]), grownFile("L1_a", begin+1, readings)
			take(t, sink, c, first)
			chosen := selected(t, s, Selection{})
			grow := func() {
				if o, carried := take(t, sink, c, then); o.State != ingest.Loaded || !carried {
					t.Errorf("it was not carried on: %+v", o)
				}
			}
			if !reload {
				grow()
			}
			_, err := s.Correct(t.Context(), Correction{Reload: reload, Files: chosen, Read: func(_ context.Context, _ FileVersion, _ bool, b *ingest.Batch) error {
				grow()
				fill(b, first)
				return nil
			}})
			if err == nil || !strings.Contains(err.Error(), "the ledger changed") {
				t.Errorf("the correction said %v", err)
			}
			if n := query(t, s, "select count(*) from readings"); n[0] != "3" {
				t.Errorf("%s readings are left, not 3", n[0])
			}
			verify(t, s)
		})
	}
}

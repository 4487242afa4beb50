package store

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

// A keeping is an archive of one pack, and the copies of ledgers in it.
type keeping struct {
	t     *testing.T
	files []testFile // by their offsets
	docs  [][]byte
}

func (k *keeping) place(offset int) ingest.Place {
	return ingest.Place{Pack: "p/1", Offset: int64(offset)}
}

// keep loads files, each in a commit of its own, and keeps their bytes; fetched
// is when the first was.
func (k *keeping) keep(s *Store, fetched int64, files ...testFile) {
	k.t.Helper()
	c := committerOf(k.t, sinkOf(k.t, s, SinkOptions{}))
	for _, f := range files {
		b := fill(&ingest.Batch{}, f)
		b.Spans[0].Place = k.place(len(k.files))
		b.Spans[0].Fetched, b.Spans[0].FirstFetched = fetched*1e6, fetched*1e6
		if _, err := c.Commit(k.t.Context(), b); err != nil {
			k.t.Fatal(err)
		}
		k.files = append(k.files, f)
		fetched++
	}
	k.tell(s)
}

// tell copies a ledger.
func (k *keeping) tell(s *Store) {
	k.t.Helper()
	if _, err := journalOf(k.t, s, nil).Tell(k.t.Context(), func(doc []byte) error {
		k.docs = append(k.docs, slices.Clone(doc))
		return nil
	}); err != nil {
		k.t.Fatal(err)
	}
}

// rebuild loads the archive into s, and returns how many versions that were.
func (k *keeping) rebuild(s *Store) (loaded int, err error) {
	k.t.Helper()
	ctx := k.t.Context()
	r, err := s.Rebuild(ctx)
	if err != nil {
		return 0, err
	}
	for _, doc := range k.docs {
		if err := r.Learn(ctx, doc); err != nil {
			return 0, err
		}
	}
	if _, err = r.Learned(ctx); err != nil {
		return 0, err
	}
	c := committerOf(k.t, sinkOf(k.t, s, SinkOptions{}))
	for _, at := range []RebuildCursor{{}, {Copies: true}} {
		for {
			files, err := r.Next(ctx, "loggers", &at)
			if err != nil {
				return 0, err
			}
			if len(files) == 0 {
				break
			}
			b := &ingest.Batch{}
			for i := range files {
				fill(b, k.files[files[i].Place.Offset])
				v := &b.Spans[len(b.Spans)-1]
				v.Recorded, v.Place, v.FirstFetched = &files[i].Recorded, files[i].Place, files[i].Fetched
				if v.Sum != files[i].Sum() {
					k.t.Errorf("%s, generation %d, has other bytes", v.File.Path, v.Recorded.Generation)
				}
			}
			if _, err := c.Commit(ctx, b); err != nil {
				return 0, err
			}
			loaded += len(files)
		}
	}
	return loaded, r.End(ctx, true)
}

func rebuilt(t *testing.T, s *Store) []string {
	t.Helper()
	return append(query(t, s, "select path, generation, state::text from files order by 1, 2"), query(t, s, "select value from observations order by 1")...)
}

// monthOf is the version of a path that was written in a month.
func monthOf(path string, month int64) testFile {
	return testFile{path: path, modified: begin + month, readings: []testReading{{"flow", month, float64(month), ""}}}
}

// A database was lost, and its daemon went on with an empty one, where the versions
// that were still there are numbered from 1. All of both is loaded, in its order,
// but not on top of what the second has.
func TestRebuildOfTwoLedgers(t *testing.T) {
	k := &keeping{t: t}
	lost, second := open(t, Options{}), open(t, Options{})
	k.keep(lost, begin+1e6, monthOf("L1_a", 1), monthOf("L1_a", 3), monthOf("L1_b", 2), monthOf("L1_c", 5), monthOf("L1_d", 7))
	k.keep(second, begin+2e6,
		monthOf("L1_a", 3), monthOf("L1_a", 4), // what was the second version, and another
		monthOf("L1_b", 9), // another
		monthOf("L1_c", 5)) // the same
	if _, err := k.rebuild(second); err == nil || !strings.Contains(err.Error(), "has loaded 2 paths since") {
		t.Errorf("into a database that has loaded the sources: %v", err)
	}

	third := open(t, Options{})
	if n, err := k.rebuild(third); err != nil || n != 7 {
		t.Fatalf("%d versions are loaded: %v", n, err)
	}
	want := []string{"L1_a|1|loaded", "L1_a|2|loaded", "L1_a|3|loaded", "L1_b|1|loaded", "L1_b|2|loaded", "L1_c|1|loaded", "L1_d|1|loaded", "1", "2", "3", "4", "5", "7", "9"}
	if diff := cmp.Diff(want, rebuilt(t, third)); diff != "" {
		t.Error(diff)
	}
	if j := journalOf(t, third, k.docs[len(k.docs)-1]); j.Other {
		t.Error("it is not known that what was rebuilt is here")
	}

	// The third goes on, and is lost, too.
	k.keep(third, begin+3e6, monthOf("L1_a", 10), monthOf("L1_e", 11))
	if n, err := k.rebuild(third); err != nil || n != 0 {
		t.Errorf("of what is there %d versions are loaded: %v", n, err)
	}
	last := open(t, Options{})
	if n, err := k.rebuild(last); err != nil || n != 9 {
		t.Fatalf("%d versions are loaded: %v", n, err)
	}
	if diff := cmp.Diff(rebuilt(t, third), rebuilt(t, last)); diff != "" {
		t.Error(diff)
	}
}

// A rebuild that was cut short goes on.
func TestRebuildGoesOn(t *testing.T) {
	k := &keeping{t: t}
	lost, next := open(t, Options{}), open(t, Options{})
	k.keep(lost, begin+1e6, monthOf("L1_a", 1), monthOf("L1_a", 3), monthOf("L1_b", 2))
	if _, err := next.pool.Exec(t.Context(), `create function trouble() returns trigger language plpgsql as $$ begin raise exception 'trouble' using errcode = 'XX000'; end $$;
		create trigger trouble before insert on files for each row when (new.generation = 2) execute function trouble()`); err != nil {
		t.Fatal(err)
	}
	if n, err := k.rebuild(next); err == nil {
		t.Fatalf("%d versions are loaded", n)
	}
	if _, err := next.pool.Exec(t.Context(), "drop trigger trouble on files"); err != nil {
		t.Fatal(err)
	}
	if n, err := k.rebuild(next); err != nil || n != 1 {
		t.Errorf("%d versions are loaded: %v", n, err)
	}
	if diff := cmp.Diff(rebuilt(t, lost), rebuilt(t, next)); diff != "" {
		t.Error(diff)
	}
}

// A copy is loaded in the place of its original where that is lost with its bytes,
// and once.
func TestRebuildOfCopies(t *testing.T) {
	k := &keeping{t: t}
	lost, next := open(t, Options{}), open(t, Options{})
	original, copied, again := monthOf("L1_a", 1), monthOf("L1_b", 1), monthOf("L1_c", 1)
	original.modified += 9
	commit(t, committerOf(t, sinkOf(t, lost, SinkOptions{})), original) // not archived
	k.keep(lost, begin+1e6, copied, again)
	kept := monthOf("L1_e", 2)
	kept.modified -= 9
	k.keep(lost, begin+1e6, kept, monthOf("L1_d", 2)) // the later is the original, and comes later
	if diff := cmp.Diff([]string{"L1_a|1|loaded", "L1_b|1|duplicate", "L1_c|1|duplicate", "L1_d|1|loaded", "L1_e|1|duplicate", "1", "2"}, rebuilt(t, lost)); diff != "" {
		t.Fatal(diff)
	}
	if n, err := k.rebuild(next); err != nil || n != 4 {
		t.Fatalf("%d versions are loaded: %v", n, err)
	}
	if diff := cmp.Diff([]string{"L1_b|1|duplicate", "L1_c|1|loaded", "L1_d|1|loaded", "L1_e|1|duplicate", "1", "2"}, rebuilt(t, next)); diff != "" {
		t.Error(diff)
	}
	verify(t, next)
}

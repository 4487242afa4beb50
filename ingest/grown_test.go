package ingest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A grower is a yard of files that grow.
type grower struct {
	*yard
}

func (g grower) FetchGain(ctx context.Context, f File, of *Growth, c *Content) error {
	if err := g.yard.Fetch(ctx, f, c); err != nil {
		return err
	}
	g.yard.mu.Lock()
	g.yard.fetches[f.Path+" gain"]++
	g.yard.fetches[f.Path]--
	g.yard.mu.Unlock()
	c.Gain = &Gain{Seam: 0, Of: *of}
	return nil
}

// wholeDecoder cannot read a gain by itself.
type wholeDecoder struct{ lineDecoder }

func (d *wholeDecoder) Decode(ctx context.Context, c *Content, b *Batch) error {
	if c.Gain != nil {
		b.Begin(c)
		return ErrWhole
	}
	return d.lineDecoder.Decode(ctx, c, b)
}

// grownBook has a growth of every file that it has been told to know.
type grownBook struct {
	*book
	refuses bool          // what is gained cannot be stored by itself
	whole   time.Duration // ago all of it was read
}

func (b grownBook) Pending(ctx context.Context, files []File) ([]Standing, error) {
	all, err := b.book.Pending(ctx, files)
	for i := range all {
		if all[i].Take && all[i].State == Loaded {
			all[i].Grew, all[i].Growth = true, &Growth{At: b.book.known[files[i].Path].file.Size, Place: Place{Pack: "pack", Offset: 1000}, Whole: Micros(time.Now().Add(-b.whole)), Hashed: stateOf(sha256.New())}
		}
	}
	return all, err
}

func (b grownBook) Committer(context.Context) (Committer, error) {
	return grownCommitter{&bookCommitter{b.book}, b.refuses}, nil
}

type grownCommitter struct {
	*bookCommitter
	refuses bool
}

func (c grownCommitter) Commit(ctx context.Context, batch *Batch) ([]Outcome, error) {
	if !c.refuses || batch.Spans[0].Gained == nil {
		return c.bookCommitter.Commit(ctx, batch)
	}
	outcomes := make([]Outcome, len(batch.Spans))
	for i, s := range batch.Spans {
		outcomes[i] = Outcome{File: s.File, State: Whole}
	}
	return outcomes, nil
}

// gains reads a gain as any other file, one that grows from its begin on.
type gains struct{ lineDecoder }

func (d *gains) Decode(ctx context.Context, c *Content, b *Batch) error {
	err := d.lineDecoder.Decode(ctx, c, b)
	if err == nil && c.Gain != nil {
		b.Spans[len(b.Spans)-1].GrowsAt = c.Gain.Of.At
	}
	return err
}

// What a file gained, is archived and then taken whole, is settled once the
// ledger has the whole: else its pack is kept for ever.
func TestAGainThatIsTakenWholeIsSettled(t *testing.T) {
	v := &vault{}
	operate(t, func(p *plant) {
		p.Source, p.Sink, p.Archive = grower{yard: p.yard}, grownBook{book: p.book}, v
		p.NewDecoder = func() Decoder { return &wholeDecoder{} }
		f := p.yard.put("L/1", reading1(1))
		p.book.known["L/1"] = version{f, sumOf(reading1(1)), Loaded, 1}
		p.yard.put("L/1", reading1(1)+reading1(2))
	}, func(p *plant) {
		p.after(20 * time.Second)
		if p.yard.fetches["L/1 gain"] != 1 || p.yard.fetches["L/1"] != 1 || p.book.known["L/1"].n != 2 {
			t.Fatalf("fetched %v, version %d", p.yard.fetches, p.book.known["L/1"].n)
		}
		if len(v.settled) != len(v.packs) {
			t.Errorf("%d contents are archived, and %d of them settled", len(v.packs), len(v.settled))
		}
	})
}

// A file that is taken whole after all came when what it gained did.
func TestWhatIsTakenWholeArrivedWithItsGain(t *testing.T) {
	operate(t, func(p *plant) {
		p.Source, p.Sink = grower{yard: p.yard}, grownBook{book: p.book, refuses: true}
		p.NewDecoder = func() Decoder { return &gains{} }
		f := p.yard.put("L/1", reading1(1))
		p.book.known["L/1"] = version{f, sumOf(reading1(1)), Loaded, 1}
	}, func(p *plant) {
		p.after(10 * time.Second)
		p.yard.put("L/1", reading1(1)+reading1(2))
		p.after(45 * time.Second)
		if p.yard.fetches["L/1 gain"] != 1 || p.book.known["L/1"].n != 2 {
			t.Fatalf("fetched %v, version %d", p.yard.fetches, p.book.known["L/1"].n)
		}
		if got := FromMicros(p.book.arrived["L/1"]).Sub(p.began); got.Round(time.Second) != 30*time.Second {
			t.Errorf("it came %s after the begin, and was first seen after 30 s", got)
		}
	})
}

// What a file gained and could not be stored by itself is not settled before
// the ledger has the file: here the source has lost it meanwhile.
func TestAGainThatTheLedgerHasNotGotIsNotSettled(t *testing.T) {
	v := &vault{}
	operate(t, func(p *plant) {
		p.Source, p.Sink, p.Archive = grower{yard: p.yard}, grownBook{book: p.book, refuses: true}, v
		p.NewDecoder = func() Decoder { return &gains{} }
		f := p.yard.put("L/1", reading1(1))
		p.book.known["L/1"] = version{f, sumOf(reading1(1)), Loaded, 1}
		p.yard.put("L/1", reading1(1)+reading1(2))
		p.yard.hook = func(_ context.Context, now step, path string) error {
			if now == fetching && p.yard.fetches[path+" gain"] > 0 {
				return fs.ErrNotExist
			}
			return nil
		}
	}, func(p *plant) {
		p.after(20 * time.Second)
		if p.book.known["L/1"].n != 1 || len(v.packs) != 1 {
			t.Fatalf("version %d, %d contents archived", p.book.known["L/1"].n, len(v.packs))
		}
		if len(v.settled) != 0 {
			t.Error("the ledger has not got what the file gained, the source has it no more, and the archive is told that it may be forgotten")
		}
	})
}

// Files that are taken whole after all are committed within the limits of a
// chunk, as all others are.
func TestWhatIsTakenWholeKeepsTheLimits(t *testing.T) {
	most := 0
	operate(t, func(p *plant) {
		p.Source, p.Sink = grower{yard: p.yard}, grownBook{book: p.book, refuses: true}
		p.NewDecoder = func() Decoder { return &gains{} }
		p.Workers, p.Limits.Readings = 1, 1000
		for i := range 50 {
			path := fmt.Sprintf("L/%02d", i)
			f := p.yard.put(path, "")
			p.book.known[path] = version{f, sumOf(""), Loaded, 1}
			p.yard.put(path, reading1(1))
		}
		// The gain is a line, the whole a thousand.
		p.yard.hook = func(_ context.Context, now step, path string) error {
			if now == fetching && p.yard.fetches[path+" gain"] > 0 {
				p.yard.mu.Lock()
				p.yard.files[path].text = strings.Repeat(reading1(1), 1000)
				p.yard.mu.Unlock()
			}
			return nil
		}
	}, func(p *plant) {
		p.after(20 * time.Second)
		for _, c := range p.book.commits {
			most = max(most, len(c))
		}
		if p.book.readings != 50_000 {
			t.Fatalf("%d readings", p.book.readings)
		}
		if most > 2 {
			t.Errorf("a commit of %d files of 1000 readings each, where 1000 readings are the limit", most)
		}
	})
}

// A growsByRow is a source with one file, of which all can be fetched, and what it gained.
type growsByRow struct{ gained, whole int }

func (*growsByRow) Name() string                                 { return "s" }
func (*growsByRow) Files(context.Context) iter.Seq2[File, error] { return nil }
func (*growsByRow) Done(context.Context, File, Outcome) error    { return nil }

func (g *growsByRow) Fetch(_ context.Context, f File, c *Content) error {
	g.whole++
	c.File, c.Data, c.Fetched = f, append(c.Data[:0], "a\nb\n"...), Micros(time.Now())
	return nil
}

func (g *growsByRow) FetchGain(_ context.Context, f File, of *Growth, c *Content) error {
	g.gained++
	c.File, c.Data, c.Gain = f, append(c.Data[:0], "b\n"...), &Gain{Of: *of}
	return nil
}

// TestRehashOfGrowth checks that a file that grows is read whole once in the time
// of Rehash, and not at each growth after it.
func TestRehashOfGrowth(t *testing.T) {
	g := new(growsByRow)
	r := &run{Pipeline: &Pipeline{Source: g, Rehash: 24 * time.Hour}, grower: g}
	hash := sha256.New()
	hash.Write([]byte("a\n"))
	of := &Growth{At: 2, Hashed: stateOf(hash), Whole: Micros(time.Now().Add(-25 * time.Hour))}
	for range 5 {
		var c Content
		if err := r.fetchBytes(t.Context(), &reference{File: File{Path: "x"}, growth: of}, &c); err != nil {
			t.Fatal(err)
		}
		next := *of
		next.Whole = c.Gain.Of.Whole // which is what is recorded
		of = &next
	}
	if g.whole != 1 || g.gained != 5 {
		t.Errorf("it grew %d times and was read whole %d times", g.gained, g.whole)
	}
}

// Files of which little is fetched share a transaction, however large they are.
func TestGainsShareATransaction(t *testing.T) {
	for _, connections := range []int{0, 2} {
		operate(t, func(p *plant) {
			p.Connections, p.Limits.Bytes, p.Workers = connections, 10_000, 1
			p.Source, p.Sink = smallGains{grower{yard: p.yard}}, grownBook{book: p.book}
			p.NewDecoder = func() Decoder { return &gains{} }
			for i := range 50 {
				path := fmt.Sprintf("L/%02d", i)
				f := p.yard.put(path, strings.Repeat("#", 12_000))
				p.book.known[path] = version{f, sumOf(""), Loaded, 1}
				p.yard.put(path, strings.Repeat("#", 12_010))
			}
		}, func(p *plant) {
			p.after(20 * time.Second)
			if p.book.readings != 50 {
				t.Fatalf("%d readings", p.book.readings)
			}
			if n := len(p.book.commits); n > 5 {
				t.Errorf("%d connections: %d commits for 50 files that gained a line each", connections, n)
			}
		})
	}
}

// smallGains gives a line for what a file gained.
type smallGains struct{ grower }

func (g smallGains) FetchGain(ctx context.Context, f File, of *Growth, c *Content) error {
	err := g.grower.FetchGain(ctx, f, of, c)
	c.Data = append(c.Data[:0], reading1(1)...)
	return err
}

// A file that grows is read whole for what can be told who looks closely.
func TestWhyAGrownFileIsTakenWhole(t *testing.T) {
	for why, set := range map[string]func(*plant){
		"the source sends files only whole": func(p *plant) { p.Source = p.yard },
		"too little by itself":              func(p *plant) { p.NewDecoder = func() Decoder { return &wholeDecoder{} } },
		"changes more in the ledger":        func(p *plant) { p.Sink = grownBook{book: p.book, refuses: true} },
		"once a day": func(p *plant) {
			p.Archive, p.Sink = &vault{}, grownBook{book: p.book, whole: 25 * time.Hour}
		},
		"to be hashed again": func(p *plant) {
			p.Archive, p.Rehash, p.Sink = &vault{}, time.Hour, grownBook{book: p.book, whole: 2 * time.Hour}
		},
		"": func(*plant) {},
	} {
		operate(t, func(p *plant) {
			p.Source, p.Sink, p.NewDecoder = grower{yard: p.yard}, grownBook{book: p.book}, func() Decoder { return &gains{} }
			p.Log = slog.New(slog.NewTextHandler(&p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			f := p.yard.put("L/1", reading1(1))
			p.book.known["L/1"] = version{f, sumOf(reading1(1)), Loaded, 1}
			p.yard.put("L/1", reading1(1)+reading1(2))
			set(p)
		}, func(p *plant) {
			p.after(20 * time.Second)
			told := strings.Count(p.log.String(), "is taken whole")
			if whole := why != ""; (told == 1) != whole || !strings.Contains(p.log.String(), why) || (p.yard.fetches["L/1"] == 1) != whole {
				t.Errorf("%q is not told of, once, where it should be; whole it was fetched %d times:\n%s", why, p.yard.fetches["L/1"], p.log.String())
			}
		})
	}
}

// carriable reads files that can be carried on from their end.
type carriable struct{ lineDecoder }

func (d *carriable) Decode(ctx context.Context, c *Content, b *Batch) error {
	err := d.lineDecoder.Decode(ctx, c, b)
	b.Spans[len(b.Spans)-1].GrowsAt = int64(len(c.Data))
	return err
}

// A notingBook notes of which files it is given by what they are carried on.
type notingBook struct {
	*book
	given map[string]bool
}

func (b notingBook) Committer(context.Context) (Committer, error) {
	return notingCommitter{&bookCommitter{b.book}, b.given}, nil
}

type notingCommitter struct {
	*bookCommitter
	given map[string]bool
}

func (c notingCommitter) Commit(ctx context.Context, batch *Batch) ([]Outcome, error) {
	for i := range batch.Spans {
		c.given[batch.Spans[i].File.Path] = batch.Spans[i].Growth != nil
	}
	return c.bookCommitter.Commit(ctx, batch)
}

// By what a large file is carried on is kept where it is loaded from an archive,
// too: it goes on growing where it came from.
func TestWhatIsLoadedFromAnArchiveGrows(t *testing.T) {
	for _, grows := range []bool{false, true} {
		given := make(map[string]bool)
		operate(t, func(p *plant) {
			p.Grows, p.Workers, p.Sink = grows, 1, notingBook{p.book, given}
			p.NewDecoder = func() Decoder { return &carriable{} }
			p.yard.put("L/large", strings.Repeat(reading1(1), growthFrom/len(reading1(1))+1))
			p.yard.put("L/small", reading1(1))
		}, func(p *plant) {
			p.after(20 * time.Second)
			if len(given) != 2 || given["L/large"] != grows || given["L/small"] {
				t.Errorf("with %t it is kept of %v", grows, given)
			}
		})
	}
}

package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"
)

// A Generator writes corpora of any shape: how many files of how many loggers,
// how long, in which layout, with what share of damage.
//
// A file is of one logger and holds one row for each instant, with a value for
// every channel. Files take loggers in turn, and a logger's next file goes on
// where its last one ended, so no two files share logger, channel and
// timestamp. Equal generators give equal bytes, names and modification times;
// as far as a [Corpus] can be told by one, its bytes are the Corpus's.
type Generator struct {
	Files    int     `json:"files"`
	Loggers  int     `json:"loggers"`  // that take turns; 0 means 270, or the most that the layout tells apart
	Channels int     `json:"channels"` // of each logger; 0 means 2, or the most that the layout has
	Readings int     `json:"readings"` // in each file, rounded up to whole rows; with Skew the median
	Skew     float64 `json:"skew"`     // 0: all files are alike; else their lengths are log-normal with this sigma: at 1.5 one file in 100 is over 30 times as long as the median
	Layout   string  `json:"layout"`   // the built-in profile that reads them; "" means plain-long
	Errors   float64 `json:"errors"`   // the share of rows with a timestamp or a value that cannot be read
	Gzip     bool    `json:"gzip"`
	Seed     uint64  `json:"seed"`
}

// Folder is where below its directory a Generator writes the files; the truth
// about them stands beside it.
const Folder = "files"

// A corpusFile is one file of what is generated.
type corpusFile struct {
	n        int // which of the corpus
	logger   int
	turn     int // which of the logger
	before   int // rows that the logger's earlier files hold
	rows     int
	step     time.Duration
	channels []quantity
	name     string // of the logger, as it will be read
}

func (f *corpusFile) at(row int) time.Time {
	return corpusStart.Add(time.Duration(f.before+row) * f.step)
}

func (f *corpusFile) start() time.Time { return f.at(0) }

// Write writes the files below dir/files and what must be read from them to
// dir/truth.csv and dir/truth.json. It makes dir, which must be empty; what it
// wrote stays where ctx ends it.
func (g Generator) Write(ctx context.Context, dir string) (*Truth, error) {
	l, files, err := g.lay()
	if err != nil {
		return nil, err
	}
	if err := emptyFolder(dir); err != nil {
		return nil, err
	}
	truth := &Truth{Generator: g, Profile: l.name, ByName: l.byName, Zone: l.zone}
	size := make([]int64, len(files))
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(runtime.GOMAXPROCS(0) + 1)
	work.Go(func() error { return truth.write(ctx, dir, l, files) })
	for first := 0; first < len(files); first += filesPerFolder {
		work.Go(func() error {
			return g.writeFiles(ctx, filepath.Join(dir, Folder), l, files[first:min(first+filesPerFolder, len(files))], size[first:])
		})
	}
	if err := work.Wait(); err != nil {
		return nil, fmt.Errorf("writing a corpus: %w", err)
	}
	for _, n := range size {
		truth.Bytes += n
	}
	return truth, truth.writeSummary(dir)
}

// Check says why there can be no such corpus.
func (g Generator) Check() error {
	_, _, err := g.lay()
	return err
}

// lay decides what each file holds.
func (g *Generator) lay() (*layout, []corpusFile, error) {
	l, err := g.complete()
	if err != nil {
		return nil, nil, err
	}
	files, err := g.plan(l)
	return l, files, err
}

// complete puts in what is not said, and refuses what cannot be.
func (g *Generator) complete() (*layout, error) {
	if g.Layout == "" {
		g.Layout = "plain-long"
	}
	l := layoutNamed(g.Layout)
	if l == nil {
		return nil, fmt.Errorf("there is no layout %q to write a corpus in: it is one of %s", g.Layout, layoutNames())
	}
	most := 10_000
	if l.loggers > 0 {
		most = l.loggers
	}
	if g.Loggers == 0 {
		g.Loggers = min(defaultLoggers, most)
	}
	if g.Channels == 0 {
		g.Channels = min(2, l.most())
	}
	switch {
	case g.Files < 1 || g.Readings < 1:
		return nil, fmt.Errorf("a corpus needs at least one file and one reading in it: got %d and %d", g.Files, g.Readings)
	case g.Loggers < 1 || g.Loggers > most:
		return nil, fmt.Errorf("a corpus in the layout %s has 1 to %d loggers: got %d", l.name, most, g.Loggers)
	case g.Channels < 1 || g.Channels > l.most():
		return nil, fmt.Errorf("a file in the layout %s has 1 to %d channels: got %d", l.name, l.most(), g.Channels)
	case !(g.Skew >= 0 && g.Skew <= 4):
		return nil, fmt.Errorf("the skew is from 0 (none) to 4: got %v", g.Skew)
	case !(g.Errors >= 0 && g.Errors <= 1):
		return nil, fmt.Errorf("the share of rows with errors is from 0 to 1: got %v", g.Errors)
	}
	return l, nil
}

// plan gives each file its logger and its rows. All that is recorded must lie in the past:
// what does not is no reading.
func (g *Generator) plan(l *layout) ([]corpusFile, error) {
	files := make([]corpusFile, g.Files)
	held := make([]int, g.Loggers) // rows, by logger
	channels := l.quantities(g.Channels)
	for n := range files {
		f := &files[n]
		*f = corpusFile{n: n, logger: n % g.Loggers, turn: n / g.Loggers, rows: g.rows(n), step: l.step, channels: channels}
		f.before = held[f.logger]
		f.name = l.logger(f.logger)
		held[f.logger] += f.rows
	}
	if longest := slices.Max(held); longest > int(corpusEnd.Sub(corpusStart)/l.step) {
		return nil, fmt.Errorf("a logger would record %d rows, one each %v, from %s on, which goes beyond %s: a corpus of this size needs more loggers than %d, or shorter files",
			longest, l.step, corpusStart.Format(time.DateOnly), corpusEnd.Format(time.DateOnly), g.Loggers)
	}
	return files, nil
}

// rows is how many rows file n has.
func (g *Generator) rows(n int) int {
	readings := float64(g.Readings)
	if g.Skew > 0 {
		normal := math.Sqrt2 * math.Erfinv(2*uniform(g.Seed^0x736b6577, n)-1)
		readings *= math.Exp(g.Skew * normal)
	}
	return max(1, int(math.Ceil(readings/float64(g.Channels))))
}

// uniform is in (0, 1), the same for equal arguments.
func uniform(seed uint64, n int) float64 {
	return (float64(mix(seed+uint64(n))>>11) + 0.5) / (1 << 53)
}

func (g *Generator) writeFiles(ctx context.Context, dir string, l *layout, files []corpusFile, size []int64) error {
	var text []byte
	var packed bytes.Buffer
	for i := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		f := &files[i]
		path, modified := filepath.Join(dir, g.path(l, f)), f.at(f.rows-1).Add(time.Minute)
		text = g.appendFile(text[:0], l, f)
		out := text
		if g.Gzip {
			packed.Reset()
			if err := pack(&packed, text, modified); err != nil {
				return err
			}
			out = packed.Bytes()
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := errors.Join(os.WriteFile(path, out, 0o644), os.Chtimes(path, modified, modified)); err != nil {
			return err
		}
		size[i] = int64(len(out))
	}
	return nil
}

func pack(to *bytes.Buffer, text []byte, modified time.Time) error {
	w := gzip.NewWriter(to)
	w.ModTime = modified
	_, err := w.Write(text)
	return errors.Join(err, w.Close())
}

// path is where a file stands below the folder of files.
func (g *Generator) path(l *layout, f *corpusFile) string {
	path := l.path(f)
	if g.Gzip {
		path += ".gz"
	}
	return filepath.FromSlash(path)
}

func (g *Generator) appendFile(b []byte, l *layout, f *corpusFile) []byte {
	if l.head != nil {
		b = l.head(b, f)
	}
	r := row{cells: make([][]byte, len(f.channels))}
	for n := range f.rows {
		g.fill(&r, l, f, n)
		b = l.row(b, f, &r)
	}
	return append(b, l.foot...)
}

// A row is what a logger recorded at one instant, as text.
type row struct {
	n     int // which of the file
	at    time.Time
	stamp string
	cells [][]byte // by channel
	lost  int      // of its readings, how many cannot be read
	bad   int      // the channel whose value cannot be read, -1 for none
}

func (g *Generator) fill(r *row, l *layout, f *corpusFile, n int) {
	r.n, r.at, r.lost, r.bad = n, f.at(n), 0, -1
	r.stamp = l.stamp(r.at)
	for c := range f.channels {
		r.cells[c] = l.number(r.cells[c][:0], g.milli(f, l, n, c))
	}
	instant := f.logger + (f.before+n)*g.Loggers
	// Where nothing but rows tells the layout, the first is left whole.
	if g.Errors == 0 || n == 0 && l.headless || uniform(g.Seed^0x6572726f72, instant) >= g.Errors {
		return
	}
	if kind := mix(g.Seed ^ 0x6b696e64 + uint64(instant)); kind%2 == 0 && r.stamp != "" {
		last := strings.LastIndexAny(r.stamp, "0123456789")
		r.stamp = r.stamp[:last] + "x" + r.stamp[last+1:]
		r.lost = len(f.channels)
	} else {
		r.bad = int(kind/2) % len(f.channels)
		r.cells[r.bad] = append(r.cells[r.bad][:0], "ERR"...)
		r.lost = 1
	}
}

// milli is the value of a channel in row n of a file, in thousandths, as fine
// as the layout can tell.
func (g *Generator) milli(f *corpusFile, l *layout, n, channel int) int64 {
	instant := f.logger + (f.before+n)*g.Loggers
	milli := corpusMilli(g.Seed, instant*len(f.channels)+channel, channel)
	return milli - milli%l.grain
}

// number appends a value as the layout writes it.
func (l *layout) number(b []byte, milli int64) []byte {
	switch {
	case l.tenths:
		return strconv.AppendInt(b, milli/100, 10)
	case l.comma:
		b = appendMilli(b, milli)
		b[len(b)-4] = ','
		return b
	}
	return appendMilli(b, milli)
}

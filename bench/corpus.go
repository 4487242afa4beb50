// Package bench measures Penstock: what it is measured on, and with what.
//
// The comparisons that a release is judged by are commands of their own:
// bench/ratios runs them, against bench/floor, the least programs that do the
// same work.
package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// A Corpus describes logger files in the plain long layout, one reading a
// line, timestamps in UTC:
//
//	logger,channel,timestamp,value
//	L0000,flow,2024-01-01T00:00:00Z,27.675
//	L0000,pressure,2024-01-01T00:00:00Z,2.965
//
// Equal descriptions give equal bytes, names and modification times. No two
// readings of a corpus share logger, channel and timestamp.
type Corpus struct {
	Files    int    // how many
	Readings int    // in each file
	Loggers  int    // that take turns; 0 means 270, the most with four digits is 10,000
	Seed     uint64 // of the values
	Revised  uint64 // seed of the values at every other instant of each logger; 0 for the same as all have
}

// A Reading is one line of a corpus.
type Reading struct {
	Logger, Channel string
	Time            time.Time // UTC, whole seconds
	Milli           int64     // the value in thousandths
}

const (
	corpusHeader   = "logger,channel,timestamp,value\n"
	filesPerFolder = 1000
	corpusStep     = 15 * time.Minute
	defaultLoggers = 270
)

var (
	corpusStart    = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	corpusEnd      = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	corpusChannels = [...]string{"flow", "pressure"}
)

// Reading returns the corpus's reading n, counted from 0: file 0's come first,
// in the order of its lines, then file 1's. At each instant every logger
// records every channel.
func (c Corpus) Reading(n int) Reading {
	loggers := c.loggers()
	each := len(corpusChannels)
	r := Reading{
		Logger:  loggerName(n / each % loggers),
		Channel: corpusChannels[n%each],
		Time:    corpusStart.Add(time.Duration(n/each/loggers) * corpusStep),
	}
	seed := c.Seed
	if c.Revised != 0 && n/each/loggers%2 == 1 {
		seed = c.Revised
	}
	r.Milli = corpusMilli(seed, n, n%each)
	return r
}

// corpusMilli is the value of reading n, which is of a logger's channel with
// the given number: flow in l/s, and what varies as pressure in bar does.
func corpusMilli(seed uint64, n, channel int) int64 {
	noise := int64(mix(seed+uint64(n)) % 2000)
	if channel == 0 {
		return 20_000 + 5*noise
	}
	return 2_500 + noise
}

// Path returns where file i of the corpus stands below its folder: a folder
// for each thousand files, and in it a name made of the file's first logger
// and timestamp.
func (c Corpus) Path(i int) string {
	r := c.Reading(i * c.Readings)
	return filepath.FromSlash(corpusPath(i, r.Logger, r.Time))
}

func corpusPath(i int, logger string, start time.Time) string {
	return fmt.Sprintf("%03d/%s_%s_%06d.csv", i/filesPerFolder, logger, start.Format("20060102T1504"), i)
}

// AppendFile appends the bytes of file i to b.
func (c Corpus) AppendFile(b []byte, i int) []byte {
	return c.appendReadings(append(b, corpusHeader...), i*c.Readings, (i+1)*c.Readings)
}

func (c Corpus) appendReadings(b []byte, from, to int) []byte {
	for n := from; n < to; n++ {
		r := c.Reading(n)
		b = append(b, r.Logger...)
		b = append(b, ',')
		b = append(b, r.Channel...)
		b = append(b, ',')
		b = r.Time.AppendFormat(b, time.RFC3339)
		b = append(b, ',')
		b = appendMilli(b, r.Milli)
		b = append(b, '\n')
	}
	return b
}

// Write writes the corpus below dir, which it makes and which must be empty.
// Modification times lie in the past, a minute after a file's last reading, so
// that they may stand for the content from the first listing on.
func (c Corpus) Write(dir string) error {
	if c.Files < 1 || c.Readings < 1 || c.Loggers < 0 || c.Loggers > 10_000 {
		return fmt.Errorf("a corpus needs at least one file and one reading, and at most 10000 loggers: got %d, %d and %d", c.Files, c.Readings, c.Loggers)
	}
	if err := emptyFolder(dir); err != nil {
		return err
	}
	var folders errgroup.Group
	folders.SetLimit(runtime.GOMAXPROCS(0))
	for first := 0; first < c.Files; first += filesPerFolder {
		folders.Go(func() error { return c.writeFolder(dir, first) })
	}
	return folders.Wait()
}

// emptyFolder makes dir, or holds that it is empty.
func emptyFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("writing a corpus: %w", err)
	}
	if entries, err := os.ReadDir(dir); err != nil {
		return fmt.Errorf("writing a corpus: %w", err)
	} else if len(entries) > 0 {
		return fmt.Errorf("writing a corpus: %s is not empty: %w", dir, fs.ErrExist)
	}
	return nil
}

func (c Corpus) writeFolder(dir string, first int) error {
	if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(c.Path(first))), 0o755); err != nil {
		return fmt.Errorf("writing a corpus: %w", err)
	}
	var buf []byte
	for i := first; i < min(first+filesPerFolder, c.Files); i++ {
		path := filepath.Join(dir, c.Path(i))
		modified := c.Reading((i+1)*c.Readings - 1).Time.Add(time.Minute)
		err := c.writeFile(path, i, &buf)
		err = errors.Join(err, os.Chtimes(path, modified, modified))
		if err != nil {
			return fmt.Errorf("writing a corpus: %w", err)
		}
	}
	return nil
}

// writeFile writes file i by way of buf, a few megabytes at a time however large it
// is.
func (c Corpus) writeFile(path string, i int, buf *[]byte) (err error) {
	const atATime = 50_000 // readings
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	*buf = append((*buf)[:0], corpusHeader...)
	for from, end := i*c.Readings, (i+1)*c.Readings; from < end; from += atATime {
		*buf = c.appendReadings(*buf, from, min(from+atATime, end))
		if _, err := f.Write(*buf); err != nil {
			return err
		}
		*buf = (*buf)[:0]
	}
	return nil
}

func (c Corpus) loggers() int {
	if c.Loggers == 0 {
		return defaultLoggers
	}
	return c.Loggers
}

// loggerName is made without fmt: it is called for every line.
func loggerName(i int) string {
	digits := strconv.Itoa(i)
	return "L0000"[:5-len(digits)] + digits
}

func appendMilli(b []byte, milli int64) []byte {
	b = strconv.AppendInt(b, milli/1000, 10)
	rest := milli % 1000
	return append(b, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
}

// mix is the finaliser of splitmix64 (Steele, Lea and Flood, "Fast splittable
// pseudorandom number generators", 2014): any reading's value without those
// before it.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

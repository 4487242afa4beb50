package format

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"penstock/ingest"
)

// longFile is a plain long file of 20 loggers with two channels each, rows in
// the order in which loggers report.
func longFile(rows int) []byte { return longRows(rows, 20, "%s,%s,%s,%.3f\n", time.DateTime) }

// wideFile is a file of 20 channels.
func wideFile(rows int) []byte {
	var b bytes.Buffer
	b.WriteString("time")
	for i := range 20 {
		fmt.Fprintf(&b, ",channel %d", i)
	}
	b.WriteByte('\n')
	at := time.Date(2024, 4, 5, 0, 0, 0, 0, time.UTC) // no clock changes until its end
	random := rand.New(rand.NewPCG(1, 2))
	for range rows {
		b.WriteString(at.Format(time.DateTime))
		for range 20 {
			fmt.Fprintf(&b, ",%.2f", random.Float64()*1000)
		}
		b.WriteByte('\n')
		at = at.Add(15 * time.Minute)
	}
	return b.Bytes()
}

const plainWide = `
name: plain-wide
shape: wide
signature: {header: [time], others: true}
logger: {file_name: '^(?P<logger>[^_]+)_'}
timestamp: {column: time, layout: "2006-01-02 15:04:05"}
`

func benchDecoder(b *testing.B, settings Settings) *Decoder {
	b.Helper()
	p, err := Parse("plain-wide.yaml", []byte(strings.Replace(plainWide, "timestamp: {", "timestamp: {gap: shift, ", 1)))
	if err != nil {
		b.Fatal(err)
	}
	set, err := NewSet(true, p)
	if err != nil {
		b.Fatal(err)
	}
	d, err := NewDecoder(set, settings)
	if err != nil {
		b.Fatal(err)
	}
	return d
}

func benchDecode(b *testing.B, path string, text []byte, readings int) {
	benchDecodeBy(b, Settings{Zone: "Europe/London"}, path, text, readings)
}

func benchDecodeBy(b *testing.B, s Settings, path string, text []byte, readings int) {
	b.Helper()
	d := benchDecoder(b, s)
	batch := &ingest.Batch{}
	c := contentOf(path, text, false)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		batch.Reset()
		if err := d.Decode(context.Background(), c, batch); err != nil {
			b.Fatal(err)
		}
	}
	if s := &batch.Spans[0]; s.State != ingest.Loaded || len(batch.Time) != readings {
		b.Fatalf("%s %s, %d readings, want %d", s.State, s.Reason, len(batch.Time), readings)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(readings), "ns/reading")
}

func BenchmarkDecodeLong(b *testing.B) {
	benchDecode(b, "all.csv", longFile(100_000), 100_000)
}

func BenchmarkDecodeWide20(b *testing.B) {
	benchDecode(b, "L1_2024.csv", wideFile(10_000), 200_000)
}

// BenchmarkDecodeMatrix reads a row a day of each of 50 meters, of 96 readings.
func BenchmarkDecodeMatrix(b *testing.B) {
	text := matrixFile()
	d := decoderFor(b, "name: m\nshape: matrix\nlogger: {column: Meter}\nchannel: {constant: energy}\ntimestamp: {column: Day, layout: 2006-01-02, zone: Europe/London}\n", Settings{})
	batch := &ingest.Batch{}
	c := contentOf("all.csv", text, false)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		batch.Reset()
		if err := d.Decode(b.Context(), c, batch); err != nil {
			b.Fatal(err)
		}
	}
	if len(batch.Time) != 96_000 {
		b.Fatalf("%s: %d readings", batch.Spans[0].Reason, len(batch.Time))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(batch.Time)), "ns/reading")
}

// BenchmarkDecodeTinyFiles reads files of two readings, each of a logger of
// its own, 500 to a batch.
func BenchmarkDecodeTinyFiles(b *testing.B) {
	for _, shape := range []string{"long", "wide"} {
		b.Run(shape, func(b *testing.B) {
			const files = 500
			contents := make([]*ingest.Content, files)
			size := 0
			for i := range contents {
				text := fmt.Sprintf("logger,channel,timestamp,value\nlogger-%04d,flow,2024-01-01 00:15:00,12.5\nlogger-%04d,pressure,2024-01-01 00:15:00,3.25\n", i, i)
				if shape == "wide" {
					text = "time,flow,pressure\n2024-01-01 00:15:00,12.5,3.25\n"
				}
				contents[i] = contentOf(fmt.Sprintf("in/%d/logger-%04d_202401010015.csv", i%7, i), []byte(text), false)
				size += len(text)
			}
			d := benchDecoder(b, Settings{Zone: "Europe/London"})
			batch := &ingest.Batch{}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				batch.Reset()
				for _, c := range contents {
					if err := d.Decode(context.Background(), c, batch); err != nil {
						b.Fatal(err)
					}
				}
			}
			if len(batch.Time) != 2*files {
				b.Fatalf("%d readings, want %d", len(batch.Time), 2*files)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/files, "ns/file")
		})
	}
}

// BenchmarkDecodeLoggers reads the file of BenchmarkDecodeLong with a loggers
// table: one that has none of its loggers, one that renames and converts them
// all, one with a swap of each in the middle, one with a clock for each.
func BenchmarkDecodeLoggers(b *testing.B) {
	for _, c := range []struct{ name, row string }{
		{"others", "X%d,,,,\n"}, {"converted", "logger-%03d,Site,2,,\n"}, {"every", "logger-%03d,Site,,,15m\n"},
		{"swapped", "logger-%03[1]d,A,,,,,2024-01-13\nlogger-%03[1]d,B,,,,2024-01-13,\n"}, {"clocks", "logger-%03d,,,Europe/Berlin,\n"},
	} {
		b.Run(c.name, func(b *testing.B) {
			head := "name,logger,multiply,zone,every\n"
			if c.name == "swapped" {
				head = "name,logger,multiply,zone,every,from,until\n"
			}
			rows := head
			for i := range 20 {
				rows += fmt.Sprintf(c.row, i)
			}
			benchDecodeBy(b, Settings{Zone: "Europe/London", Loggers: loggersFor(b, rows)}, "all.csv", longFile(100_000), 100_000)
		})
	}
}

// BenchmarkDecodeAuto reads files whose profile is found out and files whose
// profile is named, large and tiny, in turn, and tells how much longer it takes
// to find it out.
func BenchmarkDecodeAuto(b *testing.B) {
	own, err := Parse("plain-wide.yaml", []byte(plainWide))
	if err != nil {
		b.Fatal(err)
	}
	set, err := NewSet(true, own)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name, profile, path string
		text                []byte
	}{
		{"long of 100,000 rows", "plain-long", "all.csv", longFile(100_000)},
		{"wide of 1,000 rows", "plain-wide", "L1_2024.csv", wideFile(1000)},
		{"long of 2 rows", "plain-long", "L1_202401010015.csv", longFile(2)},
		{"wide of 2 rows", "plain-wide", "L1_202401010015.csv", wideFile(2)},
	} {
		b.Run(c.name, func(b *testing.B) {
			content := contentOf(c.path, c.text, false)
			batch := &ingest.Batch{}
			var took [2]time.Duration
			var decoders [2]*Decoder
			for i, profile := range []string{c.profile, ""} {
				if decoders[i], err = NewDecoder(set, Settings{Zone: "Europe/London", Profile: profile}); err != nil {
					b.Fatal(err)
				}
			}
			const files = 4
			for b.Loop() {
				for i, d := range decoders {
					began := time.Now()
					for range files {
						batch.Reset()
						if err := d.Decode(b.Context(), content, batch); err != nil {
							b.Fatal(err)
						}
					}
					took[i] += time.Since(began)
					if s := &batch.Spans[0]; s.State != ingest.Loaded || s.Recipe.Profile != c.profile {
						b.Fatalf("%s %s", s.State, s.Reason)
					}
				}
			}
			b.ReportMetric(float64(took[1].Nanoseconds())/float64(took[0].Nanoseconds()), "auto/named")
			b.ReportMetric(float64(took[1].Nanoseconds()-took[0].Nanoseconds())/float64(b.N*files), "ns-more/file")
		})
	}
}

// BenchmarkGuess guesses a file of a mebibyte, and tells how much longer that
// takes than to open and read it; and decodes tiny files of unknown kinds, whose
// profile is guessed for each.
func BenchmarkGuess(b *testing.B) {
	b.Run("long of 1 MiB", func(b *testing.B) {
		text := bytes.ReplaceAll(longFile(30_000), []byte("logger,channel,timestamp,value"), []byte("site,sensor,when,reading"))
		benchGuess(b, text[:guessBytes])
	})
	b.Run("wide of 1 MiB", func(b *testing.B) {
		benchGuess(b, wideFile(10_000)[:guessBytes])
	})
	b.Run("narrow of 1 MiB", func(b *testing.B) {
		benchGuess(b, wideMebibyte().Text)
	})
	for _, shape := range []string{"long", "wide", "matching none"} {
		b.Run("tiny "+shape, func(b *testing.B) {
			const files = 100
			contents := make([]*ingest.Content, files)
			for i := range contents {
				text := fmt.Sprintf("site,sensor,when,reading\nlogger-%04d,flow,2024-01-%02dT00:15:00Z,12.5\nlogger-%04d,pressure,2024-01-13T00:15:00Z,3.25\n", i, 1+i%12, i)
				switch shape {
				case "wide":
					text = fmt.Sprintf("when,flow,pressure\n2024-01-13T00:15:00Z,%d.5,3.25\n2024-01-13T00:30:00Z,12.5,3.25\n", i)
				case "matching none":
					text = fmt.Sprintf("a note about logger %d\nthat holds no readings at all\n", i)
				}
				contents[i] = contentOf(fmt.Sprintf("in/%d/logger-%04d_202401010015.csv", i%7, i), []byte(text), false)
			}
			d := benchDecoder(b, Settings{Zone: "Europe/London"})
			batch := &ingest.Batch{}
			b.ReportAllocs()
			for b.Loop() {
				batch.Reset()
				for _, c := range contents {
					if err := d.Decode(b.Context(), c, batch); err != nil {
						b.Fatal(err)
					}
				}
			}
			want := map[string]int{"long": 2, "wide": 4}[shape] * files
			if s := &batch.Spans[0]; len(batch.Time) != want {
				b.Fatalf("%d readings, want %d: %s %s", len(batch.Time), want, s.State, s.Reason)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/files, "ns/file")
		})
	}
}

func benchGuess(b *testing.B, text []byte) {
	path := filepath.Join(b.TempDir(), "L1_2024.csv")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		b.Fatal(err)
	}
	var read, guessed time.Duration
	for b.Loop() {
		began := time.Now()
		again, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		read += time.Since(began)
		began = time.Now()
		g := Guess([]Sample{{Path: path, Text: again}}, GuessOptions{Zone: "Europe/London"})
		guessed += time.Since(began)
		if !g.Certain() {
			b.Fatalf("%s %+v", g.Refusal, g.Shape)
		}
	}
	b.ReportMetric(float64(read.Nanoseconds())/float64(b.N)/1e6, "ms-read")
	b.ReportMetric(float64(guessed.Nanoseconds())/float64(b.N)/1e6, "ms-guess")
}

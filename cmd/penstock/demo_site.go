package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// A siteFile is one file of the demo's site.
type siteFile struct {
	path    string
	text    []byte
	written time.Time
}

// writeSite writes the demo's site below dir, the same bytes with the same
// times each time, and returns how many files it has.
func writeSite(dir string) (int, error) {
	files, err := siteFiles()
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		path := filepath.Join(dir, f.path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return 0, fmt.Errorf("writing the site: %w", err)
		}
		if err := os.WriteFile(path, f.text, 0o644); err != nil {
			return 0, fmt.Errorf("writing the site: %w", err)
		}
		if err := os.Chtimes(path, f.written, f.written); err != nil {
			return 0, fmt.Errorf("writing the site: %w", err)
		}
	}
	return len(files), nil
}

var siteBegins = time.Date(2025, 6, 2, 0, 0, 0, 0, time.UTC)

const (
	siteDays    = 3
	siteLoggers = 4
	siteStep    = 15 * time.Minute
)

// siteFiles is four flow loggers that send a file a day, one of them packed;
// a weather station of Campbell's; and what goes wrong: a meter that writes
// nonsense, an upload that came twice, one that broke off, and a stray note.
func siteFiles() ([]siteFile, error) {
	random := rand.New(rand.NewPCG(1, 2))
	var files []siteFile
	for day := range siteDays {
		begin := siteBegins.AddDate(0, 0, day)
		end := begin.AddDate(0, 0, 1)
		for n := range siteLoggers {
			name := fmt.Sprintf("L-10%d", n+1)
			f := siteFile{fmt.Sprintf("flow/%s_%s.csv", name, begin.Format("20060102")), flowFile(random, name, begin), end}
			if n == siteLoggers-1 {
				packed, err := gzipped(f.text)
				if err != nil {
					return nil, err
				}
				f.path, f.text = f.path+".gz", packed
			}
			files = append(files, f)
		}
		files = append(files, siteFile{fmt.Sprintf("weather/CR1000_Met_%s.dat", begin.Format("20060102")), weatherFile(random, begin, day), end})
	}
	last := files[len(files)-2] // the packed one of the last day
	files[2].text = withNonsense(files[2].text)
	return append(files,
		siteFile{"flow/L-101_20250602 (1).csv", files[0].text, files[0].written.Add(time.Hour)},
		siteFile{"flow/L-104_upload.csv.gz", last.text[:len(last.text)/2], last.written.Add(time.Hour)},
		siteFile{"flow/README.csv", []byte("L-103 is to be replaced in July\n"), last.written.Add(2 * time.Hour)},
	), nil
}

// flowFile is a day of one logger in the plain long layout: flow with its
// morning and evening peaks, and pressure that falls as the flow rises.
func flowFile(random *rand.Rand, logger string, day time.Time) []byte {
	var b bytes.Buffer
	b.WriteString("logger,channel,timestamp,value,unit,quality\n")
	for t := day; t.Before(day.AddDate(0, 0, 1)); t = t.Add(siteStep) {
		hour := t.Sub(day).Hours()
		flow := 3 + 4*math.Exp(-math.Pow(hour-7.5, 2)/4) + 3*math.Exp(-math.Pow(hour-19, 2)/6) + 0.3*random.Float64()
		fmt.Fprintf(&b, "%s,flow,%s,%.2f,l/s,\n", logger, t.Format(time.RFC3339), flow)
		fmt.Fprintf(&b, "%s,pressure,%s,%.1f,m,\n", logger, t.Format(time.RFC3339), 52-1.4*flow+0.2*random.Float64())
	}
	return b.Bytes()
}

// withNonsense puts into a file what a logger with a bad battery writes: a
// value that is none, a date that is none, and a line that broke off.
func withNonsense(text []byte) []byte {
	lines := bytes.SplitAfter(text, []byte("\n"))
	lines[21] = []byte("L-103,flow,2025-06-02T02:30:00Z,###,l/s,\n")
	lines[40] = []byte("L-103,pressure,2025-06-31T04:45:00Z,47.1,m,\n")
	lines[60] = []byte("L-103,pressu\n")
	return bytes.Join(lines, nil)
}

// weatherFile is a day of a weather station in Campbell Scientific's TOA5,
// whose timestamps have no zone.
func weatherFile(random *rand.Rand, day time.Time, number int) []byte {
	var b bytes.Buffer
	b.WriteString(`"TOA5","Reservoir_Met","CR1000","12345","CR1000.Std.32","CPU:met.CR1","4711","Met15"` + "\r\n")
	b.WriteString(`"TIMESTAMP","RECORD","AirTC_Avg","RH","Rain_mm_Tot"` + "\r\n")
	b.WriteString(`"TS","RN","Deg C","%","mm"` + "\r\n")
	b.WriteString(`"","","Avg","Smp","Tot"` + "\r\n")
	record := number * int(24*time.Hour/siteStep)
	for t := day; t.Before(day.AddDate(0, 0, 1)); t = t.Add(siteStep) {
		hour := t.Sub(day).Hours()
		air := 14 + 6*math.Sin((hour-9)/24*2*math.Pi) + random.Float64()
		rain := "0"
		if random.IntN(12) == 0 {
			rain = fmt.Sprintf("%.1f", 0.2*float64(1+random.IntN(8)))
		}
		humidity := fmt.Sprintf("%.1f", 90-2*air)
		if random.IntN(60) == 0 {
			humidity = `"NAN"`
		}
		fmt.Fprintf(&b, "\"%s\",%d,%.2f,%s,%s\r\n", t.Format(time.DateTime), record, air, humidity, rain)
		record++
	}
	return b.Bytes()
}

func gzipped(text []byte) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(text); err != nil {
		return nil, fmt.Errorf("packing: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("packing: %w", err)
	}
	return b.Bytes(), nil
}

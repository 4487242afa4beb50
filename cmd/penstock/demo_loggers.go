package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jlaffaye/ftp"
)

const (
	// uploadEvery is how often a logger of the demo sends a file, and recordEvery
	// how often it records.
	uploadEvery = 4 * time.Second
	recordEvery = 250 * time.Millisecond
	// repeatAfter is when an upload that broke off is begun anew.
	repeatAfter = time.Second
)

// demoLoggers are the site's loggers while the demo runs. Each has its way of
// sending files, as in the field.
type demoLoggers struct {
	server *demoServer

	files, readings atomic.Int64 // that arrived whole
	brokeOff        atomic.Int64 // uploads
}

// A habit is how a logger sends its files.
type habit int

const (
	sendsAtOnce habit = iota
	sendsSlowly       // in pieces, with pauses
	renames           // under another name first
	breaksOff         // every other upload, and repeats it whole
	sendsPacked       // by gzip; one file is cut short where it was packed
	isWeather         // writes another layout
)

// run lets the loggers send until ctx ends, and returns when the last upload is
// done.
func (l *demoLoggers) run(ctx context.Context) {
	var all sync.WaitGroup
	for n, habit := range []habit{sendsAtOnce, sendsSlowly, renames, breaksOff, sendsPacked, isWeather} {
		all.Go(func() {
			name := fmt.Sprintf("PS-1%d", n+1)
			if habit == isWeather {
				name = "Roof_Met"
			}
			logger := &demoLogger{demoLoggers: l, name: name, habit: habit, random: rand.New(rand.NewPCG(3, uint64(n)))}
			if pause(ctx, uploadEvery*time.Duration(n)/6) {
				logger.run(ctx)
			}
		})
	}
	all.Wait()
}

type demoLogger struct {
	*demoLoggers
	name   string
	habit  habit
	random *rand.Rand
	record int // of the weather station, which counts them
}

func (l *demoLogger) run(ctx context.Context) {
	from := time.Now().Add(-uploadEvery).Truncate(recordEvery)
	for number := 1; ; number++ {
		to := time.Now().Truncate(recordEvery)
		l.send(ctx, number, from, to)
		from = to
		if !pause(ctx, uploadEvery) {
			return
		}
	}
}

// send uploads what was recorded between two times. An upload that was begun is
// ended though ctx does.
func (l *demoLogger) send(ctx context.Context, number int, from, to time.Time) {
	path, text, readings := l.file(from, to)
	if l.habit == sendsPacked {
		packed, err := gzipped(text)
		if err != nil {
			return // a buffer takes anything
		}
		if path, text = path+".gz", packed; number == 2 {
			text, readings = text[:len(text)/2], 0
		}
	}
	if l.habit == breaksOff && number%2 == 0 {
		if l.upload(path, &breaking{bytes.NewReader(text[:len(text)/2])}) != nil {
			l.brokeOff.Add(1)
		}
		pause(context.WithoutCancel(ctx), repeatAfter)
	}
	data := io.Reader(bytes.NewReader(text))
	if l.habit == sendsSlowly {
		data = &trickling{Reader: bytes.NewReader(text), piece: len(text)/4 + 1}
	}
	for l.upload(path, data) != nil {
		if !pause(ctx, repeatAfter) {
			return
		}
		data = bytes.NewReader(text)
	}
	l.files.Add(1)
	l.readings.Add(int64(readings))
}

// upload logs in and sends one file, as loggers do: a connection for each.
func (l *demoLogger) upload(path string, data io.Reader) error {
	c, err := ftp.Dial(l.server.address, ftp.DialWithTimeout(5*time.Second))
	if err != nil {
		return fmt.Errorf("%s: %w", l.name, err)
	}
	err = c.Login(l.server.user, l.server.password)
	name := path
	if l.habit == renames {
		name += ".tmp"
	}
	if err == nil {
		err = c.Stor(name, data)
	}
	if err == nil && name != path {
		err = c.Rename(name, path)
	}
	return errors.Join(err, c.Quit())
}

// file is what was recorded in [from, to), with the number of its readings.
func (l *demoLogger) file(from, to time.Time) (path string, text []byte, readings int) {
	var b bytes.Buffer
	name := l.name + "_" + to.UTC().Format("20060102T150405.000")
	if l.habit == isWeather {
		b.WriteString(`"TOA5","` + l.name + `","CR1000","54321","CR1000.Std.32","CPU:met.CR1","4711","Met"` + "\r\n")
		b.WriteString(`"TIMESTAMP","RECORD","AirTC","Wind"` + "\r\n" + `"TS","RN","Deg C","m/s"` + "\r\n" + `"","","Smp","Smp"` + "\r\n")
		for t := from; t.Before(to); t = t.Add(recordEvery) {
			l.record++
			fmt.Fprintf(&b, "\"%s\",%d,%.2f,%.1f\r\n", t.UTC().Format("2006-01-02 15:04:05.000"), l.record, 14+wave(t, 47)+0.1*l.random.Float64(), 4+2*wave(t, 11)+l.random.Float64())
			readings += 2
		}
		return name + ".dat", b.Bytes(), readings
	}
	b.WriteString("logger,channel,timestamp,value,unit,quality\n")
	for t := from; t.Before(to); t = t.Add(recordEvery) {
		flow := 4 + 2*wave(t, 20+float64(len(l.name))) + 0.3*l.random.Float64()
		at := t.UTC().Format("2006-01-02T15:04:05.000Z07:00")
		fmt.Fprintf(&b, "%s,flow,%s,%.2f,l/s,\n%s,pressure,%s,%.1f,m,\n", l.name, at, flow, l.name, at, 52-1.4*flow+0.2*l.random.Float64())
		readings += 2
	}
	return name + ".csv", b.Bytes(), readings
}

// wave goes up and down between 1 and -1 in so many seconds.
func wave(t time.Time, period float64) float64 {
	return math.Sin(float64(t.UnixMilli()) / 1000 / period * 2 * math.Pi)
}

// breaking ends with an error and not at its end.
type breaking struct{ io.Reader }

var errBrokenOff = errors.New("the modem lost its carrier")

// Read implements [io.Reader].
func (r *breaking) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = errBrokenOff
	}
	return n, err
}

// trickling comes in pieces with pauses between them.
type trickling struct {
	io.Reader
	piece int
	begun bool
}

// Read implements [io.Reader].
func (r *trickling) Read(p []byte) (int, error) {
	if r.begun {
		pause(context.Background(), repeatAfter/2)
	}
	r.begun = true
	return r.Reader.Read(p[:min(len(p), r.piece)])
}

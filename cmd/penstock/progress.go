package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"penstock/ingest"
)

const (
	// showAfter is how long work may take before progress is shown.
	showAfter = time.Second
	// redrawn is how often a bar moves, toldEvery how often a line is written
	// where there is no terminal.
	redrawn   = 100 * time.Millisecond
	toldEvery = 5 * time.Second
	// barWidth leaves room for the counts in 80 columns.
	barWidth = 16
)

// progress shows how far a run is: a bar on a terminal, a line every few
// seconds elsewhere, nothing when asked to be quiet. Its counts may be changed
// by any goroutine.
type progress struct {
	listed    atomic.Int64
	listedAll atomic.Bool // listed is the number of all files
	done      atomic.Int64
	readings  atomic.Int64
	loading   atomic.Int64 // readings of files that are loading in parts, so far
	trouble   atomic.Int64

	parts map[string]int64 // observe's: of these files, by path

	a     *app
	held  *yielding
	began time.Time
	stop  chan struct{}
	gone  sync.WaitGroup
}

func (a *app) startProgress(began time.Time, held *yielding) *progress {
	p := &progress{a: a, held: held, began: began, stop: make(chan struct{})}
	if a.quiet {
		return p
	}
	p.gone.Go(func() {
		if a.errTerminal {
			p.drawBar()
		} else {
			p.tellLines()
		}
	})
	return p
}

// end takes the bar away. It must be called, once.
func (p *progress) end() {
	close(p.stop)
	p.gone.Wait()
}

// observe takes in an event. It must not be called concurrently.
func (p *progress) observe(e ingest.Event) {
	if part := e.Part; part != nil {
		if p.parts == nil {
			p.parts = make(map[string]int64)
		}
		p.parts[part.File.Path] += int64(part.Readings)
		p.loading.Add(int64(part.Readings))
	}
	for i := range e.Outcomes {
		o := &e.Outcomes[i]
		p.loading.Add(-p.parts[o.File.Path])
		delete(p.parts, o.File.Path)
		p.readings.Add(o.Receipt.Cells.Readings())
		if troubled(o) {
			p.trouble.Add(1)
		}
	}
	p.done.Add(int64(len(e.Outcomes)))
}

func (p *progress) drawBar() {
	select {
	case <-p.stop:
		return
	case <-time.After(showAfter):
	}
	bars := mpb.New(mpb.WithOutput(p.a.err.w), mpb.WithAutoRefresh(), mpb.WithRefreshRate(redrawn))
	bar := bars.AddBar(0, mpb.BarWidth(barWidth), mpb.BarRemoveOnComplete(),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + p.line() })))
	p.a.err.over(barWriter{bars})
	tick := time.NewTicker(redrawn)
	defer tick.Stop()
	for {
		if p.listedAll.Load() {
			bar.SetTotal(p.listed.Load(), false)
		}
		bar.SetCurrent(p.done.Load())
		select {
		case <-tick.C:
		case <-p.stop:
			bar.Abort(true)
			bars.Wait()
			p.a.err.over(nil)
			return
		}
	}
}

// A barWriter writes above the bar, which takes whole lines.
type barWriter struct{ bars *mpb.Progress }

func (w barWriter) Write(b []byte) (int, error) { return w.bars.Write(b) }

func (p *progress) tellLines() {
	tick := time.NewTicker(toldEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			p.a.note("%s", p.line())
		case <-p.stop:
			return
		}
	}
}

// line words how far the run is. The number of all files is told once it is
// known.
func (p *progress) line() string {
	took := time.Since(p.began)
	done, of := p.done.Load(), ""
	if p.listedAll.Load() {
		of = " of " + count(p.listed.Load())
	}
	text := fmt.Sprintf("%s%s files, %s, %s readings", count(done), of, rate(done, took.Seconds()), count(p.readings.Load()+p.loading.Load()))
	if n := p.trouble.Load(); n > 0 {
		text += fmt.Sprintf(", %s with trouble", count(n))
	}
	text += ", " + took.Truncate(time.Second).String()
	if reason := p.held.waiting(); reason != "" {
		text += ", " + reason
	}
	return text
}

package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
)

// A folder that can never be listed, or a link that leads nowhere, does not
// make what is known of files that went pile up.
func TestWhatWentIsForgotten(t *testing.T) {
	for _, broken := range []string{"", "lost+found", "."} { // the last tells nothing about what is gone
		synctest.Test(t, func(t *testing.T) {
			y := newYard()
			y.tidies = true
			if broken != "" {
				y.broken, y.at = fs.ErrPermission, broken
			}
			take, stop := context.WithCancel(t.Context())
			group, work := errgroup.WithContext(t.Context())
			p := &Pipeline{Source: y, Sink: newBook(), NewDecoder: func() Decoder { return &lineDecoder{} }, Workers: 1, Poll: 30 * time.Second, Log: slog.New(slog.DiscardHandler)}
			r := p.newRun(take, work)
			r.start(group)
			for hour := range 10 {
				for i := range 100 {
					y.put(fmt.Sprintf("L/%d.%d", hour, i), reading1(i))
				}
				time.Sleep(time.Hour) //nolint:forbidigo // the clock is the bubble's
			}
			time.Sleep(14 * time.Hour) //nolint:forbidigo // the clock is the bubble's
			synctest.Wait()
			if len(y.files) != 0 {
				t.Errorf("%d files are still there", len(y.files))
			}
			want := 0
			if broken == "." {
				want = 1000
			}
			if n := len(r.known.files); n != want {
				t.Errorf("never listed: %q; 14 hours after the last of 1000 files went, %d are remembered", broken, n)
			}
			stop()
			if err := group.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A server that lists only a part of what there is may do so for ever: what it
// lists is loaded, what it does not is not taken for gone, and the listing has not
// failed.
func TestAListingInPart(t *testing.T) {
	operate(t, func(p *plant) {
		for i := range 20 {
			p.yard.put(fmt.Sprintf("L/%02d", i), reading1(i))
		}
	}, func(p *plant) {
		p.after(40 * time.Second) // it was seen that all are loaded
		if p.last().Cut != 0 || p.last().CutWhy != nil {
			t.Errorf("of a whole listing is told %+v", p.last())
		}
		asked := p.book.asked
		p.yard.mu.Lock()
		p.yard.broken, p.yard.at = fmt.Errorf("list /: %w: 20 of 40", ErrTruncated), "."
		left := p.yard.files["L/07"]
		delete(p.yard.files, "L/07")
		p.yard.mu.Unlock()
		p.yard.put("L/new", reading1(100))
		p.after(70 * time.Second)
		if c := p.last(); c.Err != nil || c.Cut != 1 || !errors.Is(c.CutWhy, ErrTruncated) || c.Files[Failed]+p.told[Failed] != 0 {
			t.Errorf("told of %+v, and %v", c, p.told)
		}
		p.yard.mu.Lock()
		p.yard.files["L/07"] = left
		p.yard.mu.Unlock()
		p.after(3 * time.Minute)
		if p.book.known["L/new"].n != 1 || p.book.asked != asked+2 { // L/new before and after it was loaded
			t.Errorf("%d files are loaded, the ledger was asked about %d more", len(p.book.known), p.book.asked-asked)
		}
	})
}

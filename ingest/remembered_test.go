package ingest

import (
	"context"
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

package ingest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// One file from the future does not put the live ones behind a backlog.
func TestAFileFromTheFutureStarvesNobody(t *testing.T) {
	for _, future := range []bool{false, true} {
		operate(t, func(p *plant) {
			p.Connections, p.Workers, p.Poll = 1, 1, 10*time.Second
			p.yard.hook = at(fetching, "", lasting(100*time.Millisecond))
			for i := range 6000 {
				p.yard.putAt(fmt.Sprintf("old/%04d", i), reading1(i), time.Now().Add(-24*time.Hour))
			}
			if future {
				p.yard.putAt("broken-clock", reading1(1), time.Now().AddDate(12, 0, 0))
			}
		}, func(p *plant) {
			for i := range 30 {
				p.after(time.Minute + time.Duration(i)*10*time.Second)
				// It was uploaded 12 s ago by the server's clock, and has settled now.
				p.yard.putAt(fmt.Sprintf("live/%02d", i), reading1(i), time.Now().Add(-12*time.Second))
			}
			p.after(6*time.Minute + 30*time.Second)
			live := 0
			for _, path := range p.book.order {
				if strings.HasPrefix(path, "live/") {
					live++
				}
			}
			if live < 30 {
				t.Errorf("with a file from the future: %v; %d of 30 live files are loaded after 30 s and more, and %d old ones", future, live, len(p.book.order)-live)
			}
			p.abort()
			if err := <-p.running; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			p.running = closedWith(nil)
		})
	}
}

// A source of more files than the backlog has room for, none of which can be
// fetched, is listed once a poll and not without a pause.
func TestManyFailingFilesAreNotListedWithoutPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		listings := 0
		src := unfetchable{counted{&oldFiles{endless: endless{backlogBound + 5000}}, &listings}}
		var first *Cycle
		many := Pipeline{
			Source: src, Sink: &learner{known: map[string]bool{}}, Workers: 2, Poll: 30 * time.Second, Connections: 4,
			Limits: Limits{Files: 1000}, NewDecoder: func() Decoder { return &lineDecoder{} },
			Observe: func(e Event) {
				if e.Cycle != nil && first == nil {
					first = e.Cycle
				}
			},
		}
		take, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- many.Run(take, t.Context()) }()
		time.Sleep(29 * time.Second) //nolint:forbidigo // the clock is the bubble's
		synctest.Wait()
		if listings != 1 || first == nil || first.Left < backlogBound || first.Left > first.Listed {
			t.Errorf("%d listings within 29 s, where the poll interval is 30 s; the first cycle: %+v", listings, first)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

type unfetchable struct{ counted }

func (u unfetchable) Fetch(ctx context.Context, _ File, _ *Content) error {
	if err := lasting(50 * time.Millisecond)(ctx); err != nil {
		return err
	}
	return fs.ErrPermission
}

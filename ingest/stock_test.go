package ingest

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A claimant waits too long only when nothing was released while it waited.
func TestThePatienceOfTheStock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStock(&Pipeline{Workers: 1})
		for range 64 {
			s.acquire(t.Context(), 1<<20, 0)
		}
		go func() {
			for range 16 {
				<-time.After(time.Second)
				s.release(1 << 20)
			}
		}()
		if got := s.acquire(t.Context(), 16<<20, spoolsAfter); got != acquired {
			t.Errorf("with something released every second: %d, want acquired", got)
		}
		time.Sleep(20 * time.Second) //nolint:forbidigo // the clock is the bubble's
	})
}

// What was never taken of the stock is not given back.
func TestTheStockIsGivenBackWhatItGave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		y := newYard()
		take, stop := context.WithCancel(t.Context())
		f := y.put("L/1", reading1(1))
		y.hook = at(fetching, "", func(context.Context) error { stop(); return nil })
		p := &Pipeline{Source: y, Sink: newBook(), Workers: 1, Poll: time.Minute, Connections: 1}
		r := p.newRun(take, t.Context())
		places := r.stock.places
		r.backlog.offer([]reference{{File: f}})
		if err := r.fetchAhead(); err != nil {
			t.Error(err)
		}
		if r.stock.free > stockBytes || r.stock.places > places {
			t.Errorf("%d bytes and %d places are free, of %d and %d", r.stock.free, r.stock.places, stockBytes, places)
		}
	})
}

// What is fetched ahead into streams is bounded on disk, too.
func TestStreamsAheadAreBounded(t *testing.T) {
	for _, size := range []int64{-1, 17 << 20, 100 << 20, 1 << 40} {
		s := newStock(&Pipeline{Workers: 64})
		c := &Content{Stream: io.NopCloser(strings.NewReader("")), File: File{Size: size}, Data: make([]byte, 0, 100)}
		n := 0
		for s.claim(c.charge()) == nil {
			n++
		}
		if most := max(1<<30/max(size, 1), 4); n == 0 || int64(n) > most {
			t.Errorf("%d streams of %d bytes are fetched ahead, at most %d may be", n, size, most)
		}
	}
}

package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// An idler is a client of a server that does nothing.
type idler struct {
	client
	server *crowded
}

func (i idler) close() error {
	i.server.mu.Lock()
	defer i.server.mu.Unlock()
	i.server.open--
	return nil
}

func (idler) noop(context.Context) error { return nil }

// crowded is a server that takes so many connections.
type crowded struct {
	mu                  sync.Mutex
	takes               int
	open, most, refused int
	log                 bytes.Buffer
}

func (s *crowded) dial(context.Context) (client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= s.takes {
		s.refused++
		return nil, fmt.Errorf("%w: 421", errTooMany)
	}
	s.open++
	s.most = max(s.most, s.open)
	return idler{server: s}, nil
}

// pool is one of as many connections as that, of which each is tried again
// after a minute.
func (s *crowded) pool(connections int) *pool {
	return newPool(&RemoteOptions{
		Connections: connections, Recover: time.Minute, Timeout: time.Second, Idle: 100 * time.Hour, Retry: time.Second, Refused: time.Hour,
		Log: slog.New(slog.NewTextHandler(&s.log, nil)),
	}, s.dial, account{Accounts: &Accounts{}})
}

// busy has as many users as there are connections use the pool for so long.
func busy(t *testing.T, p *pool, d time.Duration) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var wg sync.WaitGroup
	for range p.options.Connections {
		wg.Go(func() {
			for ctx.Err() == nil {
				_ = p.with(ctx, 0, func(client) error { return wait(ctx, time.Second) }) // it ends with ctx
			}
		})
	}
	wg.Wait()
	synctest.Wait() // connections that were being made for them may still be
}

// TestPoolUnderLoad checks that a pool comes to use what its server allows again
// although somebody waits for a connection at all times.
func TestPoolUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &crowded{takes: 1}
		p := s.pool(4)
		defer p.close()
		busy(t, p, 30*time.Second)
		if s.most != 1 {
			t.Fatalf("there are %d connections", s.most)
		}
		s.takes = 4
		busy(t, p, 10*time.Minute)
		if s.most != 4 {
			t.Errorf("10 minutes after the server took 4 again there were %d at most", s.most)
		}
	})
}

// TestPoolThatIsLeftAlone checks that, of a server that answers no more than two
// connections, only who tries one more is told, unless one of these is ready
// before, and not those who wait for these.
func TestPoolThatIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &crowded{takes: 2}
		p := s.pool(4)
		defer p.close()
		p.dial = func(ctx context.Context) (client, error) {
			c, err := s.dial(ctx)
			if err != nil {
				return nil, syscall.ECONNREFUSED
			}
			return c, nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var failed atomic.Int32
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				for ctx.Err() == nil {
					if err := p.with(ctx, 0, func(client) error { return wait(ctx, time.Second) }); err != nil && ctx.Err() == nil {
						failed.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if n := int(failed.Load()); n == 0 || n > s.refused || s.refused < 100 {
			t.Errorf("one more was tried %d times in vain, and %d were told of it", s.refused, failed.Load())
		}
	})
}

// TestPoolToldOnce checks that a limit of the server is told once, is tried less
// and less often, and is told again where it changes.
func TestPoolToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &crowded{takes: 2}
		p := s.pool(4)
		defer p.close()
		told := func() int { return strings.Count(s.log.String(), "fewer connections") }
		busy(t, p, 24*time.Hour)
		if told() > 1+1 { // 1 while the second was being made
			t.Errorf("it is told %d times:\n%s", told(), s.log.String())
		}
		if s.refused < 24 || s.refused > 40 {
			t.Errorf("one more was tried %d times in a day", s.refused)
		}
		before := told()
		s.takes = 3
		busy(t, p, 24*time.Hour)
		if s.most != 3 || told() != before+1 {
			t.Errorf("it takes 3, there were %d, and that is told %d times", s.most, told()-before)
		}
	})
}

// TestPoolClosedAtALogin: who waits for a login that succeeds while the pool is
// closed hears of that.
func TestPoolClosedAtALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &crowded{takes: 4}
		p := s.pool(4)
		p.dial = func(ctx context.Context) (client, error) {
			<-ctx.Done() // the last reply had come all the same
			return s.dial(ctx)
		}
		done := make(chan error, 1)
		go func() { done <- p.with(t.Context(), 0, func(client) error { return nil }) }()
		synctest.Wait()
		p.close()
		synctest.Wait()
		select {
		case err := <-done:
			if !errors.Is(err, errClosed) {
				t.Errorf("it says %v", err)
			}
		default:
			t.Fatal("it still waits")
		}
	})
}

// TestPoolPasswordChangesMeanwhile: a password that was never tried is tried, also
// where it was changed while the server took its time to refuse the one before.
func TestPoolPasswordChangesMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var password atomic.Value
		password.Store("old")
		o := &RemoteOptions{Source: "s"}
		if err := o.complete(); err != nil {
			t.Fatal(err)
		}
		p := newPool(o, func(context.Context) (client, error) {
			sent := password.Load()
			time.Sleep(2 * time.Second) //nolint:forbidigo // the clock is the bubble's
			if sent == "old" {
				return nil, wrongLogin{}
			}
			return idler{server: &crowded{}}, nil
		}, account{Accounts: &Accounts{}, name: "a", password: func() (string, error) { return password.Load().(string), nil }})
		defer p.close()
		time.AfterFunc(time.Second, func() { password.Store("new") })
		nothing := func(client) error { return nil }
		if err := p.with(t.Context(), 0, nothing); !errors.Is(err, errRefused) {
			t.Errorf("the old password: %v", err)
		}
		if err := p.with(t.Context(), 0, nothing); err != nil {
			t.Errorf("the new password: %v", err)
		}
	})
}

// TestPoolInOrder: of those for whom connections are being made, who asked first
// gets the first that is ready.
func TestPoolInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &crowded{takes: 9}
		p := s.pool(3)
		defer p.close()
		dials := 0
		p.dial = func(ctx context.Context) (client, error) {
			if dials++; dials > 1 {
				time.Sleep(time.Hour) //nolint:forbidigo // the clock is the bubble's
			}
			return s.dial(ctx)
		}
		hold, got := make(chan struct{}), make(chan string, 2)
		use := func(do func()) {
			if err := p.with(t.Context(), 0, func(client) error { do(); return nil }); err != nil {
				t.Error(err)
			}
		}
		go use(func() { <-hold })
		synctest.Wait()
		for _, who := range []string{"first", "second"} {
			go use(func() { got <- who })
			synctest.Wait()
		}
		close(hold)
		if who := <-got; who != "first" {
			t.Errorf("the %s was served first", who)
		}
		<-got
		time.Sleep(2 * time.Hour) //nolint:forbidigo // the clock is the bubble's
	})
}

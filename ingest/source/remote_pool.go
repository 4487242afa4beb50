package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"penstock/ingest"
)

// A pool has the connections to one server: at most as many as are configured,
// and fewer while the server allows fewer. Those who want one get one in the
// order in which they asked. A connection that is in doubt is dropped and never
// used again.
type pool struct {
	options *RemoteOptions
	dial    func(context.Context) (client, error)
	account account

	mu      sync.Mutex
	idle    []*pooled // the one used last stands last, and is used next
	open    int       // those that are idle, in use, or being made
	dialing int
	limit   int       // of open
	lowered time.Time // when limit was last changed
	allowed int       // how many the server was told to allow; 0 for as many as are configured
	vain    int       // how often one more was tried since in vain
	waiters []*waiter
	closed  bool

	proved  bool // a login has worked; until then one is tried at a time
	failed  int  // how many logins or connections failed since one worked
	refused int  // likewise, for the login was refused
	pause   *pauseError
	keeping bool            // the keeper is running
	life    context.Context // ends when it is closed
	end     context.CancelFunc
	working sync.WaitGroup // the keeper, and what makes connections
}

// A waiter waits for a connection, or to look again.
type waiter struct {
	ready chan given // of one place
	dials bool       // a connection is being made for it; it takes another that is ready before
}

// given is what a waiter gets: a connection, an error, or, with neither, that it
// is to look again.
type given struct {
	c   *pooled
	err error
}

// A pooled is one connection of a pool.
type pooled struct {
	client
	used    time.Time // by somebody
	touched time.Time // likewise, or by the keeper
	reused  bool      // it was idle before: it may have died meanwhile
}

// A pauseError says why the server is left alone for a while.
type pauseError struct {
	err   error
	until time.Time
	firm  bool // not worth waiting for: a person must do something
}

func (e *pauseError) Error() string { return e.err.Error() }
func (e *pauseError) Unwrap() error { return e.err }

func newPool(o *RemoteOptions, dial func(context.Context) (client, error), a account) *pool {
	p := &pool{options: o, dial: dial, account: a, limit: o.Connections}
	p.life, p.end = context.WithCancel(context.Background())
	return p
}

var (
	errClosed  = errors.New("the source is closed")
	errGarbled = errors.New("the server's reply made no sense")
)

// with calls do with a connection, which do leaves in order or returns an
// error. A connection that was idle may have died without anyone noticing, so
// what fails on one is done again on a new one; do must bear that. When the
// server cannot be reached, with waits for it, for up to patience.
func (p *pool) with(ctx context.Context, patience time.Duration, do func(client) error) error {
	until := time.Now().Add(patience)
	for again := false; ; again = true {
		c, err := p.get(ctx)
		var pause *pauseError
		if errors.As(err, &pause) && !pause.firm && pause.until.Before(until) {
			if err := wait(ctx, time.Until(pause.until)); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		reused := c.reused
		err = p.guarded(func() error { return do(c.client) })
		p.put(c, err)
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil || inOrder(err) || errors.Is(err, errGivenUp) || !reused || again {
			return err
		}
	}
}

// guarded turns a panic into an error: the libraries that speak with servers
// are known to panic on garbled replies.
func (p *pool) guarded(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w (%v)", errGarbled, r)
			p.options.Log.Debug("reading a server's reply panicked", slog.String("source", p.options.Source),
				slog.Any("panic", r), slog.String("stack", string(debug.Stack())))
		}
	}()
	return do()
}

// errGivenUp says of a transfer that it was ended before it was whole, because no
// more was wanted. That costs its connection, and nothing is wrong with another.
var errGivenUp = errors.New("the reading was given up")

// inOrder reports whether a connection that gave err can be used on.
func inOrder(err error) bool {
	if errors.Is(err, errGivenUp) {
		return false
	}
	return err == nil || errors.Is(err, ingest.ErrTruncated) || errors.Is(err, ingest.ErrWhole) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrExist) || errors.Is(err, ingest.ErrChanged)
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// get returns a connection that is the caller's until put.
func (p *pool) get(ctx context.Context) (*pooled, error) {
	woken := false
	for {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, errClosed
		}
		first := woken || !p.queued()
		if n := len(p.idle); n > 0 && first {
			c := p.idle[n-1]
			p.idle = p.idle[:n-1]
			p.mu.Unlock()
			return c, nil
		}
		w, end := &waiter{ready: make(chan given, 1)}, func() {}
		if p.regrow(); p.open < p.limit && (p.proved || p.dialing == 0) && first && !p.leftAlone() {
			if err := p.paused(); err != nil {
				p.wake()
				p.mu.Unlock()
				return nil, err
			}
			end = p.connect(w)
			p.enqueue(w)
		} else {
			p.waiters = append(p.waiters, w)
		}
		p.mu.Unlock()
		select {
		case g := <-w.ready:
			if g.c != nil || g.err != nil {
				return g.c, g.err
			}
			woken = true
		case <-ctx.Done():
			end()
			p.leave(w)
			return nil, context.Cause(ctx)
		}
	}
}

// enqueue has w wait behind those who asked before and for whom a connection is
// being made, too.
func (p *pool) enqueue(w *waiter) {
	i := slices.IndexFunc(p.waiters, func(w *waiter) bool { return !w.dials })
	if i < 0 {
		i = len(p.waiters)
	}
	p.waiters = slices.Insert(p.waiters, i, w)
}

// queued reports whether somebody waits for whom no connection is being made.
func (p *pool) queued() bool {
	return slices.ContainsFunc(p.waiters, func(w *waiter) bool { return !w.dials })
}

// leftAlone reports whether no connection is to be made now though there are
// some: those who want one wait for these, and need not hear of the pause.
func (p *pool) leftAlone() bool { return p.open-p.dialing > 0 && p.paused() != nil }

// leave takes a waiter out of the queue, and hands on what it was given.
func (p *pool) leave(w *waiter) {
	p.mu.Lock()
	if p.remove(w) {
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	if g := <-w.ready; g.c != nil {
		p.put(g.c, nil)
		return
	}
	p.mu.Lock()
	p.wake()
	p.mu.Unlock()
}

// remove takes w out of the queue, and reports whether it was there.
func (p *pool) remove(w *waiter) bool {
	i := slices.Index(p.waiters, w)
	if i >= 0 {
		p.waiters = slices.Delete(p.waiters, i, i+1)
	}
	return i >= 0
}

// regrow allows one connection more when the server has not refused any for a
// while, which is longer each time that it does.
func (p *pool) regrow() {
	const most = 6 // doublings: an hour
	if p.limit < p.options.Connections && time.Since(p.lowered) >= p.options.Recover<<min(p.vain, most) {
		p.limit++
		p.lowered = time.Now()
	}
}

// connect begins to make a connection, for w, and returns what gives it up. The
// login may take longer than it does until another connection is ready: w takes
// that then, and this one serves who waits when it is there. It is called with the
// lock held.
func (p *pool) connect(w *waiter) (end context.CancelFunc) {
	p.open++
	p.dialing++
	w.dials = true
	ctx, cancel := context.WithCancel(p.life)
	p.working.Go(func() {
		defer cancel()
		sum := p.account.sum() // before it is tried: it may be another one when the server answers
		var c client
		err := p.guarded(func() (err error) {
			c, err = p.dial(ctx)
			return err
		})
		p.connected(w, c, err, sum, ctx.Err() != nil)
	})
	return cancel
}

// connected has what became of a connection that was made for w, with the secret
// that sum stands for.
func (p *pool) connected(w *waiter, c client, err error, sum secretSum, givenUp bool) {
	p.mu.Lock()
	p.dialing--
	w.dials = false
	if err == nil {
		p.proved, p.failed, p.refused, p.pause = true, 0, 0, nil
		p.account.worked(sum)
		if p.open-p.dialing > p.allowed {
			p.allowed, p.vain = 0, 0
		}
		now := time.Now()
		made := &pooled{client: c, used: now, touched: now}
		if p.closed {
			p.open--
			p.wakeAll()
			p.mu.Unlock()
			p.closeAll([]*pooled{made})
			return
		}
		p.hand(made)
		p.keep()
	} else {
		p.open--
		if told := p.failedToConnect(err, sum, givenUp); told != nil && p.remove(w) {
			w.ready <- given{err: told}
		}
	}
	p.wakeAll()
	p.mu.Unlock()
}

// failedToConnect draws the conclusions from an error, and returns what is to be
// told: nothing where the server just allows no more connections.
func (p *pool) failedToConnect(err error, sum secretSum, givenUp bool) error {
	if givenUp {
		return nil
	}
	limited := errors.Is(err, errTooMany) || errors.Is(err, errRefused) && p.proved
	if limited && p.open > 0 {
		// Those that work show that the login is right.
		p.allows(p.open-p.dialing, err)
		p.limit, p.lowered = p.open, time.Now()
		return nil
	}
	return p.fail(err, sum)
}

// allows notes how many connections the server allows, and tells it once.
func (p *pool) allows(n int, err error) {
	switch {
	case n == 0: // others are being made, and will tell
	case n == p.allowed:
		p.vain++
	default:
		p.allowed, p.vain = n, 0
		p.options.Log.Warn("the server allows fewer connections than are configured",
			slog.String("source", p.options.Source), slog.Int("allowed", n), slog.Int("configured", p.options.Connections), slog.Any("error", err))
	}
}

// fail sets the pause after a connection that could not be made.
func (p *pool) fail(err error, sum secretSum) error {
	p.failed++
	pause, doublings := p.options.Retry, min(p.failed-1, 5)
	firm := false
	if errors.Is(err, errRefused) {
		p.refused++
		// Once a login has worked, the first refusal may be the server's limit,
		// reached by others.
		if !p.proved || p.refused > 1 {
			pause, doublings, firm = p.options.Refused, min(p.account.refuse(sum)-1, 3), true
			p.proved = false
		}
	}
	pause <<= doublings
	told := &pauseError{err: err, until: time.Now().Add(pause), firm: firm}
	if firm {
		p.account.pauses(sum, told)
	} else {
		p.pause = told
	}
	return told
}

// paused returns why no connection is to be tried now.
func (p *pool) paused() error {
	if refused := p.account.paused(); refused != nil {
		return refused
	}
	if p.pause == nil || !time.Now().Before(p.pause.until) {
		return nil
	}
	return p.pause
}

// put gives a connection back, with what its user's last call on it returned.
func (p *pool) put(c *pooled, err error) {
	p.mu.Lock()
	if inOrder(err) && !p.closed {
		c.used = time.Now()
		c.touched, c.reused = c.used, true
		p.hand(c)
		p.keep()
		p.mu.Unlock()
		return
	}
	p.open--
	dead := []*pooled{c}
	if c.reused && !p.closed && !errors.Is(err, errGivenUp) {
		// What killed this one most likely killed those that lie idle.
		dead = append(dead, p.idle...)
		p.open -= len(p.idle)
		p.idle = nil
	}
	if errors.Is(err, errTooMany) && p.open > 0 {
		p.limit, p.lowered = min(p.limit, p.open), time.Now()
	}
	p.wakeAll()
	p.mu.Unlock()
	p.closeAll(dead)
}

func (p *pool) closeAll(all []*pooled) {
	for _, c := range all {
		_ = p.guarded(c.close) // what it says is of a connection that is of no use any more
	}
}

// hand gives c to who has waited longest, or lays it by. While several wait, one
// of them sees whether the server allows more by now: else nobody ever would. While
// the server is left alone they wait for those that there are.
func (p *pool) hand(c *pooled) {
	if p.regrow(); len(p.waiters) > 1 && p.open < p.limit && p.paused() == nil {
		p.wake()
	}
	if len(p.waiters) > 0 {
		p.waiters[0].ready <- given{c: c}
		p.waiters = slices.Delete(p.waiters, 0, 1)
		return
	}
	p.idle = append(p.idle, c)
}

// wake lets who has waited longest look again, of those for whom no connection is
// being made.
func (p *pool) wake() {
	if i := slices.IndexFunc(p.waiters, func(w *waiter) bool { return !w.dials }); i >= 0 {
		p.waiters[i].ready <- given{}
		p.waiters = slices.Delete(p.waiters, i, i+1)
	}
}

func (p *pool) wakeAll() {
	for p.queued() {
		p.wake()
	}
}

// close ends the connections.
func (p *pool) close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	p.end()
	idle := p.idle
	p.idle = nil
	p.open -= len(idle)
	p.wakeAll()
	p.mu.Unlock()
	p.closeAll(idle)
	p.working.Wait()
}

// keep starts the keeper, which runs as long as there are idle connections.
func (p *pool) keep() {
	if p.keeping || len(p.idle) == 0 {
		return
	}
	p.keeping = true
	p.working.Go(p.keepAlive)
}

// keepAlive shows the server that idle connections are still wanted, and
// closes those that are not.
func (p *pool) keepAlive() {
	ctx := p.life
	for wait(ctx, p.options.Idle/2) == nil {
		old, due, more := p.overdue()
		p.closeAll(old)
		for _, c := range due {
			err := p.guarded(func() error { return c.noop(ctx) })
			p.noted(c, err)
		}
		if !more {
			return
		}
	}
	p.mu.Lock()
	p.keeping = false
	p.mu.Unlock()
}

// overdue takes out of the idle connections those to be closed and those to be
// touched. Without more, the keeper has ended.
func (p *pool) overdue() (old, due []*pooled, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.idle = slices.DeleteFunc(p.idle, func(c *pooled) bool {
		switch {
		case now.Sub(c.used) > 10*p.options.Idle:
			old = append(old, c)
		case now.Sub(c.touched) >= p.options.Idle/2:
			due = append(due, c)
		default:
			return false
		}
		return true
	})
	p.open -= len(old)
	p.keeping = len(p.idle)+len(due) > 0
	return old, due, p.keeping
}

// noted lays by a connection that the keeper touched, or drops it.
func (p *pool) noted(c *pooled, err error) {
	if err != nil {
		p.put(c, err)
		return
	}
	p.mu.Lock()
	if !p.closed {
		c.touched = time.Now()
		p.hand(c)
		p.mu.Unlock()
		return
	}
	p.open--
	p.mu.Unlock()
	p.closeAll([]*pooled{c})
}

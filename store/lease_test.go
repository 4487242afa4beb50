package store

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
	"penstock/store/pglocal/pgtest"
)

// quick is a lease with short intervals.
func quick(holder string) LeaseOptions {
	return LeaseOptions{Source: "loggers", Holder: holder, Heartbeat: 60 * time.Millisecond, Expiry: 180 * time.Millisecond}
}

func leaseOf(t testing.TB, s *Store, o LeaseOptions) *Lease {
	t.Helper()
	l, err := s.Lease(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Release(context.Background()) })
	return l
}

// reopen opens the schema of a store once more, as another process would.
func reopen(t testing.TB, s *Store, o Options) *Store {
	t.Helper()
	return openAt(t, s.pool.Config().ConnString(), o)
}

func openAt(t testing.TB, url string, o Options) *Store {
	t.Helper()
	other, err := Open(t.Context(), url, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	return other
}

// A second process is told who holds the lease, renewals keep it away however
// long it waits, and it takes over as soon as the first gives the lease back.
func TestLeaseIsOneProcess(t *testing.T) {
	s := open(t, Options{})
	other := reopen(t, s, Options{})
	first := leaseOf(t, s, quick("first"))
	_, err := other.Lease(t.Context(), quick("second"))
	held := (*LeaseHeldError)(nil)
	if !errors.As(err, &held) || held.Name != "first" || held.Source != "loggers" || time.Since(held.Since).Abs() > time.Minute {
		t.Fatalf("a lease that is held: %v", err)
	}
	leaseOf(t, other, LeaseOptions{Source: "another"})

	var told []string
	waiting := make(chan struct{})
	o := quick("second")
	o.Wait, o.Standby = true, func(h LeaseHolder) {
		told = append(told, h.Name)
		close(waiting)
	}
	got := make(chan *Lease)
	go func() {
		l, err := other.Lease(context.Background(), o)
		if err != nil {
			t.Error(err)
		}
		got <- l
	}()
	<-waiting
	select {
	case <-got:
		t.Fatal("two hold the lease")
	case <-time.After(3 * o.Expiry):
	}
	if err := first.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if err := first.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	released := time.Now()
	second := <-got
	t.Cleanup(func() { _ = second.Release(context.Background()) })
	if took := time.Since(released); took > o.Expiry/2+time.Second {
		t.Errorf("the standby took over %s after the lease was given back", took)
	}
	if diff := cmp.Diff([]string{"first"}, told); diff != "" {
		t.Error(diff)
	}
	if err := first.Check(t.Context()); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("a lease that was given back: %v", err)
	}
	if err := first.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if err := second.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// The end of the context ends the waiting.
func TestStandbyEndsWithItsContext(t *testing.T) {
	s := open(t, Options{})
	leaseOf(t, s, quick("first"))
	ctx, cancel := context.WithCancel(t.Context())
	o := quick("second")
	o.Wait, o.Standby = true, func(LeaseHolder) { cancel() }
	if _, err := s.Lease(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for a lease ended with %v", err)
	}
}

// A holder that does not come to renew its lease loses it to a standby, is told
// so, and may no longer tell its source that files are done.
func TestLeaseThatIsNotRenewedPasses(t *testing.T) {
	s := open(t, Options{})
	p := startProxy(t, s.pool.Config().ConnString())
	cut, err := Open(t.Context(), p.url, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cut.Close)
	first := leaseOf(t, cut, quick("first"))
	p.refuse(true)
	o := quick("second")
	o.Wait = true
	second := leaseOf(t, s, o)
	if err := first.Check(t.Context()); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("a lease that another took: %v", err)
	}
	select {
	case <-first.Lost():
		t.Error("the lease is told as lost by a process that cannot know")
	default:
	}
	p.refuse(false)
	<-first.Lost()
	if err := first.Check(t.Context()); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("a lease that is lost: %v", err)
	}
	if err := first.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if err := second.Check(t.Context()); err != nil {
		t.Errorf("after the other gave back what it had lost: %v", err)
	}
}

// The database is restarted, for longer than the lease is valid: it is still
// its holder's, who was there first. What happened is told once.
func TestLeaseOutlastsARestart(t *testing.T) {
	server := pgtest.Server(t)
	log := &lines{}
	s, err := Open(t.Context(), server.URL(), Options{Create: true, RetryFor: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	o := quick("first")
	o.Log = slog.New(slog.NewTextHandler(log, nil))
	l := leaseOf(t, s, o)
	server.Kill()
	waitFor(t, "the lease to be in doubt", func() bool { return l.Check(t.Context()) != nil })
	if server, err = pgtest.Start(context.Background(), server.Dir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	waitFor(t, "the lease to be sure again", func() bool { return l.Check(t.Context()) == nil })
	select {
	case <-l.Lost():
		t.Error("the lease was lost to nobody")
	default:
	}
	waitFor(t, "the end of it to be told", func() bool { return strings.Count(log.text(), "available again") == 1 })
	if n := strings.Count(log.text(), "not available"); n != 1 {
		t.Errorf("told %d times that the database is away:\n%s", n, log.text())
	}
}

// Behind a pooler each statement may come to another session.
func TestLeaseNeedsNoSession(t *testing.T) {
	s := open(t, Options{})
	bare := reopen(t, s, Options{settings: map[string]string{"search_path": "pg_catalog"}})
	l := leaseOf(t, bare, quick("first"))
	for range 5 {
		l.mu.Lock()
		before := l.confirmed
		l.mu.Unlock()
		query(t, s, `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`)
		waitFor(t, "a renewal over another session", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.confirmed.After(before)
		})
	}
	if got := query(t, s, "select holder from leases"); !slices.Equal(got, []string{"first"}) {
		t.Errorf("the lease is held by %v", got)
	}
}

// leaseChild is set for the process that TestLeaseAfterKill kills.
const leaseChild = "PENSTOCK_TEST_LEASE"

// A process is killed with SIGKILL. The next one takes over when the lease has
// ended, by the real intervals within ten seconds.
func TestLeaseAfterKill(t *testing.T) {
	o := quick("")
	if os.Getenv("PENSTOCK_SOAK") != "" {
		o.Heartbeat, o.Expiry = 0, 0
	}
	if url := os.Getenv(leaseChild); url != "" {
		s, err := Open(t.Context(), url, Options{})
		if err != nil {
			t.Fatal(err)
		}
		leaseOf(t, s, o)
		<-t.Context().Done() // it is killed before
	}
	s := open(t, Options{})
	child := exec.Command(os.Args[0], "-test.run=^TestLeaseAfterKill$")
	child.Env = append(os.Environ(), leaseChild+"="+s.pool.Config().ConnString())
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill(); _ = child.Wait() })
	waitFor(t, "the other process to hold the lease", func() bool {
		return query(t, s, "select count(*) from leases")[0] == "1"
	})
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	o.Wait = true
	leaseOf(t, s, o)
	if took := time.Since(killed); took > 10*time.Second {
		t.Errorf("took over %s after the kill", took)
	}
}

// Two processes load one source by force, each thinking that it holds the
// lease: every reading is there once all the same.
func TestTwoProcessesByForceLoadOnce(t *testing.T) {
	files := fiftyFiles()
	clean := open(t, Options{})
	commitAll(t, []*Sink{sinkOf(t, clean, SinkOptions{})}, files, 1, 50)
	s := open(t, Options{})
	other := reopen(t, s, Options{})
	leaseOf(t, s, quick("first"))
	query(t, s, "delete from leases")
	leaseOf(t, other, quick("second"))
	sinks := []*Sink{sinkOf(t, s, SinkOptions{}), sinkOf(t, other, SinkOptions{})}
	var wg sync.WaitGroup
	for i, sink := range sinks {
		wg.Go(func() { commitAll(t, []*Sink{sink}, files, 2, 3+i) })
	}
	wg.Wait()
	if diff := cmp.Diff(contents(t, clean), contents(t, s)); diff != "" {
		t.Errorf("(-one process +two):\n%s", diff)
	}
	for _, o := range commit(t, committerOf(t, sinks[0]), files...) {
		if o.State != ingest.Known {
			t.Errorf("%s is %s", o.File.Path, o.State)
		}
	}
	verify(t, s)
}

// lines is a log that is written and read at once.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// How late live sources are is told with the lease, to everybody, and only as
// long as somebody holds it.
func TestLiveLag(t *testing.T) {
	s := open(t, Options{})
	other := reopen(t, s, Options{})
	late := func(source string, lag time.Duration) func() bool {
		return func() bool {
			gotSource, got, err := other.LiveLag(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return gotSource == source && got == lag
		}
	}
	if !late("", 0)() {
		t.Error("somebody is late, and there is nobody")
	}
	leaseOf(t, s, quick("nobody waits"))
	var lag atomic.Int64
	for i, source := range []string{"a", "b"} {
		o := quick("first")
		o.Source, o.Lag = source, func() time.Duration { return time.Duration(lag.Load() * int64(i+1)) }
		l := leaseOf(t, s, o)
		lag.Store(int64(time.Minute))
		waitFor(t, source+" to be late", late(source, time.Duration(i+1)*time.Minute))
		if source == "b" {
			if err := l.Release(t.Context()); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "only those that are loaded to count", late("a", time.Minute))
		}
	}
	lag.Store(0)
	waitFor(t, "all to have caught up", late("", 0))
}

// A connection that answers no more does not keep other leases from being renewed.
func TestStalledStandbyKeepsOthersFromRenewing(t *testing.T) {
	s := open(t, Options{})
	other := reopen(t, s, Options{})
	theirs := quick("other")
	theirs.Source = "theirs"
	leaseOf(t, other, theirs)
	ours := leaseOf(t, s, quick("ours"))
	standby := quick("standby")
	standby.Source, standby.Wait = "theirs", true
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _, _ = s.Lease(ctx, standby) }()
	defer func() { cancel(); <-ended }()
	for range 5 {
		<-s.keeper.turn
		pid := int(s.keeper.conn.PID())
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		s.keeper.turn <- struct{}{}
		defer syscall.Kill(pid, syscall.SIGCONT)
		stopped := time.Now()
		waitFor(t, "a renewal over another connection", func() bool {
			ours.mu.Lock()
			defer ours.mu.Unlock()
			return ours.confirmed.After(stopped.Add(100 * time.Millisecond))
		})
	}
}

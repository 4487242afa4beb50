package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The intervals of a lease that its options do not say otherwise. A standby
// takes over as soon as the expiry has passed, so within ten seconds.
const (
	LeaseHeartbeat = 3 * time.Second
	LeaseExpiry    = 9 * time.Second
)

// LeaseOptions say which lease is wanted, and by whom.
type LeaseOptions struct {
	Source string // the source's name
	Holder string // for people; this host and process when empty

	// Wait is for a standby: it waits for the lease as long as it must. Without
	// it, a lease that another holds is a *LeaseHeldError.
	Wait bool
	// Standby is told who holds the lease that is waited for: once, and again
	// whenever it passes to another; nil to be told nothing.
	Standby func(LeaseHolder)

	// Lag is for how long a file of the source has been waiting to be loaded. It is
	// asked at each renewal, and told to others by LiveLag; nil for none.
	Lag func() time.Duration

	Heartbeat time.Duration // between renewals; LeaseHeartbeat when 0
	Expiry    time.Duration // after which a lease that is not renewed ends; LeaseExpiry when 0
	Log       *slog.Logger
}

// A LeaseHolder is who holds a lease. Times are by the database's clock, UTC.
type LeaseHolder struct {
	Name  string
	Since time.Time
	Until time.Time // unless it is renewed before
}

// A LeaseHeldError says that another process holds a lease.
type LeaseHeldError struct {
	Source string
	LeaseHolder
}

func (e *LeaseHeldError) Error() string {
	return fmt.Sprintf("source %q is loaded by %s since %s", e.Source, e.Name, e.Since.Format("2006-01-02 15:04:05Z"))
}

// Hint says what an operator can do.
func (e *LeaseHeldError) Hint() string {
	return fmt.Sprintf("a process that was killed gives it up at %s", e.Until.Format("15:04:05Z"))
}

// ErrLeaseLost says that a lease has passed to another process, or that it is
// not sure that it has not.
var ErrLeaseLost = errors.New("the lease is lost")

// A Lease lets one process at a time load a source. It is a row in the
// database, renewed by a goroutine: it needs no session, outlives restarts of
// the database, and ends by itself when its process does. It is no lock: that
// readings are loaded once does not rest on it. Its methods may be called from
// several goroutines at once.
type Lease struct {
	store   *Store
	options LeaseOptions
	token   [16]byte
	lost    chan struct{} // closed when another has it
	stop    context.CancelFunc
	stopped chan struct{} // closed when nothing renews it any more
	release sync.Once

	mu        sync.Mutex
	confirmed time.Time // when the renewal began that succeeded last
}

// Lease acquires the lease of a source and keeps renewing it until Release. The
// end of ctx ends the waiting and not the lease. A database that is away is
// waited for as a commit waits for it.
func (s *Store) Lease(ctx context.Context, o LeaseOptions) (*Lease, error) {
	if o.Heartbeat == 0 {
		o.Heartbeat = LeaseHeartbeat
	}
	if o.Expiry == 0 {
		o.Expiry = LeaseExpiry
	}
	if o.Holder == "" {
		o.Holder = thisProcess()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &Lease{store: s, options: o, lost: make(chan struct{}), stopped: make(chan struct{})}
	rand.Read(l.token[:]) // never fails
	if err := l.acquire(ctx); err != nil {
		return nil, err
	}
	keeping, stop := context.WithCancel(context.Background()) // until Release
	l.stop = stop
	go l.keep(keeping)
	return l, nil
}

func thisProcess() string {
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	return fmt.Sprintf("%s, process %d", host, os.Getpid())
}

// acquire tries until the lease is ours or, where nobody is to wait, another's.
func (l *Lease) acquire(ctx context.Context) error {
	var told LeaseHolder
	patience := l.store.newPatience(l.options.Log)
	for {
		var other *LeaseHolder
		var left time.Duration
		err := patience.untilThere(ctx, func() (err error) {
			other, left, err = l.try(ctx)
			return err
		})
		switch {
		case err != nil:
			return fmt.Errorf("acquiring the lease of source %q: %w", l.options.Source, err)
		case other == nil:
			return nil
		case !l.options.Wait:
			return &LeaseHeldError{l.options.Source, *other}
		}
		if l.options.Standby != nil && (told.Name != other.Name || !told.Since.Equal(other.Since)) {
			l.options.Standby(*other)
			told = *other
		}
		// Often enough to follow one who gives it back at once, and a moment after
		// the end of one who does not.
		if err := sleep(ctx, min(l.options.Heartbeat/6, max(left, 0)+l.options.Heartbeat/100)); err != nil {
			return err
		}
	}
}

// acquireSQL takes a lease that is free, has ended, or is ours already: the
// answer to an earlier try may have been lost. The times are asked for by
// clock_timestamp: now() may lie before a wait for the row.
const acquireSQL = `insert into %[1]s as l (source, holder, token, since, until)
	values ($1, $2, $3, clock_timestamp(), clock_timestamp() + $4::int8 * interval '1 microsecond')
	on conflict (source) do update set holder = $2, token = $3, lag = '0', until = clock_timestamp() + $4::int8 * interval '1 microsecond',
		since = case when l.token = $3 then l.since else clock_timestamp() end
	where l.token = $3 or l.until <= clock_timestamp() returning 1`

// holderSQL tells who holds a lease and for how many microseconds it is valid.
const holderSQL = `select holder, (extract(epoch from since) * 1e6)::int8::text, (extract(epoch from until) * 1e6)::int8::text,
	(extract(epoch from until - clock_timestamp()) * 1e6)::int8::text from %[1]s where source = $1`

// try tries once. other is who holds the lease, and left for how long if it is
// not renewed; nil when it is ours now. Other leases of this process are renewed
// over the same connection: one that answers no more must not hold them up for
// longer than a heartbeat.
func (l *Lease) try(ctx context.Context) (other *LeaseHolder, left time.Duration, err error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, l.options.Heartbeat)
	defer cancel()
	taken, err := l.exec(ctx, acquireSQL, []byte(l.options.Source), []byte(plain(l.options.Holder)), l.tokenText(), micros(l.options.Expiry))
	if err != nil {
		return nil, 0, err
	}
	if len(taken.Rows) == 1 {
		l.confirm(began)
		return nil, 0, nil
	}
	found, err := l.exec(ctx, holderSQL, []byte(l.options.Source))
	if err != nil {
		return nil, 0, err
	}
	if len(found.Rows) == 0 { // somebody deleted it: the next try takes it
		return &LeaseHolder{}, 0, nil
	}
	r := found.Rows[0]
	return &LeaseHolder{Name: string(r[0]), Since: instantOf(r[1]), Until: instantOf(r[2])}, durationOf(r[3]), nil
}

// renewSQL renews a lease that is still ours, also one that ended meanwhile
// without anybody taking it: the database may have been away for all.
const renewSQL = `update %[1]s set until = clock_timestamp() + $3::int8 * interval '1 microsecond', lag = $4::int8 * interval '1 microsecond' where source = $1 and token = $2 returning 1`

// renew renews the lease. errors.Is ErrLeaseLost when another has it.
func (l *Lease) renew(ctx context.Context) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, l.options.Heartbeat)
	defer cancel()
	lag := time.Duration(0)
	if l.options.Lag != nil {
		lag = l.options.Lag()
	}
	renewed, err := l.exec(ctx, renewSQL, []byte(l.options.Source), l.tokenText(), micros(l.options.Expiry), micros(lag))
	if err != nil {
		return err
	}
	if len(renewed.Rows) == 0 {
		return ErrLeaseLost
	}
	l.confirm(began)
	return nil
}

func (l *Lease) confirm(began time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if began.After(l.confirmed) {
		l.confirmed = began
	}
}

// keep renews the lease until it is lost or given back. While the database is
// away it tries more often: who comes first when it is back has the lease.
func (l *Lease) keep(ctx context.Context) {
	defer close(l.stopped)
	wait, away := l.options.Heartbeat, false
	for sleep(ctx, wait) == nil {
		began := time.Now()
		switch err := l.renew(ctx); {
		case err == nil:
			wait = max(0, l.options.Heartbeat-time.Since(began))
			if away {
				l.store.away.end(l.options.Log)
			}
			away = false
		case errors.Is(err, ErrLeaseLost):
			close(l.lost)
			return
		case ctx.Err() == nil:
			wait, away = l.options.Heartbeat/6, true
			l.store.away.begin(l.options.Log, fmt.Errorf("renewing the lease of source %q: %w", l.options.Source, err))
		}
	}
}

// Lost is closed when another process holds the lease. Whoever loads the source
// is to stop then, and may wait for the lease anew. While the database is away
// the lease is not lost, for nobody else can take it.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// Check reports whether the lease is ours for a while yet: for at least a third
// of its expiry, unless it is renewed first. Mostly it asks nobody; when the
// last renewal is long ago it renews. An error (errors.Is ErrLeaseLost) says
// that another may be loading the source: what is not to be done twice must
// not be done.
func (l *Lease) Check(ctx context.Context) error {
	select {
	case <-l.lost:
		return fmt.Errorf("%w: another process loads source %q", ErrLeaseLost, l.options.Source)
	case <-l.stopped:
		return fmt.Errorf("%w: that of source %q was given back", ErrLeaseLost, l.options.Source)
	default:
	}
	l.mu.Lock()
	confirmed := l.confirmed
	l.mu.Unlock()
	// By both clocks: one does not run while a machine sleeps, the other is set.
	if age := max(time.Since(confirmed), time.Since(confirmed.Round(0))); age < l.options.Expiry*2/3 {
		return nil
	}
	if err := l.renew(ctx); err != nil {
		if errors.Is(err, ErrLeaseLost) {
			return fmt.Errorf("%w: another process loads source %q", ErrLeaseLost, l.options.Source)
		}
		return fmt.Errorf("%w, perhaps: that of source %q could not be renewed: %w", ErrLeaseLost, l.options.Source, err)
	}
	return nil
}

const releaseSQL = `update %[1]s set until = clock_timestamp() where source = $1 and token = $2`

// Release gives the lease back, so that a standby takes over at once, and
// returns when nothing renews it any more. An error says that it ends by itself
// only. Release may be called more than once.
func (l *Lease) Release(ctx context.Context) (err error) {
	l.release.Do(func() {
		l.stop()
		<-l.stopped
		if _, err = l.exec(ctx, releaseSQL, []byte(l.options.Source), l.tokenText()); err != nil {
			err = fmt.Errorf("giving back the lease of source %q: %w", l.options.Source, err)
		}
	})
	return err
}

// exec runs a statement on the keeper's connection, its parameters and results
// as text.
func (l *Lease) exec(ctx context.Context, sql string, params ...[]byte) (*pgconn.Result, error) {
	return l.store.keeper.exec(ctx, l.store, fmt.Sprintf(sql, l.store.table("leases")), params)
}

func (l *Lease) tokenText() []byte { return fmt.Appendf(nil, "%x", l.token) }

func micros(d time.Duration) []byte { return fmt.Append(nil, d.Microseconds()) }

// durationOf reads microseconds as PostgreSQL writes them.
func durationOf(text []byte) time.Duration {
	us, _ := strconv.ParseInt(string(text), 10, 64) // an int8's text is a number
	return time.Duration(us) * time.Microsecond
}

func instantOf(text []byte) time.Time {
	return time.UnixMicro(0).Add(durationOf(text)).UTC()
}

// LiveLag tells, of the sources that processes hold leases of now, the one whose
// files have waited longest to be loaded, and for how long one had when its lease
// was renewed last; 0 where none waits.
func (s *Store) LiveLag(ctx context.Context) (source string, lag time.Duration, err error) {
	err = s.pool.QueryRow(ctx, "select source, lag from leases where until > clock_timestamp() and lag > '0' order by lag desc limit 1").Scan(&source, &lag)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", 0, nil
	}
	if err != nil {
		return "", 0, fmt.Errorf("asking how late live sources are: %w", err)
	}
	return source, lag, nil
}

// A keeper is a connection of its own for leases, so that none waits behind
// what takes long. It keeps nothing in its session: no statement is prepared
// under a name, no table is looked for on the search path. A pooler may give
// each statement to another session.
type keeper struct {
	turn chan struct{} // holds one element while nobody uses conn
	conn *pgconn.PgConn
}

func newKeeper() keeper {
	k := keeper{turn: make(chan struct{}, 1)}
	k.turn <- struct{}{}
	return k
}

func (k *keeper) exec(ctx context.Context, s *Store, sql string, params [][]byte) (*pgconn.Result, error) {
	select {
	case <-k.turn:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { k.turn <- struct{}{} }()
	if k.conn == nil || k.conn.IsClosed() {
		conn, err := s.connect(ctx)
		if err != nil {
			return nil, err
		}
		k.conn = conn
	}
	result := k.conn.ExecParams(ctx, sql, params, nil, nil, nil).Read()
	return result, result.Err
}

func (k *keeper) close() {
	<-k.turn // and it is not given back: there is no store any more
	if k.conn != nil {
		closeConnection(k.conn)
	}
}

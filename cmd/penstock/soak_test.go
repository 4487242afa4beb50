package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"penstock/ingest/source/servertest"
	"penstock/store/pglocal"
	"penstock/store/pglocal/pgtest"
)

// The soak runs the daemon against real FTP servers and a real PostgreSQL, each
// behind a relay, while loggers upload as loggers do and all that can fail does,
// by a schedule that a seed gives. At the end what they uploaded is what stands
// in the database.
//
//	soak_test.go          the tests, and what the daemon runs in
//	soak_loggers_test.go  who uploads
//	soak_truth_test.go    what was uploaded, and how it is held against the database
//	soak_faults_test.go   what fails, and when
//	soak_vitals_test.go   what the daemon takes of the machine
//
// PENSTOCK_SOAK_SEED chooses another schedule, PENSTOCK_SOAK_FOR how long it is:
//
//	PENSTOCK_SOAK_FOR=1h go test ./cmd/penstock -run '^TestSoak$' -count=1 -v -timeout 2h

const (
	soakSeed   = 5
	soakFor    = 30 * time.Second
	soakSettle = 2 * time.Second
	// stoodStill is how long a part of a file must have stood for the daemon to
	// have a right to take it for whole: somewhat less than settle, as nobody
	// knows to the moment when the server wrote its last byte.
	stoodStill = soakSettle * 3 / 4
	// catchUp is how long the daemon may do nothing for what is left.
	catchUp = 90 * time.Second
)

// TestSoak is the soak.
func TestSoak(t *testing.T) {
	t.Parallel()
	seed, length := soakSettings(t)
	s := newSoak(t, seed)
	schedule := plan(seed, length)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("PENSTOCK_SOAK_SEED=%d PENSTOCK_SOAK_FOR=%s; the schedule:\n%s", seed, length, schedule)
		}
	})
	s.begin()
	uploads := s.upload(manners{loggers: 8, kinds: allKinds, growing: true})
	s.follow(schedule)
	uploads.end(t)
	s.catchesUp()
	s.vitals.rests(t, "after all")
	s.restart()
	s.vitals.rests(t, "begun anew")
	s.matches()
	s.r.end(0)
	s.vitals.judge(t)
}

// Uploads that are slow, broken off and repeated, and nothing else that fails:
// no file is loaded before it is whole, and each is loaded once.
func TestUploads(t *testing.T) {
	t.Parallel()
	const files = 500
	s := newSoak(t, soakSeed)
	s.begin()
	s.upload(manners{loggers: 25, kinds: []kind{slow, brokenOff, brokenAndContinued, twice}, files: files}).wait(t)
	s.catchesUp()
	s.matches()
	if n := s.truth.paths(); n != files {
		t.Errorf("%d files were uploaded, want %d", n, files)
	}
	if n, stood := s.versions(), s.truth.parts(); n < files || n > files+stood {
		t.Errorf("the ledger has %d versions of %d files, of which %d stood still in part", n, files, stood)
	}
	s.r.end(0)
}

// soakSettings are the seed and the length that the environment asks for.
func soakSettings(t *testing.T) (seed uint64, length time.Duration) {
	t.Helper()
	seed, length = soakSeed, soakFor
	var err error
	if text := os.Getenv("PENSTOCK_SOAK_SEED"); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("PENSTOCK_SOAK_SEED: %v", err)
		}
	}
	if text := os.Getenv("PENSTOCK_SOAK_FOR"); text != "" {
		if length, err = time.ParseDuration(text); err != nil || length < soakFor {
			t.Fatalf("PENSTOCK_SOAK_FOR is %q, want %s or longer", text, soakFor)
		}
	}
	return seed, length
}

// A soaked is a daemon with all that it depends on.
type soaked struct {
	t        *testing.T
	seed     uint64
	began    time.Time
	r        *trial // by the relay
	direct   string // the database's URL, past the relay
	database *pglocal.Server
	wire     *servertest.Relay // to the database
	sites    []*site
	truth    *truthKeeper
	vitals   *vitals
}

// A site is an FTP server that loggers upload to and a source of the daemon's.
type site struct {
	name   string
	after  string // what the config says of it
	server *servertest.Server
	relay  *servertest.Relay
}

// folder is where loggers upload, below the server's root.
const folder = "upload"

func newSoak(t *testing.T, seed uint64) *soaked {
	t.Helper()
	s := &soaked{t: t, seed: seed, truth: newTruth()}
	binary := build(t)
	var err error
	if s.database, err = pgtest.Start(t.Context(), filepath.Join(t.TempDir(), "pg")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.database.Stop(context.Background()) }) // how it ends is not asked here
	s.direct = makeDatabase(t, s.database, "soak")
	s.wire = s.relayTo(servertest.NewRelay(socketOf(t, s.direct)))
	s.sites = []*site{
		{name: "kept", server: servertest.Start(t, servertest.ProFTPD, servertest.Options{})},
		{name: "moved", server: servertest.Start(t, servertest.VSFTPD, servertest.Options{}), after: `, after: {do: move, to: "done/{yyyy}/{mm}/{dd}"}`},
	}
	s.r = &trial{t: t, binary: binary, dir: t.TempDir(), url: throughTCP(t, s.direct, s.wire.Address())}
	for _, site := range s.sites {
		site.relay = s.relayTo(servertest.NewFTPRelay(site.server.Address, 0))
		site.server.MakeFolder(folder)
		s.r.write(site.name+".secret", site.server.Password)
		if err := os.Chmod(filepath.Join(s.r.dir, site.name+".secret"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.vitals = newVitals(freePort(t), len(s.sites))
	s.configure("")
	return s
}

func (s *soaked) relayTo(relay *servertest.Relay, err error) *servertest.Relay {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = relay.Close() }) // it always can
	return relay
}

// configure writes the daemon's config, with these limits.
func (s *soaked) configure(limits string) {
	s.t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "monitor: {listen: %q}\nlimits: {%s}\nsources:\n", s.vitals.address, limits)
	for _, site := range s.sites {
		fmt.Fprintf(&text, "  - {name: %s, url: 'ftp://%s@%s/%s', password_file: %s.secret, poll: 1s, settle: %s, timeout: 3s%s}\n",
			site.name, site.server.User, site.relay.Address(), folder, site.name, soakSettle, site.after)
	}
	s.r.write("penstock.yaml", text.String())
}

// begin starts the daemon, and what watches it.
func (s *soaked) begin() {
	s.t.Helper()
	s.began = time.Now()
	s.start()
	ctx, cancel := context.WithCancel(s.t.Context())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.vitals.watch(ctx)
	}()
	s.t.Cleanup(func() { cancel(); <-watched })
}

// start starts the daemon, in a life of its own. When it returns the daemon
// heeds signals.
func (s *soaked) start() {
	s.t.Helper()
	mark := s.r.mark()
	s.r.begin()
	s.vitals.born(s.r.daemon.Process.Pid)
	s.r.says(mark, `level=INFO msg="penstock runs"`)
}

// restart ends the daemon as a service manager does, and starts it again.
func (s *soaked) restart() {
	s.t.Helper()
	s.r.end(0)
	s.start()
}

// uploading are loggers at work.
type uploading struct {
	group  *errgroup.Group
	cancel context.CancelFunc // after which each ends what it is at
}

// upload has loggers upload to all sites.
func (s *soaked) upload(how manners) *uploading {
	ctx, cancel := context.WithCancel(s.t.Context())
	group, ctx := errgroup.WithContext(ctx)
	for i, site := range s.sites {
		for j := range how.loggers {
			l := &logger{
				ctx: s.t.Context(), name: fmt.Sprintf("%s-%02d", site.name, j), site: site, truth: s.truth, how: how,
				random: rand.New(rand.NewPCG(s.seed, uint64(1000*i+j))),
			}
			group.Go(func() error { return l.run(ctx, how.files/(how.loggers*len(s.sites))) })
		}
	}
	s.t.Cleanup(func() { cancel(); _ = group.Wait() }) // of a test that ended before
	return &uploading{group, cancel}
}

// wait waits until they have uploaded all that they are to.
func (u *uploading) wait(t *testing.T) {
	t.Helper()
	defer u.cancel()
	if err := u.group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// end has them finish what they are at, and no more.
func (u *uploading) end(t *testing.T) {
	t.Helper()
	u.cancel()
	u.wait(t)
}

// catchesUp waits until the daemon has loaded, and moved, what was uploaded.
func (s *soaked) catchesUp() {
	s.t.Helper()
	began, last, missing := time.Now(), time.Now(), -1
	again := time.NewTicker(250 * time.Millisecond)
	defer again.Stop()
	for {
		left := s.truth.missing(s.t, s.ledger())
		for _, site := range s.sites {
			left = append(left, site.unmoved(s.t)...)
		}
		if len(left) == 0 {
			s.t.Logf("caught up %s after the last upload: %d files, %d versions of them whole, %d parts that stood still",
				time.Since(began).Round(100*time.Millisecond), s.truth.paths(), s.truth.wholes(), s.truth.parts())
			return
		}
		if len(left) != missing {
			last, missing = time.Now(), len(left)
		}
		if time.Since(last) > catchUp {
			s.t.Fatalf("%d files are not dealt with, and nothing comes:\n%s\nthe end of the daemon's log:\n%s",
				len(left), strings.Join(left[:min(len(left), 20)], "\n"), s.logEnd())
		}
		select {
		case <-again.C:
		case <-s.r.ended:
			s.t.Fatalf("the daemon ended with %d:\n%s", s.r.code, s.logEnd())
		}
	}
}

// unmoved are the files that are still where they were uploaded, though they are
// to be moved.
func (s *site) unmoved(t *testing.T) (left []string) {
	t.Helper()
	if s.after == "" {
		return nil
	}
	entries, err := os.ReadDir(filepath.Join(s.server.Root, folder))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() {
			left = append(left, fmt.Sprintf("%s/%s is still there", s.name, e.Name()))
		}
	}
	return left
}

// matches holds the database against what was uploaded, and has Penstock verify
// both of its own.
func (s *soaked) matches() {
	s.t.Helper()
	s.truth.compareLedger(s.t, s.ledger())
	s.truth.compareReadings(s.t, s.direct)
	s.t.Log(strings.TrimSpace(s.r.penstock(0, "files", "verify")))
	out := s.r.penstock(0, "archive", "verify")
	s.t.Log(strings.TrimSpace(out))
	if !strings.Contains(out, "; 0 damaged") || !strings.Contains(out, ": 0 missing") {
		s.t.Errorf("the archive is not whole:\n%s", out)
	}
	if s.t.Failed() {
		s.t.Logf("the end of the daemon's log:\n%s", s.logEnd())
	}
}

// logEnd is the end of what the daemon wrote.
func (s *soaked) logEnd() string {
	text := s.r.text()
	return text[max(0, len(text)-30_000):]
}

// socketOf is the Unix socket of a URL of a private PostgreSQL.
func socketOf(t *testing.T, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(u.Query().Get("host"), ".s.PGSQL."+u.Query().Get("port"))
}

// throughTCP is the URL of the same database at an address.
func throughTCP(t *testing.T, database, address string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.Host, u.RawQuery = address, "sslmode=disable"
	return u.String()
}

// freePort is an address that nothing listens at.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Package pglocal runs the private PostgreSQL behind a `local:` store: a
// cluster in one folder, started from the installed binaries by the process
// that uses it, reached through a Unix socket only, and gone with that
// process, however the process ends.
//
// A folder holds:
//
//	data/         the cluster; appears whole, by a rename, or not at all
//	postgres.log  what the server says; shortened when it grows (postgres.log.1)
//	holder.json   who runs the server now, and where its socket is
//	lock          held by the process that runs the server
//	server.lock   held by PostgreSQL itself, until its last process is gone
//
// PostgreSQL refuses to run as root. Started by root, it runs as the owner of
// an existing cluster, else as the user `postgres`, else as `nobody`. Only
// data/, the log and the socket folder are given to that user; modes and
// owners of folders that are not ours are never changed.
//
// Anyone who may enter the socket folder (its owner and root) is the superuser
// `penstock`: the folder's mode 0700 is the authentication.
package pglocal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// Superuser and Database are the names every private cluster is made with.
const (
	Superuser = "penstock"
	Database  = "penstock"
)

const (
	// A fast shutdown writes a checkpoint, at most shared_buffers to a slow
	// card. Longer than this something is stuck, and recovery is cheaper.
	fastShutdownPatience      = 30 * time.Second
	immediateShutdownPatience = 6 * time.Second // the postmaster itself kills its children after 5 s

	readyPoll       = 5 * time.Millisecond
	recoveryNotice  = 3 * time.Second
	logCheckEvery   = time.Minute
	startUpLogLines = 12
)

// Options say which private PostgreSQL to start, and how.
type Options struct {
	// Dir is the store's folder, created if missing; "" is DefaultDir.
	Dir string
	// Settings are PostgreSQL settings that win over all others, also over
	// ALTER SYSTEM: {"work_mem": "64MB"}. Where the socket and the log are is
	// not for them to say.
	Settings map[string]string
	// Command is what a second process is told about the holder; "" is the
	// program and its subcommand. It must hold no secrets.
	Command string
	// Logger hears of start, recovery and stop. nil is silence.
	Logger *slog.Logger
}

// Server is a running private PostgreSQL, held by this process. Its methods
// may be called concurrently.
type Server struct {
	folder *folder
	hold   *hold
	socket string
	cmd    *exec.Cmd
	log    *serverLog
	logger *slog.Logger

	ending atomic.Bool   // Stop or Kill was called: the end is no accident
	done   chan struct{} // closed when the server is gone and the folder released
	err    error         // written before done is closed
}

// DefaultDir is the folder of the store `local:`: /var/lib/penstock/pg for
// root, else $XDG_DATA_HOME/penstock/pg (~/.local/share/penstock/pg).
func DefaultDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/penstock/pg", nil
	}
	if data := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return filepath.Join(data, "penstock", "pg"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no folder for the private PostgreSQL: %w (set XDG_DATA_HOME or HOME, or name one with --store local:DIR)", err)
	}
	return filepath.Join(home, ".local", "share", "penstock", "pg"), nil
}

// Start makes the cluster if there is none, starts PostgreSQL on it, and
// returns when it accepts connections, after crash recovery if it has to.
// While ctx lasts it also waits for the processes of a killed predecessor. The
// end of ctx after that is nothing to the server.
//
// The server does not outlive this process. Errors: *InUseError when another
// process (or another Server of this one) holds the folder, ErrNoBinaries,
// *VersionError, or what PostgreSQL last said in its log.
func Start(ctx context.Context, o Options) (*Server, error) {
	return start(ctx, o, defaultTie)
}

func start(ctx context.Context, o Options, t tie) (_ *Server, err error) {
	if o.Dir == "" {
		if o.Dir, err = DefaultDir(); err != nil {
			return nil, err
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := checkSettings(o.Settings); err != nil {
		return nil, err
	}
	f, err := openFolder(o.Dir)
	if err != nil {
		return nil, explain(err, o.Dir)
	}
	s, err := startIn(ctx, f, o, t)
	if err != nil {
		return nil, explain(err, f.path)
	}
	return s, nil
}

// explain adds the folder, and whose it is where that is the matter.
func explain(err error, dir string) error {
	var inUse *InUseError
	if errors.As(err, &inUse) {
		return err
	}
	info, statErr := os.Stat(dir)
	if errors.Is(err, fs.ErrPermission) && statErr == nil && ownerOf(info) != os.Geteuid() {
		return fmt.Errorf("private PostgreSQL in %s: %w (the folder %s)", dir, err, belongsTo(ownerOf(info)))
	}
	return fmt.Errorf("private PostgreSQL in %s: %w", dir, err)
}

// startIn owns f: the Server closes it at its end, or startIn with its error.
func startIn(ctx context.Context, f *folder, o Options, t tie) (_ *Server, err error) {
	began := time.Now()
	h, err := f.hold(ctx, o.Command)
	if err != nil {
		f.close()
		return nil, err
	}
	s := &Server{folder: f, hold: h, logger: o.Logger.With(slog.String("dir", f.path)), done: make(chan struct{})}
	launched := false
	defer func() {
		if err != nil && !launched {
			s.release()
		}
	}()

	bin, err := findBinaries(f.clusterMajor())
	if err != nil {
		return nil, f.explainVersion(err)
	}
	if err := f.chooseAccount(bin); err != nil {
		return nil, err
	}
	if err := f.ensureCluster(ctx, bin, h.server, o.Settings["fsync"] != "off", s.logger); err != nil {
		return nil, err
	}
	if s.socket, err = makeSocketDir(f); err != nil {
		return nil, err
	}
	if err := h.announce(s.socket); err != nil {
		return nil, err
	}
	if s.log, err = openLog(f); err != nil {
		return nil, err
	}
	cmd, data, err := f.postgresCommand(bin, h.server, s.socket, o.Settings)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = s.log.file, s.log.file
	s.cmd = cmd
	err = s.launch(t)
	data.close()
	if err != nil {
		return nil, err
	}
	launched = true // from here the supervising goroutine releases
	if err := s.awaitReady(ctx); err != nil {
		return nil, err
	}
	s.logger.Debug("private PostgreSQL is ready", slog.String("version", bin.Version),
		slog.Int("pid", s.Pid()), slog.Duration("took", time.Since(began)))
	return s, nil
}

// URL is the connection string of the database `penstock`, for pgx and libpq
// alike. It stays valid across a stop and start of the same folder by the
// same user.
func (s *Server) URL() string { return s.URLFor(Database) }

// URLFor is URL for another database of the cluster.
func (s *Server) URLFor(database string) string { return connectionURL(s.socket, database) }

// Dir is the store's folder, absolute and free of links.
func (s *Server) Dir() string { return s.folder.path }

// Pid is the process id of PostgreSQL's first process, the postmaster.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Done is closed when PostgreSQL has ended, for whatever reason, and the
// folder is free again. Err then tells the reason.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is nil while the server runs and after Stop or Kill; else it says how
// PostgreSQL ended by itself, with the last lines of its log.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.endedBadly()
	default:
		return nil
	}
}

// Stop ends the server and returns when it is gone and the folder is free:
// open transactions are rolled back, what was committed stands. It waits for
// an orderly (fast) shutdown until ctx ends, at most 30 seconds, and then
// forces one, which costs the next Start a recovery and nothing else.
// The error is that of a server that had died by itself before. Stop may be
// called again, and by several goroutines.
func (s *Server) Stop(ctx context.Context) error {
	s.ending.Store(true)
	ctx, cancel := context.WithTimeout(ctx, fastShutdownPatience)
	defer cancel()
	s.signal(syscall.SIGINT)
	select {
	case <-s.done:
		return s.endedBadly()
	case <-ctx.Done():
	}
	select {
	case <-s.done: // both were ready: the orderly end counts
	default:
		s.logger.Warn("private PostgreSQL did not stop in time; forcing it, the next start recovers")
		s.Kill()
	}
	return s.endedBadly()
}

// Kill ends the server at once, as `pg_ctl stop -m immediate` does: no
// checkpoint, the next Start recovers. It returns when the server is gone and
// the folder is free.
func (s *Server) Kill() {
	s.ending.Store(true)
	s.signal(syscall.SIGQUIT)
	timer := time.NewTimer(immediateShutdownPatience)
	defer timer.Stop()
	select {
	case <-s.done:
	case <-timer.C:
		s.signal(syscall.SIGKILL) // its children notice by themselves
		<-s.done
	}
}

// endedBadly is s.err with the folder; only after done is closed.
func (s *Server) endedBadly() error {
	if s.err == nil {
		return nil
	}
	return fmt.Errorf("private PostgreSQL in %s: %w", s.folder.path, s.err)
}

// signal fails only when the process is gone, which is what is wanted.
func (s *Server) signal(sig os.Signal) { _ = s.cmd.Process.Signal(sig) }

// launch starts s.cmd and the goroutines that own it: one that waits for its
// end and then releases everything, one that keeps the log short.
func (s *Server) launch(t tie) error {
	line, err := t.fasten(s.cmd)
	if err != nil {
		return err
	}
	started := make(chan error, 1)
	go func() {
		// A death signal is sent when the thread that forked ends, so that
		// thread must live as long as the server: Wait keeps it here.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := s.cmd.Start()
		line.started()
		started <- err
		if err != nil {
			line.release()
			return
		}
		s.conclude(s.cmd.Wait(), line)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("starting %s as user %s: %w", s.cmd.Path, s.folder.account.name, err)
	}
	return nil
}

// conclude runs once, when the postmaster has ended.
func (s *Server) conclude(exit error, line lifeline) {
	line.release()
	if !s.ending.Load() {
		s.err = fmt.Errorf("it ended by itself (%s); its last words:\n%s", exitText(exit), s.log.tail(startUpLogLines))
	}
	s.release()
	close(s.done)
}

// release gives back what startIn took, in an order that lets a next Start or
// Join see either all of it or none.
func (s *Server) release() {
	if s.log != nil {
		s.log.close()
	}
	if s.socket != "" {
		_ = os.RemoveAll(s.socket) // a leftover is cleared by the next Start
	}
	s.hold.release()
	s.folder.close()
}

// awaitReady waits for the postmaster to say `ready` in its pid file. On
// failure the server is gone when it returns.
func (s *Server) awaitReady(ctx context.Context) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	notice := time.NewTimer(recoveryNotice)
	defer notice.Stop()
	for {
		if p, err := s.folder.postmaster(); err == nil && p.pid == s.Pid() && p.ready {
			return nil
		}
		select {
		case <-tick.C:
		case <-notice.C:
			s.logger.Info("private PostgreSQL is not ready yet; after a crash it first replays its log")
		case <-s.done:
			return s.err
		case <-ctx.Done():
			said := s.log.tail(startUpLogLines)
			s.Kill()
			return fmt.Errorf("not ready in time: %w; its log so far:\n%s", context.Cause(ctx), said)
		}
	}
}

func connectionURL(socketDir, database string) string {
	u := url.URL{
		Scheme: "postgres",
		User:   url.User(Superuser),
		Path:   "/" + database,
		// All that the environment (PGPORT, PGSSLMODE) could otherwise change.
		RawQuery: url.Values{"host": {socketDir}, "port": {socketPort}, "sslmode": {"disable"}}.Encode(),
	}
	return u.String()
}

func exitText(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}

package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// DefaultListen is where the metrics are served unless another address is
// given: on this machine alone.
const DefaultListen = "127.0.0.1:9090"

// A ListenError says that an address cannot be listened on, and what to do.
type ListenError struct {
	Address string
	Err     error
}

func (e *ListenError) Error() string {
	return fmt.Sprintf("the monitor cannot listen on %q: %v", e.Address, e.Err)
}

func (e *ListenError) Unwrap() error { return e.Err }

// Hint is what an operator can do about it.
func (e *ListenError) Hint() string {
	var unknown *net.DNSError
	switch {
	case errors.Is(e.Err, syscall.EADDRINUSE):
		return "something else listens there (see: ss -ltnp); choose another port in monitor: {listen: ...}"
	case errors.Is(e.Err, syscall.EADDRNOTAVAIL):
		return "this machine has no such address; 127.0.0.1:9090 serves this machine alone, :9090 all of its networks"
	case errors.Is(e.Err, fs.ErrPermission):
		return "ports below 1024 need rights; choose one above in monitor: {listen: ...}"
	case errors.As(e.Err, &unknown):
		return "the name is not known; write an address of this machine, such as 127.0.0.1:9090"
	}
	return "write HOST:PORT, such as " + DefaultListen
}

// A Server answers over HTTP from the time it is made.
type Server struct {
	server   *http.Server
	listener net.Listener
	log      *slog.Logger
	profiles *atomic.Bool
}

// Listen makes a server on an address. With profiles it also answers below
// /debug/pprof/, to anyone who can reach it; see [Server.Profile]. An error is a *ListenError. Serve
// must be called, else the address is never given back.
func (m *Monitor) Listen(address string, profiles bool, log *slog.Logger) (*Server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, &ListenError{address, err}
	}
	shows := new(atomic.Bool)
	shows.Store(profiles)
	return &Server{listener: listener, log: log, profiles: shows, server: &http.Server{
		Handler:           m.handler(shows, log),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      2 * time.Minute, // a profile is taken over half a minute by default
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}, nil
}

// Profile changes whether it answers below /debug/pprof/. It may be called while
// it serves.
func (s *Server) Profile(on bool) { s.profiles.Store(on) }

// Address is where it listens: the port that was got where 0 was asked for.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Serve answers until ctx ends, lets what is under way end for a moment, and
// gives the address back. It returns nil then, else what ended it before.
func (s *Server) Serve(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- s.server.Serve(s.listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("the monitor on %s ended: %w", s.Address(), err)
	case <-ctx.Done():
	}
	wait, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := s.server.Shutdown(wait); err != nil {
		err = s.server.Close()
		s.log.Debug("requests to the monitor were cut off", slog.Any("error", err))
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("the monitor on %s ended: %w", s.Address(), err)
	}
	return nil
}

// Close gives the address back of a server that does not come to serve; of none,
// nothing.
func (s *Server) Close() {
	if s != nil {
		_ = s.listener.Close() // nobody was answered
	}
}

func (m *Monitor) handler(profiles *atomic.Bool, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		Registry:            m.registry,
		MaxRequestsInFlight: 4,
		DisableCompression:  true, // some kilobytes of text, against megabytes that a compressor keeps
		Timeout:             10 * time.Second,
	}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, "makes progress", "is stuck", m.Stuck(), m.waiting())
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, "ready", "not ready", m.Missing(), nil)
	})
	for path, show := range map[string]http.HandlerFunc{"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace} {
		mux.HandleFunc("GET /debug/pprof/"+path, func(w http.ResponseWriter, r *http.Request) {
			if !profiles.Load() {
				http.NotFound(w, r)
				return
			}
			show(w, r)
		})
	}
	return mux
}

// answer writes 200 and the good word when nothing is wanting, else 503, the
// bad one and what is wanting.
func answer(w http.ResponseWriter, good, bad string, missing, waiting []Want) {
	body := struct {
		Status  string `json:"status"`
		Missing []Want `json:"missing,omitempty"`
		Waiting []Want `json:"waiting,omitempty"`
	}{good, missing, waiting}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if len(missing) > 0 {
		body.Status = bad
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(body) // the asker has gone
}

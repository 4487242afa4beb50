package main

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// A service tells systemd how the daemon stands (sd_notify(3)), where systemd
// asked to be told, and pings its watchdog. Its methods may be called
// concurrently.
type service struct {
	daemon *daemon
	stop   chan struct{}
	gone   sync.WaitGroup
}

// startService pings the watchdog, at a third of its time, unless something
// stands still without a reason: systemd then starts the daemon anew.
func startService(d *daemon) *service {
	s := &service{daemon: d, stop: make(chan struct{})}
	period, err := systemd.SdWatchdogEnabled(false)
	if err != nil {
		d.log.Warn("systemd's watchdog is not pinged", slog.Any("error", err))
	}
	if period > 0 {
		s.gone.Go(func() { s.ping(period / 3) })
	}
	return s
}

func (s *service) end() {
	close(s.stop)
	s.gone.Wait()
}

func (s *service) ping(every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	told := ""
	for {
		select {
		case <-tick.C:
		case <-s.stop:
			return
		}
		who, why := s.stuck()
		switch {
		case who != "" && who != told:
			s.daemon.log.Error("no progress, and no reason for it: systemd's watchdog is not pinged, and systemd starts the process anew", slog.String("stuck", who), slog.String("reason", why))
		case who == "" && told != "":
			s.daemon.log.Info("there is progress again: systemd's watchdog is pinged", slog.String("was_stuck", told))
		}
		if told = who; who == "" {
			s.tell(systemd.SdNotifyWatchdog)
		}
	}
}

// stuck says who stands still without a reason, "" for nobody, and why that is
// believed: what /healthz says, too.
func (s *service) stuck() (who, why string) {
	stuck := s.daemon.monitor.Stuck()
	switch {
	case len(stuck) == 0:
		return "", ""
	case stuck[0].Source == "":
		return "the supervisor", stuck[0].Reason
	}
	return "source " + stuck[0].Source, stuck[0].Reason
}

// ready says that the daemon runs, and what it does.
func (s *service) ready(status string) {
	s.tell(systemd.SdNotifyReady + "\nSTATUS=" + status)
}

// reloading is followed by ready.
func (s *service) reloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		s.daemon.log.Warn("reading the monotonic clock", slog.Any("error", err))
	}
	s.tell(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", systemd.SdNotifyReloading, now.Nano()/1000))
}

// stopping says that the daemon finishes what is under way, to end or to go on
// with another store.
func (s *service) stopping(ends bool) {
	if ends {
		s.tell(systemd.SdNotifyStopping + "\nSTATUS=finishing what is under way")
	}
}

// tell sends a message; without systemd it goes nowhere.
func (s *service) tell(message string) {
	if _, err := systemd.SdNotify(false, message); err != nil {
		s.daemon.log.Warn("systemd could not be told", slog.Any("error", err))
	}
}

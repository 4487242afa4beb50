package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// clockTicks is in which part of a second Linux tells processor time, on all
// machines that Go runs on.
const clockTicks = 100

// busy is the processor time, user and system, that f takes of this process, of the
// programs that it runs to their end, and of the server: on a machine on which
// others are busy as well it says more than seconds. ok is false where the system
// does not tell.
func (s *site) busy(f func() error) (seconds float64, ok bool, err error) {
	before, ok, err := s.used()
	if err != nil {
		return 0, false, err
	}
	if err := f(); err != nil {
		return 0, false, err
	}
	after, _, err := s.used()
	return after - before, ok, err
}

// measured runs what a side does, and notes what processor time it took.
func (s *site) measured(x *side, run func() (seconds float64, err error)) (seconds float64, err error) {
	busy, ok, err := s.busy(func() (err error) {
		seconds, err = run()
		return err
	})
	if ok {
		x.busy = append(x.busy, busy)
	}
	return seconds, err
}

// used is what all of these have used so far.
func (s *site) used() (seconds float64, ok bool, err error) {
	own, err := processorTime("self", true)
	if errors.Is(err, fs.ErrNotExist) || s.postmaster == 0 {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	for {
		server, err := processorTime(strconv.Itoa(s.postmaster), true)
		if err != nil {
			return 0, false, err
		}
		sessions, err := childrenTime(s.postmaster)
		if err != nil {
			return 0, false, err
		}
		// What a session used is the server's when it has ended: it was to be
		// found in one of the two.
		if again, err := processorTime(strconv.Itoa(s.postmaster), true); err != nil || again == server {
			return own + server + sessions, true, err
		}
	}
}

// childrenTime is what the processes use that one has started and that are there.
func childrenTime(parent int) (seconds float64, err error) {
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	for _, dir := range all {
		fields, err := statOf(filepath.Base(dir))
		if err != nil || fields[1] != strconv.Itoa(parent) {
			continue // it may have ended since
		}
		used, err := ticks(fields[11:13])
		if err != nil {
			return 0, err
		}
		seconds += used
	}
	return seconds, nil
}

// processorTime is what a process has used, with those of its children that ended.
func processorTime(pid string, children bool) (seconds float64, err error) {
	fields, err := statOf(pid)
	if err != nil {
		return 0, err
	}
	if children {
		return ticks(fields[11:15])
	}
	return ticks(fields[11:13])
}

// statOf is the fields of /proc/PID/stat from the state on (proc(5)): what comes
// before may hold spaces.
func statOf(pid string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return nil, err
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 15 {
		return nil, fmt.Errorf("/proc/%s/stat has %d fields", pid, len(fields))
	}
	return fields, nil
}

func ticks(fields []string) (seconds float64, err error) {
	for _, f := range fields {
		n, err := strconv.Atoi(f)
		if err != nil {
			return 0, err
		}
		seconds += float64(n) / clockTicks
	}
	return seconds, nil
}

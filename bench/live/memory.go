package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"penstock/bench/trial"
)

// idle measures the memory of a daemon whose folder stays empty.
func idle(ctx context.Context, s *site) (err error) {
	d, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = d.end(err) }()
	ready, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("the daemon does not begin"))
	defer cancel()
	if err := s.awaits(ready, 0); err != nil {
		return err
	}
	last, most, err := d.memory(ctx, 30*time.Second)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "anonymous memory over 30 s on an empty folder: %.1f MB in the end, %.1f MB at most (aim: 24 MB)\n", last, most)
	return nil
}

// listed measures the memory of a daemon whose folder has many files, first
// while they are loaded and then while they are listed again and again.
func listed(ctx context.Context, s *site) (err error) {
	for i := range s.listed {
		name := filepath.Join(s.watched(), fmt.Sprintf("%03d/L%03d_%07d.csv", i/1000, i%500, i))
		if i%1000 == 0 {
			if err := os.Mkdir(filepath.Dir(name), 0o755); err != nil {
				return err
			}
		}
		text := fmt.Sprintf("logger,channel,timestamp,value,unit\nL%03d,flow,2026-01-%02dT%02d:%02d:00Z,%d.5,l/s\n", i%500, 1+i/500/1440%28, i/500/60%24, i/500%60, i)
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	d, err := s.start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = d.end(err) }()
	loading, loaded := context.WithTimeoutCause(ctx, time.Minute+time.Duration(s.listed)*3*time.Millisecond, errors.New("not all files are loaded"))
	defer loaded()
	began := time.Now()
	most := make(chan float64, 1)
	go func() {
		_, m, _ := d.memory(loading, time.Hour) // until loaded
		most <- m
	}()
	err = s.awaits(loading, s.listed)
	took := time.Since(began)
	loaded()
	if err != nil {
		<-most
		return err
	}
	last, again, err := d.memory(ctx, 30*time.Second)
	if err != nil {
		return err
	}
	peak, err := trial.Memory(d.cmd.Process.Pid, "VmHWM")
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "anonymous memory with %d files in the folder: %.1f MB at most while they were loaded (%.0f s), %.1f MB at most over 30 s of listing them again, %.1f MB in the end (aim: 128 MB); with the program itself %.1f MB at most (aim: 256 MB)\n",
		s.listed, <-most, took.Seconds(), again, last, peak)
	return nil
}

// memory samples the process's anonymous memory for a time, or until ctx ends,
// and returns the last and the most, in MB.
func (d *daemon) memory(ctx context.Context, during time.Duration) (last, most float64, err error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	end := time.After(during)
	for {
		if last, err = trial.Memory(d.cmd.Process.Pid, "RssAnon"); err != nil {
			return last, most, err
		}
		most = max(most, last)
		select {
		case <-tick.C:
		case <-end:
			return last, most, nil
		case <-ctx.Done():
			return last, most, ctx.Err()
		}
	}
}

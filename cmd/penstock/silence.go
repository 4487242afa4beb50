package main

import (
	"context"
	"log/slog"
	"time"

	"penstock/store"
)

// A silenceWatch tells when loggers fall silent, and when they are heard of
// again: each once.
type silenceWatch struct {
	log    *slog.Logger
	silent map[string]bool // since when they were told
}

const (
	// silenceEvery is how often it is looked which loggers are silent.
	silenceEvery = time.Minute
	// mostSilent is how many loggers are named of those found at one look.
	mostSilent = 8
)

// watchSilence looks from time to time which loggers are silent, for the metrics
// and the log.
func (d *daemon) watchSilence(ctx context.Context) {
	w := &silenceWatch{log: d.log, silent: make(map[string]bool)}
	for {
		silence, err := d.store.Silent(ctx, *d.every.Load())
		switch {
		case err == nil:
			d.monitor.Loggers(silence.Reporting, len(silence.Silent), silence.Irregular)
			w.look(silence.Silent)
		case ctx.Err() == nil && !store.Away(err):
			d.log.Error("which loggers are silent could not be read", slog.Any("error", err))
		}
		if !pause(ctx, silenceEvery) {
			return
		}
	}
}

// look takes in which loggers are silent now.
func (w *silenceWatch) look(now []store.SilentLogger) {
	is, told := make(map[string]bool, len(now)), 0
	for _, l := range now {
		is[l.Logger] = true
		if w.silent[l.Logger] {
			continue
		}
		if told++; told <= mostSilent {
			last := slog.Time("last_file", l.Last)
			if l.Last.IsZero() {
				last = slog.String("last_file", "never")
			}
			w.log.Warn("a logger is silent", slog.String("logger", l.Logger), last,
				slog.String("a_file_every", span(l.Every)), slog.String("for", span(l.For)))
		}
	}
	if told > mostSilent {
		w.log.Warn("more loggers are silent", slog.Int("loggers", told-mostSilent), slog.String("see", "penstock status --silent"))
	}
	back := 0
	for logger := range w.silent {
		if is[logger] {
			continue
		}
		if back++; back <= mostSilent {
			w.log.Info("a logger is heard of again", slog.String("logger", logger))
		}
	}
	if back > mostSilent {
		w.log.Info("more loggers are heard of again", slog.Int("loggers", back-mostSilent))
	}
	w.silent = is
}

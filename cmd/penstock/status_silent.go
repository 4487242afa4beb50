package main

import (
	"time"

	"penstock/store"
)

// A silentRow is a logger that fell silent.
type silentRow struct {
	Logger string  `json:"logger" csv:"logger"`
	Last   stamp   `json:"last_file" csv:"last_file"`
	Every  float64 `json:"every_seconds" csv:"every_seconds"`
	For    float64 `json:"silent_seconds" csv:"silent_seconds"`
}

// silentLoggers lists the loggers of live sources from which no file came.
func (a *app) silentLoggers() error {
	s, err := a.openStore(a.take, reads, store.Options{})
	if err != nil {
		return err
	}
	defer s.close(a.log)
	var every map[string]time.Duration
	if a.config != nil {
		every = a.config.loggers.Every()
	}
	silence, err := s.Silent(a.take, every)
	if err != nil {
		return err
	}
	rows := make([]silentRow, len(silence.Silent))
	for i, l := range silence.Silent {
		rows[i] = silentRow{l.Logger, stamp{l.Last}, l.Every.Seconds(), l.For.Seconds()}
	}
	if _, err := printRows(a, eachOf(rows),
		column[silentRow]{head: "LOGGER", text: func(r silentRow) string { return r.Logger }, cut: right},
		column[silentRow]{head: "LAST FILE (UTC)", text: func(r silentRow) string { return moment(r.Last.Time) }},
		column[silentRow]{head: "A FILE EVERY", text: func(r silentRow) string { return span(inSeconds(r.Every)) }, right: true},
		column[silentRow]{head: "SILENT FOR", text: func(r silentRow) string { return span(inSeconds(r.For)) }, right: true},
	); err != nil {
		return err
	}
	a.note("%s silent, %d sending as usual, of %d too few files came to tell.", counted(int64(len(rows)), "logger"), silence.Reporting, silence.Irregular)
	if len(rows) > 0 {
		return exitError(exitTrouble)
	}
	return nil
}

func inSeconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

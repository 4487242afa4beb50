package main

import (
	"encoding/hex"

	"charm.land/lipgloss/v2"

	"penstock/ingest"
	"penstock/store"
)

// A fileRow is a file version in JSON and CSV. Scripts rely on its names.
type fileRow struct {
	ID         int64  `json:"id" csv:"id"`
	Source     string `json:"source" csv:"source"`
	Path       string `json:"path" csv:"path"` // escaped
	Generation int32  `json:"generation" csv:"generation"`
	State      string `json:"state" csv:"state"`
	Reason     string `json:"reason,omitempty" csv:"reason"`
	SHA256     string `json:"sha256" csv:"sha256"`
	Size       int64  `json:"size" csv:"size"`
	Modified   stamp  `json:"modified" csv:"modified"`
	Rank       int16  `json:"rank" csv:"rank"`
	RankTime   stamp  `json:"rank_time" csv:"rank_time"`
	Profile    string `json:"profile,omitempty" csv:"profile"`
	Zone       string `json:"zone,omitempty" csv:"zone"`
	Run        int32  `json:"run" csv:"run"`
	Fetched    stamp  `json:"fetched" csv:"fetched"`
	Changed    stamp  `json:"changed" csv:"changed"`
	First      stamp  `json:"first" csv:"first"`
	Last       stamp  `json:"last" csv:"last"`

	Readings readingCounts `json:"readings" csv:"readings"`
	Lines    lineCounts    `json:"lines" csv:"lines"`
}

// readingCounts and lineCounts are a receipt in JSON and CSV, in the words of
// the model.
type readingCounts struct {
	Stored    int64 `json:"stored" csv:"stored"`
	Replaced  int64 `json:"replaced" csv:"replaced"`
	Unchanged int64 `json:"unchanged" csv:"unchanged"`
	Outranked int64 `json:"outranked" csv:"outranked"`
	Repeated  int64 `json:"repeated" csv:"repeated"`
	Missing   int64 `json:"missing" csv:"missing"`
	Rejected  int64 `json:"rejected" csv:"rejected"`
	Withheld  int64 `json:"withheld" csv:"withheld"`
}

type lineCounts struct {
	Total    int64 `json:"total" csv:"total"`
	Preamble int64 `json:"preamble" csv:"preamble"`
	Header   int64 `json:"header" csv:"header"`
	Blank    int64 `json:"blank" csv:"blank"`
	Comment  int64 `json:"comment" csv:"comment"`
	Footer   int64 `json:"footer" csv:"footer"`
	Message  int64 `json:"message" csv:"message"`
	Data     int64 `json:"data" csv:"data"`
	Rejected int64 `json:"rejected" csv:"rejected"`
}

func readingsOf(c *ingest.Cells) readingCounts {
	return readingCounts{c.Stored, c.Replaced, c.Unchanged, c.Outranked, c.Repeated, c.Missing, c.Rejected, c.Withheld}
}

func linesOf(l *ingest.Lines) lineCounts {
	return lineCounts{l.Total, l.Preamble, l.Header, l.Blank, l.Comment, l.Footer, l.Message, l.Data, l.Rejected}
}

func rowOf(v *store.FileVersion) fileRow {
	return fileRow{
		ID: v.ID, Source: v.Source, Path: v.Display, Generation: v.Generation, State: string(v.State), Reason: v.Reason,
		SHA256: hex.EncodeToString(v.Sum[:]), Size: v.Size, Modified: stamp{v.Modified}, Rank: v.Rank, RankTime: stamp{v.RankTime},
		Profile: v.Profile, Zone: v.Zone, Run: v.Run, Fetched: stamp{v.Fetched}, Changed: stamp{v.Changed},
		First: stamp{v.First}, Last: stamp{v.Last}, Readings: readingsOf(&v.Receipt.Cells), Lines: linesOf(&v.Receipt.Lines),
	}
}

// stateStyle is the colour of a file's state: what a person must see to stands
// out.
func stateStyle(state string) lipgloss.Style {
	switch ingest.State(state) {
	case ingest.Loaded:
		return good
	case ingest.Held, ingest.Due, ingest.Changed, ingest.Loading:
		return warn
	case ingest.Quarantined, ingest.Failed:
		return bad
	case ingest.Duplicate, ingest.Undone, ingest.Skipped, ingest.Known:
	}
	return faint
}

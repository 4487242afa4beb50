package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"penstock/store/pglocal/pgtest"
)

// A truth is what was counted in one file.
type truth struct {
	Kind, File       string
	Readings, Series int64
	Lines            *int64
	First, Last      string // Z UTC, L the logger's clock
	Sum              string
	SumChannel       string `json:"sum_channel"`
}

// Replays of real exports of real instruments come out as what was counted in
// them independently of Penstock.
func TestReplayOfRealFiles(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("PENSTOCK_SHARED_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	text, err := os.ReadFile(filepath.Join(dir, "truth.json"))
	if err != nil {
		t.Skipf("the real files are not here: %v; set PENSTOCK_SHARED_DATA to their folder", err)
	}
	var truths []truth
	if err := json.Unmarshal(text, &truths); err != nil {
		t.Fatal(err)
	}
	binary := build(t)
	for _, want := range truths {
		kind := want.Kind + "/" + want.File
		if strings.HasPrefix(want.File, "[ALL") {
			kind = want.Kind
		}
		t.Run(kind, func(t *testing.T) {
			url := pgtest.Database(t)
			out, err := exec.Command(binary, "replay", "--store", url, "--quiet", "--zone", "UTC", filepath.Join(dir, kind)).CombinedOutput()
			if err != nil {
				t.Fatalf("replay: %v\n%s", err, out)
			}
			on(t, url, func(conn *pgx.Conn) { compareWithTruth(t, conn, want) })
		})
	}
}

// compareWithTruth compares what a database holds with what was counted.
func compareWithTruth(t *testing.T, conn *pgx.Conn, want truth) {
	t.Helper()
	var readings, series, lines int64
	var first, last string
	err := conn.QueryRow(t.Context(), `select count(*), count(distinct (logger, channel)),
		coalesce(to_char(min(ts), 'YYYY-MM-DD"T"HH24:MI:SS'), ''), coalesce(to_char(max(ts), 'YYYY-MM-DD"T"HH24:MI:SS'), ''),
		(select sum(lines) from penstock.receipts) from penstock.observations`).Scan(&readings, &series, &first, &last, &lines)
	if err != nil {
		t.Fatal(err)
	}
	// Local clocks are compared as they show, so UTC served for them.
	if wantFirst, wantLast := strings.TrimRight(want.First, "ZL"), strings.TrimRight(want.Last, "ZL"); readings != want.Readings ||
		series != want.Series || first != wantFirst || last != wantLast || want.Lines != nil && lines != *want.Lines {
		t.Errorf("got %d readings of %d series from %s to %s in %d lines, want %d of %d from %s to %s",
			readings, series, first, last, lines, want.Readings, want.Series, wantFirst, wantLast)
	}
	var equal bool
	err = conn.QueryRow(t.Context(), `select $1 = '' or exists (select from penstock.observations o join penstock.series s using (logger, channel)
		group by o.logger, o.channel, s.label having abs(sum(value::numeric) - nullif($1, '')::numeric) < 0.0005)`, want.Sum).Scan(&equal)
	if err != nil {
		t.Fatal(err)
	}
	if !equal {
		t.Errorf("no channel sums up to %s, as %q should", want.Sum, want.SumChannel)
	}
}

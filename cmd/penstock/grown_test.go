package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"penstock/ingest"
	"penstock/ingest/format"
	"penstock/ingest/source"
	"penstock/store"
	"penstock/store/pglocal/pgtest"
)

// A change further back than what is looked at of a file that grew is found when
// all of the file is hashed again.
func TestRehashFindsWhatWasRewritten(t *testing.T) {
	for _, rehash := range []time.Duration{0, time.Nanosecond} {
		t.Run(fmt.Sprint(rehash), func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "a.csv")
			rows := func(n int) []string {
				lines := []string{"timestamp,flow [l/s]"}
				for i := range n {
					lines = append(lines, fmt.Sprintf("%s,%d.5", time.Unix(1_740_000_000+60*int64(i), 0).UTC().Format(time.RFC3339), i%10))
				}
				return lines
			}
			url := pgtest.Database(t)
			s, err := store.Open(t.Context(), url, store.Options{Create: true})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			load := func(lines []string) []ingest.Outcome {
				if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				return runPipeline(t, s, dir, rehash)
			}
			load(rows(5000))
			grown := rows(5001)
			if o := load(grown); o[0].Receipt.Lines.Total != 1 {
				t.Errorf("a row more: %+v", o)
			}
			grown = rows(5002)
			grown[10] = strings.Replace(grown[10], ".5", ".7", 1)
			load(grown)
			var rewritten int
			conn, err := pgx.Connect(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			if err := conn.QueryRow(t.Context(), "select count(*) from penstock.readings where value::text like '%.7'").Scan(&rewritten); err != nil {
				t.Fatal(err)
			}
			if want := map[bool]int{true: 1}[rehash > 0]; rewritten != want {
				t.Errorf("%d readings are as they were rewritten, want %d", rewritten, want)
			}
		})
	}
}

// runPipeline loads what is in a folder and returns what became of the files.
func runPipeline(t *testing.T, s *store.Store, dir string, rehash time.Duration) (outcomes []ingest.Outcome) {
	t.Helper()
	src, err := source.NewDir(source.Options{Source: "site"}, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	sink, err := s.Sink(t.Context(), store.SinkOptions{Source: "site"})
	if err != nil {
		t.Fatal(err)
	}
	set, err := format.NewSet(true)
	if err != nil {
		t.Fatal(err)
	}
	decoders, err := decodersOf(set, format.Settings{Profile: "auto"})
	if err != nil {
		t.Fatal(err)
	}
	p := &ingest.Pipeline{Source: src, Sink: sink, NewDecoder: decoders, Workers: 1, Rehash: rehash,
		Observe: func(e ingest.Event) { outcomes = append(outcomes, e.Outcomes...) }}
	if err := p.Run(t.Context(), t.Context()); err != nil {
		t.Fatal(err)
	}
	return outcomes
}

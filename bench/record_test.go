package bench

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gocarina/gocsv"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/perf/benchfmt"
)

func recorded() *Result {
	at := time.Date(2026, 5, 1, 12, 0, 0, 123456000, time.UTC)
	return &Result{
		Began: at, Ended: at.Add(time.Minute), Cut: "interrupted",
		Machine:  Machine{OS: "linux", Arch: "amd64", CPU: "A CPU", Cores: 4, Memory: 8 << 30, Load: 0.25},
		Versions: Versions{Penstock: "v1.2.3", Go: "go1.26.8", Database: "PostgreSQL 17.2"},
		Settings: Settings{Stage: "load", Files: "27,000 files", Store: "a schema", Cache: "warm", Auto: Cell{8, 1000}},
		Protocol: Protocol{Cells: []Cell{{1, 1}, {4, 100}}, Reference: Cell{8, 1000}, Sets: 1, Runs: 1, Pause: time.Second, WarmUps: 1, Seed: 3},
		Samples: []Sample{
			{Cell: Cell{8, 1000}, At: at, Seconds: 2},
			{Cell: Cell{8, 1000}, Set: 1, At: at, Seconds: 1.5},
			{Cell: Cell{4, 100}, Set: 1, Run: 1, At: at, Seconds: 0.5, CPU: 1.25, Busy: 2, Fetch: 0.1, Decode: 0.2, Commit: 0.3, Files: 10, Readings: 20, Bytes: 300},
			{Cell: Cell{1, 1}, Set: 1, Run: 1, At: at, Error: "it said \"no\", twice"},
		},
	}
}

// What is written is all there is, and reads back as it was.
func TestRecordsReadBack(t *testing.T) {
	want := recorded()
	a := Analyse(want)
	var text bytes.Buffer
	if err := a.WriteJSON(&text); err != nil {
		t.Fatal(err)
	}
	var got Result
	if err := json.Unmarshal(text.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, &got); diff != "" {
		t.Errorf("bench.json differs (-want +got):\n%s", diff)
	}

	text.Reset()
	if err := a.WriteCSV(&text); err != nil {
		t.Fatal(err)
	}
	const head = "workers,chunk,set,run,at,seconds,cpu_seconds,busy_seconds,fetch_seconds,decode_seconds,commit_seconds,files,chunks,readings,bytes,error\n"
	if !strings.HasPrefix(text.String(), head) {
		t.Errorf("bench.csv begins with\n%.200s\nwant\n%s", text.String(), head)
	}
	var samples []Sample
	if err := gocsv.Unmarshal(&text, &samples); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Samples, samples); diff != "" {
		t.Errorf("bench.csv differs (-want +got):\n%s", diff)
	}
}

// benchstat reads the runs that count, with what they were run on.
func TestBenchfmt(t *testing.T) {
	var text bytes.Buffer
	if err := Analyse(recorded()).WriteBenchfmt(&text); err != nil {
		t.Fatal(err)
	}
	for _, about := range []string{"# 4 cores", "PostgreSQL 17.2", "Penstock v1.2.3"} {
		if first, _, _ := strings.Cut(text.String(), "\n"); !strings.Contains(first, about) {
			t.Errorf("the first line, %s, does not say %q", first, about)
		}
	}
	in := benchfmt.NewReader(&text, "bench.txt")
	n := 0
	for in.Scan() {
		r, ok := in.Result().(*benchfmt.Result)
		if !ok {
			t.Errorf("%v is no result", in.Result())
			continue
		}
		n++
		if got, want := r.Name.String(), "Sweep/stage=load/workers=4/chunk=100"; got != want {
			t.Errorf("the name is %s, want %s", got, want)
		}
		for unit, want := range map[string]float64{"sec/op": 0.5, "cpu-sec/op": 1.25, "readings/s": 40} {
			if got, ok := r.Value(unit); !ok || got != want {
				t.Errorf("%s is %v, want %v", unit, got, want)
			}
		}
		// What differs between two runs that are compared is not said in a way that
		// benchstat sets them apart by.
		for _, config := range r.Config {
			if !slices.Contains([]string{".file", "goos", "goarch", "cpu"}, config.Key) {
				t.Errorf("benchstat is told of %s", config.Key)
			}
		}
	}
	if in.Err() != nil || n != 1 {
		t.Errorf("%d results (%v), want that of the one run that counts", n, in.Err())
	}
}

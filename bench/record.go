package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/gocarina/gocsv"
	"golang.org/x/perf/benchfmt"
)

// WriteJSON writes the result, every single run of it: bench.json.
func (a *Analysis) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	if err := e.Encode(a.Result); err != nil {
		return fmt.Errorf("writing the sweep as JSON: %w", err)
	}
	return nil
}

// WriteCSV writes a line for each run, warm-ups, reference runs and those that
// failed among them: bench.csv. The columns are those of [Sample].
func (a *Analysis) WriteCSV(w io.Writer) error {
	if err := gocsv.Marshal(a.Result.Samples, w); err != nil {
		return fmt.Errorf("writing the sweep as CSV: %w", err)
	}
	return nil
}

// WriteBenchfmt writes a line for each run that counts, in the format of Go's
// benchmarks (golang.org/design/14313-benchmark-format): bench.txt, of which
// benchstat compares two. As go test does it says system and processor; all else
// that was swept with stands in comments, as benchstat compares nothing that is
// said to differ, and versions are what is compared. The name has no core count at
// its end, for the same reason.
func (a *Analysis) WriteBenchfmt(w io.Writer) error {
	r := a.Result
	about := append(a.circumstances(), r.Settings.Files)
	if _, err := fmt.Fprintf(w, "# %s\n", visible(strings.Join(about, "; "))); err != nil {
		return fmt.Errorf("writing the sweep for benchstat: %w", err)
	}
	out := benchfmt.NewWriter(w)
	rec := &benchfmt.Result{Iters: 1}
	for _, line := range [][2]string{{"goos", r.Machine.OS}, {"goarch", r.Machine.Arch}, {"cpu", r.Machine.CPU}} {
		if line[1] != "" {
			rec.Config = append(rec.Config, benchfmt.Config{Key: line[0], Value: []byte(line[1]), File: true})
		}
	}
	for i := range r.Samples {
		x := &r.Samples[i]
		if !x.counts() {
			continue
		}
		rec.Name = fmt.Appendf(rec.Name[:0], "Sweep/stage=%s/workers=%d/chunk=%d", r.Settings.Stage, x.Workers, x.Chunk)
		rec.Values = append(rec.Values[:0],
			benchfmt.Value{Value: x.Seconds, Unit: "sec/op"},
			benchfmt.Value{Value: x.CPU, Unit: "cpu-sec/op"},
			benchfmt.Value{Value: float64(x.Readings) / x.Seconds, Unit: "readings/s"})
		if err := out.Write(rec); err != nil {
			return fmt.Errorf("writing the sweep for benchstat: %w", err)
		}
	}
	return nil
}

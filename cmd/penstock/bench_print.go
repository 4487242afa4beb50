package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"penstock/bench"
)

// A benchReport is a sweep in JSON. Scripts rely on its names.
type benchReport struct {
	Verdict bench.Verdict `json:"verdict"`
	Best    *bench.Cell   `json:"best"` // these are null where no cell came to an end
	Least   *bench.Cell   `json:"least"`
	Auto    bench.Cell    `json:"auto"`
	Result  *bench.Result `json:"result"`
}

// printBench writes what a sweep came to, in the way that --output asks for.
func (a *app) printBench(analysis *bench.Analysis) error {
	switch a.output.value {
	case "json":
		report := benchReport{Verdict: analysis.Verdict, Auto: analysis.Result.Settings.Auto, Result: analysis.Result}
		if analysis.Best != nil {
			report.Best, report.Least = &analysis.Best.Cell, &analysis.Least.Cell
		}
		return a.printObject(report)
	case "csv":
		return analysis.WriteCSV(a.raw())
	}
	return analysis.WriteText(a.out, bench.Terminal{Profile: a.outProfile, Width: a.width})
}

// benchFiles are what --out writes, by name.
func benchFiles() map[string]func(*bench.Analysis, io.Writer) error {
	return map[string]func(*bench.Analysis, io.Writer) error{
		"bench.json": (*bench.Analysis).WriteJSON,
		"bench.csv":  (*bench.Analysis).WriteCSV,
		"bench.txt":  (*bench.Analysis).WriteBenchfmt,

		"heatmap.html": (*bench.Analysis).WriteHTML,
		"heatmap.png":  func(x *bench.Analysis, w io.Writer) error { return x.WriteHeatmap(w, "png") },
		"heatmap.svg":  func(x *bench.Analysis, w io.Writer) error { return x.WriteHeatmap(w, "svg") },
		"speedup.png":  func(x *bench.Analysis, w io.Writer) error { return x.WriteSpeedup(w, "png") },
	}
}

// writeBench writes the files of --out. Run time against workers is a picture
// where the smallest chunk was run with more than one number of them.
func writeBench(dir string, analysis *bench.Analysis) error {
	files := benchFiles()
	if chunk := analysis.Chunks[0]; analysis.Runtimes(chunk) > 1 {
		files["runtime.png"] = func(x *bench.Analysis, w io.Writer) error { return x.WriteRuntimes(w, "png", chunk) }
	}
	for name, write := range files {
		f, err := os.Create(filepath.Join(dir, name))
		if err == nil {
			err = errors.Join(write(analysis, f), f.Close())
		}
		if err != nil {
			return fmt.Errorf("writing the results: %w", err)
		}
	}
	return nil
}

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

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
	return a.printHeatmap(analysis)
}

// benchFiles are what --out writes, by name.
func benchFiles() map[string]func(*bench.Analysis, io.Writer) error {
	return map[string]func(*bench.Analysis, io.Writer) error{
		"bench.json": (*bench.Analysis).WriteJSON,
		"bench.csv":  (*bench.Analysis).WriteCSV,
		"bench.txt":  (*bench.Analysis).WriteBenchfmt,
	}
}

// writeBench writes the files of --out.
func writeBench(dir string, analysis *bench.Analysis) error {
	for name, write := range benchFiles() {
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

// printHeatmap writes a sweep for people: medians of the cells, then the verdict.
func (a *app) printHeatmap(x *bench.Analysis) error {
	var b strings.Builder
	s := &x.Result.Settings
	fmt.Fprintf(&b, "Stage %s, %s, caches %s, medians in seconds\n\n%9s", s.Stage, printable(s.Files), s.Cache, "workers")
	for _, chunk := range x.Chunks {
		fmt.Fprintf(&b, "%11s", "chunk "+strconv.Itoa(chunk))
	}
	b.WriteByte('\n')
	for _, workers := range x.Workers {
		fmt.Fprintf(&b, "%9d", workers)
		for _, chunk := range x.Chunks {
			fmt.Fprintf(&b, "%11s", cellText(x.At(bench.Cell{Workers: workers, Chunk: chunk})))
		}
		b.WriteByte('\n')
	}
	b.WriteString("\n* the best, + not distinguishable from it\n")
	v := &x.Verdict
	for _, text := range slices.Concat([]string{"", v.Best, v.Least, "The bottleneck: " + string(v.Bottleneck) + "."}, v.Evidence, []string{v.Auto, v.Advice}, v.Notes) {
		fmt.Fprintln(&b, printable(text))
	}
	if v.Config != "" {
		fmt.Fprintf(&b, "\n%s\n", v.Config)
	}
	_, err := io.WriteString(a.out, b.String())
	return err
}

func cellText(c *bench.CellStats) string {
	switch {
	case c == nil || !c.Visited():
		return "-"
	case c.N == 0:
		return "failed"
	}
	mark := " "
	switch {
	case c.Best:
		mark = "*"
	case c.Alike:
		mark = "+"
	}
	return fmt.Sprintf("%.3f%s", c.Median, mark)
}

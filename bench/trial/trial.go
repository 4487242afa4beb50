// Package trial is what the commands have in common that try programs from
// outside, on a PostgreSQL of their own: peers, ratios and live.
package trial

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// Main runs a command of that name until it ends, or is asked to, and returns the
// code to exit with.
func Main(name string, run func(ctx context.Context, args []string, out io.Writer) error) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1
	}
	return 0
}

// Program is the path of the program to measure, whichever folder it runs in.
func Program(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("no program to measure: %w (make build, or name it with -penstock)", err)
	}
	return path, nil
}

// Command runs a program to its end and returns what it wrote to stdout; an
// error carries what it wrote to stderr.
func Command(ctx context.Context, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	out, err := cmd.Output()
	if err == nil {
		return out, nil
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("%s: %w: %s", filepath.Base(program), err, strings.TrimSpace(string(exit.Stderr)))
	}
	return nil, fmt.Errorf("running %s: %w", program, err)
}

// Turns calls once for each side in each round, counted from 0. The order is turned
// round each time, so that what the machine does beside is shared fairly. It ends
// with the first error.
func Turns(rounds, sides int, once func(round, side int) error) error {
	for round := range rounds {
		for side := range sides {
			if round%2 == 1 {
				side = sides - 1 - side
			}
			if err := once(round, side); err != nil {
				return err
			}
		}
	}
	return nil
}

// Median is the middle value, or the mean of the two in the middle. There is to be
// one at least.
func Median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// Exec runs statements on the PostgreSQL of that URL, each in a transaction of its
// own.
func Exec(ctx context.Context, url string, statements ...string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// One runs a query of one row on the PostgreSQL of that URL.
func One(ctx context.Context, url, query string, into ...any) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, query).Scan(into...); err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	return nil
}

// Memory is what a running process takes, in MB of 10^6 bytes, as proc(5) has it:
// VmHWM is its most so far, RssAnon what it has to itself now.
func Memory(pid int, field string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "\n"+field+":")
	kib, _, ok := strings.Cut(strings.TrimSpace(rest), " kB")
	if !ok {
		return 0, errors.New("the system does not tell the memory of a process: this needs Linux, and one that has not ended")
	}
	n, err := strconv.ParseFloat(kib, 64)
	return n * 1024 / 1e6, err
}

// Chosen returns those of things whose name a regular expression, -only's, matches.
// Where there are none, the error names all.
func Chosen[T any](only string, things []T, name func(T) string) (chosen []T, err error) {
	match, err := regexp.Compile(only)
	if err != nil {
		return nil, fmt.Errorf("-only: %w", err)
	}
	var names []string
	for _, thing := range things {
		if names = append(names, name(thing)); match.MatchString(name(thing)) {
			chosen = append(chosen, thing)
		}
	}
	if chosen == nil {
		return nil, fmt.Errorf("-only: %q matches none of %s", only, strings.Join(names, ", "))
	}
	return chosen, nil
}

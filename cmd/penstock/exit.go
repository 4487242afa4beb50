package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"penstock/store"
	"penstock/store/pglocal"
)

// The exit codes. Scripts rely on them.
const (
	exitWell    = 0
	exitFailed  = 1
	exitUsage   = 2 // the command line or a setting is wrong
	exitTrouble = 3 // finished, but some of the input was not taken as it is
	exitInUse   = 4 // another instance holds the store or the lease
)

var (
	errInterrupted = errors.New("interrupted")
	errAborted     = errors.New("aborted")
)

// A usageError is a mistake in the command line or in a setting.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usage(hint, format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...), hint}
}

// An exitError ends the program with a code whose reason has been shown.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// A hinted error tells what to do about it.
type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string { return e.err.Error() }
func (e *hinted) Unwrap() error { return e.err }

// conclude tells an error to the person and returns the exit code it stands
// for.
func (a *app) conclude(err error) int {
	var exit exitError
	var wrong *usageError
	var inUse *pglocal.InUseError
	var held *store.LeaseHeldError
	switch {
	case err == nil:
		return exitWell
	case errors.Is(err, syscall.EPIPE), errors.Is(err, io.ErrClosedPipe):
		return exitWell // the reader has what it wanted
	case errors.As(err, &exit):
		return int(exit)
	case errors.As(err, &wrong):
		a.complain(err, wrong.hint)
		return exitUsage
	case errors.As(err, &held):
		a.complain(err, held.Hint())
		return exitInUse
	case errors.As(err, &inUse):
		a.complain(err, "")
		return exitInUse
	case errors.Is(err, context.Canceled) && a.take.Err() != nil:
		a.complain(context.Cause(a.take), "")
		return exitFailed
	}
	a.complain(err, hintFor(err))
	return exitFailed
}

func hintFor(err error) string {
	var h *hinted
	var own interface{ Hint() string }
	switch {
	case errors.As(err, &h):
		return h.hint
	case errors.As(err, &own):
		return own.Hint()
	case errors.Is(err, store.ErrNoSchema):
		return "'penstock replay PATH' makes it, and so does 'penstock migrate'"
	case errors.Is(err, store.ErrNoHypertable):
		return "leave store.hypertable out of the config, or use a new schema of a database that has the extension ('create extension timescaledb')"
	}
	return ""
}

// complain writes an error to stderr, and what can be done about it.
func (a *app) complain(err error, hint string) {
	fmt.Fprintf(a.err, "%s %s\n", a.errStyle(bad, "penstock:"), printableLines(err.Error()))
	if hint != "" {
		fmt.Fprintf(a.err, "%s %s\n", a.errStyle(faint, "hint:"), hint)
	}
}

// note tells the person something beside the data.
func (a *app) note(format string, args ...any) {
	if a.quiet {
		return
	}
	text := strings.TrimRight(fmt.Sprintf(format, args...), "\n")
	fmt.Fprintln(a.err, text)
}

// Command penstock ingests time-series CSV files into PostgreSQL. Each
// subcommand has a file of its own; wire.go puts the parts together for them.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	// A reader that goes away (penstock files ls | head) ends the writing with
	// EPIPE and not the process: a private PostgreSQL is to be stopped first.
	signal.Ignore(syscall.SIGPIPE)
	limitMemory()
	os.Exit(run(os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program but for the process around it. It returns the exit
// code.
func run(args, environ []string, in io.Reader, out, err io.Writer) int {
	a := newApp(args, environ, in, out, err)
	end := a.catchSignals()
	defer end()
	root := newRoot(a)
	root.SetArgs(args)
	return a.conclude(root.ExecuteContext(a.take))
}

// sameSignal is within which two signals are one that was sent twice, as programs
// do that signal a process and then its group.
const sameSignal = 20 * time.Millisecond

// catchSignals makes the first SIGINT or SIGTERM end take, and the second end
// work. The function it returns gives the signals back.
func (a *app) catchSignals() func() {
	take, endTake := context.WithCancelCause(context.Background())
	work, endWork := context.WithCancelCause(context.Background())
	a.take, a.work = take, work
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		stages := []func(){
			func() { endTake(errInterrupted) },
			func() { endWork(errAborted) },
		}
		last := time.Time{}
		for len(stages) > 0 {
			select {
			case <-signals:
				if time.Since(last) < sameSignal {
					continue
				}
				last = time.Now()
				stages[0]()
				stages = stages[1:]
			case <-done:
				return
			}
		}
		<-done
	}()
	return func() {
		signal.Stop(signals)
		close(done)
		<-gone
		endTake(nil)
		endWork(nil)
	}
}

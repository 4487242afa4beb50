package ingest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// The end of a run: by a drain, an abort, an error or a panic. Each test runs
// in a bubble, where synctest.Wait returns when nothing moves any more: what
// has not ended then never would.

// ended returns the error that the run has ended with by now.
func ended(t *testing.T, run <-chan error) error {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-run:
		return err
	default:
		t.Fatal("the run has not ended, and nothing moves")
		return nil
	}
}

// running says that the run has not ended, and will not by itself.
func running(t *testing.T, run <-chan error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-run:
		t.Fatalf("the run has ended already, with %v", err)
	default:
	}
}

// gate holds all who come to the given step until it is opened.
type gate struct {
	at     step
	opened chan struct{}
}

func newGate(at step) *gate { return &gate{at, make(chan struct{})} }

func (g *gate) hook(ctx context.Context, at step, _ string) error {
	if at != g.at {
		return nil
	}
	select {
	case <-g.opened:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func TestDrainCommitsWhatIsInChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(numbered(3 * listedAhead)...)
		commits := newGate(committing)
		r.hook(commits.hook)
		take, drain := context.WithCancel(t.Context())
		run := r.start(take, t.Context())
		running(t, run)
		drain()
		running(t, run) // until the chunks that were handed out are committed
		close(commits.opened)
		if err := ended(t, run); err != nil {
			t.Errorf("a drain ends with %v", err)
		}
		r.checkOrder(t)
		// Two workers had a chunk each, and a third one waited for a worker.
		if got := r.sizes(); !slices.Equal(got, []int{3, 3, 3}) {
			t.Errorf("%d chunks were committed, want the three of 3 files that were closed", len(got))
		}
		if n := r.report.states(); n[Loaded] != 9 || len(n) != 1 || len(r.shelf.fetched) != 9 {
			t.Errorf("told of %v, fetched %d; want the 9 that were committed", n, len(r.shelf.fetched))
		}
		r.checkDone(t)
	})
}

func TestDrainHandsOutTheOpenChunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(numbered(5)...)
		r.shelf.watch = true
		r.Limits = Limits{Files: 100, Linger: time.Hour}
		take, drain := context.WithCancel(t.Context())
		run := r.start(take, t.Context())
		running(t, run)
		if len(r.ledger.chunks) != 0 {
			t.Fatalf("committed before the chunk closed: %q", r.ledger.chunks)
		}
		drain()
		if err := ended(t, run); err != nil {
			t.Errorf("a drain ends with %v", err)
		}
		if got := r.sizes(); !slices.Equal(got, []int{5}) {
			t.Errorf("chunks of %v files were committed, want the open one of 5", got)
		}
		r.checkOrder(t)
		if n := r.report.states(); n[Loaded] != 5 || len(n) != 1 {
			t.Errorf("told of %v: the end of the listing is no failure", n)
		}
	})
}

func TestDrainBeforeTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(numbered(100)...)
		take, drain := context.WithCancel(t.Context())
		drain()
		if err := ended(t, r.start(take, t.Context())); err != nil {
			t.Error(err)
		}
		r.checkOrder(t)
		if len(r.shelf.fetched)+len(r.ledger.asked)+len(r.report.events) != 0 {
			t.Errorf("fetched %d files, looked %d times, told %d events; want nothing to begin", len(r.shelf.fetched), len(r.ledger.asked), len(r.report.events))
		}
	})
}

// A drain that was cut short by an abort, as by a second Ctrl-C.
func TestAbortDuringADrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(numbered(100)...)
		r.hook(newGate(committing).hook)
		take, drain := context.WithCancel(t.Context())
		work, abort := context.WithCancel(t.Context())
		run := r.start(take, work)
		running(t, run)
		drain()
		running(t, run)
		abort()
		if err := ended(t, run); !errors.Is(err, context.Canceled) {
			t.Errorf("an abort ends with %v", err)
		}
		r.checkOrder(t)
		if len(r.ledger.files) != 0 || len(r.report.events) != 0 {
			t.Errorf("%d files are in the ledger, %d events were told", len(r.ledger.files), len(r.report.events))
		}
		if !r.Dropped() {
			t.Error("it does not say that it dropped what was under way")
		}
	})
}

// An abort drops nothing where nothing is under way.
func TestAbortOfNothing(t *testing.T) {
	for name, files := range map[string]int{"nothing was listed": 0, "all is committed": 5} {
		t.Run(name, func(t *testing.T) {
			operate(t, func(p *plant) {
				for i := range files {
					p.yard.put(fmt.Sprintf("L/%d", i), reading1(i))
				}
			}, func(p *plant) {
				p.after(time.Second)
				p.abort()
				ended := make(chan error, 1)
				ended <- <-p.running
				if p.running = ended; p.Dropped() || p.told[Loaded] != files {
					t.Errorf("it says that it dropped something: %v, with %v", p.Dropped(), p.told)
				}
			})
		})
	}
}

var steps = []step{listing, pending, connecting, fetching, reading, decoding, committing, finishing}

// Wherever the parts wait, and many are listed meanwhile, an abort ends all.
func TestAbort(t *testing.T) {
	for i := range 2 * len(steps) {
		at, connections := steps[i/2], i%2*3
		t.Run(fmt.Sprintf("%s with %d connections", at, connections), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(streamed(3 * listedAhead)...)
				r.Connections = connections
				r.shelf.watch = true
				r.hook(newGate(at).hook)
				work, abort := context.WithCancelCause(t.Context())
				run := r.start(t.Context(), work)
				running(t, run)
				reason := errors.New("a second Ctrl-C")
				abort(reason)
				if err := ended(t, run); !errors.Is(err, reason) {
					t.Errorf("ends with %v, want the reason", err)
				}
				r.checkOrder(t)
				if n := r.report.states(); at != finishing && len(n) != 0 {
					t.Errorf("told of %v", n)
				} else if n[Loaded] != len(r.ledger.files) {
					t.Errorf("told of %v, committed %d", n, len(r.ledger.files))
				}
			})
		})
	}
}

func streamed(n int) []item {
	items := numbered(n)
	for i := range items {
		items[i].stream = i%2 == 0
	}
	return items
}

// An error of the sink is the run's, at once, wherever the others wait; one of
// the source is a file's.
func TestErrorsOfTheSinkEndTheRun(t *testing.T) {
	refused := errors.New("permission denied for table readings")
	for _, at := range []step{pending, connecting, committing} {
		for i, others := range []step{listing, fetching, reading, committing, listing, fetching, reading, committing} {
			t.Run(fmt.Sprintf("%s while others wait in %s with %d connections", at, others, i/4*9), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(streamed(3 * listedAhead)...)
					r.Workers, r.Limits.Files, r.Connections = 4, 1, i/4*9
					r.shelf.watch = true
					hold, taken := newGate(others), make(chan struct{})
					var once, take sync.Once
					r.hook(func(ctx context.Context, now step, path string) error {
						_, number, _ := strings.Cut(path, "/")
						if number == "000007.csv" && (now == reading || now == decoding || now == committing) {
							take.Do(func() { close(taken) })
						}
						if at == committing && now == fetching && number > "000007.csv" && others != fetching {
							<-taken // else they may hold all workers before it has one
						}
						switch {
						case now == at && (path == "" || number == "000007.csv"):
							first := false
							once.Do(func() { first = true })
							if first {
								return fmt.Errorf("the ledger: %w", refused)
							}
							<-ctx.Done() // who comes later waits, and is cut off
							return ctx.Err()
						case number > "000020.csv" || now != listing && number > "000007.csv":
							return hold.hook(ctx, now, path)
						}
						return nil
					})
					if err := ended(t, r.start(t.Context(), t.Context())); !errors.Is(err, refused) {
						t.Errorf("ends with %v, want the sink's error", err)
					}
					r.checkOrder(t)
				})
			})
		}
	}
}

func TestErrorsOfDoneAreOnlyLogged(t *testing.T) {
	var log logBuffer
	r := newRig(numbered(4)...)
	r.Log = log.logger()
	r.hook(func(_ context.Context, at step, path string) error {
		if at == finishing && strings.HasSuffix(path, "2.csv") {
			return errors.New("read-only file system")
		}
		return nil
	})
	r.run(t)
	if n := r.report.states(); n[Loaded] != 4 {
		t.Errorf("told of %v", n)
	}
	if got := log.String(); strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, "read-only file system") || !strings.Contains(got, "L2/000002.csv") {
		t.Errorf("the log says:\n%s", got)
	}
}

// A panic is the run's error and names itself; nothing hangs and nothing stays
// open.
func TestPanicsEndTheRun(t *testing.T) {
	for i, at := range []step{listing, pending, connecting, fetching, committing, finishing, listing, pending, connecting, fetching, committing, finishing} {
		t.Run(fmt.Sprintf("%s with %d connections", at, i/6*3), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(streamed(3 * listedAhead)...)
				r.Connections = i / 6 * 3
				r.shelf.watch = true
				r.hook(func(_ context.Context, now step, path string) error {
					if now == at && (path == "" || path == r.shelf.items[40].path || now == committing) {
						panic("out of cheese")
					}
					return nil
				})
				checkPanicked(t, ended(t, r.start(t.Context(), t.Context())))
				r.checkOrder(t)
			})
		})
	}
	t.Run("making a decoder", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(numbered(10)...)
			r.NewDecoder = func() Decoder { panic("out of cheese") }
			checkPanicked(t, ended(t, r.start(t.Context(), t.Context())))
			r.checkOrder(t)
		})
	})
	for _, worker := range []bool{false, true} {
		t.Run(fmt.Sprintf("observing a worker %v", worker), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(numbered(100)...)
				r.ledger.files[r.shelf.items[50].path] = entry{state: Loaded}
				r.Observe = func(e Event) {
					if (e.Worker > 0) == worker {
						panic("out of cheese")
					}
				}
				checkPanicked(t, ended(t, r.start(t.Context(), t.Context())))
			})
		})
	}
	t.Run("reading a stream to its end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(item{path: "L/1", text: "!enough\n" + strings.Repeat("flow 1 1\n", 99), stream: true})
			reads := 0
			r.hook(func(_ context.Context, now step, _ string) error {
				if reads++; now == reading && reads > 10 {
					panic("out of cheese")
				}
				return nil
			})
			checkPanicked(t, ended(t, r.start(t.Context(), t.Context())))
			r.checkOrder(t)
		})
	})
}

func checkPanicked(t *testing.T, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "panicked") || !strings.Contains(err.Error(), "out of cheese") || !strings.Contains(err.Error(), "_test.go:") {
		t.Errorf("ends with %v, want the panic and where it was", err)
	}
}

// What a watched source says when its context ends is no failure of a file;
// what it says before is.
func TestTheEndOfAListingIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig()
		r.Source = grumbling{r.shelf}
		take, drain := context.WithCancel(t.Context())
		run := r.start(take, t.Context())
		running(t, run)
		drain()
		if err := ended(t, run); err != nil {
			t.Error(err)
		}
		if n := r.report.states(); n[Failed] != 1 || len(n) != 1 {
			t.Errorf("told of %v, want the one folder that could not be listed", n)
		}
	})
}

// grumbling lists one folder that cannot be read, and then waits. It does not
// take no for an answer.
type grumbling struct{ *shelf }

func (g grumbling) Files(ctx context.Context) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		if yield(File{Path: "north"}, errors.New("permission denied")) {
			yield(File{}, fmt.Errorf("watching: %w", waits(ctx)))
		}
	}
}

package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"
)

// A logBuffer is a log that can be read.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// outcome is that of the file "L/2", which stands between two that are well.
func outcome(t *testing.T, it item, also ...hook) (*rig, Outcome) {
	t.Helper()
	it.path = "L/2"
	r := newRig(item{path: "L/1", text: "flow 1 1\n"}, it, item{path: "L/3", text: "flow 3 3\n"})
	r.Workers = 1
	for _, h := range also {
		r.hook(h)
	}
	r.run(t)
	for _, path := range []string{"L/1", "L/3"} {
		if o := r.report.of(path); len(o) != 1 || o[0].State != Loaded || o[0].Receipt.Cells.Stored != 1 {
			t.Errorf("its neighbour %s: %+v", path, o)
		}
	}
	if len(r.ledger.chunks) != 1 {
		t.Errorf("commits of %q, want one", r.ledger.chunks)
	}
	r.checkSums(t)
	r.checkDone(t)
	all := r.report.of("L/2")
	if len(all) != 1 {
		t.Fatalf("outcomes %+v, want one", all)
	}
	return r, all[0]
}

func TestFaultsOfOneFile(t *testing.T) {
	broken := errors.New("input/output error")
	changed := fmt.Errorf("L/2: %w", ErrChanged)
	const text = "flow 2 2\nflow 3 9\n"
	for _, c := range []struct {
		name   string
		item   item
		hook   hook
		state  State
		reason string
	}{
		{"well", item{text: text}, nil, Loaded, ""},
		{"well, as a stream", item{text: text, stream: true}, nil, Loaded, ""},
		{"it cannot be fetched", item{unreads: broken}, nil, Failed, "input/output error"},
		{"it changes while it is fetched", item{unreads: changed}, nil, Changed, "the file changed"},
		{"it changes while its stream is read", item{text: text, stream: true, breaks: changed}, nil, Changed, "the file changed"},
		{"its transfer is cut off, which only closing tells", item{text: text, stream: true, breaks: broken}, nil, Failed, "input/output error"},
		{"its stream breaks", item{text: text, stream: true}, after(2, reading, broken), Failed, "input/output error"},
		{"its stream breaks behind what the decoder reads", item{text: "!enough\n" + strings.Repeat(text, 9), stream: true}, after(8, reading, broken), Failed, "input/output error"},
		{"its stream breaks because it changes", item{text: text, stream: true, breaks: changed}, after(2, reading, broken), Changed, "the file changed"},
		{"it is refused", item{text: text + "!quarantine\n"}, nil, Quarantined, "it says so"},
		{"it is refused, as a stream that changes", item{text: text + "!quarantine\n", stream: true, breaks: changed}, nil, Changed, "the file changed"},
		{"the decoder panics", item{text: text + "!panic\n"}, nil, Quarantined, "no such line"},
		{"the decoder panics in a stream", item{text: text + "!panic\n" + text, stream: true}, nil, Quarantined, "no such line"},
		{"the decoder panics in a stream that changes", item{text: text + "!panic\n" + text, stream: true, breaks: changed}, nil, Changed, "the file changed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, o := outcome(t, c.item, c.hook)
			if o.State != c.state || !strings.Contains(o.Reason, c.reason) || (c.reason == "") != (o.Reason == "") {
				t.Errorf("%s (%q), want %s (%q)", o.State, o.Reason, c.state, c.reason)
			}
			if strings.Contains(o.Reason, "\n") || strings.Count(o.Reason, c.reason) > 1 && c.reason != "" {
				t.Errorf("the reason says it twice: %q", o.Reason)
			}
			if _, ok := r.ledger.files["L/2"]; ok != (c.state == Loaded || c.state == Quarantined) {
				t.Errorf("in the ledger: %v, as %s", ok, c.state)
			}
			if loaded := c.state == Loaded; len(r.ledger.table) != map[bool]int{true: 3, false: 2}[loaded] {
				t.Errorf("the table has %d instants: %v", len(r.ledger.table), r.ledger.table)
			}
		})
	}
}

// after lets the first n of a step pass and then fails, for L/2 only.
func after(n int, at step, err error) hook {
	return func(_ context.Context, now step, path string) error {
		if now != at || path != "L/2" {
			return nil
		}
		if n--; n < 0 {
			return err
		}
		return nil
	}
}

func TestADecodersPanicIsLogged(t *testing.T) {
	var log logBuffer
	r := newRig(item{path: "L/\x1b[31m.csv", text: "!panic\n"})
	r.Log = log.logger()
	r.run(t)
	got := log.String()
	for _, want := range []string{"level=ERROR", "decoder panicked", `\x1B[31m.csv`, "no such line", "parts_test.go:"} {
		if !strings.Contains(got, want) {
			t.Errorf("the log does not say %q:\n%s", want, got)
		}
	}
}

// A decoder may take a broken stream for a broken file: the stream has the
// last word.
func TestABrokenStreamIsNoBrokenFile(t *testing.T) {
	r := newRig(item{path: "L/1", text: strings.Repeat("flow 1 1\n", 9), stream: true})
	r.hook(func(_ context.Context, at step, _ string) error {
		if at == reading {
			r.shelf.hook = nil // the next read is well again: whoever reads on misses some bytes
			return errors.New("connection reset by peer")
		}
		return nil
	})
	r.Workers = 1
	r.NewDecoder = func() Decoder { return hasty{} }
	r.run(t)
	if o := r.report.of("L/1"); len(o) != 1 || o[0].State != Failed || !strings.Contains(o[0].Reason, "connection reset") {
		t.Errorf("got %+v", o)
	}
}

// hasty quarantines what it cannot read.
type hasty struct{}

func (hasty) Decode(_ context.Context, c *Content, b *Batch) error {
	s := b.Begin(c)
	if _, err := io.Copy(io.Discard, c.Stream); err != nil {
		s.State, s.Reason = Quarantined, err.Error()
	}
	b.End()
	return nil
}

// Who keeps fewer answers than it was asked for loses files: that is not to be
// passed over.
func TestSinksThatMiscount(t *testing.T) {
	r := newRig(numbered(10)...)
	r.Sink = forgetful{Sink: r.ledger, pending: true}
	// How many it was asked about depends on how far the listing had come.
	var asked, answered int
	err := r.Run(t.Context(), t.Context())
	if _, scanned := fmt.Sscanf(fmt.Sprint(err), "the sink was asked about %d files, and answered for %d", &asked, &answered); scanned != nil || answered != asked-1 {
		t.Errorf("ends with %v", err)
	}
	r = newRig(numbered(10)...)
	r.Sink = forgetful{Sink: r.ledger}
	if err := r.Run(t.Context(), t.Context()); err == nil || !strings.Contains(err.Error(), "3 files") {
		t.Errorf("ends with %v", err)
	}
	r.checkOrder(t)
}

// forgetful leaves out the last answer, of looks or of commits.
type forgetful struct {
	Sink
	pending bool
}

func (s forgetful) Pending(ctx context.Context, files []File) ([]Standing, error) {
	all, err := s.Sink.Pending(ctx, files)
	if s.pending {
		all = all[:len(all)-1]
	}
	return all, err
}

func (s forgetful) Committer(ctx context.Context) (Committer, error) {
	c, err := s.Sink.Committer(ctx)
	return forgetfulCommitter{c}, err
}

type forgetfulCommitter struct{ Committer }

func (c forgetfulCommitter) Commit(ctx context.Context, b *Batch) ([]Outcome, error) {
	all, err := c.Committer.Commit(ctx, b)
	return all[:len(all)-1], err
}

// Two pipelines share nothing, so several sources can run side by side.
func TestPipelinesSideBySide(t *testing.T) {
	var group errgroup.Group
	rigs := make([]*rig, 4)
	for i := range rigs {
		rigs[i] = newRig(streamed(200)...)
		group.Go(func() error { return rigs[i].Run(t.Context(), t.Context()) })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, r := range rigs {
		r.checkOrder(t)
		if n := r.report.states(); n[Loaded] != 200 {
			t.Errorf("told of %v", n)
		}
	}
}

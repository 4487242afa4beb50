package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

// heard is a teller whose log is read.
type heard struct {
	*teller
	text bytes.Buffer
}

func newHeard() *heard {
	h := &heard{}
	h.teller = newTeller(slog.New(slog.NewTextHandler(&h.text, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})))
	return h
}

// lines returns what was said since the last call.
func (h *heard) lines() []string {
	text := strings.TrimSpace(h.text.String())
	h.text.Reset()
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

func (h *heard) expect(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, h.lines()); diff != "" {
		t.Errorf("-want +said:\n%s", diff)
	}
}

func over(c ingest.Cycle) ingest.Event {
	c.Over, c.Poll = true, time.Minute
	return ingest.Event{Cycle: &c}
}

// The same failure is told first, then once an hour with how often, and when it
// is over; a source to which nothing happens is heard of once an hour.
func TestTellerRepeatsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeard()
		unreadable := func(n int) ingest.Event {
			e := ingest.Event{}
			for i := range n {
				name := fmt.Sprintf("folder/file-%d.csv", i)
				e.Outcomes = append(e.Outcomes, ingest.Outcome{File: ingest.File{Path: name}, State: ingest.Failed, Reason: "read " + name + ": permission denied"})
			}
			return e
		}
		for range 130 {
			h.observe(unreadable(3))
			h.observe(over(ingest.Cycle{Listed: 3, Files: map[ingest.State]int{ingest.Failed: 3}}))
			pause(t.Context(), time.Minute)
		}
		h.observe(over(ingest.Cycle{Listed: 3}))
		h.expect(t,
			`level=WARN msg="files not loaded" state=failed files=3 example=folder/file-0.csv reason="read ...: permission denied"`,
			`level=WARN msg="files not loaded, as before" state=failed files=180 example=folder/file-0.csv reason="read ...: permission denied" since=1h0m0s`,
			`level=INFO msg="nothing new" listed=3 for=1h0m0s`,
			`level=WARN msg="files not loaded, as before" state=failed files=180 example=folder/file-0.csv reason="read ...: permission denied" since=2h0m0s`,
			`level=INFO msg="nothing new" listed=3 for=1h0m0s`,
			`level=INFO msg="no longer" reason="read ...: permission denied" times=390 for=2h10m0s`,
		)
	})
}

// A source that fails is told when it begins, once an hour, when the reason is
// another one, and when it is over.
func TestTellerTellsOutages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeard()
		for range 61 {
			h.observe(ingest.Event{Outcomes: []ingest.Outcome{{File: ingest.File{Path: "."}, State: ingest.Failed, Reason: "no route to host"}}})
			h.observe(over(ingest.Cycle{}))
			pause(t.Context(), time.Minute)
		}
		h.broke("password refused", "look")
		h.observe(over(ingest.Cycle{Listed: 1, New: 1, Hinted: 2, Files: map[ingest.State]int{ingest.Loaded: 3}, Readings: 4, Took: 2 * time.Second, Lag: 90 * time.Second}))
		h.expect(t,
			`level=ERROR msg="the source fails: it is tried again and again" error="no route to host"`,
			`level=ERROR msg="the source still fails" error="no route to host" tried=60 since=1h0m0s`,
			`level=ERROR msg="the source still fails" error="password refused" hint=look tried=1 since=1h1m0s`,
			`level=INFO msg="the source is there again" tried=62 after=1h1m0s`,
			`level=INFO msg=cycle listed=1 new=1 hinted=2 loaded=3 readings=4 took=2s lag=1m30s`,
		)
	})
}

// Each question is told once, many reasons at once are cut, and a cycle that is
// too long is told once with what holds it up.
func TestTellerCutsWhatIsMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeard()
		held := func(example, question string) ingest.Event {
			return ingest.Event{Outcomes: []ingest.Outcome{{File: ingest.File{Path: example}, State: ingest.Held, Shape: &ingest.Shape{ID: "abc", Asks: "order", Question: question}}}}
		}
		slow := ingest.Cycle{Poll: time.Minute, Took: 61 * time.Second, Overran: true, Bound: ingest.InDecode, Queued: 7}
		h.observe(ingest.Event{Cycle: &slow})
		for i := range 3 {
			h.observe(held(fmt.Sprintf("a%d.csv", i), fmt.Sprintf("03/0%d/2025?", i)))
			h.observe(over(ingest.Cycle{Overran: true}))
		}
		h.observe(over(ingest.Cycle{}))
		e := ingest.Event{}
		for i := range 20 {
			e.Outcomes = append(e.Outcomes, ingest.Outcome{File: ingest.File{Path: "b.csv"}, State: ingest.Quarantined, Reason: fmt.Sprint("reason ", i)})
		}
		h.observe(e)
		h.observe(over(ingest.Cycle{}))
		said := h.lines()
		if len(said) != 3+8+1 {
			t.Errorf("%d lines:\n%s", len(said), strings.Join(said, "\n"))
		}
		for i, want := range []string{
			`level=WARN msg="a cycle takes longer than its interval" interval=1m0s took=1m1s bound_by=decode queued=7`,
			`level=WARN msg="files of a new shape wait for an answer" shape=abc files=1 example=a0.csv question=03/00/2025? see="penstock profiles pending abc"`,
			`level=INFO msg="cycles fit into their interval again" after=0s`,
			`level=WARN msg="files not loaded" state=quarantined files=1 example=b.csv reason="reason 0"`,
		} {
			if i < len(said) && said[i] != want {
				t.Errorf("line %d is\n%s, want\n%s", i, said[i], want)
			}
		}
		if last := said[len(said)-1]; last != `level=WARN msg="files not loaded for further reasons" state=quarantined files=12 see="penstock files ls --state quarantined"` {
			t.Error(last)
		}
	})
}

// What is logged again and again by whomever is passed on now and then.
func TestSparing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log := slog.New(newSparing(slog.NewTextHandler(&text, nil))).With(slog.String("source", "north"))
		for range 100 {
			log.Warn("no answer", slog.String("error", "timeout"))
			log.Info("a line of its own")
			pause(t.Context(), 10*time.Second)
		}
		log.Warn("no answer", slog.String("error", "refused"))
		if n := strings.Count(text.String(), "a line of its own"); n != 100 {
			t.Error("infos:", n)
		}
		if n := strings.Count(text.String(), "no answer"); n != 3 || strings.Count(text.String(), "error=timeout repeated=59") != 1 {
			t.Error(n, text.String())
		}
	})
}

// That a server lists only a part of what there is, is said once, and when it is
// over; a listing that broke off does not tell.
func TestTellerOfAServerThatListsAPart(t *testing.T) {
	h := newHeard()
	why := errors.New("list ftp://example.com/in: the server did not list all")
	for range 3 {
		h.observe(over(ingest.Cycle{Listed: 20, Cut: 2, CutWhy: why}))
	}
	h.expect(t, `level=WARN msg="the server does not list all files: those that it lists are loaded, and no other is taken for gone" folders=2 error="list ftp://example.com/in: the server did not list all"`)
	h.observe(over(ingest.Cycle{Err: errors.New("421 no")}))
	h.text.Reset()
	h.observe(over(ingest.Cycle{Listed: 20, Cut: 2, CutWhy: why}))
	h.text.Reset()
	h.observe(over(ingest.Cycle{Listed: 40}))
	h.expect(t, `level=INFO msg="the server lists all files again" after=0s`)
}

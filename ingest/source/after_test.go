package source

import (
	"fmt"
	"path"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"penstock/ingest"
)

func TestAfterCheck(t *testing.T) {
	for _, a := range []After{
		{}, {Do: Keep}, {Do: Delete}, {Do: Delete, Quarantine: "broken/{yyyy}"},
		{Do: Move, To: "done"}, {Do: Move, To: "done/{yyyy}/{mm}/{dd}/{hh}"}, {Do: Move, To: "/srv/done-files/{yyyy}{mm}", Quarantine: "/srv/bad"},
	} {
		if err := a.Check(); err != nil {
			t.Errorf("%+v: %v", a, err)
		}
	}
	for want, a := range map[string]After{
		`do is "remove", and can be keep, delete or move`:       {Do: "remove"},
		`to is missing: name the folder`:                        {Do: Move},
		`to: "done" is for do: move alone`:                      {Do: Delete, To: "done"},
		`quarantine is for do: delete and do: move`:             {Quarantine: "bad"},
		`to: "../done" leads up`:                                {Do: Move, To: "../done"},
		`to: "a/../done" leads up`:                              {Do: Move, To: "a/../done"},
		`to: "./" is the source's own folder`:                   {Do: Move, To: "./"},
		`quarantine: "/" is the source's own folder`:            {Do: Delete, Quarantine: "/"},
		`to: "done/{year}" has braces other than`:               {Do: Move, To: "done/{year}"},
		`to: "done/{yyyy" has braces other than`:                {Do: Move, To: "done/{yyyy"},
		`to: "{yyyy}/done" must begin with a folder of its own`: {Do: Move, To: "{yyyy}/done"},
		`to: "done-{yyyy}" must begin with a folder of its own`: {Do: Move, To: "done-{yyyy}"},
		`has a line break`:                                      {Do: Move, To: "done\r\nDELE x"},
		`to: "quarantine/" is the folder for broken files, too`: {Do: Move, To: "quarantine/"},
	} {
		if err := a.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", a, err, want)
		}
	}
	// All that is wrong is told at once.
	err := After{Do: "x", To: "../a", Quarantine: "{mm}"}.Check()
	for _, part := range []string{"do is", "leads up", "move alone", "must begin"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not say %q", err, part)
		}
	}
}

func TestAfterDeed(t *testing.T) {
	rejects := ingest.Receipt{Lines: ingest.Lines{Rejected: 1}}
	for _, c := range []struct {
		name    string
		outcome ingest.Outcome
		delete  deed
		move    deed
	}{
		{"loaded", ingest.Outcome{State: ingest.Loaded}, discard, putAway},
		{"duplicate", ingest.Outcome{State: ingest.Duplicate}, discard, putAway},
		{"known, loaded", ingest.Outcome{State: ingest.Known, Standing: ingest.Loaded}, discard, putAway},
		{"known, duplicate", ingest.Outcome{State: ingest.Known, Standing: ingest.Duplicate}, discard, putAway},
		{"quarantined", ingest.Outcome{State: ingest.Quarantined}, setApart, setApart},
		{"known, quarantined", ingest.Outcome{State: ingest.Known, Standing: ingest.Quarantined}, setApart, setApart},
		{"lines rejected", ingest.Outcome{State: ingest.Loaded, Receipt: rejects}, setApart, setApart},
		{"cells rejected", ingest.Outcome{State: ingest.Loaded, Receipt: ingest.Receipt{Cells: ingest.Cells{Rejected: 1}}}, setApart, setApart},
		{"known, with rejects", ingest.Outcome{State: ingest.Known, Standing: ingest.Loaded, Rejects: 1}, setApart, setApart},
		{"a channel waits", ingest.Outcome{State: ingest.Loaded, Receipt: ingest.Receipt{Cells: ingest.Cells{Withheld: 1}}}, leave, leave},
		{"grown, with rejects before", ingest.Outcome{State: ingest.Loaded, Rejects: 1}, setApart, setApart},
		{"known, a channel waits", ingest.Outcome{State: ingest.Known, Standing: ingest.Loaded, Waits: true, Rejects: 1}, leave, leave},
		{"a channel waits, as asked", ingest.Outcome{State: ingest.Loaded, Shape: new(ingest.Shape), Receipt: rejects}, leave, leave},
		{"held", ingest.Outcome{State: ingest.Held}, leave, leave},
		{"known, held", ingest.Outcome{State: ingest.Known, Standing: ingest.Held}, leave, leave},
		{"undone", ingest.Outcome{State: ingest.Known, Standing: ingest.Undone}, leave, leave},
		{"skipped", ingest.Outcome{State: ingest.Known, Standing: ingest.Skipped}, leave, leave},
		{"due", ingest.Outcome{State: ingest.Known, Standing: ingest.Due}, leave, leave},
		{"known, and nothing more", ingest.Outcome{State: ingest.Known}, leave, leave},
		{"changed", ingest.Outcome{State: ingest.Changed}, leave, leave},
		{"failed", ingest.Outcome{State: ingest.Failed}, leave, leave},
	} {
		for a, want := range map[After]deed{{}: leave, {Do: Keep}: leave, {Do: Delete}: c.delete, {Do: Move, To: "done"}: c.move} {
			if got := a.deed(&c.outcome); got != want {
				t.Errorf("%s, %s: deed %d, want %d", c.name, a.Do, got, want)
			}
		}
	}
}

func TestAfterNames(t *testing.T) {
	f := ingest.File{Path: "a/x.csv", Size: 7, Modified: then.UnixMicro(), Precision: ingest.Micro}
	now := time.Date(2030, 2, 3, 4, 5, 6, 0, time.UTC)
	a := After{Do: Move, To: "done/{yyyy}/{mm}-{dd}/at{hh}", Quarantine: "/srv/bad/"}
	if got := a.target(putAway, f, now); got != "done/2026/01-31/at23/a/x.csv" {
		t.Errorf("moved to %s", got)
	}
	if got := a.target(setApart, f, now); got != "/srv/bad/a/x.csv" {
		t.Errorf("set apart as %s", got)
	}
	unknown := f
	unknown.Modified, unknown.Precision = 0, ingest.Unknown
	if got := a.target(putAway, unknown, now); got != "done/2030/02-03/at04/a/x.csv" {
		t.Errorf("moved to %s by the time of now", got)
	}

	for below, want := range map[string]bool{"done": true, "done/2026": false, "bad": true, "quarantine": false, "x/done": false} {
		if got := a.owns("/srv", below, false); got != want {
			t.Errorf("owns %s: %t", below, got)
		}
	}
	if (After{}).owns("/srv", "quarantine", false) || !(After{Do: Delete}).owns("/srv", "quarantine", false) {
		t.Error("the folder quarantine is the source's own when files go there, and only then")
	}
	if !(After{Do: Move, To: "old/done-{yyyy}"}).owns("/srv", "old", false) {
		t.Error("old is not known as the folder of old/done-{yyyy}")
	}

	free := map[string]string{
		"a/x.csv":  "a/x.20260131T235957.csv",
		"x":        "x.20260131T235957",
		".x":       ".x.20260131T235957",
		"x.csv.gz": "x.csv.20260131T235957.gz",
	}
	for p, want := range free {
		if got := freeName(p, f, now, 1); got != want {
			t.Errorf("beside %s: %s, want %s", p, got, want)
		}
	}
	if got := freeName("x.csv", f, now, 3); got != "x.20260131T235957-3.csv" {
		t.Errorf("third name: %s", got)
	}
	long := f
	long.Path = "a/" + strings.Repeat("y", maxName-4) + ".csv"
	if name := path.Base(freeName(long.Path, long, now, 2)); len(name) != maxName {
		t.Errorf("a name of %d bytes: %s", len(name), name)
	}
	if aside, err := asideName("s", long); err == nil || aside != "" {
		t.Errorf("a name that it would not come back from: %s", aside)
	}

	for _, f := range []ingest.File{f, {Path: "x.y-z.csv", Size: 1 << 40, Modified: -5}, {Path: ".x"}, {Path: "a/b.c/x \xff\n"}} {
		aside, err := asideName("s", f)
		if got, tag, ok := asideOf(aside); err != nil || !ok || got != f.Path || tag != asideTag("s") || path.Dir(aside) != path.Dir(f.Path) {
			t.Errorf("%q is set aside as %q, %v, and that is of %q", f.Path, aside, err, got)
		}
	}
	for _, p := range []string{"x.csv", "x.penstock-aside", ".penstock-aside", "a/.1-2-01234567.penstock-aside", "x.1-.penstock-aside", "x.1-2.penstock-aside", "x.csv.1-2-01234567"} {
		if got, _, ok := asideOf(p); ok {
			t.Errorf("%q counts as set aside, of %q", p, got)
		}
	}
}

// TestAsideOfManyOthers checks that what another source left behind comes back,
// also after that one has moved thousands of files by names of its own.
func TestAsideOfManyOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tidier, other := newTidier(After{Do: Delete}, "s"), asideTag("other")
		for i := range 5000 {
			tidier.isBusy(fmt.Sprint(i), other) // and it is gone at the next listing
			time.Sleep(time.Minute)             //nolint:forbidigo // the clock is the bubble's
		}
		if !tidier.isBusy("left behind", other) {
			t.Error("it is taken from a source that may be about to move it")
		}
		time.Sleep(foreignFor) //nolint:forbidigo // the clock is the bubble's
		if tidier.isBusy("left behind", other) {
			t.Error("what was left behind is never put back")
		}
	})
}

var then = time.Date(2026, 1, 31, 23, 59, 57, 0, time.UTC)

package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"penstock/ingest"
	"penstock/ingest/format"
	"penstock/store"
)

// This file is what is made sure of before an answer is kept.

// settledBy is how many files are asked whether an answer leaves a guess open,
// and which channels they have.
const settledBy = 8

// settled makes sure that a guess is certain with the answers: it asks one
// question at a time, and there may be more of them.
func (t *takingUp) settled(from []*chosen) error {
	if t.shape.Approved != "" {
		return nil // it was made sure when it was approved first
	}
	var c ingest.Content
	n := 0
	for _, source := range from {
		for _, f := range source.files {
			if n++; n > settledBy {
				return nil
			}
			if err := source.Fetch(t.take, f, &c); err != nil {
				continue // taking it up tells why
			}
			sample, refusal, err := format.SampleOf(&c, format.Limits{})
			if closed := c.Close(); err != nil || closed != nil || refusal != "" {
				continue // likewise
			}
			g := format.Guess([]format.Sample{sample}, format.GuessOptions{Zone: source.zone, Sets: t.sets})
			if g.Profile == nil || g.Shape.ID != t.shape.ID || g.Certain() {
				continue
			}
			question := fmt.Sprintf("it is still open, as %s shows: %s", ingest.EscapePath(f.Path), g.Shape.Question)
			if !g.Shape.Answerable() {
				return noAnswerTo(g.Shape, question, ingest.EscapePath(f.Path))
			}
			return usage(addAnswer(g.Shape), "%s", question)
		}
	}
	return nil
}

// addAnswer is the hint that names the answers to an open question.
func addAnswer(s *ingest.Shape) string {
	var flags []string
	for _, x := range answersTo(s) {
		flags = append(flags, strings.TrimPrefix(x.Command, "penstock profiles approve "+s.ID+" "))
	}
	return "add " + strings.Join(flags, ", or ") + " to the answers"
}

// noAnswerTo is the error of a question that no answer settles.
func noAnswerTo(s *ingest.Shape, question, example string) error {
	hint := noAnswer
	for _, x := range insteadOf(s, example) {
		hint += "\n  " + x.Command + "  # " + x.Means
	}
	return usage(hint, "%s", question)
}

// loadedEarlier counts the files that were loaded by another answer than the one
// that is given now.
func (t *takingUp) loadedEarlier() (n int64, err error) {
	if t.shape.Approved == "" {
		return 0, nil
	}
	taken := make(map[int64]bool)
	for i := range t.partly {
		taken[t.partly[i].ID] = true
	}
	same := make(map[int32]bool) // by recipe
	sel := store.Selection{Profile: t.profile.Name, States: []ingest.State{ingest.Loaded, ingest.Duplicate}}
	for v, err := range t.store.Files(t.take, sel) {
		if err != nil {
			return 0, err
		}
		as, known := same[v.Recipe]
		if !known {
			recipe, err := t.store.Recipe(t.take, v.Recipe)
			if err != nil {
				return 0, err
			}
			as = recipe.Text == t.profile.Text
			same[v.Recipe] = as
		}
		if !as && !taken[v.ID] {
			n++
		}
	}
	return n, nil
}

// A shapeNames is what files of a shape name.
type shapeNames struct {
	channels map[string]bool // as the files have them
	loggers  map[string]bool // as they are stored
}

// checkRenames makes sure that channels are carried on that the files have, and
// under names that go on: those of series of their loggers, or what was offered.
// A column that has no name in the files is given a new one.
func (t *takingUp) checkRenames(files []store.FileVersion) error {
	if len(t.renames) == 0 {
		return nil
	}
	names, err := t.namesOf(files)
	if err != nil {
		return err
	}
	if len(names.channels) == 0 {
		return usage("put one of them back where it was", "no file of shape %s can be read now, so that there is no telling whether --map fits", t.shape.ID)
	}
	stored, err := t.store.Channels(t.take, slices.Collect(maps.Keys(names.loggers)))
	if err != nil {
		return err
	}
	for _, from := range slices.Sorted(maps.Keys(t.renames)) {
		to := t.renames[from]
		offered := slices.ContainsFunc(t.shape.Answers, func(x ingest.Answer) bool { return slices.Contains(x.Map, from+"="+to) })
		switch {
		case !names.channels[from]:
			return usage("they have "+listed(slices.Sorted(maps.Keys(names.channels))), "--map %s: the files of shape %s have no channel %q", pasted([]string{from + "=" + to}), t.shape.ID, from)
		case offered || slices.Contains(stored, to):
		case nameless.MatchString(from):
			t.note("Channel %s is new: column %s is stored as a channel of its own.", to, strings.TrimPrefix(from, "column "))
		case len(stored) == 0:
			return usage("leave --map out", "--map %s: nothing is stored yet of the loggers of these files, so that there is no channel %q to carry on", pasted([]string{from + "=" + to}), to)
		default:
			return usage("there are "+listed(stored), "--map %s: the loggers of these files have no channel %q to carry on", pasted([]string{from + "=" + to}), to)
		}
	}
	return nil
}

// nameless is what a guess calls a column that has no name.
var nameless = regexp.MustCompile(`^column \d+$`)

// listed quotes names for a person, and counts the rest of many.
func listed(names []string) string {
	const most = 12
	var parts []string
	for _, name := range names[:min(most, len(names))] {
		parts = append(parts, fmt.Sprintf("%q", name))
	}
	list := strings.Join(parts, ", ")
	if n := len(names) - most; n > 0 {
		list += fmt.Sprintf(" and %d more", n)
	}
	return list
}

// namesOf reads some of the files: those that wait, or where none does, those
// that the shape's profile loaded.
func (t *takingUp) namesOf(files []store.FileVersion) (*shapeNames, error) {
	names := &shapeNames{make(map[string]bool), make(map[string]bool)}
	if len(files) == 0 {
		sel := store.Selection{Profile: t.profile.Name, States: []ingest.State{ingest.Loaded, ingest.Duplicate}}
		for v, err := range t.store.Files(t.take, sel) {
			if err != nil {
				return nil, err
			}
			if files = append(files, v); len(files) == settledBy {
				break
			}
		}
	}
	for _, some := range alike(files[:min(settledBy, len(files))]) {
		from, err := t.takeUp(t.again, some)
		if err != nil {
			return nil, err
		}
		if err := t.readNames(from, names); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// readNames reads the files twice: for the channels' own names without what
// renames them, and for the loggers' as they are stored.
func (t *takingUp) readNames(from *chosen, names *shapeNames) error {
	bare := *t.how
	plain := *t.how.reading
	plain.loggers, plain.strict, plain.noTable, plain.read = "", false, true, nil
	bare.reading, bare.approved = &plain, []*format.Profile{t.profile.Unrenamed()}
	for _, pass := range []struct {
		how  *retrying
		note func(*ingest.SeriesKey)
	}{
		{&bare, func(k *ingest.SeriesKey) { names.channels[k.Channel] = true }},
		{t.how, func(k *ingest.SeriesKey) { names.loggers[k.Logger] = true }},
	} {
		decoders, err := pass.how.decoders(from.Name(), from.zone)
		if err != nil {
			return err
		}
		decoder := decoders()
		for _, f := range from.files {
			var c ingest.Content
			if err := from.Fetch(t.take, f, &c); err != nil {
				continue // taking it up tells why
			}
			b := &ingest.Batch{}
			if _, err := decodeSummed(t.take, decoder, &c, b); err != nil {
				if t.take.Err() != nil {
					return err
				}
				continue // likewise
			}
			for i := range b.Keys {
				pass.note(&b.Keys[i])
			}
		}
	}
	return nil
}

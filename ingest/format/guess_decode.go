package format

import (
	"bytes"

	"penstock/ingest"
)

// guessBytes is how much of a file a guess looks at.
const guessBytes = 1 << 20

// maxGuesses is how many guessed profiles a decoder remembers.
const maxGuesses = 256

// guess makes a profile of the file that no profile matches, from the first
// mebibyte of its text. A guess that is certain reads the file, as a profile
// that matches does; else the file is held with the question, or quarantined
// when it is no table of readings. What it makes of a file rests on the file
// alone, however it came in pieces.
func (d *Decoder) guess(s *search) (h head, fault *refusal, err error) {
	f := &d.feed
	if fault, err := f.atLeast(guessBytes + 1); fault != nil || err != nil {
		return h, fault, err
	}
	sample := Sample{Path: d.content.File.Path, Text: f.window, Whole: len(f.window) <= guessBytes}
	if !sample.Whole {
		sample.Text = f.window[:guessBytes]
	}
	if len(s.mark) > 0 {
		sample.Text = append(bytes.Clone(s.mark), sample.Text...)
	}
	if d.checker == nil {
		d.checker = &checker{zone: d.settings.Zone}
	}
	g := guess([]Sample{sample}, GuessOptions{Zone: d.settings.Zone}, d.checker)
	if g.Refusal != "" {
		return h, quarantine("no profile matches the file, and none can be guessed: %s; if it holds readings, describe its layout in a profile, then: penstock files retry --profile NAME|FILE.yaml", g.Refusal), nil
	}
	if zoned := d.settings.Loggers != nil && g.Shape.Asks == "zone"; !g.Certain() && !zoned {
		d.span.Kind = g.Shape.Asking("", "")
		if g.Profile != nil { // so that the zone that was given is known when the answer comes
			d.span.Recipe = newRecipe(d.known(g), d.settings, false)
		}
		return h, hold(g.Shape.Question, g.Shape.Asks, g.Shape.Answers...), nil
	}
	p := d.known(g)
	if as := s.scriptOf(p, f); as != (script{}) {
		if fault, err := f.write(as); fault != nil || err != nil {
			return h, fault, err
		}
	}
	return d.headOf(p)
}

// known is the profile of a guess, the same for all files that have the same,
// so that what was bound for one serves the next.
func (d *Decoder) known(g *Guessed) *Profile {
	if p := d.guesses[g.Profile.Text]; p != nil {
		return p
	}
	if len(d.guesses) >= maxGuesses {
		for _, p := range d.guesses {
			delete(d.plans, p)
		}
		clear(d.guesses)
	}
	if d.guesses == nil {
		d.guesses = make(map[string]*Profile)
	}
	own := *g.Profile
	p := &own
	p.trust, p.kind = ingest.Guessed, &ingest.Shape{ID: g.Shape.ID, Profile: p.Text}
	d.guesses[p.Text] = p
	return p
}

package format

import (
	"bytes"
	"fmt"
	"slices"

	"penstock/ingest"
)

// A search is for the profile of one file, and for how its text is written.
type search struct {
	name    []byte  // the last part of the file's path
	sure    bool    // the file itself tells its charset
	charset charset // then
	mark    []byte  // the byte order mark that it began with
	size    int     // how much of the window is looked at in another script
	short   bool    // that was less than there is
	texts   []scripted
}

// dated is how many bytes of a file are looked at for a date. Those are there
// also of one that grew, and of which only the gain is read.
const dated = 2 << 10

// scripted is the beginning of a file as UTF-8, read as a script.
type scripted struct {
	as    script
	text  []byte
	final bool
}

// recognise finds the profile of the file, takes the byte order mark off it and
// has it come as UTF-8. What it finds does not depend on how the file came in
// pieces.
func (d *Decoder) recognise(path string) (h head, fault *refusal, err error) {
	f := &d.feed
	if fault, err := f.atLeast(firstLook + 1); fault != nil || err != nil {
		return h, fault, err
	}
	d.span.Minute = ingest.MinuteIn(f.window[:min(len(f.window), dated)])
	s := &d.search
	s.name, s.size, s.mark = append(s.name[:0], baseName(path)...), firstWindow, nil
	var mark int
	if s.charset, mark, s.sure = marked(f.window); mark > 0 {
		s.mark, f.window = bytes.Clone(f.window[:mark]), f.window[mark:]
	}
	for {
		h, as, fault := d.match(s)
		switch {
		case fault != nil && fault.unmatched && !d.settings.NoGuess:
			return d.guess(s)
		case fault != nil:
			return h, fault, nil
		case h.profile != nil && as == script{}:
			return h, nil, nil
		case h.profile != nil:
			if fault, err := f.write(as); fault != nil || err != nil {
				return h, fault, err
			}
			return d.headOf(h.profile)
		case s.short:
			s.size *= 2
			continue
		case len(f.window) > maxHead:
			return h, quarantine("no header ends within the first %d bytes", maxHead), nil
		}
		if fault, err := f.more(); fault != nil || err != nil {
			return h, fault, err
		}
	}
}

// headOf finds the head again that p had in another script.
func (d *Decoder) headOf(p *Profile) (head, *refusal, error) {
	f := &d.feed
	for {
		h, found := p.find(f.window, f.final, !d.forced, d.limit, &d.split)
		switch {
		case found == foundHead:
			return h, nil, nil
		case found != foundMore || len(f.window) > maxHead+firstWindow:
			return h, quarantine("no header ends within the first %d bytes", maxHead), nil
		}
		if fault, err := f.more(); fault != nil || err != nil {
			return h, fault, err
		}
	}
}

// scriptOf says how the file is written if it is p's.
func (s *search) scriptOf(p *Profile, f *feed) script {
	as := script{charset: s.charset, noNUL: p.dialect.noNUL}
	if !s.sure && (len(p.dialect.charsets) > 1 || p.dialect.charsets[0] != "") {
		look := f.window[:min(len(f.window), firstLook)]
		as.charset = choose(p.dialect.charsets, look, f.final && len(look) == len(f.window))
	}
	return as
}

// text returns the beginning of the file as UTF-8, and whether it is all of it.
func (s *search) text(as script, f *feed) ([]byte, bool) {
	if as == (script{}) {
		return f.window, f.final
	}
	i := slices.IndexFunc(s.texts, func(t scripted) bool { return t.as == as })
	if i < 0 {
		w, final := f.window, f.final
		if len(w) > s.size {
			w, final, s.short = w[:s.size], false, true
		}
		t := scripted{as: as}
		t.text, t.final = as.recoded(w, final)
		i = len(s.texts)
		s.texts = append(s.texts, t)
	}
	return s.texts[i].text, s.texts[i].final
}

// match looks for the one profile whose head the file begins with, tier by
// tier, and says how the file is written by it. A head without a profile means
// that more of the file has to be seen.
func (d *Decoder) match(s *search) (found head, as script, fault *refusal) {
	s.texts, s.short = s.texts[:0], false
	w, final := s.text(script{charset: s.charset}, &d.feed)
	if (len(w) == 0 || w[0] <= ' ') && len(bytes.TrimLeft(w[:min(len(w), maxHead+1)], " \t\r\n\x00")) == 0 {
		if !final && len(w) <= maxHead {
			return head{}, as, nil
		}
		return found, as, d.nothing(w)
	}
	long := int64(0) // the first line that is too long for any profile
	var left *remaining
	if d.forced {
		left = d.everyone()
	} else {
		left = d.candidates(s, w, final)
	}
	mayLine, looked := uint32(0), false
	for _, tier := range left.tiers {
		for i := range tier {
			p := tier[i].profile
			named := p.signature.fileName
			if d.forced {
				named = nil
			}
			if named != nil && !named.glance.may(s.name) {
				continue
			}
			if tier[i].lined != 0 && s.charset == "" {
				if !looked {
					mayLine, looked = left.lines.may(w, final, d.limit), true
				}
				if mayLine&tier[i].lined == 0 {
					continue
				}
			}
			script := s.scriptOf(p, &d.feed)
			h, finding := tier[i].head, foundHead
			if !tier[i].whole {
				text, final := s.text(script, &d.feed)
				h, finding = p.find(text, final, !d.forced, d.limit, &d.split)
			}
			if finding == foundNot || named != nil && !named.in(s.name) {
				continue // the name comes last: a pattern costs more than a look at a head
			}
			switch {
			case finding == foundMore:
				return head{}, as, nil
			case finding == foundLong && (long == 0 || h.lines < long):
				long = h.lines + 1
				continue
			case finding != foundHead:
				continue
			case found.profile != nil:
				foundText, _ := s.text(as, &d.feed)
				return head{}, as, d.either(foundText, &found, &h)
			}
			found, as = h, script
		}
		if found.profile != nil {
			return found, as, nil
		}
	}
	s.short = false
	if is := foreign(w); is != "" {
		return found, as, quarantine("%s", is)
	}
	if long > 0 {
		return found, as, quarantine("line %d is longer than %d bytes", long, d.limit)
	}
	if d.forced {
		p := d.tiers[0][0].profile()
		w, _ = s.text(s.scriptOf(p, &d.feed), &d.feed)
		end, _, _ := lineEnd(w, true)
		return found, as, quarantine("profile %s finds no header in the file: line 1 is %q", p.Name, cut(w[:end]))
	}
	end, _, _ := lineEnd(w, true)
	fault = quarantine("no profile matches the file: line 1 is %q; describe its layout in a profile, then: penstock files retry --profile NAME|FILE.yaml", cut(w[:end]))
	fault.unmatched = true
	return found, as, fault
}

// either holds a file that two profiles of a tier match.
func (d *Decoder) either(w []byte, a, b *head) *refusal {
	d.span.Kind = eitherKind(a, b, d.columnsOf(w, a))
	answers := make([]ingest.Answer, 0, 2)
	for _, p := range []*Profile{a.profile, b.profile} {
		answers = append(answers, ingest.Answer{Set: "profile=" + p.Name, Means: p.Description})
	}
	return hold(fmt.Sprintf("the profiles %s and %s both match the file: which one is it? Answer with --profile", a.profile.Name, b.profile.Name), "profile", answers...)
}

// columnsOf returns the names of the columns under the head, nil when no row of
// the file names them.
func (d *Decoder) columnsOf(w []byte, h *head) []string {
	if !slices.Contains(h.profile.framing.rows, rowNames) {
		return nil
	}
	hd, fault := h.profile.headerOf(w, h, &d.split)
	if fault != "" {
		return nil
	}
	return hd.names
}

// nothing refuses a file without any text, or without any where a header can
// begin.
func (d *Decoder) nothing(w []byte) *refusal {
	d.lines.Blank = countLines(w)
	d.lines.Total = d.lines.Blank
	switch {
	case len(w) > maxHead:
		return quarantine("the first %d bytes of the file hold no text: they are NUL or blank", maxHead)
	case bytes.IndexByte(w, 0) >= 0:
		return quarantine("the file holds %d bytes and none is text: they are NUL or blank", len(w))
	}
	return quarantine("the file is empty: it holds no header and no readings")
}

package format

import (
	"bytes"
	"time"

	"penstock/ingest"
)

// bound is what a decoder keeps of one profile: its plans for the headers that it
// met.
type bound struct {
	recipe *ingest.Recipe
	told   *ingest.Recipe // of files whose preamble tells the zone
	plans  map[planKey]*plan
	last   *plan
	key    []byte         // of last
	zone   *time.Location // of last
}

// A planKey is what a plan depends on beside its profile.
type planKey struct {
	header string // the header rows, and what else was taken from the file
	zone   string // that the plan was bound with; "" for none
}

// maxPlans is how many headers of one profile a decoder remembers.
const maxPlans = 1 << 12

// planFor returns p's plan of the file for the head h, which w begins with.
func (d *Decoder) planFor(k *bound, p *Profile, w []byte, h *head) (*plan, *refusal) {
	if d.plan != nil { // the header is not the file's first
		return d.planOf(k, p, w, h, d.plan.sign)
	}
	pl, fault := d.planOf(k, p, w, h, p.dialect.decimal)
	if fault != nil || p.dialect.decimals == nil {
		return pl, fault
	}
	// Which cells tell the sign is known once the header is.
	text := d.evidence(h)
	sign, fault := d.decideSign(pl, text, len(text) == len(d.feed.window)-h.size)
	if fault != nil {
		d.span.Recipe, d.span.Kind = pl.recipe, pl.kind
		return nil, fault
	}
	return d.planOf(k, p, w, h, sign)
}

// planOf returns the plan of the head h for cells of that decimal sign.
func (d *Decoder) planOf(k *bound, p *Profile, w []byte, h *head, sign byte) (*plan, *refusal) {
	zone := d.outside
	key := w[h.preamble:h.size]
	var hd header
	fault := ""
	told := p.framing.lines != nil || p.unitLines != nil // by the preamble
	if told {
		if hd, fault = p.headerOf(w, h, &d.split); fault != "" {
			return nil, quarantine("%s", fault)
		}
		key = hd.joined(bytes.Clone(key))
	}
	if p.dialect.decimals != nil {
		key = append(bytes.Clone(key), sign)
	}
	if k.last != nil && k.zone == zone && bytes.Equal(key, k.key) {
		return k.last, nil
	}
	id := planKey{string(key), ""}
	if zone != nil {
		id.zone = zone.String()
	}
	pl := k.plans[id]
	if pl == nil {
		if !told {
			hd, fault = p.headerOf(w, h, &d.split)
		}
		if fault == "" {
			pl, fault = bind(p, &hd, sign, zone)
		}
		if fault != "" {
			if is := foreign(w); is != "" {
				fault = is
			} else if d.feed.strange(w[h.preamble:h.size]) {
				fault = "the header has " + d.feed.notTextReason()
			}
			return nil, quarantine("%s", fault)
		}
		if pl.recipe = k.recipe; pl.told {
			pl.recipe = newRecipe(p, d.settings, true)
		}
		pl.kind = kindOf(p, hd.names)
		if len(k.plans) >= maxPlans {
			clear(k.plans)
		}
		k.plans[id] = pl
	}
	k.last, k.key, k.zone = pl, append(k.key[:0], key...), zone
	return pl, nil
}

// joined appends the names and units of the columns to key.
func (h *header) joined(key []byte) []byte {
	for _, cells := range [][]string{h.names, h.units} {
		for _, c := range cells {
			key = append(append(key, c...), 0)
		}
		key = append(key, 1)
	}
	return key
}

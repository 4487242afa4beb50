package format

import (
	"time"

	"go.yaml.in/yaml/v4"
)

// A stamping says where the timestamps of a file stand and how they are to be
// understood: the keys below timestamp.
type stamping struct {
	columns []*columnRef
	join    string
	layouts []*layout
	zone    *time.Location
	header  bool // a column's pattern may give the zone

	times *headerTimes // of a matrix
}

func (s *stamping) read(r *reader, n *yaml.Node) {
	column := func(n *yaml.Node) {
		var c *columnRef
		if r.column(&c, "zone")(n); c != nil {
			s.columns = append(s.columns, c)
			s.header = s.header || c.match != nil && c.match.groups["zone"] > 0
		}
	}
	var layouts []*yaml.Node
	list := func(n *yaml.Node) { r.list(n, func(n *yaml.Node) { layouts = append(layouts, n) }) }
	language := []string{"en"}
	zones := make(map[string]*time.Location)
	dateOnly := false
	var languageNode *yaml.Node
	r.mapping(n, "timestamp",
		key{"column", column},
		key{"columns", func(n *yaml.Node) { r.list(n, column) }},
		key{"join", r.text(&s.join)},
		key{"layout", list},
		key{"layouts", list},
		key{"language", func(n *yaml.Node) { languageNode, language = n, nil; r.texts(&language)(n) }},
		key{"date_only", r.flag(&dateOnly)},
		key{"header_layout", r.headerTimes(&s.times)},
		key{"zone", r.zone(&s.zone)},
		key{"zones", r.zones(zones)},
	)
	w, err := newWords(language, zones)
	if err != nil {
		r.fault(languageNode, "%v", err)
		w = english
	}
	for _, n := range layouts {
		if l := r.layout(n, w, false); l != nil {
			s.layouts = append(s.layouts, l)
			if dateOnly {
				if err := l.mayStandAlone(); err != nil {
					r.fault(n, "%v", err)
				}
			}
		}
	}
	if len(s.columns) == 0 {
		r.fault(n, "timestamp has no column")
	}
	if len(layouts) == 0 {
		r.fault(n, "timestamp has no layout, such as 2006-01-02 15:04:05 (Go), %%Y-%%m-%%d %%H:%%M:%%S (strftime), iso8601, rfc3339, epoch_s, epoch_ms, epoch_us or excel")
	}
	if s.header && s.zone != nil {
		r.fault(n, "the zone comes from the header and from zone: give one of the two")
	}
}

// layout reads a layout; nil when it is none.
func (r *reader) layout(n *yaml.Node, w *words, timeOnly bool) *layout {
	var text string
	if r.text(&text)(n); text == "" {
		return nil
	}
	l, err := compileIn(text, w, timeOnly)
	if err != nil {
		r.fault(n, "%v", err)
		return nil
	}
	return l
}

// zones reads what abbreviations mean.
func (r *reader) zones(into map[string]*time.Location) func(*yaml.Node) {
	return func(n *yaml.Node) {
		n = resolve(n)
		if n.Kind != yaml.MappingNode {
			r.fault(n, "zones says what abbreviations mean: {EST: \"-05:00\", EDT: \"-04:00\"}")
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			var zone *time.Location
			if r.zone(&zone)(n.Content[i+1]); zone != nil {
				into[n.Content[i].Value] = zone
			}
		}
	}
}

package format

import (
	"slices"
	"strconv"

	"go.yaml.in/yaml/v4"

	"penstock/ingest/format/strictyaml"
)

func (d *dialect) read(r *reader, n *yaml.Node) {
	var nul string
	var delimiterNode, fixedNode *yaml.Node
	r.Mapping(n, "dialect",
		strictyaml.Key("delimiter", func(n *yaml.Node) { delimiterNode = n; d.readDelimiters(r, n) }),
		strictyaml.Key("fixed", func(n *yaml.Node) { fixedNode = n; d.readFixed(r, n) }),
		strictyaml.Key("quote", func(n *yaml.Node) { r.sign(&d.quote, map[string]byte{"none": 0}, "a quote")(n) }),
		strictyaml.Key("comment", func(n *yaml.Node) { d.readComments(r, n) }),
		strictyaml.Key("decimal", d.readDecimal(r)),
		strictyaml.Key("thousands", d.readThousands(r)),
		strictyaml.Key("encoding", func(n *yaml.Node) { d.readCharsets(r, n) }),
		strictyaml.Key("nul", r.Choice(&nul, "drop", "refuse")),
		strictyaml.Key("trim", r.Flag(&d.trim)),
	)
	d.noNUL = nul == "drop"
	if fixedNode == nil {
		return
	}
	if delimiterNode != nil {
		r.Fault(fixedNode, "columns have either a delimiter or fixed widths: give one of the two")
	}
	d.delimiter, d.quote = 0, 0
}

// sign reads one character that is no letter or digit, or a word for one.
func (r *reader) sign(into *byte, words map[string]byte, what string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var s string
		r.Text(&s)(n)
		if c, ok := words[s]; ok {
			*into = c
		} else if len(s) == 1 && s[0] > ' ' && s[0] < 0x7f && (s[0]|0x20 < 'a' || s[0]|0x20 > 'z') && (s[0] < '0' || s[0] > '9') {
			*into = s[0]
		} else {
			r.Fault(n, "%s is one character, not %q", what, s)
		}
	}
}

func (d *dialect) readDelimiters(r *reader, n *yaml.Node) {
	var list []byte
	r.Each(n, func(n *yaml.Node) {
		var c byte
		r.sign(&c, map[string]byte{"tab": '\t', "\t": '\t', "space": ' ', " ": ' '}, "a delimiter")(n)
		if c == 0 {
			return
		}
		if slices.Contains(list, c) {
			r.Fault(n, "this delimiter stands twice")
		}
		list = append(list, c)
	})
	if len(list) == 0 {
		return
	}
	d.delimiter = list[0]
	if len(list) > 1 {
		d.delimiters = list
	}
}

func (d *dialect) readFixed(r *reader, n *yaml.Node) {
	r.Each(n, func(n *yaml.Node) {
		var s string
		r.Text(&s)(n)
		width, err := strconv.Atoi(s)
		if err != nil || width < 1 || width > 1000 {
			r.Fault(n, "the width of a column is a number of characters up to 1000, not %q", s)
			return
		}
		d.fixed = append(d.fixed, width)
	})
}

func (d *dialect) readComments(r *reader, n *yaml.Node) {
	r.Each(n, func(n *yaml.Node) {
		var s string
		r.Text(&s)(n)
		if s == "" || s[0] <= ' ' {
			r.Fault(n, "a comment prefix begins with a character that is seen")
			return
		}
		d.comments = append(d.comments, []byte(s))
	})
}

func (d *dialect) readCharsets(r *reader, n *yaml.Node) {
	d.charsets = nil
	r.Each(n, func(n *yaml.Node) {
		var s string
		r.Text(&s)(n)
		c, err := parseCharset(s)
		if err != nil {
			r.Fault(n, "%v", err)
			return
		}
		d.charsets = append(d.charsets, c)
	})
}

// either reads one of two words.
func (r *reader) either(into *bool, yes, no string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var s string
		r.Choice(&s, yes, no)(n)
		*into = s == yes
	}
}

// A variant is what a file decides of its profile's dialect.
type variant struct {
	profile   *Profile
	delimiter byte
	wrapped   bool // each of its lines is quoted as one field
}

// variantOf returns the profile as the head's file has it: itself, but for what
// its dialect leaves to the file.
func (d *Decoder) variantOf(h *head) *Profile {
	f := h.variant
	if f.delimiter == f.profile.dialect.delimiter && !f.wrapped {
		return f.profile
	}
	p := d.variants[f]
	if p == nil {
		if d.variants == nil {
			d.variants = make(map[variant]*Profile)
		}
		own := *f.profile
		p = &own
		p.dialect.delimiter, p.dialect.delimiters, p.dialect.wrapped = f.delimiter, nil, f.wrapped
		d.variants[f] = p
	}
	return p
}

// A label is a header's text as a signature gives it.
type label struct {
	text  string
	match *pattern
}

func (l *label) is(text []byte) bool {
	if l.match != nil {
		return l.match.in(text)
	}
	return string(text) == l.text
}

// labels reads a list of texts and {match: pattern}.
func (r *reader) labels(into *[]label) func(*yaml.Node) {
	return func(n *yaml.Node) {
		r.Each(n, func(n *yaml.Node) {
			var l label
			if n = strictyaml.Resolve(n); n.Kind != yaml.MappingNode {
				r.Text(&l.text)(n)
			} else if r.Mapping(n, "a header's text", strictyaml.Key("match", r.pattern(&l.match))); l.match == nil {
				return
			}
			*into = append(*into, l)
		})
	}
}

// commented reports whether line is a comment.
func (d *dialect) commented(line []byte) bool {
	return slices.ContainsFunc(d.comments, func(c []byte) bool { return len(line) >= len(c) && string(line[:len(c)]) == string(c) })
}

// inOnePass reports whether plainRow knows the dialect.
func (d *dialect) inOnePass() bool { return d.delimiter != ' ' && d.fixed == nil && !d.wrapped }

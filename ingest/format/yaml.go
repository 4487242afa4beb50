package format

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A Fault is one thing wrong with a profile or a loggers table.
type Fault struct {
	File         string
	Line, Column int // counted from 1; 0 when the whole file is meant
	Text         string
}

// Error returns the fault as file:line:column: text.
func (f *Fault) Error() string {
	if f.Line == 0 {
		return fmt.Sprintf("%s: %s", f.File, f.Text)
	}
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.Text)
}

// A reader walks the nodes of a profile and notes all that is wrong with them,
// so that a person mends a profile in one round.
type reader struct {
	file   string
	faults []*Fault
}

func (r *reader) fault(n *yaml.Node, format string, args ...any) {
	r.faults = append(r.faults, &Fault{File: r.file, Line: n.Line, Column: n.Column, Text: fmt.Sprintf(format, args...)})
}

// A key is one key that a mapping may have, and what reads its value.
type key struct {
	name string
	read func(*yaml.Node)
}

// mapping reads the keys of n; others are faults, and so are keys twice.
func (r *reader) mapping(n *yaml.Node, what string, keys ...key) {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		r.fault(n, "%s must be a mapping with keys of %s", what, keyNames(keys))
		return
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		at := slices.IndexFunc(keys, func(k key) bool { return k.name == name.Value })
		switch {
		case at < 0:
			r.fault(name, "unknown key %q in %s (there are %s)", name.Value, what, keyNames(keys))
		case seen[name.Value]:
			r.fault(name, "key %q stands twice in %s", name.Value, what)
		default:
			seen[name.Value] = true
			keys[at].read(value)
		}
	}
}

func keyNames(keys []key) string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	return strings.Join(names, ", ")
}

func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

// text reads a scalar as it stands: 06 stays "06".
func (r *reader) text(into *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		n = resolve(n)
		if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
			r.fault(n, "expected text")
			return
		}
		*into = n.Value
	}
}

func (r *reader) flag(into *bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		switch n = resolve(n); {
		case n.Kind == yaml.ScalarNode && n.Value == "true":
			*into = true
		case n.Kind == yaml.ScalarNode && n.Value == "false":
			*into = false
		default:
			r.fault(n, "expected true or false")
		}
	}
}

// texts reads a list of scalars, or one alone.
func (r *reader) texts(into *[]string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		r.list(n, func(item *yaml.Node) {
			var s string
			r.text(&s)(item)
			*into = append(*into, s)
		})
	}
}

func (r *reader) list(n *yaml.Node, read func(*yaml.Node)) {
	if n = resolve(n); n.Kind != yaml.SequenceNode {
		read(n)
		return
	}
	for _, item := range n.Content {
		read(item)
	}
}

// oneOf names the words, those that are no letters in quotes.
func oneOf(words []string) string {
	named := slices.Clone(words)
	for i, w := range named {
		if strings.ContainsAny(w, ".,") {
			named[i] = strconv.Quote(w)
		}
	}
	return strings.Join(named, " or ")
}

// choice reads one of the words given.
func (r *reader) choice(into *string, words ...string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var s string
		r.text(&s)(n)
		if !slices.Contains(words, s) {
			r.fault(n, "expected %s, not %q", oneOf(words), s)
			return
		}
		*into = s
	}
}

// pattern reads a regular expression; groups names the groups it may have, and
// the first of them is the one it must have.
func (r *reader) pattern(into **pattern, groups ...string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var s string
		r.text(&s)(n)
		re, err := regexp.Compile(s)
		if err != nil {
			r.fault(n, "%v", err)
			return
		}
		p := newPattern(re)
		for i, name := range re.SubexpNames() {
			if name == "" {
				continue
			}
			if !slices.Contains(groups, name) {
				r.fault(n, "the group %q means nothing here", name)
			}
			p.groups[name] = i
		}
		if len(groups) > 0 {
			if _, ok := p.groups[groups[0]]; !ok && groups[0] != "" {
				r.fault(n, "the pattern has no group %q; write (?P<%s>...) around the part that is the %s", groups[0], groups[0], groups[0])
			}
		}
		*into = p
	}
}

// column reads a reference to a column: its name, its number, or
// {match: pattern}.
func (r *reader) column(into **columnRef, groups ...string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		n = resolve(n)
		c := &columnRef{line: n.Line, column: n.Column}
		switch {
		case n.Kind == yaml.MappingNode:
			r.mapping(n, "a column", key{"match", r.pattern(&c.match, append([]string{""}, groups...)...)})
			if c.match == nil {
				return
			}
		case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int":
			number, err := strconv.Atoi(n.Value)
			if err != nil || number < 1 {
				r.fault(n, "columns are counted from 1, not %s; quote it if it is a name", n.Value)
				return
			}
			c.number = number
		case n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null":
			c.name = n.Value
		default:
			r.fault(n, "expected the name of a column, its number, or {match: pattern}")
			return
		}
		*into = c
	}
}

// A columnRef says which column of a file is meant.
type columnRef struct {
	name   string
	number int      // counted from 1; 0 when it is by name or pattern
	match  *pattern // on the header text

	line, column int // where the profile says it
}

func (c *columnRef) String() string {
	switch {
	case c.match != nil:
		return fmt.Sprintf("matching %q", c.match.re)
	case c.number > 0:
		return strconv.Itoa(c.number)
	}
	return strconv.Quote(c.name)
}

// in returns the index of the first column that is meant, or -1.
func (c *columnRef) in(names []string) int {
	if c.number > 0 {
		if c.number > len(names) {
			return -1
		}
		return c.number - 1
	}
	for i, name := range names {
		if c.is(i, name) {
			return i
		}
	}
	return -1
}

// is reports whether the column of index i and that name is meant.
func (c *columnRef) is(i int, name string) bool {
	switch {
	case c.match != nil:
		return c.match.re.MatchString(name)
	case c.number > 0:
		return c.number == i+1
	}
	return c.name == name
}

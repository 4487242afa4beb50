package format

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v4"

	"penstock/ingest/format/strictyaml"
)

// A Fault is one thing wrong with a profile or a loggers table.
type Fault = strictyaml.Fault

// A reader reads what profiles have beside what all YAML has.
type reader struct{ *strictyaml.Reader }

// texts reads a list of scalars, or one alone.
func (r *reader) texts(into *[]string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		r.Each(n, func(item *yaml.Node) {
			var s string
			r.Text(&s)(item)
			*into = append(*into, s)
		})
	}
}

// pattern reads a regular expression; groups names the groups it may have, and
// the first of them is the one it must have.
func (r *reader) pattern(into **pattern, groups ...string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var s string
		r.Text(&s)(n)
		re, err := regexp.Compile(s)
		if err != nil {
			r.Fault(n, "%v", err)
			return
		}
		p := newPattern(re)
		for i, name := range re.SubexpNames() {
			if name == "" {
				continue
			}
			if !slices.Contains(groups, name) {
				r.Fault(n, "the group %q means nothing here", name)
			}
			p.groups[name] = i
		}
		if len(groups) > 0 {
			if _, ok := p.groups[groups[0]]; !ok && groups[0] != "" {
				r.Fault(n, "the pattern has no group %q; write (?P<%s>...) around the part that is the %s", groups[0], groups[0], groups[0])
			}
		}
		*into = p
	}
}

// column reads a reference to a column: its name, its number, or
// {match: pattern}.
func (r *reader) column(into **columnRef, groups ...string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		n = strictyaml.Resolve(n)
		c := &columnRef{line: n.Line, column: n.Column}
		switch {
		case n.Kind == yaml.MappingNode:
			r.Mapping(n, "a column", strictyaml.Key("match", r.pattern(&c.match, append([]string{""}, groups...)...)))
			if c.match == nil {
				return
			}
		case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!int":
			number, err := strconv.Atoi(n.Value)
			if err != nil || number < 1 {
				r.Fault(n, "columns are counted from 1, not %s; quote it if it is a name", n.Value)
				return
			}
			c.number = number
		case n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null":
			c.name = n.Value
		default:
			r.Fault(n, "expected the name of a column, its number, or {match: pattern}")
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

package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"penstock/ingest/format"
)

// A configReader walks the nodes of a config and notes all that is wrong with
// them, as profiles are read, so that a person mends it in one round. What it
// found it repeats only where no secret can stand.
type configReader struct {
	file   string
	faults []*format.Fault
}

// parseYAML returns the root of a file's one document, nil with a fault noted
// where there is none.
func (r *configReader) parseYAML(text []byte) *yaml.Node {
	var doc yaml.Node
	if err := unmarshalYAML(text, &doc); err != nil {
		f := &format.Fault{File: r.file, Text: strings.TrimPrefix(err.Error(), "yaml: ")}
		var load *yaml.LoadError
		if errors.As(err, &load) && load.Mark.Line > 0 {
			f.Line, f.Column, f.Text = load.Mark.Line, max(load.Mark.Column, 1), load.Message
		}
		r.faults = append(r.faults, f)
		return nil
	}
	if doc.Kind == 0 || len(doc.Content) == 0 {
		r.faults = append(r.faults, &format.Fault{File: r.file, Text: "the config is empty"})
		return nil
	}
	return doc.Content[0]
}

// unmarshalYAML is yaml.Unmarshal; what it panics with is an error.
func unmarshalYAML(text []byte, doc *yaml.Node) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the YAML cannot be read: %v", v)
		}
	}()
	return yaml.Unmarshal(text, doc)
}

func (r *configReader) fault(n *yaml.Node, format string, args ...any) {
	r.faultAt(n.Line, n.Column, fmt.Sprintf(format, args...))
}

func (r *configReader) faultAt(line, column int, text string) {
	r.faults = append(r.faults, &format.Fault{File: r.file, Line: line, Column: column, Text: text})
}

// err joins the faults in the order in which they stand in the file.
func (r *configReader) err() error {
	slices.SortStableFunc(r.faults, func(a, b *format.Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	all := make([]error, len(r.faults))
	for i, f := range r.faults {
		all[i] = f
	}
	return errors.Join(all...)
}

// A configKey is one key that a mapping may have, and what reads its value.
type configKey struct {
	name string
	read func(*yaml.Node)
}

// mapping reads the keys of n; others are faults, and so are keys twice. It
// returns where each key stands.
func (r *configReader) mapping(n *yaml.Node, what string, keys ...configKey) map[string]*yaml.Node {
	n = resolved(n)
	if n.Kind != yaml.MappingNode {
		r.fault(n, "%s must be a mapping with keys of %s, not %s", what, configKeyNames(keys), kindOf(n))
		return nil
	}
	seen := make(map[string]*yaml.Node)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		at := slices.IndexFunc(keys, func(k configKey) bool { return k.name == name.Value })
		switch {
		case at < 0 && isSecret(name.Value):
			r.fault(name, "no secret stands in the config: put it into a file that only the user who runs penstock can read, and name that with password_file or passphrase_file")
		case at < 0:
			r.fault(name, "unknown key %q in %s (there are %s)", name.Value, what, configKeyNames(keys))
		case seen[name.Value] != nil:
			r.fault(name, "key %q stands twice in %s, first in line %d", name.Value, what, seen[name.Value].Line)
		default:
			seen[name.Value] = name
			keys[at].read(value)
		}
	}
	return seen
}

// isSecret reports whether a key that does not exist was meant for a secret.
func isSecret(name string) bool {
	switch strings.ToLower(name) {
	case "password", "passwd", "pass", "passphrase", "secret":
		return true
	}
	return false
}

func configKeyNames(keys []configKey) string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	return strings.Join(names, ", ")
}

func resolved(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

// kindOf words what a node is.
func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null":
		return "nothing"
	}
	return "a single value"
}

// scalar returns a scalar as it stands: 06 stays "06".
func (r *configReader) scalar(n *yaml.Node, expected string) (string, bool) {
	n = resolved(n)
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		r.fault(n, "expected %s, not %s", expected, kindOf(n))
		return "", false
	}
	return n.Value, true
}

// text reads a scalar that is not empty.
func (r *configReader) text(into *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, "text")
		if ok && s == "" {
			r.fault(n, "expected text, not an empty one")
		}
		*into = s
	}
}

func (r *configReader) flag(into *bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, "true or false")
		if !ok {
			return
		}
		if s != "true" && s != "false" {
			r.fault(n, "expected true or false, not %q", s)
		}
		*into = s == "true"
	}
}

// choice reads one of the words given.
func (r *configReader) choice(into *string, words ...string) func(*yaml.Node) {
	expected := strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, expected)
		if !ok {
			return
		}
		if !slices.Contains(words, s) {
			r.fault(n, "expected %s, not %q", expected, s)
			return
		}
		*into = s
	}
}

// each reads the items of a list, or one alone.
func (r *configReader) each(n *yaml.Node, read func(*yaml.Node)) {
	if n = resolved(n); n.Kind != yaml.SequenceNode {
		read(n)
		return
	}
	for _, item := range n.Content {
		read(item)
	}
}

// value reads a scalar by what a flag would read of it.
func (r *configReader) value(into interface{ Set(string) error }, expected string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, expected)
		if !ok {
			return
		}
		if err := into.Set(s); err != nil {
			r.fault(n, "expected %s, not %q", expected, s)
		}
	}
}

// span reads a duration of at least least.
func (r *configReader) span(into *time.Duration, least time.Duration) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, "a duration such as 30s, 36h or 7d")
		if !ok {
			return
		}
		d, err := parseSpan(s)
		switch {
		case err != nil || s != "0" && isNumber(s):
			r.fault(n, "expected a duration such as 30s, 36h or 7d, not %q", s)
		case d < least:
			r.fault(n, "expected a duration of %s or more, not %q", shortSpan(least), s)
		default:
			*into = d
		}
	}
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

// integer reads a number within bounds.
func (r *configReader) integer(into *int, least, most int) func(*yaml.Node) {
	return func(n *yaml.Node) {
		expected := fmt.Sprintf("a number from %d to %d", least, most)
		s, ok := r.scalar(n, expected)
		if !ok {
			return
		}
		v, err := strconv.Atoi(strings.ReplaceAll(s, "_", ""))
		if err != nil || v < least || v > most {
			r.fault(n, "expected %s, not %q", expected, s)
			return
		}
		*into = v
	}
}

// fraction reads a number above 0, up to most.
func (r *configReader) fraction(into *float64, most float64, expected string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.scalar(n, expected)
		if !ok {
			return
		}
		v, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
		if err != nil || !(v > 0 && v <= most) {
			r.fault(n, "expected %s, not %q", expected, s)
			return
		}
		*into = v
	}
}

// shortSpan is a duration as one would write it: 1s, 5m, 24h.
func shortSpan(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

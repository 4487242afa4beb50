// Package strictyaml reads YAML as people write it by hand, profiles and configs:
// it refuses what it does not know, and notes all that is wrong, each with its
// line and column, so that a person mends a file in one round.
package strictyaml

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A Fault is one thing wrong with a file.
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

// A Reader walks the nodes of a file's one document, and notes what is wrong with
// them. It repeats what it found where no word is wrong but its value is.
type Reader struct {
	File string // for messages

	// Unknown words what is wrong with a key that is not known, "" to leave that
	// to the reader; nil for all.
	Unknown func(key string) string

	faults []*Fault
}

// Parse returns the root of the document, nil with a fault noted where there is
// none. What is the file, such as "the config".
func (r *Reader) Parse(text []byte, what string) *yaml.Node {
	var doc yaml.Node
	if err := unmarshal(text, &doc); err != nil {
		r.faults = append(r.faults, r.syntaxFault(text, err))
		return nil
	}
	if doc.Kind == 0 || len(doc.Content) == 0 {
		r.faults = append(r.faults, &Fault{File: r.File, Text: what + " is empty"})
		return nil
	}
	return doc.Content[0]
}

// unmarshal is yaml.Unmarshal; what it panics with is an error.
func unmarshal(text []byte, doc *yaml.Node) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the YAML cannot be read: %v", v)
		}
	}()
	return yaml.Unmarshal(text, doc)
}

// Fault notes what is wrong at n.
func (r *Reader) Fault(n *yaml.Node, format string, args ...any) {
	r.FaultAt(n.Line, n.Column, fmt.Sprintf(format, args...))
}

// FaultAt notes what is wrong at a line and a column.
func (r *Reader) FaultAt(line, column int, text string) {
	r.faults = append(r.faults, &Fault{File: r.File, Line: line, Column: column, Text: text})
}

// Faults is how many were noted so far.
func (r *Reader) Faults() int { return len(r.faults) }

// Err joins the faults, each a *Fault, in the order in which they stand in the
// file; nil for none.
func (r *Reader) Err() error {
	slices.SortStableFunc(r.faults, func(a, b *Fault) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	all := make([]error, len(r.faults))
	for i, f := range r.faults {
		all[i] = f
	}
	return errors.Join(all...)
}

// A Field is one key that a mapping may have, and what reads its value.
type Field struct {
	name string
	read func(*yaml.Node)
}

// Key makes a Field.
func Key(name string, read func(*yaml.Node)) Field { return Field{name, read} }

// Mapping reads the keys of n; others are faults, and so are keys twice. It
// returns where each key stands.
func (r *Reader) Mapping(n *yaml.Node, what string, fields ...Field) map[string]*yaml.Node {
	n = Resolve(n)
	if n.Kind != yaml.MappingNode {
		r.Fault(n, "%s must be a mapping with keys of %s, not %s", what, names(fields), KindOf(n))
		return nil
	}
	seen := make(map[string]*yaml.Node)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := slices.IndexFunc(fields, func(f Field) bool { return f.name == key.Value })
		switch {
		case at < 0:
			r.unknown(key, what, fields)
		case seen[key.Value] != nil:
			r.Fault(key, "key %q stands twice in %s, first in line %d", key.Value, what, seen[key.Value].Line)
		default:
			seen[key.Value] = key
			fields[at].read(value)
		}
	}
	return seen
}

func (r *Reader) unknown(key *yaml.Node, what string, fields []Field) {
	if r.Unknown != nil {
		if text := r.Unknown(key.Value); text != "" {
			r.Fault(key, "%s", text)
			return
		}
	}
	for _, f := range fields {
		if near(f.name, key.Value) {
			r.Fault(key, "unknown key %q in %s: is %s meant?", key.Value, what, f.name)
			return
		}
	}
	r.Fault(key, "unknown key %q in %s (there are %s)", key.Value, what, names(fields))
}

// near reports whether two keys differ by no more than one slip of the hand: a
// letter too many, too few, or another one, or two that changed places; or by
// their case and the sign between words.
func near(a, b string) bool {
	plain := strings.NewReplacer("-", "", "_", "", ".", "", " ", "")
	if a, b = strings.ToLower(plain.Replace(a)), strings.ToLower(plain.Replace(b)); a == b {
		return true
	}
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a) < 3 || len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) < len(b) {
		return a[i:] == b[i+1:]
	}
	return a[i+1:] == b[i+1:] || i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}

func names(fields []Field) string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = f.name
	}
	return strings.Join(all, ", ")
}

// Resolve returns what an alias stands for, and any other node as it is.
func Resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

// KindOf words what a node is.
func KindOf(n *yaml.Node) string {
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

// Scalar returns a scalar as it stands: 06 stays "06". Where there is none, a
// fault says what was expected.
func (r *Reader) Scalar(n *yaml.Node, expected string) (string, bool) {
	n = Resolve(n)
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		r.Fault(n, "expected %s, not %s", expected, KindOf(n))
		return "", false
	}
	return n.Value, true
}

// Text reads a scalar as it stands, which may be empty.
func (r *Reader) Text(into *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if s, ok := r.Scalar(n, "text"); ok {
			*into = s
		}
	}
}

// Flag reads true or false.
func (r *Reader) Flag(into *bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.Scalar(n, "true or false")
		if !ok {
			return
		}
		if s != "true" && s != "false" {
			r.Fault(n, "expected true or false, not %q", s)
			return
		}
		*into = s == "true"
	}
}

// Choice reads one of the words given.
func (r *Reader) Choice(into *string, words ...string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.Scalar(n, OneOf(words))
		if !ok {
			return
		}
		if !slices.Contains(words, s) {
			r.Fault(n, "expected %s, not %q", OneOf(words), s)
			return
		}
		*into = s
	}
}

// OneOf names the words, those that are no letters in quotes.
func OneOf(words []string) string {
	named := slices.Clone(words)
	for i, w := range named {
		if strings.ContainsAny(w, "., ") {
			named[i] = strconv.Quote(w)
		}
	}
	if last := len(named) - 1; last > 0 {
		return strings.Join(named[:last], ", ") + " or " + named[last]
	}
	return strings.Join(named, "")
}

// Each reads the items of a list, or one alone.
func (r *Reader) Each(n *yaml.Node, read func(*yaml.Node)) {
	if n = Resolve(n); n.Kind != yaml.SequenceNode {
		read(n)
		return
	}
	for _, item := range n.Content {
		read(item)
	}
}

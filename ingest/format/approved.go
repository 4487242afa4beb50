package format

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"penstock/ingest"
	"penstock/ingest/format/strictyaml"

	"go.yaml.in/yaml/v4"
)

// ErrOpen says that the question of a shape is not among those answered.
var ErrOpen = errors.New("it is still open")

// Approve returns the profile that a person's answers make of a shape's: one
// that matches files of the shape and no others. sets are key=value as With
// takes them, and of a shape that two profiles match profile=NAME; renames are
// the channels that are carried on under other names. The error says what is
// wrong with the answers, or wraps ErrOpen.
func Approve(shape *ingest.Shape, sets []string, renames map[string]string) (*Profile, error) {
	if shape.Asks != "" && !slices.ContainsFunc(sets, func(s string) bool { return isAnswer(s, shape.Asks) }) {
		return nil, fmt.Errorf("%w: %s", ErrOpen, shape.Question)
	}
	text, sets, err := chosen(shape, sets)
	if err != nil {
		return nil, err
	}
	p, err := Parse("the profile of shape "+shape.ID, []byte(text))
	if err != nil {
		return nil, err
	}
	if shape.Asks == "" && shape.Answerable() {
		sets = append(slices.Clone(sets), "doubt=none") // the profile as it stands is the answer
	}
	if len(sets)+len(renames) > 0 {
		if p, err = p.With(sets, renames); err != nil {
			return nil, err
		}
	}
	if open := p.stillOpen(); open != "" {
		return nil, fmt.Errorf("it is still open: %s", open)
	}
	if text, err = p.confined(shape); err != nil {
		return nil, err
	}
	return ParseApproved(shape.ID, text)
}

// Unrenamed returns the profile without the channels that it carries on under
// other names. Its Text still has them: it is for looking at files only.
func (p *Profile) Unrenamed() *Profile {
	q := *p
	q.rename = nil
	return &q
}

// isAnswer reports whether key=value answers what is asked under a key: by its
// short name, or by the path to what it sets.
func isAnswer(set, asked string) bool {
	key, _, _ := strings.Cut(set, "=")
	for _, under := range []string{"timestamp.", "timestamp.interval.", "dialect.", "logger.", "framing."} {
		if key == under+asked {
			return true
		}
	}
	return key == asked || asked == "order" && slices.Contains([]string{"layout", "layouts", "timestamp.layout", "timestamp.layouts"}, key)
}

// chosen returns the shape's profile, of several the one that profile=NAME
// chooses, and the other answers.
func chosen(shape *ingest.Shape, sets []string) (text string, others []string, err error) {
	texts := strings.Split(shape.Profile, orElse)
	if len(texts) == 1 {
		return texts[0], sets, nil
	}
	var name string
	for _, s := range sets {
		if value, ok := strings.CutPrefix(s, "profile="); ok {
			name = value
		} else {
			others = append(others, s)
		}
	}
	var names []string
	for _, text := range texts {
		p, err := Parse("the profile of shape "+shape.ID, []byte(text))
		if err != nil {
			return "", nil, err
		}
		if p.Name == name {
			return text, others, nil
		}
		names = append(names, p.Name)
	}
	return "", nil, fmt.Errorf("profile=%s is none of those that match: %s", name, strings.Join(names, ", "))
}

// MayBeApproved reports whether a profile that was approved for some shape can
// have the name: it has the shape's id in it.
func MayBeApproved(name string) bool {
	digits := 0
	for _, c := range name {
		if digits++; !strings.ContainsRune("0123456789abcdef", c) {
			digits = 0
		}
		if digits == hex.EncodedLen(shapeBytes) {
			return true
		}
	}
	return false
}

// confined returns the profile's YAML, comments and all, made to match files of
// the shape only, under a name of its own.
func (p *Profile) confined(shape *ingest.Shape) (string, error) {
	var doc yaml.Node
	if err := unmarshal([]byte(p.Text), &doc); err != nil {
		return "", yamlFaults(p.File, err)
	}
	root := strictyaml.Resolve(doc.Content[0])
	if !strings.Contains(p.Name, shape.ID) {
		setNode(root, "name", textNode(p.Name+"-"+shape.ID))
	}
	if shape.Loose {
		header := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle}
		for _, name := range shape.Header {
			header.Content = append(header.Content, quotedNode(name))
		}
		signature := mappingIn(root, "signature")
		setNode(signature, "header", header)
		dropNode(signature, "optional")
		dropNode(signature, "others")
	}
	text, err := p.rewritten(&doc)
	if err != nil {
		return "", fmt.Errorf("writing the approved profile: %w", err)
	}
	return text, nil
}

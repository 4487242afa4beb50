package format

import (
	"bytes"
	"reflect"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// rewritten writes doc, which is p's text with some values changed, so that it
// looks as p's text does: comments behind lines stand in the columns where they
// stood, and blank lines above the keys that they stood above.
func (p *Profile) rewritten(doc *yaml.Node) (string, error) {
	var b bytes.Buffer
	d, err := yaml.NewDumper(&b, yaml.WithV3Defaults(), yaml.WithIndent(2), yaml.WithLineWidth(-1))
	if err != nil {
		return "", err
	}
	if err := d.Dump(doc); err != nil {
		return "", err
	}
	if err := d.Close(); err != nil {
		return "", err
	}
	plain := b.String()
	looks := looksOf(p.Text, doc)
	var dressed strings.Builder
	parted := true
	for line := range strings.Lines(plain) {
		if key, _, ok := strings.Cut(line, ":"); ok && looks.parted[key] && !parted {
			dressed.WriteByte('\n')
		}
		dressed.WriteString(looks.align(strings.TrimSuffix(line, "\n")))
		dressed.WriteByte('\n')
		parted = line == "\n"
	}
	if !sameYAML(plain, dressed.String()) {
		return plain, nil // a text over several lines looks as if it had comments in it
	}
	return dressed.String(), nil
}

// yamlLooks is how the text of a profile is laid out.
type yamlLooks struct {
	comments map[string]int  // the column of a comment behind a line, counted from 0
	parted   map[string]bool // the keys of the profile that have a blank line above them
}

// looksOf finds the layout of text, whose comments doc holds.
func looksOf(text string, doc *yaml.Node) yamlLooks {
	looks := yamlLooks{comments: make(map[string]int), parted: make(map[string]bool)}
	lines := strings.Split(text, "\n")
	var note func(n *yaml.Node)
	note = func(n *yaml.Node) {
		if c := n.LineComment; c != "" {
			for _, line := range lines {
				if before, ok := strings.CutSuffix(strings.TrimRight(line, " \t\r"), c); ok {
					looks.comments[c] = utf8.RuneCountInString(before)
					break
				}
			}
		}
		for _, child := range n.Content {
			note(child)
		}
	}
	note(doc)
	for i, line := range lines {
		if key, _, ok := strings.Cut(line, ":"); ok && i > 0 && strings.TrimSpace(lines[i-1]) == "" {
			looks.parted[key] = true
		}
	}
	return looks
}

// align moves the comment behind a line to where it stood.
func (l *yamlLooks) align(line string) string {
	for at := range len(line) {
		if !strings.HasPrefix(line[at:], " #") {
			continue
		}
		if column, ok := l.comments[line[at+1:]]; ok {
			before := strings.TrimRight(line[:at], " ")
			return before + strings.Repeat(" ", max(1, column-utf8.RuneCountInString(before))) + line[at+1:]
		}
	}
	return line
}

// sameYAML reports whether two texts of YAML say the same.
func sameYAML(a, b string) bool {
	var of [2]any
	for i, text := range []string{a, b} {
		if err := yaml.Unmarshal([]byte(text), &of[i]); err != nil {
			return false
		}
	}
	return reflect.DeepEqual(of[0], of[1])
}

package format

import (
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"golang.org/x/text/encoding/htmlindex"
)

// readAgain reads the texts of a profile, which were read from files in one
// encoding, as they stand there in another. What has no such reading stays.
func readAgain(n *yaml.Node, from, to string) {
	if from != "windows-1252" && from != "iso-8859-1" {
		return // texts of several bytes a character are read as they stand, or not at all
	}
	e, err := htmlindex.Get(to)
	if err != nil {
		return
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == "missing" {
			continue // spellings of the guess's own
		}
		readAgain(child, from, to)
	}
	if n.Kind != yaml.ScalarNode {
		return
	}
	bytes, ok := westBytes(n.Value)
	if !ok {
		return
	}
	text, err := e.NewDecoder().Bytes(bytes)
	if err != nil || strings.ContainsRune(string(text), utf8.RuneError) {
		return
	}
	if s := string(text); s != n.Value {
		n.Value, n.Style = s, yaml.DoubleQuotedStyle
	}
}

// westBytes writes a text in Windows-1252; ok is false when it cannot be.
func westBytes(s string) (b []byte, ok bool) {
	for _, r := range s {
		switch i := slices.Index(westEurope[:], r); {
		case r == utf8.RuneError:
			return nil, false
		case i >= 0:
			b = append(b, 0x80+byte(i))
		case r < 0x100:
			b = append(b, byte(r))
		default:
			return nil, false
		}
	}
	return b, true
}

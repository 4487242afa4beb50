package format

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"penstock/ingest"
)

// kindOf returns the shape of the files that p reads and whose columns have
// these names. It is nil where nothing would tell such files from others.
func kindOf(p *Profile, names []string) *ingest.Shape {
	told := slices.Contains(p.framing.rows, rowNames)
	switch {
	case p.kind != nil:
		k := *p.kind
		k.Header = names
		return &k
	case !told && !p.signature.given():
		return nil
	}
	return &ingest.Shape{ID: shapeID(p.Name, names), Profile: p.Text, Header: names, Loose: told}
}

// orElse stands between the profiles of a shape of which one is to be chosen.
const orElse = "\n--- # or\n"

// eitherKind is the shape of files that two profiles match.
func eitherKind(a, b *head, names []string) *ingest.Shape {
	return &ingest.Shape{
		ID:      shapeID(a.profile.Name+"\x00"+b.profile.Name, names),
		Profile: a.profile.Text + orElse + b.profile.Text,
		Header:  names,
		Loose:   names != nil,
	}
}

// shapeID digests what tells files of a kind from others.
func shapeID(profile string, names []string) string {
	h := sha256.New()
	for _, part := range append([]string{profile}, names...) {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:shapeBytes])
}

// shapeBytes is how much of a digest names a shape.
const shapeBytes = 6

// given reports whether the signature says anything.
func (s *signature) given() bool { return s.firstLine != nil || s.line != nil || len(s.header) > 0 }

// Shape returns the id of the shape that the profile was approved or guessed
// for; "" for a profile of another origin.
func (p *Profile) Shape() string {
	if p.kind == nil {
		return ""
	}
	return p.kind.ID
}

// ParseApproved reads a profile that was approved for the shape of that id.
func ParseApproved(shape, text string) (*Profile, error) {
	p, err := Parse("approved for shape "+shape, []byte(text))
	if err != nil {
		return nil, err
	}
	p.trust, p.kind = ingest.Approved, &ingest.Shape{ID: shape, Profile: text}
	return p, nil
}

// Looks says in a few words what files of the shape look like: what divides
// their columns, and their names.
func Looks(shape *ingest.Shape) string {
	p, err := Parse("the profile of shape "+shape.ID, []byte(strings.Split(shape.Profile, orElse)[0]))
	if err != nil {
		return strings.Join(shape.Header, ", ")
	}
	names := shape.Header
	if names == nil {
		names = p.framing.columns
	}
	if names == nil {
		for _, l := range p.signature.header {
			names = append(names, l.told())
		}
	}
	looks := p.division()
	if len(names) > 0 {
		looks += ": " + strings.Join(names, ", ")
	}
	return looks
}

// division words what stands between columns.
func (p *Profile) division() string {
	switch c := p.dialect.delimiter; c {
	case 0:
		return "columns of fixed width"
	case ',':
		return "commas"
	case ';':
		return "semicolons"
	case '\t':
		return "tabs"
	case '|':
		return "bars"
	case ' ':
		return "blanks"
	default:
		return strconv.Quote(string(rune(c)))
	}
}

// told is the label as a person reads it.
func (l *label) told() string {
	if l.match != nil {
		return "/" + l.match.re.String() + "/"
	}
	return l.text
}

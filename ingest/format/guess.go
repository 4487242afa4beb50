package format

import "penstock/ingest"

// A Sample is the beginning of a file that a profile is guessed for.
type Sample struct {
	Path  string // as its source knows it; names come from it too
	Text  []byte // its bytes as they came, but for compression; a mebibyte is plenty
	Whole bool   // nothing comes after Text
}

// A Certainty is how sure a finding is.
type Certainty uint8

const (
	Open    Certainty = iota // one of several, and nothing tells which: it has to be asked
	Likely                   // nothing speaks against it, and readings do not depend on it: no question
	Certain                  // the file itself proves it, or a person said it
)

// A Finding is one thing that was understood of a file, and why.
type Finding struct {
	What     string // encoding, delimiter, timestamp, logger, ...
	Value    string // what was found
	Sure     Certainty
	Evidence string // what proves it, or what it could be as well
	Sample   int    // the sample that proves it
	Line     int64  // the line of it; 0 when no single line does
}

// Guessed is what was made of one or more files of a kind.
type Guessed struct {
	// Refusal says in a sentence what the files are, when they are no table of
	// readings; all else is then empty.
	Refusal  string
	Profile  *Profile  // whose Text is commented YAML
	Findings []Finding // in the order a reader wants them
	// Shape is that of the files, with the first open question; its Question is
	// empty when every finding that readings depend on is certain.
	Shape *ingest.Shape
}

// Certain reports whether files may be loaded by the guess without asking.
func (g *Guessed) Certain() bool { return g.Profile != nil && g.Shape.Question == "" }

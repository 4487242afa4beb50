package format

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// kind is what makes a sheet one of its kind, as text: how it is cut, what its
// columns are called but for serials and the like, and the rows of its header.
// Files of a kind may differ in encoding, line endings, preamble and footer.
func (sh *sheet) kind() string {
	var b strings.Builder
	fmt.Fprintf(&b, "delimiter %q fixed %v quote %q\n", sh.delimiter, sh.fixed, sh.quote)
	for _, name := range sh.names {
		if p := namePatternOf(name); p != "" {
			name = p
		}
		fmt.Fprintf(&b, "name %q\n", name)
	}
	if len(sh.names) == 0 {
		fmt.Fprintf(&b, "width %d, %d in %v like %s\n", sh.width, sh.whenKind, sh.when, sh.firstTime())
	}
	for _, r := range sh.head {
		fmt.Fprintf(&b, "row %s\n", r.kind)
	}
	return b.String()
}

var lettersRun = lazily(`\pL+`)

// firstTime is how the time of the first row is written, with digits and letters
// for those that there are.
func (sh *sheet) firstTime() string {
	if len(sh.rows) == 0 || len(sh.when) == 0 || sh.when[0] >= len(sh.rows[0].cells) {
		return ""
	}
	return lettersRun().ReplaceAllString(digitsRun().ReplaceAllString(sh.rows[0].cells[sh.when[0]], "0"), "x")
}

// shapeID digests what makes the files one kind, and what their profile takes from
// the lines before the rows; but nothing of what their rows happen to show.
func (g *guesser) shapeID() string {
	parts := []string{g.sheets[0].kind(), g.logger.preamble, g.channel.preamble, g.several.channel.preamble, g.several.unit, g.zone.preamble, g.zone.constant, g.sheets[0].columnsFrom}
	if o := g.sheets[0].intervalOnly; o != nil {
		parts = append(parts, o.start, o.every)
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:shapeBytes])
}

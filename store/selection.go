package store

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"penstock/ingest"
)

// A Selection says which file versions of the ledger are meant. Its fields
// narrow it, all together; the zero Selection is the whole ledger.
type Selection struct {
	// Pattern is a glob on the path as it is displayed (escaped): * and ? stop
	// at a slash, ** does not, and there are [a-z], [!a-z] and {one,other}. A
	// pattern without a slash is held against the last element of the path, at
	// any depth. What matches a folder or an archive selects all below it.
	// \xNN stands for itself, any other character after a backslash loses its
	// meaning.
	Pattern string

	Source  string // the source's name
	Logger  string // files that hold readings of this logger, whether they still stand or not
	Run     int32  // files that this run was the last to load or take out
	Profile string // the name of the profile they were read with
	States  []ingest.State
	Since   time.Time // first fetched at or after
	Until   time.Time // first fetched before
	IDs     []int64   // ids in the ledger
	Shape   string    // files that wait for the answer to its question, whole or in part
	Newest  bool      // only the newest version of each path
}

// everything reports whether the selection is the whole ledger.
func (sel *Selection) everything() bool {
	return sel.Pattern == "" && sel.Source == "" && sel.Logger == "" && sel.Run == 0 && sel.Profile == "" &&
		len(sel.States) == 0 && sel.Since.IsZero() && sel.Until.IsZero() && sel.IDs == nil && sel.Shape == "" && !sel.Newest
}

// conditions is the text of a where clause with its arguments.
type conditions struct {
	text []string
	args []any
}

// add appends a condition in which each ? stands for the next of args.
func (c *conditions) add(text string, args ...any) {
	for _, a := range args {
		c.args = append(c.args, a)
		text = strings.Replace(text, "?", "$"+strconv.Itoa(len(c.args)), 1)
	}
	c.text = append(c.text, text)
}

// where returns the conditions joined, never empty.
func (c *conditions) where() string {
	if len(c.text) == 0 {
		return "true"
	}
	return strings.Join(c.text, " and ")
}

// conditions returns the selection as conditions on the table files, whose
// alias must be f. They need no other table in the query. The error says what
// is wrong with the pattern.
func (sel *Selection) conditions() (*conditions, error) {
	c := new(conditions)
	if sel.IDs != nil {
		c.add("f.id = any(?)", sel.IDs)
	}
	if sel.Shape != "" {
		c.add("f.id in (select file_id from held where shape = ?)", sel.Shape)
	}
	if sel.Pattern != "" {
		expression, err := globRegexp(sel.Pattern)
		if err != nil {
			return nil, err
		}
		c.add("f.path ~ ?", expression)
	}
	if sel.Source != "" {
		c.add("f.source = (select id from sources where name = ?)", sel.Source)
	}
	if sel.Logger != "" {
		c.add(`exists (select from receipts r where r.file_id = f.id
			and r.series && array(select id from series where logger = ?))`, sel.Logger)
	}
	if sel.Run != 0 {
		c.add("f.run = ?", sel.Run)
	}
	if sel.Profile != "" {
		c.add("f.recipe in (select id from recipes where profile = ?)", sel.Profile)
	}
	if len(sel.States) > 0 {
		states := make([]string, len(sel.States))
		for i, s := range sel.States {
			states[i] = string(s)
		}
		c.add("f.state::text = any(?)", states)
	}
	if !sel.Since.IsZero() {
		c.add("f.fetched >= ?", sel.Since)
	}
	if !sel.Until.IsZero() {
		c.add("f.fetched < ?", sel.Until)
	}
	if sel.Newest {
		c.add("not exists (select from files n where n.key = f.key and n.generation > f.generation)")
	}
	return c, nil
}

// globRegexp translates a glob into a regular expression of PostgreSQL's for
// the displayed path. A backslash in a displayed path always begins an \xNN,
// which ? counts as one character.
func globRegexp(pattern string) (string, error) {
	g := glob{rest: pattern}
	if err := g.translate(); err != nil {
		return "", fmt.Errorf("pattern %q: %w", pattern, err)
	}
	above := ""
	if !strings.Contains(strings.TrimSuffix(pattern, "/"), "/") {
		above = "(?:.*/)?"
	}
	expression := "^" + above + strings.TrimSuffix(g.out.String(), "/") + "(?:[/!].*)?$"
	// Go's expressions mean the same by all that is used here, and tell of a
	// wrong [z-a] before the database does.
	if _, err := regexp.Compile(expression); err != nil {
		return "", fmt.Errorf("pattern %q is malformed: %w", pattern, err)
	}
	return expression, nil
}

// A glob is a pattern under translation.
type glob struct {
	rest  string
	out   strings.Builder
	depth int // of open braces
}

func (g *glob) translate() error {
	for g.rest != "" {
		switch c := g.rest[0]; {
		case strings.HasPrefix(g.rest, "**/"):
			g.emit(3, "(?:.*/)?")
		case strings.HasPrefix(g.rest, "**"):
			g.emit(2, ".*")
		case c == '*':
			g.emit(1, "[^/]*")
		case c == '?':
			g.emit(1, `(?:\\x[0-9A-F]{2}|[^/\\])`)
		case c == '[':
			if err := g.class(); err != nil {
				return err
			}
		case c == '{':
			g.depth++
			g.emit(1, "(?:")
		case c == '}' && g.depth > 0:
			g.depth--
			g.emit(1, ")")
		case c == ',' && g.depth > 0:
			g.emit(1, "|")
		case c == '\\':
			if err := g.escape(); err != nil {
				return err
			}
		default:
			_, n := utf8.DecodeRuneInString(g.rest)
			g.emit(n, quoteRegexp(ingest.EscapePath(g.rest[:n])))
		}
	}
	if g.depth > 0 {
		return fmt.Errorf("a { is not closed by a }")
	}
	return nil
}

// emit writes the translation of the next n bytes and moves past them.
func (g *glob) emit(n int, text string) {
	g.out.WriteString(text)
	g.rest = g.rest[n:]
}

func (g *glob) escape() error {
	if len(g.rest) >= 4 && g.rest[1] == 'x' && isHex(g.rest[2]) && isHex(g.rest[3]) {
		g.emit(4, `\\x`+strings.ToUpper(g.rest[2:4]))
		return nil
	}
	if len(g.rest) == 1 {
		return fmt.Errorf(`it ends in a lone backslash`)
	}
	_, n := utf8.DecodeRuneInString(g.rest[1:])
	g.emit(1+n, quoteRegexp(ingest.EscapePath(g.rest[1:1+n])))
	return nil
}

func (g *glob) class() error {
	end := strings.IndexByte(g.rest[1:], ']')
	if end < 0 {
		return fmt.Errorf("a [ is not closed by a ]")
	}
	inside := g.rest[1 : 1+end]
	negated := strings.HasPrefix(inside, "!") || strings.HasPrefix(inside, "^")
	if negated {
		inside = inside[1:]
	}
	if inside == "" || strings.ContainsAny(inside, `[\`) {
		return fmt.Errorf("[%s] is not a set of characters like [a-z] or [!0-9]", g.rest[1:1+end])
	}
	// Within a set, PostgreSQL gives a meaning to - only, and to ^ at its start.
	inside = strings.ReplaceAll(inside, "^", `\^`)
	if negated {
		inside = `^/\\` + inside
	}
	g.emit(end+2, "["+inside+"]")
	return nil
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// quoteRegexp puts a backslash before what means something in a regular
// expression. Letters and digits must not get one: there it gives a meaning.
func quoteRegexp(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(`.^$*+?()[]{}|\-`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

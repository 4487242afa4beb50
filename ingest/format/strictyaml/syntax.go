package strictyaml

import (
	"cmp"
	"errors"
	"strings"

	"go.yaml.in/yaml/v4"
)

// syntaxFault says why the text is no YAML, where, and what to write instead:
// YAML's own words are of anchors and tokens, which nobody has in mind who writes
// a glob.
func (r *Reader) syntaxFault(text []byte, err error) *Fault {
	f := &Fault{File: r.File, Text: strings.TrimPrefix(err.Error(), "yaml: ")}
	var load *yaml.LoadError
	if !errors.As(err, &load) || load.Mark.Line <= 0 {
		return f
	}
	f.Line, f.Column, f.Text = load.Mark.Line, max(load.Mark.Column, 1), load.Message
	lines := strings.Split(string(text), "\n")
	if f.Line > len(lines) {
		return f
	}
	line := []rune(strings.TrimSuffix(lines[f.Line-1], "\r"))
	if tab := indentingTab(line); tab > 0 {
		f.Column, f.Text = tab, "a tab indents this line, and YAML takes blanks alone: write two blanks for each step"
		return f
	}
	switch {
	case strings.Contains(f.Text, "unknown anchor"), strings.Contains(f.Text, "expected alphabetic or numeric"), strings.Contains(f.Text, "cannot start any token"):
		if at := unquoted(line, f.Column); at > 0 {
			f.Column, f.Text = at, r.toQuote(lines[:f.Line-1], line, at)
		}
	case strings.Contains(f.Text, "did not find expected ',' or"):
		f.Text += ": the bracket before is not closed, or text within brackets has one of , [ ] { } in it and stands without quotes"
	case strings.Contains(f.Text, "unknown escape character"), strings.Contains(f.Text, "expected hexadecimal number"):
		f.Text += `: in double quotes a backslash begins an escape; write the text in single quotes, '\d+'`
	}
	return f
}

// indentingTab is the column of the first tab among the blanks that a line begins
// with, 0 for none.
func indentingTab(line []rune) int {
	for i, c := range line {
		switch c {
		case '\t':
			return i + 1
		case ' ':
		default:
			return 0
		}
	}
	return 0
}

// unquoted is the column of the character that a value may begin with in quotes
// only, where that is what is wrong at a column; else 0. The parser marks it, or
// where a name cannot go on that it begins.
func unquoted(line []rune, column int) int {
	const indicators = "*@`%"
	for at := min(column, len(line)); at > 0; at-- {
		if !strings.ContainsRune(indicators, line[at-1]) {
			continue
		}
		before := strings.TrimRight(string(line[:at-1]), " ")
		if before == "" || strings.ContainsAny(before[len(before)-1:], ":-[{,?") {
			return at
		}
	}
	return 0
}

// toQuote says that the value from a column on must stand in quotes. It is
// repeated only where it is a glob by its looks, and its key is none of a secret:
// what else begins so may be one.
func (r *Reader) toQuote(above []string, line []rune, at int) string {
	before, value := string(line[:at-1]), string(line[at-1:])
	if comment := strings.Index(value, " #"); comment >= 0 {
		value = value[:comment]
	}
	if strings.ContainsAny(before, "[{") {
		value = value[:cmp.Or(strings.IndexAny(value, ",]}")+1, len(value)+1)-1]
	}
	value = strings.TrimRight(value, " ,")
	what := "text that begins with " + value[:1] + " stands in quotes"
	if !looksLikeGlob(value) || r.Unknown != nil && r.Unknown(keyBefore(above, before)) != "" {
		return what
	}
	return what + `: "` + value + `"`
}

// looksLikeGlob reports whether a value is a star, or has one and what names and
// paths of files have.
func looksLikeGlob(value string) bool {
	return value[0] == '*' && !strings.ContainsAny(value, `"':`) && (value == "*" || strings.ContainsAny(value, "/."))
}

// keyBefore is the key that a value belongs to, as far as can be told of text that
// is no YAML: what stands before the last colon.
func keyBefore(above []string, before string) string {
	text := strings.Join(above, "\n") + "\n" + before
	key := strings.TrimRight(text[:max(strings.LastIndex(text, ":"), 0)], " \r\n")
	return strings.Trim(key[strings.LastIndexAny(key, "[{,\n")+1:], ` -?"'`)
}

package format

import (
	"path"
	"strings"

	"go.yaml.in/yaml/v4"

	"penstock/ingest/format/strictyaml"
)

// The named forms of an origin, in place of patterns.
const (
	nameStem   = "stem"   // file_name: the file's name without ending, dates, times and counters
	pathFolder = "folder" // path: the name of the folder that the file lies in
)

const (
	nameDate   = `(?:(?:19|20)\d\d[-_.]?(?:0[1-9]|1[0-2])(?:[-_.]?(?:0[1-9]|[12]\d|3[01])(?:[-_ .T]*(?:[01]\d|2[0-4])(?:[-_.:h]?[0-5]\d(?:[-_.:m]?[0-5]\d(?:[._-]?\d{3})?)?)?Z?)?)?)`
	nameEnding = `(?:\.[A-Za-z][A-Za-z0-9]{0,4})?`
)

var (
	stemPattern = lazily(`^(?:` + nameDate + `[-_ .]+)*(.+?)(?:[-_ .(]*` + nameDate + `\)?|[-_ .]+(?:to|bis)|[ ]?\(\d{1,3}\))*` + nameEnding + `$`)
	barePattern = lazily(`^(.+?)` + nameEnding + `$`)
	datePattern = lazily(`^` + nameDate + `$`)
)

// stemOf returns what the last part of a path says of whose the file is: all of
// it but its ending, the dates and times at its beginning and its end, and the
// counters in brackets that browsers put behind copies. Of a name that is nothing
// else it is the name without its ending. Recipes rest on it, so that what it makes
// of a name stays as it is.
func stemOf(base string) string {
	stem := base
	if m := stemPattern().FindStringSubmatch(base); m != nil {
		stem = m[1]
	}
	if bare := barePattern().FindStringSubmatch(base); bare != nil && dateAlone(stem, base) {
		stem = bare[1]
	}
	return stem
}

// dateAlone reports whether a file's name, of that stem, is a date and no more.
func dateAlone(stem, base string) bool {
	return datePattern().MatchString(stem) || datePattern().MatchString(strings.TrimSuffix(base, path.Ext(base)))
}

// folderOf returns the name of the folder that a file lies in; "" for one that
// lies in none.
func folderOf(whole string) string {
	folder := path.Base(path.Dir(strings.ReplaceAll(whole, `\`, "/")))
	if folder == "." || folder == "/" {
		return ""
	}
	return folder
}

// named reads a pattern, or the word for one of the named forms.
func (r *reader) named(word string, is *bool, into **pattern, groups ...string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if s := strictyaml.Resolve(n); s.Kind == yaml.ScalarNode && s.Value == word {
			*is = true
			return
		}
		r.pattern(into, groups...)(n)
	}
}

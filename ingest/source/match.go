package source

import (
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// globs is a list of patterns that paths below a root are held against.
type globs []glob

// A glob is one pattern. Most are of the form NAME or **/NAME, which mean the
// same: they are for a path's last element, whatever folder it is in.
type glob struct {
	pattern string
	base    bool // pattern is for the last element only
}

func compileGlobs(patterns []string) (globs, error) {
	var all globs
	for _, p := range patterns {
		if !doublestar.ValidatePattern(p) {
			return nil, fmt.Errorf("pattern %q is malformed: write it like **/*.csv or station-[0-9]/{a,b}*.dat", p)
		}
		if name := strings.TrimPrefix(p, "**/"); name != "" && !strings.Contains(name, "/") {
			all = append(all, glob{name, true})
		} else {
			all = append(all, glob{p, false})
		}
	}
	return all, nil
}

// match reports whether one of the patterns matches path, which is below a
// root and has slashes.
func (gs globs) match(path string) bool {
	base := path[strings.LastIndexByte(path, '/')+1:]
	for _, g := range gs {
		name := path
		if g.base {
			name = base
		}
		if doublestar.MatchUnvalidated(g.pattern, name) {
			return true
		}
	}
	return false
}

// matchAbove reports whether one of the patterns matches path or a folder that
// it lies in. The steps . and .., which a name in an archive may have, are not
// hidden folders.
func (gs globs) matchAbove(path string) bool {
	for i := 1; i < len(path); i++ {
		if path[i] != '/' {
			continue
		}
		if last := path[strings.LastIndexByte(path[:i], '/')+1 : i]; last != "." && last != ".." && gs.match(path[:i]) {
			return true
		}
	}
	return gs.match(path)
}

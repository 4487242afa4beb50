package source

import (
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// globs is a list of patterns that paths below a root are held against.
type globs []glob

// A glob is one pattern. Most are of the form NAME or **/NAME, which mean the
// same: they are for a path's last element, whatever folder it is in. Of these
// again most have one star, at an end, and each file is held against several.
type glob struct {
	pattern string
	base    bool // pattern is for the last element only
	begins  bool // and is what that begins with
	ends    bool // and is what that ends with
}

func compileGlobs(patterns []string) (globs, error) {
	var all globs
	for _, p := range patterns {
		if !doublestar.ValidatePattern(p) {
			return nil, fmt.Errorf("pattern %q is malformed: write it like **/*.csv or station-[0-9]/{a,b}*.dat", p)
		}
		if name := strings.TrimPrefix(p, "**/"); name != "" && !strings.Contains(name, "/") {
			all = append(all, nameGlob(name))
		} else {
			all = append(all, glob{pattern: p})
		}
	}
	return all, nil
}

func nameGlob(name string) glob {
	begin, end, starred := strings.Cut(name, "*")
	switch {
	case strings.ContainsAny(begin+end, `*?[]{}\`) || !starred:
	case begin == "":
		return glob{pattern: end, base: true, ends: true}
	case end == "":
		return glob{pattern: begin, base: true, begins: true}
	}
	return glob{pattern: name, base: true}
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
		if g.matches(name) {
			return true
		}
	}
	return false
}

func (g *glob) matches(name string) bool {
	switch {
	case g.ends:
		return strings.HasSuffix(name, g.pattern)
	case g.begins:
		return strings.HasPrefix(name, g.pattern)
	}
	return doublestar.MatchUnvalidated(g.pattern, name)
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

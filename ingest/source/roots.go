package source

import (
	"path/filepath"
	"strings"
)

// A site is what is at a Dir's PATHs, as it was found when a listing began.
type site struct {
	roots []root
	given map[identity]map[string]struct{} // by folder, the names of the files among roots
}

// A root is one PATH.
type root struct {
	path string   // absolute and clean
	real string   // of a folder: free of links
	id   identity // of a folder
	file bool
	err  error // why it could not be found
}

// resolve looks what is at d's paths. A path that leads where another one leads
// is left out; one that is not there is a root with an error, and among missing.
func (d *Dir) resolve() (s *site, missing []error) {
	s = &site{given: make(map[identity]map[string]struct{})}
	folders := make(map[identity]struct{})
	for _, p := range d.paths {
		if err := s.add(p, folders); err != nil {
			missing = append(missing, err)
			s.roots = append(s.roots, root{path: p, err: err})
		}
	}
	return s, missing
}

// add makes path a root, unless it is one already by whatever name.
func (s *site) add(path string, folders map[identity]struct{}) error {
	st, err := statPath(path, true)
	if err != nil {
		return fault("find", path, err)
	}
	if st.kind == directory {
		if _, ok := folders[st.id]; ok {
			return nil
		}
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			return fault("find", path, err)
		}
		folders[st.id] = struct{}{}
		s.roots = append(s.roots, root{path: path, real: real, id: st.id})
		return nil
	}
	folder, err := statPath(filepath.Dir(path), true)
	if err != nil {
		return fault("find", path, err)
	}
	names := s.given[folder.id]
	if names == nil {
		names = make(map[string]struct{})
		s.given[folder.id] = names
	}
	if _, ok := names[filepath.Base(path)]; !ok {
		names[filepath.Base(path)] = struct{}{}
		s.roots = append(s.roots, root{path: path, file: true})
	}
	return nil
}

// find returns the root that holds the file that has this path below it, and
// where that file is: the last root where it is in none.
func (s *site) find(path string) (r *root, place string, ok bool) {
	for i := range s.roots {
		r = &s.roots[i]
		if place, ok = r.holds(path, i == len(s.roots)-1); ok {
			return r, place, true
		}
	}
	return nil, "", false
}

// shadow returns the file of a root before r that has the same path below it.
func (s *site) shadow(r *root, below string) (string, bool) {
	for i := range s.roots {
		if &s.roots[i] == r {
			break
		}
		if place, ok := s.roots[i].holds(below, false); ok {
			return place, true
		}
	}
	return "", false
}

// holds returns where the file is that has this path below r. It does not look
// whether there is one when it is told to be sure.
func (r *root) holds(path string, sure bool) (string, bool) {
	if r.file {
		return r.path, filepath.Base(r.path) == path
	}
	place := r.join(path)
	if sure {
		return place, true
	}
	_, err := statPath(place, false)
	return place, err == nil
}

// join is the place of the path below r, a folder.
func (r *root) join(path string) string {
	if strings.HasSuffix(r.path, string(filepath.Separator)) { // as it is of "/"
		return r.path + filepath.FromSlash(path)
	}
	return r.path + string(filepath.Separator) + filepath.FromSlash(path)
}

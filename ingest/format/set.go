package format

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/bmatcuk/doublestar/v4"
	"golang.org/x/sync/errgroup"

	"penstock/ingest"
)

//go:embed builtin/*.yaml
var builtin embed.FS

// A Set is a choice of profiles to read files by, in tiers: those that a person
// approved for a shape, then given ones, then those that come with Penstock. The
// first tier with a profile that matches a file decides. A Set is never changed
// once made; any number of decoders may share it.
type Set struct {
	tiers [][]member
}

// A member is a profile of a set. Those that come with Penstock are read when they
// are first needed: few are by most runs, and to read all takes more than the rest
// of a process's start.
type member struct {
	name    string
	telling string          // the profile's, as far as it is known unread
	profile func() *Profile // may be called by several goroutines at once
}

func membersOf(profiles ...*Profile) []member {
	members := make([]member, len(profiles))
	for i, p := range profiles {
		members[i] = member{name: p.Name, profile: func() *Profile { return p }}
	}
	return members
}

// builtinMembers are the profiles that come with Penstock, unread. That they can be
// read, and are what is said of them, the tests see to.
func builtinMembers() ([]member, error) {
	names, err := builtinNames()
	members := make([]member, len(names))
	for i, name := range names {
		members[i] = member{name: name, telling: builtinTelling[name], profile: sync.OnceValue(func() *Profile {
			p, err := readBuiltin(name)
			if err != nil {
				panic(err)
			}
			return p
		})}
	}
	return members, err
}

const builtinEnd = ".yaml"

func builtinNames() (names []string, err error) {
	entries, err := builtin.ReadDir("builtin")
	if err != nil {
		return nil, fmt.Errorf("listing the built-in profiles: %w", err)
	}
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), builtinEnd))
	}
	return names, nil
}

func readBuiltin(name string) (*Profile, error) {
	file := "builtin/" + name + builtinEnd
	text, err := builtin.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the built-in profiles: %w", err)
	}
	return Parse(file, text)
}

// Builtin returns the profiles that come with Penstock, by name.
func Builtin() ([]*Profile, error) {
	names, err := builtinNames()
	if err != nil {
		return nil, err
	}
	// Side by side, for a person waits.
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	profiles := make([]*Profile, len(names))
	for i, name := range names {
		group.Go(func() (err error) {
			profiles[i], err = readBuiltin(name)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return profiles, nil
}

// Load reads the profiles that the patterns name: paths, or globs with ** for
// any folders. A pattern that matches no file is an error. All errors of all
// files are returned, joined, each a *Fault where it is a profile's.
func Load(patterns ...string) ([]*Profile, error) {
	var profiles []*Profile
	var faults []error
	for _, pattern := range patterns {
		files := []string{pattern}
		if _, err := os.Stat(pattern); err != nil {
			if files, err = doublestar.FilepathGlob(pattern, doublestar.WithFilesOnly()); err != nil {
				faults = append(faults, fmt.Errorf("profiles %s: %w", pattern, err))
				continue
			}
		}
		if len(files) == 0 {
			faults = append(faults, fmt.Errorf("profiles %s: no such file", pattern))
		}
		slices.Sort(files)
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				faults = append(faults, fmt.Errorf("reading profile: %w", err))
				continue
			}
			p, err := Parse(file, text)
			if err != nil {
				faults = append(faults, err)
				continue
			}
			profiles = append(profiles, p)
		}
	}
	return profiles, errors.Join(faults...)
}

// NewSet returns the set of the given profiles and, where builtins is true, of
// the built-in ones whose names the given ones do not take. Two given profiles
// of one name are an error.
func NewSet(builtins bool, own ...*Profile) (*Set, error) {
	s := &Set{tiers: make([][]member, 2)}
	for _, p := range own {
		if other := s.ByName(p.Name); other != nil {
			return nil, fmt.Errorf("two profiles are called %s: %s and %s", p.Name, other.File, p.File)
		}
		s.tiers[0] = append(s.tiers[0], membersOf(p)...)
	}
	if !builtins {
		return s, nil
	}
	known, err := builtinMembers()
	s.tiers[1] = slices.DeleteFunc(known, func(m member) bool { return s.find(m.name) != nil })
	return s, err
}

// WithApproved returns the set with approved profiles before all others.
func (s *Set) WithApproved(approved ...*Profile) *Set {
	return &Set{tiers: slices.Insert(slices.Clone(s.tiers), 0, membersOf(approved...))}
}

// Profiles returns the profiles of the set by name.
func (s *Set) Profiles() []*Profile {
	var profiles []*Profile
	for _, m := range slices.Concat(s.tiers...) {
		profiles = append(profiles, m.profile())
	}
	slices.SortStableFunc(profiles, func(a, b *Profile) int { return strings.Compare(a.Name, b.Name) })
	return profiles
}

// ByName returns the profile of that name, or nil.
func (s *Set) ByName(name string) *Profile {
	if m := s.find(name); m != nil {
		return m.profile()
	}
	return nil
}

func (s *Set) find(name string) *member {
	for _, tier := range s.tiers {
		if i := slices.IndexFunc(tier, func(m member) bool { return m.name == name }); i >= 0 {
			return &tier[i]
		}
	}
	return nil
}

// FromRecipe returns what a stored recipe was made of: a set of its one
// profile, and settings that read every file by it. It is an error when this
// program would not read files as the recipe's did, since their readings could
// differ then.
func FromRecipe(r *ingest.Recipe) (*Set, Settings, error) {
	set, s, err := LikeRecipe(r)
	if err != nil {
		return nil, Settings{}, err
	}
	again := newRecipe(set.tiers[0][0].profile(), s, false)
	if s.Loggers != nil {
		again = withRows(again, s, linesOf(s.Loggers.forSource("")))
	}
	if again.Digest != r.Digest {
		return nil, Settings{}, fmt.Errorf("the recipe of profile %s was made by another version of the decoder (this is version %d): load its files again with the profile as it is now", r.Profile, decoderVersion)
	}
	return set, s, nil
}

// LikeRecipe is FromRecipe, but for that another version of the decoder may have
// made the recipe: files are then read by its profile and settings as this one
// understands them.
func LikeRecipe(r *ingest.Recipe) (*Set, Settings, error) {
	p, err := Parse("recipe of profile "+r.Profile, []byte(r.Text))
	if err != nil {
		return nil, Settings{}, fmt.Errorf("reading the profile of a stored recipe: %w", err)
	}
	if p.trust = r.Trust; p.trust == ingest.Guessed {
		p.kind = &ingest.Shape{ID: strings.TrimPrefix(p.Name, guessName), Profile: p.Text}
	}
	s := Settings{Profile: p.Name, Zone: r.Zone}
	if err := s.parseJudgement(r.Settings); err != nil {
		return nil, Settings{}, fmt.Errorf("reading the settings of a stored recipe: %w", err)
	}
	return &Set{tiers: [][]member{membersOf(p)}}, s, nil
}

package main

import (
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"go.yaml.in/yaml/v4"

	"penstock/ingest"
	"penstock/ingest/format"
	"penstock/ingest/source"
	"penstock/store"
)

// A sourceConfig is what a config says of one source.
type sourceConfig struct {
	name string

	// Where its files are, and which of them are taken.
	scheme, folder string // folder is absolute
	match, ignore  []string
	poll           time.Duration

	// How they are read.
	profile, zone string
	window        format.Window
	maxRejected   format.MaxRejected
	strict        bool

	// What becomes of what they say.
	policy   store.Policy
	onChange store.OnChange
	rank     int16
}

// defaultPoll is how long after a listing began the next one does.
const defaultPoll = 30 * time.Second

func newSourceConfig() *sourceConfig {
	return &sourceConfig{ignore: source.DefaultIgnore(), poll: defaultPoll, profile: "auto",
		policy: store.Latest, onChange: store.HoldChanged}
}

// same reports whether a source needs no restart for what another config says
// of it.
func (s *sourceConfig) same(other *sourceConfig) bool { return reflect.DeepEqual(s, other) }

// settings is how its files are read, in a config.
func (s *sourceConfig) settings(c *config) format.Settings {
	return format.Settings{Profile: s.profile, Zone: s.zone, Window: s.window, MaxRejected: s.maxRejected, Loggers: c.loggers, Strict: s.strict}
}

// variable is the name of the environment variable that holds a setting of the
// source.
func (s *sourceConfig) variable(setting string) string {
	upper := strings.Map(func(c rune) rune {
		if c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return '_'
	}, strings.ToUpper(s.name))
	return "PENSTOCK_SOURCE_" + upper + "_" + setting
}

// read reads the source at n and returns where its keys stand.
func (s *sourceConfig) read(r *configReader, n *yaml.Node, c *config) map[string]*yaml.Node {
	var zone, profile *yaml.Node
	at := r.mapping(n, "a source",
		configKey{"name", func(n *yaml.Node) { s.readName(r, n) }},
		configKey{"url", func(n *yaml.Node) { s.readURL(r, n, c) }},
		configKey{"match", s.globs(r, &s.match)},
		configKey{"ignore", s.globs(r, &s.ignore)},
		configKey{"poll", r.span(&s.poll, time.Second)},
		configKey{"profile", func(n *yaml.Node) { profile = n; r.text(&s.profile)(n) }},
		configKey{"zone", func(n *yaml.Node) { zone = n; r.text(&s.zone)(n) }},
		configKey{"window", func(n *yaml.Node) {
			r.mapping(n, "window",
				configKey{"past", r.span(&s.window.Past, time.Second)},
				configKey{"future", r.span(&s.window.Future, time.Second)})
		}},
		configKey{"max_rejected", func(n *yaml.Node) {
			r.mapping(n, "max_rejected",
				configKey{"share", r.fraction(&s.maxRejected.Share, 1, "a share above 0, up to 1: 0.5 is half of the file")},
				configKey{"min_lines", r.integer(&s.maxRejected.MinLines, 1, 1_000_000)})
		}},
		configKey{"strict", r.flag(&s.strict)},
		configKey{"on_conflict", func(n *yaml.Node) {
			var word string
			r.choice(&word, string(store.Latest), string(store.Earliest), string(store.Error))(n)
			s.policy = store.Policy(word)
		}},
		configKey{"on_change", func(n *yaml.Node) {
			var word string
			r.choice(&word, "hold", "load")(n)
			if word == "load" {
				s.onChange = store.LoadChanged
			}
		}},
		configKey{"rank", func(n *yaml.Node) {
			var rank int
			r.integer(&rank, -32768, 32767)(n)
			s.rank = int16(rank)
		}},
	)
	if at == nil {
		return nil
	}
	for _, name := range []string{"name", "url"} {
		if at[name] == nil {
			r.fault(n, "the source has no %s", name)
		}
	}
	s.checkReading(r, zone, profile, c)
	if s.strict && c.loggers == nil {
		r.fault(at["strict"], "strict holds the loggers that are not in the loggers table, and the config names none: add loggers: FILE")
	}
	return at
}

func (s *sourceConfig) readName(r *configReader, n *yaml.Node) {
	name, ok := r.scalar(n, "a name")
	if !ok {
		return
	}
	if !sourceName.MatchString(name) {
		r.fault(n, "a source's name is made of letters, digits, -, _ and ., and begins with one of the first two; this one is %q", name)
		return
	}
	s.name = name
}

// globs reads patterns of paths.
func (s *sourceConfig) globs(r *configReader, into *[]string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		*into = []string{}
		r.each(n, func(n *yaml.Node) {
			var glob string
			if r.text(&glob)(n); glob == "" {
				return
			}
			if !doublestar.ValidatePattern(glob) {
				r.fault(n, "the pattern %q is malformed: write it like **/*.csv or station-[0-9]/{a,b}*.dat", glob)
			}
			*into = append(*into, glob)
		})
	}
}

// checkReading looks whether files can be read as the source wants. A profile
// that was approved is known to the store alone.
func (s *sourceConfig) checkReading(r *configReader, zone, profile *yaml.Node, c *config) {
	if zone != nil && s.zone != "" {
		if err := (format.Settings{Zone: s.zone}).Check(&format.Set{}); err != nil {
			r.fault(zone, "%v", err)
		}
	}
	if profile != nil && s.profile != "" && s.profile != "auto" && c.set.ByName(s.profile) == nil && !format.MayBeApproved(s.profile) {
		r.fault(profile, "there is no profile %q: 'penstock profiles' lists those that are built in; name the file of your own with profiles: at the end of the config", s.profile)
	}
}

const sourceURLs = "file:///FOLDER or a path"

// readURL never repeats what it found: it may hold a password.
func (s *sourceConfig) readURL(r *configReader, n *yaml.Node, c *config) {
	text, ok := r.scalar(n, sourceURLs)
	if !ok {
		return
	}
	if !strings.Contains(text, ":") {
		s.scheme, s.folder = "file", s.absolute(c.path(text))
		return
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "file" || u.Path == "" || u.Host != "" || u.User != nil {
		r.fault(n, "expected %s", sourceURLs)
		return
	}
	s.scheme, s.folder = "file", filepath.Clean(u.Path)
}

func (s *sourceConfig) absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// root is the ledger's text of where its files are.
func (s *sourceConfig) root() string { return ingest.EscapePath(s.folder) }

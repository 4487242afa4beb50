package main

import (
	"cmp"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"go.yaml.in/yaml/v4"

	"penstock/ingest"
	"penstock/ingest/format"
	"penstock/ingest/format/strictyaml"
	"penstock/ingest/source"
	"penstock/store"
)

// A sourceConfig is what a config says of one source.
type sourceConfig struct {
	name string

	// Where its files are, and which of them are taken.
	folder        string // absolute; "" where they are on a server
	url           string // of the server; "" where they are in a folder
	match, ignore []string
	poll          time.Duration
	rehash        time.Duration   // 0 for never
	settling      source.Settling // but for its log
	after         source.After    // what becomes of them there once they are loaded

	server serverConfig

	// How they are read.
	profile, zone string
	window        format.Window
	maxRejected   format.MaxRejected
	strict        bool

	// What becomes of what they say.
	policy   store.Policy
	onChange store.OnChange
	rank     int16
	since    time.Time // what was modified before is skipped; zero for all
}

// A serverConfig is what a config says of the server that a source is on.
type serverConfig struct {
	passwordFile string
	connections  int // 0 for the default, as the following
	timeout      time.Duration
	minRate      int
	listingZone  string
	tls          source.TLSOptions

	keyFile, passphraseFile string
	knownHosts              []string
}

// defaultSettle is for how long a file must have been as it is to be taken.
const defaultSettle = 10 * time.Second

// defaultPoll is how long after a listing began the next one does.
const defaultPoll = 30 * time.Second

// defaultRehash is after what time a file that grows is hashed whole again.
const defaultRehash = 24 * time.Hour

func newSourceConfig() *sourceConfig {
	return &sourceConfig{ignore: source.DefaultIgnore(), poll: defaultPoll, rehash: defaultRehash, settling: source.Settling{Age: defaultSettle}, profile: "auto",
		policy: store.Latest, onChange: store.HoldChanged}
}

// same reports whether a source needs no restart for what another config says
// of it.
func (s *sourceConfig) same(other *sourceConfig) bool { return reflect.DeepEqual(s, other) }

// settings is how its files are read, in a config.
func (s *sourceConfig) settings(c *config) format.Settings {
	return format.Settings{Profile: s.profile, Zone: s.zone, Window: s.window, MaxRejected: s.maxRejected, Loggers: c.loggers, Strict: s.strict}
}

// defaultConnections is how many connections to a server there are at most.
const defaultConnections = 4

// connections is how many files are fetched at a time ahead of the workers: of a
// folder none, the workers read them.
func (s *sourceConfig) connections() int {
	if s.url == "" {
		return 0
	}
	return cmp.Or(s.server.connections, defaultConnections)
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
	var profile *yaml.Node
	at := r.Mapping(n, "a source",
		strictyaml.Key("name", func(n *yaml.Node) { s.readName(r, n) }),
		strictyaml.Key("url", func(n *yaml.Node) { s.readURL(r, n, c) }),
		strictyaml.Key("password_file", s.server.file(r, c, &s.server.passwordFile)),
		strictyaml.Key("connections", r.integer(&s.server.connections, 1, 1000)),
		strictyaml.Key("timeout", r.span(&s.server.timeout, time.Second)),
		strictyaml.Key("min_rate", r.integer(&s.server.minRate, 1, 1_000_000_000)),
		strictyaml.Key("listing_zone", func(n *yaml.Node) { r.zone(n, &s.server.listingZone) }),
		strictyaml.Key("tls", func(n *yaml.Node) { s.server.readTLS(r, n, c) }),
		strictyaml.Key("key_file", s.server.file(r, c, &s.server.keyFile)),
		strictyaml.Key("passphrase_file", s.server.file(r, c, &s.server.passphraseFile)),
		strictyaml.Key("known_hosts", func(n *yaml.Node) {
			r.Each(n, func(n *yaml.Node) {
				var file string
				if s.server.file(r, c, &file)(n); file != "" {
					s.server.knownHosts = append(s.server.knownHosts, file)
				}
			})
		}),

		strictyaml.Key("match", s.globs(r, &s.match)),
		strictyaml.Key("ignore", s.globs(r, &s.ignore)),
		strictyaml.Key("poll", r.span(&s.poll, time.Second)),
		strictyaml.Key("rehash", r.span(&s.rehash, 0)),
		strictyaml.Key("settle", r.span(&s.settling.Age, 0)),
		strictyaml.Key("growth", r.span(&s.settling.Growth, time.Second)),
		strictyaml.Key("temporary", s.globs(r, &s.settling.Temporary)),
		strictyaml.Key("marker", func(n *yaml.Node) { s.readMarker(r, n) }),
		strictyaml.Key("after", func(n *yaml.Node) { s.readAfter(r, n) }),
		strictyaml.Key("profile", func(n *yaml.Node) { profile = n; r.someText(&s.profile)(n) }),
		strictyaml.Key("zone", func(n *yaml.Node) { r.zone(n, &s.zone) }),
		strictyaml.Key("window", func(n *yaml.Node) {
			r.Mapping(n, "window",
				strictyaml.Key("past", r.span(&s.window.Past, time.Second)),
				strictyaml.Key("future", r.span(&s.window.Future, time.Second)))
		}),

		strictyaml.Key("max_rejected", func(n *yaml.Node) {
			r.Mapping(n, "max_rejected",
				strictyaml.Key("share", r.fraction(&s.maxRejected.Share, 1, "a share above 0, up to 1: 0.5 is half of the file")),
				strictyaml.Key("min_lines", r.integer(&s.maxRejected.MinLines, 1, 1_000_000)))
		}),

		strictyaml.Key("strict", r.Flag(&s.strict)),
		strictyaml.Key("on_conflict", func(n *yaml.Node) {
			var word string
			r.Choice(&word, string(store.Latest), string(store.Earliest), string(store.Error))(n)
			s.policy = store.Policy(word)
		}),

		strictyaml.Key("on_change", func(n *yaml.Node) {
			var word string
			r.Choice(&word, "hold", "load")(n)
			if word == "load" {
				s.onChange = store.LoadChanged
			}
		}),

		strictyaml.Key("rank", func(n *yaml.Node) {
			var rank int
			r.integer(&rank, -32768, 32767)(n)
			s.rank = int16(rank)
		}),

		strictyaml.Key("since", func(n *yaml.Node) {
			const expected = "a day such as 2026-01-01, or a time such as 2026-01-01T06:00:00Z"
			text, ok := r.Scalar(n, expected)
			if !ok {
				return
			}
			var err error
			if s.since, err = parseMoment(text, time.UTC); err != nil {
				r.Fault(n, "expected %s, not %q", expected, text)
			}
		}),
	)
	if at == nil {
		return nil
	}
	for _, name := range []string{"name", "url"} {
		if at[name] == nil {
			r.Fault(n, "the source has no %s", name)
		}
	}
	s.checkServer(r, at)
	s.checkProfile(r, profile, c)
	if s.strict && c.loggers == nil {
		r.Fault(at["strict"], "strict holds the loggers that are not in the loggers table, and the config names none: add loggers: FILE")
	}
	return at
}

func (s *sourceConfig) readName(r *configReader, n *yaml.Node) {
	name, ok := r.Scalar(n, "a name")
	if !ok {
		return
	}
	if !sourceName.MatchString(name) {
		r.Fault(n, "a source's name is made of letters, digits, -, _ and ., and begins with one of the first two; this one is %q", name)
		return
	}
	s.name = name
}

// globs reads patterns of paths.
func (s *sourceConfig) globs(r *configReader, into *[]string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		*into = []string{}
		r.Each(n, func(n *yaml.Node) {
			var glob string
			if r.someText(&glob)(n); glob == "" {
				return
			}
			if !doublestar.ValidatePattern(glob) {
				r.Fault(n, "the pattern %q is malformed: write it like **/*.csv or station-[0-9]/{a,b}*.dat", glob)
			}
			*into = append(*into, glob)
		})
	}
}

// zone reads a time zone.
func (r *configReader) zone(n *yaml.Node, into *string) {
	r.someText(into)(n)
	if *into == "" {
		return
	}
	if err := (format.Settings{Zone: *into}).Check(&format.Set{}); err != nil {
		r.Fault(n, "%v", err)
	}
}

// checkProfile looks whether there is the profile. One that was approved is known
// to the store alone.
func (s *sourceConfig) checkProfile(r *configReader, profile *yaml.Node, c *config) {
	if profile != nil && s.profile != "" && s.profile != "auto" && c.set.ByName(s.profile) == nil && !format.MayBeApproved(s.profile) {
		r.Fault(profile, "there is no profile %q: 'penstock profiles' lists those that are built in; name the file of your own with profiles: at the end of the config", s.profile)
	}
}

const sourceURLs = "file:///FOLDER or a path, or ftp://, ftps:// (explicit TLS), ftps+implicit:// or sftp://USER@HOST/FOLDER"

// readURL never repeats what it found: it may hold a password.
func (s *sourceConfig) readURL(r *configReader, n *yaml.Node, c *config) {
	text, ok := r.Scalar(n, sourceURLs)
	if !ok {
		return
	}
	if !strings.Contains(text, "://") && !strings.HasPrefix(text, "file:") {
		s.folder = c.path(text)
		if abs, err := filepath.Abs(s.folder); err == nil {
			s.folder = abs
		}
		return
	}
	u, err := url.Parse(text)
	if err != nil {
		r.Fault(n, "the url is malformed; expected %s", sourceURLs)
		return
	}
	if _, secret := u.User.Password(); secret {
		r.Fault(n, "a password does not stand in the url: put it into a file and name that with password_file, or into %s, or the systemd credential %s", s.variable("PASSWORD"), s.credential("password"))
		return
	}
	if u.Scheme == "file" {
		if u.Path == "" || u.Host != "" || u.User != nil {
			r.Fault(n, "a folder's url has three slashes and no host: file:///data/loggers")
		}
		s.folder = filepath.Clean(u.Path)
		return
	}
	if u.User == nil && strings.Contains(u.Path, "@") {
		r.Fault(n, "there is an @ behind the host's name: in a user write a slash as %%2F, in a folder an @ as %%40")
		return
	}
	s.url = text
	checked := source.RemoteOptions{Source: "checked"}
	if u.Scheme == "sftp" {
		_, err = source.NewSFTP(source.SFTPOptions{RemoteOptions: checked, URL: text, KnownHosts: []string{"checked"}, KeyFile: "checked"})
	} else {
		_, err = source.NewFTP(source.FTPOptions{RemoteOptions: checked, URL: text})
	}
	if err != nil {
		r.Fault(n, "%v; expected %s", err, sourceURLs)
	}
}

func (s *sourceConfig) credential(what string) string { return s.name + "." + what }

// checkServer looks whether the keys fit the kind of source.
func (s *sourceConfig) checkServer(r *configReader, at map[string]*yaml.Node) {
	scheme, _, _ := strings.Cut(s.url, "://")
	if s.folder != "" {
		scheme = "file"
	}
	for _, only := range []struct {
		schemes []string
		keys    []string
	}{
		{[]string{"ftp", "ftps", "ftps+implicit", "sftp"}, []string{"password_file", "connections", "timeout", "min_rate"}},
		{[]string{"ftp", "ftps", "ftps+implicit"}, []string{"listing_zone"}},
		{[]string{"ftps", "ftps+implicit"}, []string{"tls"}},
		{[]string{"sftp"}, []string{"key_file", "passphrase_file", "known_hosts"}},
	} {
		for _, key := range only.keys {
			if at[key] != nil && scheme != "" && !slices.Contains(only.schemes, scheme) {
				r.Fault(at[key], "%s is for sources of %s, and this one is of %s", key, strings.Join(only.schemes, ", "), scheme)
			}
		}
	}
	if at["passphrase_file"] != nil && at["key_file"] == nil {
		r.Fault(at["passphrase_file"], "there is a passphrase and no key that it is for: name its file with key_file")
	}
}

// file reads the path of a file, which is relative to the config.
func (*serverConfig) file(r *configReader, c *config, into *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if r.someText(into)(n); *into != "" {
			*into = c.path(*into)
		}
	}
}

func (s *sourceConfig) readMarker(r *configReader, n *yaml.Node) {
	if r.someText(&s.settling.Marker)(n); s.settling.Marker == "" {
		return
	}
	if _, err := source.Settle(&source.Dir{}, source.Settling{Marker: s.settling.Marker}); err != nil {
		r.Fault(n, "%v", err)
	}
}

func (s *sourceConfig) readAfter(r *configReader, n *yaml.Node) {
	before := r.Faults()
	r.Mapping(n, "after",
		strictyaml.Key("do", r.Choice(&s.after.Do, source.Keep, source.Delete, source.Move)),
		strictyaml.Key("to", r.someText(&s.after.To)),
		strictyaml.Key("quarantine", r.someText(&s.after.Quarantine)),
	)
	if err := s.after.Check(); err != nil && r.Faults() == before {
		for wrong := range strings.SplitSeq(err.Error(), "\n") {
			r.Fault(n, "after: %s", wrong)
		}
	}
}

func (s *serverConfig) readTLS(r *configReader, n *yaml.Node, c *config) {
	at := r.Mapping(n, "tls",
		strictyaml.Key("ca", s.file(r, c, &s.tls.CAFile)),
		strictyaml.Key("cert", s.file(r, c, &s.tls.CertFile)),
		strictyaml.Key("key", s.file(r, c, &s.tls.KeyFile)),
		strictyaml.Key("server_name", r.someText(&s.tls.ServerName)),
	)
	if (at["cert"] == nil) != (at["key"] == nil) {
		r.Fault(n, "cert and key go together: give both or neither")
	}
}

// loginAndFolder are the two things that the url of a server says: who is let in
// where, and the folder, which is below that of the login unless it has a slash.
func (s *sourceConfig) loginAndFolder() (login, folder string) {
	u, err := url.Parse(s.url)
	if err != nil {
		return s.url, s.url // it was read once
	}
	folder = cmp.Or(strings.TrimPrefix(u.Path, "/"), "the login's own folder")
	u.Path, u.RawPath = "", ""
	return u.String(), ingest.EscapePath(folder)
}

// root is the ledger's text of where its files are.
func (s *sourceConfig) root() string { return ingest.EscapePath(cmp.Or(s.folder, s.url)) }

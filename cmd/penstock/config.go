package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"penstock/ingest/format"
	"penstock/ingest/format/strictyaml"
	"penstock/ingest/monitor"
	"penstock/ingest/source"
	"penstock/store"
)

// A config is what a config file says, checked: each source by itself and all
// of them together, with the profiles and the loggers table that it names read.
// It holds no secret, only where they are.
type config struct {
	file     string // as it was given
	store    storeConfig
	pipeline pipelineConfig
	sources  []*sourceConfig
	limits   limitsConfig
	monitor  monitorConfig
	archive  archiveConfig
	builtins bool
	profiles []*format.Profile
	loggers  *format.Loggers // nil for none

	set *format.Set // of profiles and builtins
}

// A storeConfig says where the store is.
type storeConfig struct {
	url          string // "" when the config does not say
	passwordFile string
	schema       string
	hypertable   store.Hypertable
}

// A pipelineConfig is what all sources share.
type pipelineConfig struct {
	workers, chunk amount
	cutting        cutting
}

// limitsConfig bounds what all sources together may do, and what a replay may do
// to them; 0 is no bound.
type limitsConfig struct {
	readingsPerSecond, filesPerSecond float64
	connections                       int           // that commit to the database at a time
	liveLag                           time.Duration // above which a replay holds back
}

func (l *limitsConfig) read(r *configReader, n *yaml.Node) {
	const rate = "a number above 0"
	r.Mapping(n, "limits",
		strictyaml.Key("readings_per_second", r.fraction(&l.readingsPerSecond, 1e12, rate)),
		strictyaml.Key("files_per_second", r.fraction(&l.filesPerSecond, 1e12, rate)),
		strictyaml.Key("database_connections", r.integer(&l.connections, 1, 10_000)),
		strictyaml.Key("max_live_lag", r.span(&l.liveLag, leastLiveLag)),
	)
}

// A monitorConfig says where metrics and health are served; nowhere without an
// address.
type monitorConfig struct {
	listen string
	pprof  bool
}

// loadConfig reads the config at path. The error joins all that is wrong with
// it, and with the profiles and the table that it names, each with its file,
// line and column.
func loadConfig(path string) (*config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the config: %w", err)
	}
	c := &config{file: path, builtins: true, archive: newArchiveConfig()}
	r := newConfigReader(path)
	n := r.Parse(text, "the config")
	if n == nil {
		return nil, r.Err()
	}
	others := c.read(r, n)
	if err := errors.Join(r.Err(), others); err != nil {
		return nil, err
	}
	return c, nil
}

// source returns the source of that name, or nil; a nil config has none.
func (c *config) source(name string) *sourceConfig {
	if c != nil {
		for _, s := range c.sources {
			if s.name == name {
				return s
			}
		}
	}
	return nil
}

// read reads the config at n. It returns what is wrong in the files that the
// config names.
func (c *config) read(r *configReader, n *yaml.Node) (others error) {
	var loggers, sources *yaml.Node
	var globs []*yaml.Node
	r.Mapping(n, "the config",
		strictyaml.Key("store", func(n *yaml.Node) { c.store.read(r, n) }),
		strictyaml.Key("pipeline", func(n *yaml.Node) {
			r.Mapping(n, "pipeline",
				strictyaml.Key("workers", r.value(&c.pipeline.workers, "a number from 1 on, or auto")),
				strictyaml.Key("chunk", r.value(&c.pipeline.chunk, "a number from 1 on, or auto")),
				strictyaml.Key("part", r.value(&c.pipeline.cutting.part, "a size such as 16MiB")),
				strictyaml.Key("atomic", r.Flag(&c.pipeline.cutting.atomic)))
		}),

		strictyaml.Key("limits", func(n *yaml.Node) { c.limits.read(r, n) }),
		strictyaml.Key("monitor", func(n *yaml.Node) { c.monitor.read(r, n) }),
		strictyaml.Key("archive", func(n *yaml.Node) { c.archive.read(r, n, c.path) }),
		strictyaml.Key("spool", func(n *yaml.Node) { c.archive.readSpool(r, n) }),
		strictyaml.Key("sources", func(n *yaml.Node) { sources = n }),
		strictyaml.Key("profiles", func(n *yaml.Node) { r.Each(n, func(n *yaml.Node) { globs = append(globs, n) }) }),
		strictyaml.Key("builtins", r.Flag(&c.builtins)),
		strictyaml.Key("loggers", func(n *yaml.Node) { loggers = n }),
	)
	others = errors.Join(c.readProfiles(r, globs), c.readLoggers(r, loggers))
	if sources != nil {
		c.readSources(r, sources)
	}
	return others
}

// readProfiles reads the profiles that the globs name.
func (c *config) readProfiles(r *configReader, globs []*yaml.Node) error {
	var wrong []error
	for _, n := range globs {
		var glob string
		if r.someText(&glob)(n); glob == "" {
			continue
		}
		profiles, err := format.Load(c.path(glob))
		if fault := (*format.Fault)(nil); errors.As(err, &fault) {
			wrong = append(wrong, err)
		} else if err != nil {
			r.Fault(n, "%v", err)
		}
		c.profiles = append(c.profiles, profiles...)
	}
	var err error
	if c.set, err = format.NewSet(c.builtins, c.profiles...); err != nil {
		if len(globs) == 0 {
			return err
		}
		r.Fault(globs[0], "%v", err)
		c.set = &format.Set{}
	}
	return errors.Join(wrong...)
}

func (c *config) readLoggers(r *configReader, n *yaml.Node) error {
	if n == nil {
		return nil
	}
	var name string
	if r.someText(&name)(n); name == "" {
		return nil
	}
	var err error
	if c.loggers, err = format.LoadLoggers(c.path(name)); err == nil {
		return nil
	}
	if fault := (*format.Fault)(nil); errors.As(err, &fault) {
		return err
	}
	r.Fault(n, "%v", err)
	return nil
}

// path is where a path of the config leads: it is relative to the config's own
// folder.
func (c *config) path(p string) string {
	if !filepath.IsAbs(p) {
		p = filepath.Join(filepath.Dir(c.file), p)
	}
	return p
}

func (s *storeConfig) read(r *configReader, n *yaml.Node) {
	at := r.Mapping(n, "store",
		strictyaml.Key("url", func(n *yaml.Node) { s.readURL(r, n) }),
		strictyaml.Key("password_file", r.someText(&s.passwordFile)),
		strictyaml.Key("schema", r.someText(&s.schema)),
		strictyaml.Key("hypertable", func(n *yaml.Node) { s.readHypertable(r, n) }),
	)
	if strings.HasPrefix(s.url, "local:") && s.passwordFile != "" {
		r.Fault(n, "a private PostgreSQL (local:) has no password: leave password_file out")
	}
	if at["password_file"] != nil && at["url"] == nil {
		r.Fault(at["password_file"], "password_file is the password of the store's url, and there is no url: that of a --store is in PGPASSWORD or a PGPASSFILE")
	}
}

// leastOfHypertable is the shortest of the times of a hypertable. Shorter ones are
// mistaken for another unit: a chunk is a table.
const leastOfHypertable = time.Hour

func (s *storeConfig) readHypertable(r *configReader, n *yaml.Node) {
	r.Mapping(n, "hypertable",
		strictyaml.Key("chunk_interval", r.span(&s.hypertable.ChunkInterval, leastOfHypertable)),
		strictyaml.Key("columnstore_after", func(n *yaml.Node) {
			if n := strictyaml.Resolve(n); n.Kind == yaml.ScalarNode && n.Value == "never" {
				s.hypertable.ColumnstoreAfter = store.Never
				return
			}
			r.span(&s.hypertable.ColumnstoreAfter, leastOfHypertable)(n)
		}),
	)
}

// sslPassword is the keyword of libpq, in a URL or a keyword string.
var sslPassword = regexp.MustCompile(`\bsslpassword\s*=`)

const storeURLs = "postgres://USER@HOST/DATABASE, a libpq keyword string, local: or local:DIR"

// readURL never repeats what it found: it may hold a password.
func (s *storeConfig) readURL(r *configReader, n *yaml.Node) {
	url, ok := r.Scalar(n, storeURLs)
	if !ok {
		return
	}
	if _, password := withoutPassword(url); password != "" {
		r.Fault(n, "a password does not stand in the url: put it into a file and name that with password_file, or into PGPASSWORD, a PGPASSFILE, or the systemd credential %s", storeCredential)
		return
	}
	if sslPassword.MatchString(url) {
		r.Fault(n, "sslpassword, the passphrase of a key, does not stand in the url: use a key without one, in a file that only its user can read")
		return
	}
	if !isStoreURL(url) {
		r.Fault(n, "expected %s", storeURLs)
		return
	}
	s.url = url
}

func (m *monitorConfig) read(r *configReader, n *yaml.Node) {
	r.Mapping(n, "monitor",
		strictyaml.Key("listen", func(n *yaml.Node) {
			if r.someText(&m.listen)(n); m.listen == "" {
				return
			}
			if _, _, err := net.SplitHostPort(m.listen); err != nil {
				r.Fault(n, "expected HOST:PORT, such as %s, not %q", monitor.DefaultListen, m.listen)
			}
		}),

		strictyaml.Key("pprof", r.Flag(&m.pprof)),
	)
	if m.listen == "" {
		r.Fault(n, "monitor has no listen: the HOST:PORT to serve metrics and health at, such as %s", monitor.DefaultListen)
	}
}

// sourceName is what a source may be called: its name stands in metrics, names
// of variables, and folders.
var sourceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

func (c *config) readSources(r *configReader, n *yaml.Node) {
	if n = strictyaml.Resolve(n); n.Kind != yaml.SequenceNode {
		r.Fault(n, "sources must be a list, each beginning with - name: NAME, not %s", strictyaml.KindOf(n))
		return
	}
	variables := make(map[string]string)
	for _, item := range n.Content {
		s := newSourceConfig()
		at := s.read(r, item, c)
		if s.name == "" {
			continue
		}
		n := cmpNode(at["name"], item)
		switch other := variables[s.variable("")]; {
		case s.name == source.FileSource:
			r.Fault(n, "%q is what files are called that have no source: give another name", s.name)
		case other == s.name:
			r.Fault(n, "two sources are called %q", s.name)
		case other != "":
			r.Fault(n, "the sources %q and %q would have the same environment variables (%s...): rename one", other, s.name, s.variable(""))
		}
		variables[s.variable("")] = s.name
		c.sources = append(c.sources, s)
	}
	if len(n.Content) == 0 {
		r.Fault(n, "there is no source")
	}
}

func cmpNode(a, b *yaml.Node) *yaml.Node {
	if a != nil {
		return a
	}
	return b
}

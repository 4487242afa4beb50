package format

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"penstock/ingest"
	"penstock/ingest/format/strictyaml"

	"go.yaml.in/yaml/v4"
)

// An origin is where a name comes from.
type origin struct {
	constant string
	columns  []*columnRef
	join     string   // what stands between the cells of several columns
	match    *pattern // what part of the cell, or of the joined cells, is the name
	fileName *pattern
	stem     bool // of the file's name, see stemOf
	path     *pattern
	folder   bool // of the path, the folder's name
	preamble *pattern
	header   *pattern  // on the names of the columns
	parts    []*origin // of the file; with between them, and behind them what columns tell
	between  string
	any      []*origin // the first of them that tells a name counts
	optional bool      // columns may be absent: that of a unit, and of several all but the first
}

func (o *origin) given() bool { return len(o.columns) > 0 || o.ofFile() }

// ofFile reports whether the name, or a part of it, is that of the whole file.
func (o *origin) ofFile() bool {
	return o.constant != "" || o.ofName() || o.preamble != nil || o.header != nil || len(o.parts) > 0 || len(o.any) > 0
}

// outside reports whether the name comes from outside the file's bytes.
func (o *origin) outside() bool {
	return o.ofName() || slices.ContainsFunc(o.parts, (*origin).outside) || slices.ContainsFunc(o.any, (*origin).outside)
}

func (o *origin) ofName() bool { return o.fileName != nil || o.stem || o.path != nil || o.folder }

// withUnit returns the channel's own origin as that of the unit, as far as its
// pattern on the file's name or preamble has a group for it.
func (o *origin) withUnit() origin {
	var u origin
	if o.fileName != nil && o.fileName.groups["unit"] > 0 {
		u.fileName = o.fileName
	}
	if o.path != nil && o.path.groups["unit"] > 0 {
		u.path = o.path
	}
	if o.preamble != nil && o.preamble.groups["unit"] > 0 {
		u.preamble = o.preamble
	}
	return u
}

func (o *origin) read(r *reader, n *yaml.Node, what string, more ...string) {
	groups := append([]string{what}, more...)
	given := 0
	counted := func(read func(*yaml.Node)) func(*yaml.Node) {
		return func(n *yaml.Node) { given++; read(n) }
	}
	column := func(n *yaml.Node) {
		var c *columnRef
		if r.column(&c)(n); c != nil {
			o.columns = append(o.columns, c)
		}
	}
	several := func(into *[]*origin) func(*yaml.Node) {
		return counted(func(n *yaml.Node) {
			r.Each(n, func(n *yaml.Node) {
				part := &origin{}
				part.read(r, n, what)
				*into = append(*into, part)
			})
			if len(*into) < 2 {
				r.Fault(n, "parts and any are lists of places that a %s comes from, of two at least", what)
			}
		})
	}
	var joinNode *yaml.Node
	join := "-"
	r.Mapping(n, what,
		strictyaml.Key("constant", counted(func(n *yaml.Node) {
			r.Text(&o.constant)(n)
			if fault := nameFault([]byte(o.constant)); fault != "" {
				r.Fault(n, "%s %s", what, fault)
			}
		})),

		strictyaml.Key("column", counted(column)),
		strictyaml.Key("columns", counted(func(n *yaml.Node) { r.Each(n, column) })),
		strictyaml.Key("join", func(n *yaml.Node) { joinNode = n; r.Text(&join)(n) }),
		strictyaml.Key("match", r.pattern(&o.match, groups...)),
		strictyaml.Key("file_name", counted(r.named(nameStem, &o.stem, &o.fileName, groups...))),
		strictyaml.Key("path", counted(r.named(pathFolder, &o.folder, &o.path, groups...))),
		strictyaml.Key("preamble", counted(r.pattern(&o.preamble, groups...))),
		strictyaml.Key("header", counted(r.pattern(&o.header, what))),
		strictyaml.Key("parts", several(&o.parts)),
		strictyaml.Key("any", several(&o.any)),
		strictyaml.Key("optional", r.Flag(&o.optional)),
	)
	if given != 1 {
		r.Fault(n, "%s comes from one of constant, column, columns, file_name, path, preamble, header, parts and any", what)
	}
	if joinNode != nil && len(o.columns) < 2 && len(o.parts) == 0 {
		r.Fault(joinNode, "join stands between the cells of several columns, or between parts, and there are none")
	}
	if o.match != nil && len(o.columns) == 0 {
		r.Fault(n, "match takes the %s out of a column's cell, and no column is given", what)
	}
	if o.optional && len(o.columns) == 0 {
		r.Fault(n, "optional says that the column may be absent, and no column is given")
	}
	if o.optional && what != "unit" && len(o.columns) < 2 {
		r.Fault(n, "only a unit is optional, and of several columns all but the first")
	}
	o.join = join
	o.takeColumns(r, n)
}

// takeColumns makes the columns of the last part those of the whole: they differ
// from row to row, the other parts hold for the file.
func (o *origin) takeColumns(r *reader, n *yaml.Node) {
	if slices.ContainsFunc(o.any, func(part *origin) bool { return len(part.columns) > 0 }) {
		r.Fault(n, "a column is not one of several places to look for a name: it is there or not for all files of the profile")
	}
	if len(o.parts) == 0 {
		return
	}
	o.between = o.join
	if last := o.parts[len(o.parts)-1]; len(last.columns) > 0 {
		o.parts = o.parts[:len(o.parts)-1]
		o.columns, o.join, o.match, o.optional = last.columns, last.join, last.match, last.optional
	}
	if slices.ContainsFunc(o.parts, func(part *origin) bool { return len(part.columns) > 0 }) {
		r.Fault(n, "of the parts of a name only the last comes from columns")
	}
}

// identify takes the names that hold for the whole file, from its name, its
// preamble and its header.
func (d *Decoder) identify(c *ingest.Content, h *head, w []byte) (fault *refusal) {
	p := h.profile
	d.logger, d.channel, d.unit = d.logger[:0], d.channel[:0], d.unit[:0]
	for _, o := range []struct {
		origin *origin
		what   string
		into   *[]byte
	}{{&p.logger, "logger", &d.logger}, {&p.channel, "channel", &d.channel}, {&p.unit, "unit", &d.unit}} {
		if !o.origin.ofFile() {
			continue
		}
		name, fault := d.tell(o.origin, o.what, c, h, w)
		if fault != "" {
			return quarantine("%s", fault)
		}
		*o.into = append(*o.into, name...)
	}
	if p.logger.outside() || p.channel.outside() || p.unit.outside() {
		d.span.Identity = d.identity(p)
	}
	return nil
}

// tell returns the name that the file as a whole tells, or says why it tells
// none.
func (d *Decoder) tell(o *origin, what string, c *ingest.Content, h *head, w []byte) (name []byte, fault string) {
	p := h.profile
	var ok bool
	switch {
	case len(o.parts) > 0:
		for i, part := range o.parts {
			text, fault := d.tell(part, what, c, h, w)
			if fault != "" {
				return nil, fault
			}
			if i > 0 {
				name = append(name[:len(name):len(name)], o.between...)
			}
			name = append(name[:len(name):len(name)], text...)
		}
		return name, ""
	case len(o.any) > 0:
		for _, place := range o.any {
			if name, fault = d.tell(place, what, c, h, w); fault == "" {
				return name, ""
			}
		}
		return nil, fault
	case o.fileName != nil:
		if name, ok = o.fileName.find(d.search.name, what); !ok {
			return nil, fmt.Sprintf("the file's name, %q, tells no %s: the profile %s expects it to match %q", cut(d.search.name), what, p.Name, o.fileName.re)
		}
	case o.stem:
		name = []byte(stemOf(baseName(c.File.Path)))
	case o.folder:
		if name = []byte(folderOf(c.File.Path)); len(name) == 0 {
			return nil, fmt.Sprintf("the file %q lies in no folder that tells its %s, as the profile %s expects", cut([]byte(c.File.Path)), what, p.Name)
		}
	case o.path != nil:
		if name, ok = o.path.find([]byte(wholePath(c.File.Path)), what); !ok {
			return nil, fmt.Sprintf("the file's path, %q, tells no %s: the profile %s expects it to match %q", cut([]byte(c.File.Path)), what, p.Name, o.path.re)
		}
	case o.preamble != nil:
		if name, ok = o.preamble.inLines(w[:h.preamble], what); !ok {
			return nil, fmt.Sprintf("the lines before the header tell no %s: the profile %s expects one to match %q", what, p.Name, o.preamble.re)
		}
	case o.header != nil:
		if name, ok = d.inHeader(o.header, what, h, w); !ok {
			return nil, fmt.Sprintf("the header tells no %s: the profile %s expects the name of a column to match %q", what, p.Name, o.header.re)
		}
	default:
		name = []byte(o.constant)
	}
	if p.dialect.trim {
		name = trim(name)
	}
	if why := nameFault(name); why != "" && (what != "unit" || len(name) > 0) {
		return nil, fmt.Sprintf("the %s that the file's name, preamble or header tells %s", what, why)
	}
	return name, ""
}

// inHeader returns what the group took of the first name of a column that the
// pattern matches.
func (d *Decoder) inHeader(p *pattern, group string, h *head, w []byte) ([]byte, bool) {
	hd, fault := h.profile.headerOf(w, h, &d.split)
	if fault != "" {
		return nil, false
	}
	for _, name := range hd.names {
		if part, ok := p.find([]byte(name), group); ok {
			return bytes.Clone(part), true
		}
	}
	return nil, false
}

// identity digests the names that came from the file's name.
func (d *Decoder) identity(p *Profile) ingest.Digest {
	var short [256]byte
	b := short[:0]
	for _, o := range []struct {
		origin *origin
		name   []byte
	}{{&p.logger, d.logger}, {&p.channel, d.channel}, {&p.unit, d.unit}} {
		if o.origin.outside() {
			b = append(b, o.name...)
		}
		b = append(b, 0)
	}
	return ingest.Digest(sha256.Sum256(b))
}

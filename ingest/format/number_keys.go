package format

import (
	"math"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v4"

	"penstock/ingest/format/strictyaml"
)

// readDecimal reads the decimal sign, or the signs that the file decides
// between.
func (d *dialect) readDecimal(r *reader) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var signs []byte
		r.Each(n, func(n *yaml.Node) {
			var s string
			if r.Choice(&s, ".", ",")(n); s == "" {
				return
			}
			if slices.Contains(signs, s[0]) {
				r.Fault(n, "the decimal sign %q is given twice", s)
				return
			}
			signs = append(signs, s[0])
		})
		if len(signs) == 0 {
			return
		}
		if d.decimal = signs[0]; len(signs) > 1 {
			d.decimals = signs
		}
	}
}

func (d *dialect) readThousands(r *reader) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var s string
		r.Choice(&s, ",", ".", "'", "space", " ", "none")(n)
		d.grouping = s != ""
		switch s {
		case "", "none":
		case "space":
			d.thousands = ' '
		default:
			d.thousands = s[0]
		}
	}
}

// checkSigns sees to it that a number can be told from its separators.
func (p *Profile) checkSigns(r *reader, n *yaml.Node) {
	d := &p.dialect
	if d.thousands != 0 && d.thousands == d.decimal && d.decimals == nil {
		r.Fault(n, "the decimal sign and the sign between thousands are the same character")
	}
	if d.decimals != nil && (d.thousands == '.' || d.thousands == ',') {
		r.Fault(n, "the file decides between a decimal point and a comma, so neither can stand between thousands: thousands may be ', space or none")
	}
	if d.thousands == ' ' && d.delimiter == ' ' {
		r.Fault(n, "blanks are the delimiter, so they cannot stand between thousands")
	}
	if d.thousands != 0 && d.thousands == d.delimiter && d.quote == 0 {
		r.Fault(n, "the sign between thousands is the delimiter, and there are no quotes to tell them apart")
	}
}

func (s *numbers) read(r *reader, n *yaml.Node) {
	r.Mapping(n, "numbers",
		strictyaml.Key("unit", func(n *yaml.Node) {
			if at := strictyaml.Resolve(n); at.Kind == yaml.ScalarNode && at.ShortTag() == "!!bool" {
				r.Flag(&s.unit)(n)
				return
			}
			s.unit = true
			r.Each(n, func(n *yaml.Node) {
				var unit string
				r.Text(&unit)(n)
				if fault := nameFault([]byte(unit)); fault != "" {
					r.Fault(n, "a unit %s", fault)
				}
				s.units = append(s.units, []byte(unit))
			})
		}),

		strictyaml.Key("flag", func(n *yaml.Node) {
			var text string
			r.Text(&text)(n)
			whole := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "^(?:" + text + ")$", Line: n.Line, Column: n.Column}
			r.pattern(&s.flag)(whole)
		}),

		strictyaml.Key("inequality", r.Flag(&s.inequality)),
	)
}

// number reads a finite number and notes that it is given.
func (r *reader) number(into *float64, given *bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		var s string
		r.Text(&s)(n)
		v, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
			r.Fault(n, "expected a number, not %q", s)
			return
		}
		*into, *given = v, true
	}
}

package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"penstock/ingest/format/strictyaml"
)

// A configReader reads what configs have beside what all YAML has. What it found
// it repeats only where no secret can stand.
type configReader struct{ *strictyaml.Reader }

func newConfigReader(file string) *configReader {
	return &configReader{&strictyaml.Reader{File: file, Unknown: func(key string) string {
		if !isSecret(key) {
			return ""
		}
		return "no secret stands in the config: put it into a file that only the user who runs penstock can read, and name that with password_file or passphrase_file"
	}}}
}

// isSecret reports whether a key that does not exist was meant for a secret.
func isSecret(name string) bool {
	switch strings.ToLower(name) {
	case "password", "passwords", "passwd", "pwd", "pass", "passphrase", "secret", "secrets":
		return true
	}
	return false
}

// someText reads a scalar that is not empty.
func (r *configReader) someText(into *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.Scalar(n, "text")
		if ok && s == "" {
			r.Fault(n, "expected text, not an empty one")
		}
		*into = s
	}
}

// value reads a scalar by what a flag would read of it.
func (r *configReader) value(into interface{ Set(string) error }, expected string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.Scalar(n, expected)
		if !ok {
			return
		}
		if err := into.Set(s); err != nil {
			r.Fault(n, "expected %s, not %q", expected, s)
		}
	}
}

// span reads a duration of at least least.
func (r *configReader) span(into *time.Duration, least time.Duration) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.Scalar(n, "a duration such as 30s, 36h or 7d")
		if !ok {
			return
		}
		d, err := parseSpan(s)
		switch {
		case err != nil || s != "0" && isNumber(s):
			r.Fault(n, "expected a duration such as 30s, 36h or 7d, not %q", s)
		case d < least:
			r.Fault(n, "expected a duration of %s or more, not %q", shortSpan(least), s)
		default:
			*into = d
		}
	}
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

// integer reads a number within bounds.
func (r *configReader) integer(into *int, least, most int) func(*yaml.Node) {
	return func(n *yaml.Node) {
		expected := fmt.Sprintf("a number from %d to %d", least, most)
		s, ok := r.Scalar(n, expected)
		if !ok {
			return
		}
		v, err := strconv.Atoi(strings.ReplaceAll(s, "_", ""))
		if err != nil || v < least || v > most {
			r.Fault(n, "expected %s, not %q", expected, s)
			return
		}
		*into = v
	}
}

// fraction reads a number above 0, up to most.
func (r *configReader) fraction(into *float64, most float64, expected string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		s, ok := r.Scalar(n, expected)
		if !ok {
			return
		}
		v, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
		if err != nil || !(v > 0 && v <= most) {
			r.Fault(n, "expected %s, not %q", expected, s)
			return
		}
		*into = v
	}
}

// shortSpan is a duration as one would write it: 1s, 5m, 24h.
func shortSpan(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

package source

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"penstock/ingest"
)

// What After.Do can be.
const (
	Keep   = "keep"
	Delete = "delete"
	Move   = "move"
)

// DefaultQuarantine is the folder for broken files where After names none.
const DefaultQuarantine = "quarantine"

// An After says what becomes of a file at its source once the ledger has it.
// The zero After leaves all files where they are.
//
// What has been loaded whole, or is a duplicate of such a file, is kept,
// deleted or moved, as Do says. What is quarantined, and what is loaded but for
// lines or cells that were rejected, is never deleted: unless all is kept it
// goes to the folder Quarantine. What waits for an answer, was undone by a
// person, or is not wanted stays where it is.
type After struct {
	Do string // Keep, Delete or Move; "" is Keep

	// To is the folder that Move moves to: below the source's root, or from the
	// place's own root when it begins with a slash. {yyyy}, {mm}, {dd} and {hh}
	// stand for the file's modified time, UTC, and a file keeps its path below
	// the root: with done/{yyyy} a/x.csv becomes done/2026/a/x.csv. The folders
	// before the first placeholder are the source's own, and are not listed.
	To string

	// Quarantine is the folder for broken files, of the same form as To; "" is
	// DefaultQuarantine.
	Quarantine string
}

// Check returns all that is wrong with a.
func (a After) Check() error {
	var errs []error
	switch a.Do {
	case "", Keep:
		if a.Quarantine != "" {
			errs = append(errs, errors.New("quarantine is for do: delete and do: move: where files are kept, broken ones stay, too"))
		}
	case Delete, Move:
	default:
		errs = append(errs, fmt.Errorf("do is %q, and can be %s, %s or %s", a.Do, Keep, Delete, Move))
	}
	switch {
	case a.Do == Move && a.To == "":
		errs = append(errs, errors.New(`do is move, and to is missing: name the folder, such as to: "done/{yyyy}/{mm}/{dd}"`))
	case a.Do != Move && a.To != "":
		errs = append(errs, fmt.Errorf("to: %q is for do: move alone", a.To))
	}
	for _, f := range []struct{ key, folder string }{{"to", a.To}, {"quarantine", a.Quarantine}} {
		if f.folder == "" {
			continue
		}
		if err := checkFolder(f.folder); err != nil {
			errs = append(errs, fmt.Errorf("%s: %q %w", f.key, f.folder, err))
		}
	}
	if a.To != "" && path.Clean(a.To) == path.Clean(a.quarantine()) {
		errs = append(errs, fmt.Errorf("to: %q is the folder for broken files, too: name another", a.To))
	}
	return errors.Join(errs...)
}

// Tidies reports whether files go away when they are done.
func (a After) Tidies() bool { return a.Do == Delete || a.Do == Move }

func (a After) quarantine() string {
	if a.Quarantine == "" {
		return DefaultQuarantine
	}
	return a.Quarantine
}

// placeholders are what a folder's name can hold, each with its layout.
var placeholders = []string{"{yyyy}", "2006", "{mm}", "01", "{dd}", "02", "{hh}", "15"}

// checkFolder says what is wrong with folder, a To or Quarantine.
func checkFolder(folder string) error {
	elements := strings.Split(strings.TrimPrefix(path.Clean(folder), "/"), "/")
	blank := slices.Clone(placeholders)
	for i := 1; i < len(blank); i += 2 {
		blank[i] = ""
	}
	switch {
	case strings.ContainsAny(folder, "\r\n\x00"):
		return errors.New("has a line break or a NUL in it")
	case slices.Contains(elements, ".."), slices.Contains(strings.Split(folder, "/"), ".."):
		return errors.New("leads up: name a folder below the source's, or one from the root on")
	case elements[0] == "" || elements[0] == ".":
		return errors.New("is the source's own folder: name one for these files alone")
	case strings.ContainsAny(strings.NewReplacer(blank...).Replace(folder), "{}"):
		return errors.New("has braces other than {yyyy}, {mm}, {dd} and {hh}")
	case strings.Contains(elements[0], "{"):
		return errors.New("must begin with a folder of its own, as in done/{yyyy}: all in that folder counts as done and is not listed")
	}
	return nil
}

// own are the folders that a puts files into, up to the first placeholder.
func (a After) own() []string {
	if !a.Tidies() {
		return nil
	}
	var all []string
	for _, folder := range []string{a.To, a.quarantine()} {
		if folder == "" {
			continue
		}
		folder = path.Clean(folder)
		if i := strings.IndexByte(folder, '{'); i >= 0 {
			folder = path.Dir(folder[:i] + "x") // what stands before the brace may be half a name
		}
		all = append(all, folder)
	}
	return all
}

// owns reports whether the folder that is below the source's root, both with
// slashes, is by its name one that a puts files into and that is therefore not
// listed. With fold, the place makes no difference between upper and lower case.
func (a After) owns(root, below string, fold bool) bool {
	for _, own := range a.own() {
		at := below
		if own[0] == '/' {
			at = path.Join(root, below)
		}
		if own == at || fold && strings.EqualFold(own, at) {
			return true
		}
	}
	return false
}

// A deed is what is to be done with a file at its source.
type deed int

const (
	leave deed = iota
	discard
	putAway
	setApart // to the folder for broken files
)

// deed is what the outcome o asks for.
func (a After) deed(o *ingest.Outcome) deed {
	if !a.Tidies() {
		return leave
	}
	state := o.State
	if state == ingest.Known {
		state = o.Standing
	}
	switch state {
	case ingest.Quarantined:
		return setApart
	case ingest.Loaded, ingest.Duplicate:
	default:
		return leave
	}
	switch {
	case o.Shape != nil || o.Waits || o.Receipt.Cells.Withheld > 0:
		return leave // some of it waits for an answer
	case o.Rejects > 0 || o.Receipt.Lines.Rejected > 0 || o.Receipt.Cells.Rejected > 0:
		return setApart
	case a.Do == Delete:
		return discard
	}
	return putAway
}

// target is where d puts f: below the source's root, or from the place's own
// root on.
func (a After) target(d deed, f ingest.File, now time.Time) string {
	folder := a.To
	if d == setApart {
		folder = a.quarantine()
	}
	when := now
	if f.Precision != ingest.Unknown {
		when = ingest.FromMicros(f.Modified)
	}
	values := slices.Clone(placeholders)
	for i := 1; i < len(values); i += 2 {
		values[i] = when.UTC().Format(values[i])
	}
	return path.Join(strings.NewReplacer(values...).Replace(folder), f.Path)
}

// maxName is how long a file's name may be, in bytes, on most file systems.
const maxName = 255

// freeName is the n-th name to try for a file whose name is taken, n from 1 on:
// x.csv becomes x.20260131T235957.csv, then x.20260131T235957-2.csv. It keeps
// the folder, and the extension, by which files are matched.
func freeName(p string, f ingest.File, now time.Time, n int) string {
	when := now
	if f.Precision != ingest.Unknown {
		when = ingest.FromMicros(f.Modified)
	}
	mark := when.UTC().Format(".20060102T150405")
	if n > 1 {
		mark += fmt.Sprint("-", n)
	}
	dir, base := path.Split(p)
	ext := path.Ext(base)
	if len(ext) > 16 || ext == base {
		ext = ""
	}
	stem := strings.TrimSuffix(base, ext)
	return dir + stem[:min(len(stem), maxName-len(mark)-len(ext))] + mark + ext
}

// asideEnd ends the names that files have while they are looked at for the
// last time.
const asideEnd = ".penstock-aside"

// asideName is the name under which f is set aside before it goes. It is in
// f's folder, begins with f's name, which is got back from it, and differs for
// all versions of all files and for all sources that may read the folder.
func asideName(source string, f ingest.File) (string, error) {
	mark := fmt.Sprintf(".%x-%x-%s", uint64(f.Modified), uint64(f.Size), asideTag(source)) + asideEnd
	if base := path.Base(f.Path); len(base) > maxName-len(mark) {
		return "", fmt.Errorf("its name has %d bytes, and can have %d at most if it is to be set aside before it goes: let such files have shorter names, or keep them", len(base), maxName-len(mark))
	}
	return f.Path + mark, nil
}

// asideTag tells the files that a source has set aside from those of others.
func asideTag(source string) string {
	sum := sha256.Sum256([]byte(source))
	return hex.EncodeToString(sum[:4])
}

// asideOf is the path that the file had which is set aside as p, with the tag of
// the source that did it, and false when p is no such name.
func asideOf(p string) (original, tag string, ok bool) {
	if !strings.HasSuffix(p, asideEnd) { // as of all but a few
		return "", "", false
	}
	m := asideForm.FindStringSubmatch(p)
	if m == nil || strings.HasSuffix(m[1], "/") {
		return "", "", false
	}
	return m[1], m[2], true
}

var asideForm = regexp.MustCompile(`(?s)^(.+)\.[0-9a-f]{1,16}-[0-9a-f]{1,16}-([0-9a-f]{8})` + regexp.QuoteMeta(asideEnd) + `$`)

package format

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Words are what timestamps hold beside numbers: the names of months and of the
// halves of the day in some languages, and the abbreviations of zones. They are
// never changed once made.
type words struct {
	languages []string
	months    map[string]int  // folded, without a point behind
	halves    map[string]bool // folded, without points and blanks in it; true for the second half
	zones     map[string]*time.Location
}

// english is the words of layouts that say nothing of theirs.
var english = mustWords("en")

func mustWords(languages ...string) *words {
	w, err := newWords(languages, nil)
	if err != nil {
		panic(err)
	}
	return w
}

// newWords returns the words of languages, with what abbreviations of zones
// mean.
func newWords(languages []string, zones map[string]*time.Location) (*words, error) {
	w := &words{languages: languages, months: make(map[string]int), halves: map[string]bool{"am": false, "pm": true}, zones: zones}
	for _, code := range languages {
		l, ok := vocabulary[code]
		if !ok {
			return nil, fmt.Errorf("language %q is not known; there are %s", code, strings.Join(slices.Sorted(maps.Keys(vocabulary)), ", "))
		}
		for i, names := range l.months {
			for name := range strings.FieldsSeq(names) {
				w.months[fold(name)] = i + 1
			}
		}
		for k, names := range []string{l.am, l.pm} {
			for name := range strings.FieldsSeq(names) {
				w.halves[fold(name)] = k == 1
			}
		}
	}
	return w, nil
}

func fold(name string) string {
	var short [maxWord]byte
	n, _ := foldWord([]byte(name), &short)
	return string(short[:n])
}

// vocabulary is how the months and the halves of the day are called, in full and
// shortened, as locales, spreadsheets and loggers write them. Points behind and
// accents may be left out.
var vocabulary = map[string]struct {
	months [12]string
	am, pm string
}{
	"en": {[12]string{"january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug", "september sept sep", "october oct", "november nov", "december dec"}, "am", "pm"},
	"de": {[12]string{"januar jänner jan jän", "februar feber feb", "märz maerz mär mrz", "april apr", "mai", "juni jun", "juli jul", "august aug", "september sept sep", "oktober okt", "november nov", "dezember dez"}, "am vm vorm vormittags", "pm nm nachm nachmittags"},
	"fr": {[12]string{"janvier janv jan", "février févr fév", "mars mar", "avril avr", "mai", "juin", "juillet juil", "août aoû", "septembre sept sep", "octobre oct", "novembre nov", "décembre déc"}, "am matin", "pm soir aprèsmidi"},
	"nl": {[12]string{"januari jan", "februari feb", "maart mrt maa", "april apr", "mei", "juni jun", "juli jul", "augustus aug", "september sept sep", "oktober okt", "november nov", "december dec"}, "am vm voorm", "pm nm nam"},
	"es": {[12]string{"enero ene", "febrero feb", "marzo mar", "abril abr", "mayo may", "junio jun", "julio jul", "agosto ago", "septiembre setiembre sept sep set", "octubre oct", "noviembre nov", "diciembre dic"}, "am", "pm"},
	"cs": {[12]string{"leden ledna led", "únor února úno", "březen března bře", "duben dubna dub", "květen května kvě", "červen června čvn", "červenec července čvc", "srpen srpna srp", "září zář", "říjen října říj", "listopad listopadu lis", "prosinec prosince pro"}, "am dop", "pm odp"},
}

// month reads the name of a month, with the point behind it if there is one.
func (w *words) month(b []byte) (month, n int) {
	var word [maxWord]byte
	m, n := foldWord(b, &word)
	month = w.months[string(word[:m])]
	if month == 0 {
		return 0, 0
	}
	if n < len(b) && b[n] == '.' {
		n++
	}
	return month, n
}

// half reads which half of the day it is, with the blanks before it and the
// points in it: PM, p.m., p. m., odp. It reports whether it is the second.
func (w *words) half(b []byte) (pm bool, n int) {
	at := blanks(b)
	var text [maxWord]byte
	size := 0
	for at < len(b) {
		var word [maxWord]byte
		m, took := foldWord(b[at:], &word)
		if took == 0 || size+m > maxWord {
			return false, 0
		}
		size += copy(text[size:], word[:m])
		at += took
		if at < len(b) && (b[at] == '.' || b[at] == '-') {
			at++
		}
		if pm, ok := w.halves[string(text[:size])]; ok {
			return pm, at
		}
		at += blanks(b[at:])
	}
	return false, 0
}

// offset reads the abbreviation of a zone.
func (w *words) offset(b []byte) (seconds int64, n int) {
	for n < len(b) && (b[n]|0x20 >= 'a' && b[n]|0x20 <= 'z') {
		n++
	}
	zone := w.zone(b[:n])
	if zone == nil {
		return 0, 0
	}
	seconds, _ = fixedOffset(zone)
	return seconds, n
}

// zone returns what an abbreviation means; nil when nobody said it.
func (w *words) zone(name []byte) *time.Location {
	if zone, ok := w.zones[string(name)]; ok {
		return zone
	}
	switch string(name) {
	case "UTC", "GMT", "Z":
		return time.UTC
	}
	return nil
}

// fixedOffset returns how far a zone is ahead of UTC, and whether it always is.
func fixedOffset(zone *time.Location) (seconds int64, fixed bool) {
	t := time.Unix(0, 0).In(zone)
	begin, end := t.ZoneBounds()
	return offsetAt(t), begin.IsZero() && end.IsZero()
}

// blanks returns how many bytes of blanks b begins with, those of Unicode that
// spreadsheets write among them.
func blanks(b []byte) (n int) {
	for n < len(b) {
		switch {
		case b[n] == ' ':
			n++
		case bytes.HasPrefix(b[n:], []byte("\u00a0")):
			n += len("\u00a0")
		case bytes.HasPrefix(b[n:], []byte("\u202f")), bytes.HasPrefix(b[n:], []byte("\u2009")):
			n += len("\u202f")
		default:
			return n
		}
	}
	return n
}

// maxWord is how long a word may be once it is folded.
const maxWord = 16

// foldWord writes the letters that b begins with into word, small and without
// their accents, and returns how many they are there and how many bytes they
// take in b; 0 when they are too many.
func foldWord(b []byte, word *[maxWord]byte) (n, took int) {
	for took < len(b) {
		r, size := utf8.DecodeRune(b[took:])
		if r >= 0x300 && r <= 0x36f { // an accent on its own
			took += size
			continue
		}
		c := baseLetter(r)
		if c == 0 {
			break
		}
		if n == maxWord {
			return 0, 0
		}
		word[n] = c
		n, took = n+1, took+size
	}
	return n, took
}

// baseLetter returns the small letter without its accent; 0 for what is no
// letter of the languages above.
func baseLetter(r rune) byte {
	switch {
	case r >= 'a' && r <= 'z':
		return byte(r)
	case r >= 'A' && r <= 'Z':
		return byte(r) | 0x20
	}
	const accented = "àáâäãåèéêëěìíîïòóôöõùúûüůýčćçďňñřšťžÀÁÂÄÃÅÈÉÊËĚÌÍÎÏÒÓÔÖÕÙÚÛÜŮÝČĆÇĎŇÑŘŠŤŽ"
	const plain = "aaaaaaeeeeeiiiiooooouuuuuycccdnnrstzaaaaaaeeeeeiiiiooooouuuuuycccdnnrstz"
	i := 0
	for _, a := range accented {
		if a == r {
			return plain[i]
		}
		i++
	}
	return 0
}

// weekday returns the length of the English name of a day that b begins with, as
// package time reads it, or 0. What the name says is not held against the date.
func weekday(b []byte, short bool) int {
	for d := time.Sunday; d <= time.Saturday; d++ {
		name := d.String()
		if short {
			name = name[:3]
		}
		if len(b) >= len(name) && equalFold(b[:len(name)], name) {
			return len(name)
		}
	}
	return 0
}

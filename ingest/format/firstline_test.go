package format

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"penstock/ingest"
)

// TestRecognitionIsThatOfALinearSearch compares what is made of the head of a
// file with what comes of asking every profile about it, over all samples and
// real files and what becomes of them when bytes, lines and names change.
func TestRecognitionIsThatOfALinearSearch(t *testing.T) {
	oneGoroutine(t)
	set, err := NewSet(true)
	if err != nil {
		t.Fatal(err)
	}
	own, err := Load("../../testdata/*/profile.yaml")
	if err != nil {
		t.Fatal(err)
	}
	approved := own[:len(own)/2]
	set.tiers[0] = membersOf(own[len(own)/2:]...)
	for _, text := range hardToTell {
		p, err := Parse("hard", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		approved = append(approved, p)
	}
	set = set.WithApproved(approved...)
	d, err := NewDecoder(set, Settings{Zone: "UTC"})
	if err != nil {
		t.Fatal(err)
	}
	heads := headsOf(t)
	r := rand.New(rand.NewPCG(1, 7))
	found := make(map[string]int)
	for i := range 12_000 {
		path, text := heads[i%len(heads)].path, heads[i%len(heads)].text
		if i >= len(heads)*2 { // first as they are, and once more when they are known
			path, text = mutatedHead(t, r, heads, path, text)
		}
		final := r.IntN(4) > 0
		d.feed = feed{window: text, final: final}
		want := searchLinearly(d, path, text)
		got := searchAsDecoders(d, path, text)
		if got != want {
			t.Fatalf("%s (final %t) begins with %q:\nthe search finds  %s\nasking each finds %s", path, final, text[:min(len(text), 300)], got, want)
		}
		kind, _, _ := strings.Cut(want, " ")
		found[kind]++
	}
	if found["head"] < 2000 || found["fault"] < 2000 || found["more"] < 20 {
		t.Errorf("the files are too much alike: %v", found)
	}
}

// hardToTell are profiles whose files are not told by the bytes of their first
// line alone.
var hardToTell = []string{
	`{name: charsets, shape: wide, dialect: {encoding: [utf-8, windows-1252]}, signature: {header: [time, {match: '^T.C$'}]},
	logger: {constant: L}, timestamp: {column: time, layout: '2006-01-02', zone: UTC}}`,
	`{name: without-nul, shape: wide, dialect: {nul: drop}, signature: {header: [moment, level]},
	logger: {constant: L}, timestamp: {column: moment, layout: '2006-01-02', zone: UTC}}`,
	`{name: without-header, shape: wide, dialect: {nul: drop, delimiter: ';'}, signature: {line: '^\d\d/\d\d/\d{4};'}, framing: {preamble: 1, columns: [day, level]},
	logger: {constant: L}, timestamp: {column: day, layout: '02/01/2006', zone: UTC}}`,
	`{name: delimiters, shape: wide, dialect: {delimiter: [';', ',']}, signature: {header: [{match: '^day'}, 'level'], others: true},
	logger: {constant: L}, timestamp: {column: 1, layout: '02/01/2006', zone: UTC}}`,
}

// searchAsDecoders is what recognise does of a file, without reading more of it.
func searchAsDecoders(d *Decoder, path string, text []byte) string {
	s := begun(d, path, text)
	h, as, fault := d.match(s)
	return toldHead(h, as, fault)
}

// searchLinearly asks every profile, in the order of their tiers.
func searchLinearly(d *Decoder, path string, text []byte) string {
	s := begun(d, path, text)
	s.texts, s.short = s.texts[:0], false
	w, final := s.text(script{charset: s.charset}, &d.feed)
	if final && len(bytes.TrimLeft(w, " \t\r\n\x00")) == 0 {
		return toldHead(head{}, script{}, d.nothing(w))
	}
	var found []head
	var as script
	long := int64(0)
	for _, tier := range d.everyone().tiers {
		for _, c := range tier {
			p := c.profile
			if name := p.signature.fileName; name != nil && !name.re.MatchString(baseName(path)) {
				continue
			}
			written := s.scriptOf(p, &d.feed)
			text, final := s.text(written, &d.feed)
			switch h, finding := p.find(text, final, true, d.limit, &d.split); finding {
			case foundMore:
				return toldHead(head{}, script{}, nil)
			case foundLong:
				if long == 0 || h.lines < long {
					long = h.lines + 1
				}
			case foundHead:
				if found = append(found, h); len(found) == 1 {
					as = written
				}
			}
		}
		switch len(found) {
		case 0:
			continue
		case 1:
			return toldHead(found[0], as, nil)
		}
		foundText, _ := s.text(as, &d.feed)
		return toldHead(head{}, script{}, d.either(foundText, &found[0], &found[1]))
	}
	switch is := foreign(w); {
	case is != "":
		return toldHead(head{}, script{}, quarantine("%s", is))
	case long > 0:
		return toldHead(head{}, script{}, quarantine("line %d is longer than %d bytes", long, d.limit))
	}
	return "fault unmatched"
}

func begun(d *Decoder, path string, text []byte) *search {
	d.feed.window, d.span = text, &ingest.Span{}
	s := &search{name: []byte(baseName(path)), size: firstWindow}
	var mark int
	s.charset, mark, s.sure = marked(text)
	d.feed.window = text[mark:]
	return s
}

func toldHead(h head, as script, fault *refusal) string {
	switch {
	case fault != nil && fault.unmatched:
		return "fault unmatched"
	case fault != nil:
		return fmt.Sprintf("fault %s %s", fault.state, fault.reason)
	case h.profile == nil:
		return "more"
	}
	name := h.profile.Name
	h.profile = nil
	return fmt.Sprintf("head of %s: %+v as %+v", name, h, as)
}

// A fileHead is the beginning of a file.
type fileHead struct {
	path string
	text []byte
}

// headsOf are the beginnings of the samples, and of the real files where they
// are at hand.
func headsOf(t *testing.T) (heads []fileHead) {
	paths, err := filepath.Glob("../../testdata/*/*")
	if err != nil {
		t.Fatal(err)
	}
	shared := os.Getenv("PENSTOCK_SHARED_DATA")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared", "data")
	}
	files, err := filepath.Glob(filepath.Join(shared, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(paths, files...) {
		info, err := os.Stat(path)
		if err != nil || info.IsDir() || packingOf(t, path) || strings.Contains(path, "minidot_daily") && len(heads)%7 > 0 {
			continue
		}
		heads = append(heads, fileHead{path, beginningOf(t, path)})
	}
	heads = append(heads,
		fileHead{"a/sep.csv", []byte("sep=;\ntimestamp;Pegel [cm]\n2024-01-01 00:00:00;1,5\n")},
		fileHead{"a/logger-01_202401010015.csv", []byte(longHead + "L1,flow,2024-01-01 00:15:00,12.5\n")},
		fileHead{"a/Zähler_20240101.csv", []byte("timestamp,Durchfluß [m³/h]\n2024-01-01 00:15:00,12.5\n")},
		fileHead{"a/charsets.csv", []byte("time,TÄC\n2024-01-01,5\n")}, fileHead{"a/charsets.csv", []byte("time,TÄC\n2024-01-01,5\n\xe4\n")},
		fileHead{"a/nul.csv", []byte("mom\x00ent,level\n2024-01-01,5\n")},
		fileHead{"a/nul.csv", []byte("a\n\x0012/03/2024;5\n")}, fileHead{"a/nul.csv", []byte("a\n13/03/2024\x00;5\r14/03/2024;5")},
		fileHead{"a/delimiters.csv", []byte("day,a;level,level\n12/03/2024;5\n")}, fileHead{"a/delimiters.csv", []byte("sep=,\nday,level;a,level\n12/03/2024;5\n")},
		fileHead{"empty.csv", nil}, fileHead{"blank.csv", []byte("\n \r\n\t\n")})
	if len(heads) < 30 {
		t.Fatalf("only %d files", len(heads))
	}
	return heads
}

func packingOf(t *testing.T, path string) bool { return packing(beginningOf(t, path)) != "" }

func beginningOf(t *testing.T, path string) []byte {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clip(text[:min(len(text), 8<<10)])
}

// mutatedHead changes a file in a few of the ways in which its recognition may
// turn out otherwise.
func mutatedHead(t *testing.T, r *rand.Rand, heads []fileHead, path string, text []byte) (string, []byte) {
	text = bytes.Clone(text)
	other := heads[r.IntN(len(heads))]
	for range 1 + r.IntN(2) {
		lines := bytes.SplitAfter(text, []byte("\n"))
		switch r.IntN(12) {
		case 0: // another's name
			path = other.path
		case 1: // with other digits
			path = regexp.MustCompile(`\d`).ReplaceAllStringFunc(path, func(string) string { return string('0' + byte(r.IntN(10))) })
		case 2: // another's beginning
			_, next, _ := lineEnd(other.text, true)
			text = append(bytes.Clone(other.text[:next]), text...)
		case 3: // the first line is gone
			text = bytes.Join(lines[min(1, len(lines)):], nil)
		case 4:
			text = append([]byte([]string{"\n", " \r\n", "sep=;\n", "\"sep=,\"\n", "\x00\n", "\xef\xbb\xbf"}[r.IntN(6)]), text...)
		case 5:
			text = bytes.ReplaceAll(text, []byte("\n"), []byte([]string{"\r\n", "\r", "\n\n"}[r.IntN(3)]))
		case 6:
			text = bytes.ReplaceAll(text, []byte{','}, []byte{";\t|"[r.IntN(3)]})
		case 7: // cut
			text = text[:r.IntN(len(text)+1)]
		case 8: // in another encoding
			text = encoded(t, []string{"windows-1252", "utf-16le", "shift_jis"}[r.IntN(3)], strings.Map(onlyLatin, strings.ToValidUTF8(string(text), "?")))
		default: // a byte
			if n := min(len(text), 200); n > 0 {
				text[r.IntN(n)] = []byte("\x00\"';,\t aZ09\xe4\xb3#s\r\n")[r.IntN(17)]
			}
		}
	}
	return path, text
}

func onlyLatin(r rune) rune {
	if r >= 0x80 {
		return '?'
	}
	return r
}

// FuzzGlance holds that a glance rules out no text in which the expression
// matches.
func FuzzGlance(f *testing.F) {
	for _, expr := range []string{
		`^"TOA5",`, `^\d{4}-\d{6}\s*$`, `^(?i)timestamp$`, `LGR S/N: \d+`, `^[^_]+_\d{6,14}\.(?i)csv$`, `^.+ \(.+\) c:\d`, `^$`, `^`, ``, `_10$`,
		`^a?b*c`, `^(?:ab|cd|\x{e4}f)+x`, `(?m)^x`, `^k|^z`, `(?s)^.\bz`, `^[[:^alpha:]]{2}$`, `^(?i)k`, `\Aab\z`, `^\x{fffd}a`,
	} {
		for _, text := range []string{"", "ab", "\"TOA5\",x", "1234-567890 ", "TimeStamp", "x LGR S/N: 12", "a_123456.CSV", "\u212a", "a\nx", "\xffa", "cdabx", "äfx", "12"} {
			f.Add(expr, []byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, expr string, text []byte) {
		if len(expr) > 100 {
			return
		}
		re, err := regexp.Compile(expr)
		if err != nil {
			return
		}
		if p := newPattern(re); p.in(text) != re.Match(text) {
			t.Errorf("%q in %q is said to be %t", expr, text, p.in(text))
		}
	})
}

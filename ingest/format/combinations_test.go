package format

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"penstock/ingest"

	"github.com/google/go-cmp/cmp"
)

// anyProfile makes a profile of some of the keys there are, and a file that is
// nearly one of it.
func anyProfile(r *rand.Rand) (profile, text string) {
	one := func(texts ...string) string { return texts[r.IntN(len(texts))] }
	delimiter := one(",", ";", "\t", " ", "|")
	key := map[string]string{"\t": "tab", " ": "space"}[delimiter]
	if key == "" {
		key = `"` + delimiter + `"`
	}
	if delimiter != " " && r.IntN(4) == 0 {
		key = `[",", ";", tab, "|"]`
	}
	decimal := one(".", ".", ",", "list")
	p := "name: p\nlogger: {constant: L}\n"
	dialect := []string{"delimiter: " + key, map[string]string{".": `decimal: "."`, ",": `decimal: ","`, "list": `decimal: [".", ","]`}[decimal], one(`comment: "#"`, "trim: true", "encoding: [utf-8, windows-1252]", "nul: drop")}
	if delimiter != " " && r.IntN(3) == 0 {
		dialect = append(dialect, "thousands: "+one("space", `"'"`))
	}
	p += "dialect: {" + strings.Join(dialect, ", ") + "}\n"
	rows := one("[names]", "[names, units]")
	framing := []string{"rows: " + rows, one("preamble: find", "preamble: 0", "preamble: find")}
	for _, f := range []string{"short_rows: missing", "long_rows: ignore", "footer: ^END", "message: ^MSG"} {
		if r.IntN(3) == 0 {
			framing = append(framing, f)
		}
	}
	p += "framing: {" + strings.Join(framing, ", ") + "}\n"
	var names []string
	signature := "t"
	switch r.IntN(3) {
	case 0:
		names = []string{"c", "t", "v", "q", "f"}
		signature = "c"
		p += "shape: long\nchannel: {column: c}\nvalue: v\n" + one("", "quality: q\n") + one("", "factor: f\n")
	default:
		names = []string{"t", "a", "b", "a b", "x"}
		p += "shape: wide\n" + one("", "repeated: number\n") + one("", "pairs: quality\n", "quoted_text: ignore\n", "channels: [{column: a, multiply: 0.1, quality: b}]\nothers: channel\n", "rename: {a: z}\n")
	}
	p += "signature: {header: [" + signature + "], others: true}\n"
	p += one("", "missing: [NA, -999]\n", "missing: [NA]\n") + one("", "numbers: {unit: true}\n", "numbers: {flag: '[A-Z]+', inequality: true}\n")
	layout := one("layout: '2006-01-02T15:04:05'", "layout: iso8601", "one_of: ['02/01/2006T15:04:05', '01/02/2006T15:04:05']", "layouts: ['2006-01-02T15:04:05', '02/01/2006T15:04:05']")
	p += "timestamp: {column: t, " + layout + one("", ", gap: shift", ", clock: standard") + one("", ", repeated_hour: standard", ", repeated_hour: by_arrival") + ", zone: Europe/London}\n"

	if delimiter == " " {
		names[3] = "ab"
	}
	var b strings.Builder
	line := func(cells ...string) {
		b.WriteString(strings.Join(cells, delimiter))
		b.WriteString(one("", "", "", "", "", delimiter, delimiter+delimiter, delimiter+"9"))
		b.WriteString(one("\n", "\n", "\n", "\n", "\r\n", "\r"))
	}
	number := func() string {
		sign := "."
		if decimal != "." && r.IntN(4) > 0 {
			sign = ","
		}
		s := one("1", "12", "0", "-5", "123", "1234", "1 234", "1'234") + one("", sign+"5", sign+"25", sign+"125")
		s = one("", "", "", "", "<") + s + one("", "", "", "", "", "M", " m", "E2")
		s = one(s, s, s, s, s, s, "", "NA", "-999", "-999.0", "x", "\xe9", "1e400")
		return one(s, s, s, s, `"`+s+`"`, " "+s, `="`+s+`"`, `"`+s)
	}
	header := func() {
		line(names...)
		if rows == "[names, units]" {
			line(one("", "s"), "m", "", "m", "cm")
		}
	}
	if r.IntN(4) == 0 {
		line("preamble", "x")
	}
	header()
	day := one("2024-10-27", "2024-03-31", "27/10/2024", "03/03/2024", "10/27/2024")
	for i := range 3 + r.IntN(30) {
		switch r.IntN(24) {
		case 0:
			header()
		case 1:
			b.WriteString(one("\n", "MSG hello\n", "# c\n", "END\n", "\x1a\n", "   \n", "\x00\n"))
		case 2:
			if signature == "t" {
				names[1], names[2] = names[2], names[1]
			}
			header()
		}
		var cells []string
		for _, name := range names {
			switch name {
			case "t":
				cells = append(cells, one(fmt.Sprintf("%sT%02d:%02d:00", day, i/8+r.IntN(2), i*15%60), day+"T24:00:00", day+"T23:00:00", day+"T01:30:00", day+"T01:30:00"))
			case "c":
				cells = append(cells, one("flow", "flow", "level", `"fl ow"`, ""))
			case "q":
				cells = append(cells, one("", "A", `"B"`))
			default:
				cells = append(cells, number())
			}
		}
		line(cells[:len(cells)-r.IntN(8)/7]...)
	}
	return p, b.String()
}

// TestAnyProfile holds that files of all sorts, by profiles of all sorts, are
// read the same in memory and in pieces, by the quick way through rows and the
// general one, and by a decoder that has read others before.
func TestAnyProfile(t *testing.T) {
	const each = 300
	r := rand.New(rand.NewPCG(1, 2))
	loaded := 0
	for range each {
		profile, text := anyProfile(r)
		_, other := anyProfile(r)
		o := decodeEveryWay(t, profile, "a.csv", []byte(text))
		if o.State == ingest.Loaded {
			loaded++
		}
		used, fresh := decoderFor(t, profile, Settings{Zone: "UTC"}), decoderFor(t, profile, Settings{Zone: "UTC"})
		for _, before := range []string{text, other} {
			decodeOne(t, used, "a.csv", before)
		}
		a, sa := decodeOne(t, used, "a.csv", text)
		b, sb := decodeOne(t, fresh, "a.csv", text)
		if diff := cmp.Diff(told(b)+sb.Reason, told(a)+sa.Reason); diff != "" {
			t.Errorf("-a fresh decoder +one that read others:\n%s", diff)
		}
		if t.Failed() {
			t.Fatalf("profile:\n%s\nfile:\n%s\n%q", profile, text, text)
		}
	}
	t.Logf("%d of %d loaded", loaded, each)
	if loaded < each/10 {
		t.Errorf("only %d of %d files are loaded, so that little was compared", loaded, each)
	}
}

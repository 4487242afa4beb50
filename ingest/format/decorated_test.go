package format

import (
	"bytes"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"penstock/ingest"
)

func TestNumbers(t *testing.T) {
	const nbsp, narrow, thin = "\u00a0", "\u202f", "\u2009"
	point := "dialect: {delimiter: ';'}\n"
	comma := "dialect: {delimiter: ';', decimal: ',', thousands: '.'}\n"
	for _, c := range []struct {
		dialect, cell string
		want          string // value and quality; "-" missing, "" rejected
	}{
		// As loggers write them, without any key.
		{point, ".427", "0.427"}, {point, "+7.477", "7.477"}, {point, "  12.5 ", "12.5"}, {point, "\t-3.", "-3"},
		{point, "1.2E-03", "0.0012"}, {point, "1e3", "1000"}, {point, "00012.50", "12.5"}, {point, `="5414"`, "5414"}, {point, `"=""-1.5"""`, "-1.5"},
		{point, nbsp + "5.5" + narrow, "5.5"}, {point, nbsp, "-"}, {point, " ", "-"}, {point, "", "-"}, {point, `=""`, "-"},
		{point, "1.2D+03", ""}, {point, "1,5", ""}, {point, "1 234", ""}, {point, "0x10", ""}, {point, "1_000", ""}, {point, "NAN", ""}, {point, "1.#QNAN", ""},
		{point, "12 l/s", ""}, {point, "3.984M", ""}, {point, "<0.05", ""}, {point, "--", ""}, {point, "1.2.3", ""}, {point, "٣", ""}, {point, "−5", ""},
		{point, "=5", ""}, {point, `="x"`, ""}, {point, "TRUE", ""},
		// A decimal comma.
		{"dialect: {decimal: ','}\n", `"82,9"`, "82.9"}, {"dialect: {decimal: ','}\n", `82`, "82"}, {"dialect: {decimal: ','}\n", `" 1,2E-03 "`, "0.0012"},
		{"dialect: {decimal: ','}\n", `"82.9"`, ""}, {"dialect: {decimal: ','}\n", `82.9`, ""},
		// Thousands.
		{"dialect: {thousands: ','}\n", `"1,234.5"`, "1234.5"}, {"dialect: {thousands: ','}\n", `"-1,234,567"`, "-1.234567e+06"}, {"dialect: {thousands: ','}\n", `"12,34"`, ""},
		{"dialect: {thousands: ','}\n", `"1234,567"`, ""}, {"dialect: {thousands: ','}\n", `"1,234,56"`, ""}, {"dialect: {thousands: ','}\n", `"0,123"`, ""}, {"dialect: {thousands: ','}\n", `",123"`, ""},
		{"dialect: {thousands: ','}\n", `"1,2345"`, ""}, {"dialect: {thousands: ','}\n", `"1.234,567"`, ""}, {"dialect: {thousands: ','}\n", `1234.5`, "1234.5"}, {"dialect: {thousands: ','}\n", `"1,234,"`, ""},
		{comma, "1.234,5", "1234.5"}, {comma, "1.234.567", "1.234567e+06"}, {comma, "1.5", ""}, {comma, "12,5", "12.5"}, {comma, "1,234.5", ""},
		{"dialect: {thousands: \"'\"}\n", "1'234.5", "1234.5"}, {"dialect: {thousands: \"'\"}\n", "1’234.5", "1234.5"}, {"dialect: {thousands: \"'\"}\n", "1'23", ""},
		{"dialect: {thousands: space}\n", "1 234.5", "1234.5"}, {"dialect: {thousands: space}\n", "1" + nbsp + "234" + nbsp + "567", "1.234567e+06"}, {"dialect: {thousands: space}\n", "-1" + narrow + "234", "-1234"},
		{"dialect: {thousands: space}\n", "1" + thin + "234", "1234"}, {"dialect: {thousands: space}\n", "1  234", ""}, {"dialect: {thousands: space}\n", "12 34", ""},
		// What is written beside the number.
		{"numbers: {unit: true}\n", "55.2 °F", "55.2 [°F]"}, {"numbers: {unit: true}\n", "55.2" + nbsp + "°F", "55.2 [°F]"}, {"numbers: {unit: true}\n", "5m³/h", "5 [m³/h]"}, {"numbers: {unit: true}\n", "5 %", "5 [%]"},
		{"numbers: {unit: true}\n", "12:30", ""}, {"numbers: {unit: true}\n", "5 6", ""}, {"numbers: {unit: true}\n", "2024-01-01", ""}, {"numbers: {unit: true}\n", "°F", ""}, {"numbers: {unit: true}\n", "2e5", "200000"},
		{"numbers: {unit: true}\n", "3 e", "3 [e]"}, {"numbers: {unit: true}\n", "5 " + strings.Repeat("x", 40), ""},
		{"numbers: {unit: [mg/l, µg/l]}\n", "5 mg/l", "5 [mg/l]"}, {"numbers: {unit: mg/l}\n", "5 kg", ""},
		{"numbers: {flag: '[A-Z]'}\n", "3.984M", "3.984 M"}, {"numbers: {flag: '[A-Z]'}\n", "3.984 M", "3.984 M"}, {"numbers: {flag: '[A-Z]'}\n", "3.984MM", ""}, {"numbers: {flag: 'e|[*]'}\n", "864e", "864 e"},
		{"numbers: {flag: 'A|B|AB'}\n", "1AB", "1 AB"}, {"numbers: {flag: '[A-Z]'}\n", "1E5", "100000"}, {"numbers: {flag: '[A-Z]'}\n", "M", ""},
		{"numbers: {inequality: true}\n", "<0.05", "0.05 <"}, {"numbers: {inequality: true}\n", "> 20", "20 >"}, {"numbers: {inequality: true}\n", "≤5", "5 ≤"}, {"numbers: {inequality: true}\n", ">=-1", "-1 >="},
		{"numbers: {inequality: true}\n", "<", ""}, {"numbers: {inequality: true}\n", "<<1", ""}, {"numbers: {inequality: true}\n", "0.05<", ""}, {"numbers: {inequality: true}\n", "≠5", ""},
		{"numbers: {inequality: true, unit: true, flag: '[A-Z]|[*]'}\ndialect: {thousands: space}\n", "< 1 234.5 mg/l *", "1234.5 [mg/l] < *"},
		{"numbers: {inequality: true, unit: true, flag: '[A-Z]'}\n", "<5M mg/l", "5 [mg/l] < M"},
		{"numbers: {inequality: true, unit: true, flag: '[A-Z]'}\n", "<5 mg/l ?", ""},
		// Spellings of a missing value are those of the profile, and no others.
		{"missing: [NAN, NA, '---', '-', '?', MM, '#N/A', '1.#QNAN', '-9999']\n", "1.#QNAN", "-"}, {"missing: [NAN, NA, '---', '-', '?', MM, '#N/A', '1.#QNAN', '-9999']\n", " #N/A ", "-"},
		{"missing: [NAN, NA, '---', '-', '?', MM, '#N/A', '1.#QNAN', '-9999']\n", "?", "-"}, {"missing: [NAN, NA, '---', '-', '?', MM, '#N/A', '1.#QNAN', '-9999']\n", "-9999", "-"},
		{"missing: [NAN, NA, '---', '-', '?', MM, '#N/A', '1.#QNAN', '-9999']\n", "-9998", "-9998"}, {"missing: [NAN, NA, '---', '-', '?', MM, '#N/A', '1.#QNAN', '-9999']\n", "nan", ""},
		{"missing: ['---']\n", `="---"`, "-"}, {"missing: ['---']\n", nbsp + "---", "-"},
		{"missing: ['<']\nnumbers: {inequality: true}\n", "<", "-"},
	} {
		for _, general := range []bool{false, true} {
			delimiter := ","
			if strings.Contains(c.dialect, "';'") {
				delimiter = ";"
			}
			d := decoderFor(t, "name: n\nshape: long\nlogger: {constant: L}\nchannel: {constant: q}\nvalue: v\nquality: q\ntimestamp: {column: t, layout: rfc3339}\n"+c.dialect, Settings{})
			d.general = general
			b, s := decodeOne(t, d, "a.csv", strings.Join([]string{"t", "v", "q\n2024-01-01T00:00:00Z"}, delimiter)+delimiter+c.cell+delimiter+"\n")
			got := ""
			switch {
			case s.State != ingest.Loaded:
				got = s.Reason
			case len(b.Time) == 1:
				got = strconv.FormatFloat(b.Value[0], 'g', -1, 64)
				if f := facts(b)[0]; f.Key.Unit != "" {
					got += " [" + f.Key.Unit + "]"
				}
				if f := facts(b)[0]; f.Quality != "" {
					got += " " + f.Quality
				}
			case s.Receipt.Cells.Missing == 1:
				got = "-"
			case s.Receipt.Cells.Rejected != 1:
				got = "neither read nor rejected"
			}
			if got != c.want {
				t.Errorf("%s%s (general: %v) is %q, want %q: %s", c.dialect, c.cell, general, got, c.want, rejectsOf(s))
			}
		}
	}
}

// TestQualitiesAreJoined holds that a mark in the cell does not displace the
// quality of its column.
func TestQualitiesAreJoined(t *testing.T) {
	(&cellCase{profile: "shape: long\nlogger: {constant: L}\nchannel: {constant: q}\nvalue: v\nquality: f\nnumbers: {inequality: true, flag: '[a-z]'}" + stampFirst,
		text: "t,v,f\n" + t0 + ",<5e,\u00a0A:[91] \n" + t1 + ",5,A\n" + t2 + ",>5,\n",
		want: "L/q [] 2024-01-05T00:00Z 5 A:[91] < e\nL/q [] 2024-01-05T00:15Z 5 A\nL/q [] 2024-01-05T00:30Z 5 >\n"}).run(t)
}

// TestOneUnitPerSeries holds that a series that is in one unit stays in it, and
// that files do not tell one another's.
func TestOneUnitPerSeries(t *testing.T) {
	const profile = "shape: long\nlogger: {constant: L}\nchannel: {column: c}\nvalue: v\nnumbers: {unit: true}" + stampFirst
	for _, c := range []cellCase{
		{"another", profile, "", "t,c,v\n" + t0 + ",a,5 m\n" + t0 + ",b,5 °C\n" + t1 + ",a,6\n" + t2 + ",a,7 cm\n",
			"L/a [m] 2024-01-05T00:00Z 5\nL/b [°C] 2024-01-05T00:00Z 5\nL/a [m] 2024-01-05T00:15Z 6\n", "5:3 another unit, \"cm\": the series has \"m\" since line 2\n", ""},
		{"none at first", profile, "", "t,c,v\n" + t0 + ",a,5\n" + t1 + ",a,6 m\n", "L/a [] 2024-01-05T00:00Z 5\n", "3:3 another unit, \"m\": the series has \"\" since line 2\n", ""},
		{"the header's", strings.Replace(profile, "channel: {column: c}", "channel: {column: c}\nunit: {constant: m}", 1), "", "t,c,v\n" + t0 + ",a,5 cm\n" + t1 + ",a,6 m\n",
			"L/a [m] 2024-01-05T00:15Z 6\n", "2:3 another unit, \"cm\": the series has \"m\"\n", ""},
	} {
		t.Run(c.name, c.run)
	}
	d := decoderFor(t, "name: u\n"+profile, Settings{})
	b, _ := decodeOne(t, d, "a.csv", "t,c,v\n"+t0+",a,5 m\n")
	if err := d.Decode(t.Context(), contentOf("b.csv", []byte("t,c,v\n"+t0+",a,5 cm\n"), false), b); err != nil {
		t.Fatal(err)
	}
	if got := readingsOf(b); got != "L/a [m] 2024-01-05T00:00Z 5\nL/a [cm] 2024-01-05T00:00Z 5\n" {
		t.Errorf("read %s", got)
	}
}

func TestDecimalOfTheFile(t *testing.T) {
	profile := func(delimiter string) string {
		thousands := ""
		if delimiter[1:] != "" {
			thousands = ", thousands: " + delimiter[1:]
		}
		return "shape: wide\nlogger: {constant: L}\nsignature: {header: [t], others: true}\ndialect: {delimiter: '" + delimiter[:1] + "', decimal: ['.', ',']" + thousands + "}" + stampFirst
	}
	file := func(delimiter string, cells ...string) string {
		s := "t" + delimiter + "q\n"
		for _, c := range cells {
			s += t0 + delimiter + c + "\n"
		}
		return s
	}
	for _, c := range []struct {
		name, delimiter string
		cells           []string
		want            string // the last value, or part of the question
		rejected        int64
	}{
		{"a point", ";", []string{"1.5", "2.25"}, "2.25", 0},
		{"a comma", ";", []string{"82,9", "2,25"}, "2.25", 0},
		{"integers", ";", []string{"1", "2"}, "2", 0},
		{"thousands or a fraction, with a comma", ";", []string{"5", "1,234"}, `line 3 has "1,234", which may be a fraction or thousands`, 0},
		{"thousands or a fraction, with a point", ";", []string{"12.345"}, `line 2 has "12.345", which may be a fraction or thousands`, 0},
		{"a leading zero tells", ";", []string{"12,345", "0,500"}, "0.5", 0},
		{"so does another length", ";", []string{"12,345", "1,25"}, "1.25", 0},
		{"so does a power", ";", []string{"1,234E2"}, "123.4", 0},
		{"so do four digits in a row", ";", []string{"1.234", "1234"}, "1234", 0},
		{"and four before the sign", ";", []string{"1.234", "1234,567"}, "1234.567", 1},
		{"two groups are thousands", ";", []string{"1.234.567", "1,234"}, "1.234", 1},
		{"both signs in a number", ";", []string{"1.234,5", "1,5"}, "1.5", 1},
		{"both signs in two", ";", []string{"1.5", "1,5"}, `line 2 has "1.5" and line 3 has "1,5"`, 0},
		{"both signs, and neither tells", ";", []string{"1.555", "1,555"}, `line 2 has "1.555" and line 3 has "1,555"`, 0},
		{"what is no number tells nothing", ";", []string{"1.2.3", "1,5"}, "1.5", 1},
		{"a comma that the delimiter leaves no room for", ",", []string{"12.345"}, "12.345", 0},
		{"a comma in quotes", ",", []string{`"12,345"`}, `line 2 has "12,345"`, 0},
		{"a comma in quotes that is proved", ",", []string{`"12,345"`, `"1,2"`}, "1.2", 0},
		{"a file that has no thousands, as the profile says", ";none", []string{"12,345"}, "12.345", 0},
		{"blanks between thousands", ";space", []string{"1 234 567,891"}, "1234567.891", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := file(c.delimiter[:1], c.cells...)
			for _, step := range []int{0, 7} {
				d := decoderFor(t, "name: d\n"+profile(c.delimiter), Settings{})
				d.feed.step = step
				b := &ingest.Batch{}
				if err := d.Decode(t.Context(), contentOf("a.csv", []byte(text), step > 0), b); err != nil {
					t.Fatal(err)
				}
				s := &b.Spans[0]
				checkSpan(t, b, s)
				if s.State == ingest.Held {
					if !strings.Contains(s.Reason, c.want) || s.Shape == nil || s.Shape.Asks != "decimal" || len(s.Shape.Answers) != 2 {
						t.Errorf("%s, %+v", s.Reason, s.Shape)
					}
					continue
				}
				if n := len(b.Value); n == 0 || shortest(b.Value[n-1]) != c.want || s.Receipt.Cells.Rejected != c.rejected {
					t.Errorf("%s %s: read %v, rejected %s", s.State, s.Reason, b.Value, rejectsOf(s))
				}
			}
		})
	}
}

// TestEvidenceIsTheBeginning holds that only the first part of a file decides,
// however the file comes in pieces, and that what contradicts it later is
// rejected and not taken for another number.
func TestEvidenceIsTheBeginning(t *testing.T) {
	var text bytes.Buffer
	text.WriteString("t;q\n")
	for text.Len() < evidenceSize+4 {
		text.WriteString(t0 + ";12\n")
	}
	rows := int64(bytes.Count(text.Bytes(), []byte("\n")))
	text.WriteString(t0 + ";1,5\n" + t0 + ";1.5\n")
	for _, step := range []int{0, 1000} {
		d := decoderFor(t, "name: d\nshape: wide\nlogger: {constant: L}\ndialect: {delimiter: ';', decimal: ['.', ',']}"+stampFirst, Settings{})
		d.feed.step = step
		b := &ingest.Batch{}
		if err := d.Decode(t.Context(), contentOf("a.csv", text.Bytes(), step > 0), b); err != nil {
			t.Fatal(err)
		}
		if s := &b.Spans[0]; s.Receipt.Cells.Rejected != 1 || s.Rejects[0].Line != rows+1 || b.Value[len(b.Value)-1] != 1.5 {
			t.Errorf("%s %s, %+v, %s", s.State, s.Reason, s.Receipt.Cells, rejectsOf(s))
		}
	}
}

// TestSignBehindTheEvidence holds that a cell that may be a fraction or thousands
// is no number, either, where the beginning of the file has no decimal sign at
// all.
func TestSignBehindTheEvidence(t *testing.T) {
	profile := "name: d\nshape: wide\nlogger: {constant: L}\ndialect: {delimiter: ';', decimal: ['.', ',']}" + stampFirst
	for late, want := range map[string]string{
		"1.234":             `line 15002 has "1.234", which may be a fraction or thousands, and no cell before it tells: is the decimal sign a point or a comma? Answer with --set decimal=. or --set decimal=,`,
		"1.5|1.234":         "",
		"1234|1.234":        "",
		"-5|0.427|12|1.234": "",
		"1,5|1.234":         `line 15003 has "1.234", which may be a fraction or thousands, and no cell before it tells: is the decimal sign a point or a comma? Answer with --set decimal=. or --set decimal=,`,
	} {
		text := "t;q\n" + strings.Repeat(t0+";12\n", 15000)
		for cell := range strings.SplitSeq(late, "|") {
			text += t0 + ";" + cell + "\n"
		}
		if o := decodeEveryWay(t, profile, "a.csv", []byte(text)); o.Reason != want {
			t.Errorf("%s: %s %q", late, o.State, o.Reason)
		}
	}
}

// TestEvidenceOfAnExactSize holds that a file of which exactly as much has come
// as decides is not taken to end there.
func TestEvidenceOfAnExactSize(t *testing.T) {
	profile := "name: d\nshape: wide\nlogger: {constant: L}\ndialect: {delimiter: ';', decimal: [',', '.']}" + stampFirst
	head := "t;q\n"
	row := t0 + ";12\n"
	text := head + strings.Repeat(row, (evidenceSize-100)/len(row))
	last := t0 + ";"
	text += strings.Repeat("\n", len(head)+evidenceSize-len(text)-len(last)-len("1.5")) + last + "1.5"
	for _, way := range []bool{false, true} {
		d := decoderFor(t, profile, Settings{})
		b := &ingest.Batch{}
		c := contentOf("a.csv", []byte(text+"00\n"), way)
		if way { // exactly so much comes first
			c.Stream = io.NopCloser(io.MultiReader(strings.NewReader(text), strings.NewReader("00\n")))
		}
		if err := d.Decode(t.Context(), c, b); err != nil {
			t.Fatal(err)
		}
		if s := &b.Spans[0]; s.State != ingest.Loaded || s.Receipt.Cells.Rejected != 1 {
			t.Errorf("stream %v: %s %s %s", way, s.State, s.Reason, rejectsOf(s))
		}
	}
}

// FuzzMeasure holds that a number with decorations is what strconv reads once
// they are taken off, and that nothing but the decorations that the profile
// names is taken off.
func FuzzMeasure(f *testing.F) {
	for _, s := range []string{"1,234.5", "<0.05 mg/l *", "3.984M", "55.2 °F", "≥1e5", "1\u00a0234", "-1'234", "1,234,567.25E-3", "12,34", "0,123", "1 234 567", "=\"5\"", "5e", "+.5%"} {
		for k := range uint8(16) {
			f.Add(k, []byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, cell []byte) {
		p := &Profile{dialect: dialect{delimiter: ';', decimal: '.'}}
		p.dialect.thousands = []byte{0, ',', '\'', ' '}[which&3]
		if which&4 != 0 {
			p.numbers.unit = true
		}
		if which&8 != 0 {
			p.numbers.inequality = true
		}
		pl := &plan{profile: p, sign: '.', thousands: p.dialect.thousands}
		pl.decorated = pl.decorations()
		cell = bare(cell)
		m, ok := pl.measure(cell, false)
		plain, isPlain := parseNumber(cell, '.')
		switch {
		case isPlain && (!ok || math.Float64bits(m.number) != math.Float64bits(plain) || m.unit != nil || m.inequality != nil):
			t.Fatalf("%q is %+v with decorations, %v without", cell, m, plain)
		case !ok || isPlain:
			return
		}
		rest, cut := bytes.CutPrefix(cell, m.inequality)
		if !cut || m.inequality != nil && !p.numbers.inequality {
			t.Fatalf("%q has the inequality %q", cell, m.inequality)
		}
		if rest, cut = bytes.CutSuffix(rest, m.unit); !cut || m.unit != nil && !p.numbers.unit {
			t.Fatalf("%q has the unit %q", cell, m.unit)
		}
		groups := strings.FieldsFunc(string(bytes.TrimFunc(rest, unicode.IsSpace)), func(r rune) bool {
			switch p.dialect.thousands {
			case ' ':
				return strings.ContainsRune(" \t\u00a0\u202f\u2009", r)
			case '\'':
				return r == '\'' || r == '’'
			case ',':
				return r == ','
			}
			return false
		})
		for i, g := range groups {
			whole, _, _ := strings.Cut(strings.ToLower(g), "e")
			whole, _, _ = strings.Cut(strings.TrimLeft(whole, "+-"), ".")
			if len(groups) > 1 && (i > 0 && len(whole) != 3 || i == 0 && (len(whole) > 3 || whole == "" || whole[0] == '0')) {
				t.Fatalf("%q is read though its thousands are not of three digits", cell)
			}
		}
		want, err := strconv.ParseFloat(strings.Join(groups, ""), 64)
		if err != nil || math.Float64bits(want) != math.Float64bits(m.number) {
			t.Fatalf("%q is %v, strconv says %v, %v of %q", cell, m.number, want, err, groups)
		}
		if !utf8.Valid(m.unit) {
			t.Fatalf("%q has a unit that is no text", cell)
		}
	})
}

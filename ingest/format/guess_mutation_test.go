package format

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"penstock/ingest"
)

// Outcomes that a guess of a mutated file may have. Right is that what is
// loaded is what the file held, and that what is not loaded was rejected with a
// reason.
const (
	right  = 1 << iota // loaded, and right
	ask                // held with a question
	refuse             // refused
)

// A mutation changes a file as its like are changed in the field. change
// returns the new text, or nil when it does not apply to the file, and the
// lines whose readings are to be gone, or may be any in the last one.
type mutation struct {
	name    string
	allowed int
	change  func(m *mutable, r *rand.Rand) (text []byte, gone map[int64]bool)
}

var mutations = []mutation{
	{"rows dropped", right | ask, dropRows},
	{"delimiter swapped", right | ask, swapDelimiter},
	{"another date order", right | ask, swapOrder},
	{"unit row removed", right | ask, dropUnits},
	{"columns swapped", right | ask, swapColumns},
	{"decimal sign changed", right | ask, swapDecimal},
	{"header removed", ask | refuse, dropHeader},
	{"encoding changed", right | ask, recode},
	{"rows shuffled", right | ask, shuffleRows},
	{"footer added", right | ask, addFooter},
	{"last line torn", right | ask, tearLast},
}

// A mutable is a file cut to some hundred rows, with what stands where in it.
type mutable struct {
	path    string
	lines   []string // without endings
	head    []headRow
	first   int // the index of the first row
	rows    int
	sheet   *sheet
	guessed *Guessed
	sets    []string  // the answers that its guess needs
	base    []reading // what it holds
}

// A reading is one of a file, without its names, which mutations may change.
type reading struct {
	line  int64
	time  int64
	value float64
}

func TestGuessOfMutatedFilesIsNeverWrong(t *testing.T) {
	oneGoroutine(t)
	count := 300
	if os.Getenv("PENSTOCK_SOAK") != "" {
		count = 2000
	}
	files := mutables(t)
	outcomes := make(map[string][3]int)
	done := 0
	for seed := uint64(0); done < count; seed++ {
		r := rand.New(rand.NewPCG(seed, 1))
		m := files[r.IntN(len(files))]
		mu := mutations[r.IntN(len(mutations))]
		text, gone := mu.change(m, r)
		if text == nil {
			continue
		}
		done++
		outcome, fault := judgeMutant(m, mu.name, text, gone)
		n := outcomes[mu.name]
		n[slices.Index([]int{right, ask, refuse}, max(outcome, 1))]++
		outcomes[mu.name] = n
		if fault == "" && outcome&mu.allowed == 0 {
			fault = fmt.Sprintf("outcome %d of the allowed %b", outcome, mu.allowed)
		}
		if fault != "" {
			t.Errorf("%s, %s, seed %d: %s", m.path, mu.name, seed, fault)
			if dir := os.Getenv("PENSTOCK_MUTANTS"); dir != "" {
				_ = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d-%s", seed, filepath.Base(m.path))), text, 0o644)
			}
		}
	}
	for _, mu := range mutations {
		n := outcomes[mu.name]
		t.Logf("%-22s right %4d, asked %4d, refused %4d", mu.name, n[0], n[1], n[2])
	}
}

// judgeMutant guesses a mutated file and reads it. fault says what is wrong with
// what was loaded.
func judgeMutant(m *mutable, name string, text []byte, gone map[int64]bool) (outcome int, fault string) {
	g := Guess([]Sample{{Path: m.path, Text: text, Whole: true}}, GuessOptions{Zone: "UTC"})
	if g.Refusal == "" && !g.Certain() && len(m.sets) > 0 && !m.contradicts(name) {
		g = Guess([]Sample{{Path: m.path, Text: text, Whole: true}}, GuessOptions{Zone: "UTC", Sets: m.sets})
	}
	if g.Refusal != "" {
		return refuse, ""
	}
	if !g.Certain() {
		return ask, ""
	}
	span, readings, err := readingsBy(g.Profile, m.path, text)
	if err != nil {
		return 0, err.Error()
	}
	switch span.State {
	case ingest.Held:
		return ask, ""
	case ingest.Quarantined:
		return refuse, ""
	}
	want := make(map[[2]uint64]int)
	missing := 0
	for _, r := range m.base {
		if gone[r.line] {
			continue
		}
		want[r.key()]++
		missing++
	}
	may := make(map[[2]uint64]int)
	last := int64(-1)
	if name == "last line torn" {
		last = int64(bytes.Count(text, []byte("\n")) + 1)
	}
	for _, r := range readings {
		if want[r.key()] > 0 {
			want[r.key()]--
			missing--
			continue
		}
		may[r.key()]++
		if r.line != last {
			return right, fmt.Sprintf("line %d is read as %v at %s, which the file does not hold", r.line, r.value, ingest.FromMicros(r.time))
		}
	}
	if missing > 0 && len(span.Rejects) == 0 {
		return right, fmt.Sprintf("%d readings of %d are not loaded, and nothing is rejected", missing, len(m.base))
	}
	return right, ""
}

func (r reading) key() [2]uint64 { return [2]uint64{uint64(r.time), math.Float64bits(r.value)} }

func readingsBy(p *Profile, path string, text []byte) (*ingest.Span, []reading, error) {
	set, err := NewSet(false, p)
	if err != nil {
		return nil, nil, err
	}
	d, err := NewDecoder(set, Settings{Zone: "UTC"})
	if err != nil {
		return nil, nil, err
	}
	b := &ingest.Batch{KeepLines: true}
	if err := d.Decode(context.Background(), contentOf(path, text, false), b); err != nil {
		return nil, nil, err
	}
	readings := make([]reading, len(b.Time))
	for i := range b.Time {
		readings[i] = reading{b.Line[i], b.Time[i], b.Value[i]}
	}
	return &b.Spans[0], readings, nil
}

// contradicts reports whether a mutation makes an answer wrong that was right of
// the file: nobody gives it then.
func (m *mutable) contradicts(mutation string) bool {
	return slices.ContainsFunc(m.sets, func(set string) bool {
		key, _, _ := strings.Cut(set, "=")
		return mutation == "another date order" && key == "order" || mutation == "decimal sign changed" && (key == "decimal" || key == "thousands") ||
			mutation == "columns swapped" && key == "header" || mutation == "unit row removed" && key == "columns_are"
	})
}

// mutables are the real files and the samples, as far as a guess reads them,
// answered where it asks.
func mutables(t *testing.T) (files []*mutable) {
	dir := sharedData(t)
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*.*"))
	if err != nil {
		t.Fatal(err)
	}
	samples, err := filepath.Glob("../../testdata/*/*")
	if err != nil {
		t.Fatal(err)
	}
	daily := 0
	for _, path := range append(paths, samples...) {
		base := filepath.Base(path)
		if strings.Contains(path, "minidot_daily") {
			if daily++; daily > 3 {
				continue // they are all alike
			}
		}
		if slices.Contains([]string{"expected.csv", "rejects.csv", "zone", "profile.yaml", "README.md"}, base) {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if m := newMutable(filepath.Base(filepath.Dir(path))+"/"+base, text); m != nil {
			files = append(files, m)
		}
	}
	if len(files) < 20 {
		t.Fatalf("only %d files are read", len(files))
	}
	answered := 0
	for _, m := range files {
		if len(m.sets) > 0 {
			answered++
			t.Logf("%s with %s", m.path, strings.Join(m.sets, " "))
		}
	}
	t.Logf("%d files, %d of them answered", len(files), answered)
	return files
}

const mutableRows = 200

func newMutable(path string, text []byte) *mutable {
	sh := readSheet(Sample{Path: path, Text: text, Whole: true})
	if sh.refusal != "" || len(sh.rows) == 0 {
		return nil
	}
	m := &mutable{path: path, first: int(sh.rows[0].line) - 1}
	for i := range sh.lines {
		m.lines = append(m.lines, sh.line(i))
	}
	if end := m.first + mutableRows; end < len(m.lines) {
		m.lines = m.lines[:end]
	}
	text = m.text(m.lines)
	m.sheet = readSheet(Sample{Path: path, Text: text, Whole: true})
	m.head = m.sheet.head
	m.rows = len(m.lines) - m.first
	m.guess(text)
	if !m.guessed.Certain() || len(m.sheet.rows) == 0 {
		return nil
	}
	span, readings, err := readingsBy(m.guessed.Profile, path, text)
	if err != nil || span.State != ingest.Loaded {
		return nil
	}
	m.base = readings
	return m
}

// guess guesses the file, and answers what is asked with the likeliest answer.
func (m *mutable) guess(text []byte) {
	for range 4 {
		m.guessed = Guess([]Sample{{Path: m.path, Text: text, Whole: true}}, GuessOptions{Zone: "UTC", Sets: m.sets})
		if m.guessed.Refusal != "" || m.guessed.Certain() {
			return
		}
		switch shape := m.guessed.Shape; {
		case strings.HasPrefix(shape.Asks, "zone"):
			return // the file contradicts the zone that all are given
		case len(shape.Answers) > 0 && shape.Answers[0].Set != "":
			m.sets = append(m.sets, shape.Answers[0].Set)
		default:
			return // nothing to answer with
		}
	}
}

// text joins lines to a file in UTF-8.
func (m *mutable) text(lines []string) []byte { return []byte(strings.Join(lines, "\n") + "\n") }

// cells cuts a line of the table; ok is false when its cells cannot be told.
func (m *mutable) cells(line string) ([]string, bool) {
	sh := m.sheet
	if sh.delimiter == ' ' || len(sh.fixed) > 0 || sh.delimiter == 0 || strings.Contains(line, `""`) && strings.Trim(line, `",;`) != "" && strings.Contains(line, `"""`) {
		return nil, false
	}
	var cells []string
	inside := false
	start := 0
	for i := range len(line) {
		switch {
		case line[i] == '"' && sh.quote == '"':
			inside = !inside
		case line[i] == sh.delimiter && !inside:
			cells = append(cells, line[start:i])
			start = i + 1
		}
	}
	return append(cells, line[start:]), !inside
}

// table calls change for the cells of every row, and of every row of the head.
func (m *mutable) table(change func(cells []string, head bool) []string, delimiter byte) []byte {
	lines := slices.Clone(m.lines)
	each := func(i int, head bool) bool {
		cells, ok := m.cells(lines[i])
		if !ok {
			return false
		}
		lines[i] = strings.Join(change(cells, head), string(delimiter))
		return true
	}
	for _, h := range m.head {
		if h.kind != rowSkip && !each(int(h.line)-1, true) {
			return nil
		}
	}
	for _, row := range m.sheet.rows { // not comments, messages and footers
		if !each(int(row.line)-1, false) {
			return nil
		}
	}
	return m.text(lines)
}

func dropRows(m *mutable, r *rand.Rand) ([]byte, map[int64]bool) {
	if len(m.sheet.rows) < 4 {
		return nil, nil // two rows at least are needed to see what columns are
	}
	share := r.Float64() * 0.9
	lines := slices.Clone(m.lines[:m.first])
	gone := make(map[int64]bool)
	left := len(m.sheet.rows)
	for i := m.first; i < len(m.lines); i++ {
		isRow := slices.ContainsFunc(m.sheet.rows, func(row sheetRow) bool { return row.line == int64(i+1) })
		if r.Float64() < share && isRow && left > 3 {
			gone[int64(i+1)] = true
			left--
			continue
		}
		lines = append(lines, m.lines[i])
	}
	return m.text(lines), gone
}

func swapDelimiter(m *mutable, r *rand.Rand) ([]byte, map[int64]bool) {
	to := []byte{',', ';', '\t', '|'}[r.IntN(4)]
	if to == m.sheet.delimiter {
		return nil, nil
	}
	return m.table(func(cells []string, _ bool) []string {
		for i, c := range cells {
			if strings.IndexByte(c, to) >= 0 && !strings.HasPrefix(c, `"`) {
				cells[i] = `"` + c + `"`
			}
		}
		return cells
	}, to), nil
}

func swapOrder(m *mutable, r *rand.Rand) ([]byte, map[int64]bool) {
	p := m.guessed.Profile
	if len(p.stamp.columns) == 0 || len(p.stamp.layouts) != 1 || len(m.sheet.when) == 0 {
		return nil, nil
	}
	date := m.sheet.when[0]
	to := []order{orderDMY, orderMDY}[r.IntN(2)]
	layout := p.stamp.layouts[0].text
	if !goDate().MatchString(layout) {
		return nil, nil
	}
	_, had := reorder(layout, to)
	if had == to || had == "" {
		return nil, nil
	}
	return m.table(func(cells []string, head bool) []string {
		if head || date >= len(cells) {
			return cells
		}
		fields := dateFields.FindStringSubmatchIndex(cells[date])
		if fields == nil {
			return cells
		}
		c := cells[date]
		part := make(map[byte]string)
		for i := range 3 {
			part[had[i]] = c[fields[2*(2*i+1)]:fields[2*(2*i+1)+1]]
		}
		cells[date] = c[:fields[0]] + part[to[0]] + c[fields[4]:fields[5]] + part[to[1]] + c[fields[8]:fields[9]] + part[to[2]] + c[fields[1]:]
		return cells
	}, m.sheet.delimiter), nil
}

func dropUnits(m *mutable, _ *rand.Rand) ([]byte, map[int64]bool) {
	at := slices.IndexFunc(m.head, func(h headRow) bool { return h.kind == rowUnits })
	if at < 0 {
		return nil, nil
	}
	i := int(m.head[at].line) - 1
	return m.text(slices.Delete(slices.Clone(m.lines), i, i+1)), nil
}

func swapColumns(m *mutable, r *rand.Rand) ([]byte, map[int64]bool) {
	order := r.Perm(m.sheet.width)
	return m.table(func(cells []string, _ bool) []string {
		for len(cells) < m.sheet.width {
			cells = append(cells, "")
		}
		swapped := make([]string, 0, len(cells))
		for _, from := range order {
			swapped = append(swapped, cells[from])
		}
		return append(swapped, cells[m.sheet.width:]...)
	}, m.sheet.delimiter), nil
}

func swapDecimal(m *mutable, _ *rand.Rand) ([]byte, map[int64]bool) {
	from, to := ".", ","
	if m.guessed.Profile.dialect.decimal == ',' {
		from, to = to, from
	}
	return m.table(func(cells []string, head bool) []string {
		for i, c := range cells {
			bare := strings.Trim(c, `" `)
			if head || slices.Contains(m.sheet.when, i) || strings.Count(bare, from) != 1 || strings.Contains(bare, to) {
				continue
			}
			if _, ok := parseNumber([]byte(bare), from[0]); !ok {
				continue
			}
			c = strings.Replace(c, from, to, 1)
			if to[0] == m.sheet.delimiter && !strings.HasPrefix(strings.TrimSpace(c), `"`) {
				c = `"` + c + `"`
			}
			cells[i] = c
		}
		return cells
	}, m.sheet.delimiter), nil
}

func dropHeader(m *mutable, _ *rand.Rand) ([]byte, map[int64]bool) {
	if len(m.head) == 0 {
		return nil, nil
	}
	lines := slices.Clone(m.lines)
	first := int(m.head[0].line) - 1
	return m.text(slices.Delete(lines, first, first+len(m.head))), nil
}

func recode(m *mutable, r *rand.Rand) ([]byte, map[int64]bool) {
	text := m.text(m.lines)
	switch r.IntN(4) {
	case 0:
		return append([]byte("\xef\xbb\xbf"), text...), nil
	case 1, 2:
		out := []byte{0xff, 0xfe}
		for _, u := range utf16.Encode([]rune(string(text))) {
			out = append(out, byte(u), byte(u>>8))
		}
		return out, nil
	}
	var out []byte
	for _, c := range string(text) {
		if c > 0xff || c >= 0x80 && c < 0xa0 {
			return nil, nil
		}
		out = append(out, byte(c))
	}
	return out, nil
}

func shuffleRows(m *mutable, r *rand.Rand) ([]byte, map[int64]bool) {
	if m.sheet.footer != "" || m.sheet.message != "" {
		return nil, nil // what ends the data would stand among them
	}
	lines := slices.Clone(m.lines)
	rows := lines[m.first:]
	r.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return m.text(lines), nil
}

func addFooter(m *mutable, r *rand.Rand) ([]byte, map[int64]bool) {
	if m.rows < 3 {
		return nil, nil // a line of its own kind is no footer among two
	}
	d := string(m.sheet.delimiter)
	footer := []string{"END OF DATA", "Total" + d + "123.4", "*** end of file ***", "# 200 rows", d + d + "99.5"}[r.IntN(5)]
	return m.text(append(slices.Clone(m.lines), footer)), nil
}

func tearLast(m *mutable, r *rand.Rand) ([]byte, map[int64]bool) {
	last := len(m.lines) - 1
	if len(m.lines[last]) < 4 || len(m.sheet.rows) < 3 {
		return nil, nil
	}
	text := m.text(m.lines)
	at := len(text) - 1 - len(m.lines[last]) + 1 + r.IntN(len(m.lines[last])-1)
	return text[:at], map[int64]bool{int64(last + 1): true}
}

var dateFields = regexp.MustCompile(`(\d{1,4})([-/. ])(\d{1,2})([-/. ])(\d{1,4})`)

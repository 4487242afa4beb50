package format

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/ingest"
)

// waitingFile returns a file of some loggers with readings that wait for its end,
// and the profile by which it is read.
func waitingFile(r *rand.Rand) (profile, name, text string) {
	z := passZones[r.IntN(len(passZones))]
	zone, err := time.LoadLocation(z.zone)
	if err != nil {
		panic(err)
	}
	how := []string{"hold", "standard", "standard", "by_arrival"}[r.IntN(4)]
	layout, stamp := time.DateTime, `layout: "2006-01-02 15:04:05"`
	name = "a.csv"
	day := r.IntN(3) == 0
	if day {
		z.at = time.Date(2024, 7, 1, 23, 0, 0, 0, zone)
		layout, name = time.TimeOnly, "20240701.csv"
		stamp = `layout: "15:04:05", date: {file_name: '(?P<date>\d{8})', layout: "20060102"}`
		if r.IntN(4) == 0 { // a day that begins with an hour shown twice
			name, z.zone = "20231105.csv", "America/Havana"
		}
	}
	stamp = fmt.Sprintf("timestamp: {column: t, %s, zone: %s, repeated_hour: %s}\n", stamp, z.zone, how)
	step := []time.Duration{5 * time.Minute, 15 * time.Minute, time.Hour}[r.IntN(3)]
	series := func() (walls []string) {
		for at := z.at.Add(-3 * time.Hour); !at.After(z.at.Add(3 * time.Hour)); at = at.Add(step) {
			if day && at.After(z.at.Add(time.Hour)) {
				break
			}
			if r.IntN(12) > 0 {
				walls = append(walls, at.In(zone).Format(layout))
			}
		}
		switch r.IntN(6) {
		case 0:
			slices.Reverse(walls)
		case 1:
			slices.Sort(walls)
		case 2:
			walls = walls[r.IntN(len(walls)/2+1):]
		case 3: // the hour alone, and rows of it out of order
			walls = walls[len(walls)/2-1 : len(walls)/2+2]
			r.Shuffle(len(walls), func(i, k int) { walls[i], walls[k] = walls[k], walls[i] })
		}
		return walls
	}
	var b strings.Builder
	switch r.IntN(3) {
	case 0:
		profile = "name: long\nshape: long\nlogger: {column: logger}\nchannel: {column: channel}\nvalue: v\n" + stamp
		b.WriteString("logger,channel,t,v\n")
		var rows []string
		for n := range 1 + r.IntN(3) {
			for i, wall := range series() {
				rows = append(rows, fmt.Sprintf("L%d,flow,%s,%d\n", n, wall, i))
			}
		}
		if r.IntN(2) == 0 {
			slices.SortStableFunc(rows, func(a, b string) int { return strings.Compare(a[len("L1,flow,"):], b[len("L1,flow,"):]) })
		}
		b.WriteString(strings.Join(rows, ""))
	case 1:
		profile = "name: wide\nshape: wide\nlogger: {constant: L1}\n" + stamp
		b.WriteString("t,flow,level\n")
		for i, wall := range series() {
			level := fmt.Sprint(i)
			if r.IntN(3) == 0 {
				level = ""
			}
			fmt.Fprintf(&b, "%s,%d,%s\n", wall, i, level)
		}
	case 2:
		profile = "name: blocks\nshape: wide\nsignature: {first_line: '^Logger ', header: [t], others: true}\nframing: {preamble: 1}\n" +
			"logger: {preamble: '^Logger (?P<logger>\\S+)'}\n" + stamp
		a, c := series(), series()
		for _, of := range []struct {
			logger string
			walls  []string
		}{{"A", a[:len(a)/2]}, {"B", c[:len(c)/2]}, {"A", a[len(a)/2:]}, {"B", c[len(c)/2:]}} {
			fmt.Fprintf(&b, "Logger %s\nt,a\n", of.logger)
			for i, wall := range of.walls {
				fmt.Fprintf(&b, "%s,%d\n", wall, i)
			}
		}
	}
	return profile, name, b.String()
}

// Files some of whose times are told by their end say the same in parts.
func TestPartsOfFilesThatWait(t *testing.T) {
	const each = 600
	r := rand.New(rand.NewPCG(23, 24))
	states := make(map[ingest.State]int)
	settled, uncut, parts := 0, 0, 0
	for range each {
		profile, name, text := waitingFile(r)
		n, f := checkParts(t, func() *Decoder { return decoderFor(t, profile, Settings{}) }, name, []byte(text))
		if t.Failed() {
			t.Fatalf("profile:\n%s\nfile:\n%s", profile, text)
		}
		switch {
		case f.uncut:
			uncut++
		case f.settled:
			settled++
			parts = max(parts, n)
			states[f.span.State]++
		}
	}
	if settled < each/3 || uncut < each/100 || parts < 10 || states[ingest.Held] < 3 || states[ingest.Loaded] < each/3 {
		t.Errorf("of %d files only %d waited, in %d parts at most, %d loaded, %d held, and %d cannot be cut", each, settled, parts, states[ingest.Loaded], states[ingest.Held], uncut)
	}
}

// What is remembered of a file until its end does not grow with its rows.
func TestSequenceIsSmall(t *testing.T) {
	var s sequence
	r := rand.New(rand.NewPCG(1, 1))
	at := int64(0)
	for i := range 100_000 {
		row := passRow{at: at, row: -1}
		if i%50_000 == 100 {
			row.row, row.later = i/50_000, 3600e6
		}
		s.add(row)
		at += 1 + r.Int64N(1e6)
	}
	if len(s.rows) != 6 || len(s.steps) != mostSteps {
		t.Errorf("it keeps %d rows and %d steps", len(s.rows), len(s.steps))
	}
	for i, row := range s.rows {
		if row.twice() != (i%3 == 1) {
			t.Errorf("row %d of those it keeps is of %d", i, row.row)
		}
	}
}

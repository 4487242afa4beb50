package format

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/ingest"

	"github.com/google/go-cmp/cmp"
)

const passesProfile = `
name: passes
shape: long
signature: {header: [logger, channel, t, v]}
logger: {column: logger}
channel: {column: channel}
value: v
timestamp: {column: t, layout: "2006-01-02 15:04:05", zone: %s, repeated_hour: %s}
`

// passRows writes rows of one series as a long file.
func passRows(walls ...string) string {
	var b strings.Builder
	b.WriteString("logger,channel,t,v\n")
	for i, w := range walls {
		series := "L1,flow"
		if name, rest, ok := strings.Cut(w, " "); ok && !strings.Contains(name, "-") {
			series, w = name+",flow", rest
		}
		if len(w) == 5 {
			w = "2024-10-27 " + w
		}
		fmt.Fprintf(&b, "%s,%s:00,%d\n", series, w, i)
	}
	return b.String()
}

// shownTimes returns the instants of a batch in the order of the file.
func shownTimes(b *ingest.Batch) (list []string) {
	for _, us := range b.Time {
		list = append(list, ingest.FromMicros(us).Format("15:04"))
	}
	return list
}

func decodePasses(t *testing.T, zone, how, text string) (*ingest.Batch, *ingest.Span) {
	t.Helper()
	return decodeOne(t, decoderFor(t, fmt.Sprintf(passesProfile, zone, how), Settings{}), "in/a.csv", text)
}

// In London, 2024-10-27 01:00 to 02:00 was shown at 00:00 UTC and again at 01:00.
func TestPasses(t *testing.T) {
	for _, c := range []struct {
		name string
		rows string
		want string // "" for a file that is held
	}{
		{"in sequence", "00:45 01:00 01:15 01:30 01:45 01:00 01:15 01:30 01:45 02:00", "23:45 00:00 00:15 00:30 00:45 01:00 01:15 01:30 01:45 02:00"},
		{"backward in sequence", "02:00 01:45 01:30 01:15 01:00 01:45 01:30 01:15 01:00 00:45", "02:00 01:45 01:30 01:15 01:00 00:45 00:30 00:15 00:00 23:45"},
		{"interleaved by sorting", "00:45 01:00 01:00 01:15 01:15 01:30 01:30 01:45 01:45 02:00", "23:45 00:00 01:00 00:15 01:15 00:30 01:30 00:45 01:45 02:00"},
		{"the hour alone, in sequence", "01:00 01:30 01:00 01:30", "00:00 00:30 01:00 01:30"},
		{"the hour alone, interleaved", "01:00 01:00 01:30 01:30", "00:00 01:00 00:30 01:30"},
		{"one wall time twice", "01:15 01:15", "00:15 01:15"},
		{"hourly", "23:00 00:00 01:00 01:00 02:00", "22:00 23:00 00:00 01:00 02:00"},
		{"the first pass has gaps", "00:45 01:00 01:45 01:00 01:15 01:30 01:45 02:00", "23:45 00:00 00:45 01:00 01:15 01:30 01:45 02:00"},
		{"the second pass has gaps", "00:45 01:00 01:15 01:30 01:45 01:15 02:00", "23:45 00:00 00:15 00:30 00:45 01:15 02:00"},
		{"the second pass begins where the first ends", "01:00 01:15 01:15 01:30 01:45 02:00", "00:00 00:15 01:15 01:30 01:45 02:00"},
		{"it ends in the first pass", "00:30 00:45 01:00 01:15", "23:30 23:45 00:00 00:15"},
		{"it begins in the second pass", "01:30 01:45 02:00 02:15", "01:30 01:45 02:00 02:15"},
		{"two rows, the first before the hour", "00:45 01:00", "23:45 00:00"},
		{"two rows, the last after the hour", "01:45 02:00", "01:45 02:00"},
		{"two rows of both passes", "01:45 01:50 01:00", "00:45 00:50 01:00"},
		{"an outage that ends in the second pass", "00:15 00:30 00:45 01:30 01:45 02:00 02:15", "23:15 23:30 23:45 01:30 01:45 02:00 02:15"},
		{"an outage over both passes", "00:30 00:45 01:15 03:00 03:15", "23:30 23:45 00:15 03:00 03:15"},
		{"backward, it ends in the second pass", "02:30 02:15 02:00 01:45 01:30", "02:30 02:15 02:00 01:45 01:30"},
		{"backward, it begins in the first pass", "01:15 01:00 00:45 00:30", "00:15 00:00 23:45 23:30"},
		{"out of order", "00:45 01:30 01:15 01:45 01:00 01:00 02:00", "23:45 00:30 00:15 00:45 00:00 01:00 02:00"},
		{"one row", "01:15", ""},
		{"two rows within the hour", "01:15 01:30", ""},
		{"two rows that go back", "01:30 01:15", ""},
		{"a row long after", "01:15 05:00", ""},
		{"a series told by another", "L2:00:45 L1:01:00 L2:01:00", "23:45 00:00 00:00"},
		{"a series told by another that falls", "L2:01:45 L1:01:45 L2:01:50 L1:01:50 L2:01:00 L1:01:00", "00:45 00:45 00:50 00:50 01:00 01:00"},
		{"several series in blocks", "L1:00:45 L1:01:00 L1:01:00 L2:00:45 L2:01:00 L2:01:00", "23:45 00:00 01:00 23:45 00:00 01:00"},
		{"one series says nothing, and the file is not in order", "L1:00:45 L1:01:00 L2:01:15 L3:00:30 L3:00:45", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var walls []string
			for _, w := range strings.Fields(c.rows) {
				if strings.HasPrefix(w, "L") {
					w = strings.Replace(w, ":", " ", 1)
				}
				if strings.HasSuffix(w, "23:00") {
					w = "2024-10-26 23:00"
				}
				walls = append(walls, w)
			}
			b, s := decodePasses(t, "Europe/London", "hold", passRows(walls...))
			if c.want == "" {
				if s.State != ingest.Held {
					t.Fatalf("%s, %v, want held", s.State, shownTimes(b))
				}
				return
			}
			if s.State != ingest.Loaded {
				t.Fatalf("%s: %s", s.State, s.Reason)
			}
			if diff := cmp.Diff(strings.Fields(c.want), shownTimes(b)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestUndecidedPasses(t *testing.T) {
	one := passRows("01:15")
	_, s := decodePasses(t, "Europe/London", "hold", one)
	const question = "clocks in Europe/London showed 2024-10-27 01:00 to 02:00 twice, and nothing in the file tells in which pass its line 2, 01:15:00, was recorded: was it the first or the second?"
	if s.Reason != question || s.Shape == nil || s.Shape.Asks != "repeated_hour" || s.Shape.Question != question {
		t.Errorf("asks %q, %+v", s.Reason, s.Shape)
	}
	want := []string{"repeated_hour=by_arrival", "repeated_hour=standard"}
	for i, a := range s.Shape.Answers {
		if a.Set != want[i] {
			t.Errorf("answer %d is %+v", i, a)
		}
	}
	if b, s := decodePasses(t, "Europe/London", "standard", one); s.State != ingest.Loaded || shownTimes(b)[0] != "01:15" || s.Undecided != nil {
		t.Errorf("standard: %s %v %v", s.State, shownTimes(b), s.Undecided)
	}
	b, s := decodePasses(t, "Europe/London", "by_arrival", passRows("01:15", "01:30"))
	if s.State != ingest.Loaded || shownTimes(b)[0] != "00:15" || !slices.Equal(s.Undecided, []int32{0, 1}) || s.Later != time.Hour.Microseconds() || !s.Passes {
		t.Errorf("by arrival: %s %v %+v", s.State, shownTimes(b), s)
	}
	d := decoderFor(t, fmt.Sprintf(passesProfile, "Europe/London", "by_arrival"), Settings{})
	_, same := decodeOne(t, d, "in/a.csv", one)
	_, other := decodeOne(t, d, "in/b.csv", one)
	if same.Identity == other.Identity {
		t.Error("two files whose pass is open are one content")
	}
	if _, s := decodeOne(t, d, "in/a.csv", passRows("00:45", "01:00")); s.Undecided != nil || s.Identity != (ingest.Digest{}) || !s.Passes {
		t.Errorf("a file that tells its pass: %+v", s)
	}
	if _, s := decodeOne(t, d, "in/a.csv", passRows("00:45", "02:00")); s.Passes {
		t.Error("a file without a repeated hour says that it has one")
	}
	// Of two such hours in one file, one answer cannot be kept.
	if _, s := decodeOne(t, d, "in/a.csv", passRows("L1 01:15", "L2 2025-10-26 01:15")); s.State != ingest.Held {
		t.Errorf("two hours: %s %+v", s.State, s.Undecided)
	}
}

// The clocks of Lord Howe go back by half an hour; those of Moscow once went back
// for good, and of Pyongyang once by half an hour, to go forward again years later.
func TestPassesOfOtherZones(t *testing.T) {
	for _, c := range []struct{ zone, rows, want string }{
		{"Australia/Lord_Howe", "2024-04-07 01:15,2024-04-07 01:30,2024-04-07 01:45,2024-04-07 01:30,2024-04-07 01:45,2024-04-07 02:00", "14:15 14:30 14:45 15:00 15:15 15:30"},
		{"Europe/Moscow", "2014-10-26 00:30,2014-10-26 01:00,2014-10-26 01:30,2014-10-26 01:00,2014-10-26 01:30,2014-10-26 02:00", "20:30 21:00 21:30 22:00 22:30 23:00"},
		{"Asia/Pyongyang", "2015-08-14 23:15,2015-08-14 23:30,2015-08-14 23:45,2015-08-14 23:30,2015-08-14 23:45,2015-08-15 00:00", "14:15 14:30 14:45 15:00 15:15 15:30"},
	} {
		b, s := decodePasses(t, c.zone, "hold", passRows(strings.Split(c.rows, ",")...))
		if diff := cmp.Diff(strings.Fields(c.want), shownTimes(b)); diff != "" {
			t.Errorf("%s: %s %s\n%s", c.zone, s.State, s.Reason, diff)
		}
	}
}

// A wide file's rows tell the pass of all its series, those as well that have no
// reading where it shows.
func TestPassesOfWideFiles(t *testing.T) {
	d := decoderFor(t, "name: wide\nshape: wide\nlogger: {constant: L1}\ntimestamp: {column: t, layout: \"2006-01-02 15:04\", zone: Europe/London}\n", Settings{})
	b, s := decodeOne(t, d, "a.csv", "t,flow,level\n2024-10-27 00:30,1,1\n2024-10-27 01:00,2,\n2024-10-27 01:30,3,\n2024-10-27 01:00,4,5\n2024-10-27 01:30,6,\n2024-10-27 02:00,7,8\n")
	if diff := cmp.Diff(strings.Fields("23:30 23:30 00:00 00:30 01:00 01:00 01:30 02:00 02:00"), shownTimes(b)); diff != "" {
		t.Errorf("%s %s\n%s", s.State, s.Reason, diff)
	}
}

// The rows of two loggers in one file, one behind the other, tell each its own
// passes.
func TestPassesOfBlocks(t *testing.T) {
	profile := "name: w\nshape: wide\nsignature: {first_line: '^Logger ', header: [time], others: true}\nframing: {preamble: 1}\n" +
		"logger: {preamble: '^Logger (?P<logger>\\S+)'}\ntimestamp: {column: 1, layout: '2006-01-02 15:04', zone: Europe/London}\n"
	var rows, want []string
	for _, wall := range strings.Fields("00:30 01:00 01:30 01:00 01:30 02:00") {
		rows = append(rows, "2024-10-27 "+wall+",1\n")
	}
	block := func(logger string, rows []string) string {
		return "Logger " + logger + "\ntime,a\n" + strings.Join(rows, "")
	}
	for range 2 {
		want = append(want, "23:30", "00:00", "00:30", "01:00", "01:30", "02:00")
	}
	b, s := decodeOne(t, decoderFor(t, profile, Settings{}), "a.csv", block("A", rows)+block("B", rows))
	if diff := cmp.Diff(want, shownTimes(b)); diff != "" {
		t.Errorf("one behind the other: %s %s\n%s", s.State, s.Reason, diff)
	}
	b, s = decodeOne(t, decoderFor(t, profile, Settings{}), "a.csv", block("A", rows[:3])+block("B", rows[:3])+block("A", rows[3:])+block("B", nil)+block("B", rows[3:]))
	want = strings.Fields("23:30 00:00 00:30 23:30 00:00 00:30 01:00 01:30 02:00 01:00 01:30 02:00")
	if diff := cmp.Diff(want, shownTimes(b)); diff != "" {
		t.Errorf("in turns: %s %s\n%s", s.State, s.Reason, diff)
	}
}

func TestStandardTimeAllYear(t *testing.T) {
	for zone, want := range map[string]string{
		"Europe/London": "01:15 01:15 12:00", "Europe/Berlin": "00:15 00:15 11:00", "Europe/Dublin": "01:15 01:15 12:00",
		"Australia/Sydney": "15:15 15:15 02:00", "America/New_York": "06:15 06:15 17:00",
	} {
		d := decoderFor(t, fmt.Sprintf("name: std\nshape: wide\nlogger: {constant: L1}\ntimestamp: {column: t, layout: \"2006-01-02 15:04\", zone: %s, clock: standard}\n", zone), Settings{})
		b, s := decodeOne(t, d, "a.csv", "t,flow\n2024-10-27 01:15,1\n2024-03-31 01:15,2\n2024-07-01 12:00,3\n")
		if diff := cmp.Diff(strings.Fields(want), shownTimes(b)); diff != "" {
			t.Errorf("%s: %s %s\n%s", zone, s.State, s.Reason, diff)
		}
	}
}

func TestShiftedGap(t *testing.T) {
	d := decoderFor(t, "name: shift\nshape: wide\nlogger: {constant: L1}\ntimestamp: {column: t, layout: \"2006-01-02 15:04\", zone: Europe/London, gap: shift}\n", Settings{})
	b, s := decodeOne(t, d, "a.csv", "t,flow\n2024-03-31 00:45,1\n2024-03-31 01:00,2\n2024-03-31 01:45,3\n2024-03-31 03:00,4\n")
	if diff := cmp.Diff(strings.Fields("00:45 01:00 01:45 02:00"), shownTimes(b)); diff != "" {
		t.Errorf("%s %s\n%s", s.State, s.Reason, diff)
	}
}

// passZones are zones whose clocks went back, and an instant near each time.
var passZones = []struct {
	zone string
	at   time.Time
}{
	{"Europe/London", time.Date(2024, 10, 27, 1, 0, 0, 0, time.UTC)},
	{"America/St_Johns", time.Date(2024, 11, 3, 4, 30, 0, 0, time.UTC)},
	{"Australia/Lord_Howe", time.Date(2024, 4, 6, 15, 0, 0, 0, time.UTC)},
	{"Europe/Moscow", time.Date(2014, 10, 25, 22, 0, 0, 0, time.UTC)},
	{"Africa/Casablanca", time.Date(2024, 3, 10, 2, 0, 0, 0, time.UTC)},
}

// FuzzPasses holds that n instants of a series are n instants when they are read,
// whichever of them there are and in whatever way they are sorted; and that where
// none is missing and the file shows more than the hour, they are those that were
// written.
func FuzzPasses(f *testing.F) {
	for i := range 40 {
		f.Add(uint64(i), uint8(i), uint8(i/2), uint8(3*i))
	}
	steps := []time.Duration{5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour}
	f.Fuzz(func(t *testing.T, seed uint64, where, way, lost uint8) {
		random := rand.New(rand.NewPCG(seed, 1))
		z := passZones[int(where)%len(passZones)]
		zone, err := time.LoadLocation(z.zone)
		if err != nil {
			t.Fatal(err)
		}
		step := steps[random.IntN(len(steps))]
		from := z.at.Add(-2 * time.Hour)
		var instants []time.Time
		for i := range int(4*time.Hour/step) + 1 {
			if at := from.Add(time.Duration(i) * step); lost < 128 || random.IntN(4) > 0 {
				instants = append(instants, at)
			}
		}
		if lost%4 == 1 { // a piece of it
			instants = instants[random.IntN(len(instants)/2+1):]
			instants = instants[:random.IntN(len(instants)+1)]
		}
		walls := func(a, b time.Time) int {
			return strings.Compare(a.In(zone).Format(time.DateTime), b.In(zone).Format(time.DateTime))
		}
		switch way % 4 {
		case 1:
			slices.SortStableFunc(instants, walls)
		case 2:
			slices.Reverse(instants)
		case 3:
			slices.SortStableFunc(instants, walls)
			slices.Reverse(instants)
		}
		var text strings.Builder
		text.WriteString("logger,channel,t,v\n")
		for i, at := range instants {
			fmt.Fprintf(&text, "L1,flow,%s,%d\n", at.In(zone).Format(time.DateTime), i)
		}
		b, s := decodePasses(t, z.zone, "standard", text.String())
		if s.State != ingest.Loaded || len(b.Time) != len(instants) {
			t.Fatalf("%s %s: %d readings of %d", s.State, s.Reason, len(b.Time), len(instants))
		}
		distinct := slices.Clone(b.Time)
		slices.Sort(distinct)
		if n := len(slices.Compact(distinct)); n != len(instants) {
			t.Errorf("%d instants of %d are left of:\n%s%v", n, len(instants), text.String(), shownTimes(b))
		}
		if lost < 128 && lost%4 != 1 {
			for i, at := range instants {
				if b.Time[i] != at.UnixMicro() {
					t.Fatalf("row %d is %v, was %v:\n%s%v", i+1, ingest.FromMicros(b.Time[i]), at, text.String(), shownTimes(b))
				}
			}
		}
	})
}

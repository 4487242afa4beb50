package format

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestOddFilesTakeTheirTime holds that what a file of some megabytes takes grows
// with its size, whatever is in it. By the limit, hundreds of times as long as it
// takes, a step that looks back at all before it for each row would be found.
func TestOddFilesTakeTheirTime(t *testing.T) {
	oneGoroutine(t)
	const limit = 20 * time.Second
	const wide = "name: w\nshape: wide\nlogger: {constant: L}\ntimestamp: {column: time, layout: '2006-01-02 15:04', zone: Europe/London}\n"
	repeat := func(n int, row func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(row(i))
		}
		return b.String()
	}
	for _, c := range []struct{ name, profile, text string }{
		{"milliseconds of an hour that clocks showed twice", strings.Replace(wide, "15:04", "15:04:05", 1), "time,a\n2024-10-27 00:59:59,1\n" +
			repeat(120_000, func(i int) string {
				return fmt.Sprintf("2024-10-27 01:%02d:%02d.%03d,1\n", i/60_000, i/1000%60, i%1000)
			})},
		{"columns of one name", wide + "repeated: number\n", "time" + strings.Repeat(",a", 100_000) + "\n2024-01-01 00:00" + strings.Repeat(",1", 100_000) + "\n"},
		{"columns with the quality of each", wide + "channels: [{column: {match: '^\\d+$'}, quality: {suffix: q}}]\nothers: ignore\n",
			"time" + repeat(50_000, func(i int) string { return fmt.Sprintf(",%d,%dq", i, i) }) + "\n2024-01-01 00:00" + strings.Repeat(",1,", 50_000) + "\n"},
		{"columns that a signature names as optional", wide + "signature: {header: [time], optional: [{match: '^c'}]}\n",
			"time" + repeat(100_000, func(i int) string { return fmt.Sprintf(",c%d", i) }) + "\n2024-01-01 00:00" + strings.Repeat(",1", 100_000) + "\n"},
		{"lines of the preamble that tell units", wide + "signature: {header: [time], others: true}\nframing: {preamble: 1}\nunits: {preamble: '(?P<channel>c\\d+)=(?P<unit>m)'}\n",
			repeat(50_000, func(i int) string { return fmt.Sprintf("c%d=m ", i) }) + "\ntime" + repeat(50_000, func(i int) string { return fmt.Sprintf(",c%d", i) }) + "\n2024-01-01 00:00" + strings.Repeat(",1", 50_000) + "\n"},
		{"rows that look like a header", wide, "time" + repeat(20_000, func(i int) string { return fmt.Sprintf(",c%d", i) }) + "\n" +
			strings.Repeat("time"+repeat(20_000, func(i int) string { return fmt.Sprintf(",d%d", i) })+"\n", 20)},
		{"a header that changes again and again", wide + "signature: {header: [time], others: true}\nframing: {preamble: find}\n",
			repeat(500, func(int) string { return strings.Repeat("x", 4000) + "\n" }) + repeat(100_000, func(i int) string { return fmt.Sprintf("time,c%d\n", i%7) })},
		{"a header again and again", wide, strings.Repeat("time,a\n", 300_000)},
		{"a quote in each line", wide, "time,a\n" + strings.Repeat("\"a\n", 500_000)},
		{"a matrix of each second of a day", "name: m\nshape: matrix\nlogger: {constant: L}\nchannel: {constant: c}\ntimestamp: {column: d, layout: '2006-01-02', header_layout: '15:04:05', zone: Europe/London}\n",
			"d" + repeat(86_400, func(i int) string { return fmt.Sprintf(",%02d:%02d:%02d", i/3600, i/60%60, i%60) }) + "\n2024-10-27" + strings.Repeat(",1", 86_400) + "\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := decoderFor(t, c.profile, Settings{})
			begin := time.Now()
			_, s := decodeOne(t, d, "a.csv", c.text)
			if took := time.Since(begin); took > limit {
				t.Errorf("%s for %d bytes: %s %s", took, len(c.text), s.State, s.Reason)
			} else {
				t.Logf("%s for %d bytes: %s %.100s", took, len(c.text), s.State, s.Reason)
			}
		})
	}
}

package ingest

import (
	"testing"
	"time"
)

func TestMinuteIn(t *testing.T) {
	at := func(month, day, hour, minute int) uint32 {
		return uint32((((2024-1970)*12+month-1)*31+day-1)*1440 + hour*60 + minute)
	}
	for text, want := range map[string]uint32{
		"":                                   0,
		"no date":                            0,
		"L1":                                 0,
		"L1_2024-04-03":                      at(4, 3, 0, 0),
		"in/2024/04/03/L1.csv":               at(4, 3, 0, 0),
		"L17_20240403.csv":                   at(4, 3, 0, 0),
		"L17_20240403_1530.csv":              at(4, 3, 15, 30),
		"L17_20240403T153059Z.csv":           at(4, 3, 15, 30),
		"202404031530":                       at(4, 3, 15, 30),
		"20240403153059":                     at(4, 3, 15, 30),
		"3.4.2024 15:30;1,5":                 at(4, 3, 15, 30),
		"04/23/2024 15:30,1.5":               at(4, 23, 15, 30),
		"2024-04-03 15:30:00,1.5\nend\n":     at(4, 3, 15, 30),
		"2024-04-03T15,7":                    at(4, 3, 0, 0),
		"2023-01-01,1\n2024-04-03 15:30,2\n": at(4, 3, 15, 30),
		"1712158200,4.5":                     1712158200 / 60,
		"1712158200123,4.5":                  1712158200 / 60,
		"2024-13-03":                         0,
		"2024-04-32":                         0,
		"2024-04/03":                         0,
		"1899-04-03":                         0,
		"2024-04-":                           0,
		"123456789":                          0,
		"2024-04-03 1":                       at(4, 3, 0, 0),
		"2024-04-03 15:":                     at(4, 3, 0, 0),
		"2024-04-03 15:3":                    at(4, 3, 0, 0),
	} {
		if got := MinuteIn([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// What is later has the greater number, within what a number is of.
func TestMinutesGrow(t *testing.T) {
	for _, layout := range []string{"2006-01-02 15:04", "02.01.2006 15:04", "20060102T1504", "L1_200601021504.csv"} {
		last := uint32(0)
		for at := time.Date(1999, 12, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2031; at = at.Add(7*time.Hour + 13*time.Minute) {
			m := MinuteIn([]byte(at.Format(layout)))
			if m <= last || m >= 1<<27 {
				t.Fatalf("%s: %d after %d", at.Format(layout), m, last)
			}
			last = m
		}
	}
}

func FuzzMinuteIn(f *testing.F) {
	f.Add([]byte("2024-04-03 15:30"))
	f.Add([]byte("3.4.2024 15"))
	f.Add([]byte("20240403153"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if m := MinuteIn(text); m >= 1<<27 {
			t.Errorf("%q: %d", text, m)
		}
	})
}

func BenchmarkMinuteIn(b *testing.B) {
	text := []byte("timestamp,logger,flow,pressure\n2024-04-03 15:30:00,L17,12.25,3.125\n2024-04-03 15:45:00,L17,12.50,3.250\n")
	for b.Loop() {
		MinuteIn(text)
	}
}

package ingest

import "testing"

// Readings that differ in anything that is stored of them have another digest, and
// such as are alike have the same, whatever else the batch holds.
func TestDigestOfAPart(t *testing.T) {
	type reading struct {
		logger, channel, unit string
		at                    int64
		value                 float64
		quality               string
	}
	digest := func(before int, readings ...reading) uint64 {
		b := &Batch{}
		for range before { // others, of series of their own
			b.Append(b.SeriesOf([]byte("Z9"), []byte("level"), nil, nil), 1, 1)
			b.SetQuality([]byte("Z"))
		}
		b.Begin(&Content{})
		for _, r := range readings {
			b.Append(b.SeriesOf([]byte(r.logger), []byte(r.channel), []byte(r.unit), nil), r.at, r.value)
			b.SetQuality([]byte(r.quality))
		}
		return new(scan).digestOf(b, b.End())
	}
	first, second := reading{"L1", "flow", "l/s", 1, 2, "A"}, reading{"L1", "level", "", 1, 2, ""}
	want := digest(0, first, second)
	if got := digest(3, first, second); got != want {
		t.Errorf("behind others it is %x, and else %x", got, want)
	}
	for name, of := range map[string][]reading{
		"logger":    {{"L2", "flow", "l/s", 1, 2, "A"}, second},
		"channel":   {{"L1", "level", "l/s", 1, 2, "A"}, second},
		"unit":      {{"L1", "flow", "m3/h", 1, 2, "A"}, second},
		"instant":   {{"L1", "flow", "l/s", 2, 2, "A"}, second},
		"value":     {{"L1", "flow", "l/s", 1, 3, "A"}, second},
		"quality":   {{"L1", "flow", "l/s", 1, 2, "B"}, second},
		"none":      {{"L1", "flow", "l/s", 1, 2, ""}, second},
		"moved":     {{"L1", "flow", "l/s", 1, 2, ""}, {"L1", "level", "", 1, 2, "A"}},
		"exchanged": {second, first},
		"missing":   {first},
		"repeated":  {first, second, second},
	} {
		if digest(0, of...) == want {
			t.Errorf("another %s has the same digest", name)
		}
	}
}

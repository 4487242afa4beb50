package store

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
)

func TestLatest(t *testing.T) {
	l := newLedger(t)
	l.exec("insert into series (logger, channel, unit, label) values ('L3', 'x', '', '')")
	for d := 1; d <= 3; d++ {
		l.file("site", "L1-"+day(d, 0).Format("02"), ingest.Loaded, day(d, 0), 10, 1, 2)
	}
	l.file("site", "L2", ingest.Loaded, day(2, 0), 10, 3)
	l.exec("update readings set value = 7.25 where series_id = 1 and ts = $1", day(3, 9))
	got, err := l.store.Latest(t.Context(), day(3, 0))
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if got[i].Channel == "" || got[i].Logger != "L1" || !got[i].At.Equal(day(3, 9)) {
			t.Errorf("%+v", got[i])
		}
	}
	if len(got) != 2 || got[0].Value != 7.25 {
		t.Errorf("%+v", got)
	}
	all, err := l.store.Latest(t.Context(), day(1, 0))
	if err != nil {
		t.Fatal(err)
	}
	var loggers []string
	for _, r := range all {
		loggers = append(loggers, r.Logger)
	}
	if d := cmp.Diff([]string{"L1", "L1", "L2"}, loggers); d != "" {
		t.Error(d)
	}
}

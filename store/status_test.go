package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"penstock/ingest"
	"penstock/store/pglocal/pgtest"
)

func TestStatus(t *testing.T) {
	l := newLedger(t)
	// L1 sends ten minutes' readings once a day and goes on; L2 does so too and
	// stops after its third file; L3 has no file that tells an interval.
	l.exec("insert into series (logger, channel, unit, label) values ('L3', 'x', '', '')")
	for d := 1; d <= 10; d++ {
		l.file("site", "L1-"+day(d, 0).Format("02"), ingest.Loaded, day(d, 0), 10, 1, 2)
		if d <= 3 {
			l.file("site", "L2-"+day(d, 0).Format("02"), ingest.Loaded, day(d, 1), 10, 3)
		}
	}
	l.file("file", "/bad", ingest.Quarantined, day(3, 0), 0)
	st, err := l.store.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if time.Since(st.At).Abs() > time.Hour {
		t.Errorf("at %v", st.At)
	}
	if st.Readings != 230 || st.Estimated {
		t.Errorf("%d readings, estimated: %v", st.Readings, st.Estimated)
	}
	if err := l.store.countReadings(t.Context(), st, 0); err != nil || st.Readings != 230 || !st.Estimated {
		t.Errorf("by the ledger %d readings, estimated: %v (%v)", st.Readings, st.Estimated, err)
	}
	if d := cmp.Diff([]FilesInState{{"file", ingest.Quarantined, 1}, {"site", ingest.Loaded, 13}}, st.Files); d != "" {
		t.Error(d)
	}
	run := Run{ID: 1, Started: day(1, 0), Command: "penstock replay /data", Host: "h", Version: "v1"}
	if d := cmp.Diff([]RunRate{{Run: run, Files: 14, Readings: 230, Took: 9 * 24 * time.Hour}}, st.Runs); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]SourceStatus{{"file", "", day(3, 0)}, {"site", "/data/site", day(10, 0)}}, st.Sources); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]LoggerStatus{
		{Logger: "L1", Channels: 2, LastReading: day(10, 9), Interval: 24 * time.Hour},
		{Logger: "L2", Channels: 1, LastReading: day(3, 10), Interval: 24 * time.Hour, Behind: true},
		{Logger: "L3", Channels: 1},
	}, st.Loggers); d != "" {
		t.Error(d)
	}
}

func TestStatusOfAnEmptyStore(t *testing.T) {
	s, err := Open(t.Context(), pgtest.Database(t), Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	st, err := s.Status(t.Context())
	if err != nil || st.Readings != 0 || len(st.Files)+len(st.Runs)+len(st.Sources)+len(st.Loggers) != 0 {
		t.Errorf("%+v, %v", st, err)
	}
}

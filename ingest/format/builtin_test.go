package format

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"penstock/ingest"
)

// TestFilesAreOfOneBuiltinProfile holds that no file of one layout is taken for
// another: each sample and each real file is matched by the built-in profile of
// its layout and by no other, or by none.
func TestFilesAreOfOneBuiltinProfile(t *testing.T) {
	oneGoroutine(t)
	known, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	alone := decodersOfOne(t, known)
	samplesOf := func(dir string) []string {
		if _, err := os.Stat(filepath.Join(dir, "profile.yaml")); err == nil {
			return nil
		}
		return samples(t, dir)
	}
	folders, err := filepath.Glob("../../testdata/*/expected.csv")
	if err != nil || len(folders) < len(known) {
		t.Fatalf("%d folders of samples for %d built-in profiles: %v", len(folders), len(known), err)
	}
	for _, folder := range folders {
		dir := filepath.Dir(folder)
		want := []string{filepath.Base(dir)}
		if p := alone[want[0]]; p == nil || !p.signed {
			want = nil // a profile of the folder's own, or one that is used by name only
		}
		for _, file := range samplesOf(dir) {
			checkMatches(t, alone, file, want)
		}
	}
}

func TestRealFilesAreOfOneBuiltinProfile(t *testing.T) {
	oneGoroutine(t)
	dir := sharedData(t)
	known, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	alone := decodersOfOne(t, known)
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	daily := 0
	for _, file := range files {
		kind := filepath.Base(filepath.Dir(file))
		if kind == "minidot_daily" {
			if daily++; daily > 3 {
				continue // hundreds of one kind
			}
		}
		want, ok := realProfiles[kind+"/"+filepath.Base(file)]
		if !ok {
			want = realProfiles[kind]
		}
		checkMatches(t, alone, file, []string{want})
	}
}

// realProfiles says by which profile the real files of a kind are read, where
// one kind has several dialects by file.
var realProfiles = map[string]string{
	"campbell_toa5":           "campbell-toa5",
	"dsmr_reader":             "dsmr-reader",
	"ea_hydrology":            "ea-hydrology",
	"hobo":                    "hobo-title",
	"hobo/20024370.txt":       "hobo-serial",
	"hobo/20847126_empty.txt": "hobo-serial",
	"insitu_winsitu":          "insitu-winsitu",
	"ltown_scada":             "scada-semicolon",
	"minidot_daily":           "minidot",
	"vanessen_mon":            "vanessen-mon",
}

// TestNearMisses holds that files that look much like those of a built-in
// profile, and are something else, are matched by none.
func TestNearMisses(t *testing.T) {
	oneGoroutine(t)
	known, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	alone := decodersOfOne(t, known)
	for name, text := range map[string]string{
		"2024_Flows.csv":                   "Timestamp;p1;p2\n2024-01-01 00:00:00;1.5;2.5\n",
		"order.csv":                        "Timestamp;p1\n03.04.2024 00:00:00;1,5\n",
		"long.csv":                         "Timestamp;Point;Value\n2024-01-01 00:00:00;p1;2,5\n",
		"comma.csv":                        "Timestamp,p1\n2024-01-01 00:00:00,\"1,5\"\n",
		"wide.csv":                         "timestamp,flow,level\n2024-01-01T00:00:00Z,1.5,2.5\n",
		"half.csv":                         "timestamp,station_id,flow [l/s]\n2024-01-01T00:00:00Z,17,2.5\n",
		"hobo.csv":                         "Date Time,Temp\n2024-01-01 00:00:00,1.5\n",
		"link.csv":                         "\"#\",\"Date-Time (PST)\",\"Ch: 1 - Temperature   (°C)\"\n1,01/31/2024 00:00:00,1.5\n",
		"notes.csv":                        "Application:;WinSitu.exe\nSite;a\nSerial Number;1\nDate and Time;Note\n29.02.2024 09:51:23;Device Reset\n",
		"troll.csv":                        "Date Time,Pressure (psi) (1),Depth (m) (1)\n2024-01-01 00:00:00.000,1.5,2\n",
		"peak.rdb":                         "# peaks\nagency_cd\tsite_no\tpeak_dt\tpeak_va\n5s\t15s\t10d\t8s\nUSGS\t1\t2024-01-01\t5\n",
		"dwd.txt":                          "STATIONS_ID;MESS_DATUM_BEGINN;MESS_DATUM_ENDE;QN_4;MO_TT;eor\n 3;20240101;20240131;3;1.5;eor\n",
		"buoy.txt":                         "#STN     LAT      LON  YYYY MM DD hh mm WDIR WSPD   GST\n#text    deg      deg   yr mo day hr mn degT  m/s   m/s\n13001 12 -23 2024 02 29 08 00 71 5.1 MM\n",
		"rows.txt":                         "2024 02 29 00   -33   -72 10182   280    31     8     0 -9999\n",
		"CRND0103-2024-XX_Nowhere_9_N.txt": "99999 20240229  2.622  -87.88   30.55    20.1     9.1    14.6    14.3     0.0    12.1 C\n",
		"station.csv":                      "Conventions,G,BADC-CSV,1\ntitle,G,stations\ndata\nsrc_id,station_name,first_year\n00001,foula,1989\nend data\n",
		"flood.csv":                        "dateTime,measure,value,quality\n2024-01-01T00:00:00Z,x,1,good\n",
		"area.csv":                         "measure,dateTime,value\nx,2024-01-01T00:00:00,1\n",
		"toaci1.dat":                       "\"TOACI1\",\"Mill\",\"Daily\"\n\"TMSTAMP\",\"RECNBR\",\"Batt_Min\"\n\"2024-01-01 00:00:00\",1,12.5\n",
		"array.dat":                        "101,2024,60,2345,12.61,1.204\n",
		"X900014_20240301000500.csv":       "a\nb\n2024-02-29;23:45:00;12,5\n",
		"levels.csv":                       "Date,Time,ms,LEVEL,TEMPERATURE\n2024/02/29,23:59:59,500,1.2,9.4\n",
		"text.PRN":                         "\"text\",\"Title: nothing but text\"\n\"text\",\"Site: a\"\n1,2\n",
		"diver.MON":                        "Data file for DataLogger.\nCOMPANY    : nobody\n",
		"Smartmeter.csv":                   "Hour Start,Power\n2024-01-01T00:00:00+01:00,5\n",
		"2024-01-01 000000Z.txt":           "7392-100200\nOS REV: 1.11\nTime (sec),  BV (Volts),  T (deg C)\n1709200800,+3.49,+7.4\n",
		"plain.csv":                        "logger,channel,time,value\na,b,2024-01-01T00:00:00Z,1\n",
	} {
		if got := matches(t, alone, name, []byte(text)); len(got) > 0 {
			t.Errorf("%s is taken for a file of %v", name, got)
		}
	}
}

// A decoderOfOne reads files by one profile, where its signature matches.
type decoderOfOne struct {
	*Decoder
	signed bool
}

func decodersOfOne(t *testing.T, profiles []*Profile) map[string]*decoderOfOne {
	t.Helper()
	alone := make(map[string]*decoderOfOne)
	for _, p := range profiles {
		set, err := NewSet(false, p)
		if err != nil {
			t.Fatal(err)
		}
		d, err := NewDecoder(set, Settings{Zone: "UTC"})
		if err != nil {
			t.Fatal(err)
		}
		alone[p.Name] = &decoderOfOne{d, strings.Contains(p.Text, "\nsignature:")}
	}
	return alone
}

// matches returns the names of the profiles whose signatures a file matches.
func matches(t *testing.T, alone map[string]*decoderOfOne, path string, text []byte) (names []string) {
	t.Helper()
	for name, d := range alone {
		b := &ingest.Batch{}
		if err := d.Decode(context.Background(), contentOf(path, text, false), b); err != nil {
			t.Fatal(err)
		}
		if b.Spans[0].Recipe != nil && b.Spans[0].Recipe.Profile == name {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func checkMatches(t *testing.T, alone map[string]*decoderOfOne, file string, want []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// Signatures are about the beginning; what follows would only cost time.
	const beginning = 32 << 10
	if len(text) > beginning {
		text = text[:beginning+bytes.IndexByte(text[beginning:], '\n')+1]
	}
	if got := matches(t, alone, filepath.Base(file), text); !slices.Equal(got, want) {
		t.Errorf("%s matches %q, want %q", file, got, want)
	}
}

// TestBuiltinsAskForTheZone holds that no built-in profile takes a zone for
// granted: where its samples need one said, they are held without it.
func TestBuiltinsAskForTheZone(t *testing.T) {
	zones, err := filepath.Glob("../../testdata/*/zone")
	if err != nil || len(zones) == 0 {
		t.Fatalf("no samples that need a zone: %v", err)
	}
	set, err := NewSet(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, zone := range zones {
		name := filepath.Base(filepath.Dir(zone))
		if set.ByName(name) == nil {
			continue
		}
		d, err := NewDecoder(set, Settings{Profile: name})
		if err != nil {
			t.Fatal(err)
		}
		held := 0
		for _, file := range samples(t, filepath.Dir(zone)) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			b := &ingest.Batch{}
			if err := d.Decode(context.Background(), contentOf(filepath.Base(file), text, false), b); err != nil {
				t.Fatal(err)
			}
			if s := &b.Spans[0]; s.State == ingest.Held && strings.Contains(s.Reason, "--zone") {
				held++
			}
		}
		if held == 0 {
			t.Errorf("%s: none of the samples is held when no zone is said", name)
		}
	}
}

// TestBuiltinsAskForTheOrder holds that dates that may be read in two ways are a
// question.
func TestBuiltinsAskForTheOrder(t *testing.T) {
	set, err := NewSet(true)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"hobo-title":         "\"Plot Title: a\"\n\"#\",\"Date Time, GMT-07:00\",\"Temp, °C (LGR S/N: 1, SEN S/N: 1)\"\n1,06/07/08 10:00:00,5\n2,06/07/08 11:00:00,6\n",
		"hobo-serial":        "Date Time;Temp (°C) LGR S/N: 1,  #1\n03.04.2024 05:00:00;7,87\n",
		"solinst-levelogger": "Serial_number:\n1\nLEVEL\nUNIT: m\nDate,Time,ms,LEVEL\n03/04/2024,10:00:00,0,1.5\n",
		"insitu-winsitu":     "Report Date:,03/04/2024\nApplication:,WinSitu.exe\nSite,a\nSerial Number,1\nDate and Time,Seconds,Depth (m)\n03/04/2024 10:00:00,0,1.5\n",
	} {
		d, err := NewDecoder(set, Settings{Zone: "UTC"})
		if err != nil {
			t.Fatal(err)
		}
		_, s := decodeOne(t, d, "a.csv", text)
		if s.State != ingest.Held || s.Recipe == nil || s.Recipe.Profile != name || !strings.Contains(s.Reason, "2024") && !strings.Contains(s.Reason, "2008") {
			t.Errorf("%s: %s %s", name, s.State, s.Reason)
		}
	}
}

// TestReadmeListsBuiltins holds that the README names each built-in profile, and
// that each has samples.
func TestReadmeListsBuiltins(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	known, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range known {
		name, split := strings.CutSuffix(p.Name, "-split")
		if !strings.Contains(string(readme), "`"+name+"`") || split && !strings.Contains(string(readme), "`-split`") {
			t.Errorf("README.md does not list the profile %s", p.Name)
		}
		if p.Description == "" || p.Source == "" {
			t.Errorf("%s does not say what it is of, or where that is described", p.Name)
		}
		if _, err := os.Stat(filepath.Join("../../testdata", p.Name, "expected.csv")); err != nil {
			t.Errorf("%s has no samples: %v", p.Name, err)
		}
	}
}

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// writeShapes writes fifty files of three shapes that tell no time zone.
func writeShapes(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for i := range 50 {
		var text string
		switch i % 3 {
		case 0:
			text = fmt.Sprintf("logger,channel,timestamp,value\nA%d,flow,2024-05-01 00:%02d:00,%d\n", i%7, i, i)
		case 1:
			text = fmt.Sprintf("logger,channel,timestamp,value,unit\nB%d,flow,2024-05-01 00:%02d:00,%d,l/s\n", i%7, i, i)
		case 2:
			text = fmt.Sprintf("\"TOA5\",\"C%d\",\"CR1000\",\"1\",\"2\",\"3\",\"4\",\"Met\"\n\"TIMESTAMP\",\"RECORD\",\"Level\"\n\"TS\",\"RN\",\"m\"\n\"\",\"\",\"Avg\"\n\"2024-05-01 00:%02d:00\",%d,%d\n", i%7, i, i, i)
		}
		path := filepath.Join(dir, fmt.Sprintf("d%d", i%4), fmt.Sprintf("f%02d.csv", i))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Fifty files of three shapes take three approvals. One that is killed at any
// step of the commit, and said again, leaves what an undisturbed one leaves.
func TestThreeApprovals(t *testing.T) {
	t.Parallel()
	b := &bed{t: t, binary: failpointBinary(t), site: writeShapes(t)}
	run := func(url, failpoint string, args ...string) ([]byte, error) {
		cmd := exec.Command(b.binary, append([]string{"--store", url}, args...)...)
		cmd.Env = os.Environ()
		if failpoint != "" {
			cmd.Env = append(cmd.Env, "PENSTOCK_FAILPOINT="+failpoint)
		}
		return cmd.Output()
	}
	var shapes []struct {
		Shape string
		Files int
	}
	pending := func(url string) int {
		t.Helper()
		out, err := run(url, "", "profiles", "pending", "-o", "json")
		if err == nil {
			err = json.Unmarshal(out, &shapes)
		}
		if err != nil {
			t.Fatal(err)
		}
		return len(shapes)
	}
	zones := []string{"UTC", "Europe/London", "+05:00"}
	approve := func(url string, n int, failpoint string) error {
		_, err := run(url, failpoint, "profiles", "approve", shapes[n].Shape, "--set", "zone="+zones[n], "--chunk", "6", "--workers", "2")
		return err
	}
	held := func() string {
		t.Helper()
		url := b.database()
		b.finish(url)
		if n := pending(url); n != 3 || shapes[0].Files+shapes[1].Files+shapes[2].Files != 50 {
			t.Fatalf("%d shapes wait: %v", n, shapes)
		}
		return url
	}
	url := held()
	for n := range zones {
		if err := approve(url, n, ""); err != nil {
			t.Fatal(err)
		}
	}
	b.clean = b.contents(url)
	if n := pending(url); n != 0 || len(b.clean) != 100 {
		t.Fatalf("%d shapes wait after three approvals, of %d readings and files", n, len(b.clean))
	}
	for _, failpoint := range []string{"approved:1", "claimed:1", "stored:2", "accounted:1", "committed:2"} {
		url := held()
		if err := approve(url, 0, failpoint); !killed(err) {
			t.Fatalf("%s: not killed: %v", failpoint, err)
		}
		for n := range zones {
			if err := approve(url, n, ""); err != nil {
				t.Fatalf("%s: %v", failpoint, err)
			}
		}
		b.compare(url, failpoint)
	}
}

// Files of one reading each of an hour that clocks showed twice, of which only
// the order of arrival tells the passes, keep all their readings through a kill
// at any step, and through a reload.
func TestKilledInARepeatedHour(t *testing.T) {
	t.Parallel()
	b := &bed{t: t, binary: failpointBinary(t), site: t.TempDir()}
	for i := range 8 {
		text := fmt.Sprintf("logger,channel,timestamp,value\nL1,flow,2024-10-27 01:%02d:00,%d\n", i%4*15, i)
		if err := os.WriteFile(filepath.Join(b.site, fmt.Sprintf("f%d.csv", i)), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	profile := filepath.Join(t.TempDir(), "hour.yaml")
	if err := os.WriteFile(profile, []byte(`name: hour
signature: {header: [logger, channel, timestamp, value]}
shape: long
logger: {column: logger}
channel: {column: channel}
value: value
timestamp: {column: timestamp, layout: "2006-01-02 15:04:05", zone: Europe/London, repeated_hour: by_arrival}
`), 0o644); err != nil {
		t.Fatal(err)
	}
	how := []string{"--profile", profile, "--workers", "1", "--chunk", "1"}
	url := b.database()
	b.finish(url, how...)
	if b.clean = b.contents(url); len(b.clean) != 16 {
		t.Fatalf("an undisturbed run leaves %q", b.clean)
	}
	for _, failpoint := range []string{"claimed:3", "stored:6", "accounted:5", "committed:7"} {
		url := b.database()
		cmd := b.replay(url, how...)
		cmd.Env = append(os.Environ(), "PENSTOCK_FAILPOINT="+failpoint)
		if out, err := cmd.CombinedOutput(); !killed(err) {
			t.Fatalf("%s: not killed: %v\n%s", failpoint, err, out)
		}
		b.finish(url, how...)
		b.compare(url, failpoint)
		reload := exec.Command(b.binary, "--store", url, "files", "reload", "--profile", profile, "*.csv")
		if out, err := reload.CombinedOutput(); err != nil {
			t.Fatalf("%s: loading again: %v\n%s", failpoint, err, out)
		}
		b.compare(url, failpoint+", loaded again")
	}
}

// An approval of a channel that is new, killed once the answer is kept and before
// the files that are loaded without it are loaded again, is gone on with by the
// same command.
func TestKilledApprovingAChannel(t *testing.T) {
	t.Parallel()
	b := &bed{t: t, binary: failpointBinary(t)}
	url := b.database()
	write := func(day int, header, cells string) {
		t.Helper()
		text := "timestamp," + header + "\n"
		for hour := range 24 {
			text += fmt.Sprintf("2024-05-%02dT%02d:00:00Z,%s\n", day, hour, fmt.Sprintf(cells, hour))
		}
		if err := os.WriteFile(filepath.Join(b.site, fmt.Sprintf("KA17_202405%02d.csv", day)), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b.site = t.TempDir()
	write(1, "flow,level", "1%d.5,0.25")
	b.finish(url)
	b.site = t.TempDir()
	write(2, "flow,level,temp", "1%d.5,0.25,7.75")
	b.finish(url)
	var shapes []struct {
		Shape        string
		PartlyLoaded int `json:"partly_loaded"`
		Answered     bool
	}
	pending := func() int {
		t.Helper()
		out, err := exec.Command(b.binary, "--store", url, "profiles", "pending", "-o", "json").Output()
		if err == nil {
			err = json.Unmarshal(out, &shapes)
		}
		if err != nil {
			t.Fatal(err)
		}
		return len(shapes)
	}
	if n := pending(); n != 1 || shapes[0].PartlyLoaded != 1 || shapes[0].Answered {
		t.Fatalf("%d shapes wait: %+v", n, shapes)
	}
	approve := func(failpoint string) error {
		cmd := exec.Command(b.binary, "--store", url, "profiles", "approve", shapes[0].Shape)
		cmd.Env = append(os.Environ(), "PENSTOCK_FAILPOINT="+failpoint)
		return cmd.Run()
	}
	if err := approve("approved:1"); !killed(err) {
		t.Fatalf("not killed: %v", err)
	}
	if n := pending(); n != 1 || shapes[0].PartlyLoaded != 1 || !shapes[0].Answered {
		t.Fatalf("%d shapes wait: %+v", n, shapes)
	}
	if err := approve(""); err != nil {
		t.Fatal(err)
	}
	if n := pending(); n != 0 {
		t.Errorf("%d shapes wait: %+v", n, shapes)
	}
	if all := b.contents(url); len(all) != 24*(2+3)+2 {
		t.Errorf("%d rows are left: %q", len(all), all)
	}
	if out, err := exec.Command(b.binary, "--store", url, "files", "verify").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

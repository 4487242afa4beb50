package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"penstock/store/pglocal/pgtest"
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
	b := &bed{t: t, binary: failpointBinary(t), site: writeShapes(t), server: pgtest.Server(t)}
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

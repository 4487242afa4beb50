package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// Large files that came anew under their names are loaded in the place of those that
// were there, whenever the process is killed: also where the first ones were not
// loaded to the end.
func TestKilledWhileLargeFilesAreReplaced(t *testing.T) {
	t.Parallel()
	b := newPartsBed(t)
	first, second := b.site, t.TempDir()
	b.writeLarge(second, 1)
	at := func(site string) *bed { b.site = site; return b }
	source := []string{"--source", "site"}
	cut := append(source, "--part", "300B")
	url := b.database()
	at(first).finish(url, append(source, "--atomic")...)
	at(second).finish(url, append(source, "--atomic")...)
	b.clean = b.contents(url)
	kill := func(url, step string, n int) {
		t.Helper()
		cmd := b.replay(url, cut...)
		cmd.Env = append(os.Environ(), fmt.Sprintf("PENSTOCK_FAILPOINT=%s:%d", step, n))
		if out, err := cmd.CombinedOutput(); !killed(err) {
			t.Fatalf("not killed at %s, time %d: %v\n%s", step, n, err, out)
		}
	}
	steps, times := []string{"parted", "settling", "finishing"}, []int{2}
	if soak() {
		steps, times = []string{"claiming", "claimed", "parting", "parted", "settling", "finishing", "finished"}, []int{1, 2, 3, 5}
	}
	for _, step := range steps {
		for _, n := range times {
			url := b.database()
			at(first).finish(url, cut...)
			at(second)
			kill(url, step, n)
			if n%2 == 0 {
				kill(url, step, n)
			}
			b.finish(url, cut...)
			b.settled(url, fmt.Sprintf("killed at %s, time %d", step, n))
		}
		// What the second ones follow was not loaded to the end, and stays so in the
		// ledger; of the readings that stand nothing tells of it.
		url := b.database()
		at(first)
		kill(url, step, 2)
		at(second).finish(url, cut...)
		at(first).finish(url, append(cut, "--ignore", "large*")...) // the small ones
		if diff := cmp.Diff(b.observations(b.clean), b.observations(b.contents(url))); diff != "" {
			t.Fatalf("killed at %s of what was replaced then (-clean run +this):\n%s", step, diff)
		}
	}
}

// Parts that are committed when a process is killed are not loaded again.
func TestCommittedPartsStay(t *testing.T) {
	t.Parallel()
	b := &bed{t: t, binary: failpointBinary(t), site: t.TempDir()}
	var text strings.Builder
	text.WriteString("logger,channel,timestamp,value\n")
	for n := range 3000 {
		fmt.Fprintf(&text, "N1,flow,%s,%d\n", time.Date(2024, 5, 1, 0, n, 0, 0, time.UTC).Format(time.RFC3339), n)
	}
	if err := os.WriteFile(filepath.Join(b.site, "large.csv"), []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at, part string
		bytes    int64 // as the ledger has them
	}{
		{"parted:1", "3kB", 3000},
		{"parting:5", "3kB", 3000},
		{"parted:12", "3kB", 3000},
		{"finishing:1", "3kB", 3000},
		{"parted:1", "20kB", 0}, // these are kept, and cut by series
		{"parting:3", "20kB", 0},
		{"finishing:1", "20kB", 0},
	} {
		at := c.at
		url := b.database()
		cmd := b.replay(url, "--part", c.part)
		cmd.Env = append(os.Environ(), "PENSTOCK_FAILPOINT="+at)
		if out, err := cmd.CombinedOutput(); !killed(err) {
			t.Fatalf("%s: not killed: %v\n%s", at, err, out)
		}
		on(t, url, func(conn *pgx.Conn) {
			var bytes int64
			if err := conn.QueryRow(t.Context(), "select bytes from penstock.loadings").Scan(&bytes); err != nil || bytes != c.bytes {
				t.Errorf("parts of %s are said to be of %d bytes, want %d (%v)", c.part, bytes, c.bytes, err)
			}
			if _, err := conn.Exec(t.Context(), "create table before as select ts, ctid::text as place, xmin::text as by from penstock.readings"); err != nil {
				t.Fatal(err)
			}
		})
		b.finish(url, "--part", c.part)
		on(t, url, func(conn *pgx.Conn) {
			var before, stayed, all int
			err := conn.QueryRow(t.Context(), `select (select count(*) from before), (select count(*) from penstock.readings),
				(select count(*) from before b join penstock.readings r on r.ts = b.ts and r.ctid::text = b.place and r.xmin::text = b.by)`).Scan(&before, &all, &stayed)
			if err != nil || before == 0 || before == all && at != "finishing:1" || stayed != before || all != 3000 {
				t.Errorf("%s: of %d readings that were there %d are as they were, of %d in the end (%v)", at, before, stayed, all, err)
			}
		})
	}
}

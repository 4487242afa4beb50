package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// newPartsBed makes a bed of files that contradict one another, and larger ones
// that do so with them and with one another: in order, from the newest to the
// oldest, and in none, with repeats many parts apart, a twin of one, and compressed.
// What stands is that of a run that loads each of them in one transaction.
func newPartsBed(t *testing.T) *bed {
	b := &bed{t: t, binary: failpointBinary(t), site: writeContradictions(t, 24)}
	pack(t, filepath.Join(b.site, "d2"))
	b.writeLarge(b.site, 0)
	url := b.database()
	b.finish(url, "--atomic")
	b.clean = b.contents(url)
	return b
}

// writeLarge writes large files below a site. Those of another revision have other
// values in about half of their readings, and are newer.
func (b *bed) writeLarge(site string, revision int) {
	b.t.Helper()
	random, revised := rand.New(rand.NewPCG(11, 12)), rand.New(rand.NewPCG(15, 16))
	var first string
	for i := range 8 {
		var s strings.Builder
		s.WriteString("logger,channel,timestamp,value\n")
		for n := range 120 {
			minute := n / 3
			switch i % 3 {
			case 1:
				minute = 60 - n/3
			case 2:
				minute = random.IntN(50)
			}
			at := time.Date(2024, 5, 1, 12, minute, 0, 0, time.UTC)
			value := random.IntN(4)
			if revision > 0 && revised.IntN(2) == 0 {
				value += 10
			}
			fmt.Fprintf(&s, "L%d,flow,%s,%d\n", n%3, at.Format(time.RFC3339), value)
			if n == 70 {
				s.WriteString("L0,\"fl\now\",2024-05-01T12:00:00Z,not a number\n\n")
			}
		}
		text, name := s.String(), fmt.Sprintf("large%d.csv", i)
		switch i {
		case 0:
			first = text
		case 6:
			text = first
		case 7:
			var packed bytes.Buffer
			w := gzip.NewWriter(&packed)
			if _, err := w.Write([]byte(text)); err != nil {
				b.t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				b.t.Fatal(err)
			}
			text, name = packed.String(), name+".gz"
		}
		path := filepath.Join(site, "large", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			b.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			b.t.Fatal(err)
		}
		modified := time.Date(2024, 5, 1+2*revision, 12+random.IntN(20), 0, 0, 0, time.UTC)
		if err := os.Chtimes(path, modified, modified); err != nil {
			b.t.Fatal(err)
		}
	}
}

// settled sees to it that nothing is left of the parts once all is loaded.
func (b *bed) settled(url, how string) {
	b.t.Helper()
	b.compare(url, how)
	on(b.t, url, func(conn *pgx.Conn) {
		var left int
		err := conn.QueryRow(b.t.Context(), `select (select count(*) from penstock.loadings) + (select count(*) from penstock.parts) + (select count(*) from penstock.waiting)`).Scan(&left)
		if err != nil || left != 0 {
			b.t.Fatalf("%s: %d rows of parts are left (%v)", how, left, err)
		}
	})
}

// observations are those of what contents returned.
func (b *bed) observations(contents []string) (all []string) {
	for _, line := range contents {
		if logger, _, _ := strings.Cut(line, " "); len(logger) == 2 && logger[0] == 'L' {
			all = append(all, line)
		}
	}
	return all
}

func TestPartsAreAsOneTransaction(t *testing.T) {
	t.Parallel()
	b := newPartsBed(t)
	for _, part := range []string{"1B", "90B", "700B", "1kB", "3kB"} {
		for _, workers := range []string{"1", "4"} {
			url := b.database()
			how := []string{"--part", part, "--workers", workers}
			b.finish(url, how...)
			b.settled(url, strings.Join(how, " "))
		}
	}
}

// A file of local times has an hour that clocks showed twice, of which the rows
// beside it tell the passes: it is loaded in parts as any other.
func TestPartsOfLocalTimes(t *testing.T) {
	t.Parallel()
	b := &bed{t: t, binary: failpointBinary(t), site: t.TempDir()}
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	text.WriteString("logger,channel,timestamp,value\n")
	begin := time.Date(2024, 10, 26, 22, 0, 0, 0, time.UTC)
	for n := range 60 {
		fmt.Fprintf(&text, "L%d,flow,%s,%d\n", n%3, begin.Add(time.Duration(n/3)*15*time.Minute).In(london).Format(time.DateTime), n)
	}
	if err := os.WriteFile(filepath.Join(b.site, "local.csv"), []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	zone := []string{"--zone", "Europe/London"}
	url := b.database()
	b.finish(url, append(zone, "--atomic")...)
	b.clean = b.contents(url)
	for _, step := range []string{"", "claimed:1", "parted:9"} {
		url := b.database()
		how := append(zone, "--part", "90B")
		cmd := b.replay(url, append(how, "--log-level", "debug")...)
		cmd.Env = append(os.Environ(), "PENSTOCK_FAILPOINT="+step)
		out, err := cmd.CombinedOutput()
		if strings.Contains(string(out), "committed whole") {
			t.Errorf("it is not loaded in parts:\n%s", out)
		}
		if killed(err) != (step != "") {
			t.Fatalf("killed at %q: %v\n%s", step, err, out)
		}
		b.finish(url, how...)
		b.settled(url, "local times, killed at "+step)
		on(t, url, func(conn *pgx.Conn) {
			var n, last int
			err := conn.QueryRow(t.Context(), `select count(distinct ts), max(extract(epoch from ts - $1))::int / 60 from penstock.observations`, begin).Scan(&n, &last)
			if err != nil || n != 20 || last != 19*15 {
				t.Errorf("%d instants, the last %d minutes behind the first (%v)", n, last, err)
			}
		})
	}
}

func TestKilledAtEveryStepOfParts(t *testing.T) {
	t.Parallel()
	b := newPartsBed(t)
	times, parts := []int{1, 4}, []string{"300B", "700B"} // as they come, and kept and by series
	if soak() {
		times = []int{1, 2, 3, 4, 5, 6}
	}
	for i, step := range []string{"claiming", "claimed", "parting", "parted", "settling", "finishing", "finished"} {
		for _, n := range times {
			part, other := parts[(n+i)%2], parts[(n+i+1)%2]
			how := fmt.Sprintf("killed at %s of parts of %s, time %d", step, part, n)
			url := b.database()
			cmd := b.replay(url, "--part", part)
			cmd.Env = append(os.Environ(), fmt.Sprintf("PENSTOCK_FAILPOINT=%s:%d", step, n))
			if out, err := cmd.CombinedOutput(); !killed(err) {
				t.Fatalf("%s: not killed: %v\n%s", how, err, out)
			}
			// As it was cut, cut otherwise, and whole.
			then := [][]string{{"--part", part}, {"--part", other}, {"--atomic"}}[(n+len(step))%3]
			b.finish(url, then...)
			b.settled(url, how+", then "+strings.Join(then, " "))
		}
	}
}

// What was given up is taken up again though the run ends before it is claimed.
func TestKilledAfterGivingUp(t *testing.T) {
	t.Parallel()
	b := newPartsBed(t)
	url := b.database()
	for _, how := range []struct{ step, flag string }{{"parted:3", "--part=300B"}, {"given up:1", "--part=500B"}, {"parted:2", "--part=500B"}, {"given up:1", "--atomic"}} {
		cmd := b.replay(url, how.flag)
		cmd.Env = append(os.Environ(), "PENSTOCK_FAILPOINT="+how.step)
		if out, err := cmd.CombinedOutput(); !killed(err) {
			t.Fatalf("%s: not killed: %v\n%s", how.step, err, out)
		}
	}
	b.finish(url, "--part", "300B")
	b.settled(url, "killed after giving up")
}

// A file that was left loading is none that is loaded: a dry run shows what it holds.
func TestDryRunOfALoadingFile(t *testing.T) {
	t.Parallel()
	b := &bed{t: t, binary: failpointBinary(t), site: t.TempDir()}
	if err := os.WriteFile(filepath.Join(b.site, "large.csv"), []byte(longFile("L1", make([]float64, 20)...)), 0o644); err != nil {
		t.Fatal(err)
	}
	url := b.database()
	cmd := b.replay(url, "--part", "90B")
	cmd.Env = append(os.Environ(), "PENSTOCK_FAILPOINT=parted:1")
	if out, err := cmd.CombinedOutput(); !killed(err) {
		t.Fatalf("not killed: %v\n%s", err, out)
	}
	out, err := b.replay(url, "--dry-run", "--output", "csv").Output()
	if n := strings.Count(string(out), "\n"); err != nil || n != 21 {
		t.Errorf("%v: %d lines of 20 readings and a header:\n%s", err, n, out)
	}
}

func TestPartsKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	b := newPartsBed(t)
	moments := 5
	if soak() {
		moments = 60
	}
	parts := []string{"200B", "700B"} // as they come, and kept and by series
	url := b.database()
	start := time.Now()
	b.finish(url, "--part", parts[0])
	took := time.Since(start)
	random := rand.New(rand.NewPCG(13, 14))
	for i := range moments {
		url := b.database()
		part := parts[i%2]
		for range 1 + i%3 {
			cmd := b.replay(url, "--part", part)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			timer := time.AfterFunc(time.Duration(random.Int64N(int64(took))), func() { _ = cmd.Process.Kill() }) // it may have ended
			_ = cmd.Wait()
			timer.Stop()
		}
		b.finish(url, "--part", part)
		b.settled(url, fmt.Sprintf("moment %d, parts of %s", i, part))
	}
}

func TestThreeProcessesAtTheSameParts(t *testing.T) {
	t.Parallel()
	b := newPartsBed(t)
	rounds := 3
	if soak() {
		rounds = 15
	}
	for i := range rounds {
		url := b.database()
		var wg sync.WaitGroup
		part := []string{"700B", "300B"}[i%2]
		third := []string{part, []string{"300B", "500B"}[i%2]}[i/2%2] // which takes from the others what they are loading
		for _, how := range [][]string{{"--workers", "1", "--part", part}, {"--workers", "4", "--part", part}, {"--workers", "2", "--part", third}} {
			wg.Go(func() {
				if out, err := b.replay(url, how...).CombinedOutput(); exitCode(err) != 3 && exitCode(err) != 0 {
					t.Errorf("replay %v: %v\n%s", how, err, out)
				}
			})
		}
		wg.Wait()
		b.settled(url, fmt.Sprintf("round %d", i))
	}
}

// A daemon that was killed while a large file was loading goes on with it, from the
// archive where the folder has it no more.
func goesOnWithParts(t *testing.T, s *stage) {
	r := s.trial(t, `
pipeline: {part: 90B, workers: 2}
sources:
  - {name: north, url: north, poll: 1s, settle: 0}
`)
	const readings = 3000
	var text strings.Builder
	text.WriteString("logger,channel,timestamp,value\n")
	for n := range readings {
		fmt.Fprintf(&text, "N1,flow,%s,%d\n", time.Date(2024, 5, 1, 0, n, 0, 0, time.UTC).Format(time.RFC3339), n)
	}
	r.write("north/large.csv", text.String())
	r.begin()
	r.comes("true", "select count(*) > 20 from penstock.parts")
	r.comes("0", "select count(*) from penstock.observations")
	r.signal(os.Kill)
	<-r.ended
	r.comes("loading", "select state from penstock.files")
	if err := os.Remove(filepath.Join(r.dir, "north", "large.csv")); err != nil {
		t.Fatal(err)
	}
	r.begin()
	r.write("north/small.csv", longFile("N2", 1))
	r.comes("1", "select count(*) from penstock.observations where logger = 'N2'")
	r.comes(fmt.Sprint(readings+1), "select count(*) from penstock.observations")
	r.comes("loaded, loaded", "select string_agg(state::text, ', ') from penstock.files")
	r.comes("0", "select count(*) from penstock.parts")
	// It grows, and is another one.
	r.write("north/large.csv", text.String()+"N1,flow,2025-05-01T00:00:00Z,1\n")
	r.comes(fmt.Sprint(readings+2), "select count(*) from penstock.observations")
	r.write("north/large.csv", longFile("N3", make([]float64, 23)...))
	r.comes("23", "select count(*) from penstock.observations where logger = 'N3'")
	r.penstock(0, "files", "verify")
	r.end(0)
}

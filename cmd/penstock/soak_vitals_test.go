package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// vitals are what the daemon takes of the machine, seen once a second.
type vitals struct {
	address string // of its metrics
	sources int    // that it has

	mu    sync.Mutex
	lives []life
	more  chan struct{} // closed when there is a sample more
	rest  []resting
}

// A life is one process of the daemon.
type life struct {
	pid     int
	samples []sample
}

// A sample is what the daemon takes at a moment.
type sample struct {
	goroutines, descriptors float64
	anonymous               float64 // MiB
	listed                  int     // sources that this life has been done with once
}

// A resting is the least that the daemon takes while it has nothing to do.
type resting struct {
	when  string
	least sample
}

const (
	sampleEvery = time.Second
	restFor     = 6 // samples
	// longLife is how many samples a life must have to be judged by itself.
	longLife = 120
)

func newVitals(address string, sources int) *vitals {
	return &vitals{address: address, sources: sources, more: make(chan struct{})}
}

// born begins a life.
func (v *vitals) born(pid int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.lives = append(v.lives, life{pid: pid})
}

// watch takes samples until ctx ends.
func (v *vitals) watch(ctx context.Context) {
	client := &http.Client{Timeout: sampleEvery, Transport: &http.Transport{DisableKeepAlives: true}}
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		v.mu.Lock()
		n := len(v.lives) - 1
		pid := v.lives[n].pid
		v.mu.Unlock()
		taken, err := look(ctx, client, v.address, pid)
		if err != nil {
			continue // it is dead, or not that far yet
		}
		v.mu.Lock()
		v.lives[n].samples = append(v.lives[n].samples, taken)
		close(v.more)
		v.more = make(chan struct{})
		v.mu.Unlock()
	}
}

var (
	goroutines = regexp.MustCompile(`^go_goroutines (\S+)`)
	anonymous  = regexp.MustCompile(`(?m)^RssAnon:\s+(\d+) kB`)
)

// look takes a sample of a process that tells its goroutines itself.
func look(ctx context.Context, client *http.Client, address string, pid int) (taken sample, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return taken, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return taken, err
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if m := goroutines.FindStringSubmatch(lines.Text()); m != nil {
			taken.goroutines, err = strconv.ParseFloat(m[1], 64)
		}
		if strings.HasPrefix(lines.Text(), "penstock_last_cycle_timestamp_seconds{") {
			taken.listed++
		}
	}
	descriptors, dirErr := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	status, statusErr := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	m := anonymous.FindSubmatch(status)
	if err != nil || dirErr != nil || statusErr != nil || m == nil || taken.goroutines == 0 {
		return taken, fmt.Errorf("process %d: %w, %w, %w", pid, err, dirErr, statusErr)
	}
	taken.descriptors = float64(len(descriptors))
	kib, err := strconv.ParseFloat(string(m[1]), 64)
	taken.anonymous = kib / 1024
	return taken, err
}

// rests notes the least that the daemon takes over some samples of this life, from
// when it has begun with all its sources.
func (v *vitals) rests(t *testing.T, when string) {
	t.Helper()
	limit := time.After(time.Minute)
	v.mu.Lock()
	from := len(v.lives[len(v.lives)-1].samples)
	v.mu.Unlock()
	for {
		v.mu.Lock()
		more := v.more
		samples := slices.DeleteFunc(slices.Clone(v.lives[len(v.lives)-1].samples[from:]), func(s sample) bool { return s.listed < v.sources })
		if len(samples) >= restFor {
			v.rest = append(v.rest, resting{when, reduce(samples, slices.Min[[]float64])})
			v.mu.Unlock()
			return
		}
		v.mu.Unlock()
		select {
		case <-more:
		case <-limit:
			t.Fatalf("the daemon's metrics do not answer, %s", when)
		}
	}
}

// reduce makes one sample of many.
func reduce(samples []sample, by func([]float64) float64) sample {
	of := func(what func(sample) float64) float64 {
		all := make([]float64, len(samples))
		for i, s := range samples {
			all[i] = what(s)
		}
		return by(all)
	}
	return sample{
		goroutines:  of(func(s sample) float64 { return s.goroutines }),
		descriptors: of(func(s sample) float64 { return s.descriptors }),
		anonymous:   of(func(s sample) float64 { return s.anonymous }),
	}
}

func middle(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// judge looks for growth, and prints the figures.
//
// A life of two minutes or more is judged by itself: the median of its last
// quarter may not be above that of its second, the first being the start, by
// more than a quarter and what work alone sways: connections to servers and to
// the database that come and go with it, and the garbage collector's own rhythm.
// And at rest, with all caught up, a daemon that has lived through the faults has
// no more than one that has just begun, but for such connections: what leaks with
// each fault, each cycle or each file adds up, within the hour, to far more.
func (v *vitals) judge(t *testing.T) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	var report strings.Builder
	slack := sample{goroutines: 24, descriptors: 16, anonymous: 16}
	grew := func(what string, before, after, share, slack float64) {
		if after > before*(1+share)+slack {
			t.Errorf("%s grew from %.0f to %.0f", what, before, after)
		}
	}
	for i, l := range v.lives {
		n := len(l.samples)
		if n < longLife {
			continue
		}
		early, late := reduce(l.samples[n/4:n/2], middle), reduce(l.samples[n*3/4:], middle)
		fmt.Fprintf(&report, "life %d, %d s: goroutines %.0f, then %.0f; descriptors %.0f, then %.0f; anonymous memory %.1f MiB, then %.1f\n",
			i+1, n, early.goroutines, late.goroutines, early.descriptors, late.descriptors, early.anonymous, late.anonymous)
		name := fmt.Sprintf("in life %d, ", i+1)
		grew(name+"the number of goroutines", early.goroutines, late.goroutines, 0.25, slack.goroutines)
		grew(name+"the number of descriptors", early.descriptors, late.descriptors, 0.25, slack.descriptors)
		grew(name+"anonymous memory in MiB", early.anonymous, late.anonymous, 0.25, slack.anonymous)
	}
	for _, r := range v.rest {
		fmt.Fprintf(&report, "at rest, %s: %.0f goroutines, %.0f descriptors, %.1f MiB of anonymous memory\n", r.when, r.least.goroutines, r.least.descriptors, r.least.anonymous)
	}
	old, anew := v.rest[0].least, v.rest[len(v.rest)-1].least
	grew("at rest, the number of goroutines", anew.goroutines, old.goroutines, 0, slack.goroutines)
	grew("at rest, the number of descriptors", anew.descriptors, old.descriptors, 0, slack.descriptors)
	t.Logf("%d lives\n%s", len(v.lives), report.String())
}

package monitor

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// A Patience is how long a source may go without progress before it counts as
// stuck.
type Patience struct {
	// Still is how long it may end no listing, or have files that wait while none
	// is under way; three polls, where that is longer.
	Still time.Duration
	// UnderWay is how long files may be under way and none come to its end.
	UnderWay time.Duration
}

// DefaultPatience is that of a daemon: a year's file over a slow line takes its
// time, and would begin anew with each restart.
func DefaultPatience() Patience { return Patience{Still: 10 * time.Minute, UnderWay: 3 * time.Hour} }

// A Want is one thing that is not as it should be. Source is "" where it is
// the whole process.
type Want struct {
	What   string `json:"what"` // store, lease, progress or sources
	Source string `json:"source,omitempty"`
	Reason string `json:"reason"`
}

// Stuck names what makes no progress though nothing hinders it: the supervisor,
// where it was to be heard of by now, without a source; and sources of which for
// ten minutes (three polls, where that is longer) no listing ended, or files wait
// and none is under way; or for three hours none that is under way was dealt
// with. Waiting that was told by Waits, Failed or Store is no fault of the process,
// and no restart would end it; nor is standing by. What an empty list promises is
// what systemd's watchdog and /healthz go by.
func (m *Monitor) Stuck() []Want {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	var stuck []Want
	if late := now.Sub(m.heard); !m.heard.IsZero() && late > 0 {
		stuck = append(stuck, Want{What: "progress", Reason: "the supervisor was to be heard of " + late.Round(time.Second).String() + " ago"})
	}
	if m.store != "" {
		return stuck // nothing can be committed
	}
	for name, w := range m.sources {
		if w.lease.asked && !w.lease.held {
			continue // it stands by, for years if need be
		}
		patience := max(m.patience.Still, 3*w.poll)
		still, idle := now.Sub(w.moved), now.Sub(w.worked)
		switch {
		case still > patience:
			stuck = append(stuck, Want{"progress", name, fmt.Sprintf("no listing and no commit ended for %s", still.Round(time.Second))})
		case w.queued > 0 && w.underWay == 0 && idle > patience, w.underWay > 0 && idle > max(patience, m.patience.UnderWay):
			stuck = append(stuck, Want{"progress", name, fmt.Sprintf("%d files wait and %d are under way, and none was dealt with for %s", w.queued, w.underWay, idle.Round(time.Second))})
		}
	}
	return sorted(stuck)
}

// Missing names what keeps the process from taking part: the store or its
// schema, a lease that it does not hold, or sources, when it has none.
func (m *Monitor) Missing() []Want {
	m.mu.Lock()
	defer m.mu.Unlock()
	var missing []Want
	if m.store != "" {
		missing = append(missing, Want{What: "store", Reason: m.store})
	}
	if len(m.sources) == 0 {
		missing = append(missing, Want{What: "sources", Reason: "none is followed yet"})
	}
	for name, w := range m.sources {
		if w.lease.asked && !w.lease.held {
			missing = append(missing, Want{"lease", name, w.lease.reason})
		}
	}
	return sorted(missing)
}

// waiting names what hinders: the store, where it is away, and the sources that
// rightly do nothing, and why.
func (m *Monitor) waiting() []Want {
	m.mu.Lock()
	defer m.mu.Unlock()
	var waiting []Want
	if m.store != "" {
		waiting = append(waiting, Want{What: "store", Reason: m.store})
	}
	for name, w := range m.sources {
		if w.waits != "" {
			waiting = append(waiting, Want{"waits", name, w.waits})
		}
	}
	return sorted(waiting)
}

func sorted(wants []Want) []Want {
	slices.SortFunc(wants, func(a, b Want) int { return cmp.Or(cmp.Compare(a.What, b.What), cmp.Compare(a.Source, b.Source)) })
	return wants
}

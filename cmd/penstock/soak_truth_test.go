package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A truthKeeper knows what loggers uploaded. Its methods may be called
// concurrently.
type truthKeeper struct {
	mu    sync.Mutex
	files map[place]*uploaded
}

// A place is a file's path at a site.
type place struct{ site, path string }

// An uploaded is all that stood at a path: each version when it was whole, and
// what stood there in part for so long that nobody could know.
type uploaded struct {
	history []stood
	last    recording // what is whole there
	sum     string    // SHA-256 of that
}

type stood struct {
	sum   string // SHA-256, in hexadecimal
	whole bool
}

func newTruth() *truthKeeper { return &truthKeeper{files: make(map[place]*uploaded)} }

// whole notes that a file is whole.
func (k *truthKeeper) whole(s *site, path string, rec recording) {
	k.note(s, path, stood{sumOf(rec.text()), true}, &rec)
}

// stood notes what stood at a path, which need not be whole.
func (k *truthKeeper) stood(s *site, path string, bytes []byte) {
	k.note(s, path, stood{sumOf(string(bytes)), false}, nil)
}

func (k *truthKeeper) note(s *site, path string, what stood, rec *recording) {
	k.mu.Lock()
	defer k.mu.Unlock()
	at := place{s.name, path}
	if k.files[at] == nil {
		k.files[at] = &uploaded{}
	}
	k.files[at].history = append(k.files[at].history, what)
	if rec != nil {
		k.files[at].last, k.files[at].sum = *rec, what.sum
	}
}

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// paths, wholes and parts are how many files there are, versions of them that
// were whole, and parts that stood still.
func (k *truthKeeper) paths() int { return k.count(func(*uploaded) int { return 1 }) }

func (k *truthKeeper) wholes() int { return k.count(func(u *uploaded) int { return u.count(true) }) }

func (k *truthKeeper) parts() int { return k.count(func(u *uploaded) int { return u.count(false) }) }

func (k *truthKeeper) count(of func(*uploaded) int) (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, u := range k.files {
		n += of(u)
	}
	return n
}

// count counts the versions that were whole, or those parts that never were.
func (u *uploaded) count(whole bool) (n int) {
	for i, what := range u.history {
		seen := slices.ContainsFunc(u.history[:i], func(other stood) bool { return other.sum == what.sum })
		if !seen && slices.Contains(u.history, stood{what.sum, true}) == whole {
			n++
		}
	}
	return n
}

// A ledgerVersion is what the ledger has of one.
type ledgerVersion struct {
	state, sum   string
	lines, cells int64
}

// ledger is what the ledger has, by path, the oldest version first.
func (s *soaked) ledger() map[place][]ledgerVersion {
	s.t.Helper()
	ledger := make(map[place][]ledgerVersion)
	on(s.t, s.direct, func(conn *pgx.Conn) {
		rows, err := conn.Query(s.t.Context(), `select s.name, f.path, f.state::text, encode(f.sha256, 'hex'), coalesce(r.lines, 0)::int8, coalesce(r.cells, 0)::int8
			from penstock.files f join penstock.sources s on s.id = f.source left join penstock.receipts r on r.file_id = f.id order by 1, 2, f.generation`)
		if err != nil {
			s.t.Fatal(err)
		}
		var at place
		var v ledgerVersion
		if _, err := pgx.ForEachRow(rows, []any{&at.site, &at.path, &v.state, &v.sum, &v.lines, &v.cells}, func() error {
			ledger[at] = append(ledger[at], v)
			return nil
		}); err != nil {
			s.t.Fatal(err)
		}
	})
	return ledger
}

// versions is how many file versions the ledger has.
func (s *soaked) versions() (n int) {
	for _, all := range s.ledger() {
		n += len(all)
	}
	return n
}

// missing are the files of which the ledger has not what stands there as loaded.
func (k *truthKeeper) missing(t *testing.T, ledger map[place][]ledgerVersion) (left []string) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	for at, u := range k.files {
		all := ledger[at]
		if len(all) == 0 {
			left = append(left, fmt.Sprintf("%s/%s is not in the ledger", at.site, at.path))
			continue
		}
		last := all[len(all)-1]
		if last.sum != u.sum || last.state != "loaded" && last.state != "duplicate" {
			left = append(left, fmt.Sprintf("%s/%s is %s as %.8s after %d versions, and %.8s stands there; %s",
				at.site, at.path, last.state, last.sum, len(all), u.sum, u))
		}
	}
	slices.Sort(left)
	return left
}

func (u *uploaded) String() string {
	var s strings.Builder
	s.WriteString("there stood")
	for _, what := range u.history {
		fmt.Fprintf(&s, " %.8s", what.sum)
		if !what.whole {
			s.WriteString("?")
		}
	}
	return s.String()
}

// compareLedger holds the ledger against what stood at each path: its versions
// are some of those, in their order, none twice in a row and none that was not
// whole, unless it stood still. The newest is what stands there, and its receipt
// has all of its lines and readings.
func (k *truthKeeper) compareLedger(t *testing.T, ledger map[place][]ledgerVersion) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	torn := 0
	for at, all := range ledger {
		u := k.files[at]
		if u == nil {
			t.Errorf("the ledger has %s/%s, which nobody uploaded", at.site, at.path)
			continue
		}
		next := 0
		for i, v := range all {
			for next < len(u.history) && u.history[next].sum != v.sum {
				next++
			}
			if next == len(u.history) || i > 0 && all[i-1].sum == v.sum {
				t.Errorf("version %d of %s/%s is %.8s (%s, %d lines), which did not stand there then, or is there twice; %s", i+1, at.site, at.path, v.sum, v.state, v.lines, u)
				break
			}
			if !slices.Contains(u.history, stood{v.sum, true}) {
				torn++
			} else if v.state != "loaded" && v.state != "duplicate" {
				t.Errorf("version %d of %s/%s was whole, and is %s", i+1, at.site, at.path, v.state)
			}
		}
		if v := all[len(all)-1]; v.lines != int64(u.last.rows)+1 || v.cells != int64(u.last.rows) {
			t.Errorf("the receipt of %s/%s has %d lines and %d cells, and it has %d readings below its header", at.site, at.path, v.lines, v.cells, u.last.rows)
		}
	}
	t.Logf("%d versions that stood still in part were loaded meanwhile", torn)
}

// compareReadings holds all observations against what the files hold that are
// whole.
func (k *truthKeeper) compareReadings(t *testing.T, url string) {
	t.Helper()
	next, stop := iter.Pull(k.readings())
	defer stop()
	want, more := next()
	generated, observed, wrong := 0, 0, 0
	differ := func(format string, a ...any) {
		if wrong++; wrong <= 20 {
			t.Errorf(format, a...)
		}
	}
	advance := func() {
		generated++
		want, more = next()
	}
	on(t, url, func(conn *pgx.Conn) {
		rows, err := conn.Query(t.Context(), `select logger, ts, value, path from penstock.observations order by logger collate "C", ts`)
		if err != nil {
			t.Fatal(err)
		}
		var got slotReading
		var path string
		if _, err := pgx.ForEachRow(rows, []any{&got.logger, &got.at, &got.value, &path}, func() error {
			for observed++; more && want.before(got); advance() {
				differ("%s is missing", want)
			}
			switch {
			case !more || got.before(want):
				differ("%s, of %s, is observed and was not generated", got, path)
				return nil
			case got.value != want.value:
				differ("%s, of %s, should be %g", got, path, want.value)
			}
			advance()
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
	for ; more; advance() {
		differ("%s is missing", want)
	}
	t.Logf("%d readings were generated and %d are observed; %d differ", generated, observed, wrong)
}

// A slotReading is one of the only channel.
type slotReading struct {
	logger string
	at     time.Time
	value  float64
}

func (r slotReading) String() string {
	return fmt.Sprintf("%s at %s, %g,", r.logger, r.at.UTC().Format(time.RFC3339), r.value)
}

// before reports whether r comes before other by logger and time.
func (r slotReading) before(other slotReading) bool {
	return r.logger < other.logger || r.logger == other.logger && r.at.Before(other.at)
}

// readings are all that the files hold, by logger and time, each once.
func (k *truthKeeper) readings() iter.Seq[slotReading] {
	k.mu.Lock()
	var all []recording
	for _, u := range k.files {
		all = append(all, u.last)
	}
	k.mu.Unlock()
	slices.SortFunc(all, func(a, b recording) int {
		return cmp.Or(strings.Compare(a.logger, b.logger), cmp.Compare(a.from, b.from))
	})
	all = slices.Compact(all) // but for copies
	return func(yield func(slotReading) bool) {
		for _, r := range all {
			for slot := r.from; slot < r.from+r.rows; slot++ {
				value, err := strconv.ParseFloat(r.value(slot), 64)
				if err != nil {
					panic(err) // it is a number
				}
				if !yield(slotReading{r.logger, slotTime(slot), value}) {
					return
				}
			}
		}
	}
}

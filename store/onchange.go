package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"penstock/ingest"
)

// OnChange says what becomes of a file in which a known logger is not what it
// was: one that has a channel more, or another in place of one, that comes from
// another source, or whose layout was guessed and is new for the logger. Known
// is a logger that had series when the sink was made, or last refreshed.
type OnChange string

// What a sink can do on a change. Where the profile was approved, that counts as
// an answer only if a person was asked about a change: whoever said which zone
// the times are in may not know of one.
const (
	LoadChanged OnChange = "load"    // load it
	HoldChanged OnChange = "hold"    // hold it; of a file with channels more, only these
	HoldGuessed OnChange = "guessed" // hold it where the profile was guessed, else load it
)

// judges reports whether the span is held against what was known of its loggers.
func (c *committer) judges(span *ingest.Span) bool {
	on, r := c.sink.options.OnChange, span.Recipe
	switch {
	case r == nil || on == LoadChanged:
		return false
	case r.Trust == ingest.Approved:
		guessed, unsettled := false, false
		if span.Kind != nil {
			guessed, unsettled = c.judgedBy.unsettled[span.Kind.ID]
		}
		return unsettled && (guessed || on == HoldChanged)
	}
	return on == HoldChanged || r.Trust == ingest.Guessed
}

// unsettled lists the shapes that a profile was approved for, and of whose
// changes nobody was asked; true for those that were guessed.
func (s *Store) unsettled(ctx context.Context) (map[string]bool, error) {
	rows, err := s.pool.Query(ctx, "select id, not loose from shapes where approved is not null and not settled")
	if err != nil {
		return nil, fmt.Errorf("reading the approved shapes: %w", err)
	}
	shapes := make(map[string]bool)
	var id string
	var guessed bool
	if _, err := pgx.ForEachRow(rows, []any{&id, &guessed}, func() error { shapes[id] = guessed; return nil }); err != nil {
		return nil, fmt.Errorf("reading the approved shapes: %w", err)
	}
	return shapes, nil
}

// A knownLogger is what the store had of a logger before the sink's run. It is
// never changed once made.
type knownLogger struct {
	channels map[string]string          // the channels' labels, by name
	sources  map[int16]string           // that its readings came from, with their names
	profiles map[[sha256.Size]byte]bool // digests of those that they were read by
}

// A loggerCache remembers, for all committers of a sink, what was known of
// loggers before.
type loggerCache struct {
	mu    sync.RWMutex
	known map[string]*knownLogger
}

var (
	loggerLook = statement{"logger_look", `select logger, channel, label from series where logger = any($1::text[]) and id <= $2`}
	// The layout is the profile's, whatever else is in the recipe: a row more in a
	// loggers table makes no other.
	feedLook = statement{"feed_look", `select f.logger, f.source, s.name, sha256(convert_to(p.body, 'UTF8')) from feeds f
		join sources s on s.id = f.source join recipes p on p.id = f.recipe
		where f.logger = any($1::text[]) and f.id <= $2`}
)

// holdChanges judges the taken spans of loggers that were known. It sets those
// that are not as they were to Held, or takes the channels that are new out of
// the batch. It decides by what there was before the run, so that a second try,
// other chunks and other workers come to the same.
func (c *committer) holdChanges(ctx context.Context, b *ingest.Batch, take []bool) error {
	var judged []int
	for i := range b.Spans {
		// What is withheld once is gone from the batch: there is nothing new in it.
		if s := &b.Spans[i]; take[i] && s.Receipt.Cells.Withheld == 0 && s.Recorded == nil && c.judges(s) {
			judged = append(judged, i)
		}
	}
	if len(judged) == 0 {
		return nil
	}
	t := &c.table
	t.open(b)
	t.collect(b, take)
	if err := c.lookUpLoggers(ctx, b, judged); err != nil {
		return fmt.Errorf("looking up what is known of loggers: %w", err)
	}
	withheld := make(map[int]map[int32]bool)
	for _, i := range judged {
		s := &b.Spans[i]
		j := judging{sink: c.sink, loggers: c.judgedBy.loggers, batch: b, span: s}
		j.judge(t.keysOf(i))
		switch {
		case j.held != nil:
			holdSpan(s, j.held.Question, j.held.Answers...)
			if c.heldOf == nil {
				c.heldOf = make(map[int]string)
			}
			c.heldOf[i] = j.heldOf
			take[i] = false
		case len(j.fresh) > 0:
			withheld[i] = j.withhold()
		}
	}
	if len(withheld) > 0 {
		b.Withhold(func(span int, key int32) bool { return withheld[span][key] })
	}
	return nil
}

// lookUpLoggers sees to it that the cache has the loggers of the spans.
func (c *committer) lookUpLoggers(ctx context.Context, b *ingest.Batch, spans []int) error {
	missing := make(map[string]*knownLogger)
	cache := c.judgedBy.loggers
	cache.mu.RLock()
	for _, i := range spans {
		for _, k := range c.table.keysOf(i) {
			if _, ok := cache.known[b.Keys[k].Logger]; !ok {
				missing[b.Keys[k].Logger] = &knownLogger{}
			}
		}
	}
	cache.mu.RUnlock()
	if len(missing) == 0 {
		return nil
	}
	names := newColumns(oidText)
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		names[0].text(name)
	}
	if err := c.prepare(ctx, loggerLook, feedLook); err != nil {
		return err
	}
	batch := &pgconn.Batch{}
	batch.ExecPrepared(loggerLook.name, append(names.params(), int4Param(c.judgedBy.series)), binaryFormat, binaryFormat)
	batch.ExecPrepared(feedLook.name, append(names.params(), int4Param(c.judgedBy.feeds)), binaryFormat, binaryFormat)
	results := c.conn.ExecBatch(ctx, batch)
	if results.NextResult() {
		eachRow(results.ResultReader(), func(r *record) {
			l := missing[r.text()]
			if l.channels == nil {
				l.channels = make(map[string]string)
			}
			channel := r.text()
			l.channels[channel] = r.text()
		})
	}
	if results.NextResult() {
		eachRow(results.ResultReader(), func(r *record) {
			l := missing[r.text()]
			if l.sources == nil {
				l.sources, l.profiles = make(map[int16]string), make(map[[sha256.Size]byte]bool)
			}
			source := r.int2()
			l.sources[source] = r.text()
			l.profiles[[sha256.Size]byte(r.raw())] = true
		})
	}
	if err := results.Close(); err != nil {
		return err
	}
	cache.mu.Lock()
	defer cache.mu.Unlock()
	if cache.known == nil || len(cache.known) > maxCachedSeries {
		cache.known = make(map[string]*knownLogger)
	}
	maps.Copy(cache.known, missing)
	return nil
}

// judging is the judgement of one span.
type judging struct {
	sink    *Sink
	loggers *loggerCache
	batch   *ingest.Batch
	span    *ingest.Span

	held   *ingest.Shape // the question that holds the whole file; nil for none
	heldOf string        // the logger that it is about
	fresh  []int32       // keys of channels that are new to loggers all of whose others are there
}

// judge looks at the loggers of the span's keys one by one. The first question
// is enough.
func (j *judging) judge(keys []int32) {
	of := make(map[string][]int32)
	for _, k := range keys {
		logger := j.batch.Keys[k].Logger
		of[logger] = append(of[logger], k)
	}
	cache := j.loggers
	for _, logger := range slices.Sorted(maps.Keys(of)) {
		cache.mu.RLock()
		known := cache.known[logger]
		cache.mu.RUnlock()
		if known != nil && len(known.channels) > 0 && j.held == nil {
			j.judgeLogger(logger, known, of[logger])
			j.heldOf = logger
		}
	}
}

func (j *judging) judgeLogger(logger string, known *knownLogger, keys []int32) {
	if _, ok := known.sources[j.sink.source]; !ok && len(known.sources) > 0 {
		j.hold(fmt.Sprintf("logger %q has readings from source %s, and this file comes from source %q: is it the same logger?",
			logger, quotedList(slices.Sorted(maps.Values(known.sources))), j.sink.options.Source),
			ingest.Answer{Means: "it is the same: the readings join those that are there"})
		return
	}
	var fresh []int32
	var added []string
	there := make(map[string]bool)
	for _, k := range keys {
		channel := j.batch.Keys[k].Channel
		if _, ok := known.channels[channel]; !ok {
			fresh = append(fresh, k)
			if !slices.Contains(added, channel) {
				added = append(added, channel)
			}
		}
		there[channel] = true
	}
	missing := j.missing(known, there)
	switch {
	case len(fresh) > 0 && len(missing) == 0:
		j.fresh = append(j.fresh, fresh...)
	case len(fresh) > 0:
		j.holdSwapped(logger, added, missing)
	case j.span.Recipe.Trust == ingest.Guessed && !known.profiles[sha256.Sum256([]byte(j.span.Recipe.Text))]:
		without := ""
		if len(missing) > 0 {
			without = fmt.Sprintf(", and had channel %s, too", quotedList(missing))
		}
		j.hold(fmt.Sprintf("the files of logger %q were of another layout so far%s: is this one understood rightly?", logger, without),
			ingest.Answer{Means: "it is read rightly as it is"})
	}
}

// missing lists the logger's known channels that the file does not have. One
// whose column is there, but holds nothing in this file, is not missing.
func (j *judging) missing(known *knownLogger, there map[string]bool) (names []string) {
	for channel, label := range known.channels {
		if there[channel] {
			continue
		}
		if k := j.span.Kind; k != nil && (slices.Contains(k.Header, channel) || label != "" && slices.Contains(k.Header, label)) {
			continue
		}
		names = append(names, channel)
	}
	slices.Sort(names)
	return names
}

// holdSwapped asks about channels that came while others went.
func (j *judging) holdSwapped(logger string, added, missing []string) {
	slices.Sort(added)
	own := "stored as a channel of its own, beside what is there"
	if len(added) > 1 {
		own = "stored as channels of their own, beside what is there"
	}
	answers := append(carryingOn(added, missing), ingest.Answer{Means: own})
	j.hold(fmt.Sprintf("logger %q sends channel %s and no longer %s: does one carry on the other?", logger, quotedList(added), quotedList(missing)), answers...)
}

func (j *judging) hold(question string, answers ...ingest.Answer) {
	j.held = &ingest.Shape{Question: question, Answers: answers}
}

// withhold asks about the channels that are new and returns their keys.
func (j *judging) withhold() map[int32]bool {
	keys := make(map[int32]bool, len(j.fresh))
	var names []string
	logger := j.batch.Keys[j.fresh[0]].Logger
	for _, k := range j.fresh {
		keys[k] = true
		if key := &j.batch.Keys[k]; key.Logger == logger && !slices.Contains(names, key.Channel) {
			names = append(names, key.Channel)
		}
	}
	j.span.Identity = identityWithout(j.span.Identity, j.batch, keys)
	slices.Sort(names)
	j.span.Reason = fmt.Sprintf("channel %s of logger %q is new: is it to be stored under that name?", quotedList(names), logger)
	j.span.Shape = j.span.Kind.Asking(j.span.Reason, "", ingest.Answer{Means: "it is a channel of its own"})
	return keys
}

// quotedList quotes names; of many it counts the rest.
func quotedList(names []string) string {
	const most = 4
	var quoted []string
	for i, name := range names {
		if i == most && len(names) > most+1 {
			return strings.Join(quoted, ", ") + fmt.Sprintf(" and %d more", len(names)-most)
		}
		quoted = append(quoted, fmt.Sprintf("%q", name))
	}
	return strings.Join(quoted, ", ")
}

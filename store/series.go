package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"penstock/ingest"
)

// A seriesName is what identifies a series in the store.
type seriesName struct{ logger, channel string }

func (n seriesName) compare(o seriesName) int {
	return cmp.Or(cmp.Compare(n.logger, o.logger), cmp.Compare(n.channel, o.channel))
}

type storedSeries struct {
	id   int32
	unit string
}

// A seriesCache knows the ids of series that were seen, for all committers of
// a sink. An id never changes and is never taken back, so what it knows stays
// true.
type seriesCache struct {
	mu    sync.RWMutex
	known map[seriesName]storedSeries
}

// maxCachedSeries bounds the cache's memory; past it, it starts anew.
const maxCachedSeries = 1 << 17

// A seriesTable is one committer's view of its batch's dictionary: for each
// key the id, and the place of the id among those of the batch.
type seriesTable struct {
	batch  *ingest.Batch
	epoch  int
	ids    []int32 // by key; 0 where the key was not needed so far
	units  []string
	used   []bool
	uses   int     // how many are
	keys   []int32 // of the spans that are taken, span by span
	from   []int32 // by span: where its keys begin
	mark   []int32 // by key: one more than the last span that has it; scratch of collect
	bucket []int32
	places int
	byID   []int32 // keys with an id, in the order of those
	fed    []int32 // by key: a recipe by which its logger is known to be fed; 0 for none
}

// resolve finds the ids of all series that the spans in take hold, adding
// those that are new. Outside of a transaction it commits by itself: ids
// outlive a chunk that fails; a correction's go with it. A span whose unit for
// a series is not the one that the series has is set to Held.
func (c *committer) resolve(ctx context.Context, b *ingest.Batch, take []bool) error {
	t := &c.table
	t.open(b)
	t.collect(b, take)
	t.markUsed(b)
	missing := t.fromCache(b, &c.sink.series)
	if t.holdTwoUnits(b, take, missing) { // and add no series for them
		t.collect(b, take)
		t.markUsed(b)
		missing = t.fromCache(b, &c.sink.series)
	}
	if len(missing) > 0 {
		if err := c.lookUp(ctx, b, missing); err != nil {
			return fmt.Errorf("looking up series: %w", err)
		}
	}
	t.holdOtherUnits(b, take)
	t.place()
	return nil
}

// open sees to it that the table is one of b's dictionary as it is.
func (t *seriesTable) open(b *ingest.Batch) {
	if t.batch != b || t.epoch != b.Epoch {
		*t = seriesTable{batch: b, epoch: b.Epoch}
	}
}

// collect lists the keys of each span that is taken.
func (t *seriesTable) collect(b *ingest.Batch, take []bool) {
	t.keys = t.keys[:0]
	t.from = slices.Grow(t.from[:0], len(b.Spans)+1)[:len(b.Spans)+1]
	t.mark = slices.Grow(t.mark[:0], len(b.Keys))[:len(b.Keys)]
	clear(t.mark)
	for i := range b.Spans {
		t.from[i] = int32(len(t.keys))
		s := &b.Spans[i]
		if !take[i] {
			continue
		}
		for _, k := range b.Series[s.Begin:s.End] {
			if t.mark[k] != int32(i)+1 {
				t.mark[k] = int32(i) + 1
				t.keys = append(t.keys, k)
			}
		}
	}
	t.from[len(b.Spans)] = int32(len(t.keys))
}

// keysOf returns the keys of a span that collect was asked to take.
func (t *seriesTable) keysOf(span int) []int32 { return t.keys[t.from[span]:t.from[span+1]] }

func (t *seriesTable) markUsed(b *ingest.Batch) {
	n := len(b.Keys)
	for len(t.ids) < n {
		t.ids = append(t.ids, 0)
		t.units = append(t.units, "")
	}
	t.used = slices.Grow(t.used[:0], n)[:n]
	clear(t.used)
	t.uses = 0
	for _, k := range t.keys {
		if !t.used[k] {
			t.used[k] = true
			t.uses++
		}
	}
}

// fromCache fills in what is known and returns the keys that are not.
func (t *seriesTable) fromCache(b *ingest.Batch, cache *seriesCache) (missing []int32) {
	cache.mu.RLock()
	defer cache.mu.RUnlock()
	for k, used := range t.used {
		if !used || t.ids[k] != 0 {
			continue
		}
		key := &b.Keys[k]
		known, ok := cache.known[seriesName{key.Logger, key.Channel}]
		if !ok || known.unit == "" && key.Unit != "" {
			missing = append(missing, int32(k))
			continue
		}
		t.ids[k], t.units[k] = known.id, known.unit
	}
	return missing
}

var (
	seriesLook = statement{"series_look", `select s.id, s.logger, s.channel, s.unit
		from unnest($1::text[], $2::text[]) as c(logger, channel) join series s using (logger, channel)`}
	seriesAdd = statement{"series_add", `insert into series (logger, channel, unit, label)
		select * from unnest($1::text[], $2::text[], $3::text[], $4::text[]) on conflict (logger, channel) do nothing`}
	seriesUnit = statement{"series_unit", `update series s set unit = c.unit
		from unnest($1::text[], $2::text[], $3::text[]) as c(logger, channel, unit)
		where s.logger = c.logger and s.channel = c.channel and s.unit = ''`}
)

// lookUp finds the ids of the missing keys in the store, then adds those that
// it does not have: looked up before they are inserted, so that no id is
// burned.
func (c *committer) lookUp(ctx context.Context, b *ingest.Batch, missing []int32) error {
	sortKeys(b, missing)
	missing, err := c.look(ctx, b, missing)
	if err != nil || len(missing) == 0 {
		return err
	}
	add := newColumns(oidText, oidText, oidText, oidText)
	units := newColumns(oidText, oidText, oidText)
	for i, k := range missing {
		key := &b.Keys[k]
		if i > 0 && b.Keys[missing[i-1]].Logger == key.Logger && b.Keys[missing[i-1]].Channel == key.Channel {
			continue // the same series in another unit: the first adds it
		}
		add[0].text(key.Logger)
		add[1].text(key.Channel)
		add[2].text(key.Unit)
		add[3].text(plain(key.Label)) // only for reading, and shared by all files of the batch
		if key.Unit != "" {
			units[0].text(key.Logger)
			units[1].text(key.Channel)
			units[2].text(key.Unit)
		}
	}
	if err := c.rows(ctx, seriesAdd, add.params(), nil); err != nil {
		return err
	}
	if units[0].n > 0 { // a series that came without a unit so far
		if err := c.rows(ctx, seriesUnit, units.params(), nil); err != nil {
			return err
		}
	}
	missing, err = c.look(ctx, b, missing)
	if err == nil && len(missing) > 0 {
		key := b.Keys[missing[0]]
		err = fmt.Errorf("series %q %q was added and is not there", key.Logger, key.Channel)
	}
	return err
}

// sortKeys sorts keys in one order for all committers, so that two that add the
// same series wait for each other and do not deadlock. Of a series' keys the one
// without a unit comes last: the first is the one that adds it.
func sortKeys(b *ingest.Batch, keys []int32) {
	slices.SortFunc(keys, func(x, y int32) int {
		a, b := &b.Keys[x], &b.Keys[y]
		switch order := cmp.Or(cmp.Compare(a.Logger, b.Logger), cmp.Compare(a.Channel, b.Channel)); {
		case order != 0:
			return order
		case a.Unit == "" || b.Unit == "":
			return cmp.Compare(len(b.Unit), len(a.Unit))
		}
		return cmp.Compare(a.Unit, b.Unit)
	})
}

// look reads the ids of the missing keys into the table and the cache, and
// returns the keys that are still missing.
func (c *committer) look(ctx context.Context, b *ingest.Batch, missing []int32) ([]int32, error) {
	names := newColumns(oidText, oidText)
	for _, k := range missing {
		names[0].text(b.Keys[k].Logger)
		names[1].text(b.Keys[k].Channel)
	}
	type found struct {
		seriesName
		storedSeries
	}
	var all []found
	err := c.rows(ctx, seriesLook, names.params(), func(r *record) {
		id := r.int4()
		all = append(all, found{seriesName{r.text(), r.text()}, storedSeries{id, r.text()}})
	})
	if err != nil {
		return nil, err
	}
	cache := &c.sink.series
	cache.mu.Lock()
	defer cache.mu.Unlock()
	if cache.known == nil || len(cache.known) > maxCachedSeries {
		cache.known = make(map[seriesName]storedSeries)
	}
	for _, f := range all {
		cache.known[f.seriesName] = f.storedSeries
	}
	var still []int32
	for _, k := range missing {
		key := &b.Keys[k]
		known, ok := cache.known[seriesName{key.Logger, key.Channel}]
		if !ok || known.unit == "" && key.Unit != "" {
			still = append(still, k)
			continue
		}
		c.table.ids[k], c.table.units[k] = known.id, known.unit
	}
	return still, nil
}

// place numbers the ids of the used keys from 0 in their order: all committers
// store in the order of ids, which keeps them from deadlock and the index in
// sequence. Most batches have the series of the one before.
func (t *seriesTable) place() {
	if t.placed() {
		return
	}
	t.byID = t.byID[:0]
	for k, id := range t.ids {
		if id != 0 {
			t.byID = append(t.byID, int32(k))
		}
	}
	slices.SortFunc(t.byID, func(x, y int32) int { return cmp.Compare(t.ids[x], t.ids[y]) })
	t.placed()
}

// placed is place by the order that is known, and reports whether that has all that
// are used, and in their order.
func (t *seriesTable) placed() bool {
	t.bucket = slices.Grow(t.bucket[:0], len(t.used))[:len(t.used)]
	t.places = 0
	found, last := 0, int32(0)
	for _, k := range t.byID {
		if !t.used[k] {
			continue
		}
		switch id := t.ids[k]; {
		case id < last:
			return false
		case id > last:
			t.places, last = t.places+1, id
		}
		t.bucket[k] = int32(t.places - 1)
		found++
	}
	return found == t.uses
}

// Series returns the series of the given ids, by id. What the store does not
// have is left out.
func (s *Store) Series(ctx context.Context, ids []int32) (map[int32]ingest.SeriesKey, error) {
	rows, err := s.pool.Query(ctx, "select id, logger, channel, unit, label from series where id = any($1)", ids)
	if err != nil {
		return nil, fmt.Errorf("reading the series: %w", err)
	}
	found := make(map[int32]ingest.SeriesKey)
	var id int32
	var k ingest.SeriesKey
	_, err = pgx.ForEachRow(rows, []any{&id, &k.Logger, &k.Channel, &k.Unit, &k.Label}, func() error {
		found[id] = k
		return nil
	})
	return found, err
}

// Channels returns the channels of the series that loggers have, sorted.
func (s *Store) Channels(ctx context.Context, loggers []string) ([]string, error) {
	rows, err := s.pool.Query(ctx, "select distinct channel from series where logger = any($1)", loggers)
	if err != nil {
		return nil, fmt.Errorf("reading the channels of loggers: %w", err)
	}
	channels, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("reading the channels of loggers: %w", err)
	}
	slices.Sort(channels)
	return channels, nil
}

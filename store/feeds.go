package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"penstock/ingest"
)

// A feed is a recipe that a logger's readings came by.
type feed struct {
	logger string
	recipe int32
}

// A feedCache remembers, for all committers of a sink, which feeds are recorded.
type feedCache struct {
	mu  sync.RWMutex
	fed map[feed]bool
}

func (c *feedCache) has(f feed) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.fed[f]
}

// Looked for before it is inserted: a conflict would burn an id.
var feedAdd = statement{"feed_add", `insert into feeds (logger, source, recipe)
		select c.logger, $3::int2, c.recipe from unnest($1::text[], $2::int4[]) as c(logger, recipe)
		where not exists (select from feeds f where f.logger = c.logger and f.source = $3::int2 and f.recipe = c.recipe)
		on conflict do nothing`}

// recordFeeds keeps from which source and by which recipes the loggers of the
// taken spans are fed, where that is not known to be recorded.
func (c *committer) recordFeeds(ctx context.Context, b *ingest.Batch, take []bool) error {
	add := make(map[feed]bool)
	t := &c.table
	for len(t.fed) < len(b.Keys) {
		t.fed = append(t.fed, 0)
	}
	for i := range b.Spans {
		if !take[i] || b.Spans[i].Recipe == nil {
			continue
		}
		recipe, err := c.recipeID(ctx, b.Spans[i].Recipe)
		if err != nil {
			return err
		}
		for _, k := range t.keysOf(i) {
			if t.fed[k] == recipe {
				continue
			}
			if f := (feed{b.Keys[k].Logger, recipe}); c.sink.feeds.has(f) {
				t.fed[k] = recipe
			} else {
				add[f] = true
			}
		}
	}
	if len(add) == 0 {
		return nil
	}
	// In one order for all committers, who then wait for each other and do not
	// deadlock.
	sorted := slices.SortedFunc(maps.Keys(add), func(x, y feed) int {
		return cmp.Or(cmp.Compare(x.logger, y.logger), cmp.Compare(x.recipe, y.recipe))
	})
	columns := newColumns(oidText, oidInt4)
	for _, f := range sorted {
		columns[0].text(f.logger)
		columns[1].int4(f.recipe)
	}
	if err := c.rows(ctx, feedAdd, append(columns.params(), int2Param(c.sink.source)), nil); err != nil {
		return fmt.Errorf("recording where readings come from: %w", err)
	}
	cache := &c.sink.feeds
	cache.mu.Lock()
	defer cache.mu.Unlock()
	if cache.fed == nil || len(cache.fed) > maxCachedSeries {
		cache.fed = make(map[feed]bool)
	}
	maps.Copy(cache.fed, add)
	return nil
}

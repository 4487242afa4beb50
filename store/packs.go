package store

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
)

// A packCache maps the names of packs to their ids, for all sinks of a store.
type packCache struct {
	mu  sync.Mutex
	ids map[string]int32
}

// maxCachedPacks bounds the cache: of each source one pack is written at a time.
const maxCachedPacks = 1 << 10

// packID returns the id of a pack, which it gets when it is new.
func (s *Store) packID(ctx context.Context, name string) (id int32, err error) {
	cache := &s.packs
	cache.mu.Lock()
	defer cache.mu.Unlock()
	if id, ok := cache.ids[name]; ok {
		return id, nil
	}
	// Looked up before it is inserted: a conflict would burn an id.
	const look = "select id from packs where name = $1"
	err = s.pool.QueryRow(ctx, look, name).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		if _, err = s.pool.Exec(ctx, "insert into packs (name) values ($1) on conflict do nothing", name); err == nil {
			err = s.pool.QueryRow(ctx, look, name).Scan(&id)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("registering pack %q: %w", name, err)
	}
	if cache.ids == nil || len(cache.ids) >= maxCachedPacks {
		cache.ids = make(map[string]int32)
	}
	cache.ids[name] = id
	return id, nil
}

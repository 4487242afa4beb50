package store

import (
	"context"
	"fmt"
	"sync"

	"penstock/ingest"
)

// A recipeCache maps recipes to their ids, for all committers of a sink.
type recipeCache struct {
	mu  sync.Mutex
	ids map[ingest.Digest]int32
}

func (s *Sink) recipeID(ctx context.Context, r *ingest.Recipe) (int32, error) {
	s.recipes.mu.Lock()
	defer s.recipes.mu.Unlock()
	if id, ok := s.recipes.ids[r.Digest]; ok {
		return id, nil
	}
	id, err := s.store.recipeID(ctx, r)
	if err != nil {
		return 0, err
	}
	if s.recipes.ids == nil {
		s.recipes.ids = make(map[ingest.Digest]int32)
	}
	s.recipes.ids[r.Digest] = id
	return id, nil
}

func (s *Store) recipeID(ctx context.Context, r *ingest.Recipe) (id int32, err error) {
	const look = "select id from recipes where digest = $1"
	if err := s.pool.QueryRow(ctx, look, r.Digest[:]).Scan(&id); err == nil {
		return id, nil
	}
	_, err = s.pool.Exec(ctx, `insert into recipes (digest, profile, zone, settings, body, trust) values ($1, $2, $3, $4, $5, $6)
		on conflict (digest) do nothing`, r.Digest[:], r.Profile, r.Zone, r.Settings, r.Text, int16(r.Trust))
	if err == nil {
		err = s.pool.QueryRow(ctx, look, r.Digest[:]).Scan(&id)
	}
	if err != nil {
		return 0, fmt.Errorf("registering the recipe of profile %q: %w", r.Profile, err)
	}
	return id, nil
}

// Recipe returns what file versions of that recipe were read with.
func (s *Store) Recipe(ctx context.Context, id int32) (*ingest.Recipe, error) {
	var r ingest.Recipe
	var digest []byte
	err := s.pool.QueryRow(ctx, "select digest, profile, zone, settings, body, trust from recipes where id = $1", id).Scan(&digest, &r.Profile, &r.Zone, &r.Settings, &r.Text, &r.Trust)
	if err != nil {
		return nil, fmt.Errorf("reading recipe %d: %w", id, err)
	}
	copy(r.Digest[:], digest)
	return &r, nil
}

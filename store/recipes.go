package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"

	"penstock/ingest"
)

// A recipeCache maps recipes to their ids, for all committers of a sink.
type recipeCache struct {
	mu  sync.Mutex
	ids map[ingest.Digest]int32
}

// learnRecipes sees to it that the recipes of spans have ids, all at once: with
// a loggers table each logger's files may have a recipe of their own.
func (s *Sink) learnRecipes(ctx context.Context, b *ingest.Batch, spans []int) error {
	s.recipes.mu.Lock()
	defer s.recipes.mu.Unlock()
	var last *ingest.Recipe
	unknown := make(map[ingest.Digest]*ingest.Recipe)
	for _, i := range spans {
		r := b.Spans[i].Recipe
		if r == nil || r == last {
			continue
		}
		last = r
		if _, ok := s.recipes.ids[r.Digest]; !ok {
			unknown[r.Digest] = r
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	if s.recipes.ids == nil {
		s.recipes.ids = make(map[ingest.Digest]int32)
	}
	return s.store.recipeIDs(ctx, unknown, s.recipes.ids)
}

// recipeID returns the id of a recipe, which it gets when it is new.
func (s *Sink) recipeID(ctx context.Context, r *ingest.Recipe) (int32, error) {
	s.recipes.mu.Lock()
	defer s.recipes.mu.Unlock()
	if id, ok := s.recipes.ids[r.Digest]; ok {
		return id, nil
	}
	if s.recipes.ids == nil {
		s.recipes.ids = make(map[ingest.Digest]int32)
	}
	if err := s.store.recipeIDs(ctx, map[ingest.Digest]*ingest.Recipe{r.Digest: r}, s.recipes.ids); err != nil {
		return 0, err
	}
	return s.recipes.ids[r.Digest], nil
}

// recipeID is the sink's, of which most files ask about the same.
func (c *committer) recipeID(ctx context.Context, r *ingest.Recipe) (id int32, err error) {
	if r != c.recipe.of {
		if id, err = c.sink.recipeID(ctx, r); err != nil {
			return 0, err
		}
		c.recipe.of, c.recipe.id = r, id
	}
	return c.recipe.id, nil
}

// recipeIDs puts the ids of the recipes into ids; those that the store does not
// have are added to it.
func (s *Store) recipeIDs(ctx context.Context, recipes map[ingest.Digest]*ingest.Recipe, ids map[ingest.Digest]int32) error {
	look := func() (missing [][]byte, err error) {
		for d := range recipes {
			if _, ok := ids[d]; !ok {
				missing = append(missing, d[:])
			}
		}
		rows, err := s.pool.Query(ctx, "select digest, id from recipes where digest = any($1::bytea[])", missing)
		if err != nil {
			return nil, err
		}
		var digest []byte
		var id int32
		found := make(map[ingest.Digest]bool)
		_, err = pgx.ForEachRow(rows, []any{&digest, &id}, func() error {
			d := ingest.Digest(digest)
			ids[d], found[d] = id, true
			return nil
		})
		// All who add recipes add them in one order, so that none waits for another
		// that waits for it.
		slices.SortFunc(missing, bytes.Compare)
		return slices.DeleteFunc(missing, func(d []byte) bool { return found[ingest.Digest(d)] }), err
	}
	missing, err := look()
	if err == nil && len(missing) > 0 {
		var profiles, zones, settings, bodies []string
		var trusts []int16
		for _, d := range missing {
			r := recipes[ingest.Digest(d)]
			profiles, zones, settings, bodies = append(profiles, r.Profile), append(zones, r.Zone), append(settings, r.Settings), append(bodies, r.Text)
			trusts = append(trusts, int16(r.Trust))
		}
		_, err = s.pool.Exec(ctx, `insert into recipes (digest, profile, zone, settings, body, trust)
			select * from unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int2[])
			on conflict (digest) do nothing`, missing, profiles, zones, settings, bodies, trusts)
		if err == nil {
			_, err = look()
		}
	}
	if err != nil {
		return fmt.Errorf("registering recipes: %w", err)
	}
	return nil
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

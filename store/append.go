package store

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"penstock/ingest"
)

// In append mode no key says that a reading is there already. A file version
// holds all of its readings, and loses all of them at once, to a later
// generation of its path or to one of equal content that stands for it.

// succeededSQL finds the generations before some that still hold readings. A
// duplicate succeeds them as well: what it says is there, under another name.
const succeededSQL = `select f.id, c.id, f.content from unnest($1::uuid[], $2::int4[], $3::int8[]) as c(key, generation, id)
	join files f on f.key = c.key and f.generation < c.generation
	where f.state = 'loaded' and not exists (select from takeovers t where t.from_file = f.id)
	order by f.id for update of f`

// supersede takes out the readings of the file versions that the batch's
// claims succeed, and makes due whoever was a copy of one.
func (c *committer) supersede(ctx context.Context) error {
	successors, contents, err := c.succeeded(ctx)
	if err != nil || len(successors) == 0 {
		return err
	}
	err = c.takeOutReadings(ctx, slices.Sorted(maps.Keys(successors)), func(file, readings int64) {
		c.takeovers = append(c.takeovers, takeover{file, successors[file], readings})
	})
	if err != nil {
		return fmt.Errorf("taking out the readings of earlier generations: %w", err)
	}
	if contents[0].n == 0 {
		return nil
	}
	if _, err := c.conn.ExecParams(ctx, fmt.Sprintf(orphanSQL, ""), contents.params(), nil, binaryFormat, binaryFormat).Close(); err != nil {
		return fmt.Errorf("making copies of earlier generations due: %w", err)
	}
	return nil
}

// succeeded finds the file versions that still hold readings and that the
// batch's claims succeed: by id, the id of the successor. contents is what the
// earlier generations among them stood for; what a demoted version stands for,
// its successor stands for.
func (c *committer) succeeded(ctx context.Context) (successors map[int64]int64, contents columns, err error) {
	successors = make(map[int64]int64)
	contents = newColumns(oidUUID)
	later := newColumns(oidUUID, oidInt4, oidInt8)
	for i := range c.claims {
		cl := &c.claims[i]
		if !cl.writes() || cl.state != ingest.Loaded && cl.state != ingest.Duplicate {
			continue
		}
		if cl.newest != nil {
			later[0].bytes(cl.key[:])
			later[1].int4(cl.generation)
			later[2].int8(cl.id)
		}
		if cl.demote != 0 {
			successors[cl.demote] = cl.id
		}
	}
	if later[0].n == 0 {
		return successors, contents, nil
	}
	r := c.conn.ExecParams(ctx, succeededSQL, later.params(), nil, binaryFormat, binaryFormat)
	eachRow(r, func(r *record) {
		id := r.int8()
		successors[id] = r.int8()
		if !r.null() {
			content := r.uuid()
			contents[0].bytes(content[:])
		}
	})
	if _, err := r.Close(); err != nil {
		return nil, nil, fmt.Errorf("looking for earlier generations: %w", err)
	}
	return successors, contents, nil
}

// laterSQL tells whether a later version n of f's path stands, or is about to,
// so that f holds nothing; %s says which ones count.
const laterSQL = `exists (select from files n where n.key = f.key and n.generation > f.generation and %s)`

// withoutSucceeded leaves out the files of which a later version stands or is
// among the files itself.
func (s *Store) withoutSucceeded(ctx context.Context, files []FileVersion) ([]FileVersion, error) {
	rows, err := s.pool.Query(ctx, "select f.id from files f where f.id = any($1) and "+fmt.Sprintf(laterSQL, "(n.state in ('loaded', 'duplicate') or n.id = any($1))"), fileIDs(files))
	if err != nil {
		return nil, fmt.Errorf("looking for later generations: %w", err)
	}
	succeeded, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("looking for later generations: %w", err)
	}
	return slices.DeleteFunc(slices.Clone(files), func(v FileVersion) bool { return slices.Contains(succeeded, v.ID) }), nil
}

// appendOverlapSQL is overlapSQL in append mode: it finds the generation before,
// which held the readings and now stands for its path again.
var appendOverlapSQL = `f.state = 'loaded' and f.id <> all($1) and f.key = any(array(select key from files where id = any($1)))
	and exists (select from files l where l.id = any($1) and l.key = f.key and l.generation > f.generation)
	and exists (select from takeovers t where t.from_file = f.id)
	and not ` + fmt.Sprintf(laterSQL, "n.state in ('loaded', 'duplicate') and n.id <> all($1)")

package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"penstock/ingest"
)

// A Rebuild loads file versions anew as a ledger that is lost had them, by what
// its journals told (see Journal). The documents are put into tables of the
// database first, so that they take no memory however many they are, and so
// that a rebuild that was cut short goes on.
type Rebuild struct {
	store   *Store
	ledger  string // whose documents come
	since   map[string]int32
	pending []recordedFile
	small   map[string][]string // documents, by table
	recipes map[string]*ingest.Recipe
}

const rebuildTables = `create unlogged table if not exists recorded (
		ledger text not null, id int8 not null, since int4 not null, changed int8 not null, key uuid not null, generation int4 not null,
		source text not null, state text not null, pack text, pack_offset int8, doc jsonb not null, primary key (ledger, id));
	create unlogged table if not exists recorded_places (pack text not null, pack_offset int8 not null, primary key (pack, pack_offset));
	create index if not exists recorded_order on recorded (source, generation, pack, pack_offset);
	create index if not exists recorded_key on recorded (key, generation)`

// Rebuild begins a rebuild, or goes on with one.
func (s *Store) Rebuild(ctx context.Context) (*Rebuild, error) {
	if _, err := s.pool.Exec(ctx, rebuildTables); err != nil {
		return nil, fmt.Errorf("making the tables of a rebuild: %w", err)
	}
	return &Rebuild{store: s, since: make(map[string]int32), small: make(map[string][]string), recipes: make(map[string]*ingest.Recipe)}, nil
}

// recordedFile is the document of a file version.
type recordedFile struct {
	ID         int64             `json:"id"`
	Changed    int64             `json:"changed"`
	Source     string            `json:"source"`
	Path       string            `json:"path"` // escaped
	Generation int32             `json:"generation"`
	State      ingest.State      `json:"state"`
	Sum        string            `json:"sum"`
	Size       int64             `json:"size"`
	Modified   *int64            `json:"modified,omitempty"`
	Step       *int32            `json:"step,omitempty"`
	Trusted    bool              `json:"trusted"`
	Rank       int16             `json:"rank"`
	RankTime   int64             `json:"rank_time"`
	Fetched    int64             `json:"fetched"`
	Recipe     string            `json:"recipe,omitempty"`
	Pack       *string           `json:"pack,omitempty"`
	Offset     *int64            `json:"offset,omitempty"`
	Reason     string            `json:"reason,omitempty"`
	Shape      string            `json:"shape,omitempty"`
	Pass       int16             `json:"pass,omitempty"`
	Series     []json.RawMessage `json:"series,omitempty"`

	text   string
	ledger string
}

// maxPending is how many documents are put into the database at a time.
const maxPending = 5000

// Learn takes in a document, in the order in which they were told.
func (r *Rebuild) Learn(ctx context.Context, doc []byte) error {
	var d document
	if err := json.Unmarshal(doc, &d); err != nil {
		return fmt.Errorf("reading the copy of the ledger: %w", err)
	}
	switch {
	case d.Ledger != "":
		r.ledger = d.Ledger
		if _, ok := r.since[r.ledger]; !ok {
			r.since[r.ledger] = int32(len(r.since))
		}
	case d.File != nil:
		f := recordedFile{text: string(d.File), ledger: r.ledger}
		if err := json.Unmarshal(d.File, &f); err != nil {
			return fmt.Errorf("reading the copy of the ledger: %w", err)
		}
		if r.ledger == "" {
			return errors.New("the copy of the ledger does not begin with whose it is")
		}
		r.pending = append(r.pending, f)
	default:
		for table, text := range map[string]json.RawMessage{"source": d.Source, "series": d.Series, "recipe": d.Recipe, "shape": d.Shape, "action": d.Action} {
			if text != nil {
				r.small[table] = append(r.small[table], string(text))
			}
		}
	}
	if len(r.pending)+len(r.small["series"]) < maxPending {
		return nil
	}
	return r.put(ctx)
}

// learnSQL puts documents where they belong. What was told last stands.
var learnSQL = map[string]string{
	"source": `insert into sources (name, root, on_conflict, archive) select distinct on (d->>'name') d->>'name', d->>'root', d->>'on_conflict', d->>'archive' from docs
		order by d->>'name', n desc on conflict (name) do update set root = excluded.root, on_conflict = excluded.on_conflict`,
	"series": `insert into series (logger, channel, unit, label) select d->>'logger', d->>'channel', d->>'unit', d->>'label' from docs
		where not exists (select from series s where s.logger = d->>'logger' and s.channel = d->>'channel') order by n on conflict do nothing`,
	"recipe": `insert into recipes (digest, profile, zone, settings, body, trust) select decode(d->>'digest', 'hex'), d->>'profile', d->>'zone', d->>'settings', d->>'body', (d->>'trust')::int2 from docs
		where not exists (select from recipes r where r.digest = decode(d->>'digest', 'hex')) order by n on conflict do nothing`,
	"shape": `insert into shapes (id, loose, answered, settled, profile, header, question, asks, answers, approved)
		select distinct on (d->>'id') d->>'id', (d->>'loose')::bool, (d->>'answered')::bool, (d->>'settled')::bool, d->>'profile',
			(select array_agg(x) from jsonb_array_elements_text(nullif(d->'header', 'null')) x), d->>'question', d->>'asks', d->'answers', d->>'approved' from docs
		order by d->>'id', n desc on conflict (id) do update set loose = excluded.loose, answered = excluded.answered, settled = excluded.settled,
			profile = excluded.profile, header = excluded.header, question = excluded.question, asks = excluded.asks, answers = excluded.answers, approved = excluded.approved`,
	"action": `insert into actions (at, db_user, os_user, host, command, reason, files, readings)
		select distinct on (d->>'at', d->>'command', d->>'os_user', d->>'host', d->>'reason') to_timestamp((d->>'at')::int8 / 1000000.0), d->>'db_user', d->>'os_user', d->>'host', d->>'command', d->>'reason', (d->>'files')::int8, (d->>'readings')::int8 from docs
		where not exists (select from actions a where a.command = d->>'command' and a.at = to_timestamp((d->>'at')::int8 / 1000000.0))`,
}

const recordSQL = `with new as materialized (
		select ledger, (d->>'id')::int8 as id, since, (d->>'changed')::int8 as changed, key, d, n
		from unnest($1::text[], $2::int4[], $3::uuid[], $4::text[]) with ordinality as u(ledger, since, key, doc, n) cross join lateral (select doc::jsonb as d) j),
	places as (insert into recorded_places select distinct d->>'pack', (d->>'offset')::int8 from new where d ? 'pack' on conflict do nothing)
	insert into recorded as r (ledger, id, since, changed, key, generation, source, state, pack, pack_offset, doc)
	select distinct on (ledger, id) ledger, id, since, changed, key, (d->>'generation')::int4, d->>'source', d->>'state', d->>'pack', (d->>'offset')::int8, d
	from new order by ledger, id, changed desc, n desc
	on conflict (ledger, id) do update set since = excluded.since, changed = excluded.changed, key = excluded.key, generation = excluded.generation, state = excluded.state,
		pack = excluded.pack, pack_offset = excluded.pack_offset, doc = excluded.doc where excluded.changed >= r.changed`

// put puts the documents that wait into the database.
func (r *Rebuild) put(ctx context.Context) error {
	err := pgx.BeginFunc(ctx, r.store.pool, func(tx pgx.Tx) error {
		for table, docs := range r.small {
			if _, err := tx.Exec(ctx, "with docs as materialized (select doc::jsonb as d, n from unnest($1::text[]) with ordinality as u(doc, n)) "+learnSQL[table], docs); err != nil {
				return err
			}
		}
		var ledgers, docs []string
		var since []int32
		var keys [][16]byte
		for i := range r.pending {
			f := &r.pending[i]
			ledgers, docs, since = append(ledgers, f.ledger), append(docs, f.text), append(since, r.since[f.ledger])
			keys = append(keys, FileKey(f.Source, ingest.UnescapePath(f.Path)))
		}
		_, err := tx.Exec(ctx, recordSQL, ledgers, since, keys, docs)
		return err
	})
	if err != nil {
		return fmt.Errorf("putting the copy of the ledger into the database: %w", err)
	}
	r.pending = r.pending[:0]
	clear(r.small)
	return nil
}

// RebuildSource is a source that the lost ledger had.
type RebuildSource struct {
	Name  string
	Files int64 // that are to be loaded yet
	Lost  int64 // of which no archive has the bytes
	Rank  int16 // of those that came last
}

// Learned ends the learning and lists the sources. What several ledgers told of a
// path is put together; a database that has loaded something else as one of these
// versions is refused. Versions that are no more than skipped are in the ledger
// again when it returns.
func (r *Rebuild) Learned(ctx context.Context) ([]RebuildSource, error) {
	if err := r.put(ctx); err != nil {
		return nil, err
	}
	var sources []RebuildSource
	err := pgx.BeginFunc(ctx, r.store.pool, func(tx pgx.Tx) error {
		run, _, _, err := r.store.startRun(ctx, 0)
		if err != nil {
			return err
		}
		if err := mergeRecorded(ctx, tx); err != nil {
			return err
		}
		if err := refuseOthers(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `insert into files (key, generation, source, path, state, sha256, size, modified, modified_step, trusted, rank, rank_time, fetched, reason, run, chunk)
			select r.key, r.generation, s.id, doc->>'path', 'skipped', decode(doc->>'sum', 'hex'), (doc->>'size')::int8, to_timestamp((doc->>'modified')::int8 / 1000000.0),
				(doc->>'step')::int4, (doc->>'trusted')::bool, (doc->>'rank')::int2, to_timestamp((doc->>'rank_time')::int8 / 1000000.0),
				to_timestamp((doc->>'fetched')::int8 / 1000000.0), doc->>'reason', $1, 0
			from recorded r join sources s on s.name = r.source where r.state = 'skipped' on conflict do nothing`, run); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `select r.source, count(*) filter (where pack is not null and not `+thereSQL+`), count(*) filter (where pack is null),
				(select (x.doc->>'rank')::int2 from recorded x where x.source = r.source order by x.changed desc, x.id desc limit 1)
			from recorded r where state <> 'skipped' group by r.source order by r.source`)
		if err != nil {
			return err
		}
		sources, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (x RebuildSource, err error) {
			err = row.Scan(&x.Name, &x.Files, &x.Lost, &x.Rank)
			return x, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("preparing the rebuild: %w", err)
	}
	return sources, nil
}

// thereSQL: the ledger has the version already, or a later one: from an earlier
// try, or of a daemon that came after it.
const thereSQL = `exists (select from files f where f.key = r.key and f.generation >= r.generation)`

// A RebuildFile is a file version that is to be loaded anew.
type RebuildFile struct {
	File     ingest.File
	Place    ingest.Place
	Fetched  int64 // first, in microseconds since the epoch, UTC
	Recorded ingest.Recorded

	sum string
}

// Sum is the SHA-256 of its bytes.
func (f *RebuildFile) Sum() (sum ingest.Digest) {
	b, err := hex.DecodeString(f.sum)
	if err == nil {
		copy(sum[:], b)
	}
	return sum
}

// copiesSQL: the version is a copy of another, and its path's last. Should the
// other be lost, it takes its place.
const copiesSQL = `(r.state = 'duplicate' and not exists (select from recorded n where n.key = r.key and n.generation > r.generation and n.pack is not null))`

// A RebuildCursor goes through the file versions of a source: all first
// generations, then all second ones, and so on.
type RebuildCursor struct {
	// Copies goes through the copies that take the place of what they are copies of,
	// should that be lost, and else through all but these. They are to be loaded
	// when all else is, of all sources.
	Copies bool

	generation int32
	at         ingest.Place
}

// rebuildBatch is how many versions are listed at a time.
const rebuildBatch = 20_000

// Next returns versions of the source that are to be loaded, no two of one path,
// in the order of their places; none when there are no more. Those that Next
// returned before are to be loaded by then.
func (r *Rebuild) Next(ctx context.Context, source string, c *RebuildCursor) ([]RebuildFile, error) {
	rows, err := r.store.pool.Query(ctx, `select r.generation, r.pack, r.pack_offset, r.doc from recorded r
		where source = $1 and pack is not null and state <> 'skipped' and (generation, pack, pack_offset) > ($2, $3, $4) and not `+thereSQL+`
			and `+copiesSQL+` = $6
		order by generation, pack, pack_offset limit $5`, source, c.generation, c.at.Pack, c.at.Offset, rebuildBatch, c.Copies)
	if err != nil {
		return nil, fmt.Errorf("listing what is to be rebuilt: %w", err)
	}
	type row struct {
		generation int32
		at         ingest.Place
		doc        recordedFile
	}
	all, err := pgx.CollectRows(rows, func(x pgx.CollectableRow) (w row, err error) {
		err = x.Scan(&w.generation, &w.at.Pack, &w.at.Offset, &w.doc)
		return w, err
	})
	if err != nil {
		return nil, fmt.Errorf("listing what is to be rebuilt: %w", err)
	}
	var files []RebuildFile
	for i := range all {
		if all[i].generation != all[0].generation {
			break
		}
		c.generation, c.at = all[i].generation, all[i].at
		f, err := r.file(ctx, &all[i].doc)
		if err != nil {
			return nil, err
		}
		f.Place, f.Recorded.Heir = all[i].at, c.Copies
		files = append(files, f)
	}
	return files, nil
}

func (r *Rebuild) file(ctx context.Context, d *recordedFile) (f RebuildFile, err error) {
	f = RebuildFile{
		File:    ingest.File{Source: d.Source, Path: ingest.UnescapePath(d.Path), Size: d.Size},
		Fetched: d.Fetched, sum: d.Sum,
		Recorded: ingest.Recorded{Generation: d.Generation, State: d.State, Reason: d.Reason, Rank: d.Rank, RankTime: d.RankTime, Pass: d.Pass, Shape: d.Shape},
	}
	if d.Modified != nil {
		f.File.Modified = *d.Modified
	}
	if d.Step != nil {
		f.File.Precision = precisionOf(*d.Step)
	}
	if len(d.Series) > 0 {
		f.Recorded.Series = make(map[[2]string]bool)
		for _, s := range d.Series {
			var name [2]string
			if err := json.Unmarshal(s, &name); err != nil {
				return f, fmt.Errorf("reading the series of %s: %w", d.Path, err)
			}
			f.Recorded.Series[name] = true
		}
	}
	if d.Recipe != "" {
		f.Recorded.Recipe, err = r.recipe(ctx, d.Recipe)
	}
	return f, err
}

// recipe returns the recipe of a digest.
func (r *Rebuild) recipe(ctx context.Context, digest string) (*ingest.Recipe, error) {
	if known := r.recipes[digest]; known != nil {
		return known, nil
	}
	var id int32
	err := r.store.pool.QueryRow(ctx, "select id from recipes where digest = decode($1, 'hex')", digest).Scan(&id)
	if err != nil {
		return nil, fmt.Errorf("looking up the recipe %s: %w", digest, err)
	}
	known, err := r.store.Recipe(ctx, id)
	if err == nil {
		r.recipes[digest] = known
	}
	return known, err
}

// Placed returns which offsets of a pack the lost ledger had file versions at.
func (r *Rebuild) Placed(ctx context.Context, pack string) (map[int64]bool, error) {
	rows, err := r.store.pool.Query(ctx, "select pack_offset from recorded_places where pack = $1", pack)
	if err != nil {
		return nil, fmt.Errorf("looking up a pack of the archive: %w", err)
	}
	placed := make(map[int64]bool)
	var offset int64
	if _, err := pgx.ForEachRow(rows, []any{&offset}, func() error { placed[offset] = true; return nil }); err != nil {
		return nil, fmt.Errorf("looking up a pack of the archive: %w", err)
	}
	return placed, nil
}

// rebuiltFrom begins the names of settings that say of which ledgers this one was
// rebuilt.
const rebuiltFrom = "rebuilt from "

// End removes what the rebuild needed. whole says that all sources were loaded:
// a Journal that goes on with the lost ledger's then knows that it is all here.
func (r *Rebuild) End(ctx context.Context, whole bool) error {
	err := pgx.BeginFunc(ctx, r.store.pool, func(tx pgx.Tx) error {
		for ledger := range r.since {
			if !whole {
				break
			}
			if _, err := tx.Exec(ctx, "insert into settings (name, value) values ($1, now()::text) on conflict do nothing", rebuiltFrom+ledger); err != nil {
				return err
			}
		}
		_, err := tx.Exec(ctx, "drop table if exists recorded, recorded_places")
		return err
	})
	if err != nil {
		return fmt.Errorf("ending the rebuild: %w", err)
	}
	return nil
}

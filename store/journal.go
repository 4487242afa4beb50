package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Journal tells what changes in the ledger, as JSON documents, so that a copy
// of it can be kept beside the files' bytes. It asks the database, and needs
// nothing of whoever changes something: it does not matter which process that
// is. Every document is one of
//
//	{"ledger": ID}                  whose documents follow
//	{"file": {...}}                 a file version as it is now
//	{"series"|"recipe"|"shape"|"source"|"action": {...}}
//	{"mark": {"ledger": ID, "at": MICROSECONDS}}   all changes before that instant have been told
//
// and what is told of a row later stands. One goroutine uses it.
type Journal struct {
	store  *Store
	ledger string
	mark   int64             // microseconds since the epoch
	said   map[told]struct{} // by the last call, as far as the next one meets it again
	seed   maphash.Seed
	begun  bool
	atLast map[string]int64 // by table: the greatest id that was told
}

// Journal begins where another ended whose last {"mark"} is given, if it was of
// this ledger; nil for none.
func (s *Store) Journal(ctx context.Context, mark []byte) (*Journal, error) {
	j := &Journal{store: s, seed: maphash.MakeSeed()}
	err := s.pool.QueryRow(ctx, `with made as (insert into settings (name, value) values ('ledger', gen_random_uuid()::text)
		on conflict (name) do nothing returning value)
		select value from made union all select value from settings where name = 'ledger' limit 1`).Scan(&j.ledger)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger's name: %w", err)
	}
	if mark != nil {
		var before document
		if err := json.Unmarshal(mark, &before); err != nil {
			return nil, fmt.Errorf("reading where the copy of the ledger ends: %w", err)
		}
		if before.Mark != nil && before.Mark.Ledger == j.ledger {
			j.mark = before.Mark.At
		}
	}
	return j, nil
}

// Afresh has the next Tell begin with all that is not a file: what comes after
// stands by itself.
func (j *Journal) Afresh() { j.begun = false }

// horizonSQL is an instant such that whatever commits after it was asked for is
// told as changed at it or later: transactions stamp rows with their beginning.
const horizonSQL = `select (extract(epoch from least(now(), min(xact_start))) * 1000000)::int8 from pg_stat_activity
	where datname = current_database() and pid <> pg_backend_pid()`

// filesSQL are the file versions that changed at $1 or later. Their documents
// are made here: it costs the server ten times as much to make JSON of a row as
// to send it.
const filesSQL = `select f.id, f.changed, s.name, f.path, f.generation, f.state::text, f.sha256, f.size, f.modified, f.modified_step,
		f.trusted, f.rank, f.rank_time, f.fetched, p.digest, k.name, f.pack_offset, coalesce(f.reason, ''), coalesce(h.shape, ''), coalesce(x.pass, 0),
		(select array_agg(json_build_array(e.logger, e.channel)) from receipts r, series e where r.file_id = f.id and r.withheld > 0 and e.id = any(r.series))
	from files f join sources s on s.id = f.source left join recipes p on p.id = f.recipe left join packs k on k.id = f.pack
		left join held h on h.file_id = f.id left join passes x on x.file_id = f.id
	where f.changed >= to_timestamp($1::int8 / 1000000.0) - interval '1 millisecond'`

// The tables beside files: those whose rows are only ever added, by id, and
// those that are small and change.
var (
	addedSQL = map[string]string{
		"series": `select id::int8, json_build_object('series', json_build_object('logger', logger, 'channel', channel, 'unit', unit, 'label', label))::text from series where id > $1 order by id`,
		"recipe": `select id::int8, json_build_object('recipe', json_build_object('digest', encode(digest, 'hex'), 'profile', profile, 'zone', zone,
			'settings', settings, 'body', body, 'trust', trust))::text from recipes where id > $1 order by id`,
		"action": `select id, json_build_object('action', json_build_object('at', (extract(epoch from at) * 1000000)::int8, 'db_user', db_user, 'os_user', os_user,
			'host', host, 'command', command, 'reason', reason, 'files', files, 'readings', readings))::text from actions where id > $1 order by id`,
	}
	smallSQL = map[string]string{
		"source": `select 0::int8, json_build_object('source', json_build_object('name', name, 'root', root, 'on_conflict', on_conflict, 'archive', archive))::text from sources`,
		"shape": `select 0::int8, json_build_object('shape', json_build_object('id', id, 'loose', loose, 'answered', answered, 'settled', settled, 'profile', profile,
			'header', header, 'question', question, 'asks', asks, 'answers', answers, 'approved', approved))::text from shapes`,
	}
)

// lateBy is how many ids after it a row may be committed: its number was drawn,
// and others were faster.
const lateBy = 1000

// Tell calls each with the documents of all that changed since it was called
// last, and reports whether anything did. The documents are to be made durable
// before Tell is called again, or else the Journal is to be made anew. Where
// each fails, that is its error, and nothing counts as told.
func (j *Journal) Tell(ctx context.Context, each func(doc []byte) error) (some bool, err error) {
	t := &telling{Journal: j, each: each, until: j.mark, said: make(map[told]struct{}), atLast: make(map[string]int64)}
	var horizon *int64
	if err := j.store.pool.QueryRow(ctx, horizonSQL).Scan(&horizon); err != nil {
		return false, fmt.Errorf("asking for open transactions: %w", err)
	}
	if horizon != nil {
		t.until = max(t.until, *horizon)
	}
	err = pgx.BeginTxFunc(ctx, j.store.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		return t.tell(ctx, tx)
	})
	if err == nil && t.some {
		err = t.document(&document{Mark: &mark{j.ledger, t.until}})
	}
	if err != nil {
		return false, fmt.Errorf("copying the ledger: %w", err)
	}
	if t.some {
		j.mark = t.until
	}
	j.said, j.atLast, j.begun = t.said, t.atLast, true
	return t.some, nil
}

// A told is a row that was told: by its id, or by what it is.
type told struct {
	table string
	row   uint64
}

// A telling is one call of Tell.
type telling struct {
	*Journal
	each   func([]byte) error
	until  int64 // the mark that it sets
	said   map[told]struct{}
	atLast map[string]int64
	some   bool
}

func (t *telling) tell(ctx context.Context, tx pgx.Tx) error {
	if !t.begun {
		if err := t.document(&document{Ledger: t.ledger}); err != nil {
			return err
		}
	}
	for _, table := range slices.Sorted(maps.Keys(smallSQL)) {
		if err := t.rows(ctx, tx, table, smallSQL[table], func(int64, string) bool { return true }); err != nil {
			return err
		}
	}
	for _, table := range slices.Sorted(maps.Keys(addedSQL)) {
		if t.begun {
			t.atLast[table] = t.Journal.atLast[table]
		}
		late := func(id int64, _ string) bool {
			t.atLast[table] = max(t.atLast[table], id)
			return id > t.Journal.atLast[table]-lateBy
		}
		if err := t.rows(ctx, tx, table, addedSQL[table], late, max(0, t.atLast[table]-lateBy)); err != nil {
			return err
		}
	}
	return t.files(ctx, tx)
}

// files tells the file versions that changed.
func (t *telling) files(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, filesSQL, t.mark)
	if err != nil {
		return err
	}
	var f recordedFile
	var changed, rankTime, fetched time.Time
	var modified *time.Time
	var sum, recipe []byte
	_, err = pgx.ForEachRow(rows, []any{&f.ID, &changed, &f.Source, &f.Path, &f.Generation, &f.State, &sum, &f.Size, &modified, &f.Step,
		&f.Trusted, &f.Rank, &rankTime, &fetched, &recipe, &f.Pack, &f.Offset, &f.Reason, &f.Shape, &f.Pass, &f.Series}, func() error {
		f.Changed, f.RankTime, f.Fetched, f.Modified = changed.UnixMicro(), rankTime.UnixMicro(), fetched.UnixMicro(), nil
		if modified != nil {
			at := modified.UnixMicro()
			f.Modified = &at
		}
		f.Sum, f.Recipe = hex.EncodeToString(sum), hex.EncodeToString(recipe)
		doc, err := json.Marshal(fileDocument{&f})
		if err != nil {
			return err
		}
		// Those that the next call asks for again are not told again.
		return t.row("file", doc, f.Changed >= t.until-1000)
	})
	return err
}

// rows tells the rows of a query, each with a number and a document, but for
// those that the last call told. What keep says is remembered for the next.
func (t *telling) rows(ctx context.Context, tx pgx.Tx, table, sql string, keep func(int64, string) bool, args ...any) error {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	var n int64
	var doc string
	_, err = pgx.ForEachRow(rows, []any{&n, &doc}, func() error {
		return t.row(table, []byte(doc), keep(n, doc))
	})
	return err
}

func (t *telling) row(table string, doc []byte, keep bool) error {
	row := told{table, maphash.Bytes(t.seed, doc)}
	if keep {
		t.said[row] = struct{}{}
	}
	if _, before := t.Journal.said[row]; before && t.begun {
		return nil
	}
	t.some = true
	return t.each(doc)
}

func (t *telling) document(d *document) error {
	doc, err := json.Marshal(d)
	if err == nil {
		t.some = true
		err = t.each(doc)
	}
	return err
}

// A document is one of a journal's; of file and the like only what is needed to
// put it where it belongs.
type document struct {
	Ledger string          `json:"ledger,omitempty"`
	Mark   *mark           `json:"mark,omitempty"`
	File   json.RawMessage `json:"file,omitempty"`
	Series json.RawMessage `json:"series,omitempty"`
	Recipe json.RawMessage `json:"recipe,omitempty"`
	Shape  json.RawMessage `json:"shape,omitempty"`
	Source json.RawMessage `json:"source,omitempty"`
	Action json.RawMessage `json:"action,omitempty"`
}

// A fileDocument is the document of a file version, to be written.
type fileDocument struct {
	File *recordedFile `json:"file"`
}

type mark struct {
	Ledger string `json:"ledger"`
	At     int64  `json:"at"`
}

// IsMark reports whether a document says how far the copy goes.
func IsMark(doc []byte) bool {
	var d struct {
		Mark json.RawMessage `json:"mark"`
	}
	return json.Unmarshal(doc, &d) == nil && d.Mark != nil
}

// JournalEvery is how often what changed is to be told.
const JournalEvery = 5 * time.Second

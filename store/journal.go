package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
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
//	{"mark": {"ledger": ID, "cluster": ID, "snapshot": SNAPSHOT}}   all that a snapshot sees has been told
//
// and what is told of a row later stands. One goroutine uses it.
//
// A file version is told once it is in sight: by the transaction that changed it
// last, which the call before did not see. So it does not matter how long a
// transaction took, whose it was, or who else has one open.
type Journal struct {
	// Other reports whether the mark that it was to begin at is of another ledger,
	// of which this one was not rebuilt: what stands before it is not in this
	// database.
	Other bool

	store  *Store
	ledger string
	until  sight
	said   map[told]struct{} // by the last call, as far as the next one meets it again
	seed   maphash.Seed
	begun  bool
	atLast lastIDs           // that were told
	begins map[int64]lastIDs // by transaction that was open at the last call: what was told before it was

	amidLook func() // of a test; nil for none
}

// lastIDs are the greatest of each table whose rows are only added.
type lastIDs map[string]int64

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
		if before.Mark != nil {
			err = j.begin(ctx, before.Mark)
		}
	}
	return j, err
}

func (j *Journal) begin(ctx context.Context, m *mark) (err error) {
	if m.Ledger == j.ledger {
		j.until, err = sightOf(m.Cluster, m.Snapshot)
		return err
	}
	err = j.store.pool.QueryRow(ctx, "select not exists (select from settings where name = $1)", rebuiltFrom+m.Ledger).Scan(&j.Other)
	if err != nil {
		return fmt.Errorf("asking whether the ledger was rebuilt: %w", err)
	}
	return nil
}

// Afresh has the next Tell begin with all that is not a file: what comes after
// stands by itself.
func (j *Journal) Afresh() { j.begun = false }

// A sight is what one look at the database saw: a snapshot of its transactions.
// The zero sight saw nothing.
type sight struct {
	cluster  string // where it was: elsewhere, the numbers are of other transactions
	snapshot string
	next     int64   // all transactions from here on were not seen
	open     []int64 // nor were these before it
	ahead    []int64 // of these, were open a moment before; a sight that was kept does not know them
}

// sightSQL looks. A server that was promoted or set back has another timeline:
// what a transaction of some number did there may be gone.
//
// A snapshot does not tell of a transaction that is open while none of a greater
// number has ended: each holds the lock of its number, of which there are the low
// 32 bits. lockedSQL is asked before the snapshot is taken, which does not hold
// for the locks: a transaction that ends between the two is seen, where in the
// other order it would be neither seen nor known to be open.
const (
	sightSQL  = `select (select system_identifier from pg_control_system()) || '/' || (select timeline_id from pg_control_checkpoint()), pg_current_snapshot()::text`
	lockedSQL = `select coalesce(array_agg(transactionid::text::int8), '{}') from pg_locks where locktype = 'transactionid' and mode = 'ExclusiveLock' and granted`
)

// sightOf reads a snapshot as it is written: the first transaction that is open,
// the next one, and all that are open.
func sightOf(cluster, snapshot string) (s sight, err error) {
	s = sight{cluster: cluster, snapshot: snapshot}
	parts := strings.Split(snapshot, ":")
	if len(parts) != 3 {
		return s, fmt.Errorf("the snapshot %q is not as expected", snapshot)
	}
	if s.next, err = strconv.ParseInt(parts[1], 10, 64); err != nil {
		return s, fmt.Errorf("the snapshot %q is not as expected: %w", snapshot, err)
	}
	for text := range strings.SplitSeq(parts[2], ",") {
		if text == "" {
			continue
		}
		open, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return s, fmt.Errorf("the snapshot %q is not as expected: %w", snapshot, err)
		}
		s.open = append(s.open, open)
	}
	return s, nil
}

// lookAhead takes in which transactions are open, by the low 32 bits of their
// numbers.
func (s *sight) lookAhead(locked []int64) {
	for _, low := range locked {
		if x := s.next + int64(int32(uint32(low)-uint32(s.next))); x >= s.next {
			s.ahead = append(s.ahead, x)
		}
	}
}

// isOpen reports whether a transaction was open, or had not begun: what it did was
// not seen.
func (s *sight) isOpen(x int64) bool { return x >= s.next || slices.Contains(s.open, x) }

// continues reports whether s is a later look at the same transactions.
func (s *sight) continues(before *sight) bool {
	return before.snapshot != "" && s.cluster == before.cluster && s.next >= before.next
}

// ended are the transactions that were open before and are not now.
func (s *sight) ended(before *sight) (ended []int64) {
	for _, x := range before.open {
		if !slices.Contains(s.open, x) {
			ended = append(ended, x)
		}
	}
	return ended
}

// filesSQL are the file versions that transactions changed from $1 on and before
// $2, and those of $3. Their documents are made here: it costs the server ten
// times as much to make JSON of a row as to send it.
//
// One that is loading is due where nothing is of what has come of it.
const filesSQL = `select f.id, f.changed, s.name, f.path, f.generation, case f.state when 'loading' then 'due' else f.state::text end, f.sha256, f.size, f.modified, f.modified_step,
		f.trusted, f.rank, f.rank_time, f.fetched, p.digest, k.name, f.pack_offset, coalesce(f.reason, ''), coalesce(h.shape, ''), coalesce(x.pass, 0),
		(select array_agg(json_build_array(e.logger, e.channel)) from receipts r, series e where r.file_id = f.id and r.withheld > 0 and e.id = any(r.series))
	from files f join sources s on s.id = f.source left join recipes p on p.id = f.recipe left join packs k on k.id = f.pack
		left join held h on h.file_id = f.id left join passes x on x.file_id = f.id
	where f.changed_by >= $1 and f.changed_by < $2 or f.changed_by = any($3)`

// The tables beside files: those whose rows are only ever added, by id, and
// those that are small and change.
var (
	addedSQL = map[string]string{
		"series": `select id::int8, json_build_object('series', json_build_object('logger', logger, 'channel', channel, 'unit', unit, 'label', label))::text from series`,
		"recipe": `select id::int8, json_build_object('recipe', json_build_object('digest', encode(digest, 'hex'), 'profile', profile, 'zone', zone,
			'settings', settings, 'body', body, 'trust', trust))::text from recipes`,
		"action": `select id, json_build_object('action', json_build_object('at', (extract(epoch from at) * 1000000)::int8, 'db_user', db_user, 'os_user', os_user,
			'host', host, 'command', command, 'reason', reason, 'files', files, 'readings', readings))::text from actions`,
	}
	smallSQL = map[string]string{
		"source": `select 0::int8, json_build_object('source', json_build_object('name', name, 'root', root, 'on_conflict', on_conflict, 'archive', archive))::text from sources`,
		"shape": `select 0::int8, json_build_object('shape', json_build_object('id', id, 'loose', loose, 'answered', answered, 'settled', settled, 'profile', profile,
			'header', header, 'question', question, 'asks', asks, 'answers', answers, 'approved', approved))::text from shapes`,
	}
)

// Of the tables whose rows are only added, those are told that have come since,
// and those of transactions that were open then. These have drawn no ids but such
// as came after what was told before they were there: others are not looked at.
const (
	sinceSQL = " where id > $1 order by id"
	endedSQL = " where id > $1 and id <= $2 and xmin::text = any($3) order by id" // their low 32 bits
)

// lateBy is how many ids before the last one that was told a row may come whose
// transaction was not even open then: its number was drawn first.
const lateBy = 1000

// Tell calls each with the documents of all that changed since it was called
// last, and reports whether anything did. The documents are to be made durable
// before Tell is called again, or else the Journal is to be made anew. Where
// each fails, that is its error, and nothing counts as told.
func (j *Journal) Tell(ctx context.Context, each func(doc []byte) error) (some bool, err error) {
	t := &telling{Journal: j, each: each, said: make(map[told]struct{}), atLast: make(lastIDs)}
	var locked []int64
	if err := j.store.pool.QueryRow(ctx, lockedSQL).Scan(&locked); err != nil {
		return false, fmt.Errorf("copying the ledger: %w", err)
	}
	if j.amidLook != nil {
		j.amidLook()
	}
	err = pgx.BeginTxFunc(ctx, j.store.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var cluster, snapshot string
		err := tx.QueryRow(ctx, sightSQL).Scan(&cluster, &snapshot)
		if err == nil {
			t.now, err = sightOf(cluster, snapshot)
		}
		if err != nil {
			return err
		}
		t.now.lookAhead(locked)
		if !t.now.continues(&j.until) {
			j.Afresh()
		}
		return t.tell(ctx, tx)
	})
	if err == nil && t.some {
		err = t.document(&document{Mark: &mark{j.ledger, t.now.cluster, t.now.snapshot}})
	}
	if err != nil {
		return false, fmt.Errorf("copying the ledger: %w", err)
	}
	j.begins = t.begin()
	j.until, j.said, j.atLast, j.begun = t.now, t.said, t.atLast, true
	return t.some, nil
}

// begin returns what was told before each transaction was there that is open now.
func (t *telling) begin() map[int64]lastIDs {
	begins := make(map[int64]lastIDs, len(t.now.open)+len(t.now.ahead))
	for x, before := range t.begins {
		if t.begun && t.now.isOpen(x) {
			begins[x] = before
		}
	}
	for _, x := range slices.Concat(t.now.open, t.now.ahead) {
		before, open := t.begins[x]
		switch {
		case !t.begun: // it may have drawn any number
			before = nil
		case !open:
			before = t.Journal.atLast
		}
		begins[x] = before
	}
	return begins
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
	now    sight // what it tells up to
	said   map[told]struct{}
	atLast lastIDs
	some   bool
}

func (t *telling) tell(ctx context.Context, tx pgx.Tx) error {
	if !t.begun {
		if err := t.document(&document{Ledger: t.ledger}); err != nil {
			return err
		}
	}
	for _, table := range slices.Sorted(maps.Keys(smallSQL)) {
		if err := t.rows(ctx, tx, table, smallSQL[table], func(int64) bool { return true }); err != nil {
			return err
		}
	}
	for _, table := range slices.Sorted(maps.Keys(addedSQL)) {
		if err := t.added(ctx, tx, table); err != nil {
			return err
		}
	}
	return t.files(ctx, tx)
}

// added tells what came to a table whose rows are only added.
func (t *telling) added(ctx context.Context, tx pgx.Tx, table string) error {
	last := int64(0)
	if t.begun {
		last = t.Journal.atLast[table]
	}
	t.atLast[table] = last
	keep := func(id int64) bool {
		t.atLast[table] = max(t.atLast[table], id)
		return id > last-lateBy
	}
	since := max(0, last-lateBy)
	if err := t.rows(ctx, tx, table, addedSQL[table]+sinceSQL, keep, since); err != nil {
		return err
	}
	var low []string
	from := since
	for x, before := range t.begins {
		if !t.now.isOpen(x) {
			low = append(low, strconv.FormatUint(uint64(uint32(x)), 10))
			from = min(from, max(0, before[table]-lateBy))
		}
	}
	if from == since {
		return nil
	}
	return t.rows(ctx, tx, table, addedSQL[table]+endedSQL, keep, from, since, low)
}

// files tells the file versions that changed.
func (t *telling) files(ctx context.Context, tx pgx.Tx) error {
	from, before, ended := int64(0), int64(math.MaxInt64), []int64(nil)
	if t.now.continues(&t.until) {
		from, before, ended = t.until.next, t.now.next, t.now.ended(&t.until)
	}
	rows, err := tx.Query(ctx, filesSQL, from, before, ended)
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
		t.some = true
		return t.each(doc)
	})
	return err
}

// rows tells the rows of a query, each with a number and a document, but for
// those that the last call told. What keep says is remembered for the next.
func (t *telling) rows(ctx context.Context, tx pgx.Tx, table, sql string, keep func(int64) bool, args ...any) error {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	var n int64
	var doc string
	_, err = pgx.ForEachRow(rows, []any{&n, &doc}, func() error {
		return t.row(table, []byte(doc), keep(n))
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
	Ledger   string `json:"ledger"`
	Cluster  string `json:"cluster"`
	Snapshot string `json:"snapshot"`
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

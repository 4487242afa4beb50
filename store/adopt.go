package store

import (
	"context"
	"fmt"
	"regexp"

	"github.com/jackc/pgx/v5"

	"penstock/ingest"
)

// An Adoption marks files as skipped that another tool has loaded: what they
// are is not looked at, and they are taken only when they change, or a person
// marks them as due.
type Adoption struct {
	Source string
	Root   string // where the files are; kept where the ledger does not know the source yet
	Rank   int16  // as of the source's sink: what a file has that a person wants all the same
	Action Action // OSUser, Host, Command and Reason are to be filled in

	run int32 // once something was adopted
}

// Adopt marks as skipped those of the files that the ledger does not know, and
// returns how many that were. It may be called again for more files: they count
// to the same action.
func (s *Store) Adopt(ctx context.Context, a *Adoption, files []ingest.File) (adopted int64, err error) {
	o, err := s.SourceOptions(ctx, a.Source)
	if err != nil {
		return 0, err
	}
	if o == nil {
		o = &SinkOptions{Source: a.Source, Root: a.Root, Policy: Latest}
	}
	source, _, err := s.sourceID(ctx, *o)
	if err != nil {
		return 0, err
	}
	if a.run == 0 {
		if a.run, _, _, err = s.startRun(ctx, 0); err != nil {
			return 0, err
		}
	}
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if adopted, err = s.insertSkipped(ctx, tx, a, source, files); err != nil || adopted == 0 {
			return err
		}
		action := a.Action
		action.Run = a.run
		return recordAction(ctx, tx.Conn().PgConn(), action, int(adopted), 0)
	})
	if err != nil {
		return 0, fmt.Errorf("adopting files of source %q: %w", a.Source, err)
	}
	return adopted, nil
}

func (s *Store) insertSkipped(ctx context.Context, tx pgx.Tx, a *Adoption, source int16, files []ingest.File) (int64, error) {
	p := newColumns(oidUUID, oidInt8, oidTimestamptz, oidInt4, oidText)
	for _, f := range files {
		key := FileKey(a.Source, f.Path)
		p[0].bytes(key[:])
		p[1].int8(f.Size)
		if f.Precision == ingest.Unknown {
			p[2].null()
			p[3].null()
		} else {
			p[2].time(f.Modified)
			p[3].int4(stepOf(f.Precision))
		}
		p[4].text(ingest.EscapePath(f.Path))
	}
	reason := a.Action.Reason
	if reason == "" {
		reason = "adopted: another tool has loaded it"
	}
	r := tx.Conn().PgConn().ExecParams(ctx, `insert into files (rank_time, fetched, modified, size, key, generation, run, chunk, state, modified_step, source, rank, trusted, sha256, path, reason)
		select coalesce(c.modified, now()), now(), c.modified, c.size, c.key, 1, $6::int4, 0, 'skipped', c.step, $7::int2, $9::int2, true, '', c.path, $8::text
		from unnest($1::uuid[], $2::int8[], $3::timestamptz[], $4::int4[], $5::text[]) as c(key, size, modified, step, path) order by c.key
		on conflict (key, generation) do nothing`,
		append(p.params(), int4Param(a.run), int2Param(source), []byte(plain(reason)), int2Param(a.Rank)), nil, binaryFormat, binaryFormat)
	tag, err := r.Close()
	return tag.RowsAffected(), err
}

// Glob returns what a Selection with the pattern matches: it reports whether it
// does of an escaped path.
func Glob(pattern string) (func(display string) bool, error) {
	text, err := globRegexp(pattern)
	if err != nil {
		return nil, err
	}
	expression, err := regexp.Compile(text)
	if err != nil {
		return nil, fmt.Errorf("pattern %q is malformed: %w", pattern, err)
	}
	return expression.MatchString, nil
}

package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

	"penstock/ingest"
)

// A FileVersion is one row of the ledger with its receipt. Times are UTC.
type FileVersion struct {
	ID         int64
	Source     string // the source's name
	Root       string // where the source's files were last found
	Archive    string // the folder of the archive that its bytes were last kept in; "" for none
	Path       string // below Root, raw bytes
	Display    string // Path, escaped
	Generation int32  // 1 for the first version of the path
	State      ingest.State
	Reason     string // the question of a held file, the fault of a quarantined one
	Sum        ingest.Digest
	Size       int64     // bytes, -1 when not known
	Modified   time.Time // as last listed; zero when not known
	Precision  ingest.Precision
	Rank       int16     // of the source or the replay
	RankTime   time.Time // the file's own time
	Trusted    bool      // size and modified stand for the content in the pre-filter
	Recipe     int32     // its id; 0 when no profile matched
	Profile    string
	Zone       string       // given from outside the file and its profile
	Trust      ingest.Trust // of the profile
	Shape      string       // whose question it waits for, held or loaded in part; "" for none
	Place      ingest.Place // where the archive has its bytes; zero where it was not archived
	Run        int32        // that loaded it last, or took it out
	Fetched    time.Time
	Changed    time.Time // when State was last set
	First      time.Time // the earliest instant the file holds; zero when it holds none
	Last       time.Time
	Series     []int32 // the ids of the series it holds readings of
	Receipt    ingest.Receipt
}

// File returns the reference under which a source can be asked for the bytes.
func (v *FileVersion) File() ingest.File {
	f := ingest.File{Source: v.Source, Path: v.Path, Size: v.Size, Precision: v.Precision}
	if !v.Modified.IsZero() {
		f.Modified = ingest.Micros(v.Modified)
	}
	return f
}

// pageSize is how many file versions are read at a time. Between pages no
// snapshot is held: a listing that someone leaves standing in a pager must not
// keep a live database from cleaning up.
const pageSize = 1000

// Files lists the selected file versions by id, which is the order in which
// they came in. It holds one page in memory. What changes while it runs may
// show as before or as after. The first error ends it.
func (s *Store) Files(ctx context.Context, sel Selection) iter.Seq2[FileVersion, error] {
	return s.files(ctx, sel, "true")
}

// files is Files with one more condition, on f.
func (s *Store) files(ctx context.Context, sel Selection, also string) iter.Seq2[FileVersion, error] {
	return func(yield func(FileVersion, error) bool) {
		for page, err := range s.filePages(ctx, sel, also) {
			if err != nil {
				yield(FileVersion{}, err)
				return
			}
			for _, v := range page {
				if !yield(v, nil) {
					return
				}
			}
		}
	}
}

// filePages yields the selected file versions in pages, none of them empty. A
// page is valid until the next one.
func (s *Store) filePages(ctx context.Context, sel Selection, also string) iter.Seq2[[]FileVersion, error] {
	return func(yield func([]FileVersion, error) bool) {
		c, err := sel.conditions()
		if err != nil {
			yield(nil, err)
			return
		}
		var last int64
		c.add(also)
		c.add("f.id > ?", last)
		query := selectFiles + " where " + c.where() + fmt.Sprintf(" order by f.id limit %d", pageSize)
		page := make([]FileVersion, 0, pageSize)
		for {
			c.args[len(c.args)-1] = last
			rows, err := s.pool.Query(ctx, query, c.args...)
			if err == nil {
				page, err = pgx.AppendRows(page[:0], rows, scanFile)
			}
			if err != nil {
				yield(nil, fmt.Errorf("reading the ledger: %w", err))
				return
			}
			if len(page) == 0 || !yield(page, nil) || len(page) < pageSize {
				return
			}
			last = page[len(page)-1].ID
		}
	}
}

// Newest returns the newest version of a path, nil when the ledger has none.
func (s *Store) Newest(ctx context.Context, source, path string) (*FileVersion, error) {
	key := FileKey(source, path)
	rows, err := s.pool.Query(ctx, selectFiles+" where f.key = $1::uuid order by f.generation desc limit 1", key[:])
	if err == nil {
		var v FileVersion
		if v, err = pgx.CollectExactlyOneRow(rows, scanFile); err == nil {
			return &v, nil
		}
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return nil, fmt.Errorf("looking up a file in the ledger: %w", err)
}

// Standings is the pre-filter of a sink of the named source, without one: it
// registers nothing.
func (s *Store) Standings(ctx context.Context, source string, files []ingest.File) ([]ingest.Standing, error) {
	return (&Sink{store: s, options: SinkOptions{Source: source}}).look(ctx, files)
}

// selectFiles gives what scanFile reads. A receipt may be missing where a file
// has never been decoded.
const selectFiles = `select f.id, s.name, s.root, s.archive, f.path, f.generation, f.state::text, coalesce(f.reason, ''), f.sha256,
	f.size, f.modified, f.modified_step, f.rank, f.rank_time, f.trusted, coalesce(f.recipe, 0), coalesce(p.profile, ''), coalesce(p.zone, ''), coalesce(p.trust, 0), coalesce(h.shape, ''),
	coalesce(k.name, ''), coalesce(f.pack_offset, 0), f.run, f.fetched, f.changed, r.first_ts, r.last_ts, r.series,
	coalesce(r.lines, 0), coalesce(r.lines_preamble, 0), coalesce(r.lines_header, 0), coalesce(r.lines_blank, 0),
	coalesce(r.lines_comment, 0), coalesce(r.lines_footer, 0), coalesce(r.lines_message, 0), coalesce(r.lines_data, 0),
	coalesce(r.lines_rejected, 0), coalesce(r.cells, 0), coalesce(r.missing, 0), coalesce(r.rejected, 0), coalesce(r.withheld, 0),
	coalesce(r.repeated, 0), coalesce(r.stored, 0), coalesce(r.replaced, 0), coalesce(r.unchanged, 0), coalesce(r.outranked, 0)
	from files f join sources s on s.id = f.source left join recipes p on p.id = f.recipe left join receipts r on r.file_id = f.id left join held h on h.file_id = f.id left join packs k on k.id = f.pack`

func scanFile(row pgx.CollectableRow) (FileVersion, error) {
	var v FileVersion
	var sum []byte
	var modified, first, last *time.Time
	var step *int32
	l, c := &v.Receipt.Lines, &v.Receipt.Cells
	err := row.Scan(&v.ID, &v.Source, &v.Root, &v.Archive, &v.Display, &v.Generation, &v.State, &v.Reason, &sum,
		&v.Size, &modified, &step, &v.Rank, &v.RankTime, &v.Trusted, &v.Recipe, &v.Profile, &v.Zone, &v.Trust, &v.Shape,
		&v.Place.Pack, &v.Place.Offset, &v.Run, &v.Fetched, &v.Changed, &first, &last, &v.Series,
		&l.Total, &l.Preamble, &l.Header, &l.Blank, &l.Comment, &l.Footer, &l.Message, &l.Data,
		&l.Rejected, &c.Total, &c.Missing, &c.Rejected, &c.Withheld, &c.Repeated, &c.Stored, &c.Replaced, &c.Unchanged, &c.Outranked)
	copy(v.Sum[:], sum)
	if step != nil {
		v.Precision = precisionOf(*step)
	}
	v.Path = ingest.UnescapePath(v.Display)
	v.Modified, v.First, v.Last = utc(modified), utc(first), utc(last)
	v.RankTime, v.Fetched, v.Changed = v.RankTime.UTC(), v.Fetched.UTC(), v.Changed.UTC()
	return v, err
}

// utc returns the time a column holds, zero for null.
func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"penstock/ingest"
)

// A Policy says which value stands where two files hold the same series and
// instant.
type Policy string

// The policies. Latest and Earliest make what stands a function of the set of
// files alone; under Error the first file to arrive stands and one that
// contradicts it is quarantined.
const (
	Latest   Policy = "latest"
	Earliest Policy = "earliest"
	Error    Policy = "error"
)

// SinkOptions say for which source a sink commits, and how.
type SinkOptions struct {
	Source string // the source's name
	Root   string // where its files are to be found again
	// Archive is the folder of the archive that keeps their bytes. Where it is
	// empty the ledger's stays as it is.
	Archive string
	Rank    int16  // the number that stands first in its files' rank
	Policy  Policy // Latest when empty
	// OnChange says what becomes of files in which a known logger is not what it
	// was; HoldGuessed when empty.
	OnChange OnChange
	// Since is before when files were modified that are skipped, unless the ledger
	// has a version of them; the zero time skips none. The ledger has no row of
	// what is skipped so: an earlier time takes it.
	Since time.Time
	// Once says that each file comes once, and that the sink is there for those
	// files alone: of a source that is new with it the ledger has none, and is not
	// asked.
	Once bool
	// Live says that files come as loggers send them: their arrivals tell when a
	// logger falls silent.
	Live bool
	Run  int32 // goes on with this run of the store's; 0 for a run of its own
	Log  *slog.Logger
}

// Skips reports whether a file is skipped that the ledger does not have.
func (o *SinkOptions) Skips(f *ingest.File) bool {
	return !o.Since.IsZero() && f.Modified != 0 && f.Modified < ingest.Micros(o.Since)
}

// A Sink commits the files of one source for one run. It is an ingest.Sink.
type Sink struct {
	store    *Store
	options  SinkOptions
	source   int16
	made     bool // source, with this sink
	run      int32
	chunk    atomic.Int32 // with run, the token that tells a commit of ours from another's
	series   seriesCache
	recipes  recipeCache
	shapes   shapeCache
	feeds    feedCache
	meetings meetings
	before   atomic.Pointer[before] // what files are judged by; Refresh puts another in its place

	chunks      chunks // of the hypertable
	compressing bool   // large amounts of readings as they come
}

var _ ingest.Refresher = (*Sink)(nil)

// Sink registers the source and a run of this process, and returns the sink
// for them. The sink's committers are to be closed before the store.
func (s *Store) Sink(ctx context.Context, o SinkOptions) (*Sink, error) {
	if o.Policy == "" {
		o.Policy = Latest
	}
	if o.OnChange == "" {
		o.OnChange = HoldGuessed
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if s.layout.Append && o.Policy != Latest {
		o.Log.Warn("on-conflict is about files of equal content alone in append mode: no two readings meet there",
			slog.String("source", o.Source), slog.String("on_conflict", string(o.Policy)))
	}
	sink := &Sink{store: s, options: o}
	var err error
	if sink.source, sink.made, err = s.sourceID(ctx, o); err != nil {
		return nil, err
	}
	var known past
	untold := o.Live
	if sink.run = o.Run; o.Run == 0 {
		var left bool
		sink.run, known, left, err = s.startRun(ctx, sink.source)
		untold = untold || left
	} else {
		known, err = s.pastOf(ctx, o.Run)
	}
	if err != nil {
		return nil, err
	}
	if err := sink.lookAtHypertable(ctx); err != nil {
		return nil, err
	}
	if !s.options.untold {
		s.startTelling(o.Log, sink, untold)
	}
	return sink, sink.judgeBy(ctx, known)
}

// Run is the run's number in the ledger.
func (s *Sink) Run() int32 { return s.run }

// New reports whether the ledger did not know the source before this sink, which is
// there for its files alone (SinkOptions.Once): Pending has all of them taken,
// whatever their size and time.
func (s *Sink) New() bool { return s.made && s.options.Once && s.options.Since.IsZero() }

// sourceID returns the source's number, and whether it had none before.
func (s *Store) sourceID(ctx context.Context, o SinkOptions) (id int16, made bool, err error) {
	// Looked up before it is inserted: a conflict would burn one of few numbers.
	err = s.pool.QueryRow(ctx, "update sources set root = $2, on_conflict = $3, archive = coalesce(nullif($4, ''), archive) where name = $1 returning id",
		o.Source, o.Root, o.Policy, o.Archive).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		err = s.pool.QueryRow(ctx, `insert into sources (name, root, on_conflict, archive) values ($1, $2, $3, $4)
			on conflict (name) do update set root = excluded.root, on_conflict = excluded.on_conflict,
				archive = coalesce(nullif(excluded.archive, ''), sources.archive) returning id, xmax = 0`,
			o.Source, o.Root, o.Policy, o.Archive).Scan(&id, &made)
	}
	if err != nil {
		return 0, false, fmt.Errorf("registering source %q: %w", o.Source, err)
	}
	return id, made, nil
}

// SourceOptions returns the options that the named source was last loaded
// with; nil when the ledger does not know it.
func (s *Store) SourceOptions(ctx context.Context, name string) (*SinkOptions, error) {
	o := SinkOptions{Source: name}
	err := s.pool.QueryRow(ctx, "select root, on_conflict, archive from sources where name = $1", name).Scan(&o.Root, &o.Policy, &o.Archive)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading source %q: %w", name, err)
	}
	return &o, nil
}

package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"penstock/ingest"
)

// hashedFor is how long after its last change a file whose time is too coarse
// to be trusted is fetched and hashed at every listing, in microseconds.
const hashedFor = int64(24 * time.Hour / time.Microsecond)

// trustedAge is how old a modification time must have been when the file was
// fetched for it to stand for the content: a file may change twice within one
// step of its clock, in microseconds.
const trustedAge = int64(2 * time.Second / time.Microsecond)

// pendingSQL looks up the newest generation of each path, by its key.
const pendingSQL = `select c.n, f.state::text, f.size, f.modified, f.modified_step, f.trusted, f.fetched,
		case when f.pack is not null then f.sha256 end
	from unnest($1::uuid[]) with ordinality as c(key, n) cross join lateral (
		select * from files where key = c.key order by generation desc limit 1) f`

// Pending is the pre-filter: it tells which files the ledger does not know yet
// by their size and modification time, in one look for all of them. It waits
// for a database that is away as a commit does.
func (s *Sink) Pending(ctx context.Context, files []ingest.File) (standings []ingest.Standing, err error) {
	err = s.store.newPatience(s.options.Log).untilThere(ctx, func() (err error) {
		standings, err = s.look(ctx, files)
		return err
	})
	return standings, err
}

func (s *Sink) look(ctx context.Context, files []ingest.File) ([]ingest.Standing, error) {
	standings := make([]ingest.Standing, len(files))
	for i := range standings {
		standings[i].Take = true
		if s.options.Skips(&files[i]) {
			standings[i] = ingest.Standing{State: ingest.Skipped} // unless the ledger has it
		}
	}
	if s.made && s.options.Once {
		return standings, nil // another process may have loaded some since: the commit finds that out
	}
	keys, order := s.keysOf(files)
	conn, err := s.store.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("looking up files in the ledger: %w", err)
	}
	defer conn.Release()
	now := ingest.Micros(time.Now())
	r := conn.Conn().PgConn().ExecParams(ctx, pendingSQL, keys.params(), nil, binaryFormat, binaryFormat)
	var grown []int
	eachRow(r, func(r *record) {
		n := order[r.int8()-1]
		var size int64
		if standings[n], size = standing(r, files[n], now); standings[n].State == ingest.Loaded && files[n].Size > size {
			standings[n].Grew, grown = true, append(grown, n)
		}
	})
	if _, err := r.Close(); err != nil {
		return nil, fmt.Errorf("looking up files in the ledger: %w", err)
	}
	if len(grown) > 0 {
		if err := s.lookGrowths(ctx, conn.Conn().PgConn(), files, standings, grown); err != nil {
			return nil, fmt.Errorf("looking up files that have grown: %w", err)
		}
	}
	return standings, nil
}

// keysOf returns the keys of files, in the order of the index that they are
// looked up in, and which file each is of.
func (s *Sink) keysOf(files []ingest.File) (keys columns, order []int) {
	all := make([][16]byte, len(files))
	order = make([]int, len(files))
	for i, f := range files {
		all[i], order[i] = FileKey(s.options.Source, f.Path), i
	}
	slices.SortFunc(order, func(x, y int) int { return bytes.Compare(all[x][:], all[y][:]) })
	keys = newColumns(oidUUID)
	for _, i := range order {
		keys[0].bytes(all[i][:])
	}
	return keys, order
}

func standing(r *record, f ingest.File, now int64) (st ingest.Standing, size int64) {
	st.State = ingest.State(r.text())
	size = r.int8()
	var modified int64
	var precision ingest.Precision
	if !r.null() {
		modified = r.time()
	}
	if !r.null() {
		precision = precisionOf(r.int4())
	}
	trusted := r.bool()
	fetched := r.time()
	archived := r.raw()
	if st.State == ingest.Due || st.State == ingest.Loading {
		st.Take, st.FirstFetched = true, fetched
		copy(st.Archived[:], archived)
		return st, size
	}
	st.Take = size != f.Size || !ingest.SameModified(modified, precision, f.Modified, f.Precision) ||
		!trusted && (exact(f.Precision) || now-f.Modified < hashedFor+int64(f.Precision))
	if st.State == ingest.Skipped {
		st.Take = !likeSkipped(size, modified, precision, f)
	}
	if st.Take {
		copy(st.Archived[:], archived)
	}
	return st, size
}

// likeSkipped reports whether a file is as it was when it was skipped, and no
// content was seen: where a time is not known there is the size alone to go by.
func likeSkipped(size, modified int64, precision ingest.Precision, f ingest.File) bool {
	return size == f.Size && (precision == ingest.Unknown || f.Precision == ingest.Unknown || ingest.SameModified(modified, precision, f.Modified, f.Precision))
}

// exact reports whether a time in such steps can be trusted once it is old
// enough. Where it was too young when the file was fetched, fetching the file
// once more makes it so, however late that is.
func exact(p ingest.Precision) bool { return p != ingest.Unknown && p <= ingest.TwoSeconds }

// trusted reports whether the time of f, fetched at the given time, may stand
// for its content.
func trusted(f ingest.File, fetched int64) bool {
	return exact(f.Precision) && fetched-f.Modified > trustedAge
}

// The ledger keeps a time's precision in whole seconds, 0 for microseconds.
func stepOf(p ingest.Precision) int32 { return int32(p / ingest.Second) }

func precisionOf(step int32) ingest.Precision {
	if step == 0 {
		return ingest.Micro
	}
	return ingest.Precision(step) * ingest.Second
}

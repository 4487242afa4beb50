package store

import (
	"cmp"
	"context"
	"fmt"
	"math/bits"
	"slices"
)

// Readings that file versions hold are found by the extents that their receipts
// keep: there is no index by file.

// takeOutSQL takes out all readings of some files.
const takeOutSQL = `with gone as (
		delete from readings r using receipts p
		where p.file_id = any($1::int8[]) and r.file_id = p.file_id
			and r.series_id = any(p.series) and r.ts between p.first_ts and p.last_ts
		returning r.file_id)
	select file_id, count(*) from gone group by file_id`

// takeOutReachSQL does so where they lie in a reach. A join would have
// TimescaleDB take every compressed chunk apart, for it looks at what is constant
// in a condition alone: here at series and instants.
const takeOutReachSQL = `with gone as (
		delete from readings where file_id = any($1::int8[]) and series_id = any($2::int4[]) and ts between $3::timestamptz and $4::timestamptz
		returning file_id)
	select file_id, count(*) from gone group by file_id`

// takeOutReadings takes out all readings of some files, and calls each with the
// id of a file that had any and their number.
func (c *committer) takeOutReadings(ctx context.Context, files []int64, each func(file, readings int64)) error {
	row := func(r *record) {
		id := r.int8()
		each(id, r.int8())
	}
	if !c.sink.store.layout.Hypertable {
		return execute(ctx, c.conn, takeOutSQL, ids(files), row)
	}
	reaches, err := c.reachesOf(ctx, files)
	for i := 0; err == nil && i < len(reaches); i++ {
		err = execute(ctx, c.conn, takeOutReachSQL, reaches[i].params(), row)
	}
	return err
}

// A reach is where the readings of some files lie.
type reach struct {
	files []int64
	extent
}

func (r *reach) params() [][]byte {
	slices.Sort(r.series)
	return append(ids(r.files), r.extent.params()...)
}

// params are the series and both instants; the series are to be sorted.
func (x *extent) params() [][]byte {
	series := newColumns(oidInt4)
	for i, id := range x.series {
		if i == 0 || id != x.series[i-1] {
			series[0].int4(id)
		}
	}
	return [][]byte{series[0].param(), timeParam(x.first), timeParam(x.last)}
}

const (
	filesOfReach = 1000
	anHour       = 3600 * 1_000_000 // microseconds
	apart        = 24 * anHour
)

// reachesOf divides files into reaches that hold little else: of files that
// follow one another and are of alike length.
func (c *committer) reachesOf(ctx context.Context, files []int64) (reaches []*reach, err error) {
	var all []reach // of a file each
	err = execute(ctx, c.conn, "select file_id, first_ts, last_ts, series from receipts where file_id = any($1::int8[]) and first_ts is not null", ids(files), func(r *record) {
		one := reach{files: []int64{r.int8()}}
		one.first, one.last, one.series = r.time(), r.time(), readInt4s(r.raw())
		all = append(all, one)
	})
	if err != nil {
		return nil, fmt.Errorf("looking up where readings lie: %w", err)
	}
	length := func(r *reach) int { return bits.Len64(uint64((r.last - r.first) / anHour)) }
	slices.SortFunc(all, func(a, b reach) int {
		return cmp.Or(cmp.Compare(length(&a), length(&b)), cmp.Compare(a.first, b.first), cmp.Compare(a.files[0], b.files[0]))
	})
	var last *reach
	lengths := 0
	for i := range all {
		one := &all[i]
		if n := length(one); last == nil || n != lengths || len(last.files) == filesOfReach || one.first > last.last+apart {
			last, lengths = one, n
			reaches = append(reaches, last)
			continue
		}
		last.files = append(last.files, one.files...)
		last.series = append(last.series, one.series...)
		last.last = max(last.last, one.last)
	}
	return reaches, nil
}

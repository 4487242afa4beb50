package store

import (
	"context"
	"fmt"
	"iter"

	"penstock/ingest"
)

// A RejectedLine is a line, or one cell of it, that could not be read, and the
// file version it stands in.
type RejectedLine struct {
	File *FileVersion // shared by all rejects of the file
	ingest.Reject
}

// Rejects lists what was rejected in the selected file versions, by file and
// line. It holds one page of files in memory, whatever the number of rejects.
// The first error ends it.
func (s *Store) Rejects(ctx context.Context, sel Selection) iter.Seq2[RejectedLine, error] {
	return func(yield func(RejectedLine, error) bool) {
		for page, err := range s.filePages(ctx, sel, "exists (select from rejects j where j.file_id = f.id)") {
			if err != nil {
				yield(RejectedLine{}, err)
				return
			}
			if more, err := s.rejectsOf(ctx, page, yield); err != nil {
				yield(RejectedLine{}, fmt.Errorf("reading rejected lines: %w", err))
				return
			} else if !more {
				return
			}
		}
	}
}

// rejectsOf yields the rejects of files, which are in the order of their ids,
// and reports whether more are wanted.
func (s *Store) rejectsOf(ctx context.Context, files []FileVersion, yield func(RejectedLine, error) bool) (more bool, err error) {
	rows, err := s.pool.Query(ctx, `select file_id, line, "column", reason, raw from rejects
		where file_id = any($1) order by file_id, line, "column"`, fileIDs(files))
	if err != nil {
		return false, err
	}
	defer rows.Close()
	at := 0
	var file int64
	var r ingest.Reject
	var current *FileVersion
	for rows.Next() {
		if err := rows.Scan(&file, &r.Line, &r.Column, &r.Reason, &r.Raw); err != nil {
			return false, err
		}
		for files[at].ID != file {
			at++
		}
		if current == nil || current.ID != file {
			v := files[at] // a copy: the page is used again
			current = &v
		}
		if !yield(RejectedLine{current, r}, nil) {
			return false, nil
		}
	}
	return true, rows.Err()
}

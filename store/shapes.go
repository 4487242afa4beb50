package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"penstock/ingest"
)

// A shapeCache knows the questions that the sink has written, for all its
// committers.
type shapeCache struct {
	mu    sync.Mutex
	asked map[[2]string]bool // shape and question
}

// ask writes the question of a shape, outside of the transaction that holds
// files for it: like a recipe it outlives a chunk that fails.
func (s *Sink) ask(ctx context.Context, shape *ingest.Shape) error {
	s.shapes.mu.Lock()
	defer s.shapes.mu.Unlock()
	key := [2]string{shape.ID, shape.Question}
	if s.shapes.asked[key] {
		return nil
	}
	if err := s.store.ask(ctx, shape); err != nil {
		return err
	}
	if s.shapes.asked == nil || len(s.shapes.asked) > maxCachedSeries {
		s.shapes.asked = make(map[[2]string]bool)
	}
	s.shapes.asked[key] = true
	return nil
}

// ask keeps one question of a shape at a time: the first one, until it is
// answered. One that nothing answers gives way to any that something does. A
// file that is held by a process that does not know of the answer yet asks
// nothing new.
func (s *Store) ask(ctx context.Context, shape *ingest.Shape) error {
	answers, err := json.Marshal(shape.Answers)
	if err != nil {
		return fmt.Errorf("writing the answers of shape %s: %w", shape.ID, err)
	}
	var header []string
	for _, name := range shape.Header {
		header = append(header, plain(name))
	}
	_, err = s.pool.Exec(ctx, `insert into shapes as s (id, loose, profile, header, question, asks, answers) values ($1, $2, $3, $4, $5, $6, $7::text::jsonb)
		on conflict (id) do update set loose = excluded.loose, profile = excluded.profile, header = excluded.header,
			question = excluded.question, asks = excluded.asks, answers = excluded.answers, answered = false
		where (s.answered or $8 and s.asks = '' and coalesce(s.answers, 'null') in ('null', '[]')) and (s.profile, s.question) <> (excluded.profile, excluded.question)`,
		shape.ID, shape.Loose, plain(shape.Profile), header, plain(shape.Question), shape.Asks, strings.ReplaceAll(string(answers), `\u0000`, `\ufffd`), shape.Answerable())
	if err != nil {
		return fmt.Errorf("recording the question of shape %s: %w", shape.ID, err)
	}
	return nil
}

// waits reports whether the span waits for its shape's answer, whole or in part.
func waits(s *ingest.Span) bool {
	return s.Shape != nil && (s.State == ingest.Held || s.Receipt.Cells.Withheld > 0)
}

// remark is what the ledger says of a span beside its counts: the question or
// the fault of one that is not loaded, else what its new channels wait for and
// its notes.
func remark(s *ingest.Span) string {
	if s.State != ingest.Loaded || len(s.Notes) == 0 {
		return s.Reason
	}
	return strings.TrimPrefix(s.Reason+"; "+strings.Join(s.Notes, "; "), "; ")
}

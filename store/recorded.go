package store

import (
	"penstock/ingest"
)

// What a lost ledger had recorded of file versions is repeated here, and not
// decided anew: which generation a version is, its rank and state, what was
// withheld of it, and which pass of a repeated hour its readings are of.

// applyRecorded makes the spans that a lost ledger had what they were in it. It
// may be applied again.
func (c *committer) applyRecorded(b *ingest.Batch, spans []int) {
	withhold := make(map[int]*ingest.Recorded)
	for _, i := range spans {
		s := &b.Spans[i]
		r := s.Recorded
		if r == nil {
			continue
		}
		switch r.State {
		case ingest.Held, ingest.Due:
			s.State, s.Reason, s.Notes = ingest.Held, r.Reason, nil
			s.Receipt, s.Rejects, s.Shape = ingest.Receipt{}, nil, nil
			if r.Shape != "" {
				s.Shape = &ingest.Shape{ID: r.Shape, Question: r.Reason}
			}
		case ingest.Quarantined:
			if s.State == ingest.Held {
				s.Receipt = ingest.Receipt{}
			}
			if s.State != ingest.Quarantined {
				s.State = ingest.Quarantined
				s.Receipt.Refuse()
			}
			s.Reason, s.Shape = r.Reason, nil
		default:
			if s.State == ingest.Loaded && r.Series != nil && s.Receipt.Cells.Withheld == 0 {
				withhold[i] = r
			}
			if s.State == ingest.Loaded {
				s.Shape = nil
				if r.Shape != "" && r.Series != nil {
					s.Shape = &ingest.Shape{ID: r.Shape, Question: r.Reason}
				}
			}
		}
	}
	if len(withhold) == 0 {
		return
	}
	withheld := make(map[int]map[int32]bool)
	b.Withhold(func(span int, key int32) bool {
		r := withhold[span]
		if r == nil || r.Series[[2]string{b.Keys[key].Logger, b.Keys[key].Channel}] {
			return false
		}
		if withheld[span] == nil {
			withheld[span] = make(map[int32]bool)
		}
		withheld[span][key] = true
		return true
	})
	for span, keys := range withheld {
		b.Spans[span].Identity = identityWithout(b.Spans[span].Identity, b, keys)
	}
}

// decideRecorded makes a claim what a lost ledger had of its version.
func (c *committer) decideRecorded(cl *claim, s *ingest.Span) {
	r, n := s.Recorded, cl.newest
	if n != nil && n.generation >= r.Generation {
		cl.generation, cl.id = n.generation, n.id
		switch {
		case n.sum == s.Sum && n.run == c.sink.run && n.chunk == c.chunk:
			cl.ours, cl.state = true, n.state
		case n.generation == r.Generation && n.sum != s.Sum:
			cl.state, cl.tells, cl.reason = ingest.Known, ingest.Failed, "the ledger has another content as this version of it: an archive is rebuilt into a database that has not loaded its sources"
		default:
			cl.state = ingest.Known
		}
		return
	}
	cl.generation = r.Generation
	cl.rank = rank{number: r.Rank, time: r.RankTime, path: ingest.EscapePath(s.File.Path), generation: r.Generation, key: cl.key}
	switch cl.state {
	case ingest.Loaded:
		cl.reason = r.Reason
		cl.heir = r.State == ingest.Duplicate && r.Heir
		if r.State == ingest.Undone || r.State == ingest.Duplicate && !r.Heir {
			cl.state = r.State
		}
	case ingest.Held:
		if r.State == ingest.Due {
			cl.state = ingest.Due
		}
	}
}

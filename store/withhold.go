package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"penstock/ingest"
)

// identityWithout is the identity of a file of which the series of some keys are
// withheld: it is not the duplicate of one that has them.
func identityWithout(of ingest.Digest, b *ingest.Batch, withheld map[int32]bool) ingest.Digest {
	names := make(map[seriesName]bool)
	for k := range withheld {
		names[seriesName{b.Keys[k].Logger, b.Keys[k].Channel}] = true
	}
	h := sha256.New()
	h.Write(of[:])
	for _, n := range slices.SortedFunc(maps.Keys(names), seriesName.compare) {
		fmt.Fprintf(h, "%d:%s%d:%s", len(n.logger), n.logger, len(n.channel), n.channel)
	}
	return ingest.Digest(h.Sum(nil))
}

// withholdUnanswered withholds of versions that are loaded again what was withheld
// before, unless a person approved it meanwhile, or has it read in another way.
func (k *correction) withholdUnanswered(ctx context.Context, b *ingest.Batch, versions map[int64]FileVersion) error {
	shapes := newColumns(oidText)
	for _, v := range versions {
		if v.Receipt.Cells.Withheld > 0 {
			shapes[0].text(v.Shape)
		}
	}
	if shapes[0].n == 0 {
		return nil
	}
	answered := make(map[string]bool)
	if err := k.exec(ctx, "select id from shapes where answered and id = any($1::text[])", shapes.params(), func(r *record) { answered[r.text()] = true }); err != nil {
		return err
	}
	return k.withholdAgain(ctx, b, versions, func(s *ingest.Span, v *FileVersion) bool {
		approved := s.Recipe.Trust == ingest.Approved && answered[v.Shape]
		return !approved && s.Kind != nil && s.Kind.ID == v.Shape
	})
}

// withholdAgain takes out of the batch what was withheld of the versions when
// they were loaded, where also says so.
func (k *correction) withholdAgain(ctx context.Context, b *ingest.Batch, versions map[int64]FileVersion, also func(*ingest.Span, *FileVersion) bool) error {
	held := make(map[int]map[seriesName]bool) // by span: the series that are not withheld
	for i := range b.Spans {
		s := &b.Spans[i]
		v := versions[s.Ledger]
		if s.State != ingest.Loaded || v.Receipt.Cells.Withheld == 0 || !also(s, &v) {
			continue
		}
		series, err := k.store.Series(ctx, v.Series)
		if err != nil {
			return err
		}
		held[i] = make(map[seriesName]bool, len(series))
		for _, key := range series {
			held[i][seriesName{key.Logger, key.Channel}] = true
		}
	}
	if len(held) == 0 {
		return nil
	}
	withheld := make(map[int]map[int32]bool)
	b.Withhold(func(span int, key int32) bool {
		series, some := held[span]
		if !some || series[seriesName{b.Keys[key].Logger, b.Keys[key].Channel}] {
			return false
		}
		if withheld[span] == nil {
			withheld[span] = make(map[int32]bool)
		}
		withheld[span][key] = true
		return true
	})
	for span, keys := range withheld {
		s := &b.Spans[span]
		s.Identity = identityWithout(s.Identity, b, keys)
	}
	return nil
}

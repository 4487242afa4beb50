package store

import (
	"slices"

	"penstock/ingest"
)

// This file writes claims as rows of files: new ones, and changes of those that
// are there.

// claimColumns is the columns of files in the order in which addNew writes
// them; changed is left to its default, the time of the transaction. Those of
// the receipt follow, and rareColumns where a claim of the chunk has any of them.
const (
	claimColumns = `id, key, generation, content, sha256, size, modified, modified_step, trusted, rank, rank_time, fetched, path, state, recipe, source, run, chunk`
	rareColumns  = `, reason, pack, pack_offset`

	rowOfFiles = 440 // about how many bytes one takes
)

// columnsOfFiles finds out which columns the claims need that are new to the
// ledger, and lists them.
func (c *committer) columnsOfFiles(b *ingest.Batch) string {
	c.rare = slices.ContainsFunc(c.claims, func(cl claim) bool { return cl.reason != "" || cl.pack != 0 })
	columns := claimColumns + c.receiptColumns(b)
	if c.rare {
		columns += rareColumns
	}
	return columns
}

func (c *committer) addNew(t *copyTable, cl *claim, b *ingest.Batch) error {
	s := &b.Spans[cl.span]
	fields := 18 + 3 + len(c.counted)
	if c.rare {
		fields += 3
	}
	t.row(fields)
	t.int8(cl.id)
	t.bytes(cl.key[:])
	t.int4(cl.generation)
	addContent(&t.column, cl)
	t.bytes(s.Sum[:])
	t.int8(s.File.Size)
	addModified(&t.column, &t.column, &t.column, s)
	t.int2(cl.rank.number)
	t.time(cl.rank.time)
	t.time(s.FirstFetched)
	t.text(cl.rank.path)
	t.text(string(cl.state))
	addRecipe(&t.column, cl)
	t.int2(c.sink.source)
	t.int4(c.sink.run)
	t.int4(c.chunk)
	if err := c.addReceipt(t, b, s); err != nil {
		return err
	}
	if c.rare {
		addReason(&t.column, cl)
		addPlace(&t.column, &t.column, cl, s)
	}
	return nil
}

func addAgain(w columns, cl *claim, s *ingest.Span) {
	w[0].int8(cl.newest.id)
	w[1].text(string(cl.state))
	addReason(&w[2], cl)
	addContent(&w[3], cl)
	addRecipe(&w[4], cl)
	w[5].time(cl.rank.time)
	w[6].int8(s.File.Size)
	addModified(&w[7], &w[8], &w[9], s)
	addPlace(&w[10], &w[11], cl, s)
	w[12].bytes(s.Sum[:])
	w[13].int2(cl.rank.number)
	w[14].text(string(cl.newest.state)) // whoever was faster has made it another
	cl.id = cl.newest.id
}

// addContent adds the content key of what is loaded, or a duplicate of it.
func addContent(w *column, cl *claim) {
	if cl.state == ingest.Loaded || cl.state == ingest.Duplicate || cl.state == ingest.Undone || cl.state == ingest.Loading {
		w.bytes(cl.content[:])
	} else {
		w.null()
	}
}

func addReason(w *column, cl *claim) {
	if cl.reason == "" {
		w.null()
	} else {
		w.text(plain(cl.reason))
	}
}

func addRecipe(w *column, cl *claim) {
	if cl.recipe == 0 {
		w.null()
	} else {
		w.int4(cl.recipe)
	}
}

// addModified adds what the pre-filter goes by: modified, its step, and
// whether the two may be trusted.
func addModified(modified, step, trust *column, s *ingest.Span) {
	if s.File.Precision == ingest.Unknown {
		modified.null()
		step.null()
	} else {
		modified.time(s.File.Modified)
		step.int4(stepOf(s.File.Precision))
	}
	trust.bool(trusted(s.File, s.Fetched))
}

// addPlace adds where the archive has the bytes.
func addPlace(pack, offset *column, cl *claim, s *ingest.Span) {
	if cl.pack == 0 {
		pack.null()
		offset.null()
	} else {
		pack.int4(cl.pack)
		offset.int8(s.Place.Offset)
	}
}

// addHint refreshes what the pre-filter goes by, where a file was fetched
// again and found unchanged, and where it was archived meanwhile.
func addHint(hint columns, cl *claim, s *ingest.Span) {
	f, n := s.File, cl.newest
	if n.modified == f.Modified && n.precision == f.Precision && n.trusted == trusted(f, s.Fetched) && cl.pack == 0 {
		return
	}
	hint[0].int8(n.id)
	addModified(&hint[1], &hint[2], &hint[3], s)
	addPlace(&hint[4], &hint[5], cl, s)
}

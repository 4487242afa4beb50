package format

import (
	"bytes"
	"context"
	"fmt"

	"penstock/ingest"
)

// A file is cut into parts between two records, so that how it is read does not
// change: one decoder reads it from the beginning to the end, whatever its rows
// need to know of those before them. What some need to know of the file's end,
// Settle finds out beforehand (waiting.go).

// cutStep is how far apart the places are at most where a part may end, in bytes
// of text.
const cutStep = 64 << 10

// cutting is how far the decoder is with the parts of a file.
type cutting struct {
	ingest.Cut       // End is nil for a file that is decoded whole
	step, at   int64 // at is how much text of the rows is behind the window
	next       int64 // a part may end at the first record from there on
	began      int64 // where the part did
	ended      bool  // a part has
	settling   bool  // it is Settle that reads
	settled    int   // how many readings were given what Settled tells
}

var _ ingest.PartDecoder = (*Decoder)(nil)

// DecodeParts implements ingest.PartDecoder.
func (d *Decoder) DecodeParts(ctx context.Context, c *ingest.Content, b *ingest.Batch, cut ingest.Cut) error {
	step := min(max(cut.Bytes, 1), cutStep)
	d.cut = cutting{Cut: cut, step: step, next: step}
	defer func() { d.cut = cutting{} }()
	return d.Decode(ctx, c, b)
}

// upTo returns how much of w, whose first so many bytes are whole lines, may be
// read in one go.
func (c *cutting) upTo(w []byte, whole int) int {
	left := c.next - c.at
	if c.End == nil || left > int64(whole) || left < 1 {
		return whole
	}
	return int(left) + bytes.IndexByte(w[left-1:whole], '\n')
}

// mayEndPart ends the part if it may end before the record at pos of the window.
func (d *Decoder) mayEndPart(pos int) error {
	c := &d.cut
	at := c.at + int64(pos)
	if c.End == nil || at < c.next || d.skipping {
		return nil
	}
	c.next = (at/c.step + 1) * c.step
	if !c.settling && d.unsettled() {
		return fmt.Errorf("%w: some of its times depend on those of rows further down", ingest.ErrUnsettled)
	}
	if at-c.began < c.Bytes && (c.Readings <= 0 || len(d.batch.Time)-d.span.Begin < c.Readings) {
		return nil
	}
	c.began = at
	return d.endPart()
}

// endPart hands on what was read.
func (d *Decoder) endPart() error {
	if !d.cut.Again {
		d.notePart()
	}
	if d.cut.settling {
		d.gatherDays()
		d.gatherRows()
	}
	d.jumps = d.jumps[:0]
	d.cut.ended = true
	d.span.End = len(d.batch.Time)
	whole := *d.span
	b, err := d.cut.End(d.batch)
	if err != nil {
		return err
	}
	d.batch, d.span = b, b.Begin(d.content)
	whole.Begin, whole.End = d.span.Begin, d.span.End
	*d.span = whole
	d.goOnBlock(d.span.Begin)
	d.names.open(b, d.plan, d.logger, d.channel, d.unit)
	return nil
}

// notePart gathers from the readings of a part what is noted of the file.
func (d *Decoder) notePart() {
	d.gatherJumps()
	d.gatherPaces()
}

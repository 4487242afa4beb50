package format

import (
	"bytes"
	"fmt"
	"math"

	"penstock/ingest"
)

// A file that grew is read as if what was read before, but for its head, were
// not there: the head says how rows are read, and then come the rows that are
// new. That is right where no row's meaning depends on those before it, which is
// why a file that can be carried on says so, and why anything out of the ordinary
// in it has the whole file read instead.

// gaining is how far the decoder is with a file of which only what it gained is
// wanted.
type gaining struct {
	past     bool // the seam is behind the window
	lines    ingest.Lines
	cells    ingest.Cells
	unended  bool  // no line ending stands at the file's end
	keptBack int64 // bytes of a last line that is left for later, because it is not ended
}

// position returns how many bytes of the file are behind the window; ok is false
// where the window is made of bytes that are not the file's own.
func (d *Decoder) position() (at int64, ok bool) {
	f := &d.feed
	switch {
	case f.from == nil:
		at = int64(len(d.content.Data))
	case f.from == &f.raw:
		at = f.raw.n
	default:
		return 0, false
	}
	return at - int64(len(f.window)), true
}

// upToSeam returns as much of the window as may be read as one text, and whether
// nothing comes after it.
func (d *Decoder) upToSeam() (w []byte, final bool) {
	f := &d.feed
	if d.content.Gain == nil || d.gain.past {
		return f.window, f.final
	}
	if at, ok := d.position(); ok {
		if left := d.content.Gain.Seam - at; left >= 0 && left < int64(len(f.window)) {
			return f.window[:left], false
		}
	}
	return f.window, f.final
}

// crossSeam forgets the rows of the head where the window begins with those that
// are new.
func (d *Decoder) crossSeam() error {
	g := d.content.Gain
	if g == nil || d.gain.past {
		return nil
	}
	at, ok := d.position()
	switch {
	case !ok:
		return fmt.Errorf("%w: it is not read from its bytes as they are", ingest.ErrWhole)
	case at < g.Seam && at+int64(len(d.feed.window)) >= g.Seam:
		return fmt.Errorf("%w: a record goes on past byte %d", ingest.ErrWhole, g.Seam)
	case at < g.Seam:
		return nil
	case at > g.Seam || !d.rowsStandAlone():
		return fmt.Errorf("%w: its rows depend on those before them", ingest.ErrWhole)
	}
	d.gain = gaining{past: true, lines: d.lines, cells: d.cells}
	d.batch.Forget()
	d.span.Rejects, d.rejects = nil, 0
	d.line = g.Of.Lines
	d.jumps, d.leaps, d.last = d.jumps[:0], 0, math.MinInt64
	return nil
}

// keptBack reports whether w, the last of a file that grew, is a line without its
// ending. It is read when the file has grown again.
func (d *Decoder) keptBack(w []byte, final bool) bool {
	if !d.gain.past || !final || bytes.IndexByte(w, '\n') >= 0 {
		return false
	}
	d.gain.keptBack = int64(len(w))
	return true
}

// onlyGained leaves of the counts those of what the file has gained.
func (d *Decoder) onlyGained(fault *refusal) error {
	if !d.gain.past || fault != nil || !d.rowsStandAlone() {
		return fmt.Errorf("%w: %s", ingest.ErrWhole, reasonOr(fault, "its rows depend on those before them"))
	}
	l, c, was, cells := &d.lines, &d.cells, &d.gain.lines, &d.gain.cells
	l.Total -= was.Total
	l.Preamble -= was.Preamble
	l.Header -= was.Header
	l.Blank -= was.Blank
	l.Comment -= was.Comment
	l.Footer -= was.Footer
	l.Message -= was.Message
	l.Data -= was.Data
	l.Rejected -= was.Rejected
	c.Total -= cells.Total
	c.Missing -= cells.Missing
	c.Rejected -= cells.Rejected
	return nil
}

func reasonOr(fault *refusal, otherwise string) string {
	if fault != nil {
		return fault.reason
	}
	return otherwise
}

// rowsStandAlone reports whether nothing that was read so far makes a row's
// meaning depend on rows before it, or rows behind it.
func (d *Decoder) rowsStandAlone() bool {
	pl := d.plan
	if pl == nil || d.footer || d.signless || d.skipping || d.declared.given || d.more > 0 ||
		d.waits() || len(d.blocks) > 0 || d.every != 0 || pl.profile.stamp.pace != nil ||
		len(pl.profile.stamp.oneOf) > 0 && d.chosen == nil {
		return false
	}
	for _, at := range d.textAt {
		if at > 0 && !pl.textless {
			return false
		}
	}
	return true
}

// maySayGrows says on the span how far it was read, if it can be carried on from
// there.
func (d *Decoder) maySayGrows() {
	at, ok := d.position()
	c := d.content
	if !ok || d.gain.unended || len(d.span.Undecided) > 0 || !d.rowsStandAlone() {
		return
	}
	if at -= d.gain.keptBack; c.Gain != nil {
		at += c.Gain.Of.At - c.Gain.Seam
	}
	d.span.GrowsAt = at
}

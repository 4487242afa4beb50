package ingest

import "fmt"

// A State is where a file version stands in the ledger.
type State string

// The states of the ledger.
const (
	Loaded      State = "loaded"      // its readings are visible, but for those that another file holds
	Duplicate   State = "duplicate"   // the same content as a loaded file, under another name
	Held        State = "held"        // waits for an answer; Reason is the question
	Quarantined State = "quarantined" // broken; Reason says where and how
	Undone      State = "undone"      // taken out by a person, and stays out
	Skipped     State = "skipped"     // not wanted: older than since, or adopted
	Due         State = "due"         // marked by a person to be taken up again
	Loading     State = "loading"     // some of its parts are there; none of its readings are visible
)

// What can become of a listed file without a new state in the ledger.
const (
	Known   State = "known"   // it is its path's newest version already
	Changed State = "changed" // it changed while it was fetched; a later listing takes it
	Whole   State = "whole"   // what it gained cannot be stored by itself: it is taken again, whole
	Failed  State = "failed"  // it could not be read, so there is no version of it
)

// Lines counts the lines of a file version. A line is what ends in a line
// ending, so a record with a quoted newline in it counts two.
type Lines struct {
	Total                                             int64
	Preamble, Header, Blank, Comment, Footer, Message int64
	Data                                              int64 // lines of records that gave their cells to Cells
	Rejected                                          int64 // lines that could not be read as a record; none of their cells are in Cells
}

// Cells counts the cells of a file version's data lines in the columns that
// hold readings.
type Cells struct {
	Total     int64
	Missing   int64 // empty, or a declared spelling of a missing value
	Rejected  int64 // not a number, or one that the database refused
	Withheld  int64 // of a channel that is new to a known logger, and waits for an answer
	Repeated  int64 // the same series and instant again further down in the file: the last line counts
	Stored    int64 // new in the table
	Replaced  int64 // passed to this file from one of lesser rank (of greater, under earliest)
	Unchanged int64 // already there, with the same value, and of a file that comes before this one
	Outranked int64 // already there, with another value, and of a file that comes before this one
}

// A Receipt is the account of one file version: what became of every line and
// of every cell.
type Receipt struct {
	Lines Lines
	Cells Cells
}

// Readings is the number of readings that the file holds, each once.
func (c *Cells) Readings() int64 { return c.Stored + c.Replaced + c.Unchanged + c.Outranked }

// Add adds o's counts to r's.
func (r *Receipt) Add(o *Receipt) {
	l, c := &r.Lines, &r.Cells
	l.Total += o.Lines.Total
	l.Preamble += o.Lines.Preamble
	l.Header += o.Lines.Header
	l.Blank += o.Lines.Blank
	l.Comment += o.Lines.Comment
	l.Footer += o.Lines.Footer
	l.Message += o.Lines.Message
	l.Data += o.Lines.Data
	l.Rejected += o.Lines.Rejected
	c.Total += o.Cells.Total
	c.Missing += o.Cells.Missing
	c.Rejected += o.Cells.Rejected
	c.Withheld += o.Cells.Withheld
	c.Repeated += o.Cells.Repeated
	c.Stored += o.Cells.Stored
	c.Replaced += o.Cells.Replaced
	c.Unchanged += o.Cells.Unchanged
	c.Outranked += o.Cells.Outranked
}

// Refuse turns the receipt into that of a file that is quarantined:
// every cell that is not missing counts as rejected.
func (r *Receipt) Refuse() {
	r.Cells = Cells{Total: r.Cells.Total, Missing: r.Cells.Missing, Rejected: r.Cells.Total - r.Cells.Missing}
}

// Balance checks the two equations that every receipt must satisfy and says
// which one fails, with both sides. A receipt that does not balance is a bug
// in Penstock and never the file's fault.
func (r *Receipt) Balance() error {
	l, c := &r.Lines, &r.Cells
	if sum := l.Preamble + l.Header + l.Blank + l.Comment + l.Footer + l.Message + l.Data + l.Rejected; sum != l.Total {
		return fmt.Errorf("receipt does not balance: %d lines, but %d accounted for (%+v)", l.Total, sum, *l)
	}
	if sum := c.Missing + c.Rejected + c.Withheld + c.Repeated + c.Readings(); sum != c.Total {
		return fmt.Errorf("receipt does not balance: %d cells, but %d accounted for (%+v)", c.Total, sum, *c)
	}
	return nil
}

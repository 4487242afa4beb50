package main

import (
	"cmp"
	"slices"
	"time"

	"penstock/ingest"
)

// A tally adds up what a pipeline tells. It remembers single files only up to
// a number, so that a million files cost no memory.
type tally struct {
	began time.Time

	files   map[ingest.State]int64
	receipt ingest.Receipt // of all files that were written to the ledger
	// rejected is the lines and cells that 'penstock rejects' tells of, and
	// refused the cells that count as rejected because their file is quarantined.
	rejected, refused int64
	chunks            int
	bytes             int64
	fetch             time.Duration
	decode            time.Duration
	commit            time.Duration

	waiting map[ingest.State]int64 // files known already that wait for a person
	// questions are what held files wait for, with how many share it.
	questions     map[string]*question
	moreQuestions int64 // files whose questions are not among these
	allShapes     bool  // have their questions kept until cutQuestions

	inTrouble int64            // files that a person may want to see to
	trouble   []ingest.Outcome // the first of these
	others    []ingest.Outcome // the first of the rest, without those known
}

// A question is what some files wait for that are held, or loaded but for the
// channels that are new.
type question struct {
	Question string   `json:"question"`
	Files    int64    `json:"files"`
	Example  string   `json:"example"`         // the escaped path of the first
	Shape    string   `json:"shape,omitempty"` // whose question it is
	Answers  []answer `json:"answers,omitempty"`
	Instead  []answer `json:"instead,omitempty"` // what to do where there is no answer

	asked    *ingest.Shape
	complete bool // asked has all that answers it: of a rebuild
	partly   bool // they are loaded
}

const (
	listedTrouble = 50 // files with trouble that are listed one by one
	listedAll     = 20 // files that are listed one by one though nothing is wrong
	maxQuestions  = 100
)

func newTally() *tally {
	return &tally{
		began: time.Now(), files: make(map[ingest.State]int64),
		waiting: make(map[ingest.State]int64), questions: make(map[string]*question),
	}
}

// observe takes in an event. It must not be called concurrently.
func (t *tally) observe(e ingest.Event) {
	t.chunks = max(t.chunks, e.Chunk)
	t.bytes += e.Bytes
	t.fetch += e.Fetch
	t.decode += e.Decode
	t.commit += e.Commit
	for i := range e.Outcomes {
		t.add(&e.Outcomes[i])
	}
}

func (t *tally) add(o *ingest.Outcome) {
	t.files[o.State]++
	t.receipt.Add(&o.Receipt)
	t.rejected += rejectedOf(o)
	if o.State == ingest.Quarantined {
		t.refused += o.Receipt.Cells.Rejected
	}
	switch {
	case o.State == ingest.Known:
		if o.Standing == ingest.Held || o.Standing == ingest.Quarantined {
			t.waiting[o.Standing]++
		}
	case troubled(o):
		t.inTrouble++
		if len(t.trouble) < listedTrouble {
			t.trouble = append(t.trouble, *o)
		}
		if o.State == ingest.Held || o.Shape != nil {
			t.ask(o)
		}
	case len(t.others) < listedAll:
		t.others = append(t.others, *o)
	}
}

// ask counts a file to those that wait for the same answer: those of a shape,
// else those with the same question.
func (t *tally) ask(o *ingest.Outcome) {
	key, q := o.Reason, question{Question: o.Reason, Files: 1, Example: ingest.EscapePath(o.File.Path)}
	if o.Shape != nil {
		key = o.Shape.ID
		q.Question, q.Shape, q.asked, q.partly = o.Shape.Question, o.Shape.ID, o.Shape, o.State != ingest.Held
	}
	if known := t.questions[key]; known != nil {
		known.Files++
		known.partly = known.partly && q.partly
	} else if len(t.questions) < maxQuestions || t.allShapes && q.Shape != "" {
		t.questions[key] = &q
	} else {
		t.moreQuestions++
	}
}

// cutQuestions leaves of the questions those that most files share.
func (t *tally) cutQuestions() {
	all := t.asked()
	for i := maxQuestions; i < len(all); i++ {
		t.moreQuestions += all[i].Files
		delete(t.questions, cmp.Or(all[i].Shape, all[i].Question))
	}
}

// troubled reports whether something in the file was not taken as it is.
func troubled(o *ingest.Outcome) bool {
	switch o.State {
	case ingest.Held, ingest.Quarantined, ingest.Failed, ingest.Changed:
		return true
	case ingest.Loaded, ingest.Duplicate, ingest.Undone, ingest.Skipped, ingest.Due, ingest.Known:
	}
	return rejectedOf(o) > 0 || o.Receipt.Cells.Withheld > 0 || o.Reason != ""
}

// rejectedOf is how many lines and cells of the file could not be read. The
// receipt of a quarantined file has all its cells as rejected, of which only
// those that are kept with a reason were at fault.
func rejectedOf(o *ingest.Outcome) int64 {
	if o.State == ingest.Quarantined {
		return int64(o.Rejects)
	}
	return o.Receipt.Lines.Rejected + o.Receipt.Cells.Rejected
}

// exit is the code that what was tallied asks for.
func (t *tally) exit() int {
	if t.troubledFiles() > 0 || t.rejected > 0 || t.receipt.Cells.Withheld > 0 {
		return exitTrouble
	}
	return exitWell
}

func (t *tally) troubledFiles() int64 {
	return t.files[ingest.Held] + t.files[ingest.Quarantined] + t.files[ingest.Failed] + t.files[ingest.Changed]
}

// seen is how many files were listed.
func (t *tally) seen() (n int64) {
	for _, m := range t.files {
		n += m
	}
	return n
}

// asked lists the questions of the held files, the most frequent first.
func (t *tally) asked() []question {
	all := make([]question, 0, len(t.questions))
	for _, q := range t.questions {
		all = append(all, *q)
	}
	slices.SortFunc(all, func(a, b question) int {
		return cmp.Or(cmp.Compare(b.Files, a.Files), cmp.Compare(a.Question, b.Question), cmp.Compare(a.Shape, b.Shape))
	})
	return all
}

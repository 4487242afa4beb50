package main

import "penstock/ingest"

// A guessJSON is a kind of files for programs, which rely on its names.
type guessJSON struct {
	Files     []string        `json:"files"`
	Refusal   string          `json:"refusal,omitempty"`
	Known     string          `json:"known,omitempty"` // the profile that matches
	Shape     string          `json:"shape,omitempty"`
	Profile   string          `json:"profile,omitempty"` // YAML
	Certain   bool            `json:"certain"`
	Question  string          `json:"question,omitempty"`
	Asks      string          `json:"asks,omitempty"`
	Answers   []answerJSON    `json:"answers,omitempty"`
	Findings  []findingJSON   `json:"findings,omitempty"`
	Series    []*lookedSeries `json:"series,omitempty"`
	LocalTime bool            `json:"local_time,omitempty"` // times of series are as in the files
	Lines     lineCounts      `json:"lines"`
	Readings  readingCounts   `json:"readings"`
	Rejects   []lookedReject  `json:"rejects,omitempty"`
	Notes     []string        `json:"notes,omitempty"`
	Stopped   string          `json:"stopped,omitempty"` // why a file would be quarantined
	ByLine    []lookedLine    `json:"by_line,omitempty"`
}

type answerJSON struct {
	Set   string `json:"set"`
	Means string `json:"means"`
}

type findingJSON struct {
	What     string `json:"what"`
	Value    string `json:"value"`
	Sure     string `json:"sure"` // certain, likely or open
	Evidence string `json:"evidence"`
	File     string `json:"file,omitempty"`
	Line     int64  `json:"line,omitempty"`
}

func (a *app) printGuessJSON(kinds []*lookedKind) error {
	all := make([]guessJSON, len(kinds))
	for i, k := range kinds {
		all[i] = k.json()
	}
	return a.printObject(struct {
		Kinds []guessJSON `json:"kinds"`
	}{all})
}

func (k *lookedKind) json() guessJSON {
	j := guessJSON{Refusal: k.refusal, Series: k.series, LocalTime: k.unzoned, Lines: linesOf(&k.receipt.Lines), Readings: readingsOf(&k.receipt.Cells),
		Rejects: k.rejects, Notes: k.notes, Stopped: k.stopped, ByLine: k.lines, Certain: k.profile != nil && k.question() == nil}
	for _, f := range k.files {
		j.Files = append(j.Files, ingest.EscapePath(f.file.Path))
	}
	if k.profile != nil {
		j.Profile = k.profile.Text
		if k.known {
			j.Known = k.profile.Name
		}
	}
	if q := k.question(); q != nil {
		j.Question, j.Asks = q.Question, q.Asks
		for _, answer := range q.Answers {
			j.Answers = append(j.Answers, answerJSON{answer.Set, answer.Means})
		}
	}
	if k.guessed == nil {
		return j
	}
	if k.guessed.Shape != nil {
		j.Shape = k.guessed.Shape.ID
	}
	for _, f := range k.guessed.Findings {
		finding := findingJSON{What: f.What, Value: f.Value, Sure: sureWords[f.Sure], Evidence: f.Evidence, Line: f.Line}
		if f.Sample < len(k.files) {
			finding.File = ingest.EscapePath(k.files[f.Sample].file.Path)
		}
		j.Findings = append(j.Findings, finding)
	}
	return j
}

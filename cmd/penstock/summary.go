package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"penstock/ingest"
)

// A summary is the end of a replay in JSON. Scripts rely on its names.
type summary struct {
	Files             fileCounts    `json:"files"`
	Readings          readingCounts `json:"readings"`
	Lines             lineCounts    `json:"lines"`
	Bytes             int64         `json:"bytes"`
	Seconds           float64       `json:"seconds"`
	FilesPerSecond    float64       `json:"files_per_second"`
	ReadingsPerSecond float64       `json:"readings_per_second"`
	StageSeconds      stageSeconds  `json:"stage_seconds"`
	Workers           int           `json:"workers"`
	Chunk             int           `json:"chunk"`
	Run               int32         `json:"run,omitempty"`
	Held              []question    `json:"held"`
	Interrupted       bool          `json:"interrupted,omitempty"`
}

// fileCounts counts files by what became of them; Seen is the sum of the
// others. A file that changed while it was read is among Failed: the next
// replay takes it.
type fileCounts struct {
	Seen        int64 `json:"seen"`
	Loaded      int64 `json:"loaded"`
	Known       int64 `json:"known"`
	Duplicate   int64 `json:"duplicate"`
	Skipped     int64 `json:"skipped"`
	Held        int64 `json:"held"`
	Quarantined int64 `json:"quarantined"`
	Failed      int64 `json:"failed"`
}

// stageSeconds are the sums over all workers.
type stageSeconds struct {
	Fetch  float64 `json:"fetch"`
	Decode float64 `json:"decode"`
	Commit float64 `json:"commit"`
}

// A result is a run of the pipeline that has ended.
type result struct {
	*tally
	took        time.Duration
	workers     int
	chunk       int
	run         int32 // in the ledger; 0 when nothing was stored, and of several runs
	stored      bool  // in a ledger, so that there is something to answer and to list
	interrupted bool
	verb        string   // what was done to the files: "loaded", or "would load"
	source      string   // the source's name; "" for several
	how         []string // the flags by which the files were read
}

func (r *result) summary() summary {
	t, seconds := r.tally, r.took.Seconds()
	c := &t.receipt.Cells
	s := summary{
		Files: fileCounts{
			Seen: t.seen(), Loaded: t.files[ingest.Loaded],
			// An undone version that comes again stays undone: it is known.
			Known:     t.files[ingest.Known] + t.files[ingest.Undone] + t.files[ingest.Due],
			Duplicate: t.files[ingest.Duplicate], Skipped: t.files[ingest.Skipped], Held: t.files[ingest.Held],
			Quarantined: t.files[ingest.Quarantined], Failed: t.files[ingest.Failed] + t.files[ingest.Changed],
		},
		Readings: readingsOf(c), Lines: linesOf(&t.receipt.Lines), Bytes: t.bytes, Seconds: seconds,
		StageSeconds: stageSeconds{t.fetch.Seconds(), t.decode.Seconds(), t.commit.Seconds()},
		Workers:      r.workers, Chunk: r.chunk, Run: r.run, Held: r.asked(), Interrupted: r.interrupted,
	}
	if seconds > 0 {
		s.FilesPerSecond = float64(s.Files.Seen) / seconds
		s.ReadingsPerSecond = float64(c.Readings()) / seconds
	}
	return s
}

// printResult writes what became of the files, and returns the exit code that
// it asks for as an error.
func (a *app) printResult(r *result) error {
	var err error
	switch a.output.value {
	case "json":
		err = a.printObject(r.summary())
	case "csv":
		_, err = printRows(a, eachOf(r.listed()), outcomeColumns()...)
	default:
		err = a.printSummary(r)
	}
	switch code := r.exit(); {
	case err != nil:
		return err
	case r.interrupted:
		return &hinted{errInterrupted, "what was committed stands; the same command goes on with the rest"}
	case code != exitWell:
		return exitError(code)
	}
	return nil
}

// An outcomeRow is what became of a file, in CSV.
type outcomeRow struct {
	Path       string        `json:"path" csv:"path"` // escaped
	Generation int32         `json:"generation" csv:"generation"`
	State      string        `json:"state" csv:"state"`
	Reason     string        `json:"reason" csv:"reason"`
	Readings   readingCounts `json:"readings" csv:"readings"`
	Lines      lineCounts    `json:"lines" csv:"lines"`

	rejected int64 // see rejectedOf
}

func outcomeOf(o *ingest.Outcome) outcomeRow {
	return outcomeRow{ingest.EscapePath(o.File.Path), o.Generation, string(o.State), o.Reason,
		readingsOf(&o.Receipt.Cells), linesOf(&o.Receipt.Lines), rejectedOf(o)}
}

func outcomeColumns() []column[outcomeRow] {
	return []column[outcomeRow]{
		{head: "STATE", text: func(r outcomeRow) string { return r.State }, style: func(r outcomeRow) lipgloss.Style { return stateStyle(r.State) }},
		{head: "READINGS", text: func(r outcomeRow) string {
			return count(r.Readings.Stored + r.Readings.Replaced + r.Readings.Unchanged + r.Readings.Outranked)
		}, right: true},
		{head: "LINES", text: func(r outcomeRow) string { return count(r.Lines.Total) }, right: true},
		{head: "REJECTED", text: func(r outcomeRow) string { return count(r.rejected) }, right: true},
		{head: "FILE", text: func(r outcomeRow) string { return r.Path }, cut: left},
	}
}

// listed are the files to name one by one: all of a few, else those with
// trouble.
func (r *result) listed() []outcomeRow {
	listed := r.trouble
	if r.remembered() <= listedAll {
		listed = append(listed[:len(listed):len(listed)], r.others...)
	}
	rows := make([]outcomeRow, len(listed))
	for i := range listed {
		rows[i] = outcomeOf(&listed[i])
	}
	// Workers and file systems have no order that would help to find a file.
	slices.SortFunc(rows, func(a, b outcomeRow) int { return strings.Compare(a.Path, b.Path) })
	return rows
}

// remembered is how many files were seen that were not known.
func (r *result) remembered() int64 { return r.seen() - r.files[ingest.Known] }

func (a *app) printSummary(r *result) error {
	var b strings.Builder
	rows := r.listed()
	p := table[outcomeRow]{a: a, columns: outcomeColumns()}
	for _, row := range rows {
		if err := p.add(row); err != nil {
			return err
		}
	}
	if err := p.end(); err != nil {
		return err
	}
	for _, row := range rows {
		if row.Reason != "" && row.State != string(ingest.Held) {
			fmt.Fprintf(&b, "\n%s\n  %s\n", a.style(bold, row.Path), printable(row.Reason))
		}
	}
	rest(&b, r, int64(len(rows)))
	if len(rows) > 0 {
		b.WriteByte('\n')
	}
	a.totals(&b, r)
	a.advice(&b, r)
	_, err := a.out.Write([]byte(b.String()))
	return err
}

// rest says of how many files nothing was said, where listed ones were named.
func rest(b *strings.Builder, r *result, listed int64) {
	ls := "penstock files ls" + r.ofRun()
	if n := r.inTrouble - int64(len(r.trouble)); n > 0 {
		fmt.Fprintf(b, "...and %s with trouble: %s\n", counted(n, "file"), ls)
	}
	if n := r.remembered() - r.inTrouble; n > 0 && r.remembered() > listed {
		fmt.Fprintf(b, "...and %s without a flaw: %s\n", counted(n, "file"), ls)
	}
}

func (a *app) totals(b *strings.Builder, r *result) {
	s := r.summary()
	line := func(name string, parts ...string) {
		var given []string
		for _, p := range parts {
			if p != "" {
				given = append(given, p)
			}
		}
		fmt.Fprintf(b, "%s  %s\n", a.style(faint, fmt.Sprintf("%-8s", name)), strings.Join(given, ", "))
	}
	some := func(n int64, word string, st lipgloss.Style) string {
		if n == 0 {
			return ""
		}
		return a.style(st, count(n)+" "+word)
	}
	line("files", count(s.Files.Seen)+" seen",
		some(s.Files.Loaded, r.verb, good), some(s.Files.Known, "known", faint), some(s.Files.Duplicate, "duplicate", faint),
		some(s.Files.Skipped, "skipped", faint), some(s.Files.Held, "held", warn),
		some(s.Files.Quarantined, "quarantined", bad), some(s.Files.Failed, "failed", bad))
	if s.Lines.Total > 0 {
		d := &s.Readings
		line("readings", count(d.Stored)+" stored", some(d.Replaced, "replaced", plain), some(d.Unchanged, "unchanged", plain),
			some(d.Outranked, "outranked", plain), some(d.Repeated, "repeated", plain), some(d.Missing, "missing", plain),
			some(d.Rejected-r.refused, "rejected", bad), some(d.Withheld, "withheld", warn), some(r.refused, "quarantined", bad))
		l := &s.Lines
		line("lines", count(l.Total)+" in all", some(l.Data, "data", plain), some(l.Header, "header", plain), some(l.Preamble, "preamble", plain),
			some(l.Blank, "blank", plain), some(l.Comment, "comment", plain), some(l.Footer, "footer", plain), some(l.Message, "message", plain),
			some(l.Rejected, "rejected", bad))
	}
	took := fmt.Sprintf("%.2f s", s.Seconds)
	if s.Lines.Total == 0 {
		line("took", took)
		return
	}
	line("took", took, rate(s.Files.Seen, s.Seconds)+" files", rate(r.receipt.Cells.Readings(), s.Seconds)+" readings", byteSize(s.Bytes))
	if s.Workers == 0 {
		return // of several pipelines
	}
	line("workers", fmt.Sprintf("%d with chunks of %d: fetch %.2f s, decode %.2f s, commit %.2f s", s.Workers, s.Chunk,
		s.StageSeconds.Fetch, s.StageSeconds.Decode, s.StageSeconds.Commit))
}

// advice says what a person can do about what was not taken as it is.
func (a *app) advice(b *strings.Builder, r *result) {
	for _, q := range r.asked() {
		what := " held"
		if q.partly {
			what = " loaded in part"
		}
		fmt.Fprintf(b, "\n%s, for example %s:\n  %s\n", a.style(warn, counted(q.Files, "file")+what), q.Example, printable(q.Question))
		for _, answer := range q.Answers {
			fmt.Fprintf(b, "  %s\n", a.answerText(answer))
		}
		if len(q.Instead) > 0 {
			fmt.Fprintln(b, noAnswer)
		}
		for _, x := range q.Instead {
			fmt.Fprintf(b, "  %s\n", a.answerText(x))
		}
		if answer := answerTo(q.Question); answer != nil && r.stored {
			switch {
			case len(q.Answers)+len(q.Instead) == 0:
			case r.source == "":
				b.WriteString("or, for the files that wait now alone:\n")
			default:
				b.WriteString("or, for the files of this source alone:\n")
			}
			fmt.Fprintf(b, "  %s\n", r.retry(ingest.Held, r.asBefore(answer)...))
		}
	}
	if r.moreQuestions > 0 {
		fmt.Fprintf(b, "\n%s held with other questions: penstock profiles pending\n", counted(r.moreQuestions, "file"))
	}
	if n := r.files[ingest.Quarantined]; n > 0 && r.stored {
		fmt.Fprintf(b, "\n%s. When what was wrong is mended:\n  %s\n", a.style(bad, counted(n, "file")+" quarantined"),
			r.retry(ingest.Quarantined, r.asBefore(r.profileWanted())...))
	}
	if n := r.waiting[ingest.Held] + r.waiting[ingest.Quarantined]; n > 0 {
		wait := "wait"
		if n == 1 {
			wait = "waits"
		}
		fmt.Fprintf(b, "\n%s known already that %s for you (penstock files ls%s --state held,quarantined).\nWhen what was wrong is mended:\n  %s\n",
			counted(n, "file"), wait, r.ofSource(), r.retry("", r.how...))
		if r.waiting[ingest.Held] > 0 {
			b.WriteString("What is asked: penstock profiles pending\n")
		}
	}
	if r.rejected > 0 && r.stored {
		fmt.Fprintf(b, "\nThe rejected lines, with reasons: penstock rejects%s\n", r.ofRun())
	}
	if r.exit() == exitTrouble {
		fmt.Fprintf(b, "Exit code %d: %s.\n", exitTrouble, r.why())
	}
}

// asked lists the questions with the commands that answer them.
func (r *result) asked() []question {
	all := r.tally.asked()
	for i := range all {
		if q := &all[i]; q.asked != nil && r.stored {
			q.Answers, q.Instead = answersTo(q.asked, r.beside()...), insteadOf(q.asked, q.Example)
		}
	}
	return all
}

// beside is the flags, of those that the files were read with, that go with the
// answer to a shape's question.
func (r *result) beside() (flags []string) {
	for i, flag := range r.how {
		switch flag {
		case "--strict":
			flags = append(flags, flag)
		case "--loggers":
			flags = append(flags, r.how[i:min(i+2, len(r.how))]...)
		}
	}
	return flags
}

// ofSource and ofRun are the flags that choose what was loaded here.
func (r *result) ofSource() string {
	if r.source == "" {
		return ""
	}
	return " --source " + shown([]string{r.source})
}

func (r *result) ofRun() string {
	if r.run == 0 {
		return ""
	}
	return fmt.Sprintf(" --run %d", r.run)
}

// retry is the command that takes files of this source up again: those in a
// state, or all that wait.
func (r *result) retry(state ingest.State, flags ...string) string {
	command := "penstock files retry" + r.ofSource()
	if state != "" {
		command += " --state " + string(state)
	}
	if len(flags) > 0 {
		command += " " + shown(flags)
	}
	return command
}

// asBefore adds to the flags of an answer those that the files were read with:
// without the zone they would be held again, and without the loggers table they
// would load under the names that they tell.
func (r *result) asBefore(answer []string) []string {
	all := slices.Clone(answer)
	for i, flag := range r.how {
		if !strings.HasPrefix(flag, "--") || slices.Contains(answer, flag) {
			continue
		}
		all = append(all, flag)
		if i+1 < len(r.how) && !strings.HasPrefix(r.how[i+1], "--") {
			all = append(all, r.how[i+1])
		}
	}
	return all
}

// profileWanted is a flag for a profile when a quarantined file asks for one:
// its reason names the flag.
func (r *result) profileWanted() []string {
	for i := range r.trouble {
		if o := &r.trouble[i]; o.State == ingest.Quarantined && strings.Contains(o.Reason, "--profile") {
			return []string{"--profile", "NAME|FILE.yaml"}
		}
	}
	return nil
}

// answerTo returns the flag that answers a held file's question, where one
// does: questions name it themselves.
func answerTo(question string) []string {
	switch {
	case strings.Contains(question, "--zone"):
		return []string{"--zone", "Area/City"}
	case strings.Contains(question, "--profile"):
		return []string{"--profile", "NAME"}
	case strings.Contains(question, "--loggers"):
		return []string{} // the table that was given, with what was added to it
	}
	return nil
}

// why words the reason of exit code 3.
func (r *result) why() string {
	var parts []string
	for _, state := range []ingest.State{ingest.Held, ingest.Quarantined} {
		if n := r.files[state]; n > 0 {
			parts = append(parts, counted(n, "file")+" "+string(state))
		}
	}
	if n := r.files[ingest.Failed]; n > 0 {
		parts = append(parts, counted(n, "file")+" could not be read")
	}
	if n := r.files[ingest.Changed]; n > 0 {
		parts = append(parts, counted(n, "file")+" changed meanwhile, or taken by others")
	}
	if n := r.receipt.Cells.Withheld; n > 0 {
		parts = append(parts, counted(n, "reading")+" of new channels withheld")
	}
	if n := r.rejected; n > 0 {
		what := " lines or cells rejected"
		if n == 1 {
			what = " line or cell rejected"
		}
		parts = append(parts, count(n)+what)
	}
	return strings.Join(parts, ", ")
}

package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"penstock/ingest"
	"penstock/ingest/format"
)

// printGuess writes profiles that were guessed or matched to stdout, as YAML,
// and all that is for a person to stderr. What a given profile makes of files
// is data, so that goes to stdout.
func (a *app) printGuess(g *guess, kinds []*lookedKind) error {
	profiles := 0
	for _, k := range kinds {
		if k.profile == nil || k.given && len(g.sets) == 0 {
			continue
		}
		if profiles++; profiles > 1 {
			if _, err := io.WriteString(a.raw(), "---\n"); err != nil {
				return err
			}
		}
		if _, err := io.WriteString(a.raw(), k.profile.Text); err != nil {
			return err
		}
	}
	report := func() error {
		for i, k := range kinds {
			if i > 0 || profiles > 0 && a.outTerminal {
				fmt.Fprintln(a.out)
			}
			if err := a.reportKind(g, k, len(kinds) > 1); err != nil {
				return err
			}
		}
		if profiles > 1 {
			fmt.Fprintln(a.out, "\n"+a.style(warn, fmt.Sprintf("These files are of %d kinds, and each kind needs a profile in a file of its own.", profiles)))
		}
		return nil
	}
	if profiles == 0 {
		return report()
	}
	return a.aside(report)
}

// aside runs write with stderr in the place of stdout, unless nothing is wanted
// there.
func (a *app) aside(write func() error) error {
	if a.quiet {
		return nil
	}
	out, profile, width := a.out, a.outProfile, a.width
	a.out, a.outProfile = a.err, a.errProfile
	if !a.errTerminal {
		a.width = 0
	}
	defer func() { a.out, a.outProfile, a.width = out, profile, width }()
	return write()
}

// reportKind says what the files are, why, and what is read of them.
func (a *app) reportKind(g *guess, k *lookedKind, named bool) error {
	heading := func(text string) { fmt.Fprintln(a.out, a.style(bold, text)) }
	if named || k.profile == nil {
		heading(filesOf(k.files))
	}
	if k.profile == nil {
		fmt.Fprintf(a.out, "%s: %s.\n", a.style(bad, "No readings"), printableLines(strings.TrimRight(k.refusal, ".")))
		return nil
	}
	switch {
	case k.given:
	case k.known:
		fmt.Fprintf(a.out, "The profile %s matches: %s.\n", a.style(bold, k.profile.Name), k.profile.Description)
	default:
		if err := a.printFindings(k.guessed.Findings); err != nil {
			return err
		}
		fmt.Fprintln(a.out)
	}
	if len(k.lines) > 0 {
		if err := a.printLines(k); err != nil {
			return err
		}
		fmt.Fprintln(a.out)
	}
	if err := a.printSeries(k); err != nil {
		return err
	}
	a.printAccount(k)
	return a.printQuestion(g, k)
}

func filesOf(files []*lookedFile) string {
	name := ingest.EscapePath(files[0].file.Path)
	if len(files) > 1 {
		name += fmt.Sprintf(" and %s like it", counted(int64(len(files)-1), "file"))
	}
	return name
}

// sureWords are how sure a finding is, for people and for programs.
var sureWords = map[format.Certainty]string{format.Certain: "certain", format.Likely: "likely", format.Open: "open"}

func sureStyle(c format.Certainty) lipgloss.Style {
	switch c {
	case format.Certain:
		return good
	case format.Open:
		return warn
	case format.Likely:
	}
	return faint
}

// widestFound is how much of what was found is shown in a table, in cells.
const widestFound = 60

func (a *app) printFindings(findings []format.Finding) error {
	t := &table[format.Finding]{a: a, columns: []column[format.Finding]{
		{head: "WHAT", text: func(f format.Finding) string { return f.What }},
		{head: "FOUND", text: func(f format.Finding) string { return ansi.Truncate(printable(f.Value), widestFound, "…") }, cut: right},
		{head: "SURE", text: func(f format.Finding) string { return sureWords[f.Sure] }, style: func(f format.Finding) lipgloss.Style { return sureStyle(f.Sure) }},
		{head: "LINE", text: func(f format.Finding) string {
			if f.Line == 0 {
				return ""
			}
			return strconv.FormatInt(f.Line, 10)
		}, right: true},
		{head: "WHY", text: func(f format.Finding) string { return f.Evidence }, cut: right},
	}}
	for _, f := range findings {
		if err := t.add(f); err != nil {
			return err
		}
	}
	return t.end()
}

func (a *app) printLines(k *lookedKind) error {
	several := len(k.files) > 1
	columns := []column[lookedLine]{
		{head: "LINE", text: func(l lookedLine) string { return strconv.FormatInt(l.Line, 10) }, right: true},
		{head: "IS", text: func(l lookedLine) string { return l.Kind }, style: func(l lookedLine) lipgloss.Style { return lineStyle(l.Kind) }},
		{head: "TEXT", text: func(l lookedLine) string { return strings.ReplaceAll(l.Text, "\t", "→") }, cut: right},
		{head: "GIVES", text: func(l lookedLine) string { return l.Says }, cut: right},
	}
	if several {
		columns = append([]column[lookedLine]{{head: "FILE", text: func(l lookedLine) string { return l.File }, cut: left}}, columns...)
	}
	t := &table[lookedLine]{a: a, columns: columns}
	for _, l := range k.lines {
		if err := t.add(l); err != nil {
			return err
		}
	}
	return t.end()
}

func lineStyle(kind string) lipgloss.Style {
	switch format.LineKind(kind) {
	case format.DataLine:
		return good
	case format.RejectedLine:
		return bad
	case format.HeaderLine:
		return bold
	case format.PreambleLine, format.BlankLine, format.CommentLine, format.FooterLine, format.MessageLine:
	}
	return faint
}

// mostSeries is how many series of a kind are shown.
const mostSeries = 40

func (a *app) printSeries(k *lookedKind) error {
	t := &table[*lookedSeries]{a: a, columns: []column[*lookedSeries]{
		{head: "LOGGER", text: func(s *lookedSeries) string { return s.Logger }, cut: right},
		{head: "CHANNEL", text: func(s *lookedSeries) string { return s.Channel }, cut: right},
		{head: "UNIT", text: func(s *lookedSeries) string { return s.Unit }, cut: right},
		{head: "READINGS", text: func(s *lookedSeries) string { return count(s.N) }, right: true},
		{head: "FIRST", text: func(s *lookedSeries) string { return k.when(s.First.Time) }},
		{head: "VALUE", text: func(s *lookedSeries) string { return number(s.First.Value) }, right: true},
		{head: "LAST", text: func(s *lookedSeries) string { return k.when(s.Last.Time) }},
		{head: "VALUE", text: func(s *lookedSeries) string { return number(s.Last.Value) }, right: true},
	}}
	for _, s := range k.series[:min(len(k.series), mostSeries)] {
		if err := t.add(s); err != nil {
			return err
		}
	}
	if err := t.end(); err != nil {
		return err
	}
	if more := len(k.series) - mostSeries; more > 0 {
		fmt.Fprintf(a.out, "%s\n", a.style(faint, fmt.Sprintf("and %s more", counted(int64(more), "series"))))
	}
	if k.unzoned {
		fmt.Fprintln(a.out, a.style(warn, "Times are as they stand in the files: their zone is not known."))
	}
	if len(k.series) > 0 {
		fmt.Fprintln(a.out)
	}
	return nil
}

// printAccount says how much was read, and what could not be.
func (a *app) printAccount(k *lookedKind) {
	if k.stopped != "" {
		fmt.Fprintf(a.out, "%s: %s.\n", a.style(bad, "It would be quarantined"), printableLines(strings.TrimRight(k.stopped, ".")))
		return
	}
	if n := len(k.files); n > mostSamples {
		fmt.Fprintln(a.out, a.style(faint, fmt.Sprintf("What was read is that of %d of the %s.", mostSamples, counted(int64(n), "file"))))
	}
	l, c := &k.receipt.Lines, &k.receipt.Cells
	if l.Total > 0 {
		parts := []string{counted(l.Total, "line")}
		for _, p := range []struct {
			n    int64
			what string
		}{{l.Preamble, "before the header"}, {l.Header, "of the header"}, {l.Data, "of data"}, {l.Blank, "blank"}, {l.Comment, "of comments"},
			{l.Message, "of messages"}, {l.Footer, "of the footer"}, {l.Rejected, "rejected"}} {
			if p.n > 0 {
				parts = append(parts, count(p.n)+" "+p.what)
			}
		}
		parts[0] += ": " + strings.Join(parts[1:], ", ")
		fmt.Fprintf(a.out, "%s; %s, %s missing, %s rejected\n", parts[0], counted(k.readings, "reading"), count(c.Missing), counted(c.Rejected, "cell"))
	}
	for _, r := range k.rejects {
		where := fmt.Sprintf("%s:%d", r.File, r.Line)
		if r.Column > 0 {
			where += fmt.Sprintf(":%d", r.Column)
		}
		fmt.Fprintf(a.out, "%s %s: %s\n", a.style(bad, "rejected"), where, printable(r.Reason))
	}
	for _, note := range k.notes {
		fmt.Fprintf(a.out, "%s %s\n", a.style(warn, "note:"), printable(note))
	}
}

// printQuestion says what is open and how to answer it, or what to do next.
func (a *app) printQuestion(g *guess, k *lookedKind) error {
	q := k.question()
	if q == nil {
		if k.guessed != nil && k.stopped == "" {
			next := "'penstock replay' loads such files as they are."
			if g.zone != "" || len(g.sets) > 0 || len(k.files) > 1 { // which replay does not know of each
				next = "save the profile, and 'penstock replay --profile PROFILE.yaml' loads such files."
			}
			fmt.Fprintln(a.out, a.style(good, "Nothing is open: "+next))
		}
		return nil
	}
	fmt.Fprintf(a.out, "%s %s\n", a.style(warn, "Question:"), printable(q.Question))
	command := "penstock guess"
	if k.given {
		command += " --profile " + shown([]string{g.profile})
	}
	if g.noBuiltins {
		command += " --no-builtins"
	}
	if g.zone != "" {
		command += " --zone " + shown([]string{g.zone})
	}
	for _, set := range g.sets {
		command += " --set " + shown([]string{set})
	}
	for _, answer := range q.Answers {
		if answer.Set == "" {
			continue
		}
		fmt.Fprintf(a.out, "  %s --set %s FILE   %s\n", command, shown([]string{answer.Set}), a.style(faint, "# "+printable(answer.Means)))
	}
	switch {
	case len(q.Answers) > 0 || q.Asks == "":
	case q.Asks == "zone":
		fmt.Fprintf(a.out, "  %s --zone Europe/London FILE   %s\n", command, a.style(faint, "# an area and city, or an offset such as +01:00"))
	default:
		fmt.Fprintf(a.out, "  %s --set %s=... FILE\n", command, q.Asks)
	}
	return nil
}

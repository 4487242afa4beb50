package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"penstock/ingest"
	"penstock/ingest/format"
	"penstock/store"
)

func newPending(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "pending [SHAPE]",
		Short: "list what is asked about held files, one row for all files of a shape",
		Long: `Pending lists the shapes of files that wait for an answer, each once: how many
files there are, what they look like, the question, and the commands that answer
it. With the id of a shape, or the beginning of it, it prints the profile that
would read its files, and the files.`,
		Args: args(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				return a.showPending(args[0])
			}
			return a.listPending()
		},
	}
}

// A pendingRow is a shape that files wait for.
type pendingRow struct {
	Shape    string   `json:"shape" csv:"shape"`
	Files    int64    `json:"files" csv:"files"` // that wait
	Partly   int64    `json:"partly_loaded" csv:"partly_loaded"`
	Example  string   `json:"example" csv:"example"`
	Looks    string   `json:"looks_like" csv:"looks_like"`
	Question string   `json:"question" csv:"question"`
	Answered bool     `json:"answered" csv:"answered"`
	Answers  []answer `json:"answers" csv:"-"`
	Commands string   `json:"-" csv:"answers"`           // one a line
	Instead  []answer `json:"instead,omitempty" csv:"-"` // what to do where there is no answer
	Seen     stamp    `json:"seen" csv:"seen"`
	YAML     string   `json:"yaml,omitempty" csv:"-"`
	Waiting  []string `json:"waiting,omitempty" csv:"-"` // the escaped paths of the files
}

// An answer is a command, and what it makes of the files.
type answer struct {
	Command string `json:"command"`
	Means   string `json:"means,omitempty"`
}

func pendingRowOf(p *store.Pending) pendingRow {
	r := pendingRow{Shape: p.ID, Files: p.Held + p.Partly, Partly: p.Partly, Example: p.Example, Looks: format.Looks(&p.Shape),
		Question: p.Question, Answered: p.Answered, Seen: stamp{p.Seen}}
	r.Answers, r.Instead = answersTo(&p.Shape), insteadOf(&p.Shape, p.Example)
	if p.Answered {
		r.Answers, r.Instead = []answer{{Command: "penstock profiles approve " + p.ID}}, nil
	}
	if r.Answers == nil {
		r.Answers = []answer{}
	}
	for i := range r.Answers {
		r.Commands += r.Answers[i].Command + "\n"
	}
	r.Commands = strings.TrimSuffix(r.Commands, "\n")
	return r
}

// noAnswer says of a question that insteadOf is to be done.
const noAnswer = "No answer makes it right: it takes a profile of your own, or other files."

// insteadOf are the commands by which files load whose question no answer
// settles, one after the other; none where there are answers. example is the
// escaped path of one of the files.
func insteadOf(s *ingest.Shape, example string) []answer {
	if s.Profile == "" || s.Answerable() {
		return nil
	}
	return []answer{
		{"penstock guess FILE > mine.yaml", "as far as it was understood: mend it, and take out the line open:, if there is one"},
		{"penstock files retry " + pasted([]string{"--profile", "mine.yaml", asPattern.Replace(example)}), "and --profile mine.yaml in the replay of files to come"},
	}
}

// asPattern makes an escaped path a pattern that matches it alone.
var asPattern = strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`, "]", `\]`, "{", `\{`, "}", `\}`)

// answersTo are the commands that answer a shape's question, none where nothing
// does. beside is flags that go with them.
func answersTo(s *ingest.Shape, beside ...string) (all []answer) {
	if !s.Answerable() {
		return nil
	}
	add := func(means string, flags ...string) {
		all = append(all, answer{"penstock profiles approve " + pasted(slices.Concat([]string{s.ID}, flags, beside)), means})
	}
	for _, x := range s.Answers {
		switch {
		case x.Set != "":
			add(x.Means, "--set", x.Set)
		default:
			var flags []string
			for _, m := range x.Map {
				flags = append(flags, "--map", m)
			}
			add(x.Means, flags...)
		}
	}
	if len(s.Answers) > 0 {
		return all
	}
	if s.Asks == "zone" {
		add("", "--set", "zone=Area/City")
	} else {
		add("", "--set", s.Asks+"=VALUE")
	}
	return all
}

// answerText is an answer for a person: the command, then what it means.
func (a *app) answerText(x answer) string {
	if x.Means == "" {
		return printable(x.Command)
	}
	return printable(x.Command) + a.style(faint, "  # "+printable(x.Means))
}

// pasted joins arguments, which may hold any text of a file, so that a shell
// reads them as they are.
func pasted(args []string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		if words[i] = arg; arg == "" || strings.ContainsFunc(arg, func(c rune) bool { return !strings.ContainsRune("-_=./:,+@%", c) && !isAlphanumeric(c) }) {
			words[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}

func isAlphanumeric(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func (a *app) listPending() error {
	s, err := a.openStore(a.take, reads, store.Options{})
	if err != nil {
		return err
	}
	defer s.close(a.log)
	shapes, err := s.Pending(a.take)
	if err != nil {
		return err
	}
	rows := make([]pendingRow, len(shapes))
	for i := range shapes {
		rows[i] = pendingRowOf(&shapes[i])
	}
	if a.output.value != "table" {
		_, err := printRows(a, eachOf(rows))
		return err
	}
	for i := range rows {
		if i > 0 {
			fmt.Fprintln(a.out)
		}
		if err := a.tellPending(&rows[i]); err != nil {
			return err
		}
	}
	if len(rows) == 0 {
		a.note("Nothing is asked.")
	}
	return nil
}

// tellPending writes a shape with its question for a person.
func (a *app) tellPending(r *pendingRow) error {
	files := fmt.Sprintf("%s, such as %s", counted(r.Files, "file"), r.Example)
	if r.Partly > 0 {
		files = fmt.Sprintf("%s (%s loaded but for what is new), such as %s", counted(r.Files, "file"), count(r.Partly), r.Example)
	}
	question := printable(r.Question)
	if r.Answered {
		question += " It was answered; these came by a process that did not know yet."
	}
	pairs := []string{"shape", a.style(bold, r.Shape), "files", files, "looks like", printable(r.Looks), "question", question}
	for i, x := range r.Answers {
		name := "answer"
		if i > 0 {
			name = "or"
		}
		pairs = append(pairs, name, a.answerText(x))
	}
	for i, x := range r.Instead {
		name := "then"
		if i == 0 {
			pairs = append(pairs, "answer", noAnswer)
			name = "instead"
		}
		pairs = append(pairs, name, a.answerText(x))
	}
	return a.facts(pairs...)
}

func (a *app) showPending(prefix string) error {
	s, err := a.openStore(a.take, reads, store.Options{})
	if err != nil {
		return err
	}
	defer s.close(a.log)
	p, err := s.shape(a.take, prefix)
	if err != nil {
		return err
	}
	files := s.Files(a.take, store.Selection{Shape: p.ID, Newest: true})
	if a.output.value == "csv" {
		_, err := printRows(a, mapped(files, rowOf))
		return err
	}
	r := pendingRowOf(p)
	r.YAML = p.Profile
	if a.output.value == "json" {
		for v, err := range files {
			if err != nil {
				return err
			}
			r.Waiting = append(r.Waiting, v.Display)
		}
		return a.printObject(r)
	}
	if err := a.tellPending(&r); err != nil {
		return err
	}
	if r.YAML != "" {
		fmt.Fprintf(a.out, "\n%s\n", printableLines(strings.TrimRight(r.YAML, "\n")))
	}
	fmt.Fprintln(a.out)
	_, err = printRows(a, mapped(files, rowOf),
		column[fileRow]{head: "STATE", text: func(r fileRow) string { return r.State }},
		column[fileRow]{head: "FILE", text: func(r fileRow) string { return r.Path }, cut: left},
		column[fileRow]{head: "QUESTION", text: func(r fileRow) string { return r.Reason }, cut: right})
	return err
}

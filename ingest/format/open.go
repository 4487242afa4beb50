package format

import (
	"fmt"
	"slices"
	"strings"

	"penstock/ingest"

	"go.yaml.in/yaml/v4"
)

// openWords are what a profile can leave open, by the keys of the answers, as
// questions.
var openWords = map[string]string{
	"take":             "at which end of its interval does a reading stand, take=start or take=end?",
	"header":           "are the columns, which no row names, what the profile calls them? header=yes",
	"columns_are":      "are the columns loggers or channels? columns_are=logger or columns_are=channel",
	"other_unit":       "are readings in another unit than the first of their series to be left out? other_unit=reject",
	"missing":          "does a number or text that comes again and again stand for a missing value? missing=TEXT, or missing= for none",
	"thousands":        "what stands between groups of three digits? thousands=SIGN, or thousands=none",
	"delimiter":        "which character parts the cells? delimiter=CHARACTER",
	"encoding":         "which encoding is the text in? encoding=NAME",
	"clock":            "is the clock moved with daylight saving? clock=daylight or clock=standard",
	"timestamp.column": "which column is the time of the readings? timestamp.column=NAME",
	"shape":            "what is the table's shape? shape=wide and the like",
	"samples":          "the samples are of different kinds: which is meant? samples=first",
	"doubt":            "is the profile right as it stands? doubt=none",
}

// readOpen reads what the profile leaves open.
func (p *Profile) readOpen(r *reader, n *yaml.Node) {
	r.Each(n, func(n *yaml.Node) {
		var key string
		if r.Text(&key)(n); openWords[key] == "" && key != "" {
			r.Fault(n, "%q is nothing that a profile can leave open", key)
			return
		}
		p.open = append(p.open, key)
	})
}

// undecided holds a file of a profile that leaves something open.
func (p *Profile) undecided() *refusal {
	if len(p.open) == 0 {
		return nil
	}
	var answers []ingest.Answer
	if x, ok := onlyAnswers[p.open[0]]; ok {
		answers = append(answers, x)
	}
	return hold(fmt.Sprintf("The profile %s leaves open: %s", p.Name, openWords[p.open[0]]), p.open[0], answers...)
}

// onlyAnswers are those of questions that have but one.
var onlyAnswers = map[string]ingest.Answer{
	"doubt":      {Set: "doubt=none", Means: "it is right as it stands"},
	"samples":    {Set: "samples=first", Means: "the first is meant"},
	"header":     {Set: "header=yes", Means: "the columns are what the profile calls them"},
	"other_unit": {Set: "other_unit=reject", Means: "readings in another unit are left out"},
}

// closeOpen takes what an answer answers off what the profile leaves open.
func closeOpen(root *yaml.Node, set string) {
	list := nodeOf(root, "open")
	if list == nil || list.Kind != yaml.SequenceNode {
		return
	}
	list.Content = slices.DeleteFunc(list.Content, func(n *yaml.Node) bool { return isAnswer(set, n.Value) })
	if len(list.Content) == 0 {
		dropNode(root, "open")
	}
}

// stillOpen says what is not answered; "" when all is.
func (p *Profile) stillOpen() string {
	words := make([]string, len(p.open))
	for i, key := range p.open {
		words[i] = openWords[key]
	}
	return strings.Join(words, " And: ")
}

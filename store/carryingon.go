package store

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"penstock/ingest"
)

// carryingOn is the answers by which channels that came carry on such that went.
// Where one went, that may be any of those that came, those of like names first.
// Of several that went only such of like names are offered, all in one answer: the
// others may well be another table's of the logger.
func carryingOn(added, missing []string) (answers []ingest.Answer) {
	const most = 4
	var all ingest.Answer
	var rest []ingest.Answer
	for _, to := range missing {
		for _, from := range added {
			one := ingest.Answer{Map: []string{from + "=" + to}, Means: fmt.Sprintf("%q carries on %q", from, to)}
			if !alike(from, to, added, missing) {
				rest = append(rest, one)
				continue
			}
			answers = append(answers, one)
			all.Map, all.Means = append(all.Map, one.Map...), strings.TrimPrefix(all.Means+", "+one.Means, ", ")
		}
	}
	if len(missing) == 1 {
		answers = append(answers, rest...)
	}
	switch {
	case len(missing) == 1 || len(added) == 1:
		return answers[:min(most, len(answers))]
	case len(all.Map) > 0:
		return []ingest.Answer{all}
	}
	return nil
}

// alike reports whether a channel that came and one that went have the same
// letters, and no other of them has: Flow1 and flow. Of P1 and P2 only those of
// the same number are.
func alike(from, to string, added, missing []string) bool {
	letters := lettersOf(from)
	if lettersOf(to) != letters {
		return false
	}
	other := func(name string) bool { return name != from && name != to && lettersOf(name) == letters }
	return len(added) == 1 || len(missing) == 1 || !slices.ContainsFunc(added, other) && !slices.ContainsFunc(missing, other) ||
		digitsOf(from) == digitsOf(to)
}

func digitsOf(name string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsDigit(c) {
			return c
		}
		return -1
	}, name)
}

// lettersOf is what of a name says which quantity is meant: flow, of Flow1.
func lettersOf(name string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsLetter(c) {
			return unicode.ToLower(c)
		}
		return -1
	}, name)
}

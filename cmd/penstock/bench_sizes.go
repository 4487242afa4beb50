package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// sizes is a flag that takes numbers from 1 on: 1,2,4 or 1-8, or both. They are
// kept ascending, each once.
type sizes []int

// maxSizes bounds what a typing error makes of a range.
const maxSizes = 1000

func (s *sizes) Type() string { return "LIST" }

func (s *sizes) String() string {
	words := make([]string, len(*s))
	for i, n := range *s {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, ",")
}

func (s *sizes) Set(text string) error {
	var all sizes
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		from, err := sizeOf(first)
		if err != nil {
			return err
		}
		to := from
		if isRange {
			if to, err = sizeOf(last); err != nil {
				return err
			}
		}
		if to < from || to-from >= maxSizes {
			return fmt.Errorf("%s is no range of up to %d numbers, the smaller first", part, maxSizes)
		}
		for n := from; n <= to; n++ {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	*s = slices.Compact(all)
	return nil
}

func sizeOf(text string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < 1 || n > 1_000_000 {
		return 0, fmt.Errorf("%q is no number from 1 on: write 1-8, or 1,2,4", text)
	}
	return n, nil
}

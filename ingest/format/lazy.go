package format

import (
	"regexp"
	"sync"
)

// lazily returns what compiles a regular expression when it is first called. Those
// that guessing goes by take 5 ms and 4 MB together, for which no process is to
// wait that guesses nothing.
func lazily(source string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(source) })
}

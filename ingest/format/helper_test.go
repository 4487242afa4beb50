package format

import (
	"strconv"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shortest writes v as the shortest decimal that reads back as v.
func shortest(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

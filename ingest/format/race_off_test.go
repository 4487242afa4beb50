//go:build !race

package format

import "testing"

func oneGoroutine(testing.TB) {}

package format

import "testing"

// TestTenthsAreDivided holds that a number of tenths comes out as the decimal
// that it is, and other factors as the product.
func TestTenthsAreDivided(t *testing.T) {
	for _, c := range []struct {
		l       linear
		x, want float64
	}{
		{linear{multiply: 0.1}, -33, -3.3},
		{linear{multiply: 0.01}, 107, 1.07},
		{linear{multiply: -0.1}, 33, -3.3},
		{linear{multiply: 0.001, add: 1}, 500, 1.5},
		{linear{multiply: 1}, 33, 33},
		{linear{multiply: 0}, 33, 0},
		{linear{multiply: 0.3048}, 10, 3.048},
		{linear{multiply: 2.5, add: -1}, 4, 9},
	} {
		if got := c.l.of(c.x); got != c.want {
			t.Errorf("%v of %v is %v, want %v", c.l, c.x, got, c.want)
		}
	}
}

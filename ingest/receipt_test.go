package ingest

import (
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// counts sets every field of a receipt, so that a field that is added later
// and forgotten in Add or Balance is found.
func counts(r *Receipt) []reflect.Value {
	var all []reflect.Value
	for _, part := range []any{&r.Lines, &r.Cells} {
		v := reflect.ValueOf(part).Elem()
		for i := range v.NumField() {
			all = append(all, v.Field(i))
		}
	}
	return all
}

func drawReceipt(t *rapid.T, label string) Receipt {
	var r Receipt
	n := rapid.Int64Range(0, 1<<40)
	for _, v := range counts(&r) {
		v.SetInt(n.Draw(t, label))
	}
	r.Lines.Total, r.Cells.Total = 0, 0
	lines, cells := reflect.ValueOf(r.Lines), reflect.ValueOf(r.Cells)
	for i := range lines.NumField() {
		r.Lines.Total += lines.Field(i).Int()
	}
	for i := range cells.NumField() {
		r.Cells.Total += cells.Field(i).Int()
	}
	return r
}

func TestReceiptBalancesAndAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawReceipt(t, "a"), drawReceipt(t, "b")
		sum := a
		sum.Add(&b)
		for i, v := range counts(&sum) {
			if want := counts(&a)[i].Int() + counts(&b)[i].Int(); v.Int() != want {
				t.Fatalf("count %d is %d, want %d", i, v.Int(), want)
			}
		}
		for _, r := range []*Receipt{&a, &b, &sum} {
			if err := r.Balance(); err != nil {
				t.Fatal(err)
			}
		}
		// No count can be off by one and stay unnoticed.
		one := rapid.IntRange(0, len(counts(&a))-1).Draw(t, "off by one")
		v := counts(&a)[one]
		v.SetInt(v.Int() + 1)
		if a.Balance() == nil {
			t.Fatalf("balances with count %d off by one: %+v", one, a)
		}
	})
}

func TestReceiptBalanceSaysWhichSideIsOff(t *testing.T) {
	lines := Receipt{Lines: Lines{Total: 7, Data: 3, Header: 1}}
	cells := Receipt{Cells: Cells{Total: 5, Stored: 4, Outranked: 3}}
	for _, c := range []struct {
		r    Receipt
		want string
	}{{lines, "7 lines, but 4 accounted for"}, {cells, "5 cells, but 7 accounted for"}} {
		if err := c.r.Balance(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

func TestReceiptRefuse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawReceipt(t, "receipt")
		before := r
		r.Refuse()
		if err := r.Balance(); err != nil {
			t.Fatal(err)
		}
		if r.Lines != before.Lines {
			t.Fatalf("lines changed from %+v to %+v", before.Lines, r.Lines)
		}
		if r.Cells.Readings() != 0 || r.Cells.Repeated != 0 || r.Cells.Missing != before.Cells.Missing || r.Cells.Total != before.Cells.Total {
			t.Fatalf("%+v became %+v", before.Cells, r.Cells)
		}
	})
}

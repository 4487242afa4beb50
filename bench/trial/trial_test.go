package trial

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"penstock/store/pglocal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestMedian(t *testing.T) {
	for want, of := range map[float64][]float64{1: {1}, 2: {9, 1, 2}, 1.5: {2, 1}, 3.5: {9, 3, 1, 4}} {
		first := of[0]
		if got := Median(of); got != want || of[0] != first {
			t.Errorf("the median is %v, want %v, of what is now %v", got, want, of)
		}
	}
}

// Each side has its turn in each round, and the first of one is the last of the next.
func TestTurns(t *testing.T) {
	var turns [][2]int
	note := func(round, side int) error {
		turns = append(turns, [2]int{round, side})
		return nil
	}
	if err := Turns(3, 2, note); err != nil || !slices.Equal(turns, [][2]int{{0, 0}, {0, 1}, {1, 1}, {1, 0}, {2, 0}, {2, 1}}) {
		t.Errorf("the turns were %v (%v)", turns, err)
	}
	broken, times := errors.New("broken"), 0
	if err := Turns(3, 2, func(int, int) error { times++; return broken }); !errors.Is(err, broken) || times != 1 {
		t.Errorf("after the first error it went on, %d times: %v", times, err)
	}
}

// What a program said when it failed is in the error.
func TestCommand(t *testing.T) {
	if out, err := Command(t.Context(), "sh", "-c", "echo said"); err != nil || string(out) != "said\n" {
		t.Errorf("it wrote %q (%v)", out, err)
	}
	if _, err := Command(t.Context(), "sh", "-c", "echo why >&2; exit 3"); err == nil || err.Error() != "sh: exit status 3: why" {
		t.Errorf("the error is %v", err)
	}
	if _, err := Program("/nowhere/penstock"); err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("of a program that is not there the error is %v", err)
	}
}

func TestStatements(t *testing.T) {
	url, n := pgtest.Database(t), 0
	if err := errors.Join(Exec(t.Context(), url, "create table x (n int)", "insert into x values (1), (2)"), One(t.Context(), url, "select sum(n) from x", &n)); err != nil || n != 3 {
		t.Errorf("the sum is %d (%v)", n, err)
	}
	if err := Exec(t.Context(), url, "no statement"); err == nil || !strings.HasPrefix(err.Error(), "no statement: ") {
		t.Errorf("the error is %v", err)
	}
}

func TestMemory(t *testing.T) {
	most, err := Memory(os.Getpid(), "VmHWM")
	now, failed := Memory(os.Getpid(), "RssAnon")
	if err = errors.Join(err, failed); err != nil || now < 1 || now > most || most > 1000 {
		t.Errorf("this test takes %.1f MB and has taken %.1f (%v)", now, most, err)
	}
	if _, err := Memory(-1, "VmHWM"); err == nil {
		t.Error("a process that is none has memory")
	}
	if _, err := Memory(os.Getpid(), "VmNone"); err == nil {
		t.Error("there is memory of no name")
	}
}

func TestChosen(t *testing.T) {
	all := []string{"file", "folder", "backlog"}
	name := func(s string) string { return s }
	if got, err := Chosen("^f", all, name); err != nil || !slices.Equal(got, all[:2]) {
		t.Errorf("chosen are %q, %v", got, err)
	}
	if _, err := Chosen("nosuch", all, name); err == nil || err.Error() != `-only: "nosuch" matches none of file, folder, backlog` {
		t.Errorf("where none matches: %v", err)
	}
	if _, err := Chosen("(", all, name); err == nil {
		t.Error("what is no regular expression is taken")
	}
}

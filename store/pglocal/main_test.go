package pglocal

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSmoke(t *testing.T) {
	d := t.TempDir()
	for range 3 {
		s, err := Start(t.Context(), Options{Dir: d + "/pg"})
		if err != nil {
			t.Fatal(err)
		}
		t.Log(s.URL())
		u, err := Join(t.Context(), d+"/pg")
		t.Log(u, err)
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

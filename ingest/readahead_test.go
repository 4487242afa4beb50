package ingest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// What is read ahead is what there is, and an error comes behind it; a reader may
// end before that.
func TestReadAhead(t *testing.T) {
	all := make([]byte, 3*aheadBlocks*aheadBlock+17)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(all) // never an error
	broken := errors.New("the disk is gone")
	for name, c := range map[string]struct {
		from io.Reader
		want error
	}{
		"whole":      {bytes.NewReader(all), nil},
		"in halves":  {iotest.HalfReader(bytes.NewReader(all)), nil},
		"data error": {iotest.DataErrReader(bytes.NewReader(all)), nil},
		"broken":     {io.MultiReader(bytes.NewReader(all), iotest.ErrReader(broken)), broken},
	} {
		a := newReadAhead(io.NopCloser(c.from))
		got, err := io.ReadAll(a)
		a.end()
		if !errors.Is(err, c.want) || !bytes.Equal(got, all) {
			t.Errorf("%s: %d bytes of %d, %v, want %v", name, len(got), len(all), err, c.want)
		}
		if _, again := a.Read(make([]byte, 1)); again == nil {
			t.Errorf("%s: reading on at the end tells nothing", name)
		}
	}

	rest := bytes.NewReader(all)
	a := newReadAhead(io.NopCloser(rest))
	if _, err := io.ReadFull(a, make([]byte, aheadBlock+1)); err != nil {
		t.Fatal(err)
	}
	a.end()
	if ahead := len(all) - rest.Len(); ahead > (aheadBlocks+1)*aheadBlock {
		t.Errorf("%d bytes were read for %d", ahead, aheadBlock+1)
	}

	a = newReadAhead(io.NopCloser(panicking{}))
	if _, err := a.Read(make([]byte, 1)); err == nil {
		t.Error("a stream that panics tells no error")
	}
	a.end()
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("no such disk") }

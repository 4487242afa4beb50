package monitor

import (
	"context"
	"iter"
	"penstock/ingest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// A listing that takes long and goes on is progress.
func TestALongListingIsNotStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New("v1", DefaultPatience())
		m.Store("")
		m.Follow("slow", 30*time.Second)
		p := &ingest.Pipeline{
			Source: slowlyListed{}, Sink: allKnown{}, NewDecoder: func() ingest.Decoder { return nil }, Workers: 1, Poll: 30 * time.Second, Observe: m.Observe,
		}
		take, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(take, t.Context()) }()
		for range 120 {
			time.Sleep(time.Minute) //nolint:forbidigo // the clock is the bubble's
			if stuck := m.Stuck(); len(stuck) > 0 {
				t.Errorf("a source that lists a file each second counts as stuck: %+v", stuck)
				break
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// slowlyListed is a server of 1500 files that tells one a second.
type slowlyListed struct{}

func (slowlyListed) Name() string { return "slow" }

func (slowlyListed) Files(ctx context.Context) iter.Seq2[ingest.File, error] {
	return func(yield func(ingest.File, error) bool) {
		for i := range 1500 {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return
			}
			if !yield(ingest.File{Source: "slow", Path: strconv.Itoa(i), Modified: 1, Precision: ingest.Second}, nil) {
				return
			}
		}
	}
}

func (slowlyListed) Fetch(context.Context, ingest.File, *ingest.Content) error { return nil }

func (slowlyListed) Done(context.Context, ingest.File, ingest.Outcome) error { return nil }

type allKnown struct{}

func (allKnown) Pending(_ context.Context, files []ingest.File) ([]ingest.Standing, error) {
	all := make([]ingest.Standing, len(files))
	for i := range all {
		all[i].State = ingest.Loaded
	}
	return all, nil
}

func (allKnown) Committer(context.Context) (ingest.Committer, error) { return nil, nil }

// One that tells nothing any more is none.
func TestAListingThatHangsIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New("v1", DefaultPatience())
		m.Store("")
		m.Follow("slow", 30*time.Second)
		p := &ingest.Pipeline{
			Source: hanging{}, Sink: allKnown{}, NewDecoder: func() ingest.Decoder { return nil }, Workers: 1, Poll: 30 * time.Second, Observe: m.Observe,
		}
		take, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(take, t.Context()) }()
		time.Sleep(10 * time.Minute) //nolint:forbidigo // the clock is the bubble's
		if stuck := m.Stuck(); len(stuck) > 0 {
			t.Errorf("after ten minutes: %+v", stuck)
		}
		time.Sleep(2 * time.Minute) //nolint:forbidigo // the clock is the bubble's
		if stuck := m.Stuck(); len(stuck) != 1 || stuck[0].Source != "slow" {
			t.Errorf("after twelve minutes: %+v", stuck)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// hanging tells ten files and then nothing more.
type hanging struct{ slowlyListed }

func (h hanging) Files(ctx context.Context) iter.Seq2[ingest.File, error] {
	return func(yield func(ingest.File, error) bool) {
		n := 0
		for f, err := range h.slowlyListed.Files(ctx) {
			if n++; n > 10 {
				<-ctx.Done()
				return
			}
			if !yield(f, err) {
				return
			}
		}
	}
}

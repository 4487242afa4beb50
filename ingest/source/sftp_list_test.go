package source_test

import (
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"penstock/ingest/source"
	"penstock/ingest/source/sourcetest"
)

// endless lists a folder that has no end, but for the first time.
type endless struct {
	listings atomic.Int32
	names    int // of one connection at a time
}

func (e *endless) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	if r.Method == "List" && e.listings.Add(1) > 1 {
		return e, nil
	}
	return none{}, nil
}

// ListAt implements [sftp.ListerAt]: names are long, so that little else is done
// with what comes.
func (e *endless) ListAt(all []fs.FileInfo, _ int64) (n int, err error) {
	for i := range all {
		e.names++
		name := fmt.Sprintf("%01000d.csv", e.names)
		if all[i], err = (fstest.MapFS{name: &fstest.MapFile{}}).Stat(name); err != nil {
			return i, err
		}
	}
	return len(all), nil
}

// none is the listing of an empty folder.
type none struct{}

func (none) ListAt([]fs.FileInfo, int64) (int, error) { return 0, io.EOF }

// TestSFTPListEndless: a listing without end is given up, and is not fetched again
// for that on another connection.
func TestSFTPListEndless(t *testing.T) {
	if sourcetest.UnderRace {
		t.Skip("it lists more than a million names: run by the suite without the race detector")
	}
	e := &endless{}
	s := startPasswordServer(t, "password", func(channel ssh.Channel) {
		_ = sftp.NewRequestServer(channel, sftp.Handlers{FileList: e}).Serve() // it ends with the channel
	})
	r, err := source.NewSFTP(source.SFTPOptions{
		RemoteOptions: source.RemoteOptions{Source: "field"}, URL: "sftp://loggers@" + s.address + "/",
		KnownHosts: []string{s.known}, Password: func() (string, error) { return "secret", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if all, err := lists(t, r); len(all) != 0 || err != nil {
		t.Fatalf("listed %v, %v", all, err)
	}
	_, err = lists(t, r)
	if says(t, err, "it has no end"); e.listings.Load() != 2 {
		t.Errorf("the endless listing was asked for %d times", e.listings.Load()-1)
	}
}

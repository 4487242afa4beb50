package source_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"penstock/ingest"
)

// gainedRow is what the loggers of these tests append.
var gainedRow = []byte("2026-01-01 00:00:00,1.5,2.5,3.5\n")

// grownTo is a file of some megabytes that gained n rows, and what of it was
// taken when it had one less.
func grownTo(n int) ([]byte, *ingest.Growth) {
	data := bytes.Repeat(gainedRow, (2<<20)/len(gainedRow)+n)
	of := &ingest.Growth{At: int64(len(data) - len(gainedRow))}
	of.Window = sha256.Sum256(data[of.At-ingest.GrowthWindow : of.At])
	return data, of
}

// TestFTPNoREST checks that what a file gained is to be fetched with the whole
// file from a server that does not begin a transfer anywhere else.
func TestFTPNoREST(t *testing.T) {
	for _, says := range []string{"502 not known", "501 no such offset", "504 not here", "554 restart refused"} {
		t.Run(says[:3], func(t *testing.T) {
			t.Parallel()
			s := newScript(t, func(s *script) {
				s.features = []string{"MLST type*;size*;modify*;", "MDTM", "SIZE", "UTF8"}
				s.on = func(s *session, command, _ string) bool {
					if command == "REST" {
						s.reply(says)
					}
					return command == "REST"
				}
			})
			data, of := grownTo(1)
			s.put("x.csv", data, then)
			o := quick(s)
			o.Timeout = 10 * time.Second
			r := newFTP(t, o)
			f, err := r.Locate(t.Context(), "x.csv")
			if err != nil {
				t.Fatal(err)
			}
			var c ingest.Content
			if err := r.FetchGain(t.Context(), f, of, &c); !errors.Is(err, ingest.ErrWhole) {
				t.Error(err)
			}
			if err := r.Fetch(t.Context(), f, &c); err != nil || !bytes.Equal(entire(t, &c), data) {
				t.Errorf("the whole file: %v", err)
			}
			before := s.count("RETR")
			if err := r.FetchGain(t.Context(), f, of, &c); !errors.Is(err, ingest.ErrWhole) {
				t.Error(err)
			}
			if n := s.count("RETR") - before; n > 0 && says < "55" {
				t.Errorf("it is tried again with %d transfers", n)
			}
		})
	}
}

// TestFTPManyGrow checks that more files grow than would have their heads in
// memory as they are, without a connection for each of them each time.
func TestFTPManyGrow(t *testing.T) {
	t.Parallel()
	const files = 16
	s := newScript(t, nil)
	o := quick(s)
	o.Timeout = 10 * time.Second
	r := newFTP(t, o)
	for round := range 3 {
		before, retr := s.count("PASS"), s.count("RETR")
		data, of := grownTo(round + 1)
		for i := range files {
			name := fmt.Sprintf("%d.csv", i)
			s.put(name, data, then.Add(time.Duration(round)*time.Minute))
			f, err := r.Locate(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			var c ingest.Content
			if err := r.FetchGain(t.Context(), f, of, &c); err != nil {
				t.Fatal(err)
			}
			if c.Gain == nil || !bytes.Equal(c.Data[c.Gain.Seam:], gainedRow) {
				t.Fatalf("%s gained %d bytes", name, len(c.Data))
			}
		}
		logins, transfers := s.count("PASS")-before, s.count("RETR")-retr
		switch {
		case round == 0 && (logins > files+1 || transfers != 2*files):
			t.Errorf("the heads cost %d connections and %d transfers", logins, transfers)
		case round > 0 && (logins > 0 || transfers != files):
			t.Errorf("later on %d files cost %d connections and %d transfers", files, logins, transfers)
		}
	}
}

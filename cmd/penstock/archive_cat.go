package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"penstock/ingest"
	"penstock/ingest/format"
	"penstock/ingest/source/archive"
)

// catting is the flags of 'penstock archive cat' beside those that select.
type catting struct{ all, unpack bool }

// catArchive writes the newest version of each path that is selected, or all.
func (a *app) catArchive(kept *archive.Archive, sel *archiveSelecting, o catting) error {
	chosen, left, damaged := a.versions(kept, sel, o.all)
	var c ingest.Content
	for i := range chosen {
		if err := a.writeArchived(kept, chosen[i].Place, &c, o.unpack); err != nil && a.take.Err() == nil {
			damaged++
			a.note("%v", err)
		}
		if a.take.Err() != nil {
			return context.Cause(a.take)
		}
	}
	if left > 0 {
		a.note("%s left out: --all-versions writes them, too.", countedOr(int64(left), "older version is", "older versions are"))
	}
	if damaged > 0 {
		return exitError(exitTrouble)
	}
	if len(chosen) == 0 {
		return &hinted{errors.New("no file of the archive matches"), "'penstock archive ls' lists what there is"}
	}
	return nil
}

// versions returns the newest version of each path that is selected, or all, the
// oldest first; how many it leaves out; and how many entries are damaged, which
// it notes.
func (a *app) versions(kept *archive.Archive, sel *archiveSelecting, all bool) (chosen []archive.Entry, left, damaged int) {
	type key struct{ source, path string }
	newest := make(map[key]int) // in chosen
	for e, err := range sel.entries(a.take, kept) {
		if err != nil {
			damaged++
			a.note("%v", err)
			continue
		}
		of := key{e.File.Source, e.File.Path}
		if i, ok := newest[of]; ok && !all {
			left++
			if e.Fetched >= chosen[i].Fetched {
				chosen[i] = e
			}
			continue
		}
		newest[of] = len(chosen)
		chosen = append(chosen, e)
	}
	slices.SortStableFunc(chosen, func(x, y archive.Entry) int { return cmp.Compare(x.Fetched, y.Fetched) })
	return chosen, left, damaged
}

// writeArchived writes the bytes at a place, by way of c; or, to unpack them, the
// text that they are packed from.
func (a *app) writeArchived(kept *archive.Archive, at ingest.Place, c *ingest.Content, unpack bool) error {
	if err := kept.Fetch(a.take, at, c); err != nil {
		return err
	}
	var from io.Reader = bytes.NewReader(c.Data)
	if c.Stream != nil {
		from = c.Stream
	}
	err := a.writeOut(from, unpack)
	if err != nil && unpack {
		err = fmt.Errorf("%s: %w", ingest.EscapePath(c.File.Path), err)
	}
	if c.Stream == nil {
		return err
	}
	return cmp.Or(err, c.Close())
}

func (a *app) writeOut(from io.Reader, unpack bool) (err error) {
	if unpack {
		if from, err = format.Unpacked(from); err != nil {
			return err
		}
	}
	_, err = io.Copy(a.raw(), from)
	return err
}

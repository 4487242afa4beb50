package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"

	"penstock/ingest"
)

// Entries lists the files in a pack in the order in which they were kept, and
// reads them all for it: what is not as it was kept comes as an error, with
// the entry as far as it is known, and the listing goes on behind the damage.
// The error wraps ErrGone, and ends it, when there is no such pack. A pack that
// is written meanwhile is listed as far as it is.
func (a *Archive) Entries(ctx context.Context, pack string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		w := &walk{ctx: ctx, pack: pack, source: sourceOf(folderIn(pack)), entry: yield}
		w.open(a)
	}
}

// A walk goes through a pack.
type walk struct {
	ctx    context.Context
	pack   string
	source string

	entry    func(Entry, error) bool // told of files, and of damage
	document func([]byte) bool       // told of the ledger's documents; nil to pass over them
	stopped  bool                    // document has had enough
}

func (w *walk) open(a *Archive) {
	file, err := os.Open(a.file(w.pack, packExt))
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrGone
	}
	if err != nil {
		w.entry(w.nowhere(), fmt.Errorf("open the pack %s: %w", ingest.EscapePath(w.pack), bare(err)))
		return
	}
	defer file.Close()
	w.runs(file)
}

func (w *walk) nowhere() Entry {
	return Entry{File: ingest.File{Source: w.source}, Place: ingest.Place{Pack: w.pack}}
}

// runs goes from run to run.
func (w *walk) runs(file io.ReaderAt) {
	at := int64(0)
	for {
		run, damaged, err := nextRun(file, at)
		if damaged > 0 && !w.entry(w.nowhere(), fmt.Errorf("the pack %s is damaged from byte %d on", ingest.EscapePath(w.pack), damaged-1)) {
			return
		}
		if err != nil {
			if !isEnd(err) {
				w.entry(w.nowhere(), fmt.Errorf("reading the pack %s: %w", ingest.EscapePath(w.pack), bare(err)))
			}
			return
		}
		r := newRunReader(w.pack, file, nil, run)
		goOn := w.records(r, run)
		if at = r.blocks.at; at == run {
			at++
		}
		r.close()
		if !goOn {
			return
		}
	}
}

// records goes through the records of a run.
func (w *walk) records(r *runReader, run int64) (goOn bool) {
	for {
		if w.ctx.Err() != nil {
			w.entry(w.nowhere(), context.Cause(w.ctx))
			return false
		}
		in := r.n
		kind, err := r.kind()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && (r.blocks.ended || isEnd(r.blocks.err)) {
			return true // between two records: nothing is missing
		}
		e := w.nowhere()
		if err == nil {
			e, err = w.record(r, kind, offsetOf(run, int(in)))
		}
		if err != nil {
			if isTail(r.blocks, err) {
				return true // not yet written to its end, or never
			}
			return w.entry(e, r.fault(err))
		}
		if w.stopped || kind != documentRecord && !w.entry(e, nil) {
			return false
		}
	}
}

func (w *walk) record(r *runReader, kind byte, offset int64) (e Entry, err error) {
	if kind == documentRecord {
		doc, err := r.document()
		if err == nil && w.document != nil {
			w.stopped = !w.document(doc)
		}
		return w.nowhere(), err
	}
	if e, err = r.scanner.file(kind); err != nil {
		return w.nowhere(), err
	}
	e.File.Source, e.Place = w.source, ingest.Place{Pack: w.pack, Offset: offset}
	body := &bodyReader{s: r.scanner, hash: sha256.New()}
	_, err = io.Copy(io.Discard, body)
	e.Sum, e.Bytes = body.sum, body.n
	return e, err
}

// isTail reports whether a record is cut because the pack ends there, or was
// found to end there when its writer was killed.
func isTail(b *blockReader, err error) bool {
	return errors.Is(err, io.ErrUnexpectedEOF) && (b.last || !b.ended && isEnd(b.err))
}

// nextRun finds the next block that begins a run, from an offset on. damaged is
// where there was no block where one should be, plus one; 0 for nowhere. What
// is torn at the end of a pack is not damage.
func nextRun(file io.ReaderAt, at int64) (run, damaged int64, err error) {
	for {
		var head [headerSize]byte
		n, err := file.ReadAt(head[:], at)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, damaged, err
		}
		if n == 0 {
			return 0, damaged, io.EOF
		}
		h, ok := parseBlock(head[:n])
		if !ok {
			sound, err := nextBlock(file, at+1)
			if err != nil {
				return 0, damaged, err
			}
			if damaged == 0 {
				damaged = at + 1
			}
			at = sound
			continue
		}
		if h.kind == recordsBlock && h.first {
			return at, damaged, nil
		}
		at += h.size()
	}
}

// nextBlock finds the next whole block from an offset on; io.EOF when there is
// none.
func nextBlock(file io.ReaderAt, from int64) (int64, error) {
	const overlap = len(blockMagic) - 1
	buf := make([]byte, 64<<10)
	var payload []byte
	for {
		n, err := file.ReadAt(buf, from)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		for i := 0; i < n; i++ {
			j := bytes.Index(buf[i:n], []byte(blockMagic))
			if j < 0 {
				break
			}
			i += j
			_, payload, err = readBlock(file, from+int64(i), payload)
			if err == nil {
				return from + int64(i), nil
			}
			if !errors.Is(err, errTorn) && !isEnd(err) {
				return 0, err
			}
		}
		if n < len(buf) {
			return 0, io.EOF
		}
		from += int64(n - overlap)
	}
}

func isEnd(err error) bool { return errors.Is(err, io.EOF) }

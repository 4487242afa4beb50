// Package archive keeps the original bytes of files in packs: append-only,
// compressed, checksummed files that are never changed once they are full.
//
// To follow a file, begin here: a Keeper (keeper.go) writes it as a record
// (record.go) into the pack of the hour (pack.go), in blocks of a compressed
// run (block.go). Fetch (read.go) reads it back from its place. What a process
// that ended left behind is taken up in unsettled.go, and loaded in the rounds of
// rounds.go; expire.go deletes what is too old; walk.go lists what there is.
//
// # The folder
//
// An archive is a folder with a folder for each source, and in it a pack for
// each hour and each process that wrote one:
//
//	ARCHIVE/field-loggers/20261121T140000.217-4f0c2a91.pack
//	ARCHIVE/field-loggers/20261121T140000.217-4f0c2a91.open
//
// The second file is there while the pack is written, or holds files that the
// ledger is not known to have; its lock says that the process lives. Folders
// have their sources' names, escaped; the ledger's own records are in a folder
// that no source can have, of the name "=ledger".
package archive

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"penstock/ingest"
)

// Options say how an archive is written and how long it is kept.
type Options struct {
	MaxAge   time.Duration // packs whose hour is longer ago are deleted; 0 for none
	MaxBytes int64         // the oldest packs are deleted while all take more; 0 for no bound
	Log      *slog.Logger  // nil for none
}

// An Archive is the folder with all packs. Its methods may be called from
// several goroutines at once, and several processes may have the same folder
// open: each writes packs of its own.
type Archive struct {
	dir     string
	options Options
	log     *slog.Logger
	runs    runCache

	mu      sync.Mutex            // of options, too
	adopted map[string]*unsettled // by pack: those that this process holds open or has taken up
}

// Open opens the archive in dir, which is made if there is none. Nothing in it
// is changed before a Keeper is made.
func Open(dir string, o Options) (*Archive, error) {
	abs, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(abs, 0o777)
	}
	if err != nil {
		return nil, fmt.Errorf("open the archive %s: %w", ingest.EscapePath(dir), bare(err))
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Archive{dir: abs, options: o, log: o.Log, adopted: make(map[string]*unsettled)}, nil
}

// Retain changes how long the archive is kept, and how large it may be, from the
// next Expire on. See [Options].
func (a *Archive) Retain(maxAge time.Duration, maxBytes int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.options.MaxAge, a.options.MaxBytes = maxAge, maxBytes
}

func (a *Archive) retained() (maxAge time.Duration, maxBytes int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.options.MaxAge, a.options.MaxBytes
}

// Is reports whether dir is an archive: a folder in it holds a pack, or is that
// of the ledger. What else there is in dir, such as a disk's lost+found, or what
// is left of a source whose packs were deleted in their time, is no matter. It
// looks at a few of many entries alone: folders of loggers' files may have any
// number, and those of an archive have little but packs.
func Is(dir string) bool {
	if info, err := os.Lstat(filepath.Join(dir, ledgerFolder)); err == nil && info.IsDir() {
		return true
	}
	const folders, files = 1000, 100
	for _, folder := range someOf(dir, folders) {
		if folder.IsDir() && slices.ContainsFunc(someOf(filepath.Join(dir, folder.Name()), files), isPack) {
			return true
		}
	}
	return false
}

func isPack(e fs.DirEntry) bool {
	_, ok := begunOf(e.Name())
	return ok
}

// someOf returns at most n entries of a folder, in no order; none of one that
// cannot be read.
func someOf(folder string, n int) []fs.DirEntry {
	f, err := os.Open(folder)
	if err != nil {
		return nil
	}
	defer f.Close()
	entries, _ := f.ReadDir(n) // what came before an error is what there is
	return entries
}

// Dir is the archive's folder, an absolute path.
func (a *Archive) Dir() string { return a.dir }

// Close ends the use of the archive. Its Keepers are closed before.
func (a *Archive) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var errs []error
	for name, u := range a.adopted {
		errs = append(errs, u.lock.Close())
		delete(a.adopted, name)
	}
	return errors.Join(errs...)
}

const (
	packExt      = ".pack"
	openExt      = ".open"
	ledgerFolder = "=ledger"
	stampLayout  = "20060102T150405.000" // when a pack was begun: packs sort by it
)

// A Pack is one file of an archive.
type Pack struct {
	Name   string // below the archive's folder, with a slash, without the extension: what Place.Pack says
	Source string // whose files it holds; "" for the ledger's records
	Hour   time.Time
	Size   int64 // bytes on disk
	Open   bool  // it is written, or holds files that the ledger is not known to have
}

// Packs lists the packs of a source, or of all where it is "", the oldest
// first. Those of the ledger are not among them.
func (a *Archive) Packs(source string) ([]Pack, error) {
	folders := []string{folderOf(source)}
	if source == "" {
		folders = folders[:0]
		entries, err := os.ReadDir(a.dir)
		if err != nil {
			return nil, fmt.Errorf("list the archive %s: %w", ingest.EscapePath(a.dir), bare(err))
		}
		for _, e := range entries {
			if e.IsDir() && e.Name() != ledgerFolder {
				folders = append(folders, e.Name())
			}
		}
	}
	var packs []Pack
	for _, f := range folders {
		some, err := a.packsIn(f)
		if err != nil {
			return nil, err
		}
		packs = append(packs, some...)
	}
	slices.SortFunc(packs, func(x, y Pack) int {
		return cmp.Or(cmp.Compare(path.Base(x.Name), path.Base(y.Name)), cmp.Compare(x.Name, y.Name))
	})
	return packs, nil
}

// packsIn lists the packs in one folder, the oldest first.
func (a *Archive) packsIn(folder string) ([]Pack, error) {
	entries, err := os.ReadDir(filepath.Join(a.dir, folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the archive's folder %s: %w", ingest.EscapePath(folder), bare(err))
	}
	open := make(map[string]bool)
	for _, e := range entries {
		if base, ok := strings.CutSuffix(e.Name(), openExt); ok {
			open[base] = true
		}
	}
	var packs []Pack
	for _, e := range entries {
		begun, ok := begunOf(e.Name())
		if !ok {
			continue
		}
		base := strings.TrimSuffix(e.Name(), packExt)
		info, err := e.Info()
		if err != nil {
			continue // deleted meanwhile
		}
		packs = append(packs, Pack{Name: folder + "/" + base, Source: sourceOf(folder), Hour: begun.Truncate(time.Hour), Size: info.Size(), Open: open[base]})
	}
	return packs, nil
}

// begunOf is when the pack in a file was begun, which its name says; that of
// another file does not.
func begunOf(name string) (time.Time, bool) {
	base, ok := strings.CutSuffix(name, packExt)
	if !ok {
		return time.Time{}, false
	}
	begun, err := time.Parse(stampLayout, base[:min(len(base), len(stampLayout))])
	return begun, err == nil
}

// file is where the pack of that name is, or the file beside it with another
// extension.
func (a *Archive) file(name, ext string) string {
	return filepath.Join(a.dir, filepath.FromSlash(name)+ext)
}

// folderOf is the folder of a source: its name, with each byte that is no
// letter, digit, '-', '_' or '.' as %XX, and with a dot at its beginning
// likewise. No two names share one, also where case is not told apart in
// folders: capitals are escaped as well.
func folderOf(source string) string {
	var b strings.Builder
	for i := range len(source) {
		c := source[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_', c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}

// sourceOf is the inverse of folderOf.
func sourceOf(folder string) string {
	if folder == ledgerFolder {
		return ""
	}
	var b strings.Builder
	for i := 0; i < len(folder); i++ {
		var c byte
		if folder[i] == '%' && i+2 < len(folder) {
			if _, err := fmt.Sscanf(folder[i+1:i+3], "%02x", &c); err == nil {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		b.WriteByte(folder[i])
	}
	return b.String()
}

// bare is err without the path that package os puts before it: that path is
// raw, and may hold escape codes.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

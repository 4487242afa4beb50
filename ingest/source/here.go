package source

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"penstock/ingest"
)

// Tidies implements [ingest.Tidier].
func (d *Dir) Tidies() bool { return d.tidier.Tidies() }

// Done implements [ingest.Source].
func (d *Dir) Done(ctx context.Context, f ingest.File, o ingest.Outcome) error {
	if !d.Tidies() {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if done, err := d.memberDone(ctx, f, &o); done {
		return err
	}
	r, _, ok := d.site.Load().find(f.Path)
	if !ok {
		return nil // its folder is gone, and perhaps comes back
	}
	return d.tidier.done(ctx, here{r}, f, &o)
}

// clear removes the file at path, if it is there: a marker whose file is done.
func (d *Dir) clear(ctx context.Context, path string) error {
	r, _, ok := d.site.Load().find(path)
	if !ok {
		return nil
	}
	if err := (here{r}).remove(ctx, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete %s: %w", ingest.EscapePath(path), err)
	}
	return nil
}

// here is the grounds of a root of a Dir.
type here struct{ root *root }

// place is where p is on this machine.
func (h here) place(p string) string {
	switch {
	case strings.HasPrefix(p, "/"):
		return filepath.FromSlash(p)
	case h.root.file:
		return filepath.Join(filepath.Dir(h.root.path), filepath.FromSlash(p))
	}
	return h.root.join(p)
}

func (h here) look(_ context.Context, p string) (ingest.File, error) {
	st, err := statPath(h.place(p), true)
	if err == nil && st.kind != regular {
		err = fmt.Errorf("it is a %s, %w", st.kind, ErrNotRegular)
	}
	if err != nil {
		return ingest.File{}, bare(err)
	}
	return ingest.File{Path: p, Size: st.size, Modified: st.modified, Precision: ingest.Micro}, nil
}

func (h here) rename(ctx context.Context, from, to string) error {
	old, name := h.place(from), h.place(to)
	st, err := statPath(old, false)
	switch {
	case err != nil:
	case st.kind == link && path.Dir(from) != path.Dir(to):
		err = moveLink(old, name)
	default:
		err = renameFresh(old, name)
	}
	if isOtherDisk(err) {
		err = carry(ctx, old, name)
	}
	return bare(err)
}

func (h here) remove(_ context.Context, p string) error { return bare(os.Remove(h.place(p))) }

func (h here) makeDirs(_ context.Context, p string) error {
	return bare(os.MkdirAll(h.place(p), 0o777))
}

// moveLink moves a link so that it leads on to where it led.
func moveLink(from, to string) error {
	leads, err := os.Readlink(from)
	if err != nil {
		return err
	}
	if !filepath.IsAbs(leads) {
		leads = filepath.Join(filepath.Dir(from), leads)
	}
	if err := os.Symlink(leads, to); err != nil {
		return err
	}
	return os.Remove(from)
}

// carryEnd ends the name of a file that is being copied to another disk.
const carryEnd = ".penstock-copy"

// carry moves the file at from to another file system, where rename does not
// reach: it is copied under a name of its own, made durable, and gets its name
// there before it is deleted here. The error is ErrChanged, and nothing has
// happened, when the file changed meanwhile.
func carry(ctx context.Context, from, to string) (err error) {
	before, err := statPath(from, true)
	if err != nil {
		return err
	}
	temp := carryName(from, to)
	defer func() {
		if err != nil {
			_ = os.Remove(temp) // a later attempt writes over it
		}
	}()
	if err := copyWhole(ctx, from, temp); err != nil {
		return err
	}
	if after, err := statPath(from, true); err != nil {
		return err
	} else if after != before {
		return ingest.ErrChanged
	}
	if err := renameFresh(temp, to); err != nil {
		return err
	}
	if err := syncFolder(filepath.Dir(to)); err != nil {
		return err
	}
	return os.Remove(from)
}

// carryName is the name of the copy of from while it is made. No other file that
// is carried to the same name shares it, and a later attempt does.
func carryName(from, to string) string {
	digest := sha256.Sum256([]byte(from))
	end := fmt.Sprintf(".%x%s", digest[:8], carryEnd)
	dir, base := filepath.Split(to)
	return dir + base[:min(len(base), maxName-len(end))] + end
}

// copyWhole copies the file at from, with its mode and its modified time, and
// returns when the copy is on the disk. What a broken off attempt left at to is
// overwritten.
func copyWhole(ctx context.Context, from, to string) (err error) {
	in, err := openRegular(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := io.CopyN(out, in, 16<<20); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	if err := errors.Join(out.Chmod(info.Mode().Perm()), os.Chtimes(to, info.ModTime(), info.ModTime())); err != nil {
		return err
	}
	return out.Sync()
}

// syncFolder makes the names in the folder at path durable.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

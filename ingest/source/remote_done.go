package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"

	"penstock/ingest"
)

// Tidies implements [ingest.Tidier].
func (r *Remote) Tidies() bool { return r.tidier.Tidies() }

// Done implements [ingest.Source].
func (r *Remote) Done(ctx context.Context, f ingest.File, o ingest.Outcome) error {
	if !r.Tidies() {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if done, err := r.memberDone(ctx, f, &o); done {
		return err
	}
	if err := r.usable(f.Path); err != nil {
		return r.fault("finish", f.Path, err)
	}
	return r.tidier.done(ctx, r.yard, f, &o)
}

// clear removes the file at path, if it is there: a marker whose file is done.
func (r *Remote) clear(ctx context.Context, path string) error {
	if err := r.yard.remove(ctx, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r.fault("delete", path, err)
	}
	return nil
}

// A yard is the grounds of a Remote.
type yard struct {
	*Remote
	mu   sync.Mutex
	made map[string]struct{} // folders that are there
}

func (y *yard) look(ctx context.Context, p string) (ingest.File, error) {
	var l listed
	err := y.pool.with(ctx, y.Timeout, func(c client) (err error) {
		l, err = c.stat(ctx, p)
		return err
	})
	if err == nil && l.kind != regular && l.kind != unknown {
		err = fmt.Errorf("it is a %s, %w", l.kind, ErrNotRegular)
	}
	return y.file(p, l), err
}

// rename implements grounds. A server may well replace a file that has the
// name, so the name is looked for first. What takes it in the instant between
// is lost; two instances of a source are not to run at once, and loggers do not
// upload to the names that files are given here.
func (y *yard) rename(ctx context.Context, from, to string) error {
	tried := false
	return y.pool.with(ctx, y.Timeout, func(c client) error {
		_, err := c.stat(ctx, to)
		switch {
		case err == nil && tried:
			// The connection broke while it was renamed. Had it another's name,
			// that would have shown before.
			if _, err := c.stat(ctx, from); errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return fs.ErrExist
		case err == nil:
			return fs.ErrExist
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		tried = true
		if err = c.rename(ctx, from, to); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if _, there := c.stat(ctx, from); there != nil {
			return err
		}
		// The file is there, so it is the folder that is not.
		y.forget()
		if err := y.makeFolder(ctx, c, path.Dir(to)); err != nil {
			return err
		}
		return notGone(c.rename(ctx, from, to))
	})
}

// remove implements grounds. Servers have the same words for a file that is not
// there and for one that they do not delete, so it is looked for.
func (y *yard) remove(ctx context.Context, p string) error {
	return y.pool.with(ctx, y.Timeout, func(c client) error {
		err := c.remove(ctx, p)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if _, there := c.stat(ctx, p); there == nil {
			return fmt.Errorf("%s, although it is there: %w", err.Error(), fs.ErrPermission)
		}
		return err
	})
}

func (y *yard) makeDirs(ctx context.Context, p string) error {
	if y.has(p) {
		return nil
	}
	return y.pool.with(ctx, y.Timeout, func(c client) error { return y.makeFolder(ctx, c, p) })
}

func (y *yard) makeFolder(ctx context.Context, c client, p string) error {
	if y.has(p) {
		return nil
	}
	if err := c.makeDirs(ctx, p); err != nil {
		return notGone(err)
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	const most = 1000
	if y.made == nil || len(y.made) >= most {
		y.made = make(map[string]struct{})
	}
	y.made[p] = struct{}{}
	return nil
}

func (y *yard) has(p string) bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	_, ok := y.made[p]
	return ok
}

func (y *yard) forget() {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.made = nil
}

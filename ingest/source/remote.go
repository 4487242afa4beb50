package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path"
	"strings"
	"sync/atomic"
	"time"

	"penstock/ingest"
)

// A client is one connection to a server of files, logged in. One goroutine
// uses it at a time. Paths have slashes and are below the source's root, which
// is ""; one that begins with a slash is the server's own. Every call ends with
// ctx, and by deadlines of its own. A missing file or folder is an error that
// wraps fs.ErrNotExist, one that the server keeps from us fs.ErrPermission;
// after any other error, and after a panic, the connection is of no use any
// more and is closed.
type client interface {
	// list calls each for all that is in a folder but for . and .. themselves.
	// An error of each ends it and is returned. What was told before an error
	// is there; no error means that all was told.
	list(ctx context.Context, dir string, each func(listed) error) error

	// stat looks at one file or folder. What the server does not tell is -1 or
	// Unknown.
	stat(ctx context.Context, path string) (listed, error)

	// open reads a file from offset on, in bytes; more says that another is opened
	// right after it. Only when Close, after the
	// reading came to its end, returns no error was the transfer whole. Nothing
	// else is done with the connection before Close, which is called once.
	open(ctx context.Context, path string, offset int64, more bool) (io.ReadCloser, error)

	// rename moves a file; whether it replaces one is the server's choice.
	rename(ctx context.Context, from, to string) error
	remove(ctx context.Context, path string) error

	// makeDirs makes a folder and those above it, unless they are there.
	makeDirs(ctx context.Context, dir string) error

	// at is the path from the server's own root on.
	at(path string) (string, error)

	// real is the path, from the server's own root on, that a folder leads to, as
	// far as the server tells.
	real(ctx context.Context, dir string) (string, error)

	// noop asks for nothing, so that the server sees that we are there.
	noop(ctx context.Context) error

	// close says good-bye without waiting for an answer.
	close() error
}

// What a server tells of one file or folder.
type listed struct {
	name      string // raw, without the folder
	kind      kind
	size      int64 // bytes, -1 when it is not told
	modified  int64 // microseconds since the Unix epoch, UTC
	precision ingest.Precision
	fold      bool // the server makes no difference between upper and lower case

	err error // not nil: the name, or what stands for it, cannot be used
}

// What is wrong with a connection or a login, for the pool to act on. Errors
// of dialling wrap them.
var (
	// errTooMany says that the server has as many connections as it wants.
	errTooMany = errors.New("the server allows no more connections")

	// errRefused says that the server wants no such user, password or key.
	errRefused = errors.New("the server refused the login")
)

// wrongLogin is errRefused where another user, password or key may mend it.
type wrongLogin struct{}

func (wrongLogin) Error() string { return errRefused.Error() }
func (wrongLogin) Unwrap() error { return errRefused }

// Hint says what an operator can do.
func (wrongLogin) Hint() string {
	return "see the user in the source's url, and the password or key that is given for it"
}

// errNothingGiven says that there is nothing to log in with.
var errNothingGiven = errors.New("there is neither a key nor a password to log in with: name the file of one")

// LoginRefused reports whether an error is of a login that another user, password
// or key may mend, or that had neither password nor key.
func LoginRefused(err error) bool {
	return errors.Is(err, wrongLogin{}) || errors.Is(err, errNothingGiven)
}

// RemoteOptions are what sources on servers have in common. What is zero has
// the value that is named.
type RemoteOptions struct {
	// Source names the source; a file's path is what follows the URL's folder.
	Source string

	// Match and Ignore are patterns as in [Options].
	Match, Ignore []string

	// After is what becomes of files once the ledger has them.
	After After

	// Connections is how many connections there are at most, to list and to
	// fetch by: 4. The server may allow fewer, and then it is fewer for a while.
	Connections int

	// Timeout ends whatever waits for the server to say something: 30s. A
	// transfer that brings less than MinRate bytes a second, over that time, is
	// ended too: 100.
	Timeout time.Duration
	MinRate int

	// Idle is how often the server is told that an idle connection is still
	// wanted: 30s. One that nobody used for ten times that is closed.
	Idle time.Duration

	// Retry is the pause after a connection that could not be made; it doubles
	// up to 32 times that: 1s. Refused is the pause after a login that was
	// refused, so that no account is locked out; it doubles up to 8 times that:
	// 5min. A password that is not the one that was refused is tried at once.
	Retry, Refused time.Duration

	// Recover is after what time one connection more is tried than the server
	// allowed: 1min.
	Recover time.Duration

	// Spool is the folder of this machine where files over [ingest.SpoolAbove]
	// and archives are put while they are read: the system's for such.
	Spool string

	// Accounts is shared by sources that follow one another, or log in to the same
	// account. nil: what is known of the account ends with the source.
	Accounts *Accounts

	// Log is told what an operator should know of the server. nil: nobody is.
	Log *slog.Logger
}

func (o *RemoteOptions) complete() error {
	if o.Source == "" {
		return errors.New("a source on a server needs a name, which its files carry in the ledger")
	}
	for _, d := range []struct {
		name string
		at   *time.Duration
		std  time.Duration
	}{
		{"timeout", &o.Timeout, 30 * time.Second},
		{"idle", &o.Idle, 30 * time.Second},
		{"retry", &o.Retry, time.Second},
		{"refused", &o.Refused, 5 * time.Minute},
		{"recover", &o.Recover, time.Minute},
	} {
		if *d.at < 0 {
			return fmt.Errorf("%s is %v: it must be more than nothing", d.name, *d.at)
		}
		if *d.at == 0 {
			*d.at = d.std
		}
	}
	if o.Connections < 0 || o.MinRate < 0 {
		return fmt.Errorf("connections (%d) and the least rate (%d) must be more than nothing", o.Connections, o.MinRate)
	}
	if o.Connections == 0 {
		o.Connections = 4
	}
	if o.MinRate == 0 {
		o.MinRate = 100
	}
	if o.Ignore == nil {
		o.Ignore = DefaultIgnore()
	}
	if o.Accounts == nil {
		o.Accounts = &Accounts{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// A Remote is the source of what lies below one folder of a server.
//
// Each listing asks the server folder by folder. Links to files are files.
// Links to folders are reported and not followed, as a server does not tell
// where they lead. A name that cannot be used, because it holds a slash, leads
// upwards, or has a character that ends a command, is reported, and so is a
// line of a listing that is not understood. An empty listing says nothing of
// what was there before.
//
// A zip archive is fetched whole when it is listed, and its members are files
// as in [Dir]; it is done when all of them are. Archives are looked into
// whatever Match says of their own names, and the patterns see their members.
//
// All methods may be called concurrently. Close ends the connections.
type Remote struct {
	RemoteOptions
	address       string // for messages: the scheme, the host and the folder
	match, ignore globs
	pool          *pool
	tidier        *tidier
	yard          *yard
	copies        *copies
	heads         heads
	noRestart     atomic.Bool
	closed        closedFolders
}

var (
	_ ingest.Tidier = (*Remote)(nil)
	_ io.Closer     = (*Remote)(nil)
)

// newRemote returns the source of what dial leads to.
func newRemote(o RemoteOptions, at *serverURL, dial func(context.Context) (client, error), password func() (string, error)) (*Remote, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	r := &Remote{RemoteOptions: o, address: at.String(), tidier: newTidier(o.After, o.Source)}
	var errs [3]error
	r.match, errs[0] = compileGlobs(o.Match)
	r.ignore, errs[1] = compileGlobs(o.Ignore)
	errs[2] = o.After.Check()
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	r.yard = &yard{Remote: r}
	var err error
	if r.copies, err = newCopies(r); err != nil {
		return nil, err
	}
	r.pool = newPool(&r.RemoteOptions, dial, account{Accounts: r.Accounts, name: at.account(), password: password})
	return r, nil
}

// Name implements [ingest.Source].
func (r *Remote) Name() string { return r.Source }

// Close ends all connections, those in use as soon as they are given back, and
// removes the copies of archives.
func (r *Remote) Close() error {
	r.pool.close()
	return r.copies.close()
}

// Locate returns the file at path, a File.Path of this source, as it is now,
// without listing anything. The error wraps fs.ErrNotExist when there is no
// such file any more.
func (r *Remote) Locate(ctx context.Context, path string) (ingest.File, error) {
	f, err := r.member(ctx, path, false)
	if err != nil || f.Path != "" {
		return f, err
	}
	var l listed
	if err = r.usable(path); err == nil {
		err = r.pool.with(ctx, r.Timeout, func(c client) (err error) {
			l, err = c.stat(ctx, path)
			return err
		})
	}
	if errors.Is(err, fs.ErrNotExist) {
		if f, e := r.member(ctx, path, true); e != nil || f.Path != "" {
			return f, e
		}
	}
	if err == nil && l.kind == directory {
		err = fmt.Errorf("it is a folder, %w", ErrNotRegular)
	}
	if err != nil {
		return ingest.File{}, r.fault("find", path, err)
	}
	return r.file(path, l), nil
}

// LogIn sees whether the server lets us in.
func (r *Remote) LogIn(ctx context.Context) error {
	if err := r.pool.with(ctx, 0, func(client) error { return nil }); err != nil {
		return r.fault("log in to", "", err)
	}
	return nil
}

// Check logs in and lists the root, and returns how many entries it has: what
// is to be known of a source before it is relied on.
func (r *Remote) Check(ctx context.Context) (int, error) {
	n := 0
	err := r.pool.with(ctx, 0, func(c client) error {
		n = 0
		return c.list(ctx, "", func(listed) error { n++; return nil })
	})
	if err != nil {
		return 0, r.fault("list", "", err)
	}
	return n, nil
}

func (r *Remote) file(path string, l listed) ingest.File {
	return ingest.File{Source: r.Source, Path: path, Size: l.size, Modified: l.modified, Precision: l.precision}
}

// usable refuses paths that lead out of the root: they are no File.Path of
// this source.
func (r *Remote) usable(p string) error {
	if p == "" || p[0] == '/' || path.Clean(p) != p || p == ".." || strings.HasPrefix(p, "../") {
		return fmt.Errorf("the path leads out of the source %q: %w", r.Source, fs.ErrNotExist)
	}
	return nil
}

// fault words what went wrong with the file or folder at path.
func (r *Remote) fault(doing, path string, err error) error {
	at := r.address
	if path != "" {
		at = strings.TrimSuffix(at, "/") + "/" + ingest.EscapePath(path)
	}
	return fmt.Errorf("%s %s: %w", doing, at, err)
}

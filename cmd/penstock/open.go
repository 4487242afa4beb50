package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"penstock/store"
	"penstock/store/pglocal"
)

// An access says what a command does with the store.
type access int

const (
	reads  access = iota // joins a private PostgreSQL that runs already
	writes               // must hold a private PostgreSQL itself
)

// An opened store is closed with the private PostgreSQL that was started for
// it.
type opened struct {
	*store.Store
	url      string
	password string          // that does not stand in url
	server   *pglocal.Server // nil when there is none, or it is another process's
}

// openStore opens the store of --store. A command that writes makes the schema
// in an empty database when o.Create says so; one that reads never makes
// anything.
func (a *app) openStore(ctx context.Context, how access, o store.Options) (*opened, error) {
	at, err := a.reach(ctx, how)
	if err != nil {
		return nil, err
	}
	return a.openAt(ctx, at, o)
}

// openAt opens the store in a database that answers. After an error that is
// stopped, where it was started for this.
func (a *app) openAt(ctx context.Context, at *opened, o store.Options) (_ *opened, err error) {
	o.Schema, o.Version, o.Command, o.Password, o.Hypertable = a.schema, version(), commandLine(a.args), at.password, a.hypertable()
	if at.Store, err = store.Open(ctx, at.url, o); err != nil {
		return nil, errors.Join(a.refused(at, err), at.stop())
	}
	return at, nil
}

// hypertable is how the config has readings kept, where it is the config's store.
func (a *app) hypertable() store.Hypertable {
	if a.config == nil || a.config.store.url != "" && a.store != a.config.store.url {
		return store.Hypertable{}
	}
	return a.config.store.hypertable
}

// reach makes sure that a database answers at the store's URL.
func (a *app) reach(ctx context.Context, how access) (*opened, error) {
	dir, local := strings.CutPrefix(a.store, "local:")
	if !local {
		if !isStoreURL(a.store) {
			return nil, usage("write local:, local:DIR or postgres://USER@HOST/DATABASE", "--store %q is no address of a store", a.store)
		}
		password, err := a.storePassword()
		return &opened{url: a.store, password: string(password)}, err
	}
	if dir == "" {
		var err error
		if dir, err = pglocal.DefaultDir(); err != nil {
			return nil, err
		}
	}
	if how == reads {
		url, err := pglocal.Join(ctx, dir)
		if err == nil {
			return &opened{url: url}, nil
		}
		if !errors.Is(err, pglocal.ErrNotRunning) {
			return nil, err
		}
		if !clusterIn(dir) {
			return nil, &hinted{errors.New("there is no store in " + dir), "'penstock replay PATH' makes it"}
		}
	}
	server, err := pglocal.Start(ctx, pglocal.Options{Dir: dir, Logger: a.log})
	if how == reads && errors.As(err, new(*pglocal.InUseError)) {
		// Another command was a moment faster.
		url, err := pglocal.Join(ctx, dir)
		return &opened{url: url}, err
	}
	if err != nil {
		return nil, err
	}
	return &opened{url: server.URL(), server: server}, nil
}

// isStoreURL reports whether the text has the form of a store's address.
func isStoreURL(text string) bool {
	return strings.HasPrefix(text, "local:") || strings.Contains(text, "://") || strings.Contains(text, "=")
}

// haveStore reports whether the store can be looked into without making it.
func (a *app) haveStore() (bool, error) {
	dir, local := strings.CutPrefix(a.store, "local:")
	if !local {
		return true, nil
	}
	if dir == "" {
		var err error
		if dir, err = pglocal.DefaultDir(); err != nil {
			return false, err
		}
	}
	return clusterIn(dir), nil
}

// clusterIn reports whether dir holds a private PostgreSQL's data. A folder
// that must not be looked into may.
func clusterIn(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "data"))
	return !errors.Is(err, fs.ErrNotExist)
}

// close closes the store, and logs what goes wrong: what was committed stands.
func (o *opened) close(log *slog.Logger) {
	if o.Store != nil {
		o.Store.Close()
	}
	if err := o.stop(); err != nil {
		log.Error("stopping the private PostgreSQL", slog.Any("error", err))
	}
}

func (o *opened) stop() error {
	if o.server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return o.server.Stop(ctx)
}

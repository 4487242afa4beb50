package store

import (
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// An UnreachableError says that no connection to the database could be made. It
// says so in one line, each address once, which pgx tries with TLS and without.
type UnreachableError struct{ err error }

func (e *UnreachableError) Error() string {
	var said []string
	for line := range strings.SplitSeq(e.err.Error(), "\n") {
		if line = strings.TrimSpace(line); !slices.Contains(said, line) {
			said = append(said, line)
		}
	}
	return strings.ReplaceAll(strings.Join(said, "; "), ":; ", ": ")
}

// Unwrap returns what pgx says.
func (e *UnreachableError) Unwrap() error { return e.err }

// Hint says what an operator can do.
func (e *UnreachableError) Hint() string {
	switch code := sqlState(e.err); {
	case strings.HasPrefix(code, "28"):
		return "see the user and the password that are given for the store, and the server's pg_hba.conf"
	case code == "3D000":
		return "make the database with createdb, or name another one"
	case code != "":
		return ""
	}
	return "see whether the database runs there, and whether that is where it should be"
}

// PasswordRefused reports whether the server did not take the password, or was
// given none.
func PasswordRefused(err error) bool { return sqlState(err) == "28P01" }

// HasPassword reports whether a store's address has a password, or libpq's
// PGPASSWORD and PGPASSFILE have one for it.
func HasPassword(url string) bool {
	c, err := pgconn.ParseConfig(url)
	return err == nil && c.Password != ""
}

// reached makes an error of connecting one that says so; others stay.
func reached(err error) error {
	if refused := (*pgconn.ConnectError)(nil); errors.As(err, &refused) {
		return &UnreachableError{err}
	}
	return err
}

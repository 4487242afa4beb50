package store

import (
	"cmp"
	"errors"
	"net/url"
	"os"
	"regexp"
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

// A PasswordPlace is where the password of a store's address comes from.
type PasswordPlace string

// The places of a password, each of which goes before the next.
const (
	OfAddress     PasswordPlace = "address"
	OfEnvironment PasswordPlace = "environment" // PGPASSWORD
	OfPassfile    PasswordPlace = "passfile"
	OfNothing     PasswordPlace = "" // there is none
)

// PasswordOf tells which password a store's address is tried with where
// [Options.Password] gives none. file is the passfile that is looked into where no
// other place has one, whether it is there or not.
func PasswordOf(address string) (place PasswordPlace, file string) {
	settings := addressSettings(address)
	file = cmp.Or(settings["passfile"], os.Getenv("PGPASSFILE"), "~/.pgpass")
	c, err := pgconn.ParseConfig(address)
	switch {
	case err != nil || c.Password == "":
		return OfNothing, file
	case settings["password"] != "":
		return OfAddress, file
	case c.Password == os.Getenv("PGPASSWORD"):
		return OfEnvironment, file
	}
	return OfPassfile, file
}

// keywordSetting is one setting of a libpq keyword string, its value quoted or not.
var keywordSetting = regexp.MustCompile(`(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|(\S*))`)

// addressSettings are the settings that stand in an address which pgconn takes, of
// which it does not tell them.
func addressSettings(address string) map[string]string {
	settings := make(map[string]string)
	if !strings.Contains(address, "://") {
		for _, found := range keywordSetting.FindAllStringSubmatch(address, -1) {
			settings[found[1]] = found[2] + found[3]
		}
		return settings
	}
	u, err := url.Parse(address)
	if err != nil {
		return settings
	}
	settings["password"], _ = u.User.Password()
	for name, values := range u.Query() {
		settings[name] = values[0]
	}
	return settings
}

// reached makes an error of connecting one that says so; others stay.
func reached(err error) error {
	if refused := (*pgconn.ConnectError)(nil); errors.As(err, &refused) {
		return &UnreachableError{err}
	}
	return err
}

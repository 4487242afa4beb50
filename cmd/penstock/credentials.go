package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"penstock/ingest/source"
	"penstock/store"
)

// A secret is shown to nobody: however it is printed or logged, it comes out as
// three stars.
type secret string

// String implements [fmt.Stringer].
func (secret) String() string { return "***" }

// GoString implements [fmt.GoStringer].
func (secret) GoString() string { return "***" }

// MarshalText implements [encoding.TextMarshaler], for logs and JSON.
func (secret) MarshalText() ([]byte, error) { return []byte("***"), nil }

// storeCredential is the systemd credential that holds the store's password.
const storeCredential = "store.password"

// storePassword returns the password of the store that the config names, ""
// where it does not say: the database's client then looks at PGPASSWORD and the
// PGPASSFILE by itself. The store of a --store flag has none from the config.
func (a *app) storePassword() (secret, error) {
	if a.config == nil || a.store != a.config.store.url || a.getenv("PGPASSWORD") != "" {
		return "", nil
	}
	if file := a.config.storePasswordFile(); file != "" {
		return readSecret(file, "store.password_file")
	}
	return a.credential(storeCredential)
}

// storePasswordFile is the path of store.password_file, "" for none.
func (c *config) storePasswordFile() string {
	if c.store.passwordFile == "" {
		return ""
	}
	return c.path(c.store.passwordFile)
}

// sourcePassword returns the password of a source's user, "" where there is none.
// It is asked for at each login, so that one that was changed is taken up.
func (a *app) sourcePassword(s *sourceConfig) (secret, error) {
	return a.sourceSecret(s, "password", s.server.passwordFile)
}

// sourcePassphrase returns what the source's key is encrypted with, likewise.
func (a *app) sourcePassphrase(s *sourceConfig) (secret, error) {
	return a.sourceSecret(s, "passphrase", s.server.passphraseFile)
}

func (a *app) sourceSecret(s *sourceConfig, what, file string) (secret, error) {
	if text := a.getenv(s.variable(strings.ToUpper(what))); text != "" {
		return secret(text), nil
	}
	if file != "" {
		return readSecret(file, what+"_file of source "+s.name)
	}
	return a.credential(s.credential(what))
}

// credential reads a credential that systemd has handed to the service, ""
// when there is none of that name.
func (a *app) credential(name string) (secret, error) {
	dir := a.getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return "", nil
	}
	s, err := readSecret(filepath.Join(dir, name), "the credential "+name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return s, err
}

// haveCredential reports whether systemd has handed over a credential.
func (a *app) haveCredential(name string) bool {
	s, err := a.credential(name)
	return s != "" || err != nil
}

// credentialPlace is where a systemd credential is looked for, in words.
func (a *app) credentialPlace(name string) string {
	if a.getenv("CREDENTIALS_DIRECTORY") == "" {
		return "the systemd credential " + name + " (there is no CREDENTIALS_DIRECTORY)"
	}
	return "the systemd credential " + name + " (there is none)"
}

// refused has an error of the store say, where the password was not taken, which
// one that was, or where one was looked for.
func (a *app) refused(at *opened, err error) error {
	if err == nil || !store.PasswordRefused(err) {
		return err
	}
	configured := a.config != nil && a.store == a.config.store.url
	file := "" // what the config has beside the address
	if configured && a.config.storePasswordFile() != "" {
		file = "password_file " + a.config.storePasswordFile()
	} else if configured && a.haveCredential(storeCredential) {
		file = "the systemd credential " + storeCredential
	}
	place, pgpass := store.PasswordOf(at.url)
	var hint string
	switch {
	case at.password != "":
		hint = takenFrom("the store's address", file)
	case place == store.OfAddress:
		hint = takenFrom("the store's address", "that address")
	case place == store.OfEnvironment && file != "":
		hint = overruled("PGPASSWORD", file)
	case place == store.OfEnvironment:
		hint = takenFrom("the store's address", "PGPASSWORD in the environment")
	case place == store.OfPassfile:
		hint = takenFrom("the store's address", pgpass)
	case configured:
		hint = nowhere("PGPASSWORD", "store.password_file (the config names none)", a.credentialPlace(storeCredential), pgpass)
	default:
		hint = nowhere("PGPASSWORD", pgpass) + "; what a config says counts for the config's store alone"
	}
	return &hinted{err, hint}
}

// loginHint says what can be done about an error of a source: where its login was
// refused, about the password.
func (a *app) loginHint(s *sourceConfig, err error) string {
	if s.url == "" || !source.LoginRefused(err) {
		return hintFor(err)
	}
	variable, file, credential := s.variable("PASSWORD"), s.server.passwordFile, s.credential("password")
	switch fromEnvironment := a.getenv(variable) != ""; {
	case fromEnvironment && file != "":
		return overruled(variable, "password_file "+file)
	case fromEnvironment && a.haveCredential(credential):
		return overruled(variable, "the systemd credential "+credential)
	case fromEnvironment:
		return takenFrom("the source's url", variable+" in the environment")
	case file != "":
		return takenFrom("the source's url", "password_file "+file)
	case a.haveCredential(credential):
		return takenFrom("the source's url", "the systemd credential "+credential)
	case s.server.keyFile != "":
		return "see the user in the source's url, and the key " + s.server.keyFile
	}
	hint := nowhere(variable, "password_file (the config names none)", a.credentialPlace(credential))
	if strings.HasPrefix(s.url, "sftp:") {
		hint += "; or name a key with key_file"
	}
	return hint
}

func overruled(variable, by string) string {
	return fmt.Sprintf("%s in the environment goes before %s, and its password was tried: unset it, if the other is the right one", variable, by)
}

func takenFrom(address, place string) string {
	return fmt.Sprintf("see the user in %s; the password that was tried is that of %s", address, place)
}

func nowhere(variable string, others ...string) string {
	last := len(others) - 1
	return fmt.Sprintf("no password was found: it is looked for in the environment (%s, not set), %sand %s", variable, strings.Join(append(others[:last:last], ""), ", "), others[last])
}

// readSecret reads a file with a secret; the end of its line is none of it.
func readSecret(file, what string) (secret, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", what, err)
	}
	s := strings.TrimRight(string(text), "\r\n")
	if s == "" {
		return "", fmt.Errorf("reading %s: %s is empty", what, file)
	}
	return secret(s), nil
}

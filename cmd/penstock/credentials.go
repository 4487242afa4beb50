package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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

package source

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// A hostCheck holds the key that a server shows against the files of known
// hosts.
type hostCheck struct {
	address string // host:port
	files   []string
	known   ssh.HostKeyCallback

	passed bool
	err    error // why the server is not spoken to
}

func ownKnownHosts() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("there is no file of known hosts: name one (%w)", err)
	}
	return filepath.Join(home, ".ssh", "known_hosts"), nil
}

// newHostCheck reads the files. One that is not there knows nobody.
func newHostCheck(address string, files []string) (*hostCheck, error) {
	h := &hostCheck{address: address, files: files}
	there := slices.DeleteFunc(slices.Clone(files), func(file string) bool {
		_, err := os.Stat(file)
		return errors.Is(err, fs.ErrNotExist)
	})
	var err error
	if h.known, err = knownhosts.New(there...); err != nil {
		return nil, fmt.Errorf("read the known hosts: %w", err)
	}
	return h, nil
}

// check is called with the key that the server has shown to have.
func (h *hostCheck) check(address string, remote net.Addr, key ssh.PublicKey) error {
	h.err = h.judge(address, remote, key)
	h.passed = h.err == nil
	return h.err
}

func (h *hostCheck) judge(address string, remote net.Addr, key ssh.PublicKey) error {
	err := h.known(address, remote, key)
	var unlike *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	shown := key.Type() + " " + ssh.FingerprintSHA256(key)
	file := h.files[len(h.files)-1]
	switch {
	case err == nil:
		return nil
	case errors.As(err, &revoked):
		return fmt.Errorf("the server shows a key (%s) that %s:%d says is revoked: it is not to be trusted", shown, revoked.Revoked.Filename, revoked.Revoked.Line)
	case !errors.As(err, &unlike):
		return fmt.Errorf("the server's key (%s) is not accepted: %w", shown, err)
	case len(unlike.Want) == 0:
		return fmt.Errorf("the server %s is not known: it shows the key %s; if those who run it say that this is its key, add this line to %s: %s",
			h.address, shown, file, knownhosts.Line([]string{address}, key))
	}
	want := unlike.Want[0]
	return fmt.Errorf("the server shows another key than is known: %s, and %s:%d has %s %s; somebody may stand between, or the server has a new key: only if those who run it say so, replace the line by: %s",
		shown, want.Filename, want.Line, want.Key.Type(), ssh.FingerprintSHA256(want.Key), knownhosts.Line([]string{address}, key))
}

// algorithms are those of the keys that are known of the server, so that it
// shows one of those and not another one that it also has. nil: any.
func (h *hostCheck) algorithms() []string {
	// The question is put as that of a key that nobody has.
	none, err := ssh.NewPublicKey(make(ed25519.PublicKey, ed25519.PublicKeySize))
	if err != nil {
		return nil
	}
	var unlike *knownhosts.KeyError
	if !errors.As(h.known(h.address, unresolved{}, none), &unlike) {
		return nil
	}
	var all []string
	for _, known := range unlike.Want {
		switch kind := known.Key.Type(); kind {
		case ssh.KeyAlgoRSA:
			all = append(all, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		default:
			all = append(all, kind)
		}
	}
	return all
}

// unresolved is the address of a server that was not looked up.
type unresolved struct{}

func (unresolved) Network() string { return "tcp" }
func (unresolved) String() string  { return "0.0.0.0:0" }

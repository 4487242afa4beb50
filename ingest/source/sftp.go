package source

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
)

// SFTPOptions says which server and folder an SFTP source reads, and how it
// logs in there.
type SFTPOptions struct {
	RemoteOptions

	// URL is sftp://user@host:port/folder. The folder is below the one that the
	// login leads to; with two slashes it is the server's own. A password must
	// not stand in it.
	URL string

	// KeyFile is the private key to log in with, as ssh-keygen writes it, and
	// Passphrase returns what it is encrypted with. Password returns the
	// password, which is tried when the server does not take the key. nil and
	// "" are none. All are read for each login, so that a new one is taken up.
	KeyFile    string
	Passphrase func() (string, error)
	Password   func() (string, error)

	// KnownHosts are the files with the keys of servers, as ssh writes them: the
	// user's own ~/.ssh/known_hosts. They are read for each login, and a server
	// that is not in them is not spoken to.
	KnownHosts []string
}

// NewSFTP returns the source of a folder of an SFTP server. Nothing is asked of
// the server before the first listing. Neither password nor passphrase is in
// any error or line of the log.
func NewSFTP(o SFTPOptions) (*Remote, error) {
	d, err := o.dialer()
	if err != nil {
		return nil, err
	}
	r, err := newRemote(o.RemoteOptions, d.serverURL, d.dial, d.credentials)
	if err != nil {
		return nil, err
	}
	d.RemoteOptions = r.RemoteOptions // completed
	return r, nil
}

// An sftpDialer makes the connections of one SFTP source.
type sftpDialer struct {
	SFTPOptions
	*serverURL
}

const sftpExample = "sftp://user@sftp.example.com/upload"

func (o *SFTPOptions) dialer() (*sftpDialer, error) {
	u, err := parseServerURL(o.URL, sftpExample, map[string]string{"sftp": "22"})
	switch {
	case err != nil:
		return nil, err
	case u.user == "":
		return nil, errors.New("the URL names no user: write it like " + sftpExample)
	case o.KeyFile == "" && o.Password == nil:
		return nil, errNothingGiven
	case o.KeyFile == "" && o.Passphrase != nil:
		return nil, errors.New("there is a passphrase and no key that it is for: name the key's file")
	}
	d := &sftpDialer{SFTPOptions: *o, serverURL: u}
	if len(d.KnownHosts) == 0 {
		file, err := ownKnownHosts()
		if err != nil {
			return nil, err
		}
		d.KnownHosts = []string{file}
	}
	return d, nil
}

// credentials returns all that a login is tried with: when it is another, a
// login that was refused is worth trying again.
func (d *sftpDialer) credentials() (string, error) {
	var all strings.Builder
	if d.KeyFile != "" {
		key, err := os.ReadFile(d.KeyFile)
		if err != nil {
			return "", err
		}
		all.Write(key)
	}
	for _, secret := range []func() (string, error){d.Passphrase, d.Password} {
		text, err := textOf(secret)
		if err != nil {
			return "", err
		}
		all.WriteByte(0)
		all.WriteString(text)
	}
	return all.String(), nil
}

// textOf reads a secret, "" for none.
func textOf(secret func() (string, error)) (string, error) {
	if secret == nil {
		return "", nil
	}
	return secret()
}

// methods are the ways to log in, each of which is tried once at most: servers
// count.
func (d *sftpDialer) methods() ([]ssh.AuthMethod, error) {
	var all []ssh.AuthMethod
	if d.KeyFile != "" {
		key, err := d.key()
		if err != nil {
			return nil, err
		}
		all = append(all, ssh.PublicKeys(key))
	}
	password, err := textOf(d.Password)
	switch {
	case err != nil:
		return nil, fmt.Errorf("get the password: %w", err)
	case password == "" && len(all) == 0:
		return nil, errNothingGiven
	case password == "":
		return all, nil
	}
	given := false
	give := func() (string, error) {
		if given {
			return "", errors.New("the password was tried already")
		}
		given = true
		return password, nil
	}
	// Some servers ask for the password, and only that, in words of their own.
	asked := func(_, _ string, questions []string, _ []bool) ([]string, error) {
		if len(questions) == 0 {
			return nil, nil
		}
		if len(questions) > 1 {
			return nil, fmt.Errorf("the server asks %d questions, and only a password is there to answer", len(questions))
		}
		answer, err := give()
		return []string{answer}, err
	}
	return append(all, ssh.PasswordCallback(give), ssh.KeyboardInteractive(asked)), nil
}

// key reads the private key.
func (d *sftpDialer) key() (ssh.Signer, error) {
	text, err := os.ReadFile(d.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("read the key: %w", err)
	}
	key, err := ssh.ParsePrivateKey(text)
	var encrypted *ssh.PassphraseMissingError
	switch {
	case err == nil:
		return key, nil
	case !errors.As(err, &encrypted):
		return nil, fmt.Errorf("%s is no private key: %w; ssh-keygen makes one, and it is the file without .pub", d.KeyFile, err)
	}
	passphrase, err := textOf(d.Passphrase)
	if err != nil {
		return nil, fmt.Errorf("get the passphrase of the key: %w", err)
	}
	if passphrase == "" {
		return nil, fmt.Errorf("the key %s is encrypted: name the file of its passphrase", d.KeyFile)
	}
	key, err = ssh.ParsePrivateKeyWithPassphrase(text, []byte(passphrase))
	if errors.Is(err, x509.IncorrectPasswordError) {
		return nil, fmt.Errorf("the passphrase is not that of the key %s", d.KeyFile)
	}
	if err != nil {
		return nil, fmt.Errorf("read the key %s: %w", d.KeyFile, err)
	}
	return key, nil
}

// dial makes a connection and logs in.
func (d *sftpDialer) dial(ctx context.Context) (client, error) { return dialSFTP(ctx, d) }

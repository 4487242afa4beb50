package servertest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"os"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// setUpOpenSSH makes a server that lets one key in, and to files only. As
// root it needs an account of its own, unless it is run as another: then only
// that one can log in.
func setUpOpenSSH(s *Server) []string {
	if s.Options.TLS != Plain || s.Options.Connections != 0 {
		s.t.Fatal("OpenSSH has no TLS and counts no connections")
	}
	if s.account.drop {
		s.bring()
	}
	s.User, s.Folder = s.account.name, s.Root
	host := s.newSSHKey("host-key", "")
	user := s.newSSHKey("user-key", s.Options.Passphrase)
	// The client's: it belongs to whoever runs the test.
	s.must(os.Chown(s.file("user-key"), os.Geteuid(), os.Getegid()))
	s.Key, s.KnownHosts = s.file("user-key"), s.file("known-hosts")
	s.must(os.WriteFile(s.KnownHosts, []byte(knownhosts.Line([]string{s.Address}, host)+"\n"), 0o644))
	config := configuration{
		"ListenAddress " + s.Address, "HostKey " + s.file("host-key"), "PidFile none",
		"UsePAM no", "UseDNS no", "StrictModes no", "PrintMotd no",
		"AuthorizedKeysFile " + s.write("authorized", string(ssh.MarshalAuthorizedKey(user))),
		"PasswordAuthentication no", "KbdInteractiveAuthentication no",
		"MaxStartups 500", "MaxSessions 100", "LogLevel VERBOSE",
		"Subsystem sftp internal-sftp", "ForceCommand internal-sftp -d " + s.Root,
	}
	return []string{"-D", "-e", "-f", s.write("config", config.text())}
}

// newSSHKey writes a private key and returns its public half.
func (s *Server) newSSHKey(name, passphrase string) ssh.PublicKey {
	s.t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	s.must(err)
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(private, name)
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, name, []byte(passphrase))
	}
	s.must(err)
	s.write(name, string(pem.EncodeToMemory(block)))
	key, err := ssh.NewPublicKey(public)
	s.must(err)
	return key
}

package servertest

import (
	"cmp"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	// password is that of every server's only user, and passwordHash the same as
	// crypt(3) has it.
	password     = "correct-horse-7"
	passwordHash = "$6$penstock$90DK/FBtkxe9qMrwon/kZ4H48.NfHzX0k7YVD.rnKdQ/jV6hHOHXSUdKPSPVsBIIM.O2y7uNi2NsHSes4KpOh/"
)

// setUpVSFTPD makes an anonymous server with one password: others than the
// anonymous log in through PAM, which has no folder but the system's.
func setUpVSFTPD(s *Server) []string {
	if s.account.drop {
		s.bring()
	}
	s.User, s.Password, s.Folder = "ftp", password, s.Root
	config := configuration{
		"listen=YES", "background=NO", "listen_address=127.0.0.1", "listen_port=" + s.port(),
		"run_as_launching_user=YES", "ftp_username=" + s.account.name, "nopriv_user=" + s.account.name,
		"anonymous_enable=YES", "local_enable=NO", "anon_root=" + s.Root,
		"secure_email_list_enable=YES", "email_password_file=" + s.write("passwords", password+"\n"),
		"write_enable=YES", "anon_upload_enable=YES", "anon_mkdir_write_enable=YES", "anon_other_write_enable=YES",
		"anon_world_readable_only=NO", "anon_umask=022",
		"force_dot_files=YES", "use_localtime=NO", "delay_failed_login=0",
		"secure_chroot_dir=" + s.dir, "seccomp_sandbox=NO",
		fmt.Sprintf("max_clients=%d", s.connections()), "max_per_ip=0",
	}
	if s.Options.Quiet {
		config.add("xferlog_enable=NO")
	} else {
		config.add("xferlog_enable=YES", "log_ftp_protocol=YES", "vsftpd_log_file="+s.file("log"))
	}
	if s.Options.TLS != Plain {
		config.add("ssl_enable=YES", "allow_anon_ssl=YES", "force_anon_logins_ssl=YES", "force_anon_data_ssl=YES",
			"ssl_tlsv1=YES", "ssl_ciphers=HIGH", "require_ssl_reuse=YES",
			"rsa_cert_file="+s.file("certificate.pem"), "rsa_private_key_file="+s.file("key.pem"))
	}
	if s.Options.TLS == Implicit {
		config.add("implicit_ssl=YES")
	}
	if s.Options.ClientCA {
		config.add("require_cert=YES", "validate_cert=YES", "ca_certs_file="+s.CA)
	}
	return []string{s.write("config", config.text())}
}

// setUpProFTPD makes a server with one user of its own file.
func setUpProFTPD(s *Server) []string {
	modules := filepath.Join(s.program.tree, "usr/lib/proftpd")
	if s.account.drop {
		s.bring()
		s.copyIn(filepath.Join(modules, "mod_tls.so"), "")
		modules = s.dir
	}
	s.User, s.Password, s.Folder = "penstock", password, s.Root
	users := s.write("users", fmt.Sprintf("%s:%s:%d:%d::%s:/bin/sh\n", s.User, passwordHash, s.account.uid, s.account.gid, s.Root))
	config := configuration{
		"ServerType standalone", "ServerName test", "Port " + s.port(), "DefaultAddress 127.0.0.1", "SocketBindTight on",
		"UseReverseDNS off", "UseIPv6 off", "User " + s.account.name, "Group " + s.account.group(s.t),
		"PidFile " + s.file("pid"), "ScoreboardFile " + s.file("scoreboard"), "ScoreboardMutex " + s.file("mutex"),
		"DelayEngine off", "WtmpLog off", "TransferLog none", "SystemLog " + s.file("log"),
		"AuthOrder mod_auth_file.c", "AuthUserFile " + users, "RequireValidShell off",
		"AllowOverwrite on", "AllowRetrieveRestart on", "AllowStoreRestart on", "Umask 022", `ListOptions "-a"`, "TimesGMT on",
		fmt.Sprintf("MaxClients %d", s.connections()), "MaxInstances 1000",
		"<IfModule mod_ctrls.c>", "ControlsEngine off", "</IfModule>",
	}
	if s.Options.TLS != Plain {
		config.add("ModulePath "+modules, "LoadModule mod_tls.c",
			"TLSEngine on", "TLSRequired on", "TLSLog "+s.file("log"), "TLSProtocol TLSv1.2 TLSv1.3",
			"TLSECCertificateFile "+s.file("certificate.pem"), "TLSECCertificateKeyFile "+s.file("key.pem"))
	}
	if s.Options.TLS == Implicit {
		config.add("TLSOptions UseImplicitSSL")
	}
	if s.Options.ClientCA {
		config.add("TLSVerifyClient on", "TLSCACertificateFile "+s.CA)
	}
	return []string{"-n", "-c", s.write("config", config.text())}
}

// setUpPureFTPD makes a server with one user of its own database, whose root
// is the folder.
func setUpPureFTPD(s *Server) []string {
	if s.Options.TLS == Implicit || s.Options.ClientCA {
		s.t.Fatal("pure-ftpd has no implicit TLS and asks for no certificates")
	}
	s.User, s.Password, s.Folder = "penstock", password, "/"
	users := s.write("users", fmt.Sprintf("%s:%s:%d:%d::%s/./::::::::::::\n", s.User, passwordHash, s.account.uid, s.account.gid, s.Root))
	database := s.file("users.pdb")
	mkdb := exec.Command(filepath.Join(s.program.tree, "usr/bin/pure-pw"), "mkdb", database, "-f", users)
	mkdb.Env = []string{"LD_LIBRARY_PATH=" + s.program.libraries}
	if out, err := mkdb.CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %v\n%s", mkdb, err, out)
	}
	arguments := []string{
		"-S", "127.0.0.1," + s.port(), "-4", "-H", "-l", "puredb:" + database, "-E", "-u", "1",
		"-c", fmt.Sprint(s.connections()), "-L", fmt.Sprintf("%d:30", cmp.Or(s.Options.Entries, 1_000_000)), "-D", "-U", "133:022",
		"-g", s.file("pid"), "-O", "clf:" + s.file("log"),
	}
	if s.Options.TLS == Explicit {
		return append(arguments, "-Y", "3", "-2", s.file("both.pem"))
	}
	return append(arguments, "-Y", "0")
}

// connections is how many the server accepts.
func (s *Server) connections() int {
	if s.Options.Connections == 0 {
		return 500
	}
	return s.Options.Connections
}

// A configuration is the lines of a server's configuration file.
type configuration []string

func (c *configuration) add(lines ...string) { *c = append(*c, lines...) }

func (c *configuration) text() string { return strings.Join(*c, "\n") + "\n" }

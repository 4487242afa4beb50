package source

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path"
	"strings"
)

// A serverURL is the URL of a folder on a server, taken apart.
type serverURL struct {
	scheme, user string
	host, port   string
	usual        string // the scheme's port
	root         string // the folder: absolute, or below that of the login
}

// parseServerURL takes a URL apart. Ports are those of the schemes that there
// are, and example is a URL as it should be. Errors do not repeat the URL, which
// may hold a password.
func parseServerURL(text, example string, ports map[string]string) (*serverURL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("the URL is malformed: write it like " + example)
	}
	usual, ok := ports[u.Scheme]
	if !ok {
		return nil, fmt.Errorf("the URL's scheme is %q: write it like %s", u.Scheme, example)
	}
	if _, ok := u.User.Password(); ok {
		return nil, errors.New("a password stands in the URL, where logs and process lists show it: put it into a file and name that")
	}
	switch {
	case u.Hostname() == "":
		return nil, errors.New("the URL names no host: write it like " + example)
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("the URL has a ? or a # in it: write them as %3F and %23")
	case strings.ContainsRune(u.User.Username()+u.Path, 0):
		return nil, errors.New("the URL's user or folder has a NUL in it")
	}
	s := &serverURL{scheme: u.Scheme, user: u.User.Username(), host: u.Hostname(), port: orElse(u.Port(), usual), usual: usual}
	if s.root = strings.TrimPrefix(u.Path, "/"); strings.HasPrefix(s.root, "/") {
		s.root = path.Clean(s.root)
	} else {
		s.root = strings.TrimPrefix(path.Clean("/"+s.root), "/")
	}
	return s, nil
}

// String names the folder in messages, without the user.
func (s *serverURL) String() string {
	u := url.URL{Scheme: s.scheme, Host: s.host, Path: "/" + s.root}
	if strings.Contains(s.host, ":") {
		u.Host = "[" + s.host + "]"
	}
	if s.port != s.usual {
		u.Host = s.address()
	}
	return u.String()
}

// address is what is dialled.
func (s *serverURL) address() string { return net.JoinHostPort(s.host, s.port) }

// account names who logs in where.
func (s *serverURL) account() string { return s.user + "@" + s.address() }

// onServer is the absolute path on a server of one below a source's root.
func onServer(root, p string) string {
	if strings.HasPrefix(p, "/") {
		return path.Clean(p)
	}
	return path.Join(root, p)
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

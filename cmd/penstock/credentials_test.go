package main

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"penstock/store/pglocal/pgtest"
)

// A store that refuses the password is told with which one that was, or where one
// was looked for.
func TestStorePasswordRefused(t *testing.T) {
	server := pgtest.Server(t)
	conn := connectTo(t, server.URL())
	asking := passwordAsked(t, conn, filepath.Join(server.Dir(), "data"), strings.Replace(server.URL(), "penstock@", "asked@", 1))
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pgpass := write("pgpass", "")
	credentials := filepath.Dir(write("credentials/store.password", "wrong\n"))
	wrong, right := write("wrong", "wrong\n"), write("right", "right\n")
	plain := write("plain.yaml", "store: {url: \""+asking+"\"}\n")
	withWrong := write("wrong.yaml", "store: {url: \""+asking+"\", password_file: wrong}\n")
	withRight := write("right.yaml", "store: {url: \""+asking+"\", password_file: right}\n")
	of := strings.Replace(asking, "asked@", "asked:wrong@", 1)
	if of == asking {
		t.Fatalf("the address %s has no place for a password", asking)
	}
	another := write("another", "*:*:*:asked:wrong\n")
	elsewhere := asking + "&passfile=" + another
	u, err := url.Parse(asking)
	if err != nil {
		t.Fatal(err)
	}
	keywords := "user=asked dbname=" + strings.TrimPrefix(u.Path, "/") + " host='" + u.Query().Get("host") + "'"
	t.Setenv("PGPASSFILE", pgpass)
	for name, c := range map[string]struct {
		environ    []string
		pgpassword string
		args       []string
		hint       string
	}{
		"nowhere":                {nil, "", []string{"-c", plain}, "no password was found: it is looked for in the environment (PGPASSWORD, not set), store.password_file (the config names none), the systemd credential store.password (there is no CREDENTIALS_DIRECTORY), and " + pgpass},
		"nowhere, and no config": {nil, "", []string{"--store", asking}, "no password was found: it is looked for in the environment (PGPASSWORD, not set), and " + pgpass},
		"of the file":            {nil, "", []string{"-c", withWrong}, "see the user in the store's address; the password that was tried is that of password_file " + wrong},
		"of the credential":      {[]string{"CREDENTIALS_DIRECTORY=" + credentials}, "", []string{"-c", plain}, "see the user in the store's address; the password that was tried is that of the systemd credential store.password"},
		"of the environment":     {nil, "wrong", []string{"-c", plain}, "see the user in the store's address; the password that was tried is that of PGPASSWORD in the environment"},
		"of the environment, before the file": {nil, "wrong", []string{"-c", withRight},
			"PGPASSWORD in the environment goes before password_file " + right + ", and its password was tried: unset it, if the other is the right one"},
		"of the environment, before the credential": {[]string{"CREDENTIALS_DIRECTORY=" + credentials}, "wrong", []string{"-c", plain},
			"PGPASSWORD in the environment goes before the systemd credential store.password"},
		"of the address, before the environment": {nil, "right", []string{"--store", of}, "see the user in the store's address; the password that was tried is that of that address"},
		"of the address's passfile":              {nil, "", []string{"--store", elsewhere}, "see the user in the store's address; the password that was tried is that of " + another},
		"of the address's passfile, as keywords": {nil, "", []string{"--store", keywords + " passfile='" + another + "'"}, "see the user in the store's address; the password that was tried is that of " + another},
		"nowhere, and not in that passfile":      {nil, "", []string{"--store", asking + "&passfile=" + pgpass + ".none"}, "no password was found: it is looked for in the environment (PGPASSWORD, not set), and " + pgpass + ".none"},
	} {
		t.Run(name, func(t *testing.T) {
			environ := append(c.environ, "PGPASSFILE="+pgpass)
			if c.pgpassword != "" {
				t.Setenv("PGPASSWORD", c.pgpassword)
				environ = append(environ, "PGPASSWORD="+c.pgpassword)
			}
			if _, err := penstockWith(t, environ, exitFailed, append(c.args, "status")...); !strings.Contains(err, "28P01") || !strings.Contains(err, "\nhint: "+c.hint) {
				t.Errorf("it says %s", err)
			}
			if c.args[0] == "-c" {
				if out, _ := penstockWith(t, environ, exitFailed, append(c.args, "check")...); !strings.Contains(out, c.hint) {
					t.Errorf("check says %s", out)
				}
			}
		})
	}
	if _, err := penstock(t, exitFailed, "-c", withRight, "status"); !strings.Contains(err, "no Penstock schema") {
		t.Errorf("with the right password: %s", err)
	}
}

// passwordAsked has the server ask a role for its password, which is "right".
func passwordAsked(t *testing.T, conn *pgx.Conn, data, url string) string {
	t.Helper()
	file := filepath.Join(data, "pg_hba.conf")
	rules, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append([]byte("local all asked scram-sha-256\n"), rules...), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"create role asked login password 'right'", "select pg_reload_conf()"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		asked, err := pgx.Connect(t.Context(), url)
		if err != nil && strings.Contains(err.Error(), "28P01") {
			return url
		}
		if err == nil {
			err = asked.Close(t.Context())
		}
		select {
		case <-again.C:
		case <-t.Context().Done():
			t.Fatalf("the role is not asked for its password: %v", err)
		}
	}
}

// Likewise a source on a server; 'check' tells the log-in and the folder apart.
func TestSourceLoginRefused(t *testing.T) {
	dir := t.TempDir()
	server, err := startDemoServer(filepath.Join(dir, "ftp"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.stop(); err != nil {
			t.Error(err)
		}
	}()
	if err := os.MkdirAll(filepath.Join(dir, "ftp", "in", "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	login := "ftp://" + server.user + "@" + server.address
	for name, text := range map[string]string{"wrong": "wrong\n", "right": server.password + "\n", "credentials/field.password": "wrong\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const variable = "PENSTOCK_SOURCE_FIELD_PASSWORD"
	credentials := "CREDENTIALS_DIRECTORY=" + filepath.Join(dir, "credentials")
	for name, c := range map[string]struct {
		environ []string
		source  string
		says    []string
	}{
		"nowhere":               {nil, "", []string{`WRONG +field +log in +.*no password was found: it is looked for in the environment \(` + variable + `, not set\), password_file \(the config names none\), and the systemd credential field.password \(there is no CREDENTIALS_DIRECTORY\)\n`}},
		"of the file":           {nil, ", password_file: wrong", []string{`WRONG +field +log in +.*see the user in the source's url; the password that was tried is that of password_file \S+wrong\n`}},
		"of the credential":     {[]string{credentials}, "", []string{`WRONG +field +log in +.*the password that was tried is that of the systemd credential field.password\n`}},
		"of the environment":    {[]string{variable + "=wrong"}, "", []string{`WRONG +field +log in +.*the password that was tried is that of ` + variable + ` in the environment\n`}},
		"before the file":       {[]string{variable + "=wrong"}, ", password_file: right", []string{variable + ` in the environment goes before password_file \S+right, and its password was tried: unset it`}},
		"before the credential": {[]string{variable + "=wrong", credentials}, "", []string{variable + ` in the environment goes before the systemd credential field.password`}},
		"no such folder":        {nil, "/none, password_file: right", []string{`ok +field +log in +` + login + `\n`, `WRONG +field +folder +list ` + `ftp://\S+/in/none: `}},
		"well":                  {nil, ", password_file: right", []string{`ok +field +log in +` + login + `\n`, `ok +field +folder +in has 1 entry\n`}},
	} {
		t.Run(name, func(t *testing.T) {
			folder, rest, _ := strings.Cut(c.source, ",")
			if rest != "" {
				rest = "," + rest
			}
			config := filepath.Join(dir, "penstock.yaml")
			text := "archive: off\nstore: {url: \"local:" + filepath.Join(dir, "pg") + "\"}\nsources:\n  - {name: field, url: \"" + login + "/in" + folder + "\"" + rest + "}\n"
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			code := exitFailed
			if name == "well" {
				code = exitWell
			}
			out, _ := penstockWith(t, c.environ, code, "-c", config, "check")
			for _, says := range c.says {
				if !regexp.MustCompile(says).MatchString(out) {
					t.Errorf("check does not say %s:\n%s", says, out)
				}
			}
		})
	}
}

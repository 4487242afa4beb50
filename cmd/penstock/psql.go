package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"penstock/store/pglocal"
)

func newPsql(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "psql [ARGS...]",
		Short: "psql on the store, with Penstock's schema on the search path",
		Long: `Psql runs PostgreSQL's psql on the store, also on a private one that is in use.
All that follows is psql's own; flags of Penstock stand before it:

  penstock --store local:/data/pg psql -c 'select * from observations limit 5'

The exit code is psql's.`,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 && (args[0] == "--help" || args[0] == "-h") {
				return cmd.Help()
			}
			if err := checkPsql(args); err != nil {
				return err
			}
			return a.psql(args)
		},
	}
}

// checkPsql finds flags that psql has not, and Penstock has.
func checkPsql(args []string) error {
	for _, arg := range args {
		if name, _, _ := strings.Cut(arg, "="); slices.Contains([]string{"--store", "--schema", "--config"}, name) {
			return usage("penstock "+name+" ... psql", "%s is a flag of Penstock, and stands before psql", name)
		}
	}
	return nil
}

// psql leaves Ctrl-C to psql, which stops a query by it.
func (a *app) psql(args []string) error {
	signal.Ignore(os.Interrupt)
	program, err := pglocal.FindPsql()
	if err != nil {
		return err
	}
	at, err := a.reach(a.take, reads)
	if err != nil {
		return err
	}
	defer at.close(a.log)
	address, password := withoutPassword(at.url)
	password = cmp.Or(password, at.password)
	cmd := exec.CommandContext(a.take, program, append([]string{"--dbname=" + address}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.in, a.out, a.err.w
	cmd.Env = append(slices.Clone(a.environ), "PGOPTIONS="+strings.TrimSpace(a.getenv("PGOPTIONS")+" -c search_path="+searchPath(a.schema)))
	if password != "" {
		cmd.Env = append(cmd.Env, "PGPASSWORD="+password)
	}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exitError(exit.ExitCode())
	}
	if err != nil {
		return fmt.Errorf("running %s: %w", program, err)
	}
	return nil
}

// searchPath quotes the schema as PGOPTIONS wants it: spaces and backslashes
// take a backslash there.
func searchPath(schema string) string {
	quoted := `"` + strings.ReplaceAll(schema, `"`, `""`) + `",public`
	return strings.NewReplacer(`\`, `\\`, " ", `\ `).Replace(quoted)
}

// passwordWord is a password in a libpq keyword string, in which a backslash
// takes its meaning from what follows.
var (
	passwordWord = regexp.MustCompile(`\bpassword\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s\\]|\\.)+)`)
	escaped      = regexp.MustCompile(`\\(.)`)
)

// withoutPassword takes the password out of an address: arguments are shown to
// everyone on the machine.
func withoutPassword(address string) (rest, password string) {
	if u, err := url.Parse(address); err == nil && u.Scheme != "" {
		if p, ok := u.User.Password(); ok {
			password = p
			u.User = url.User(u.User.Username())
		}
		q := u.Query()
		if q.Has("password") {
			password = q.Get("password")
			q.Del("password")
			u.RawQuery = q.Encode()
		}
		return u.String(), password
	}
	if m := passwordWord.FindStringSubmatch(address); m != nil {
		password = m[1]
		if inner, ok := strings.CutPrefix(password, "'"); ok {
			password = strings.TrimSuffix(inner, "'")
		}
		password = escaped.ReplaceAllString(password, "$1")
		address = passwordWord.ReplaceAllString(address, "")
	}
	return address, password
}

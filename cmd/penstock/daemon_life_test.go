package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"penstock/ingest/source/servertest"
	"penstock/store/pglocal"
)

// A database that is not there yet is waited for, and so is one that goes away:
// told once, and once when it is back.
func waitsForStore(t *testing.T, s *stage) {
	r := s.trial(t, "sources:\n  - {name: north, url: north, poll: 1s, settle: 0}\n")
	options := pglocal.Options{Dir: filepath.Join(t.TempDir(), "pg"), Command: "a test"}
	start := func() *pglocal.Server {
		t.Helper()
		server, err := pglocal.Start(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		return server
	}
	stop := func(server *pglocal.Server) {
		if err := server.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}
	server := start()
	r.url = server.URL()
	stop(server)

	r.write("north/a.csv", longFile("N1", 1.5))
	r.begin()
	r.says(0, `level=WARN msg="the store is away: waiting for it" error=`)
	server = start()
	r.says(0, `level=INFO msg="the store answers" after=`)
	r.comes("N1 flow 1.5", observed)

	stop(server)
	r.says(0, `level=WARN msg="the database is not available, trying again until it is"`)
	r.write("north/b.csv", longFile("N2", 2.5))
	server = start()
	defer func() { stop(server) }()
	r.comes("N1 flow 1.5, N2 flow 2.5", observed)
	r.says(0, `level=INFO msg="the database is available again"`)
	if n := r.times("level=(WARN|ERROR)"); n != 2 {
		t.Errorf("%d warnings and errors are logged, want one for each time:\n%s", n, r.text())
	}
	r.end(0)
}

// Of two daemons that load one source the second stands by, and takes over when
// the first is killed. One that is not to wait ends.
func standsBy(t *testing.T, s *stage) {
	config := "sources:\n  - {name: north, url: north, poll: 1s, settle: 0}\n"
	first := s.trial(t, config)
	first.write("north/a.csv", longFile("N1", 1.5))
	first.begin()
	first.comes("N1 flow 1.5", observed)

	second := &trial{t: t, binary: s.binary, dir: first.dir, url: first.url}
	second.begin()
	second.says(0, fmt.Sprintf(`level=INFO msg="standing by: another process loads the source" source=north process=".*process %d" since=`, first.daemon.Process.Pid))
	third := &trial{t: t, binary: s.binary, dir: first.dir, url: first.url}
	third.begin("--no-wait")
	third.ends(4)
	third.says(0, `penstock: source "north" is loaded by .*\nhint: a process that was killed gives it up at`)

	killed := time.Now()
	first.signal(syscall.SIGKILL)
	first.write("north/b.csv", longFile("N2", 2.5))
	second.says(0, `level=INFO msg="taking over the source" source=north`)
	if took := time.Since(killed); took > 12*time.Second {
		t.Errorf("it took over after %s", took)
	}
	second.comes("N1 flow 1.5, N2 flow 2.5", observed)
	second.end(0)
}

// A vendor changes the header of all its loggers overnight: they gather as one
// shape that is told once, one answer loads them all, and other loggers go on.
func gathersAChange(t *testing.T, s *stage) {
	const loggers = 300
	r := s.trial(t, "sources:\n  - {name: site, url: site, poll: 1s, settle: 0, zone: UTC}\npipeline: {chunk: 50}\n")
	file := func(day int, header string) {
		for i := range loggers {
			r.write(fmt.Sprintf("site/V-%03d_202506%02d.csv", i, day), fmt.Sprintf("%s\n2025-06-%02d 00:00,%d,3.5\n2025-06-%02d 00:15,%d,3.4\n", header, day, i, day, i))
		}
	}
	file(1, "Time,Flow (l/s),Battery (V)")
	r.begin()
	const loaded = "select count(*) from penstock.files where state = 'loaded'"
	const held = "select count(*) from penstock.files where state = 'held'"
	r.comes("300", loaded)
	// The night: files are judged by what there was before the last listing.
	r.comes("true", "select bool_and(series = (select max(id) from penstock.series)) from penstock.runs")

	mark := r.mark()
	file(2, "Time,Durchfluss (l/s),Batterie (V)")
	r.write("site/other.csv", longFile("N1", 1.5))
	r.comes("300", held)
	r.comes("301", loaded)
	r.says(mark, `level=WARN msg="files of a new shape wait for an answer" source=site shape=\S+ files=\d+ `)
	if n := r.times(`msg="files (of a new shape|not loaded)`); n != 1 {
		t.Errorf("it is told %d times, want once:\n%s", n, r.text())
	}
	r.penstock(0, "profiles", "approve", r.shape(), "--map", "Durchfluss=Flow", "--map", "Batterie=Battery", "--yes")
	r.comes("601", loaded)
	file(3, "Time,Durchfluss (l/s),Batterie (V)")
	r.comes("901", loaded)
	r.comes("601", "select count(*) from penstock.series") // two for each, and the other's
	r.end(0)
}

// Without an archive, files on a server are read by the daemon alone: what a person answers about
// them, or marks to be tried again, it takes up.
func isToldOfServers(t *testing.T, s *stage) {
	server := servertest.Start(t, servertest.VSFTPD, servertest.Options{})
	old := time.Now().Add(-time.Hour)
	server.Put("weir7.csv", []byte("Time,Stage\n03/04/2025 00:00,4.5\n03/04/2025 00:15,4.5\n"), old)
	server.Put("broken.csv", []byte("who,knows\n1,2\n"), old)
	r := s.trial(t, fmt.Sprintf("archive: off\nsources:\n  - {name: field, url: %q, password_file: secret, poll: 1s, settle: 0, zone: UTC}\n", server.URL()))
	r.env = []string{"PENSTOCK_ARCHIVE="}
	r.write("secret", server.Password)
	r.begin()
	r.says(0, `level=WARN msg="plain FTP: the password and all data cross the network`)
	r.comes("held quarantined", "select string_agg(state::text, ' ' order by path desc) from penstock.files")
	shape := r.shape()
	r.penstock(0, "profiles", "approve", shape, "--set", "order=dmy", "--yes")
	r.comes("weir7 2025-04-03 00:15:00+00", "select max(logger || ' ' || ts) from penstock.observations")

	if out := r.penstock(2, "files", "retry", "--zone", "Europe/Athens"); !strings.Contains(out, "1 file is of source field on a server, where only 'penstock run' reads: it does not know of --zone Europe/Athens") {
		t.Error(out)
	}
	if out := r.penstock(0, "files", "retry"); !strings.Contains(out, "1 file is of source field on a server: 'penstock run' takes them up at its next listing.") {
		t.Error(out)
	}
	r.comes("2", "select count(*) from penstock.actions")
	r.comes("quarantined", "select state from penstock.files where path = 'broken.csv' and changed > (select max(at) from penstock.actions)")
	r.end(0)
}

// A password is in no log, error, argument or table, and in nothing that a check
// or a command prints.
func keepsSecrets(t *testing.T, s *stage) {
	server := servertest.Start(t, servertest.VSFTPD, servertest.Options{TLS: servertest.Explicit})
	server.Put("a.csv", []byte(longFile("F1", 1.5)), time.Now().Add(-time.Hour))
	r := s.trial(t, fmt.Sprintf(`
sources:
  - name: field
    url: %q
    password_file: secret
    poll: 1s
    settle: 0
    tls: {ca: %q}
  - name: wrong-one
    url: %q
    poll: 1s
    settle: 0
    tls: {ca: %q}
`, server.URL(), server.CA, server.URL(), server.CA))
	r.write("secret", server.Password+"\n")
	const wrong = "wr0ng-s3cret"
	r.env = []string{"PENSTOCK_SOURCE_WRONG_ONE_PASSWORD=" + wrong}
	r.begin("--log-level", "debug")
	r.comes("F1 flow 1.5", observed)
	r.says(0, `level=ERROR msg="the source fails: it is tried again and again" source=wrong-one error=".*530`)
	server.Put("b.csv", []byte(longFile("F2", 2.5)), time.Now().Add(-time.Hour))
	r.comes("F1 flow 1.5, F2 flow 2.5", observed)

	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", r.daemon.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	r.signal(syscall.SIGHUP)
	r.says(0, "the config is taken")
	r.end(0)
	tried := r.penstock(1, "check")
	for _, says := range []string{
		`ok +field +log in +ftps://[^/ ]+@127.0.0.1:\d+\n`, `ok +field +folder +\S.* has 2 entries\n`, `ok +field +list +2 files match`,
		`ok +field +read +the newest, [ab].csv, is read by plain-long: 1 reading from 2024-05-01 00:00:00 to 2024-05-01 00:00:00 UTC`,
		`note +field +secrets +.*secret can be read by other users \(mode 0644\): chmod 600`,
		`WRONG +wrong-one +log in +.*530`,
	} {
		if !regexp.MustCompile(says).MatchString(tried) {
			t.Errorf("check does not say %q:\n%s", says, tried)
		}
	}
	seen := tried + r.text() + string(arguments) + r.penstock(0, "status") + r.penstock(0, "files", "ls") + allRows(t, r.url)
	for _, secret := range []string{server.Password, wrong} {
		if strings.Contains(seen, secret) {
			t.Errorf("the password is to be seen:\n%s", seen)
		}
	}
}

// allRows is what all tables of the schema hold.
func allRows(t *testing.T, url string) (all string) {
	on(t, url, func(conn *pgx.Conn) {
		rows, err := conn.Query(t.Context(), "select table_name::text from information_schema.tables where table_schema = 'penstock' order by 1")
		if err != nil {
			t.Fatal(err)
		}
		tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range tables {
			var text string
			if err := conn.QueryRow(t.Context(), fmt.Sprintf("select coalesce(string_agg(t::text, '; '), '') from penstock.%s t", table)).Scan(&text); err != nil {
				t.Fatal(err)
			}
			all += table + ": " + text + "\n"
		}
	})
	if !strings.Contains(all, "F1") {
		t.Fatalf("the tables are not what they should be:\n%s", all)
	}
	return all
}

// A replay beside a daemon waits while live files are late, and goes on by itself
// when they have caught up. The daemon is late here because its limits make it so.
func hasRightOfWay(t *testing.T, s *stage) {
	const sources = "sources:\n  - {name: north, url: north, poll: 1s, settle: 0}\n"
	r := s.trial(t, "limits: {readings_per_second: 0.01, max_live_lag: 6s}\n"+sources)
	r.write("north/a.csv", longFile("N1", 1.5, 2.5, 3.5))
	r.begin()
	r.comes("north", "select source from penstock.leases where lag > '6s'")

	r.write("old/b.csv", longFile("S1", 4.5))
	cmd := exec.Command(r.binary, "replay", "-c", filepath.Join(r.dir, "penstock.yaml"), "--store", r.url, "--source", "old", filepath.Join(r.dir, "old"))
	var said logged
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	replayed := make(chan int, 1)
	go func() { replayed <- exitCode(cmd.Wait()) }()
	for text, more := said.now(); !strings.Contains(text, "of 1 files") || !strings.Contains(text, "held back for live files of north, which have waited for "); text, more = said.now() {
		select {
		case <-more:
		case code := <-replayed:
			t.Fatalf("the replay does not wait, and ends with %d:\n%s", code, text)
		case <-time.After(30 * time.Second):
			t.Fatalf("the replay does not say that it waits:\n%s", text)
		}
	}
	r.comes("0", "select count(*) from penstock.observations")

	r.write("penstock.yaml", sources)
	r.signal(syscall.SIGHUP)
	r.comes("N1 flow 1.5, N1 flow 2.5, N1 flow 3.5, S1 flow 4.5", observed)
	if code := <-replayed; code != 0 {
		t.Errorf("the replay ends with %d", code)
	}
	text, _ := said.now()
	if !strings.Contains(text, "Held back for ") || strings.Count(text, "holding back until live files have caught up") != 1 {
		t.Errorf("the replay says:\n%s", text)
	}
	r.comes("0", "select count(*) from penstock.leases where lag > '0'")
	r.end(0)
}

// What the first load of a site brings is not held for what it brought already,
// though it takes many listings, a drain and a kill; what comes later is, also
// when it is heard of long before the next listing.
func judgesBacklog(t *testing.T, s *stage) {
	const source = "sources:\n  - {name: north, url: north, poll: %s, settle: 0}\n"
	r := s.trial(t, "limits: {files_per_second: 4}\npipeline: {workers: 1, chunk: 2}\n"+fmt.Sprintf(source, "1s"))
	const files = 24
	for i := range files { // every other one has a channel more
		text := longFile("N1", float64(i))
		if text = strings.ReplaceAll(text, "T00", fmt.Sprintf("T%02d", i)); i%2 == 1 {
			text += fmt.Sprintf("N1,level%d,2024-05-01T%02d:00:00Z,1\n", i, i)
		}
		r.write(fmt.Sprintf("north/%02d.csv", i), text)
	}
	const loaded = "select count(*) >= %d from penstock.files where state = 'loaded'"
	r.begin()
	r.comes("true", fmt.Sprintf(loaded, 6))
	r.end(0)
	r.begin()
	r.comes("true", fmt.Sprintf(loaded, 12))
	r.signal(syscall.SIGKILL)
	<-r.ended
	r.begin()
	r.comes("true", fmt.Sprintf(loaded, files))
	r.comes("0", "select coalesce(sum(withheld), 0) from penstock.receipts")
	r.comes(fmt.Sprint(files*3/2), "select count(*) from penstock.observations")

	r.write("penstock.yaml", fmt.Sprintf(source, "1h"))
	mark := r.mark()
	r.signal(syscall.SIGHUP)
	r.says(mark, "the config is taken")
	r.write("north/later.csv", longFile("N1", 1)+"N1,rain,2024-05-01T00:00:00Z,1\n")
	r.comes("held", "select state from penstock.files where path = 'later.csv'")
	r.write("north/new.csv", longFile("N2", 1))
	r.comes("1", "select count(*) from penstock.observations where logger = 'N2'")
	for i := 0; ; i++ { // the sink knows it within some seconds
		r.write(fmt.Sprintf("north/new%d.csv", i), longFile("N2", float64(i))+fmt.Sprintf("N2,rain%d,2024-05-01T00:00:00Z,1\n", i))
		path := fmt.Sprintf("path = 'new%d.csv'", i)
		r.comes("1", "select count(*) from penstock.files where "+path)
		if r.asks("select state from penstock.files where "+path) == "held" {
			break
		}
		if i == 30 {
			t.Fatal("a new logger is not known until the next listing")
		}
		<-time.After(time.Second)
	}
	r.end(0)
}

package main

import (
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// reload gives the daemon another config, and waits until it says a pattern.
func (r *trial) reload(config, says string) {
	r.t.Helper()
	mark := r.mark()
	r.write("penstock.yaml", config)
	r.signal(syscall.SIGHUP)
	r.says(mark, says)
}

const notTaken = `level=ERROR msg="the config is not taken, the old one stays" error=`

// A config is not taken whose archive or store cannot be had: the daemon goes on
// as it was. It goes over to those that can, where sources that are not among
// those of the new config are forgotten. How long the archive is kept disturbs
// nobody.
func goesOnElsewhere(t *testing.T, s *stage) {
	r := s.trial(t, "")
	r.bare = true
	config := func(store, archive, sources string) string {
		return fmt.Sprintf("monitor: {listen: \"127.0.0.1:0\"}\nstore: {%s}\narchive: {%s}\nsources:\n%s", store, archive, sources)
	}
	const north, south = "  - {name: north, url: north, poll: 1s, settle: 0}\n", "  - {name: south, url: south, poll: 1s, settle: 0}\n"
	here := fmt.Sprintf("url: %q", r.url)
	r.write("penstock.yaml", config(here, "dir: archive", north+south))
	r.write("north/a.csv", longFile("N1", 1.5))
	r.write("south/a.csv", longFile("S1", 1.5))
	r.begin()
	r.comes("2", "select count(*) from penstock.observations")

	for _, wrong := range []struct{ store, archive, says string }{
		{here, "dir: /proc/nothing", `".*archive.*/proc/nothing.*" do="name another folder`},
		{`url: "postgres://nobody@127.0.0.1:1/nothing"`, "dir: archive", `".*127.0.0.1:1`},
		{here + ", password_file: nothing.txt", "dir: archive", `".*nothing.txt`},
	} {
		r.reload(config(wrong.store, wrong.archive, north), notTaken+wrong.says)
	}
	// Nothing is made for a config that is not taken.
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	unmade := here + ", schema: unmade"
	r.reload(config(unmade, "dir: beside", "  - {name: north, url: north, profile: 0123456789abcdef}\n"), notTaken+`".*0123456789abcdef`)
	r.reload(strings.Replace(config(unmade, "dir: beside", north), "127.0.0.1:0", busy.Addr().String(), 1), notTaken+`".*address already in use`)
	if n := r.asks("select count(*) from pg_namespace where nspname = 'unmade'"); n != "0" {
		t.Error("a config that is not taken leaves a schema behind")
	}
	r.write("south/b.csv", longFile("S2", 2.5))
	r.comes("3", "select count(*) from penstock.observations")
	r.comes("1", "select count(*) from penstock.runs where source = (select id from penstock.sources where name = 'north')")

	other := here + ", schema: other"
	r.reload(config(other, "dir: beside", north), `msg="the config is taken: its store or archive is another one"`)
	r.comes("1", "select count(*) from other.observations")
	r.measures(`penstock_source_up\{source="north"\} 1`, `source="south"`)
	r.reload(config(other, "dir: beside, keep: 10d, max: 1GiB", north), `msg="the config is taken" begun=0 ended=0 kept=1`)
	// What comes before the daemon stands on the other ground may be loaded on the old one.
	r.reload(config(other, "dir: elsewhere", north), `msg="files are archived" folder=\S*elsewhere`)
	r.write("north/b.csv", longFile("N2", 2.5))
	r.comes("2", "select count(*) from other.observations")
	if packs, err := filepath.Glob(filepath.Join(r.dir, "elsewhere", "north", "*.pack")); err != nil || len(packs) != 1 {
		t.Errorf("the other archive has %q, %v", packs, err)
	}
	r.end(0)
	if n := r.times("level=(WARN|ERROR)"); n != 5 {
		t.Errorf("%d warnings and errors are logged, want 5:\n%s", n, r.text())
	}
}

// A store that is away is not waited for when the config names another.
func waitsElsewhere(t *testing.T, s *stage) {
	r := s.trial(t, "")
	r.bare = true
	config := func(url string) string {
		return fmt.Sprintf("store: {url: %q}\narchive: {dir: archive}\nsources:\n  - {name: north, url: north, poll: 1s, settle: 0}\n", url)
	}
	const away = "postgres://nobody@127.0.0.1:1/nothing"
	r.write("penstock.yaml", config(away))
	r.write("north/a.csv", longFile("N1", 1.5))
	r.begin()
	r.says(0, `level=WARN msg="the store is away: waiting for it"`)
	r.end(0)
	r.says(0, `level=INFO msg="stopped: the store was still waited for"`)

	mark := r.mark()
	r.begin()
	r.says(mark, `level=WARN msg="the store is away: waiting for it"`)
	r.reload(config(r.url)+"nothing: 1\n", notTaken+`".*unknown key \\"nothing\\"`)
	r.reload(config(r.url), `msg="the config is taken"`)
	r.comes("N1 flow 1.5", observed)
	r.end(0)
}

// What a source has under way is finished when the config has the source no more,
// also where the daemon is to end, or the source is back, before it is.
func endsWhatItBegan(t *testing.T, s *stage) {
	const monitored, north, south = "monitor: {listen: \"127.0.0.1:0\"}\nsources:\n", "  - {name: north, url: north, poll: 1s, settle: 0}\n", "  - {name: south, url: south, poll: 1s, settle: 0}\n"
	r := s.trial(t, monitored+north+south)
	r.write("north/a.csv", longFile("N1", 1.5))
	r.write("south/a.csv", longFile("S1", 1.5))
	r.begin("--no-wait")
	r.comes("2", "select count(*) from penstock.observations")

	letGo := r.hold()
	r.write("north/b.csv", longFile("N2", 2.5))
	r.comes("1", waiting)
	r.reload(monitored+south, `msg="the config is taken" begun=0 ended=1 kept=1`)
	r.reload(monitored+north+south, `msg="the config is taken" begun=1 ended=0 kept=1`)
	letGo()
	r.comes("3", "select count(*) from penstock.observations")
	r.comes("2", "select count(*) from penstock.runs where source = (select id from penstock.sources where name = 'north')")
	r.measures(`penstock_source_up\{source="north"\} 1`, "^$")

	letGo = r.hold()
	r.write("north/c.csv", longFile("N3", 3.5))
	r.comes("1", waiting)
	r.reload(monitored+south, `msg="the config is taken" begun=0 ended=1 kept=1`)
	mark := r.mark()
	r.signal(syscall.SIGTERM)
	r.says(mark, `msg="stopping: what is under way is finished first"`)
	select {
	case <-r.ended:
		t.Errorf("it did not wait for what was under way:\n%s", r.text())
	case <-time.After(time.Second):
	}
	letGo()
	r.ends(0)
	r.comes("4", "select count(*) from penstock.observations")
	if n := ask(t, r.url, "select count(*)::text from penstock.leases where until > now()"); n != "0" {
		t.Errorf("%s leases were not given back", n)
	}
	if n := len(regexp.MustCompile("level=(WARN|ERROR)").FindAllString(r.text(), -1)); n != 0 {
		t.Errorf("%d warnings and errors are logged:\n%s", n, r.text())
	}
}

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"penstock/store/pglocal/pgtest"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// What must be the same in a database that was rebuilt: all that people see of
// the readings, and the ledger but for ids, runs, times, and how the cells that
// are in the table came to be there.
const (
	observedWhole = `select coalesce(string_agg(concat_ws('|', logger, channel, unit, ts, value, quality, path), E'\n' order by logger, channel, ts, path), '') from penstock.observations`
	ledgerWhole   = `select coalesce(string_agg(concat_ws('|', s.name, s.on_conflict, f.path, f.generation, f.state, encode(f.sha256, 'hex'), encode(uuid_send(f.content), 'hex'), f.size, f.modified, f.modified_step,
			f.rank, f.rank_time, f.fetched, encode(p.digest, 'hex'), f.reason, k.name, f.pack_offset, h.shape, r.first_ts, r.last_ts, r.lines, r.lines_header, r.lines_data, r.lines_rejected,
			(select pass from penstock.passes a where a.file_id = f.id), r.cells, r.missing, r.rejected, r.withheld, r.repeated, r.stored + r.replaced + r.unchanged + r.outranked, (select count(*) from penstock.rejects j where j.file_id = f.id)),
			E'\n' order by s.name, f.path, f.generation), '')
		from penstock.files f join penstock.sources s on s.id = f.source left join penstock.recipes p on p.id = f.recipe left join penstock.packs k on k.id = f.pack
			left join penstock.held h on h.file_id = f.id left join penstock.receipts r on r.file_id = f.id`
	shapesWhole = `select coalesce(string_agg(concat_ws('|', id, loose, answered, settled, profile, header, question, asks, answers, approved), E'\n' order by id), '') from penstock.shapes`
	othersWhole = `select concat_ws(E'\n', (select string_agg(concat_ws('|', logger, channel, unit, label), E'\n' order by logger, channel) from penstock.series),
			(select string_agg(concat_ws('|', command, reason, files, readings), E'\n' order by at) from penstock.actions))`
)

func ask(t *testing.T, url, sql string) (text string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if err := conn.QueryRow(t.Context(), sql).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

// silentProfile reads files of which nothing but their arrival tells in which pass
// of a repeated hour they were recorded.
const silentProfile = `name: silent
signature: {header: [station, quantity, local, value]}
shape: long
logger: {column: station}
channel: {column: quantity}
value: value
timestamp: {column: local, layouts: ["2006-01-02 15:04"], repeated_hour: by_arrival}
`

// archives tries the archive of a store that is made with the given flags.
func archives(flags ...string) func(*testing.T, *stage) {
	return func(t *testing.T, s *stage) { archivesAndRebuilds(t, s, flags) }
}

// A database that is lost is rebuilt from the archive: versions, held and
// approved files, what was undone and reloaded, duplicates and broken files,
// files that grew, and what the order of arrival decided. And while it was there,
// what the folders have no more came from the archive.
func archivesAndRebuilds(t *testing.T, s *stage, flags []string) {
	r := s.trial(t, `
profiles: [silent.yaml]
sources:
  - {name: north, url: north, poll: 1s, settle: 0, zone: Europe/London}
  - {name: south, url: south, poll: 1s, settle: 0, rank: 2, on_conflict: earliest}
`)
	for _, folder := range []string{"north", "south"} {
		if err := os.MkdirAll(filepath.Join(r.dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.write("silent.yaml", silentProfile)
	r.penstock(0, append([]string{"migrate"}, flags...)...)
	r.begin()
	// Versions: A, B, A.
	r.write("north/versions.csv", longFile("N1", 1, 2, 3))
	r.comes("3", "select count(*) from penstock.observations")
	r.write("north/versions.csv", longFile("N1", 1, 9))
	r.comes("2", "select max(generation) from penstock.files")
	r.write("north/versions.csv", longFile("N1", 1, 2, 3))
	r.comes("3", "select max(generation) from penstock.files")
	// Two files of one logger, one of them twice, under two policies.
	for _, folder := range []string{"north", "south"} {
		r.write(folder+"/x1.csv", longFile("X-"+folder, 1, 2, 3, 4))
		r.write(folder+"/x2.csv", longFile("X-"+folder, 5, 6))
		r.write(folder+"/x2 copy.csv", longFile("X-"+folder, 5, 6))
	}
	r.comes("9", "select count(*) from penstock.files")
	// One that is broken, one with lines that are, one that waits, and one of its
	// kind that is answered for.
	r.write("north/broken.csv", "\x00\x01\x02\x03 nothing that could be read\x00\n")
	r.write("north/lines.csv", longFile("N2", 7, 8)+"N2,flow,never,1\n")
	r.write("north/waits-S5.csv", "Zeit,Menge\n03/04/2025 00:00,4.5\n03/04/2025 00:15,4.5\n")
	r.comes("1", "select count(*) from penstock.files where state = 'held'")
	r.says(0, `new shape wait for an answer" source=north shape=\S+`)
	shape := regexp.MustCompile(`new shape wait for an answer" source=north shape=(\S+)`).FindStringSubmatch(r.text())[1]
	r.penstock(0, "profiles", "approve", shape, "--set", "order=dmy", "--set", "logger=file", "--yes")
	r.write("south/open-S6.csv", "Date,Rain\n05/06/2025 00:00,4.5\n05/06/2025 00:15,4.5\n")
	r.comes("1", "select count(*) from penstock.files where state = 'held'")
	r.comes("13", "select count(*) from penstock.files")

	// A known logger with a channel more, which is withheld.
	r.write("north/more.csv", longFile("N2", 7, 8, 9)+"N2,level,2024-05-01T00:00:00Z,5\n")
	r.comes("1", "select sum(withheld) from penstock.receipts")

	// One that grows. Sooner or later only what it gained is loaded, and archived:
	// where a look finds a version that is loaded, and not under way.
	var values []float64
	for carriedOn := ""; carriedOn != "true"; {
		if values = append(values, float64(len(values))); len(values) > 20 {
			t.Fatal("the file that grows is never carried on")
		}
		r.write("north/grows.csv", longFile("G1", values...))
		r.comes(strconv.Itoa(len(values)), "select count(*) from penstock.observations where logger = 'G1'")
		carriedOn = ask(t, r.url, "select (max(generation) > count(*))::text from penstock.files where path = 'grows.csv'")
	}
	// Two of the hour that clocks showed twice.
	const silent = "station,quantity,local,value\nQ1,flow,2024-10-27 01:15,%d\nQ1,flow,2024-10-27 01:45,2\n"
	const passes = "select string_agg(f.path || ' ' || p.pass, ', ' order by f.path) from penstock.passes p join penstock.files f on f.id = p.file_id"
	r.write("north/silent-1.csv", fmt.Sprintf(silent, 1))
	r.comes("silent-1.csv 1", passes)
	r.write("north/silent-2.csv", fmt.Sprintf(silent, 2))
	r.comes("silent-1.csv 1, silent-2.csv 2", passes)

	packed := packedFile(t, longFile("Z1", 1, 2))
	r.write("north/packed.csv.gz", packed)
	r.comes("2", "select count(*) from penstock.observations where logger = 'Z1'")

	// The folders are cleared: what is corrected now comes from the archive.
	for _, folder := range []string{"north", "south"} {
		if err := os.RemoveAll(filepath.Join(r.dir, folder)); err != nil {
			t.Fatal(err)
		}
	}
	r.penstock(0, "files", "undo", "--source", "south", "x1.csv", "--reason", "not ours")
	// What is left is of the second pass still.
	r.penstock(0, "files", "undo", "--source", "north", "silent-1.csv", "--reason", "not ours")
	r.penstock(0, "files", "reload", "--source", "north", "waits-S5.csv", "--zone", "Europe/Berlin", "--yes")
	r.comes("2025-04-02 22:00:00+00", "select min(ts) from penstock.observations where ts > '2025-01-01'")
	if why := r.penstock(0, "why", "N1", "flow", "2024-05-01T01:00"); !regexp.MustCompile(`line +3\n`).MatchString(why) {
		t.Errorf("why does not find the line in the archive:\n%s", why)
	}
	r.end(0)

	out := r.penstock(0, "archive", "verify")
	if !strings.Contains(out, "0 damaged") || !strings.Contains(out, "0 missing") || !strings.Contains(out, ask(t, r.url, "select count(*) || ' file versions of the ledger' from penstock.files")) {
		t.Errorf("verify says %s", out)
	}
	if got := r.penstock(0, "archive", "cat", "--source", "north", "lines.csv"); got != longFile("N2", 7, 8)+"N2,flow,never,1\n" {
		t.Errorf("cat gives %q", got)
	}
	if got := r.penstock(0, "archive", "cat", "packed.csv.gz"); got != packed {
		t.Errorf("cat of a packed file gives %q, not what came", got)
	}
	if got := r.penstock(0, "archive", "cat", "--unpack", "packed.csv.gz", "lines.csv"); got != longFile("N2", 7, 8)+"N2,flow,never,1\n"+longFile("Z1", 1, 2) {
		t.Errorf("cat --unpack gives %q", got)
	}
	first, second := longFile("N1", 1, 2, 3), longFile("N1", 1, 9)
	if got := r.penstock(0, "archive", "cat", "versions.csv"); got != first+"2 older versions are left out: --all-versions writes them, too.\n" {
		t.Errorf("cat of a path with three versions gives %q", got)
	}
	if got := r.penstock(0, "archive", "cat", "versions.csv", "--all-versions"); got != first+second+first {
		t.Errorf("cat of all versions gives %q", got)
	}
	if got := r.penstock(1, "archive", "cat", "nothing.csv"); got != "penstock: no file of the archive matches\nhint: 'penstock archive ls' lists what there is\n" {
		t.Errorf("cat of what is not there says %q", got)
	}
	if n := strings.Count(r.penstock(0, "archive", "ls", "-o", "csv", "versions.csv"), "north,versions.csv,"); n != 3 {
		t.Errorf("%d versions are listed, want 3", n)
	}

	// Which database is to be rebuilt is never guessed.
	r.write("storeless.yaml", "archive: {dir: archive}\nsources:\n  - {name: north, url: north}\n")
	kept, home := filepath.Join(r.dir, "archive"), t.TempDir()
	for _, c := range []struct {
		says string
		args []string
	}{
		{notSaid, []string{kept}},
		{notSaid, []string{"-c", filepath.Join(r.dir, "storeless.yaml"), kept}},
		{amongOthers, []string{kept, kept}},
		{amongOthers, []string{filepath.Join(r.dir, "north"), kept}},
		{amongOthers, []string{"--dry-run", filepath.Join(r.dir, "north"), kept}},
	} {
		unnamed := exec.Command(r.binary, append([]string{"replay"}, c.args...)...)
		unnamed.Env = append(os.Environ(), "XDG_DATA_HOME="+home, "HOME="+home)
		if said, err := unnamed.CombinedOutput(); exitCode(err) != 2 || !regexp.MustCompile(c.says).Match(said) {
			t.Errorf("replay %q, without a store, ends with %v and says %s", c.args, err, said)
		}
	}
	if made, err := filepath.Glob(filepath.Join(home, "*")); err != nil || len(made) > 0 {
		t.Errorf("what was refused leaves %q behind, %v", made, err)
	}
	dry := exec.Command(r.binary, "replay", "--dry-run", "--store", r.url, filepath.Join(r.dir, "archive"))
	if said, err := dry.CombinedOutput(); exitCode(err) != 2 || !strings.Contains(string(said), "'penstock archive ls' lists what it has") {
		t.Errorf("a dry run of an archive ends with %v and says %s", err, said)
	}
	open := ask(t, r.url, "select string_agg(id, ' ' order by id) from penstock.shapes s where exists (select from penstock.held where shape = s.id)")

	lost := &trial{t: t, binary: r.binary, dir: r.dir, url: pgtest.Database(t)}
	for _, code := range []int{3, 0} { // the second finds all of it there
		out = lost.penstock(code, append([]string{"replay", filepath.Join(r.dir, "archive")}, flags...)...)
		if code == 3 {
			saysWhatToDo(t, out, strings.Fields(open))
		} else if !strings.Contains(out, "2 shapes of files wait for an answer since before: penstock profiles pending") {
			t.Errorf("what still waits is not told:\n%s", out)
		}
		for what, sql := range map[string]string{"observations": observedWhole, "ledger": ledgerWhole, "shapes": shapesWhole, "series and actions": othersWhole} {
			if diff := cmp.Diff(strings.Split(ask(t, r.url, sql), "\n"), strings.Split(ask(t, lost.url, sql), "\n")); diff != "" {
				t.Errorf("%s differ (-was +is):\n%s", what, diff)
			}
		}
		if t.Failed() {
			t.Fatal(out)
		}
	}
	lost.penstock(0, "files", "verify")
	lost.penstock(0, "files", "retry", "--source", "south", "--state", "undone", "x1.csv")
}

const (
	notSaid     = `is an archive of Penstock's, from which a database is rebuilt, and which one is not said\nhint: a config with store.url .*--store postgres://.*--store local: is`
	amongOthers = `is an archive of Penstock's, and stands among other paths\nhint: replay it alone`
)

func packedFile(t *testing.T, text string) string {
	t.Helper()
	packed, err := gzipped([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return string(packed)
}

// saysWhatToDo looks whether a rebuild names the commands that settle what it
// leaves open, of the shapes and of all else.
func saysWhatToDo(t *testing.T, out string, shapes []string) {
	t.Helper()
	if len(shapes) != 2 {
		t.Errorf("files wait for %q, want two shapes", shapes)
	}
	wanted := []string{"\n  penstock files retry --state quarantined\n", "with reasons: penstock rejects\n", "--set order=dmy  # "}
	for _, shape := range shapes {
		wanted = append(wanted, "\n  penstock profiles approve "+shape)
	}
	for _, want := range wanted {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
}

// What a killed daemon had fetched and not loaded is loaded by the next, also
// where its source has it no more; and where the database is lost, by a rebuild:
// as its source's files are, by the config, or by what the ledger had of them.
func takesUpLeft(t *testing.T, s *stage) {
	r := s.trial(t, "sources:\n  - {name: north, url: north, poll: 1s, settle: 0, rank: 2, window: {future: 90d}}\n")
	r.write("north/a.csv", longFile("N1", 1.5))
	r.begin()
	r.comes("N1 flow 1.5", observed)
	r.end(0) // the archive has a copy of the ledger now
	r.begin()
	conn, err := pgx.Connect(t.Context(), r.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	// Nothing can be committed, so that what comes waits in the archive.
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "lock table penstock.readings in exclusive mode"); err != nil {
		t.Fatal(err)
	}
	r.write("north/b.csv", "logger,channel,timestamp,value\nN2,flow,"+time.Now().UTC().AddDate(0, 0, 30).Format(time.RFC3339)+",2.5\n"+strings.Repeat("\n", 64<<10))
	for r.penstock(0, "archive", "ls", "b.csv") == "No files match.\n" {
		if t.Context().Err() != nil {
			t.Fatal("it is not archived")
		}
	}
	r.signal(os.Kill)
	<-r.ended
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(r.dir, "north", "b.csv")); err != nil {
		t.Fatal(err)
	}
	rebuilt := &trial{t: t, binary: r.binary, dir: r.dir, url: pgtest.Database(t)}
	rebuilt.penstock(0, "replay", filepath.Join(r.dir, "archive"))
	rebuilt.comes("N1 flow 1.5, N2 flow 2.5", observed)
	const ranks = "select string_agg(path || ' ' || rank, ', ' order by path) from penstock.files"
	rebuilt.comes("a.csv 2, b.csv 2", ranks)
	rebuilt.url = pgtest.Database(t)
	bare := exec.Command(r.binary, "replay", "--window-future", "90d", "--store", rebuilt.url, filepath.Join(r.dir, "archive"))
	if out, err := bare.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	rebuilt.comes("a.csv 2, b.csv 2", ranks)

	r.begin()
	r.comes("N1 flow 1.5, N2 flow 2.5", observed)
	r.says(0, "are taken up from the archive")
	r.comes("b.csv", "select coalesce(string_agg(f.path, ', '), '') from penstock.growths g join penstock.files f on f.id = g.file_id") // it may grow on
	r.end(0)
}

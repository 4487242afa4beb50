package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"penstock/ingest/format"
	"penstock/ingest/monitor"
	"penstock/store"
)

func newCheck(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "check -c CONFIG",
		Short: "validate a config, then try the store and each source that it names",
		Long: `Check says all that is wrong with a config at once, each with file, line and
column. Then it tries the store (connection, version, schema, extension, rights), the
archive's folder (whether it can be written to, and has room) and each source: it
logs in, lists, counts the files that match, and reads the newest of them (where their
names end differently, that of each of the three commonest endings), to say which
profile it takes and what it gives. Nothing is stored, made, moved or deleted.

Exit code 2 says that the config is wrong, 1 that the store, the archive or a source
cannot be used as it says.`,
		Args:        configAlone,
		Annotations: map[string]string{configKeyOf: ownConfig},
		RunE:        func(cmd *cobra.Command, _ []string) error { return a.check(cmd) },
	}
}

// A finding is one thing that was looked at.
type finding struct {
	Part string `json:"part" csv:"part"` // config, store, archive, or the source's name
	What string `json:"what" csv:"what"`
	OK   bool   `json:"ok" csv:"ok"`
	Text string `json:"text" csv:"text"`
	Do   string `json:"do,omitempty" csv:"do"` // what can be done about it
}

// findings are those of one part. A note is a finding that is well, and could
// be better.
type findings struct {
	part string
	all  []finding
}

func (f *findings) ok(what, format string, args ...any) {
	f.all = append(f.all, finding{Part: f.part, What: what, OK: true, Text: fmt.Sprintf(format, args...)})
}

func (f *findings) note(what, text, do string) {
	f.all = append(f.all, finding{Part: f.part, What: what, OK: true, Text: text, Do: do})
}

func (f *findings) wrong(what string, err error, do string) {
	if hint := hintFor(err); do == "" {
		do = hint
	}
	f.all = append(f.all, finding{Part: f.part, What: what, Text: strings.Join(strings.Fields(err.Error()), " "), Do: do})
}

func (a *app) check(cmd *cobra.Command) error {
	if a.configFile == "" {
		return usage("penstock check -c penstock.yaml", "'penstock check' needs a config")
	}
	c, err := loadConfig(a.configFile)
	if err != nil {
		return a.checkedWrong(err)
	}
	a.config = c
	a.takeStore(cmd.Flags())
	about := &findings{part: "config"}
	about.ok("read", "%s: %s, %s", a.configFile, counted(int64(len(c.sources)), "source"), counted(int64(len(c.profiles)), "profile")+" of its own, "+loggersText(c))
	if len(c.sources) == 0 {
		about.note("sources", "it names no source", "name one below sources: to run it")
	}
	of := make([]*findings, len(c.sources))
	storeFindings, approved := a.checkStore()
	var group errgroup.Group
	group.SetLimit(checkedAtOnce)
	for i, s := range c.sources {
		of[i] = &findings{part: s.name}
		group.Go(func() error {
			a.checkSource(s, of[i], approved)
			return nil
		})
	}
	_ = group.Wait() // they note what is wrong
	if a.take.Err() != nil {
		return context.Cause(a.take)
	}
	checkSecretFiles(storeFindings, c.storePasswordFile())
	all := slices.Concat(about.all, checkMonitor(c.monitor).all, storeFindings.all, a.checkArchive().all)
	for _, f := range of {
		all = append(all, f.all...)
	}
	return a.printChecks(all)
}

// checkMonitor looks whether metrics and health can be served.
func checkMonitor(c monitorConfig) *findings {
	f := &findings{part: "monitor"}
	if c.listen == "" {
		return f
	}
	listener, err := net.Listen("tcp", c.listen)
	if err == nil {
		err = listener.Close()
	}
	switch err := error(&monitor.ListenError{Address: c.listen, Err: err}); {
	case errors.Is(err, syscall.EADDRINUSE):
		f.note("listen", fmt.Sprintf("something listens at %s", c.listen), "let it be, if it is penstock run with this config; else "+hintFor(err))
	case errors.Unwrap(err) != nil:
		f.wrong("listen", err, "")
	default:
		f.ok("listen", "%s", c.listen)
	}
	return f
}

func loggersText(c *config) string {
	if c.loggers == nil {
		return "no loggers table"
	}
	return "a loggers table"
}

// checkedAtOnce is how many sources are tried at a time.
const checkedAtOnce = 8

// checkedWrong tells what is wrong with the config.
func (a *app) checkedWrong(err error) error {
	if a.output.value == "table" {
		return &usageError{err: err}
	}
	var all []finding
	for wrong := range strings.SplitSeq(err.Error(), "\n") {
		all = append(all, finding{Part: "config", What: "read", Text: wrong})
	}
	if err := a.printChecks(all); err != nil && !errors.As(err, new(exitError)) {
		return err
	}
	return exitError(exitUsage)
}

func (a *app) printChecks(all []finding) error {
	var err error
	if a.output.value == "json" {
		err = a.printObject(struct {
			OK     bool      `json:"ok"`
			Checks []finding `json:"checks"`
		}{!slices.ContainsFunc(all, func(f finding) bool { return !f.OK }), all})
	} else {
		_, err = printRows(a, eachOf(all),
			column[finding]{head: "", text: verdictOf, style: func(f finding) lipgloss.Style {
				switch verdictOf(f) {
				case "ok":
					return good
				case "note":
					return warn
				}
				return bad
			}},
			column[finding]{head: "PART", text: func(f finding) string { return f.Part }},
			column[finding]{head: "LOOKED AT", text: func(f finding) string { return f.What }},
			column[finding]{head: "FOUND", text: func(f finding) string {
				if f.Do != "" {
					return f.Text + ": " + f.Do
				}
				return f.Text
			}})
	}
	if err == nil && slices.ContainsFunc(all, func(f finding) bool { return !f.OK }) {
		return exitError(exitFailed)
	}
	return err
}

func verdictOf(f finding) string {
	switch {
	case !f.OK:
		return "WRONG"
	case f.Do != "":
		return "note"
	}
	return "ok"
}

// checkStore looks at the store, and returns the profiles that were approved
// in it.
func (a *app) checkStore() (f *findings, approved []*format.Profile) {
	f = &findings{part: "store"}
	if have, err := a.haveStore(); err != nil || !have {
		if err != nil {
			f.wrong("connect", err, "")
		} else {
			f.ok("connect", "the private PostgreSQL of %s is made at the first start", a.store)
		}
		return f, nil
	}
	at, err := a.reach(a.take, reads)
	if err != nil {
		f.wrong("connect", err, "")
		return f, nil
	}
	defer at.close(a.log)
	ctx, cancel := context.WithTimeout(a.take, checkFor)
	defer cancel()
	o := store.Options{Schema: a.schema, Version: version(), Command: commandLine(a.args), Password: at.password, Hypertable: a.hypertable()}
	c, err := store.Check(ctx, at.url, o)
	if err != nil {
		f.wrong("connect", a.refused(at, err), "")
		return f, nil
	}
	f.ok("connect", "PostgreSQL %s, database %s as %s", c.Server, c.Database, c.Role)
	a.checkSchema(f, c)
	a.checkExtension(f, c)
	checkCompressing(f, c)
	if a.hypertable().ChunkInterval == 0 {
		checkChunks(f, c)
	}
	if c.Schema != nil {
		return f, nil
	}
	if at.Store, err = store.Open(ctx, at.url, o); err == nil {
		approved, err = at.approved(ctx)
	}
	if err != nil {
		f.wrong("profiles", err, "")
	}
	return f, approved
}

// checkExtension looks at how readings are kept, or will be.
func (a *app) checkExtension(f *findings, c *store.Checked) {
	const doWithout = "have TimescaleDB's extension made in the database (create extension timescaledb), or leave store.hypertable out of the config"
	asked := a.hypertable() != store.Hypertable{}
	switch {
	case asked && c.Schema == nil && !c.Layout.Hypertable:
		f.wrong("extension", errors.New("store.hypertable is set, and readings are kept in a plain table, which stays one"), "leave it out, or load into a new schema of a database with TimescaleDB")
	case asked && c.Schema != nil && c.Timescale == "" && c.Offered == "":
		f.wrong("extension", errors.New("store.hypertable is set, and there is no TimescaleDB on the server"), doWithout)
	case asked && c.Differs:
		f.note("extension", fmt.Sprintf("TimescaleDB %s: %s, which is not what store.hypertable says", c.Timescale, hypertableText(c.Hypertable)), "'penstock migrate' with this config puts that into force")
	case c.Schema != nil && c.Timescale == "" && c.Offered == "":
		f.ok("extension", "no TimescaleDB on the server: readings go to a plain table")
	case c.Layout.Hypertable:
		f.ok("extension", "TimescaleDB %s: readings are kept in a hypertable; %s", c.Timescale, hypertableText(c.Hypertable))
	case c.Schema == nil:
		f.ok("extension", "readings are kept in %s", tableText(c.Layout))
	case c.Timescale != "":
		f.ok("extension", "TimescaleDB %s: readings will go to a hypertable", c.Timescale)
	default:
		f.ok("extension", "TimescaleDB %s is offered: readings go to a hypertable if the role may create the extension, else to a plain table", c.Offered)
	}
}

// checkCompressing looks whether a hypertable compresses readings as they come.
func checkCompressing(f *findings, c *store.Checked) {
	switch text := compressingText(c.Compressing); {
	case c.Schema != nil || !c.Layout.Hypertable:
	case c.Compressing.Do != "":
		f.note("compression", text, c.Compressing.Do)
	default:
		f.ok("compression", "%s", text)
	}
}

// checkChunks looks whether a chunk of the hypertable holds about as much as suits
// the readings that come.
func checkChunks(f *findings, c *store.Checked) {
	a := c.Advice
	if a.Interval == 0 {
		return
	}
	text := fmt.Sprintf("a chunk holds %s: with %s readings a day its index takes %s, and the server keeps %s in memory (shared_buffers)",
		daysText(c.Hypertable.ChunkInterval), count(int64(a.PerDay)), byteSize(a.IndexBytes(c.Hypertable.ChunkInterval)), byteSize(a.Buffers))
	f.note("chunks", text, fmt.Sprintf("'penstock migrate' has later ones hold %s; store.hypertable.chunk_interval has them hold what you like", daysText(a.Interval)))
}

// checkFor is how long the store, or a source, may take to answer.
const checkFor = time.Minute

func (a *app) checkSchema(f *findings, c *store.Checked) {
	switch {
	case errors.Is(c.Schema, store.ErrNoSchema) && c.MayMake:
		f.ok("schema", "there is none called %q yet: 'penstock run' makes it", a.schema)
	case errors.Is(c.Schema, store.ErrNoSchema):
		f.wrong("schema", fmt.Errorf("there is none called %q, and the role may not make it", a.schema), fmt.Sprintf("grant create on database %s to %s", c.Database, c.Role))
	case c.Schema != nil && c.Lacks == "":
		f.wrong("schema", c.Schema, "")
	case c.Lacks != "":
		f.wrong("rights", fmt.Errorf("the role %s lacks %s", c.Role, c.Lacks), fmt.Sprintf("grant them to %s, or let it own the schema", c.Role))
	default:
		f.ok("schema", "%q is up to date, and the role has the rights that it needs", a.schema)
	}
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"penstock/ingest"
	"penstock/ingest/format"
	"penstock/ingest/source"
)

// checkSource tries a source: it logs in, lists, and reads one file.
func (a *app) checkSource(s *sourceConfig, f *findings, approved []*format.Profile) {
	ctx, cancel := context.WithTimeout(a.take, checkFor)
	defer cancel()
	if s.url != "" {
		a.checkSecrets(s, f)
	}
	src, closeSource, ok := a.checkOpen(ctx, s, f)
	if !ok {
		return
	}
	defer closeSource()
	files, endings, more, err := listSome(ctx, src)
	switch {
	case err != nil && files == 0:
		f.wrong("list", err, "")
		return
	case err != nil:
		f.wrong("list", fmt.Errorf("%s, and not all could be listed: %w", countedOr(int64(files), "file matches", "files match"), err), "")
	case files == 0:
		f.note("list", "no file matches", "see match and ignore, if there should be some")
		return
	case more:
		f.ok("list", "more than %s match", counted(int64(files), "file"))
	default:
		f.ok("list", "%s", countedOr(int64(files), "file matches", "files match"))
	}
	decoder, err := format.NewDecoder(a.config.set.WithApproved(approved...), s.settings(a.config))
	if err != nil {
		f.wrong("profile", err, "")
		return
	}
	slices.SortFunc(endings, func(x, y *ending) int { return cmp.Or(y.files-x.files, strings.Compare(x.name, y.name)) })
	for _, e := range endings[:min(len(endings), mostEndings)] {
		what := "the newest"
		if len(endings) > 1 {
			what = fmt.Sprintf("the newest %s of %s", cmp.Or(e.name, "without an ending"), count(int64(e.files)))
		}
		checkFile(ctx, src, decoder, what, e.newest, f)
	}
}

// checkOpen opens the source as the daemon does, and logs in where it is on a
// server.
func (a *app) checkOpen(ctx context.Context, s *sourceConfig, f *findings) (ingest.Source, func(), bool) {
	if s.url == "" {
		if _, err := os.Stat(s.folder); errors.Is(err, fs.ErrNotExist) {
			f.wrong("folder", fmt.Errorf("there is no folder %s", s.folder), "'penstock run' waits for it")
			return nil, nil, false
		}
		src, closeSource, err := a.openSource(s, a.log.With(slog.String("source", s.name)))
		if err != nil {
			f.wrong("folder", err, "")
			return nil, nil, false
		}
		f.ok("folder", "%s", s.folder)
		checkAfter(s, f)
		return src, closeSource, true
	}
	server, closeSource, err := a.openServer(s, a.log.With(slog.String("source", s.name)))
	if err != nil {
		f.wrong("log in", err, a.loginHint(s, err))
		return nil, nil, false
	}
	if ok := a.checkServer(ctx, s, server, f); !ok {
		closeSource()
		return nil, nil, false
	}
	return server, closeSource, true
}

// checkServer looks whether the server lets us in, and whether the folder is there.
func (a *app) checkServer(ctx context.Context, s *sourceConfig, server *source.Remote, f *findings) bool {
	login, folder := s.loginAndFolder()
	if err := server.LogIn(ctx); err != nil {
		f.wrong("log in", err, a.loginHint(s, err))
		return false
	}
	f.ok("log in", "%s", login)
	entries, err := server.Check(ctx)
	if err != nil {
		f.wrong("folder", err, "")
		return false
	}
	f.ok("folder", "%s has %s", folder, countedOr(int64(entries), "entry", "entries"))
	return true
}

// checkAfter looks whether files of a folder can be moved or deleted as after says.
func checkAfter(s *sourceConfig, f *findings) {
	if s.after.Do != source.Move && s.after.Do != source.Delete {
		return
	}
	if err := mayWrite(s.folder); err != nil {
		f.wrong("after", fmt.Errorf("files of %s cannot be moved or deleted: %w", s.folder, err), "let the user who runs penstock write to it, or say after: {do: keep}")
		return
	}
	targets := []string{cmp.Or(s.after.Quarantine, source.DefaultQuarantine)}
	if s.after.Do == source.Move {
		targets = append(targets, s.after.To)
	}
	for _, to := range targets {
		if to, _, _ = strings.Cut(to, "{"); !filepath.IsAbs(to) {
			to = filepath.Join(s.folder, to)
		}
		to = filepath.Clean(to)
		at := to
		if _, err := os.Stat(at); err != nil {
			at = existing(at)
		}
		err := mayWrite(at)
		if free, wrong := freeBelow(at); err == nil && free == 0 {
			err = cmp.Or(wrong, errors.New("there is no room"))
		}
		if err != nil {
			f.wrong("after", fmt.Errorf("files cannot be moved to %s: %s cannot be written to: %w", to, at, err), "name another folder in after, or let the user who runs penstock write to it")
			return
		}
	}
	f.ok("after", "%s", s.after.Do)
}

func countedOr(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// checkSecrets looks whether secrets can be read, and by whom.
func (a *app) checkSecrets(s *sourceConfig, f *findings) {
	checkSecretFiles(f, s.server.passwordFile, s.server.passphraseFile, s.server.keyFile, s.server.tls.KeyFile)
}

// checkSecretFiles notes which files with secrets others can read; "" is none.
func checkSecretFiles(f *findings, files ...string) {
	for _, file := range files {
		st, err := os.Stat(file)
		if file != "" && err == nil && st.Mode().Perm()&0o077 != 0 {
			f.note("secrets", fmt.Sprintf("%s can be read by other users (mode %04o)", file, st.Mode().Perm()), "chmod 600 "+file)
		}
	}
}

// mostChecked is how many files a check lists.
const mostChecked = 100_000

// mostEndings is of how many kinds of files, by how their names end, a check reads
// one: notes beside the files of loggers are not to hide these.
const mostEndings = 3

// An ending is the files whose names end alike.
type ending struct {
	name   string // such as .csv; "" for none
	files  int
	newest ingest.File
}

// listSome counts the files of a source, by how their names end, and returns the
// newest of each. An error is the first of the listing's.
func listSome(ctx context.Context, src ingest.Source) (n int, endings []*ending, more bool, wrong error) {
	byEnding := make(map[string]*ending)
	for f, err := range src.Files(ctx) {
		if err != nil {
			if wrong == nil {
				wrong = err
			}
			continue
		}
		if n == mostChecked {
			return n, endings, true, wrong
		}
		n++
		name := strings.ToLower(path.Ext(f.Path))
		e := byEnding[name]
		if e == nil {
			e = &ending{name: name}
			endings, byEnding[name] = append(endings, e), e
		}
		if e.files++; e.files == 1 || f.Modified > e.newest.Modified {
			e.newest = f
		}
	}
	if wrong == nil {
		wrong = ctx.Err()
	}
	return n, endings, false, wrong
}

// checkFile reads a file as the daemon would, and says what it gives; what says
// which file that is.
func checkFile(ctx context.Context, src ingest.Source, decoder *format.Decoder, what string, file ingest.File, f *findings) {
	what += ", " + ingest.EscapePath(file.Path) + ","
	var c ingest.Content
	if err := src.Fetch(ctx, file, &c); err != nil {
		f.wrong("read", fmt.Errorf("%s cannot be read: %w", what, err), "")
		return
	}
	c.FirstFetched = time.Now().UnixMicro()
	b := &ingest.Batch{}
	if _, err := decodeSummed(ctx, decoder, &c, b); err != nil {
		f.wrong("read", fmt.Errorf("%s cannot be read: %w", what, err), "")
		return
	}
	span := &b.Spans[0]
	profile := ""
	if span.Recipe != nil {
		profile = " by " + span.Recipe.Profile
	}
	switch {
	case span.State == ingest.Held:
		f.note("read", fmt.Sprintf("%s would be held: %s", what, span.Reason), "'penstock guess' shows what it is taken for")
	case span.State != ingest.Loaded:
		f.note("read", what+" would be quarantined", span.Reason)
	case span.Begin == span.End:
		f.ok("read", "%s is read%s and has no readings", what, profile)
	default:
		first, last := b.Time[span.Begin], b.Time[span.Begin]
		for _, t := range b.Time[span.Begin:span.End] {
			first, last = min(first, t), max(last, t)
		}
		f.ok("read", "%s is read%s: %s from %s to %s UTC", what, profile, counted(int64(span.End-span.Begin), "reading"),
			moment(ingest.FromMicros(first)), moment(ingest.FromMicros(last)))
	}
}

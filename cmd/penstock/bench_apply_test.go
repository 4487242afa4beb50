package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"penstock/bench"
)

// Only the two numbers change in a config, whatever it looks like.
func TestApplyKeepsAllElse(t *testing.T) {
	for name, c := range map[string]struct{ before, after string }{
		"empty":            {"", "pipeline: {workers: 5, chunk: 100}\n"},
		"only a comment":   {"# nothing yet", "# nothing yet\npipeline: {workers: 5, chunk: 100}\n"},
		"no pipeline":      {"store: {schema: x}   # ours\n", "store: {schema: x}   # ours\npipeline: {workers: 5, chunk: 100}\n"},
		"in one line":      {"pipeline: {workers: auto,   chunk: 7} # both\nbuiltins: true\n", "pipeline: {workers: 5,   chunk: 100} # both\nbuiltins: true\n"},
		"in lines":         {"# a\npipeline:\n  # cores\n  workers: 12  # twelve\n\n  chunk: \"auto\"\n", "# a\npipeline:\n  # cores\n  workers: 5  # twelve\n\n  chunk: 100\n"},
		"one of two":       {"pipeline: {chunk: 7}\n", "pipeline: {workers: 5, chunk: 100}\n"},
		"one line of two":  {"pipeline:\n    workers: 'auto' # all\nbuiltins: true\n", "pipeline:\n    chunk: 100\n    workers: 5 # all\nbuiltins: true\n"},
		"nothing in it":    {"pipeline: # later\nbuiltins: true\n", "pipeline: {workers: 5, chunk: 100} # later\nbuiltins: true\n"},
		"empty braces":     {"pipeline: {}\n", "pipeline: {workers: 5, chunk: 100}\n"},
		"beyond ASCII":     {"loggers: \"\" # Zähler\npipeline: {workers: 1, chunk: 1} # größer\n", "loggers: \"\" # Zähler\npipeline: {workers: 5, chunk: 100} # größer\n"},
		"Windows' endings": {"pipeline:\r\n  workers: 1\r\n  chunk: 2\r\n", "pipeline:\r\n  workers: 5\r\n  chunk: 100\r\n"},
	} {
		got, err := withCell([]byte(c.before), bench.Cell{Workers: 5, Chunk: 100})
		if err != nil || string(got) != c.after {
			t.Errorf("%s: it is (%v)\n%s\nwant\n%s", name, err, got, c.after)
		}
	}
	for name, text := range map[string]string{
		"braces around all": "{store: {schema: x}}",
		"an anchor":         "pipeline: &p {workers: 1}\n",
		"an alias":          "x: &p {workers: 1}\npipeline: *p\n",
		"a tag":             "pipeline: {workers: !!int \"1\"}\n",
		"a list":            "- 1\n",
	} {
		if got, err := withCell([]byte(text), bench.Cell{Workers: 5, Chunk: 100}); err == nil {
			t.Errorf("%s: it becomes %s", name, got)
		}
	}
}

// A config is replaced whole, with its mode, behind a link too.
func TestApplyReplacesTheFile(t *testing.T) {
	dir := t.TempDir()
	path, link := filepath.Join(dir, "etc", "penstock.yaml"), filepath.Join(dir, "link.yaml")
	if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("builtins: true\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := checkApply(link); err != nil {
		t.Error(err)
	}
	if err := applyCell(link, bench.Cell{Workers: 3, Chunk: 50}); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(path)
	if err != nil || c.pipeline != (pipelineConfig{3, 50, cutting{}}) {
		t.Errorf("the config says %+v (%v)", c.pipeline, err)
	}
	if st, err := os.Lstat(path); err != nil || st.Mode() != 0o640 {
		t.Errorf("its mode is %v (%v)", st.Mode(), err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("beside it there is %v (%v)", entries, err)
	}
	if err := os.WriteFile(path, []byte("pipeline: &p {workers: 1}\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := checkApply(path); err == nil || !strings.Contains(hintFor(err), "by hand: pipeline: {workers: 1") {
		t.Errorf("of a config that it cannot change it says %v (%s)", err, hintFor(err))
	}
}

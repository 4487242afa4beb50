package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"penstock/bench"
)

// checkApply says why a cell cannot be written into the config at path.
func checkApply(path string) error {
	if _, err := loadConfig(path); err != nil {
		return &usageError{err: err}
	}
	_, err := withCellIn(path, bench.Cell{Workers: 1, Chunk: 1})
	return err
}

// applyCell writes the cell into the config at path. All else in it stays as it
// is, byte by byte. The config is the old or the new one, whole, whatever happens.
func applyCell(path string, c bench.Cell) (err error) {
	text, err := withCellIn(path, c)
	if err != nil {
		return err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return fmt.Errorf("writing the config: %w", err)
	}
	mode, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("writing the config: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".penstock-*.yaml")
	if err != nil {
		return fmt.Errorf("writing the config: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing the config: %w", errors.Join(err, os.Remove(f.Name())))
		}
	}()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(mode.Mode().Perm()), f.Sync(), f.Close()); err != nil {
		return err
	}
	if _, err = loadConfig(f.Name()); err != nil { // it says what a config may say, still
		return err
	}
	return os.Rename(f.Name(), path)
}

func withCellIn(path string, c bench.Cell) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the config: %w", err)
	}
	changed, err := withCell(text, c)
	if err != nil {
		return nil, &hinted{fmt.Errorf("%s: %w", path, err), fmt.Sprintf("write it by hand: pipeline: {workers: %d, chunk: %d}", c.Workers, c.Chunk)}
	}
	return changed, nil
}

// withCell returns the text of a config with the cell's workers and chunk under
// pipeline. It changes bytes and not the document, which YAML libraries write in
// their own way.
func withCell(text []byte, c bench.Cell) ([]byte, error) {
	config, err := mappingIn(text)
	if err != nil {
		return nil, err
	}
	flow := fmt.Sprintf("{workers: %d, chunk: %d}", c.Workers, c.Chunk)
	if config == nil {
		return append(withNewline(text), "pipeline: "+flow+"\n"...), nil
	}
	key, pipeline := valueOf(config, "pipeline")
	switch {
	case pipeline == nil && config.Style&yaml.FlowStyle != 0:
		return nil, errors.New("it stands within braces as a whole")
	case pipeline == nil:
		return append(withNewline(text), "pipeline: "+flow+"\n"...), nil
	case pipeline.Kind == yaml.ScalarNode && pipeline.Tag == "!!null" && pipeline.Value == "":
		return inserted(text, key.Line, key.Column+len(key.Value)+1, " "+flow)
	case pipeline.Kind != yaml.MappingNode || pipeline.Anchor != "":
		return nil, errors.New("its pipeline is no plain mapping")
	}
	for _, setting := range []struct {
		name  string
		value int
	}{{"chunk", c.Chunk}, {"workers", c.Workers}} { // each comes first where it is new
		if text, err = withSetting(text, setting.name, strconv.Itoa(setting.value)); err != nil {
			return nil, err
		}
	}
	return text, nil
}

// withSetting sets a key of the pipeline, which is a mapping.
func withSetting(text []byte, name, value string) ([]byte, error) {
	config, err := mappingIn(text)
	if err != nil {
		return nil, err
	}
	_, pipeline := valueOf(config, "pipeline")
	if _, old := valueOf(pipeline, name); old != nil {
		return replaced(text, old, value)
	}
	if len(pipeline.Content) == 0 {
		return inserted(text, pipeline.Line, pipeline.Column+1, name+": "+value)
	}
	first := pipeline.Content[0]
	if pipeline.Style&yaml.FlowStyle != 0 {
		return inserted(text, first.Line, first.Column, name+": "+value+", ")
	}
	return inserted(text, first.Line, first.Column, name+": "+value+"\n"+strings.Repeat(" ", first.Column-1))
}

// mappingIn returns the mapping that a config is, nil for one that says nothing.
func mappingIn(text []byte) (*yaml.Node, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	if len(document.Content) == 0 || document.Content[0].Kind == yaml.ScalarNode && document.Content[0].Tag == "!!null" {
		return nil, nil
	}
	if document.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("it is no mapping")
	}
	return document.Content[0], nil
}

func valueOf(mapping *yaml.Node, name string) (key, value *yaml.Node) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i], mapping.Content[i+1]
		}
	}
	return nil, nil
}

// replaced puts a value in the place of a scalar.
func replaced(text []byte, old *yaml.Node, value string) ([]byte, error) {
	if old.Kind != yaml.ScalarNode || old.Anchor != "" {
		return nil, fmt.Errorf("line %d: it is no plain value", old.Line)
	}
	at, err := offsetOf(text, old.Line, old.Column)
	if err != nil {
		return nil, err
	}
	written := old.Value
	switch {
	case old.Style&yaml.DoubleQuotedStyle != 0:
		written = `"` + written + `"`
	case old.Style&yaml.SingleQuotedStyle != 0:
		written = "'" + written + "'"
	}
	if !bytes.HasPrefix(text[at:], []byte(written)) {
		return nil, fmt.Errorf("line %d: it is no plain value", old.Line)
	}
	return spliced(text, at, len(written), value), nil
}

func inserted(text []byte, line, column int, what string) ([]byte, error) {
	at, err := offsetOf(text, line, column)
	if err != nil {
		return nil, err
	}
	return spliced(text, at, 0, what), nil
}

func spliced(text []byte, at, without int, what string) []byte {
	changed := append(bytes.Clone(text[:at]), what...)
	return append(changed, text[at+without:]...)
}

// offsetOf is where in the text a line and column are, which YAML counts from 1,
// in characters.
func offsetOf(text []byte, line, column int) (int, error) {
	at := 0
	for range line - 1 {
		n := bytes.IndexByte(text[at:], '\n')
		if n < 0 {
			return 0, fmt.Errorf("line %d is not there", line)
		}
		at += n + 1
	}
	for range column - 1 {
		if at >= len(text) || text[at] == '\n' {
			return 0, fmt.Errorf("line %d is shorter than column %d", line, column)
		}
		at++
		for at < len(text) && text[at]&0xC0 == 0x80 {
			at++
		}
	}
	return at, nil
}

func withNewline(text []byte) []byte {
	text = bytes.Clone(text)
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	return text
}

package format

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"penstock/ingest"
)

// answers are those that files of the real data need, when they are guessed
// without any profile. The zone is given where the file has none.
var answers = map[string]string{
	"vanessen_mon/ff_b29d_*": "header=yes", // its columns have no names, and its preamble names two of three
}

func TestGuessReadsSharedData(t *testing.T) {
	dir := sharedData(t)
	text, err := os.ReadFile(filepath.Join(dir, "truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	var truths []truth
	if err := json.Unmarshal(text, &truths); err != nil {
		t.Fatal(err)
	}
	for _, want := range truths {
		t.Run(want.Kind+"/"+want.File, func(t *testing.T) {
			files := []string{filepath.Join(dir, want.Kind, want.File)}
			if strings.HasPrefix(want.File, "[ALL") {
				files, _ = filepath.Glob(filepath.Join(dir, want.Kind, "*"))
			}
			var sets []string
			for pattern, set := range answers {
				if ok, _ := filepath.Match(pattern, want.Kind+"/"+want.File); ok {
					sets = append(sets, set)
				}
			}
			b := &ingest.Batch{}
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				guessed := Guess([]Sample{sampleOf(want.Kind+"/"+filepath.Base(file), text)}, GuessOptions{Zone: "UTC", Sets: sets})
				if guessed.Refusal != "" {
					t.Fatalf("refused: %s", guessed.Refusal)
				}
				if !guessed.Certain() {
					t.Fatalf("%s: asks %s\n%s", file, guessed.Shape.Question, guessed.Profile.Text)
				}
				set, err := NewSet(false, guessed.Profile)
				if err != nil {
					t.Fatal(err)
				}
				d, err := NewDecoder(set, Settings{Zone: "UTC"})
				if err != nil {
					t.Fatal(err)
				}
				decodeAs(t, d, b, file, want.Kind+"/"+filepath.Base(file), false)
			}
			compareTruth(t, b, want)
		})
	}
}

// sampleOf is what a decoder guesses from: the first mebibyte.
func sampleOf(path string, text []byte) Sample {
	if len(text) > guessBytes {
		return Sample{Path: path, Text: text[:guessBytes]}
	}
	return Sample{Path: path, Text: text, Whole: true}
}

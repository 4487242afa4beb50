package format

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"penstock/ingest"
)

// answers are those that files of the real data need, when they are guessed
// without any profile. The zone is given where the file has none.
var answers = map[string]string{
	"vanessen_mon/ff_b29d_*": "header=yes", // its columns have no names, and its preamble names two of three
}

func TestGuessReadsSharedData(t *testing.T) {
	oneGoroutine(t)
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

// converted are samples whose expected readings a profile or a table of loggers
// makes of what stands in the file, which no guess can know.
var converted = []string{"loggers-swap/", "river-station/", "river-pairs/", "river-network/"}

// Every sample is guessed without its profile: what is loaded without a question
// has to be what the profile reads.
func TestGuessReadsSamplesRightOrAsks(t *testing.T) {
	folders, err := filepath.Glob("../../testdata/*/expected.csv")
	if err != nil || len(folders) < 30 {
		t.Fatalf("only %d samples: %v", len(folders), err)
	}
	read := 0
	for _, expected := range folders {
		dir := filepath.Dir(expected)
		zone, _ := os.ReadFile(filepath.Join(dir, "zone"))
		for _, file := range samples(t, dir) {
			name := filepath.Base(dir) + "/" + filepath.Base(file)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			g := Guess([]Sample{{Path: name, Text: text, Whole: true}}, GuessOptions{Zone: strings.TrimSpace(string(zone))})
			if g.Refusal == "" && g.Profile == nil || strings.Contains(g.Refusal, "cannot be described") {
				t.Errorf("%s: the guess is no profile: %s", name, g.Refusal)
			}
			if !g.Certain() || slices.ContainsFunc(converted, func(c string) bool { return strings.HasPrefix(name, c) }) {
				continue
			}
			read++
			want := make(map[string]int)
			for _, r := range table(t, expected) {
				if r[0] == filepath.Base(file) {
					want[r[4]+" "+r[5]]++
				}
			}
			b := &ingest.Batch{}
			set, err := NewSet(false, g.Profile)
			if err != nil {
				t.Fatal(err)
			}
			d, err := NewDecoder(set, Settings{Zone: strings.TrimSpace(string(zone))})
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Decode(context.Background(), contentOf(name, text, false), b); err != nil {
				t.Fatal(err)
			}
			for i := range b.Time {
				key := ingest.FromMicros(b.Time[i]).Format(time.RFC3339Nano) + " " + shortest(b.Value[i])
				if want[key]--; want[key] < 0 {
					t.Errorf("%s: %s of %s is not among the expected readings", name, key, b.Keys[b.Series[i]].Channel)
				}
			}
			for key, n := range want {
				if n > 0 && len(b.Spans[0].Rejects) == 0 {
					t.Errorf("%s: %s is missing, and nothing was rejected", name, key)
				}
			}
		}
	}
	if read < 20 {
		t.Errorf("only %d samples were read without a question", read)
	}
}

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// README's contents name every section and part of one, in their order, and every
// link within it leads somewhere.
func TestReadmeContents(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	fences := regexp.MustCompile("(?ms)^```.*?^```$")
	readme := fences.ReplaceAllString(string(text), "")
	var anchors []string
	for _, heading := range regexp.MustCompile(`(?m)^##+ (.*)$`).FindAllStringSubmatch(readme, -1) {
		plain := regexp.MustCompile(`[^\pL\pN _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		anchors = append(anchors, strings.ReplaceAll(plain, " ", "-"))
	}
	contents, _, found := strings.Cut(readme, "\n## ")
	if !found || len(anchors) < 30 {
		t.Fatalf("README has the sections %q", anchors)
	}
	link := regexp.MustCompile(`\]\(#([^)]*)\)`)
	linked := func(text string) (all []string) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			all = append(all, m[1])
		}
		return all
	}
	if got := linked(contents); !slices.Equal(got, anchors) {
		t.Errorf("the contents name\n%q\nand there are\n%q", got, anchors)
	}
	for _, to := range linked(readme) {
		if !slices.Contains(anchors, to) {
			t.Errorf("a link leads to #%s, and there is no such section", to)
		}
	}
}

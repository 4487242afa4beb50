package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"penstock/ingest"
	"penstock/ingest/monitor"
)

// metricsTold returns the names of all metrics, each with its labels, as a
// process of one source tells them. Those of a histogram are there with each of
// their suffixes.
func metricsTold(t *testing.T) map[string][]string {
	t.Helper()
	m := monitor.New("v1", monitor.DefaultPatience())
	m.Follow("field", time.Minute)
	m.Observe(ingest.Event{Source: "field", Worker: 1, At: time.Now(), Commit: time.Second})
	m.Observe(ingest.Event{Source: "field", At: time.Now(), Cycle: &ingest.Cycle{Number: 1, Over: true}})
	m.Archive("field", monitor.ArchiveState{})
	m.Loggers(1, 0, 0)
	server, err := m.Listen("127.0.0.1:0", false, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx) }()
	defer func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + server.Address() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	told := make(map[string][]string)
	for _, line := range regexp.MustCompile(`(?m)^([a-z_]+)(?:\{(.*)\})? `).FindAllStringSubmatch(string(text), -1) {
		labels := []string{"instance", "job"} // Prometheus' own
		for _, label := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(line[2], -1) {
			labels = append(labels, label[1])
		}
		told[line[1]] = labels
	}
	return told
}

// selector is a metric in a query, with the matchers of its labels.
var selector = regexp.MustCompile(`\b((?:penstock|process|go)_[a-z_]+)(?:\{([^}]*)\})?`)

// checkQuery checks that a query asks for nothing that is not told.
func checkQuery(t *testing.T, where, query string, told map[string][]string) {
	t.Helper()
	found := selector.FindAllStringSubmatch(query, -1)
	if len(found) == 0 && !strings.HasPrefix(query, "up{") {
		t.Errorf("%s asks for no metric: %s", where, query)
	}
	for _, metric := range found {
		labels, ok := told[metric[1]]
		if !ok {
			t.Errorf("%s asks for %s, which is not told", where, metric[1])
			continue
		}
		for _, label := range regexp.MustCompile(`([a-z_]+)\s*=~?|([a-z_]+)\s*!=`).FindAllStringSubmatch(metric[2], -1) {
			if name := label[1] + label[2]; !slices.Contains(labels, name) {
				t.Errorf("%s asks for %s by %s, which has only %v", where, metric[1], name, labels)
			}
		}
	}
}

func TestAlertRulesAskForWhatIsTold(t *testing.T) {
	text, err := os.ReadFile("deploy/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&rules); err != nil {
		t.Fatal(err)
	}
	told, names := metricsTold(t), make(map[string]bool)
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			checkQuery(t, rule.Alert, rule.Expr, told)
			if severity := rule.Labels["severity"]; severity != "page" && severity != "ticket" {
				t.Errorf("%s has the severity %q", rule.Alert, severity)
			}
			if rule.Annotations["summary"] == "" || names[rule.Alert] {
				t.Errorf("%s says nothing, or is there twice", rule.Alert)
			}
			names[rule.Alert] = true
		}
	}
	if len(names) == 0 {
		t.Error("there are no rules")
	}
}

// Prometheus' own tool takes the rules, and they tell what is to be told: see
// testdata/alerts.yaml.
func TestAlertRulesByPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not here; Debian's package prometheus has it")
	}
	for _, args := range [][]string{{"check", "rules", "deploy/alerts.yaml"}, {"test", "rules", "testdata/alerts.yaml"}} {
		if out, err := exec.CommandContext(t.Context(), promtool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

func TestDashboardAsksForWhatIsTold(t *testing.T) {
	text, err := os.ReadFile("deploy/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			Type    string
			Targets []struct{ Expr string }
			GridPos struct{ X, Y, W, H int }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	told, taken := metricsTold(t), make(map[[2]int]string)
	for _, panel := range dashboard.Panels {
		if panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("%s shows nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			checkQuery(t, panel.Title, target.Expr, told)
		}
		for x := panel.GridPos.X; x < panel.GridPos.X+panel.GridPos.W; x++ {
			for y := panel.GridPos.Y; y < panel.GridPos.Y+panel.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x > 23 {
					t.Fatalf("%s lies over %s, or beside the page", panel.Title, other)
				}
				taken[[2]int{x, y}] = panel.Title
			}
		}
	}
	for _, variable := range dashboard.Templating.List {
		if variable.Definition != "" {
			checkQuery(t, "$"+variable.Name, variable.Definition, told)
		}
	}
}

// The README has a line for each metric, and none for any other.
func TestREADMEHasAllMetrics(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	described := make(map[string]bool)
	for _, line := range regexp.MustCompile("(?m)^\\| `(penstock_[a-z_]+)").FindAllStringSubmatch(string(text), -1) {
		described[line[1]] = true
	}
	suffix := regexp.MustCompile(`(_seconds)_(bucket|sum|count)$`)
	told := make(map[string]bool)
	for name := range metricsTold(t) {
		if strings.HasPrefix(name, "penstock_") {
			told[suffix.ReplaceAllString(name, "$1")] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(told)) {
		if !described[name] {
			t.Errorf("README.md does not describe %s", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(described)) {
		if !told[name] {
			t.Errorf("README.md describes %s, which is not told", name)
		}
	}
}

// systemd takes the unit, and holds it to be well locked up.
func TestUnitBySystemd(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not here; Debian's package systemd has it")
	}
	text, err := os.ReadFile("deploy/penstock.service")
	if err != nil {
		t.Fatal(err)
	}
	// The program must be there for systemd to be content.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "penstock.service")
	if err := os.WriteFile(unit, bytes.ReplaceAll(text, []byte("/usr/local/bin/penstock"), []byte(self)), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", unit).CombinedOutput()
	if err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	if help, err := exec.CommandContext(t.Context(), analyze, "--help").Output(); err != nil || !bytes.Contains(help, []byte("--offline")) {
		t.Logf("this systemd cannot judge a unit that is not installed: %v", err)
		return
	}
	out, err = exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--threshold=20", unit).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}

// The configs to begin with are right, and say what their comments say.
func TestDeployedConfigs(t *testing.T) {
	for file, sources := range map[string]int{"penstock.example.yaml": 2, "compose.penstock.yaml": 1} {
		c, err := loadConfig(filepath.Join("deploy", file))
		if err != nil {
			t.Error(err)
			continue
		}
		if len(c.sources) != sources || c.store.url == "" || c.monitor.listen == "" {
			t.Errorf("%s: %d sources, store %q, monitor %q", file, len(c.sources), c.store.url, c.monitor.listen)
		}
		for _, s := range c.sources {
			if s.settling.Age < 5*time.Second {
				t.Errorf("%s: files of %s are taken before they are whole", file, s.name)
			}
		}
	}
}

// The compose file names what is there, and holds no password.
func TestComposeFile(t *testing.T) {
	text, err := os.ReadFile("deploy/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct {
			Image       string
			Build       struct{ Context, Dockerfile string }
			Environment map[string]string
			Volumes     []string
			ReadOnly    bool  `yaml:"read_only"`
			Secrets     []any // names, or mappings with a source
			Healthcheck struct{ Test []string }
			DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
		}
		Secrets map[string]struct{ Environment, File string }
		Volumes map[string]any
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	for name, service := range compose.Services {
		if len(service.Healthcheck.Test) < 2 {
			t.Errorf("%s has no health check", name)
		}
		if strings.Count(service.Image, "/") > 1 || strings.Contains(strings.Split(service.Image, "/")[0], ".") {
			t.Errorf("%s: %s names a registry", name, service.Image)
		}
		for _, volume := range service.Volumes {
			from, _, _ := strings.Cut(volume, ":")
			if _, there := compose.Volumes[from]; there {
				continue
			}
			if _, err := os.Stat(filepath.Join("deploy", from)); err != nil {
				t.Errorf("%s: the volume %s: %v", name, volume, err)
			}
		}
		for _, s := range service.Secrets {
			secret := fmt.Sprint(s)
			if m, ok := s.(map[string]any); ok {
				secret = fmt.Sprint(m["source"])
			}
			from, there := compose.Secrets[secret]
			if !there {
				t.Errorf("%s has the secret %s, which there is not", name, secret)
			}
			if from.Environment != "" && service.ReadOnly {
				t.Errorf("%s is read_only, and Compose cannot put the variable %s into it", name, from.Environment)
			}
		}
		for key, value := range service.Environment {
			if strings.Contains(key, "PASS") && !strings.HasPrefix(value, "${") && !strings.HasPrefix(value, "/run/secrets/") {
				t.Errorf("%s: %s holds a password", name, key)
			}
		}
		for other := range service.DependsOn {
			if len(compose.Services[other].Healthcheck.Test) == 0 {
				t.Errorf("%s waits for the health of %s, which is not told", name, other)
			}
		}
		if file := service.Build.Dockerfile; file != "" {
			if _, err := os.Stat(filepath.Join("deploy", service.Build.Context, file)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if len(compose.Services) != 3 {
		t.Errorf("%d services", len(compose.Services))
	}
}

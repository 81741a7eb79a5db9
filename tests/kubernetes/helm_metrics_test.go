package kubernetes

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/yaml"
)

// metricNames returns the names of the series that the daemon can export. They are in the reference, which a test of
// the daemon compares with the code. The daemon itself shows a metric with labels only after an event.
func metricNames(t *testing.T) map[string]bool {
	t.Helper()
	reference, err := os.ReadFile("../../docs/src/reference/metrics.md")
	must(err)
	names := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (\\w+) ").FindAllStringSubmatch(string(reference), -1) {
		if row[2] != "histogram" {
			names[row[1]] = true
			continue
		}
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			names[row[1]+suffix] = true
		}
	}
	if len(names) < 25 {
		t.Fatalf("the reference has only %v", names)
	}
	return names
}

func TestHelmRulesAndDashboardNameExistingMetrics(t *testing.T) {
	withHelm(t)
	known := metricNames(t)
	objects := render(t, "claims", "monitoring", "--values", valuesFile("full"))
	name := regexp.MustCompile(`\b(claimgate|process)_[a-z_]+`)
	for _, source := range []struct {
		kind, name string
		atLeast    int
	}{{"PrometheusRule", "claims", 9}, {"ConfigMap", "claims-dashboard", 15}} {
		object := findObject(t, objects, source.kind, "monitoring", source.name)
		found := map[string]bool{}
		for _, metric := range name.FindAllString(fmt.Sprint(object.Object), -1) {
			found[metric] = true
			if !known[metric] {
				t.Errorf("%s names %s, which the daemon does not export", source.kind, metric)
			}
		}
		if len(found) < source.atLeast {
			t.Errorf("%s names only %v", source.kind, found)
		}
	}
}

// TestHelmDashboardIsValid also checks that panels do not overlap.
func TestHelmDashboardIsValid(t *testing.T) {
	withHelm(t)
	object := findObject(t, render(t, "claims", "monitoring", "--values", valuesFile("full")), "ConfigMap", "monitoring", "claims-dashboard")
	data, _ := object.Object["data"].(map[string]any)
	var dashboard struct {
		Panels []struct {
			Title   string
			GridPos struct{ X, Y, W, H int }
		}
	}
	must(yaml.Unmarshal([]byte(data["claimgate.json"].(string)), &dashboard))
	used := map[[2]int]string{}
	for _, panel := range dashboard.Panels {
		place := [2]int{panel.GridPos.X, panel.GridPos.Y}
		if other, taken := used[place]; taken {
			t.Errorf("the panels %q and %q overlap", panel.Title, other)
		}
		used[place] = panel.Title
	}
	if len(used) < 10 {
		t.Errorf("the dashboard has only the panels %v", used)
	}
}

// TestHelmAlertsUseTheDefaultLimits compares the limits in the alerts with the defaults of the daemon.
func TestHelmAlertsUseTheDefaultLimits(t *testing.T) {
	withHelm(t)
	reference, err := os.ReadFile("../../docs/src/reference/configuration.md")
	must(err)
	rules := helm(t, "template", "claims", chart, "--namespace", "monitoring", "--values", valuesFile("smallest"), "--set", "metrics.rules.enabled=true")
	for _, key := range []string{"maxWatches", "maxRequestsInFlight"} {
		row := regexp.MustCompile("\\| `limits." + key + "` \\| number \\| `(\\d+)` ").FindStringSubmatch(string(reference))
		if row == nil {
			t.Fatalf("the reference has no default of limits.%s", key)
		}
		assertContains(t, rules, "> 0.8 * "+row[1]+"\n")
	}
}

// TestHelmAlertRules runs the unit tests of the rules in promtool/.
func TestHelmAlertRules(t *testing.T) {
	withHelm(t)
	dir := t.TempDir()
	text := helm(t, "template", "claims", chart, "--namespace", "monitoring", "--values", valuesFile("smallest"),
		"--set", "metrics.rules.enabled=true", "--show-only", "templates/prometheusrule.yaml")
	_, spec, found := strings.Cut(text, "\nspec:\n")
	if !found {
		t.Fatalf("there are no rules in\n%s", text)
	}
	must(os.WriteFile(filepath.Join(dir, "rules.yaml"), []byte(spec), 0o600))
	tests, err := os.ReadFile("promtool/rules_test.yaml")
	must(err)
	must(os.WriteFile(filepath.Join(dir, "rules_test.yaml"), tests, 0o600))
	out, err := exec.Command(filepath.Join(os.Getenv("TEST_PROMTOOL_BIN"), "promtool"), "test", "rules", filepath.Join(dir, "rules_test.yaml")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// Each alert has a test in which it fires.
	for _, alert := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(spec, -1) {
		if !strings.Contains(string(tests), "alertname: "+alert[1]+"\n") {
			t.Errorf("the alert %s has no test", alert[1])
		}
	}
}

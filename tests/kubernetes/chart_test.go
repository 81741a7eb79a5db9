package kubernetes

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// onlyInChart is the object that the chart renders and that connect does not write. The daemon would create it, but Helm
// deletes only what is in the chart.
const onlyInChart = "Lease connected-system/claimgate-registration"

// TestHelmChartRendersWhatConnectPrints checks that both ways lead to the same installation.
func TestHelmChartRendersWhatConnectPrints(t *testing.T) {
	withHelm(t)
	createQueueAPI(t)
	assertChartRendersWhatConnectPrints(t, "tokenSecret: claimgate-platform", "--credential-file", env.path("chart-credential.yaml"))
}

func TestHelmChartRendersWhatConnectPrintsWithoutCredential(t *testing.T) {
	withHelm(t)
	startIssuer(t)
	createQueueAPI(t)
	assertChartRendersWhatConnectPrints(t, "serviceAccountToken: {audience: claimgate}", "--credential", "oidc")
}

// assertChartRendersWhatConnectPrints compares the objects. The values of the control plane contain `credential`, and the
// command has `options`.
func assertChartRendersWhatConnectPrints(t *testing.T, credential string, options ...string) {
	t.Helper()
	platform := objectNames(t, env.controlPlane)
	c := newConnection(t)
	text, stderr, err := c.command(append(options, "--image", "registry.example.org/claimgate:1", "--print", "--secrets", "team-a,default")...)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	t.Cleanup(func() {
		c.disconnect()
		awaitObjectNames(t, env.controlPlane, platform)
	})
	printed := parseObjects(t, text)

	values := filepath.Join(t.TempDir(), "values.yaml")
	must(os.WriteFile(values, []byte(fmt.Sprintf(`cluster: app-one
image: {repository: registry.example.org/claimgate, tag: "1"}
controlPlanes:
  platform:
    server: https://localhost:%d
    certificateAuthority: %q
    %s
    mapping: {namespace: connected, names: readable}
apis: [{group: queues.example.org, controlPlane: platform, secrets: {connection: true, namespaces: [default, team-a]}}]
`, env.controlPlane.port, env.certificates.read("server-ca.crt"), credential)), 0o600))
	rendered := render(t, "claimgate", "connected-system", "--values", values)

	var found []string
	for _, want := range printed {
		if want.GetKind() == "Namespace" {
			continue
		}
		got := findObject(t, rendered, want.GetKind(), want.GetNamespace(), want.GetName())
		found = append(found, objectID(got))
		for label, value := range want.GetLabels() {
			// It names the tool that created the object.
			if label != "app.kubernetes.io/managed-by" && got.GetLabels()[label] != value {
				t.Errorf("the label %s of %s is %q, want %q", label, objectID(got), got.GetLabels()[label], value)
			}
		}
		if want, got := comparableText(t, want), comparableText(t, got); want != got {
			t.Errorf("connect prints\n%s\nand the chart renders\n%s", want, got)
		}
	}
	for _, object := range rendered {
		if id := objectID(object); !slices.Contains(found, id) && id != onlyInChart {
			t.Errorf("connect does not print %s", id)
		}
	}
	if len(rendered) != len(found)+1 {
		t.Errorf("the chart renders %d objects, and connect prints %d", len(rendered), len(found))
	}
}

func objectID(object unstructured.Unstructured) string {
	return fmt.Sprintf("%s %s/%s", object.GetKind(), object.GetNamespace(), object.GetName())
}

// comparableText returns the object as text, without its labels. A configuration is compared as values, and its checksum is
// not compared.
func comparableText(t *testing.T, object unstructured.Unstructured) string {
	t.Helper()
	copied := object.DeepCopy()
	copied.SetLabels(nil)
	// Only connect needs to know how the app cluster is connected.
	unstructured.RemoveNestedField(copied.Object, "metadata", "annotations", "claimgate.dev/connection")
	if len(copied.GetAnnotations()) == 0 {
		copied.SetAnnotations(nil)
	}
	unstructured.RemoveNestedField(copied.Object, "spec", "template", "metadata", "annotations")
	if data, ok := copied.Object["data"].(map[string]any); ok {
		for name, text := range data {
			data[name] = strings.TrimSpace(text.(string))
			if name == "claimgate.yaml" {
				var config map[string]any
				must(yaml.Unmarshal([]byte(text.(string)), &config))
				data[name] = config
			}
		}
	}
	return fmt.Sprint(copied.Object)
}

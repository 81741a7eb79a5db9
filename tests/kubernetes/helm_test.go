package kubernetes

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const (
	chart          = "../../config/chart"
	plainManifests = "../../config/manifests"
)

// withHelm skips a test if there is no Helm.
func withHelm(t *testing.T) {
	t.Helper()
	if os.Getenv("TEST_HELM_BIN") == "" {
		t.Skip("only with `run helm`")
	}
}

// tryHelm runs Helm in the app cluster and returns its stdout. The error contains its stderr.
func tryHelm(args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(os.Getenv("TEST_HELM_BIN"), "helm"), args...)
	cmd.Env = append(os.Environ(), "HOME="+env.dir, "KUBECONFIG="+env.app.kubeconfig)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("helm %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), err
}

func helm(t *testing.T, args ...string) string {
	t.Helper()
	out, err := tryHelm(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// valuesFile returns the path of values for tests: smallest or full.
func valuesFile(name string) string { return filepath.Join(chart, "ci", name+".yaml") }

// render returns the objects of the chart. The arguments are flags of `helm template`.
func render(t *testing.T, release, namespace string, flags ...string) []unstructured.Unstructured {
	t.Helper()
	args := append([]string{"template", release, chart, "--namespace", namespace}, flags...)
	return parseObjects(t, helm(t, args...))
}

func parseObjects(t *testing.T, text string) []unstructured.Unstructured {
	t.Helper()
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	var objects []unstructured.Unstructured
	for {
		var object map[string]any
		err := decoder.Decode(&object)
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		if object != nil {
			objects = append(objects, unstructured.Unstructured{Object: object})
		}
	}
}

func findObject(t *testing.T, objects []unstructured.Unstructured, kind, namespace, name string) unstructured.Unstructured {
	t.Helper()
	for _, object := range objects {
		if object.GetKind() == kind && object.GetNamespace() == namespace && object.GetName() == name {
			return object
		}
	}
	t.Fatalf("there is no %s %s/%s", kind, namespace, name)
	return unstructured.Unstructured{}
}

// field returns a field by its path, such as spec.ports.0.port, as JSON.
func field(object unstructured.Unstructured, path string) string {
	var value any = object.Object
	for _, name := range strings.Split(path, ".") {
		switch parent := value.(type) {
		case map[string]any:
			value = parent[strings.ReplaceAll(name, "~", ".")]
		case []any:
			var at int
			if _, err := fmt.Sscan(name, &at); err != nil || at >= len(parent) {
				return "null"
			}
			value = parent[at]
		default:
			return "null"
		}
	}
	text, err := json.Marshal(value)
	must(err)
	return string(text)
}

func TestHelmLintAcceptsTheChart(t *testing.T) {
	withHelm(t)
	for _, values := range []string{"smallest", "full"} {
		helm(t, "lint", "--strict", chart, "--values", valuesFile(values))
	}
}

// TestHelmRendersAreEqual checks that GitOps tools, which render the chart each time, see no changes. Functions that
// return something else each time, or nothing without a cluster, are not used.
func TestHelmRendersAreEqual(t *testing.T) {
	withHelm(t)
	for _, values := range []string{"smallest", "full"} {
		args := []string{"template", "claimgate", chart, "--namespace", "claimgate-system", "--values", valuesFile(values)}
		if first, second := helm(t, args...), helm(t, args...); first != second {
			t.Errorf("two renders with %s values differ", values)
		}
	}
	templates, err := filepath.Glob(chart + "/templates/*")
	must(err)
	for _, file := range templates {
		text, err := os.ReadFile(file)
		must(err)
		for _, function := range []string{"lookup", "genCA", "genSelfSignedCert", "genSignedCert", "genPrivateKey", "rand", "uuidv4", "now "} {
			if strings.Contains(string(text), function) {
				t.Errorf("%s uses %s", file, function)
			}
		}
	}
}

// TestHelmRendersNoEmptyFields checks that there are no fields that Kubernetes drops, which GitOps tools would report
// as a difference.
func TestHelmRendersNoEmptyFields(t *testing.T) {
	withHelm(t)
	// Their default is true, so Kubernetes keeps them.
	kept := []string{"enableServiceLinks", "allowPrivilegeEscalation"}
	var check func(path string, value any)
	check = func(path string, value any) {
		switch value := value.(type) {
		case map[string]any:
			if len(value) == 0 && !strings.HasSuffix(path, ".selfSigned") {
				t.Errorf("%s is empty", path)
			}
			for name, child := range value {
				check(path+"."+name, child)
			}
		case []any:
			if len(value) == 0 {
				t.Errorf("%s is empty", path)
			}
			for at, child := range value {
				check(fmt.Sprintf("%s.%d", path, at), child)
			}
		case nil:
			t.Errorf("%s is null", path)
		case string:
			// The name of the core group in a rule is empty.
			if value == "" && !strings.Contains(path, ".apiGroups.") {
				t.Errorf("%s is empty", path)
			}
		case bool:
			if !value && !slices.ContainsFunc(kept, func(name string) bool { return strings.HasSuffix(path, "."+name) }) {
				t.Errorf("%s is false", path)
			}
		}
	}
	for _, values := range []string{"smallest", "full"} {
		for _, object := range render(t, "claimgate", "claimgate-system", "--values", valuesFile(values)) {
			check(values+": "+object.GetKind()+" "+object.GetName(), object.Object)
		}
	}
}

func TestHelmExplainsMissingAndContradictoryValues(t *testing.T) {
	withHelm(t)
	for _, c := range []struct{ namespace, set, message string }{
		{"kube-system", "replicas=1", "the release namespace is kube-system"},
		{"one", "cluster=", "cluster is empty; set it"},
		{"one", "cluster=Team_A", "at '/cluster'"},
		{"one", "image.repository=", "image.repository is empty; there is no published image"},
		{"one", "controlPlanes=null", "controlPlanes is empty; add one"},
		{"one", "apis=null", "apis is empty; add one"},
		{"one", "controlPlanes.other.server=https://other", "controlPlanes.other has no credentials; set tokenSecret"},
		{"one", "controlPlanes.other.tokenSecret=other", "controlPlanes.other.server is empty"},
		{"one", "controlPlanes.other.kubeconfigSecret.name=other", "controlPlanes.other.mapping is empty"},
		{"one", "controlPlanes.platform.tokenFile=token", "controlPlanes.platform.tokenFile names a file"},
		{"one", "controlPlanes.platform.kubeconfigSecret.name=other", "has both tokenSecret and kubeconfigSecret"},
		{"one", "controlPlanes.platform.serviceAccountToken.audience=claimgate", "has both tokenSecret and serviceAccountToken"},
		{"one", "controlPlanes.other.serviceAccountToken.audience=claimgate", "controlPlanes.other.server is empty"},
		{"one", "controlPlanes.Other.server=https://other", "additional properties 'Other' not allowed"},
		{"one", "certificates.mode=secret", "certificates.secretName is empty"},
		{"one", "certificates.injectCA=true", "certificates.injectCA has no effect"},
		{"one", "certificates.secretName=tls", "certificates.secretName has no effect"},
		{"one", "certificates.mode=other", "at '/certificates/mode'"},
		{"one", "replicaCount=1", "additional properties 'replicaCount' not allowed"},
		{"one", "config.admin.address=localhost:9090", "at '/config/admin'"},
		{"one", "config.listen.address=localhost:9090", "additional properties 'address' not allowed"},
		{"one", "podLabels.app\\.kubernetes\\.io/name=other", "podLabels contains app.kubernetes.io/name"},
	} {
		out, err := tryHelm("template", "claimgate", chart, "--namespace", c.namespace, "--values", valuesFile("smallest"), "--set", c.set)
		if err == nil || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s in %s: %q not found in: %v\n%s", c.set, c.namespace, c.message, err, out)
		}
	}
}

func TestHelmValuesSetTheFieldsOfThePod(t *testing.T) {
	withHelm(t)
	smallest := render(t, "claimgate", "claimgate-system", "--values", valuesFile("smallest"))
	full := render(t, "claimgate", "claimgate-system", "--values", valuesFile("full"))
	const pod, container = "spec.template.spec.", "spec.template.spec.containers.0."
	for _, c := range []struct{ path, smallest, full string }{
		{"spec.replicas", `2`, `3`},
		{container + "image", `"registry.example.org/claimgate:0.1.0"`, `"registry.example.org/claimgate:test"`},
		{container + "ports.0.containerPort", `10250`, `10260`},
		{pod + "hostNetwork", `null`, `true`},
		{pod + "dnsPolicy", `null`, `"ClusterFirstWithHostNet"`},
		{pod + "terminationGracePeriodSeconds", `45`, `101`},
		{pod + "priorityClassName", `null`, `"system-cluster-critical"`},
		{pod + "imagePullSecrets", `null`, `[{"name":"registry"}]`},
		{pod + "nodeSelector", `null`, `{"kubernetes.io/os":"linux"}`},
		{pod + "tolerations.0.operator", `null`, `"Exists"`},
		{"spec.template.metadata.labels.example~org/team", `null`, `"platform"`},
		{"spec.template.metadata.annotations.example~org/team", `null`, `"platform"`},
		{container + "resources.requests", `{"cpu":"20m","memory":"64Mi"}`, `{"cpu":"100m","memory":"128Mi"}`},
		{container + "resources.limits", `{"memory":"128Mi"}`, `{"memory":"256Mi"}`},
		{container + "securityContext.capabilities", `{"drop":["ALL"]}`, `{"drop":["ALL"]}`},
		{container + "securityContext.readOnlyRootFilesystem", `true`, `true`},
		{pod + "securityContext", `{"runAsNonRoot":true,"seccompProfile":{"type":"RuntimeDefault"}}`, `{"runAsNonRoot":true,"seccompProfile":{"type":"RuntimeDefault"}}`},
	} {
		for _, r := range []struct {
			name, want string
			objects    []unstructured.Unstructured
		}{{"smallest", c.smallest, smallest}, {"full", c.full, full}} {
			if got := field(findObject(t, r.objects, "Deployment", "claimgate-system", "claimgate"), c.path); got != r.want {
				t.Errorf("%s of the Deployment with %s values is %s, want %s", c.path, r.name, got, r.want)
			}
		}
	}
	config, _, _ := unstructured.NestedString(findObject(t, full, "ConfigMap", "claimgate-system", "claimgate").Object, "data", "claimgate.yaml")
	assertContains(t, config, "  caInjection:\n    certificate: claimgate-tls\n")
	if names := kinds(smallest); slices.ContainsFunc(names, func(kind string) bool {
		return slices.Contains([]string{"NetworkPolicy", "ServiceMonitor", "PrometheusRule", "Certificate", "Issuer"}, kind)
	}) {
		t.Errorf("the smallest values render %s", names)
	}
}

func kinds(objects []unstructured.Unstructured) []string {
	var names []string
	for _, object := range objects {
		names = append(names, object.GetKind())
	}
	return names
}

// TestHelmReleasesShareNoName renders releases with the same name or the same namespace.
func TestHelmReleasesShareNoName(t *testing.T) {
	withHelm(t)
	seen := map[string]string{}
	for _, release := range [][2]string{{"claimgate", "one"}, {"claimgate", "two"}, {"other", "one"}, {"one", "claimgate"}} {
		for _, object := range render(t, release[0], release[1], "--values", valuesFile("full"), "--set", "rbac.authReader=true") {
			id := fmt.Sprintf("%s %s/%s", object.GetKind(), object.GetNamespace(), object.GetName())
			if other, taken := seen[id]; taken {
				t.Errorf("%s is rendered for %s and for %s", id, other, release)
			}
			seen[id] = fmt.Sprint(release)
			isOutside := object.GetNamespace() != release[1]
			if isOutside && object.GetName() != release[1]+":"+release[0] {
				t.Errorf("the name of %s does not contain the namespace and the release", id)
			}
		}
	}
}

func TestHelmChartHasTheVersionOfTheDaemon(t *testing.T) {
	withHelm(t)
	text, err := os.ReadFile("../../Cargo.toml")
	must(err)
	_, rest, _ := strings.Cut(string(text), "\nversion = \"")
	version, _, _ := strings.Cut(rest, "\"")
	shown := helm(t, "show", "chart", chart)
	assertContains(t, shown, "\nappVersion: "+version+"\n", "\nversion: "+version+"\n")
}

// TestHelmReadmeNamesEveryValue checks the table of values in the README of the chart.
func TestHelmReadmeNamesEveryValue(t *testing.T) {
	withHelm(t)
	readme, err := os.ReadFile(chart + "/README.md")
	must(err)
	var values map[string]any
	must(yaml.Unmarshal([]byte(helm(t, "show", "values", chart)), &values))
	var check func(path string, value any)
	check = func(path string, value any) {
		children, isMap := value.(map[string]any)
		isSection := isMap && len(children) > 0 && path != "resources" && path != "metrics.dashboard.labels"
		if !isSection {
			if !strings.Contains(string(readme), "| `"+path+"` |") {
				t.Errorf("the README of the chart does not name %s", path)
			}
			return
		}
		for name, child := range children {
			check(path+"."+name, child)
		}
	}
	for name, value := range values {
		check(name, value)
	}
}

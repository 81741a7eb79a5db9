package kubernetes

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// chartKinds are the kinds of the objects that a release could leave behind.
const chartKinds = "namespaces,services,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,leases," +
	"apiservices,secrets,configmaps,deployments,poddisruptionbudgets,networkpolicies,events"

func releaseObjects(t *testing.T) []string {
	t.Helper()
	out := kubectl(t, env.app, "", "get", chartKinds, "-A", "--no-headers", "-o",
		`jsonpath={range .items[*]}{.kind}{" "}{.metadata.namespace}{"/"}{.metadata.name}{"\n"}{end}`)
	return strings.Split(strings.TrimSpace(out), "\n")
}

// awaitReleaseObjects waits until exactly these objects exist.
func awaitReleaseObjects(t *testing.T, before []string) {
	t.Helper()
	await(t, slowDeadline, func() error {
		after := releaseObjects(t)
		for _, name := range after {
			if !slices.Contains(before, name) {
				return fmt.Errorf("%s was left behind", name)
			}
		}
		for _, name := range before {
			if !slices.Contains(after, name) {
				return fmt.Errorf("%s is gone", name)
			}
		}
		return nil
	})
}

// live returns the object in the app cluster.
func live(t *testing.T, object unstructured.Unstructured) unstructured.Unstructured {
	t.Helper()
	resource := strings.ToLower(object.GetKind()) + "." + object.GroupVersionKind().Group
	args := []string{"get", strings.TrimSuffix(resource, "."), object.GetName(), "-o", "json"}
	if namespace := object.GetNamespace(); namespace != "" {
		args = append(args, "--namespace", namespace)
	}
	var found map[string]any
	must(json.Unmarshal([]byte(kubectl(t, env.app, "", args...)), &found))
	return unstructured.Unstructured{Object: found}
}

// assertLive checks that each rendered object exists, and that each rendered field has its rendered value.
func assertLive(t *testing.T, objects []unstructured.Unstructured) {
	t.Helper()
	var differs func(path string, want, got any) string
	differs = func(path string, want, got any) string {
		switch want := want.(type) {
		case map[string]any:
			got, _ := got.(map[string]any)
			for name, child := range want {
				if text := differs(path+"."+name, child, got[name]); text != "" {
					return text
				}
			}
		case []any:
			got, _ := got.([]any)
			if len(got) != len(want) {
				return fmt.Sprintf("%s has %d items, want %d", path, len(got), len(want))
			}
			for at, child := range want {
				if text := differs(fmt.Sprintf("%s.%d", path, at), child, got[at]); text != "" {
					return text
				}
			}
		default:
			if fmt.Sprint(want) != fmt.Sprint(got) {
				return fmt.Sprintf("%s is %v, want %v", path, got, want)
			}
		}
		return ""
	}
	for _, object := range objects {
		if text := differs(object.GetKind()+" "+object.GetName(), object.Object, live(t, object).Object); text != "" {
			t.Error(text)
		}
	}
}

// resourceVersions returns the resource version of each object.
func resourceVersions(t *testing.T, objects []unstructured.Unstructured) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, object := range objects {
		found := live(t, object)
		all[object.GetKind()+" "+object.GetNamespace()+"/"+object.GetName()] = found.GetResourceVersion()
	}
	return all
}

// writeAsDaemon writes what the daemon writes into the Secret and the Lease of a release.
func writeAsDaemon(t *testing.T, release, namespace string) {
	t.Helper()
	flags := []string{"--namespace", namespace, "--type=merge", "--field-manager=claimgate", "-p"}
	kubectl(t, env.app, "", append([]string{"patch", "secret", release + "-certificates"}, append(flags, `{"data":{"tls.key":"c2VjcmV0"}}`)...)...)
	kubectl(t, env.app, "", append([]string{"patch", "lease", release + "-registration"}, append(flags, `{"spec":{"holderIdentity":"pod"}}`)...)...)
}

func assertDaemonData(t *testing.T, release, namespace string) {
	t.Helper()
	key := kubectl(t, env.app, "", "get", "secret", release+"-certificates", "-n", namespace, "-o", "jsonpath={.data}")
	holder := kubectl(t, env.app, "", "get", "lease", release+"-registration", "-n", namespace, "-o", "jsonpath={.spec.holderIdentity}")
	if key != `{"tls.key":"c2VjcmV0"}` || holder != "pod" {
		t.Errorf("the Secret of %s contains %q, and %q holds its Lease", release, key, holder)
	}
}

// removeReleases removes what a failed test leaves.
func removeReleases(t *testing.T, namespace string, releases ...string) {
	t.Cleanup(func() {
		for _, release := range releases {
			tryHelm("uninstall", release, "--namespace", namespace, "--ignore-not-found")
		}
		env.tryKubectl(env.app.kubeconfig, "", "delete", "namespace", namespace, "--ignore-not-found")
	})
}

// lifecycleValues are the flags of Helm with the values of the releases.
var lifecycleValues = []string{"--values", valuesFile("smallest"), "--set", "networkPolicy.enabled=true"}

func TestHelmReleaseLifecycle(t *testing.T) {
	for _, method := range []string{"--server-side=true", "--server-side=false"} {
		t.Run(strings.Trim(method, "-"), func(t *testing.T) {
			withHelm(t)
			before := releaseObjects(t)
			removeReleases(t, "helm-one", "claims", "other")
			removeReleases(t, "helm-two", "claims")
			install := func(release, namespace string) string {
				args := []string{"install", release, chart, "--namespace", namespace, "--create-namespace", method}
				return helm(t, append(args, lifecycleValues...)...)
			}
			notes := install("claims", "helm-one")
			assertContains(t, notes, "create secret generic claimgate-platform", "rollout status deployment/claims", "kubectl get apiservices")
			first := render(t, "claims", "helm-one", lifecycleValues...)
			assertLive(t, first)
			writeAsDaemon(t, "claims", "helm-one")

			// Other releases neither conflict with the first one nor change it.
			unchanged := resourceVersions(t, first)
			install("other", "helm-one")
			install("claims", "helm-two")
			second := append(render(t, "other", "helm-one", lifecycleValues...), render(t, "claims", "helm-two", lifecycleValues...)...)
			assertLive(t, second)
			upgradeAndRollBack(t, method, first, unchanged)

			helm(t, "uninstall", "claims", "--namespace", "helm-one")
			assertLive(t, second)
			helm(t, "uninstall", "other", "--namespace", "helm-one")
			helm(t, "uninstall", "claims", "--namespace", "helm-two")
			kubectl(t, env.app, "", "delete", "namespace", "helm-one", "helm-two")
			awaitReleaseObjects(t, before)
		})
	}
}

// upgradeAndRollBack changes the release claims in helm-one, and restores it. `unchanged` are the resource versions of its
// objects.
func upgradeAndRollBack(t *testing.T, method string, objects []unstructured.Unstructured, unchanged map[string]string) {
	t.Helper()
	upgrade := func(more ...string) {
		args := append([]string{"upgrade", "claims", chart, "--namespace", "helm-one", method}, lifecycleValues...)
		helm(t, append(args, more...)...)
	}
	upgrade()
	for name, version := range resourceVersions(t, objects) {
		if version != unchanged[name] {
			t.Errorf("an upgrade without a change writes %s", name)
		}
	}
	assertDaemonData(t, "claims", "helm-one")

	// A change of the configuration restarts the pods, other changes do not.
	checksum := func() string {
		return field(live(t, findObject(t, objects, "Deployment", "helm-one", "claims")), "spec.template.metadata.annotations.checksum/config")
	}
	initial := checksum()
	upgrade("--set", "replicas=3")
	if got := checksum(); got != initial {
		t.Errorf("a change of the replicas changes the checksum of the configuration")
	}
	changed := []string{"--set", "replicas=3,config.log.level=debug"}
	upgrade(changed...)
	if got := checksum(); got == initial {
		t.Errorf("a change of the configuration leaves its checksum %s", got)
	}
	assertLive(t, render(t, "claims", "helm-one", append(slices.Clone(lifecycleValues), changed...)...))
	assertDaemonData(t, "claims", "helm-one")

	helm(t, "rollback", "claims", "1", "--namespace", "helm-one", method)
	assertLive(t, objects)
	assertDaemonData(t, "claims", "helm-one")
}

// anyCRD is a kind of another project, as far as the API server has to know it to store an object.
const anyCRD = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: %[1]s.%[2]s
  annotations: {api-approved.kubernetes.io: "https://github.com/kubernetes/kubernetes/pull/1"}
spec:
  group: %[2]s
  scope: Namespaced
  names: {plural: %[1]s, singular: %[3]s, kind: %[4]s, listKind: %[4]sList}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
`

// TestHelmReleaseWithAllValues installs the chart with all objects that it can contain.
func TestHelmReleaseWithAllValues(t *testing.T) {
	withHelm(t)
	crds := ""
	for _, kind := range [][2]string{
		{"cert-manager.io", "Issuer"}, {"cert-manager.io", "Certificate"},
		{"monitoring.coreos.com", "ServiceMonitor"}, {"monitoring.coreos.com", "PrometheusRule"},
	} {
		singular := strings.ToLower(kind[1])
		crds += fmt.Sprintf(anyCRD, singular+"s", kind[0], singular, kind[1])
	}
	kubectl(t, env.app, crds, "apply", "-f", "-")
	t.Cleanup(func() {
		env.tryKubectl(env.app.kubeconfig, crds, "delete", "--ignore-not-found", "-f", "-")
	})
	kubectl(t, env.app, crds, "wait", "--for=condition=Established", "--timeout=30s", "-f", "-")
	before := releaseObjects(t)
	removeReleases(t, "helm-full", "claims")
	values := []string{"--namespace", "helm-full", "--values", valuesFile("full")}
	helm(t, append([]string{"install", "claims", chart, "--create-namespace"}, values...)...)
	objects := render(t, "claims", "helm-full", values...)
	assertLive(t, objects)
	unchanged := resourceVersions(t, objects)
	helm(t, append([]string{"upgrade", "claims", chart}, values...)...)
	for name, version := range resourceVersions(t, objects) {
		if version != unchanged[name] {
			t.Errorf("an upgrade without a change writes %s", name)
		}
	}
	helm(t, "uninstall", "claims", "--namespace", "helm-full")
	kubectl(t, env.app, "", "delete", "namespace", "helm-full")
	awaitReleaseObjects(t, before)
}

func TestHelmRendersThePlainManifests(t *testing.T) {
	withHelm(t)
	cmd := exec.Command(filepath.Join(chart, "render"), t.TempDir())
	cmd.Env = append(os.Environ(), "HELM="+filepath.Join(os.Getenv("TEST_HELM_BIN"), "helm"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	rendered, err := os.ReadFile(filepath.Join(cmd.Args[1], "claimgate.yaml"))
	must(err)
	committed, err := os.ReadFile(plainManifests + "/claimgate.yaml")
	must(err)
	if string(rendered) != string(committed) {
		t.Error("config/manifests/claimgate.yaml is not what the chart renders; run config/chart/render")
	}
	plain := parseObjects(t, string(committed))
	built := parseObjects(t, kubectl(t, env.app, "", "kustomize", plainManifests))
	if len(built) != len(plain) {
		t.Errorf("kustomize builds %d objects from %d", len(built), len(plain))
	}
	for _, object := range plain {
		got := findObject(t, built, object.GetKind(), object.GetNamespace(), object.GetName())
		if fmt.Sprint(got.Object) != fmt.Sprint(object.Object) {
			t.Errorf("kustomize changes %s %s", object.GetKind(), object.GetName())
		}
	}
	for _, marker := range []string{"helm.sh/chart", "managed-by: Helm"} {
		if strings.Contains(string(committed), marker) {
			t.Errorf("the plain manifests contain %q", marker)
		}
	}
}

// TestHelmManifestsKeepDataWhenAppliedAgain applies the plain manifests in another namespace, because the environment uses
// claimgate-system itself.
func TestHelmManifestsKeepDataWhenAppliedAgain(t *testing.T) {
	withHelm(t)
	text, err := os.ReadFile(plainManifests + "/claimgate.yaml")
	must(err)
	renamed := strings.ReplaceAll(string(text), "claimgate-system", "helm-manifests")
	before := releaseObjects(t)
	t.Cleanup(func() {
		env.tryKubectl(env.app.kubeconfig, renamed, "delete", "--ignore-not-found", "-f", "-")
	})
	for _, flags := range [][]string{{}, {"--server-side"}} {
		apply := append([]string{"apply", "-f", "-"}, flags...)
		kubectl(t, env.app, renamed, apply...)
		assertLive(t, parseObjects(t, renamed))
		writeAsDaemon(t, "claimgate", "helm-manifests")
		kubectl(t, env.app, renamed, apply...)
		assertDaemonData(t, "claimgate", "helm-manifests")
		kubectl(t, env.app, renamed, "delete", "-f", "-")
		awaitReleaseObjects(t, before)
	}
}

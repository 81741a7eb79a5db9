package kubernetes

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// sourceCRD is a kind of Flux' source-controller, which the test stands in for.
const sourceCRD = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[1]s.source.toolkit.fluxcd.io}
spec:
  group: source.toolkit.fluxcd.io
  scope: Namespaced
  names: {plural: %[1]s, singular: %[2]s, kind: %[3]s, listKind: %[3]sList}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

const fluxObjects = `apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: %[1]s, namespace: flux-system}
spec: {url: "https://example.org/%[1]s", interval: 1h}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: %[1]s, namespace: flux-system}
spec:
  interval: 5s
  retryInterval: 2s
  timeout: 10s
  prune: true
  path: ./
  targetNamespace: default
  sourceRef: {kind: GitRepository, name: %[1]s}
`

// fluxSources serves the archives of GitRepositories.
type fluxSources struct {
	mu       sync.Mutex
	archives map[string][]byte
	revision int
	url      string
}

func startFluxSources(t *testing.T) *fluxSources {
	t.Helper()
	sources := &fluxSources{archives: map[string][]byte{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sources.mu.Lock()
		defer sources.mu.Unlock()
		w.Write(sources.archives[r.URL.Path])
	}))
	t.Cleanup(server.Close)
	sources.url = server.URL
	return sources
}

// publish makes a manifest the content of a GitRepository.
func (s *fluxSources) publish(t *testing.T, name, manifest string) {
	t.Helper()
	var archive bytes.Buffer
	compressed := gzip.NewWriter(&archive)
	files := tar.NewWriter(compressed)
	must(files.WriteHeader(&tar.Header{Name: "manifest.yaml", Mode: 0o644, Size: int64(len(manifest))}))
	_, err := files.Write([]byte(manifest))
	must(err)
	must(files.Close())
	must(compressed.Close())
	s.mu.Lock()
	s.revision++
	path := fmt.Sprintf("/%s-%d.tar.gz", name, s.revision)
	s.archives[path] = archive.Bytes()
	s.mu.Unlock()
	status := fmt.Sprintf(`{"status":{"artifact":{"path":%q,"url":%q,"revision":"main@sha1:%040d","digest":"sha256:%x","lastUpdateTime":%q,"size":%d},
		"conditions":[{"type":"Ready","status":"True","reason":"Succeeded","message":"","lastTransitionTime":%q}]}}`,
		path, s.url+path, s.revision, sha256.Sum256(archive.Bytes()), time.Now().UTC().Format(time.RFC3339), archive.Len(), time.Now().UTC().Format(time.RFC3339))
	awaitSuccess(t, env.app, "", "patch", "-n", "flux-system", "gitrepository", name, "--subresource=status", "--type=merge", "-p", status)
}

// startFlux runs the kustomize-controller.
func startFlux(t *testing.T) (start func() *process) {
	t.Helper()
	for _, names := range [][]any{
		{"gitrepositories", "gitrepository", "GitRepository"}, {"buckets", "bucket", "Bucket"}, {"ocirepositories", "ocirepository", "OCIRepository"},
	} {
		kubectl(t, env.app, fmt.Sprintf(sourceCRD, names...), "apply", "-f", "-")
	}
	crd := filepath.Join(os.Getenv("TEST_FLUX_CRDS"), "kustomize.toolkit.fluxcd.io_kustomizations.yaml")
	kubectl(t, env.app, "", "apply", "--server-side", "-f", crd)
	inAppCluster(t, "create", "namespace", "flux-system")
	t.Cleanup(func() { inAppCluster(t, "delete", "namespace", "flux-system", "--wait=false") })
	ports, err := freePorts(2)
	must(err)
	return func() *process {
		p, err := env.run("flux", "env", "RUNTIME_NAMESPACE=flux-system", "KUBECONFIG="+env.app.kubeconfig, "TMPDIR="+t.TempDir(),
			filepath.Join(os.Getenv("TEST_FLUX_BIN"), "kustomize-controller"), "--watch-all-namespaces", "--events-addr=",
			fmt.Sprintf("--metrics-addr=127.0.0.1:%d", ports[0]), fmt.Sprintf("--health-addr=127.0.0.1:%d", ports[1]))
		must(err)
		t.Cleanup(p.kill)
		return p
	}
}

// awaitKustomization waits until a Kustomization is ready or not.
func awaitKustomization(t *testing.T, within time.Duration, name, ready string) {
	t.Helper()
	begin := time.Now()
	await(t, within, func() error {
		status, err := env.tryKubectl(env.app.kubeconfig, "", "get", "-n", "flux-system", "kustomization", name,
			"-o", `jsonpath={.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].message}`)
		if err == nil && !strings.HasPrefix(status, ready+" ") {
			err = fmt.Errorf("the Kustomization %s is %q", name, status)
		}
		return err
	})
	t.Logf("Ready of %s is %s after %s", name, ready, time.Since(begin).Round(100*time.Millisecond))
}

// TestFluxContinuesDuringOutage starts Flux during an outage.
func TestFluxContinuesDuringOutage(t *testing.T) {
	if os.Getenv("TEST_FLUX_BIN") == "" {
		t.Skip("only with `run flux`")
	}
	r := startRegistrarForOutages(t, 30*time.Second)
	sources := startFluxSources(t)
	start := startFlux(t)
	for name, manifest := range map[string]string{"plain": unrelatedConfigMap("one"), "claims": queue("orders")} {
		awaitSuccess(t, env.app, fmt.Sprintf(fluxObjects, name), "apply", "-f", "-")
		sources.publish(t, name, manifest)
	}
	flux := start()
	awaitKustomization(t, slowDeadline, "plain", "True")
	awaitKustomization(t, slowDeadline, "claims", "True")
	uid := uidOfQueue(t)

	outage := time.Now()
	r.link.refuseConnections()
	sources.publish(t, "plain", unrelatedConfigMap("running"))
	awaitUnrelatedConfigMap(t, recoveryTime, "running")
	t.Logf("a running Flux applied an unrelated change %s after the outage began", time.Since(outage).Round(100*time.Millisecond))
	flux.kill()
	started := time.Now()
	start()
	sources.publish(t, "plain", unrelatedConfigMap("started"))
	awaitUnrelatedConfigMap(t, recoveryTime, "started")
	t.Logf("a Flux that started in the outage applied it after %s", time.Since(started).Round(100*time.Millisecond))
	awaitKustomization(t, recoveryTime, "claims", "False")
	awaitWatchVerb(t, false, recoveryTime)
	sources.publish(t, "plain", unrelatedConfigMap("degraded"))
	awaitUnrelatedConfigMap(t, recoveryTime, "degraded")

	must(r.link.restore())
	returned := time.Now()
	awaitKustomization(t, recoveryTime, "claims", "True")
	assertSameQueue(t, uid)
	sources.publish(t, "claims", strings.Replace(queue("orders"), "orders", "other", 1))
	awaitOnlyQueue(t, "other")
	t.Logf("a claim that left Git is gone %s after the return", time.Since(returned).Round(100*time.Millisecond))
}

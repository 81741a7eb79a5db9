package kubernetes

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const claimCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[1]s.k8s.starter.org}
spec:
  group: k8s.starter.org
  scope: Namespaced
  names: {plural: %[1]s, singular: %[2]s, kind: %[3]s, listKind: %[3]sList, shortNames: [%[4]s], categories: [%[5]s]}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.nodeCount, statusReplicasPath: .status.nodeCount}
    additionalPrinterColumns:
    - {name: SYNCED, type: string, jsonPath: ".status.conditions[?(@.type=='Synced')].status"}
    - {name: READY, type: string, jsonPath: ".status.conditions[?(@.type=='Ready')].status"}
    - {name: CONNECTION-SECRET, type: string, jsonPath: .spec.writeConnectionSecretToRef.name}
    - {name: AGE, type: date, jsonPath: .metadata.creationTimestamp}
    schema:
      openAPIV3Schema:
        type: object
        description: A cluster that a team orders.
        properties:
          spec:
            type: object
            properties:
              nodeCount: {type: integer, description: How many nodes it has.}
              region: {type: string}
              notes: {type: string}
              writeConnectionSecretToRef: {type: object, properties: {name: {type: string}}}
              resourceRef: {type: object, x-kubernetes-preserve-unknown-fields: true}
              parameters: {type: object, x-kubernetes-preserve-unknown-fields: true}
              template: {type: object, x-kubernetes-embedded-resource: true, x-kubernetes-preserve-unknown-fields: true}
          status:
            type: object
            properties:
              nodeCount: {type: integer}
              conditions: {type: array, items: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
`

// networkCRD is a second claim API with features that the first one lacks: columns that print the
// namespace, a selectable field, a default and a validation rule.
const networkCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: networks.k8s.starter.org}
spec:
  group: k8s.starter.org
  scope: Namespaced
  names: {plural: networks, singular: network, kind: Network, listKind: NetworkList, shortNames: [nw], categories: [claim]}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    selectableFields: [{jsonPath: .spec.region}]
    additionalPrinterColumns:
    - {name: HOME, type: string, jsonPath: .metadata.namespace}
    - {name: REGION, type: string, jsonPath: .spec.region}
    - {name: PLACE, type: string, jsonPath: .metadata.namespace, priority: 1, description: Where it is.}
    - {name: BRACKETS, type: string, jsonPath: ".metadata['namespace']", priority: 1}
    - {name: ANYWHERE, type: string, jsonPath: "..namespace", priority: 1}
    - {name: APPLIED, type: string, jsonPath: .metadata.annotations, priority: 1}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            x-kubernetes-validations: [{rule: "self.region != 'moon'", message: there is no network on the moon}]
            properties:
              region: {type: string, default: eu, maxLength: 10}
              size: {type: integer, minimum: 1}
---
`

const connectorRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: claimgate}
rules:
- {apiGroups: [k8s.starter.org], resources: ["*"], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: claimgate}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: claimgate}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: claimgate-team-a}]
`

// claim returns the manifest of a claim. Its last line is the spec.
func claim(namespace, name string) string {
	return fmt.Sprintf(`apiVersion: k8s.starter.org/v1alpha1
kind: KubernetesCluster
metadata: {name: %s, namespace: %s}
spec: {nodeCount: 3, region: eu}
`, name, namespace)
}

func (e *testEnv) seedControlPlane() error {
	var text strings.Builder
	for _, ns := range foreignNamespaces {
		fmt.Fprintf(&text, "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n---\n", ns)
	}
	for _, ns := range append(slices.Collect(maps.Values(mapping)), readNamespaces.direct, writeNamespaces.direct) {
		fmt.Fprintf(&text, "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n---\n", ns)
	}
	fmt.Fprintf(&text, claimCRD, "kubernetesclusters", "kubernetescluster", "KubernetesCluster", "kc", "claim")
	fmt.Fprintf(&text, claimCRD, "composites", "composite", "Composite", "xc", "composite")
	text.WriteString(networkCRD + connectorRole)
	if out, err := e.tryKubectl(e.controlPlane.kubeconfig, text.String(), "apply", "-f", "-"); err != nil {
		return fmt.Errorf("%s %w", out, err)
	}
	if _, err := e.tryKubectl(e.controlPlane.kubeconfig, "", "wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"); err != nil {
		return err
	}
	text.Reset()
	for _, ns := range foreignNamespaces {
		text.WriteString(claim(ns, "stranger") + "---\n")
	}
	return eventually(deadline, func() error {
		_, err := e.tryKubectl(e.controlPlane.kubeconfig, text.String(), "apply", "-f", "-")
		return err
	})
}

// instance is a claimgate process: its name, its ports, the link over which it reaches the control
// plane, and parts of its configuration.
type instance struct {
	name                          string
	port, adminPort               int
	link                          *link
	compression, cluster, mapping string
	pingInterval, pingTimeout     time.Duration
	// more sections of the configuration
	more string
}

// newInstance returns an instance for the environment's app cluster. It has no ports and no link.
func newInstance(name, compression string) instance {
	return instance{name: name, compression: compression, cluster: appClusterName, mapping: mappingConfig(), pingInterval: pingInterval, pingTimeout: pingTimeout}
}

// config returns the configuration with this kubeconfig for the control plane.
func (i instance) config(kubeconfig string) string {
	return fmt.Sprintf(`cluster: %s
listen: {address: "127.0.0.1:%d", certificate: claimgate.crt, key: claimgate.key}
authentication:
  requestHeader: {clientCa: front-proxy-ca.crt}
  clientCertificate: {clientCa: client-ca.crt}
authorization: {directGroups: [dev-users]}
controlPlanes:
  platform:
    kubeconfig: %s
    mapping: %s
    compression: %s
    timeouts: {pingInterval: %s, pingTimeout: %s}
apis: [{group: k8s.starter.org, controlPlane: platform}]
admin: {address: "127.0.0.1:%d"}
log: {level: "info,claimgate=debug", format: text}
%s`, i.cluster, i.port, kubeconfig, i.mapping, i.compression, i.pingInterval, i.pingTimeout, i.adminPort, i.more)
}

func (e *testEnv) startClaimgate() (err error) {
	i := newInstance("claimgate", cmp.Or(os.Getenv("TEST_COMPRESSION"), "auto"))
	i.port, i.adminPort, i.link = e.port, e.adminPort, e.link
	e.claimgate, err = e.runClaimgate(i)
	return err
}

// runClaimgate starts a claimgate.
func (e *testEnv) runClaimgate(i instance) (*process, error) {
	url, kubeconfig := fmt.Sprintf("https://localhost:%d", i.link.port), i.name+"-connector.kubeconfig"
	must(os.WriteFile(e.path(kubeconfig), []byte(e.certificates.kubeconfig(url, "connector")), 0o600))
	file := e.path(i.name + ".yaml")
	must(os.WriteFile(file, []byte(i.config(kubeconfig)), 0o600))
	return e.run(i.name, os.Getenv("TEST_BINARY"), "serve", "--config", file)
}

func (e *testEnv) ready() error { return ready(e.adminPort) }

// ready asks claimgate itself whether it is ready.
func ready(adminPort int) error {
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", adminPort))
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != 200 {
		return fmt.Errorf("readyz: %s", response.Status)
	}
	return nil
}

func (e *testEnv) restartClaimgate() error {
	e.claimgate.kill()
	if err := e.startClaimgate(); err != nil {
		return err
	}
	return eventually(deadline, e.ready)
}

// restartWith restarts claimgate with a changed configuration. The returned function restarts it with
// the original one, which also happens at the end of the test.
func restartWith(t *testing.T, before, after string) (restore func()) {
	t.Helper()
	file := env.path("claimgate.yaml")
	original, err := os.ReadFile(file)
	must(err)
	changed := strings.ReplaceAll(string(original), before, after)
	if changed == string(original) {
		t.Fatalf("%q is not in the configuration:\n%s", before, original)
	}
	restart := func(config string) {
		must(os.WriteFile(file, []byte(config), 0o600))
		env.claimgate.kill()
		env.claimgate, err = env.run("claimgate", os.Getenv("TEST_BINARY"), "serve", "--config", file)
		must(err)
		must(eventually(deadline, env.ready))
	}
	restore = sync.OnceFunc(func() {
		restart(string(original))
		must(awaitClaimsInDiscovery())
	})
	t.Cleanup(restore)
	restart(changed)
	return restore
}

// awaitClaimsInDiscovery makes the app cluster read discovery, which it otherwise does once a minute, and waits until
// it has the claims.
func awaitClaimsInDiscovery() error {
	now := fmt.Sprint("checked=", time.Now().UnixNano())
	if _, err := env.tryKubectl(env.app.kubeconfig, "", "annotate", "apiservice", "v1alpha1.k8s.starter.org", now, "--overwrite"); err != nil {
		return err
	}
	return eventually(slowDeadline, func() error {
		out, err := env.tryKubectl(env.app.kubeconfig, "", "api-resources", "--api-group=k8s.starter.org", "--cached=false", "-o", "name")
		if err == nil && !strings.Contains(out, "kubernetesclusters") {
			err = fmt.Errorf("the app cluster lists only %q", out)
		}
		return err
	})
}

// terminate sends SIGTERM and returns the exit code.
func (p *process) terminate(within time.Duration) (int, error) {
	syscall.Kill(p.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(within):
		return -1, fmt.Errorf("still running after %s", within)
	}
}

const registration = `
apiVersion: v1
kind: Namespace
metadata: {name: claimgate-system}
---
apiVersion: v1
kind: Service
metadata: {name: claimgate, namespace: claimgate-system}
spec: {type: ExternalName, externalName: localhost, ports: [{port: %[1]d}]}
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1alpha1.k8s.starter.org}
spec:
  group: k8s.starter.org
  version: v1alpha1
  groupPriorityMinimum: 1000
  versionPriority: 15
  caBundle: %[2]s
  service: {name: claimgate, namespace: claimgate-system, port: %[1]d}
`

var availableAfter time.Duration

// register registers claimgate in the app cluster and waits until claims are served there.
func (e *testEnv) register() error {
	text := ""
	for _, ns := range []string{"team-a", "unmapped", readNamespaces.local, writeNamespaces.local} {
		text += fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n---\n", ns)
	}
	text += fmt.Sprintf(registration, e.port, base64.StdEncoding.EncodeToString(e.certificates.read("server-ca.crt")))
	if err := eventually(deadline, e.ready); err != nil {
		return err
	}
	begin := time.Now()
	if _, err := e.tryKubectl(e.app.kubeconfig, text, "apply", "-f", "-"); err != nil {
		return err
	}
	if _, err := e.tryKubectl(e.app.kubeconfig, "", "wait", "--for=condition=Available", "--timeout=30s", "apiservice/v1alpha1.k8s.starter.org"); err != nil {
		return err
	}
	availableAfter = time.Since(begin)
	return eventually(2*deadline, func() error {
		if _, err := e.tryKubectl(e.app.kubeconfig, "", "get", "kc"); err != nil {
			return err
		}
		// The app cluster reads OpenAPI later than discovery. Without it, kubectl finds no server-side validation.
		text, err := e.tryKubectl(e.app.kubeconfig, "", "get", "--raw", "/openapi/v3/apis/k8s.starter.org/v1alpha1")
		if err == nil && !strings.Contains(text, "fieldValidation") {
			err = errors.New("the app cluster has no OpenAPI document of claims yet")
		}
		return err
	})
}

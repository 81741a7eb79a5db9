package kubernetes

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

const crd = `
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
              parameters: {type: object, x-kubernetes-preserve-unknown-fields: true}
              template: {type: object, x-kubernetes-embedded-resource: true, x-kubernetes-preserve-unknown-fields: true}
          status:
            type: object
            properties:
              nodeCount: {type: integer}
              conditions: {type: array, items: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
`

// networkCRD is a second claim, which has what the first one has not: columns that print the
// namespace, a selectable field, a default and a rule.
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

func claim(namespace, name string) string {
	return fmt.Sprintf(`apiVersion: k8s.starter.org/v1alpha1
kind: KubernetesCluster
metadata: {name: %s, namespace: %s}
spec: {nodeCount: 3, region: eu}
`, name, namespace)
}

func (b *bed) seedControlPlane() error {
	var text strings.Builder
	for _, ns := range foreign {
		fmt.Fprintf(&text, "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n---\n", ns)
	}
	for _, ns := range append(slices.Collect(maps.Values(mapping)), reading.direct, writing.direct) {
		fmt.Fprintf(&text, "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n---\n", ns)
	}
	fmt.Fprintf(&text, crd, "kubernetesclusters", "kubernetescluster", "KubernetesCluster", "kc", "claim")
	fmt.Fprintf(&text, crd, "composites", "composite", "Composite", "xc", "composite")
	text.WriteString(networkCRD + connectorRole)
	if out, err := b.try(b.cp.kubeconfig, text.String(), "apply", "-f", "-"); err != nil {
		return fmt.Errorf("%s %w", out, err)
	}
	if _, err := b.try(b.cp.kubeconfig, "", "wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"); err != nil {
		return err
	}
	text.Reset()
	for _, ns := range foreign {
		text.WriteString(claim(ns, "stranger") + "---\n")
	}
	return eventually(deadline, func() error {
		_, err := b.try(b.cp.kubeconfig, text.String(), "apply", "-f", "-")
		return err
	})
}

// config is claimgate's, with these ports of its own and this kubeconfig towards the control plane.
func (b *bed) config(port, adminPort int, kubeconfig, compression string) string {
	var rows []string
	for local, remote := range mapping {
		rows = append(rows, local+": "+remote)
	}
	return fmt.Sprintf(`cluster: team-a
listen: {address: "127.0.0.1:%d", certificate: claimgate.crt, key: claimgate.key}
authentication:
  requestHeader: {clientCa: front-proxy-ca.crt}
  clientCertificate: {clientCa: client-ca.crt}
authorization: {directGroups: [dev-users]}
controlPlanes:
  platform:
    kubeconfig: %s
    mapping: {namespaces: {%s}}
    compression: %s
    timeouts: {pingInterval: %s, pingTimeout: %s}
apis: [{group: k8s.starter.org, controlPlane: platform}]
admin: {address: "127.0.0.1:%d"}
log: {level: "info,claimgate=debug", format: text}
`, port, kubeconfig, strings.Join(rows, ", "), compression, pings, pongs, adminPort)
}

func (b *bed) startClaimgate() (err error) {
	b.claimgate, err = b.runClaimgate("claimgate", b.port, b.adminPort, b.link, cmp.Or(os.Getenv("BED_COMPRESSION"), "auto"))
	return err
}

// runClaimgate runs one of this name, which reaches the control plane over this link.
func (b *bed) runClaimgate(name string, port, adminPort int, link *link, compression string) (*process, error) {
	url, kubeconfig := fmt.Sprintf("https://localhost:%d", link.port), name+"-connector.kubeconfig"
	must(os.WriteFile(b.path(kubeconfig), []byte(b.pki.kubeconfig(url, "connector")), 0o600))
	file := b.path(name + ".yaml")
	must(os.WriteFile(file, []byte(b.config(port, adminPort, kubeconfig, compression)), 0o600))
	return b.run(name, os.Getenv("BED_CLAIMGATE"), "serve", "--config", file)
}

func (b *bed) ready() error { return ready(b.adminPort) }

// ready asks claimgate itself.
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

func (b *bed) restartClaimgate() error {
	b.claimgate.kill()
	if err := b.startClaimgate(); err != nil {
		return err
	}
	return eventually(deadline, b.ready)
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

// register puts claimgate into the app cluster and waits until it is used.
func (b *bed) register() error {
	text := ""
	for _, ns := range []string{"team-a", "unmapped", reading.local, writing.local} {
		text += fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n---\n", ns)
	}
	text += fmt.Sprintf(registration, b.port, base64.StdEncoding.EncodeToString(b.pki.read("server-ca.crt")))
	if err := eventually(deadline, b.ready); err != nil {
		return err
	}
	begin := time.Now()
	if _, err := b.try(b.app.kubeconfig, text, "apply", "-f", "-"); err != nil {
		return err
	}
	if _, err := b.try(b.app.kubeconfig, "", "wait", "--for=condition=Available", "--timeout=30s", "apiservice/v1alpha1.k8s.starter.org"); err != nil {
		return err
	}
	availableAfter = time.Since(begin)
	return eventually(2*deadline, func() error {
		_, err := b.try(b.app.kubeconfig, "", "get", "kc")
		return err
	})
}

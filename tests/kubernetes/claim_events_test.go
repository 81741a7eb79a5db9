package kubernetes

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// eventTime is how long an event may take to reach the app cluster.
const eventTime = 5 * time.Second

// eventRights are those of the connector on the control plane, for events about claims, composite and composed resources.
const eventRights = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: claimgate-events}
rules: [{apiGroups: [""], resources: [events], verbs: [list, watch]}, {apiGroups: [plain.starter.org], resources: [disks], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: claimgate-events}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: claimgate-events}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: claimgate-team-a}]
`

// remoteEvent is an event as Crossplane writes it, about a claim or a composite resource.
type remoteEvent struct {
	object                        map[string]any
	namespace, name, kind, reason string
	message                       string
	count                         int
}

func (e remoteEvent) manifest() string {
	now := time.Now().UTC().Format(time.RFC3339)
	text, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Event", "metadata": map[string]any{"namespace": e.namespace, "name": e.name},
		"involvedObject": e.object, "type": e.kind, "reason": e.reason, "message": e.message, "count": max(e.count, 1),
		"firstTimestamp": now, "lastTimestamp": now, "source": map[string]any{"component": "offered/claim"},
	})
	must(err)
	return string(text) + "\n"
}

func (e remoteEvent) write(t *testing.T) {
	t.Helper()
	kubectl(t, env.controlPlane, e.manifest(), "apply", "-f", "-")
}

// warn returns a warning about a claim.
func (c remoteClaim) warn(name, message string) remoteEvent {
	object := map[string]any{"apiVersion": groupVersion, "kind": "KubernetesCluster", "namespace": c.namespace, "name": c.name, "uid": c.uid}
	return remoteEvent{object: object, namespace: c.namespace, name: name, kind: "Warning", reason: "BindCompositeResource", message: message}
}

// copiedEvents returns reason, count and message of the events about a claim in the app cluster, each in a line.
func copiedEvents(namespace, name string) []string {
	out, err := env.tryKubectl(env.app.kubeconfig, "", "-n", namespace, "get", "events", "--field-selector=involvedObject.kind=KubernetesCluster,involvedObject.name="+name,
		"-o", `jsonpath={range .items[*]}{.reason} {.count} {.message}{"\n"}{end}`)
	if err != nil {
		return []string{err.Error()}
	}
	return strings.FieldsFunc(out, func(c rune) bool { return c == '\n' })
}

func awaitCopiedEvent(t *testing.T, within time.Duration, namespace, name, line string) {
	t.Helper()
	begin := time.Now()
	await(t, within, func() error {
		lines := copiedEvents(namespace, name)
		for _, found := range lines {
			if found == line {
				return nil
			}
		}
		return fmt.Errorf("%s/%s has the events %q, none is %q", namespace, name, lines, line)
	})
	t.Logf("%q after %s", line, time.Since(begin).Round(10*time.Millisecond))
}

func (c *copier) metrics() string {
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", c.adminPort))
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return string(text)
}

func TestEventsAboutClaimsAppearInTheAppCluster(t *testing.T) {
	c := startCopierWith(t, "event-copier", "events: {claim: true}", "events.yaml", eventRights)
	claim := orderClaim(t, "default", "with-events", "conn")
	failure := claim.warn("failure", fmt.Sprintf("cannot get %s/%s of %s in namespace %q", claim.namespace, claim.secret, claim.name, claim.namespace))
	failure.write(t)
	const message = `cannot get default/conn of with-events in namespace "default"`
	awaitCopiedEvent(t, registrationTime, "default", "with-events", "BindCompositeResource 1 "+message)
	second := claim.warn("second", "and again")
	second.write(t)
	awaitCopiedEvent(t, eventTime, "default", "with-events", "BindCompositeResource 1 and again")
	for _, command := range []string{"describe kubernetescluster with-events", "events --for kubernetescluster/with-events"} {
		out := kubectl(t, env.app, "", append([]string{"-n", "default"}, strings.Fields(command)...)...)
		if !strings.Contains(out, message) {
			t.Errorf("kubectl %s does not show the event:\n%s", command, out)
		}
		if names := findRemoteNames([]byte(out)); len(names) > 0 || strings.Contains(out, claim.namespace) {
			t.Errorf("kubectl %s shows remote names %s:\n%s", command, names, out)
		}
	}

	// A series is updated.
	failure.count = 7
	failure.write(t)
	awaitCopiedEvent(t, eventTime, "default", "with-events", "BindCompositeResource 7 "+message)

	// A restart repeats nothing.
	c.stop()
	c.start(t)
	third := claim.warn("third", "after the restart")
	third.write(t)
	awaitCopiedEvent(t, registrationTime, "default", "with-events", "BindCompositeResource 1 after the restart")
	if lines := copiedEvents("default", "with-events"); len(lines) != 3 {
		t.Errorf("after the restart, the events are %q", lines)
	}

	// Events about other objects stay away, and a flood is bounded.
	stranger := remoteEvent{namespace: foreignNamespaces[0], name: "foreign", kind: "Warning", reason: "Foreign", message: "foreign"}
	for _, namespace := range []string{foreignNamespaces[0], claim.namespace} {
		stranger.namespace = namespace
		stranger.object = map[string]any{"apiVersion": groupVersion, "kind": "KubernetesCluster", "namespace": namespace, "name": "stranger", "uid": "5e1f0000-0000-0000-0000-000000000000"}
		stranger.write(t)
	}
	flooded := orderClaim(t, "team-a", "flooded", "conn")
	var flood strings.Builder
	for i := range 100 {
		flood.WriteString(flooded.warn(fmt.Sprintf("flood-%d", i), fmt.Sprintf("failure %d", i)).manifest())
	}
	kubectl(t, env.controlPlane, flood.String(), "create", "-f", "-")
	await(t, deadline, func() error {
		if text := c.metrics(); !strings.Contains(text, `claimgate_dropped_claim_events_total{control_plane="platform",reason="rate"} 75`) {
			return fmt.Errorf("not 75 events were dropped:\n%s", text)
		}
		return nil
	})
	if out := runStatus(t, "--address", fmt.Sprintf("127.0.0.1:%d", c.adminPort)); !strings.Contains(out, "Z  75 (rate)\n") || strings.Contains(out, "events of") {
		t.Errorf("status says\n%s", out)
	}
	if lines := copiedEvents("team-a", "flooded"); len(lines) != 25 {
		t.Errorf("%d events of a flood were copied: %q", len(lines), lines)
	}
	if out := kubectl(t, env.app, "", "get", "events", "-A"); strings.Contains(out, "oreign") {
		t.Errorf("foreign events were copied:\n%s", out)
	}
}

const compositeCRD = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: xkubernetesclusters.k8s.starter.org}
spec:
  group: k8s.starter.org
  scope: Cluster
  names: {plural: xkubernetesclusters, singular: xkubernetescluster, kind: XKubernetesCluster, listKind: XKubernetesClusterList, categories: [composite]}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: disks.plain.starter.org}
spec:
  group: plain.starter.org
  scope: Cluster
  names: {plural: disks, singular: disk, kind: Disk, listKind: DiskList}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

// compose creates a composite resource for a claim that cannot be composed, binds the claim to it, and writes a warning about it.
func (c remoteClaim) compose(t *testing.T, name string, claim remoteClaim) {
	t.Helper()
	manifest := fmt.Sprintf(`apiVersion: %[1]s
kind: XKubernetesCluster
metadata: {name: %[2]s}
spec: {claimRef: {apiVersion: %[1]s, kind: KubernetesCluster, namespace: %[3]s, name: %[4]s}}
status: {conditions: [{type: Synced, status: "False", reason: ReconcileError, message: "no composition for %[2]s", lastTransitionTime: "2026-01-01T00:00:00Z"}]}
`, groupVersion, name, claim.namespace, claim.name)
	kubectl(t, env.controlPlane, manifest, "apply", "-f", "-")
	uid := kubectl(t, env.controlPlane, "", "get", "xkubernetescluster", name, "-o", "jsonpath={.metadata.uid}")
	object := map[string]any{"apiVersion": groupVersion, "kind": "XKubernetesCluster", "name": name, "uid": uid}
	remoteEvent{object: object, namespace: "default", name: name, kind: "Warning", reason: "SelectComposition", message: "cannot select a composition for " + name}.write(t)
	reference := fmt.Sprintf(`{"spec":{"resourceRef":{"apiVersion":%q,"kind":"XKubernetesCluster","name":%q}}}`, groupVersion, name)
	kubectl(t, env.controlPlane, "", "-n", c.namespace, "patch", "kubernetescluster", c.name, "--type=merge", "-p", reference)
}

// addDisk creates a resource with these owners and a warning about it.
func addDisk(t *testing.T, name, owners string) {
	t.Helper()
	manifest := fmt.Sprintf("apiVersion: plain.starter.org/v1\nkind: Disk\nmetadata: {name: %s, ownerReferences: [%s]}\n", name, owners)
	kubectl(t, env.controlPlane, manifest, "apply", "-f", "-")
	uid := kubectl(t, env.controlPlane, "", "get", "disk", name, "-o", "jsonpath={.metadata.uid}")
	object := map[string]any{"apiVersion": "plain.starter.org/v1", "kind": "Disk", "name": name, "uid": uid}
	remoteEvent{object: object, namespace: "default", name: name, kind: "Warning", reason: "CannotCreate", message: "no space"}.write(t)
}

func TestEventsAboutCompositeResourcesAppearIfEnabled(t *testing.T) {
	kubectl(t, env.controlPlane, compositeCRD, "apply", "-f", "-")
	t.Cleanup(func() {
		env.tryKubectl(env.controlPlane.kubeconfig, compositeCRD, "delete", "--ignore-not-found", "-f", "-")
	})
	kubectl(t, env.controlPlane, "", "wait", "--for=condition=Established", "--timeout=30s", "crd/xkubernetesclusters.k8s.starter.org", "crd/disks.plain.starter.org")
	c := startCopierWith(t, "composite-copier", "events: {claim: true}", "events.yaml", eventRights)
	own := orderClaim(t, "default", "composed", "conn")
	thief := orderClaim(t, "team-a", "thief", "conn")
	own.compose(t, own.name+"-x7k2p", own)
	// A user names the composite resource of someone else.
	foreign := remoteClaim{namespace: foreignNamespaces[0], name: "stranger"}
	thief.compose(t, "stranger-abcde", foreign)
	for _, claim := range []remoteClaim{own, thief} {
		claim.warn("about-"+claim.name, "waits").write(t)
	}
	awaitCopiedEvent(t, registrationTime, "default", "composed", "BindCompositeResource 1 waits")
	if lines := copiedEvents("default", "composed"); len(lines) != 1 {
		t.Errorf("without the option, the events are %q", lines)
	}

	c.stop()
	c.api = "events: {composite: true}"
	c.start(t)
	awaitCopiedEvent(t, registrationTime, "default", "composed", "ReconcileError 1 XKubernetesCluster composed-x7k2p: no composition for composed-x7k2p")
	awaitCopiedEvent(t, eventTime, "default", "composed", "SelectComposition 1 XKubernetesCluster composed-x7k2p: cannot select a composition for composed-x7k2p")
	if out := kubectl(t, env.app, "", "-n", "default", "describe", "kubernetescluster", "composed"); !strings.Contains(out, "no composition for composed-x7k2p") {
		t.Errorf("kubectl describe does not show the reason:\n%s", out)
	}
	if lines := copiedEvents("team-a", "thief"); len(lines) != 1 {
		t.Errorf("the events of the claim that names a foreign composite resource are %q", lines)
	}

	// Another reason updates the event about the condition, and names can be hidden.
	c.stop()
	c.api = "events: {composite: true, composed: true, hideCompositeNames: true}"
	c.start(t)
	composite := own.name + "-x7k2p"
	uid := kubectl(t, env.controlPlane, "", "get", "xkubernetescluster", composite, "-o", "jsonpath={.metadata.uid}")
	addDisk(t, composite+"-own", fmt.Sprintf("{apiVersion: %s, kind: XKubernetesCluster, name: %s, uid: %s, controller: true}", groupVersion, composite, uid))
	addDisk(t, composite+"-foreign", "")
	kubectl(t, env.controlPlane, "", "patch", "xkubernetescluster", composite, "--type=json", "-p", `[{"op":"replace","path":"/status/conditions/0/reason","value":"Paused"},
		{"op":"add","path":"/spec/resourceRefs","value":[{"apiVersion":"plain.starter.org/v1","kind":"Disk","name":"`+composite+`-foreign"},{"apiVersion":"plain.starter.org/v1","kind":"Disk","name":"`+composite+`-own"}]}]`)
	awaitCopiedEvent(t, registrationTime, "default", "composed", "Paused 1 XKubernetesCluster (name not shown): no composition for (name not shown)")
	awaitCopiedEvent(t, eventTime, "default", "composed", "CannotCreate 1 Disk (name not shown): no space")
	if lines := copiedEvents("default", "composed"); len(lines) != 4 {
		t.Errorf("after the change, the events are %q", lines)
	}
}

func TestMissingRightOnEventsIsLoggedOnce(t *testing.T) {
	c := startCopierWith(t, "unprivileged-copier", "events: {claim: true}", "namespaces.yaml", eventRights)
	claim := orderClaim(t, "default", "unheard", "conn")
	for _, name := range []string{"first", "second"} {
		claim.warn("unheard-"+name, name).write(t)
	}
	await(t, deadline, func() error {
		if text := c.metrics(); !strings.Contains(text, `claimgate_dropped_claim_events_total{control_plane="platform",reason="forbidden"} 2`) {
			return fmt.Errorf("not 2 events were dropped:\n%s", text)
		}
		return nil
	})
	out := runStatus(t, "--address", fmt.Sprintf("127.0.0.1:%d", c.adminPort))
	if !strings.Contains(out, `events of "platform": cannot write events about claims in the app cluster: `) {
		t.Errorf("status does not show the problem:\n%s", out)
	}
	log, err := os.ReadFile(c.process.log)
	must(err)
	if count := strings.Count(string(log), "config/rbac/events.yaml"); count != 1 {
		t.Errorf("the log names the cure %d times:\n%s", count, log)
	}
}

package kubernetes

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// degradeAfter is how long the control plane must be unavailable in these tests before discovery changes.
const degradeAfter = 3 * time.Second

// unrelatedTime is how long the app cluster's controllers may take for what is not a claim, from their start.
const unrelatedTime = 40 * time.Second

// recoveryTime is how long everything may take to be as before, from the return of the control plane.
const recoveryTime = 60 * time.Second

// unrelatedQuota allows one ConfigMap.
const unrelatedQuota = `{apiVersion: v1, kind: ResourceQuota, metadata: {name: one}, spec: {hard: {count/configmaps: "1"}}}`

// acceptDiscovery asks for aggregated discovery.
var acceptDiscovery = map[string]string{"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}

// verbsInDiscovery returns the verbs of a resource in the app cluster's aggregated discovery.
func verbsInDiscovery(t *testing.T, group, resource string) []string {
	t.Helper()
	status, body := sendAsAdmin(t, env.app, "GET", "/apis", "", acceptDiscovery)
	if status != 200 {
		t.Fatalf("status %d: %s", status, body)
	}
	var discovery struct {
		Items []struct {
			Metadata struct{ Name string }
			Versions []struct {
				Resources []struct {
					Resource string
					Verbs    []string
				}
			}
		}
	}
	must(json.Unmarshal([]byte(body), &discovery))
	for _, item := range discovery.Items {
		for _, version := range item.Versions {
			for _, found := range version.Resources {
				if item.Metadata.Name == group && found.Resource == resource {
					return found.Verbs
				}
			}
		}
	}
	return nil
}

// awaitWatchVerb waits until the app cluster's discovery lists the queues with the verb watch, or without it. Their other
// verbs stay.
func awaitWatchVerb(t *testing.T, want bool, within time.Duration) {
	t.Helper()
	begin := time.Now()
	await(t, within, func() error {
		verbs := verbsInDiscovery(t, "queues.example.org", "queues")
		for _, verb := range []string{"list", "deletecollection", "create", "get", "delete", "patch", "update"} {
			if !slices.Contains(verbs, verb) {
				return fmt.Errorf("the app cluster lists the queues with %v", verbs)
			}
		}
		if slices.Contains(verbs, "watch") != want {
			return fmt.Errorf("the app cluster lists the queues with %v", verbs)
		}
		return nil
	})
	t.Logf("verb watch of the queues: %t after %s", want, time.Since(begin).Round(100*time.Millisecond))
}

// startAllControllers replaces the app cluster's controllers by ones that also enforce quotas. They start like those of an
// API server that restarts. Quotas for kinds that appear later are counted at the next full sync, as for CRDs.
func startAllControllers(t *testing.T) {
	t.Helper()
	env.app.controllers.kill()
	controllers, err := env.run("app-all-controllers", filepath.Join(env.app.bin, "kube-controller-manager"), "--kubeconfig", env.app.kubeconfig,
		"--leader-elect=false", "--secure-port=0", "--resource-quota-sync-period=3s",
		"--controllers=namespace-controller,garbage-collector-controller,resourcequota-controller")
	must(err)
	env.app.controllers = controllers
	t.Cleanup(func() {
		env.app.controllers.kill()
		must(env.startControllers(env.app))
	})
}

// unrelatedNamespaces counts the namespaces of assertUnrelatedWorks.
var unrelatedNamespaces int

// assertUnrelatedWorks checks that the controllers enforce a quota, collect garbage and delete a namespace without claims. It
// returns the name of the namespace. In an outage, only a table tells that the namespace has no claims. With the shared
// mapping, the namespace stays until the outage ends.
func assertUnrelatedWorks(t *testing.T, when string, isOutage bool) string {
	t.Helper()
	unrelatedNamespaces++
	namespace := fmt.Sprintf("unrelated-%d", unrelatedNamespaces)
	begin := time.Now()
	report := func(what string) {
		t.Logf("%s: %s after %s", when, what, time.Since(begin).Round(100*time.Millisecond))
	}
	inAppCluster(t, "create", "namespace", namespace)
	kubectl(t, env.app, unrelatedQuota, "create", "-n", namespace, "-f", "-")
	await(t, unrelatedTime, func() error {
		used, err := env.tryKubectl(env.app.kubeconfig, "", "get", "-n", namespace, "resourcequota", "one", "-o", "jsonpath={.status.used.count/configmaps}")
		if err == nil && used != "0" {
			err = fmt.Errorf("the quota has used %q", used)
		}
		return err
	})
	inAppCluster(t, "create", "-n", namespace, "configmap", "owner")
	_, err := env.tryKubectl(env.app.kubeconfig, "", "create", "-n", namespace, "configmap", "second")
	if err == nil || !strings.Contains(err.Error(), "exceeded quota") {
		t.Errorf("%s: a second ConfigMap: %v", when, err)
	}
	report("the quota is enforced")

	uid := inAppCluster(t, "get", "-n", namespace, "configmap", "owner", "-o", "jsonpath={.metadata.uid}")
	owned := fmt.Sprintf(`{apiVersion: v1, kind: Secret, metadata: {name: owned, ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: owner, uid: %s}]}}`, uid)
	kubectl(t, env.app, owned, "create", "-n", namespace, "-f", "-")
	inAppCluster(t, "delete", "-n", namespace, "configmap", "owner")
	await(t, unrelatedTime, func() error {
		out, err := env.tryKubectl(env.app.kubeconfig, "", "get", "-n", namespace, "secret", "owned", "--ignore-not-found", "-o", "name")
		if err == nil && out != "" {
			err = fmt.Errorf("the garbage collector left %s", out)
		}
		return err
	})
	report("garbage is collected")
	if isOutage && isShared() {
		inAppCluster(t, "delete", "namespace", namespace, "--wait=false")
		awaitDeletionFails(t, namespace)
		return namespace
	}
	inAppCluster(t, "delete", "namespace", namespace, fmt.Sprintf("--timeout=%s", unrelatedTime))
	report("the namespace is deleted")
	return namespace
}

// awaitDeletionFails waits until a namespace that is being deleted reports that the control plane does not answer.
func awaitDeletionFails(t *testing.T, namespace string) {
	t.Helper()
	await(t, slowDeadline, func() error {
		out, err := env.tryKubectl(env.app.kubeconfig, "", "get", "namespace", namespace, "-o", `jsonpath={.status.conditions[?(@.type=="NamespaceDeletionContentFailure")].message}`)
		if err == nil && !strings.Contains(out, `control plane "platform" does not answer`) {
			err = fmt.Errorf("the namespace reports %q", out)
		}
		return err
	})
}

// awaitNamespaceGone waits until a namespace is gone.
func awaitNamespaceGone(t *testing.T, namespace string) {
	t.Helper()
	inAppCluster(t, "wait", "--for=delete", "namespace/"+namespace, fmt.Sprintf("--timeout=%s", recoveryTime))
}

// awaitEventsOfQueueService waits until the events about the APIService have these reasons.
func awaitEventsOfQueueService(t *testing.T, reasons string) {
	t.Helper()
	await(t, slowDeadline, func() error {
		events, err := env.tryKubectl(env.app.kubeconfig, "", "get", "events", "-n", "default",
			"--field-selector", "involvedObject.kind=APIService,involvedObject.name="+queueService,
			"-o", `jsonpath={range .items[*]}{.reason}{"\n"}{end}`)
		if err == nil && !strings.Contains(events, reasons) {
			err = fmt.Errorf("the events of the APIService are %q", events)
		}
		return err
	})
}

// startRegistrarForOutages starts a claimgate with a link to the control plane of its own, which a test can break.
func startRegistrarForOutages(t *testing.T, degradeAfter time.Duration) *registrar {
	t.Helper()
	createQueueAPI(t)
	kubectl(t, env.controlPlane, queueRole, "apply", "-f", "-")
	own, err := newLink(fmt.Sprintf("127.0.0.1:%d", env.controlPlane.port))
	must(err)
	r := startRegistrar(t, func(r *registrar) {
		r.link = own
		r.more = fmt.Sprintf("outage: {degradeAfter: %s}\nstateDirectory: %s\n", degradeAfter, t.TempDir())
	})
	awaitResource(t, "queues", true)
	// Discovery may still be that of an earlier claimgate.
	awaitSuccess(t, env.app, "", "get", "queues")
	awaitWatchVerb(t, true, registrationTime)
	return r
}

// TestOutageDoesNotAffectOtherResources starts the app cluster's controllers while the control plane is unavailable.
func TestOutageDoesNotAffectOtherResources(t *testing.T) {
	r := startRegistrarForOutages(t, degradeAfter)
	own := r.link
	inAppCluster(t, "create", "namespace", "doomed")
	doomed := strings.Replace(queue("orders"), "default", "doomed", 1)
	await(t, slowDeadline, func() error {
		_, err := env.tryKubectl(env.app.kubeconfig, doomed, "apply", "-f", "-")
		return err
	})
	startAllControllers(t)
	assertUnrelatedWorks(t, "before the outage", false)
	owned := ownConfigMapByQueue(t)
	storedQueue := func() (string, error) {
		return env.tryKubectl(env.controlPlane.kubeconfig, "", "get", "queues", "-A", "-o", "name")
	}

	own.refuseConnections()
	awaitWatchVerb(t, false, recoveryTime)
	metric := `claimgate_api_degraded{control_plane="platform",group="queues.example.org",version="v1"} 1`
	assertContains(t, metricsOf(t, r.adminPort), metric)
	awaitEventsOfQueueService(t, "Degraded")
	unrelated := []string{assertUnrelatedWorks(t, "with controllers that ran before the outage", true)}

	restartInOutage(t, r)
	startAllControllers(t)
	unrelated = append(unrelated, assertUnrelatedWorks(t, "with controllers that start in the outage", true))
	// A namespace with claims must stay, because nobody can list them.
	inAppCluster(t, "delete", "namespace", "doomed", "--wait=false")
	awaitDeletionFails(t, "doomed")
	if stored, err := storedQueue(); err != nil || !strings.Contains(stored, "orders") {
		t.Fatalf("the control plane stores %q, %v", stored, err)
	}

	// Once the Lease of the killed daemon has expired, the new one reports too.
	awaitEventsOfQueueService(t, "Degraded\nDegraded")
	must(own.restore())
	begin := time.Now()
	awaitWatchVerb(t, true, recoveryTime)
	awaitNamespaceGone(t, "doomed")
	t.Logf("the namespace with claims is deleted %s after the return", time.Since(begin).Round(100*time.Millisecond))
	if stored, err := storedQueue(); err != nil || strings.Contains(stored, "orders") || !strings.Contains(stored, "owner") {
		t.Errorf("the control plane stores %q, %v", stored, err)
	}
	for _, namespace := range unrelated {
		awaitNamespaceGone(t, namespace)
	}
	awaitEventsOfQueueService(t, "Recovered")
	awaitQueueQuota(t, 1, recoveryTime)
	assertLogOfOutage(t, r.process)
	if uid := uidOfOwnedConfigMap(t); uid != owned {
		t.Errorf("the ConfigMap that a claim owns was replaced: %s instead of %s", uid, owned)
	}
}

// restartInOutage restarts a daemon that knows discovery only from its state directory. Its log begins anew.
func restartInOutage(t *testing.T, r *registrar) {
	t.Helper()
	r.process.kill()
	must(os.Truncate(r.process.log, 0))
	r.start(t)
	await(t, slowDeadline, func() error {
		_, err := env.tryKubectl(env.app.kubeconfig, "", "get", "queues")
		if err == nil || !strings.Contains(err.Error(), `control plane "platform" does not answer`) {
			return fmt.Errorf("after the restart: %v", err)
		}
		return nil
	})
	awaitWatchVerb(t, false, recoveryTime)
}

// ownConfigMapByQueue creates a claim that lives through the outage, and a ConfigMap of the app cluster that it owns. It
// returns the UID of the ConfigMap.
func ownConfigMapByQueue(t *testing.T) string {
	t.Helper()
	kubectl(t, env.app, queue("owner"), "apply", "-f", "-")
	t.Cleanup(func() {
		env.tryKubectl(env.app.kubeconfig, "", "delete", "queue", "-n", "default", "owner", "--wait=false")
	})
	uid := inAppCluster(t, "get", "queue", "-n", "default", "owner", "-o", "jsonpath={.metadata.uid}")
	owned := fmt.Sprintf(`{apiVersion: v1, kind: ConfigMap, metadata: {name: owned-by-queue, ownerReferences: [{apiVersion: queues.example.org/v1, kind: Queue, name: owner, uid: %s}]}}`, uid)
	kubectl(t, env.app, owned, "create", "-n", "default", "-f", "-")
	return uidOfOwnedConfigMap(t)
}

func uidOfOwnedConfigMap(t *testing.T) string {
	t.Helper()
	return inAppCluster(t, "get", "configmap", "-n", "default", "owned-by-queue", "-o", "jsonpath={.metadata.uid}")
}

// assertLogOfOutage checks that a daemon that started in an outage logs its begin and its end once each, and no line for a
// request.
func assertLogOfOutage(t *testing.T, daemon *process) {
	t.Helper()
	text, err := os.ReadFile(daemon.log)
	must(err)
	for _, part := range []string{"cannot connect to the control plane", "connected to the control plane again"} {
		if n := strings.Count(string(text), part); n != 1 {
			t.Errorf("the log has %q %d times:\n%s", part, n, text)
		}
	}
	assertContains(t, string(text), "failed_dials")
	warnings := 0
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "WARN") && strings.Contains(line, "control_plane") {
			warnings++
		}
	}
	// One each for connections, discovery, what was saved, the verb watch, and the watches of the controller of events.
	if warnings > 8 {
		t.Errorf("the log has %d warnings about the control plane:\n%s", warnings, text)
	}
}

// TestSilentControlPlaneDoesNotAffectOtherResources starts the app cluster's controllers while the network drops everything.
func TestSilentControlPlaneDoesNotAffectOtherResources(t *testing.T) {
	r := startRegistrarForOutages(t, degradeAfter)
	r.link.stopForwarding()
	awaitWatchVerb(t, false, recoveryTime)
	startAllControllers(t)
	unrelated := assertUnrelatedWorks(t, "while the network is silent", true)
	must(r.link.restore())
	awaitWatchVerb(t, true, recoveryTime)
	awaitNamespaceGone(t, unrelated)
}

// awaitQueueQuota waits until the quota controller counts this many queues.
func awaitQueueQuota(t *testing.T, count int, within time.Duration) {
	t.Helper()
	const quota = `{apiVersion: v1, kind: ResourceQuota, metadata: {name: queues}, spec: {hard: {count/queues.queues.example.org: "5"}}}`
	begin := time.Now()
	kubectl(t, env.app, quota, "create", "-n", "default", "-f", "-")
	t.Cleanup(func() { inAppCluster(t, "delete", "-n", "default", "resourcequota", "queues") })
	await(t, within, func() error {
		used, err := env.tryKubectl(env.app.kubeconfig, "", "get", "-n", "default", "resourcequota", "queues", "-o", `jsonpath={.status.used}`)
		if err == nil && !strings.Contains(used, fmt.Sprintf(`"count/queues.queues.example.org":"%d"`, count)) {
			err = fmt.Errorf("the quota has used %q", used)
		}
		return err
	})
	t.Logf("claims are counted after %s", time.Since(begin).Round(100*time.Millisecond))
}

// TestRestartDuringOutageKeepsTheAPI restarts a daemon that keeps discovery in the app cluster.
func TestRestartDuringOutageKeepsTheAPI(t *testing.T) {
	createQueueAPI(t)
	c, own := newConnectionOverLink(t)
	t.Cleanup(func() {
		must(own.restore())
		if out, err := c.disconnect("--claims", "delete"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	daemon := c.start(t)
	awaitResource(t, "queues", true)
	awaitSuccess(t, env.app, "", "get", "queues")
	serve := func() *process {
		p, err := env.run("restarted", "env", fmt.Sprintf("CLAIMGATE_LISTEN__ADDRESS=127.0.0.1:%d", c.port),
			"CLAIMGATE_ADMIN__ADDRESS=", os.Getenv("TEST_BINARY"), "serve", "--config", filepath.Join(c.dir, "claimgate.yaml"))
		must(err)
		t.Cleanup(p.kill)
		return p
	}
	read := func() string {
		return inAppCluster(t, "get", "configmap", "-n", "connected-system", "claimgate-discovery", "-o", "jsonpath={.metadata.resourceVersion} {.binaryData}")
	}
	await(t, slowDeadline, func() error {
		if kept := read(); !strings.Contains(kept, "platform.json.gz") {
			return fmt.Errorf("the ConfigMap has %q", kept)
		}
		return nil
	})
	kept := read()
	daemon.kill()
	own.refuseConnections()
	restarted := serve()
	await(t, slowDeadline, func() error {
		_, err := env.tryKubectl(env.app.kubeconfig, "", "get", "queues")
		if err == nil || !strings.Contains(err.Error(), `does not answer`) {
			return fmt.Errorf("after the restart: %v", err)
		}
		return nil
	})
	// The API server of the app cluster may have read discovery while no daemon ran. It reads it again within a minute.
	await(t, 2*recoveryTime, func() error {
		out, err := env.tryKubectl(env.app.kubeconfig, "", "api-resources", "--api-group=queues.example.org", "--cached=false")
		if err == nil && !strings.Contains(out, "queues") {
			err = fmt.Errorf("the app cluster lists\n%s", out)
		}
		return err
	})
	if now := read(); now != kept {
		t.Errorf("the restart changed the ConfigMap from %s to %s", kept, now)
	}
	must(own.restore())
	awaitSuccess(t, env.app, "", "get", "queues")
	restarted.kill()
}

package kubernetes

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// copyTime is how long a change of a Secret may take to reach the other cluster.
const copyTime = 2 * time.Second

// secretRights are those of the connector on the control plane, in every remote namespace.
const secretRights = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: claimgate-secrets}
rules: [{apiGroups: [""], resources: [secrets, configmaps], verbs: [get, list, watch, create, update, delete]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: claimgate-secrets}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: claimgate-secrets}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: claimgate-team-a}]
`

// copier is a claimgate that copies between the clusters. The claims reach it through the claimgate of the environment.
type copier struct {
	instance
	process *process
	// more keys of its entry in apis
	api string
	// the network between it and the app cluster
	appLink *link
}

// startCopier starts one that copies Secrets. The flow mapping is that of apis[].secrets.
func startCopier(t *testing.T, name, secrets string) *copier {
	t.Helper()
	return startCopierWith(t, name, "secrets: "+secrets, "secrets.yaml", secretRights)
}

// startCopierWith starts one with these rights in the app cluster, a file of config/rbac, and on the control plane.
func startCopierWith(t *testing.T, name, api, appRights, remoteRights string) *copier {
	t.Helper()
	for _, file := range []string{"registration.yaml", appRights} {
		grantAppClusterRights(t, file, "developer")
	}
	kubectl(t, env.controlPlane, remoteRights, "apply", "-f", "-")
	ports, err := freePorts(2)
	must(err)
	c := &copier{instance: newInstance(name, "auto"), api: api}
	linkTo := func(to *cluster) *link {
		link, err := newLink(fmt.Sprintf("127.0.0.1:%d", to.port))
		must(err)
		t.Cleanup(link.refuseConnections)
		return link
	}
	c.port, c.adminPort, c.link, c.appLink = ports[0], ports[1], linkTo(env.controlPlane), linkTo(env.app)
	c.start(t)
	t.Cleanup(c.stop)
	return c
}

// stop ends it, so that it releases its Lease.
func (c *copier) stop() {
	c.process.cmd.Process.Signal(syscall.SIGTERM)
	<-c.process.done
}

func (c *copier) start(t *testing.T) {
	t.Helper()
	kubeconfig := func(name string, link *link, user string) string {
		url := fmt.Sprintf("https://localhost:%d", link.port)
		must(os.WriteFile(env.path(name), []byte(env.certificates.kubeconfig(url, user)), 0o600))
		return name
	}
	remote := kubeconfig(c.name+"-remote.kubeconfig", c.link, "connector")
	app := kubeconfig(c.name+"-app.kubeconfig", c.appLink, "developer")
	// Another APIService exists for the group, so it registers nothing.
	config := strings.NewReplacer(
		"controlPlane: platform}]", "controlPlane: platform, "+c.api+"}]",
		"key: claimgate.key", "key: claimgate.key, certificateAuthority: server-ca.crt",
	).Replace(c.config(remote)) + fmt.Sprintf("appCluster: {kubeconfig: %s}\nregister: {service: {port: %d}}\n", app, c.port)
	must(os.WriteFile(env.path(c.name+".yaml"), []byte(config), 0o600))
	process, err := env.run(c.name, os.Getenv("TEST_BINARY"), "serve", "--config", env.path(c.name+".yaml"))
	must(err)
	c.process = process
}

// orderClaim creates a claim with a connection Secret in the app cluster until the test ends, and returns the claim on the control plane.
func orderClaim(t *testing.T, namespace, name, secret string) remoteClaim {
	t.Helper()
	manifest := fmt.Sprintf("apiVersion: %s\nkind: KubernetesCluster\nmetadata: {name: %s, namespace: %s}\nspec: {writeConnectionSecretToRef: {name: %s}}\n", groupVersion, name, namespace, secret)
	kubectl(t, env.app, manifest, "apply", "-f", "-")
	t.Cleanup(func() {
		env.tryKubectl(env.app.kubeconfig, manifest, "delete", "--ignore-not-found", "-f", "-")
	})
	return findRemoteClaim(t, namespace, name)
}

// remoteClaim is a claim as the control plane stores it.
type remoteClaim struct {
	namespace, name, uid, secret string
}

func findRemoteClaim(t *testing.T, namespace, name string) remoteClaim {
	t.Helper()
	uid := kubectl(t, env.app, "", "-n", namespace, "get", "kubernetescluster", name, "-o", "jsonpath={.metadata.uid}")
	c := remoteClaim{namespace: mapping[namespace], uid: uid}
	out := kubectl(t, env.controlPlane, "", "-n", c.namespace, "get", "kubernetesclusters", "-o", `jsonpath={range .items[?(@.metadata.uid=="`+uid+`")]}{.metadata.name} {.spec.writeConnectionSecretToRef.name}{end}`)
	if _, err := fmt.Sscan(out, &c.name, &c.secret); err != nil {
		t.Fatalf("the control plane has no claim %s: %q", uid, out)
	}
	return c
}

// publish writes the connection Secret of a claim as Crossplane does.
func (c remoteClaim) publish(t *testing.T, data map[string]string) {
	t.Helper()
	c.writeSecret(t, c.secret, "connection.crossplane.io/v1alpha1", data)
}

func (c remoteClaim) writeSecret(t *testing.T, name, secretType string, data map[string]string) {
	t.Helper()
	secret := map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": secretType, "stringData": data,
		"metadata": map[string]any{
			"name": name, "namespace": c.namespace,
			"labels": map[string]string{"team": "blue", "argocd.argoproj.io/secret-type": "cluster"},
			"ownerReferences": []any{map[string]any{
				"apiVersion": groupVersion, "kind": "KubernetesCluster", "name": c.name, "uid": c.uid, "controller": true,
			}},
		},
	}
	text, err := json.Marshal(secret)
	must(err)
	env.tryKubectl(env.controlPlane.kubeconfig, "", "-n", c.namespace, "delete", "secret", name, "--ignore-not-found")
	kubectl(t, env.controlPlane, string(text), "create", "-f", "-")
}

// secretValue returns a value of a Secret in the app cluster. Without the Secret or the key, it is empty.
func secretValue(namespace, name, key string) string {
	out, err := env.tryKubectl(env.app.kubeconfig, "", "-n", namespace, "get", "secret", name, "--ignore-not-found", "-o", "go-template={{with .data}}{{with index . \""+key+"\"}}{{base64decode .}}{{end}}{{end}}")
	if err != nil {
		return err.Error()
	}
	return out
}

// metricsOf returns the metrics of a claimgate.
func metricsOf(t *testing.T, adminPort int) string {
	t.Helper()
	response, err := http.Get(fmt.Sprintf("http://localhost:%d/metrics", adminPort))
	must(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(err)
	return string(text)
}

// awaitValue waits until a value of a Secret in the app cluster is this one.
func awaitValue(t *testing.T, within time.Duration, namespace, name, key, value string) {
	t.Helper()
	begin := time.Now()
	await(t, within, func() error {
		if got := secretValue(namespace, name, key); got != value {
			return fmt.Errorf("%s/%s has %s %q, want %q", namespace, name, key, got, value)
		}
		return nil
	})
	t.Logf("%s/%s has %s=%q after %s", namespace, name, key, value, time.Since(begin).Round(10*time.Millisecond))
}

func TestConnectionSecretsFollowTheControlPlane(t *testing.T) {
	startCopier(t, "copier", `{connection: true, namespaces: ["*"], labels: [team], templates: {url: "x://{user}@{host}"}}`)
	first := orderClaim(t, "default", "with-secret", "conn")
	second := orderClaim(t, "team-a", "with-secret", "conn")
	first.publish(t, map[string]string{"user": "a", "host": "h", "old": "x"})
	second.publish(t, map[string]string{"user": "b", "host": "h"})
	awaitValue(t, registrationTime, "default", "conn", "url", "x://a@h")
	awaitValue(t, copyTime, "team-a", "conn", "url", "x://b@h")
	if labels := kubectl(t, env.app, "", "-n", "default", "get", "secret", "conn", "-o", "jsonpath={.metadata.labels}"); !strings.Contains(labels, `"team":"blue"`) || strings.Contains(labels, "argocd") {
		t.Errorf("the copy has the labels %s", labels)
	}
	if owner := kubectl(t, env.app, "", "-n", "default", "get", "secret", "conn", "-o", "jsonpath={.metadata.ownerReferences[*].uid}"); owner != first.uid {
		t.Errorf("the owner of the copy is %q", owner)
	}

	// A change on the control plane.
	kubectl(t, env.controlPlane, "", "-n", first.namespace, "patch", "secret", first.secret, "--type=merge", "-p", `{"stringData":{"user":"c"},"data":{"old":null}}`)
	awaitValue(t, copyTime, "default", "conn", "url", "x://c@h")
	awaitValue(t, copyTime, "default", "conn", "old", "")

	// Changes by a user.
	kubectl(t, env.app, "", "-n", "default", "patch", "secret", "conn", "--type=merge", "-p", `{"stringData":{"user":"mine"}}`)
	awaitValue(t, copyTime, "default", "conn", "user", "c")
	kubectl(t, env.app, "", "-n", "default", "delete", "secret", "conn")
	awaitValue(t, copyTime, "default", "conn", "user", "c")

	kubectl(t, env.app, "", "-n", "default", "patch", "secret", "conn", "--type=merge", "-p", `{"immutable":true}`)
	kubectl(t, env.controlPlane, "", "-n", first.namespace, "patch", "secret", first.secret, "--type=merge", "-p", `{"stringData":{"user":"e"}}`)
	awaitValue(t, copyTime, "default", "conn", "url", "x://e@h")

	// Another reference.
	kubectl(t, env.app, "", "-n", "default", "patch", "kubernetescluster", "with-secret", "--type=merge", "-p", `{"spec":{"writeConnectionSecretToRef":{"name":"other"}}}`)
	awaitValue(t, copyTime, "default", "conn", "user", "")
	changed := findRemoteClaim(t, "default", "with-secret")
	changed.publish(t, map[string]string{"user": "d", "host": "h"})
	awaitValue(t, copyTime, "default", "other", "user", "d")

	kubectl(t, env.app, "", "-n", "default", "delete", "kubernetescluster", "with-secret")
	awaitValue(t, copyTime, "default", "other", "user", "")
	awaitValue(t, copyTime, "team-a", "conn", "user", "b")
}

func TestConnectionSecretsNeverReplaceForeignSecrets(t *testing.T) {
	c := startCopier(t, "copier-foreign", `{connection: true, namespaces: [default]}`)
	kubectl(t, env.app, "", "-n", "default", "create", "secret", "generic", "taken", "--from-literal=user=mine")
	t.Cleanup(func() {
		env.tryKubectl(env.app.kubeconfig, "", "-n", "default", "delete", "secret", "taken", "--ignore-not-found")
	})
	claim := orderClaim(t, "default", "foreign", "taken")
	elsewhere := orderClaim(t, "team-a", "elsewhere", "conn-elsewhere")
	elsewhere.publish(t, map[string]string{"user": "b"})
	claim.publish(t, map[string]string{"user": "a"})

	condition := func(status, reason string) {
		t.Helper()
		await(t, registrationTime, func() error {
			got, err := env.tryKubectl(env.app.kubeconfig, "", "-n", "default", "get", "kubernetescluster", "foreign", "-o", `jsonpath={range .status.conditions[?(@.type=="ConnectionSecretCopied")]}{.status} {.reason}{end}`)
			if err == nil && got != status+" "+reason {
				err = fmt.Errorf("the condition is %q", got)
			}
			return err
		})
	}
	condition("False", "SecretNotOwned")
	if got := secretValue("default", "taken", "user"); got != "mine" {
		t.Errorf("the Secret of the user has %q", got)
	}
	await(t, copyTime, func() error {
		out, err := env.tryKubectl(env.app.kubeconfig, "", "-n", "default", "describe", "kubernetescluster", "foreign")
		if err == nil && !strings.Contains(out, `the Secret "taken" exists`) {
			err = fmt.Errorf("kubectl describe shows no event:\n%s", out)
		}
		return err
	})
	if out := metricsOf(t, c.adminPort); !strings.Contains(out, `claimgate_copied_secrets{control_plane="platform",state="failed"} 1`) {
		t.Errorf("the metric does not count the claim:\n%s", out)
	}

	kubectl(t, env.app, "", "-n", "default", "delete", "secret", "taken")
	awaitValue(t, registrationTime, "default", "taken", "user", "a")
	condition("True", "Copied")
	if got := secretValue("team-a", "conn-elsewhere", "user"); got != "" {
		t.Errorf("a Secret was copied to a namespace that is not enabled: %q", got)
	}
}

func TestConnectionSecretsSurviveOutagesAndRestarts(t *testing.T) {
	c := startCopier(t, "copier-outage", `{connection: true, namespaces: ["*"]}`)
	kept, gone, cleared := orderClaim(t, "default", "kept", "kept"), orderClaim(t, "default", "gone", "gone"), orderClaim(t, "default", "cleared", "cleared")
	for _, claim := range []remoteClaim{kept, gone, cleared} {
		claim.publish(t, map[string]string{"user": claim.name})
	}
	for name, claim := range map[string]remoteClaim{"kept": kept, "gone": gone, "cleared": cleared} {
		awaitValue(t, slowDeadline, "default", name, "user", claim.name)
	}
	before := kubectl(t, env.app, "", "-n", "default", "get", "secret", "kept", "-o", "jsonpath={.metadata.uid} {.metadata.resourceVersion}")

	// The daemon does not see these changes.
	c.process.kill()
	kubectl(t, env.controlPlane, "", "-n", gone.namespace, "delete", "kubernetescluster", gone.name)
	kubectl(t, env.controlPlane, "", "-n", cleared.namespace, "delete", "secret", cleared.secret)
	c.start(t)
	awaitValue(t, slowDeadline, "default", "cleared", "user", "")
	awaitValue(t, slowDeadline, "default", "gone", "user", "")

	// In an outage, the copies stay.
	c.link.refuseConnections()
	kubectl(t, env.controlPlane, "", "-n", kept.namespace, "patch", "secret", kept.secret, "--type=merge", "-p", `{"stringData":{"more":"x"}}`)
	c.stop()
	c.start(t)
	if got := secretValue("default", "kept", "user"); got != kept.name {
		t.Errorf("the copy has %q in the outage", got)
	}
	must(c.link.restore())
	awaitValue(t, slowDeadline, "default", "kept", "more", "x")
	after := kubectl(t, env.app, "", "-n", "default", "get", "secret", "kept", "-o", "jsonpath={.metadata.uid}")
	if !strings.HasPrefix(before, after) {
		t.Errorf("the copy was created again: %s, %s", before, after)
	}
}

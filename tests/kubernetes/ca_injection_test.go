package kubernetes

import (
	"encoding/base64"
	"fmt"
	"testing"
)

// TestCABundleHasOneWriter stands for the CA injector of cert-manager: it writes the CA of an APIService, and claimgate
// writes all else.
func TestCABundleHasOneWriter(t *testing.T) {
	queues, topics := fmt.Sprintf(queueCRD, "queue", "Queue"), fmt.Sprintf(queueCRD, "topic", "Topic")
	t.Cleanup(func() {
		env.tryKubectl(env.controlPlane.kubeconfig, queueRole+"---\n"+queues+"---\n"+topics, "delete", "--ignore-not-found", "-f", "-")
		env.tryKubectl(env.app.kubeconfig, "", "delete", "apiservice", queueService, "--ignore-not-found")
	})
	kubectl(t, env.controlPlane, queueRole+"---\n"+queues, "apply", "-f", "-")
	r := startRegistrar(t, func(r *registrar) { r.register = ", caInjection: {certificate: claimgate-tls}" })
	awaitSuccess(t, env.app, "", "get", "apiservice", queueService)
	const source = `.metadata.annotations.cert-manager\.io/inject-ca-from`
	if got := fieldOfQueueService(t, source); got != "claimgate-system/claimgate-tls" {
		t.Errorf("the annotation makes cert-manager inject from %q", got)
	}
	if got := fieldOfQueueService(t, ".spec.caBundle"); got != "" {
		t.Errorf("claimgate has written the CA %q", got)
	}
	if out, err := env.tryKubectl(env.app.kubeconfig, "", "get", "--raw", "/apis/queues.example.org/v1/queues"); err == nil {
		t.Errorf("the API server trusts a certificate without a CA: %s", out)
	}

	// A bundle that claimgate would not write.
	injected := base64.StdEncoding.EncodeToString(append(env.certificates.read("stranger-ca.crt"), env.certificates.read("server-ca.crt")...))
	kubectl(t, env.app, "", "patch", "apiservice", queueService, "--type", "merge", "-p", fmt.Sprintf(`{"spec": {"caBundle": %q}}`, injected))
	awaitResource(t, "queues", true)
	field := func(path string, is func(string) bool) {
		t.Helper()
		await(t, 2*registrationTime, func() error {
			if got := fieldOfQueueService(t, path); !is(got) {
				return fmt.Errorf("%s is %q", path, got)
			}
			return nil
		})
	}
	remains := func(after string) {
		t.Helper()
		if got := fieldOfQueueService(t, ".spec.caBundle"); got != injected {
			t.Errorf("the CA after %s is %q", after, got)
		}
	}
	repair := func() {
		t.Helper()
		kubectl(t, env.app, "", "patch", "apiservice", queueService, "--type", "merge", "-p", `{"spec": {"versionPriority": 3}}`)
		field(".spec.versionPriority", func(priority string) bool { return priority == "15" })
	}
	repair()
	remains("the repair of another field")
	offer := fieldOfQueueService(t, `.metadata.annotations.claimgate\.dev/offer`)
	kubectl(t, env.controlPlane, topics, "apply", "-f", "-")
	field(`.metadata.annotations.claimgate\.dev/offer`, func(new string) bool { return new != offer })
	remains("a new kind")
	restart := func(register string) {
		t.Helper()
		if _, err := r.process.terminate(slowDeadline); err != nil {
			t.Fatal(err)
		}
		r.register = register
		r.start(t)
	}
	restart(", caInjection: {secret: claimgate-tls}")
	field(`.metadata.annotations.cert-manager\.io/inject-ca-from-secret`, func(secret string) bool { return secret == "claimgate-system/claimgate-tls" })
	field(source, func(certificate string) bool { return certificate == "" })
	remains("a restart")

	// Without the key, claimgate is the only writer.
	restart("")
	own := base64.StdEncoding.EncodeToString(env.certificates.read("server-ca.crt"))
	field(".spec.caBundle", func(bundle string) bool { return bundle == own })
	field(`.metadata.annotations.cert-manager\.io/inject-ca-from-secret`, func(secret string) bool { return secret == "" })
}

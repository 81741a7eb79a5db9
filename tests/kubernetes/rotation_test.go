package kubernetes

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// secretData returns the data of a Secret of the app cluster.
func secretData(t *testing.T, namespace, name string) map[string][]byte {
	t.Helper()
	var secret struct{ Data map[string][]byte }
	must(json.Unmarshal([]byte(kubectl(t, env.app, "", "get", "secret", "-n", namespace, name, "-o", "json")), &secret))
	return secret.Data
}

// oldToken returns a token of a ServiceAccount of the control plane that is valid, and due for renewal.
func oldToken(t *testing.T, namespace, account string) string {
	t.Helper()
	uid := kubectl(t, env.controlPlane, "", "get", "serviceaccount", "-n", namespace, account, "-o", "jsonpath={.metadata.uid}")
	issued := time.Now().Add(-time.Hour)
	claims := map[string]any{
		"iss": "https://kubernetes.default.svc", "aud": []string{"https://kubernetes.default.svc"},
		"sub": "system:serviceaccount:" + namespace + ":" + account,
		"iat": issued.Unix(), "nbf": issued.Unix(), "exp": time.Now().Add(20 * time.Minute).Unix(),
		"kubernetes.io": map[string]any{"namespace": namespace, "serviceaccount": map[string]string{"name": account, "uid": uid}},
	}
	part := func(value any) string {
		text, err := json.Marshal(value)
		must(err)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	block, _ := pem.Decode(env.certificates.read("server.key"))
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	must(err)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	must(err)
	// kube-apiserver finds its key by the hash of the public one (pkg/serviceaccount/jwt.go, keyIDFromPublicKey).
	id := sha256.Sum256(public)
	header := map[string]string{"alg": "RS256", "kid": base64.RawURLEncoding.EncodeToString(id[:])}
	signed := part(header) + "." + part(claims)
	hash := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, hash[:])
	must(err)
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// load sends requests through the app cluster until it is stopped.
type load struct {
	stop     chan struct{}
	failures chan string
	count    int
}

func startLoad(path string) *load {
	l := &load{stop: make(chan struct{}), failures: make(chan string, 1)}
	go func() {
		var failures []string
		for {
			select {
			case <-l.stop:
				l.failures <- strings.Join(failures, "\n")
				return
			case <-time.After(20 * time.Millisecond):
			}
			status, text, err := sendRequest(adminClient(), env.app.port, "GET", path, "", nil)
			if err != nil || status != 200 {
				failures = append(failures, fmt.Sprintf("%s: status %d: %s %v", time.Now().Format("15:04:05"), status, text, err))
			}
			l.count++
		}
	}()
	return l
}

// end stops the load and fails the test if a request failed.
func (l *load) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	if failures := <-l.failures; failures != "" {
		t.Errorf("of %d requests, these failed:\n%s", l.count, failures)
	}
	if l.count < 100 {
		t.Errorf("only %d requests", l.count)
	}
}

// connected returns the connection of two clusters without a running daemon.
func connected(t *testing.T) connection {
	t.Helper()
	createQueueAPI(t)
	c := newConnection(t)
	setup := c.start(t)
	awaitResource(t, "queues", true)
	if _, err := setup.terminate(slowDeadline); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if out, err := c.disconnect("--claims", "delete"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	return c
}

// removeCertificate empties the Secret, so that a daemon makes a new certificate.
func removeCertificate(t *testing.T) {
	t.Helper()
	kubectl(t, env.app, "", "patch", "secret", "-n", "connected-system", "claimgate-certificates", "--type", "json", "-p", `[{"op": "remove", "path": "/data"}]`)
}

// readTogether returns the address of a proxy to the app cluster. It delays the first responses to reads of the certificate
// until all replicas have read.
func readTogether(t *testing.T, replicas int) string {
	t.Helper()
	target, err := url.Parse(fmt.Sprintf("https://localhost:%d", env.app.port))
	must(err)
	var reads atomic.Int32
	allRead := make(chan struct{})
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = adminClient().Transport
	proxy.ModifyResponse = func(response *http.Response) error {
		request := response.Request
		if request.Method != "GET" || !strings.HasSuffix(request.URL.Path, "/secrets/claimgate-certificates") {
			return nil
		}
		if reads.Add(1) == int32(replicas) {
			close(allRead)
		}
		select {
		case <-allRead:
			return nil
		case <-time.After(slowDeadline):
			return errors.New("not all replicas have read the certificate")
		}
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	return server.URL
}

// TestReplicasServeOneCertificate starts several replicas that all find no certificate.
func TestReplicasServeOneCertificate(t *testing.T) {
	c := connected(t)
	removeCertificate(t)
	ports, err := freePorts(4)
	must(err)
	app := filepath.Join(c.dir, "together.kubeconfig")
	must(os.WriteFile(app, []byte(fmt.Sprintf("{apiVersion: v1, kind: Config, current-context: it, users: [{name: it, user: {}}], "+
		"contexts: [{name: it, context: {cluster: it, user: it}}], clusters: [{name: it, cluster: {server: %q}}]}", readTogether(t, len(ports)))), 0o600))
	for i, port := range ports {
		replica, err := env.run(fmt.Sprintf("replica-%d", i), "env", fmt.Sprintf("CLAIMGATE_LISTEN__ADDRESS=127.0.0.1:%d", port),
			"CLAIMGATE_APP_CLUSTER__KUBECONFIG="+app, os.Getenv("TEST_BINARY"), "serve", "--config", filepath.Join(c.dir, "claimgate.yaml"))
		must(err)
		t.Cleanup(replica.kill)
	}
	served := func(port int) ([]byte, error) {
		// The certificate itself is compared below.
		connection, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return nil, err
		}
		defer connection.Close()
		return connection.ConnectionState().PeerCertificates[0].Raw, nil
	}
	for _, port := range ports {
		await(t, slowDeadline, func() error {
			_, err := served(port)
			return err
		})
	}
	stored, _ := pem.Decode(secretData(t, "connected-system", "claimgate-certificates")["tls.crt"])
	for _, port := range ports {
		if certificate, err := served(port); err != nil || !bytes.Equal(certificate, stored.Bytes) {
			t.Errorf("the replica on port %d serves another certificate than the stored one: %v", port, err)
		}
	}
}

// The serving certificate and the token are renewed while requests and a watch run.
func TestCertificateAndTokenAreRenewedUnderLoad(t *testing.T) {
	if os.Getenv("TEST_SLOW") == "" {
		t.Skip("takes more than a minute")
	}
	c := connected(t)
	const namespace, certificates, token = "connected-system", "claimgate-certificates", "claimgate-platform"
	removeCertificate(t)
	old := oldToken(t, "connected", "claimgate-app-one")
	kubectl(t, env.app, "", "patch", "secret", "-n", namespace, token, "--type", "merge", "-p", fmt.Sprintf(`{"stringData": {"token": %q}}`, old))
	config := filepath.Join(c.dir, "claimgate.yaml")
	text, err := os.ReadFile(config)
	must(err)
	short := strings.Replace(string(text), "secret: "+certificates, "secret: "+certificates+"\n    lifetime: 60s", 1)
	if short == string(text) {
		t.Fatalf("no self-managed certificate in:\n%s", text)
	}
	must(os.WriteFile(config, []byte(short), 0o600))
	daemon, err := env.run("rotation", os.Getenv("TEST_BINARY"), "serve", "--config", config)
	must(err)
	t.Cleanup(daemon.kill)
	const queues = "/apis/queues.example.org/v1/namespaces/default/queues"
	await(t, slowDeadline, func() error {
		status, text, err := sendRequest(adminClient(), env.app.port, "GET", queues, "", nil)
		if err == nil && status != 200 {
			err = fmt.Errorf("status %d: %s", status, text)
		}
		return err
	})
	first := secretData(t, namespace, certificates)
	if len(first["tls.crt"]) == 0 || len(first["ca.key"]) != 0 {
		t.Fatalf("the Secret has %v", first)
	}

	events := watchPath(t, env.app, queues)
	load := startLoad(queues)
	seen := func(name string) {
		t.Helper()
		kubectl(t, env.app, queue(name), "create", "-f", "-")
		select {
		case e, ok := <-events:
			if !ok || e.name() != name {
				t.Errorf("the watch ended or sent %v instead of %s", e, name)
			}
		case <-time.After(deadline):
			t.Errorf("the watch does not show %s", name)
		}
	}
	seen("before")
	await(t, slowDeadline, func() error {
		if string(secretData(t, namespace, token)["token"]) == old {
			return fmt.Errorf("the token is still the old one")
		}
		return nil
	})
	seen("with-the-new-token")
	// Both CAs are trusted before the next certificate is in use.
	await(t, 2*time.Minute, func() error {
		if len(secretData(t, namespace, certificates)["next-ca.crt"]) == 0 {
			return fmt.Errorf("there is no next certificate")
		}
		return nil
	})
	await(t, 2*time.Minute, func() error {
		data := secretData(t, namespace, certificates)
		if string(data["tls.crt"]) == string(first["tls.crt"]) || len(data["previous-ca.crt"]) == 0 {
			return fmt.Errorf("the certificate is still the first one")
		}
		return nil
	})
	seen("with-the-new-certificate")
	// Once more, so that a CA leaves the bundle.
	second := secretData(t, namespace, certificates)
	await(t, 2*time.Minute, func() error {
		if string(secretData(t, namespace, certificates)["tls.crt"]) == string(second["tls.crt"]) {
			return fmt.Errorf("the certificate is still the second one")
		}
		return nil
	})
	seen("at-the-end")
	load.end(t)
	t.Logf("%d requests", load.count)
	bundle := kubectl(t, env.app, "", "get", "apiservice", "v1.queues.example.org", "-o", "jsonpath={.spec.caBundle}")
	decoded, err := base64.StdEncoding.DecodeString(bundle)
	must(err)
	if strings.Contains(string(decoded), string(first["ca.crt"])) || !strings.Contains(string(decoded), string(secretData(t, namespace, certificates)["ca.crt"])) {
		t.Errorf("the CA bundle is %s", decoded)
	}
	if _, err := daemon.terminate(slowDeadline); err != nil {
		t.Fatal(err)
	}
}

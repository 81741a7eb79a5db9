package kubernetes

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

// userClient returns an HTTP client with a user's certificate, or without one.
func userClient(user string) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(env.certificates.read("server-ca.crt"))
	config := &tls.Config{RootCAs: roots}
	if user != "" {
		pair, err := tls.X509KeyPair(env.certificates.read(user+".crt"), env.certificates.read(user+".key"))
		must(err)
		config.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DisableCompression: true}}
}

var adminClients = map[string]*http.Client{}

func adminClient() *http.Client {
	if adminClients["admin"] == nil {
		adminClients["admin"] = userClient("admin")
	}
	return adminClients["admin"]
}

// sendAsAdmin sends a request to an API server as its administrator.
func sendAsAdmin(t *testing.T, c *cluster, method, path, body string, headers map[string]string) (int, string) {
	t.Helper()
	status, text, err := sendRequest(adminClient(), c.port, method, path, body, headers)
	if err != nil {
		t.Fatal(err)
	}
	return status, text
}

func sendRequest(client *http.Client, port int, method, path, body string, headers map[string]string) (int, string, error) {
	r, err := http.NewRequest(method, fmt.Sprintf("https://localhost:%d%s", port, path), strings.NewReader(body))
	must(err)
	for key, value := range headers {
		r.Header.Set(key, value)
	}
	response, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

type event struct {
	Type   string
	Object struct {
		APIVersion string
		Metadata   struct{ Name, Namespace, ResourceVersion string }
	}
}

func (e event) name() string      { return e.Object.Metadata.Name }
func (e event) namespace() string { return e.Object.Metadata.Namespace }

// watch streams the events of a namespace until the test ends.
func watch(t *testing.T, c *cluster, namespace string) <-chan event {
	t.Helper()
	return watchPath(t, c, fmt.Sprintf("/apis/%s/namespaces/%s/kubernetesclusters", groupVersion, namespace))
}

// watchPath streams the events of a path. It closes the channel when the watch ends.
func watchPath(t *testing.T, c *cluster, path string) <-chan event {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	url := fmt.Sprintf("https://localhost:%d%s?watch=true", c.port, path)
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	must(err)
	response, err := adminClient().Do(r)
	if err != nil || response.StatusCode != 200 {
		t.Fatal(err, response)
	}
	events := make(chan event, 1000)
	go func() {
		defer response.Body.Close()
		lines := bufio.NewScanner(response.Body)
		lines.Buffer(nil, 8<<20)
		for lines.Scan() {
			var e event
			if json.Unmarshal(lines.Bytes(), &e) == nil {
				events <- e
			}
		}
		close(events)
	}()
	return events
}

// writeStoredClaim writes the manifest of a local claim, as claimgate stores it, to a file.
func writeStoredClaim(namespace, name string) string {
	file := env.path(name + "-claim.json")
	must(os.WriteFile(file, []byte(storedManifest(newClaim(name, "stored"), namespace)), 0o600))
	return file
}

func decodeToken(token string) string {
	_, coded, _ := strings.Cut(token, "claimgate.1.")
	text, _ := base64.RawURLEncoding.DecodeString(coded)
	return string(text)
}

// notFoundText is the answer of Go's multiplexer for a path that is not served.
const notFoundText = "404 page not found\n"

func TestDirectConnectionsAreAuthenticated(t *testing.T) {
	claims := "/apis/" + groupVersion + "/namespaces/default/kubernetesclusters"
	forged := map[string]string{"X-Remote-User": "admin", "X-Remote-Group": "system:masters"}
	for _, c := range []struct {
		user   string
		path   string
		status int
	}{
		{"", claims, 401}, {"", "/livez", 200}, {"", "/readyz", 200}, {"", "/healthz", 200}, {"", "/apis", 401},
		{"", "/version", 401}, {"", "/metrics", 401},
		{"stranger", claims, 401}, {"stranger", "/livez", 200},
		{"pretender", claims, 403}, {"nobody", claims, 403}, {"developer", claims, 200},
		{"front-proxy-client", claims, 200}, {"developer", "/version", 200}, {"developer", "/api", 404},
		{"developer", "/apis/k8s.starter.org/v1alpha1/namespaces/default/composites", 404},
		{"developer", "/nowhere", 404}, {"developer", "/apis/other.org/v1", 404},
	} {
		status, body, err := sendRequest(userClient(c.user), env.port, "GET", c.path, "", forged)
		if err != nil || status != c.status {
			t.Errorf("%q %s: status %d, want %d: %s %v", c.user, c.path, status, c.status, body, err)
		}
		if c.status >= 400 && body != notFoundText && !strings.Contains(body, `"kind":"Status"`) {
			t.Errorf("%q %s: the body is not a Status: %s", c.user, c.path, body)
		}
	}
}

func TestBadInputIsRejected(t *testing.T) {
	claims := "/apis/" + groupVersion + "/namespaces/default/kubernetesclusters"
	big := strings.Repeat("x", 4<<20)
	object := func(more string) string {
		return `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":{"name":"bad"` + more
	}
	for name, c := range map[string]struct {
		method, path, kind, body string
		status                   int
		reason                   string
	}{
		"malformed":                    {"POST", claims, "application/json", `{"a":]}`, 400, "BadRequest"},
		"truncated":                    {"POST", claims, "application/json", object(``), 400, "BadRequest"},
		"two values":                   {"POST", claims, "application/json", object(`}}{}`), 400, "BadRequest"},
		"oversized":                    {"POST", claims, "application/json", object(`},"spec":{"notes":"` + big + `"}}`), 413, "RequestEntityTooLarge"},
		"other namespace":              {"POST", claims, "application/json", object(`,"namespace":"team-a"}}`), 400, "BadRequest"},
		"remote name":                  {"POST", claims, "application/json", object(`,"namespace":"` + mapping["default"] + `"}}`), 400, "BadRequest"},
		"protobuf":                     {"POST", claims, "application/vnd.kubernetes.protobuf", "k8s\x00abc", 415, "UnsupportedMediaType"},
		"text":                         {"POST", claims, "text/plain", "hello", 415, "UnsupportedMediaType"},
		"strategic":                    {"PATCH", claims + "/bad", "application/strategic-merge-patch+json", "{}", 415, "UnsupportedMediaType"},
		"unknown path":                 {"GET", "/apis/" + groupVersion + "/namespaces/default/kubernetesclusters/a/b/c", "", "", 404, "NotFound"},
		"missing resource":             {"GET", "/apis/" + groupVersion + "/namespaces/default/nothings", "", "", 404, ""},
		"subresource":                  {"GET", claims + "/bad/exec", "", "", 404, "NotFound"},
		"all namespaces":               {"DELETE", "/apis/" + groupVersion + "/kubernetesclusters", "", "", 404, ""},
		"no kind":                      {"POST", claims, "application/json", `{"metadata":{"name":"bad","namespace":"default"}}`, 400, "BadRequest"},
		"foreign token":                {"GET", "/apis/" + groupVersion + "/kubernetesclusters?limit=1&continue=abc", "", "", 400, "BadRequest"},
		"copied metadata":              {"PATCH", claims + "/bad", "application/json-patch+json", `[{"op":"copy","from":"/metadata","path":"/spec/notes"}]`, 422, "Invalid"},
		"copied metadata, odd pointer": {"PATCH", claims + "/bad", "application/json-patch+json", `[{"op":"copy","from":"x/metadata","path":"/spec/notes"}]`, 422, "Invalid"},
	} {
		headers := map[string]string{}
		if c.kind != "" {
			headers["Content-Type"] = c.kind
		}
		for _, port := range []int{env.app.port, env.port} {
			user := "developer"
			if port == env.app.port {
				user = "admin"
			}
			status, body, err := sendRequest(userClient(user), port, c.method, c.path, c.body, headers)
			var answer struct{ Kind, Reason string }
			json.Unmarshal([]byte(body), &answer)
			isExpected := answer.Kind == "Status" && answer.Reason == c.reason || c.reason == "" && body == notFoundText
			if err != nil || status != c.status || !isExpected {
				t.Errorf("%s: status %d: %s %v", name, status, body, err)
			}
			assertLacks(t, body, "-ns-")
		}
	}
	assertContains(t, inAppCluster(t, "get", "kc", "-A", "-o", "name"), "")
}

// kube-apiserver quotes the first 30 bytes of an invalid body, wherever that cuts it.
func TestErrorsQuoteTheClientsBody(t *testing.T) {
	path := "/apis/" + groupVersion + "/namespaces/" + writeNamespaces.local + "/kubernetesclusters"
	for _, more := range []int{0, 100_000} {
		body := fmt.Sprintf(`{"metadata":{"namespace":%q,"name":"a"},"spec":{"notes":%q}}`, writeNamespaces.local, strings.Repeat("n", more))
		code, text := sendAsAdmin(t, env.app, "POST", path, body, map[string]string{"Content-Type": "application/json"})
		quoted := fmt.Sprintf(`({\"metadata\":{\"namespace\":\"%.4s ...)`, writeNamespaces.local)
		if code != http.StatusBadRequest || !strings.Contains(text, quoted) || strings.Contains(text, "app-") {
			t.Errorf("%d %.300s ... %s", code, text, text[max(0, len(text)-200):])
		}
	}
}

func TestHeaderLimits(t *testing.T) {
	claims := "/apis/" + groupVersion + "/namespaces/default/kubernetesclusters"
	for user, maxBytes := range map[string]int{"front-proxy-client": 1 << 20, "developer": 16 << 10} {
		c := userClient(user)
		someone := map[string]string{"X-Remote-User": "someone"}
		large := map[string]string{"X-Remote-User": "someone", "X-Large": strings.Repeat("x", maxBytes-2048)}
		if status, _, err := sendRequest(c, env.port, "GET", claims, "", large); err != nil || status != 200 {
			t.Errorf("%s with %d bytes: status %d: %v", user, maxBytes-2048, status, err)
		}
		many := map[string]string{"X-Remote-User": "someone"}
		for i := range 20_001 {
			many[fmt.Sprintf("a%d", i)] = ""
		}
		// These fields exceed twice 16 KiB in HPACK's count; Go's client does not send them.
		status, body, err := sendRequest(c, env.port, "GET", claims, "", many)
		isExpected := status == 431 && strings.Contains(body, `"reason":"RequestHeaderFieldsTooLarge"`)
		if user == "front-proxy-client" && (err != nil || !isExpected) {
			t.Errorf("%s with 20,001 fields: status %d: %s %v", user, status, body, err)
		}
		if status, _, err := sendRequest(c, env.port, "GET", claims, "", someone); err != nil || status != 200 {
			t.Errorf("%s: the connection broke: status %d: %v", user, status, err)
		}
	}
}

// client-go sends all requests of one program on one HTTP/2 connection.
func TestManyWatchesOnOneConnection(t *testing.T) {
	const count = 250
	program, err := dynamic.NewForConfig(restConfig(env.app))
	must(err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var all []apiwatch.Interface
	for range count {
		watch, err := program.Resource(claims).Namespace("team-a").Watch(ctx, metav1.ListOptions{})
		must(err)
		defer watch.Stop()
		all = append(all, watch)
	}
	onControlPlane(t, "apply", "-f", writeStoredClaim("team-a", "everybody"))
	defer onControlPlane(t, "delete", "kc", "-n", mapping["team-a"], remoteName("team-a", "everybody"))
	for i, watch := range all {
		for {
			event, open := <-watch.ResultChan()
			if !open {
				t.Fatalf("watch %d of %d received no event", i, count)
			}
			claim, is := event.Object.(*unstructured.Unstructured)
			if is && claim.GetName() == "everybody" && claim.GetNamespace() == "team-a" {
				break
			}
		}
	}
}

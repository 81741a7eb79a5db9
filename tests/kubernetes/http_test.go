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

// client is an HTTP client with a user's certificate, or none.
func client(user string) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(theBed.pki.read("server-ca.crt"))
	config := &tls.Config{RootCAs: roots}
	if user != "" {
		pair, err := tls.X509KeyPair(theBed.pki.read(user+".crt"), theBed.pki.read(user+".key"))
		must(err)
		config.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DisableCompression: true}}
}

var admins = map[string]*http.Client{}

func admin() *http.Client {
	if admins["admin"] == nil {
		admins["admin"] = client("admin")
	}
	return admins["admin"]
}

// request asks an API server as its administrator.
func request(t *testing.T, c *cluster, method, path, body string, headers map[string]string) (int, string) {
	t.Helper()
	status, text, err := ask(admin(), c.port, method, path, body, headers)
	if err != nil {
		t.Fatal(err)
	}
	return status, text
}

func ask(client *http.Client, port int, method, path, body string, headers map[string]string) (int, string, error) {
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

// watchPath does so with the events of a path; the channel is closed when the watch ends.
func watchPath(t *testing.T, c *cluster, path string) <-chan event {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	url := fmt.Sprintf("https://localhost:%d%s?watch=true", c.port, path)
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	must(err)
	response, err := admin().Do(r)
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

func writeClaim(namespace, name string) string {
	file := theBed.path(name + "-claim.yaml")
	must(os.WriteFile(file, []byte(claim(namespace, name)), 0o600))
	return file
}

func decodeToken(token string) string {
	_, coded, _ := strings.Cut(token, "claimgate.1.")
	text, _ := base64.RawURLEncoding.DecodeString(coded)
	return string(text)
}

// nothingThere is what Go's multiplexer says of a path that it does not serve.
const nothingThere = "404 page not found\n"

func TestDirectConnections(t *testing.T) {
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
		status, body, err := ask(client(c.user), theBed.port, "GET", c.path, "", forged)
		if err != nil || status != c.status {
			t.Errorf("%q %s: %d, not %d: %s %v", c.user, c.path, status, c.status, body, err)
		}
		if c.status >= 400 && body != nothingThere && !strings.Contains(body, `"kind":"Status"`) {
			t.Errorf("%q %s: no Status: %s", c.user, c.path, body)
		}
	}
}

func TestBadInput(t *testing.T) {
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
		"malformed":       {"POST", claims, "application/json", `{"a":]}`, 400, "BadRequest"},
		"truncated":       {"POST", claims, "application/json", object(``), 400, "BadRequest"},
		"two values":      {"POST", claims, "application/json", object(`}}{}`), 400, "BadRequest"},
		"oversized":       {"POST", claims, "application/json", object(`},"spec":{"notes":"` + big + `"}}`), 413, "RequestEntityTooLarge"},
		"other namespace": {"POST", claims, "application/json", object(`,"namespace":"team-a"}}`), 400, "BadRequest"},
		"remote name":     {"POST", claims, "application/json", object(`,"namespace":"app-ns-1"}}`), 400, "BadRequest"},
		"protobuf":        {"POST", claims, "application/vnd.kubernetes.protobuf", "k8s\x00abc", 415, "UnsupportedMediaType"},
		"text":            {"POST", claims, "text/plain", "hello", 415, "UnsupportedMediaType"},
		"strategic":       {"PATCH", claims + "/bad", "application/strategic-merge-patch+json", "{}", 415, "UnsupportedMediaType"},
		"unknown path":    {"GET", "/apis/" + groupVersion + "/namespaces/default/kubernetesclusters/a/b/c", "", "", 404, "NotFound"},
		"no such":         {"GET", "/apis/" + groupVersion + "/namespaces/default/nothings", "", "", 404, ""},
		"subresource":     {"GET", claims + "/bad/exec", "", "", 404, "NotFound"},
		"all namespaces":  {"DELETE", "/apis/" + groupVersion + "/kubernetesclusters", "", "", 404, ""},
		"no kind":         {"POST", claims, "application/json", `{"metadata":{"name":"bad","namespace":"default"}}`, 400, "BadRequest"},
		"foreign token":   {"GET", "/apis/" + groupVersion + "/kubernetesclusters?limit=1&continue=abc", "", "", 400, "BadRequest"},
		"copied metadata": {"PATCH", claims + "/bad", "application/json-patch+json", `[{"op":"copy","from":"/metadata","path":"/spec/notes"}]`, 400, "BadRequest"},
		"copied oddly":    {"PATCH", claims + "/bad", "application/json-patch+json", `[{"op":"copy","from":"x/metadata","path":"/spec/notes"}]`, 400, "BadRequest"},
	} {
		headers := map[string]string{}
		if c.kind != "" {
			headers["Content-Type"] = c.kind
		}
		for _, port := range []int{theBed.app.port, theBed.port} {
			user := "developer"
			if port == theBed.app.port {
				user = "admin"
			}
			status, body, err := ask(client(user), port, c.method, c.path, c.body, headers)
			var answer struct{ Kind, Reason string }
			json.Unmarshal([]byte(body), &answer)
			said := answer.Kind == "Status" && answer.Reason == c.reason || c.reason == "" && body == nothingThere
			if err != nil || status != c.status || !said {
				t.Errorf("%s: %d %s %v", name, status, body, err)
			}
			lacks(t, body, "app-ns-")
		}
	}
	contains(t, app(t, "get", "kc", "-A", "-o", "name"), "")
}

// TestRefusalsQuoteWhatTheClientSent is about the first 30 bytes of a body, which kube-apiserver quotes
// wherever they end.
func TestRefusalsQuoteWhatTheClientSent(t *testing.T) {
	path := "/apis/" + groupVersion + "/namespaces/" + writing.local + "/kubernetesclusters"
	for _, more := range []int{0, 100_000} {
		body := fmt.Sprintf(`{"metadata":{"namespace":%q,"name":"a"},"spec":{"notes":%q}}`, writing.local, strings.Repeat("n", more))
		code, text := request(t, theBed.app, "POST", path, body, map[string]string{"Content-Type": "application/json"})
		quoted := fmt.Sprintf(`({\"metadata\":{\"namespace\":\"%.4s ...)`, writing.local)
		if code != http.StatusBadRequest || !strings.Contains(text, quoted) || strings.Contains(text, "app-") {
			t.Errorf("%d %.300s ... %s", code, text, text[max(0, len(text)-200):])
		}
	}
}

func TestHeaderBounds(t *testing.T) {
	claims := "/apis/" + groupVersion + "/namespaces/default/kubernetesclusters"
	for user, most := range map[string]int{"front-proxy-client": 1 << 20, "developer": 16 << 10} {
		c := client(user)
		someone := map[string]string{"X-Remote-User": "someone"}
		large := map[string]string{"X-Remote-User": "someone", "X-Large": strings.Repeat("x", most-2048)}
		if status, _, err := ask(c, theBed.port, "GET", claims, "", large); err != nil || status != 200 {
			t.Errorf("%s with %d bytes: %d %v", user, most-2048, status, err)
		}
		many := map[string]string{"X-Remote-User": "someone"}
		for i := range 1001 {
			many[fmt.Sprintf("a%d", i)] = ""
		}
		// 1,001 fields are more than 16 KiB as HPACK counts them; Go's client does not even send those.
		status, _, err := ask(c, theBed.port, "GET", claims, "", many)
		if user == "front-proxy-client" && (err != nil || status != 431) {
			t.Errorf("%s with 1,001 fields: %d %v", user, status, err)
		}
		if status, _, err := ask(c, theBed.port, "GET", claims, "", someone); err != nil || status != 200 {
			t.Errorf("%s: the connection did not survive: %d %v", user, status, err)
		}
	}
}

// One program of client-go, which puts all that it does on one HTTP/2 connection.
func TestManyWatchesOfOneProgram(t *testing.T) {
	const count = 250
	program, err := dynamic.NewForConfig(restConfig(theBed.app))
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
	plane(t, "apply", "-f", writeClaim("app-ns-2", "everybody"))
	defer plane(t, "delete", "kc", "-n", "app-ns-2", "everybody")
	for i, watch := range all {
		for {
			event, open := <-watch.ResultChan()
			if !open {
				t.Fatalf("watch %d of %d got nothing", i, count)
			}
			claim, is := event.Object.(*unstructured.Unstructured)
			if is && claim.GetName() == "everybody" && claim.GetNamespace() == "team-a" {
				break
			}
		}
	}
}

package kubernetes

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// fault changes requests to the app cluster, or the headers and lines of its answers.
type fault struct {
	name          string
	changeRequest func(request *http.Request)
	changeLine    func(line []byte) []byte
	changeHeader  func(response *http.Response)
	// Called once a request has succeeded, before its answer arrives.
	afterRequest func(request *http.Request)
	// The operations that detect the fault; others need not.
	detectedBy []string
	// Whether the fault changes only one answer.
	onlyOnce bool
	// The verdict that the fault leads to; verdictDifferent if empty.
	verdict string
}

// faults are faults that a proxy is likely to have if it rewrites bodies.
func faults() []fault {
	return []fault{
		{name: "none"},
		// Claims stay equal, because kube-apiserver encodes them with the same code. Documents with
		// another key order do not.
		{name: "decodes and encodes", changeLine: reencode(json.Unmarshal, json.Marshal),
			detectedBy: []string{"get Table", "watch JSON", "missing object", "list metadata"}},
		{name: "decodes and encodes and keeps numbers and escapes", changeLine: reencode(unmarshalNumbers, marshalPlain),
			detectedBy: []string{"get", "list", "get Table", "watch JSON", "missing object"}},
		{name: "drops bookmarks", changeLine: func(line []byte) []byte {
			if bytes.HasPrefix(line, []byte(`{"type":"BOOKMARK"`)) {
				return nil
			}
			return line
		}, detectedBy: []string{"watch list to its end"}},
		{name: "drops deletions", changeLine: func(line []byte) []byte {
			if bytes.HasPrefix(line, []byte(`{"type":"DELETED"`)) {
				return nil
			}
			return line
		}, detectedBy: []string{"watch a deletion to its end"}},
		{name: "does not map Tables", changeLine: restoreRemoteNames(`"kind":"Table"`), detectedBy: []string{"get Table", "list Table", "kubectl get kc -A -l side={ns}", "kubectl get kc -A -l side={ns},tier=b -o wide --show-kind"}, verdict: verdictLeak},
		{name: "does not map metadata", changeLine: restoreRemoteNames(`"kind":"PartialObjectMetadata`), detectedBy: []string{"get PartialObjectMetadata", "list metadata"}, verdict: verdictLeak},
		{name: "does not map lists", changeLine: restoreRemoteNames(`"kind":"KubernetesClusterList"`), detectedBy: []string{"list", "kubectl get kc -n {ns} -o jsonpath={.items[*].metadata.namespace}", "kubectl describe kc -n {ns}"}, verdict: verdictLeak},
		// The accepted difference of this operation is only a header.
		{name: "does not map large objects", changeLine: restoreRemoteNames(strings.Repeat("n", 100)), detectedBy: []string{"large object"}, verdict: verdictLeak},
		{name: "does not map events", changeLine: restoreRemoteNames(`{"type":"`), detectedBy: []string{"watch JSON", "watch list to its end"}, verdict: verdictLeak},
		{name: "adds a Via header", changeHeader: func(response *http.Response) { response.Header.Set("Via", "2.0 proxy") }, detectedBy: []string{"get", "missing object", "large object", "watch JSON"}},
		{name: "drops warnings", changeHeader: func(response *http.Response) { response.Header.Del("Warning") }, detectedBy: []string{"create with unknown fields", "kubectl create --validate=warn --dry-run=server -o yaml of an unknown field"}},
		{name: "fails once", changeHeader: func(response *http.Response) { response.StatusCode = http.StatusInternalServerError }, detectedBy: []string{"get"}, onlyOnce: true, verdict: verdictDifferentOnce},
		{name: "fails", changeHeader: func(response *http.Response) { response.StatusCode = http.StatusInternalServerError }, detectedBy: []string{"get", "missing object", "large object", "watch JSON"}},
		{name: "does not map one list", changeLine: restoreRemoteNames(`"kind":"KubernetesClusterList"`), detectedBy: []string{"list"}, onlyOnce: true, verdict: verdictLeak},
	}
}

func reencode(decode func([]byte, any) error, encode func(any) ([]byte, error)) func([]byte) []byte {
	return func(line []byte) []byte {
		var value any
		if decode(line, &value) != nil {
			return line
		}
		text, err := encode(value)
		must(err)
		return append(text, line[len(bytes.TrimRight(line, "\n")):]...)
	}
}

func unmarshalNumbers(text []byte, value any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(value)
}

func marshalPlain(value any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimRight(text.Bytes(), "\n"), err
}

// restoreRemoteNames puts remote names back into lines that contain this text, as if they had not
// been mapped.
func restoreRemoteNames(what string) func([]byte) []byte {
	return func(line []byte) []byte {
		if !bytes.Contains(line, []byte(what)) {
			return line
		}
		for _, names := range []namespaceNames{readNamespaces, writeNamespaces} {
			line = bytes.ReplaceAll(line, []byte(`"namespace":"`+names.local+`"`), []byte(`"namespace":"`+names.remote+`"`))
		}
		return line
	}
}

// serve starts a proxy with the fault in front of the app cluster, with HTTP/2 and TLS, and returns
// its port.
func (f fault) serve(t *testing.T) int {
	t.Helper()
	to, err := url.Parse(fmt.Sprintf("https://localhost:%d", env.app.port))
	must(err)
	var done atomic.Bool
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			if f.changeRequest != nil {
				f.changeRequest(r.Out)
			}
		},
		Transport:     userClient("admin").Transport,
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		ModifyResponse: func(response *http.Response) error {
			if f.afterRequest != nil && response.StatusCode < 300 {
				f.afterRequest(response.Request)
			}
			if f.changeHeader != nil && !(f.onlyOnce && done.Swap(true)) {
				f.changeHeader(response)
			}
			if f.changeLine != nil && response.Header.Get("Content-Encoding") == "" {
				response.Header.Del("Content-Length")
				response.Body = f.filterLines(response.Body, &done)
			}
			return nil
		},
	}
	pair, err := tls.X509KeyPair(env.certificates.read("server.crt"), env.certificates.read("server.key"))
	must(err)
	server := httptest.NewUnstartedServer(proxy)
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	address, err := url.Parse(server.URL)
	must(err)
	var port int
	_, err = fmt.Sscan(address.Port(), &port)
	must(err)
	return port
}

// filterLines returns a body whose lines pass through the fault.
func (f fault) filterLines(body io.ReadCloser, done *atomic.Bool) io.ReadCloser {
	reader, writer := io.Pipe()
	go func() {
		defer body.Close()
		for lines := bufio.NewReader(body); ; {
			line, err := lines.ReadBytes('\n')
			if !f.onlyOnce || !done.Load() {
				changed := f.changeLine(bytes.Clone(line))
				done.CompareAndSwap(false, !bytes.Equal(changed, line))
				line = changed
			}
			if _, failed := writer.Write(line); failed != nil {
				return
			}
			if err != nil {
				writer.CloseWithError(err)
				return
			}
		}
	}()
	return reader
}

// TestFaultyProxiesAreDetected runs operations through proxies with one fault each. The suite must
// find a difference.
func TestFaultyProxiesAreDetected(t *testing.T) {
	all := faults()
	if isShared() {
		all = append(all, sharedFaults()...)
	}
	assertFaultsAreFound(t, all)
}

// TestFaultyRequestsAreDetected does the same with faults in requests.
func TestFaultyRequestsAreDetected(t *testing.T) {
	if os.Getenv("TEST_SLOW") == "" {
		t.Skip("only with `run --all`")
	}
	assertFaultsAreFound(t, requestFaults())
}

func assertFaultsAreFound(t *testing.T, faults []fault) {
	t.Helper()
	t.Setenv("TEST_ACCEPT", "")
	t.Cleanup(func() { deleteTestClaims(t) })
	seed(t)
	all := map[string]bool{}
	for _, fault := range faults {
		for _, name := range fault.detectedBy {
			all[name] = true
		}
	}
	var groups []groupRoutes
	for _, group := range slices.Concat(commonGroups(), uncommonGroups()) {
		direct, proxied := routes(t, group.namespaces)
		groups = append(groups, groupRoutes{group.operations, direct, proxied})
	}
	free := make(chan struct{}, faultsInParallel)
	var running sync.WaitGroup
	for i, fault := range faults {
		free <- struct{}{}
		running.Go(func() {
			defer func() { <-free }()
			fault.assertIsFound(t, i, groups, all)
		})
	}
	running.Wait()
}

// faultsInParallel is the number of proxies at a time. Each handles few operations, which mostly
// wait.
const faultsInParallel = 4

// groupRoutes is a group of operations with both routes to its namespaces.
type groupRoutes struct {
	operations      func() []operation
	direct, proxied route
}

// assertIsFound runs the operations that detect a fault through its proxy, or all of them if there
// is no fault.
func (f fault) assertIsFound(t *testing.T, i int, groups []groupRoutes, all map[string]bool) {
	t.Helper()
	port := f.serve(t)
	kubeconfig := env.path(fmt.Sprintf("faulty-%d.kubeconfig", i))
	writeFile(kubeconfig, env.certificates.kubeconfig(fmt.Sprintf("https://localhost:%d", port), "admin"))
	count, wanted := 0, cmp.Or(f.verdict, verdictDifferent)
	for k, group := range groups {
		proxied := group.proxied
		proxied.cluster, proxied.kubeconfig = &cluster{port: port}, kubeconfig
		operations := slices.DeleteFunc(group.operations(), func(o operation) bool {
			return !slices.Contains(f.detectedBy, o.name) && (f.detectedBy != nil || !all[o.name])
		})
		// Each fault has objects of its own, with names short enough for a label value.
		for j := range operations {
			operations[j].object = fmt.Sprintf("faulty-%d-%d-%d", i, k, j)
		}
		for _, result := range compareOperations(group.direct, proxied, operations) {
			switch {
			case f.detectedBy == nil && result.fails:
				t.Errorf("without a fault: %s", result.row())
			case f.detectedBy != nil && result.verdict != wanted:
				t.Errorf("%s: verdict on %q: %s", f.name, result.operation, result.row())
			}
			count++
		}
	}
	if want := len(f.detectedBy); want > 0 && count != want || count == 0 {
		t.Errorf("%s: ran %d operations, want %d", f.name, count, want)
	}
}

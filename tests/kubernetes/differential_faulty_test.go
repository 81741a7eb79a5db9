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

// fault changes what the app cluster is asked, or its answer, line by line, and its headers before that.
type fault struct {
	name string
	ask  func(request *http.Request)
	line func(line []byte) []byte
	head func(response *http.Response)
	// What finds it; nothing else has to.
	found []string
	// Whether it is there for the first answer alone that it changes.
	once bool
	// What is found, if not that it is different.
	verdict string
}

// faults are those that a proxy which rewrites bodies is likely to have.
func faults() []fault {
	return []fault{
		{name: "none"},
		// Claims come out the same, for kube-apiserver decodes and encodes them by the same code. What has
		// another order of keys does not.
		{name: "decodes and encodes", line: encodedAnew(json.Unmarshal, json.Marshal),
			found: []string{"get Table", "watch JSON", "missing object", "list metadata"}},
		{name: "decodes and encodes with care for numbers and escapes", line: encodedAnew(unmarshalNumbers, marshalPlain),
			found: []string{"get", "list", "get Table", "watch JSON", "missing object"}},
		{name: "drops bookmarks", line: func(line []byte) []byte {
			if bytes.HasPrefix(line, []byte(`{"type":"BOOKMARK"`)) {
				return nil
			}
			return line
		}, found: []string{"watch list to its end"}},
		{name: "drops deletions", line: func(line []byte) []byte {
			if bytes.HasPrefix(line, []byte(`{"type":"DELETED"`)) {
				return nil
			}
			return line
		}, found: []string{"watch a deletion to its end"}},
		{name: "forgets Tables", line: leaks(`"kind":"Table"`), found: []string{"get Table", "list Table", "kubectl get kc -A -l side={ns}", "kubectl get kc -A -l side={ns},tier=b -o wide --show-kind"}, verdict: isLeak},
		{name: "forgets metadata", line: leaks(`"kind":"PartialObjectMetadata`), found: []string{"get PartialObjectMetadata", "list metadata"}, verdict: isLeak},
		{name: "forgets lists", line: leaks(`"kind":"KubernetesClusterList"`), found: []string{"list", "kubectl get kc -n {ns} -o jsonpath={.items[*].metadata.namespace}", "kubectl describe kc -n {ns}"}, verdict: isLeak},
		// All that is accepted of this one is a header.
		{name: "forgets what is large", line: leaks(strings.Repeat("n", 100)), found: []string{"large object"}, verdict: isLeak},
		{name: "forgets events", line: leaks(`{"type":"`), found: []string{"watch JSON", "watch list to its end"}, verdict: isLeak},
		{name: "tells of itself", head: func(response *http.Response) { response.Header.Set("Via", "2.0 proxy") }, found: []string{"get", "missing object", "large object", "watch JSON"}},
		{name: "loses warnings", head: func(response *http.Response) { response.Header.Del("Warning") }, found: []string{"create with unknown fields", "kubectl create --validate=warn --dry-run=server -o yaml of an unknown field"}},
		{name: "fails once", head: func(response *http.Response) { response.StatusCode = http.StatusInternalServerError }, found: []string{"get"}, once: true, verdict: isDifferentOnce},
		{name: "fails", head: func(response *http.Response) { response.StatusCode = http.StatusInternalServerError }, found: []string{"get", "missing object", "large object", "watch JSON"}},
		{name: "forgets a list once", line: leaks(`"kind":"KubernetesClusterList"`), found: []string{"list"}, once: true, verdict: isLeak},
	}
}

func encodedAnew(decode func([]byte, any) error, encode func(any) ([]byte, error)) func([]byte) []byte {
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

// leaks puts the remote names back into what has this text in it, as if it had never been mapped.
func leaks(what string) func([]byte) []byte {
	return func(line []byte) []byte {
		if !bytes.Contains(line, []byte(what)) {
			return line
		}
		for _, names := range []pair{reading, writing} {
			line = bytes.ReplaceAll(line, []byte(`"namespace":"`+names.local+`"`), []byte(`"namespace":"`+names.remote+`"`))
		}
		return line
	}
}

// serve puts a proxy with the fault before the app cluster, by HTTP/2 and TLS, and returns its port.
func (f fault) serve(t *testing.T) int {
	t.Helper()
	to, err := url.Parse(fmt.Sprintf("https://localhost:%d", theBed.app.port))
	must(err)
	var done atomic.Bool
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			if f.ask != nil {
				f.ask(r.Out)
			}
		},
		Transport:     client("admin").Transport,
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		ModifyResponse: func(response *http.Response) error {
			if f.head != nil && !(f.once && done.Swap(true)) {
				f.head(response)
			}
			if f.line != nil && response.Header.Get("Content-Encoding") == "" {
				response.Header.Del("Content-Length")
				response.Body = f.through(response.Body, &done)
			}
			return nil
		},
	}
	pair, err := tls.X509KeyPair(theBed.pki.read("server.crt"), theBed.pki.read("server.key"))
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

// through is a body whose lines go through the fault.
func (f fault) through(body io.ReadCloser, done *atomic.Bool) io.ReadCloser {
	reader, writer := io.Pipe()
	go func() {
		defer body.Close()
		for lines := bufio.NewReader(body); ; {
			line, err := lines.ReadBytes('\n')
			if !f.once || !done.Load() {
				changed := f.line(bytes.Clone(line))
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

// TestFaultyProxiesAreFound runs a handful of operations through proxies, each with one fault, and asks
// that they be found different.
func TestFaultyProxiesAreFound(t *testing.T) { areFound(t, faults()) }

// TestFaultyRequestsAreFound does so with faults in what is asked.
func TestFaultyRequestsAreFound(t *testing.T) {
	if os.Getenv("BED_SLOW") == "" {
		t.Skip("only by `run --all`")
	}
	areFound(t, requestFaults())
}

func areFound(t *testing.T, faults []fault) {
	t.Helper()
	t.Setenv("BED_ACCEPT", "")
	t.Cleanup(func() { emptyBothWays(t) })
	seed(t)
	all := map[string]bool{}
	for _, fault := range faults {
		for _, name := range fault.found {
			all[name] = true
		}
	}
	var places []place
	for _, theme := range slices.Concat(themes(), oddThemes()) {
		direct, through := sides(t, theme.namespaces)
		places = append(places, place{theme.operations, direct, through})
	}
	free := make(chan struct{}, faultsAtOnce)
	var running sync.WaitGroup
	for i, fault := range faults {
		free <- struct{}{}
		running.Go(func() {
			defer func() { <-free }()
			fault.isFound(t, i, places, all)
		})
	}
	running.Wait()
}

// faultsAtOnce is the number of proxies at once: each is asked for a few operations, which mostly wait.
const faultsAtOnce = 4

// place is a theme with both ways to where it is.
type place struct {
	operations      func() []operation
	direct, through side
}

// isFound runs a fault's operations through its proxy, or all of these if it has none.
func (f fault) isFound(t *testing.T, i int, places []place, all map[string]bool) {
	t.Helper()
	port := f.serve(t)
	kubeconfig := theBed.path(fmt.Sprintf("faulty-%d.kubeconfig", i))
	writeFile(kubeconfig, theBed.pki.kubeconfig(fmt.Sprintf("https://localhost:%d", port), "admin"))
	count, wanted := 0, cmp.Or(f.verdict, isDifferent)
	for k, place := range places {
		through := place.through
		through.cluster, through.kubeconfig = &cluster{port: port}, kubeconfig
		operations := slices.DeleteFunc(place.operations(), func(o operation) bool {
			return !slices.Contains(f.found, o.name) && (f.found != nil || !all[o.name])
		})
		// Objects of its own for each fault, with names that are short enough for a label's value.
		for j := range operations {
			operations[j].object = fmt.Sprintf("faulty-%d-%d-%d", i, k, j)
		}
		for _, result := range runBothWays(place.direct, through, operations) {
			switch {
			case f.found == nil && result.fails:
				t.Errorf("no fault, but %s", result.row())
			case f.found != nil && result.verdict != wanted:
				t.Errorf("%s: %q was found %s", f.name, result.operation, result.row())
			}
			count++
		}
	}
	if want := len(f.found); want > 0 && count != want || count == 0 {
		t.Errorf("%s: %d operations were run of %d", f.name, count, want)
	}
}

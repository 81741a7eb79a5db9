package kubernetes

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const largeClaims = 16

// createLargeClaims creates claims of 1 MiB each. A watch of them sends more than any buffer
// between server and client takes.
func createLargeClaims(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { removeClaims(t, "large") })
	client := stored(claims, clientsLocal)
	// Random letters, which gzip compresses badly.
	notes, letters := make([]byte, 1<<20), rand.New(rand.NewPCG(1, 2))
	for i := range notes {
		notes[i] = byte('a' + letters.IntN(26))
	}
	for i := range largeClaims {
		claim := newClaim(fmt.Sprintf("large-%02d", i), "large")
		must(unstructured.SetNestedField(claim.Object, string(notes), "spec", "notes"))
		if _, err := client.Create(context.Background(), claim, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// openLargeWatch opens a watch of the large claims and reads nothing from it.
func openLargeWatch(t *testing.T, user string, port int, query string) *http.Response {
	t.Helper()
	path := fmt.Sprintf("https://localhost:%d/apis/%s/namespaces/%s/kubernetesclusters?watch=true&labelSelector=test%%3Dlarge%s", port, groupVersion, clientsLocal, query)
	response, err := userClient(user).Get(path)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(err, response)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

// countEvents reads to a clean end and counts the events. Each must be complete.
func countEvents(t *testing.T, name string, lines *bufio.Reader) (count int) {
	t.Helper()
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF && line == "" {
			return count
		}
		var event event
		if err == nil {
			err = json.Unmarshal([]byte(line), &event)
		}
		if err != nil || event.namespace() != clientsLocal {
			t.Fatalf("%s: %v after %d events and %d bytes", name, err, count, len(line))
		}
		count++
	}
}

// clientPaths are the two ways in which clients reach claimgate, with a user and a port each.
func clientPaths() map[string]struct {
	user string
	port int
} {
	return map[string]struct {
		user string
		port int
	}{"directly": {"developer", env.port}, "through the app cluster": {"admin", env.app.port}}
}

// A slow client's watch of large events ends after a complete event when it times out.
func TestTimeoutEndsWatchAfterWholeEvent(t *testing.T) {
	createLargeClaims(t)
	for name, path := range clientPaths() {
		large := openLargeWatch(t, path.user, path.port, "&timeoutSeconds=1")
		// This watch has no events and ends later.
		idle := openLargeWatch(t, path.user, path.port, "&timeoutSeconds=2&fieldSelector=metadata.name%3Dnone")
		countEvents(t, name, bufio.NewReader(idle.Body))
		if count := countEvents(t, name, bufio.NewReader(large.Body)); count == 0 {
			t.Errorf("%s: no event", name)
		}
	}
}

func TestSIGTERMEndsWatchAfterWholeEvent(t *testing.T) {
	createLargeClaims(t)
	open := map[string]*bufio.Reader{}
	for name, path := range clientPaths() {
		open[name] = bufio.NewReader(openLargeWatch(t, path.user, path.port, "").Body)
		// The watch has started and is in the middle of an event.
		if _, err := open[name].Peek(1); err != nil {
			t.Fatal(name, err)
		}
	}
	type end struct {
		code int
		err  error
	}
	ended := make(chan end, 1)
	go func() {
		code, err := env.claimgate.terminate(time.Minute)
		ended <- end{code, err}
	}()
	must(eventually(deadline, func() error {
		if env.ready() == nil {
			return fmt.Errorf("claimgate is not stopping yet")
		}
		return nil
	}))
	for name, lines := range open {
		if count := countEvents(t, name, lines); count == 0 || count == largeClaims {
			t.Errorf("%s: %d events", name, count)
		}
	}
	if end := <-ended; end.err != nil || end.code != 0 {
		t.Errorf("exit code %d: %v", end.code, end.err)
	}
	must(env.startClaimgate())
	must(eventually(deadline, env.ready))
}

// If the connection between the control plane and claimgate breaks, responses to clients of the app
// cluster break too.
func TestInterruptedResponsesFailForClients(t *testing.T) {
	createLargeClaims(t)
	t.Cleanup(func() { must(eventually(deadline, env.ready)) })
	for name, path := range clientPaths() {
		for _, query := range []string{"?labelSelector=test%3Dlarge", "?watch=true&labelSelector=test%3Dlarge"} {
			for protocol, client := range map[string]*http.Client{"HTTP/2": userClient(path.user), "HTTP/1.1": http1Client(path.user)} {
				url := fmt.Sprintf("https://localhost:%d/apis/%s/namespaces/%s/kubernetesclusters%s", path.port, groupVersion, clientsLocal, query)
				var response *http.Response
				// A pooled connection may learn of the previous interruption only now.
				must(eventually(deadline, func() (err error) {
					response, err = client.Get(url)
					if err == nil && response.StatusCode != http.StatusOK {
						response.Body.Close()
						err = fmt.Errorf("%s", response.Status)
					}
					return err
				}))
				body := bufio.NewReader(response.Body)
				_, err := body.Peek(1)
				must(err)
				env.link.closeConnections()
				read, err := io.ReadAll(body)
				// In the shared mapping, claimgate buffers an event until it knows whose it is. So its watches
				// can end after a complete event.
				isComplete := isShared() && strings.Contains(query, "watch") && bytes.HasSuffix(read, []byte("\n"))
				if err == nil && !isComplete {
					t.Errorf("%s %s by %s ends without an error after %d bytes", query, name, protocol, len(read))
				}
				response.Body.Close()
			}
		}
	}
}

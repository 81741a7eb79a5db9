package kubernetes

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const largeClaims = 16

// createLargeClaims makes some of 1 MiB each, of which watches have more to say than anybody takes in
// before it is read.
func createLargeClaims(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { removeClaims(t, "large") })
	client := dynamicClient(theBed.cp).Resource(claims).Namespace(clientsRemote)
	// Of letters of which gzip makes little less.
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

// watched is a watch that nobody has read from yet.
func watched(t *testing.T, user string, port int, query string) *http.Response {
	t.Helper()
	path := fmt.Sprintf("https://localhost:%d/apis/%s/namespaces/%s/kubernetesclusters?watch=true&labelSelector=test%%3Dlarge%s", port, groupVersion, clientsLocal, query)
	response, err := client(user).Get(path)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(err, response)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

// events reads all that comes up to a clean end, and counts the events, all of which have to be whole.
func events(t *testing.T, name string, lines *bufio.Reader) (count int) {
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

// ways are those of people and programs to claimgate, by the port.
func ways() map[string]struct {
	user string
	port int
} {
	return map[string]struct {
		user string
		port int
	}{"directly": {"developer", theBed.port}, "through the app cluster": {"admin", theBed.app.port}}
}

// A watch of large events that its client reads too late ends behind one of them all the same.
func TestATimeoutEndsAWatchOfLargeEventsBehindOne(t *testing.T) {
	createLargeClaims(t)
	for name, way := range ways() {
		large := watched(t, way.user, way.port, "&timeoutSeconds=1")
		// One that says nothing and ends later.
		idle := watched(t, way.user, way.port, "&timeoutSeconds=2&fieldSelector=metadata.name%3Dnone")
		events(t, name, bufio.NewReader(idle.Body))
		if count := events(t, name, bufio.NewReader(large.Body)); count == 0 {
			t.Errorf("%s: no event", name)
		}
	}
}

func TestSIGTERMEndsAWatchOfLargeEventsBehindOne(t *testing.T) {
	createLargeClaims(t)
	open := map[string]*bufio.Reader{}
	for name, way := range ways() {
		open[name] = bufio.NewReader(watched(t, way.user, way.port, "").Body)
		// It has begun, and is in the middle of an event.
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
		code, err := theBed.claimgate.terminate(time.Minute)
		ended <- end{code, err}
	}()
	must(eventually(deadline, func() error {
		if theBed.ready() == nil {
			return fmt.Errorf("it is not stopping")
		}
		return nil
	}))
	for name, lines := range open {
		if count := events(t, name, lines); count == 0 || count == largeClaims {
			t.Errorf("%s: %d events", name, count)
		}
	}
	if end := <-ended; end.err != nil || end.code != 0 {
		t.Errorf("exit %d %v", end.code, end.err)
	}
	must(theBed.startClaimgate())
	must(eventually(deadline, theBed.ready))
}

// What breaks off between the control plane and claimgate does so for clients of the app cluster, too.
func TestWhatBreaksOffDoesNotLookWhole(t *testing.T) {
	createLargeClaims(t)
	t.Cleanup(func() { must(eventually(deadline, theBed.ready)) })
	for name, way := range ways() {
		for _, query := range []string{"?labelSelector=test%3Dlarge", "?watch=true&labelSelector=test%3Dlarge"} {
			for protocol, client := range map[string]*http.Client{"HTTP/2": client(way.user), "HTTP/1.1": http1(way.user)} {
				url := fmt.Sprintf("https://localhost:%d/apis/%s/namespaces/%s/kubernetesclusters%s", way.port, groupVersion, clientsLocal, query)
				var response *http.Response
				// The last cut may be news to a connection that is kept.
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
				theBed.link.drop()
				read, err := io.Copy(io.Discard, body)
				if err == nil {
					t.Errorf("%s %s by %s ends well after %d bytes", query, name, protocol, read)
				}
				response.Body.Close()
			}
		}
	}
}

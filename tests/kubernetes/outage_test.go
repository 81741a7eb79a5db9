package kubernetes

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const claimsPath = "/apis/" + groupVersion + "/namespaces/default/kubernetesclusters"

func TestNamespaceDeletionDeletesClaims(t *testing.T) {
	inAppCluster(t, "create", "namespace", "doomed")
	kubectl(t, env.app, claim("doomed", "goes"), "create", "-f", "-")
	onControlPlane(t, "get", "kc", "-n", mapping["doomed"], remoteName("doomed", "goes"))
	inAppCluster(t, "delete", "namespace", "doomed", "--timeout=60s")
	if _, err := env.tryKubectl(env.controlPlane.kubeconfig, "", "get", "kc", "-n", mapping["doomed"], remoteName("doomed", "goes")); err == nil {
		t.Fatal("the claim still exists after its namespace was deleted")
	}
}

func TestUnmappedNamespaceLooksEmptyAndRejectsRequestsByName(t *testing.T) {
	needsTable(t)
	inAppCluster(t, "create", "namespace", "stray")
	for _, accept := range []string{"application/json", "application/json;as=Table;v=v1;g=meta.k8s.io"} {
		path := strings.Replace(claimsPath, "default", "stray", 1)
		status, body := sendAsAdmin(t, env.app, "GET", path, "", map[string]string{"Accept": accept})
		if status != 200 || !strings.Contains(body, `"resourceVersion":"1"`) {
			t.Fatalf("status %d: %s", status, body)
		}
	}
	_, err := env.tryKubectl(env.app.kubeconfig, claim("stray", "x"), "create", "-f", "-")
	if err == nil || !strings.Contains(err.Error(), "controlPlanes.platform.mapping.namespaces") {
		t.Fatal(err)
	}
	for _, verb := range []string{"get", "delete"} {
		_, err := env.tryKubectl(env.app.kubeconfig, "", verb, "kc", "-n", "stray", "x")
		if err == nil || !strings.Contains(err.Error(), "Forbidden") || !strings.Contains(err.Error(), "controlPlanes.platform.mapping.namespaces") {
			t.Fatal(verb, err)
		}
	}
	path := strings.Replace(claimsPath, "default", "stray", 1) +
		"?watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1"
	status, body := sendAsAdmin(t, env.app, "GET", path, "", nil)
	if status != 200 || !strings.Contains(body, `"k8s.io/initial-events-end":"true"`) {
		t.Fatalf("status %d: %s", status, body)
	}
	inAppCluster(t, "delete", "namespace", "stray", "--timeout=60s")
}

// assertOutageIsHandled breaks the link. Requests must fail with 503 within the given time, and the
// app cluster must keep working. Claims must be served again after the link is restored.
func assertOutageIsHandled(t *testing.T, breakIt func(), within time.Duration) {
	t.Helper()
	sendAsAdmin(t, env.app, "GET", claimsPath, "", nil)
	breakIt()
	restored := false
	defer func() {
		if !restored {
			endOutage()
		}
	}()
	begin := time.Now()
	for {
		status, body, err := sendRequest(adminClient(), env.app.port, "GET", claimsPath, "", nil)
		elapsed := time.Since(begin)
		if err != nil || elapsed > within {
			t.Fatalf("after %s: status %d: %s %v", elapsed, status, body, err)
		}
		if status == 503 {
			assertContains(t, body, `"kind":"Status"`, `control plane \"platform\" does not answer`)
			t.Logf("503 after %s: %s", elapsed, body)
			break
		}
		if status != 200 {
			t.Fatalf("status %d: %s", status, body)
		}
	}
	out := inAppCluster(t, "get", "apiservice", "v1alpha1.k8s.starter.org", "-o", `jsonpath={.status.conditions[?(@.type=="Available")].status}`)
	if out != "True" {
		t.Fatalf("condition Available is %q", out)
	}
	inAppCluster(t, "get", "namespaces")
	assertContains(t, inAppCluster(t, "api-resources", "--api-group", "k8s.starter.org"), "kubernetesclusters")
	must(env.link.restore())
	restored = true
	begin = time.Now()
	must(awaitClaimsServed())
	t.Logf("claims are served again after %s", time.Since(begin))
}

// awaitClaimsServed waits until claims are served. A dial that started before the link was restored
// still fails, and claimgate then waits up to two seconds.
func awaitClaimsServed() error {
	return eventually(3*5*time.Second, func() error {
		status, body, err := sendRequest(adminClient(), env.app.port, "GET", claimsPath, "", nil)
		if err != nil || status != 200 {
			return fmt.Errorf("status %d: %s %v", status, body, err)
		}
		return nil
	})
}

// endOutage restores the link and waits, so that the next test starts with a working environment.
func endOutage() {
	must(env.link.restore())
	must(awaitClaimsServed())
}

func TestRefusedConnectionsReturn503(t *testing.T) {
	assertOutageIsHandled(t, env.link.refuseConnections, 3*time.Second)
}

func TestSilentControlPlaneReturns503(t *testing.T) {
	// PING detects that an established connection is dead; the next connection runs into the
	// connect timeout.
	assertOutageIsHandled(t, env.link.stopForwarding, 3*(pingInterval+pingTimeout+6*time.Second))
}

func TestConnectTimeoutReturns503(t *testing.T) {
	env.link.stopForwarding()
	env.link.closeConnections()
	defer endOutage()
	// The first requests may still report the broken connection.
	for {
		begin := time.Now()
		status, body := sendAsAdmin(t, env.app, "GET", claimsPath, "", nil)
		if status != 503 || time.Since(begin) > 3*6*time.Second {
			t.Fatalf("status %d after %s: %s", status, time.Since(begin), body)
		}
		if strings.Contains(body, "no connection within 5 s") {
			t.Logf("after %s: %s", time.Since(begin), body)
			return
		}
	}
}

func TestTruncatedListFails(t *testing.T) {
	// Random data, which gzip compresses badly.
	random := make([]byte, 3<<18)
	rand.Read(random)
	notes := base64.StdEncoding.EncodeToString(random)
	object := fmt.Sprintf(`{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":{"name":"long"},"spec":{"notes":%q}}`, notes)
	path := "/apis/" + groupVersion + "/namespaces/team-a/kubernetesclusters"
	if status, body := sendAsAdmin(t, env.app, "POST", path, object, map[string]string{"Content-Type": "application/json"}); status != 201 {
		t.Fatalf("status %d: %s", status, body)
	}
	defer inAppCluster(t, "delete", "kc", "-n", "team-a", "long")
	env.link.cutAfterBytes(300 << 10)
	status, body, err := sendRequest(adminClient(), env.app.port, "GET", path, "", nil)
	env.link.cutAfterBytes(0)
	if err == nil && status == 200 {
		t.Fatalf("a truncated list of %d bytes was returned as complete", len(body))
	}
	must(awaitClaimsServed())
}

func TestStartWhileControlPlaneIsUnavailable(t *testing.T) {
	inAppCluster(t, "create", "namespace", "kept")
	env.link.refuseConnections()
	env.claimgate.kill()
	earlier, err := os.ReadFile(env.claimgate.log)
	must(err)
	must(env.startClaimgate())
	must(eventually(deadline, func() error {
		log, _ := os.ReadFile(env.claimgate.log)
		if !bytes.Contains(log[len(earlier):], []byte("cannot read discovery and OpenAPI of the control plane")) {
			return fmt.Errorf("the log does not report the unavailable control plane")
		}
		return nil
	}))
	if err := env.ready(); err == nil {
		t.Fatal("claimgate is ready without having reached the control plane")
	}
	status, body, err := sendRequest(userClient("developer"), env.port, "GET", "/apis/"+groupVersion, "", nil)
	if err != nil || status != 503 {
		t.Fatalf("status %d: %s %v", status, body, err)
	}
	if _, err := env.tryKubectl(env.app.kubeconfig, "", "delete", "namespace", "kept", "--timeout=3s"); err == nil {
		t.Fatal("the namespace was deleted although its claims are unknown")
	}
	must(env.link.restore())
	must(eventually(deadline, env.ready))
	must(eventually(2*deadline, func() error {
		_, err := env.tryKubectl(env.app.kubeconfig, "", "delete", "namespace", "kept", "--timeout=10s", "--ignore-not-found")
		return err
	}))
}

func TestSIGTERMEndsWatchesCleanly(t *testing.T) {
	c := userClient("developer")
	response, err := c.Get(fmt.Sprintf("https://localhost:%d%s?watch=true", env.port, claimsPath))
	if err != nil || response.StatusCode != 200 {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, response.Body)
		ended <- err
	}()
	code, err := env.claimgate.terminate(10 * time.Second)
	if err != nil || code != 0 {
		t.Fatalf("exit code %d: %v", code, err)
	}
	if err := <-ended; err != nil {
		t.Fatalf("the watch ended with %v", err)
	}
	must(env.startClaimgate())
	must(eventually(deadline, env.ready))
}

// peakKiB returns a process's peak resident memory since the last resetPeak.
func peakKiB(p *process) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	must(err)
	for _, line := range strings.Split(string(status), "\n") {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			must(err)
			return kib
		}
	}
	panic("no VmHWM")
}

func resetPeak(p *process) {
	must(os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0))
}

func TestMemoryStaysFlatOnALargeList(t *testing.T) {
	if os.Getenv("TEST_SLOW") == "" {
		t.Skip("only with `run --all`")
	}
	const count = 10_000
	notes := strings.Repeat("n", 1500)
	path := strings.Replace(claimsPath, "default", mapping["team-a"], 1)
	work := make(chan int)
	failed := make(chan error, 8)
	for range 8 {
		go func() {
			var last error
			for i := range work {
				claim := newClaim(fmt.Sprintf("m-%d", i), "memory")
				must(unstructured.SetNestedField(claim.Object, notes, "spec", "notes"))
				object := storedManifest(claim, "team-a")
				status, body, err := sendRequest(adminClient(), env.controlPlane.port, "POST", path, object, map[string]string{"Content-Type": "application/json"})
				if err != nil || status != 201 {
					last = fmt.Errorf("status %d: %s %v", status, body, err)
				}
			}
			failed <- last
		}()
	}
	for i := range count {
		work <- i
	}
	close(work)
	for range 8 {
		must(<-failed)
	}
	defer sendRequest(adminClient(), env.controlPlane.port, "DELETE", path, "", nil)
	list := strings.Replace(claimsPath, "default", "team-a", 1)
	sendRequest(adminClient(), env.app.port, "GET", list+"?limit=10", "", nil)
	resetPeak(env.claimgate)
	before := peakKiB(env.claimgate)
	for _, pause := range []time.Duration{0, 10 * time.Millisecond} {
		r, err := http.NewRequest("GET", fmt.Sprintf("https://localhost:%d%s", env.port, list), nil)
		must(err)
		response, err := userClient("developer").Do(r)
		must(err)
		total, buffer := 0, make([]byte, 64<<10)
		for {
			n, err := response.Body.Read(buffer)
			total += n
			if err == io.EOF {
				break
			}
			must(err)
			time.Sleep(pause)
		}
		response.Body.Close()
		if total < 15<<20 {
			t.Fatalf("the list has only %d bytes", total)
		}
		growth := peakKiB(env.claimgate) - before
		t.Logf("a list of %d bytes, %s between reads: peak memory grew by %d KiB", total, pause, growth)
		if growth > 16<<10 {
			t.Errorf("peak memory grew by %d KiB", growth)
		}
	}
}

// awaitDiscovery waits until claimgate has refreshed discovery.
func awaitDiscovery() { must(awaitDiscoveryRefresh(slowDeadline)) }

// awaitDiscoveryRefresh waits until the age of discovery decreases.
func awaitDiscoveryRefresh(most time.Duration) error {
	previous := -1.0
	return eventually(most, func() error {
		age := discoveryAge()
		if age < previous {
			return nil
		}
		previous = age
		return fmt.Errorf("discovery is %f s old", age)
	})
}

// discoveryAge returns the age of claimgate's discovery in seconds.
func discoveryAge() float64 {
	response, err := http.Get(fmt.Sprintf("http://localhost:%d/metrics", env.adminPort))
	must(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(err)
	_, rest, _ := strings.Cut(string(text), `claimgate_discovery_age_seconds{control_plane="platform"} `)
	age, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	must(err)
	return age
}

func TestMemoryStaysFlatWithThousandOtherCRDs(t *testing.T) {
	if os.Getenv("TEST_SLOW") == "" {
		t.Skip("only with `run --all`")
	}
	resetPeak(env.claimgate)
	before := peakKiB(env.claimgate)
	var text strings.Builder
	for i := range 1000 {
		name := fmt.Sprintf("others%d", i)
		fmt.Fprintf(&text, claimCRD, name, name[:len(name)-1]+"x"+name[6:], fmt.Sprintf("Other%d", i), fmt.Sprintf("o%d", i), "other")
	}
	file := env.path("thousand.yaml")
	must(os.WriteFile(file, []byte(strings.ReplaceAll(text.String(), "k8s.starter.org", "other.example.org")), 0o600))
	if _, err := env.tryKubectl(env.controlPlane.kubeconfig, "", "create", "-f", file); err != nil {
		t.Fatal(err)
	}
	// On a busy machine, a control plane needs almost a minute to describe them, and each OpenAPI
	// request makes it start again. So the test first waits until the last resource is served.
	must(eventually(slowDeadline, func() error {
		if status, body := sendAsAdmin(t, env.controlPlane, "GET", "/apis/other.example.org/v1alpha1/others999", "", nil); status != 200 {
			return fmt.Errorf("the control plane does not serve the last resource: %d %s", status, body)
		}
		return nil
	}))
	must(eventually(slowDeadline, func() error {
		if _, body := sendAsAdmin(t, env.controlPlane, "GET", "/openapi/v2", "", nil); !strings.Contains(body, "others999") {
			time.Sleep(time.Second)
			return fmt.Errorf("the control plane's OpenAPI does not contain the last resource")
		}
		return nil
	}))
	// The second refresh from here on includes the last CRD.
	for range 2 {
		awaitDiscovery()
	}
	growth := peakKiB(env.claimgate) - before
	t.Logf("peak memory grew by %d KiB", growth)
	if growth > 64<<10 {
		t.Errorf("peak memory grew by %d KiB", growth)
	}
	if syscall.Kill(env.claimgate.cmd.Process.Pid, 0) != nil {
		t.Fatal("claimgate has ended")
	}
}

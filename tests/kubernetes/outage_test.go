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
)

const claimsPath = "/apis/" + groupVersion + "/namespaces/default/kubernetesclusters"

func TestNamespaceDeletion(t *testing.T) {
	app(t, "create", "namespace", "doomed")
	kubectl(t, theBed.app, claim("doomed", "goes"), "create", "-f", "-")
	plane(t, "get", "kc", "-n", "app-ns-3", "goes")
	app(t, "delete", "namespace", "doomed", "--timeout=60s")
	if _, err := theBed.try(theBed.cp.kubeconfig, "", "get", "kc", "-n", "app-ns-3", "goes"); err == nil {
		t.Fatal("the claim outlived its namespace")
	}
}

func TestAnUnmappedNamespace(t *testing.T) {
	app(t, "create", "namespace", "stray")
	for _, accept := range []string{"application/json", "application/json;as=Table;v=v1;g=meta.k8s.io"} {
		path := strings.Replace(claimsPath, "default", "stray", 1)
		status, body := request(t, theBed.app, "GET", path, "", map[string]string{"Accept": accept})
		if status != 200 || !strings.Contains(body, `"resourceVersion":"0"`) {
			t.Fatalf("%d %s", status, body)
		}
	}
	_, err := theBed.try(theBed.app.kubeconfig, claim("stray", "x"), "create", "-f", "-")
	if err == nil || !strings.Contains(err.Error(), "controlPlanes.platform.mapping.namespaces") {
		t.Fatal(err)
	}
	if _, err := theBed.try(theBed.app.kubeconfig, "", "get", "kc", "-n", "stray", "x"); err == nil || !strings.Contains(err.Error(), "NotFound") {
		t.Fatal(err)
	}
	path := strings.Replace(claimsPath, "default", "stray", 1) +
		"?watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1"
	status, body := request(t, theBed.app, "GET", path, "", nil)
	if status != 200 || !strings.Contains(body, `"k8s.io/initial-events-end":"true"`) {
		t.Fatalf("%d %s", status, body)
	}
	app(t, "delete", "namespace", "stray", "--timeout=60s")
}

// outage breaks the link, looks that the app cluster does not suffer, and that all is well again
// within the time after the link works.
func outage(t *testing.T, breakIt func(), within time.Duration) {
	t.Helper()
	request(t, theBed.app, "GET", claimsPath, "", nil)
	breakIt()
	restored := false
	defer func() {
		if !restored {
			mend()
		}
	}()
	begin := time.Now()
	for {
		status, body, err := ask(admin(), theBed.app.port, "GET", claimsPath, "", nil)
		took := time.Since(begin)
		if err != nil || took > within {
			t.Fatalf("after %s: %d %s %v", took, status, body, err)
		}
		if status == 503 {
			contains(t, body, `"kind":"Status"`, `control plane \"platform\" does not answer`)
			t.Logf("503 after %s: %s", took, body)
			break
		}
		if status != 200 {
			t.Fatalf("%d %s", status, body)
		}
	}
	out := app(t, "get", "apiservice", "v1alpha1.k8s.starter.org", "-o", `jsonpath={.status.conditions[?(@.type=="Available")].status}`)
	if out != "True" {
		t.Fatalf("Available is %q", out)
	}
	app(t, "get", "namespaces")
	contains(t, app(t, "api-resources", "--api-group", "k8s.starter.org"), "kubernetesclusters")
	must(theBed.link.restore())
	restored = true
	begin = time.Now()
	must(answersAgain())
	t.Logf("works again after %s", time.Since(begin))
}

// answersAgain waits until claims are served. A dial that was under way when the link was mended
// still fails, and claimgate rests for up to two seconds after it.
func answersAgain() error {
	return eventually(3*5*time.Second, func() error {
		status, body, err := ask(admin(), theBed.app.port, "GET", claimsPath, "", nil)
		if err != nil || status != 200 {
			return fmt.Errorf("%d %s %v", status, body, err)
		}
		return nil
	})
}

// mend ends an outage, for the next test to find everything well.
func mend() {
	must(theBed.link.restore())
	must(answersAgain())
}

func TestControlPlaneRefuses(t *testing.T) {
	outage(t, theBed.link.refuse, 3*time.Second)
}

func TestControlPlaneFallsSilent(t *testing.T) {
	// What is established is found out by PING, and the connection after it by the connect timeout.
	outage(t, theBed.link.fallSilent, 3*(pings+pongs+6*time.Second))
}

func TestAnUnansweredConnectionIsGivenUp(t *testing.T) {
	theBed.link.fallSilent()
	theBed.link.drop()
	defer mend()
	// The first requests may still be told of the connection that broke.
	for {
		begin := time.Now()
		status, body := request(t, theBed.app, "GET", claimsPath, "", nil)
		if status != 503 || time.Since(begin) > 3*6*time.Second {
			t.Fatalf("%d after %s: %s", status, time.Since(begin), body)
		}
		if strings.Contains(body, "no connection within 5 s") {
			t.Logf("after %s: %s", time.Since(begin), body)
			return
		}
	}
}

func TestACutListIsAnErrorAndNotAShorterList(t *testing.T) {
	// Such as gzip makes little less of.
	random := make([]byte, 3<<18)
	rand.Read(random)
	notes := base64.StdEncoding.EncodeToString(random)
	object := fmt.Sprintf(`{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":{"name":"long"},"spec":{"notes":%q}}`, notes)
	path := "/apis/" + groupVersion + "/namespaces/team-a/kubernetesclusters"
	if status, body := request(t, theBed.app, "POST", path, object, map[string]string{"Content-Type": "application/json"}); status != 201 {
		t.Fatalf("%d %s", status, body)
	}
	defer app(t, "delete", "kc", "-n", "team-a", "long")
	theBed.link.setCut(300 << 10)
	status, body, err := ask(admin(), theBed.app.port, "GET", path, "", nil)
	theBed.link.setCut(0)
	if err == nil && status == 200 {
		t.Fatalf("%d bytes were taken for the whole", len(body))
	}
	must(answersAgain())
}

func TestStartedWhileTheControlPlaneIsAway(t *testing.T) {
	app(t, "create", "namespace", "kept")
	theBed.link.refuse()
	theBed.claimgate.kill()
	earlier, err := os.ReadFile(theBed.claimgate.log)
	must(err)
	must(theBed.startClaimgate())
	must(eventually(deadline, func() error {
		log, _ := os.ReadFile(theBed.claimgate.log)
		if !bytes.Contains(log[len(earlier):], []byte("cannot be asked what it serves")) {
			return fmt.Errorf("nothing in the log")
		}
		return nil
	}))
	if err := theBed.ready(); err == nil {
		t.Fatal("ready without having seen the control plane")
	}
	status, body, err := ask(client("developer"), theBed.port, "GET", "/apis/"+groupVersion, "", nil)
	if err != nil || status != 503 {
		t.Fatalf("%d %s %v", status, body, err)
	}
	if _, err := theBed.try(theBed.app.kubeconfig, "", "delete", "namespace", "kept", "--timeout=3s"); err == nil {
		t.Fatal("a namespace was deleted over claims that nobody has seen")
	}
	must(theBed.link.restore())
	must(eventually(deadline, theBed.ready))
	must(eventually(2*deadline, func() error {
		_, err := theBed.try(theBed.app.kubeconfig, "", "delete", "namespace", "kept", "--timeout=10s", "--ignore-not-found")
		return err
	}))
}

func TestSIGTERMEndsWatchesCleanly(t *testing.T) {
	c := client("developer")
	response, err := c.Get(fmt.Sprintf("https://localhost:%d%s?watch=true", theBed.port, claimsPath))
	if err != nil || response.StatusCode != 200 {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, response.Body)
		ended <- err
	}()
	code, err := theBed.claimgate.terminate(10 * time.Second)
	if err != nil || code != 0 {
		t.Fatalf("exit %d %v", code, err)
	}
	if err := <-ended; err != nil {
		t.Fatalf("the watch ended with %v", err)
	}
	must(theBed.startClaimgate())
	must(eventually(deadline, theBed.ready))
}

// peakKiB is the daemon's greatest memory so far; reset makes it start anew.
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
	if os.Getenv("BED_SLOW") == "" {
		t.Skip("only with --all")
	}
	const count = 10_000
	notes := strings.Repeat("n", 1500)
	path := strings.Replace(claimsPath, "default", "app-ns-2", 1)
	work := make(chan int)
	failed := make(chan error, 8)
	for range 8 {
		go func() {
			var last error
			for i := range work {
				object := fmt.Sprintf(`{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":{"name":"m-%d"},"spec":{"notes":%q}}`, i, notes)
				status, body, err := ask(admin(), theBed.cp.port, "POST", path, object, map[string]string{"Content-Type": "application/json"})
				if err != nil || status != 201 {
					last = fmt.Errorf("%d %s %v", status, body, err)
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
	defer ask(admin(), theBed.cp.port, "DELETE", path, "", nil)
	list := strings.Replace(claimsPath, "default", "team-a", 1)
	ask(admin(), theBed.app.port, "GET", list+"?limit=10", "", nil)
	resetPeak(theBed.claimgate)
	before := peakKiB(theBed.claimgate)
	for _, pause := range []time.Duration{0, 10 * time.Millisecond} {
		r, err := http.NewRequest("GET", fmt.Sprintf("https://localhost:%d%s", theBed.port, list), nil)
		must(err)
		response, err := client("developer").Do(r)
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
			t.Fatalf("only %d bytes", total)
		}
		grown := peakKiB(theBed.claimgate) - before
		t.Logf("a list of %d bytes, %s between reads: peak memory grew by %d KiB", total, pause, grown)
		if grown > 16<<10 {
			t.Errorf("peak memory grew by %d KiB", grown)
		}
	}
}

// waitForDiscovery returns when claimgate has looked once more at what the control plane serves.
func waitForDiscovery() { must(refreshedWithin(slowDeadline)) }

// refreshedWithin waits until claimgate has asked for discovery once more.
func refreshedWithin(most time.Duration) error {
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

// discoveryAge is for how many seconds discovery has been known.
func discoveryAge() float64 {
	response, err := http.Get(fmt.Sprintf("http://localhost:%d/metrics", theBed.adminPort))
	must(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(err)
	_, rest, _ := strings.Cut(string(text), `claimgate_discovery_age_seconds{control_plane="platform"} `)
	age, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	must(err)
	return age
}

func TestMemoryStaysFlatWithAThousandOtherCRDs(t *testing.T) {
	if os.Getenv("BED_SLOW") == "" {
		t.Skip("only with --all")
	}
	resetPeak(theBed.claimgate)
	before := peakKiB(theBed.claimgate)
	var text strings.Builder
	for i := range 1000 {
		name := fmt.Sprintf("others%d", i)
		fmt.Fprintf(&text, crd, name, name[:len(name)-1]+"x"+name[6:], fmt.Sprintf("Other%d", i), fmt.Sprintf("o%d", i), "other")
	}
	file := theBed.path("thousand.yaml")
	must(os.WriteFile(file, []byte(strings.ReplaceAll(text.String(), "k8s.starter.org", "other.example.org")), 0o600))
	if _, err := theBed.try(theBed.cp.kubeconfig, "", "create", "-f", file); err != nil {
		t.Fatal(err)
	}
	// A control plane alone takes most of a minute to describe them on a busy machine, and each
	// question makes it begin anew, so it is asked first whether it serves the last one.
	must(eventually(slowDeadline, func() error {
		if status, body := request(t, theBed.cp, "GET", "/apis/other.example.org/v1alpha1/others999", "", nil); status != 200 {
			return fmt.Errorf("the control plane does not serve the last one: %d %s", status, body)
		}
		return nil
	}))
	must(eventually(slowDeadline, func() error {
		if _, body := request(t, theBed.cp, "GET", "/openapi/v2", "", nil); !strings.Contains(body, "others999") {
			time.Sleep(time.Second)
			return fmt.Errorf("the control plane's OpenAPI lacks the last one")
		}
		return nil
	}))
	// The second look from here on certainly has the last of them in it.
	for range 2 {
		waitForDiscovery()
	}
	grown := peakKiB(theBed.claimgate) - before
	t.Logf("peak memory grew by %d KiB", grown)
	if grown > 64<<10 {
		t.Errorf("peak memory grew by %d KiB", grown)
	}
	if syscall.Kill(theBed.claimgate.cmd.Process.Pid, 0) != nil {
		t.Fatal("claimgate is gone")
	}
}

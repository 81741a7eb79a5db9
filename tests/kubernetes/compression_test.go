package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestGzipFromTheControlPlane reads a large list by a claimgate that asks for gzip and by one that does
// not. Nothing but the bytes that came over the link may tell them apart.
func TestGzipFromTheControlPlane(t *testing.T) {
	const count = 40
	t.Cleanup(func() { removeClaims(t, "gzip") })
	version, there := "", dynamicClient(theBed.cp).Resource(claims).Namespace(clientsRemote)
	for i := range count {
		claim := newClaim(fmt.Sprintf("gzip-%02d", i), "gzip")
		// Twelve thousand bytes, of which hardly two lines are the same.
		var notes strings.Builder
		for line := range 200 {
			fmt.Fprintf(&notes, "line %d of claim %d: it says %x, which nobody needs to know\n", line, i, line*line*(i+7)*7919)
		}
		must(unstructured.SetNestedField(claim.Object, notes.String(), "spec", "notes"))
		created, err := there.Create(context.Background(), claim, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		version = created.GetResourceVersion()
	}
	path := "/apis/" + groupVersion + "/namespaces/" + clientsLocal + "/kubernetesclusters?labelSelector=test%3Dgzip" +
		"&resourceVersionMatch=Exact&resourceVersion=" + version
	plain, plainBytes := readOver(t, "off", path)
	packed, packedBytes := readOver(t, "on", path)
	t.Logf("a list of %d bytes: %d over the link as it is, %d in gzip", len(plain), plainBytes, packedBytes)
	if packed != plain {
		t.Fatalf("they differ:\n%.500s\n%.500s", packed, plain)
	}
	var list unstructured.UnstructuredList
	must(json.Unmarshal([]byte(packed), &list))
	if len(list.Items) != count {
		t.Fatalf("%d claims", len(list.Items))
	}
	for _, claim := range list.Items {
		if claim.GetNamespace() != clientsLocal {
			t.Fatalf("%s is in %s", claim.GetName(), claim.GetNamespace())
		}
	}
	lacks(t, packed, clientsRemote)
	if plainBytes < int64(len(plain)) || 3*packedBytes > plainBytes {
		t.Fatalf("%d bytes came over the link, and %d in gzip", plainBytes, packedBytes)
	}
}

// TestBothWaysAreTheSameInGzip is the differential suite by a claimgate that asks the control plane for
// gzip, as by itself it does only over links that are slow enough for it to pay.
func TestBothWaysAreTheSameInGzip(t *testing.T) {
	if os.Getenv("BED_SLOW") == "" || os.Getenv("BED_COMPRESSION") == "on" {
		t.Skip("only by `run --all`, and where the whole run is not in gzip")
	}
	restart := func() {
		must(theBed.restartClaimgate())
		must(eventually(2*deadline, func() error {
			_, err := theBed.try(theBed.app.kubeconfig, "", "get", "kc")
			return err
		}))
	}
	// Once the variable is back.
	t.Cleanup(restart)
	t.Setenv("BED_COMPRESSION", "on")
	restart()
	runThemes(t, slices.Concat(themes(), oddThemes()))
}

// readOver reads a path by a claimgate of its own, and counts what came over its link meanwhile: the
// least of a few times, for it learns what the control plane serves over the same link.
func readOver(t *testing.T, compression, path string) (body string, least int64) {
	t.Helper()
	port, _, link := anotherClaimgate(t, "claimgate-gzip-"+compression, compression)
	least = math.MaxInt64
	for range 10 {
		before := link.bytes()
		var status int
		var err error
		status, body, err = ask(client("developer"), port, "GET", path, "", nil)
		if err != nil || status != 200 {
			t.Fatalf("%d %s %v", status, body, err)
		}
		least = min(least, link.bytes()-before)
	}
	return body, least
}

// anotherClaimgate runs one of this name beside the bed's until the test ends, over a link of its own.
func anotherClaimgate(t *testing.T, name, compression string) (port, adminPort int, link *link) {
	t.Helper()
	link, err := newLink(fmt.Sprintf("127.0.0.1:%d", theBed.cp.port))
	must(err)
	t.Cleanup(link.refuse)
	ports, err := freePorts(2)
	must(err)
	process, err := theBed.runClaimgate(name, ports[0], ports[1], link, compression)
	must(err)
	t.Cleanup(process.kill)
	if err := eventually(deadline, func() error { return ready(ports[1]) }); err != nil {
		t.Fatal(err)
	}
	return ports[0], ports[1], link
}

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

// TestGzipListMatchesPlainList reads a large list through a claimgate that requests gzip and
// through one that does not. The lists are equal; fewer bytes come over the link with gzip.
func TestGzipListMatchesPlainList(t *testing.T) {
	const count = 40
	t.Cleanup(func() { removeClaims(t, "gzip") })
	version, remote := "", stored(claims, clientsLocal)
	for i := range count {
		claim := newClaim(fmt.Sprintf("gzip-%02d", i), "gzip")
		// 12,000 bytes in which few lines are equal.
		var notes strings.Builder
		for line := range 200 {
			fmt.Fprintf(&notes, "line %d of claim %d has the value %x, and the rest is the same\n", line, i, line*line*(i+7)*7919)
		}
		must(unstructured.SetNestedField(claim.Object, notes.String(), "spec", "notes"))
		created, err := remote.Create(context.Background(), claim, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		version = created.GetResourceVersion()
	}
	path := "/apis/" + groupVersion + "/namespaces/" + clientsLocal + "/kubernetesclusters?labelSelector=test%3Dgzip" +
		"&resourceVersionMatch=Exact&resourceVersion=" + version
	plain, plainBytes := readWithCompression(t, "off", path)
	gzipped, gzippedBytes := readWithCompression(t, "on", path)
	t.Logf("a list of %d bytes: %d bytes over the link without gzip, %d with gzip", len(plain), plainBytes, gzippedBytes)
	if gzipped != plain {
		t.Fatalf("the lists differ:\n%.500s\n%.500s", gzipped, plain)
	}
	var list unstructured.UnstructuredList
	must(json.Unmarshal([]byte(gzipped), &list))
	if len(list.Items) != count {
		t.Fatalf("the list has %d claims", len(list.Items))
	}
	for _, claim := range list.Items {
		if claim.GetNamespace() != clientsLocal {
			t.Fatalf("%s is in namespace %s", claim.GetName(), claim.GetNamespace())
		}
	}
	assertLacks(t, gzipped, mapping[clientsLocal])
	if plainBytes < int64(len(plain)) || 3*gzippedBytes > plainBytes {
		t.Fatalf("%d bytes came over the link without gzip, %d with gzip", plainBytes, gzippedBytes)
	}
}

// TestResponsesMatchControlPlaneWithGzip runs the differential suite with gzip from the control
// plane. By default claimgate requests gzip only over slow links.
func TestResponsesMatchControlPlaneWithGzip(t *testing.T) {
	if os.Getenv("TEST_SLOW") == "" || os.Getenv("TEST_COMPRESSION") == "on" {
		t.Skip("only with `run --all`, unless the whole run uses gzip")
	}
	restart := func() {
		must(env.restartClaimgate())
		must(eventually(2*deadline, func() error {
			_, err := env.tryKubectl(env.app.kubeconfig, "", "get", "kc")
			return err
		}))
	}
	// Registered first, so that it runs after the variable is restored.
	t.Cleanup(restart)
	t.Setenv("TEST_COMPRESSION", "on")
	restart()
	runGroups(t, slices.Concat(commonGroups(), uncommonGroups()))
}

// readWithCompression reads a path through a claimgate of its own and counts the bytes that come
// over its link. It returns the least of several counts, because discovery uses the same link.
func readWithCompression(t *testing.T, compression, path string) (body string, least int64) {
	t.Helper()
	second := startSecondClaimgate(t, newInstance("claimgate-gzip-"+compression, compression))
	least = math.MaxInt64
	for range 10 {
		before := second.link.receivedBytes()
		var status int
		var err error
		status, body, err = sendRequest(userClient("developer"), second.port, "GET", path, "", nil)
		if err != nil || status != 200 {
			t.Fatalf("status %d: %s %v", status, body, err)
		}
		least = min(least, second.link.receivedBytes()-before)
	}
	return body, least
}

// startSecondClaimgate starts another claimgate with ports and a link of its own, until the test ends.
func startSecondClaimgate(t *testing.T, i instance) instance {
	t.Helper()
	i = withOwnLink(t, i)
	process, err := env.runClaimgate(i)
	must(err)
	t.Cleanup(process.kill)
	await(t, deadline, func() error { return ready(i.adminPort) })
	return i
}

// withOwnLink gives an instance ports and a link of its own, which refuses connections when the test ends.
func withOwnLink(t *testing.T, i instance) instance {
	t.Helper()
	link, err := newLink(fmt.Sprintf("127.0.0.1:%d", env.controlPlane.port))
	must(err)
	t.Cleanup(link.refuseConnections)
	ports, err := freePorts(2)
	must(err)
	i.port, i.adminPort, i.link = ports[0], ports[1], link
	return i
}

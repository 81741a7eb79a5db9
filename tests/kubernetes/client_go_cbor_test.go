package kubernetes

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	clientfeatures "k8s.io/client-go/features"
	clientfeaturestesting "k8s.io/client-go/features/testing"
)

// mediaTypeRecorder records the media type and the status code of each request with a body, and the
// Accept header of every request.
type mediaTypeRecorder struct {
	mu              sync.Mutex
	writes, accepts []string
	next            http.RoundTripper
}

func (t *mediaTypeRecorder) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(request)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.accepts = append(t.accepts, request.Header.Get("Accept"))
	if kind := request.Header.Get("Content-Type"); err == nil && kind != "" {
		t.writes = append(t.writes, fmt.Sprintf("%s %s %d", request.Method, kind, response.StatusCode))
	}
	return response, err
}

// writtenTypes returns the recorded writes.
func (t *mediaTypeRecorder) writtenTypes() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.writes)
}

// TestDynamicClientWithCBORWorksAsOnControlPlane turns on client-go's feature gates for CBOR
// (KEP-4222). The client prefers CBOR and gets JSON; after a write in CBOR was rejected, it writes
// JSON. The control plane behaves the same.
func TestDynamicClientWithCBORWorksAsOnControlPlane(t *testing.T) {
	for _, prefers := range []bool{false, true} {
		t.Run(fmt.Sprintf("prefers=%t", prefers), func(t *testing.T) {
			// Registered first, so that it runs after the gates are restored.
			t.Cleanup(func() { removeClaims(t, "cbor") })
			clientfeaturestesting.SetFeatureDuringTest(t, clientfeatures.ClientsAllowCBOR, true)
			clientfeaturestesting.SetFeatureDuringTest(t, clientfeatures.ClientsPreferCBOR, prefers)
			local := useInCBOR(t, env.app, clientsLocal, prefers)
			if remote := useInCBOR(t, env.controlPlane, mapping[clientsLocal], prefers); !slices.Equal(local, remote) {
				t.Errorf("through claimgate: %q, on the control plane: %q", local, remote)
			}
		})
	}
}

// useInCBOR writes a claim by each method, watches and lists it. It returns the recorded writes.
func useInCBOR(t *testing.T, cluster *cluster, here string, prefers bool) []string {
	t.Helper()
	ctx := testContext(t, deadline)
	config, recorder := restConfig(cluster), &mediaTypeRecorder{}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		recorder.next = next
		return recorder
	})
	all, err := dynamic.NewForConfig(config)
	must(err)
	client, mine := all.Resource(claims).Namespace(here), metav1.ListOptions{LabelSelector: "test=cbor"}

	first, err := client.Create(ctx, newClaim("cbor", "cbor"), metav1.CreateOptions{})
	if prefers {
		if !apierrors.IsUnsupportedMediaType(err) || !slices.Equal(recorder.writtenTypes(), []string{"POST application/cbor 415"}) {
			t.Fatalf("create returned %v after %q", err, recorder.writtenTypes())
		}
		first, err = client.Create(ctx, newClaim("cbor", "cbor"), metav1.CreateOptions{})
	}
	must(err)
	watched, err := client.Watch(ctx, metav1.ListOptions{LabelSelector: "test=cbor", ResourceVersion: first.GetResourceVersion()})
	must(err)
	defer watched.Stop()

	must(unstructured.SetNestedField(first.Object, int64(2), "spec", "nodeCount"))
	_, err = client.Update(ctx, first, metav1.UpdateOptions{})
	must(err)
	_, err = client.Patch(ctx, "cbor", types.MergePatchType, []byte(`{"spec":{"region":"eu"}}`), metav1.PatchOptions{})
	must(err)
	_, err = client.Patch(ctx, "cbor", types.JSONPatchType, []byte(`[{"op":"test","path":"/metadata/namespace","value":"`+here+`"},{"op":"replace","path":"/spec/region","value":"us"}]`), metav1.PatchOptions{})
	must(err)
	wanted := newClaim("cbor", "cbor")
	must(unstructured.SetNestedField(wanted.Object, "applied", "spec", "notes"))
	unstructured.RemoveNestedField(wanted.Object, "spec", "nodeCount")
	_, err = client.Apply(ctx, "cbor", wanted, metav1.ApplyOptions{FieldManager: "team"})
	if prefers {
		// For an apply, client-go does not remember that CBOR was rejected (util/apply).
		if !apierrors.IsUnsupportedMediaType(err) {
			t.Fatal(err)
		}
		text, _ := wanted.MarshalJSON()
		_, err = client.Patch(ctx, "cbor", types.ApplyYAMLPatchType, text, metav1.PatchOptions{FieldManager: "team"})
	}
	must(err)
	for namespace := range map[string]bool{here: true, metav1.NamespaceAll: true} {
		list, err := all.Resource(claims).Namespace(namespace).List(ctx, mine)
		must(err)
		if len(list.Items) != 1 || list.Items[0].GetNamespace() != here || fmt.Sprint(list.Items[0].Object["spec"]) != "map[nodeCount:2 notes:applied region:us]" {
			t.Fatalf("list in namespace %q returned %v", namespace, list.Items)
		}
	}
	must(client.Delete(ctx, "cbor", metav1.DeleteOptions{}))
	for _, want := range []apiwatch.EventType{apiwatch.Modified, apiwatch.Modified, apiwatch.Modified, apiwatch.Modified, apiwatch.Deleted} {
		event := <-watched.ResultChan()
		claim, _ := event.Object.(*unstructured.Unstructured)
		if event.Type != want || claim == nil || claim.GetNamespace() != here {
			t.Fatalf("event %s, want %s: %v", event.Type, want, event.Object)
		}
	}
	if count := len(slices.DeleteFunc(recorder.writtenTypes(), func(write string) bool { return !strings.Contains(write, "cbor") })); prefers && count != 2 || !prefers && count != 0 {
		t.Errorf("%d writes in CBOR: %q", count, recorder.writtenTypes())
	}
	for _, accept := range recorder.accepts {
		if !strings.Contains(accept, "cbor") {
			t.Errorf("request did not ask for CBOR: %s", accept)
		}
	}
	return recorder.writtenTypes()
}

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

// typed keeps what each request that is not a read was written in, with what it was answered by, and
// what the reads took.
type typed struct {
	mu              sync.Mutex
	writes, accepts []string
	next            http.RoundTripper
}

func (t *typed) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(request)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.accepts = append(t.accepts, request.Header.Get("Accept"))
	if kind := request.Header.Get("Content-Type"); err == nil && kind != "" {
		t.writes = append(t.writes, fmt.Sprintf("%s %s %d", request.Method, kind, response.StatusCode))
	}
	return response, err
}

// written is what was written so far.
func (t *typed) written() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.writes)
}

// TestDynamicClientThatTakesCBOR has client-go's gates for CBOR on
// (KEP-4222): it takes JSON where it prefers CBOR, and once a write in CBOR was refused writes JSON. All
// goes as it does at the control plane.
func TestDynamicClientThatTakesCBOR(t *testing.T) {
	for _, prefers := range []bool{false, true} {
		t.Run(fmt.Sprintf("prefers=%t", prefers), func(t *testing.T) {
			// Once the gates are back.
			t.Cleanup(func() { removeClaims(t, "cbor") })
			clientfeaturestesting.SetFeatureDuringTest(t, clientfeatures.ClientsAllowCBOR, true)
			clientfeaturestesting.SetFeatureDuringTest(t, clientfeatures.ClientsPreferCBOR, prefers)
			local := useInCBOR(t, theBed.app, clientsLocal, prefers)
			if remote := useInCBOR(t, theBed.cp, clientsRemote, prefers); !slices.Equal(local, remote) {
				t.Errorf("%q, and at the control plane %q", local, remote)
			}
		})
	}
}

// useInCBOR writes a claim in all ways, watches and lists it, and returns what was written in what.
func useInCBOR(t *testing.T, cluster *cluster, here string, prefers bool) []string {
	t.Helper()
	ctx := within(t, deadline)
	config, seen := restConfig(cluster), &typed{}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		seen.next = next
		return seen
	})
	all, err := dynamic.NewForConfig(config)
	must(err)
	client, mine := all.Resource(claims).Namespace(here), metav1.ListOptions{LabelSelector: "test=cbor"}

	first, err := client.Create(ctx, newClaim("cbor", "cbor"), metav1.CreateOptions{})
	if prefers {
		if !apierrors.IsUnsupportedMediaType(err) || !slices.Equal(seen.written(), []string{"POST application/cbor 415"}) {
			t.Fatalf("%v, by %q", err, seen.written())
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
		// Of an apply client-go does not keep in mind what it was refused for (util/apply).
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
			t.Fatalf("namespace %q: %v", namespace, list.Items)
		}
	}
	must(client.Delete(ctx, "cbor", metav1.DeleteOptions{}))
	for _, want := range []apiwatch.EventType{apiwatch.Modified, apiwatch.Modified, apiwatch.Modified, apiwatch.Modified, apiwatch.Deleted} {
		event := <-watched.ResultChan()
		claim, _ := event.Object.(*unstructured.Unstructured)
		if event.Type != want || claim == nil || claim.GetNamespace() != here {
			t.Fatalf("%s, and not %s: %v", event.Type, want, event.Object)
		}
	}
	if count := len(slices.DeleteFunc(seen.written(), func(write string) bool { return !strings.Contains(write, "cbor") })); prefers && count != 2 || !prefers && count != 0 {
		t.Errorf("%d writes in CBOR: %q", count, seen.written())
	}
	for _, accept := range seen.accepts {
		if !strings.Contains(accept, "cbor") {
			t.Errorf("CBOR was not asked for: %s", accept)
		}
	}
	return seen.written()
}

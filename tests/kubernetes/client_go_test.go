package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/pager"
	"k8s.io/client-go/util/retry"
)

var (
	claims    = schema.GroupVersionResource{Group: "k8s.starter.org", Version: "v1alpha1", Resource: "kubernetesclusters"}
	claimKind = claims.GroupVersion().WithKind("KubernetesCluster")
)

// clientsLocal is the local namespace of the client tests.
const clientsLocal = "team-a"

// restConfig returns the administrator's client configuration, without client-side rate limiting.
func restConfig(c *cluster) *rest.Config {
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	must(err)
	config.QPS = -1
	return config
}

// requestRecorder records the method, path and query of each request of a client.
type requestRecorder struct {
	mu       sync.Mutex
	requests []string
	next     http.RoundTripper
}

func recordRequests(config *rest.Config) *requestRecorder {
	r := &requestRecorder{}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		r.next = next
		return r
	})
	return r
}

func (r *requestRecorder) RoundTrip(request *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.requests = append(r.requests, request.Method+" "+request.URL.RequestURI())
	r.mu.Unlock()
	return r.next.RoundTrip(request)
}

// count returns the number of requests that contain all parts.
func (r *requestRecorder) count(parts ...string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(r.requests), func(request string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(request, part) })
	}))
}

func dynamicClient(c *cluster) dynamic.Interface {
	client, err := dynamic.NewForConfig(restConfig(c))
	must(err)
	return client
}

// testContext returns a context that ends with the test, or after the given time.
func testContext(t *testing.T, most time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), most)
	t.Cleanup(cancel)
	return ctx
}

// newClaim returns a claim with the label `test`, by which a test selects its own claims.
func newClaim(name, test string) *unstructured.Unstructured {
	claim := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"nodeCount": int64(0)}}}
	claim.SetGroupVersionKind(claimKind)
	claim.SetName(name)
	claim.SetLabels(map[string]string{"test": test})
	return claim
}

// createClaims creates claims in the order of their names and deletes them when the test ends.
func createClaims(t *testing.T, test string, count int) []string {
	t.Helper()
	client := dynamicClient(env.app).Resource(claims).Namespace(clientsLocal)
	t.Cleanup(func() { removeClaims(t, test) })
	var names []string
	for i := range count {
		name := fmt.Sprintf("%s-%02d", test, i)
		if _, err := client.Create(context.Background(), newClaim(name, test), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

func removeClaims(t *testing.T, test string) {
	t.Helper()
	err := stored(claims, clientsLocal).DeleteCollection(
		context.Background(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "test=" + test})
	if err != nil {
		t.Error(err)
	}
}

func TestPagerReadsAllPages(t *testing.T) {
	want := createClaims(t, "pages", 11)
	ctx := testContext(t, deadline)
	for name, namespace := range map[string]string{"one namespace": clientsLocal, "all namespaces": metav1.NamespaceAll} {
		config := restConfig(env.app)
		requests := recordRequests(config)
		client, err := dynamic.NewForConfig(config)
		must(err)
		page := func(options metav1.ListOptions) (runtime.Object, error) {
			return client.Resource(claims).Namespace(namespace).List(ctx, options)
		}
		var got []string
		pages := pager.New(pager.SimplePageFunc(page))
		pages.PageSize = 3
		err = pages.EachListItem(ctx, metav1.ListOptions{LabelSelector: "test=pages"}, func(object runtime.Object) error {
			claim := object.(*unstructured.Unstructured)
			got = append(got, claim.GetName())
			if claim.GetNamespace() != clientsLocal {
				return fmt.Errorf("namespace is %q", claim.GetNamespace())
			}
			return nil
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v %v", name, got, err)
		}
		if count := requests.count("limit=3"); count < 4 {
			t.Errorf("%s: only %d pages", name, count)
		}
	}
}

// Several clients increment one number, through claimgate and on the control plane.
func TestRetryOnConflictLosesNoUpdate(t *testing.T) {
	const programs, updates = 4, 5
	name := createClaims(t, "counter", 1)[0]
	ctx := testContext(t, 2*deadline)
	var all sync.WaitGroup
	errors := make(chan error, programs)
	for i := range programs {
		client := dynamicClient(env.app).Resource(claims).Namespace(clientsLocal)
		if i == 0 {
			client = stored(claims, clientsLocal)
		}
		backoff := retry.DefaultBackoff
		backoff.Steps = 50
		all.Go(func() {
			for range updates {
				errors <- retry.RetryOnConflict(backoff, func() error {
					claim, err := client.Get(ctx, name, metav1.GetOptions{})
					if err != nil {
						return err
					}
					count, _, _ := unstructured.NestedInt64(claim.Object, "spec", "nodeCount")
					unstructured.SetNestedField(claim.Object, count+1, "spec", "nodeCount")
					_, err = client.Update(ctx, claim, metav1.UpdateOptions{})
					return err
				})
			}
		})
	}
	go func() {
		all.Wait()
		close(errors)
	}()
	for err := range errors {
		if err != nil {
			t.Fatal(err)
		}
	}
	claim, err := dynamicClient(env.app).Resource(claims).Namespace(clientsLocal).Get(ctx, name, metav1.GetOptions{})
	must(err)
	if count, _, _ := unstructured.NestedInt64(claim.Object, "spec", "nodeCount"); count != programs*updates {
		t.Fatalf("nodeCount is %d, want %d", count, programs*updates)
	}
}

func TestApplyReportsConflictsAndForceResolvesThem(t *testing.T) {
	t.Cleanup(func() { removeClaims(t, "fields") })
	ctx := testContext(t, deadline)
	local := dynamicClient(env.app).Resource(claims).Namespace(clientsLocal)
	remote := stored(claims, clientsLocal)
	claimWithNodes := func(nodes int64) *unstructured.Unstructured {
		claim := newClaim("fields", "fields")
		unstructured.SetNestedField(claim.Object, nodes, "spec", "nodeCount")
		return claim
	}
	_, err := local.Apply(ctx, "fields", claimWithNodes(3), metav1.ApplyOptions{FieldManager: "team"})
	must(err)
	// Another manager takes over the field on the control plane; the next apply reports the
	// conflict.
	_, err = remote.Apply(ctx, "fields", claimWithNodes(5), metav1.ApplyOptions{FieldManager: "platform", Force: true})
	must(err)
	_, err = local.Apply(ctx, "fields", claimWithNodes(4), metav1.ApplyOptions{FieldManager: "team"})
	if !apierrors.IsConflict(err) {
		t.Fatalf("want a conflict, got %v", err)
	}
	cause, _ := apierrors.StatusCause(err, metav1.CauseTypeFieldManagerConflict)
	if cause.Field != ".spec.nodeCount" || !strings.Contains(cause.Message, `"platform"`) {
		t.Fatalf("%+v", cause)
	}
	forced, err := local.Apply(ctx, "fields", claimWithNodes(4), metav1.ApplyOptions{FieldManager: "team", Force: true})
	must(err)
	if forced.GetNamespace() != clientsLocal {
		t.Fatalf("namespace is %q", forced.GetNamespace())
	}
	found, err := remote.Get(ctx, "fields", metav1.GetOptions{})
	must(err)
	if nodes, _, _ := unstructured.NestedInt64(found.Object, "spec", "nodeCount"); nodes != 4 {
		t.Fatalf("the claim has %d nodes", nodes)
	}
	if fmt.Sprint(managers(found)) != fmt.Sprint(managers(forced)) {
		t.Fatalf("managers are %v, want %v", managers(forced), managers(found))
	}
	// The status subresource has managers of its own.
	status := newClaim("fields", "fields")
	delete(status.Object, "spec")
	unstructured.SetNestedField(status.Object, int64(4), "status", "nodeCount")
	status.SetLabels(nil)
	_, err = local.ApplyStatus(ctx, "fields", status, metav1.ApplyOptions{FieldManager: "observer"})
	must(err)
	// An apply without a field removes that field, unless another manager has it too.
	without := newClaim("fields", "fields")
	without.SetLabels(nil)
	unstructured.RemoveNestedField(without.Object, "spec")
	left, err := local.Apply(ctx, "fields", without, metav1.ApplyOptions{FieldManager: "team"})
	must(err)
	if _, found, _ := unstructured.NestedFieldNoCopy(left.Object, "spec", "nodeCount"); found {
		t.Fatalf("the field is still there: %v", left.Object)
	}
	if left.GetLabels()["test"] != "fields" {
		t.Fatal("the label of the manager \"platform\" is gone")
	}
}

func managers(claim *unstructured.Unstructured) (all []string) {
	for _, entry := range claim.GetManagedFields() {
		all = append(all, string(entry.Operation)+" "+entry.Manager+" "+entry.Subresource)
	}
	return all
}

func TestMetadataClientReadsWatchesAndDeletes(t *testing.T) {
	names := createClaims(t, "metadata", 3)
	ctx := testContext(t, deadline)
	client, err := metadata.NewForConfig(restConfig(env.app))
	must(err)
	mine := client.Resource(claims).Namespace(clientsLocal)
	selector := metav1.ListOptions{LabelSelector: "test=metadata"}

	for namespace, limit := range map[string]int64{clientsLocal: 0, metav1.NamespaceAll: 2} {
		options := selector
		options.Limit = limit
		var got []string
		for {
			list, err := client.Resource(claims).Namespace(namespace).List(ctx, options)
			must(err)
			for _, item := range list.Items {
				got = append(got, item.Name)
				if item.Namespace != clientsLocal || item.Labels["test"] != "metadata" {
					t.Errorf("%+v", item.ObjectMeta)
				}
			}
			if options.Continue = list.Continue; options.Continue == "" {
				break
			}
		}
		if !slices.Equal(got, names) {
			t.Errorf("list in namespace %q returned %v", namespace, got)
		}
	}

	one, err := mine.Get(ctx, names[0], metav1.GetOptions{})
	must(err)
	if one.Name != names[0] || one.Namespace != clientsLocal {
		t.Fatalf("%+v", one)
	}
	watch, err := mine.Watch(ctx, metav1.ListOptions{LabelSelector: "test=metadata", ResourceVersion: one.ResourceVersion})
	must(err)
	defer watch.Stop()
	_, err = mine.Patch(ctx, names[0], types.MergePatchType, []byte(`{"metadata":{"annotations":{"seen":"yes"}}}`), metav1.PatchOptions{})
	must(err)
	must(mine.Delete(ctx, names[0], metav1.DeleteOptions{}))
	for _, kind := range []string{"MODIFIED", "DELETED"} {
		var event *metav1.PartialObjectMetadata
		for event == nil || event.Name != names[0] {
			next, open := <-watch.ResultChan()
			if !open {
				t.Fatalf("the watch ended before event %s", kind)
			}
			event, _ = next.Object.(*metav1.PartialObjectMetadata)
			if event != nil && event.Name == names[0] && string(next.Type) != kind {
				t.Fatalf("event %s, want %s", next.Type, kind)
			}
		}
		if event.Namespace != clientsLocal || event.Annotations["seen"] != "yes" {
			t.Fatalf("%s: %+v", kind, event.ObjectMeta)
		}
	}
	must(mine.DeleteCollection(ctx, metav1.DeleteOptions{}, selector))
	list, err := mine.List(ctx, selector)
	must(err)
	if len(list.Items) != 0 {
		t.Fatalf("%d claims are left", len(list.Items))
	}
}

func TestScaleClientGetsUpdatesAndPatches(t *testing.T) {
	name := createClaims(t, "scaled", 1)[0]
	ctx := testContext(t, deadline)
	config := restConfig(env.app)
	names, err := discovery.NewDiscoveryClientForConfig(config)
	must(err)
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(names))
	client, err := scale.NewForConfig(config, mapper, dynamic.LegacyAPIPathResolverFunc, scale.NewDiscoveryScaleKindResolver(names))
	must(err)
	scales := client.Scales(clientsLocal)

	one, err := scales.Get(ctx, claims.GroupResource(), name, metav1.GetOptions{})
	must(err)
	if one.Namespace != clientsLocal || one.Spec.Replicas != 0 {
		t.Fatalf("%+v", one)
	}
	one.Spec.Replicas = 7
	one, err = scales.Update(ctx, claims.GroupResource(), one, metav1.UpdateOptions{})
	must(err)
	if one.Namespace != clientsLocal || one.Spec.Replicas != 7 {
		t.Fatalf("%+v", one)
	}
	one, err = scales.Patch(ctx, claims, name, types.MergePatchType, []byte(`{"spec":{"replicas":8}}`), metav1.PatchOptions{})
	must(err)
	found, err := stored(claims, clientsLocal).Get(ctx, name, metav1.GetOptions{})
	must(err)
	if nodes, _, _ := unstructured.NestedInt64(found.Object, "spec", "nodeCount"); nodes != 8 || one.Spec.Replicas != 8 {
		t.Fatalf("the claim has %d nodes, its scale is %+v", nodes, one)
	}
	one.ResourceVersion = "1"
	if _, err := scales.Update(ctx, claims.GroupResource(), one, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Fatalf("want a conflict, got %v", err)
	}
}

func TestDiscoveryAndRESTMapperFindOnlyClaims(t *testing.T) {
	client, err := discovery.NewDiscoveryClientForConfig(restConfig(env.app))
	must(err)
	// Aggregated discovery, and the older discovery with one document for each group-version.
	for _, client := range []discovery.DiscoveryInterface{client, client.WithLegacy()} {
		_, lists, err := client.ServerGroupsAndResources()
		must(err)
		var found []string
		for _, list := range lists {
			if list.GroupVersion != groupVersion {
				continue
			}
			for _, resource := range list.APIResources {
				found = append(found, fmt.Sprintf("%s %s %v %v %v", resource.Name, resource.Kind, resource.Namespaced, resource.ShortNames, resource.Categories))
			}
		}
		slices.Sort(found)
		want := []string{
			"kubernetesclusters KubernetesCluster true [kc] [claim]",
			"kubernetesclusters/scale Scale true [] []",
			"kubernetesclusters/status KubernetesCluster true [] []",
			"networks Network true [nw] [claim]",
		}
		if !slices.Equal(found, want) {
			t.Errorf("%q", found)
		}
	}

	cached := memory.NewMemCacheClient(client)
	mapper := restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(cached), cached, nil)
	for _, name := range []string{"kc", "kubernetescluster", "kubernetesclusters"} {
		kind, err := mapper.KindFor(schema.GroupVersionResource{Resource: name})
		if err != nil || kind != claimKind {
			t.Errorf("%s: %v %v", name, kind, err)
		}
	}
	mapping, err := mapper.RESTMapping(claimKind.GroupKind())
	if err != nil || mapping.Resource != claims || mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		t.Errorf("%+v %v", mapping, err)
	}
	if _, err := mapper.RESTMapping(schema.GroupKind{Group: claims.Group, Kind: "Composite"}); !meta.IsNoMatchError(err) {
		t.Errorf("a kind that is not exposed was found: %v", err)
	}
	expanded, is := restmapper.NewDiscoveryCategoryExpander(cached).Expand("claim")
	if !is || !slices.Contains(expanded, claims.GroupResource()) || len(expanded) != 2 {
		t.Errorf("category claim contains %v", expanded)
	}
	groups, err := restmapper.GetAPIGroupResources(cached)
	must(err)
	text, err := json.Marshal(groups)
	must(err)
	assertLacks(t, string(text), "composites")
}

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

// Where clients work, by its local and its remote name.
const clientsLocal, clientsRemote = "team-a", "app-ns-2"

// restConfig is that of a cluster's administrator, without a limit of its own.
func restConfig(c *cluster) *rest.Config {
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	must(err)
	config.QPS = -1
	return config
}

// recorded keeps the path and query of each request that goes by a config.
type recorded struct {
	mu       sync.Mutex
	requests []string
	next     http.RoundTripper
}

func record(config *rest.Config) *recorded {
	r := &recorded{}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		r.next = next
		return r
	})
	return r
}

func (r *recorded) RoundTrip(request *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.requests = append(r.requests, request.Method+" "+request.URL.RequestURI())
	r.mu.Unlock()
	return r.next.RoundTrip(request)
}

// count is the number of requests that hold all of these.
func (r *recorded) count(parts ...string) int {
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

// within is a context for one test.
func within(t *testing.T, most time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), most)
	t.Cleanup(cancel)
	return ctx
}

// newClaim has a label by which a test finds its own.
func newClaim(name, test string) *unstructured.Unstructured {
	claim := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"nodeCount": int64(0)}}}
	claim.SetGroupVersionKind(claimKind)
	claim.SetName(name)
	claim.SetLabels(map[string]string{"test": test})
	return claim
}

// createClaims makes some, in order of their names, and removes them at the test's end.
func createClaims(t *testing.T, test string, count int) []string {
	t.Helper()
	client := dynamicClient(theBed.app).Resource(claims).Namespace(clientsLocal)
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
	err := dynamicClient(theBed.cp).Resource(claims).Namespace(clientsRemote).DeleteCollection(
		context.Background(), metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "test=" + test})
	if err != nil {
		t.Error(err)
	}
}

func TestPagerReadsAllPages(t *testing.T) {
	want := createClaims(t, "pages", 11)
	ctx := within(t, deadline)
	for name, namespace := range map[string]string{"one namespace": clientsLocal, "all namespaces": metav1.NamespaceAll} {
		config := restConfig(theBed.app)
		seen := record(config)
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
				return fmt.Errorf("namespace %q", claim.GetNamespace())
			}
			return nil
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v %v", name, got, err)
		}
		if count := seen.count("limit=3"); count < 4 {
			t.Errorf("%s: %d pages", name, count)
		}
	}
}

// Several programs count up one number, here and on the control plane.
func TestRetryOnConflictLosesNoUpdate(t *testing.T) {
	const programs, updates = 4, 5
	name := createClaims(t, "counter", 1)[0]
	ctx := within(t, 2*deadline)
	var all sync.WaitGroup
	errors := make(chan error, programs)
	for i := range programs {
		client := dynamicClient(theBed.app).Resource(claims).Namespace(clientsLocal)
		if i == 0 {
			client = dynamicClient(theBed.cp).Resource(claims).Namespace(clientsRemote)
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
	claim, err := dynamicClient(theBed.app).Resource(claims).Namespace(clientsLocal).Get(ctx, name, metav1.GetOptions{})
	must(err)
	if count, _, _ := unstructured.NestedInt64(claim.Object, "spec", "nodeCount"); count != programs*updates {
		t.Fatalf("%d, not %d", count, programs*updates)
	}
}

func TestApplyConflictsAndForce(t *testing.T) {
	t.Cleanup(func() { removeClaims(t, "fields") })
	ctx := within(t, deadline)
	local := dynamicClient(theBed.app).Resource(claims).Namespace(clientsLocal)
	remote := dynamicClient(theBed.cp).Resource(claims).Namespace(clientsRemote)
	wants := func(nodes int64) *unstructured.Unstructured {
		claim := newClaim("fields", "fields")
		unstructured.SetNestedField(claim.Object, nodes, "spec", "nodeCount")
		return claim
	}
	_, err := local.Apply(ctx, "fields", wants(3), metav1.ApplyOptions{FieldManager: "team"})
	must(err)
	// The same fields are taken by somebody on the control plane, which the team hears of.
	_, err = remote.Apply(ctx, "fields", wants(5), metav1.ApplyOptions{FieldManager: "platform", Force: true})
	must(err)
	_, err = local.Apply(ctx, "fields", wants(4), metav1.ApplyOptions{FieldManager: "team"})
	if !apierrors.IsConflict(err) {
		t.Fatalf("no conflict: %v", err)
	}
	cause, _ := apierrors.StatusCause(err, metav1.CauseTypeFieldManagerConflict)
	if cause.Field != ".spec.nodeCount" || !strings.Contains(cause.Message, `"platform"`) {
		t.Fatalf("%+v", cause)
	}
	forced, err := local.Apply(ctx, "fields", wants(4), metav1.ApplyOptions{FieldManager: "team", Force: true})
	must(err)
	if forced.GetNamespace() != clientsLocal {
		t.Fatalf("namespace %q", forced.GetNamespace())
	}
	stored, err := remote.Get(ctx, "fields", metav1.GetOptions{})
	must(err)
	if nodes, _, _ := unstructured.NestedInt64(stored.Object, "spec", "nodeCount"); nodes != 4 {
		t.Fatalf("%d nodes", nodes)
	}
	if fmt.Sprint(managers(stored)) != fmt.Sprint(managers(forced)) {
		t.Fatalf("%v, not %v", managers(forced), managers(stored))
	}
	// Status has managers of its own.
	status := newClaim("fields", "fields")
	delete(status.Object, "spec")
	unstructured.SetNestedField(status.Object, int64(4), "status", "nodeCount")
	status.SetLabels(nil)
	_, err = local.ApplyStatus(ctx, "fields", status, metav1.ApplyOptions{FieldManager: "observer"})
	must(err)
	// What is applied without a field that was applied before removes it, unless another has it, too.
	without := newClaim("fields", "fields")
	without.SetLabels(nil)
	unstructured.RemoveNestedField(without.Object, "spec")
	left, err := local.Apply(ctx, "fields", without, metav1.ApplyOptions{FieldManager: "team"})
	must(err)
	if _, found, _ := unstructured.NestedFieldNoCopy(left.Object, "spec", "nodeCount"); found {
		t.Fatalf("still there: %v", left.Object)
	}
	if left.GetLabels()["test"] != "fields" {
		t.Fatal("the platform's label is gone")
	}
}

func managers(claim *unstructured.Unstructured) (all []string) {
	for _, entry := range claim.GetManagedFields() {
		all = append(all, string(entry.Operation)+" "+entry.Manager+" "+entry.Subresource)
	}
	return all
}

func TestMetadataClient(t *testing.T) {
	names := createClaims(t, "metadata", 3)
	ctx := within(t, deadline)
	client, err := metadata.NewForConfig(restConfig(theBed.app))
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
			t.Errorf("namespace %q: %v", namespace, got)
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
				t.Fatalf("no %s", kind)
			}
			event, _ = next.Object.(*metav1.PartialObjectMetadata)
			if event != nil && event.Name == names[0] && string(next.Type) != kind {
				t.Fatalf("%s, not %s", next.Type, kind)
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
		t.Fatalf("%d are left", len(list.Items))
	}
}

func TestScaleClient(t *testing.T) {
	name := createClaims(t, "scaled", 1)[0]
	ctx := within(t, deadline)
	config := restConfig(theBed.app)
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
	stored, err := dynamicClient(theBed.cp).Resource(claims).Namespace(clientsRemote).Get(ctx, name, metav1.GetOptions{})
	must(err)
	if nodes, _, _ := unstructured.NestedInt64(stored.Object, "spec", "nodeCount"); nodes != 8 || one.Spec.Replicas != 8 {
		t.Fatalf("%d nodes, %+v", nodes, one)
	}
	one.ResourceVersion = "1"
	if _, err := scales.Update(ctx, claims.GroupResource(), one, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Fatalf("no conflict: %v", err)
	}
}

func TestDiscoveryAndRESTMapper(t *testing.T) {
	client, err := discovery.NewDiscoveryClientForConfig(restConfig(theBed.app))
	must(err)
	// As one document, and by the older way of one for each group-version.
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
		t.Errorf("a kind that is not exposed: %v", err)
	}
	expanded, is := restmapper.NewDiscoveryCategoryExpander(cached).Expand("claim")
	if !is || !slices.Contains(expanded, claims.GroupResource()) || len(expanded) != 2 {
		t.Errorf("category claim: %v", expanded)
	}
	groups, err := restmapper.GetAPIGroupResources(cached)
	must(err)
	text, err := json.Marshal(groups)
	must(err)
	lacks(t, string(text), "composites")
}

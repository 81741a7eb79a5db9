package kubernetes

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/features"
	featurestesting "k8s.io/client-go/features/testing"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// TestNamespaceBecomesMapped lists and watches an unmapped namespace and then maps it to a namespace
// that has claims. Clients that continue at the version of the empty list must see these claims.
func TestNamespaceBecomesMapped(t *testing.T) {
	needsTable(t)
	const remote = "aaa-other"
	for _, watchList := range []bool{true, false} {
		t.Run(fmt.Sprintf("watchlist-%t", watchList), func(t *testing.T) {
			featurestesting.SetFeatureDuringTest(t, features.WatchListClient, watchList)
			ctx := testContext(t, 4*deadline)
			client := dynamicClient(env.app).Resource(claims).Namespace("unmapped")
			list, err := client.List(ctx, metav1.ListOptions{})
			must(err)
			version := list.GetResourceVersion()
			if _, err := resourceversion.CompareResourceVersion(version, version); err != nil || len(list.Items) != 0 {
				t.Fatalf("version %q, %d claims: %v", version, len(list.Items), err)
			}
			watcher, err := watchtools.NewRetryWatcherWithContext(ctx, version, &cache.ListWatch{
				WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (apiwatch.Interface, error) {
					return client.Watch(ctx, options)
				},
			})
			must(err)
			factory := objectInformers(restConfig(env.app), "unmapped", nil)
			informer := factory.ForResource(claims).Informer()
			ctx, stop := context.WithCancel(ctx)
			defer factory.Shutdown()
			defer stop()
			factory.Start(ctx.Done())
			if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) || len(informer.GetStore().ListKeys()) != 0 {
				t.Fatal("the informer does not sync, or its store is not empty")
			}

			restore := restartWith(t, "namespaces: {", "namespaces: {unmapped: "+remote+", ")
			await(t, 2*deadline, func() error {
				if keys := informer.GetStore().ListKeys(); !slices.Equal(keys, []string{"unmapped/stranger"}) {
					return fmt.Errorf("the store contains %q", keys)
				}
				return nil
			})
			// The watcher leaves it to its user to list again.
			event := <-watcher.ResultChan()
			if err := apierrors.FromObject(event.Object); event.Type != apiwatch.Error || !apierrors.IsResourceExpired(err) {
				t.Fatalf("%s %v", event.Type, event.Object)
			}
			for c, namespace := range map[*cluster]string{env.app: "unmapped", env.controlPlane: remote} {
				path := strings.Replace(claimsPath, "default", namespace, 1) + "?watch=true&timeoutSeconds=5&resourceVersion=" + version
				status, body := sendAsAdmin(t, c, "GET", path, "", nil)
				if status != http.StatusOK || !strings.Contains(body, `"reason":"Expired","code":410`) {
					t.Fatalf("%s: status %d: %s", c.name, status, body)
				}
			}
			restore()
		})
	}
}

// TestAPIWithoutResourcesStaysAvailable exposes a category that no resource has.
func TestAPIWithoutResourcesStaysAvailable(t *testing.T) {
	restartWith(t, "{group: k8s.starter.org,", "{group: k8s.starter.org, category: nothing,")
	status, body := sendAsAdmin(t, env.app, "GET", groupVersionPath, "", nil)
	if want := `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"k8s.starter.org/v1alpha1","resources":[]}` + "\n"; status != 200 || body != want {
		t.Fatalf("status %d: %s", status, body)
	}
	client, err := discovery.NewDiscoveryClientForConfig(restConfig(env.app))
	must(err)
	client.UseLegacyDiscovery = true
	if _, _, err := client.ServerGroupsAndResources(); err != nil {
		t.Fatal(err)
	}
	// A change of the APIService makes the app cluster check it.
	inAppCluster(t, "annotate", "apiservice", "v1alpha1.k8s.starter.org", "checked=now", "--overwrite")
	if _, err := env.tryKubectl(env.app.kubeconfig, "", "wait", "--for=condition=Available=False", "--timeout=5s", "apiservice/v1alpha1.k8s.starter.org"); err == nil {
		t.Fatal("the APIService is unavailable")
	}
	inAppCluster(t, "create", "namespace", "without-resources")
	inAppCluster(t, "delete", "namespace", "without-resources", "--timeout=60s")
}

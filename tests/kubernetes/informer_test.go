package kubernetes

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/features"
	featurestesting "k8s.io/client-go/features/testing"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

type informerFactory interface {
	ForResource(resource schema.GroupVersionResource) informers.GenericInformer
	Start(stop <-chan struct{})
	Shutdown()
}

func objectInformers(config *rest.Config, namespace string, only func(*metav1.ListOptions)) informerFactory {
	client, err := dynamic.NewForConfig(config)
	must(err)
	return dynamicinformer.NewFilteredDynamicSharedInformerFactory(client, 0, namespace, only)
}

func metadataInformers(config *rest.Config, namespace string, only func(*metav1.ListOptions)) informerFactory {
	client, err := metadata.NewForConfig(config)
	must(err)
	return metadatainformer.NewFilteredSharedInformerFactory(client, 0, namespace, only)
}

// eventLog records an informer's events in order.
type eventLog struct {
	mu     sync.Mutex
	events []string
}

func (h *eventLog) add(what string, object any) {
	if unknown, is := object.(cache.DeletedFinalStateUnknown); is {
		object = unknown.Obj
	}
	claim, err := meta.Accessor(object)
	must(err)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, fmt.Sprintf("%s %s/%s", what, claim.GetNamespace(), claim.GetName()))
}

func (h *eventLog) handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { h.add("add", object) },
		UpdateFunc: func(_, object any) { h.add("update", object) },
		DeleteFunc: func(object any) { h.add("delete", object) },
	}
}

// awaitEvent waits for an event.
func (h *eventLog) awaitEvent(t *testing.T, event string) {
	t.Helper()
	await(t, deadline, func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if !slices.Contains(h.events, event) {
			return fmt.Errorf("no event %q in %q", event, h.events)
		}
		return nil
	})
}

// Informers of objects and of metadata, with WatchList and with list and watch, in one namespace
// and in all.
func TestInformersFollowChanges(t *testing.T) {
	for _, c := range []struct {
		name      string
		watchList bool
		factory   func(*rest.Config, string, func(*metav1.ListOptions)) informerFactory
		namespace string
	}{
		{"watchlist", true, objectInformers, clientsLocal},
		{"watchlist-all", true, objectInformers, metav1.NamespaceAll},
		{"watchlist-metadata", true, metadataInformers, clientsLocal},
		{"watchlist-metadata-all", true, metadataInformers, metav1.NamespaceAll},
		{"list", false, objectInformers, clientsLocal},
		{"list-all", false, objectInformers, metav1.NamespaceAll},
		{"list-metadata-all", false, metadataInformers, metav1.NamespaceAll},
	} {
		t.Run(c.name, func(t *testing.T) {
			featurestesting.SetFeatureDuringTest(t, features.WatchListClient, c.watchList)
			names := createClaims(t, c.name, 4)
			config := restConfig(env.app)
			requests := recordRequests(config)
			only := func(options *metav1.ListOptions) { options.LabelSelector = "test=" + c.name }
			factory := c.factory(config, c.namespace, only)
			informer := factory.ForResource(claims).Informer()
			var events eventLog
			_, err := informer.AddEventHandler(events.handler())
			must(err)
			ctx, stop := context.WithCancel(context.Background())
			defer factory.Shutdown()
			defer stop()
			factory.Start(ctx.Done())
			if !cache.WaitForCacheSync(testContext(t, deadline).Done(), informer.HasSynced) {
				t.Fatal("the informer does not sync")
			}
			assertStore(t, informer.GetStore(), names...)
			watchList := requests.count("GET", "sendInitialEvents=true") > 0
			lists := requests.count("GET", "kubernetesclusters") - requests.count("GET", "watch=true")
			if watchList != c.watchList || (lists == 0) != c.watchList {
				t.Fatalf("%d list requests in %q", lists, requests.requests)
			}
			followChanges(t, &events, informer.GetStore(), names, c.name)
		})
	}
}

// followChanges changes claims on the control plane and interrupts the connection in between.
func followChanges(t *testing.T, events *eventLog, store cache.Store, names []string, test string) {
	t.Helper()
	ctx := testContext(t, 2*deadline)
	remote := stored(claims, clientsLocal)
	touch := func(name string) {
		_, err := remote.Patch(ctx, name, types.MergePatchType, []byte(`{"spec":{"nodeCount":9}}`), metav1.PatchOptions{})
		must(err)
	}
	touch(names[0])
	events.awaitEvent(t, "update "+clientsLocal+"/"+names[0])

	env.link.closeConnections()
	touch(names[1])
	must(remote.Delete(ctx, names[2], metav1.DeleteOptions{}))
	_, err := remote.Create(ctx, newClaim(test+"-new", test), metav1.CreateOptions{})
	must(err)
	events.awaitEvent(t, "update "+clientsLocal+"/"+names[1])
	events.awaitEvent(t, "delete "+clientsLocal+"/"+names[2])
	events.awaitEvent(t, "add "+clientsLocal+"/"+test+"-new")
	assertStore(t, store, names[0], names[1], names[3], test+"-new")
}

// assertStore checks that a store contains exactly these claims.
func assertStore(t *testing.T, store cache.Store, names ...string) {
	t.Helper()
	var want []string
	for _, name := range names {
		want = append(want, clientsLocal+"/"+name)
	}
	got := store.ListKeys()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("the store contains %q, want %q", got, want)
	}
}

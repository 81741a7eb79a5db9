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

func objects(config *rest.Config, namespace string, only func(*metav1.ListOptions)) informerFactory {
	client, err := dynamic.NewForConfig(config)
	must(err)
	return dynamicinformer.NewFilteredDynamicSharedInformerFactory(client, 0, namespace, only)
}

func metadataOnly(config *rest.Config, namespace string, only func(*metav1.ListOptions)) informerFactory {
	client, err := metadata.NewForConfig(config)
	must(err)
	return metadatainformer.NewFilteredSharedInformerFactory(client, 0, namespace, only)
}

// heard are the names of an informer's events, in order.
type heard struct {
	mu     sync.Mutex
	events []string
}

func (h *heard) add(what string, object any) {
	if unknown, is := object.(cache.DeletedFinalStateUnknown); is {
		object = unknown.Obj
	}
	claim, err := meta.Accessor(object)
	must(err)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, fmt.Sprintf("%s %s/%s", what, claim.GetNamespace(), claim.GetName()))
}

func (h *heard) handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { h.add("add", object) },
		UpdateFunc: func(_, object any) { h.add("update", object) },
		DeleteFunc: func(object any) { h.add("delete", object) },
	}
}

// has waits for an event.
func (h *heard) has(t *testing.T, event string) {
	t.Helper()
	err := eventually(deadline, func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if !slices.Contains(h.events, event) {
			return fmt.Errorf("no %q among %q", event, h.events)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Informers of both kinds, by one WatchList and by a list and a watch, in one namespace and in all.
func TestInformersFollow(t *testing.T) {
	for _, c := range []struct {
		name      string
		watchList bool
		factory   func(*rest.Config, string, func(*metav1.ListOptions)) informerFactory
		namespace string
	}{
		{"watchlist", true, objects, clientsLocal},
		{"watchlist-all", true, objects, metav1.NamespaceAll},
		{"watchlist-metadata", true, metadataOnly, clientsLocal},
		{"watchlist-metadata-all", true, metadataOnly, metav1.NamespaceAll},
		{"list", false, objects, clientsLocal},
		{"list-all", false, objects, metav1.NamespaceAll},
		{"list-metadata-all", false, metadataOnly, metav1.NamespaceAll},
	} {
		t.Run(c.name, func(t *testing.T) {
			featurestesting.SetFeatureDuringTest(t, features.WatchListClient, c.watchList)
			names := createClaims(t, c.name, 4)
			config := restConfig(theBed.app)
			requests := record(config)
			only := func(options *metav1.ListOptions) { options.LabelSelector = "test=" + c.name }
			factory := c.factory(config, c.namespace, only)
			informer := factory.ForResource(claims).Informer()
			var events heard
			_, err := informer.AddEventHandler(events.handler())
			must(err)
			ctx, stop := context.WithCancel(context.Background())
			defer factory.Shutdown()
			defer stop()
			factory.Start(ctx.Done())
			if !cache.WaitForCacheSync(within(t, deadline).Done(), informer.HasSynced) {
				t.Fatal("it does not sync")
			}
			inStore(t, informer.GetStore(), names...)
			watchList := requests.count("GET", "sendInitialEvents=true") > 0
			lists := requests.count("GET", "kubernetesclusters") - requests.count("GET", "watch=true")
			if watchList != c.watchList || (lists == 0) != c.watchList {
				t.Fatalf("%d lists: %q", lists, requests.requests)
			}
			followChanges(t, &events, informer.GetStore(), names, c.name)
		})
	}
}

// followChanges makes some on the control plane, where the connection breaks off among them.
func followChanges(t *testing.T, events *heard, store cache.Store, names []string, test string) {
	t.Helper()
	ctx := within(t, 2*deadline)
	remote := dynamicClient(theBed.cp).Resource(claims).Namespace(clientsRemote)
	touch := func(name string) {
		_, err := remote.Patch(ctx, name, types.MergePatchType, []byte(`{"spec":{"nodeCount":9}}`), metav1.PatchOptions{})
		must(err)
	}
	touch(names[0])
	events.has(t, "update "+clientsLocal+"/"+names[0])

	theBed.link.drop()
	touch(names[1])
	must(remote.Delete(ctx, names[2], metav1.DeleteOptions{}))
	_, err := remote.Create(ctx, newClaim(test+"-new", test), metav1.CreateOptions{})
	must(err)
	events.has(t, "update "+clientsLocal+"/"+names[1])
	events.has(t, "delete "+clientsLocal+"/"+names[2])
	events.has(t, "add "+clientsLocal+"/"+test+"-new")
	inStore(t, store, names[0], names[1], names[3], test+"-new")
}

// inStore says that these and no others are in a store.
func inStore(t *testing.T, store cache.Store, names ...string) {
	t.Helper()
	var want []string
	for _, name := range names {
		want = append(want, clientsLocal+"/"+name)
	}
	got := store.ListKeys()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("%q, not %q", got, want)
	}
}

package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	ctrlclient "sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

const (
	hiddenAnnotation = "claimgate.dev/hidden"
	foreground       = "foregroundDeletion"
	finalizerA       = "example.org/a"
	finalizerB       = "example.org/b"
	onePath          = "/apis/k8s.starter.org/v1alpha1/namespaces/default/kubernetesclusters/"
)

// held orders a claim on the control plane of which something is hidden: an owner, whose UID is
// returned, and the first of three finalizers.
func held(t *testing.T, name string) string {
	t.Helper()
	plane(t, "-n", "app-ns-1", "create", "configmap", "owner-of-"+name)
	owner := uid(t, theBed.cp, "-n", "app-ns-1", "configmap", "owner-of-"+name)
	claim := newClaim(name, "hidden")
	claim.SetNamespace("app-ns-1")
	claim.SetFinalizers([]string{foreground, finalizerA, finalizerB})
	claim.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "owner-of-" + name, UID: types.UID(owner)}})
	_, err := dynamicClient(theBed.cp).Resource(claims).Namespace("app-ns-1").Create(context.Background(), claim, metav1.CreateOptions{})
	must(err)
	t.Cleanup(func() { release(name) })
	return owner
}

// release deletes a claim whatever holds it.
func release(name string) {
	theBed.try(theBed.cp.kubeconfig, "", "-n", "app-ns-1", "patch", "kc", name, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	theBed.try(theBed.cp.kubeconfig, "", "-n", "app-ns-1", "delete", "kc", name, "--ignore-not-found")
	theBed.try(theBed.cp.kubeconfig, "", "-n", "app-ns-1", "delete", "configmap", "owner-of-"+name, "--ignore-not-found")
}

func stored(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	claim, err := dynamicClient(theBed.cp).Resource(claims).Namespace("app-ns-1").Get(context.Background(), name, metav1.GetOptions{})
	must(err)
	return claim
}

func shown(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	claim, err := dynamicClient(theBed.app).Resource(claims).Namespace("default").Get(context.Background(), name, metav1.GetOptions{})
	must(err)
	return claim
}

func asJSON(value any) string {
	bytes, err := json.Marshal(value)
	must(err)
	return string(bytes)
}

// edited is what a claim becomes by a change of its own, as JSON.
func edited(claim *unstructured.Unstructured, changes ...func(*unstructured.Unstructured)) string {
	for _, change := range changes {
		change(claim)
	}
	return asJSON(claim)
}

func stripped(claim *unstructured.Unstructured) {
	annotations := claim.GetAnnotations()
	delete(annotations, hiddenAnnotation)
	claim.SetAnnotations(annotations)
}

func annotated(value string) func(*unstructured.Unstructured) {
	return func(claim *unstructured.Unstructured) {
		annotations := claim.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[hiddenAnnotation] = value
		claim.SetAnnotations(annotations)
	}
}

// write is a request that the app cluster's API server passes on; contentType is the header.
type write struct{ method, contentType, body string }

func (w write) send(t *testing.T, name string) (int, string) {
	t.Helper()
	query := ""
	if w.contentType == applyPatch {
		query = "?fieldManager=hidden-test&force=true"
	}
	return request(t, theBed.app, w.method, onePath+name+query, w.body,
		map[string]string{"Content-Type": strings.TrimPrefix(w.contentType, "Content-Type: ")})
}

func TestNoWriteLosesWhatIsHidden(t *testing.T) {
	both := []string{finalizerA, finalizerB}
	metadata := func(name, more string) string {
		claim := shown(t, name)
		return fmt.Sprintf(`{"name":%q,"namespace":"default","uid":%q,"resourceVersion":%q,"creationTimestamp":%q%s}`,
			name, claim.GetUID(), claim.GetResourceVersion(), claim.GetCreationTimestamp().UTC().Format("2006-01-02T15:04:05Z"), more)
	}
	patch := func(contentType, body string) func(string) write {
		return func(string) write { return write{"PATCH", contentType, body} }
	}
	for name, attempt := range map[string]struct {
		write func(name string) write
		// What is left of the finalizers that the app cluster sees.
		left []string
	}{
		"merge-null":      {patch(mergePatch, `{"metadata":{"finalizers":null}}`), nil},
		"merge-empty":     {patch(mergePatch, `{"metadata":{"finalizers":[]}}`), nil},
		"merge-one":       {patch(mergePatch, `{"metadata":{"finalizers":["example.org/b"]}}`), []string{finalizerB}},
		"merge-no-owners": {patch(mergePatch, `{"metadata":{"ownerReferences":null}}`), both},
		"merge-owners":    {patch(mergePatch, `{"metadata":{"ownerReferences":[],"finalizers":null}}`), nil},
		"json-remove":     {patch(jsonPatch, `[{"op":"remove","path":"/metadata/finalizers"}]`), nil},
		"json-replace":    {patch(jsonPatch, `[{"op":"replace","path":"/metadata/finalizers","value":["example.org/b"]}]`), []string{finalizerB}},
		"json-add":        {patch(jsonPatch, `[{"op":"add","path":"/metadata/finalizers","value":[]}]`), nil},
		"json-null":       {patch(jsonPatch, `[{"op":"add","path":"/metadata/finalizers","value":null}]`), nil},
		"json-moved":      {patch(jsonPatch, `[{"op":"move","from":"/metadata/finalizers","path":"/spec/lost"}]`), nil},
		"json-index": {patch(jsonPatch, `[{"op":"test","path":"/metadata/finalizers/0","value":"example.org/a"},
			{"op":"remove","path":"/metadata/finalizers/0"}]`), []string{finalizerB}},
		"json-test": {patch(jsonPatch, `[{"op":"test","path":"/metadata/finalizers","value":["example.org/a","example.org/b"]},
			{"op":"add","path":"/metadata/finalizers/-","value":"example.org/c"}]`), append(slices.Clone(both), "example.org/c")},
		"json-metadata": {func(name string) write {
			return write{"PATCH", jsonPatch, `[{"op":"replace","path":"/metadata","value":` + metadata(name, "") + `}]`}
		}, nil},
		"json-metadata-with": {func(name string) write {
			value := metadata(name, `,"finalizers":["example.org/b"],"ownerReferences":[]`)
			return write{"PATCH", jsonPatch, `[{"op":"replace","path":"/metadata","value":` + value + `}]`}
		}, []string{finalizerB}},
		"json-object": {func(name string) write {
			return write{"PATCH", jsonPatch, `[{"op":"replace","path":"","value":` + edited(shown(t, name), stripped) + `}]`}
		}, both},
		"put":          {func(name string) write { return write{"PUT", jsonBody, edited(shown(t, name))} }, both},
		"put-stripped": {func(name string) write { return write{"PUT", jsonBody, edited(shown(t, name), stripped)} }, both},
		"put-broken": {func(name string) write {
			return write{"PUT", jsonBody, edited(shown(t, name), annotated("?"))}
		}, both},
		"put-none": {func(name string) write {
			return write{"PUT", jsonBody, edited(shown(t, name), stripped, func(claim *unstructured.Unstructured) { claim.SetFinalizers(nil) })}
		}, nil},
		"put-yaml": {func(name string) write {
			return write{"PUT", yamlBody, edited(shown(t, name), stripped)}
		}, both},
		"apply": {func(name string) write {
			claim := newClaim(name, "applied")
			claim.SetFinalizers(both[:1])
			return write{"PATCH", applyPatch, asJSON(claim)}
		}, both},
	} {
		t.Run(name, func(t *testing.T) {
			owner := held(t, name)
			status, body := attempt.write(name).send(t, name)
			if status != 200 {
				t.Fatalf("%d %s", status, body)
			}
			lacks(t, body, `"foregroundDeletion"`, `"ownerReferences"`)
			claim := stored(t, name)
			finalizers := slices.Sorted(slices.Values(claim.GetFinalizers()))
			want := slices.Sorted(slices.Values(append([]string{foreground}, attempt.left...)))
			if !slices.Equal(finalizers, want) {
				t.Errorf("finalizers are %q, not %q", finalizers, want)
			}
			if owners := claim.GetOwnerReferences(); len(owners) != 1 || string(owners[0].UID) != owner {
				t.Errorf("owners are %v", owners)
			}
			if _, ok := claim.GetAnnotations()[hiddenAnnotation]; ok {
				t.Error("the annotation is stored")
			}
		})
	}
}

// What an operator by controller-runtime sends when it lets go of its last finalizer: of an object whose
// type it does not know, and of one whose metadata is all that it knows.
func TestAControllerLetsGoOfItsFinalizerAlone(t *testing.T) {
	log.SetLogger(logr.Discard())
	client, err := ctrlclient.New(restConfig(theBed.app), ctrlclient.Options{})
	must(err)
	partial := &metav1.PartialObjectMetadata{}
	partial.SetGroupVersionKind(claimKind)
	for name, attempt := range map[string]struct {
		claim ctrlclient.Object
		patch string
	}{
		"let-go":          {newClaim("let-go", "hidden"), `{"metadata":{"finalizers":[]}}`},
		"let-go-metadata": {partial, `{"metadata":{"finalizers":null}}`},
	} {
		owner, claim := held(t, name), attempt.claim
		must(client.Get(context.Background(), types.NamespacedName{Namespace: "default", Name: name}, claim))
		before := claim.DeepCopyObject().(ctrlclient.Object)
		controllerutil.RemoveFinalizer(claim, finalizerA)
		controllerutil.RemoveFinalizer(claim, finalizerB)
		patch := ctrlclient.MergeFrom(before)
		sent, err := patch.Data(claim)
		must(err)
		if string(sent) != attempt.patch {
			t.Fatalf("the patch is %s", sent)
		}
		must(client.Patch(context.Background(), claim, patch))
		kept := stored(t, name)
		if !slices.Equal(kept.GetFinalizers(), []string{foreground}) || string(kept.GetOwnerReferences()[0].UID) != owner {
			t.Fatalf("%v %v", kept.GetFinalizers(), kept.GetOwnerReferences())
		}
		if len(claim.GetFinalizers()) != 0 || len(claim.GetOwnerReferences()) != 0 {
			t.Fatalf("the app cluster sees %v", claim)
		}
	}
}

// What takes all of the metadata away is refused, so that nothing is lost by it.
func TestMetadataIsNotTakenAway(t *testing.T) {
	held(t, "bare")
	for _, attempt := range []write{
		{"PATCH", mergePatch, `{"metadata":null}`},
		{"PATCH", mergePatch, `{"metadata":""}`},
		{"PATCH", jsonPatch, `[{"op":"remove","path":"/metadata"}]`},
		{"PATCH", jsonPatch, `[{"op":"replace","path":"/metadata","value":{}}]`},
		{"PATCH", jsonPatch, `[{"op":"replace","path":"/metadata","value":{"name":"bare"}}]`},
		{"PATCH", jsonPatch, `[{"op":"remove","path":""}]`},
		{"PATCH", jsonPatch, `[{"op":"remove","path":"/metadata/ownerReferences"}]`},
		{"PATCH", jsonPatch, `[{"op":"add","path":"/metadata/finalizers","value":"x"}]`},
		{"PATCH", jsonPatch, `[{"op":"remove","path":"/metadata/finalizers/2"}]`},
		{"PUT", jsonBody, `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":null}`},
	} {
		before := stored(t, "bare").GetResourceVersion()
		status, body := attempt.send(t, "bare")
		if status < 400 || stored(t, "bare").GetResourceVersion() != before {
			t.Errorf("%s: %d %s", attempt.body, status, body)
		}
		lacks(t, body, foreground)
	}
}

// Clients that change the same list at the same time lose neither each other's nor what is hidden.
func TestFinalizersOutliveManyWriters(t *testing.T) {
	const writers = 8
	held(t, "busy")
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			colour := fmt.Sprintf(`{"metadata":{"labels":{"writer-%d":"x"},"finalizers":["example.org/w"]}}`, i)
			for try := 0; ; try++ {
				status, body := write{"PATCH", mergePatch, colour}.send(t, "busy")
				if status == 200 {
					return
				}
				if status != 409 || try > 100 {
					t.Errorf("%d %s", status, body)
					return
				}
			}
		})
		all.Go(func() {
			relabel := fmt.Sprintf(`{"metadata":{"labels":{"plane-%d":"x"}}}`, i)
			plane(t, "-n", "app-ns-1", "patch", "kc", "busy", "--type=merge", "-p", relabel)
		})
	}
	all.Wait()
	claim := stored(t, "busy")
	if finalizers := claim.GetFinalizers(); !slices.Equal(finalizers, []string{"example.org/w", foreground}) {
		t.Errorf("finalizers are %q", finalizers)
	}
	if labels := claim.GetLabels(); len(labels) != 2*writers+1 {
		t.Errorf("labels are %v", labels)
	}
}

// An unchanged update is none, as without claimgate.
func TestAnUpdateOfNothingChangesNothing(t *testing.T) {
	held(t, "same")
	// As the API server puts it there, behind the others.
	finalizers := `{"metadata":{"finalizers":["example.org/a","foregroundDeletion"]}}`
	plane(t, "-n", "app-ns-1", "patch", "kc", "same", "--type=merge", "-p", finalizers)
	before := stored(t, "same").GetResourceVersion()
	for _, attempt := range []write{
		{"PUT", jsonBody, edited(shown(t, "same"))},
		{"PATCH", mergePatch, `{"metadata":{"finalizers":["example.org/a"]}}`},
		{"PATCH", jsonPatch, `[{"op":"replace","path":"/metadata/finalizers","value":["example.org/a"]}]`},
	} {
		if status, body := attempt.send(t, "same"); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		if after := stored(t, "same").GetResourceVersion(); after != before {
			t.Errorf("%s %s has written", attempt.method, attempt.contentType)
		}
	}
}

// Neither by an annotation that was read elsewhere nor by one that was made up.
func TestAnAnnotationSetsNothing(t *testing.T) {
	owner := held(t, "rich")
	copied := shown(t, "rich").GetAnnotations()[hiddenAnnotation]
	contains(t, copied, owner, foreground)
	forged := fmt.Sprintf(`{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"owner-of-rich","uid":%q,`+
		`"blockOwnerDeletion":true,"controller":true}],"finalizers":["foregroundDeletion","orphan","example.org/forged"]}`, owner)
	for i, value := range []string{copied, forged} {
		name := fmt.Sprintf("poor-%d", i)
		t.Cleanup(func() { release(name) })
		fresh := newClaim(name, "hidden")
		annotated(value)(fresh)
		status, body := request(t, theBed.app, "POST", strings.TrimSuffix(onePath, "/"), asJSON(fresh), map[string]string{"Content-Type": "application/json"})
		if status != 201 {
			t.Fatalf("%d %s", status, body)
		}
		set := asJSON(map[string]any{"metadata": map[string]any{"annotations": map[string]string{hiddenAnnotation: value}}})
		update := func(contentType string) write {
			return write{"PUT", contentType, edited(shown(t, name), annotated(value))}
		}
		for _, attempt := range []func() write{
			func() write { return update(jsonBody) },
			func() write { return update(yamlBody) },
			func() write { return write{"PATCH", mergePatch, set} },
			func() write {
				return write{"PATCH", mergePatch, strings.Replace(set, `{"metadata":{`, `{"metadata":{"finalizers":[],`, 1)}
			},
			func() write { return write{"PATCH", applyPatch, asJSON(fresh)} },
			func() write {
				return write{"PATCH", jsonPatch, `[{"op":"add","path":"/metadata/annotations","value":{"claimgate.dev/hidden":` + asJSON(value) + `}}]`}
			},
		} {
			attempt := attempt()
			status, body := attempt.send(t, name)
			if status != 200 {
				t.Errorf("%s %s: %d %s", attempt.method, attempt.contentType, status, body)
			}
			claim := stored(t, name)
			_, annotated := claim.GetAnnotations()[hiddenAnnotation]
			if len(claim.GetOwnerReferences()) > 0 || len(claim.GetFinalizers()) > 0 || annotated {
				t.Fatalf("%s %s has set %v", attempt.method, attempt.contentType, claim.Object["metadata"])
			}
		}
	}
}

// A write that is sure to fail does so in the control plane's words.
func TestConflictsStayTheClientsOwn(t *testing.T) {
	held(t, "contended")
	old := shown(t, "contended")
	app(t, "label", "kc", "contended", "colour=blue")
	version := old.GetResourceVersion()
	for _, attempt := range []write{
		{"PUT", jsonBody, asJSON(old)},
		{"PATCH", mergePatch, fmt.Sprintf(`{"metadata":{"finalizers":null,"resourceVersion":%q}}`, version)},
		{"PATCH", jsonPatch, fmt.Sprintf(`[{"op":"remove","path":"/metadata/finalizers"},{"op":"replace","path":"/metadata/resourceVersion","value":%q}]`, version)},
	} {
		status, body := attempt.send(t, "contended")
		if status != 409 || !strings.Contains(body, "the object has been modified") {
			t.Errorf("%s %s: %d %s", attempt.method, attempt.contentType, status, body)
		}
	}
	for _, attempt := range []write{
		{"PUT", jsonBody, edited(shown(t, "contended"), func(claim *unstructured.Unstructured) { claim.SetName("missing") })},
		{"PATCH", mergePatch, `{"metadata":{"finalizers":null}}`},
		{"PATCH", jsonPatch, `[{"op":"remove","path":"/metadata/finalizers"}]`},
	} {
		status, body := attempt.send(t, "missing")
		if status != 404 || !strings.Contains(body, `kubernetesclusters.k8s.starter.org \"missing\" not found`) {
			t.Errorf("%s %s: %d %s", attempt.method, attempt.contentType, status, body)
		}
	}
	if finalizers := stored(t, "contended").GetFinalizers(); len(finalizers) != 3 {
		t.Errorf("finalizers are %q", finalizers)
	}
}

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

// createClaimWithHiddenMetadata creates a claim on the control plane with hidden metadata: an
// owner, whose UID it returns, and the first of three finalizers.
func createClaimWithHiddenMetadata(t *testing.T, name string) string {
	t.Helper()
	onControlPlane(t, "-n", mapping["default"], "create", "configmap", "owner-of-"+name)
	owner := uid(t, env.controlPlane, "-n", mapping["default"], "configmap", "owner-of-"+name)
	claim := newClaim(name, "hidden")
	claim.SetFinalizers([]string{foreground, finalizerA, finalizerB})
	claim.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "owner-of-" + name, UID: types.UID(owner)}})
	_, err := stored(claims, "default").Create(context.Background(), claim, metav1.CreateOptions{})
	must(err)
	t.Cleanup(func() { releaseClaim(name) })
	return owner
}

// releaseClaim removes a claim's finalizers and deletes it.
func releaseClaim(name string) {
	namespace, remote := mapping["default"], remoteName("default", name)
	env.tryKubectl(env.controlPlane.kubeconfig, "", "-n", namespace, "patch", "kc", remote, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	env.tryKubectl(env.controlPlane.kubeconfig, "", "-n", namespace, "delete", "kc", remote, "--ignore-not-found")
	env.tryKubectl(env.controlPlane.kubeconfig, "", "-n", namespace, "delete", "configmap", "owner-of-"+name, "--ignore-not-found")
}

func storedClaim(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	claim, err := stored(claims, "default").Get(context.Background(), name, metav1.GetOptions{})
	must(err)
	return claim
}

func shownClaim(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	claim, err := dynamicClient(env.app).Resource(claims).Namespace("default").Get(context.Background(), name, metav1.GetOptions{})
	must(err)
	return claim
}

func asJSON(value any) string {
	bytes, err := json.Marshal(value)
	must(err)
	return string(bytes)
}

// editedJSON applies changes to a claim and returns it as JSON.
func editedJSON(claim *unstructured.Unstructured, changes ...func(*unstructured.Unstructured)) string {
	for _, change := range changes {
		change(claim)
	}
	return asJSON(claim)
}

func removeHiddenAnnotation(claim *unstructured.Unstructured) {
	annotations := claim.GetAnnotations()
	delete(annotations, hiddenAnnotation)
	claim.SetAnnotations(annotations)
}

func setHiddenAnnotation(value string) func(*unstructured.Unstructured) {
	return func(claim *unstructured.Unstructured) {
		annotations := claim.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[hiddenAnnotation] = value
		claim.SetAnnotations(annotations)
	}
}

// write is a request through the app cluster; contentType is the whole header line.
type write struct{ method, contentType, body string }

func (w write) send(t *testing.T, name string) (int, string) {
	t.Helper()
	query := ""
	if w.contentType == applyPatch {
		query = "?fieldManager=hidden-test&force=true"
	}
	return sendAsAdmin(t, env.app, w.method, onePath+name+query, w.body,
		map[string]string{"Content-Type": strings.TrimPrefix(w.contentType, "Content-Type: ")})
}

func TestWritesKeepHiddenMetadata(t *testing.T) {
	both := []string{finalizerA, finalizerB}
	metadata := func(name, more string) string {
		claim := shownClaim(t, name)
		return fmt.Sprintf(`{"name":%q,"namespace":"default","uid":%q,"resourceVersion":%q,"creationTimestamp":%q%s}`,
			name, claim.GetUID(), claim.GetResourceVersion(), claim.GetCreationTimestamp().UTC().Format("2006-01-02T15:04:05Z"), more)
	}
	patch := func(contentType, body string) func(string) write {
		return func(string) write { return write{"PATCH", contentType, body} }
	}
	for name, attempt := range map[string]struct {
		write func(name string) write
		// The finalizers that the app cluster sees afterwards.
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
			return write{"PATCH", jsonPatch, `[{"op":"replace","path":"","value":` + editedJSON(shownClaim(t, name), removeHiddenAnnotation) + `}]`}
		}, both},
		"put": {func(name string) write { return write{"PUT", jsonBody, editedJSON(shownClaim(t, name))} }, both},
		"put-stripped": {func(name string) write {
			return write{"PUT", jsonBody, editedJSON(shownClaim(t, name), removeHiddenAnnotation)}
		}, both},
		"put-broken": {func(name string) write {
			return write{"PUT", jsonBody, editedJSON(shownClaim(t, name), setHiddenAnnotation("?"))}
		}, both},
		"put-none": {func(name string) write {
			return write{"PUT", jsonBody, editedJSON(shownClaim(t, name), removeHiddenAnnotation, func(claim *unstructured.Unstructured) { claim.SetFinalizers(nil) })}
		}, nil},
		"put-yaml": {func(name string) write {
			return write{"PUT", yamlBody, editedJSON(shownClaim(t, name), removeHiddenAnnotation)}
		}, both},
		"apply": {func(name string) write {
			claim := newClaim(name, "applied")
			claim.SetFinalizers(both[:1])
			return write{"PATCH", applyPatch, asJSON(claim)}
		}, both},
	} {
		t.Run(name, func(t *testing.T) {
			owner := createClaimWithHiddenMetadata(t, name)
			status, body := attempt.write(name).send(t, name)
			if status != 200 {
				t.Fatalf("status %d: %s", status, body)
			}
			assertLacks(t, body, `"foregroundDeletion"`, `"ownerReferences"`)
			claim := storedClaim(t, name)
			finalizers := slices.Sorted(slices.Values(claim.GetFinalizers()))
			want := slices.Sorted(slices.Values(append([]string{foreground}, attempt.left...)))
			if !slices.Equal(finalizers, want) {
				t.Errorf("finalizers are %q, want %q", finalizers, want)
			}
			if owners := claim.GetOwnerReferences(); len(owners) != 1 || string(owners[0].UID) != owner {
				t.Errorf("owners are %v", owners)
			}
			if _, ok := claim.GetAnnotations()[hiddenAnnotation]; ok {
				t.Error("the hidden annotation is stored")
			}
		})
	}
}

// A controller-runtime operator removes its last finalizers: once from an unstructured object, once
// from one of which it has only metadata.
func TestControllerRemovesOnlyItsOwnFinalizers(t *testing.T) {
	log.SetLogger(logr.Discard())
	client, err := ctrlclient.New(restConfig(env.app), ctrlclient.Options{})
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
		owner, claim := createClaimWithHiddenMetadata(t, name), attempt.claim
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
		kept := storedClaim(t, name)
		if !slices.Equal(kept.GetFinalizers(), []string{foreground}) || string(kept.GetOwnerReferences()[0].UID) != owner {
			t.Fatalf("%v %v", kept.GetFinalizers(), kept.GetOwnerReferences())
		}
		if len(claim.GetFinalizers()) != 0 || len(claim.GetOwnerReferences()) != 0 {
			t.Fatalf("the app cluster sees %v", claim)
		}
	}
}

// Writes that would remove all metadata are rejected, so that no hidden metadata is lost.
func TestWritesThatRemoveMetadataAreRejected(t *testing.T) {
	createClaimWithHiddenMetadata(t, "bare")
	for _, attempt := range []write{
		{"PATCH", mergePatch, `{"metadata":null}`},
		{"PATCH", mergePatch, `{"metadata":""}`},
		{"PATCH", jsonPatch, `[{"op":"remove","path":"/metadata"}]`},
		{"PATCH", jsonPatch, `[{"op":"replace","path":"/metadata","value":{}}]`},
		{"PATCH", jsonPatch, `[{"op":"replace","path":"/metadata","value":{"name":"bare"}}]`},
		{"PATCH", jsonPatch, `[{"op":"remove","path":""}]`},
		{"PATCH", jsonPatch, `[{"op":"remove","path":"/metadata/ownerReferences"}]`},
		{"PATCH", jsonPatch, `[{"op":"move","from":"/metadata/finalizers","path":"/spec/lost"}]`},
		{"PATCH", jsonPatch, `[{"op":"add","path":"/metadata/finalizers","value":"x"}]`},
		{"PATCH", jsonPatch, `[{"op":"remove","path":"/metadata/finalizers/2"}]`},
		{"PUT", jsonBody, `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":null}`},
	} {
		before := storedClaim(t, "bare").GetResourceVersion()
		status, body := attempt.send(t, "bare")
		if status < 400 || storedClaim(t, "bare").GetResourceVersion() != before {
			t.Errorf("%s: status %d: %s", attempt.body, status, body)
		}
		assertLacks(t, body, foreground)
	}
}

// Clients that change the same list concurrently keep each other's finalizers and the hidden one.
func TestConcurrentWritersKeepFinalizers(t *testing.T) {
	const writers = 8
	createClaimWithHiddenMetadata(t, "busy")
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			color := fmt.Sprintf(`{"metadata":{"labels":{"writer-%d":"x"},"finalizers":["example.org/w"]}}`, i)
			for try := 0; ; try++ {
				status, body := write{"PATCH", mergePatch, color}.send(t, "busy")
				if status == 200 {
					return
				}
				if status != 409 || try > 100 {
					t.Errorf("status %d: %s", status, body)
					return
				}
			}
		})
		all.Go(func() {
			relabel := fmt.Sprintf(`{"metadata":{"labels":{"plane-%d":"x"}}}`, i)
			onControlPlane(t, "-n", mapping["default"], "patch", "kc", remoteName("default", "busy"), "--type=merge", "-p", relabel)
		})
	}
	all.Wait()
	claim := storedClaim(t, "busy")
	if finalizers := claim.GetFinalizers(); !slices.Equal(finalizers, []string{"example.org/w", foreground}) {
		t.Errorf("finalizers are %q", finalizers)
	}
	want := 2*writers + 1
	if isShared() {
		want += len(originKeys)
	}
	if labels := claim.GetLabels(); len(labels) != want {
		t.Errorf("labels are %v", labels)
	}
}

// An update without changes does not write, as on a server without claimgate.
func TestUnchangedUpdateDoesNotWrite(t *testing.T) {
	createClaimWithHiddenMetadata(t, "same")
	// The order in which the API server adds it: after the others.
	finalizers := `{"metadata":{"finalizers":["example.org/a","foregroundDeletion"]}}`
	onControlPlane(t, "-n", mapping["default"], "patch", "kc", remoteName("default", "same"), "--type=merge", "-p", finalizers)
	if isShared() {
		// The app cluster does not see who manages claimgate's own labels, and an update sends what it sees.
		write{"PUT", jsonBody, editedJSON(shownClaim(t, "same"))}.send(t, "same")
	}
	before := storedClaim(t, "same").GetResourceVersion()
	for _, attempt := range []write{
		{"PUT", jsonBody, editedJSON(shownClaim(t, "same"))},
		{"PATCH", mergePatch, `{"metadata":{"finalizers":["example.org/a"]}}`},
		{"PATCH", jsonPatch, `[{"op":"replace","path":"/metadata/finalizers","value":["example.org/a"]}]`},
	} {
		if status, body := attempt.send(t, "same"); status != 200 {
			t.Fatalf("status %d: %s", status, body)
		}
		if after := storedClaim(t, "same").GetResourceVersion(); after != before {
			t.Errorf("%s %s changed the resourceVersion", attempt.method, attempt.contentType)
		}
	}
}

// Neither a copied nor a forged hidden annotation sets metadata.
func TestHiddenAnnotationFromClientIsIgnored(t *testing.T) {
	owner := createClaimWithHiddenMetadata(t, "rich")
	copied := shownClaim(t, "rich").GetAnnotations()[hiddenAnnotation]
	assertContains(t, copied, owner, foreground)
	forged := fmt.Sprintf(`{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"owner-of-rich","uid":%q,`+
		`"blockOwnerDeletion":true,"controller":true}],"finalizers":["foregroundDeletion","orphan","example.org/forged"]}`, owner)
	for i, value := range []string{copied, forged} {
		name := fmt.Sprintf("poor-%d", i)
		t.Cleanup(func() { releaseClaim(name) })
		fresh := newClaim(name, "hidden")
		setHiddenAnnotation(value)(fresh)
		status, body := sendAsAdmin(t, env.app, "POST", strings.TrimSuffix(onePath, "/"), asJSON(fresh), map[string]string{"Content-Type": "application/json"})
		if status != 201 {
			t.Fatalf("status %d: %s", status, body)
		}
		set := asJSON(map[string]any{"metadata": map[string]any{"annotations": map[string]string{hiddenAnnotation: value}}})
		update := func(contentType string) write {
			return write{"PUT", contentType, editedJSON(shownClaim(t, name), setHiddenAnnotation(value))}
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
				t.Errorf("%s %s: status %d: %s", attempt.method, attempt.contentType, status, body)
			}
			claim := storedClaim(t, name)
			_, annotated := claim.GetAnnotations()[hiddenAnnotation]
			if len(claim.GetOwnerReferences()) > 0 || len(claim.GetFinalizers()) > 0 || annotated {
				t.Fatalf("%s %s set %v", attempt.method, attempt.contentType, claim.Object["metadata"])
			}
		}
	}
}

// Writes that must fail return the control plane's error.
func TestConflictsReachTheClient(t *testing.T) {
	createClaimWithHiddenMetadata(t, "contended")
	old := shownClaim(t, "contended")
	inAppCluster(t, "label", "kc", "contended", "color=blue")
	version := old.GetResourceVersion()
	for _, attempt := range []write{
		{"PUT", jsonBody, asJSON(old)},
		{"PATCH", mergePatch, fmt.Sprintf(`{"metadata":{"finalizers":null,"resourceVersion":%q}}`, version)},
		{"PATCH", jsonPatch, fmt.Sprintf(`[{"op":"remove","path":"/metadata/finalizers"},{"op":"replace","path":"/metadata/resourceVersion","value":%q}]`, version)},
	} {
		status, body := attempt.send(t, "contended")
		if status != 409 || !strings.Contains(body, "the object has been modified") {
			t.Errorf("%s %s: status %d: %s", attempt.method, attempt.contentType, status, body)
		}
	}
	for _, attempt := range []write{
		{"PUT", jsonBody, editedJSON(shownClaim(t, "contended"), func(claim *unstructured.Unstructured) { claim.SetName("missing") })},
		{"PATCH", mergePatch, `{"metadata":{"finalizers":null}}`},
		{"PATCH", jsonPatch, `[{"op":"remove","path":"/metadata/finalizers"}]`},
	} {
		status, body := attempt.send(t, "missing")
		if status != 404 || !strings.Contains(body, `kubernetesclusters.k8s.starter.org \"missing\" not found`) {
			t.Errorf("%s %s: status %d: %s", attempt.method, attempt.contentType, status, body)
		}
	}
	if finalizers := storedClaim(t, "contended").GetFinalizers(); len(finalizers) != 3 {
		t.Errorf("finalizers are %q", finalizers)
	}
}

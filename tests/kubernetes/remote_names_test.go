package kubernetes

import (
	"context"
	"crypto/sha256"
	byteorder "encoding/binary"
	"encoding/hex"
	"encoding/json"
	"maps"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// This file computes where a local object is stored. It is a second implementation of the shared
// mapping, independent of claimgate's code.

// Lengths of names: the hash with its hyphen, the limit of Crossplane for claims, and the limit of
// Kubernetes.
const (
	hashSuffixLength = 1 + 16
	shortNameMax     = 63
	longNameMax      = 253
)

// nameHash returns the first 64 bits of SHA-256 over the parts, each after its length, in
// hexadecimal.
func nameHash(parts ...string) string {
	hash := sha256.New()
	for _, part := range parts {
		byteorder.Write(hash, byteorder.BigEndian, uint64(len(part)))
		hash.Write([]byte(part))
	}
	return hex.EncodeToString(hash.Sum(nil)[:8])
}

// sharedName returns the remote name of an app cluster's object in the shared mapping.
func sharedName(cluster, namespace, name string) string {
	most := shortNameMax
	if len(name) > shortNameMax {
		most = longNameMax
	}
	begin := name
	if len(begin) > most-hashSuffixLength {
		begin = strings.TrimRight(begin[:most-hashSuffixLength], "-.")
	}
	return begin + "-" + nameHash(cluster, namespace, name)
}

// remoteName returns the name of a local object on the control plane.
func remoteName(namespace, name string) string {
	if !isShared() {
		return name
	}
	return sharedName(appClusterName, namespace, name)
}

// remoteSecretName returns the name on the control plane of a Secret that a local object refers to.
// It is never cut.
func remoteSecretName(namespace, name string) string {
	if !isShared() {
		return name
	}
	return name + "-" + nameHash(appClusterName, namespace, name)
}

// origin returns the labels and annotations of a local object in the shared mapping.
func origin(cluster, namespace, name string) map[string]string {
	return map[string]string{originKeys[0]: cluster, originKeys[1]: namespace, originKeys[2]: name}
}

// toStored returns a local object as claimgate stores it.
func toStored(local *unstructured.Unstructured, namespace string) *unstructured.Unstructured {
	stored, name := local.DeepCopy(), local.GetName()
	stored.SetNamespace(mapping[namespace])
	stored.SetName(remoteName(namespace, name))
	if isShared() {
		stored.SetLabels(merged(stored.GetLabels(), origin(appClusterName, namespace, name)))
		stored.SetAnnotations(merged(stored.GetAnnotations(), origin(appClusterName, namespace, name)))
	}
	return stored
}

func merged(a, b map[string]string) map[string]string {
	all := maps.Clone(b)
	maps.Copy(all, a)
	return all
}

// storedManifest returns a local object in JSON as claimgate stores it.
func storedManifest(local *unstructured.Unstructured, namespace string) string {
	text, err := json.Marshal(toStored(local, namespace))
	must(err)
	return string(text)
}

// newObject returns a claim of this kind, without a spec.
func newObject(kind, name string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(claims.GroupVersion().WithKind(kind))
	object.SetName(name)
	return object
}

// storedClient is a client of the control plane that takes local names. What it returns has remote
// names.
type storedClient struct {
	dynamic.ResourceInterface
	namespace string
}

// stored returns a client for the objects of a local namespace on the control plane.
func stored(resource schema.GroupVersionResource, namespace string) storedClient {
	return storedClient{dynamicClient(env.controlPlane).Resource(resource).Namespace(mapping[namespace]), namespace}
}

func (s storedClient) Create(ctx context.Context, local *unstructured.Unstructured, options metav1.CreateOptions, subresources ...string) (*unstructured.Unstructured, error) {
	return s.ResourceInterface.Create(ctx, toStored(local, s.namespace), options, subresources...)
}

func (s storedClient) Get(ctx context.Context, name string, options metav1.GetOptions, subresources ...string) (*unstructured.Unstructured, error) {
	return s.ResourceInterface.Get(ctx, remoteName(s.namespace, name), options, subresources...)
}

func (s storedClient) Delete(ctx context.Context, name string, options metav1.DeleteOptions, subresources ...string) error {
	return s.ResourceInterface.Delete(ctx, remoteName(s.namespace, name), options, subresources...)
}

func (s storedClient) Patch(ctx context.Context, name string, kind types.PatchType, data []byte, options metav1.PatchOptions, subresources ...string) (*unstructured.Unstructured, error) {
	return s.ResourceInterface.Patch(ctx, remoteName(s.namespace, name), kind, data, options, subresources...)
}

// Apply applies only the object's own fields, not claimgate's labels and annotations.
func (s storedClient) Apply(ctx context.Context, name string, local *unstructured.Unstructured, options metav1.ApplyOptions, subresources ...string) (*unstructured.Unstructured, error) {
	renamed := local.DeepCopy()
	renamed.SetName(remoteName(s.namespace, name))
	return s.ResourceInterface.Apply(ctx, remoteName(s.namespace, name), renamed, options, subresources...)
}

func TestRemoteNamesAreStable(t *testing.T) {
	long := strings.Repeat("a", 300)
	for _, c := range []struct{ name, want string }{
		// The same name as in the daemon's own test.
		{"my-cluster", "my-cluster-4a0ab21a56d9eeea"},
		{long[:46], long[:46] + "-" + nameHash("team-a", "default", long[:46])},
		{long[:45] + "-b", long[:45] + "-" + nameHash("team-a", "default", long[:45]+"-b")},
		{long[:63], long[:46] + "-" + nameHash("team-a", "default", long[:63])},
		{long[:64], long[:64] + "-" + nameHash("team-a", "default", long[:64])},
		{long[:253], long[:236] + "-" + nameHash("team-a", "default", long[:253])},
	} {
		if got := sharedName("team-a", "default", c.name); got != c.want {
			t.Errorf("%s is stored as %s, want %s", c.name, got, c.want)
		}
	}
}

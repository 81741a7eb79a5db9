package kubernetes

import (
	order "encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// unusualPaths are paths that kube-apiserver parses in its own way.
func unusualPaths() []operation {
	group := "/apis/" + groupVersion
	all := []operation{
		single("watch a missing object by the legacy path, all namespaces", get(group+"/watch/kubernetesclusters/{name}?timeoutSeconds=1")),
		single("watch one object by the legacy path, all namespaces, selected", createOwn(), get(group+"/watch/kubernetesclusters/{name}?timeoutSeconds=1&fieldSelector=metadata.namespace%3D{ns}")),
		single("watch all namespaces by the legacy path and another name", createOwn(), get(group+"/watch/kubernetesclusters/{name}?timeoutSeconds=1&fieldSelector=metadata.name%3Dx")),
		single("double slash after a list", createOwn(), get(resourcePath+"//?fieldSelector=metadata.name%3D{name}")),
		single("double slash in a path", createOwn(), get(group+"/namespaces//{ns}/kubernetesclusters/{name}")),
		single("triple slash after a name", createOwn(), get(ownPath+"///"), remove(ownPath+"//", "")),
		single("empty namespace in a path", createOwn(), get(group+"/namespaces//kubernetesclusters?fieldSelector=metadata.namespace%3D{ns},metadata.name%3D{name}")),
		single("double slash at the start of a path", createOwn(), get("/"+ownPath)),
		single("proxy path", get(group+"/proxy/namespaces/{ns}/kubernetesclusters/{name}")),
		single("proxy path without an object", get(group+"/proxy"), get(group+"/proxy/kubernetesclusters"), get(group+"/watch")),
	}
	for _, name := range []string{"a%25b", "a%252Fb", ".", "..", "%2e", "%2E%2e", "a%2Fb", "a%01b", "a%7Fb", "a%00b", "a%C2%85b"} {
		objectName := strings.ReplaceAll(name, ".", "dot")
		all = append(all, single("name "+objectName, get(resourcePath+"/"+name), remove(resourcePath+"/"+name, "")),
			single("patch of name "+objectName, patch(mergePatch, resourcePath+"/"+name, "{}"), get(resourcePath+"/"+name+"/status")))
	}
	for _, namespace := range []string{"a%2Fb"} {
		all = append(all, single("namespace "+namespace, get(group+"/namespaces/"+namespace+"/kubernetesclusters/{name}")))
	}
	return slices.Concat(all, ambiguousBodies(), subresourceOwners())
}

// ambiguousBodies are bodies whose meaning depends on the parser or on the content type.
func ambiguousBodies() []operation {
	claim := "apiVersion: k8s.starter.org/v1alpha1\nkind: KubernetesCluster\nmetadata:\n  name: {name}\nspec:\n  nodeCount: 3\n"
	yamlOperation := func(name, body string) operation {
		apply := step{method: "PATCH", path: ownPath + "?fieldManager=me", body: body, headers: []string{applyPatch}}
		return single("YAML "+name, step{method: "POST", path: resourcePath, body: body, headers: []string{yamlBody}}, apply)
	}
	all := []operation{
		yamlOperation("with an escaped slash", claim+"  notes: \"a\\/b\"\n"),
		yamlOperation("with an escaped slash after a backslash", claim+"  notes: \"a\\\\/b\"\n  region: 'a\\/b'\n"),
	}
	for name, body := range map[string]string{"little": utf16Text(utf16Claim, false), "big": utf16Text(utf16Claim, true), "truncated": utf16Text(utf16Claim, false) + "x", "with half a surrogate pair": utf16Text(utf16Claim, false) + "\x3d\xd8"} {
		all = append(all, single("YAML in UTF-16, "+name, step{method: "POST", path: resourcePath + "?dryRun=All", body: body, headers: []string{yamlBody}},
			step{method: "PATCH", path: resourcePath + "/wide?dryRun=All&fieldManager=me", body: body, headers: []string{applyPatch}}))
	}
	for i, kind := range []string{"json; charset", "json;;", "json;=", "json;a=b;a=c", "json;a=b;a=b", "json; charset=\"utf-8", "json;a=\"b;c\"", "json;charset=utf-8;", "json ;a=b", "yaml; charset", "yaml; charset=utf-8", "json, text/plain", "json/x", "j son"} {
		kind = "Content-Type: application/" + kind
		// The names are numbered, because object names contain no signs.
		all = append(all, single(fmt.Sprintf("content type %d, %s", i, kind), step{method: "POST", path: resourcePath, body: object("", ""), headers: []string{kind}},
			step{method: "PUT", path: ownPath, body: object("", ""), headers: []string{kind}},
			step{method: "DELETE", path: ownPath, body: "{}", headers: []string{kind}}))
	}
	for i, kind := range []string{"merge-patch+json; charset", "merge-patch+json;;", "merge-patch+json ", "apply-patch+yaml; x", "json-patch+json;="} {
		kind = "Content-Type: application/" + kind
		all = append(all, single(fmt.Sprintf("content type %d of a patch, %s", i, kind), createOwn(), step{method: "PATCH", path: ownPath + "?fieldManager=me", body: `{"spec":{"region":"x"}}`, headers: []string{kind}}))
	}
	return all
}

// utf16Claim has a fixed name, because templates are filled in as UTF-8.
const utf16Claim = "apiVersion: k8s.starter.org/v1alpha1\nkind: KubernetesCluster\nmetadata:\n  name: wide\nspec:\n  notes: \"é \u2028 😀\"\n"

// utf16Text returns a text in UTF-16 with a byte order mark.
func utf16Text(text string, isBig bool) string {
	var bytes []byte
	for _, unit := range utf16.Encode([]rune("\ufeff" + text)) {
		if isBig {
			bytes = order.BigEndian.AppendUint16(bytes, unit)
		} else {
			bytes = order.LittleEndian.AppendUint16(bytes, unit)
		}
	}
	return string(bytes)
}

// subresourceOwners are writes to subresources with owner references, which subresources ignore.
func subresourceOwners() []operation {
	const owner = `,"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"a","uid":"b"}]`
	scale := `{"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"{name}","namespace":"{ns}"` + owner + `},"spec":{"replicas":2}}`
	return []operation{
		single("owner in an update of status", createOwn().saving(saveVersion), put(ownPath+"/status", object(`,"resourceVersion":"{rv}"`+owner, ""))),
		single("owner in a patch of status", createOwn(), patch(mergePatch, ownPath+"/status", `{"metadata":{`+owner[1:]+`}}`)),
		single("owner in an apply of status", createOwn(), step{method: "PATCH", path: ownPath + "/status?fieldManager=me", body: object(owner, ""), headers: []string{applyPatch}}),
		single("owner in an update of scale", createOwn(), put(ownPath+"/scale?dryRun=All", scale)),
	}
}

package kubernetes

import (
	order "encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// paths are read in some way of the server's own.
func paths() []operation {
	group := "/apis/" + groupVersion
	all := []operation{
		single("watch missing by the legacy path, everywhere", get(group+"/watch/kubernetesclusters/{name}?timeoutSeconds=1")),
		single("watch one by the legacy path, everywhere, selected", created(), get(group+"/watch/kubernetesclusters/{name}?timeoutSeconds=1&fieldSelector=metadata.namespace%3D{ns}")),
		single("watch everywhere by the legacy path and another name", created(), get(group+"/watch/kubernetesclusters/{name}?timeoutSeconds=1&fieldSelector=metadata.name%3Dx")),
		single("slash after a list", created(), get(resourcePath+"//?fieldSelector=metadata.name%3D{name}")),
		single("slash twice in a path", created(), get(group+"/namespaces//{ns}/kubernetesclusters/{name}")),
		single("slash thrice after a name", created(), get(own+"///"), remove(own+"//", "")),
		single("no namespace between slashes", created(), get(group+"/namespaces//kubernetesclusters?fieldSelector=metadata.namespace%3D{ns},metadata.name%3D{name}")),
		single("slash twice first", created(), get("/"+own)),
		single("proxy path", get(group+"/proxy/namespaces/{ns}/kubernetesclusters/{name}")),
		single("proxy path of nothing", get(group+"/proxy"), get(group+"/proxy/kubernetesclusters"), get(group+"/watch")),
	}
	for _, name := range []string{"a%25b", "a%252Fb", ".", "..", "%2e", "%2E%2e", "a%2Fb", "a%01b", "a%7Fb", "a%00b", "a%C2%85b"} {
		called := strings.ReplaceAll(name, ".", "dot")
		all = append(all, single("name "+called, get(resourcePath+"/"+name), remove(resourcePath+"/"+name, "")),
			single("patch of name "+called, patch(mergePatch, resourcePath+"/"+name, "{}"), get(resourcePath+"/"+name+"/status")))
	}
	for _, namespace := range []string{"a%2Fb"} {
		all = append(all, single("namespace "+namespace, get(group+"/namespaces/"+namespace+"/kubernetesclusters/{name}")))
	}
	return slices.Concat(all, readings(), subresourceOwners())
}

// readings are bodies whose meaning hangs on how they are read, and an answer without one.
func readings() []operation {
	claim := "apiVersion: k8s.starter.org/v1alpha1\nkind: KubernetesCluster\nmetadata:\n  name: {name}\nspec:\n  nodeCount: 3\n"
	in := func(name, body string) operation {
		apply := step{method: "PATCH", path: own + "?fieldManager=me", body: body, headers: []string{applyPatch}}
		return single("YAML "+name, step{method: "POST", path: resourcePath, body: body, headers: []string{yamlBody}}, apply)
	}
	all := []operation{
		in("with an escaped slash", claim+"  notes: \"a\\/b\"\n"),
		in("with an escaped slash behind a backslash", claim+"  notes: \"a\\\\/b\"\n  region: 'a\\/b'\n"),
	}
	for name, body := range map[string]string{"little": wide(wideClaim, false), "big": wide(wideClaim, true), "cut": wide(wideClaim, false) + "x", "of half a letter": wide(wideClaim, false) + "\x3d\xd8"} {
		all = append(all, single("YAML in UTF-16, "+name, step{method: "POST", path: resourcePath + "?dryRun=All", body: body, headers: []string{yamlBody}},
			step{method: "PATCH", path: resourcePath + "/wide?dryRun=All&fieldManager=me", body: body, headers: []string{applyPatch}}))
	}
	for i, kind := range []string{"json; charset", "json;;", "json;=", "json;a=b;a=c", "json;a=b;a=b", "json; charset=\"utf-8", "json;a=\"b;c\"", "json;charset=utf-8;", "json ;a=b", "yaml; charset", "yaml; charset=utf-8", "json, text/plain", "json/x", "j son"} {
		kind = "Content-Type: application/" + kind
		// A number, since names of objects have nothing of the signs.
		all = append(all, single(fmt.Sprintf("type %d, %s", i, kind), step{method: "POST", path: resourcePath, body: object("", ""), headers: []string{kind}},
			step{method: "PUT", path: own, body: object("", ""), headers: []string{kind}},
			step{method: "DELETE", path: own, body: "{}", headers: []string{kind}}))
	}
	for i, kind := range []string{"merge-patch+json; charset", "merge-patch+json;;", "merge-patch+json ", "apply-patch+yaml; x", "json-patch+json;="} {
		kind = "Content-Type: application/" + kind
		all = append(all, single(fmt.Sprintf("type %d of a patch, %s", i, kind), created(), step{method: "PATCH", path: own + "?fieldManager=me", body: `{"spec":{"region":"x"}}`, headers: []string{kind}}))
	}
	return all
}

// wideClaim has a name of its own, since what is filled in is written in UTF-8.
const wideClaim = "apiVersion: k8s.starter.org/v1alpha1\nkind: KubernetesCluster\nmetadata:\n  name: wide\nspec:\n  notes: \"é \u2028 😀\"\n"

// wide is a text in UTF-16, with its byte order mark.
func wide(text string, isBig bool) string {
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

// subresourceOwners are owners in a write to a subresource, which takes no metadata from it.
func subresourceOwners() []operation {
	const owner = `,"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"a","uid":"b"}]`
	scale := `{"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"{name}","namespace":"{ns}"` + owner + `},"spec":{"replicas":2}}`
	return []operation{
		single("owner in an update of status", created().keeping(ownVersion), put(own+"/status", object(`,"resourceVersion":"{rv}"`+owner, ""))),
		single("owner in a patch of status", created(), patch(mergePatch, own+"/status", `{"metadata":{`+owner[1:]+`}}`)),
		single("owner in an apply of status", created(), step{method: "PATCH", path: own + "/status?fieldManager=me", body: object(owner, ""), headers: []string{applyPatch}}),
		single("owner in an update of scale", created(), put(own+"/scale?dryRun=All", scale)),
	}
}

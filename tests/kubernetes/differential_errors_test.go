package kubernetes

import (
	"slices"
	"strings"
)

func errorOperations() []operation {
	group := "/apis/" + groupVersion
	method := func(name, method, path string) operation {
		return single(name, step{method: method, path: path})
	}
	all := []operation{
		single("missing object", get(ownPath)),
		single("missing object pretty", get(ownPath+"?pretty=true")),
		single("missing object as Table", get(ownPath, acceptTable)),
		single("missing object in YAML", get(ownPath, acceptYAML)),
		single("missing object in protobuf", get(ownPath, acceptProtobuf)),
		single("missing object in protobuf or JSON", get(ownPath, acceptProtobuf+",application/json")),
		single("missing object in protobuf or as Table", get(ownPath, acceptProtobuf+","+strings.TrimPrefix(acceptTable, "Accept: "))),
		single("missing object as metadata in protobuf", get(ownPath, acceptProtobuf+";as=PartialObjectMetadata;v=v1;g=meta.k8s.io")),
		single("conflict in protobuf or JSON", createOwn(), post(resourcePath, object("", ""), acceptProtobuf+",application/json")),
		single("invalid object, answer in protobuf or JSON", post(resourcePath, strings.Replace(object("", ""), `"nodeCount":3`, `"nodeCount":"three"`, 1), acceptProtobuf+",application/json")),
		single("missing subresource by curl", createOwn(), get(ownPath+"/exec", "User-Agent: curl/8.5.0"), get(ownPath+"/exec?pretty=true"), get(ownPath+"/exec", acceptTable), get(ownPath+"/exec", acceptYAML), get(ownPath+"/exec", acceptProtobuf)),
		single("missing object by curl", get(ownPath, "User-Agent: curl/8.5.0")),
		single("object with an invalid name", get(resourcePath+"/A_b")),
		single("missing resource", get(group+"/namespaces/{ns}/nothings")),
		single("missing resource by name", get(group+"/namespaces/{ns}/nothings/a")),
		single("missing subresource", get(ownPath+"/exec")),
		single("path that is too long, missing object", get(ownPath+"/status/more")),
		single("path that is too long, existing object", createOwn(), get(ownPath+"/status/more"), get(ownPath+"/scale/more"), get(ownPath+"/more/more"), get(ownPath+"/a/b/c/d")),
		single("missing subresource of an existing object", createOwn(), get(ownPath+"/exec"), put(ownPath+"/exec", "{}")),
		single("POST to the object's path", post(ownPath, object("", ""))),
		single("POST to another object's path", post(ownPath+"-2", object("", ""))),
		single("update a list", put(resourcePath, object("", ""))),
		single("patch a list", patch(mergePatch, resourcePath, "{}")),
		single("namespace path of the group", get(group+"/namespaces/{ns}")),
		single("object path without a namespace", get(allNamespacesPath+"/{name}")),
		single("delete in all namespaces", remove(allNamespacesPath, "")),
		single("create in all namespaces", post(allNamespacesPath, object("", ""))),
		single("update in all namespaces", put(allNamespacesPath+"/{name}", object("", ""))),
		single("patch in all namespaces", patch(mergePatch, allNamespacesPath+"/{name}", "{}")),
		single("get status in all namespaces", get(allNamespacesPath+"/{name}/status")),
		method("POST on an object", "POST", ownPath),
		method("PUT on a list", "PUT", resourcePath),
		method("PATCH on a list", "PATCH", resourcePath),
		method("OPTIONS on a list", "OPTIONS", resourcePath),
		method("OPTIONS on an object", "OPTIONS", ownPath),
		method("TRACE on a list", "TRACE", resourcePath),
		method("PURGE on a list", "PURGE", resourcePath),
		method("DELETE on scale", "DELETE", ownPath+"/scale"),
		method("POST on scale", "POST", ownPath+"/scale"),
		single("patch without a content type", createOwn(), step{method: "PATCH", path: ownPath, body: "{}"}),
		single("strategic merge patch", createOwn(), patch("Content-Type: application/strategic-merge-patch+json", ownPath, "{}")),
		single("strategic merge patch of a missing object", patch("Content-Type: application/strategic-merge-patch+json", ownPath, "{}")),
		single("strategic merge patch without an acceptable type", patch("Content-Type: application/strategic-merge-patch+json", ownPath, "{}"), step{
			method: "PATCH", path: ownPath, body: "{}", headers: []string{jsonBody, "Accept: text/html"},
		}),
		single("JSON patch that is truncated", createOwn(), patch(jsonPatch, ownPath, `[{"op":"replace","path":"/metadata/namespace","value":"{ns}"`)),
		single("patch in plain JSON", createOwn(), patch(jsonBody, ownPath, "{}")),
		single("patch in CBOR", createOwn(), patch("Content-Type: application/apply-patch+cbor", ownPath+"?fieldManager=me", "\xd9\xd9\xf7\xa0")),
		single("patch with a charset", createOwn(), patch(mergePatch+"; charset=utf-8", ownPath, `{"spec":{"nodeCount":5}}`)),
		single("patch with a content type in capitals", createOwn(), patch("Content-Type: Application/Merge-Patch+JSON", ownPath, `{"spec":{"nodeCount":5}}`)),
	}
	return slices.Concat(all, invalidBodies(), conflicts(), missingObjectWrites(), unusualPaths())
}

// invalidBodies are rejected for their content or their encoding.
func invalidBodies() []operation {
	raw := func(name, kind, body string) operation {
		return single(name, step{method: "POST", path: resourcePath, body: body, headers: []string{"Content-Type: " + kind}})
	}
	inJSON := func(name, body string) operation { return raw(name, "application/json", body) }
	claim := object("", "")
	without := func(what string) string { return strings.Replace(claim, what, "", 1) }
	return []operation{
		inJSON("body with another namespace", strings.Replace(claim, "{ns}", "nowhere", 1)),
		inJSON("body with another kind", strings.Replace(claim, "KubernetesCluster", "Pod", 1)),
		inJSON("body with another group", strings.Replace(claim, "k8s.starter.org", "other.org", 1)),
		inJSON("body without kind", without(`"kind":"KubernetesCluster",`)),
		inJSON("body without apiVersion", without(`"apiVersion":"k8s.starter.org/v1alpha1",`)),
		inJSON("body without kind and apiVersion", without(`"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster",`)),
		inJSON("body without a name", without(`"name":"{name}",`)),
		inJSON("body with an invalid name", strings.Replace(claim, "{name}", "No Name", 1)),
		inJSON("body that is a list", "["+claim+"]"),
		inJSON("body that is truncated", claim[:len(claim)-1]),
		inJSON("body with data after its end", claim+"}"),
		inJSON("body with two objects", claim+claim),
		inJSON("body that is truncated inside its namespace", claim[:strings.Index(claim, "{ns}")+4]),
		inJSON("long body that is truncated", claim[:len(claim)-1]+`,"notes":"`+strings.Repeat("n", 100_000)),
		inJSON("long body that is truncated inside its namespace", `{"spec":{"nodeCount":3,"notes":"`+strings.Repeat("n", 100_000)+`"},"metadata":{"namespace":"{ns}`),
		inJSON("body that is empty", ""),
		inJSON("body that is white space", " \n"),
		inJSON("body that is null", "null"),
		inJSON("body that is a string", `"hello"`),
		inJSON("body that is not JSON", "hello"),
		inJSON("body in YAML with the content type JSON", yamlClaim),
		inJSON("body with a superfluous comma", strings.Replace(claim, `"spec":{`, `"spec":{,`, 1)),
		inJSON("body with an invalid escape", strings.Replace(claim, `{name}`, `\x`, 1)),
		inJSON("body with a number as its namespace", strings.Replace(claim, `"{ns}"`, `5`, 1)),
		inJSON("body with a list as its metadata", `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":[]}`),
		inJSON("body with a field of the wrong type", strings.Replace(claim, `"nodeCount":3`, `"nodeCount":"three"`, 1)),
		inJSON("body with an invalid label", object(`,"labels":{"a b":"c"}`, "")),
		inJSON("body with a resourceVersion", object(`,"resourceVersion":"5"`, "")),
		inJSON("body with an invalid number", strings.Replace(claim, `"nodeCount":3`, `"nodeCount":03`, 1)),
		inJSON("body that is nested too deeply", object("", `,"parameters":`+strings.Repeat(`{"a":`, 12_000)+"1"+strings.Repeat("}", 12_000))),
		inJSON("body that is too long", object("", `,"notes":"`+strings.Repeat("n", 3<<20)+`"`)),
		inJSON("body with a byte order mark", "\ufeff"+claim),
		raw("body in protobuf", "application/vnd.kubernetes.protobuf", "k8s\x00abc"),
		raw("body in CBOR", "application/cbor", "\xd9\xd9\xf7\xa0"),
		raw("body in plain text", "text/plain", claim),
		raw("body in YAML that is truncated", "application/yaml", "a: {"),
		raw("body with any content type", "*/*", claim),
		raw("body with an invalid content type", "application/", claim),
		single("invalid body, answer in protobuf", post(resourcePath, "{", acceptProtobuf)),
		single("body in gzip", post(resourcePath, claim, "Content-Encoding: gzip")),
		single("body without an acceptable answer type", post(resourcePath, claim, "Accept: text/html"), get(ownPath)),
		single("network with an invalid region", post(networksPath, `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"Network","metadata":{"name":"{name}"},"spec":{"region":"moon"}}`)),
		single("network with an invalid size", post(networksPath, `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"Network","metadata":{"name":"{name}"},"spec":{"size":0}}`)),
		single("merge patch that is too long", createOwn(), patch(mergePatch, ownPath, `{"spec":{"notes":"`+strings.Repeat("n", 3<<20)+`"}}`)),
	}
}

func conflicts() []operation {
	return []operation{
		single("create twice", createOwn(), createOwn()),
		single("create twice, answer as Table", createOwn(), post(resourcePath, object("", ""), acceptTable)),
		single("create an object of kind Status", post(resourcePath, `{"kind":"Status","apiVersion":"v1","metadata":{}}`)),
		single("merge patch that violates a validation rule", post(networksPath, `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"Network","metadata":{"name":"{name}"},"spec":{}}`),
			patch(mergePatch, networksPath+"/{name}", `{"spec":{"region":"moon"}}`), get(networksPath+"/{name}/status"), get(networksPath+"/{name}/scale")),
	}
}

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
		single("missing object", get(own)),
		single("missing object pretty", get(own+"?pretty=true")),
		single("missing object as Table", get(own, acceptTable)),
		single("missing object in YAML", get(own, acceptYAML)),
		single("missing object in protobuf", get(own, acceptProtobuf)),
		single("missing object in protobuf or JSON", get(own, acceptProtobuf+",application/json")),
		single("missing object in protobuf, or as Table", get(own, acceptProtobuf+","+strings.TrimPrefix(acceptTable, "Accept: "))),
		single("missing metadata in protobuf", get(own, acceptProtobuf+";as=PartialObjectMetadata;v=v1;g=meta.k8s.io")),
		single("conflict in protobuf or JSON", created(), post(resourcePath, object("", ""), acceptProtobuf+",application/json")),
		single("refused in protobuf or JSON", post(resourcePath, strings.Replace(object("", ""), `"nodeCount":3`, `"nodeCount":"three"`, 1), acceptProtobuf+",application/json")),
		single("missing subresource by curl", created(), get(own+"/exec", "User-Agent: curl/8.5.0"), get(own+"/exec?pretty=true"), get(own+"/exec", acceptTable), get(own+"/exec", acceptYAML), get(own+"/exec", acceptProtobuf)),
		single("missing object by curl", get(own, "User-Agent: curl/8.5.0")),
		single("object of a bad name", get(resourcePath+"/A_b")),
		single("missing resource", get(group+"/namespaces/{ns}/nothings")),
		single("missing resource by name", get(group+"/namespaces/{ns}/nothings/a")),
		single("missing subresource", get(own+"/exec")),
		single("too long a path", get(own+"/status/more")),
		single("too long a path to what is there", created(), get(own+"/status/more"), get(own+"/scale/more"), get(own+"/more/more"), get(own+"/a/b/c/d")),
		single("missing subresource of what is there", created(), get(own+"/exec"), put(own+"/exec", "{}")),
		single("create by its name", post(own, object("", ""))),
		single("create by another name", post(own+"-2", object("", ""))),
		single("update a list", put(resourcePath, object("", ""))),
		single("patch a list", patch(mergePatch, resourcePath, "{}")),
		single("namespaces of the group", get(group+"/namespaces/{ns}")),
		single("object without a namespace", get(everywhere+"/{name}")),
		single("delete everywhere", remove(everywhere, "")),
		single("create everywhere", post(everywhere, object("", ""))),
		single("update everywhere", put(everywhere+"/{name}", object("", ""))),
		single("patch everywhere", patch(mergePatch, everywhere+"/{name}", "{}")),
		single("status everywhere", get(everywhere+"/{name}/status")),
		method("POST on an object", "POST", own),
		method("PUT on a list", "PUT", resourcePath),
		method("PATCH on a list", "PATCH", resourcePath),
		method("OPTIONS on a list", "OPTIONS", resourcePath),
		method("OPTIONS on an object", "OPTIONS", own),
		method("TRACE on a list", "TRACE", resourcePath),
		method("PURGE on a list", "PURGE", resourcePath),
		method("DELETE on scale", "DELETE", own+"/scale"),
		method("POST on scale", "POST", own+"/scale"),
		single("patch of no type", created(), step{method: "PATCH", path: own, body: "{}"}),
		single("strategic patch", created(), patch("Content-Type: application/strategic-merge-patch+json", own, "{}")),
		single("strategic patch of nothing", patch("Content-Type: application/strategic-merge-patch+json", own, "{}")),
		single("strategic patch and no acceptable type", patch("Content-Type: application/strategic-merge-patch+json", own, "{}"), step{
			method: "PATCH", path: own, body: "{}", headers: []string{jsonBody, "Accept: text/html"},
		}),
		single("JSON patch that is cut", created(), patch(jsonPatch, own, `[{"op":"replace","path":"/metadata/namespace","value":"{ns}"`)),
		single("patch in plain JSON", created(), patch(jsonBody, own, "{}")),
		single("patch in CBOR", created(), patch("Content-Type: application/apply-patch+cbor", own+"?fieldManager=me", "\xd9\xd9\xf7\xa0")),
		single("patch with a charset", created(), patch(mergePatch+"; charset=utf-8", own, `{"spec":{"nodeCount":5}}`)),
		single("patch in capitals", created(), patch("Content-Type: Application/Merge-Patch+JSON", own, `{"spec":{"nodeCount":5}}`)),
	}
	return slices.Concat(all, bodies(), conflicts(), missing())
}

// bodies are refused for what they hold, or for how they are written.
func bodies() []operation {
	raw := func(name, kind, body string) operation {
		return single(name, step{method: "POST", path: resourcePath, body: body, headers: []string{"Content-Type: " + kind}})
	}
	in := func(name, body string) operation { return raw(name, "application/json", body) }
	claim := object("", "")
	without := func(what string) string { return strings.Replace(claim, what, "", 1) }
	return []operation{
		in("body of another namespace", strings.Replace(claim, "{ns}", "nowhere", 1)),
		in("body of another kind", strings.Replace(claim, "KubernetesCluster", "Pod", 1)),
		in("body of another group", strings.Replace(claim, "k8s.starter.org", "other.org", 1)),
		in("body without kind", without(`"kind":"KubernetesCluster",`)),
		in("body without version", without(`"apiVersion":"k8s.starter.org/v1alpha1",`)),
		in("body without either", without(`"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster",`)),
		in("body without a name", without(`"name":"{name}",`)),
		in("body of a bad name", strings.Replace(claim, "{name}", "No Name", 1)),
		in("body of a list", "["+claim+"]"),
		in("body that is cut", claim[:len(claim)-1]),
		in("body with too much", claim+"}"),
		in("body of two", claim+claim),
		in("body that is cut in its namespace", claim[:strings.Index(claim, "{ns}")+4]),
		in("body that is cut and long", claim[:len(claim)-1]+`,"notes":"`+strings.Repeat("n", 100_000)),
		in("body that is cut and long in its namespace", `{"spec":{"nodeCount":3,"notes":"`+strings.Repeat("n", 100_000)+`"},"metadata":{"namespace":"{ns}`),
		in("body that is empty", ""),
		in("body of white space", " \n"),
		in("body of null", "null"),
		in("body of a string", `"hello"`),
		in("body of text", "hello"),
		in("body in YAML that is said to be JSON", yamlClaim),
		in("body with a comma too many", strings.Replace(claim, `"spec":{`, `"spec":{,`, 1)),
		in("body with a bad escape", strings.Replace(claim, `{name}`, `\x`, 1)),
		in("body with a number as namespace", strings.Replace(claim, `"{ns}"`, `5`, 1)),
		in("body with a list as metadata", `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":[]}`),
		in("body of a wrong type", strings.Replace(claim, `"nodeCount":3`, `"nodeCount":"three"`, 1)),
		in("body of a wrong label", object(`,"labels":{"a b":"c"}`, "")),
		in("body with a version", object(`,"resourceVersion":"5"`, "")),
		in("body with a number that is none", strings.Replace(claim, `"nodeCount":3`, `"nodeCount":03`, 1)),
		in("body that is too deep", object("", `,"parameters":`+strings.Repeat(`{"a":`, 12_000)+"1"+strings.Repeat("}", 12_000))),
		in("body that is too long", object("", `,"notes":"`+strings.Repeat("n", 3<<20)+`"`)),
		in("body with a mark of byte order", "\ufeff"+claim),
		raw("body in protobuf", "application/vnd.kubernetes.protobuf", "k8s\x00abc"),
		raw("body in CBOR", "application/cbor", "\xd9\xd9\xf7\xa0"),
		raw("body in plain text", "text/plain", claim),
		raw("body in YAML that is cut", "application/yaml", "a: {"),
		raw("body of any type", "*/*", claim),
		raw("body of a broken type", "application/", claim),
		single("body of no type in protobuf's answer", post(resourcePath, "{", acceptProtobuf)),
		single("body in gzip", post(resourcePath, claim, "Content-Encoding: gzip")),
		single("body and no acceptable answer", post(resourcePath, claim, "Accept: text/html"), get(own)),
		single("network with a bad region", post(networksPath, `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"Network","metadata":{"name":"{name}"},"spec":{"region":"moon"}}`)),
		single("network with a bad size", post(networksPath, `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"Network","metadata":{"name":"{name}"},"spec":{"size":0}}`)),
		single("merge patch that is too long", created(), patch(mergePatch, own, `{"spec":{"notes":"`+strings.Repeat("n", 3<<20)+`"}}`)),
	}
}

func conflicts() []operation {
	return []operation{
		single("create twice", created(), created()),
		single("create twice, Table", created(), post(resourcePath, object("", ""), acceptTable)),
		single("create a status", post(resourcePath, `{"kind":"Status","apiVersion":"v1","metadata":{}}`)),
		single("merge patch that breaks a rule", post(networksPath, `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"Network","metadata":{"name":"{name}"},"spec":{}}`),
			patch(mergePatch, networksPath+"/{name}", `{"spec":{"region":"moon"}}`), get(networksPath+"/{name}/status"), get(networksPath+"/{name}/scale")),
	}
}

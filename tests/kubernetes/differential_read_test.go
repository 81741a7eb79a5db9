package kubernetes

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	resourcePath      = "/apis/" + groupVersion + "/namespaces/{ns}/kubernetesclusters"
	ownPath           = resourcePath + "/{name}"
	alphaPath         = resourcePath + "/alpha"
	networksPath      = "/apis/" + groupVersion + "/namespaces/{ns}/networks"
	allNamespacesPath = "/apis/" + groupVersion + "/kubernetesclusters"

	jsonBody          = "Content-Type: application/json"
	yamlBody          = "Content-Type: application/yaml"
	mergePatch        = "Content-Type: application/merge-patch+json"
	jsonPatch         = "Content-Type: application/json-patch+json"
	applyPatch        = "Content-Type: application/apply-patch+yaml"
	acceptYAML        = "Accept: application/yaml"
	acceptTable       = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io"
	acceptOldTable    = "Accept: application/json;as=Table;v=v1beta1;g=meta.k8s.io"
	acceptPartial     = "Accept: application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
	acceptPartialList = "Accept: application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
	// The Accept headers of kubectl get and of the metadata client.
	acceptKubectl  = acceptTable + ",application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
	acceptMetadata = "Accept: application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
	acceptProtobuf = "Accept: application/vnd.kubernetes.protobuf"
)

func get(path string, headers ...string) step {
	return step{method: "GET", path: path, headers: headers}
}

// getWithHeader returns a GET with one header, or without any if it is empty.
func getWithHeader(path, header string) step {
	if header == "" {
		return get(path)
	}
	return get(path, header)
}

func post(path, body string, headers ...string) step {
	return step{method: "POST", path: path, body: body, headers: append([]string{jsonBody}, headers...)}
}

func put(path, body string, headers ...string) step {
	return step{method: "PUT", path: path, body: body, headers: append([]string{jsonBody}, headers...)}
}

func patch(kind, path, body string) step {
	return step{method: "PATCH", path: path, body: body, headers: []string{kind}}
}

func remove(path, body string) step {
	return step{method: "DELETE", path: path, body: body, headers: []string{jsonBody}}
}

func (s step) saving(keep string) step {
	s.save = keep
	return s
}

// object returns a claim named {name} with additional members in metadata and spec.
func object(metadata, spec string) string {
	return fmt.Sprintf(`{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":{"name":"{name}","namespace":"{ns}"%s},"spec":{"nodeCount":3%s}}`, metadata, spec)
}

func createOwn() step {
	return post(resourcePath, object(`,"labels":{"op":"{name}","side":"{ns}"}`, ``))
}

func single(name string, steps ...step) operation { return operation{name: name, steps: steps} }

func writeFile(path, text string) {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		panic(err)
	}
}

// keepObservations writes both answers to TEST_OBSERVATIONS, for inspection with diff.
func keepObservations(name, direct, proxied string) {
	if dir := os.Getenv("TEST_OBSERVATIONS"); dir != "" {
		writeFile(filepath.Join(dir, name+".direct"), direct)
		writeFile(filepath.Join(dir, name+".through"), proxied)
	}
}

// seed creates the objects that read operations use, the same on both routes.
func seed(t *testing.T) {
	t.Helper()
	var steps []step
	for i, name := range []string{"alpha", "beta", "gamma", "delta", "epsilon"} {
		labels := fmt.Sprintf(`,"labels":{"tier":"%c","side":"{ns}","%s":""},"annotations":{"note":"in {ns}, {\"namespace\":\"{ns}\"}"}`, 'a'+i%2, name)
		text := strings.ReplaceAll(object(labels, `,"region":"eu","notes":"<&>\u2028","parameters":{"big":12345678901234567890,"float":1.50,"metadata":{"namespace":"{ns}"}}`), "{name}", name)
		steps = append(steps, post(resourcePath, text),
			patch(mergePatch, resourcePath+"/"+name+"/status", `{"status":{"nodeCount":2,"conditions":[{"type":"Ready","status":"True","message":"in {ns}"}]}}`))
	}
	for _, name := range []string{"north", "south"} {
		steps = append(steps, post(networksPath, fmt.Sprintf(`{"apiVersion":"k8s.starter.org/v1alpha1","kind":"Network","metadata":{"name":%q},"spec":{"region":%q}}`, name, name)))
	}
	direct, proxied := routes(t, readNamespaces)
	for _, route := range []route{direct, proxied} {
		observation := route.observe(operation{name: "seed", steps: steps})
		if strings.Count(observation, "HTTP 20") != len(steps) {
			t.Fatal(observation)
		}
	}
}

// reads are single requests: name, path, header.
var reads = []struct{ name, path, header string }{
	{"get", alphaPath, ""},
	{"get pretty", alphaPath + "?pretty=true", ""},
	{"get pretty=false", alphaPath + "?pretty=false", ""},
	{"get pretty=1", alphaPath + "?pretty=1", ""},
	{"get by curl", alphaPath, "User-Agent: curl/8.5.0"},
	{"get by Wget", alphaPath, "User-Agent: Wget/1.21"},
	{"get by Mozilla", alphaPath, "User-Agent: Mozilla/5.0"},
	{"get by curl, pretty=false", alphaPath + "?pretty=false", "User-Agent: curl/8.5.0"},
	{"get Table", alphaPath, acceptTable},
	{"get Table v1beta1", alphaPath, acceptOldTable},
	{"get Table pretty", alphaPath + "?pretty=true", acceptTable},
	{"get Table without objects", alphaPath + "?includeObject=None", acceptTable},
	{"get Table with objects", alphaPath + "?includeObject=Object", acceptTable},
	{"get Table with an invalid includeObject", alphaPath + "?includeObject=All", acceptTable},
	{"get Table of an unknown version", alphaPath, "Accept: application/json;as=Table;v=v9;g=meta.k8s.io"},
	{"get as an unknown kind", alphaPath, "Accept: application/json;as=Chair;v=v1;g=meta.k8s.io"},
	{"get PartialObjectMetadata", alphaPath, acceptPartial},
	{"get PartialObjectMetadata v1beta1", alphaPath, "Accept: application/json;as=PartialObjectMetadata;v=v1beta1;g=meta.k8s.io"},
	{"get as a list of metadata", alphaPath, acceptPartialList},
	{"get PartialObjectMetadata in protobuf only", alphaPath, acceptProtobuf + ";as=PartialObjectMetadata;v=v1;g=meta.k8s.io"},
	{"get PartialObjectMetadata v1beta1 in protobuf only", alphaPath, acceptProtobuf + ";as=PartialObjectMetadata;v=v1beta1;g=meta.k8s.io"},
	{"get metadata in protobuf only, pretty", alphaPath + "?pretty=true", acceptProtobuf + ";as=PartialObjectMetadata;v=v1;g=meta.k8s.io"},
	{"list metadata in protobuf only, pretty", resourcePath + "?pretty=true", acceptProtobuf + ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"},
	{"get Table in protobuf only", alphaPath, acceptProtobuf + ";as=Table;v=v1;g=meta.k8s.io"},
	{"get scale metadata in protobuf only", alphaPath + "/scale", acceptProtobuf + ";as=PartialObjectMetadata;v=v1;g=meta.k8s.io"},
	{"get by the metadata client", alphaPath, strings.ReplaceAll(acceptMetadata, "MetadataList", "Metadata")},
	{"get by kubectl's Accept", alphaPath, acceptKubectl},
	{"get with any type", alphaPath, "Accept: */*"},
	{"get with any application type", alphaPath, "Accept: application/*"},
	{"get JSON or any type", alphaPath, "Accept: application/json, */*"},
	{"get YAML", alphaPath, acceptYAML},
	{"get YAML before JSON", alphaPath, "Accept: application/yaml,application/json"},
	{"get JSON with a lower q-value than YAML", alphaPath, "Accept: application/json;q=0.5,application/yaml"},
	{"get JSON with q-value 0", alphaPath, "Accept: application/json;q=0"},
	{"get CBOR or JSON", alphaPath, "Accept: application/json;q=0.9,application/cbor;q=1"},
	{"get CBOR", alphaPath, "Accept: application/cbor"},
	{"get protobuf", alphaPath, acceptProtobuf},
	{"get protobuf or JSON", alphaPath, acceptProtobuf + ",application/json"},
	{"get text", alphaPath, "Accept: text/html"},
	{"get with an invalid Accept", alphaPath, "Accept: ;;,"},
	{"get Table with a lower q-value", alphaPath, acceptTable + ";q=0.5,application/json"},
	{"get Table with a higher q-value", alphaPath, "Accept: application/json;q=0.5," + strings.TrimPrefix(acceptTable, "Accept: ")},
	{"get Table before any type with a higher q-value", alphaPath, acceptTable + ";q=0.5,*/*"},
	{"get Table after any type with a higher q-value", alphaPath, "Accept: */*," + strings.TrimPrefix(acceptTable, "Accept: ") + ";q=0.5"},
	{"get Table without a group, or JSON", alphaPath, "Accept: application/json;as=Table;v=v1,application/json"},
	{"get with Accept *", alphaPath, "Accept: *"},
	{"get with a pretty parameter in Accept", alphaPath, "Accept: application/json;pretty=1"},
	{"get with an incomplete type", alphaPath, "Accept: application/,application/json"},
	{"get with a charset", alphaPath, "Accept: application/json;charset=utf-8"},
	{"get JSON in capitals", alphaPath, "Accept: APPLICATION/JSON"},
	{"get JSON streams", alphaPath, "Accept: application/json;stream=watch"},
	{"get a small object with gzip", alphaPath, "Accept-Encoding: gzip"},
	{"get status", alphaPath + "/status", ""},
	{"get status Table", alphaPath + "/status", acceptTable},
	{"get scale", alphaPath + "/scale", ""},
	{"get scale Table", alphaPath + "/scale", acceptTable},
	{"get scale metadata", alphaPath + "/scale", acceptPartial},
	{"get scale YAML", alphaPath + "/scale", acceptYAML},
	{"get at version 0", alphaPath + "?resourceVersion=0", ""},
	{"get at an invalid version", alphaPath + "?resourceVersion=abc", ""},
	{"get at a future version", alphaPath + "?resourceVersion=999999999", ""},
	{"get with resourceVersionMatch", alphaPath + "?resourceVersion=0&resourceVersionMatch=Exact", ""},
	{"get with an unknown parameter", alphaPath + "?color=blue&color=red&%7B=%2F", ""},
	{"get with a slash at the end", alphaPath + "/", ""},
	{"get with watch=true", alphaPath + "?watch=true&timeoutSeconds=1", ""},
	{"get by an escaped name", resourcePath + "/%61lpha", ""},
	{"network", networksPath + "/north", ""},
	{"network Table", networksPath + "/north", acceptTable},

	{"list", resourcePath, ""},
	{"list pretty", resourcePath + "?pretty=true", ""},
	{"list by curl", resourcePath, "User-Agent: curl/8.5.0"},
	{"list Table", resourcePath, acceptTable},
	{"list Table v1beta1", resourcePath, acceptOldTable},
	{"list Table pretty", resourcePath + "?pretty=true", acceptTable},
	{"list Table without objects", resourcePath + "?includeObject=None", acceptTable},
	{"list Table with objects", resourcePath + "?includeObject=Object", acceptTable},
	{"list Table v1beta1 with objects", resourcePath + "?includeObject=Object", acceptOldTable},
	{"list metadata", resourcePath, acceptPartialList},
	{"list metadata v1beta1", resourcePath, strings.Replace(acceptPartialList, "v=v1", "v=v1beta1", 1)},
	{"list as metadata of one object", resourcePath, acceptPartial},
	{"list by kubectl's Accept", resourcePath, acceptKubectl},
	{"list by the metadata client", resourcePath, acceptMetadata},
	{"list YAML", resourcePath, acceptYAML},
	{"list protobuf", resourcePath, acceptProtobuf},
	{"list metadata in protobuf only", resourcePath, acceptProtobuf + ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"},
	{"list a page of metadata in protobuf only", resourcePath + "?limit=2", acceptProtobuf + ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"},
	{"list no metadata in protobuf only", resourcePath + "?labelSelector=none", acceptProtobuf + ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"},
	{"list with gzip, small", resourcePath, "Accept-Encoding: gzip"},
	{"list with a limit", resourcePath + "?limit=10", ""},
	{"list with limit=abc", resourcePath + "?limit=abc", ""},
	{"list with a negative limit", resourcePath + "?limit=-1", ""},
	{"list with an invalid token", resourcePath + "?continue=abc", ""},
	{"list with a token in base64", resourcePath + "?continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MX0", ""},
	{"list by name", resourcePath + "?fieldSelector=metadata.name%3Dbeta", ""},
	{"list by another name", resourcePath + "?fieldSelector=metadata.name!%3Dbeta", acceptTable},
	{"list by namespace", resourcePath + "?fieldSelector=metadata.namespace%3D{ns}", ""},
	{"list by namespace with a double equals sign", resourcePath + "?fieldSelector=metadata.namespace%3D%3D{ns}", ""},
	{"list by namespace, excluding this one", resourcePath + "?fieldSelector=metadata.namespace!%3D{ns}", ""},
	{"list by another namespace", resourcePath + "?fieldSelector=metadata.namespace%3Dnowhere", ""},
	{"list by namespace and name", resourcePath + "?fieldSelector=metadata.name%3Dbeta,metadata.namespace%3D{ns}", ""},
	{"list by an unknown field", resourcePath + "?fieldSelector=spec.region%3Deu", ""},
	{"list by an invalid field selector", resourcePath + "?fieldSelector=metadata.name", ""},
	{"list by a selectable field", networksPath + "?fieldSelector=spec.region%3Dnorth", ""},
	{"list by a selectable field and namespace", networksPath + "?fieldSelector=metadata.namespace%3D{ns},spec.region%3Dsouth", ""},
	{"list by a label", resourcePath + "?labelSelector=tier%3Da", ""},
	{"list by a set of labels", resourcePath + "?labelSelector=tier+in+(a,b),!beta", ""},
	{"list by a missing label", resourcePath + "?labelSelector=tier+notin+(a)", acceptTable},
	{"list by an invalid label selector", resourcePath + "?labelSelector=tier+in+a", ""},
	{"list at version 0", resourcePath + "?resourceVersion=0", ""},
	{"list at an invalid version", resourcePath + "?resourceVersion=abc", ""},
	{"list at an old version", resourcePath + "?resourceVersion=1&resourceVersionMatch=Exact", ""},
	{"list at an old version with a limit", resourcePath + "?resourceVersion=1&limit=2", ""},
	{"list not older than version 1", resourcePath + "?resourceVersion=1&resourceVersionMatch=NotOlderThan", ""},
	{"list at a future version", resourcePath + "?resourceVersion=999999999", ""},
	{"list with a match and no version", resourcePath + "?resourceVersionMatch=Exact", ""},
	{"list at exactly version 0", resourcePath + "?resourceVersion=0&resourceVersionMatch=Exact", ""},
	{"list with an unknown match", resourcePath + "?resourceVersion=1&resourceVersionMatch=Roughly", ""},
	{"list with a token and a version", resourcePath + "?resourceVersion=1&continue=abc&limit=1", ""},
	{"list with sendInitialEvents", resourcePath + "?sendInitialEvents=true", ""},
	{"list with watch=false", resourcePath + "?watch=false", ""},
	{"list with watch=0", resourcePath + "?watch=0", ""},
	{"list with watch=False, capitalised", resourcePath + "?watch=False", ""},
	{"list with timeoutSeconds", resourcePath + "?timeoutSeconds=5", ""},
	{"list with timeoutSeconds=abc", resourcePath + "?timeoutSeconds=abc", ""},
	{"list with timeout", resourcePath + "?timeout=10s", ""},
	{"list with an invalid timeout", resourcePath + "?timeout=long", ""},
	{"list with unknown parameters", resourcePath + "?x=y&dryRun=All&fieldManager=me", ""},
	{"list all namespaces by namespace", allNamespacesPath + "?fieldSelector=metadata.namespace%3D{ns}", ""},
	{"list all namespaces by namespace, Table", allNamespacesPath + "?fieldSelector=metadata.namespace%3D{ns}", acceptTable},
	{"list all namespaces by namespace, Table without objects", allNamespacesPath + "?includeObject=None&fieldSelector=metadata.namespace%3D{ns}", acceptTable},
	{"list all namespaces by namespace, metadata", allNamespacesPath + "?fieldSelector=metadata.namespace%3D{ns}", acceptPartialList},
	{"list with a parameter twice", resourcePath + "?limit=1&limit=3&labelSelector=tier%3Da&labelSelector=tier%3Db", ""},
	{"list with semicolons", resourcePath + "?limit=1;x=y", ""},
	{"list by two field selectors", resourcePath + "?fieldSelector=metadata.name%3Dbeta&fieldSelector=metadata.namespace%3Dnowhere", ""},
	{"list by namespace with spaces", resourcePath + "?fieldSelector=metadata.namespace+%3D+{ns}", ""},
	{"list by namespace with an escape", resourcePath + "?fieldSelector=metadata.namespace%3D%5C%5C{ns}", ""},
	{"list by namespace with an invalid escape", resourcePath + "?fieldSelector=metadata.namespace%3D%5Cnowhere", ""},
	{"list by namespace twice", resourcePath + "?fieldSelector=metadata.namespace%3D{ns},metadata.namespace!%3Dnowhere", ""},
	{"list by an empty namespace", resourcePath + "?fieldSelector=metadata.namespace%3D", ""},
	{"list by any non-empty namespace", resourcePath + "?fieldSelector=metadata.namespace!%3D", ""},
	{"list by another namespace and an unknown field", resourcePath + "?fieldSelector=metadata.namespace%3Dnowhere,spec.x%3Dy", ""},
	{"list by an empty field selector", resourcePath + "?fieldSelector=&labelSelector=", ""},
	{"list all namespaces by contradicting namespaces", allNamespacesPath + "?fieldSelector=metadata.namespace%3D{ns},metadata.namespace%3Dnowhere", ""},
	{"list all namespaces by label", allNamespacesPath + "?labelSelector=side%3D{ns}", ""},
	{"list all namespaces by label, pretty", allNamespacesPath + "?pretty=true&labelSelector=side%3D{ns}", ""},
	{"list all namespaces by label, Table", allNamespacesPath + "?labelSelector=side%3D{ns}", acceptTable},
	{"list all namespaces by label, Table without objects", allNamespacesPath + "?includeObject=None&labelSelector=side%3D{ns}", acceptTable},
	{"list all namespaces by label, Table with objects", allNamespacesPath + "?includeObject=Object&labelSelector=side%3D{ns}", acceptTable},
	{"list all namespaces by label, metadata", allNamespacesPath + "?labelSelector=side%3D{ns}", acceptPartialList},
	{"list all namespaces by another namespace", allNamespacesPath + "?fieldSelector=metadata.namespace%3Dnowhere", ""},
	{"networks", networksPath, ""},
	{"networks Table", networksPath, acceptTable},
	{"networks Table v1beta1", networksPath, acceptOldTable},
}

func readOperations() []operation {
	var all []operation
	for _, read := range reads {
		all = append(all, single(read.name, getWithHeader(read.path, read.header)))
	}
	return append(all, readsInSteps()...)
}

// readsInSteps are paginated lists, and reads at a version from an earlier answer.
func readsInSteps() []operation {
	token, next := "continue=metadata.continue", resourcePath+"?limit=2&continue={continue}"
	version := "rv=metadata.resourceVersion"
	return []operation{
		single("pages", get(resourcePath+"?limit=2").saving(token), get(next).saving(token), get(next)),
		single("pages of a Table", get(resourcePath+"?limit=2", acceptTable).saving(token), get(next, acceptTable).saving(token), get(next, acceptTable)),
		single("pages of metadata", get(resourcePath+"?limit=3", acceptPartialList).saving(token), get(next, acceptPartialList)),
		single("pages with labels", get(resourcePath+"?limit=1&labelSelector=tier%3Db").saving(token), get(next+"&labelSelector=tier%3Db")),
		single("pages with another limit", get(resourcePath+"?limit=2").saving(token), get(resourcePath+"?continue={continue}")),
		single("pages with a version", get(resourcePath+"?limit=2").saving(token), get(next+"&resourceVersion=5")),
		single("pages of all namespaces by namespace", get(allNamespacesPath+"?limit=2&fieldSelector=metadata.namespace%3D{ns}").saving(token), get(allNamespacesPath+"?limit=2&continue={continue}&fieldSelector=metadata.namespace%3D{ns}")),
		single("pages of all namespaces by label", get(allNamespacesPath+"?limit=2&labelSelector=side%3D{ns}").saving(token), get(allNamespacesPath+"?limit=2&continue={continue}&labelSelector=side%3D{ns}")),
		single("list at exactly a version", get(resourcePath).saving(version), get(resourcePath+"?resourceVersion={rv}&resourceVersionMatch=Exact")),
		single("list at exactly a version with a limit", get(resourcePath).saving(version), get(resourcePath+"?limit=2&resourceVersion={rv}&resourceVersionMatch=Exact")),
		single("list not older than a version", get(resourcePath).saving(version), get(resourcePath+"?resourceVersion={rv}&resourceVersionMatch=NotOlderThan")),
		single("get at a version", get(resourcePath).saving(version), get(resourcePath+"/beta?resourceVersion={rv}")),
		single("HEAD of an object", step{method: "HEAD", path: resourcePath + "/alpha"}),
		single("HEAD of a list", step{method: "HEAD", path: resourcePath}),
		single("HEAD of a missing object", step{method: "HEAD", path: resourcePath + "/nothing"}),
		single("get by HTTP/1.1", step{method: "GET", path: resourcePath + "/alpha", overHTTP1: true}),
		single("list by HTTP/1.1", step{method: "GET", path: resourcePath, overHTTP1: true}),
	}
}

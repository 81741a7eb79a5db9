package kubernetes

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	resourcePath = "/apis/" + groupVersion + "/namespaces/{ns}/kubernetesclusters"
	own          = resourcePath + "/{name}"
	alphaPath    = resourcePath + "/alpha"
	networksPath = "/apis/" + groupVersion + "/namespaces/{ns}/networks"
	everywhere   = "/apis/" + groupVersion + "/kubernetesclusters"

	jsonBody    = "Content-Type: application/json"
	yamlBody    = "Content-Type: application/yaml"
	mergePatch  = "Content-Type: application/merge-patch+json"
	jsonPatch   = "Content-Type: application/json-patch+json"
	applyPatch  = "Content-Type: application/apply-patch+yaml"
	acceptYAML  = "Accept: application/yaml"
	acceptTable = "Accept: application/json;as=Table;v=v1;g=meta.k8s.io"
	acceptOldT  = "Accept: application/json;as=Table;v=v1beta1;g=meta.k8s.io"
	acceptPart  = "Accept: application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
	acceptParts = "Accept: application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
	// What kubectl get and the metadata client send.
	acceptKubectl  = acceptTable + ",application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
	acceptMetadata = "Accept: application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
	acceptProtobuf = "Accept: application/vnd.kubernetes.protobuf"
)

func get(path string, headers ...string) step {
	return step{method: "GET", path: path, headers: headers}
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

func (s step) keeping(keep string) step {
	s.keep = keep
	return s
}

// object is a claim called {name}, with more members of its metadata and its spec.
func object(metadata, spec string) string {
	return fmt.Sprintf(`{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":{"name":"{name}","namespace":"{ns}"%s},"spec":{"nodeCount":3%s}}`, metadata, spec)
}

func created() step { return post(resourcePath, object(`,"labels":{"op":"{name}","side":"{ns}"}`, ``)) }

func single(name string, steps ...step) operation { return operation{name: name, steps: steps} }

func writeFile(path, text string) {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		panic(err)
	}
}

// keepObservations writes both answers to a directory of choice, for looking at by hand.
func keepObservations(name, direct, through string) {
	if dir := os.Getenv("BED_OBSERVATIONS"); dir != "" {
		writeFile(filepath.Join(dir, name+".direct"), direct)
		writeFile(filepath.Join(dir, name+".through"), through)
	}
}

// seed makes what is read from, the same on both sides.
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
	direct, through := sides(t, reading)
	for _, side := range []side{direct, through} {
		seen := side.observe(operation{name: "seed", steps: steps})
		if strings.Count(seen, "HTTP 20") != len(steps) {
			t.Fatal(seen)
		}
	}
}

// reads are single requests, by name, path and a header.
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
	{"get Table v1beta1", alphaPath, acceptOldT},
	{"get Table pretty", alphaPath + "?pretty=true", acceptTable},
	{"get Table without objects", alphaPath + "?includeObject=None", acceptTable},
	{"get Table with objects", alphaPath + "?includeObject=Object", acceptTable},
	{"get Table with a wrong includeObject", alphaPath + "?includeObject=All", acceptTable},
	{"get Table of an unknown version", alphaPath, "Accept: application/json;as=Table;v=v9;g=meta.k8s.io"},
	{"get as an unknown kind", alphaPath, "Accept: application/json;as=Chair;v=v1;g=meta.k8s.io"},
	{"get PartialObjectMetadata", alphaPath, acceptPart},
	{"get PartialObjectMetadata v1beta1", alphaPath, "Accept: application/json;as=PartialObjectMetadata;v=v1beta1;g=meta.k8s.io"},
	{"get as a list of metadata", alphaPath, acceptParts},
	{"get PartialObjectMetadata in protobuf alone", alphaPath, acceptProtobuf + ";as=PartialObjectMetadata;v=v1;g=meta.k8s.io"},
	{"get PartialObjectMetadata v1beta1 in protobuf alone", alphaPath, acceptProtobuf + ";as=PartialObjectMetadata;v=v1beta1;g=meta.k8s.io"},
	{"get metadata in protobuf alone, pretty", alphaPath + "?pretty=true", acceptProtobuf + ";as=PartialObjectMetadata;v=v1;g=meta.k8s.io"},
	{"list metadata in protobuf alone, pretty", resourcePath + "?pretty=true", acceptProtobuf + ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"},
	{"get Table in protobuf alone", alphaPath, acceptProtobuf + ";as=Table;v=v1;g=meta.k8s.io"},
	{"get scale metadata in protobuf alone", alphaPath + "/scale", acceptProtobuf + ";as=PartialObjectMetadata;v=v1;g=meta.k8s.io"},
	{"get by the metadata client", alphaPath, strings.ReplaceAll(acceptMetadata, "MetadataList", "Metadata")},
	{"get by kubectl's Accept", alphaPath, acceptKubectl},
	{"get anything", alphaPath, "Accept: */*"},
	{"get any application", alphaPath, "Accept: application/*"},
	{"get JSON or anything", alphaPath, "Accept: application/json, */*"},
	{"get YAML", alphaPath, acceptYAML},
	{"get YAML before JSON", alphaPath, "Accept: application/yaml,application/json"},
	{"get JSON of less weight than YAML", alphaPath, "Accept: application/json;q=0.5,application/yaml"},
	{"get JSON of weight 0", alphaPath, "Accept: application/json;q=0"},
	{"get CBOR or JSON", alphaPath, "Accept: application/json;q=0.9,application/cbor;q=1"},
	{"get CBOR", alphaPath, "Accept: application/cbor"},
	{"get protobuf", alphaPath, acceptProtobuf},
	{"get protobuf or JSON", alphaPath, acceptProtobuf + ",application/json"},
	{"get text", alphaPath, "Accept: text/html"},
	{"get with a broken Accept", alphaPath, "Accept: ;;,"},
	{"get Table of less weight", alphaPath, acceptTable + ";q=0.5,application/json"},
	{"get Table of more weight", alphaPath, "Accept: application/json;q=0.5," + strings.TrimPrefix(acceptTable, "Accept: ")},
	{"get Table before anything of more weight", alphaPath, acceptTable + ";q=0.5,*/*"},
	{"get Table after anything of more weight", alphaPath, "Accept: */*," + strings.TrimPrefix(acceptTable, "Accept: ") + ";q=0.5"},
	{"get Table of no group or JSON", alphaPath, "Accept: application/json;as=Table;v=v1,application/json"},
	{"get a star", alphaPath, "Accept: *"},
	{"get a pretty type", alphaPath, "Accept: application/json;pretty=1"},
	{"get half a type", alphaPath, "Accept: application/,application/json"},
	{"get with a charset", alphaPath, "Accept: application/json;charset=utf-8"},
	{"get JSON in capitals", alphaPath, "Accept: APPLICATION/JSON"},
	{"get JSON streams", alphaPath, "Accept: application/json;stream=watch"},
	{"get gzip of a small object", alphaPath, "Accept-Encoding: gzip"},
	{"get status", alphaPath + "/status", ""},
	{"get status Table", alphaPath + "/status", acceptTable},
	{"get scale", alphaPath + "/scale", ""},
	{"get scale Table", alphaPath + "/scale", acceptTable},
	{"get scale metadata", alphaPath + "/scale", acceptPart},
	{"get scale YAML", alphaPath + "/scale", acceptYAML},
	{"get of version 0", alphaPath + "?resourceVersion=0", ""},
	{"get of no version", alphaPath + "?resourceVersion=abc", ""},
	{"get of a future version", alphaPath + "?resourceVersion=999999999", ""},
	{"get with a match of versions", alphaPath + "?resourceVersion=0&resourceVersionMatch=Exact", ""},
	{"get with an unknown parameter", alphaPath + "?colour=blue&colour=red&%7B=%2F", ""},
	{"get with a slash at the end", alphaPath + "/", ""},
	{"get with watch=true", alphaPath + "?watch=true&timeoutSeconds=1", ""},
	{"get by an escaped name", resourcePath + "/%61lpha", ""},
	{"network", networksPath + "/north", ""},
	{"network Table", networksPath + "/north", acceptTable},

	{"list", resourcePath, ""},
	{"list pretty", resourcePath + "?pretty=true", ""},
	{"list by curl", resourcePath, "User-Agent: curl/8.5.0"},
	{"list Table", resourcePath, acceptTable},
	{"list Table v1beta1", resourcePath, acceptOldT},
	{"list Table pretty", resourcePath + "?pretty=true", acceptTable},
	{"list Table without objects", resourcePath + "?includeObject=None", acceptTable},
	{"list Table with objects", resourcePath + "?includeObject=Object", acceptTable},
	{"list Table v1beta1 with objects", resourcePath + "?includeObject=Object", acceptOldT},
	{"list metadata", resourcePath, acceptParts},
	{"list metadata v1beta1", resourcePath, strings.Replace(acceptParts, "v=v1", "v=v1beta1", 1)},
	{"list as metadata of one object", resourcePath, acceptPart},
	{"list by kubectl's Accept", resourcePath, acceptKubectl},
	{"list by the metadata client", resourcePath, acceptMetadata},
	{"list YAML", resourcePath, acceptYAML},
	{"list protobuf", resourcePath, acceptProtobuf},
	{"list metadata in protobuf alone", resourcePath, acceptProtobuf + ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"},
	{"list metadata page in protobuf alone", resourcePath + "?limit=2", acceptProtobuf + ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"},
	{"list no metadata in protobuf alone", resourcePath + "?labelSelector=none", acceptProtobuf + ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"},
	{"list gzip of little", resourcePath, "Accept-Encoding: gzip"},
	{"list limit", resourcePath + "?limit=10", ""},
	{"list limit=abc", resourcePath + "?limit=abc", ""},
	{"list limit below 0", resourcePath + "?limit=-1", ""},
	{"list with a token of no form", resourcePath + "?continue=abc", ""},
	{"list with a token in base64", resourcePath + "?continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MX0", ""},
	{"list by name", resourcePath + "?fieldSelector=metadata.name%3Dbeta", ""},
	{"list by another name", resourcePath + "?fieldSelector=metadata.name!%3Dbeta", acceptTable},
	{"list by namespace", resourcePath + "?fieldSelector=metadata.namespace%3D{ns}", ""},
	{"list by namespace with two signs", resourcePath + "?fieldSelector=metadata.namespace%3D%3D{ns}", ""},
	{"list by namespace, not this one", resourcePath + "?fieldSelector=metadata.namespace!%3D{ns}", ""},
	{"list by another namespace", resourcePath + "?fieldSelector=metadata.namespace%3Dnowhere", ""},
	{"list by namespace and name", resourcePath + "?fieldSelector=metadata.name%3Dbeta,metadata.namespace%3D{ns}", ""},
	{"list by an unknown field", resourcePath + "?fieldSelector=spec.region%3Deu", ""},
	{"list by a broken field selector", resourcePath + "?fieldSelector=metadata.name", ""},
	{"list by a selectable field", networksPath + "?fieldSelector=spec.region%3Dnorth", ""},
	{"list by a selectable field and namespace", networksPath + "?fieldSelector=metadata.namespace%3D{ns},spec.region%3Dsouth", ""},
	{"list by a label", resourcePath + "?labelSelector=tier%3Da", ""},
	{"list by a set of labels", resourcePath + "?labelSelector=tier+in+(a,b),!beta", ""},
	{"list by the lack of a label", resourcePath + "?labelSelector=tier+notin+(a)", acceptTable},
	{"list by a broken label selector", resourcePath + "?labelSelector=tier+in+a", ""},
	{"list of version 0", resourcePath + "?resourceVersion=0", ""},
	{"list of no version", resourcePath + "?resourceVersion=abc", ""},
	{"list of an old version", resourcePath + "?resourceVersion=1&resourceVersionMatch=Exact", ""},
	{"list of an old version with a limit", resourcePath + "?resourceVersion=1&limit=2", ""},
	{"list not older than version 1", resourcePath + "?resourceVersion=1&resourceVersionMatch=NotOlderThan", ""},
	{"list of a future version", resourcePath + "?resourceVersion=999999999", ""},
	{"list with a match without version", resourcePath + "?resourceVersionMatch=Exact", ""},
	{"list exactly version 0", resourcePath + "?resourceVersion=0&resourceVersionMatch=Exact", ""},
	{"list with an unknown match", resourcePath + "?resourceVersion=1&resourceVersionMatch=Roughly", ""},
	{"list with a token and a version", resourcePath + "?resourceVersion=1&continue=abc&limit=1", ""},
	{"list with sendInitialEvents", resourcePath + "?sendInitialEvents=true", ""},
	{"list with watch=false", resourcePath + "?watch=false", ""},
	{"list with watch=0", resourcePath + "?watch=0", ""},
	{"list with watch=False, with a capital", resourcePath + "?watch=False", ""},
	{"list with timeoutSeconds", resourcePath + "?timeoutSeconds=5", ""},
	{"list with timeoutSeconds=abc", resourcePath + "?timeoutSeconds=abc", ""},
	{"list with timeout", resourcePath + "?timeout=10s", ""},
	{"list with a bad timeout", resourcePath + "?timeout=long", ""},
	{"list with unknown parameters", resourcePath + "?x=y&dryRun=All&fieldManager=me", ""},
	{"list everywhere by namespace", everywhere + "?fieldSelector=metadata.namespace%3D{ns}", ""},
	{"list everywhere by namespace, Table", everywhere + "?fieldSelector=metadata.namespace%3D{ns}", acceptTable},
	{"list everywhere by namespace, Table without objects", everywhere + "?includeObject=None&fieldSelector=metadata.namespace%3D{ns}", acceptTable},
	{"list everywhere by namespace, metadata", everywhere + "?fieldSelector=metadata.namespace%3D{ns}", acceptParts},
	{"list with a parameter twice", resourcePath + "?limit=1&limit=3&labelSelector=tier%3Da&labelSelector=tier%3Db", ""},
	{"list with semicolons", resourcePath + "?limit=1;x=y", ""},
	{"list by two field selectors", resourcePath + "?fieldSelector=metadata.name%3Dbeta&fieldSelector=metadata.namespace%3Dnowhere", ""},
	{"list by namespace with spaces", resourcePath + "?fieldSelector=metadata.namespace+%3D+{ns}", ""},
	{"list by namespace with an escape", resourcePath + "?fieldSelector=metadata.namespace%3D%5C%5C{ns}", ""},
	{"list by namespace with a wrong escape", resourcePath + "?fieldSelector=metadata.namespace%3D%5Cnowhere", ""},
	{"list by namespace twice", resourcePath + "?fieldSelector=metadata.namespace%3D{ns},metadata.namespace!%3Dnowhere", ""},
	{"list by no namespace", resourcePath + "?fieldSelector=metadata.namespace%3D", ""},
	{"list by not no namespace", resourcePath + "?fieldSelector=metadata.namespace!%3D", ""},
	{"list by another namespace and an unknown field", resourcePath + "?fieldSelector=metadata.namespace%3Dnowhere,spec.x%3Dy", ""},
	{"list by an empty field selector", resourcePath + "?fieldSelector=&labelSelector=", ""},
	{"list everywhere by namespaces that exclude each other", everywhere + "?fieldSelector=metadata.namespace%3D{ns},metadata.namespace%3Dnowhere", ""},
	{"list everywhere by label", everywhere + "?labelSelector=side%3D{ns}", ""},
	{"list everywhere by label, pretty", everywhere + "?pretty=true&labelSelector=side%3D{ns}", ""},
	{"list everywhere by label, Table", everywhere + "?labelSelector=side%3D{ns}", acceptTable},
	{"list everywhere by label, Table without objects", everywhere + "?includeObject=None&labelSelector=side%3D{ns}", acceptTable},
	{"list everywhere by label, Table with objects", everywhere + "?includeObject=Object&labelSelector=side%3D{ns}", acceptTable},
	{"list everywhere by label, metadata", everywhere + "?labelSelector=side%3D{ns}", acceptParts},
	{"list everywhere by another namespace", everywhere + "?fieldSelector=metadata.namespace%3Dnowhere", ""},
	{"networks", networksPath, ""},
	{"networks Table", networksPath, acceptTable},
	{"networks Table v1beta1", networksPath, acceptOldT},
}

func readOperations() []operation {
	var all []operation
	for _, read := range reads {
		s := get(read.path)
		if read.header != "" {
			s.headers = []string{read.header}
		}
		all = append(all, single(read.name, s))
	}
	return append(all, readsInSteps()...)
}

// readsInSteps are lists in several steps, and reads at a version that was seen.
func readsInSteps() []operation {
	token, next := "continue=metadata.continue", resourcePath+"?limit=2&continue={continue}"
	version := "rv=metadata.resourceVersion"
	return []operation{
		single("pages", get(resourcePath+"?limit=2").keeping(token), get(next).keeping(token), get(next)),
		single("pages of a Table", get(resourcePath+"?limit=2", acceptTable).keeping(token), get(next, acceptTable).keeping(token), get(next, acceptTable)),
		single("pages of metadata", get(resourcePath+"?limit=3", acceptParts).keeping(token), get(next, acceptParts)),
		single("pages with labels", get(resourcePath+"?limit=1&labelSelector=tier%3Db").keeping(token), get(next+"&labelSelector=tier%3Db")),
		single("pages with another limit", get(resourcePath+"?limit=2").keeping(token), get(resourcePath+"?continue={continue}")),
		single("pages at a version", get(resourcePath+"?limit=2").keeping(token), get(next+"&resourceVersion=5")),
		single("pages everywhere by namespace", get(everywhere+"?limit=2&fieldSelector=metadata.namespace%3D{ns}").keeping(token), get(everywhere+"?limit=2&continue={continue}&fieldSelector=metadata.namespace%3D{ns}")),
		single("pages everywhere by label", get(everywhere+"?limit=2&labelSelector=side%3D{ns}").keeping(token), get(everywhere+"?limit=2&continue={continue}&labelSelector=side%3D{ns}")),
		single("list exactly a version", get(resourcePath).keeping(version), get(resourcePath+"?resourceVersion={rv}&resourceVersionMatch=Exact")),
		single("list exactly a version with a limit", get(resourcePath).keeping(version), get(resourcePath+"?limit=2&resourceVersion={rv}&resourceVersionMatch=Exact")),
		single("list not older than a version", get(resourcePath).keeping(version), get(resourcePath+"?resourceVersion={rv}&resourceVersionMatch=NotOlderThan")),
		single("get at a version", get(resourcePath).keeping(version), get(resourcePath+"/beta?resourceVersion={rv}")),
		single("HEAD of an object", step{method: "HEAD", path: resourcePath + "/alpha"}),
		single("HEAD of a list", step{method: "HEAD", path: resourcePath}),
		single("HEAD of nothing", step{method: "HEAD", path: resourcePath + "/nothing"}),
		single("get by HTTP/1.1", step{method: "GET", path: resourcePath + "/alpha", http1: true}),
		single("list by HTTP/1.1", step{method: "GET", path: resourcePath, http1: true}),
	}
}

package kubernetes

import "strings"

const (
	oneOfThem = resourcePath + "?labelSelector=op%3D{name}"
	yamlClaim = "# a comment\napiVersion: k8s.starter.org/v1alpha1\nkind: KubernetesCluster\nmetadata:\n  name: {name}\n  namespace: \"{ns}\"\n  annotations: {note: 'in {ns}'}\nspec:\n  nodeCount: 3\n  region: eu\n"
	// kubectl's own annotation, with the object's namespace in it and other people's.
	applied = `,"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"apiVersion\":\"k8s.starter.org/v1alpha1\",\"metadata\":{\"namespace\":\"{ns}\",\"name\":\"{name}\"},\"spec\":{\"template\":{\"metadata\":{\"namespace\":\"{ns}\"}}}}\n"}`
)

// then looks at what came of it.
func then() step { return get(own) }

func writeOperations() []operation {
	var all []operation
	for _, more := range [][]operation{large(), parameters(), creates(), inYAML(), updates(), mergePatches(), jsonPatches(), applies(), deletes(), subresources()} {
		all = append(all, more...)
	}
	return all
}

func creates() []operation {
	bare := `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":{"name":"{name}"},"spec":{}}`
	unknown := object(`,"colour":"red"`, `,"nodeCoun":3`)
	twice := strings.Replace(object("", `,"region":"eu","region":"us"`), `"namespace":"{ns}"`, `"namespace":"{ns}","namespace":"{ns}"`, 1)
	query := func(name, query, body string) operation {
		return single(name, post(resourcePath+query, body), then())
	}
	all := []operation{
		query("create", "", object("", "")),
		query("create without namespace", "", bare),
		query("create with an empty namespace", "", strings.Replace(bare, `{"name"`, `{"namespace":"","name"`, 1)),
		query("create with null as namespace", "", strings.Replace(bare, `{"name"`, `{"namespace":null,"name"`, 1)),
		query("create pretty", "?pretty=true", object("", "")),
		query("create dry", "?dryRun=All", object("", "")),
		query("create wrongly dry", "?dryRun=Some", object("", "")),
		query("create as a manager", "?fieldManager=me", object("", "")),
		query("create as a bad manager", "?fieldManager=%00", object("", "")),
		query("create with generateName", "", strings.Replace(bare, `"name":"{name}"`, `"generateName":"generated-"`, 1)),
		query("create with other people's namespaces", "", object(`,"annotations":{"n":"{ns}"}`, `,"parameters":{"metadata":{"namespace":"{ns}"}},"template":{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"{ns}"}}`)),
		query("create with the last applied", "", object(applied, "")),
		query("create with numbers and escapes", "", object("", `,"parameters":{"a":1e3,"b":-0.0,"c":12345678901234567890,"d":"\u003c\u2028\ud83d\ude00\/"}`)),
		query("create with escaped keys", "", strings.NewReplacer(`"metadata"`, `"metad\u0061ta"`, `"namespace"`, `"n\u0061mespace"`).Replace(object("", ""))),
		query("create with keys in capitals", "", strings.Replace(object("", ""), `"metadata":{`, `"metadata":{"Namespace":"x",`, 1)),
		query("create with unknown fields", "", unknown),
		query("create with duplicate fields", "", twice),
		query("create with finalizers and owners of none", "", object(`,"ownerReferences":[]`, "")),
		single("create with an owner", created().keeping("uid=metadata.uid"),
			post(resourcePath, strings.NewReplacer(`"name":"{name}"`, `"name":"{name}-2"`, "OWNER", "{name}").Replace(
				object(`,"ownerReferences":[{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","name":"OWNER","uid":"{uid}"}]`, ""))), get(own+"-2")),
		single("create as Table", post(resourcePath, object("", ""), acceptTable)),
		single("create as metadata", post(resourcePath, object("", ""), acceptPart)),
		single("create and want YAML", post(resourcePath, object("", ""), acceptYAML)),
		single("create in YAML", step{method: "POST", path: resourcePath, body: yamlClaim, headers: []string{yamlBody}}, then()),
		single("create in YAML, strictly", step{method: "POST", path: resourcePath + "?fieldValidation=Strict", body: yamlClaim + "  nodeCoun: 2\n", headers: []string{yamlBody}}),
		single("create without a content type", step{method: "POST", path: resourcePath, body: object("", "")}, then()),
		single("create with a charset", step{method: "POST", path: resourcePath, body: object("", ""), headers: []string{jsonBody + "; charset=utf-8"}}),
		single("create by curl", post(resourcePath, object("", ""), "User-Agent: curl/8.5.0"), then()),
		single("create by a program of many words", post(resourcePath, object("", ""), "User-Agent: my-Program/v1.2 (linux) {ns}"), then()),
		single("create and get much, gzipped", post(resourcePath, object(`,"labels":{"op":"{name}"}`, `,"notes":"`+strings.Repeat("much ", 40_000)+`"`)),
			get(own, "Accept-Encoding: gzip"), get(oneOfThem, "Accept-Encoding: gzip"), get(oneOfThem, "Accept-Encoding: identity"), get(own, "Accept-Encoding: deflate")),
		single("create a network", post(networksPath, `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"Network","metadata":{"name":"{name}"},"spec":{}}`), get(networksPath+"/{name}", acceptTable)),
	}
	for _, validation := range []string{"Strict", "Warn", "Ignore", "Roughly"} {
		all = append(all,
			query("create with unknown fields, "+validation, "?fieldValidation="+validation, unknown),
			query("create with duplicate fields, "+validation, "?fieldValidation="+validation, twice))
	}
	return all
}

// parameters are queries and headers of writes.
func parameters() []operation {
	var all []operation
	for _, query := range []string{
		"dryRun=All&dryRun=All", "dryRun=", "dryRun=all", "fieldManager=" + strings.Repeat("m", 129), "fieldManager=", "fieldValidation=strict",
		"fieldValidation=", "pretty=", "pretty=0", "unknown=%00", "force=true", "resourceVersion=5", "timeout=5s", "timeout=-1s", "limit=x",
	} {
		all = append(all, single("create with "+query, post(resourcePath+"?"+query, object("", "")), then()))
	}
	for _, query := range []string{
		"gracePeriodSeconds=-1", "gracePeriodSeconds=x", "propagationPolicy=", "propagationPolicy=sideways",
		"dryRun=Some", "ignoreStoreReadErrorWithClusterBreakingPotential=true", "uid=5", "timeout=long",
	} {
		all = append(all, single("delete with "+query, created(), remove(own+"?"+query, ""), then()))
	}
	// The garbage collector ends these, at its own time.
	for _, query := range []string{"orphanDependents=true", "orphanDependents=perhaps", "propagationPolicy=Orphan", "propagationPolicy=Foreground"} {
		all = append(all, single("delete with "+query, created(), remove(own+"?"+query, "")))
	}
	for _, query := range []string{"limit=1", "resourceVersion=1", "resourceVersionMatch=Exact", "continue=abc", "watch=true&timeoutSeconds=1", "gracePeriodSeconds=x"} {
		all = append(all, single("delete a collection with "+query, created(), remove(oneOfThem+"&"+query, ""), then()))
	}
	for _, selector := range []string{"={ns}", "!={ns}", "=nowhere", "!=nowhere"} {
		query := "&fieldSelector=metadata.namespace" + strings.ReplaceAll(selector, "=", "%3D")
		called := strings.NewReplacer("!=", "not ", "=", "", "{ns}", "its own").Replace(selector)
		all = append(all, single("delete a collection of a namespace, "+called, created(), remove(oneOfThem+query, ""), then()))
	}
	// DeleteOptions, empty, as clients of built-in types write them (apimachinery, runtime.Unknown).
	options := "k8s\x00\x0a\x13\x0a\x02v1\x12\x0dDeleteOptions\x12\x00\x1a\x00\x22\x00"
	typed := func(name, kind, body string) operation {
		return single(name, created(), step{method: "DELETE", path: own, body: body, headers: []string{"Content-Type: " + kind}}, then())
	}
	return append(all,
		typed("delete with options in protobuf", "application/vnd.kubernetes.protobuf", options),
		typed("delete with broken protobuf", "application/vnd.kubernetes.protobuf", options[:9]),
		typed("delete with options in CBOR", "application/cbor", "\xd9\xd9\xf7\xa0"),
		typed("delete with options of no type", "", "{}"),
		single("create with a condition", post(resourcePath, object("", ""), "If-Match: x", "If-None-Match: *"), then()),
		single("create when continued", post(resourcePath, object("", ""), "Expect: 100-continue")),
		single("get a range", created(), get(own, "Range: bytes=0-9")),
		single("get by two Accepts", created(), get(own, "Accept: text/html", acceptTable)),
		single("get by Accept in another order", created(), get(own, "Accept: application/json;g=meta.k8s.io;v=v1;as=Table")),
		single("get Table of no version", created(), get(own, "Accept: application/json;as=Table;g=meta.k8s.io")),
		single("get Table of no group", created(), get(own, "Accept: application/json;as=Table;v=v1")),
		single("get Table or JSON of unknown versions", created(), get(own, "Accept: application/json;as=Table;v=v9;g=meta.k8s.io,application/json;as=Table;v=v1;g=meta.k8s.io")),
		single("get for another origin", created(), get(own, "Origin: https://example.org")),
		single("create by HTTP/1.1", step{method: "POST", path: resourcePath, body: object("", ""), headers: []string{jsonBody}, http1: true}, then()),
		single("body that is too long by HTTP/1.1", step{method: "POST", path: resourcePath, body: object("", `,"notes":"`+strings.Repeat("n", 3<<20)+`"`), headers: []string{jsonBody}, http1: true}),
	)
}

// large are objects and answers beyond what is usually held in memory.
func large() []operation {
	notes := func(bytes int) string { return object("", `,"notes":"`+strings.Repeat("n", bytes)+`"`) }
	long := strings.Replace(object(applied, ""), `\"spec\":{`, `\"spec\":{\"notes\":\"`+strings.Repeat("n", 150<<10)+`\",`, 1)
	return []operation{
		single("large object", post(resourcePath, notes(1<<20)), get(own), get(own, acceptTable)),
		single("large object by watch", watching(watchOwn, 1, []step{post(resourcePath, notes(1<<20))})),
		single("object too large for etcd", post(resourcePath, notes(2<<20)), get(own)),
		single("large last applied", post(resourcePath, long), get(own), get(own, acceptTable), patch(mergePatch, own, `{"spec":{"nodeCount":5}}`)),
		single("large last applied by JSON patch", created(), patch(jsonPatch, own, `[{"op":"add","path":"/metadata/annotations","value":{"kubectl.kubernetes.io/last-applied-configuration":"{\"metadata\":{\"namespace\":\"{ns}\"},\"x\":\"`+strings.Repeat("x", 100<<10)+`\"}"}}]`), then()),
		single("large object that is refused", post(resourcePath, strings.Replace(notes(100<<10), `"nodeCount":3`, `"nodeCount":"three"`, 1))),
		single("large object without a kind", post(resourcePath, strings.Replace(notes(100<<10), `"kind":"KubernetesCluster",`, "", 1))),
		single("large object refused strictly", post(resourcePath, notes(100<<10)), patch(mergePatch, own+"?fieldValidation=Strict", `{"spec":{"nodeCoun":5}}`)),
		single("small object refused strictly", created(), patch(mergePatch, own+"?fieldValidation=Strict", `{"spec":{"nodeCoun":5}}`)),
		single("many annotations", post(resourcePath, object(`,"annotations":{"a":"`+strings.Repeat("a", 300<<10)+`"}`, ""))),
		single("many warnings", post(resourcePath, object("", `,"a1":1,"a2":1,"a3":1,"{ns}":1,"a\"b":1,"\u00e4":1,"`+strings.Repeat("w", 300)+`":1`))),
		single("merge patch of the last applied", created(), patch(mergePatch, own, object(applied, "")), patch(mergePatch, own, `{"metadata":{"annotations":null}}`), then()),
		single("JSON patch of the last applied", post(resourcePath, object(applied, "")),
			patch(jsonPatch, own, `[{"op":"test","path":"/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration","value":"{\"apiVersion\":\"k8s.starter.org/v1alpha1\",\"metadata\":{\"namespace\":\"{ns}\",\"name\":\"{name}\"},\"spec\":{\"template\":{\"metadata\":{\"namespace\":\"{ns}\"}}}}\n"}]`),
			patch(jsonPatch, own, `[{"op":"replace","path":"/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration","value":"{\"metadata\":{\"namespace\":\"{ns}\"}}"}]`), then()),
		single("last applied that is no JSON", post(resourcePath, object(`,"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"metadata\":{\"namespace\":\"{ns}\""}`, "")), then()),
		single("last applied of another namespace", post(resourcePath, object(`,"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"metadata\":{\"namespace\":\"nowhere\"}}"}`, "")), then()),
		single("last applied with escapes", post(resourcePath, object(`,"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"\u007b\"metadata\":{\"n\\u0061mespace\" : \"{ns}\",\"x\":\"\\\\\/\"}}"}`, "")), then()),
	}
}

func updates() []operation {
	version := "rv=metadata.resourceVersion"
	seen := created().keeping(version)
	at := func(version string) string { return object(`,"resourceVersion":"`+version+`"`, `,"region":"us"`) }
	return []operation{
		single("update", seen, put(own, at("{rv}")), then()),
		single("update without a version", created(), put(own, object("", `,"region":"us"`))),
		single("update with nothing new", seen, put(own, object(`,"labels":{"op":"{name}"},"resourceVersion":"{rv}"`, ""))),
		single("update of an old version", created(), put(own, at("1"))),
		single("update of no version", created(), put(own, at("abc"))),
		single("update with a wrong uid", seen, put(own, object(`,"uid":"00000000-0000-0000-0000-000000000000","resourceVersion":"{rv}"`, ""))),
		single("update of nothing", put(own, at("1"))),
		single("update of nothing without a version", put(own, object("", ""))),
		single("update of another name", created(), put(own, strings.Replace(at("1"), "{name}", "other", 1))),
		single("update dry", seen, put(own+"?dryRun=All&pretty=true", at("{rv}")), then()),
		single("update strictly", seen, put(own+"?fieldValidation=Strict", strings.Replace(at("{rv}"), "region", "regio", 1))),
		single("update with warnings", seen, put(own, strings.Replace(at("{rv}"), "region", "regio", 1))),
		single("update as Table", seen, put(own, at("{rv}"), acceptTable)),
		single("update in YAML", created().keeping(version), step{method: "PUT", path: own, body: strings.Replace(yamlClaim, "metadata:\n", "metadata:\n  resourceVersion: '{rv}'\n", 1), headers: []string{yamlBody}}, then()),
	}
}

func mergePatches() []operation {
	merge := func(name, query, body string) operation {
		return single(name, created(), patch(mergePatch, own+query, body), then())
	}
	return []operation{
		merge("merge patch", "", `{"spec":{"nodeCount":4,"region":null}}`),
		merge("merge patch of nothing", "", `{}`),
		merge("merge patch dry", "?dryRun=All", `{"spec":{"nodeCount":4}}`),
		merge("merge patch by a manager", "?fieldManager=me", `{"spec":{"nodeCount":4}}`),
		merge("merge patch by force", "?force=true", `{"spec":{"nodeCount":4}}`),
		merge("merge patch of its namespace", "", `{"metadata":{"namespace":"{ns}"}}`),
		merge("merge patch of its namespace to null", "", `{"metadata":{"namespace":null}}`),
		merge("merge patch of its namespace to nothing", "", `{"metadata":{"namespace":""}}`),
		merge("merge patch of its namespace to another", "", `{"metadata":{"namespace":"nowhere"}}`),
		merge("merge patch of its namespace to a number", "", `{"metadata":{"namespace":5}}`),
		merge("merge patch of its name", "", `{"metadata":{"name":"other"}}`),
		merge("merge patch of its version", "", `{"metadata":{"resourceVersion":"1"}}`),
		merge("merge patch of its uid", "", `{"metadata":{"uid":"00000000-0000-0000-0000-000000000000"}}`),
		merge("merge patch of another type", "", `{"spec":{"nodeCount":"many"}}`),
		merge("merge patch of an unknown field", "", `{"spec":{"nodeCoun":4}}`),
		merge("merge patch of an unknown field, strictly", "?fieldValidation=Strict", `{"spec":{"nodeCoun":4}}`),
		merge("merge patch with duplicate fields", "", `{"spec":{"nodeCount":4,"nodeCount":5}}`),
		merge("merge patch with duplicate fields, strictly", "?fieldValidation=Strict", `{"spec":{"nodeCount":4,"nodeCount":5}}`),
		merge("merge patch with the last applied", "", object(applied, "")),
		merge("merge patch that is a list", "", `[1]`),
		merge("merge patch that is cut", "", `{"spec":{`),
		merge("merge patch that is empty", "", ``),
		merge("merge patch as Table", "?pretty=true", `{"spec":{"nodeCount":4}}`),
		single("merge patch of nothing there", patch(mergePatch, own, `{"spec":{}}`)),
	}
}

func jsonPatches() []operation {
	sequence := func(name string, operations ...string) operation {
		return single(name, created(), patch(jsonPatch, own, "["+strings.Join(operations, ",")+"]"), then())
	}
	number := `{"op":"replace","path":"/spec/nodeCount","value":7}`
	return []operation{
		sequence("JSON patch", number),
		sequence("JSON patch of nothing"),
		sequence("JSON patch that tests the namespace", `{"op":"test","path":"/metadata/namespace","value":"{ns}"}`, number),
		sequence("JSON patch that tests another namespace", `{"op":"test","path":"/metadata/namespace","value":"nowhere"}`, number),
		sequence("JSON patch that replaces the namespace by itself", `{"op":"replace","path":"/metadata/namespace","value":"{ns}"}`),
		sequence("JSON patch that replaces the namespace", `{"op":"replace","path":"/metadata/namespace","value":"nowhere"}`),
		sequence("JSON patch that adds the namespace", `{"value":"{ns}","path":"/metadata/namespace","op":"add"}`, number),
		sequence("JSON patch that removes the namespace", `{"op":"remove","path":"/metadata/namespace"}`, number),
		sequence("JSON patch that replaces metadata", `{"op":"replace","path":"/metadata","value":{"name":"{name}","namespace":"{ns}","labels":{"a":"b"}}}`),
		sequence("JSON patch that replaces all", `{"op":"replace","path":"","value":`+object("", "")+`}`),
		sequence("JSON patch that adds an annotation", `{"op":"add","path":"/metadata/annotations","value":{"namespace":"{ns}"}}`),
		sequence("JSON patch that copies the namespace", `{"op":"copy","from":"/metadata/namespace","path":"/spec/notes"}`),
		sequence("JSON patch that moves the namespace", `{"op":"move","from":"/metadata/namespace","path":"/spec/notes"}`),
		sequence("JSON patch that copies a name", `{"op":"copy","from":"/metadata/name","path":"/spec/notes"}`),
		sequence("JSON patch of no such path", `{"op":"replace","path":"/spec/none/such","value":1}`),
		sequence("JSON patch that removes nothing", `{"op":"remove","path":"/spec/none"}`),
		sequence("JSON patch of an unknown operation", `{"op":"dance","path":"/spec"}`),
		sequence("JSON patch without a path", `{"op":"add","value":1}`),
		sequence("JSON patch that fails a test", `{"op":"test","path":"/spec/nodeCount","value":99}`),
		sequence("JSON patch of a wrong type", `{"op":"replace","path":"/spec/nodeCount","value":"many"}`),
		sequence("JSON patch of an unknown field", `{"op":"add","path":"/spec/nodeCoun","value":1}`),
		single("JSON patch that is an object", created(), patch(jsonPatch, own, `{"op":"add"}`)),
		single("JSON patch strictly", created(), patch(jsonPatch, own+"?fieldValidation=Strict", `[{"op":"add","path":"/spec/nodeCoun","value":1}]`)),
		single("JSON patch with duplicate fields", created(), patch(jsonPatch, own+"?fieldValidation=Strict", `[{"op":"add","path":"/spec/region","value":"eu","value":"us"}]`)),
	}
}

func applies() []operation {
	me := "?fieldManager=me"
	apply := func(query, body string) step { return patch(applyPatch, own+query, body) }
	return []operation{
		single("apply", apply(me, object("", "")), then()),
		single("apply twice", apply(me, object("", "")), apply(me, object("", ""))),
		single("apply without a manager", apply("", object("", ""))),
		single("apply into a conflict", created(), apply(me, object("", `,"region":"us"`)), apply(me, strings.Replace(object("", ""), "3", "5", 1))),
		single("apply by force", created(), apply(me+"&force=true", strings.Replace(object("", ""), "3", "5", 1)), then()),
		single("apply and give up a field", apply(me, object("", `,"region":"eu"`)), apply(me, object("", "")), then()),
		single("apply dry", apply(me+"&dryRun=All", object("", ""))),
		single("apply an unknown field", apply(me, object("", `,"nodeCoun":1`))),
		single("apply a duplicate field", apply(me, object("", `,"region":"eu","region":"us"`))),
		single("apply a duplicate field, strictly", apply(me+"&fieldValidation=Strict", object("", `,"region":"eu","region":"us"`))),
		single("apply to another namespace", apply(me, strings.Replace(object("", ""), "{ns}", "nowhere", 1))),
		single("apply without a namespace", apply(me, strings.Replace(object("", ""), `,"namespace":"{ns}"`, "", 1)), then()),
		single("apply another name", apply(me, strings.Replace(object("", ""), "{name}", "other", 1))),
		single("apply with managedFields", apply(me, object(`,"managedFields":[]`, ""))),
		single("apply without a kind", apply(me, `{"metadata":{"name":"{name}"}}`)),
		single("apply nothing", apply(me, "")),
		single("apply YAML", apply(me, yamlClaim), then()),
		single("apply YAML of one line", apply(me, `{apiVersion: k8s.starter.org/v1alpha1, kind: KubernetesCluster, metadata: {name: "{name}", namespace: "{ns}"}, spec: {nodeCount: 4}}`), then()),
		single("apply YAML with anchors", apply(me, yamlClaim+"  notes: &n '{ns}'\n  parameters: {n: *n}\n"), then()),
		single("apply YAML of two documents", apply(me, yamlClaim+"---\n"+yamlClaim)),
		single("apply YAML that is none", apply(me, "a: b: c: {")),
		single("apply YAML to another namespace", apply(me, strings.Replace(yamlClaim, "{ns}", "nowhere", 1))),
		single("apply after the client applied", post(resourcePath, object(applied, "")), apply("?fieldManager=kubectl&force=true", object("", "")), then()),
	}
}

func deletes() []operation {
	seen := created().keeping("rv=metadata.resourceVersion")
	options := func(more string) string { return `{"kind":"DeleteOptions","apiVersion":"v1"` + more + `}` }
	deleting := func(name, query, body string) operation {
		return single(name, seen, remove(own+query, body), then())
	}
	held := post(resourcePath, object(`,"finalizers":["k8s.starter.org/held"]`, ""))
	release := patch(mergePatch, own, `{"metadata":{"finalizers":null}}`)
	quietRelease := release
	quietRelease.isQuiet = true
	return []operation{
		deleting("delete", "", ""),
		deleting("delete with options", "", options("")),
		deleting("delete with options of meta.k8s.io", "", strings.Replace(options(""), `"v1"`, `"meta.k8s.io/v1"`, 1)),
		deleting("delete in the background", "", options(`,"propagationPolicy":"Background"`)),
		deleting("delete by query in the background", "?propagationPolicy=Background", ""),
		deleting("delete at once", "", options(`,"gracePeriodSeconds":0`)),
		deleting("delete of no policy", "", options(`,"propagationPolicy":"Sideways"`)),
		deleting("delete dry", "?dryRun=All", ""),
		deleting("delete dry by options", "", options(`,"dryRun":["All"]`)),
		deleting("delete of its version", "", options(`,"preconditions":{"resourceVersion":"{rv}"}`)),
		deleting("delete of another version", "", options(`,"preconditions":{"resourceVersion":"1"}`)),
		deleting("delete of another uid", "", options(`,"preconditions":{"uid":"00000000-0000-0000-0000-000000000000"}`)),
		deleting("delete with an unknown option", "", options(`,"speed":"high"`)),
		deleting("delete with a broken body", "", `{"kind":`),
		deleting("delete with another kind", "", `{"kind":"Pod","apiVersion":"v1"}`),
		deleting("delete pretty", "?pretty=true", ""),
		single("delete with options in YAML", seen, step{method: "DELETE", path: own, body: "kind: DeleteOptions\napiVersion: v1\npropagationPolicy: Background\n", headers: []string{yamlBody}}),
		single("delete with options in text", seen, step{method: "DELETE", path: own, body: "please", headers: []string{"Content-Type: text/plain"}}),
		single("delete as Table", seen, step{method: "DELETE", path: own, headers: []string{acceptTable}}),
		single("delete and want YAML", seen, step{method: "DELETE", path: own, headers: []string{acceptYAML}}),
		single("delete of nothing", remove(own, "")),
		single("delete what is held", held, remove(own, ""), then(), get(own, acceptTable), release),
		single("delete what is held in the foreground", held, remove(own, options(`,"propagationPolicy":"Foreground"`)), quietRelease),
		single("delete what is held and leave orphans", held, remove(own, options(`,"propagationPolicy":"Orphan"`)), quietRelease),
		single("delete what is held twice", held, remove(own, ""), remove(own, ""), release),
		single("delete a collection", created(), remove(oneOfThem, ""), then()),
		single("delete a collection of none", remove(oneOfThem, "")),
		single("delete a collection dry", created(), remove(oneOfThem+"&dryRun=All", ""), then()),
		single("delete a collection as Table", created(), step{method: "DELETE", path: oneOfThem, headers: []string{acceptTable}}),
		single("delete a collection as metadata", created(), step{method: "DELETE", path: oneOfThem, headers: []string{acceptParts}}),
		single("delete a collection as metadata in protobuf", created(), step{method: "DELETE", path: oneOfThem, headers: []string{acceptProtobuf + ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}}),
		single("delete as metadata in protobuf", held, step{method: "DELETE", path: own, headers: []string{acceptProtobuf + ";as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}}, release),
		single("delete of what is not held as metadata in protobuf", created(), step{method: "DELETE", path: own, headers: []string{acceptProtobuf + ";as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}}),
		single("delete a collection by name", created(), remove(resourcePath+"?fieldSelector=metadata.name%3D{name}", options(`,"propagationPolicy":"Background"`)), then()),
		single("delete a collection by a broken selector", remove(resourcePath+"?labelSelector=a+in+b", "")),
	}
}

func subresources() []operation {
	status := object("", `},"status":{"nodeCount":2,"conditions":[{"type":"Ready","message":"in {ns}"}]`)
	scale := `{"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"{name}","namespace":"{ns}"},"spec":{"replicas":6}}`
	return []operation{
		single("update status", created(), put(own+"/status", status), then()),
		single("update status of another namespace", created(), put(own+"/status", strings.Replace(status, "{ns}", "nowhere", 1))),
		single("patch status", created(), patch(mergePatch, own+"/status", `{"status":{"nodeCount":2},"spec":{"nodeCount":9}}`), then()),
		single("JSON patch status", created(), patch(jsonPatch, own+"/status", `[{"op":"add","path":"/status","value":{"nodeCount":1}}]`)),
		single("apply status", created(), patch(applyPatch, own+"/status?fieldManager=me", strings.Replace(status, `"spec":{"nodeCount":3},`, "", 1)), get(own+"/status")),
		single("update scale", created(), put(own+"/scale", scale), then()),
		single("update scale of another namespace", created(), put(own+"/scale", strings.Replace(scale, "{ns}", "nowhere", 1))),
		single("update scale of an old version", created(), put(own+"/scale", strings.Replace(scale, `{"name"`, `{"resourceVersion":"1","name"`, 1))),
		single("update scale below 0", created(), put(own+"/scale", strings.Replace(scale, "6", "-6", 1))),
		single("patch scale", created(), patch(mergePatch, own+"/scale", `{"spec":{"replicas":7}}`), then()),
		single("JSON patch scale", created(), patch(jsonPatch, own+"/scale", `[{"op":"test","path":"/metadata/namespace","value":"{ns}"},{"op":"replace","path":"/spec/replicas","value":8}]`)),
		single("apply scale", created(), patch(applyPatch, own+"/scale?fieldManager=me", `{"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"{name}","namespace":"{ns}"},"spec":{"replicas":3}}`)),
		single("delete status", created(), remove(own+"/status", "")),
		single("post status", created(), post(own+"/status", status)),
		single("status of nothing", get(own+"/status"), patch(mergePatch, own+"/status", `{}`)),
	}
}

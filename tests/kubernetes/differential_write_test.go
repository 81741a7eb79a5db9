package kubernetes

import "strings"

const (
	ownListPath = resourcePath + "?labelSelector=op%3D{name}"
	yamlClaim   = "# a comment\napiVersion: k8s.starter.org/v1alpha1\nkind: KubernetesCluster\nmetadata:\n  name: {name}\n  namespace: \"{ns}\"\n  annotations: {note: 'in {ns}'}\nspec:\n  nodeCount: 3\n  region: eu\n"
	// kubectl's last-applied annotation. It contains the object's own namespace and, in a template,
	// another one.
	lastAppliedAnnotation = `,"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"apiVersion\":\"k8s.starter.org/v1alpha1\",\"metadata\":{\"namespace\":\"{ns}\",\"name\":\"{name}\"},\"spec\":{\"template\":{\"metadata\":{\"namespace\":\"{ns}\"}}}}\n"}`
)

// getOwn reads the operation's object.
func getOwn() step { return get(ownPath) }

func writeOperations() []operation {
	var all []operation
	for _, more := range [][]operation{largeObjects(), writeParameters(), creates(), yamlOperations(), updates(), mergePatches(), jsonPatches(), applies(), deletes(), subresources()} {
		all = append(all, more...)
	}
	return all
}

func creates() []operation {
	bare := `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":{"name":"{name}"},"spec":{}}`
	unknown := object(`,"color":"red"`, `,"nodeCoun":3`)
	duplicateFields := strings.Replace(object("", `,"region":"eu","region":"us"`), `"namespace":"{ns}"`, `"namespace":"{ns}","namespace":"{ns}"`, 1)
	query := func(name, query, body string) operation {
		return single(name, post(resourcePath+query, body), getOwn())
	}
	all := []operation{
		query("create", "", object("", "")),
		query("create without namespace", "", bare),
		query("create with an empty namespace", "", strings.Replace(bare, `{"name"`, `{"namespace":"","name"`, 1)),
		query("create with a null namespace", "", strings.Replace(bare, `{"name"`, `{"namespace":null,"name"`, 1)),
		query("create pretty", "?pretty=true", object("", "")),
		query("create as a dry run", "?dryRun=All", object("", "")),
		query("create with an invalid dryRun", "?dryRun=Some", object("", "")),
		query("create with a field manager", "?fieldManager=me", object("", "")),
		query("create with an invalid field manager", "?fieldManager=%00", object("", "")),
		query("create with generateName", "", strings.Replace(bare, `"name":"{name}"`, `"generateName":"generated-"`, 1)),
		query("create with namespaces in user data", "", object(`,"annotations":{"n":"{ns}"}`, `,"parameters":{"metadata":{"namespace":"{ns}"}},"template":{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s","namespace":"{ns}"}}`)),
		query("create with a last-applied annotation", "", object(lastAppliedAnnotation, "")),
		query("create with numbers and escapes", "", object("", `,"parameters":{"a":1e3,"b":-0.0,"c":12345678901234567890,"d":"\u003c\u2028\ud83d\ude00\/"}`)),
		query("create with escaped keys", "", strings.NewReplacer(`"metadata"`, `"metad\u0061ta"`, `"namespace"`, `"n\u0061mespace"`).Replace(object("", ""))),
		query("create with a capitalised key", "", strings.Replace(object("", ""), `"metadata":{`, `"metadata":{"Namespace":"x",`, 1)),
		query("create with unknown fields", "", unknown),
		query("create with duplicate fields", "", duplicateFields),
		query("create with empty owner references", "", object(`,"ownerReferences":[]`, "")),
		single("create with an owner", createOwn().saving("uid=metadata.uid"),
			post(resourcePath, strings.NewReplacer(`"name":"{name}"`, `"name":"{name}-2"`, "OWNER", "{name}").Replace(
				object(`,"ownerReferences":[{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","name":"OWNER","uid":"{uid}"}]`, ""))), get(ownPath+"-2")),
		single("create as Table", post(resourcePath, object("", ""), acceptTable)),
		single("create as metadata", post(resourcePath, object("", ""), acceptPartial)),
		single("create, answer in YAML", post(resourcePath, object("", ""), acceptYAML)),
		single("create in YAML", step{method: "POST", path: resourcePath, body: yamlClaim, headers: []string{yamlBody}}, getOwn()),
		single("create in YAML, strictly", step{method: "POST", path: resourcePath + "?fieldValidation=Strict", body: yamlClaim + "  nodeCoun: 2\n", headers: []string{yamlBody}}),
		single("create without a content type", step{method: "POST", path: resourcePath, body: object("", "")}, getOwn()),
		single("create with a charset", step{method: "POST", path: resourcePath, body: object("", ""), headers: []string{jsonBody + "; charset=utf-8"}}),
		single("create by curl", post(resourcePath, object("", ""), "User-Agent: curl/8.5.0"), getOwn()),
		single("create with a user agent of several words", post(resourcePath, object("", ""), "User-Agent: my-Program/v1.2 (linux) {ns}"), getOwn()),
		single("create and get a large object with gzip", post(resourcePath, object(`,"labels":{"op":"{name}"}`, `,"notes":"`+strings.Repeat("much ", 40_000)+`"`)),
			get(ownPath, "Accept-Encoding: gzip"), get(ownListPath, "Accept-Encoding: gzip"), get(ownListPath, "Accept-Encoding: identity"), get(ownPath, "Accept-Encoding: deflate")),
		single("create a network", post(networksPath, `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"Network","metadata":{"name":"{name}"},"spec":{}}`), get(networksPath+"/{name}", acceptTable)),
	}
	for _, validation := range []string{"Strict", "Warn", "Ignore", "Roughly"} {
		all = append(all,
			query("create with unknown fields, "+validation, "?fieldValidation="+validation, unknown),
			query("create with duplicate fields, "+validation, "?fieldValidation="+validation, duplicateFields))
	}
	return all
}

// writeParameters are query parameters and headers of writes.
func writeParameters() []operation {
	var all []operation
	for _, query := range []string{
		"dryRun=All&dryRun=All", "dryRun=", "dryRun=all", "fieldManager=" + strings.Repeat("m", 129), "fieldManager=", "fieldValidation=strict",
		"fieldValidation=", "pretty=", "pretty=0", "unknown=%00", "force=true", "resourceVersion=5", "timeout=5s", "timeout=-1s", "limit=x",
	} {
		all = append(all, single("create with "+query, post(resourcePath+"?"+query, object("", "")), getOwn()))
	}
	for _, query := range []string{
		"gracePeriodSeconds=-1", "gracePeriodSeconds=x", "propagationPolicy=", "propagationPolicy=sideways",
		"dryRun=Some", "ignoreStoreReadErrorWithClusterBreakingPotential=true", "uid=5", "timeout=long",
	} {
		all = append(all, single("delete with "+query, createOwn(), remove(ownPath+"?"+query, ""), getOwn()))
	}
	// The garbage collector ends these deletions at a time of its own.
	for _, query := range []string{"orphanDependents=true", "orphanDependents=perhaps", "propagationPolicy=Orphan", "propagationPolicy=Foreground"} {
		all = append(all, single("delete with "+query, createOwn(), remove(ownPath+"?"+query, "")))
	}
	for _, query := range []string{"limit=1", "resourceVersion=1", "resourceVersionMatch=Exact", "continue=abc", "watch=true&timeoutSeconds=1", "gracePeriodSeconds=x"} {
		all = append(all, single("delete a collection with "+query, createOwn(), remove(ownListPath+"&"+query, ""), getOwn()))
	}
	for _, selector := range []string{"={ns}", "!={ns}", "=nowhere", "!=nowhere"} {
		query := "&fieldSelector=metadata.namespace" + strings.ReplaceAll(selector, "=", "%3D")
		called := strings.NewReplacer("!=", "not ", "=", "", "{ns}", "its own").Replace(selector)
		all = append(all, single("delete a collection by namespace selector, "+called, createOwn(), remove(ownListPath+query, ""), getOwn()))
	}
	// Empty DeleteOptions as clients of built-in types encode them (apimachinery, runtime.Unknown).
	options := "k8s\x00\x0a\x13\x0a\x02v1\x12\x0dDeleteOptions\x12\x00\x1a\x00\x22\x00"
	typed := func(name, kind, body string) operation {
		return single(name, createOwn(), step{method: "DELETE", path: ownPath, body: body, headers: []string{"Content-Type: " + kind}}, getOwn())
	}
	return append(all,
		typed("delete with options in protobuf", "application/vnd.kubernetes.protobuf", options),
		typed("delete with invalid protobuf", "application/vnd.kubernetes.protobuf", options[:9]),
		typed("delete with options in CBOR", "application/cbor", "\xd9\xd9\xf7\xa0"),
		typed("delete with options without a content type", "", "{}"),
		single("create with If-Match", post(resourcePath, object("", ""), "If-Match: x", "If-None-Match: *"), getOwn()),
		single("create with Expect: 100-continue", post(resourcePath, object("", ""), "Expect: 100-continue")),
		single("get a range", createOwn(), get(ownPath, "Range: bytes=0-9")),
		single("get with two Accept headers", createOwn(), get(ownPath, "Accept: text/html", acceptTable)),
		single("get with Accept parameters in another order", createOwn(), get(ownPath, "Accept: application/json;g=meta.k8s.io;v=v1;as=Table")),
		single("get Table without a version", createOwn(), get(ownPath, "Accept: application/json;as=Table;g=meta.k8s.io")),
		single("get Table without a group", createOwn(), get(ownPath, "Accept: application/json;as=Table;v=v1")),
		single("get Table of an unknown version or of v1", createOwn(), get(ownPath, "Accept: application/json;as=Table;v=v9;g=meta.k8s.io,application/json;as=Table;v=v1;g=meta.k8s.io")),
		single("get with another origin", createOwn(), get(ownPath, "Origin: https://example.org")),
		single("create by HTTP/1.1", step{method: "POST", path: resourcePath, body: object("", ""), headers: []string{jsonBody}, overHTTP1: true}, getOwn()),
		single("body that is too long by HTTP/1.1", step{method: "POST", path: resourcePath, body: object("", `,"notes":"`+strings.Repeat("n", 3<<20)+`"`), headers: []string{jsonBody}, overHTTP1: true}),
	)
}

// largeObjects are objects and answers that are larger than usual buffers.
func largeObjects() []operation {
	notes := func(bytes int) string { return object("", `,"notes":"`+strings.Repeat("n", bytes)+`"`) }
	long := strings.Replace(object(lastAppliedAnnotation, ""), `\"spec\":{`, `\"spec\":{\"notes\":\"`+strings.Repeat("n", 150<<10)+`\",`, 1)
	return []operation{
		single("large object", post(resourcePath, notes(1<<20)), get(ownPath), get(ownPath, acceptTable)),
		single("large object by watch", watchLines(watchOwn, 1, []step{post(resourcePath, notes(1<<20))})),
		single("object too large for etcd", post(resourcePath, notes(2<<20)), get(ownPath)),
		single("large last-applied annotation", post(resourcePath, long), get(ownPath), get(ownPath, acceptTable), patch(mergePatch, ownPath, `{"spec":{"nodeCount":5}}`)),
		single("large last-applied annotation in a JSON patch", createOwn(), patch(jsonPatch, ownPath, `[{"op":"add","path":"/metadata/annotations","value":{"kubectl.kubernetes.io/last-applied-configuration":"{\"metadata\":{\"namespace\":\"{ns}\"},\"x\":\"`+strings.Repeat("x", 100<<10)+`\"}"}}]`), getOwn()),
		single("large invalid object", post(resourcePath, strings.Replace(notes(100<<10), `"nodeCount":3`, `"nodeCount":"three"`, 1))),
		single("large object without a kind", post(resourcePath, strings.Replace(notes(100<<10), `"kind":"KubernetesCluster",`, "", 1))),
		single("large object, patched strictly", post(resourcePath, notes(100<<10)), patch(mergePatch, ownPath+"?fieldValidation=Strict", `{"spec":{"nodeCoun":5}}`)),
		single("small object, patched strictly", createOwn(), patch(mergePatch, ownPath+"?fieldValidation=Strict", `{"spec":{"nodeCoun":5}}`)),
		single("large annotations", post(resourcePath, object(`,"annotations":{"a":"`+strings.Repeat("a", 300<<10)+`"}`, ""))),
		single("many warnings", post(resourcePath, object("", `,"a1":1,"a2":1,"a3":1,"{ns}":1,"a\"b":1,"\u00e4":1,"`+strings.Repeat("w", 300)+`":1`))),
		single("merge patch of the last-applied annotation", createOwn(), patch(mergePatch, ownPath, object(lastAppliedAnnotation, "")), patch(mergePatch, ownPath, `{"metadata":{"annotations":null}}`), getOwn()),
		single("JSON patch of the last-applied annotation", post(resourcePath, object(lastAppliedAnnotation, "")),
			patch(jsonPatch, ownPath, `[{"op":"test","path":"/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration","value":"{\"apiVersion\":\"k8s.starter.org/v1alpha1\",\"metadata\":{\"namespace\":\"{ns}\",\"name\":\"{name}\"},\"spec\":{\"template\":{\"metadata\":{\"namespace\":\"{ns}\"}}}}\n"}]`),
			patch(jsonPatch, ownPath, `[{"op":"replace","path":"/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration","value":"{\"metadata\":{\"namespace\":\"{ns}\"}}"}]`), getOwn()),
		single("last-applied annotation that is not JSON", post(resourcePath, object(`,"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"metadata\":{\"namespace\":\"{ns}\""}`, "")), getOwn()),
		single("last-applied annotation with another namespace", post(resourcePath, object(`,"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"metadata\":{\"namespace\":\"nowhere\"}}"}`, "")), getOwn()),
		single("last-applied annotation with escapes", post(resourcePath, object(`,"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"\u007b\"metadata\":{\"n\\u0061mespace\" : \"{ns}\",\"x\":\"\\\\\/\"}}"}`, "")), getOwn()),
	}
}

func updates() []operation {
	version := "rv=metadata.resourceVersion"
	creation := createOwn().saving(version)
	atVersion := func(version string) string { return object(`,"resourceVersion":"`+version+`"`, `,"region":"us"`) }
	return []operation{
		single("update", creation, put(ownPath, atVersion("{rv}")), getOwn()),
		single("update without a version", createOwn(), put(ownPath, object("", `,"region":"us"`))),
		single("update without changes", creation, put(ownPath, object(`,"labels":{"op":"{name}"},"resourceVersion":"{rv}"`, ""))),
		single("update at an old version", createOwn(), put(ownPath, atVersion("1"))),
		single("update at an invalid version", createOwn(), put(ownPath, atVersion("abc"))),
		single("update with a wrong uid", creation, put(ownPath, object(`,"uid":"00000000-0000-0000-0000-000000000000","resourceVersion":"{rv}"`, ""))),
		single("update a missing object", put(ownPath, atVersion("1"))),
		single("update a missing object without a version", put(ownPath, object("", ""))),
		single("update with another name", createOwn(), put(ownPath, strings.Replace(atVersion("1"), "{name}", "other", 1))),
		single("update as a dry run", creation, put(ownPath+"?dryRun=All&pretty=true", atVersion("{rv}")), getOwn()),
		single("update with an unknown field, strictly", creation, put(ownPath+"?fieldValidation=Strict", strings.Replace(atVersion("{rv}"), "region", "regio", 1))),
		single("update with an unknown field", creation, put(ownPath, strings.Replace(atVersion("{rv}"), "region", "regio", 1))),
		single("update, answer as Table", creation, put(ownPath, atVersion("{rv}"), acceptTable)),
		single("update in YAML", createOwn().saving(version), step{method: "PUT", path: ownPath, body: strings.Replace(yamlClaim, "metadata:\n", "metadata:\n  resourceVersion: '{rv}'\n", 1), headers: []string{yamlBody}}, getOwn()),
	}
}

func mergePatches() []operation {
	merge := func(name, query, body string) operation {
		return single(name, createOwn(), patch(mergePatch, ownPath+query, body), getOwn())
	}
	return []operation{
		merge("merge patch", "", `{"spec":{"nodeCount":4,"region":null}}`),
		merge("merge patch without changes", "", `{}`),
		merge("merge patch as a dry run", "?dryRun=All", `{"spec":{"nodeCount":4}}`),
		merge("merge patch with a field manager", "?fieldManager=me", `{"spec":{"nodeCount":4}}`),
		merge("merge patch with force", "?force=true", `{"spec":{"nodeCount":4}}`),
		merge("merge patch of its namespace", "", `{"metadata":{"namespace":"{ns}"}}`),
		merge("merge patch of its namespace to null", "", `{"metadata":{"namespace":null}}`),
		merge("merge patch of its namespace to an empty string", "", `{"metadata":{"namespace":""}}`),
		merge("merge patch of its namespace to another", "", `{"metadata":{"namespace":"nowhere"}}`),
		merge("merge patch of its namespace to a number", "", `{"metadata":{"namespace":5}}`),
		merge("merge patch of its name", "", `{"metadata":{"name":"other"}}`),
		merge("merge patch of its version", "", `{"metadata":{"resourceVersion":"1"}}`),
		merge("merge patch of its uid", "", `{"metadata":{"uid":"00000000-0000-0000-0000-000000000000"}}`),
		merge("merge patch with a wrong type", "", `{"spec":{"nodeCount":"many"}}`),
		merge("merge patch with an unknown field", "", `{"spec":{"nodeCoun":4}}`),
		merge("merge patch with an unknown field, strictly", "?fieldValidation=Strict", `{"spec":{"nodeCoun":4}}`),
		merge("merge patch with duplicate fields", "", `{"spec":{"nodeCount":4,"nodeCount":5}}`),
		merge("merge patch with duplicate fields, strictly", "?fieldValidation=Strict", `{"spec":{"nodeCount":4,"nodeCount":5}}`),
		merge("merge patch with a last-applied annotation", "", object(lastAppliedAnnotation, "")),
		merge("merge patch that is a list", "", `[1]`),
		merge("merge patch that is truncated", "", `{"spec":{`),
		merge("merge patch that is empty", "", ``),
		merge("merge patch with pretty=true", "?pretty=true", `{"spec":{"nodeCount":4}}`),
		single("merge patch of a missing object, empty spec", patch(mergePatch, ownPath, `{"spec":{}}`)),
	}
}

func jsonPatches() []operation {
	sequence := func(name string, operations ...string) operation {
		return single(name, createOwn(), patch(jsonPatch, ownPath, "["+strings.Join(operations, ",")+"]"), getOwn())
	}
	number := `{"op":"replace","path":"/spec/nodeCount","value":7}`
	return []operation{
		sequence("JSON patch", number),
		sequence("JSON patch without operations"),
		sequence("JSON patch that tests the namespace", `{"op":"test","path":"/metadata/namespace","value":"{ns}"}`, number),
		sequence("JSON patch that tests another namespace", `{"op":"test","path":"/metadata/namespace","value":"nowhere"}`, number),
		sequence("JSON patch that replaces the namespace with itself", `{"op":"replace","path":"/metadata/namespace","value":"{ns}"}`),
		sequence("JSON patch that replaces the namespace", `{"op":"replace","path":"/metadata/namespace","value":"nowhere"}`),
		sequence("JSON patch that adds the namespace", `{"value":"{ns}","path":"/metadata/namespace","op":"add"}`, number),
		sequence("JSON patch that removes the namespace", `{"op":"remove","path":"/metadata/namespace"}`, number),
		sequence("JSON patch that replaces metadata", `{"op":"replace","path":"/metadata","value":{"name":"{name}","namespace":"{ns}","labels":{"a":"b"}}}`),
		sequence("JSON patch that replaces the whole object", `{"op":"replace","path":"","value":`+object("", "")+`}`),
		sequence("JSON patch that adds an annotation", `{"op":"add","path":"/metadata/annotations","value":{"namespace":"{ns}"}}`),
		sequence("JSON patch that copies the namespace", `{"op":"copy","from":"/metadata/namespace","path":"/spec/notes"}`),
		sequence("JSON patch that moves the namespace", `{"op":"move","from":"/metadata/namespace","path":"/spec/notes"}`),
		sequence("JSON patch that copies a name", `{"op":"copy","from":"/metadata/name","path":"/spec/notes"}`),
		sequence("JSON patch of a path that does not exist", `{"op":"replace","path":"/spec/none/such","value":1}`),
		sequence("JSON patch that removes a missing field", `{"op":"remove","path":"/spec/none"}`),
		sequence("JSON patch with an unknown operation", `{"op":"dance","path":"/spec"}`),
		sequence("JSON patch without a path", `{"op":"add","value":1}`),
		sequence("JSON patch that fails a test", `{"op":"test","path":"/spec/nodeCount","value":99}`),
		sequence("JSON patch with a wrong type", `{"op":"replace","path":"/spec/nodeCount","value":"many"}`),
		sequence("JSON patch with an unknown field", `{"op":"add","path":"/spec/nodeCoun","value":1}`),
		single("JSON patch that is an object", createOwn(), patch(jsonPatch, ownPath, `{"op":"add"}`)),
		single("JSON patch with an unknown field, strictly", createOwn(), patch(jsonPatch, ownPath+"?fieldValidation=Strict", `[{"op":"add","path":"/spec/nodeCoun","value":1}]`)),
		single("JSON patch with duplicate fields", createOwn(), patch(jsonPatch, ownPath+"?fieldValidation=Strict", `[{"op":"add","path":"/spec/region","value":"eu","value":"us"}]`)),
	}
}

func applies() []operation {
	me := "?fieldManager=me"
	apply := func(query, body string) step { return patch(applyPatch, ownPath+query, body) }
	return []operation{
		single("apply", apply(me, object("", "")), getOwn()),
		single("apply twice", apply(me, object("", "")), apply(me, object("", ""))),
		single("apply twice and list", apply(me, object(`,"labels":{"a":"b"}`, "")), apply(me, object("", "")), get(resourcePath+"?fieldSelector=metadata.name%3D{name}")),
		single("merge patch that removes all labels, and list", createOwn(), patch(mergePatch, ownPath, `{"metadata":{"labels":null}}`), get(resourcePath+"?fieldSelector=metadata.name%3D{name}")),
		single("apply without a field manager", apply("", object("", ""))),
		single("apply with a conflict", createOwn(), apply(me, object("", `,"region":"us"`)), apply(me, strings.Replace(object("", ""), "3", "5", 1))),
		single("apply with force", createOwn(), apply(me+"&force=true", strings.Replace(object("", ""), "3", "5", 1)), getOwn()),
		single("apply and drop a field", apply(me, object("", `,"region":"eu"`)), apply(me, object("", "")), getOwn()),
		single("apply as a dry run", apply(me+"&dryRun=All", object("", ""))),
		single("apply an unknown field", apply(me, object("", `,"nodeCoun":1`))),
		single("apply a duplicate field", apply(me, object("", `,"region":"eu","region":"us"`))),
		single("apply a duplicate field, strictly", apply(me+"&fieldValidation=Strict", object("", `,"region":"eu","region":"us"`))),
		single("apply to another namespace", apply(me, strings.Replace(object("", ""), "{ns}", "nowhere", 1))),
		single("apply without a namespace", apply(me, strings.Replace(object("", ""), `,"namespace":"{ns}"`, "", 1)), getOwn()),
		single("apply another name", apply(me, strings.Replace(object("", ""), "{name}", "other", 1))),
		single("apply with managedFields", apply(me, object(`,"managedFields":[]`, ""))),
		single("apply without a kind", apply(me, `{"metadata":{"name":"{name}"}}`)),
		single("apply an empty body", apply(me, "")),
		single("apply YAML", apply(me, yamlClaim), getOwn()),
		single("apply YAML in one line", apply(me, `{apiVersion: k8s.starter.org/v1alpha1, kind: KubernetesCluster, metadata: {name: "{name}", namespace: "{ns}"}, spec: {nodeCount: 4}}`), getOwn()),
		single("apply YAML with anchors", apply(me, yamlClaim+"  notes: &n '{ns}'\n  parameters: {n: *n}\n"), getOwn()),
		single("apply YAML with two documents", apply(me, yamlClaim+"---\n"+yamlClaim)),
		single("apply text that is not YAML", apply(me, "a: b: c: {")),
		single("apply YAML to another namespace", apply(me, strings.Replace(yamlClaim, "{ns}", "nowhere", 1))),
		single("apply on the server after the client", post(resourcePath, object(lastAppliedAnnotation, "")), apply("?fieldManager=kubectl&force=true", object("", "")), getOwn()),
	}
}

func deletes() []operation {
	creation := createOwn().saving("rv=metadata.resourceVersion")
	options := func(more string) string { return `{"kind":"DeleteOptions","apiVersion":"v1"` + more + `}` }
	deleting := func(name, query, body string) operation {
		return single(name, creation, remove(ownPath+query, body), getOwn())
	}
	withFinalizer := post(resourcePath, object(`,"finalizers":["k8s.starter.org/held"]`, ""))
	removeFinalizers := patch(mergePatch, ownPath, `{"metadata":{"finalizers":null}}`)
	uncomparedRemoval := removeFinalizers
	uncomparedRemoval.notCompared = true
	return []operation{
		deleting("delete", "", ""),
		deleting("delete with options", "", options("")),
		deleting("delete with options of meta.k8s.io", "", strings.Replace(options(""), `"v1"`, `"meta.k8s.io/v1"`, 1)),
		deleting("delete with policy Background", "", options(`,"propagationPolicy":"Background"`)),
		deleting("delete with policy Background in the query", "?propagationPolicy=Background", ""),
		deleting("delete with grace period 0", "", options(`,"gracePeriodSeconds":0`)),
		deleting("delete with an invalid policy", "", options(`,"propagationPolicy":"Sideways"`)),
		deleting("delete as a dry run", "?dryRun=All", ""),
		deleting("delete as a dry run in options", "", options(`,"dryRun":["All"]`)),
		deleting("delete with its version", "", options(`,"preconditions":{"resourceVersion":"{rv}"}`)),
		deleting("delete with another version", "", options(`,"preconditions":{"resourceVersion":"1"}`)),
		deleting("delete with another uid", "", options(`,"preconditions":{"uid":"00000000-0000-0000-0000-000000000000"}`)),
		deleting("delete with an unknown option", "", options(`,"speed":"high"`)),
		deleting("delete with an invalid body", "", `{"kind":`),
		deleting("delete with another kind", "", `{"kind":"Pod","apiVersion":"v1"}`),
		deleting("delete pretty", "?pretty=true", ""),
		single("delete with options in YAML", creation, step{method: "DELETE", path: ownPath, body: "kind: DeleteOptions\napiVersion: v1\npropagationPolicy: Background\n", headers: []string{yamlBody}}),
		single("delete with options in plain text", creation, step{method: "DELETE", path: ownPath, body: "please", headers: []string{"Content-Type: text/plain"}}),
		single("delete, answer as Table", creation, step{method: "DELETE", path: ownPath, headers: []string{acceptTable}}),
		single("delete, answer in YAML", creation, step{method: "DELETE", path: ownPath, headers: []string{acceptYAML}}),
		single("delete a missing object", remove(ownPath, "")),
		single("delete with a finalizer", withFinalizer, remove(ownPath, ""), getOwn(), get(ownPath, acceptTable), removeFinalizers),
		single("delete with policy Foreground and a finalizer", withFinalizer, remove(ownPath, options(`,"propagationPolicy":"Foreground"`)), uncomparedRemoval),
		single("delete with policy Orphan and a finalizer", withFinalizer, remove(ownPath, options(`,"propagationPolicy":"Orphan"`)), uncomparedRemoval),
		single("delete twice with a finalizer", withFinalizer, remove(ownPath, ""), remove(ownPath, ""), removeFinalizers),
		single("delete a collection", createOwn(), remove(ownListPath, ""), getOwn()),
		single("delete an empty collection", remove(ownListPath, "")),
		single("delete a collection as a dry run", createOwn(), remove(ownListPath+"&dryRun=All", ""), getOwn()),
		single("delete a collection, answer as Table", createOwn(), step{method: "DELETE", path: ownListPath, headers: []string{acceptTable}}),
		single("delete a collection, answer as metadata", createOwn(), step{method: "DELETE", path: ownListPath, headers: []string{acceptPartialList}}),
		single("delete a collection, answer as metadata in protobuf", createOwn(), step{method: "DELETE", path: ownListPath, headers: []string{acceptProtobuf + ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}}),
		single("delete with a finalizer, answer as metadata in protobuf", withFinalizer, step{method: "DELETE", path: ownPath, headers: []string{acceptProtobuf + ";as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}}, removeFinalizers),
		single("delete, answer as metadata in protobuf", createOwn(), step{method: "DELETE", path: ownPath, headers: []string{acceptProtobuf + ";as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}}),
		single("delete a collection by name", createOwn(), remove(resourcePath+"?fieldSelector=metadata.name%3D{name}", options(`,"propagationPolicy":"Background"`)), getOwn()),
		single("delete a collection by an invalid selector", remove(resourcePath+"?labelSelector=a+in+b", "")),
	}
}

func subresources() []operation {
	status := object("", `},"status":{"nodeCount":2,"conditions":[{"type":"Ready","message":"in {ns}"}]`)
	scale := `{"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"{name}","namespace":"{ns}"},"spec":{"replicas":6}}`
	return []operation{
		single("update status", createOwn(), put(ownPath+"/status", status), getOwn()),
		single("update status with another namespace", createOwn(), put(ownPath+"/status", strings.Replace(status, "{ns}", "nowhere", 1))),
		single("patch status", createOwn(), patch(mergePatch, ownPath+"/status", `{"status":{"nodeCount":2},"spec":{"nodeCount":9}}`), getOwn()),
		single("JSON patch status", createOwn(), patch(jsonPatch, ownPath+"/status", `[{"op":"add","path":"/status","value":{"nodeCount":1}}]`)),
		single("apply status", createOwn(), patch(applyPatch, ownPath+"/status?fieldManager=me", strings.Replace(status, `"spec":{"nodeCount":3},`, "", 1)), get(ownPath+"/status")),
		single("update scale", createOwn(), put(ownPath+"/scale", scale), getOwn()),
		single("update scale with another namespace", createOwn(), put(ownPath+"/scale", strings.Replace(scale, "{ns}", "nowhere", 1))),
		single("update scale at an old version", createOwn(), put(ownPath+"/scale", strings.Replace(scale, `{"name"`, `{"resourceVersion":"1","name"`, 1))),
		single("update scale to a negative number", createOwn(), put(ownPath+"/scale", strings.Replace(scale, "6", "-6", 1))),
		single("patch scale", createOwn(), patch(mergePatch, ownPath+"/scale", `{"spec":{"replicas":7}}`), getOwn()),
		single("JSON patch scale", createOwn(), patch(jsonPatch, ownPath+"/scale", `[{"op":"test","path":"/metadata/namespace","value":"{ns}"},{"op":"replace","path":"/spec/replicas","value":8}]`)),
		single("apply scale", createOwn(), patch(applyPatch, ownPath+"/scale?fieldManager=me", `{"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"{name}","namespace":"{ns}"},"spec":{"replicas":3}}`)),
		single("delete status", createOwn(), remove(ownPath+"/status", "")),
		single("POST to status", createOwn(), post(ownPath+"/status", status)),
		single("status of a missing object", get(ownPath+"/status"), patch(mergePatch, ownPath+"/status", `{}`)),
	}
}

package kubernetes

import (
	"slices"
	"strings"
)

const (
	wholeMetadata      = `"name":"{name}","namespace":"{ns}","uid":"{uid}","resourceVersion":"{rv}","generation":1,"creationTimestamp":"{time}","labels":{"op":"{name}","side":"{ns}"}`
	lastAppliedPointer = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration"
	changeNodeCount    = `{"op":"replace","path":"/spec/nodeCount","value":7}`
)

// jsonPatchOperations are JSON patches on fields that contain a namespace, and JSON patches with
// unusual spellings.
func jsonPatchOperations() []operation {
	return slices.Concat(testingPatches(), oddPatches(), copyingPatches(), wholePatches(), subresourcePatches())
}

// patching creates an object, patches it and reads the result.
func patching(name string, operations ...string) operation {
	return single("JSON patch "+name, createOwn(), patch(jsonPatch, ownPath, "["+strings.Join(operations, ",")+"]"), getOwn())
}

// patchingWithSavedFields is the same with the object's uid, version and creation time as {uid},
// {rv} and {time}.
func patchingWithSavedFields(name string, operations ...string) operation {
	saveField := func(keep string) step {
		s := get(ownPath).saving(keep)
		s.notCompared = true
		return s
	}
	return single("JSON patch "+name, createOwn(), saveField("uid=metadata.uid"), saveField(saveVersion), saveField("time=metadata.creationTimestamp"),
		patch(jsonPatch, ownPath, "["+strings.Join(operations, ",")+"]"), getOwn())
}

func valueOperation(op, path, value string) string {
	return `{"op":"` + op + `","path":"` + path + `","value":` + value + `}`
}

func fromOperation(op, from, path string) string {
	return `{"op":"` + op + `","from":"` + from + `","path":"` + path + `"}`
}

// testingPatches test the namespace and every value that contains it.
func testingPatches() []operation {
	inOtherNamespace := func(value string) string {
		return strings.Replace(value, `"namespace":"{ns}"`, `"namespace":"nowhere"`, 1)
	}
	noManagers := `{"op":"remove","path":"/metadata/managedFields"}`
	metadata := "{" + wholeMetadata + "}"
	all := `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":` + metadata + `,"spec":{"nodeCount":3}}`
	few := `{"name":"{name}","namespace":"{ns}","labels":{"a":"{ns}"}}`
	return []operation{
		patchingWithSavedFields("that tests metadata", noManagers, valueOperation("test", "/metadata", metadata), changeNodeCount),
		patchingWithSavedFields("that tests metadata in another key order", noManagers, valueOperation("test", "/metadata", "{"+strings.Replace(wholeMetadata, `"name":"{name}",`, "", 1)+`,"name":"{name}"}`), changeNodeCount),
		patchingWithSavedFields("that tests metadata with managedFields", valueOperation("test", "/metadata", metadata), changeNodeCount),
		patchingWithSavedFields("that tests other metadata", noManagers, valueOperation("test", "/metadata", inOtherNamespace(metadata)), changeNodeCount),
		patchingWithSavedFields("that tests metadata without a namespace", noManagers, valueOperation("test", "/metadata", strings.Replace(metadata, `"namespace":"{ns}",`, "", 1)), changeNodeCount),
		patchingWithSavedFields("that tests the whole object", noManagers, valueOperation("test", "", all), changeNodeCount),
		patchingWithSavedFields("that tests the whole object of another namespace", noManagers, valueOperation("test", "", inOtherNamespace(all)), changeNodeCount),
		patchingWithSavedFields("that tests the whole object with an additional member", noManagers, valueOperation("test", "", strings.Replace(all, `"spec"`, `"status":{},"spec"`, 1)), changeNodeCount),
		patchingWithSavedFields("that tests metadata after removing the namespace", noManagers, `{"op":"remove","path":"/metadata/namespace"}`, valueOperation("test", "/metadata", strings.Replace(metadata, `"namespace":"{ns}",`, "", 1)), changeNodeCount),
		patching("that tests a value it has set", valueOperation("replace", "/metadata", few), valueOperation("test", "/metadata", few)),
		patching("that tests another value than it has set", valueOperation("replace", "/metadata", few), valueOperation("test", "/metadata", inOtherNamespace(few))),
		patching("that tests whether metadata is null", valueOperation("test", "/metadata", "null"), changeNodeCount),
		patching("that tests whether the namespace is null", valueOperation("test", "/metadata/namespace", "null"), changeNodeCount),
		patching("that tests whether the namespace is empty", valueOperation("test", "/metadata/namespace", `""`), changeNodeCount),
		patching("that tests whether the namespace is a number", valueOperation("test", "/metadata/namespace", "5"), changeNodeCount),
		patching("that tests whether the namespace is an object", valueOperation("test", "/metadata/namespace", `{"namespace":"{ns}"}`), changeNodeCount),
		patching("that tests the namespace without a value", `{"op":"test","path":"/metadata/namespace"}`, changeNodeCount),
		patching("that tests below the namespace", valueOperation("test", "/metadata/namespace/x", `"{ns}"`), changeNodeCount),
		patching("that tests a label that is the namespace", valueOperation("test", "/metadata/labels/side", `"{ns}"`), changeNodeCount),
		patching("that tests labels with the namespace", valueOperation("test", "/metadata/labels", `{"op":"{name}","side":"{ns}"}`), changeNodeCount),
		patching("that tests the namespace twice", valueOperation("test", "/metadata/namespace", `"{ns}"`), valueOperation("test", "/metadata/namespace", `"nowhere"`), changeNodeCount),
		patching("that tests a namespace in spec", valueOperation("add", "/spec/parameters", `{"metadata":{"namespace":"{ns}"}}`), valueOperation("test", "/spec/parameters", `{"metadata":{"namespace":"{ns}"}}`)),
		single("JSON patch that tests the last-applied annotation", post(resourcePath, object(lastAppliedAnnotation, "")), patch(jsonPatch, ownPath, "["+valueOperation("test", lastAppliedPointer, `"{ns}"`)+","+changeNodeCount+"]"), getOwn()),
	}
}

// oddPatches have keys and pointers with unusual spellings, and duplicate keys.
func oddPatches() []operation {
	test := func(name, pointer, value string) []operation {
		return []operation{
			patching("that tests a pointer "+name, valueOperation("test", pointer, value), changeNodeCount),
			patching("that replaces a pointer "+name, valueOperation("replace", pointer, value)),
		}
	}
	withDuplicates := func(name, operation string) operation { return patching("with "+name, operation, changeNodeCount) }
	ns, no := `"/metadata/namespace"`, `"/spec/region"`
	return slices.Concat(
		test("with a JSON escape", `/metadata/n\u0061mespace`, `"{ns}"`),
		test("with only escapes", `\u002fmetadata\u002fnamespace`, `"{ns}"`),
		test("with a slash escaped in JSON", `\/metadata\/namespace`, `"{ns}"`),
		test("with a slash escaped as ~1", `/metadata~1namespace`, `"{ns}"`),
		test("with an escaped tilde", `/metadata/labels/a~0b`, `"{ns}"`),
		test("with half an escape", `/metadata/namespace~`, `"{ns}"`),
		test("with an unknown escape", `/metadata/n~2mespace`, `"{ns}"`),
		test("without its first slash", `metadata/namespace`, `"{ns}"`),
		test("with a slash at its end", `/metadata/namespace/`, `"{ns}"`),
		test("with two slashes", `//metadata/namespace`, `"{ns}"`),
		test("that is one slash", `/`, `"{ns}"`),
		test("in capitals", `/Metadata/Namespace`, `"{ns}"`),
		test("with a JSON escape for the tilde of an escape", `/metadata/annotations/a\u007e1b`, `"{ns}"`),
		[]operation{
			patching("with escaped keys", `{"\u006fp":"test","p\u0061th":"/metadata/namespace","v\u0061lue":"{ns}"}`, changeNodeCount),
			patching("with an escaped operation", `{"op":"t\u0065st","path":"/metadata/namespace","value":"{ns}"}`, changeNodeCount),
			patching("with an escaped value", `{"op":"test","path":"/metadata/labels/op","value":"\u006f-x"}`, changeNodeCount),
			patching("with keys in capitals", `{"Op":"test","PATH":"/metadata/namespace","Value":"{ns}"}`, changeNodeCount),
			patching("with an operation in capitals", `{"op":"TEST","path":"/metadata/namespace","value":"{ns}"}`, changeNodeCount),
			patching("with additional members", `{"op":"test","path":"/metadata/namespace","value":"{ns}","note":"{ns}","from":"/metadata/namespace"}`, changeNodeCount),
			patching("with white space", " { \"op\" : \"test\" ,\n\"path\" :\t\"/metadata/namespace\" , \"value\" : \"{ns}\" } ", changeNodeCount),
			patching("with a null path", `{"op":"test","path":null,"value":"{ns}"}`, changeNodeCount),
			patching("with a number as its path", `{"op":"test","path":5,"value":"{ns}"}`, changeNodeCount),
			withDuplicates("its path twice, the namespace last", `{"op":"test","path":`+no+`,"path":`+ns+`,"value":"{ns}"}`),
			withDuplicates("its path twice, the namespace first", `{"op":"add","path":`+ns+`,"path":`+no+`,"value":"{ns}"}`),
			withDuplicates("its operation twice, a test last", `{"op":"replace","op":"test","path":`+ns+`,"value":"{ns}"}`),
			withDuplicates("its operation twice, a test first", `{"op":"test","op":"replace","path":`+ns+`,"value":"{ns}"}`),
			withDuplicates("its operation twice, a copy first", `{"op":"copy","op":"add","from":`+ns+`,"path":`+no+`,"value":"x"}`),
			withDuplicates("its value twice, the right one last", `{"op":"test","path":`+ns+`,"value":"nowhere","value":"{ns}"}`),
			withDuplicates("its value twice, the right one first", `{"op":"test","path":`+ns+`,"value":"{ns}","value":"nowhere"}`),
			withDuplicates("its value before its path, twice", `{"value":"{ns}","value":"{ns}","path":`+ns+`,"op":"test"}`),
			withDuplicates("from twice, labels last", `{"op":"copy","from":"/spec/none","from":"/metadata/labels/op","path":`+no+`}`),
			withDuplicates("from twice, labels first", `{"op":"copy","from":"/metadata/labels/op","from":"/spec/none","path":`+no+`}`),
			withDuplicates("from twice to parameters", `{"op":"move","from":"/metadata/labels","from":"/spec/nodeCount","path":"/spec/parameters"}`),
		})
}

// copyingPatches copy and move values that contain a namespace or can contain one. Patches of
// annotations also run on an object with a last-applied annotation.
func copyingPatches() []operation {
	var all []operation
	for _, one := range []struct{ op, name, from, path string }{
		{"copy", "the whole object to spec", "", "/spec/parameters"},
		{"copy", "parameters to metadata", "/spec/parameters", "/metadata"},
		{"copy", "parameters to the whole object", "/spec/parameters", ""},
		{"copy", "metadata to itself", "/metadata", "/metadata"},
		{"copy", "labels to spec", "/metadata/labels", "/spec/parameters"},
		{"move", "labels to spec", "/metadata/labels", "/spec/parameters"},
		{"copy", "spec to parameters", "/spec", "/spec/parameters"},
		{"move", "spec to parameters", "/spec", "/spec/parameters"},
		{"copy", "annotations to spec", "/metadata/annotations", "/spec/parameters"},
		{"move", "annotations to spec", "/metadata/annotations", "/spec/parameters"},
		{"copy", "annotations to labels", "/metadata/annotations", "/metadata/labels"},
		{"copy", "one annotation to spec", "/metadata/annotations/note", "/spec/notes"},
		{"move", "one annotation to spec", "/metadata/annotations/note", "/spec/notes"},
		{"copy", "one annotation to a label", "/metadata/annotations/note", "/metadata/labels/note"},
		{"move", "one annotation to a label", "/metadata/annotations/note", "/metadata/labels/note"},
		{"copy", "one annotation to another", "/metadata/annotations/note", "/metadata/annotations/other"},
		{"move", "one annotation to another", "/metadata/annotations/note", "/metadata/annotations/other"},
		{"copy", "a label to an annotation", "/metadata/labels/op", "/metadata/annotations/op"},
		{"move", "a label to an annotation", "/metadata/labels/op", "/metadata/annotations/op"},
		{"copy", "the last-applied annotation to spec", lastAppliedPointer, "/spec/notes"},
		{"move", "the last-applied annotation to spec", lastAppliedPointer, "/spec/notes"},
		{"copy", "a note to the last-applied annotation", "/metadata/annotations/note", lastAppliedPointer},
	} {
		const more = `,"parameters":{"name":"{name}"}`
		patched := patch(jsonPatch, ownPath, "["+fromOperation(one.op, one.from, one.path)+"]")
		noted := post(resourcePath, object(`,"labels":{"op":"{name}"},"annotations":{"note":"a"}`, more))
		all = append(all, single("JSON patch, "+one.op+" "+one.name, noted, patched, getOwn()))
		if strings.Contains(one.name, "annotation") || strings.Contains(one.name, "applied") {
			noted := post(resourcePath, object(`,"labels":{"op":"{name}"}`+strings.Replace(lastAppliedAnnotation, `{"kubectl`, `{"note":"a","kubectl`, 1), more))
			all = append(all, single("JSON patch, "+one.op+" "+one.name+", with a last-applied annotation", noted, patched, getOwn()))
		}
	}
	return all
}

// wholePatches set metadata or the whole object.
func wholePatches() []operation {
	metadata := `{"name":"{name}","namespace":"{ns}","annotations":{"note":"{ns}"}}`
	inOtherNamespace := strings.Replace(metadata, "{ns}", "nowhere", 1)
	versioned := "{" + wholeMetadata + "}"
	return []operation{
		patching("that adds metadata", valueOperation("add", "/metadata", metadata)),
		patching("that adds metadata with another namespace", valueOperation("add", "/metadata", inOtherNamespace)),
		patching("that adds metadata without a namespace", valueOperation("add", "/metadata", strings.Replace(metadata, `"namespace":"{ns}",`, "", 1))),
		patching("that adds metadata without a name", valueOperation("add", "/metadata", `{"namespace":"{ns}"}`)),
		patching("that adds null as metadata", valueOperation("add", "/metadata", "null")),
		patching("that adds a string as metadata", valueOperation("add", "/metadata", `"{ns}"`)),
		patching("that removes metadata", `{"op":"remove","path":"/metadata"}`),
		patching("that removes the whole object", `{"op":"remove","path":""}`),
		patching("that adds the whole object", valueOperation("add", "", object("", ""))),
		patching("that adds the whole object with another namespace", valueOperation("add", "", strings.Replace(object("", ""), "{ns}", "nowhere", 1))),
		patching("that adds null as the whole object", valueOperation("add", "", "null")),
		patchingWithSavedFields("that adds metadata at its version", valueOperation("add", "/metadata", versioned), changeNodeCount),
		patchingWithSavedFields("that replaces metadata at its version, and its namespace", valueOperation("replace", "/metadata", versioned), valueOperation("replace", "/metadata/namespace", `"{ns}"`), changeNodeCount),
		patchingWithSavedFields("that adds the whole object at its version", valueOperation("add", "", `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":`+versioned+`,"spec":{"nodeCount":4}}`)),
		patchingWithSavedFields("that adds metadata with its keys escaped", valueOperation("add", "/metadata", strings.Replace(versioned, `"namespace"`, `"n\u0061mespace"`, 1)), changeNodeCount),
		patchingWithSavedFields("that adds metadata with its namespace twice", valueOperation("add", "/metadata", strings.Replace(versioned, `"namespace":"{ns}"`, `"namespace":"nowhere","namespace":"{ns}"`, 1)), changeNodeCount),
		patchingWithSavedFields("that adds metadata with a last-applied annotation", valueOperation("add", "/metadata", "{"+wholeMetadata+lastAppliedAnnotation+"}"), changeNodeCount),
	}
}

// subresourcePatches are JSON patches on status and scale.
func subresourcePatches() []operation {
	var all []operation
	for _, on := range []struct{ name, change string }{{"status", valueOperation("add", "/status", `{"nodeCount":1}`)}, {"scale", valueOperation("replace", "/spec/replicas", "8")}} {
		for _, one := range []struct{ name, operation string }{
			{"tests the namespace", valueOperation("test", "/metadata/namespace", `"{ns}"`)},
			{"tests another namespace", valueOperation("test", "/metadata/namespace", `"nowhere"`)},
			{"tests metadata", valueOperation("test", "/metadata", `{"name":"{name}","namespace":"{ns}"}`)},
			{"tests the whole object", valueOperation("test", "", `{"metadata":{"namespace":"{ns}"}}`)},
			{"tests by an escaped pointer", valueOperation("test", `/metadata/n\u0061mespace`, `"{ns}"`)},
			{"has its path and value twice", `{"op":"test","path":"/spec","path":"/metadata/namespace","value":1,"value":"{ns}"}`},
			{"replaces the namespace", valueOperation("replace", "/metadata/namespace", `"nowhere"`)},
			{"replaces the namespace with itself", valueOperation("replace", "/metadata/namespace", `"{ns}"`)},
			{"removes the namespace", `{"op":"remove","path":"/metadata/namespace"}`},
			{"adds metadata", valueOperation("add", "/metadata", `{"name":"{name}","namespace":"{ns}"}`)},
			{"adds the whole object", valueOperation("add", "", object("", ""))},
			{"copies metadata", fromOperation("copy", "/metadata", "/spec/parameters")},
			{"copies a name", fromOperation("copy", "/metadata/name", "/spec/notes")},
			{"has an unknown operation", `{"op":"dance","path":"/metadata/namespace"}`},
		} {
			all = append(all, single("JSON patch on "+on.name+" that "+one.name, createOwn(), patch(jsonPatch, ownPath+"/"+on.name, "["+one.operation+","+on.change+"]"), get(ownPath+"/"+on.name)))
		}
	}
	return all
}

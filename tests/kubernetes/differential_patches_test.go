package kubernetes

import (
	"slices"
	"strings"
)

const (
	wholeMetadata = `"name":"{name}","namespace":"{ns}","uid":"{uid}","resourceVersion":"{rv}","generation":1,"creationTimestamp":"{time}","labels":{"op":"{name}","side":"{ns}"}`
	lastApplied   = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration"
	countUp       = `{"op":"replace","path":"/spec/nodeCount","value":7}`
)

// jsonPatchOperations are JSON patches on what a namespace stands in, and such as are oddly written.
func jsonPatchOperations() []operation {
	return slices.Concat(testingPatches(), oddPatches(), copyingPatches(), wholePatches(), subresourcePatches())
}

// patching is a JSON patch of an object that is created, and what came of it.
func patching(name string, operations ...string) operation {
	return single("JSON patch "+name, created(), patch(jsonPatch, own, "["+strings.Join(operations, ",")+"]"), then())
}

// knowing is the same with what the control plane has set of its own as {uid}, {rv} and {time}.
func knowing(name string, operations ...string) operation {
	know := func(keep string) step {
		s := get(own).keeping(keep)
		s.isQuiet = true
		return s
	}
	return single("JSON patch "+name, created(), know("uid=metadata.uid"), know(ownVersion), know("time=metadata.creationTimestamp"),
		patch(jsonPatch, own, "["+strings.Join(operations, ",")+"]"), then())
}

func pointed(op, path, value string) string {
	return `{"op":"` + op + `","path":"` + path + `","value":` + value + `}`
}

func from(op, from, path string) string {
	return `{"op":"` + op + `","from":"` + from + `","path":"` + path + `"}`
}

// testingPatches are tests of the namespace and of all that it stands in.
func testingPatches() []operation {
	elsewhere := func(value string) string {
		return strings.Replace(value, `"namespace":"{ns}"`, `"namespace":"nowhere"`, 1)
	}
	noManagers := `{"op":"remove","path":"/metadata/managedFields"}`
	metadata := "{" + wholeMetadata + "}"
	all := `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":` + metadata + `,"spec":{"nodeCount":3}}`
	few := `{"name":"{name}","namespace":"{ns}","labels":{"a":"{ns}"}}`
	return []operation{
		knowing("that tests metadata", noManagers, pointed("test", "/metadata", metadata), countUp),
		knowing("that tests metadata in another order", noManagers, pointed("test", "/metadata", "{"+strings.Replace(wholeMetadata, `"name":"{name}",`, "", 1)+`,"name":"{name}"}`), countUp),
		knowing("that tests metadata with its managers", pointed("test", "/metadata", metadata), countUp),
		knowing("that tests other metadata", noManagers, pointed("test", "/metadata", elsewhere(metadata)), countUp),
		knowing("that tests metadata of no namespace", noManagers, pointed("test", "/metadata", strings.Replace(metadata, `"namespace":"{ns}",`, "", 1)), countUp),
		knowing("that tests all", noManagers, pointed("test", "", all), countUp),
		knowing("that tests all of another namespace", noManagers, pointed("test", "", elsewhere(all)), countUp),
		knowing("that tests all with a member too many", noManagers, pointed("test", "", strings.Replace(all, `"spec"`, `"status":{},"spec"`, 1)), countUp),
		knowing("that tests the rest once the namespace is gone", noManagers, `{"op":"remove","path":"/metadata/namespace"}`, pointed("test", "/metadata", strings.Replace(metadata, `"namespace":"{ns}",`, "", 1)), countUp),
		patching("that tests what it has set", pointed("replace", "/metadata", few), pointed("test", "/metadata", few)),
		patching("that tests other than it has set", pointed("replace", "/metadata", few), pointed("test", "/metadata", elsewhere(few))),
		patching("that tests metadata for null", pointed("test", "/metadata", "null"), countUp),
		patching("that tests the namespace for null", pointed("test", "/metadata/namespace", "null"), countUp),
		patching("that tests the namespace for nothing", pointed("test", "/metadata/namespace", `""`), countUp),
		patching("that tests the namespace for a number", pointed("test", "/metadata/namespace", "5"), countUp),
		patching("that tests the namespace for an object", pointed("test", "/metadata/namespace", `{"namespace":"{ns}"}`), countUp),
		patching("that tests the namespace without a value", `{"op":"test","path":"/metadata/namespace"}`, countUp),
		patching("that tests below the namespace", pointed("test", "/metadata/namespace/x", `"{ns}"`), countUp),
		patching("that tests a label that is the namespace", pointed("test", "/metadata/labels/side", `"{ns}"`), countUp),
		patching("that tests labels with the namespace", pointed("test", "/metadata/labels", `{"op":"{name}","side":"{ns}"}`), countUp),
		patching("that tests the namespace twice", pointed("test", "/metadata/namespace", `"{ns}"`), pointed("test", "/metadata/namespace", `"nowhere"`), countUp),
		patching("that tests a namespace in spec", pointed("add", "/spec/parameters", `{"metadata":{"namespace":"{ns}"}}`), pointed("test", "/spec/parameters", `{"metadata":{"namespace":"{ns}"}}`)),
		single("JSON patch that tests the last applied", post(resourcePath, object(applied, "")), patch(jsonPatch, own, "["+pointed("test", lastApplied, `"{ns}"`)+","+countUp+"]"), then()),
	}
}

// oddPatches have their keys and pointers spelt in other ways, and keys more than once.
func oddPatches() []operation {
	test := func(name, pointer, value string) []operation {
		return []operation{
			patching("of a pointer "+name, pointed("test", pointer, value), countUp),
			patching("to a pointer "+name, pointed("replace", pointer, value)),
		}
	}
	twice := func(name, operation string) operation { return patching("with "+name, operation, countUp) }
	ns, no := `"/metadata/namespace"`, `"/spec/region"`
	return slices.Concat(
		test("with an escape of JSON", `/metadata/n\u0061mespace`, `"{ns}"`),
		test("with escapes alone", `\u002fmetadata\u002fnamespace`, `"{ns}"`),
		test("with an escaped slash of JSON", `\/metadata\/namespace`, `"{ns}"`),
		test("with an escaped slash of pointers", `/metadata~1namespace`, `"{ns}"`),
		test("with an escaped tilde", `/metadata/labels/a~0b`, `"{ns}"`),
		test("with half an escape", `/metadata/namespace~`, `"{ns}"`),
		test("with no such escape", `/metadata/n~2mespace`, `"{ns}"`),
		test("without its first slash", `metadata/namespace`, `"{ns}"`),
		test("with a slash at its end", `/metadata/namespace/`, `"{ns}"`),
		test("with two slashes", `//metadata/namespace`, `"{ns}"`),
		test("of one slash", `/`, `"{ns}"`),
		test("in capitals", `/Metadata/Namespace`, `"{ns}"`),
		test("with an escape for the tilde of an escape", `/metadata/annotations/a\u007e1b`, `"{ns}"`),
		[]operation{
			patching("with escaped keys", `{"\u006fp":"test","p\u0061th":"/metadata/namespace","v\u0061lue":"{ns}"}`, countUp),
			patching("with an escaped operation", `{"op":"t\u0065st","path":"/metadata/namespace","value":"{ns}"}`, countUp),
			patching("with an escaped value", `{"op":"test","path":"/metadata/labels/op","value":"\u006f-x"}`, countUp),
			patching("with keys in capitals", `{"Op":"test","PATH":"/metadata/namespace","Value":"{ns}"}`, countUp),
			patching("with an operation in capitals", `{"op":"TEST","path":"/metadata/namespace","value":"{ns}"}`, countUp),
			patching("with members too many", `{"op":"test","path":"/metadata/namespace","value":"{ns}","note":"{ns}","from":"/metadata/namespace"}`, countUp),
			patching("with white space", " { \"op\" : \"test\" ,\n\"path\" :\t\"/metadata/namespace\" , \"value\" : \"{ns}\" } ", countUp),
			patching("with a null path", `{"op":"test","path":null,"value":"{ns}"}`, countUp),
			patching("with a path of a number", `{"op":"test","path":5,"value":"{ns}"}`, countUp),
			twice("its path twice, the namespace last", `{"op":"test","path":`+no+`,"path":`+ns+`,"value":"{ns}"}`),
			twice("its path twice, the namespace first", `{"op":"add","path":`+ns+`,"path":`+no+`,"value":"{ns}"}`),
			twice("its operation twice, a test last", `{"op":"replace","op":"test","path":`+ns+`,"value":"{ns}"}`),
			twice("its operation twice, a test first", `{"op":"test","op":"replace","path":`+ns+`,"value":"{ns}"}`),
			twice("its operation twice, a copy first", `{"op":"copy","op":"add","from":`+ns+`,"path":`+no+`,"value":"x"}`),
			twice("its value twice, the right one last", `{"op":"test","path":`+ns+`,"value":"nowhere","value":"{ns}"}`),
			twice("its value twice, the right one first", `{"op":"test","path":`+ns+`,"value":"{ns}","value":"nowhere"}`),
			twice("its value before its path, twice", `{"value":"{ns}","value":"{ns}","path":`+ns+`,"op":"test"}`),
			twice("from twice, labels last", `{"op":"copy","from":"/spec/none","from":"/metadata/labels/op","path":`+no+`}`),
			twice("from twice, labels first", `{"op":"copy","from":"/metadata/labels/op","from":"/spec/none","path":`+no+`}`),
			twice("from twice to parameters", `{"op":"move","from":"/metadata/labels","from":"/spec/nodeCount","path":"/spec/parameters"}`),
		})
}

// copyingPatches copy and move what a namespace is in, or may be: each of an object without the annotation
// of what was last applied, and those of annotations also of one that has it.
func copyingPatches() []operation {
	var all []operation
	for _, one := range []struct{ op, name, from, path string }{
		{"copy", "all to spec", "", "/spec/parameters"},
		{"copy", "parameters to metadata", "/spec/parameters", "/metadata"},
		{"copy", "parameters to all", "/spec/parameters", ""},
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
		{"copy", "the last applied to spec", lastApplied, "/spec/notes"},
		{"move", "the last applied to spec", lastApplied, "/spec/notes"},
		{"copy", "a note to the last applied", "/metadata/annotations/note", lastApplied},
	} {
		const more = `,"parameters":{"name":"{name}"}`
		patched := patch(jsonPatch, own, "["+from(one.op, one.from, one.path)+"]")
		noted := post(resourcePath, object(`,"labels":{"op":"{name}"},"annotations":{"note":"a"}`, more))
		all = append(all, single("JSON patch, "+one.op+" "+one.name, noted, patched, then()))
		if strings.Contains(one.name, "annotation") || strings.Contains(one.name, "applied") {
			noted := post(resourcePath, object(`,"labels":{"op":"{name}"}`+strings.Replace(applied, `{"kubectl`, `{"note":"a","kubectl`, 1), more))
			all = append(all, single("JSON patch, "+one.op+" "+one.name+", with a last applied", noted, patched, then()))
		}
	}
	return all
}

// wholePatches set metadata, or all, at once.
func wholePatches() []operation {
	metadata := `{"name":"{name}","namespace":"{ns}","annotations":{"note":"{ns}"}}`
	elsewhere := strings.Replace(metadata, "{ns}", "nowhere", 1)
	versioned := "{" + wholeMetadata + "}"
	return []operation{
		patching("that adds metadata", pointed("add", "/metadata", metadata)),
		patching("that adds metadata of another namespace", pointed("add", "/metadata", elsewhere)),
		patching("that adds metadata of no namespace", pointed("add", "/metadata", strings.Replace(metadata, `"namespace":"{ns}",`, "", 1))),
		patching("that adds metadata of no name", pointed("add", "/metadata", `{"namespace":"{ns}"}`)),
		patching("that adds null as metadata", pointed("add", "/metadata", "null")),
		patching("that adds a string as metadata", pointed("add", "/metadata", `"{ns}"`)),
		patching("that removes metadata", `{"op":"remove","path":"/metadata"}`),
		patching("that removes all", `{"op":"remove","path":""}`),
		patching("that adds all", pointed("add", "", object("", ""))),
		patching("that adds all of another namespace", pointed("add", "", strings.Replace(object("", ""), "{ns}", "nowhere", 1))),
		patching("that adds null as all", pointed("add", "", "null")),
		knowing("that adds metadata at its version", pointed("add", "/metadata", versioned), countUp),
		knowing("that replaces metadata at its version, and its namespace", pointed("replace", "/metadata", versioned), pointed("replace", "/metadata/namespace", `"{ns}"`), countUp),
		knowing("that adds all at its version", pointed("add", "", `{"apiVersion":"k8s.starter.org/v1alpha1","kind":"KubernetesCluster","metadata":`+versioned+`,"spec":{"nodeCount":4}}`)),
		knowing("that adds metadata with its keys escaped", pointed("add", "/metadata", strings.Replace(versioned, `"namespace"`, `"n\u0061mespace"`, 1)), countUp),
		knowing("that adds metadata with its namespace twice", pointed("add", "/metadata", strings.Replace(versioned, `"namespace":"{ns}"`, `"namespace":"nowhere","namespace":"{ns}"`, 1)), countUp),
		knowing("that adds metadata with the last applied", pointed("add", "/metadata", "{"+wholeMetadata+applied+"}"), countUp),
	}
}

// subresourcePatches are the same on status and scale.
func subresourcePatches() []operation {
	var all []operation
	for _, on := range []struct{ name, change string }{{"status", pointed("add", "/status", `{"nodeCount":1}`)}, {"scale", pointed("replace", "/spec/replicas", "8")}} {
		for _, one := range []struct{ name, operation string }{
			{"tests the namespace", pointed("test", "/metadata/namespace", `"{ns}"`)},
			{"tests another namespace", pointed("test", "/metadata/namespace", `"nowhere"`)},
			{"tests metadata", pointed("test", "/metadata", `{"name":"{name}","namespace":"{ns}"}`)},
			{"tests all", pointed("test", "", `{"metadata":{"namespace":"{ns}"}}`)},
			{"tests by an escaped pointer", pointed("test", `/metadata/n\u0061mespace`, `"{ns}"`)},
			{"tests twice", `{"op":"test","path":"/spec","path":"/metadata/namespace","value":1,"value":"{ns}"}`},
			{"replaces the namespace", pointed("replace", "/metadata/namespace", `"nowhere"`)},
			{"replaces the namespace by itself", pointed("replace", "/metadata/namespace", `"{ns}"`)},
			{"removes the namespace", `{"op":"remove","path":"/metadata/namespace"}`},
			{"adds metadata", pointed("add", "/metadata", `{"name":"{name}","namespace":"{ns}"}`)},
			{"adds all", pointed("add", "", object("", ""))},
			{"copies metadata", from("copy", "/metadata", "/spec/parameters")},
			{"copies a name", from("copy", "/metadata/name", "/spec/notes")},
			{"is unknown", `{"op":"dance","path":"/metadata/namespace"}`},
		} {
			all = append(all, single("JSON patch on "+on.name+" that "+one.name, created(), patch(jsonPatch, own+"/"+on.name, "["+one.operation+","+on.change+"]"), get(own+"/"+on.name)))
		}
	}
	return all
}

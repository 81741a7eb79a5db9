package kubernetes

import "strings"

// copyOperations are JSON patches that take the namespace for another place.
func copyOperations() []operation {
	const (
		copyTo  = `{"op":"copy","from":"/metadata/namespace","path":`
		moveTo  = `{"op":"move","from":"/metadata/namespace","path":`
		notes   = `"/spec/notes"}`
		isLocal = `{"op":"test","path":"/metadata/namespace","value":"{ns}"}`
	)
	to := func(name, path string, operations ...string) operation {
		return single("JSON patch that "+name, created(), patch(jsonPatch, path, "["+strings.Join(operations, ",")+"]"), then())
	}
	return []operation{
		to("copies the namespace twice", own, copyTo+notes, copyTo+`"/spec/region"}`),
		to("copies the namespace between tests of it", own, isLocal, copyTo+notes, isLocal, `{"op":"test","path":"/spec/notes","value":"{ns}"}`),
		to("tests another namespace behind a copy", own, copyTo+notes, `{"op":"test","path":"/metadata/namespace","value":"nowhere"}`),
		to("copies the namespace to a label", own, copyTo+`"/metadata/labels/from"}`),
		to("copies the namespace to an annotation", own, `{"op":"add","path":"/metadata/annotations","value":{}}`, copyTo+`"/metadata/annotations/from"}`),
		to("copies the namespace to what was applied", own, `{"op":"add","path":"/metadata/annotations","value":{}}`, copyTo+`"/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration"}`),
		to("copies the namespace to the name", own, copyTo+`"/metadata/name"}`),
		to("copies the namespace to a number", own, copyTo+`"/spec/nodeCount"}`),
		to("copies the namespace to an unknown field", own, copyTo+`"/spec/no"}`),
		to("copies the namespace, strictly, to what is unknown", own+"?fieldValidation=Strict", copyTo+`"/spec/no"}`),
		to("copies the namespace to nowhere", own, copyTo+`"/spec/none/such"}`),
		to("copies the namespace beyond a list", own, `{"op":"add","path":"/spec/parameters","value":{"l":[]}}`, copyTo+`"/spec/parameters/l/7"}`),
		to("copies the namespace into a list", own, `{"op":"add","path":"/spec/parameters","value":{"l":["a"]}}`, copyTo+`"/spec/parameters/l/0"}`, copyTo+`"/spec/parameters/l/-"}`),
		to("copies the namespace to itself", own, copyTo+`"/metadata/namespace"}`),
		to("copies the namespace below itself", own, copyTo+`"/metadata/namespace/x"}`),
		to("copies the namespace without a path", own, strings.TrimSuffix(copyTo, `,"path":`)+"}"),
		to("copies the namespace with a value", own, `{"value":{"a":1},"path":"/spec/notes","from":"/metadata/namespace","op":"copy"}`),
		to("copies the namespace and then changes it", own, copyTo+notes, `{"op":"replace","path":"/metadata/namespace","value":"{ns}"}`),
		to("copies the namespace and changes finalizers", own, copyTo+notes, `{"op":"add","path":"/metadata/finalizers","value":["example.org/{name}"]}`, `{"op":"remove","path":"/metadata/finalizers"}`),
		to("copies the namespace to status", own+"/status", `{"op":"add","path":"/status","value":{}}`, copyTo+`"/status/phase"}`),
		to("copies the namespace of a dry run", own+"?dryRun=All", copyTo+notes),
		to("moves the namespace to itself", own, moveTo+`"/metadata/namespace"}`),
		to("moves the namespace to nowhere", own, moveTo+`"/spec/none/such"}`),
		to("moves the namespace and adds it", own, moveTo+notes, `{"op":"add","path":"/metadata/namespace","value":"{ns}"}`),
		to("moves the namespace and tests it", own, moveTo+notes, `{"op":"test","path":"/metadata/namespace"}`),
		to("copies and moves the namespace", own, copyTo+notes, moveTo+`"/spec/region"}`),
		single("JSON patch that copies what is missing", patch(jsonPatch, own, "["+copyTo+notes+"]")),
	}
}

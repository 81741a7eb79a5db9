package kubernetes

import "strings"

// mappedMetadataPatchOperations are JSON patches that copy or move metadata that claimgate maps.
// claimgate rejects each kind with the same message, before the control plane sees it.
func mappedMetadataPatchOperations() []operation {
	const (
		copyNamespace = `{"op":"copy","from":"/metadata/namespace","path":`
		toNotes       = `"/spec/notes"}`
		addFinalizer  = `{"op":"add","path":"/metadata/finalizers","value":["example.org/{name}"]}`
	)
	patchOperation := func(name, path string, operations ...string) operation {
		return single("JSON patch that "+name, createOwn(), patch(jsonPatch, path, "["+strings.Join(operations, ",")+"]"), getOwn())
	}
	return []operation{
		patchOperation("copies the namespace in a dry run", ownPath+"?dryRun=All", copyNamespace+toNotes),
		patchOperation("copies the namespace to status", ownPath+"/status", `{"op":"add","path":"/status","value":{}}`, copyNamespace+`"/status/phase"}`),
		patchOperation("copies the name to the namespace", ownPath, fromOperation("copy", "/metadata/name", "/metadata/namespace")),
		patchOperation("copies the namespace below itself", ownPath, copyNamespace+`"/metadata/namespace/x"}`),
		patchOperation("copies a finalizer", ownPath, addFinalizer, fromOperation("copy", "/metadata/finalizers/0", "/spec/notes"), `{"op":"remove","path":"/metadata/finalizers"}`),
		patchOperation("copies owner references", ownPath, fromOperation("copy", "/metadata/ownerReferences", "/spec/parameters")),
		patchOperation("moves the hidden annotation", ownPath, fromOperation("move", "/metadata/annotations/claimgate.dev~1hidden", "/spec/notes")),
		single("JSON patch that copies from a missing object", patch(jsonPatch, ownPath, "["+copyNamespace+toNotes+"]")),
	}
}

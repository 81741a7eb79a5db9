package kubernetes

// Media types of CBOR, for which kube-apiserver's feature gate is off. Clients whose own gate is on
// prefer CBOR, get JSON, and write JSON after a 415 (client-go, rest/client.go).
const (
	acceptCBOR     = "Accept: application/cbor,application/json"
	acceptWeighted = "Accept: application/cbor;q=1,application/json;q=0.9"
	acceptTyped    = "Accept: application/vnd.kubernetes.protobuf,application/cbor,application/json"
	acceptStream   = "Accept: application/cbor-seq;stream=watch,application/json;stream=watch,application/json"
	cborBody       = "Content-Type: application/cbor"
	// An empty map behind the tag that marks CBOR (RFC 8949, 3.4.6).
	emptyCBOR = "\xd9\xd9\xf7\xa0"
)

// cborForms are Accept headers of clients that accept CBOR. Metadata has one kind for an object and
// another for a list.
var cborForms = []struct{ name, accept string }{
	{"CBOR or JSON", acceptCBOR},
	{"CBOR with a q-value", acceptWeighted},
	{"protobuf, CBOR or JSON", acceptTyped},
	{"protobuf with a higher q-value, CBOR or JSON", "Accept: application/vnd.kubernetes.protobuf;q=1,application/cbor;q=0.9,application/json;q=0.8"},
	{"CBOR with a lower q-value", "Accept: application/cbor;q=0.1,application/json;q=0.2"},
	{"CBOR with q-value 0", "Accept: application/cbor;q=0,application/json"},
	{"CBOR or anything", "Accept: application/cbor,*/*"},
	{"CBOR or YAML", "Accept: application/cbor,application/yaml"},
	{"only CBOR", "Accept: application/cbor"},
	{"CBOR or JSON streams", acceptStream},
	{"Table in CBOR or JSON", "Accept: application/cbor;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1;g=meta.k8s.io,application/json"},
	{"Table in CBOR or objects in JSON", "Accept: application/cbor;as=Table;v=v1;g=meta.k8s.io,application/json"},
	{"metadata in CBOR or JSON", "Accept: application/cbor;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"},
	{"metadata list in CBOR or JSON", "Accept: application/cbor;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"},
}

// cborOperations are requests of clients that accept or write CBOR.
func cborOperations() []operation {
	creation := createOwn().saving(saveVersion)
	var all []operation
	for _, form := range cborForms {
		all = append(all,
			single("read as "+form.name, createOwn(), get(ownPath, form.accept), get(ownListPath, form.accept), get(ownPath+"/status", form.accept), get(ownPath+"/scale", form.accept), get(ownPath+"-none", form.accept)),
			single("write and accept "+form.name, post(resourcePath, object(`,"labels":{"op":"{name}"}`, ""), form.accept).saving(saveVersion),
				put(ownPath, object(`,"labels":{"op":"{name}"},"resourceVersion":"{rv}"`, `,"region":"us"`), form.accept),
				step{method: "PATCH", path: ownPath, body: `{"spec":{"nodeCount":4}}`, headers: []string{mergePatch, form.accept}},
				step{method: "PATCH", path: ownPath + "?fieldManager=me", body: object("", `,"region":"us"`), headers: []string{applyPatch, form.accept}},
				step{method: "DELETE", path: ownListPath, headers: []string{form.accept}}),
			single("watch as "+form.name, creation, get(watchOwn+oneSecond, form.accept), watchLines(watchOwn+fromSavedVersion, 1, []step{remove(ownPath, "")}, form.accept)),
			single("watch list as "+form.name, createOwn(), watchLines(watchOwn+initialEvents+oneSecond, 2, nil, form.accept)))
	}
	return append(all, writtenInCBOR()...)
}

// writtenInCBOR are writes in CBOR. They are rejected with the list of supported types.
func writtenInCBOR() []operation {
	write := func(name, method, path string, headers ...string) operation {
		return single(name, createOwn(), step{method: method, path: path, body: emptyCBOR, headers: headers}, getOwn())
	}
	operations := []operation{
		write("update in CBOR", "PUT", ownPath, cborBody),
		write("update in CBOR, accept CBOR", "PUT", ownPath, cborBody, acceptCBOR),
		write("update status in CBOR", "PUT", ownPath+"/status", cborBody),
		write("update scale in CBOR", "PUT", ownPath+"/scale", cborBody),
		write("create in CBOR, accept protobuf", "POST", resourcePath, cborBody, acceptTyped),
		write("create in CBOR with a media type parameter", "POST", resourcePath, cborBody+";charset=utf-8"),
		write("create in a CBOR sequence", "POST", resourcePath, "Content-Type: application/cbor-seq"),
		write("patch with content type application/cbor", "PATCH", ownPath, cborBody),
		write("merge patch in CBOR", "PATCH", ownPath, "Content-Type: application/merge-patch+cbor"),
		write("JSON patch in CBOR", "PATCH", ownPath, "Content-Type: application/json-patch+cbor"),
		write("apply in CBOR", "PATCH", ownPath+"?fieldManager=me&force=true", "Content-Type: application/apply-patch+cbor", acceptCBOR),
		write("apply status in CBOR", "PATCH", ownPath+"/status?fieldManager=me", "Content-Type: application/apply-patch+cbor"),
		write("apply scale in CBOR", "PATCH", ownPath+"/scale?fieldManager=me", "Content-Type: application/apply-patch+cbor"),
		write("delete with options in CBOR, accept CBOR", "DELETE", ownPath, cborBody, acceptCBOR),
		write("delete a collection with options in CBOR", "DELETE", ownListPath, cborBody),
	}
	return append(operations,
		single("apply in CBOR to a missing object", step{method: "PATCH", path: ownPath + "?fieldManager=me", body: emptyCBOR, headers: []string{"Content-Type: application/apply-patch+cbor"}}, getOwn()),
		single("update a missing object in CBOR", step{method: "PUT", path: ownPath, body: emptyCBOR, headers: []string{cborBody}}, getOwn()),
		// What client-go does when its gates are on.
		single("create in CBOR, then in JSON", step{method: "POST", path: resourcePath, body: emptyCBOR, headers: []string{cborBody, acceptWeighted}},
			post(resourcePath, object("", ""), acceptWeighted), get(ownPath, acceptWeighted)))
}

package kubernetes

// The types of CBOR, which kube-apiserver has behind a gate that is off. Clients whose own gate is on ask
// for it first, are answered in JSON, and take a 415 as a sign to write JSON (client-go, rest/client.go).
const (
	acceptCBOR   = "Accept: application/cbor,application/json"
	acceptDyn    = "Accept: application/cbor;q=1,application/json;q=0.9"
	acceptTyped  = "Accept: application/vnd.kubernetes.protobuf,application/cbor,application/json"
	acceptStream = "Accept: application/cbor-seq;stream=watch,application/json;stream=watch,application/json"
	cborBody     = "Content-Type: application/cbor"
	// A map with nothing in it, behind the tag by which CBOR is known (RFC 8949, 3.4.6).
	emptyCBOR = "\xd9\xd9\xf7\xa0"
)

// cborForms are what clients send that take CBOR. Names of a metadata kind are for one object and for a list.
var cborForms = []struct{ name, accept string }{
	{"CBOR or JSON", acceptCBOR},
	{"CBOR by weight", acceptDyn},
	{"protobuf, CBOR or JSON", acceptTyped},
	{"protobuf of more weight, CBOR or JSON", "Accept: application/vnd.kubernetes.protobuf;q=1,application/cbor;q=0.9,application/json;q=0.8"},
	{"CBOR of less weight", "Accept: application/cbor;q=0.1,application/json;q=0.2"},
	{"CBOR of weight 0", "Accept: application/cbor;q=0,application/json"},
	{"CBOR or anything", "Accept: application/cbor,*/*"},
	{"CBOR or YAML", "Accept: application/cbor,application/yaml"},
	{"CBOR alone", "Accept: application/cbor"},
	{"a stream of CBOR or of JSON", acceptStream},
	{"Table in CBOR or JSON", "Accept: application/cbor;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1;g=meta.k8s.io,application/json"},
	{"Table in CBOR alone, or JSON", "Accept: application/cbor;as=Table;v=v1;g=meta.k8s.io,application/json"},
	{"metadata in CBOR or JSON", "Accept: application/cbor;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"},
	{"metadata list in CBOR or JSON", "Accept: application/cbor;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"},
}

// cborOperations are those of clients that take CBOR, and of such as write it.
func cborOperations() []operation {
	seen := created().keeping(ownVersion)
	var all []operation
	for _, form := range cborForms {
		all = append(all,
			single("read as "+form.name, created(), get(own, form.accept), get(oneOfThem, form.accept), get(own+"/status", form.accept), get(own+"/scale", form.accept), get(own+"-none", form.accept)),
			single("write and take "+form.name, post(resourcePath, object(`,"labels":{"op":"{name}"}`, ""), form.accept).keeping(ownVersion),
				put(own, object(`,"labels":{"op":"{name}"},"resourceVersion":"{rv}"`, `,"region":"us"`), form.accept),
				step{method: "PATCH", path: own, body: `{"spec":{"nodeCount":4}}`, headers: []string{mergePatch, form.accept}},
				step{method: "PATCH", path: own + "?fieldManager=me", body: object("", `,"region":"us"`), headers: []string{applyPatch, form.accept}},
				step{method: "DELETE", path: oneOfThem, headers: []string{form.accept}}),
			single("watch as "+form.name, seen, get(watchOwn+short, form.accept), watching(watchOwn+fromOwn, 1, []step{remove(own, "")}, form.accept)),
			single("watch list as "+form.name, created(), watching(watchOwn+initial+short, 2, nil, form.accept)))
	}
	return append(all, writtenInCBOR()...)
}

// writtenInCBOR are refused, with the types that are taken instead.
func writtenInCBOR() []operation {
	write := func(name, method, path string, headers ...string) operation {
		return single(name, created(), step{method: method, path: path, body: emptyCBOR, headers: headers}, then())
	}
	operations := []operation{
		write("update in CBOR", "PUT", own, cborBody),
		write("update in CBOR and take it", "PUT", own, cborBody, acceptCBOR),
		write("update of status in CBOR", "PUT", own+"/status", cborBody),
		write("update of scale in CBOR", "PUT", own+"/scale", cborBody),
		write("create in CBOR and take protobuf", "POST", resourcePath, cborBody, acceptTyped),
		write("create in CBOR with a parameter", "POST", resourcePath, cborBody+";charset=utf-8"),
		write("create in a sequence of CBOR", "POST", resourcePath, "Content-Type: application/cbor-seq"),
		write("patch in CBOR of no kind", "PATCH", own, cborBody),
		write("merge patch in CBOR", "PATCH", own, "Content-Type: application/merge-patch+cbor"),
		write("JSON patch in CBOR", "PATCH", own, "Content-Type: application/json-patch+cbor"),
		write("apply in CBOR", "PATCH", own+"?fieldManager=me&force=true", "Content-Type: application/apply-patch+cbor", acceptCBOR),
		write("apply in CBOR to status", "PATCH", own+"/status?fieldManager=me", "Content-Type: application/apply-patch+cbor"),
		write("apply in CBOR to scale", "PATCH", own+"/scale?fieldManager=me", "Content-Type: application/apply-patch+cbor"),
		write("delete with options in CBOR and take it", "DELETE", own, cborBody, acceptCBOR),
		write("delete a collection with options in CBOR", "DELETE", oneOfThem, cborBody),
	}
	return append(operations,
		single("apply in CBOR to nothing", step{method: "PATCH", path: own + "?fieldManager=me", body: emptyCBOR, headers: []string{"Content-Type: application/apply-patch+cbor"}}, then()),
		single("update in CBOR of nothing", step{method: "PUT", path: own, body: emptyCBOR, headers: []string{cborBody}}, then()),
		// What client-go does when its gates are on.
		single("create in CBOR, and once more in JSON", step{method: "POST", path: resourcePath, body: emptyCBOR, headers: []string{cborBody, acceptDyn}},
			post(resourcePath, object("", ""), acceptDyn), get(own, acceptDyn)))
}

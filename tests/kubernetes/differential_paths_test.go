package kubernetes

// paths are read in some way of the server's own.
func paths() []operation {
	group := "/apis/" + groupVersion
	all := []operation{
		single("watch missing by the legacy path, everywhere", get(group+"/watch/kubernetesclusters/{name}?timeoutSeconds=1")),
		single("watch one by the legacy path, everywhere, selected", created(), get(group+"/watch/kubernetesclusters/{name}?timeoutSeconds=1&fieldSelector=metadata.namespace%3D{ns}")),
		single("watch everywhere by the legacy path and another name", created(), get(group+"/watch/kubernetesclusters/{name}?timeoutSeconds=1&fieldSelector=metadata.name%3Dx")),
		single("slash after a list", created(), get(resourcePath+"//?fieldSelector=metadata.name%3D{name}")),
		single("slash twice in a path", created(), get(group+"/namespaces//{ns}/kubernetesclusters/{name}")),
		single("slash thrice after a name", created(), get(own+"///"), remove(own+"//", "")),
		single("no namespace between slashes", created(), get(group+"/namespaces//kubernetesclusters?fieldSelector=metadata.namespace%3D{ns},metadata.name%3D{name}")),
		single("slash twice first", created(), get("/"+own)),
		single("proxy path", get(group+"/proxy/namespaces/{ns}/kubernetesclusters/{name}")),
		single("proxy path of nothing", get(group+"/proxy"), get(group+"/proxy/kubernetesclusters"), get(group+"/watch")),
	}
	for _, name := range []string{"a%25b", "a%252Fb", ".", "..", "%2e", "%2E%2e", "a%2Fb", "a%01b", "a%7Fb", "a%00b", "a%C2%85b"} {
		all = append(all, single("name "+name, get(resourcePath+"/"+name), remove(resourcePath+"/"+name, "")),
			single("patch of name "+name, patch(mergePatch, resourcePath+"/"+name, "{}"), get(resourcePath+"/"+name+"/status")))
	}
	for _, namespace := range []string{"a%2Fb"} {
		all = append(all, single("namespace "+namespace, get(group+"/namespaces/"+namespace+"/kubernetesclusters/{name}")))
	}
	return append(all, subresourceOwners()...)
}

// subresourceOwners are owners in a write to a subresource, which takes no metadata from it.
func subresourceOwners() []operation {
	const owner = `,"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"a","uid":"b"}]`
	scale := `{"kind":"Scale","apiVersion":"autoscaling/v1","metadata":{"name":"{name}","namespace":"{ns}"` + owner + `},"spec":{"replicas":2}}`
	return []operation{
		single("owner in an update of status", created().keeping(ownVersion), put(own+"/status", object(`,"resourceVersion":"{rv}"`+owner, ""))),
		single("owner in a patch of status", created(), patch(mergePatch, own+"/status", `{"metadata":{`+owner[1:]+`}}`)),
		single("owner in an apply of status", created(), step{method: "PATCH", path: own + "/status?fieldManager=me", body: object(owner, ""), headers: []string{applyPatch}}),
		single("owner in an update of scale", created(), put(own+"/scale?dryRun=All", scale)),
	}
}

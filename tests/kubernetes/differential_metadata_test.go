package kubernetes

import (
	"strings"
)

// metadataOperations are watches of metadata in protobuf, by who takes nothing else.
func metadataOperations() []operation {
	const metadata = acceptProtobuf + ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	older := strings.Replace(metadata, "v=v1", "v=v1beta1", 1)
	list := get(oneOfThem).keeping(ownVersion)
	seen := created().keeping(ownVersion)
	in := func(name string, steps ...step) operation { return single("metadata in protobuf: "+name, steps...) }
	byHTTP1 := func(step step) step {
		step.http1 = true
		return step
	}
	return []operation{
		in("watch", list, watching(watchOwn+fromOwn, 3, changes(), metadata)),
		in("watch by a stream's type", created(), watching(watchOwn, 1, nil, metadata+";stream=watch")),
		in("watch v1beta1", list, watching(watchOwn+fromOwn, 3, changes(), older)),
		in("watch as a list", created(), get(watchOwn+short, strings.Replace(metadata, "Metadata;", "MetadataList;", 1))),
		in("watch list", created(), watching(watchOwn+initial, 2, nil, metadata)),
		in("watch list as v1beta1", created(), watching(watchOwn+initial, 2, nil, older)),
		in("watch list of nothing", watching(watchOwn+initial, 1, nil, metadata)),
		in("watch list and go on", created(), watching(watchOwn+initial, 3, []step{remove(own, "")}, metadata)),
		in("watch to a bookmark", seen, bookmark(watchOwn+fromOwn, metadata)),
		in("watch a deletion", seen, watching(watchOwn+fromOwn, 1, []step{remove(own, "")}, metadata)),
		in("watch by labels that go", seen, watching(resourcePath+"?watch=true&labelSelector=op%3D{name}"+fromOwn, 1,
			[]step{patch(mergePatch, own, `{"metadata":{"labels":null}}`)}, metadata)),
		in("watch finalizers", seen, watching(watchOwn+fromOwn, 3, []step{
			patch(mergePatch, own, `{"metadata":{"finalizers":["example.org/held"]}}`), remove(own, ""),
			patch(mergePatch, own, `{"metadata":{"finalizers":null}}`)}, metadata)),
		in("watch much", seen, watching(watchOwn+fromOwn, 2, []step{
			patch(mergePatch, own, `{"metadata":{"annotations":{"note":"`+strings.Repeat("in {ns} ", 8<<10)+`"}}}`), remove(own, "")}, metadata)),
		in("watch to its end", created(), get(watchOwn+short, metadata)),
		in("watch nothing to its end", get(watchOwn+short, metadata)),
		in("watch from version 1", get(watchOwn+"&resourceVersion=1"+short, metadata)),
		in("watch from no version", get(watchOwn+"&resourceVersion=abc"+short, metadata)),
		in("watch from a future version", get(watchOwn+"&resourceVersion=999999999"+short, metadata)),
		in("watch everywhere", seen, watching(everywhereMy+fromOwn, 2, changes()[1:], metadata)),
		in("watch everywhere by namespace", seen, watching(everywhereBy+fromOwn, 2, changes()[1:], metadata)),
		in("watch list everywhere", created(), watching(everywhereMy+initial, 2, nil, metadata)),
		in("watch list everywhere by namespace", created(), watching(everywhereBy+initial, 2, nil, metadata)),
		in("watch to a bookmark everywhere", seen, bookmark(everywhereMy+fromOwn, metadata)),
		in("watch everywhere from version 1", get(everywhereMy+"&resourceVersion=1"+short, metadata)),
		in("watch by HTTP/1.1", list, byHTTP1(watching(watchOwn+fromOwn, 3, changes(), metadata))),
		in("watch list by HTTP/1.1", created(), byHTTP1(watching(watchOwn+initial, 2, nil, metadata))),
		in("watch by the legacy path", created(), watching(legacy+"/{name}?timeoutSeconds=60", 1, nil, metadata)),
		in("watch gzip", created(), watching(watchOwn, 1, nil, metadata, "Accept-Encoding: gzip")),
		in("HEAD of a watch", step{method: "HEAD", path: watchOwn + short, headers: []string{metadata}}),
		in("watch by WebSocket", created(), byWebSocket(get(watchOwn+short, metadata))),
		in("watch from version 1 by WebSocket", byWebSocket(get(watchOwn+"&resourceVersion=1"+short, metadata))),
		in("watch or YAML", created(), watching(watchOwn, 1, nil, metadata+",application/yaml")),
		in("watch or what is unknown", created(), watching(watchOwn, 1, nil, metadata+",text/html")),
	}
}

package kubernetes

import (
	"strings"
)

// metadataOperations are watches of metadata by clients that accept only protobuf.
func metadataOperations() []operation {
	const metadata = acceptProtobuf + ";as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	older := strings.Replace(metadata, "v=v1", "v=v1beta1", 1)
	list := get(ownListPath).saving(saveVersion)
	creation := createOwn().saving(saveVersion)
	metadataOperation := func(name string, steps ...step) operation { return single("metadata in protobuf: "+name, steps...) }
	byHTTP1 := func(step step) step {
		step.overHTTP1 = true
		return step
	}
	return []operation{
		metadataOperation("watch", list, watchLines(watchOwn+fromSavedVersion, 3, ownChanges(), metadata)),
		metadataOperation("watch with the stream media type", createOwn(), watchLines(watchOwn, 1, nil, metadata+";stream=watch")),
		metadataOperation("watch v1beta1", list, watchLines(watchOwn+fromSavedVersion, 3, ownChanges(), older)),
		metadataOperation("watch as a list", createOwn(), get(watchOwn+oneSecond, strings.Replace(metadata, "Metadata;", "MetadataList;", 1))),
		metadataOperation("watch list", createOwn(), watchLines(watchOwn+initialEvents, 2, nil, metadata)),
		metadataOperation("watch list as v1beta1", createOwn(), watchLines(watchOwn+initialEvents, 2, nil, older)),
		metadataOperation("watch list of a missing object", watchLines(watchOwn+initialEvents, 1, nil, metadata)),
		metadataOperation("watch list and later events", createOwn(), watchLines(watchOwn+initialEvents, 3, []step{remove(ownPath, "")}, metadata)),
		metadataOperation("watch to a bookmark", creation, watchBookmark(watchOwn+fromSavedVersion, metadata)),
		metadataOperation("watch a deletion", creation, watchLines(watchOwn+fromSavedVersion, 1, []step{remove(ownPath, "")}, metadata)),
		metadataOperation("watch by labels that are removed", creation, watchLines(resourcePath+"?watch=true&labelSelector=op%3D{name}"+fromSavedVersion, 1,
			[]step{patch(mergePatch, ownPath, `{"metadata":{"labels":null}}`)}, metadata)),
		metadataOperation("watch finalizers", creation, watchLines(watchOwn+fromSavedVersion, 3, []step{
			patch(mergePatch, ownPath, `{"metadata":{"finalizers":["example.org/held"]}}`), remove(ownPath, ""),
			patch(mergePatch, ownPath, `{"metadata":{"finalizers":null}}`)}, metadata)),
		metadataOperation("watch a large annotation", creation, watchLines(watchOwn+fromSavedVersion, 2, []step{
			patch(mergePatch, ownPath, `{"metadata":{"annotations":{"note":"`+strings.Repeat("in {ns} ", 8<<10)+`"}}}`), remove(ownPath, "")}, metadata)),
		metadataOperation("watch to its end", createOwn(), get(watchOwn+oneSecond, metadata)),
		metadataOperation("watch a missing object to its end", get(watchOwn+oneSecond, metadata)),
		metadataOperation("watch from version 1", get(watchOwn+"&resourceVersion=1"+oneSecond, metadata)),
		metadataOperation("watch from an invalid version", get(watchOwn+"&resourceVersion=abc"+oneSecond, metadata)),
		metadataOperation("watch from a future version", get(watchOwn+"&resourceVersion=999999999"+oneSecond, metadata)),
		metadataOperation("watch all namespaces", creation, watchLines(watchAllByLabel+fromSavedVersion, 2, ownChanges()[1:], metadata)),
		metadataOperation("watch all namespaces by namespace", creation, watchLines(watchAllByField+fromSavedVersion, 2, ownChanges()[1:], metadata)),
		metadataOperation("watch list of all namespaces", createOwn(), watchLines(watchAllByLabel+initialEvents, 2, nil, metadata)),
		metadataOperation("watch list of all namespaces by namespace", createOwn(), watchLines(watchAllByField+initialEvents, 2, nil, metadata)),
		metadataOperation("watch all namespaces to a bookmark", creation, watchBookmark(watchAllByLabel+fromSavedVersion, metadata)),
		metadataOperation("watch all namespaces from version 1", get(watchAllByLabel+"&resourceVersion=1"+oneSecond, metadata)),
		metadataOperation("watch by HTTP/1.1", list, byHTTP1(watchLines(watchOwn+fromSavedVersion, 3, ownChanges(), metadata))),
		metadataOperation("watch list by HTTP/1.1", createOwn(), byHTTP1(watchLines(watchOwn+initialEvents, 2, nil, metadata))),
		metadataOperation("watch by the legacy path", createOwn(), watchLines(legacyPath+"/{name}?timeoutSeconds=60", 1, nil, metadata)),
		metadataOperation("watch with gzip", createOwn(), watchLines(watchOwn, 1, nil, metadata, "Accept-Encoding: gzip")),
		metadataOperation("HEAD of a watch", step{method: "HEAD", path: watchOwn + oneSecond, headers: []string{metadata}}),
		metadataOperation("watch by WebSocket", createOwn(), byWebSocket(get(watchOwn+oneSecond, metadata))),
		metadataOperation("watch from version 1 by WebSocket", byWebSocket(get(watchOwn+"&resourceVersion=1"+oneSecond, metadata))),
		metadataOperation("watch, or YAML", createOwn(), watchLines(watchOwn, 1, nil, metadata+",application/yaml")),
		metadataOperation("watch, or an unknown type", createOwn(), watchLines(watchOwn, 1, nil, metadata+",text/html")),
	}
}

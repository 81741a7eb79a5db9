package kubernetes

// suiteOperations are on what the other lists have nothing of: watches of metadata as clients have them,
// and watches of which all is seen.
func suiteOperations() []operation {
	metadata := "as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	return []operation{
		single("watch metadata in protobuf or JSON", created(), get(watchOwn+short, acceptProtobuf+";"+metadata+",application/json;"+metadata)),
		single("watch list to its end", created(), get(watchOwn+short+initial)),
		single("watch a deletion to its end", created().keeping(ownVersion), remove(own, ""), get(watchOwn+short+fromOwn)),
	}
}

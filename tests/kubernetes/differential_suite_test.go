package kubernetes

// suiteOperations are on what the other lists have nothing of: watches of metadata as clients have them.
func suiteOperations() []operation {
	metadata := "as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	all := []operation{
		single("watch metadata in protobuf or JSON", created(), get(watchOwn+short, acceptProtobuf+";"+metadata+",application/json;"+metadata)),
	}
	return all
}

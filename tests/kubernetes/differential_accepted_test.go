package kubernetes

// Classes of intentional differences, each with its reason. The project's README.md describes them
// under "What differs from a local API", together with differences that this suite does not
// compare.
const (
	hiddenMetadata    = "The control plane's owner references and its garbage collector's finalizers are hidden. Owner references to app cluster objects are rejected, and the finalizers of the app cluster's collector are stored under other names that claimgate manages."
	protobufMetadata  = "Clients that prefer protobuf get metadata in JSON if they accept it. Protobuf would require parsing and copying each object and buffering whole lists."
	aggregator        = "The aggregator does this with any API server: it requests gzip on its own, unpacks it and leaves Vary, and reports status 200 for an upgrade as 503 (UpgradeAwareHandler.tryUpgrade)."
	serverBug         = "kube-apiserver fails although the request is valid."
	foreignClaims     = "Claims of others are removed from the pages that the control plane returns."
	unmappedNamespace = "Requests in an unmapped namespace do not reach the control plane: Tables have only the column for the name, and requests by name fail, because a 404 would prove to the app cluster's garbage collector that the object does not exist."
	readByClaimgate   = "Bodies are mapped and YAML is decoded before the control plane sees them: sizes are measured after mapping, YAML errors come first and without Go's types, and a JSON patch may not copy or move mapped metadata."
)

// acceptedDifferences are intentional. Each names the reason of its class.
var acceptedDifferences = []expectedDifference{
	{"create with an owner", "HTTP 422", hiddenMetadata},
	{"delete with orphanDependents=true", `"f:finalizers":{`, hiddenMetadata},
	{"delete with orphanDependents=perhaps", `"f:finalizers":{`, hiddenMetadata},
	{"delete with propagationPolicy=Orphan", `"f:finalizers":{`, hiddenMetadata},
	{"delete with propagationPolicy=Foreground", `"f:finalizers":{`, hiddenMetadata},
	{"delete with policy Foreground and a finalizer", `"f:finalizers":{`, hiddenMetadata},
	{"delete with policy Orphan and a finalizer", `"f:finalizers":{`, hiddenMetadata},

	{"get by the metadata client", "Content-Type: application/json", protobufMetadata},
	{"list by the metadata client", "Content-Type: application/json", protobufMetadata},
	{"watch by the metadata client", "Content-Type: application/json", protobufMetadata},
	{"watch list by the metadata client", "Content-Type: application/json", protobufMetadata},
	{"watch to a bookmark by the metadata client", "Content-Type: application/json", protobufMetadata},
	{"watch metadata in protobuf or JSON", "Content-Type: application/json", protobufMetadata},

	{"large object", "Vary: Accept-Encoding", aggregator},
	{"large object by watch", "Vary: Accept-Encoding", aggregator},
	{"large last-applied annotation", "Vary: Accept-Encoding", aggregator},
	{"large YAML with gzip", "Vary: Accept-Encoding", aggregator},
	{"create and get a large object with gzip", "Vary: Accept-Encoding", aggregator},
	// If claimgate compressed it, twenty other WatchLists would carry Vary and be compressed only
	// up to the aggregator.
	{"watch list with gzip", "Content-Encoding: gzip", aggregator},
	{"WebSocket with no Upgrade header", "HTTP 503", aggregator},
	{"WebSocket with SPDY as the protocol", "HTTP 503", aggregator},
	{"WebSocket on an object", "HTTP 503", aggregator},
	{"WebSocket on a list", "HTTP 503", aggregator},

	// kube-apiserver panics and closes the connection (schemaCoercingDecoder.Decode).
	{"body in protobuf", "HTTP 415", serverBug},
	// The second page is empty: kube-apiserver reads the token with another key prefix than it
	// wrote it for.
	{"pages of all namespaces by namespace", `"items":[{`, serverBug},
	{"kubectl get kc -A --field-selector=metadata.namespace={ns} --chunk-size=2", "NAME      SYNCED", serverBug},
	// kube-apiserver says that no kind is registered for the type v1.Scale.
	{"update scale in invalid YAML", "did not find expected node content", serverBug},

	{"pages with foreign claims", `"items":[]`, foreignClaims},

	{"unmapped namespace: list Table", "SYNCED", unmappedNamespace},
	{"unmapped namespace: watch list Table", "SYNCED", unmappedNamespace},
	{"unmapped namespace: get", "HTTP 403", unmappedNamespace},
	{"unmapped namespace: get Table", "HTTP 403", unmappedNamespace},
	{"unmapped namespace: delete", "HTTP 403", unmappedNamespace},
	{"unmapped namespace: kubectl get one", "(Forbidden)", unmappedNamespace},

	{"object too large for etcd", "to send message larger than max", readByClaimgate},
	{"create in YAML with a null key", "unsupported map key: ", readByClaimgate},
	{"create in YAML with duplicate and unknown fields, Strict", "already set in map\"", readByClaimgate},
	{"JSON patch, copy the whole object to spec", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch, copy parameters to metadata", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch, copy parameters to the whole object", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch, copy metadata to itself", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch, copy annotations to spec", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch, copy annotations to spec, with a last-applied annotation", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch, move annotations to spec", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch, move annotations to spec, with a last-applied annotation", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch, copy annotations to labels", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch, copy annotations to labels, with a last-applied annotation", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch, copy the last-applied annotation to spec", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch, copy the last-applied annotation to spec, with a last-applied annotation", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch, move the last-applied annotation to spec", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch, move the last-applied annotation to spec, with a last-applied annotation", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch, copy a note to the last-applied annotation", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch, copy a note to the last-applied annotation, with a last-applied annotation", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch on status that copies metadata", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch on scale that copies metadata", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch that copies the namespace", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch that moves the namespace", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch that copies labels to annotations", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch that moves labels to annotations", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch that copies the namespace in a dry run", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch that copies the namespace to status", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch that copies the name to the namespace", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch that copies the namespace below itself", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch that copies a finalizer", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch that copies owner references", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch that moves the hidden annotation", "a JSON patch may not copy or move", readByClaimgate},
	{"JSON patch that copies from a missing object", "a JSON patch may not copy or move", readByClaimgate},
}

// acceptedWithOlder are accepted differences from a control plane of 1.35. Some of its messages
// differ from those of newer versions, which claimgate uses in its own errors.
var acceptedWithOlder = []expectedDifference{
	{"apply YAML with duplicate fields, Strict", "error strict decoding patch", "Kubernetes 1.35 says \"decoding YAML\"."},
	{"apply text that is not YAML", "error encoding patch", "Kubernetes 1.35 says \"decoding YAML\"."},
	{"YAML with an escaped slash", "error encoding patch", "Kubernetes 1.35 says \"decoding YAML\"."},
	{"YAML in UTF-16, truncated", "error encoding patch", "Kubernetes 1.35 says \"decoding YAML\"."},
	{"YAML in UTF-16, with half a surrogate pair", "error encoding patch", "Kubernetes 1.35 says \"decoding YAML\"."},
	// claimgate removes these references; newer control planes remove them on their own.
	{"owner in an update of status", `"operation":"Update"`, "Kubernetes 1.35 records owner references as managed although it does not store them."},
	{"owner in a patch of status", `"operation":"Update"`, "Kubernetes 1.35 records owner references as managed although it does not store them."},
	{"owner in an apply of status", `"operation"`, "Kubernetes 1.35 records owner references as managed although it does not store them."},
}

// sameWithOlder are accepted differences that do not occur with a control plane of 1.35, which does
// not compress WatchLists.
var sameWithOlder = []string{"watch list with gzip"}

// cutOffDirectly are operations that kube-apiserver itself answers incompletely or not at all.
var cutOffDirectly = []string{"body in protobuf"}

// knownBugs are known bugs of claimgate. The test prints them and fails once a bug is fixed, so
// this list can only shrink.
var knownBugs = []expectedDifference{}

// racyOperations are operations that the control plane itself answers in two ways. The two routes
// may differ once and agree in the second run.
var racyOperations = []expectedDifference{}

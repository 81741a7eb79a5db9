package kubernetes

// Reasons that several operations share.
const (
	noProtobuf      = "who takes protobuf alone is refused, and in JSON"
	prefersProtobuf = "what takes protobuf and JSON gets JSON, which alone can be mapped"
	noGzip          = "the aggregator asks for gzip by itself: twenty other WatchLists would come with its Vary, packed only for it to unpack"
	decoded         = "the aggregator asks for gzip by itself and decodes it, but leaves Vary"
	bookkeeping     = "finalizers of the garbage collector are not shown but in an annotation"
	noUpgrade       = "the aggregator wants an upgrade or a failure, and takes 200 for neither (UpgradeAwareHandler.tryUpgrade)"
	quotesJSON      = "what was sent on is quoted, which is the YAML as JSON"
)

// acceptedDifferences are meant, each for a reason.
var acceptedDifferences = []tolerated{
	{"body in protobuf", "HTTP 415", "kube-apiserver panics and breaks off (schemaCoercingDecoder.Decode)"},
	{"JSON patch that copies the namespace", "HTTP 400", "the copy would hold the control plane's name; refused with a message"},
	{"JSON patch that moves the namespace", "HTTP 400", "as a copy"},
	{"pages everywhere by namespace", `"items":[{`, "kube-apiserver has an empty second page: its token is read against another key than it was written for; asked for the namespace itself it is right"},
	{"kubectl get kc -A --field-selector=metadata.namespace={ns} --chunk-size=2", "NAME      SYNCED", "the same empty second page"},
	{"object too large for etcd", "trying to send message larger than max", "the bytes that are counted hold the longer, remote name"},
	{"large object", "Vary: Accept-Encoding", decoded},
	{"large object by watch", "Vary: Accept-Encoding", decoded},
	{"large last applied", "Vary: Accept-Encoding", decoded},
	{"create and get much, gzipped", "Vary: Accept-Encoding", decoded},
	{"get by the metadata client", "Content-Type: application/json", prefersProtobuf},
	{"list by the metadata client", "Content-Type: application/json", prefersProtobuf},
	{"watch the metadata client", "Content-Type: application/json", prefersProtobuf},
	{"watch list the metadata client", "Content-Type: application/json", prefersProtobuf},
	{"watch to a bookmark the metadata client", "Content-Type: application/json", prefersProtobuf},
	{"missing object in protobuf or JSON", "Content-Type: application/json", prefersProtobuf},
	{"watch list gzip", "Content-Type: application/json", noGzip},
	{"large YAML, gzipped", "Vary: Accept-Encoding", decoded},
	{"create in YAML of a list", "5b2261222c2262225d", quotesJSON},
	{"create in YAML of text", "2268656c6c6f22", quotesJSON},
	{"create in YAML with null as key", "unsupported map key: ", "the key alone is quoted, and not Go's types"},
	{"update scale in broken YAML", "did not find expected node content", "kube-apiserver fails to find words: no kind is registered for the type v1.Scale"},
	{"twice and unknown in YAML, Strict", "already set in map\"", "keys that are there twice are refused first, unknown fields once those are mended"},
	{"create with an owner", "HTTP 422", "owner references to objects of the app cluster are refused"},
	{"delete with orphanDependents=true", `"generation":2`, bookkeeping},
	{"delete with orphanDependents=perhaps", `"generation":2`, bookkeeping},
	{"delete with propagationPolicy=Orphan", `"generation":2`, bookkeeping},
	{"delete with propagationPolicy=Foreground", `"generation":2`, bookkeeping},
	{"delete what is held in the foreground", `"finalizers":["k8s.starter.org/held"]`, bookkeeping},
	{"delete what is held and leave orphans", `"finalizers":["k8s.starter.org/held"]`, bookkeeping},
	{"WebSocket with no protocol to upgrade to", "HTTP 503", noUpgrade},
	{"WebSocket with SPDY instead", "HTTP 503", noUpgrade},
	{"WebSocket on an object", "HTTP 503", noUpgrade},
	{"WebSocket on a list", "HTTP 503", noUpgrade},
}

// olderDifferences are those to a control plane of 1.35, whose words are others than the newer ones
// that claimgate has for what it refuses itself.
var olderDifferences = []tolerated{
	{"apply twice in YAML, Strict", "error strict decoding patch", "it says \"decoding YAML\""},
	{"apply YAML that is none", "error encoding patch", "it says \"decoding YAML\""},
}

// knownDifferences are faults of claimgate that are known. The test prints them, and fails once one
// of them is gone, so that this list can only become shorter.
var knownDifferences = []tolerated{
	{"get PartialObjectMetadata in protobuf alone", "HTTP 406", noProtobuf},
	{"get protobuf", "Content-Type: application/json", noProtobuf},
	{"list protobuf", "Content-Type: application/json", noProtobuf},
	{"watch protobuf", "Content-Type: application/json", noProtobuf},
	{"missing object in protobuf", "Content-Type: application/json", noProtobuf},
	{"body of no type in protobuf's answer", "Content-Type: application/json", noProtobuf},

	{"body that is cut and long", "cannot be read as JSON", "some of it has left in the control plane's terms, of which a refusal would quote a part"},
	{"strategic patch and no acceptable type", `{"kind":"Status"`, "of claimgate's own refusals only a 406 is indented"},
}

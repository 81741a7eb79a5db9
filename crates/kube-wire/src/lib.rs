//! Wire formats of the Kubernetes API.
//!
//! - [`request_info`] parses the method, path and query of a request, as kube-apiserver does.
//! - [`accept`] negotiates the serializer of a response.
//! - [`group_version`] names a version of an API group.
//! - [`status`] describes failures as `Status` objects and encodes them.
//! - [`protobuf`] encodes the types of `meta/v1` from JSON, and decodes `DeleteOptions`.
//! - [`yaml`] converts YAML to JSON and back, as `sigs.k8s.io/yaml` does.
//!
//! Every function is pure. Its arguments and results are bytes, text and the types of the crate `http`. There
//! is no I/O, no async code and no configuration. References such as `apiserver/pkg/...` are paths of
//! Kubernetes' Go modules below `k8s.io/`.

pub mod accept;
pub mod group_version;
pub mod protobuf;
pub mod request_info;
pub mod status;
pub mod yaml;

//! An in-memory Kubernetes API server with custom resources, over TLS and HTTP/2, for tests and
//! demonstrations. It simulates a Crossplane control plane: claims become Ready after a while.
//!
//! [`DevControlPlane::start`] makes certificates, listens on the loopback address and serves until
//! the value is dropped. Tests create and inspect objects in the same process
//! ([`DevControlPlane::objects`]), read the received requests ([`DevControlPlane::requests`]) and
//! inject failures ([`faults`]).
//!
//! # Supported
//! - All verbs on declared [`Resource`]s and on namespaces, the subresources status and scale, dry
//!   runs, field validation, preconditions and finalizers.
//! - JSON patch, JSON merge patch and server-side apply.
//! - Watches with bookmarks and initial events, chunked lists, label and field selectors.
//! - Tables, PartialObjectMetadata, aggregated discovery, OpenAPI v2 and v3.
//!
//! # Missing
//! - Strategic merge patch (415) and server-side apply of scale (415).
//! - Protobuf, CBOR, gzip, and YAML other than the body of an apply.
//! - Authorization, admission, garbage collection, and conversion between versions: all versions
//!   of a resource share one schema.
//!
//! # Path of a request
//! ```text
//! server: TCP, TLS, HTTP, faults, authentication
//!   └─ handler: routing
//!        ├─ discovery, openapi
//!        ├─ read, watch ─────────────┐
//!        └─ write ─ crud ─ apply     │
//!                    └─ storage ─────┴─ reply
//! ```
//! `crud` has the rules of kube-apiserver's registry, `apply` those of server-side apply, and
//! `storage` keeps objects and events under one lock. `in_process` enters at `crud`.

mod api_server;
mod apply;
mod body;
pub mod certificates;
mod continue_token;
mod control_plane;
mod controller;
mod crud;
mod discovery;
mod error;
pub mod example;
pub mod faults;
mod handler;
mod in_process;
mod json_path;
mod negotiate;
mod object;
mod openapi;
mod partial_metadata;
pub mod patch;
mod read;
mod reply;
mod request;
mod resource;
mod scale;
mod schema;
mod selectors;
mod server;
mod storage;
mod stored_object;
mod table;
mod tls;
mod watch;
mod watch_log;
mod write;

pub use control_plane::{DevControlPlane, DevControlPlaneOptions, LaunchError};
pub use error::StatusError;
pub use in_process::Objects;
pub use request::RecordedRequest;
pub use resource::{Column, Resource, Scale};

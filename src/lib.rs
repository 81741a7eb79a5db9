//! claimgate: an aggregated API server that serves the claims of a control plane in an app cluster.
//!
//! The path of a request, and the order in which to read:
//!
//! ```text
//! server: accept ─ TLS ─ HTTP ─ router ─┬─ authn
//!                                       ├─ catalog: discovery and OpenAPI, from memory
//!                                       └─ proxy: rewrite request ─ upstream ─▶ control plane
//!                                                 rewrite response ◀─────────────────┘
//! ```
//!
//! Imports go one way: a module imports those below it in the list of modules, never those above it
//! (`tests/module_order.rs`). Code without HTTP, async and configuration is in separate crates:
//! `json_rewrite`, `kube_wire` and `claim_mapping`.

pub mod cli;

#[cfg(feature = "dev")]
pub mod dev;

#[cfg(feature = "app-cluster")]
pub mod connect;

pub mod app;

#[cfg(feature = "app-cluster")]
mod registration;

#[cfg(feature = "app-cluster")]
mod managed_secrets;

#[cfg(feature = "app-cluster")]
mod leader;

#[cfg(feature = "app-cluster")]
mod copies;

#[cfg(feature = "app-cluster")]
mod connection_secrets;

#[cfg(feature = "app-cluster")]
mod claim_events;

#[cfg(feature = "app-cluster")]
mod input_objects;

#[cfg(feature = "app-cluster")]
mod claims;

#[cfg(feature = "app-cluster")]
mod owned_objects;

#[cfg(feature = "app-cluster")]
mod object_key;

#[cfg(feature = "app-cluster")]
mod watch_report;

#[cfg(feature = "app-cluster")]
mod work_queue;

#[cfg(feature = "app-cluster")]
mod app_cluster;

pub mod server;

pub mod router;

pub mod catalog;
pub mod proxy;
pub mod websocket;

pub mod namespaces;

pub mod authn;

pub mod upstream;

pub mod body;
pub mod error;
mod health;
mod limits;
mod response;
pub mod status;

mod remembered_places;
pub mod signals;
mod state_directory;
mod systemd;
pub mod telemetry;

pub mod config;
pub mod tls;

//! claimgate: an aggregated API server that shows the claims of a control plane in an app cluster.
//!
//! The way of a request, and the order in which to read:
//!
//! ```text
//! listen ─ tls ─ serve ─ authn ─ request_info ─ route ─┬─ local answer: health, discovery, openapi
//!                                                      └─ proxy ─ translate, rewrite ─ upstream ─▶ control plane
//! ```
//!
//! Data goes one way; no module reaches back. `rewrite` is pure: bytes in, bytes out, no HTTP, no
//! async, no configuration.

pub mod cli;
pub mod config;

pub mod app;
pub mod signals;

pub mod corked;
pub mod listen;
pub mod tls;

pub mod serve;
pub mod websocket;

pub mod authn;

pub mod accept;
pub mod request_info;

pub mod route;

pub mod discovery;
pub mod openapi;

pub mod proxy;

pub mod mapping;
pub mod translate;

pub mod rewrite;

pub mod protobuf;
pub mod yaml;

pub mod upstream;

pub mod body;
pub mod error;
pub mod status;

pub mod admin;
mod log;
pub mod metrics;
mod notify;
mod process;

pub mod dev;

//! The daemon between a client and an in-memory control plane, over real TLS and HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

mod bodies;
mod bulkheads;
mod compression;
mod deletion;
mod discovery;
mod endings;
mod errors;
mod harness;
mod hidden;
mod metrics;
mod outage;
mod protobuf;
mod references;
mod server_side_apply;
mod serving;
mod shared_mapping;
mod shared_writes;
mod unmapped;
mod websocket;

use bytes::Bytes;
use dev_control_plane::example;
use dev_control_plane::faults::{AfterCut, Fault, Listening};
use harness::{ALL, CLAIMS, SHOP, TestEnv, eventually, json, json_fault, line};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;

const JSON: &str = "application/json";

fn claim(name: &str) -> String {
    example::claim("default", name, 3).to_string()
}

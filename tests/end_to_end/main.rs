//! The daemon between a client and an in-memory control plane.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

mod bodies;
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
mod serving;
mod websocket;

use bytes::Bytes;
use claimgate::dev::control_plane::faults::{AfterCut, Fault, Listening};
use claimgate::dev::example;
use harness::{ALL, Bed, CLAIMS, eventually, json, line};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;

const JSON: &str = "application/json";

fn claim(name: &str) -> String {
    example::claim("default", name, 3).to_string()
}

//! Accepts connections and serves HTTP on them.

pub mod accept;
pub mod admin;
pub mod http;
mod tls_stream;
mod write_coalescing;

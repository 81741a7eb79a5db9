//! Tests of the public interface: examples, limits, memory, and comparison with an oracle.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

mod deferred;
mod embedded;
mod emptied;
mod examples;
mod items;
mod limits;
mod members;
mod memory;
mod properties;

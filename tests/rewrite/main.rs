//! The rewriter by its public face: against a simple one, on golden files, at its bounds.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

mod behaviour;
mod bounds;
mod check;
mod generate;
mod inside;
mod items;
mod members;
mod memory;
mod oracle;
mod properties;
mod worst;

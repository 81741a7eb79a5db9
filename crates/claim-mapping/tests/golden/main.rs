//! Golden files: each input `X.json` has the expected output in `X.out` or the expected error in `X.error`.
//! Every body is also split at every byte.
//!
//! The files of a shared mapping are in the folders `shared-*`. Set `UPDATE_GOLDEN=1` to write missing or different
//! files.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed"
)]

mod harness;
mod shared;
mod table;

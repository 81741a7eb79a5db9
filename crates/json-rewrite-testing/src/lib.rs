//! Test support for `json-rewrite`, shared by its integration tests, fuzz targets and benchmarks.
//!
//! - [`oracle`] rewrites a document in memory, one value at a time. Its output is the expected output.
//! - [`tree`] has the documents, [`plan`] the rules, and [`renamer`] the handler of both.
//! - [`streams`] runs the rewriter over chunks.
//! - [`generate`] makes rules, documents and chunk sizes from arbitrary bytes.
//! - [`check`] compares the rewriter with the oracle and with itself.
//! - [`worst_case`] has the inputs with the highest cost per byte.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

pub mod check;
pub mod generate;
pub mod oracle;
pub mod plan;
pub mod renamer;
pub mod streams;
pub mod tree;
pub mod worst_case;

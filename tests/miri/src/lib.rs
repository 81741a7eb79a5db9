//! The rewriter, linked by its files, with the tests that stand in them.

#[allow(dead_code)]
pub mod rewrite;

// The example of the module's documentation names it so.
extern crate self as claimgate;

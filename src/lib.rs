//! claimgate.
pub mod dev;

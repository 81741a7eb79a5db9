//! Copies events from the control plane to the app cluster, as events about claims.
//!
//! ```text
//! event about a claim ───────────────────────────┐
//! warning about its composite resource ──────────┼─▶ event about the claim in the app cluster
//! warning about one of its composed resources ───┤
//! condition Synced or Ready of the composite ────┘
//! ```
//!
//! The name of a copy is derived from its source, so a restart does not create duplicates. Events can arrive at any
//! rate, and nothing depends on them. So writes have a rate limit, and full buffers drop events.
//!
//! | module | content |
//! |---|---|
//! | `copy` | builds a copy |
//! | `composites` | follows the composite resources of claims |
//! | `composed` | checks that a composed resource belongs to its composite resource |
//! | `waiting` | stores events that arrived before their claim |
//! | `limits` | limits the rate of writes |
//! | `access` | logs each missing right once |
//! | `controller` | the controller |

mod access;
mod composed;
mod composites;
mod controller;
mod copy;
mod limits;
mod waiting;

pub(crate) use self::controller::{ClaimEvents, EventsApi};

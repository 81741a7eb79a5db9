//! Copies events from the control plane to the app cluster, as events about claims.
//!
//! ```text
//! event about a claim ───────────────────────────┐
//! warning about its composite resource ──────────┼─▶ event about the claim in the app cluster
//! warning about one of its composed resources ───┤
//! condition Synced or Ready of the composite ────┘
//! ```
//!
//! A copy has a name that follows from its source, so that a restart writes no second one. Events come at any rate, and
//! nobody depends on them. So the number of writes is limited, and each buffer drops what exceeds it.
//!
//! | module | content |
//! |---|---|
//! | `copy` | what a copy looks like |
//! | `composites` | the composite resources of claims |
//! | `composed` | whether a composed resource belongs to its composite resource |
//! | `waiting` | events that arrived before their claim |
//! | `limits` | how often copies are written |
//! | `access` | missing rights, which are logged once |
//! | `controller` | the controller |

mod access;
mod composed;
mod composites;
mod controller;
mod copy;
mod limits;
mod waiting;

pub(crate) use self::controller::{ClaimEvents, EventsApi};

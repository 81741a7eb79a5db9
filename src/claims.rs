//! The claims of one control plane, for the controllers.
//!
//! | module | content |
//! |---|---|
//! | `claim` | the parts of a claim that the controllers need |
//! | `index` | all claims of a control plane, by UID |
//! | `follow` | keeps the index equal to the control plane |
//! | `scope` | the claims that an entry of the configuration covers |
//! | `report` | reports a problem to the users of a claim, with an event and a condition |

mod claim;
mod follow;
mod index;
mod report;
mod scope;

pub(crate) use self::claim::{Claim, CompositeReference, Pointers};
pub(crate) use self::follow::follow;
pub(crate) use self::index::{ClaimIndex, RemoteClaim};
pub(crate) use self::report::{ClaimReport, Problem, local_reference};
pub(crate) use self::scope::ClaimScope;

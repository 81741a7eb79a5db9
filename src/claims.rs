//! The claims of one control plane, for the controllers: which objects they are, and what they refer to.
//!
//! | module | content |
//! |---|---|
//! | `claim` | what is kept of a claim |
//! | `index` | all claims of a control plane, by UID |
//! | `follow` | keeps the index equal to the control plane |
//! | `scope` | the claims that an entry of the configuration covers |
//! | `report` | tells users of a claim about a problem, by an event and a condition |

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

//! The exposed APIs: discovery and OpenAPI documents, served from memory.
//!
//! [`refresh()`] reads the documents of a control plane in the background and keeps its part of the
//! [`Catalog`] current. [`serve()`] answers requests from the catalog, and the router looks up
//! resources in it. The catalog has only exposed resources. All of them stay during an outage of their
//! control plane, but discovery then lists them without the verb `watch`.
//!
//! Modules import only from those above them:
//!
//! | module | content |
//! |---|---|
//! | `claim_resource` | the names of an exposed resource, for the controllers |
//! | `exposure` | what the configuration exposes |
//! | `document` | rendered documents; requests and replies for them |
//! | `negotiate` | the media types of discovery and OpenAPI |
//! | `discovery` | reads discovery from a control plane and renders it again |
//! | `openapi` | the same for OpenAPI |
//! | `name_limits` | reads the limits of names from CRDs |
//! | `rights` | the rights of claimgate on a control plane |
//! | `rights_review`, `rights_reader` | read these rights: once, and whenever they may have changed |
//! | `offered` | limits discovery to these rights, and during an outage |
//! | `outage` | decides when a control plane is in an outage |
//! | `offers` | what the catalog offers, for the registration of APIServices |
//! | `discovery_cache` | saves discovery and OpenAPI across restarts |
//! | `store` | the [`Catalog`] |
//! | `saved_copy` | decides when documents are saved, and when the saved ones are served |
//! | `serve`, `refresh` | read and write the catalog |
//! | `inspect` | reads a control plane once, for `claimgate check --online` |

#[cfg(feature = "app-cluster")]
mod claim_resource;
mod discovery;
mod discovery_cache;
mod document;
mod exposure;
mod inspect;
mod name_limits;
mod negotiate;
mod offered;
mod offers;
mod openapi;
mod outage;
mod refresh;
mod rights;
mod rights_reader;
mod rights_review;
mod saved_copy;
mod serve;
mod store;

#[cfg(feature = "app-cluster")]
pub use self::claim_resource::ClaimResource;
pub use self::discovery_cache::{DiscoveryCache, DocumentStore};
pub use self::document::{DocumentReply, DocumentRequest};
pub use self::exposure::{ExposedApi, Exposure, ResourceSelection};
pub use self::inspect::{ClusterScoped, Inspection, inspect, read_json};
pub use self::offers::Offers;
pub use self::refresh::{RefreshOptions, refresh};
pub use self::rights::MissingRight;
pub use self::serve::serve;
pub use self::store::{Catalog, ExposedResource, ResourceLookup};

//! OpenAPI v2 and v3 of the exposed resources, reduced to the definitions that they need.
//!
//! A control plane serves one v3 document for each group-version, and one v2 document for
//! everything. The v2 document is reduced while it is received. Both are read again only after they
//! change.

mod control_plane;
mod group_version;
mod references;
mod render;
mod v2;
mod v3;

pub(super) use self::control_plane::OpenApi;
pub(super) use self::group_version::ExposedGroupVersion;
pub(super) use self::render::OpenApiDocuments;

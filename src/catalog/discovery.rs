//! Reads discovery from a control plane, and renders it for the exposed resources.

mod filter;
mod groups;
mod removal;
mod render;
mod resource_list;
mod resource_verbs;

pub(super) use self::filter::{exposed_groups, not_exposed};
pub(super) use self::groups::{
    ApiResource, Group, GroupList, ResourceList, ResourceListEntry, ServedResource, Version,
    find_version,
};
pub(super) use self::removal::RemovalDelay;
pub(super) use self::render::DiscoveryDocuments;
pub(super) use self::resource_list::RenderedResourceList;
pub(super) use self::resource_verbs::ResourceVerbs;

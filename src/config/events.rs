//! Reads `apis[].events`: the events that are copied to the app cluster.

use super::section::Section;

/// The events that are copied for the claims of one API.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EventsConfig {
    /// Events about claims. Without `register` or access to the app cluster, this has no effect.
    pub claim: bool,
    /// Warnings about the composite resources of claims, and their conditions.
    pub composite: bool,
    /// Warnings about the composed resources of these composite resources.
    pub composed: bool,
    /// Whether the names of composite resources are left out.
    pub hide_composite_names: bool,
}

/// Reads `events`.
pub(super) fn events(section: Section<'_>) -> EventsConfig {
    let events = EventsConfig {
        claim: section.flag("claim", true),
        composite: section.flag("composite", false),
        composed: section.flag("composed", false),
        hide_composite_names: section.flag("hideCompositeNames", false),
    };
    if events.composed && !events.composite {
        let cure = "set events.composite: true, or remove it";
        section.problem("composed", "needs events.composite", cure);
    }
    section.finish();
    events
}

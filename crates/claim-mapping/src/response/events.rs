//! The types of watch events, and counts of forwarded events.

/// The type of a watch event (`apimachinery/pkg/watch/watch.go`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EventType {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

impl EventType {
    const ALL: [Self; 5] = [
        Self::Added,
        Self::Modified,
        Self::Deleted,
        Self::Bookmark,
        Self::Error,
    ];

    /// Returns the value of the event's `type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
            Self::Bookmark => "BOOKMARK",
            Self::Error => "ERROR",
        }
    }

    /// Returns `None` for a type that Kubernetes does not define. Such an event is treated as one about an
    /// object.
    pub(super) fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|known| known.name().as_bytes() == name)
    }

    /// Returns whether the event is about the watch itself. Such events have no namespace and are never
    /// dropped: an informer that misses the bookmark at the end of the initial events never syncs (KEP-3157).
    pub(super) fn is_about_the_watch(self) -> bool {
        matches!(self, Self::Bookmark | Self::Error)
    }
}

/// Counts forwarded events by type.
#[derive(Debug, Default)]
pub(super) struct ForwardedEvents([u64; EventType::ALL.len()]);

impl ForwardedEvents {
    pub(super) fn count(&mut self, event: EventType) {
        if let Some(count) = self.0.get_mut(event as usize) {
            *count += 1;
        }
    }

    /// Returns the nonzero counts since the last call, and resets them.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (EventType, u64)> + use<> {
        let counts = std::mem::take(&mut self.0);
        EventType::ALL
            .into_iter()
            .zip(counts)
            .filter(|(_, count)| *count > 0)
    }
}

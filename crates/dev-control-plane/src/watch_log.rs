//! The event log: the latest changes with their resourceVersions. Watches start in it, and continued lists
//! restore an earlier state from it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::resource::GroupResource;
use super::stored_object::StoredObject;

/// One change of one object.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) resource_version: u64,
    pub(crate) resource: GroupResource,
    pub(crate) key: String,
    pub(crate) change: Change,
}

#[derive(Clone, Debug)]
pub(crate) enum Change {
    Added {
        object: Arc<StoredObject>,
    },
    /// `last` is the final state, with the resourceVersion of the deletion.
    Deleted {
        previous: Arc<StoredObject>,
        last: Arc<StoredObject>,
    },
    Modified {
        previous: Arc<StoredObject>,
        object: Arc<StoredObject>,
    },
}

/// Error: the events after a requested resourceVersion are no longer in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compacted {
    pub(crate) oldest: u64,
}

#[derive(Debug)]
pub(crate) struct WatchLog {
    events: VecDeque<Arc<Event>>,
    events_max: usize,
    latest: u64,
    /// The resourceVersion of the newest event that is no longer in the log.
    compacted: u64,
}

impl Change {
    /// Returns the object before the change, if it existed.
    pub(crate) fn previous(&self) -> Option<&Arc<StoredObject>> {
        match self {
            Self::Added { .. } => None,
            Self::Deleted { previous, .. } | Self::Modified { previous, .. } => Some(previous),
        }
    }
}

impl WatchLog {
    pub(crate) fn new(first: u64, events_max: usize) -> Self {
        Self {
            events: VecDeque::new(),
            events_max,
            latest: first,
            compacted: first,
        }
    }

    pub(crate) fn latest(&self) -> u64 {
        self.latest
    }

    /// Appends an event, whose resourceVersion must be `latest() + 1`.
    pub(crate) fn push(&mut self, event: Event) {
        self.latest = event.resource_version;
        self.events.push_back(Arc::new(event));
        while self.events.len() > self.events_max {
            if let Some(gone) = self.events.pop_front() {
                self.compacted = gone.resource_version;
            }
        }
    }

    /// Returns the events after `resource_version`, oldest first.
    pub(crate) fn since(&self, resource_version: u64) -> Result<Vec<Arc<Event>>, Compacted> {
        if resource_version < self.compacted {
            return Err(Compacted {
                oldest: self.compacted,
            });
        }
        let start = self
            .events
            .partition_point(|event| event.resource_version <= resource_version);
        Ok(self.events.range(start..).cloned().collect())
    }

    /// Deletes all events.
    pub(crate) fn compact(&mut self) {
        self.events.clear();
        self.compacted = self.latest;
    }
}

//! Stores events that arrived before the claim or the composite resource that they are about.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Event;

/// Maximum number of objects with waiting events. In a shared namespace, most of these objects belong to other app
/// clusters, so their events are never taken.
const OBJECTS_MAX: usize = 1024;

/// Maximum number of waiting events of one object. The rate limit would not allow a larger burst.
const EVENTS_MAX: usize = 25;

/// The waiting events, by a key of the object that they are about.
#[derive(Default)]
pub(super) struct Waiting {
    events: HashMap<String, VecDeque<Arc<Event>>>,
    /// The keys of the objects. The object that has waited longest is first.
    order: VecDeque<String>,
}

impl Waiting {
    /// Adds an event, or replaces an earlier version of it.
    pub(super) fn add(&mut self, object: &str, event: Arc<Event>) {
        if !self.events.contains_key(object) {
            self.order.push_back(object.to_owned());
        }
        let events = self.events.entry(object.to_owned()).or_default();
        events.retain(|known| known.metadata.uid != event.metadata.uid);
        events.push_back(event);
        if events.len() > EVENTS_MAX {
            events.pop_front();
        }
        if self.order.len() > OBJECTS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.events.remove(&oldest);
        }
    }

    /// Removes and returns the events about an object.
    pub(super) fn take(&mut self, object: &str) -> impl Iterator<Item = Arc<Event>> + use<> {
        let events = self.events.remove(object);
        if events.is_some() {
            self.order.retain(|known| known != object);
        }
        events.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(uid: &str) -> Arc<Event> {
        let mut event = Event::default();
        event.metadata.uid = Some(uid.to_owned());
        Arc::new(event)
    }

    #[test]
    fn oldest_objects_and_events_are_dropped() {
        let mut waiting = Waiting::default();
        for object in 0..=OBJECTS_MAX {
            waiting.add(&object.to_string(), event("1"));
        }
        assert_eq!(waiting.take("0").count(), 0);
        assert_eq!(waiting.take("1").count(), 1);
        for uid in 0..100 {
            waiting.add("a", event(&uid.to_string()));
        }
        waiting.add("a", event("99"));
        let uids: Vec<_> = waiting
            .take("a")
            .map(|event| event.metadata.uid.clone())
            .collect();
        assert_eq!(uids.len(), EVENTS_MAX);
        assert_eq!(uids.last().unwrap().as_deref(), Some("99"));
        assert_eq!(waiting.events.len(), waiting.order.len());
    }
}

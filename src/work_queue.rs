//! The queue of a controller: processes each key at most once at a time, and retries after failures
//! (`client-go/util/workqueue`).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::mpsc;
use tokio_util::time::{DelayQueue, delay_queue};

/// Maximum number of keys that are processed concurrently.
const CONCURRENCY: usize = 16;

/// Maximum time to process a key. Otherwise, requests to a cluster that no longer answers would never end.
const WORK_MAX: Duration = Duration::from_secs(60);

/// The wait after the first failure of a key. It doubles with each further failure.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(30);

type Key = Arc<str>;

/// Calls `work` for each key that arrives, and retries if it returns false. Ends when there are no more senders.
/// `length` is set to the number of keys that wait or are being processed. Several queues can share it.
pub(crate) async fn run<F: Future<Output = bool>>(
    mut keys: mpsc::Receiver<Key>,
    length: Gauge,
    work: impl Fn(Key) -> F,
) {
    let mut queue = Queue::default();
    let mut running = FuturesUnordered::new();
    let mut length = Length {
        gauge: length,
        own: 0,
    };
    loop {
        length.set(queue.len());
        tokio::select! {
            key = keys.recv() => match key {
                Some(key) => queue.add(key),
                None => return,
            },
            Some((key, is_done)) = running.next() => queue.finish(key, is_done),
            Some(key) = queue.next(), if running.len() < CONCURRENCY => {
                let future = tokio::time::timeout(WORK_MAX, work(Arc::clone(&key)));
                running.push(async move { (key, future.await.unwrap_or(false)) });
            }
        }
    }
}

/// The part of a gauge that one queue adds.
struct Length {
    gauge: Gauge,
    own: i64,
}

impl Length {
    fn set(&mut self, length: usize) {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        self.gauge.inc_by(length - self.own);
        self.own = length;
    }
}

impl Drop for Length {
    fn drop(&mut self) {
        self.gauge.dec_by(self.own);
    }
}

/// The scheduled keys. Each key is in the queue once.
#[derive(Default)]
struct Queue {
    due: DelayQueue<Key>,
    waiting: HashMap<Key, delay_queue::Key>,
    running: HashSet<Key>,
    /// Keys that arrived again while they were being processed.
    again: HashSet<Key>,
    /// Consecutive failures.
    failures: HashMap<Key, u32>,
}

impl Queue {
    fn len(&self) -> usize {
        self.waiting.len() + self.running.len()
    }

    fn add(&mut self, key: Key) {
        if self.running.contains(&key) {
            self.again.insert(key);
        } else {
            self.schedule(key, Duration::ZERO);
        }
    }

    fn schedule(&mut self, key: Key, delay: Duration) {
        match self.waiting.get(&key) {
            Some(entry) => self.due.reset(entry, delay),
            None => {
                let entry = self.due.insert(Arc::clone(&key), delay);
                self.waiting.insert(key, entry);
            }
        }
    }

    /// Returns the next key that is due, or `None` if no key waits.
    async fn next(&mut self) -> Option<Key> {
        let key = self.due.next().await?.into_inner();
        self.waiting.remove(&key);
        self.running.insert(Arc::clone(&key));
        Some(key)
    }

    fn finish(&mut self, key: Key, is_done: bool) {
        self.running.remove(&key);
        if is_done {
            self.failures.remove(&key);
        }
        if self.again.remove(&key) {
            self.schedule(key, Duration::ZERO);
        } else if !is_done {
            let failures = self.failures.entry(Arc::clone(&key)).or_default();
            let delay =
                BACKOFF_MIN.saturating_mul(1_u32.checked_shl(*failures).unwrap_or(u32::MAX));
            *failures += 1;
            self.schedule(key, delay.min(BACKOFF_MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::time::Instant;

    use super::*;

    /// Sends the keys, runs for `time`, and returns the keys in the order of processing. `is_done` gets the key and the
    /// number of its calls.
    async fn worked(
        keys: &[&str],
        time: Duration,
        is_done: impl Fn(&str, usize) -> bool,
    ) -> Vec<(String, Duration)> {
        let (sender, receiver) = mpsc::channel(keys.len());
        for key in keys {
            sender.send((*key).into()).await.unwrap();
        }
        let (begin, worked) = (Instant::now(), RefCell::new(Vec::new()));
        let work = |key: Key| {
            worked.borrow_mut().push((key.to_string(), begin.elapsed()));
            let times = worked
                .borrow()
                .iter()
                .filter(|(known, _)| **known == *key)
                .count();
            let is_done = is_done(&key, times);
            async move { is_done }
        };
        let ended = tokio::time::timeout(time, run(receiver, Gauge::default(), work)).await;
        assert!(ended.is_err());
        worked.into_inner()
    }

    #[tokio::test(start_paused = true)]
    async fn equal_keys_are_processed_once() {
        let mut queue = Queue::default();
        for key in ["a", "b", "a"] {
            queue.add(key.into());
        }
        assert_eq!(queue.len(), 2);
        let mut keys = [queue.next().await.unwrap(), queue.next().await.unwrap()];
        keys.sort();
        assert_eq!(keys.each_ref().map(|key| &**key), ["a", "b"]);
        assert_eq!(queue.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_repeated_with_growing_delays() {
        let time = Duration::from_secs(2);
        let worked = worked(&["a"], time, |_, times| times == 4).await;
        let times: Vec<u128> = worked.iter().map(|(_, at)| at.as_millis()).collect();
        assert_eq!(times.len(), 4, "{times:?}");
        for (time, expected) in times.iter().zip([0, 200, 600, 1400]) {
            assert!(time.abs_diff(expected) <= 10, "{times:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn delays_have_a_limit() {
        let mut queue = Queue::default();
        queue.failures.insert("a".into(), 100);
        queue.running.insert("a".into());
        queue.finish("a".into(), false);
        let begin = Instant::now();
        assert_eq!(queue.next().await.as_deref(), Some("a"));
        assert!(begin.elapsed() <= BACKOFF_MAX + Duration::from_millis(10));
    }

    #[tokio::test(start_paused = true)]
    async fn keys_that_arrive_during_work_are_worked_on_again() {
        let mut queue = Queue::default();
        queue.add("a".into());
        let key = queue.next().await.unwrap();
        queue.add("a".into());
        assert_eq!(queue.len(), 1);
        queue.finish(key, true);
        assert_eq!(queue.next().await.as_deref(), Some("a"));
    }
}

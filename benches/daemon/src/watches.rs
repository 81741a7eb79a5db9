//! Watches that say little: what they keep in memory, and how long their events are under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use crate::backend::{CLAIMS, Events, claim};
use crate::client::Client;
use crate::proxy::{Kind, Proxy};
use crate::{Bed, Error, process};

/// Watches on one connection of a client; the daemon allows the front proxy 1000.
const WATCHES_PER_CONNECTION: usize = 500;

/// Watches that each connection opens at once.
const OPENING_AT_ONCE: usize = 25;

/// How long nothing happens before memory is looked at, so that it is what idle watches keep.
const REST: Duration = Duration::from_secs(5);

/// Every watch gets so many events, one in each interval, evenly spread.
const EVENTS_PER_WATCH: u32 = 3;
const EVENT_EVERY: Duration = Duration::from_secs(10);

/// Longest wait for all watches to open, and for the last event.
const PATIENCE: Duration = Duration::from_secs(120);

/// What one proxy needed.
pub struct Run {
    pub open: Duration,
    pub open_cpu: Duration,
    /// KiB of resident memory that each watch added: after opening, and after some events.
    pub idle_kib: f64,
    pub after_events_kib: f64,
    pub latency_p50: Duration,
    pub latency_p99: Duration,
    pub events: usize,
    pub events_cpu: Duration,
}

pub async fn measure(bed: &Bed, kind: Kind, count: usize) -> Result<Run, Error> {
    let proxy = Proxy::start(bed, kind).await?;
    let pid = proxy.pid();
    tokio::time::sleep(REST).await;
    let before_kib = process::resident_kib(pid)?;
    let per_watch = |kib: u64| (kib as f64 - before_kib as f64) / count as f64;

    let (begun, cpu) = (Instant::now(), process::cpu(pid)?);
    let clock = Instant::now();
    let (sender, mut latencies) = mpsc::unbounded_channel();
    tokio::time::timeout(
        PATIENCE,
        open(bed, &proxy, count, &Watcher { clock, sender }),
    )
    .await??;
    let (open, open_cpu) = (begun.elapsed(), process::cpu(pid)? - cpu);
    tokio::time::sleep(REST).await;
    let idle_kib = per_watch(process::resident_kib(pid)?);

    let watches = bed.backend.watches();
    if watches.len() != count {
        return Err(format!("{} of {count} watches are open", watches.len()).into());
    }
    let cpu = process::cpu(pid)?;
    send(&watches, clock).await;
    let mut all = Vec::new();
    while all.len() < count * EVENTS_PER_WATCH as usize {
        let next = tokio::time::timeout(PATIENCE, latencies.recv()).await?;
        all.push(next.ok_or("all watches have ended")?);
    }
    let events_cpu = process::cpu(pid)? - cpu;
    tokio::time::sleep(REST).await;
    let after_events_kib = per_watch(process::resident_kib(pid)?);
    proxy.stop().await?;
    all.sort_unstable();
    Ok(Run {
        open,
        open_cpu,
        idle_kib,
        after_events_kib,
        latency_p50: all[all.len() / 2],
        latency_p99: all[all.len() * 99 / 100],
        events: all.len(),
        events_cpu,
    })
}

/// Reads the events of watches and tells how long each was under way.
#[derive(Clone)]
struct Watcher {
    clock: Instant,
    sender: mpsc::UnboundedSender<Duration>,
}

/// Opens all watches, and leaves each to a task.
async fn open(bed: &Bed, proxy: &Proxy, count: usize, watcher: &Watcher) -> Result<(), Error> {
    let left = Arc::new(AtomicUsize::new(count));
    let mut tasks = Vec::new();
    for _ in 0..count.div_ceil(WATCHES_PER_CONNECTION) {
        let client = Client::connect(proxy.address, bed.identities.client()?).await?;
        for _ in 0..OPENING_AT_ONCE {
            let (client, left, watcher) = (client.clone(), Arc::clone(&left), watcher.clone());
            tasks.push(tokio::spawn(open_some(client, left, watcher)));
        }
    }
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// Opens one after the other while any are left.
async fn open_some(
    mut client: Client,
    left: Arc<AtomicUsize>,
    watcher: Watcher,
) -> Result<(), Error> {
    let one_less = |left: usize| left.checked_sub(1);
    while left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
        .is_ok()
    {
        let path = format!("{CLAIMS}?watch=true&allowWatchBookmarks=true&timeoutSeconds=3600");
        let body = client.get(&path).await?.into_body();
        let watcher = watcher.clone();
        tokio::spawn(async move { watcher.watch(body).await });
    }
    Ok(())
}

impl Watcher {
    async fn watch(self, mut body: Incoming) {
        let mut end = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(data) = frame.into_data() else {
                continue;
            };
            end.extend_from_slice(&data);
            if let Some(sent) = sent_at(&end) {
                // Nobody waits for the last ones of a measurement that failed.
                let _ = self.sender.send(self.clock.elapsed().saturating_sub(sent));
                end.clear();
            }
        }
    }
}

/// Spreads the events of all watches over time.
async fn send(watches: &[Events], clock: Instant) {
    let event = Event::new();
    let total = watches.len() * EVENTS_PER_WATCH as usize;
    let (begun, every) = (Instant::now(), EVENT_EVERY / watches.len() as u32);
    let mut sent = 0;
    while sent < total {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let due = (begun.elapsed().as_nanos() / every.as_nanos()) as usize;
        for at in sent..due.min(total) {
            // A watch that has ended is missed by who counts the events.
            let _ = watches[at % watches.len()].send(event.at(clock.elapsed()));
        }
        sent = due.min(total);
    }
}

/// An event of 2 KB with the time at its end, where nothing is rewritten.
struct Event(Vec<u8>);

const STAMP: &str = r#","sentAt":""#;
const STAMP_DIGITS: usize = 20;
const STAMP_END: &str = "\"}\n";

impl Event {
    fn new() -> Self {
        let mut event = br#"{"type":"MODIFIED","object":"#.to_vec();
        event.extend_from_slice(&claim());
        event.extend_from_slice(STAMP.as_bytes());
        Self(event)
    }

    fn at(&self, time: Duration) -> Bytes {
        let mut event = self.0.clone();
        event.extend_from_slice(format!("{:020}{STAMP_END}", time.as_nanos()).as_bytes());
        event.into()
    }
}

/// The time at the end of an event, if it has come to its end.
fn sent_at(text: &[u8]) -> Option<Duration> {
    let digits = text.strip_suffix(STAMP_END.as_bytes())?;
    let digits = digits.get(digits.len().checked_sub(STAMP_DIGITS)?..)?;
    let nanos = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

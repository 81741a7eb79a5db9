//! Measures mostly idle watches: memory per watch and latency of their events.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use crate::backend::{CLAIMS, Events, claim};
use crate::client::Client;
use crate::proxy::{Proxy, ProxyKind};
use crate::{Environment, Error, process};

/// Number of watches per client connection. The daemon allows the front proxy 1000 streams.
const WATCHES_PER_CONNECTION: usize = 500;

/// Number of watches that each connection opens concurrently.
const OPENING_AT_ONCE: usize = 25;

/// Idle time before memory is read, so that the memory of idle watches is measured.
const REST: Duration = Duration::from_secs(5);

/// Number of events per watch. The events of all watches are spread evenly over each interval.
const EVENTS_PER_WATCH: u32 = 3;
const EVENT_EVERY: Duration = Duration::from_secs(10);

/// Timeout for opening all watches, and for each event.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Results of one proxy.
pub struct WatchResults {
    pub open: Duration,
    pub open_cpu: Duration,
    /// Resident memory per watch in KiB: after opening, and after some events.
    pub idle_kib: f64,
    pub after_events_kib: f64,
    pub latency_p50: Duration,
    pub latency_p99: Duration,
    pub events: usize,
    pub events_cpu: Duration,
}

pub async fn measure(
    environment: &Environment,
    kind: ProxyKind,
    count: usize,
) -> Result<WatchResults, Error> {
    let proxy = Proxy::start(environment, kind).await?;
    let pid = proxy.pid();
    tokio::time::sleep(REST).await;
    let before_kib = process::resident_kib(pid)?;
    let per_watch = |kib: u64| (kib as f64 - before_kib as f64) / count as f64;

    let (begun, cpu) = (Instant::now(), process::cpu(pid)?);
    let clock = Instant::now();
    let (sender, mut latencies) = mpsc::unbounded_channel();
    tokio::time::timeout(
        TIMEOUT,
        open(environment, &proxy, count, &Watcher { clock, sender }),
    )
    .await??;
    let (open, open_cpu) = (begun.elapsed(), process::cpu(pid)? - cpu);
    tokio::time::sleep(REST).await;
    let idle_kib = per_watch(process::resident_kib(pid)?);

    let watches = environment.backend.watches();
    if watches.len() != count {
        return Err(format!("{} of {count} watches are open", watches.len()).into());
    }
    let cpu = process::cpu(pid)?;
    send(&watches, clock, &claim(kind == ProxyKind::Shared)).await;
    let mut all = Vec::new();
    while all.len() < count * EVENTS_PER_WATCH as usize {
        let next = tokio::time::timeout(TIMEOUT, latencies.recv()).await?;
        all.push(next.ok_or("all watches have ended")?);
    }
    let events_cpu = process::cpu(pid)? - cpu;
    tokio::time::sleep(REST).await;
    let after_events_kib = per_watch(process::resident_kib(pid)?);
    proxy.stop().await?;
    all.sort_unstable();
    Ok(WatchResults {
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

/// Reads the events of watches and reports the latency of each.
#[derive(Clone)]
struct Watcher {
    clock: Instant,
    sender: mpsc::UnboundedSender<Duration>,
}

/// Opens all watches and spawns a task for each.
async fn open(
    environment: &Environment,
    proxy: &Proxy,
    count: usize,
    watcher: &Watcher,
) -> Result<(), Error> {
    let left = Arc::new(AtomicUsize::new(count));
    let mut tasks = Vec::new();
    for _ in 0..count.div_ceil(WATCHES_PER_CONNECTION) {
        let client = Client::connect(proxy.address, environment.identities.client()?).await?;
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

/// Opens watches one after the other until enough are open.
async fn open_some(
    mut client: Client,
    left: Arc<AtomicUsize>,
    watcher: Watcher,
) -> Result<(), Error> {
    let decrement = |left: usize| left.checked_sub(1);
    while left
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, decrement)
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
                // The receiver is dropped if the measurement failed.
                let _ = self.sender.send(self.clock.elapsed().saturating_sub(sent));
                end.clear();
            }
        }
    }
}

/// Sends the events of all watches, spread over time.
async fn send(watches: &[Events], clock: Instant, claim: &[u8]) {
    let event = Event::new(claim);
    let total = watches.len() * EVENTS_PER_WATCH as usize;
    let (begun, every) = (Instant::now(), EVENT_EVERY / watches.len() as u32);
    let mut sent = 0;
    while sent < total {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let due = (begun.elapsed().as_nanos() / every.as_nanos()) as usize;
        for at in sent..due.min(total) {
            // If a watch has ended, the count of received events is too low and the measurement times out.
            let _ = watches[at % watches.len()].send(event.at(clock.elapsed()));
        }
        sent = due.min(total);
    }
}

/// A 2 KB event with a timestamp at its end, in a member that is not rewritten.
struct Event(Vec<u8>);

const STAMP: &str = r#","sentAt":""#;
const STAMP_DIGITS: usize = 20;
const STAMP_END: &str = "\"}\n";

impl Event {
    fn new(claim: &[u8]) -> Self {
        let mut event = br#"{"type":"MODIFIED","object":"#.to_vec();
        event.extend_from_slice(claim);
        event.extend_from_slice(STAMP.as_bytes());
        Self(event)
    }

    fn at(&self, time: Duration) -> Bytes {
        let mut event = self.0.clone();
        event.extend_from_slice(format!("{:020}{STAMP_END}", time.as_nanos()).as_bytes());
        event.into()
    }
}

/// Returns the timestamp of an event, or `None` if the text does not end with one.
fn sent_at(text: &[u8]) -> Option<Duration> {
    let digits = text.strip_suffix(STAMP_END.as_bytes())?;
    let digits = digits.get(digits.len().checked_sub(STAMP_DIGITS)?..)?;
    let nanos = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

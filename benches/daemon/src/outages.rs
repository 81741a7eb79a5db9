//! Measures a healthy control plane while another one, behind the same daemon, has a fault.
//!
//! The requests to both share one client connection, as they do from kube-apiserver's aggregator. Requests are sent at a
//! fixed rate, whether or not earlier ones were answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use tokio::task::JoinSet;

use crate::backend::{Behavior, CLAIM, OTHER_CLAIM, OTHER_CLAIMS};
use crate::client::Client;
use crate::proxy::{Proxy, ProxyKind};
use crate::{Environment, Error, process};

/// Intervals between the requests to the healthy and to the other control plane.
const HEALTHY_EVERY: Duration = Duration::from_millis(2);
const OTHER_EVERY: Duration = Duration::from_millis(10);

/// Number of users who send the requests to the other control plane.
const USERS: usize = 10;

/// Number of endless lists that clients read from a control plane that floods.
const ENDLESS_LISTS: usize = 2;

/// Time under load before the measurement. A control plane that stalls reaches its limit of requests within it.
const BEFORE: Duration = Duration::from_secs(6);
const MEASURED: Duration = Duration::from_secs(10);

/// Results of one run with one fault.
pub struct OutageResults {
    /// Latency of GETs to the healthy control plane.
    pub p50: Duration,
    pub p99: Duration,
    /// CPU time of the daemon for both control planes, as a share of one core.
    pub cpu: f64,
    pub resident_mib: f64,
    /// Number of responses of the other control plane by status code. Requests that were not answered are missing.
    pub other: BTreeMap<u16, usize>,
}

type Codes = Arc<Mutex<BTreeMap<u16, usize>>>;

pub async fn measure(
    environment: &Environment,
    behavior: Behavior,
) -> Result<OutageResults, Error> {
    let other = environment
        .other
        .as_ref()
        .ok_or("the backend has no second control plane")?;
    other.behave(Behavior::Healthy);
    let proxy = Proxy::start(environment, ProxyKind::Rewriting).await?;
    let pid = proxy.pid();
    let client = Client::connect(proxy.address, environment.identities.client()?).await?;
    client.clone().get(OTHER_CLAIM).await?;
    other.behave(behavior);

    let codes = Codes::default();
    let mut load = JoinSet::new();
    load.spawn(send_to_other(client.clone(), Arc::clone(&codes)));
    if behavior == Behavior::Flooding {
        for _ in 0..ENDLESS_LISTS {
            load.spawn(read_endlessly(client.clone()));
        }
    }
    healthy(&client, BEFORE).await?;
    codes.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let before = process::cpu(pid)?;
    let mut latencies = healthy(&client, MEASURED).await?;
    let cpu = process::cpu(pid)? - before;
    let resident_kib = process::resident_kib(pid)?;
    load.shutdown().await;
    proxy.stop().await?;
    latencies.sort();
    let other = codes.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(OutageResults {
        p50: latencies[latencies.len() / 2],
        p99: latencies[latencies.len() * 99 / 100],
        cpu: cpu.as_secs_f64() / MEASURED.as_secs_f64(),
        resident_mib: resident_kib as f64 / 1024.0,
        other,
    })
}

/// Sends GETs to the healthy control plane for some time and returns their latencies.
async fn healthy(client: &Client, time: Duration) -> Result<Vec<Duration>, Error> {
    let mut requests = JoinSet::new();
    let mut ticks = tokio::time::interval(HEALTHY_EVERY);
    let until = Instant::now() + time;
    while Instant::now() < until {
        ticks.tick().await;
        let mut client = client.clone();
        requests.spawn(async move {
            let sent = Instant::now();
            client.get(CLAIM).await?.into_body().collect().await?;
            Ok::<_, Error>(sent.elapsed())
        });
    }
    let results = requests.join_all().await;
    results.into_iter().collect()
}

/// Sends GETs to the other control plane without end, and counts the status codes.
async fn send_to_other(client: Client, codes: Codes) {
    let mut requests = JoinSet::new();
    let mut ticks = tokio::time::interval(OTHER_EVERY);
    for number in 0.. {
        ticks.tick().await;
        let (mut client, codes) = (client.clone(), Arc::clone(&codes));
        requests.spawn(async move {
            let user = format!("user-{}", number % USERS);
            if let Ok(response) = client.send(OTHER_CLAIM, &user).await {
                let code = response.status().as_u16();
                let mut codes = codes.lock().unwrap_or_else(PoisonError::into_inner);
                *codes.entry(code).or_default() += 1;
            }
        });
        while requests.try_join_next().is_some() {}
    }
}

async fn read_endlessly(mut client: Client) {
    if let Ok(response) = client.send(OTHER_CLAIMS, "reader").await {
        let mut body = response.into_body();
        while let Some(Ok(_)) = body.frame().await {}
    }
}

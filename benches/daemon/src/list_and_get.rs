//! Measures LISTs of 10,000 claims and GETs of one claim.

use std::future::Future;

use bytes::Bytes;
use http_body_util::BodyExt;

use crate::backend::{CLAIM, CLAIMS, REMOTE};
use crate::client::Client;
use crate::proxy::{Proxy, ProxyKind};
use crate::{Environment, Error, process};

/// Number of measured requests. They need more than two seconds of CPU time, because /proc has a resolution
/// of 10 ms.
const LISTS: usize = 80;
const GETS: usize = 50_000;

/// Number of concurrent requests, all on one connection.
pub const LISTS_AT_ONCE: usize = 2;
pub const GETS_AT_ONCE: usize = 16;

/// Number of requests before the measurement, to open connections and map memory.
const LISTS_BEFORE: usize = 4;
const GETS_BEFORE: usize = 1000;

/// Results of one run of one proxy.
pub struct RequestResults {
    /// CPU seconds per 10^9 bytes that the client received.
    pub list_cpu_per_gb: f64,
    /// Peak resident memory during the LISTs.
    pub peak_mib: f64,
    /// CPU microseconds per GET.
    pub get_cpu_us: f64,
}

pub async fn measure(environment: &Environment, kind: ProxyKind) -> Result<RequestResults, Error> {
    let proxy = Proxy::start(environment, kind).await?;
    let client = Client::connect(proxy.address, environment.identities.client()?).await?;
    check(&client, kind).await?;
    many(&client, LISTS_BEFORE, LISTS_AT_ONCE, CLAIMS).await?;
    let (bytes, cpu) = measure_cpu(&proxy, many(&client, LISTS, LISTS_AT_ONCE, CLAIMS)).await?;
    let peak_kib = process::resident_peak_kib(proxy.pid())?;
    many(&client, GETS_BEFORE, GETS_AT_ONCE, CLAIM).await?;
    let (_, get_cpu) = measure_cpu(&proxy, many(&client, GETS, GETS_AT_ONCE, CLAIM)).await?;
    Ok(RequestResults {
        list_cpu_per_gb: cpu / (bytes as f64 / 1e9),
        peak_mib: peak_kib as f64 / 1024.0,
        get_cpu_us: get_cpu * 1e6 / GETS as f64,
    })
}

/// Runs `work` and returns its result with the CPU seconds that the proxy used meanwhile.
async fn measure_cpu<T>(
    proxy: &Proxy,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<(T, f64), Error> {
    let before = process::cpu(proxy.pid())?;
    let result = work.await?;
    let cpu = process::cpu(proxy.pid())? - before;
    Ok((result, cpu.as_secs_f64()))
}

/// Checks that the proxy maps namespaces if and only if it should.
pub async fn check(client: &Client, kind: ProxyKind) -> Result<(), Error> {
    for path in [CLAIM, CLAIMS] {
        let body = client
            .clone()
            .get(path)
            .await?
            .into_body()
            .collect()
            .await?
            .to_bytes();
        let is_remote = contains(&body, REMOTE) || contains(&body, "claimgate.dev/");
        if is_remote == kind.is_mapped() || !contains(&body, "\"cluster-00000\"") {
            return Err(format!(
                "{kind}: {path} contains the remote namespace {REMOTE}: {is_remote}"
            )
            .into());
        }
    }
    Ok(())
}

fn contains(body: &Bytes, text: &str) -> bool {
    body.windows(text.len())
        .any(|window| window == text.as_bytes())
}

/// Sends `count` requests and returns the total size of their bodies in bytes.
pub async fn many(
    client: &Client,
    count: usize,
    at_once: usize,
    path: &'static str,
) -> Result<u64, Error> {
    let tasks: Vec<_> = (0..at_once)
        .map(|_| tokio::spawn(one_by_one(client.clone(), count / at_once, path)))
        .collect();
    let mut bytes = 0;
    for task in tasks {
        bytes += task.await??;
    }
    Ok(bytes)
}

async fn one_by_one(mut client: Client, count: usize, path: &str) -> Result<u64, Error> {
    let mut bytes = 0;
    for _ in 0..count {
        let mut body = client.get(path).await?.into_body();
        while let Some(frame) = body.frame().await {
            bytes += frame?.data_ref().map_or(0, Bytes::len) as u64;
        }
    }
    Ok(bytes)
}
